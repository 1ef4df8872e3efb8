//! Captured graphs name our operations.

use approx::assert_relative_eq;
use burn::tensor::{DType, Int, Tensor};
use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;
use burn_autograd::{Graph, capture};

use crate::devices::{cpu, numbers, tensor};
use crate::pulls::{cross_entropy_vjp, exp_vjp, solve_vjp};
use crate::table::{X, operations, regular};

#[test]
fn a_recorded_graph_names_the_operations() {
    for device in cpu() {
        for (name, operation, shapes) in operations() {
            let arguments: Vec<Tensor<2>> = shapes
                .iter()
                .map(|shape| tensor(*shape, &X[..shape[0] * shape[1]], &device, DType::F32))
                .collect();
            let rest = arguments[1..].to_vec();
            let graph = Graph::record(
                |x: Tensor<2>| {
                    let rest = rest.iter().map(|tensor| tensor.clone().to_device(&x.device()));
                    operation(std::iter::once(x.clone()).chain(rest).collect())
                },
                arguments[0].clone(),
            )
            .unwrap();
            let names: Vec<_> = graph.operations().iter().map(|node| node.name()).collect();
            let expected = format!("burn_autograd::{name}");
            assert!(names.contains(&expected.as_str()), "{name}: {names:?}");
        }
    }
}

/// The product of `solve` is made of a factorisation, the solution and another with the transpose.
#[test]
fn a_recorded_graph_names_what_a_product_is_made_of() {
    for device in cpu() {
        let x: Tensor<2> = tensor([2, 2], &X[..4], &device, DType::F32);
        let product = |x: Tensor<2>| solve_vjp(regular(&x), x.clone(), x).0;
        let graph = Graph::record(product, x).unwrap();
        let count =
            |name: &str| graph.operations().iter().filter(|node| node.name() == name).count();
        assert_eq!(count("burn_autograd::lu_factor"), 1);
        assert_eq!(count("burn_autograd::lu_solve_with"), 2);
    }
}

/// Through the rule's own backward, to any order: (P₃(x)·eˣ)″ = (P₃″ + 2P₃′ + P₃)·eˣ.
#[test]
fn a_trace_differentiates_the_operations() {
    for device in cpu() {
        let x: Tensor<1> = tensor([3], &[0.5, -1.25, 2.0], &device, DType::F64);
        let code = capture(|x: Tensor<1>| legendre_p3(x.clone()) * exp(x), x.clone()).unwrap();
        let second = nth_derivative(|x: Var| code.call(x), x, 2);
        for (found, x) in numbers(second).into_iter().zip([0.5f64, -1.25, 2.0]) {
            let p3 = 0.5 * (5.0 * x.powi(3) - 3.0 * x);
            let expected = (15.0 * x + 2.0 * (7.5 * x * x - 1.5) + p3) * x.exp();
            assert_relative_eq!(found, expected, epsilon = 0.0, max_relative = 1e-13);
        }
    }
}

/// The kernels of backwards have no counterpart on the tape: capture returns an error that names
/// them, and does not compute them as constants.
#[test]
fn a_trace_refuses_what_it_cannot_differentiate() {
    for device in cpu() {
        let x: Tensor<2> = tensor([2, 2], &X[..4], &device, DType::F32);
        type F = fn(Tensor<2>) -> Tensor<2>;
        let refused: [(&str, F); 2] = [
            ("exp_backward", |x| exp_vjp(x.clone(), x)),
            ("cross_entropy_rows", |x| {
                let targets = Tensor::<1, Int>::from_ints([1, 0], &x.device());
                let grad = x.clone().sum_dim(0).sum_dim(1).reshape([1]);
                cross_entropy_vjp(x, targets, &Default::default(), grad)
            }),
        ];
        for (name, function) in refused {
            let code = capture(function, x.clone());
            let error = code.expect_err("there is no counterpart").to_string();
            assert!(error.contains(name), "{name}: {error}");
        }
    }
}
