//! A differential equation solved by a network: u″ = −u with u(0) = 0 and u′(0) = 1 on [0, 2π], whose
//! solution is sin. A "physics-informed" network is trained until it satisfies the equation; the
//! solution is never shown to it.
//!
//! The loss holds u″, the second derivative of the network with respect to its *input*, and is
//! differentiated once more, with respect to the parameters, by Burn's ordinary `backward()` and
//! trained by Burn's Adam. PyTorch's counterpart is `torch.autograd.grad(u, x, create_graph=True)`,
//! twice.
//!
//! `cargo run --release --example pinn -- --backend ndarray`
//!
//! Exit code: 0 if the network came within 0.01 of sin at 1001 points, most of which lie between those
//! that it was trained at; 1 if not; 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::f64::consts::PI;
use std::process::ExitCode;
use std::time::Instant;

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::{Backend, Precision};
use shared::fit::Progress;
use shared::network::Network;
use shared::plot::{Picture, Plot};
use shared::values::number;

/// Solves u″ = −u, u(0) = 0, u′(0) = 1 by a network.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to compute.
    #[arg(long, value_enum, default_value_t = Backend::Flex)]
    backend: Backend,
    /// Steps of Adam.
    #[arg(long, default_value_t = 10_000)]
    steps: usize,
    /// Where the parameters start.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    plot: Plot,
}

const POINTS: usize = 64;
const CHECKED: usize = 1001;

/// Evenly spaced points of [0, 2π], a column.
fn grid(points: usize, device: &Device) -> Tensor<2> {
    let x: Vec<f32> =
        (0..points).map(|i| (2.0 * PI * i as f64 / (points - 1) as f64) as f32).collect();
    Tensor::from_data(TensorData::new(x, [points, 1]), device)
}

/// u(x), the network's input scaled to [−1, 1].
fn u(network: &Network, x: &Var) -> Var {
    network.forward(&(x / PI - 1.0))
}

/// The mean square of u″ + u, and the initial conditions.
fn loss(network: &Network, x: &Var) -> Var {
    let u = u(network, x);
    let [du] = Gradient::of([&u.sum()]).wrt([x]);
    let [ddu] = Gradient::of([&du.sum()]).wrt([x]);
    let start = |v: &Var| v.slice(0..1).reshape([1]);
    (ddu + &u).powi(2).mean() + 10.0 * (start(&u).powi(2) + (start(&du) - 1.0).powi(2))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let device = arguments.backend.open(Precision::F32).autodiff();
    device.seed(arguments.seed);
    let started = Instant::now();
    let x = grid(POINTS, &device);

    let mut network = Network::new(1, 24, &device);
    let mut adam = AdamConfig::new().init();
    let mut progress = Progress::every(1000, arguments.steps);
    for step in 0..arguments.steps {
        let loss: Tensor<1> = evaluate(|x: Var| loss(&network, &x), x.clone());
        progress.step(step, || number(&loss));
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        // From 0.01 down to 0.0001.
        let rate = 0.01 * 100f64.powf(-(step as f64) / arguments.steps as f64);
        network = adam.step(rate, network, gradients);
    }
    let losses = progress.finish();

    let x = grid(CHECKED, &device);
    let found = u(&network, &Var::from(&x)).to_data().convert_dtype(DType::F64);
    let found: Vec<f64> = found.iter().collect();
    let points: Vec<f64> = x.into_data().convert_dtype(DType::F64).iter().collect();
    let sine: Vec<f64> = points.iter().map(|x| x.sin()).collect();
    let error = sine.iter().zip(&found).map(|(sin, u)| (sin - u).abs()).fold(0.0, f64::max);
    let seconds = started.elapsed().as_secs_f64();
    println!("largest error against sin: {error:.2e}, after {seconds:.1} s");

    arguments.plot.draw(&Picture {
        title: "u″ = −u, solved by a network",
        x: &points,
        data: ("sin(x)", &sine),
        curves: &[("the network", found)],
        losses: &[("loss", &losses)],
    });

    let mut checks = Checks::new();
    checks.expect_that(format!("the largest error, {error:e}, is below 0.01"), error < 1e-2);
    checks.finish("The network is within 0.01 of sin.")
}
