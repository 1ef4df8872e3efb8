//! Bad arguments are refused by name, before a kernel runs; the `try_` forms return what the others
//! panic with.

use burn::tensor::{DType, Device, Int, Tensor};
use burn_autograd::ops::condition_estimate::try_condition_estimate;
use burn_autograd::ops::cross_entropy::try_cross_entropy;
use burn_autograd::ops::det::{try_det, try_log_abs_det};
use burn_autograd::ops::exp::{exp, try_exp};
use burn_autograd::ops::inverse::try_inverse;
use burn_autograd::ops::legendre_p3::try_legendre_p3;
use burn_autograd::ops::linear::try_linear;
use burn_autograd::ops::multiply_add::{multiply_add, try_multiply_add};
use burn_autograd::ops::polynomial::try_polynomial;
use burn_autograd::ops::prelude::*;
use burn_autograd::ops::relu::try_relu;
use burn_autograd::ops::solve::{try_solve, try_solve_right, try_solve_vector};
use burn_autograd::ops::sum_squared_error::try_sum_squared_error;
use burn_autograd::ops::trace::try_trace;
use burn_autograd::ops::trace_inverse::try_trace_inverse;
use burn_autograd::prelude::*;
use burn_autograd::{Error, ErrorKind, Transform};

use crate::devices::{all, cpu, message, tensor, wgpu};
use crate::pulls::legendre_p3_vjp;

#[test]
fn shapes_that_do_not_broadcast() {
    for device in all() {
        let new = |shape: [usize; 2]| -> Tensor<2> {
            tensor(shape, &vec![1.0; shape[0] * shape[1]], &device, DType::F32)
        };
        let error = try_multiply_add(new([2, 3]), new([2, 1]), new([4, 3])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shape);
        let text = "multiply_add: argument `b`: expected a shape that broadcasts with [2, 3], \
                    got [4, 3]";
        assert_eq!(error.to_string(), text);
        let panicked = message(|| {
            let _ = multiply_add(new([2, 3]), new([2, 1]), new([4, 3]));
        });
        assert_eq!(panicked, text);

        let panicked = message(|| {
            let _ = legendre_p3_vjp(new([2, 3]), new([3, 2]));
        });
        let text = "vjp: argument `cotangents[0]`: expected the output's shape [2, 3], got [3, 2]";
        assert_eq!(panicked, text);
    }
}

#[test]
fn different_devices() {
    let devices = all();
    for (first, second) in devices.iter().zip(devices.iter().skip(1)) {
        let a: Tensor<1> = tensor([1], &[1.0], first, DType::F32);
        let b: Tensor<1> = tensor([1], &[1.0], second, DType::F32);
        let error = try_multiply_add(a.clone(), a.clone(), b).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Device, "b"), "{error}");
        // A constant from the plain device meets a tensor of the autodiff device.
        let tracked: Tensor<1> =
            tensor([1], &[2.0], &first.clone().autodiff(), DType::F32).require_grad();
        assert!(try_multiply_add(tracked, a.clone(), a).unwrap().is_tracked());
    }
}

#[test]
fn different_data_types() {
    for device in cpu() {
        let single: Tensor<1> = tensor([1], &[1.0], &device, DType::F32);
        let double: Tensor<1> = tensor([1], &[1.0], &device, DType::F64);
        let error = try_multiply_add(single.clone(), double, single).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::DType, "x"));
        assert_eq!(
            error.to_string(),
            "multiply_add: argument `x`: expected the data type of `w`, F32, got F64"
        );
    }
}

/// As the functions of tensors refuse them; a kernel in half precision would take every type.
#[test]
fn variables_of_different_data_types() {
    for device in cpu() {
        let types = [DType::F32, DType::F64, DType::F16, DType::BF16];
        let types: Vec<DType> =
            types.into_iter().filter(|dtype| device.supports_dtype(*dtype)).collect();
        for first in &types {
            for second in types.iter().filter(|second| *second != first) {
                let x = |dtype: &DType| tensor::<1>([2], &[1.0, 0.5], &device, *dtype);
                let a =
                    |dtype: &DType| tensor::<2>([2, 2], &[1.0, 0.5, -0.5, 2.0], &device, *dtype);
                let (x, other_x) = (x(first), x(second));
                let (a, other_a) = (a(first), a(second));
                let (vx, other_vx) = (|| Var::from(&x), || Var::from(&other_x));
                let (va, other_va) = (|| Var::from(&a), || Var::from(&other_a));
                let bias = || Some(other_vx());
                for (panicked, expected) in [
                    (
                        message(|| drop(vx().multiply_add(vx(), other_vx()))),
                        try_multiply_add(x.clone(), x.clone(), other_x.clone()).unwrap_err(),
                    ),
                    (
                        message(|| drop(vx().polynomial(other_vx()))),
                        try_polynomial(x.clone(), other_x.clone()).unwrap_err(),
                    ),
                    (
                        message(|| drop(vx().sum_squared_error(other_vx()))),
                        try_sum_squared_error(x.clone(), other_x.clone()).unwrap_err(),
                    ),
                    (
                        message(|| drop(va().fused_linear(other_va(), None))),
                        try_linear(a.clone(), other_a.clone(), None).unwrap_err(),
                    ),
                    (
                        message(|| drop(va().fused_linear(va(), bias()))),
                        try_linear(a.clone(), a.clone(), Some(other_x.clone())).unwrap_err(),
                    ),
                    (
                        message(|| drop(va().solve(other_va()))),
                        try_solve(a.clone(), other_a.clone()).unwrap_err(),
                    ),
                    (
                        message(|| drop(va().solve_right(other_va()))),
                        try_solve_right(a.clone(), other_a.clone()).unwrap_err(),
                    ),
                    (
                        message(|| drop(va().solve_vector(other_vx()))),
                        try_solve_vector(a.clone(), other_x.clone()).unwrap_err(),
                    ),
                    (
                        message(|| drop(va().trace_inverse(other_va()))),
                        try_trace_inverse(a.clone(), other_a.clone()).unwrap_err(),
                    ),
                ] {
                    assert_eq!(expected.kind(), ErrorKind::DType);
                    assert_eq!(panicked, expected.to_string(), "{device:?}");
                }
            }
        }
    }
}

/// A transform looks at all of its arguments together, before the function runs.
#[test]
fn arguments_of_a_transform_that_do_not_go_together() {
    let devices = cpu();
    for (index, device) in devices.iter().enumerate() {
        let new = |device: &Device, dtype| tensor::<1>([1], &[1.0], device, dtype);
        let tracking = device.clone().autodiff();
        let x = new(&tracking, DType::F64);
        let first = |(x, _): (Var, Var)| x.sum();
        let run = |other: Tensor<1>| Transform::new().grad(first, (x.clone(), other));
        let refuse = |other: Tensor<1>| {
            let error = run(other).unwrap_err();
            assert_eq!((error.operation(), error.argument()), ("grad", "inputs[1]"), "{error}");
            assert!(error.to_string().contains("of `inputs[0]`"), "{error}");
            error.kind()
        };
        // Another float type is no mistake before an operation takes both.
        assert!(run(new(device, DType::F32)).is_ok());
        let checkpointing = tracking.clone().gradient_checkpointing();
        assert_eq!(refuse(new(&checkpointing, DType::F64)), ErrorKind::Device);
        let other = &devices[(index + 1) % devices.len()];
        if other != device {
            assert_eq!(refuse(new(other, DType::F64)), ErrorKind::Device);
        }
    }
}

/// What each operation says of tensors that it refuses.
fn refusals(x: &Tensor<1>, a: &Tensor<2>) -> Vec<(&'static str, Error)> {
    let targets = Tensor::<1, Int>::from_data([0, 1], &a.device());
    let (x, a) = (|| x.clone(), || a.clone());
    vec![
        ("legendre_p3", try_legendre_p3(x()).unwrap_err()),
        ("relu", try_relu(x()).unwrap_err()),
        ("exp", try_exp(x()).unwrap_err()),
        ("multiply_add", try_multiply_add(x(), x(), x()).unwrap_err()),
        ("polynomial", try_polynomial(x(), x()).unwrap_err()),
        ("sum_squared_error", try_sum_squared_error(x(), x()).unwrap_err()),
        ("linear", try_linear(a(), a(), Some(x())).unwrap_err()),
        ("cross_entropy", try_cross_entropy(a(), targets).unwrap_err()),
        ("solve", try_solve(a(), a()).unwrap_err()),
        ("solve_right", try_solve_right(a(), a()).unwrap_err()),
        ("inverse", try_inverse(a()).unwrap_err()),
        ("trace", try_trace(a()).unwrap_err()),
        ("det", try_det(a()).unwrap_err()),
        ("log_abs_det", try_log_abs_det(a()).unwrap_err()),
        ("trace_inverse", try_trace_inverse(a(), a()).unwrap_err()),
        ("condition_estimate", try_condition_estimate(a()).unwrap_err()),
    ]
}

#[cfg(feature = "flex")]
#[test]
fn quantized_tensors() {
    use burn::tensor::quantization::QuantScheme;
    let device = Device::flex();
    let x: Tensor<1> = tensor([2], &[0.5, 2.0], &device, DType::F32);
    let a: Tensor<2> = tensor([2, 2], &[0.5, 2.0, -1.0, 1.0], &device, DType::F32);
    let scheme = QuantScheme::default();
    for (operation, error) in refusals(&x.quantize_dynamic(&scheme), &a.quantize_dynamic(&scheme)) {
        assert_eq!((error.kind(), error.operation()), (ErrorKind::DType, operation));
        assert_eq!(error.expected(), "a float tensor", "{error}");
        assert!(error.got().starts_with("QFloat"), "{error}");
    }
}

/// Burn computes garbage in a type that the adapter lacks, without a word.
#[test]
fn a_data_type_that_the_adapter_lacks() {
    let Some(device) = wgpu() else { return };
    for dtype in [DType::F64, DType::F16, DType::BF16] {
        if device.supports_dtype(dtype) {
            continue;
        }
        let x: Tensor<1> = tensor([2], &[0.5, 2.0], &device, dtype);
        let a: Tensor<2> = tensor([2, 2], &[0.5, 2.0, -1.0, 1.0], &device, dtype);
        for (operation, error) in refusals(&x, &a) {
            assert_eq!((error.kind(), error.operation()), (ErrorKind::DType, operation));
            assert_eq!(error.got(), format!("{dtype:?}"));
            assert!(error.expected().contains("F32"), "{error}");
        }
        let panicked = message(|| {
            let _ = exp(x.clone());
        });
        assert!(
            panicked.starts_with("exp: argument `x`: expected a float type that"),
            "{panicked}"
        );
        // A user's function is refused in the same way.
        let error = Identity.try_apply::<_, Tensor<1>>(x).unwrap_err();
        assert_eq!((error.operation(), error.argument()), ("Identity", "inputs[0]"));
    }
}

/// An adapter may have `f64` and still no exponential of it.
#[test]
fn f64_transcendental_functions_are_refused_on_wgpu() {
    let Some(device) = wgpu() else { return };
    let x: Tensor<1> = tensor([2], &[0.5, 2.0], &device, DType::F64);
    let error = try_exp(x.clone()).unwrap_err();
    assert_eq!((error.kind(), error.got()), (ErrorKind::DType, "F64"), "{error}");
    if device.supports_dtype(DType::F64) {
        let panicked = message(|| {
            let _: Tensor<1> = Exponential.apply([x]);
        });
        assert!(
            panicked.starts_with(
                "exp (in the forward of Exponential): argument `self`: expected F32 or F16"
            ),
            "{panicked}"
        );
    }
    // It is there in single precision, and on the CPU in both.
    assert!(try_exp(tensor::<1>([1], &[0.5], &device, DType::F32)).is_ok());
    for device in cpu() {
        assert!(try_exp(tensor::<1>([1], &[0.5], &device, DType::F64)).is_ok());
    }
}

#[derive(Debug, Clone)]
struct Exponential;

impl Function<1> for Exponential {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x.exp()]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        [Some(g)]
    }
}

#[derive(Debug, Clone)]
struct Identity;

impl Function<1> for Identity {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        [Some(g)]
    }
}

/// An integer tensor does not get past the types; where the types are gone, it is refused by name.
#[test]
fn an_integer_where_a_float_belongs() {
    for device in all() {
        let integers = Tensor::<1, Int>::from_data([1, 2], &device).into_dispatch();
        let error = burn_autograd::check::floats("exp", &[("x", &integers)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DType);
        assert!(error.to_string().starts_with("exp: argument `x`: expected a float tensor, got I"));
    }
}

#[test]
fn half_precision_is_computed_where_the_backend_has_it() {
    for device in all() {
        for dtype in [DType::F16, DType::BF16] {
            if !device.supports_dtype(dtype) {
                continue;
            }
            let x: Tensor<1> =
                tensor([3], &[0.5, -1.0, 2.0], &device.clone().autodiff(), dtype).require_grad();
            let y = try_legendre_p3(x.clone()).unwrap();
            assert_eq!(y.dtype(), dtype);
            // These values are exact in eight bits of mantissa.
            assert_eq!(crate::devices::numbers(y.clone()), [-0.4375, -1.0, 17.0]);
            let dx = x.grad(&y.sum().backward()).unwrap();
            assert_eq!(dx.dtype(), dtype);
            assert_eq!(crate::devices::numbers(dx), [0.375, 6.0, 28.5]);
        }
    }
}

#[test]
fn an_output_of_another_rank_than_asked_for() {
    for device in cpu() {
        let x: Tensor<1> = tensor([2], &[0.5, 2.0], &device, DType::F64);
        let error = Identity.try_apply::<_, Tensor<2>>(x).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Contract);
        let text =
            "Identity: argument `outputs[0]`: expected rank 2, as it is asked for, got rank 1";
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn devices_that_checkpoint_differently() {
    for device in cpu() {
        let plain: Tensor<1> = tensor([1], &[1.0], &device.clone().autodiff(), DType::F64);
        let other: Tensor<1> =
            tensor([1], &[1.0], &device.autodiff().gradient_checkpointing(), DType::F64);
        let error = try_multiply_add(plain.clone(), other, plain).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Device, "x"), "{error}");
        assert!(error.to_string().contains("the checkpointing strategy of `w`"), "{error}");
    }
}
