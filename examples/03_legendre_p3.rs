//! A custom operation in a training loop: fits y = a + b·P₃(c + d·x) to sin(x) by gradient descent,
//! where P₃ is the third Legendre polynomial with its own backward.
//!
//! PyTorch's counterpart is a `torch.autograd.Function` named LegendrePolynomial3. There, as here,
//! the parameters are updated by hand. The operation comes from this library, with kernels; written as
//! a `Function` of one's own it has ten lines, which stand in the README. Start: (a, b, c, d) = (0, −1, 0, 0.3); 2,000 steps at the
//! learning rate 5·10⁻⁶ over 2,000 points of [−π, π].
//!
//! `cargo run --release --example 03_legendre_p3 -- --backend ndarray --plot p3.png`
//!
//! The exit code tells whether the numbers of PyTorch's own run came out.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn::tensor::{Device, Tensor};
use burn_autograd::ops::legendre_p3::legendre_p3;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::fit::{Losses, Progress, STEPS, grid, sine};
use shared::plot::{Picture, Plot};
use shared::values::{number, vector};

/// Fits y = a + b·P₃(c + d·x) to sin(x).
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    plot: Plot,
}

const LEARNING_RATE: f64 = 5e-6;

fn fit(points: &[f64], values: &[f64], device: &Device) -> ([f64; 4], Losses) {
    let (x, y) = (vector(points, device), vector(values, device));
    let mut parameters = [0.0, -1.0, 0.0, 0.3].map(|start| vector(&[start], device).require_grad());
    let mut progress = Progress::new(STEPS);
    for step in 0..STEPS {
        let [a, b, c, d] = parameters.clone();
        let prediction = a + b * legendre_p3(c + d * x.clone());
        let loss = (prediction - y.clone()).square().sum();
        progress.step(step, || number(&loss));

        let gradients = loss.backward();
        parameters = parameters.map(|parameter| {
            let gradient = parameter.grad(&gradients).expect("the loss depends on it");
            // A new leaf: the update is not part of the next step's graph.
            Tensor::from_inner(parameter.inner() - gradient * LEARNING_RATE).require_grad()
        });
    }
    (parameters.each_ref().map(number), progress.finish())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (device, precision) = arguments.place.open();
    let (points, values) = (grid(), sine(&grid()));

    let ([a, b, c, d], losses) = fit(&points, &values, &device.autodiff());
    println!("Result: y = {a} + {b} * P3({c} + {d} x)");

    arguments.plot.draw(&Picture {
        title: "y = a + b·P₃(c + d·x), fitted to sin(x)",
        x: &points,
        data: ("sin(x)", &values),
        curves: &[("a + b·P₃(c + d·x)", {
            let p3 = |x: f64| 0.5 * (5.0 * x * x * x - 3.0 * x);
            points.iter().map(|x| a + b * p3(c + d * x)).collect()
        })],
        losses: &[("sum of squared errors", &losses)],
    });

    // What PyTorch computed. In f64 its printed digits hold. In f32 the loss is a sum of 2,000 terms
    // of about 5·10⁻³, each off by some 10⁻⁷ of its size, and the descent contracts what earlier
    // steps were off by: five digits hold whatever the order of the sums.
    let (loss_tolerance, tolerance) = precision.pick((5e-7, 5e-11), (2e-3, 2e-5));
    let mut checks = Checks::new();
    for (step, loss) in [(99, 209.958385), (499, 50.978558), (999, 14.877818), (1999, 8.943643)] {
        checks.expect(format!("loss at {step}"), losses.at(step), loss, loss_tolerance);
    }
    checks.expect("a", a, 0.0, tolerance);
    checks.expect("b", b, -2.2085264152, tolerance);
    checks.expect("c", c, 0.0, tolerance);
    checks.expect("d", d, 0.2554861125, tolerance);
    checks.finish("These are PyTorch's numbers.")
}
