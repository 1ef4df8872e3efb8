//! What the engine costs beside the arithmetic: a [`Function`] against Burn's own operation, and a
//! second derivative against a first.

use burn::tensor::{Device, Distribution, Tensor};
use burn_autograd::prelude::*;
use serde_json::json;

use crate::Arguments;
use crate::measure::{Step, race};

/// x ↦ eˣ as a [`Function`] without a kernel.
#[derive(Debug, Clone)]
struct Exponential;

impl Function<1> for Exponential {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        let y = x.exp();
        ctx.save([&y]);
        [y]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [y] = ctx.into_tensors();
        [Some(g * y)]
    }
}

/// x ↦ P₃(x) as a [`Function`] without a kernel.
#[derive(Debug, Clone)]
struct LegendreP3;

impl Function<1> for LegendreP3 {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        ctx.save([&x]);
        [0.5 * (5.0 * x.powi(3) - 3.0 * x)]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [x] = ctx.tensors();
        [Some(g * 1.5 * (5.0 * x.powi(2) - 1.0))]
    }
}

fn p3(x: Var) -> Var {
    LegendreP3.call([x])
}

/// Two things to compare, on one argument.
struct Row {
    name: &'static str,
    /// Whether Burn tracks the argument.
    tracked: bool,
    first: fn(Tensor<1>) -> Tensor<1>,
    second: fn(Tensor<1>) -> Tensor<1>,
}

/// The gradient of the sum, through Burn's graph.
fn backward(x: &Tensor<1>, y: &Tensor<1>) -> Tensor<1> {
    x.grad(&y.backward()).expect("x is tracked")
}

const ROWS: [Row; 3] = [
    Row {
        name: "exp: Function, Burn's own",
        tracked: true,
        first: |x| backward(&x, &Exponential.apply([x.clone()])),
        second: |x| backward(&x, &x.clone().exp()),
    },
    Row {
        name: "P3: second derivative, first",
        tracked: false,
        first: |x| nth_derivative(p3, x, 2),
        second: |x| nth_derivative(p3, x, 1),
    },
    Row {
        name: "P3: grad + backward, forward + backward",
        tracked: true,
        first: |x| backward(&x, &grad(|x: Var| p3(x).sum(), x.clone())),
        second: |x| backward(&x, &LegendreP3.apply([x.clone()])),
    },
];

/// Measures the rows that are asked for, and gives their number.
pub(crate) fn run(arguments: &Arguments, devices: &[(&'static str, Device)]) -> usize {
    let mut rows = 0;
    for row in &ROWS {
        for (backend, device) in devices {
            for size in [2_000, 100_000] {
                let workload = format!("{}/{size}", row.name);
                let name = format!("{backend}/{workload}");
                if !arguments.wants(&name) {
                    continue;
                }
                rows += 1;
                if arguments.list {
                    println!("{name}");
                    continue;
                }
                if rows == 1 && !arguments.json {
                    println!(
                        "\n{:<60} {:>10} {:>10} {:>7}",
                        "engine, f32", "µs", "against", "ratio"
                    );
                }
                let x = Tensor::<1>::random([size], Distribution::Uniform(-2.0, 2.0), device);
                let x = if row.tracked { x.require_grad() } else { x };
                let forms = [row.first, row.second].map(|run| {
                    let x = x.clone();
                    vec![(String::new(), Step::new(move || run(x.clone())))]
                });
                let [Some(first), Some(second)] = race(forms, device) else {
                    unreachable!("each has a form");
                };
                if arguments.json {
                    let row = json!({
                        "engine": workload,
                        "backend": backend,
                        "first": first.json(),
                        "second": second.json(),
                    });
                    println!("{row}");
                } else {
                    println!(
                        "{name:<60} {:>10.1} {:>10.1} {:>7.2}",
                        first.micros(),
                        second.micros(),
                        first.median / second.median,
                    );
                }
            }
        }
    }
    rows
}
