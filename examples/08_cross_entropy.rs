//! Cross entropy: logits `[n, c]` and whole numbers as targets, one value for the mean of n rows.
//!
//! PyTorch's counterpart is a `torch.autograd.Function` named CrossEntropyLoss that saves the
//! probabilities p and the one-hot targets y, and returns no gradient for the targets. Here targets
//! are a field of the function: a tensor of integers has no gradient, so there is no place for one.
//! The library has the operation with kernels and PyTorch's options as `cross_entropy`, and
//! `CrossEntropyLoss` as a module.
//!
//! What is often printed with it does not run or does not agree with itself:
//!
//! - it is applied to `x` and `target`, while the tensors are called `logits` and `targets`, and `F` is
//!   never imported;
//! - p − y is called the gradient. That belongs to the *sum* of the rows' losses; that of the mean is
//!   (p − y) ⁄ n. Both are printed below.
//!
//! Its formula for the loss, ln of the softmax, is not what should be computed: with logits of 10⁴ the
//! exponentials overflow. ln softmax is computed as one, here and in the library.
//!
//! `cargo run --example 08_cross_entropy -- --backend ndarray`
//!
//! Exit code: 0 if PyTorch's numbers came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn::tensor::{Int, Tensor, activation};
use burn_autograd::ops::cross_entropy::{CrossEntropyLossConfig, Reduction};
use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{matrix, number, numbers};

/// The cross entropy of logits and integer targets, its gradient, and its stability.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// The mean of −ln softmax at the targets.
#[derive(Debug, Clone)]
struct CrossEntropy {
    targets: Tensor<1, Int>,
}

impl CrossEntropy {
    fn one_hot(&self, classes: usize) -> Var {
        self.targets.clone().one_hot::<2>(classes).float().into()
    }
}

impl Function<1> for CrossEntropy {
    fn forward(&self, ctx: &mut Context, [logits]: [Var; 1]) -> [Var; 1] {
        let [n, classes] = logits.shape().dims();
        let ln_p = logits.log_softmax(1);
        ctx.save([&ln_p.exp()]);
        [-(self.one_hot(classes) * ln_p).sum() / n as f64]
    }

    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [p] = ctx.tensors();
        let [n, classes] = p.shape().dims();
        [Some(g.reshape([1, 1]) * (p - self.one_hot(classes)) / n as f64)]
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (device, precision) = arguments.place.open();
    let device = device.autodiff();
    let leaf = |rows| matrix::<2, 3>(rows, &device).require_grad();
    let targets = || Tensor::<1, Int>::from_ints([0, 0], &device);
    let mut checks = Checks::new();
    // In f64 a few roundings. In f32 wgpu's exp and ln may be off by some units of 10⁻⁷.
    let tolerance = precision.pick(1e-14, 1e-6);

    // The mean of two rows.
    let rows = [[0.2, 0.3, 0.9], [0.2, 0.3, 0.9]];
    let expected_loss = 1.415591873292751;
    let [to_target, to_second, to_third] = [-0.3786090626, 0.1341577337, 0.2444513289];
    let expected = [to_target, to_second, to_third].repeat(2);
    // Ten digits are given.
    let printed = precision.pick(5e-11, 1e-6);

    let module = CrossEntropyLossConfig::new().init(&device);
    let function = |logits: Tensor<2>| CrossEntropy { targets: targets() }.apply_all(logits);
    let ways: [(&str, &dyn Fn(Tensor<2>) -> Tensor<1>); 3] = [
        ("the function above", &function),
        ("the library's operation", &|logits| cross_entropy(logits, targets())),
        ("the library's module", &|logits| module.forward(logits, targets())),
    ];
    for (name, loss) in ways {
        let logits = leaf(rows);
        let loss = loss(logits.clone());
        let gradient = logits.grad(&loss.backward()).expect("the loss depends on the logits");
        println!("{name}: loss {}, gradient {:?}", number(&loss), numbers(&gradient));
        checks.expect(format!("{name}, loss"), number(&loss), expected_loss, tolerance);
        checks.expect_all(format!("{name}, gradient"), &numbers(&gradient), &expected, printed);
    }

    // p − y is the gradient of the sum.
    let sum = CrossEntropyLossConfig::new().with_reduction(Reduction::Sum).init(&device);
    let logits = leaf(rows);
    let loss = sum.forward(logits.clone(), targets());
    let of_sum = numbers(&logits.grad(&loss.backward()).expect("the loss depends on the logits"));
    println!("the sum instead of the mean: loss {}, gradient {of_sum:?}", number(&loss));
    let p = numbers(&activation::softmax(matrix(rows, &device), 1));
    let p_minus_y: Vec<f64> =
        p.iter().enumerate().map(|(i, p)| if i % 3 == 0 { p - 1.0 } else { *p }).collect();
    println!("p − y: {p_minus_y:?}");
    checks.expect("the sum's loss", number(&loss), 2.0 * expected_loss, 2.0 * tolerance);
    checks.expect_all("the sum's gradient, p − y", &of_sum, &p_minus_y, 2.0 * tolerance);
    let twice: Vec<f64> = expected.iter().map(|gradient| 2.0 * gradient).collect();
    checks.expect_all("the sum's gradient, 2 ×", &of_sum, &twice, 2.0 * printed);

    // Logits of ±10⁴: the first row is certain and right, the second certain and wrong by 2·10⁴.
    let large = [[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]];
    for (name, loss) in ways {
        let logits = leaf(large);
        let loss = loss(logits.clone());
        let gradient = logits.grad(&loss.backward()).expect("the loss depends on the logits");
        println!("±1e4, {name}: loss {}, gradient {:?}", number(&loss), numbers(&gradient));
        checks.expect(format!("±1e4, {name}, loss"), number(&loss), 1e4, 0.0);
        let expected = [0.0, 0.0, 0.0, -0.5, 0.5, 0.0];
        checks.expect_all(format!("±1e4, {name}, gradient"), &numbers(&gradient), &expected, 0.0);
    }
    let e: Tensor<2> = matrix(large, &device).exp();
    let naive = number(&-(e.clone() / e.sum_dim(1)).log().slice([0..2, 0..1]).mean());
    println!("±1e4, by the formula: loss {naive}");
    checks.expect_that("the formula fails at ±1e4", naive.is_nan() || (naive - 1e4).abs() >= 1.0);
    checks.finish("These are PyTorch's numbers.")
}
