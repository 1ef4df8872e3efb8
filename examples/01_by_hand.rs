//! Gradients by hand: fits y = a + b·x + c·x² + d·x³ to sin(x) by gradient descent, with plain arrays.
//!
//! This is where lessons on PyTorch start, too: with NumPy, which knows nothing of gradients. There
//! is no Burn in it either, only the ndarray crate. The backward pass was derived on paper and
//! written down line by line; `02_autograd` has autodiff do that, and gets the same numbers.
//!
//! The loss is the *sum* of the squared errors, to which the learning rate 10⁻⁶ belongs. It is often
//! called a mean, with gradients 2⁄n·Σ… beside code that sums: those are n = 2,000 times too small
//! for the code. The first thing printed shows which of the two the gradient below is, by
//! difference quotients of the loss.
//!
//! `cargo run --example 01_by_hand -- --plot by_hand.png`
//!
//! Exit code: 0 if NumPy's numbers came out, from two starting points; 1 if not; 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use clap::Parser;
use ndarray::Array1;

mod shared;
use shared::check::Checks;
use shared::cli::Precision;
use shared::cubic::{FROM_A_CURVE, FROM_ZERO, LEARNING_RATE, curve, formula};
use shared::fit::{Losses, Progress, STEPS, grid, sine};
use shared::plot::{Picture, Plot};

/// Fits a cubic polynomial to sin(x) with arrays of the ndarray crate, in f64, and gradients written by
/// hand. There is no backend to choose.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    plot: Plot,
}

/// The points, their powers, and what is to be fitted.
struct Data {
    x: Array1<f64>,
    x2: Array1<f64>,
    x3: Array1<f64>,
    y: Array1<f64>,
}

/// The sum of the squared errors.
fn loss(data: &Data, parameters: [f64; 4]) -> f64 {
    let error = predict(data, parameters) - &data.y;
    error.dot(&error)
}

fn predict(data: &Data, [a, b, c, d]: [f64; 4]) -> Array1<f64> {
    a + b * &data.x + c * &data.x2 + d * &data.x3
}

/// Its derivatives by a, b, c and d. This is all that autodiff takes off our hands: with ŷ for the
/// prediction, ∂L/∂ŷ = 2·(ŷ − y), and by the chain rule ∂L/∂c = Σ ∂L/∂ŷ·x² and so on.
fn gradient(data: &Data, parameters: [f64; 4]) -> [f64; 4] {
    let by_prediction = 2.0 * (predict(data, parameters) - &data.y);
    [
        by_prediction.sum(),
        by_prediction.dot(&data.x),
        by_prediction.dot(&data.x2),
        by_prediction.dot(&data.x3),
    ]
}

fn fit(data: &Data, start: [f64; 4]) -> ([f64; 4], Losses) {
    let mut parameters = start;
    let mut progress = Progress::new(STEPS);
    for step in 0..STEPS {
        progress.step(step, || loss(data, parameters));
        let gradient = gradient(data, parameters);
        for (parameter, derivative) in parameters.iter_mut().zip(gradient) {
            *parameter -= LEARNING_RATE * derivative;
        }
    }
    (parameters, progress.finish())
}

/// The parameters with the smallest loss. The points lie symmetrically, so that odd powers of x say
/// nothing about a and c, and even ones nothing about b and d: the normal equations are two by two.
fn least_squares(data: &Data) -> [f64; 4] {
    let Data { x, x2, x3, y } = data;
    let solve = |[[p, q], [r, s]]: [[f64; 2]; 2], [u, v]: [f64; 2]| {
        let determinant = p * s - q * r;
        [(u * s - q * v) / determinant, (p * v - u * r) / determinant]
    };
    let (n, fourth) = (x.len() as f64, x2.dot(x2));
    let [a, c] = solve([[n, x2.sum()], [x2.sum(), fourth]], [y.sum(), y.dot(x2)]);
    let [b, d] = solve([[x2.sum(), fourth], [fourth, x3.dot(x3)]], [y.dot(x), y.dot(x3)]);
    [a, b, c, d]
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (points, values) = (grid(), sine(&grid()));
    let x = Array1::from_vec(points.clone());
    let data = Data { x2: &x * &x, x3: &x * &x * &x, x, y: Array1::from_vec(values.clone()) };
    let mut checks = Checks::new();

    // Is it the gradient of the sum, or of the mean? The loss is quadratic, so that a central
    // difference has no error but that of rounding: 10³·2⁻⁵² through a step of 10⁻³.
    let start = FROM_A_CURVE.start;
    let by_hand = gradient(&data, start);
    for (index, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let moved = |step: f64| {
            let mut parameters = start;
            parameters[index] += step;
            loss(&data, parameters)
        };
        let quotient = (moved(1e-3) - moved(-1e-3)) / 2e-3;
        let of_mean = by_hand[index] / data.x.len() as f64;
        println!(
            "∂L/∂{name}: by hand {:.6}, difference quotient {quotient:.6}; for the mean {of_mean:.6}",
            by_hand[index]
        );
        checks.expect(format!("∂L/∂{name}"), by_hand[index], quotient, 1e-6);
    }

    let mut fits = Vec::new();
    for known in [FROM_ZERO, FROM_A_CURVE] {
        println!("Start: {}", formula(known.start));
        let (parameters, losses) = fit(&data, known.start);
        println!("Result: {}", formula(parameters));
        known.expect(&mut checks, &losses, parameters, Precision::F64);
        fits.push((parameters, losses));
    }

    // What the descent is on its way to.
    let optimum = least_squares(&data);
    println!("Least squares: {}, with the loss {}", formula(optimum), loss(&data, optimum));
    checks.expect_all("optimum", &optimum, &[0.0, 0.856740843, 0.0, -0.093330389], 5e-10);
    checks.expect("loss of the optimum", loss(&data, optimum), 8.817165, 5e-7);
    // Of terms of about 10⁵, rounded.
    checks.expect_all("gradient there", &gradient(&data, optimum), &[0.0; 4], 1e-8);

    arguments.plot.draw(&Picture {
        title: "A cubic polynomial, fitted with gradients by hand",
        x: &points,
        data: ("sin(x)", &values),
        curves: &[
            ("from zero", curve(fits[0].0, &points)),
            ("from a curve", curve(fits[1].0, &points)),
            ("least squares", curve(optimum, &points)),
        ],
        losses: &[("from zero", &fits[0].1), ("from a curve", &fits[1].1)],
    });
    checks.finish("These are NumPy's numbers.")
}
