//! A logistic neuron, and which gradient a backward is given.
//!
//! The neuron predicts p = σ(X·w + b) and is judged by the binary cross entropy, averaged over the
//! samples. Sigmoid and loss are custom functions here, so that one sees the chain rule at work: the
//! backward of the loss is given 1, and the backward of the sigmoid is given what that returned, the
//! gradient of the loss with respect to the predictions. It is never the gradient of the function's
//! own inputs.
//!
//! PyTorch's constructs: the argument `grad_output` of a `torch.autograd.Function`, shown with
//! `torch.nn.BCELoss`; `retain_grad()` to read it, `loss.backward()`, `weights.grad`.
//!
//! Two mistakes of the published version are put right here. It hands X·w + b to the cross entropy
//! without a sigmoid, though these are no probabilities; and it gives the derivative of ½(t − p)² with
//! respect to p as t − p, whose sign is wrong. Both are shown.
//!
//! `cargo run --example 10_logistic_neuron -- --backend ndarray`
//!
//! Exit code: 0 if the numbers came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{matrix, number, numbers, vector};

/// The gradients of a logistic neuron.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// p = σ(z), with derivative p·(1 − p).
#[derive(Debug, Clone)]
struct Sigmoid;

impl Function<1> for Sigmoid {
    fn forward(&self, ctx: &mut Context, [z]: [Var; 1]) -> [Var; 1] {
        let p = z.sigmoid();
        ctx.save([&p]);
        [p]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [p] = ctx.tensors();
        [Some(g * (&p * (1.0 - &p)))]
    }
}

/// −(t·ln p + (1 − t)·ln(1 − p)), averaged over the n samples, with derivative
/// (p − t) ⁄ (p·(1 − p)·n). The targets t have no gradient.
#[derive(Debug, Clone)]
struct BinaryCrossEntropy;

impl Function<2> for BinaryCrossEntropy {
    fn forward(&self, ctx: &mut Context, [p, t]: [Var; 2]) -> [Var; 1] {
        ctx.save([&p, &t]);
        let likelihood = &t * p.log() + (1.0 - &t) * (1.0 - &p).log();
        [-likelihood.mean()]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 2] {
        let [p, t] = ctx.tensors();
        let samples = p.shape().num_elements() as f64;
        [Some(g * (&p - t) / (&p * (1.0 - &p)) / samples), None]
    }
}

fn main() -> ExitCode {
    let (device, precision) = Arguments::parse().place.open();
    let device = device.autodiff();
    let mut checks = Checks::new();
    // Half a unit of the tenth digit, to which the numbers are given. In f32 some thirty roundings of numbers
    // up to one, as exp and ln on wgpu may take.
    let tolerance = precision.pick(5e-11, 2e-6);

    // Two samples of two features, and to which class each belongs.
    let x = matrix([[1.0, 2.0], [3.0, 4.0]], &device);
    let t = vector(&[1.0, 0.0], &device);
    let w = matrix([[0.1], [-0.2]], &device).require_grad();
    let b = vector(&[0.3], &device).require_grad();

    let z = x.matmul(w.clone()).reshape([2]) + b.clone();
    let (p, at_p) = retain_grad(Sigmoid.apply([z.clone()]));
    let loss = BinaryCrossEntropy.apply([p.clone(), t.clone()]);
    let gradients = loss.backward();

    println!("predictions: {:?}", numbers(&p));
    println!("loss: {}", number(&loss));
    let arrived = at_p.get().map(|grad| numbers(&grad)).unwrap_or_default();
    println!("grad_output of the sigmoid, d loss / d p: {arrived:?}");
    let dw = w.grad(&gradients).map(|grad| numbers(&grad)).unwrap_or_default();
    let db = b.grad(&gradients).map(|grad| numbers(&grad)).unwrap_or_default();
    println!("weights.grad: {dw:?}");
    println!("bias.grad: {db:?}");
    checks.expect_all("predictions", &numbers(&p), &[0.5, 0.4501660027], tolerance);
    checks.expect("loss", number(&loss), 0.6456430250, tolerance);
    checks.expect_all("d loss / d p", &arrived, &[-1.0, 0.9093653765], tolerance);
    checks.expect_all("weights.grad", &dw, &[0.4252490040, 0.4003320054], tolerance);
    checks.expect_all("bias.grad", &db, &[-0.0249169987], tolerance);

    // The loss takes the logarithm of p and of 1 − p.
    println!("without the sigmoid: {:?} are not between 0 and 1", numbers(&z));
    checks.expect_all("X·w + b", &numbers(&z), &[0.0, -0.2], tolerance);

    // If a prediction is too low, a higher one has to lower the loss: the derivative is negative.
    let (p, at_p) = retain_grad(p.detach().require_grad());
    let _ = ((t - p).square() * 0.5).sum().backward();
    let arrived = at_p.get().map(|grad| numbers(&grad)).unwrap_or_default();
    println!("d ½(t − p)² / d p = p − t: {arrived:?}");
    checks.expect_all("p − t", &arrived, &[-0.5, 0.4501660027], tolerance);

    checks.finish("These are the gradients of the neuron.")
}
