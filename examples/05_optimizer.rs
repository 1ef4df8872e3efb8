//! An optimizer: the cubic fit by Burn's `RmsProp`, learning rate 10⁻³.
//!
//! PyTorch's counterpart is `torch.optim.RMSprop(model.parameters(), lr=1e-3)` with `zero_grad()`,
//! `backward()` and `step()`. In Burn the gradients of a pass are sorted to the parameters by
//! `GradientsParams`, and `step` gives the new model back; there is nothing to set to zero.
//!
//! Both mean the same by RMSprop, centered or not: v ← α·v + (1 − α)·g² and θ ← θ − lr·g / (√v + ε),
//! with v − m² in place of v if it is centered, where m averages g as v does g²; but
//!
//! - Burn's defaults are others: momentum 0.9 and ε = 10⁻⁵ against PyTorch's 0 and 10⁻⁸, so that a
//!   program that is carried over as it is takes steps ten times as long;
//! - Burn holds α and ε in f32 also where it computes in f64. 1 − 0.99 is then off by 10⁻⁶ of itself,
//!   the steps by half of that, and the loss after 100 of them by 10⁻⁴.
//!
//! That cannot be told away, and near the optimum nothing can: the steps do not become shorter there.
//! Each parameter hops over its optimum by up to the learning rate, and roundings decide on which
//! side it ends. PyTorch itself gives other last digits when it sums in another order. So there the
//! program asks for PyTorch's numbers up to one hop.
//!
//! `cargo run --example 05_optimizer -- --backend ndarray --plot optimizer.png`
//!
//! Exit code: 0 if they came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn::module::{Initializer, Module};
use burn::nn::loss::{MseLoss, Reduction};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsParams, RmsPropConfig};
use burn::tensor::{Device, Tensor};
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::cubic::{curve, formula};
use shared::fit::{Losses, Progress, STEPS, grid, sine};
use shared::plot::{Picture, Plot};
use shared::values::{number, numbers, vector};

/// Fits a cubic polynomial to sin(x) by RMSprop, as PyTorch and as Burn set it up.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    plot: Plot,
}

const LEARNING_RATE: f64 = 1e-3;

/// The model of `04_sequential`: Linear(3, 1), then Flatten(0, 1).
#[derive(Module, Debug)]
struct Model {
    linear: Linear,
}

impl Model {
    fn forward(&self, features: Tensor<2>) -> Tensor<1> {
        self.linear.forward(features).flatten(0, 1)
    }

    /// a, b, c, d: the bias, and the weight of each feature.
    fn parameters(&self) -> [f64; 4] {
        let weight = numbers(&self.linear.weight.val());
        let bias = self.linear.bias.as_ref().expect("the layer has a bias by default");
        [number(&bias.val()), weight[0], weight[1], weight[2]]
    }
}

fn fit(
    optimizer: &RmsPropConfig,
    features: &Tensor<2>,
    y: &Tensor<1>,
    device: &Device,
) -> ([f64; 4], Losses) {
    let layer = LinearConfig::new(3, 1).with_initializer(Initializer::Zeros);
    let mut model = Model { linear: layer.init(device) };
    let mut optimizer = optimizer.init();
    let mut progress = Progress::new(STEPS);
    for step in 0..STEPS {
        let prediction = model.forward(features.clone());
        let loss = MseLoss::new().forward(prediction, y.clone(), Reduction::Sum);
        progress.step(step, || number(&loss));
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(LEARNING_RATE, model, gradients);
    }
    (model.parameters(), progress.finish())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (device, precision) = arguments.place.open();
    let device = device.autodiff();
    let (points, values) = (grid(), sine(&grid()));
    let (x, y) = (vector(&points, &device), vector(&values, &device));
    let features: Tensor<2> = Tensor::stack([1, 2, 3].map(|k| x.clone().powi_scalar(k)).into(), 1);

    println!("As PyTorch sets it up: no momentum, ε = 1e-8");
    let like_pytorch = RmsPropConfig::new().with_momentum(0.0).with_epsilon(1e-8);
    let (parameters, losses) = fit(&like_pytorch, &features, &y, &device);
    println!("Result: {}", formula(parameters));

    println!("As Burn does: momentum 0.9, ε = 1e-5");
    let (with_momentum, losses_with_momentum) = fit(&RmsPropConfig::new(), &features, &y, &device);
    println!("Result: {}", formula(with_momentum));

    arguments.plot.draw(&Picture {
        title: "A cubic polynomial, fitted by RMSprop",
        x: &points,
        data: ("sin(x)", &values),
        curves: &[
            ("PyTorch's settings", curve(parameters, &points)),
            ("Burn's settings", curve(with_momentum, &points)),
        ],
        losses: &[("PyTorch's settings", &losses), ("Burn's settings", &losses_with_momentum)],
    });

    let mut checks = Checks::new();
    // PyTorch's number, up to what α in f32 makes of it; and that made of it, by the definition
    // above in plain f64 with Burn's α. In f32 the loss is 2,000 squares with 24 bits each.
    checks.expect("loss at 99", losses.at(99), 506.947617, precision.pick(2e-4, 5e-3));
    checks.expect("loss at 99, α in f32", losses.at(99), 506.947524, precision.pick(1e-6, 5e-3));
    // From here on roundings decide: the definition in f64 and f32, summed forwards and backwards,
    // gives 9.59 to 9.69, and in the end 8.9203 to 8.9210.
    checks.expect("loss at 999", losses.at(999), 9.678617, 0.15);
    checks.expect("loss at 1999", losses.at(1999), 8.920348, 0.003);
    // PyTorch ends with a and c at +0.0005, half a hop from their optimum 0; they may be at −0.0005.
    let hop = 1.1 * LEARNING_RATE;
    checks.expect_all("parameters", &parameters, &[0.0005, 0.856242, 0.0005, -0.093829], hop);

    // With momentum, again by the definition in plain f64; and in the end near the least loss.
    // The same formulas in C, in NumPy and in Burn give 9.50266 to 9.50282: the gradients of a and c are
    // roundings alone at first, and are divided by their own size.
    let at_99 = losses_with_momentum.at(99);
    checks.expect("loss at 99 with momentum", at_99, 9.502787, precision.pick(5e-4, 1e-3));
    let at_1999 = losses_with_momentum.at(1999);
    checks.expect("loss at 1999 with momentum", at_1999, 8.817165, 0.1);
    checks.finish("These are PyTorch's numbers, as closely as Burn's RmsProp can give them.")
}
