//! A custom operation in a training loop: fits y = a + b·P₃(c + d·x) to sin(x) by gradient descent,
//! where P₃ is the third Legendre polynomial with its own backward.
//!
//! PyTorch's counterpart is a `torch.autograd.Function` named LegendrePolynomial3. There, as here,
//! the parameters are updated by hand. Start: (a, b, c, d) = (0, −1, 0, 0.3); 2,000 steps at the
//! learning rate 5·10⁻⁶ over 2,000 points of [−π, π]. PyTorch's lesson computes in single precision,
//! whose parameters differ in the eighth digit; so a fit in double precision is followed by one in
//! single precision.
//!
//! The library has the same operation with kernels, `ops::legendre_p3`.
//!
//! `cargo run --release --example 03_legendre_p3 -- --backend ndarray --plot p3.png`
//!
//! Exit code: 0 if PyTorch's numbers came out, the gradient passes its check, and the library's
//! operation gives the same; 1 if not; 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_autograd::gradcheck::{Verdict, gradcheck};
use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::{Place, Precision};
use shared::fit::{Losses, Progress, STEPS, grid, sine};
use shared::plot::{Picture, Plot};
use shared::values::{number, numbers, vector};

/// Fits y = a + b·P₃(c + d·x) to sin(x).
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    plot: Plot,
}

/// P₃(x) = ½(5x³ − 3x), with derivative 3⁄2·(5x² − 1).
#[derive(Debug, Clone)]
struct LegendreP3;

impl Function<1> for LegendreP3 {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        ctx.save([&x]);
        [(2.5 * (&x * &x) - 1.5) * x]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [x] = ctx.tensors();
        [Some((7.5 * (&x * &x) - 1.5) * g)]
    }
}

const LEARNING_RATE: f64 = 5e-6;

fn fit(
    points: &[f64],
    values: &[f64],
    device: &Device,
    precision: Precision,
) -> ([f64; 4], Losses) {
    let tensor = |numbers: &[f64]| {
        let data = TensorData::new(numbers.to_vec(), [numbers.len()]);
        Tensor::<1>::from_data(data, (device, precision.dtype()))
    };
    let (x, y) = (tensor(points), tensor(values));
    let mut parameters = [0.0, -1.0, 0.0, 0.3].map(|start| tensor(&[start]).require_grad());
    let mut progress = Progress::new(STEPS);
    for step in 0..STEPS {
        let [a, b, c, d] = parameters.clone();
        let prediction = a + b * LegendreP3.apply([c + d * x.clone()]);
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

/// Values and gradients of P₃ at some points, with a weight for each of them.
fn values_and_gradients(p3: impl Fn(Tensor<1>) -> Tensor<1>, device: &Device) -> [Vec<f64>; 2] {
    let x = vector(&[-1.0, -0.4, 0.25, 1.5], device).require_grad();
    let y = p3(x.clone());
    let loss = (y.clone() * vector(&[1.0, -0.5, 2.0, 0.75], device)).sum();
    let dx = x.grad(&loss.backward()).expect("the loss depends on it");
    [numbers(&y), numbers(&dx)]
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (device, precision) = arguments.place.open();
    let device = device.autodiff();
    let (points, values) = (grid(), sine(&grid()));

    let (parameters, losses) = fit(&points, &values, &device, precision);
    let [a, b, c, d] = parameters;
    println!("Result: y = {a} + {b} * P3({c} + {d} x)");
    let mut fits = vec![(precision, parameters, losses.clone())];
    if precision == Precision::F64 {
        println!("In single precision:");
        let (parameters, losses) = fit(&points, &values, &device, Precision::F32);
        let [a, b, c, d] = parameters;
        println!("Result: y = {a} + {b} * P3({c} + {d} x)");
        fits.push((Precision::F32, parameters, losses));
    }

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

    let mut checks = Checks::new();
    for (precision, parameters, losses) in &fits {
        // What PyTorch computed. In f64 its six printed decimals hold, to half of the last. In f32 the
        // order of a sum of 2,000 terms is worth some √2000·2⁻²⁴ of it, 6·10⁻⁴ of 210: three times that.
        let tolerance = precision.pick(5e-7, 2e-3);
        for (step, loss) in [(99, 209.958385), (499, 50.978558), (999, 14.877818), (1999, 8.943643)]
        {
            checks.expect(format!("loss at {step}"), losses.at(step), loss, tolerance);
        }
        // In f32 a step moves b by whole units in its last place, 2.4·10⁻⁷. Gradients that are off
        // by 10⁻⁶ of themselves, as by sums in another order, lead to the same number; if they are
        // off by 10⁻⁵, to one that is two units away.
        let (expected, tolerance) = precision.pick(
            ([0.0, -2.2085264152, 0.0, 0.2554861125], 5e-11),
            ([0.0, -2.2085268, 0.0, 0.2554861], 5e-7),
        );
        checks.expect_all("parameters", parameters, &expected, tolerance);
    }

    // A function is written once for all backends; where there are 53 bits its gradient is proven.
    let x = Tensor::<1>::from_data([0.5, -1.25, 2.0], (&Device::flex(), DType::F64));
    let report = gradcheck(|x: Tensor<1>| LegendreP3.apply([x]), x);
    print!("{report}");
    checks.expect_equal("the verdict on the gradient", report.verdict(), Verdict::Pass);

    // In each of the two some five roundings of numbers up to 17: 170 times 2⁻⁵³, or 2⁻²⁴.
    let [y, dx] = values_and_gradients(|x| LegendreP3.apply([x]), &device);
    let [expected_y, expected_dx] = values_and_gradients(legendre_p3, &device);
    let tolerance = precision.pick(2e-14, 1e-5);
    checks.expect_all("the library's values", &expected_y, &y, tolerance);
    checks.expect_all("the library's gradients", &expected_dx, &dx, tolerance);

    checks.finish("These are PyTorch's numbers.")
}
