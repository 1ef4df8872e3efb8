//! The operations on Burn's remote server. A package of its own, because Burn's remote crates double what
//! has to be built.

#[path = "../integration/data.rs"]
mod data;
#[path = "../integration/pulls.rs"]
mod pulls;
#[path = "../integration/table.rs"]
mod table;

use approx::{assert_relative_eq, relative_eq};
use burn::backend::Flex;
use burn::server::{RemoteServer, WebSocketTransport};
use burn::tensor::remote::RemoteHost;
use burn::tensor::{DType, Device, Tensor};
use burn_autograd::ops::prelude::*;
use burn_autograd::ops::remote::registry;
use burn_autograd::prelude::*;

use crate::data::{assert_close, numbers, tensor};
use crate::pulls::{
    cross_entropy_unreduced_vjp, cross_entropy_vjp, det_vjp, exp_vjp, inverse_vjp, legendre_p3_vjp,
    linear_vjp, log_abs_det_vjp, multiply_add_vjp, polynomial_vjp, relu_vjp, solve_right_vjp,
    solve_vector_vjp, solve_vjp, sum_squared_error_vjp, trace_inverse_vjp, trace_vjp,
};
use crate::table::{Operation, X, operations, regular, targets};

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

/// The rows and columns of an argument.
type Size = [usize; 2];

/// The gradients that a product gives, from the arguments and the cotangent.
type Product = fn(Vec<Tensor<2>>, Tensor<2>) -> Vec<Tensor<2>>;

const COTANGENT: [f64; 6] = [1.5, -0.5, 0.25, 2.0, -1.0, 0.75];

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
            assert!(
                relative_eq!(*there, *here, epsilon = 1e-5, max_relative = 1e-5),
                "{name}: {there} {here}"
            );
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
                let bound = 1e-5 * here.iter().fold(1.0f64, |most, x| most.max(x.abs()));
                assert_close(name, there, here, bound);
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
    assert_relative_eq!(found[0], expected, epsilon = 0.0, max_relative = 1e-5);
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
