//! Reverse accumulation on tensors: y·(x² − x·y + y) from three custom functions of two inputs each,
//! with a weight for every element of the result.
//!
//! The result has several elements, so that a backward pass needs to be told how much each counts: the
//! cotangent. With Burn's `backward()` it is a factor of the loss; `vjp` takes it as it is, and can be
//! asked again with another.
//!
//! PyTorch's constructs: three `torch.autograd.Function`s, and
//! `func.backward(torch.tensor([1, 1]), retain_graph=False)`.
//!
//! `cargo run --example 18_multiply_plus_minus -- --backend ndarray`
//!
//! Exit code: 0 if the numbers came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{numbers, vector};

/// Reverse accumulation by custom functions.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// a·b, with derivatives b and a.
#[derive(Debug, Clone)]
struct Multiply;

impl Function<2> for Multiply {
    fn forward(&self, ctx: &mut Context, [a, b]: [Var; 2]) -> [Var; 1] {
        ctx.save([&a, &b]);
        [a * b]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 2] {
        let [a, b] = ctx.tensors();
        [Some(&g * b), Some(g * a)]
    }
}

/// a + b, with derivatives 1 and 1: nothing has to be saved.
#[derive(Debug, Clone)]
struct Plus;

impl Function<2> for Plus {
    fn forward(&self, _: &mut Context, [a, b]: [Var; 2]) -> [Var; 1] {
        [a + b]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 2] {
        [Some(g.clone()), Some(g)]
    }
}

/// a − b, with derivatives 1 and −1.
#[derive(Debug, Clone)]
struct Minus;

impl Function<2> for Minus {
    fn forward(&self, _: &mut Context, [a, b]: [Var; 2]) -> [Var; 1] {
        [a - b]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 2] {
        [Some(g.clone()), Some(-g)]
    }
}

fn main() -> ExitCode {
    let (device, _) = Arguments::parse().place.open();
    let mut checks = Checks::new();

    // Tensors that Burn tracks: `apply`, then Burn's backward pass.
    let tracked = device.clone().autodiff();
    let x = vector(&[3.0, 3.0], &tracked).require_grad();
    let y = vector(&[2.0, 2.0], &tracked).require_grad();
    let xx = Multiply.apply([x.clone(), x.clone()]);
    let xy = Multiply.apply([x.clone(), y.clone()]);
    let inner = Plus.apply([Minus.apply([xx, xy]), y.clone()]);
    let func = Multiply.apply([y.clone(), inner]);
    println!("func value: {:?}", numbers(&func));
    checks.expect_all("value", &numbers(&func), &[10.0, 10.0], 0.0);

    let cotangent = vector(&[1.0, 1.0], &tracked);
    let gradients = (func * cotangent).sum().backward();
    for (name, leaf, expected) in [("x", &x, [8.0, 8.0]), ("y", &y, [1.0, 1.0])] {
        let found = leaf.grad(&gradients).map(|grad| numbers(&grad)).unwrap_or_default();
        println!("partial {name}: {found:?}");
        checks.expect_all(format!("partial {name}"), &found, &expected, 0.0);
    }

    // The same functions in a transform: `call`, and one cotangent after another.
    let f = |[x, y]: [Var; 2]| {
        let xx = Multiply.call([x.clone(), x.clone()]);
        let xy = Multiply.call([x, y.clone()]);
        let inner = Plus.call([Minus.call([xx, xy]), y.clone()]);
        Multiply.call([y, inner])
    };
    let (value, pullback) = vjp(f, [x.inner(), y.inner()]);
    checks.expect_all("value by vjp", &numbers(&value), &[10.0, 10.0], 0.0);
    let cases = [([1.0, 1.0], [8.0, 8.0], [1.0, 1.0]), ([1.0, 10.0], [8.0, 80.0], [1.0, 10.0])];
    for (cotangent, dx, dy) in cases {
        let [found_x, found_y] = pullback.apply(vector(&cotangent, &device));
        println!("cotangent {cotangent:?}: {:?}, {:?}", numbers(&found_x), numbers(&found_y));
        checks.expect_all(
            format!("partial x, cotangent {cotangent:?}"),
            &numbers(&found_x),
            &dx,
            0.0,
        );
        checks.expect_all(
            format!("partial y, cotangent {cotangent:?}"),
            &numbers(&found_y),
            &dy,
            0.0,
        );
    }

    checks.finish("The value is 10, the partial derivatives are 8 and 1, in both elements.")
}
