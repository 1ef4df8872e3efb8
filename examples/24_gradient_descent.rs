//! Gradient descent on f(x₁, x₂) = (x₁ − 10)² + (x₂ + 5)² from (1, 1) with the step size α = ½.
//!
//! The gradient is 2·(x₁ − 10, x₂ + 5), so that half of it leads to the minimum (10, −5) in one step,
//! and from there nowhere else. After each step the parameters are new leaves: the update is not part
//! of the next step's graph.
//!
//! Two things are wrong in the published version. It states the function with both signs reversed,
//! (x₁ + 10)² + (x₂ − 5)², whose minimum is (−10, 5). And it never sets the gradients to zero, which
//! PyTorch adds up from pass to pass: its parameters run around the minimum, and are back there after
//! its ten steps by chance. Both are shown. Here each pass returns gradients of its own, so that
//! there is nothing to set to zero.
//!
//! PyTorch's constructs: `f.backward()` in a loop, `x.data = x.data - alpha * x.grad`.
//!
//! `cargo run --example 24_gradient_descent -- --backend ndarray`
//!
//! Exit code: 0 if the numbers came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn::tensor::{Device, Tensor};
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{number, vector};

/// Gradient descent on a paraboloid.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// Steps of the descent.
const STEPS: usize = 10;
/// The step size.
const ALPHA: f64 = 0.5;

/// The parameters after each step on (x₁ − m₁)² + (x₂ − m₂)² from (1, 1).
fn descend(minimum: [f64; 2], accumulate: bool, device: &Device) -> Vec<[f64; 2]> {
    let mut x = [1.0, 1.0].map(|start| vector(&[start], device).require_grad());
    let mut sums: [Option<Tensor<1>>; 2] = [None, None];
    let mut path = Vec::new();
    for _ in 0..STEPS {
        let [x1, x2] = x.clone();
        let f = (x1 - minimum[0]).square() + (x2 - minimum[1]).square();
        let gradients = f.backward();
        let mut index = 0;
        x = x.map(|x| {
            let gradient = x.grad(&gradients).expect("f depends on it");
            let gradient = match sums[index].take().filter(|_| accumulate) {
                Some(sum) => sum + gradient,
                None => gradient,
            };
            sums[index] = Some(gradient.clone());
            index += 1;
            Tensor::from_inner(x.inner() - gradient * ALPHA).require_grad()
        });
        path.push(x.each_ref().map(number));
    }
    path
}

fn main() -> ExitCode {
    let (device, precision) = Arguments::parse().place.open();
    let device = device.autodiff();
    let mut checks = Checks::new();
    // Small integers, exact. WGSL may take a square as a power, whose error is that of exp2 and log2: of
    // numbers up to ten some fifteen roundings.
    let tolerance = precision.pick(0.0, 1e-5);
    let mut expect = |name: &str, path: &[[f64; 2]], expected: &[[f64; 2]]| {
        println!("{name}");
        for (step, x) in path.iter().enumerate() {
            println!("{:>2}  {x:?}", step + 1);
        }
        checks.expect_all(name, path.as_flattened(), expected.as_flattened(), tolerance);
    };

    let path = descend([10.0, -5.0], false, &device);
    expect("(x1 - 10)² + (x2 + 5)²", &path, &[[10.0, -5.0]; STEPS]);

    let path = descend([-10.0, 5.0], false, &device);
    expect("the function as it was stated: (x1 + 10)² + (x2 - 5)²", &path, &[[-10.0, 5.0]; STEPS]);

    let path = descend([10.0, -5.0], true, &device);
    let around = [
        [10.0, -5.0],
        [19.0, -11.0],
        [19.0, -11.0],
        [10.0, -5.0],
        [1.0, 1.0],
        [1.0, 1.0],
        [10.0, -5.0],
        [19.0, -11.0],
        [19.0, -11.0],
        [10.0, -5.0],
    ];
    expect("with gradients that add up, as they were published", &path, &around);

    checks.finish("The minimum (10, -5) is reached after one step, and kept.")
}
