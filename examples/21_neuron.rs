//! A neuron, z = w·x + b and a = z², at w = (1, 2), x = (2, 3) and b = 1: which tensors have a gradient
//! after the backward pass, and which have none.
//!
//! The leaves that ask for one have a gradient: w and b. The input x does not ask, so that none is
//! computed. For z one is computed, on the way to w and b, and then dropped, unless `retain_grad` keeps
//! it.
//!
//! PyTorch's constructs: `requires_grad=True`, `a.backward()`, `w.grad`, and `None` for what has no
//! gradient. There a tensor holds its gradient; here the backward pass returns them all.
//!
//! `cargo run --example 21_neuron -- --backend ndarray`
//!
//! Exit code: 0 if the numbers came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{matrix, number, numbers};

/// The gradients of a neuron.
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

    let z = w.clone().matmul(x.clone()) + b.clone();
    let a = z.clone().square();
    println!("z = {}, a = {}", number(&z), number(&a));
    checks.expect("z", number(&z), 9.0, tolerance);
    checks.expect("a", number(&a), 81.0, tolerance);

    let gradients = a.backward();
    let found = [&w, &b, &z, &x].map(|of| of.grad(&gradients).map(|grad| numbers(&grad)));
    for (name, grad) in ["w", "b", "z", "x"].iter().zip(&found) {
        println!("{name}.grad: {grad:?}");
    }
    let [dw, db, dz, dx] = found;
    checks.expect_all("w.grad", &dw.unwrap_or_default(), &[36.0, 54.0], tolerance);
    checks.expect_all("b.grad", &db.unwrap_or_default(), &[18.0], tolerance);
    checks.expect_equal("z.grad", dz, None);
    checks.expect_equal("x.grad", dx, None);

    let (z, retained) = retain_grad(w.matmul(x) + b);
    let _ = z.square().backward();
    let dz = retained.get().map(|grad| numbers(&grad)).unwrap_or_default();
    println!("z.grad, retained: {dz:?}");
    checks.expect_all("z.grad, retained", &dz, &[18.0], tolerance);

    checks.finish("The gradients are (36, 54) and 18, none for x, and one for z if it is retained.")
}
