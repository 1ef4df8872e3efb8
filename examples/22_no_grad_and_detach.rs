//! Two ways to stop a gradient, at the neuron z = w·x + b, a = z² with w = (1, 2), x = (2, 3), b = 1.
//!
//! `no_grad` says that a computation is not recorded; `detach` that a tensor is a constant from here
//! on. After both, the loss has no gradient, and asking for one is an error that says so. Where only
//! one of two paths is cut, the other one's part of the gradient is left.
//!
//! On Burn's graph the device decides what is recorded: `inner()` is the plain tensor, and what is
//! computed from it is plain, too. That is the counterpart of `no_grad`; `detach()` gives a constant
//! that stays on the autodiff device. For variables of the tape there are `without_recording` and
//! `Var::detach`. One thing to know: of a *leaf* that asks for a gradient, Burn's `detach()` makes
//! another such leaf. `inner()` is the way out.
//!
//! PyTorch's constructs: `torch.no_grad()` and `Tensor.detach()`.
//!
//! `cargo run --example 22_no_grad_and_detach -- --backend ndarray`
//!
//! Exit code: 0 if everything came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn::tensor::Tensor;
use burn_autograd::prelude::*;
use burn_autograd::{ErrorKind, gradients, without_recording};
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{matrix, numbers};

/// Stops gradients.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

fn main() -> ExitCode {
    let (device, precision) = Arguments::parse().place.open();
    let device = device.autodiff();
    let mut checks = Checks::new();
    // Small integers, exact. WGSL may take a square as a power, whose error is that of exp2 and log2: of
    // numbers up to 54 some thirty roundings.
    let tolerance = precision.pick(0.0, 1e-4);

    let x = matrix([[2.0], [3.0]], &device);
    let w = matrix([[1.0, 2.0]], &device).require_grad();
    let b = matrix([[1.0]], &device).require_grad();
    let z = w.clone().matmul(x.clone()) + b;
    checks.expect_that("z is tracked", z.is_tracked());

    println!("on Burn's graph");
    let not_recorded = z.clone().inner().square();
    let detached = z.clone().detach().square();
    for (name, a) in [("inner()", not_recorded), ("detach()", detached)] {
        println!("{name:<8}  a = {:?}, tracked: {}", numbers(&a), a.is_tracked());
        checks.expect_all(format!("{name}: a"), &numbers(&a), &[81.0], tolerance);
        checks.expect_that(format!("{name}: a is not tracked"), !a.is_tracked());
        match gradients(a, w.clone()) {
            Ok(_) => checks.expect_that(format!("{name}: a has no gradient"), false),
            Err(error) => {
                println!("          {error}");
                checks.expect_equal("kind of error", error.kind(), ErrorKind::Derivative);
            }
        }
    }

    // z·z with the second factor constant has half the gradient of z².
    let half = (z.clone() * z.detach()).backward();
    let half = w.grad(&half).map(|grad| numbers(&grad)).unwrap_or_default();
    println!("w.grad of z·z.detach(): {half:?}");
    checks.expect_all("half of the gradient", &half, &[18.0, 27.0], tolerance);

    let (detached, plain) = (w.clone().detach(), w.clone().inner());
    println!("a leaf: detach() is tracked: {}", detached.is_tracked());
    println!("a leaf: inner() is tracked: {}", plain.is_tracked());
    checks.expect_that("a detached leaf is another leaf", detached.is_require_grad());
    checks.expect_that("the inner tensor of a leaf is plain", !plain.is_tracked());

    println!("on the tape");
    let (w, x) = (Var::leaf(plain), Var::from(x.inner()));
    let z = w.matmul(&x) + 1.0;
    checks.expect_that("z is recorded", z.is_recorded());
    let not_recorded = without_recording(|| z.square());
    let detached = z.detach().square();
    for (name, a) in [("without_recording", not_recorded), ("detach()", detached)] {
        let value = numbers(&a.detach().into_tensor::<2>());
        println!("{name:<17}  a = {value:?}, recorded: {}", a.is_recorded());
        checks.expect_all(format!("{name}: a"), &value, &[81.0], tolerance);
        checks.expect_that(format!("{name}: a is not recorded"), !a.is_recorded());
        let refused = Gradient::of([&a]).strict().try_wrt([&w]);
        checks.expect_that(format!("{name}: a has no gradient"), refused.is_err());
    }
    let [half] = Gradient::of([&(&z * z.detach())]).wrt([&w]);
    let half: Tensor<2> = half.detach().into_tensor();
    println!("gradient of z·z.detach(): {:?}", numbers(&half));
    checks.expect_all("half of the gradient", &numbers(&half), &[18.0, 27.0], tolerance);

    checks.finish("Nothing flows through what is not recorded or detached.")
}
