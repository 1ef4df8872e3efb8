//! A custom operation in a training loop: fits y = a + b·P₃(c + d·x) to sin(x) by gradient descent,
//! where P₃ is the third Legendre polynomial with its own backward.
//!
//! PyTorch's counterpart is a `torch.autograd.Function` named LegendrePolynomial3. There, as here,
//! the parameters are updated by hand. Start: (a, b, c, d) = (0, −1, 0, 0.3); 2,000 steps at the
//! learning rate 5·10⁻⁶ over 2,000 points of [−π, π].
//!
//! `cargo run --release --example 03_legendre_p3 -- --backend ndarray --dtype f32`
//!
//! The exit code tells whether the numbers of PyTorch's own run came out.
#![allow(deprecated, clippy::print_stdout, clippy::print_stderr, reason = "a program; and NdArray")]

use std::f64::consts::PI;
use std::process::ExitCode;

use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_autograd::ops::legendre_p3::legendre_p3;
use clap::{Parser, ValueEnum};

/// Without it the loop spends its time in the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Backend {
    Flex,
    Ndarray,
    Wgpu,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Precision {
    F32,
    F64,
}

/// Fits y = a + b·P₃(c + d·x) to sin(x).
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to compute.
    #[arg(long, value_enum, default_value_t = Backend::Flex)]
    backend: Backend,
    /// In which precision [default: f64, on wgpu f32].
    #[arg(long, value_enum)]
    dtype: Option<Precision>,
}

const POINTS: usize = 2000;
const STEPS: usize = 2000;
const LEARNING_RATE: f64 = 5e-6;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let device = match arguments.backend {
        Backend::Flex => Device::flex(),
        Backend::Ndarray => Device::ndarray(),
        Backend::Wgpu => Device::wgpu(Default::default()),
    };
    let precision = arguments.dtype.unwrap_or(match arguments.backend {
        Backend::Wgpu => Precision::F32,
        _ => Precision::F64,
    });
    let dtype = match precision {
        Precision::F32 => DType::F32,
        Precision::F64 => DType::F64,
    };
    if !device.supports_dtype(dtype) {
        eprintln!("{:?} does not compute in {dtype:?}; try --dtype f32", arguments.backend);
        return ExitCode::from(2);
    }

    let fit = fit(&device.autodiff(), dtype);
    let [a, b, c, d] = fit.parameters;
    println!("Result: y = {a} + {b} * P3({c} + {d} x)");
    check(&fit, precision)
}

/// What came out: the loss at every hundredth step, and the parameters.
#[derive(Debug)]
struct Fit {
    losses: Vec<(usize, f64)>,
    parameters: [f64; 4],
}

fn fit(device: &Device, dtype: DType) -> Fit {
    let grid: Vec<f64> =
        (0..POINTS).map(|i| -PI + 2.0 * PI * i as f64 / (POINTS - 1) as f64).collect();
    let sine: Vec<f64> = grid.iter().map(|x| x.sin()).collect();
    let vector = |data: Vec<f64>| {
        let shape = [data.len()];
        Tensor::<1>::from_data(TensorData::new(data, shape), (device, dtype))
    };
    let (x, y) = (vector(grid), vector(sine));
    let mut parameters = [0.0, -1.0, 0.0, 0.3].map(|start| vector(vec![start]).require_grad());

    let mut losses = Vec::new();
    for step in 0..STEPS {
        let [a, b, c, d] = parameters.clone();
        let prediction = a + b * legendre_p3(c + d * x.clone());
        let loss = (prediction - y.clone()).square().sum();
        if step % 100 == 99 {
            let value = number(loss.clone());
            println!("{step} {value}");
            losses.push((step, value));
        }

        let gradients = loss.backward();
        parameters = parameters.map(|parameter| {
            let gradient = parameter.grad(&gradients).expect("the loss depends on it");
            // A new leaf: the update is not part of the next step's graph.
            Tensor::from_inner(parameter.inner() - gradient * LEARNING_RATE).require_grad()
        });
    }
    Fit { losses, parameters: parameters.map(number) }
}

fn number(tensor: Tensor<1>) -> f64 {
    tensor.into_data().convert_dtype(DType::F64).as_slice::<f64>().expect("it was converted")[0]
}

/// Not a number is close to nothing.
fn close(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() <= tolerance
}

/// Compares with what PyTorch computed.
fn check(fit: &Fit, precision: Precision) -> ExitCode {
    // In f64 the printed digits hold. In f32 the loss is a sum of 2,000 terms of about 5·10⁻³,
    // each off by some 10⁻⁷ of its size, and the descent contracts what earlier steps were off by:
    // five digits hold whatever the order of the sums.
    let (loss_tolerance, tolerance) = match precision {
        Precision::F64 => (5e-7, 5e-11),
        Precision::F32 => (2e-3, 2e-5),
    };
    let losses = [(99, 209.958385), (499, 50.978558), (999, 14.877818), (1999, 8.943643)];
    let parameters = [("a", 0.0), ("b", -2.2085264152), ("c", 0.0), ("d", 0.2554861125)];
    let mut wrong = Vec::new();
    for (step, expected) in losses {
        let found = fit.losses.iter().find(|(at, _)| *at == step).map_or(f64::NAN, |loss| loss.1);
        if !close(found, expected, loss_tolerance) {
            wrong.push(format!("loss at {step}: expected {expected}, got {found}"));
        }
    }
    for ((name, expected), found) in parameters.into_iter().zip(fit.parameters) {
        if !close(found, expected, tolerance) {
            wrong.push(format!("{name}: expected {expected}, got {found}"));
        }
    }
    if wrong.is_empty() {
        println!("These are PyTorch's numbers.");
        return ExitCode::SUCCESS;
    }
    for line in wrong {
        eprintln!("{line}");
    }
    ExitCode::FAILURE
}
