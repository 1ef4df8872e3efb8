use bell::bell;
use burn::tensor::{DType, Device, Tensor};
use burn_autograd::gradcheck::gradcheck;

fn inputs() -> Tensor<1> {
    Tensor::from_data([0.5, -1.25, 2.0], (&Device::flex(), DType::F64))
}

#[test]
fn the_values_are_right() {
    let y = bell(inputs()).into_data().try_to_vec::<f64>().unwrap();
    assert_eq!(y, [0.8, 16.0 / 41.0, 0.2]);
}

#[test]
fn the_gradient_is_right() {
    gradcheck(bell::<1>, inputs()).assert_pass();
}
