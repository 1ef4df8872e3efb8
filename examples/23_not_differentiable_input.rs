//! A custom function w·x + b that has no gradient for x, used in the neuron a = (w·x + b)² with
//! w = (1, 2), x = (2, 3) and b = 1.
//!
//! `None` in the place of a gradient declares an input not to be differentiable. Nobody misses it as
//! long as x is data. If x asks for a gradient all the same, it gets none, and the strict form of the
//! backward pass says so.
//!
//! The published backward returns the gradient of b in the shape [1, 1] of the output, though b has
//! the shape [1]. PyTorch sums such a gradient without a word, which would also hide a forgotten sum.
//! Here it is an error; both are shown.
//!
//! PyTorch's construct: a `torch.autograd.Function` whose backward returns `dw, db, None`.
//!
//! `cargo run --example 23_not_differentiable_input -- --backend ndarray`
//!
//! Exit code: 0 if everything came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn::tensor::Tensor;
use burn_autograd::prelude::*;
use burn_autograd::{ErrorKind, Transform, gradients};
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{matrix, numbers, vector};

/// A function that has no gradient for one of its inputs.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// w·x + b for a row w, a column x and a number b of rank 1; x is not differentiable.
#[derive(Debug, Clone)]
struct Line {
    /// Whether the gradient of b has the shape of the output, as it was published.
    published: bool,
}

impl Function<3> for Line {
    fn forward(&self, ctx: &mut Context, [w, b, x]: [Var; 3]) -> [Var; 1] {
        ctx.save([&x]);
        [w.matmul(&x) + b.reshape([1, 1])]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 3] {
        let [x] = ctx.tensors();
        let dw = g.matmul(&x.transpose());
        let db = if self.published { g } else { g.reshape(ctx.input_shape(1).clone()) };
        [Some(dw), Some(db), None]
    }
}

fn main() -> ExitCode {
    let (device, precision) = Arguments::parse().place.open();
    let device = device.autodiff();
    let mut checks = Checks::new();
    // Small integers, exact. WGSL may take a square as a power, whose error is that of exp2 and log2: of
    // numbers up to 54 some thirty roundings.
    let tolerance = precision.pick(0.0, 1e-4);

    let w = matrix([[1.0, 2.0]], &device).require_grad();
    let b = vector(&[1.0], &device).require_grad();
    let data = matrix([[2.0], [3.0]], &device);
    let line = Line { published: false };
    let neuron = |x: Tensor<2>| -> Tensor<2> {
        let z: Tensor<2> = line.apply_all((w.clone(), b.clone(), x));
        z.square()
    };

    // The second time x asks for a gradient.
    for x in [data.clone(), data.clone().require_grad()] {
        let a = neuron(x.clone());
        checks.expect_all("a", &numbers(&a), &[81.0], tolerance);
        let gradients = a.backward();
        let dw = w.grad(&gradients).map(|grad| numbers(&grad));
        let db = b.grad(&gradients).map(|grad| numbers(&grad));
        let dx = x.grad(&gradients).map(|grad| numbers(&grad));
        println!("x asks for a gradient: {}", x.is_require_grad());
        println!("w.grad: {dw:?}\nb.grad: {db:?}\nx.grad: {dx:?}");
        checks.expect_all("w.grad", &dw.unwrap_or_default(), &[36.0, 54.0], tolerance);
        checks.expect_all("b.grad", &db.unwrap_or_default(), &[18.0], tolerance);
        checks.expect_equal("x.grad", dx, None);
    }

    let x = data.clone().require_grad();
    match gradients(neuron(x.clone()), (w.clone(), b.clone(), x)) {
        Ok(_) => checks.expect_that("x has no gradient", false),
        Err(error) => {
            println!("the strict form: {error}");
            checks.expect_equal("kind of error", error.kind(), ErrorKind::Derivative);
            checks.expect_equal("argument of the error", error.argument(), "inputs[2]");
        }
    }

    let published = Line { published: true };
    let x = Var::from(data.inner());
    let loss = |(w, b): (Var, Var)| published.call([w, b, x]).square().sum();
    match Transform::new().grad(loss, (w.inner(), b.inner())) {
        Ok(_) => checks.expect_that("a gradient of another shape is refused", false),
        Err(error) => {
            println!("the published backward: {error}");
            checks.expect_equal("kind of error", error.kind(), ErrorKind::Shape);
            checks.expect_equal("argument", error.argument(), "gradient of input 1");
        }
    }

    checks.finish("The gradients are (36, 54) and 18, and none for x.")
}
