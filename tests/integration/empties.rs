//! Empty tensors: what the operations give, and that with Burn's fusion nothing that stands in the queue
//! beside them is lost.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_autograd::ops::cross_entropy::{
    CrossEntropyOptions, Reduction, cross_entropy, cross_entropy_unreduced, cross_entropy_with,
};
use burn_autograd::ops::prelude::*;
use burn_autograd::ops::trace::trace;
use burn_autograd::prelude::*;

use crate::devices::{all, autodiff, numbers, tensor};
use crate::pulls::{
    cross_entropy_unreduced_vjp, cross_entropy_vjp, det_vjp, exp_vjp, inverse_vjp, legendre_p3_vjp,
    linear_vjp, log_abs_det_vjp, multiply_add_vjp, polynomial_vjp, relu_vjp, solve_vjp,
    sum_squared_error_vjp, trace_inverse_vjp, trace_vjp,
};

/// Made of data: nothing is queued for it.
fn of<const D: usize>(shape: [usize; D], value: f64, device: &Device) -> Tensor<D> {
    tensor(shape, &vec![value; shape.iter().product()], device, DType::F32)
}

/// Twice the identity.
fn regular<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let n = shape[D - 1];
    let entry = |place: usize| if (place % (n * n)).is_multiple_of(n + 1) { 2.0 } else { 0.0 };
    let data: Vec<f64> = (0..shape.iter().product::<usize>()).map(entry).collect();
    tensor(shape, &data, device, DType::F32)
}

/// A result, not read yet: its shape, and what it is computed from.
fn result<const D: usize>(tensor: Tensor<D>) -> Var {
    Var::from_tensor(tensor)
}

/// What an operation gives, each with the shape and the value of every element that is expected.
type Row = (&'static str, fn(&Device) -> Vec<Var>, Vec<(Vec<usize>, f64)>);

fn none(device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
    let targets = TensorData::new(Vec::<i64>::new(), [0]);
    (of([0, 3], 0.0, device), Tensor::from_data(targets, device))
}

fn sum() -> CrossEntropyOptions {
    CrossEntropyOptions::default().with_reduction(Reduction::Sum)
}

fn rows() -> Vec<Row> {
    vec![
        (
            "elementwise",
            |device| {
                let x = of([2, 0], 0.0, device);
                [
                    relu(x.clone()),
                    exp(x.clone()),
                    legendre_p3(x.clone()),
                    relu_vjp(x.clone(), x.clone()),
                    exp_vjp(x.clone(), x.clone()),
                    legendre_p3_vjp(x.clone(), x),
                ]
                .map(result)
                .into()
            },
            vec![(vec![2, 0], 0.0); 6],
        ),
        (
            "multiply_add",
            |device| {
                let [w, x, b] = [[0, 3], [1, 3], [0, 1]].map(|shape| of(shape, 0.5, device));
                let y = multiply_add(w.clone(), x.clone(), b.clone());
                let (dw, dx, db) = multiply_add_vjp(w, x, b, y.clone());
                [y, dw, dx, db].map(result).into()
            },
            vec![(vec![0, 3], 0.0), (vec![0, 3], 0.0), (vec![1, 3], 0.0), (vec![0, 1], 0.0)],
        ),
        (
            "polynomial",
            |device| {
                let (x, c) = (of([0], 0.0, device), of([4], 0.5, device));
                let y = polynomial(x.clone(), c.clone());
                let (dx, dc) = polynomial_vjp(x, c, y.clone());
                [y, dx, dc].map(result).into()
            },
            vec![(vec![0], 0.0), (vec![0], 0.0), (vec![4], 0.0)],
        ),
        (
            "sum_squared_error",
            |device| {
                let p = of([0, 3], 0.0, device);
                let loss = sum_squared_error(p.clone(), p.clone());
                let (dp, dt) = sum_squared_error_vjp(p.clone(), p, of([1], 1.0, device));
                vec![result(loss), result(dp), result(dt)]
            },
            vec![(vec![1], 0.0), (vec![0, 3], 0.0), (vec![0, 3], 0.0)],
        ),
        (
            "linear without rows",
            |device| {
                let (x, weight) = (of([0, 3], 0.0, device), of([2, 3], 0.5, device));
                let bias = Some(of([2], 0.5, device));
                let y = linear(x.clone(), weight.clone(), bias.clone());
                let (dx, dw, db) = linear_vjp(x, weight, bias, y.clone());
                vec![result(y), result(dx), result(dw), result(db.unwrap())]
            },
            vec![(vec![0, 2], 0.0), (vec![0, 3], 0.0), (vec![2, 3], 0.0), (vec![2], 0.0)],
        ),
        (
            "linear without features",
            |device| {
                let (x, weight) = (of([2, 0], 0.0, device), of([3, 0], 0.0, device));
                let bias = Some(of([3], 1.0, device));
                let plain = linear(x.clone(), weight.clone(), None);
                let y = linear(x.clone(), weight.clone(), bias.clone());
                let (dx, dw, db) = linear_vjp(x, weight, bias, of([2, 3], 1.0, device));
                vec![result(plain), result(y), result(dx), result(dw), result(db.unwrap())]
            },
            vec![
                (vec![2, 3], 0.0),
                (vec![2, 3], 1.0),
                (vec![2, 0], 0.0),
                (vec![3, 0], 0.0),
                (vec![3], 2.0),
            ],
        ),
        (
            "linear without outputs",
            |device| {
                let (x, weight) = (of([2, 3], 0.5, device), of([0, 3], 0.0, device));
                let bias = Some(of([0], 0.0, device));
                let y = linear(x.clone(), weight.clone(), bias.clone());
                let (dx, dw, db) = linear_vjp(x, weight, bias, y.clone());
                vec![result(y), result(dx), result(dw), result(db.unwrap())]
            },
            vec![(vec![2, 0], 0.0), (vec![2, 3], 0.0), (vec![0, 3], 0.0), (vec![0], 0.0)],
        ),
        (
            "cross_entropy",
            |device| {
                let (x, targets) = none(device);
                let losses = cross_entropy_unreduced(x.clone(), targets.clone(), &sum());
                let one = of([1], 1.0, device);
                let mean = &CrossEntropyOptions::default();
                vec![
                    result(cross_entropy(x.clone(), targets.clone())),
                    result(cross_entropy_with(x.clone(), targets.clone(), &sum())),
                    result(cross_entropy_vjp(x.clone(), targets.clone(), mean, one.clone())),
                    result(cross_entropy_vjp(x.clone(), targets.clone(), &sum(), one)),
                    result(losses.clone()),
                    result(cross_entropy_unreduced_vjp(x, targets, &sum(), losses)),
                ]
            },
            vec![
                (vec![1], f64::NAN),
                (vec![1], 0.0),
                (vec![0, 3], 0.0),
                (vec![0, 3], 0.0),
                (vec![0], 0.0),
                (vec![0, 3], 0.0),
            ],
        ),
        (
            "solve",
            |device| {
                let (a, b) = (regular([2, 2], device), of([2, 0], 0.0, device));
                let x = solve(a.clone(), b.clone());
                let (da, db) = solve_vjp(a, b, x.clone());
                [x, da, db].map(result).into()
            },
            vec![(vec![2, 0], 0.0), (vec![2, 2], 0.0), (vec![2, 0], 0.0)],
        ),
        (
            "trace_inverse of no batch",
            |device| {
                let (a, b) = (of([0, 3, 3], 0.0, device), regular([1, 3, 3], device));
                let y = trace_inverse(a.clone(), b.clone());
                let (da, db) = trace_inverse_vjp(a, b, y.clone());
                [y, da, db].map(result).into()
            },
            vec![(vec![0, 3, 3], 0.0), (vec![0, 3, 3], 0.0), (vec![1, 3, 3], 0.0)],
        ),
        (
            "numbers of 0×0 matrices",
            |device| {
                let a = of([2, 0, 0], 0.0, device);
                let (sign, log) = log_abs_det(a.clone());
                [
                    det(a.clone()),
                    sign,
                    log,
                    trace(a.clone()),
                    condition_estimate(a.clone()),
                    det_vjp(a.clone(), of([2, 1, 1], 1.0, device)),
                    log_abs_det_vjp(a.clone(), of([2, 1, 1], 1.0, device)),
                    trace_vjp(a, of([2, 1, 1], 1.0, device)),
                ]
                .map(result)
                .into()
            },
            vec![
                (vec![2, 1, 1], 1.0),
                (vec![2, 1, 1], 1.0),
                (vec![2, 1, 1], 0.0),
                (vec![2, 1, 1], 0.0),
                (vec![2, 1, 1], 0.0),
                (vec![2, 0, 0], 0.0),
                (vec![2, 0, 0], 0.0),
                (vec![2, 0, 0], 0.0),
            ],
        ),
        (
            "matrices of 0×0 matrices",
            |device| {
                let a = of([2, 0, 0], 0.0, device);
                [
                    inverse(a.clone()),
                    inverse_vjp(a.clone(), a.clone()),
                    trace_inverse(a.clone(), a.clone()),
                    solve(a.clone(), a),
                ]
                .map(result)
                .into()
            },
            vec![(vec![2, 0, 0], 0.0); 4],
        ),
        (
            "numbers of no matrices",
            |device| {
                let (a, grad) = (of([0, 2, 2], 0.0, device), of([0, 1, 1], 0.0, device));
                [
                    det(a.clone()),
                    log_abs_det(a.clone()).1,
                    trace(a.clone()),
                    condition_estimate(a.clone()),
                    det_vjp(a.clone(), grad.clone()),
                    log_abs_det_vjp(a.clone(), grad.clone()),
                    trace_vjp(a.clone(), grad),
                    inverse(a),
                ]
                .map(result)
                .into()
            },
            [vec![(vec![0, 1, 1], 0.0); 4], vec![(vec![0, 2, 2], 0.0); 4]].concat(),
        ),
    ]
}

/// The results are what is defined, and neither what is queued before nor what is queued after is lost.
#[test]
fn results_beside_an_operation_on_empty_tensors_are_kept() {
    for device in all() {
        for (name, run, expected) in rows() {
            let others = || {
                [
                    result(of([4], 3.0, &device) * 2.0),
                    result(of([2, 3], 3.0, &device) * 2.0),
                    result(of([2, 3, 3], 3.0, &device) * 2.0),
                ]
            };
            let before = others();
            let found = run(&device);
            let after = others();
            assert_eq!(found.len(), expected.len(), "{name}");
            for (index, (found, (shape, value))) in found.iter().zip(&expected).enumerate() {
                let what = format!("result {index} of {name} on {device:?}");
                assert_eq!(found.shape().to_vec(), *shape, "{what}");
                for number in read(found) {
                    let same = number == *value || (number.is_nan() && value.is_nan());
                    assert!(same, "{what}: {number}, expected {value}");
                }
            }
            for other in before.iter().chain(&after) {
                let count = other.shape().num_elements();
                assert_eq!(read(other), vec![6.0; count], "beside {name} on {device:?}");
            }
        }
    }
}

fn read(var: &Var) -> Vec<f64> {
    let data = var.to_data().convert_dtype(DType::F64);
    data.as_slice::<f64>().expect("it was converted").to_vec()
}

/// Through Burn's graph, too, whose own steps on empty tensors may stand in the queue.
#[test]
fn gradients_of_nothing_are_zeros() {
    for device in autodiff(all()) {
        let weight = of([2, 3], 0.5, &device).require_grad();
        let bias = of([2], 0.5, &device).require_grad();
        let y = linear(of([0, 3], 0.0, &device), weight.clone(), Some(bias.clone()));
        let grads = y.sum().backward();
        assert_eq!(numbers(weight.grad(&grads).unwrap()), [0.0; 6], "{device:?}");
        assert_eq!(numbers(bias.grad(&grads).unwrap()), [0.0; 2], "{device:?}");

        let coefficients = of([4], 0.5, &device).require_grad();
        let y = polynomial(of([0], 0.0, &device), coefficients.clone());
        let grads = y.sum().backward();
        assert_eq!(numbers(coefficients.grad(&grads).unwrap()), [0.0; 4], "{device:?}");

        let x = of([1, 3], 0.5, &device).require_grad();
        let y = multiply_add(of([0, 3], 0.0, &device), x.clone(), of([0, 1], 0.0, &device));
        let grads = y.sum().backward();
        assert_eq!(numbers(x.grad(&grads).unwrap()), [0.0; 3], "{device:?}");

        let a = regular([2, 2], &device).require_grad();
        let y = solve(a.clone(), of([2, 0], 0.0, &device));
        let grads = y.sum().backward();
        assert_eq!(numbers(a.grad(&grads).unwrap()), [0.0; 4], "{device:?}");

        let (logits, targets) = none(&device);
        let logits = logits.require_grad();
        let grads = cross_entropy_with(logits.clone(), targets, &sum()).backward();
        assert_eq!(logits.grad(&grads).unwrap().dims(), [0, 3], "{device:?}");
    }
}
