//! Every operation in one table: the name by which a recorded graph and a remote server know it, a call,
//! and the shapes of its arguments.

use burn::tensor::{Int, Tensor};
use burn_autograd::ops::prelude::*;

pub(crate) type Operation = fn(Vec<Tensor<2>>) -> Tensor<2>;

pub(crate) const X: [f64; 6] = [0.5, -1.25, 2.0, -0.75, 1.5, 0.25];

/// Adds 4 to the diagonal, so that no matrix is singular.
pub(crate) fn regular(x: &Tensor<2>) -> Tensor<2> {
    x.clone() + Tensor::eye(2, &x.device()) * 4.0
}

pub(crate) fn targets(x: &Tensor<2>) -> Tensor<1, Int> {
    Tensor::from_ints([2, 0], &x.device())
}

/// Each operation by the name that it is sent under, and the shapes of its arguments.
pub(crate) fn operations() -> Vec<(&'static str, Operation, Vec<[usize; 2]>)> {
    fn one(x: Vec<Tensor<2>>) -> Tensor<2> {
        x.into_iter().next().expect("an argument")
    }
    vec![
        ("legendre_p3", |x| legendre_p3(one(x)), vec![[2, 3]]),
        ("relu", |x| relu(one(x)), vec![[2, 3]]),
        ("exp", |x| exp(one(x)), vec![[2, 3]]),
        (
            "multiply_add",
            |x| multiply_add(x[0].clone(), x[1].clone(), x[2].clone()),
            vec![[2, 1], [2, 3], [1, 3]],
        ),
        (
            "polynomial",
            |x| polynomial(x[0].clone(), x[1].clone().reshape([4])),
            vec![[2, 3], [4, 1]],
        ),
        (
            "sum_squared_error",
            |x| sum_squared_error(x[0].clone(), x[1].clone()).reshape([1, 1]),
            vec![[2, 3], [2, 3]],
        ),
        (
            "linear",
            |x| linear(x[0].clone(), x[1].clone(), Some(x[2].clone().reshape([2]))),
            vec![[2, 3], [2, 3], [2, 1]],
        ),
        ("linear_without_bias", |x| linear(x[0].clone(), x[1].clone(), None), vec![[2, 3], [2, 3]]),
        (
            "cross_entropy",
            |x| cross_entropy(one(x.clone()), targets(&x[0])).reshape([1, 1]),
            vec![[2, 3]],
        ),
        ("lu_solve_with", |x| solve(regular(&x[0]), x[1].clone()), vec![[2, 2], [2, 3]]),
        ("inverse", |x| inverse(regular(&x[0])), vec![[2, 2]]),
        ("det", |x| det(regular(&x[0])), vec![[2, 2]]),
        (
            "log_abs_det",
            |x| {
                let (sign, log) = log_abs_det(regular(&x[0]));
                sign * log
            },
            vec![[2, 2]],
        ),
        ("trace", |x| trace(one(x)), vec![[2, 2]]),
        ("trace_inverse", |x| trace_inverse(x[0].clone(), regular(&x[1])), vec![[2, 2], [2, 2]]),
    ]
}
