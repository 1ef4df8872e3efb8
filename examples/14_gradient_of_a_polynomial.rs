//! The gradient of f(x) = a·x² + b·x + c with a = 1, b = −2, c = 1 at four points, and what
//! `backward()` does with a result of several elements.
//!
//! A gradient belongs to a single number. Of four, PyTorch's `backward()` refuses to choose; Burn's
//! sums them without a word, which is right only if the sum was meant. `gradients` is the strict form
//! of Burn's: it refuses, and says why.
//!
//! PyTorch's constructs: `y.sum().backward()`, and the error "grad can be implicitly created only for
//! scalar outputs".
//!
//! `cargo run --example 14_gradient_of_a_polynomial -- --backend ndarray`
//!
//! Exit code: 0 if the numbers came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn::tensor::Tensor;
use burn_autograd::{ErrorKind, gradients};
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{matrix, number, numbers};

/// The gradient of a polynomial at four points.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// a·x² + b·x + c for a = 1, b = −2, c = 1.
fn f(x: &Tensor<2>) -> Tensor<2> {
    let (a, b, c) = (1.0, -2.0, 1.0);
    x.clone().square() * a + x.clone() * b + c
}

fn main() -> ExitCode {
    let (device, precision) = Arguments::parse().place.open();
    let device = device.autodiff();
    let mut checks = Checks::new();
    // Small integers, exact. WGSL may take a square as a power, whose error is that of exp2 and log2: of
    // numbers up to two some eight roundings.
    let tolerance = precision.pick(0.0, 1e-6);

    let x = matrix([[0.0, 0.0], [1.0, 2.0]], &device).require_grad();
    let y = f(&x);
    println!("x: {:?}", numbers(&x));
    println!("y: {:?}", numbers(&y));
    checks.expect_all("y", &numbers(&y), &[1.0, 1.0, 0.0, 1.0], tolerance);

    // The strict form does not touch the graph before it has checked what it was given.
    match gradients(y.clone(), x.clone()) {
        Ok(_) => checks.expect_that("four elements are refused", false),
        Err(error) => {
            println!("gradients(y, x): {error}");
            checks.expect_equal("kind of error", error.kind(), ErrorKind::Shape);
            checks.expect_equal("argument of the error", error.argument(), "loss");
            checks.expect_that("it names the shape", error.got().contains("[2, 2]"));
        }
    }

    let sum = y.sum();
    println!("y.sum(): {}", number(&sum));
    checks.expect("y.sum()", number(&sum), 3.0, tolerance);
    match gradients(sum, x.clone()) {
        Ok(dx) => {
            println!("dy_dx: {:?}", numbers(&dx));
            checks.expect_all("dy_dx", &numbers(&dx), &[-2.0, -2.0, 0.0, 2.0], tolerance);
        }
        Err(error) => checks.expect_that(format!("a sum has a gradient ({error})"), false),
    }

    let silent = x.grad(&f(&x).backward()).map(|grad| numbers(&grad)).unwrap_or_default();
    println!("y.backward() in Burn, without the sum: {silent:?}");
    checks.expect_all("Burn's sum", &silent, &[-2.0, -2.0, 0.0, 2.0], tolerance);

    checks.finish("The gradient of the sum is 2·a·x + b; that of four numbers is refused.")
}
