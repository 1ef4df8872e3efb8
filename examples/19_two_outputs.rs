//! A function with two outputs, x + 1 and 2x, of which only one may be used.
//!
//! Its backward is given a gradient for each output. For an output that the loss does not use that is a
//! tensor of zeros, so that a backward need not ask. (One that would rather save the work implements
//! `backward_partial` and is given `None`.)
//!
//! PyTorch's constructs: a `torch.autograd.Function` whose forward returns a tuple and whose backward
//! takes one gradient for each member; `set_materialize_grads`.
//!
//! `cargo run --example 19_two_outputs -- --backend ndarray`
//!
//! Exit code: 0 if the numbers came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn::tensor::Tensor;
use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{number, vector};

/// The gradient of a function with two outputs.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// x + 1 and 2x, with derivatives 1 and 2.
#[derive(Debug, Clone)]
struct MoreAndTwice;

impl Function<1, 2> for MoreAndTwice {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 2] {
        [&x + 1.0, 2.0 * x]
    }
    fn backward(&self, _: Saved, [g_more, g_twice]: [Var; 2]) -> [Option<Var>; 1] {
        [Some(g_more + 2.0 * g_twice)]
    }
}

fn main() -> ExitCode {
    let (device, _) = Arguments::parse().place.open();
    let device = device.autodiff();
    let mut checks = Checks::new();

    let x = vector(&[1.0], &device).require_grad();
    let mut differentiate = |what: &str, loss: fn(Tensor<1>, Tensor<1>) -> Tensor<1>, expected| {
        let (more, twice): (Tensor<1>, Tensor<1>) = MoreAndTwice.apply_all(x.clone());
        checks.expect("x + 1", number(&more), 2.0, 0.0);
        checks.expect("2x", number(&twice), 2.0, 0.0);
        let gradients = loss(more, twice).sum().backward();
        let found = x.grad(&gradients).map_or(f64::NAN, |grad| number(&grad));
        println!("loss = {what}: x.grad = {found}");
        checks.expect(format!("gradient of {what}"), found, expected, 0.0);
    };
    differentiate("second output", |_, twice| twice, 2.0);
    differentiate("first output", |more, _| more, 1.0);
    differentiate("both", |more, twice| more + twice, 3.0);

    checks.finish("The gradient is 2 for the second output, 3 for both.")
}
