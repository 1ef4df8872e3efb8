//! The pullback of each operation gives what Burn's `backward()` gives, any number of times, and refuses a
//! cotangent that is not like the output.

use burn::tensor::{DType, Device, Int, Tensor};
use burn_autograd::ops::prelude::*;
use burn_autograd::ops::relu::SelfDefinedRelu;
use burn_autograd::prelude::*;
use burn_autograd::{ErrorKind, apply_rule};

use crate::devices::{all, assert_close, cpu, numbers, tensor};
use crate::table::{X, operations};

/// The arguments of an operation, each with numbers of its own.
fn inputs(shapes: &[[usize; 2]], device: &Device) -> Vec<Tensor<2>> {
    let input = |(index, shape): (usize, &[usize; 2])| {
        let data: Vec<f64> = X.into_iter().cycle().skip(index).take(shape[0] * shape[1]).collect();
        tensor(*shape, &data, device, DType::F32)
    };
    shapes.iter().enumerate().map(input).collect()
}

/// An operation of the table, on variables.
fn on_variables(name: &str, x: &[Var], device: &Device) -> Var {
    let input = |index: usize| x[index].clone();
    let regular = |index: usize| {
        let four: Tensor<2> = tensor([2, 2], &[4.0, 0.0, 0.0, 4.0], device, DType::F32);
        &x[index] + Var::from(four)
    };
    match name {
        "legendre_p3" => input(0).legendre_p3(),
        "relu" => {
            let [y] = apply_rule(&SelfDefinedRelu, [input(0)]);
            y
        }
        "exp" => input(0).fused_exp(),
        "multiply_add" => input(0).multiply_add(input(1), input(2)),
        "polynomial" => input(0).polynomial(x[1].reshape([4])),
        "sum_squared_error" => input(0).sum_squared_error(input(1)).reshape([1, 1]),
        "linear" => input(0).fused_linear(input(1), Some(x[2].reshape([2]))),
        "linear_without_bias" => input(0).fused_linear(input(1), None),
        "cross_entropy" => {
            let targets = Tensor::<1, Int>::from_ints([2, 0], device);
            input(0).cross_entropy(targets, &CrossEntropyOptions::default()).reshape([1, 1])
        }
        "lu_solve_with" => regular(0).solve(input(1)),
        "inverse" => regular(0).inverse(),
        "det" => regular(0).det(),
        "log_abs_det" => {
            let (sign, log) = regular(0).log_abs_det();
            sign * log
        }
        "trace" => input(0).trace(),
        "trace_inverse" => input(0).trace_inverse(regular(1)),
        other => panic!("no such operation: {other}"),
    }
}

/// Between the two are some roundings, where a device fuses kernels with what stands beside them.
#[test]
fn a_pullback_gives_the_gradients_of_burns_graph_each_time() {
    for device in all() {
        let tracking = device.clone().autodiff();
        for (name, operation, shapes) in operations() {
            let function = |x: Vec<Var>| on_variables(name, &x, &device);
            let (y, pullback): (Tensor<2>, _) = vjp(function, inputs(&shapes, &device));
            for scale in [1.0, -2.0] {
                let g = inputs(&[y.dims()], &tracking).remove(0) * scale;
                let leaves: Vec<Tensor<2>> =
                    inputs(&shapes, &tracking).into_iter().map(Tensor::require_grad).collect();
                let grads = (operation(leaves.clone()) * g.clone()).sum().backward();
                let found = pullback.apply(g.inner());
                assert_eq!(found.len(), leaves.len(), "{name}");
                for (leaf, found) in leaves.iter().zip(found) {
                    let expected = numbers(leaf.grad(&grads).expect("each has a gradient"));
                    let most = expected.iter().fold(1.0f64, |most, x| most.max(x.abs()));
                    let what = format!("{name} on {device:?}");
                    assert_close(&what, &numbers(found), &expected, 1e-5 * most);
                }
            }
        }
    }
}

#[test]
fn a_cotangent_unlike_the_output_is_refused() {
    let devices = cpu();
    for (index, device) in devices.iter().enumerate() {
        for (name, _, shapes) in operations() {
            let function = |x: Vec<Var>| on_variables(name, &x, device);
            let (y, pullback): (Tensor<2>, _) = vjp(function, inputs(&shapes, device));
            let refused = |shape: [usize; 2], device: &Device, dtype: DType| {
                let cotangent = Tensor::<2>::ones(shape, (device, dtype));
                let error = pullback.try_apply(cotangent).unwrap_err();
                assert_eq!(error.argument(), "cotangents[0]", "{name}: {error}");
                error.kind()
            };
            let [height, width] = y.dims();
            assert_eq!(refused([height + 1, width], device, DType::F32), ErrorKind::Shape);
            assert_eq!(refused([height, width], device, DType::F64), ErrorKind::DType);
            let other = &devices[(index + 1) % devices.len()];
            if other != device {
                assert_eq!(refused([height, width], other, DType::F32), ErrorKind::Device);
            }
        }
    }
}
