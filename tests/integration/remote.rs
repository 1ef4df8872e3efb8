//! The operations on Burn's remote server, and as nodes of recorded graphs.

use burn::backend::Flex;
use burn::server::{RemoteServer, WebSocketTransport};
use burn::tensor::remote::RemoteHost;
use burn::tensor::{DType, Device, Int, Tensor};
use burn_autograd::ops::cross_entropy::{cross_entropy_unreduced_vjp, cross_entropy_vjp};
use burn_autograd::ops::det::{det_vjp, log_abs_det_vjp};
use burn_autograd::ops::exp::exp_vjp;
use burn_autograd::ops::inverse::inverse_vjp;
use burn_autograd::ops::legendre_p3::legendre_p3_vjp;
use burn_autograd::ops::linear::linear_vjp;
use burn_autograd::ops::multiply_add::multiply_add_vjp;
use burn_autograd::ops::polynomial::polynomial_vjp;
use burn_autograd::ops::relu::relu_vjp;
use burn_autograd::ops::remote::registry;
use burn_autograd::ops::solve::{solve_right_vjp, solve_vector_vjp, solve_vjp};
use burn_autograd::ops::sum_squared_error::sum_squared_error_vjp;
use burn_autograd::ops::trace::{trace as trace_of, trace_vjp};
use burn_autograd::ops::trace_inverse::trace_inverse_vjp;
use burn_autograd::prelude::*;
use burn_autograd::{Graph, trace};

use crate::devices::{cpu, numbers, tensor};

/// A server of the Flex backend on the loopback interface, and a device on it.
fn served() -> (tokio::runtime::Runtime, Device) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_io()
        .build()
        .expect("a runtime");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    runtime.spawn(
        RemoteServer::new([Device::flex()])
            .with_custom_ops(registry::<Flex>())
            .serve_async(WebSocketTransport::from_listener(listener)),
    );
    let host = RemoteHost::websocket(&format!("ws://{address}"));
    let device = Device::remote_options(&host).init().expect("the server listens");
    (runtime, device)
}

type Operation = fn(Vec<Tensor<2>>) -> Tensor<2>;

/// The rows and columns of an argument.
type Size = [usize; 2];

/// The gradients that a product gives, from the arguments and the cotangent.
type Product = fn(Vec<Tensor<2>>, Tensor<2>) -> Vec<Tensor<2>>;

const X: [f64; 6] = [0.5, -1.25, 2.0, -0.75, 1.5, 0.25];

const COTANGENT: [f64; 6] = [1.5, -0.5, 0.25, 2.0, -1.0, 0.75];

/// Away from singular matrices.
fn regular(x: &Tensor<2>) -> Tensor<2> {
    x.clone() + Tensor::eye(2, &x.device()) * 4.0
}

fn targets(x: &Tensor<2>) -> Tensor<1, Int> {
    Tensor::from_ints([2, 0], &x.device())
}

/// Each operation by the name that it is sent under, and the shapes of its arguments.
fn operations() -> Vec<(&'static str, Operation, Vec<[usize; 2]>)> {
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
        ("trace", |x| trace_of(one(x)), vec![[2, 2]]),
        ("trace_inverse", |x| trace_inverse(x[0].clone(), regular(&x[1])), vec![[2, 2], [2, 2]]),
    ]
}

/// Each product, the shapes of its arguments, and that of the cotangent.
fn products() -> Vec<(&'static str, Product, Vec<Size>, Size)> {
    vec![
        (
            "legendre_p3_vjp",
            |x, grad| vec![legendre_p3_vjp(x[0].clone(), grad)],
            vec![[2, 3]],
            [2, 3],
        ),
        ("relu_vjp", |x, grad| vec![relu_vjp(x[0].clone(), grad)], vec![[2, 3]], [2, 3]),
        ("exp_vjp", |x, grad| vec![exp_vjp(x[0].clone(), grad)], vec![[2, 3]], [2, 3]),
        (
            "multiply_add_vjp",
            |x, grad| {
                let (dw, dx, db) = multiply_add_vjp(x[0].clone(), x[1].clone(), x[2].clone(), grad);
                vec![dw, dx, db]
            },
            vec![[2, 1], [2, 3], [1, 3]],
            [2, 3],
        ),
        (
            "polynomial_vjp",
            |x, grad| {
                let (dx, dc) = polynomial_vjp(x[0].clone(), x[1].clone().reshape([4]), grad);
                vec![dx, dc.reshape([4, 1])]
            },
            vec![[2, 3], [4, 1]],
            [2, 3],
        ),
        (
            "sum_squared_error_vjp",
            |x, grad| {
                let (dp, dt) =
                    sum_squared_error_vjp(x[0].clone(), x[1].clone() * 0.5, grad.reshape([1]));
                vec![dp, dt]
            },
            vec![[2, 3], [2, 3]],
            [1, 1],
        ),
        (
            "linear_vjp",
            |x, grad| {
                let bias = x[2].clone().reshape([2]);
                let (dx, dw, db) = linear_vjp(x[0].clone(), x[1].clone(), Some(bias), grad);
                vec![dx, dw, db.expect("there is a bias").reshape([2, 1])]
            },
            vec![[2, 3], [2, 3], [2, 1]],
            [2, 2],
        ),
        (
            "cross_entropy_vjp",
            |x, grad| {
                let targets = targets(&x[0]);
                let grad = grad.reshape([1]);
                vec![cross_entropy_vjp(x[0].clone(), targets, &Default::default(), grad)]
            },
            vec![[2, 3]],
            [1, 1],
        ),
        (
            "cross_entropy_unreduced_vjp",
            |x, grad| {
                let targets = targets(&x[0]);
                let grad = grad.reshape([2]);
                vec![cross_entropy_unreduced_vjp(x[0].clone(), targets, &Default::default(), grad)]
            },
            vec![[2, 3]],
            [2, 1],
        ),
        (
            "solve_vjp",
            |x, grad| {
                let (da, db) = solve_vjp(regular(&x[0]), x[1].clone(), grad);
                vec![da, db]
            },
            vec![[2, 2], [2, 3]],
            [2, 3],
        ),
        (
            "solve_right_vjp",
            |x, grad| {
                let (da, db) = solve_right_vjp(regular(&x[0]), x[1].clone(), grad);
                vec![da, db]
            },
            vec![[2, 2], [3, 2]],
            [3, 2],
        ),
        (
            "solve_vector_vjp",
            |x, grad| {
                let b = x[1].clone().reshape([2]);
                let (da, db) = solve_vector_vjp(regular(&x[0]), b, grad.reshape([2]));
                vec![da, db.reshape([2, 1])]
            },
            vec![[2, 2], [2, 1]],
            [2, 1],
        ),
        ("inverse_vjp", |x, grad| vec![inverse_vjp(regular(&x[0]), grad)], vec![[2, 2]], [2, 2]),
        ("det_vjp", |x, grad| vec![det_vjp(regular(&x[0]), grad)], vec![[2, 2]], [1, 1]),
        (
            "log_abs_det_vjp",
            |x, grad| vec![log_abs_det_vjp(regular(&x[0]), grad)],
            vec![[2, 2]],
            [1, 1],
        ),
        ("trace_vjp", |x, grad| vec![trace_vjp(x[0].clone(), grad)], vec![[2, 2]], [1, 1]),
        (
            "trace_inverse_vjp",
            |x, grad| {
                let (da, db) = trace_inverse_vjp(x[0].clone(), regular(&x[1]), grad);
                vec![da, db]
            },
            vec![[2, 2], [2, 2]],
            [2, 2],
        ),
    ]
}

/// Value and gradients of ⟨cotangent, operation⟩ on a device.
fn evaluate(operation: Operation, shapes: &[[usize; 2]], device: &Device) -> Vec<Vec<f64>> {
    let device = device.clone().autodiff();
    let leaves: Vec<Tensor<2>> = shapes
        .iter()
        .map(|shape| {
            let data = &X[..shape[0] * shape[1]];
            tensor(*shape, data, &device, DType::F32).require_grad()
        })
        .collect();
    let output = operation(leaves.clone());
    let shape = output.dims();
    let cotangent = tensor(shape, &COTANGENT[..shape[0] * shape[1]], &device, DType::F32);
    let grads = (output.clone() * cotangent).sum().backward();
    let gradients = leaves.iter().map(|leaf| numbers(leaf.grad(&grads).expect("it is tracked")));
    std::iter::once(numbers(output)).chain(gradients).collect()
}

/// Where the client composes an operation of Burn's own, which round otherwise than the kernels here,
/// some ten roundings of numbers below 10 are between the two.
#[test]
fn a_remote_server_runs_the_operations_and_their_gradients() {
    let (runtime, remote) = served();
    for (name, operation, shapes) in operations() {
        let here = evaluate(operation, &shapes, &Device::flex());
        let there = evaluate(operation, &shapes, &remote);
        assert_eq!(there.len(), here.len());
        for (there, here) in there.iter().flatten().zip(here.iter().flatten()) {
            assert!((there - here).abs() <= 1e-5 * here.abs().max(1.0), "{name}: {there} {here}");
        }
    }
    runtime.shutdown_background();
}

/// What a product gives on a device: the gradients; and, where they are tracked, the gradients of their
/// sum with respect to the arguments and the cotangent, empty for those that it does not depend on.
fn evaluate_product(
    product: Product,
    shapes: &[Size],
    cotangent: Size,
    (device, tracked): (&Device, bool),
) -> Vec<Vec<f64>> {
    let device = if tracked { device.clone().autodiff() } else { device.clone() };
    let leaf = |shape: Size, data: &[f64]| -> Tensor<2> {
        let leaf = tensor(shape, &data[..shape[0] * shape[1]], &device, DType::F32);
        if tracked { leaf.require_grad() } else { leaf }
    };
    let mut leaves: Vec<Tensor<2>> = shapes.iter().map(|shape| leaf(*shape, &X)).collect();
    let cotangent = leaf(cotangent, &COTANGENT);
    let gradients = product(leaves.clone(), cotangent.clone());
    assert_eq!(gradients.len(), leaves.len());
    let mut found: Vec<Vec<f64>> = gradients.iter().cloned().map(numbers).collect();
    if tracked {
        leaves.push(cotangent);
        let sum = gradients.into_iter().map(|gradient| gradient.sum()).reduce(|a, b| a + b);
        let grads = sum.expect("there is an argument").backward();
        let second = |leaf: &Tensor<2>| leaf.grad(&grads).map(numbers).unwrap_or_default();
        found.extend(leaves.iter().map(second));
    }
    found
}

/// The gradients that can be differentiated again, on a plain device and on its autodiff device; with
/// the same differences in rounding, relative to the largest number of a tensor.
#[test]
fn a_remote_server_runs_the_products_and_their_gradients() {
    let (runtime, remote) = served();
    for (name, product, shapes, cotangent) in products() {
        for tracked in [false, true] {
            let run =
                |device: &Device| evaluate_product(product, &shapes, cotangent, (device, tracked));
            let (here, there) = (run(&Device::flex()), run(&remote));
            assert_eq!(there.len(), here.len(), "{name}");
            for (there, here) in there.iter().zip(&here) {
                assert_eq!(there.len(), here.len(), "{name}");
                let bound = 1e-5 * here.iter().fold(1.0f64, |most, x| most.max(x.abs()));
                for (there, here) in there.iter().zip(here) {
                    assert!((there - here).abs() <= bound, "{name}: {there} {here}");
                }
            }
        }
    }
    runtime.shutdown_background();
}

/// [[4.5, −1.25], [2, 3.25]]: the columns' sums of magnitudes are 6.5 and 4.5, those of the inverse,
/// whose determinant is 17.125, 5.25⁄17.125 and 5.75⁄17.125.
#[test]
fn a_remote_server_estimates_a_condition_number() {
    let (runtime, remote) = served();
    let x: Tensor<2> = tensor([2, 2], &X[..4], &remote, DType::F32);
    let found = numbers(condition_estimate(regular(&x)));
    let expected = 6.5 * 5.75 / 17.125;
    assert_eq!(found.len(), 1);
    assert!((found[0] - expected).abs() <= 1e-5 * expected, "{found:?} {expected}");
    runtime.shutdown_background();
}

/// Which Burn, with fusion, sends as a permutation of integers.
#[test]
fn a_remote_server_permutes() {
    let (runtime, remote) = served();
    let x: Tensor<3> = tensor([2, 1, 3], &X, &remote, DType::F32);
    let turned = Var::from(&x).permute(&[2, 0, 1]);
    assert_eq!(turned.shape().to_vec(), [3, 2, 1]);
    let expected = [X[0], X[3], X[1], X[4], X[2], X[5]];
    assert_eq!(numbers(turned.into_tensor::<3>()), expected);
    runtime.shutdown_background();
}

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
        let code = trace(|x: Tensor<1>| legendre_p3(x.clone()) * exp(x), x.clone()).unwrap();
        let second = nth_derivative(|x: Var| code.call(x), x, 2);
        for (found, x) in numbers(second).into_iter().zip([0.5f64, -1.25, 2.0]) {
            let p3 = 0.5 * (5.0 * x.powi(3) - 3.0 * x);
            let expected = (15.0 * x + 2.0 * (7.5 * x * x - 1.5) + p3) * x.exp();
            assert!((found - expected).abs() <= 1e-13 * expected.abs(), "{found} {expected}");
        }
    }
}

/// The kernels of backwards have no counterpart on the tape: they are refused by name, not computed as
/// constants.
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
            let code = trace(function, x.clone());
            let error = code.expect_err("there is no counterpart").to_string();
            assert!(error.contains(name), "{name}: {error}");
        }
    }
}
