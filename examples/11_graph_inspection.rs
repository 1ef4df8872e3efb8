//! What is known of a computation's graph: a = w + x, b = w + 1, y = a·b at w = 1 and x = 2. In the
//! lesson x asks for a gradient, as w does; here it does not, so that an untracked tensor is among them.
//!
//! Three questions, each asked where it has an answer:
//!
//! - Which tensors are leaves, and which are tracked? Burn's tensors say so themselves.
//! - Which operation made a tensor? Burn's graph has no names; a recorded [`Graph`] has.
//! - And behind that, which operations made *its* operands? On the tape, where derivatives of any
//!   order are taken, a variable knows both.
//!
//! PyTorch's constructs: `is_leaf`, `requires_grad`, `grad`, `grad_fn` and `next_functions`.
//!
//! `cargo run --example 11_graph_inspection -- --backend ndarray`
//!
//! Exit code: 0 if everything came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::process::ExitCode;

use burn::tensor::Tensor;
use burn_autograd::Graph;
use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{numbers, vector};

/// Inspects the graph of a small computation.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// a = w + x, b = w + 1 and y = a·b.
fn compute([w, x]: [Tensor<1>; 2]) -> [Tensor<1>; 3] {
    let a = w.clone() + x;
    let b = w + 1.0;
    let y = a.clone() * b.clone();
    [a, b, y]
}

/// PyTorch's definition: made by no operation that is differentiated.
fn is_leaf(tensor: &Tensor<1>) -> bool {
    tensor.is_require_grad() || !tensor.is_tracked()
}

/// The name of the operation that made a tensor of a graph.
fn maker(graph: &Graph, tensor: usize) -> Option<&str> {
    let operation = graph.operations().iter().find(|made| made.outputs().contains(&tensor))?;
    Some(operation.name())
}

fn main() -> ExitCode {
    let (device, _) = Arguments::parse().place.open();
    let device = device.autodiff();
    let mut checks = Checks::new();

    let w = vector(&[1.0], &device).require_grad();
    let x = vector(&[2.0], &device);
    let [a, b, y] = compute([w.clone(), x.clone()]);
    let gradients = y.backward();

    println!("   value  leaf   tracked  grad");
    let mut gradients_of = Vec::new();
    for (name, tensor) in [("w", &w), ("x", &x), ("a", &a), ("b", &b), ("y", &y)] {
        let (value, leaf, tracked) = (numbers(tensor), is_leaf(tensor), tensor.is_tracked());
        let grad = tensor.grad(&gradients).map(|grad| numbers(&grad));
        println!("{name}  {:<5}  {leaf:<5}  {tracked:<7}  {grad:?}", format!("{value:?}"));
        gradients_of.push(grad);
    }
    let leaves = [&w, &x, &a, &b, &y].map(is_leaf);
    let tracked = [&w, &x, &a, &b, &y].map(Tensor::is_tracked);
    checks.expect_equal("is_leaf", leaves, [true, true, false, false, false]);
    checks.expect_equal("is_tracked", tracked, [true, false, true, true, true]);
    // 5 = a + b. What is no leaf keeps no gradient, and nothing asked for that of x.
    checks.expect_equal("grad", gradients_of, [Some(vec![5.0]), None, None, None, None]);
    checks.expect_all("y", &numbers(&y), &[6.0], 0.0);

    println!("\nthe recorded graph:");
    let graph = match Graph::record(compute, [w.clone(), x.clone()]) {
        Ok(graph) => graph,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    print!("{graph}");
    let places: Vec<usize> = graph.inputs().iter().chain(graph.outputs()).copied().collect();
    let made_by: Vec<_> = places.iter().map(|place| maker(&graph, *place)).collect();
    println!("grad_fn of w, x, a, b, y: {made_by:?}");
    let expected = [None, None, Some("add"), Some("add_scalar"), Some("mul")];
    checks.expect_equal("the operation that made each", made_by, expected);
    let tensors = || places.iter().map(|place| &graph.tensors()[*place]);
    let recorded: Vec<_> = tensors().map(|tensor| tensor.is_leaf()).collect();
    checks.expect_equal("is_leaf in the recorded graph", recorded, leaves);
    let recorded: Vec<_> = tensors().map(|tensor| tensor.is_tracked()).collect();
    checks.expect_equal("is_tracked in the recorded graph", recorded, tracked);

    println!("\nthe tape:");
    let (w, x) = (Var::leaf(w.inner()), Var::from(x.inner()));
    let (a, b) = (&w + &x, &w + 1.0);
    let y = &a * &b;
    for (name, var) in [("w", &w), ("x", &x), ("a", &a), ("b", &b), ("y", &y)] {
        println!("{name}  grad_fn {:?}, next_functions {:?}", var.operation(), var.operands());
    }
    let operations = [&w, &x, &a, &b, &y].map(Var::operation);
    let expected = [Some("leaf"), None, Some("add"), Some("add_scalar"), Some("mul")];
    checks.expect_equal("operation", operations, expected);
    checks.expect_equal("operands of a", a.operands(), [Some("leaf"), None]);
    checks.expect_equal("operands of y", y.operands(), [Some("add"), Some("add_scalar")]);

    checks.finish("This is the graph, and dy/dw = 5.")
}
