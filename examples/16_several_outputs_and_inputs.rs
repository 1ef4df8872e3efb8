//! Gradients of several outputs with respect to several inputs: y₁ = x₁·x₂ and y₂ = x₁ + x₂ at
//! (1, 2).
//!
//! Several outputs are differentiated as their sum. One recorded computation answers as many
//! questions as one likes; nothing has to be retained, because asking uses nothing up. Two forms of
//! the same: [`Gradient`] between variables of the tape, and `vjp`, which runs a function once and
//! gives a pullback for tensors. (Burn's own graph serves one `backward()`.)
//!
//! PyTorch's constructs: `torch.autograd.grad(outputs=[y1, y2], inputs=[x1, x2], retain_graph=True)`.
//!
//! `cargo run --example 16_several_outputs_and_inputs -- --backend ndarray`
//!
//! Exit code: 0 if the numbers came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::process::ExitCode;

use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{number, vector};

/// Gradients of several outputs with respect to several inputs.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// The number of a variable of one element.
fn value(var: &Var) -> f64 {
    number(&var.detach().into_tensor::<1>())
}

fn main() -> ExitCode {
    let (device, _) = Arguments::parse().place.open();
    let mut checks = Checks::new();

    let [x1, x2] = [1.0, 2.0].map(|number| Var::leaf(vector(&[number], &device)));
    let (y1, y2) = (&x1 * &x2, &x1 + &x2);

    let of_y1 = Gradient::of([&y1]).wrt([&x1, &x2]).each_ref().map(value);
    println!("y1 by x1, x2: {of_y1:?}");
    checks.expect_all("gradient of y1", &of_y1, &[2.0, 1.0], 0.0);

    // In the middle of the computation, too: y1 depends on itself, and not on y2.
    println!("y1 and y2 were made by {:?} and {:?}", y1.operation(), y2.operation());
    match Gradient::of([&y1]).wrt_optional([&y1, &y2]) {
        Ok(found) => {
            let found = found.map(|gradient| gradient.as_ref().map(value));
            println!("y1 by y1, y2: {found:?}");
            checks.expect_equal("gradient of y1 by y1 and y2", found, [Some(1.0), None]);
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }

    let of_both = Gradient::of([&y1, &y2]).wrt([&x1, &x2]).each_ref().map(value);
    println!("y1 + y2 by x1, x2: {of_both:?}");
    checks.expect_all("gradient of y1 and y2", &of_both, &[3.0, 2.0], 0.0);

    // On tensors: the function runs once, its pullback takes one weight for each output.
    let at = [1.0, 2.0].map(|number| vector(&[number], &device));
    let (_, pullback) = vjp(|[x1, x2]: [Var; 2]| [&x1 * &x2, x1 + x2], at);
    for (weights, expected) in [([1.0, 0.0], [2.0, 1.0]), ([1.0, 1.0], [3.0, 2.0])] {
        let found = pullback.apply(weights.map(|weight| vector(&[weight], &device)));
        let found = found.each_ref().map(number);
        println!("pullback of {weights:?}: {found:?}");
        checks.expect_all(format!("pullback of {weights:?}"), &found, &expected, 0.0);
    }

    checks.finish("The gradient of y1 is (2, 1), that of both (3, 2).")
}
