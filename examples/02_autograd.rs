//! The same fit with autodiff: y = a + b·x + c·x² + d·x³ to sin(x), gradients by `backward()`.
//!
//! PyTorch's counterpart has four tensors with `requires_grad=True`, `loss.backward()`, and an update
//! within `torch.no_grad()`, after which every `.grad` is set to `None`. In Burn
//!
//! - `require_grad()` makes a tensor a leaf of the graph,
//! - `backward()` *returns* the gradients. A tensor holds none, so that nothing adds up from step to
//!   step and nothing has to be set to zero;
//! - `inner()` gives the tensor without the graph, which is what `no_grad` is for in the update.
//!
//! Before it descends, the program holds the gradients against the formulas of `01_by_hand`.
//!
//! `cargo run --example 02_autograd -- --backend ndarray --plot autograd.png`
//!
//! Exit code: 0 if the numbers of `01_by_hand` came out, in f64 up to rounding; 1 if not; 2 for wrong
//! arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn::tensor::{Device, Tensor};
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::cubic::{FROM_A_CURVE, FROM_ZERO, LEARNING_RATE, curve, formula};
use shared::fit::{Losses, Progress, STEPS, grid, sine};
use shared::plot::{Picture, Plot};
use shared::values::{number, vector};

/// Fits a cubic polynomial to sin(x) with autodiff, updating the parameters by hand.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    plot: Plot,
}

/// The points, their powers, and what is to be fitted.
struct Data {
    x: Tensor<1>,
    x2: Tensor<1>,
    x3: Tensor<1>,
    y: Tensor<1>,
}

fn leaves(values: [f64; 4], device: &Device) -> [Tensor<1>; 4] {
    values.map(|value| vector(&[value], device).require_grad())
}

/// The sum of the squared errors.
fn loss(data: &Data, [a, b, c, d]: [Tensor<1>; 4]) -> Tensor<1> {
    let prediction = a + b * data.x.clone() + c * data.x2.clone() + d * data.x3.clone();
    (prediction - data.y.clone()).square().sum()
}

/// Its derivatives.
fn gradient(loss: &Tensor<1>, parameters: &[Tensor<1>; 4]) -> [Tensor<1>; 4] {
    let gradients = loss.backward();
    parameters
        .each_ref()
        .map(|parameter| parameter.grad(&gradients).expect("the loss depends on every parameter"))
}

fn fit(data: &Data, start: [f64; 4], device: &Device) -> ([f64; 4], Losses) {
    let mut parameters = leaves(start, device);
    let mut progress = Progress::new(STEPS);
    for step in 0..STEPS {
        let loss = loss(data, parameters.clone());
        progress.step(step, || number(&loss));
        let mut gradient = gradient(&loss, &parameters).into_iter();
        parameters = parameters.map(|parameter| {
            let derivative = gradient.next().expect("there is one for each parameter");
            // Outside of the graph; the result is a leaf of the next step's.
            Tensor::from_inner(parameter.inner() - derivative * LEARNING_RATE).require_grad()
        });
    }
    (parameters.each_ref().map(number), progress.finish())
}

/// The formulas of `01_by_hand`, point by point.
fn by_hand([a, b, c, d]: [f64; 4], points: &[f64], values: &[f64]) -> [f64; 4] {
    let mut sums = [0.0; 4];
    for (x, y) in points.iter().zip(values) {
        let by_prediction = 2.0 * (a + b * x + c * x * x + d * x * x * x - y);
        for (sum, power) in sums.iter_mut().zip([1.0, *x, x * x, x * x * x]) {
            *sum += by_prediction * power;
        }
    }
    sums
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (device, precision) = arguments.place.open();
    let device = device.autodiff();
    let (points, values) = (grid(), sine(&grid()));
    let x = vector(&points, &device);
    let data = Data {
        x2: x.clone().powi_scalar(2),
        x3: x.clone().powi_scalar(3),
        x,
        y: vector(&values, &device),
    };
    let mut checks = Checks::new();

    let start = leaves(FROM_A_CURVE.start, &device);
    let by_autodiff =
        gradient(&loss(&data, start.clone()), &start).map(|gradient| number(&gradient));
    let by_hand = by_hand(FROM_A_CURVE.start, &points, &values);
    println!("Gradient at {}", formula(FROM_A_CURVE.start));
    println!("  by autodiff {by_autodiff:?}");
    println!("  by hand     {by_hand:?}");
    // Sums of 2,000 terms that add up to 10⁵ if their signs are left out.
    checks.expect_all("gradient", &by_autodiff, &by_hand, precision.pick(1e-9, 0.5));

    let mut fits = Vec::new();
    for known in [FROM_ZERO, FROM_A_CURVE] {
        println!("Start: {}", formula(known.start));
        let (parameters, losses) = fit(&data, known.start, &device);
        println!("Result: {}", formula(parameters));
        known.expect(&mut checks, &losses, parameters, precision);
        fits.push((parameters, losses));
    }

    arguments.plot.draw(&Picture {
        title: "A cubic polynomial, fitted with autodiff",
        x: &points,
        data: ("sin(x)", &values),
        curves: &[
            ("from zero", curve(fits[0].0, &points)),
            ("from a curve", curve(fits[1].0, &points)),
        ],
        losses: &[("from zero", &fits[0].1), ("from a curve", &fits[1].1)],
    });
    checks.finish("These are the numbers of 01_by_hand.")
}
