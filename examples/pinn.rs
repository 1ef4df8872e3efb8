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
//! The exit code tells whether the network came within 0.01 of sin at 1001 points, most of which lie
//! between those that it was trained at.
#![allow(clippy::print_stdout, reason = "a program")]

use std::f64::consts::PI;
use std::process::ExitCode;
use std::time::Instant;

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::cli::{Backend, Precision};
use shared::network::Network;

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
    let [ddu] = Gradient::of([&du.sum()]).constant().wrt([x]);
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
    for step in 0..arguments.steps {
        let loss: Tensor<1> = evaluate(|x: Var| loss(&network, &x), x.clone());
        if step % 1000 == 0 {
            println!("{step:>5}  loss {:.2e}", loss.clone().into_scalar::<f32>());
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        // From 0.01 down to 0.0001.
        let rate = 0.01 * 100f64.powf(-(step as f64) / arguments.steps as f64);
        network = adam.step(rate, network, gradients);
    }

    let error = largest_error(&network, grid(CHECKED, &device));
    let seconds = started.elapsed().as_secs_f64();
    println!("largest error against sin: {error:.2e}, after {seconds:.1} s");
    if error < 1e-2 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn largest_error(network: &Network, x: Tensor<2>) -> f32 {
    let found = u(network, &Var::from(&x)).to_data();
    let found = found.as_slice::<f32>().expect("the network computes in single precision");
    let x = x.into_data();
    let x = x.as_slice::<f32>().expect("the grid was made of such numbers");
    x.iter().zip(found).map(|(x, u)| (x.sin() - u).abs()).fold(0.0, f32::max)
}
