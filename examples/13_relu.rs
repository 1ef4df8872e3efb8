//! A ReLU of one's own, max(x, 0), and its gradient at the kink.
//!
//! The backward chooses by a mask: the gradient passes where x > 0, and is 0 elsewhere. At x = 0 the
//! derivative does not exist; every number from 0 to 1 is a subgradient. PyTorch, Burn and this
//! library give 0 there. The published version of this example does not: it tests x < 0, so that its
//! gradient at 0 is 1. Both are shown.
//!
//! PyTorch's constructs: `torch.where`, a `torch.autograd.Function` named SelfDefinedRelu, and an
//! `nn.Module` around it. Here these are `mask_where`, the operation `relu` and the module `Relu`.
//!
//! `cargo run --example 13_relu -- --backend ndarray`
//!
//! Exit code: 0 if the numbers came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn::tensor::{Tensor, activation};
use burn_autograd::ops::prelude::*;
use burn_autograd::ops::relu::Relu;
use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{matrix, numbers, vector};

/// A ReLU of one's own.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// max(x, 0) as it was published: with 0 where x < 0, in the value and in the gradient.
#[derive(Debug, Clone)]
struct Published;

impl Function<1> for Published {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        ctx.save([&x]);
        [x.mask_fill(&x.lower_elem(0.0), 0.0)]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [x] = ctx.tensors();
        [Some(g.mask_fill(&x.lower_elem(0.0), 0.0))]
    }
}

/// The value, and the gradient of the sum.
fn value_and_gradient(f: impl Fn(Tensor<1>) -> Tensor<1>, x: &Tensor<1>) -> (Vec<f64>, Vec<f64>) {
    let y = f(x.clone());
    let gradients = y.clone().sum().backward();
    (numbers(&y), x.grad(&gradients).map(|grad| numbers(&grad)).unwrap_or_default())
}

fn main() -> ExitCode {
    let (device, _) = Arguments::parse().place.open();
    let device = device.autodiff();
    let mut checks = Checks::new();

    // torch.where(a < 0.5, zeros, ones)
    let a = matrix([[0.2754, 0.0739], [0.6594, 0.2331]], &device);
    let chosen = a.ones_like().mask_where(a.clone().lower_elem(0.5), a.zeros_like());
    println!("where {:?} < 0.5, 0, else 1: {:?}", numbers(&a), numbers(&chosen));
    checks.expect_all("where", &numbers(&chosen), &[0.0, 0.0, 1.0, 0.0], 0.0);

    let x = vector(&[-1.5, -0.25, 0.0, 0.25, 2.0], &device).require_grad();
    println!("x: {:?}", numbers(&x));
    let module = Relu::new();
    let right = [0.0, 0.0, 0.0, 1.0, 1.0];
    let with_one_at_zero = [0.0, 0.0, 1.0, 1.0, 1.0];
    let found = [
        ("operation", value_and_gradient(relu, &x), right),
        ("module", value_and_gradient(|x| module.forward(x), &x), right),
        ("Burn's own", value_and_gradient(activation::relu, &x), right),
        ("published", value_and_gradient(|x| Published.apply([x]), &x), with_one_at_zero),
    ];
    for (name, (value, gradient), expected) in found {
        println!("{name:<10}  relu(x): {value:?}  gradient: {gradient:?}");
        checks.expect_all(format!("{name}: relu(x)"), &value, &[0.0, 0.0, 0.0, 0.25, 2.0], 0.0);
        checks.expect_all(format!("{name}: gradient"), &gradient, &expected, 0.0);
    }

    checks.finish("The gradient at 0 is 0; that of the published version is 1.")
}
