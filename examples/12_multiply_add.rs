//! Multiply-add twice in a row, and the gradient in between: z = w·x + b, then z₂ = w₂·z + b₂.
//!
//! A backward pass keeps the gradients of leaves only. `retain_grad` gives back a tensor to go on
//! with, and a handle that holds its gradient after the pass. It shows what the first multiply-add was
//! given: dz₂/dz = w₂; the rest is its own derivative, x, w and 1, times that.
//!
//! PyTorch's constructs: a `torch.autograd.Function` of three inputs, applied twice, and
//! `Tensor.retain_grad()`. Here the function is the library's operation `multiply_add`.
//!
//! `cargo run --example 12_multiply_add -- --backend ndarray`
//!
//! Exit code: 0 if the numbers came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{numbers, vector};

/// Two multiply-adds in a row, and the gradient in between.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

fn main() -> ExitCode {
    let (device, _) = Arguments::parse().place.open();
    let device = device.autodiff();
    let mut checks = Checks::new();

    let leaf = |number: f64| vector(&[number], &device).require_grad();
    let [x, w, b, w2, b2] = [1.5, 0.75, 0.25, 0.5, -1.0].map(leaf);

    println!("forward");
    let (z, at_z) = retain_grad(multiply_add(w.clone(), x.clone(), b.clone()));
    println!("z  = {:?}", numbers(&z));
    let (z2, at_z2) = retain_grad(multiply_add(w2.clone(), z.clone(), b2.clone()));
    println!("z2 = {:?}", numbers(&z2));
    checks.expect_all("z", &numbers(&z), &[1.375], 0.0);
    checks.expect_all("z2", &numbers(&z2), &[-0.3125], 0.0);
    checks.expect_that("before the pass there is no gradient", at_z.get().is_none());

    println!("backward");
    let gradients = z2.backward();
    // Every number here is a sum of few powers of two, so that f32 holds it, too.
    for (name, retained, expected) in [("z2", &at_z2, 1.0), ("z", &at_z, 0.5)] {
        let found = retained.get().map(|grad| numbers(&grad)).unwrap_or_default();
        println!("{name:<2}.grad = {found:?}");
        checks.expect_all(format!("{name}.grad"), &found, &[expected], 0.0);
    }
    let leaves = [
        ("x", &x, 0.5 * 0.75),
        ("w", &w, 0.5 * 1.5),
        ("b", &b, 0.5),
        ("w2", &w2, 1.375),
        ("b2", &b2, 1.0),
    ];
    for (name, leaf, expected) in leaves {
        let found = leaf.grad(&gradients).map(|grad| numbers(&grad)).unwrap_or_default();
        println!("{name:<2}.grad = {found:?}");
        checks.expect_all(format!("{name}.grad"), &found, &[expected], 0.0);
    }
    checks.expect_that("without retain_grad z has no gradient", z.grad(&gradients).is_none());

    checks.finish("dz2/dz = w2, and the gradients of x, w and b are w2·w, w2·x and w2.")
}
