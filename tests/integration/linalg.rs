//! Linear algebra: PyTorch's numbers, closed forms, residuals, and what singular matrices give.

use burn::tensor::{DType, Device, Tensor};
use burn_autograd::ErrorKind;
use burn_autograd::gradcheck::SplitMix64;
use burn_autograd::ops::condition_estimate::try_condition_estimate;
use burn_autograd::ops::det::{try_det, try_log_abs_det};
use burn_autograd::ops::inverse::try_inverse;
use burn_autograd::ops::prelude::*;
use burn_autograd::ops::solve::{try_solve, try_solve_right, try_solve_vector};
use burn_autograd::ops::trace::{trace, try_trace};
use burn_autograd::ops::trace_inverse::try_trace_inverse;
use burn_autograd::prelude::*;

use crate::devices::{all, assert_close, autodiff, cpu, message, numbers, tensor};
use crate::pulls::{
    det_vjp, inverse_vjp, log_abs_det_vjp, solve_vjp, trace_inverse_vjp, trace_vjp,
};
use crate::reference::{Case, linear_algebra};

/// Random matrices, with n on the diagonal if they are to be well-conditioned.
fn matrices(seed: u64, batch: usize, n: usize, columns: usize, dominant: bool) -> Vec<f64> {
    let mut random = SplitMix64::new(seed);
    let mut data: Vec<f64> = (0..batch * n * columns).map(|_| random.uniform(-1.0, 1.0)).collect();
    if dominant {
        #[allow(clippy::needless_range_loop, reason = "the place tells the row and the column")]
        for place in 0..batch * n * n {
            if (place % (n * n)).is_multiple_of(n + 1) {
                data[place] += n as f64;
            }
        }
    }
    data
}

fn epsilon(dtype: DType) -> f64 {
    if dtype == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) }
}

/// Rows and columns of a host matrix multiplied in `f64`.
fn product(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let mut c = vec![0.0; m * n];
    for i in 0..m {
        for p in 0..k {
            for j in 0..n {
                c[i * n + j] += a[i * k + p] * b[p * n + j];
            }
        }
    }
    c
}

/// The largest sum of magnitudes in a row.
fn norm(a: &[f64], columns: usize) -> f64 {
    a.chunks(columns.max(1)).map(|row| row.iter().map(|x| x.abs()).sum()).fold(0.0, f64::max)
}

fn transposed(a: &[f64], [m, n]: [usize; 2]) -> Vec<f64> {
    (0..n * m).map(|place| a[place % m * n + place / m]).collect()
}

/// Value, gradients and second derivatives by PyTorch. The matrices B have condition numbers below 20
/// or so, which second derivatives meet up to three times: of 16 digits these sums keep 12, relative to
/// the largest number of the tensor; `f32` keeps as many less.
#[test]
fn trace_inverse_agrees_with_pytorch() {
    let cases = linear_algebra();
    assert_eq!(cases.len(), 3);
    for (devices, dtype) in [(cpu(), DType::F64), (all(), DType::F32)] {
        for device in autodiff(devices) {
            for case in &cases {
                pytorch(case, &device, dtype);
            }
        }
    }
}

fn pytorch(case: &Case, device: &Device, dtype: DType) {
    let close = |part: &str, found: Tensor<3>, expected: &crate::reference::Values| {
        let size = expected.data.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        let bound = 1e-12 / f64::EPSILON * epsilon(dtype) * size;
        assert_close(
            &format!("{part} on {device:?} in {dtype:?}"),
            &numbers(found),
            &expected.data,
            bound,
        );
    };
    let [a, b] = [0, 1].map(|i| case.inputs[i].tensor::<3>(device, dtype).require_grad());
    let g: Tensor<3> = case.cotangents[0].tensor(device, dtype);
    let y = trace_inverse(a.clone(), b.clone());
    close("value", y.clone(), &case.outputs[0]);
    let grads = (y * g.clone()).sum().backward();
    close("gradient of a", a.grad(&grads).unwrap(), &case.gradients[0]);
    close("gradient of b", b.grad(&grads).unwrap(), &case.gradients[1]);

    let tangents = [0, 1].map(|i| case.tangents[i].tensor::<3>(device, dtype));
    let (da, db) = trace_inverse_vjp(a.clone(), b.clone(), g.clone());
    let objective = (da * tangents[0].clone()).sum() + (db * tangents[1].clone()).sum();
    let grads = objective.backward();
    close("second derivative of a", a.grad(&grads).unwrap(), &case.second_order[0]);
    close("second derivative of b", b.grad(&grads).unwrap(), &case.second_order[1]);

    // The same on the tape.
    let g = Var::from_tensor(g.inner());
    let (da, db) = hvp(
        |(a, b): (Var, Var)| (a.trace_inverse(b) * &g).sum(),
        (a.inner(), b.inner()),
        (tangents[0].clone().inner(), tangents[1].clone().inner()),
    );
    close("product with the second derivative, a", da, &case.second_order[0]);
    close("product with the second derivative, b", db, &case.second_order[1]);
}

/// ‖A·X − B‖ ≤ γ₃ₙ·‖L‖·‖U‖·‖X‖ (Higham 2002, theorem 9.4), in the norm of row sums; with |lᵢⱼ| ≤ 1 and
/// |uᵢⱼ| ≤ ρ·max|a|, that is at most 3n·(ε⁄2)·n·n·ρ·max|a|·‖X‖. Random matrices have ρ ≤ n^⅔ on average
/// (Trefethen and Schreiber 1990): n below is generous. The residual itself is computed in `f64`, so that in `f64` it is
/// rounded, too: by n·ε·‖A‖·‖X‖, which is less.
#[test]
fn residuals_are_as_small_as_the_theorem_says() {
    let sizes: &[usize] = &[1, 2, 3, 4, 5, 8, 16, 17, 33, 64, 65, 100, 129, 200];
    let few: &[usize] = &[1, 2, 3, 5, 9];
    let cases = [(cpu(), DType::F64, sizes), (cpu(), DType::F32, sizes), (all(), DType::F32, few)];
    for (devices, dtype, sizes) in cases {
        for device in devices {
            for &n in sizes {
                let columns = if n % 2 == 0 { 3 } else { n };
                let batch = if n < 20 { 3 } else { 1 };
                let a: Tensor<3> =
                    tensor([batch, n, n], &matrices(n as u64, batch, n, n, false), &device, dtype);
                let b: Tensor<3> = tensor(
                    [batch, n, columns],
                    &matrices(9, batch, n, columns, false),
                    &device,
                    dtype,
                );
                let (left, right) = (
                    solve(a.clone(), b.clone()),
                    solve_right(a.clone(), b.clone().swap_dims(1, 2)).swap_dims(1, 2),
                );
                let [a, b, left, right] = [a, b, left, right].map(numbers);
                for index in 0..batch {
                    let a = &a[index * n * n..(index + 1) * n * n];
                    let part =
                        |x: &[f64]| x[index * n * columns..(index + 1) * n * columns].to_vec();
                    for (x, a) in [(part(&left), a.to_vec()), (part(&right), transposed(a, [n, n]))]
                    {
                        let found = product(&a, &x, [n, n, columns]);
                        let residual: Vec<f64> =
                            found.iter().zip(part(&b)).map(|(ax, b)| ax - b).collect();
                        let most = a.iter().fold(0.0f64, |most, x| most.max(x.abs()));
                        let n = n as f64;
                        let bound = 1.5 * n * epsilon(dtype) * n * n * n * most * norm(&x, columns);
                        let residual = norm(&residual, columns);
                        assert!(
                            residual <= bound,
                            "{device:?} {dtype:?} {n}: {residual:e} > {bound:e}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn closed_forms() {
    for device in autodiff(all()) {
        // The inverse of [[a, b], [c, d]].
        let a: Tensor<2> = tensor([2, 2], &[3.0, 1.0, 2.0, 4.0], &device, DType::F32);
        assert_close("inverse", &numbers(inverse(a)), &[0.4, -0.1, -0.2, 0.3], 1e-6);
        // Needs an exchange of rows; so does every row of a permutation.
        let shift =
            [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0];
        let p: Tensor<2> = tensor([4, 4], &shift, &device, DType::F32);
        assert_eq!(numbers(inverse(p.clone())), transposed(&shift, [4, 4]));
        assert_eq!(numbers(det(p.clone())), [-1.0], "a cycle of four is odd");
        let (sign, log) = log_abs_det(p.clone());
        assert_eq!((numbers(sign), numbers(log)), (vec![-1.0], vec![0.0]));
        assert_eq!(numbers(det(p.clone().matmul(p.clone()))), [1.0]);
        assert_eq!(numbers(condition_estimate(p)), [1.0]);
        // A triangle: the product of its diagonal.
        let triangle = [2.0, 5.0, 7.0, 0.0, -3.0, 1.0, 0.0, 0.0, 0.5];
        let t: Tensor<2> = tensor([3, 3], &triangle, &device, DType::F32);
        assert_eq!(numbers(det(t.clone())), [-3.0]);
        assert_eq!(numbers(trace(t.clone())), [-0.5]);
        let identity: Tensor<2> =
            tensor([3, 3], &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], &device, DType::F32);
        let y = trace_inverse(t.clone(), identity.clone());
        assert_eq!(numbers(y), numbers(t.transpose() - identity * 0.5));
    }
}

/// det H₄ = 1⁄6048000, det H₅ = 1⁄266716800000 and κ₁(H₅) = 943656, by the formulas of Choi (1983). A
/// determinant is off by κ times the rounding of the entries: 5⋅κ⋅ε.
#[test]
fn hilbert_matrices() {
    for device in cpu() {
        for (n, det_exact, condition) in
            [(4, 1.0 / 6_048_000.0, 28375.0), (5, 1.0 / 266_716_800_000.0, 943_656.0)]
        {
            let data: Vec<f64> = (0..n * n).map(|i| 1.0 / (i / n + i % n + 1) as f64).collect();
            let h: Tensor<2> = tensor([n, n], &data, &device, DType::F64);
            let relative = 5.0 * condition * f64::EPSILON;
            assert_close("det", &numbers(det(h.clone())), &[det_exact], relative * det_exact);
            let (sign, log) = log_abs_det(h.clone());
            assert_eq!(numbers(sign), [1.0]);
            assert_close("log", &numbers(log), &[det_exact.ln()], relative);
            assert_close(
                "condition",
                &numbers(condition_estimate(h)),
                &[condition],
                relative * condition * n as f64,
            );
        }
    }
}

const REGULAR: [f64; 4] = [2.0, 1.0, 1.0, 3.0];

/// A regular matrix, a singular one and one that is not finite: the first is what it is alone, of the
/// others everything is NaN.
#[test]
fn a_singular_matrix_spoils_itself_alone() {
    for device in autodiff(all()) {
        let data = [REGULAR, [1.0, 2.0, 2.0, 4.0], [1.0, f64::INFINITY, 0.5, 1.0]].concat();
        let a: Tensor<3> = tensor([3, 2, 2], &data, &device, DType::F32).require_grad();
        let alone: Tensor<3> = tensor([1, 2, 2], &REGULAR, &device, DType::F32).require_grad();
        let b: Tensor<3> =
            tensor([3, 2, 2], &matrices(5, 3, 2, 2, false), &device, DType::F32).require_grad();
        let first = numbers(b.clone().inner().slice(0..1));
        let first: Tensor<3> = tensor([1, 2, 2], &first, &device, DType::F32).require_grad();
        type Binary = fn(Tensor<3>, Tensor<3>) -> Tensor<3>;
        let operations: [(&str, Binary); 4] = [
            ("solve", solve),
            ("solve_right", solve_right),
            ("inverse", |a, b| inverse(a) * b),
            ("trace_inverse", |a, b| trace_inverse(b, a)),
        ];
        for (name, operation) in operations {
            let what = format!("{name} on {device:?}");
            let cotangent: Tensor<3> =
                tensor([3, 2, 2], &matrices(6, 3, 2, 2, false), &device, DType::F32);
            let y = operation(a.clone(), b.clone());
            let grads = (y.clone() * cotangent.clone()).sum().backward();
            let y_alone = operation(alone.clone(), first.clone());
            let cotangent = cotangent.slice(0..1);
            let grads_alone = (y_alone.clone() * cotangent).sum().backward();
            let mut pairs = vec![
                ("value", y, y_alone),
                (
                    "gradient",
                    Tensor::from_inner(a.grad(&grads).unwrap()),
                    Tensor::from_inner(alone.grad(&grads_alone).unwrap()),
                ),
            ];
            if name != "inverse" {
                let db = Tensor::from_inner(b.grad(&grads).unwrap());
                pairs.push((
                    "other gradient",
                    db,
                    Tensor::from_inner(first.grad(&grads_alone).unwrap()),
                ));
            }
            for (part, found, expected) in pairs {
                let found = numbers(found);
                // The products of a batch may be computed in another order.
                assert_close(&format!("{part} of {what}"), &found[..4], &numbers(expected), 1e-5);
                assert!(found[4..].iter().all(|x| x.is_nan()), "{part} of {what}: {found:?}");
            }
        }
    }
}

/// The determinant is 0 there, with the cofactors for a gradient up to 3×3 and NaN beyond.
#[test]
fn the_determinant_of_a_singular_matrix() {
    for device in autodiff(all()) {
        let gradient =
            |a: &Tensor<2>, y: Tensor<2>| numbers(a.grad(&(y * 2.0).sum().backward()).unwrap());
        let two: Tensor<2> =
            tensor([2, 2], &[1.0, 2.0, 2.0, 4.0], &device, DType::F32).require_grad();
        let y = det(two.clone());
        assert_eq!(numbers(y.clone()), [0.0], "{device:?}");
        assert_eq!(gradient(&two, y), [8.0, -4.0, -4.0, 2.0], "{device:?}");
        let three = [1.0, 2.0, 4.0, 2.0, 4.0, 8.0, 1.0, 1.0, 1.0];
        let three: Tensor<2> = tensor([3, 3], &three, &device, DType::F32).require_grad();
        let y = det(three.clone());
        assert_eq!(numbers(y.clone()), [0.0], "{device:?}");
        let cofactors = [-8.0, 12.0, -4.0, 4.0, -6.0, 2.0, 0.0, 0.0, 0.0];
        assert_eq!(gradient(&three, y), cofactors, "{device:?}");
        let zeros: Tensor<2> = tensor([4, 4], &[0.0; 16], &device, DType::F32).require_grad();
        let y = det(zeros.clone());
        assert_eq!(numbers(y.clone()), [0.0], "{device:?}");
        assert!(gradient(&zeros, y).iter().all(|x| x.is_nan()), "{device:?}");
        let (sign, log) = log_abs_det(two.clone());
        assert_eq!((numbers(sign), numbers(log.clone())), (vec![0.0], vec![f64::NEG_INFINITY]));
        assert!(gradient(&two, log).iter().all(|x| x.is_nan()), "{device:?}");
        assert_eq!(numbers(condition_estimate(two)), [f64::INFINITY], "{device:?}");
    }
}

#[test]
fn a_singular_matrix_is_named() {
    for device in all() {
        let data = [REGULAR, REGULAR, [1.0, 2.0, 2.0, 4.0], [0.0; 4]].concat();
        let a: Tensor<4> = tensor([2, 2, 2, 2], &data, &device, DType::F32);
        let text = |operation: &str, argument: &str| {
            format!(
                "{operation}: argument `{argument}`: expected matrices that are not singular, and \
                 finite, got a singular one at batch index [1, 0] (2 of 4 are)"
            )
        };
        let b = a.ones_like();
        for (error, expected) in [
            (try_solve(a.clone(), b.clone()).unwrap_err(), text("solve", "a")),
            (try_solve_right(a.clone(), b.clone()).unwrap_err(), text("solve_right", "a")),
            (try_inverse(a.clone()).unwrap_err(), text("inverse", "a")),
            (try_trace_inverse(b.clone(), a.clone()).unwrap_err(), text("trace_inverse", "b")),
        ] {
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Value, expected));
        }
        let singular: Tensor<2> = tensor([2, 2], &[1.0, 2.0, 2.0, 4.0], &device, DType::F32);
        let error = try_solve_vector(singular, Tensor::<1>::ones([2], &device)).unwrap_err();
        assert!(error.to_string().ends_with("finite, got a singular matrix"), "{error}");
        // What is not the matrix's fault is no error.
        let regular: Tensor<2> = tensor([2, 2], &REGULAR, &device, DType::F32);
        let spoilt: Tensor<2> = tensor([2, 1], &[f64::NAN, 1.0], &device, DType::F32);
        assert!(numbers(try_solve(regular.clone(), spoilt).unwrap())[0].is_nan());
        assert!(try_solve(regular.clone(), regular.ones_like()).is_ok());
    }
}

#[test]
fn arguments_are_refused_with_their_names() {
    let device = Device::flex();
    let wide = Tensor::<2>::ones([2, 3], &device);
    let square = Tensor::<3>::ones([2, 3, 3], &device);
    let other = Tensor::<3>::ones([3, 3, 1], &device);
    let not_square = |operation: &str, argument: &str| {
        format!(
            "{operation}: argument `{argument}`: expected square matrices, [.., n, n], got [2, 3]"
        )
    };
    for (error, expected) in [
        (try_solve(wide.clone(), wide.clone()).unwrap_err(), not_square("solve", "a")),
        (try_inverse(wide.clone()).unwrap_err(), not_square("inverse", "a")),
        (try_det(wide.clone()).unwrap_err(), not_square("det", "a")),
        (try_log_abs_det(wide.clone()).unwrap_err(), not_square("log_abs_det", "a")),
        (try_trace(wide.clone()).unwrap_err(), not_square("trace", "a")),
        (try_trace_inverse(wide.clone(), wide.clone()).unwrap_err(), not_square("trace_inverse", "b")),
        (try_condition_estimate(wide.clone()).unwrap_err(), not_square("condition_estimate", "a")),
        (
            try_solve(square.clone(), other.clone()).unwrap_err(),
            "solve: argument `b`: expected [.., 3, k] whose leading dimensions broadcast with those of \
             `a`, [2, 3, 3], got [3, 3, 1]"
                .to_owned(),
        ),
        (
            try_solve_right(square.clone(), other.clone()).unwrap_err(),
            "solve_right: argument `b`: expected [.., k, 3] whose leading dimensions broadcast with \
             those of `a`, [2, 3, 3], got [3, 3, 1]"
                .to_owned(),
        ),
        (
            try_trace_inverse(other, square.clone()).unwrap_err(),
            "trace_inverse: argument `a`: expected [.., 3, 3] whose leading dimensions broadcast with \
             those of `b`, [2, 3, 3], got [3, 3, 1]"
                .to_owned(),
        ),
        (
            try_solve_vector(square.clone(), Tensor::<1>::ones([3], &device)).unwrap_err(),
            "solve_vector: argument `b`: expected one dimension less than the 3 of `a`, got 1 dimensions"
                .to_owned(),
        ),
        (
            try_inverse(Tensor::<2>::ones([257, 257], (&device, DType::BF16))).unwrap_err(),
            "inverse: argument `a`: expected n up to 256, which BF16 counts exactly, got n = 257".to_owned(),
        ),
    ] {
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Shape, expected));
    }
    let text = message(|| drop(solve(wide.clone(), wide)));
    assert_eq!(text, not_square("solve", "a"));
    let text = message(|| drop(trace_vjp(square.clone(), square)));
    assert!(text.ends_with("expected the output's shape [2, 1, 1], got [2, 3, 3]"), "{text}");
}

#[test]
fn empty_batches_and_empty_matrices() {
    for device in autodiff(all()) {
        let empty = |shape: [usize; 3]| -> Tensor<3> { tensor(shape, &[], &device, DType::F32) };
        let none = empty([2, 0, 0]).require_grad();
        assert_eq!(numbers(det(none.clone())), [1.0, 1.0]);
        let (sign, log) = log_abs_det(none.clone());
        assert_eq!((numbers(sign), numbers(log)), (vec![1.0; 2], vec![0.0; 2]));
        assert_eq!(numbers(trace(none.clone())), [0.0, 0.0]);
        assert_eq!(numbers(condition_estimate(none.clone())), [0.0, 0.0]);
        assert_eq!(inverse(none.clone()).dims(), [2, 0, 0]);
        assert_eq!(trace_inverse(none.clone(), none.clone()).dims(), [2, 0, 0]);
        assert_eq!(solve(none.clone(), empty([2, 0, 5])).dims(), [2, 0, 5]);
        assert_eq!(solve_right(none.clone(), empty([2, 5, 0])).dims(), [2, 5, 0]);
        let da = none.grad(&(det(none.clone()) * 2.0).sum().backward()).unwrap();
        assert_eq!(da.dims(), [2, 0, 0]);
        let nothing = empty([0, 3, 3]);
        assert_eq!(det(nothing.clone()).dims(), [0, 1, 1]);
        assert_eq!(log_abs_det(nothing.clone()).1.dims(), [0, 1, 1]);
        assert_eq!(trace(nothing.clone()).dims(), [0, 1, 1]);
        assert_eq!(inverse(nothing.clone()).dims(), [0, 3, 3]);
        assert_eq!(solve(nothing.clone(), empty([0, 3, 2])).dims(), [0, 3, 2]);
        assert_eq!(trace_inverse(nothing.clone(), nothing).dims(), [0, 3, 3]);
    }
}

/// A·x = b for vectors and batches of them, through both gradients.
#[test]
fn vectors_are_columns() {
    for device in autodiff(all()) {
        let a: Tensor<3> =
            tensor([2, 3, 3], &matrices(1, 2, 3, 3, true), &device, DType::F32).require_grad();
        let b: Tensor<2> =
            tensor([2, 3], &matrices(2, 2, 3, 1, false), &device, DType::F32).require_grad();
        let g: Tensor<2> = tensor([2, 3], &matrices(3, 2, 3, 1, false), &device, DType::F32);
        let x = solve_vector(a.clone(), b.clone());
        let column = solve(a.clone(), b.clone().unsqueeze_dim::<3>(2));
        assert_eq!(numbers(x.clone()), numbers(column.clone()));
        let grads = (x * g.clone()).sum().backward();
        let expected = (column * g.unsqueeze_dim::<3>(2)).sum().backward();
        assert_eq!(numbers(a.grad(&grads).unwrap()), numbers(a.grad(&expected).unwrap()));
        assert_eq!(numbers(b.grad(&grads).unwrap()), numbers(b.grad(&expected).unwrap()));
    }
}

/// The tape gives the second derivatives that Burn's graph gives through the products.
#[test]
fn the_tape_and_the_graph_have_the_same_second_derivatives() {
    for device in cpu() {
        let data = matrices(21, 2, 5, 5, true);
        let at = || -> Tensor<3> { tensor([2, 5, 5], &data, &device, DType::F64) };
        let other: Tensor<3> =
            tensor([2, 5, 5], &matrices(22, 2, 5, 5, false), &device, DType::F64);
        let along: Tensor<3> =
            tensor([2, 5, 5], &matrices(23, 2, 5, 5, false), &device, DType::F64);
        let weights: Tensor<3> = tensor([2, 1, 1], &[0.75, -1.5], &device, DType::F64);
        let lift = |t: &Tensor<3>| Tensor::<3>::from_inner(t.clone());
        // The gradient of ⟨product(a), along⟩ by Burn's graph.
        let graph = |product: &dyn Fn(Tensor<3>) -> Tensor<3>| {
            let a = Tensor::<3>::from_inner(at()).require_grad();
            let grads = (product(a.clone()) * lift(&along)).sum().backward();
            numbers(a.grad(&grads).unwrap())
        };
        let (o, w) = (Var::from_tensor(other.clone()), Var::from_tensor(weights.clone()));
        let tape = |function: &dyn Fn(Var) -> Var| numbers(hvp(function, at(), along.clone()));
        let pairs = [
            (
                "solve",
                tape(&|a| (a.solve(o.clone()) * &o).sum()),
                graph(&|a| solve_vjp(a, lift(&other), lift(&other)).0),
            ),
            (
                "inverse",
                tape(&|a| (a.inverse() * &o).sum()),
                graph(&|a| inverse_vjp(a, lift(&other))),
            ),
            ("det", tape(&|a| (a.det() * &w).sum()), graph(&|a| det_vjp(a, lift(&weights)))),
            (
                "log_abs_det",
                tape(&|a| (a.log_abs_det().1 * &w).sum()),
                graph(&|a| log_abs_det_vjp(a, lift(&weights))),
            ),
            (
                "trace_inverse",
                tape(&|b| (o.clone().trace_inverse(b) * &o).sum()),
                graph(&|b| trace_inverse_vjp(lift(&other), b, lift(&other)).1),
            ),
        ];
        for (name, tape, graph) in pairs {
            let size = graph.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            assert!(size > 0.0, "{name}: a derivative that is not 0");
            assert_close(name, &tape, &graph, 1e-12 * size);
        }
        // d²(tr A²)⁄dA² through the trace: the gradient is 2Aᵀ, its product with V is 2Vᵀ.
        let second = tape(&|a| a.matmul(&a).trace().sum());
        assert_close("trace", &second, &numbers(along.clone().transpose() * 2.0), 1e-14);
    }
}

/// A matrix that is broadcast is factored once; the result is that of the copies.
#[test]
fn broadcast_batches_are_like_copies() {
    for device in autodiff(all()) {
        let one = matrices(31, 1, 3, 3, true);
        let a: Tensor<3> = tensor([1, 3, 3], &one, &device, DType::F32).require_grad();
        let copies: Tensor<3> =
            tensor([4, 3, 3], &one.repeat(4), &device, DType::F32).require_grad();
        let b: Tensor<3> = tensor([4, 3, 3], &matrices(32, 4, 3, 3, true), &device, DType::F32);
        let g: Tensor<3> = tensor([4, 3, 3], &matrices(33, 4, 3, 3, false), &device, DType::F32);
        type Binary = fn(Tensor<3>, Tensor<3>) -> Tensor<3>;
        let operations: [(&str, Binary); 4] = [
            ("solve", solve),
            ("solve_right", solve_right),
            ("trace_inverse", trace_inverse),
            ("trace_inverse, the other", |a, b| trace_inverse(b, a)),
        ];
        for (name, operation) in operations {
            let y = operation(a.clone(), b.clone());
            let expected = operation(copies.clone(), b.clone());
            assert_close(name, &numbers(y.clone()), &numbers(expected.clone()), 1e-5);
            let da = a.grad(&(y * g.clone()).sum().backward()).unwrap();
            let expected = copies.grad(&(expected * g.clone()).sum().backward()).unwrap();
            assert_close(name, &numbers(da), &numbers(expected.sum_dim(0)), 1e-4);
        }
    }
}

/// Half precision through `f32`, rounded once: 2⁻¹¹ and 2⁻⁸ relative, times the condition number
/// (below 10 here) and some.
#[test]
fn half_precision_on_flex() {
    for (dtype, bound) in [(DType::F16, 0.01), (DType::BF16, 0.1)] {
        let device = Device::flex();
        let data = matrices(41, 2, 4, 4, true);
        let exact: Tensor<3> = tensor([2, 4, 4], &data, &device, DType::F64);
        let half: Tensor<3> = tensor([2, 4, 4], &data, &device, dtype);
        assert_close(
            "inverse",
            &numbers(inverse(half.clone())),
            &numbers(inverse(exact.clone())),
            bound,
        );
        assert_close(
            "trace",
            &numbers(trace(half.clone())),
            &numbers(trace(exact.clone())),
            20.0 * bound,
        );
        let (found, expected) = (numbers(det(half.clone())), numbers(det(exact.clone())));
        assert_close("det", &found, &expected, 1000.0 * bound);
        let (found, expected) =
            (trace_inverse(half.clone(), half), trace_inverse(exact.clone(), exact));
        assert_close("trace_inverse", &numbers(found), &numbers(expected), 100.0 * bound);
    }
}

/// A condition number is a constant, also of a variable that is being differentiated.
#[test]
fn a_condition_number_is_not_differentiated() {
    for device in autodiff(cpu()) {
        let a: Tensor<2> = tensor([2, 2], &REGULAR, &device, DType::F32).require_grad();
        assert!(!condition_estimate(a.clone()).is_tracked());
        let da = grad(|a: Var| (a.clone().condition_estimate() * &a).sum(), a.clone().inner());
        assert_eq!(numbers(da), vec![numbers(condition_estimate(a))[0]; 4]);
    }
}
