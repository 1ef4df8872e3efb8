//! `needs_input_grad`: a linear function that computes only the gradients that somebody asks for,
//! with a bias that may be left out, and a layer made of it.
//!
//! PyTorch's counterpart is a `torch.autograd.Function` named LinearFunction, whose backward asks
//! `ctx.needs_input_grad[i]`, and a `nn.Module` around it. Here `Saved::needs(i)` answers, fixed
//! when the function is applied, and an input is left out where `optional` allows it. The function
//! below counts what it computes; the library's `linear` and `Linear` are the same with kernels.
//!
//! Two mistakes of a layer that is often shown are not carried over:
//!
//! - it fills `self.bias` where `bias is not None`. But `bias` is the flag, and `False` is not
//!   `None`: a layer without bias fails when it is made;
//! - its bias gradient is `grad.sum(0).squeeze(0)`. The sum has the bias's shape `[outputs]` already;
//!   with one output the squeeze takes that dimension away, and the gradient no longer fits.
//!
//! `cargo run --example 07_linear -- --backend ndarray`
//!
//! Exit code: 0 if the gradients, and the counts, came out; 1 if not; 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{Device, Tensor};
use burn_autograd::ops::linear::LinearConfig;
use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{matrix, numbers, vector};

/// Shows that a gradient that nobody needs is not computed, and a layer whose bias is optional.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// x·Wᵀ + b. Counts the gradients that it computes, for x, W and b.
#[derive(Debug, Clone, Default)]
struct LinearFunction {
    computed: Arc<[AtomicUsize; 3]>,
}

impl LinearFunction {
    /// A gradient, if it is needed, and one more on its counter.
    fn count(&self, ctx: &Saved, input: usize, gradient: impl FnOnce() -> Var) -> Option<Var> {
        ctx.needs(input).then(|| {
            self.computed[input].fetch_add(1, Ordering::Relaxed);
            gradient()
        })
    }

    fn counts(&self) -> [usize; 3] {
        self.computed.each_ref().map(|counter| counter.load(Ordering::Relaxed))
    }
}

impl Function<3> for LinearFunction {
    fn optional(&self, input: usize) -> bool {
        input == 2
    }

    fn forward(&self, ctx: &mut Context, inputs: [Var; 3]) -> [Var; 1] {
        self.forward_partial(ctx, inputs.map(Some))
    }

    fn forward_partial(&self, ctx: &mut Context, inputs: [Option<Var>; 3]) -> [Var; 1] {
        let [Some(x), Some(weight), bias] = inputs else {
            unreachable!("only the bias is optional");
        };
        ctx.save([&x, &weight]);
        let product = x.matmul(&weight.transpose());
        [match bias {
            Some(bias) => product + bias.unsqueeze_dim(0),
            None => product,
        }]
    }

    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 3] {
        let [x, weight] = ctx.tensors();
        [
            self.count(&ctx, 0, || g.matmul(&weight)),
            self.count(&ctx, 1, || g.transpose().matmul(&x)),
            self.count(&ctx, 2, || g.sum_dim(0).squeeze_dim(0)),
        ]
    }
}

/// Which of x, W and b are tracked; a bias that is none is left out.
struct Case {
    name: &'static str,
    x: bool,
    weight: bool,
    bias: Option<bool>,
    counts: [usize; 3],
}

const CASES: [Case; 5] = [
    Case { name: "all tracked", x: true, weight: true, bias: Some(true), counts: [1, 1, 1] },
    Case {
        name: "a layer that learns",
        x: false,
        weight: true,
        bias: Some(true),
        counts: [0, 1, 1],
    },
    Case { name: "a frozen layer", x: true, weight: false, bias: Some(false), counts: [1, 0, 0] },
    Case { name: "without bias", x: true, weight: true, bias: None, counts: [1, 1, 0] },
    Case { name: "nothing tracked", x: false, weight: false, bias: Some(false), counts: [0; 3] },
];

// Small whole numbers and halves: every product and sum is exact in f32.
const X: [[f64; 3]; 2] = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
const WEIGHT: [[f64; 3]; 2] = [[1.0, 0.0, -1.0], [2.0, 1.0, 0.0]];
const BIAS: [f64; 2] = [0.5, -0.5];
/// The gradient of the output, in whose place a sum would have ones.
const GRAD: [[f64; 2]; 2] = [[1.0, 2.0], [3.0, 4.0]];

fn show(case: &Case, device: &Device, checks: &mut Checks) {
    let track = |tracked: bool, tensor: Tensor<2>| tensor.set_require_grad(tracked);
    let x = track(case.x, matrix(X, device));
    let weight = track(case.weight, matrix(WEIGHT, device));
    let bias = case.bias.map(|tracked| vector(&BIAS, device).set_require_grad(tracked));

    let function = LinearFunction::default();
    let y: Tensor<2> = function.apply_all((x.clone(), weight.clone(), bias.clone()));
    let library = linear(x.clone(), weight.clone(), bias.clone());
    let expected = if bias.is_some() { [-1.5, 3.5, -1.5, 12.5] } else { [-2.0, 4.0, -2.0, 13.0] };
    for (name, y) in [("function", &y), ("library", &library)] {
        checks.expect_all(format!("{}: y of the {name}", case.name), &numbers(y), &expected, 0.0);
    }

    for (name, y) in [("function", y), ("library", library)] {
        let name = format!("{}: {name}", case.name);
        let tracked = case.counts != [0; 3];
        checks.expect_equal(format!("{name}, tracked"), y.is_tracked(), tracked);
        if !tracked {
            continue;
        }
        let gradients = (y * matrix(GRAD, device)).sum().backward();
        let dx = x.grad(&gradients);
        let dw = weight.grad(&gradients);
        let db = bias.as_ref().and_then(|bias| bias.grad(&gradients));
        let found = [dx.as_ref().map(numbers), dw.as_ref().map(numbers), db.as_ref().map(numbers)];
        // ȳ·W, ȳᵀ·x, Σ ȳ.
        let expected: [&[f64]; 3] = [
            &[5.0, 2.0, -1.0, 11.0, 4.0, -3.0],
            &[13.0, 17.0, 21.0, 18.0, 24.0, 30.0],
            &[4.0, 6.0],
        ];
        for (index, (found, expected)) in found.into_iter().zip(expected).enumerate() {
            let expected = (case.counts[index] == 1).then(|| expected.to_vec());
            checks.expect_equal(format!("{name}, gradient {index}"), found, expected);
        }
    }
    let [x, weight, bias] = function.counts();
    println!("{}: gradients computed for x {x}, weight {weight}, bias {bias}", case.name);
    checks.expect_equal(format!("{}: counts", case.name), [x, weight, bias], case.counts);
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (device, _) = arguments.place.open();
    device.seed(0);
    let device = device.autodiff();
    let mut checks = Checks::new();
    for case in CASES {
        show(&case, &device, &mut checks);
    }

    // With one output the gradient of the bias keeps its only dimension.
    let function = LinearFunction::default();
    let bias = vector(&[0.5], &device).require_grad();
    let one: Tensor<2> =
        function.apply_all((matrix(X, &device), matrix([[1.0, 0.0, -1.0]], &device), bias.clone()));
    let gradient = bias.grad(&one.sum().backward()).expect("the output depends on the bias");
    println!("one output: the bias's gradient has the shape {:?}", gradient.dims());
    checks.expect_equal("shape of the bias's gradient", gradient.dims(), [1]);
    checks.expect_all("the bias's gradient", &numbers(&gradient), &[2.0], 0.0);

    // The layer: weights uniform in ±0.1, as PyTorch's `uniform_(-0.1, 0.1)`.
    let layer = LinearConfig::new(100, 50).init(&device);
    let weights = numbers(&layer.weight.val());
    let (low, high) = weights
        .iter()
        .fold((0.0f64, 0.0f64), |(low, high), weight| (low.min(*weight), high.max(*weight)));
    println!("{} weights from {low:.4} to {high:.4}", weights.len());
    checks.expect_that("all weights are within ±0.1", low >= -0.1 && high <= 0.1);
    // Of 5,000 uniform numbers none in the outer tenth of either side has odds of 0.95⁵⁰⁰⁰.
    checks.expect_that("the weights reach to both ends", low < -0.09 && high > 0.09);
    let biases = layer.bias.as_ref().map(|bias| numbers(&bias.val())).unwrap_or_default();
    checks.expect_equal("number of biases", biases.len(), 50);
    checks.expect_that("all biases are within ±0.1", biases.iter().all(|bias| bias.abs() <= 0.1));

    let without = LinearConfig::new(3, 2).with_bias(false).init(&device);
    checks.expect_that("a layer without bias has none", without.bias.is_none());
    let product = matrix(X, &device).matmul(without.weight.val().transpose());
    // Three terms below 0.6, rounded.
    let y = numbers(&without.forward(matrix(X, &device)));
    checks.expect_all("the layer without bias", &y, &numbers(&product), 1e-6);
    checks.finish("Only what is needed is computed, and it is right.")
}
