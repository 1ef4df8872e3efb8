//! A function that saves its *output*: eˣ is its own derivative, so that the backward is one product and
//! computes no exponential.
//!
//! PyTorch's counterpart is a `torch.autograd.Function` named Exp with
//! `ctx.save_for_backward(result)`. Here `Context::save` takes inputs, outputs and what lies between
//! them. A saved output is not a constant: a second derivative goes through it.
//!
//! `cargo run --example 09_exp_saves_output -- --backend ndarray`
//!
//! Exit code: 0 if e came out, as value and as derivative of every order; 1 if not; 2 for wrong
//! arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::f64::consts::E;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{numbers, vector};

/// The exponential, whose derivative is its saved output.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// eˣ. Counts how often an exponential is computed.
#[derive(Debug, Clone, Default)]
struct Exp {
    computed: Arc<AtomicUsize>,
}

impl Function<1> for Exp {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        self.computed.fetch_add(1, Ordering::Relaxed);
        let y = x.exp();
        ctx.save([&y]);
        [y]
    }

    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [y] = ctx.tensors();
        [Some(g * y)]
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (device, precision) = arguments.place.open();
    let device = device.autodiff();
    let mut checks = Checks::new();
    // Two units in the last place on a CPU, 3 + 2|x| by WGSL, of numbers below 4.
    let tolerance = precision.pick(1e-15, 1.5e-6);

    let x = vector(&[1.0], &device).require_grad();
    let function = Exp::default();
    let y = function.apply([x.clone()]);
    println!("y      {:?}", numbers(&y));
    let gradient = x.grad(&y.backward()).expect("y depends on x");
    println!("dy/dx  {:?}", numbers(&gradient));
    let computed = function.computed.load(Ordering::Relaxed);
    println!("exponentials computed, forward and backward: {computed}");
    checks.expect_all("y", &numbers(&y), &[E], tolerance);
    checks.expect_all("dy/dx", &numbers(&gradient), &[E], tolerance);
    checks.expect_equal("dy/dx is the output itself", numbers(&gradient), numbers(&y));
    checks.expect_equal("exponentials computed", computed, 1);

    // The library's, which does the same by one kernel each way.
    let x = vector(&[1.0], &device).require_grad();
    let y = exp(x.clone());
    let gradient = x.grad(&y.backward()).expect("y depends on x");
    checks.expect_all("y of the library", &numbers(&y), &[E], tolerance);
    checks.expect_equal("dy/dx of the library", numbers(&gradient), numbers(&y));

    for order in 1..=4 {
        let x = vector(&[1.0], &device);
        let derivative = numbers(&nth_derivative(|x| Exp::default().call([x]), x, order));
        println!("derivative {order}: {derivative:?}");
        checks.expect_all(format!("derivative {order}"), &derivative, &[E], tolerance);
    }
    checks.finish("eˣ is its own derivative, of every order.")
}
