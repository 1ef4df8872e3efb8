//! Systems of equations from the right and of vectors: their products, as methods, and what is refused.

use burn::tensor::{DType, Tensor};
use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;

use crate::devices::{assert_close, autodiff, cpu, message, numbers, tensor};
use crate::pulls::{solve_right_vjp, solve_vector_vjp};

/// Diagonally dominant, so that ‖A⁻¹‖ is below 1.
const A: [f64; 9] = [4.0, -1.0, 0.5, 0.25, 3.5, -0.75, -1.5, 1.0, 5.0];

const B: [f64; 12] = [1.0, -2.0, 0.5, 3.0, 0.25, -1.5, 2.0, 1.25, -0.5, 0.75, -1.0, 1.75];

const G: [f64; 12] = [0.5, 1.5, -1.0, 2.0, -0.25, 1.0, -2.0, 0.75, 1.25, -1.75, 0.5, -0.5];

/// Of numbers below 10, from sums of at most 6 products of them.
const BOUND: f64 = 1e-13;

/// The products are the gradients that Burn's graph gives, also of a matrix that is broadcast.
#[test]
fn products_are_the_gradients_of_the_solutions() {
    for device in autodiff(cpu()) {
        let a: Tensor<3> = tensor([1, 3, 3], &A, &device, DType::F64).require_grad();
        let b: Tensor<3> = tensor([2, 2, 3], &B, &device, DType::F64).require_grad();
        let g: Tensor<3> = tensor([2, 2, 3], &G, &device, DType::F64);
        let grads = (solve_right(a.clone(), b.clone()) * g.clone()).sum().backward();
        let (da, db) = solve_right_vjp(a.clone(), b.clone(), g);
        assert_eq!((da.dims(), db.dims()), ([1, 3, 3], [2, 2, 3]));
        assert_close("da", &numbers(da), &numbers(a.grad(&grads).unwrap()), BOUND);
        assert_close("db", &numbers(db), &numbers(b.grad(&grads).unwrap()), BOUND);

        let b: Tensor<2> = tensor([2, 3], &B[..6], &device, DType::F64).require_grad();
        let g: Tensor<2> = tensor([2, 3], &G[..6], &device, DType::F64);
        let grads = (solve_vector(a.clone(), b.clone()) * g.clone()).sum().backward();
        let (da, db) = solve_vector_vjp(a.clone(), b.clone(), g);
        assert_eq!((da.dims(), db.dims()), ([1, 3, 3], [2, 3]));
        assert_close("da", &numbers(da), &numbers(a.grad(&grads).unwrap()), BOUND);
        assert_close("db", &numbers(db), &numbers(b.grad(&grads).unwrap()), BOUND);
    }
}

/// As a method A·x is b again, and the tape has the gradients of the product; x·A = b is a system with
/// the transpose.
#[test]
fn vectors_as_methods() {
    for device in cpu() {
        let a: Tensor<2> = tensor([3, 3], &A, &device, DType::F64);
        let b: Tensor<1> = tensor([3], &B[..3], &device, DType::F64);
        let g: Tensor<1> = tensor([3], &G[..3], &device, DType::F64);
        let x = numbers(a.clone().solve_vector(b.clone()));
        let left: Vec<f64> =
            A.chunks(3).map(|row| row.iter().zip(&x).map(|(a, x)| a * x).sum()).collect();
        assert_close("A·x", &left, &B[..3], BOUND);
        let x = numbers(a.clone().transpose().solve_vector(b.clone()));
        let right: Vec<f64> =
            (0..3).map(|column| (0..3).map(|row| x[row] * A[3 * row + column]).sum()).collect();
        assert_close("x·A", &right, &B[..3], BOUND);

        let (da, db) = solve_vector_vjp(a.clone(), b.clone(), g.clone());
        let g = Var::from(g);
        let solution = |a: Var, b: Var| (a.solve_vector(b) * &g).sum();
        let taped = grad(|a: Var| solution(a, Var::from(&b)), a.clone());
        assert_close("da on the tape", &numbers(taped), &numbers(da), BOUND);
        let taped = grad(|b: Var| solution(Var::from(&a), b), b.clone());
        assert_close("db on the tape", &numbers(taped), &numbers(db), BOUND);
    }
}

#[test]
fn arguments_are_refused_by_the_name_of_the_operation() {
    for device in cpu() {
        let square = Tensor::<2>::eye(3, &device);
        let rows = Tensor::<2>::ones([2, 3], &device);
        let two = Tensor::<1>::ones([2], &device);
        let text = message(|| drop(solve_right_vjp(square.clone(), rows.clone(), square.clone())));
        let expected =
            "vjp: argument `cotangents[0]`: expected the output's shape [2, 3], got [3, 3]";
        assert_eq!(text, expected);
        let text = message(|| {
            let columns = rows.clone().transpose();
            drop(solve_right_vjp(square.clone(), columns.clone(), columns));
        });
        assert!(text.starts_with("solve_right: argument `b`: expected [.., k, 3]"), "{text}");
        let text = message(|| drop(solve_vector_vjp(square.clone(), two.clone(), two.clone())));
        assert!(text.starts_with("solve_vector: argument `b`: expected [.., 3, k]"), "{text}");
        let text = message(|| drop(solve_vector_vjp(square.clone(), rows.clone(), rows.clone())));
        let expected =
            "argument `b`: expected one dimension less than the 2 of `a`, got 2 dimensions";
        assert_eq!(text, format!("solve_vector: {expected}"));
        let text = message(|| drop(Var::from(&square).solve_vector(Var::from(&rows))));
        assert_eq!(text, format!("solve_vector: {expected}"));
    }
}
