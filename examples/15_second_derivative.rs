//! The second derivative of f(x) = a·x² + b·x + c with a = 1, b = −2, c = 1 at x = 0.
//!
//! A gradient is a function of x like any other, and can be differentiated again, if it was recorded
//! as one. Here that is the rule: a [`Gradient`] is on the tape, the gradient that `grad` returns is on
//! Burn's graph where x is, and only on demand is it a constant. Burn's own `backward()` always gives
//! constants.
//!
//! PyTorch's construct: `torch.autograd.grad(y, x, create_graph=True)`.
//!
//! `cargo run --example 15_second_derivative -- --backend ndarray`
//!
//! Exit code: 0 if the numbers came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn_autograd::ErrorKind;
use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{number, vector};

/// The second derivative of a polynomial.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// a·x² + b·x + c for a = 1, b = −2, c = 1.
fn f(x: &Var) -> Var {
    let (a, b, c) = (1.0, -2.0, 1.0);
    a * x.powi(2) + b * x + c
}

/// The number of a variable of one element.
fn value(var: &Var) -> f64 {
    number(&var.detach().into_tensor::<1>())
}

fn main() -> ExitCode {
    let (device, _) = Arguments::parse().place.open();
    let mut checks = Checks::new();

    // Step by step, on the tape.
    let x = Var::leaf(vector(&[0.0], &device));
    let y = f(&x);
    let [first] = Gradient::of([&y]).wrt([&x]);
    let [second] = Gradient::of([&first]).wrt([&x]);
    println!("first: {}", value(&first));
    println!("second: {}", value(&second));
    checks.expect("first", value(&first), -2.0, 0.0);
    checks.expect("second", value(&second), 2.0, 0.0);

    // create_graph=False: a constant, which knows nothing of x any more.
    let [constant] = Gradient::of([&y]).constant().wrt([&x]);
    match Gradient::of([&constant]).strict().try_wrt([&x]) {
        Ok(_) => checks.expect_that("a constant has no derivative", false),
        Err(error) => {
            println!("of a constant gradient: {error}");
            checks.expect_equal("kind of error", error.kind(), ErrorKind::Derivative);
        }
    }

    // The same as one call.
    let at = vector(&[0.0], &device);
    let second = nth_derivative(|x: Var| f(&x), at, 2);
    println!("nth_derivative(f, x, 2): {}", number(&second));
    checks.expect("nth_derivative", number(&second), 2.0, 0.0);

    // As part of what Burn differentiates: the gradient is a tensor of its graph.
    let x = vector(&[0.0], &device.autodiff()).require_grad();
    let first = grad(|x: Var| f(&x).sum(), x.clone());
    let second = x.grad(&first.backward()).map_or(f64::NAN, |second| number(&second));
    println!("grad(f, x).backward(): {second}");
    checks.expect("grad, then backward", second, 2.0, 0.0);

    checks.finish("The first derivative is -2, the second 2.")
}
