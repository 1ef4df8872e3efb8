use bell::bell;
use burn::tensor::{Device, Tensor};

#[test]
fn bell_is_an_operation_like_any_other() {
    let device = Device::flex().autodiff();
    let x = Tensor::<1>::from_floats([0.0, 1.0, -1.0], &device).require_grad();
    let y = bell(x.clone());
    assert_eq!(y.to_data().try_to_vec::<f32>().unwrap(), [1.0, 0.5, 0.5]);

    let gradients = y.sum().backward();
    let dx = x.grad(&gradients).unwrap();
    assert_eq!(dx.into_data().try_to_vec::<f32>().unwrap(), [0.0, -0.5, 0.5]);
}
