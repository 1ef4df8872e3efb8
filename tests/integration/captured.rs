//! Our operations in captured tensor code: values and derivatives are those of formulas in
//! elementary operations of `Var`, which share no kernel with them.

use approx::assert_abs_diff_eq;
use burn::tensor::{Bool, DType, Int, Tensor};
use burn_autograd::ops::cross_entropy::CrossEntropyLoss;
use burn_autograd::ops::cross_entropy::CrossEntropyLossConfig;
use burn_autograd::ops::cross_entropy::{Reduction, cross_entropy_unreduced, cross_entropy_with};
use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;
use burn_autograd::{ErrorKind, capture, capture_module};

use crate::devices::{assert_close, cpu, message, numbers, tensor, wgpu};
use crate::pulls::{det_vjp, log_abs_det_vjp, solve_vjp, trace_inverse_vjp, trace_vjp};

type Code = fn(Tensor<2>) -> Tensor<2>;
type Formula = fn(&Var) -> Var;

/// Far from a singular matrix, determinant 17.125.
const X: [f64; 4] = [4.5, -1.25, 2.0, 3.25];

const WEIGHTS: [f64; 8] = [1.5, -0.5, 0.25, 2.0, -1.0, 0.75, 1.25, -1.75];

fn entry(x: &Var, row: usize, column: usize) -> Var {
    x.slice([row..row + 1, column..column + 1])
}

/// That of two rows, as `[1, 1]`.
fn determinant(x: &Var) -> Var {
    entry(x, 0, 0) * entry(x, 1, 1) - entry(x, 0, 1) * entry(x, 1, 0)
}

/// The inverse of two rows by Cramer's rule.
fn cramer(x: &Var) -> Var {
    let first = Var::cat(&[entry(x, 1, 1), -entry(x, 0, 1)], 1);
    let second = Var::cat(&[-entry(x, 1, 0), entry(x, 0, 0)], 1);
    Var::cat(&[first, second], 0) / determinant(x)
}

fn targets(x: &Tensor<2>, classes: [i64; 2]) -> Tensor<1, Int> {
    Tensor::from_ints(classes, &x.device())
}

/// Everything but the mean.
fn options(x: &Tensor<2>) -> CrossEntropyOptions {
    CrossEntropyOptions::default()
        .with_reduction(Reduction::Sum)
        .with_weight(Some(tensor([2], &[0.5, 2.0], &x.device().inner(), x.dtype())))
        .with_ignore_index(Some(-1))
        .with_label_smoothing(0.25)
}

fn cases() -> [(&'static str, Code, Formula); 19] {
    [
        ("solve", |x| solve(x.clone(), x.sin()), |x| cramer(x).matmul(&x.sin())),
        ("solve_right", |x| solve_right(x.clone(), x.sin()), |x| x.sin().matmul(&cramer(x))),
        (
            "solve_vector",
            |x| solve_vector(x.clone(), x.sin().sum_dim(1).reshape([2])).reshape([2, 1]),
            |x| cramer(x).matmul(&x.sin().sum_dim(1)),
        ),
        (
            "solve with one matrix for two",
            |x| {
                let b = Tensor::cat(vec![x.clone().sin(), x.clone().cos()], 0);
                solve(x.reshape([1, 2, 2]), b.reshape([2, 2, 2])).reshape([4, 2])
            },
            |x| {
                let inverse = cramer(x);
                Var::cat(&[inverse.matmul(&x.sin()), inverse.matmul(&x.cos())], 0)
            },
        ),
        (
            "solve_vjp",
            |x| solve_vjp(x.clone(), x.clone().sin(), x.cos()).1,
            |x| cramer(x).transpose().matmul(&x.cos()),
        ),
        ("inverse", inverse, cramer),
        ("det", det, determinant),
        (
            // Blocks that commute: det [[A, B], [C, D]] = det(A·D − B·C).
            "det of four rows",
            |x| {
                let square = x.clone().matmul(x.clone());
                let upper = Tensor::cat(vec![square, x.clone()], 1);
                let lower = Tensor::cat(vec![x.clone() * 2.0, x], 1);
                det(Tensor::cat(vec![upper, lower], 0))
            },
            |x| determinant(&(x.matmul(x).matmul(x) - x.matmul(x) * 2.0)),
        ),
        ("log_abs_det", |x| log_abs_det(x).1, |x| determinant(x).log()),
        (
            "log_abs_det with its sign",
            |x| {
                let (sign, log) = log_abs_det(x.flip([0]));
                sign * log
            },
            |x| -determinant(x).log(),
        ),
        (
            // The gradient is g·I.
            "trace_vjp",
            |x| trace_vjp(x.clone(), x.clone().slice([0..1, 1..2])).matmul(x),
            |x| entry(x, 0, 1) * x,
        ),
        (
            // g·det(X)·X⁻ᵀ
            "det_vjp",
            |x| det_vjp(x.clone(), x.slice([0..1, 1..2])),
            |x| entry(x, 0, 1) * determinant(x) * cramer(x).transpose(),
        ),
        (
            // g·X⁻ᵀ
            "log_abs_det_vjp",
            |x| log_abs_det_vjp(x.clone(), x.slice([0..1, 1..2])),
            |x| entry(x, 0, 1) * cramer(x).transpose(),
        ),
        (
            // Of Y = (A·B⁻¹)ᵀ + tr(A)·B for G: Ā = Gᵀ·B⁻ᵀ + ⟨G, B⟩·I.
            "trace_inverse_vjp, the first",
            |x| trace_inverse_vjp(x.clone().sin(), x.clone(), x.clone().cos()).0.matmul(x),
            |x| {
                let g = x.cos();
                g.transpose().matmul(&cramer(x).transpose()).matmul(x)
                    + (&g * x).sum().reshape([1, 1]) * x
            },
        ),
        (
            // B̄ = −(A·B⁻¹)ᵀ·Gᵀ·B⁻ᵀ + tr(A)·G.
            "trace_inverse_vjp, the second",
            |x| trace_inverse_vjp(x.clone().sin(), x.clone(), x.cos()).1,
            |x| {
                let (a, g) = (x.sin(), x.cos());
                let inverse = cramer(x).transpose();
                let product = inverse.matmul(&a.transpose()).matmul(&g.transpose());
                (entry(&a, 0, 0) + entry(&a, 1, 1)) * g - product.matmul(&inverse)
            },
        ),
        (
            "cross_entropy",
            |x| {
                let targets = targets(&x, [1, 0]);
                cross_entropy(x, targets).reshape([1, 1])
            },
            |x| {
                let log = x.log_softmax(1);
                (entry(&log, 0, 1) + entry(&log, 1, 0)) * -0.5
            },
        ),
        (
            // ¾·w₁ + ¼·w₁⁄2 of the target, ¼·w₀⁄2 of the other class; the second row is ignored.
            "cross_entropy_with",
            |x| {
                let (targets, options) = (targets(&x, [1, -1]), options(&x));
                cross_entropy_with(x, targets, &options).reshape([1, 1])
            },
            |x| {
                let log = x.log_softmax(1);
                entry(&log, 0, 1) * -1.75 - entry(&log, 0, 0) * 0.0625
            },
        ),
        (
            "cross_entropy_unreduced",
            |x| {
                let targets = targets(&x, [1, 0]);
                cross_entropy_unreduced(x, targets, &CrossEntropyOptions::default()).reshape([2, 1])
            },
            |x| {
                let log = x.log_softmax(1);
                -Var::cat(&[entry(&log, 0, 1), entry(&log, 1, 0)], 0)
            },
        ),
        (
            // The classes are the rows here.
            "cross_entropy of three dimensions",
            |x| {
                let targets = Tensor::<2, Int>::from_ints([[1, 0]], &x.device());
                cross_entropy(x.reshape([1, 2, 2]), targets).reshape([1, 1])
            },
            |x| {
                let log = x.log_softmax(0);
                (entry(&log, 1, 0) + entry(&log, 0, 1)) * -0.5
            },
        ),
    ]
}

/// The value; the gradient and the matrix of second derivatives of its weighted sum.
fn derivatives(function: impl Fn(&Var) -> Var, x: &Tensor<2>) -> [Vec<f64>; 3] {
    let weights: Tensor<1> = tensor([8], &WEIGHTS, &x.device(), x.dtype());
    let weights = Var::from_tensor(weights);
    let weighted = |x: Var| {
        let y = function(&x);
        let weights = weights.slice(0..y.shape().num_elements()).reshape(y.shape());
        (y * weights).sum()
    };
    let value: Tensor<2> = evaluate(|x: Var| function(&x), x.clone());
    let gradient: Tensor<2> = grad(weighted, x.clone());
    [numbers(value), numbers(gradient), numbers(hessian(weighted, x.clone()).matrix())]
}

/// Both are off by at most some hundred roundings times a condition number, which is below a hundred here.
#[track_caller]
fn near(what: &str, found: &[f64], expected: &[f64]) {
    let largest = expected.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    assert!(largest > 0.0, "{what}: a result that is not 0");
    assert_close(what, found, expected, 1e-11 * largest);
}

#[test]
fn a_trace_has_both_derivatives_of_the_formula() {
    for device in cpu() {
        let x: Tensor<2> = tensor([2, 2], &X, &device, DType::F64);
        for (name, code, formula) in cases() {
            let code = capture(code, x.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let found = derivatives(|x: &Var| code.call(x.clone()), &x);
            let expected = derivatives(formula, &x);
            for (order, (found, expected)) in found.iter().zip(&expected).enumerate() {
                near(&format!("{name}, order {order}, {device:?}"), found, expected);
            }
        }
    }
}

/// The gradient of captured code is a tensor that Burn differentiates, where it tracks the argument.
#[test]
fn a_trace_is_differentiated_on_burns_graph() {
    for device in cpu() {
        let x: Tensor<2> = tensor([2, 2], &X, &device, DType::F64);
        for (name, code, formula) in cases() {
            let code = capture(code, x.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let squares = |y: Var| (y.clone() * y).sum();
            let direction: Tensor<2> = tensor([2, 2], &WEIGHTS[..4], &device, DType::F64);
            let expected = hvp(|x: Var| squares(formula(&x)), x.clone(), direction.clone());
            let leaf = Tensor::<2>::from_inner(x.clone()).require_grad();
            let gradient = grad(|x: Var| squares(code.call(x)), leaf.clone());
            let grads = (gradient * Tensor::from_inner(direction)).sum().backward();
            let found = leaf.grad(&grads).expect("it is tracked");
            near(&format!("{name}, {device:?}"), &numbers(found), &numbers(expected));
        }
    }
}

/// The class weights are the module's, and constants.
#[test]
fn a_trace_of_the_loss_as_a_module_has_both_derivatives() {
    for device in cpu() {
        let loss = CrossEntropyLossConfig::new().with_weight(Some(vec![0.5, 2.0])).init(&device);
        let x: Tensor<2> = tensor([2, 2], &X, &device, DType::F64);
        let forward = |loss: &CrossEntropyLoss, x: Tensor<2>| {
            let targets = targets(&x, [1, 0]);
            loss.forward(x, targets).reshape([1, 1])
        };
        let code = capture_module(&loss, forward, x.clone()).unwrap();
        let formula = |x: &Var| {
            let log = x.log_softmax(1);
            (entry(&log, 0, 1) * 2.0 + entry(&log, 1, 0) * 0.5) / -2.5
        };
        let found = derivatives(|x: &Var| code.call(x.clone()), &x);
        for (order, (found, expected)) in found.iter().zip(&derivatives(formula, &x)).enumerate() {
            near(&format!("order {order}, {device:?}"), found, expected);
        }
    }
}

/// As the arguments of a transform, and not by a kernel that takes what it gets.
#[test]
fn arguments_of_a_trace_that_do_not_go_together() {
    for device in cpu() {
        let x: Tensor<2> = tensor([2, 2], &X, &device, DType::F64);
        let other: Tensor<2> = tensor([2, 2], &X, &device, DType::F32);
        type Pair = (Tensor<2>, Tensor<2>);
        let system = |(a, b): Pair| -> Tensor<2> { solve(a, b) };
        let code = capture(system, (x.clone(), x.clone())).unwrap();
        let text = message(|| drop(code.call((Var::from(&x), Var::from(&other)))));
        assert_eq!(
            text,
            "Captured::call: argument `inputs[1]`: expected the data type of `inputs[0]`, F64, got \
             F32"
        );
        // Both in another one are as good as before.
        let y = numbers(code.call((Var::from(&other), Var::from(&other))).into_tensor::<2>());
        // A few roundings times a condition number below 4.
        assert_abs_diff_eq!(y[..], [1.0, 0.0, 0.0, 1.0][..], epsilon = 1e-5);
        let error = capture(system, (x, other)).unwrap_err();
        assert_eq!(
            (error.kind(), error.operation(), error.argument()),
            (ErrorKind::DType, "capture", "inputs[1]"),
            "{error}"
        );
    }
}

/// `bf16` does not count 257 rows: their permutation would be another one, without a word.
#[cfg(feature = "flex")]
#[test]
fn a_trace_refuses_a_data_type_that_does_not_count_the_rows() {
    const N: usize = 257;
    let device = burn::tensor::Device::flex();
    let mut data = vec![0.0; N * N];
    data.iter_mut().step_by(N + 1).for_each(|entry| *entry = 1.0);
    let x: Tensor<2> = tensor([N, N], &data, &device, DType::F32);
    let half: Tensor<2> = tensor([N, N], &data, &device, DType::BF16);
    let cases: [(&str, Code); 2] = [("lu_factor", det), ("inverse", inverse)];
    for (name, code) in cases {
        let code = capture(code, x.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = message(|| drop(code.call(Var::from(&half))));
        let expected = "argument `a`: expected n up to 256, which BF16 counts exactly, got n = 257";
        assert_eq!(text, format!("{name}: {expected}"));
    }
}

/// Recorded in `f32`, and asked for in `f64`, of which wgpu has no exponential and no logarithm.
#[test]
fn a_trace_refuses_transcendental_functions_of_f64_on_wgpu() {
    let Some(device) = wgpu() else { return };
    if !device.supports_dtype(DType::F64) {
        return;
    }
    let x: Tensor<2> = tensor([2, 2], &X, &device, DType::F32);
    let double: Tensor<2> = tensor([2, 2], &X, &device, DType::F64);
    let cases: [(&str, Code); 3] = [
        ("exp: argument `x`", exp),
        ("log_abs_det: argument `a`", |x| log_abs_det(x).1),
        ("cross_entropy: argument `logits`", |x| {
            let targets = targets(&x, [1, 0]);
            cross_entropy(x, targets).reshape([1, 1])
        }),
    ];
    for (start, code) in cases {
        let code = capture(code, x.clone()).unwrap_or_else(|error| panic!("{start}: {error}"));
        let text = message(|| drop(code.call(Var::from(&double))));
        assert!(text.starts_with(start), "{text}");
    }
}

/// A mask of integers is a constant of captured code: each comparison keeps the numbers that it says.
#[test]
fn comparisons_of_integers_are_masks() {
    type Ints = Tensor<1, Int>;
    type Case = (
        &'static str,
        fn(Ints, Ints) -> Tensor<1, Bool>,
        fn(Ints) -> Tensor<1, Bool>,
        [u8; 4],
        [u8; 4],
    );
    let other = |like: &Tensor<1, Int>| Tensor::from_ints([2, 1, 1, 3], &like.device());
    // What is kept of 0 1 2 3, by comparison with 2 1 1 3, and with 2.
    let cases: [Case; 6] = [
        ("equal", |x, y| x.equal(y), |x| x.equal_elem(2), [0, 1, 0, 1], [0, 0, 1, 0]),
        ("not_equal", |x, y| x.not_equal(y), |x| x.not_equal_elem(2), [1, 0, 1, 0], [1, 1, 0, 1]),
        ("greater", |x, y| y.greater(x), |x| x.greater_elem(2), [1, 0, 0, 0], [0, 0, 0, 1]),
        (
            "greater_equal",
            |x, y| x.greater_equal(y),
            |x| x.greater_equal_elem(2),
            [0, 1, 1, 1],
            [0, 0, 1, 1],
        ),
        ("lower", |x, y| x.lower(y), |x| x.lower_elem(2), [1, 0, 0, 0], [1, 1, 0, 0]),
        (
            "lower_equal",
            |x, y| y.lower_equal(x),
            |x| x.lower_equal_elem(2),
            [0, 1, 1, 1],
            [1, 1, 1, 0],
        ),
    ];
    for device in cpu() {
        let x: Tensor<1> = tensor([4], &X, &device, DType::F64);
        for (name, pair, scalar, kept_of_pair, kept_of_scalar) in &cases {
            let code = |x: Tensor<1>| {
                let count = Tensor::<1, Int>::arange(0..4, &x.device());
                let first = pair(count.clone(), other(&count));
                let second = scalar(count);
                let cube = x.clone() * x.clone() * x.clone();
                cube.mask_fill(first.bool_not(), 0.0) + x.exp().mask_fill(second.bool_not(), 0.0)
            };
            let code = capture(code, x.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let found = numbers(nth_derivative(|x: Var| code.call(x), x.clone(), 2));
            let expected: Vec<f64> = (0..4)
                .map(|k| {
                    f64::from(kept_of_pair[k]) * 6.0 * X[k]
                        + f64::from(kept_of_scalar[k]) * X[k].exp()
                })
                .collect();
            near(name, &found, &expected);
        }
    }
}

/// Gradients of some hundreds, which Burn and we round in another order, by 1 or 2 in `bf16`; and a detached
/// part that is a third.
#[cfg(feature = "flex")]
#[test]
fn half_precision_is_compared_within_its_roundings() {
    let chain: Code = |x| {
        let y = x.clone() * x.clone() / 3.0;
        y.clone() * y.clone() / 7.0 + y * x / 0.3
    };
    let softmax: Code = |x| burn::tensor::activation::softmax(x, 1) * 1000.0;
    let detached: Code = |x| x.clone() * x.clone().detach() * x * 3.0;
    for dtype in [DType::F16, DType::BF16] {
        let device = burn::tensor::Device::flex();
        let x: Tensor<2> = tensor([2, 2], &[9.25, -7.5, 8.0, 6.5], &device, dtype);
        for (name, right) in [("chain", chain), ("softmax", softmax)] {
            capture(right, x.clone()).unwrap_or_else(|error| panic!("{name}, {dtype:?}: {error}"));
        }
        let error = capture(detached, x).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Derivative, "{dtype:?}: {error}");
    }
}
