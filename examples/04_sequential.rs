//! A module: the same cubic fit as a linear layer of the features x, x², x³, with its parameters
//! updated by hand.
//!
//! PyTorch's counterpart is `nn.Sequential(nn.Linear(3, 1), nn.Flatten(0, 1))` with
//! `nn.MSELoss(reduction='sum')`, and a loop over `model.parameters()`. In Burn
//!
//! - a model is a struct that derives `Module`, and `forward` is an ordinary method: there is no
//!   container that calls layers one after the other;
//! - a loop over the parameters is a `ModuleMapper`, which meets each of them with its own rank and
//!   gives the model back, because tensors are values and none is changed in place;
//! - `MseLoss` with `Reduction::Sum` is the sum of the squared errors.
//!
//! Flatten(0, 1) makes `[2000]` of the layer's `[2000, 1]`; it is sometimes said to leave `[2000, 1]`.
//! In PyTorch such a prediction minus a target of `[2000]` broadcasts to 2000 × 2000 differences,
//! silently; in Burn it does not compile, because the rank is part of a tensor's type.
//!
//! `cargo run --example 04_sequential -- --backend ndarray --plot sequential.png`
//!
//! Exit code: 0 if the numbers of `01_by_hand` came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn::module::{Initializer, Module, ModuleMapper, Param};
use burn::nn::loss::{MseLoss, Reduction};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Gradients, Tensor};
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::cubic::{FROM_ZERO, LEARNING_RATE, curve, formula};
use shared::fit::{Progress, STEPS, grid, sine};
use shared::plot::{Picture, Plot};
use shared::values::{number, numbers, vector};

/// Fits a cubic polynomial to sin(x), as a module with a linear layer.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    plot: Plot,
}

/// Linear(3, 1), then Flatten(0, 1).
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

/// One step of gradient descent on every parameter that it meets.
struct Descent<'a> {
    gradients: &'a Gradients,
}

impl ModuleMapper for Descent<'_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        parameter.map(|value| {
            let gradient = value.grad(self.gradients).expect("the loss depends on it");
            Tensor::from_inner(value.inner() - gradient * LEARNING_RATE).require_grad()
        })
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (device, precision) = arguments.place.open();
    let device = device.autodiff();
    let (points, values) = (grid(), sine(&grid()));
    let (x, y) = (vector(&points, &device), vector(&values, &device));
    // [2000, 3]: a row for each point, a column for each power.
    let features: Tensor<2> = Tensor::stack([1, 2, 3].map(|k| x.clone().powi_scalar(k)).into(), 1);

    let layer = LinearConfig::new(3, 1).with_initializer(Initializer::Zeros);
    let mut model = Model { linear: layer.init(&device) };
    println!("{model}");
    let mut checks = Checks::new();
    let layer_output = model.linear.forward(features.clone());
    println!("{:?} flattened is {:?}", layer_output.dims(), model.forward(features.clone()).dims());
    checks.expect_equal("shape of the layer's output", layer_output.dims(), [2000, 1]);
    checks.expect_equal("shape of the prediction", model.forward(features.clone()).dims(), [2000]);
    checks.expect_all("start", &model.parameters(), &FROM_ZERO.start, 0.0);

    let mut progress = Progress::new(STEPS);
    for step in 0..STEPS {
        let prediction = model.forward(features.clone());
        let loss = MseLoss::new().forward(prediction, y.clone(), Reduction::Sum);
        progress.step(step, || number(&loss));
        let gradients = loss.backward();
        model = model.map(&mut Descent { gradients: &gradients });
    }
    let losses = progress.finish();
    let parameters = model.parameters();
    println!("Result: {}", formula(parameters));

    arguments.plot.draw(&Picture {
        title: "A linear layer of x, x², x³, fitted to sin(x)",
        x: &points,
        data: ("sin(x)", &values),
        curves: &[("the model", curve(parameters, &points))],
        losses: &[("sum of squared errors", &losses)],
    });
    FROM_ZERO.expect(&mut checks, &losses, parameters, precision);
    checks.finish("These are the numbers of 01_by_hand.")
}
