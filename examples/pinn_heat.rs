//! The heat equation u_t = u_xx on 0 ≤ x ≤ 1, 0 ≤ t ≤ 0.2, with u(x, 0) = sin(πx) and
//! u(0, t) = u(1, t) = 0, solved by a network that is trained until it satisfies them. The solution
//! is e^(−π²t)·sin(πx).
//!
//! The loss holds derivatives of the network with respect to two inputs and of two orders, u_t and
//! u_xx, and is differentiated once more by Burn's ordinary `backward()`. See `pinn` for one input.
//!
//! `cargo run --release --example pinn_heat -- --backend ndarray`
//!
//! Exit code: 0 if the network came within 0.01 of the solution on a grid of other points than those
//! that it was trained on, 1 if not, 2 for wrong arguments.
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

/// Solves the heat equation by a network.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to compute.
    #[arg(long, value_enum, default_value_t = Backend::Flex)]
    backend: Backend,
    /// Steps of Adam.
    #[arg(long, default_value_t = 3000)]
    steps: usize,
    /// Where the parameters start.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    plot: Plot,
}

const END: f64 = 0.2;

/// u(x, t), the network's inputs scaled to [−1, 1].
fn u(network: &Network, x: &Var, t: &Var) -> Var {
    network.forward(&Var::cat(&[2.0 * x - 1.0, t * (2.0 / END) - 1.0], 1))
}

/// Points of the inside, of the start t = 0, and of the edges x = 0 and x = 1.
type Points = [Tensor<2>; 6];

fn loss(network: &Network, [x, t, x_start, t_start, x_edge, t_edge]: [Var; 6]) -> Var {
    let inside = u(network, &x, &t);
    let [u_x, u_t] = Gradient::of([&inside.sum()]).wrt([&x, &t]);
    let [u_xx] = Gradient::of([&u_x.sum()]).wrt([&x]);
    let equation = (u_t - u_xx).powi(2).mean();
    let start = (u(network, &x_start, &t_start) - (PI * &x_start).sin()).powi(2).mean();
    let edge = u(network, &x_edge, &t_edge).powi(2).mean();
    equation + 20.0 * (start + edge)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let device = arguments.backend.open(Precision::F32).autodiff();
    device.seed(arguments.seed);
    let started = Instant::now();
    let points = points(&device);

    let mut network = Network::new(2, 24, &device);
    let mut adam = AdamConfig::new().init();
    let mut progress = Progress::every(500, arguments.steps);
    for step in 0..arguments.steps {
        let loss: Tensor<1> = evaluate(|points: [Var; 6]| loss(&network, points), points.clone());
        progress.step(step, || number(&loss));
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        // From 0.01 down to 0.0001.
        let rate = 0.01 * 100f64.powf(-(step as f64) / arguments.steps as f64);
        network = adam.step(rate, network, gradients);
    }
    let losses = progress.finish();

    let error = largest_error(&network, &device);
    let seconds = started.elapsed().as_secs_f64();
    println!("largest error against the solution: {error:.2e}, after {seconds:.1} s");

    // At half of the time.
    let x: Vec<f64> = grid(101, 2).0[..101].to_vec();
    let t = vec![END / 2.0; x.len()];
    let solution: Vec<f64> = x.iter().map(|x| exact(*x, END / 2.0)).collect();
    let found = u(&network, &column(x.clone(), &device).into(), &column(t, &device).into());
    let found = found.to_data().convert_dtype(DType::F64);
    arguments.plot.draw(&Picture {
        title: "The heat equation, solved by a network: u(x, 0.1)",
        x: &x,
        data: ("the solution", &solution),
        curves: &[("the network", found.iter::<f64>().collect())],
        losses: &[("loss", &losses)],
    });

    let mut checks = Checks::new();
    checks.expect_that(format!("the largest error, {error:e}, is below 0.01"), error < 1e-2);
    checks.finish("The network is within 0.01 of the solution.")
}

/// The solution.
fn exact(x: f64, t: f64) -> f64 {
    (-PI * PI * t).exp() * (PI * x).sin()
}

fn column(data: Vec<f64>, device: &Device) -> Tensor<2> {
    let shape = [data.len(), 1];
    let data: Vec<f32> = data.into_iter().map(|x| x as f32).collect();
    Tensor::from_data(TensorData::new(data, shape), device)
}

/// A grid of `columns` by `rows` cells' corners over the domain.
fn grid(columns: usize, rows: usize) -> (Vec<f64>, Vec<f64>) {
    (0..columns * rows)
        .map(|i| {
            let (column, row) = (i % columns, i / columns);
            (column as f64 / (columns - 1) as f64, END * row as f64 / (rows - 1) as f64)
        })
        .unzip()
}

fn points(device: &Device) -> Points {
    let (x, t) = grid(16, 12);
    let (x_start, t_start) = (grid(33, 2).0[..33].to_vec(), vec![0.0; 33]);
    let (x_edge, t_edge) = grid(2, 17);
    [x, t, x_start, t_start, x_edge, t_edge].map(|data| column(data, device))
}

fn largest_error(network: &Network, device: &Device) -> f64 {
    let (x, t) = grid(27, 19);
    let found = u(network, &column(x.clone(), device).into(), &column(t.clone(), device).into());
    let found = found.to_data();
    let found = found.as_slice::<f32>().expect("the network computes in single precision");
    x.iter()
        .zip(t)
        .zip(found)
        .map(|((x, t), u)| (exact(*x, t) - f64::from(*u)).abs())
        .fold(0.0, f64::max)
}
