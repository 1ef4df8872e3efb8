//! How far values and gradients are from the exact ones, in units in the last place: the numbers that
//! each operation's documentation states.
//!
//! The reference is computed with 256 bits (77 decimal digits) from the very numbers that the device
//! got. An error is counted in units in the last place of the result's *scale*: of the result itself
//! where no terms cancel (exp, relu, a product), and of the sum of the terms' magnitudes where they may
//! (a polynomial near its root), for no evaluation in the working precision can do better there.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_autograd::gradcheck::SplitMix64;
use burn_autograd::ops::cross_entropy::cross_entropy_unreduced;
use burn_autograd::ops::prelude::*;
use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;

use crate::devices::{cpu, numbers, tensor};

pub(crate) type Exact = FBig<HalfEven, 2>;

pub(crate) fn exact(x: f64) -> Exact {
    Exact::try_from(x).expect("a finite number").with_precision(256).value()
}

/// A value and the scale at which its error is counted.
type Scaled = (Exact, f64);

/// One that is its own scale.
fn itself(value: Exact) -> Scaled {
    let scale = value.to_f64().value().abs();
    (value, scale)
}

/// A sum of terms.
fn sum(terms: Vec<Exact>) -> Scaled {
    let scale = terms.iter().map(|term| term.to_f64().value().abs()).sum();
    (terms.into_iter().fold(exact(0.0), |sum, term| sum + term), scale)
}

/// One unit in the last place of a number of this size.
pub(crate) fn unit(scale: f64, dtype: DType) -> f64 {
    let (digits, least) = if dtype == DType::F32 { (24, -126) } else { (53, -1022) };
    let exponent = if scale == 0.0 { least } else { (scale.log2().floor() as i32).max(least) };
    // `powi` would go through the reciprocal of an overflow.
    2f64.powf(f64::from(exponent + 1 - digits))
}

fn worst(found: Vec<f64>, expected: &[Scaled], dtype: DType) -> f64 {
    assert_eq!(found.len(), expected.len());
    let error = |(found, (value, scale)): (f64, &Scaled)| {
        let error = (exact(found) - value.clone()).to_f64().value().abs();
        error / unit(*scale, dtype)
    };
    found.into_iter().zip(expected).map(error).fold(0.0, f64::max)
}

type Operation = fn(&[Tensor<1>]) -> Tensor<1>;

/// The exact values, and the exact gradient of every input.
type Reference = fn(&[Vec<f64>], &[f64]) -> (Vec<Scaled>, Vec<Vec<Scaled>>);

struct Measured {
    name: &'static str,
    operation: Operation,
    reference: Reference,
    /// The length and the range of each input, in `f32` and in `f64`.
    inputs: Vec<(usize, [(f64, f64); 2])>,
    /// What the documentation promises, for values and for gradients: at most one unit for each rounding
    /// on the longest way from an input to the result, and 2 for eˣ.
    bounds: (f64, f64),
    /// What it says was measured: the worst of `f32` and `f64` on every backend, rounded to a tenth.
    measured: (f64, f64),
}

const COUNT: usize = 4096;

/// Of a linear layer; the rows also of a cross entropy.
const ROWS: usize = 24;
const INNER: usize = 67;
const OUTER: usize = 33;

/// Of a cross entropy.
const CLASSES: usize = 130;

/// The target of a row.
fn class(row: usize) -> usize {
    row * 37 % CLASSES
}

fn each(count: usize, of: impl Fn(usize) -> Scaled) -> Vec<Scaled> {
    (0..count).map(of).collect()
}

fn operations() -> Vec<Measured> {
    let wide = |range| (COUNT, [range, range]);
    vec![
        Measured {
            name: "legendre_p3",
            operation: |x| legendre_p3(x[0].clone()),
            reference: |x, g| {
                let x: Vec<Exact> = x[0].iter().map(|x| exact(*x)).collect();
                let value = |i: usize| {
                    let cube = &x[i] * &x[i] * &x[i];
                    sum(vec![cube * exact(2.5), &x[i] * exact(-1.5)])
                };
                let slope = |i: usize| {
                    let g = exact(g[i]);
                    sum(vec![&x[i] * &x[i] * exact(7.5) * &g, g * exact(-1.5)])
                };
                (each(COUNT, value), vec![each(COUNT, slope)])
            },
            inputs: vec![wide((-3.0, 3.0))],
            bounds: (4.0, 4.0),
            measured: (1.7, 1.8),
        },
        Measured {
            name: "relu",
            operation: |x| relu(x[0].clone()),
            reference: |x, g| {
                let on = |i: usize| x[0][i] > 0.0;
                let value = |i: usize| itself(exact(if on(i) { x[0][i] } else { 0.0 }));
                let slope = |i: usize| itself(exact(if on(i) { g[i] } else { 0.0 }));
                (each(COUNT, value), vec![each(COUNT, slope)])
            },
            inputs: vec![wide((-3.0, 3.0))],
            bounds: (0.0, 0.0),
            measured: (0.0, 0.0),
        },
        Measured {
            name: "exp",
            operation: |x| exp(x[0].clone()),
            reference: |x, g| {
                let y: Vec<Exact> = x[0].iter().map(|x| exact(*x).exp()).collect();
                let slope = |i: usize| itself(&y[i] * exact(g[i]));
                (each(COUNT, |i| itself(y[i].clone())), vec![each(COUNT, slope)])
            },
            inputs: vec![(COUNT, [(-87.0, 88.0), (-708.0, 709.0)])],
            // The gradient multiplies the rounded value once more.
            bounds: (2.0, 3.0),
            measured: (0.9, 1.5),
        },
        Measured {
            name: "multiply_add",
            operation: |x| multiply_add(x[0].clone(), x[1].clone(), x[2].clone()),
            reference: |x, g| {
                let product = |a: f64, b: f64| itself(exact(a) * exact(b));
                let value = |i: usize| sum(vec![exact(x[0][i]) * exact(x[1][i]), exact(x[2][i])]);
                let gradients = vec![
                    each(COUNT, |i| product(g[i], x[1][i])),
                    each(COUNT, |i| product(g[i], x[0][i])),
                    each(COUNT, |i| itself(exact(g[i]))),
                ];
                (each(COUNT, value), gradients)
            },
            inputs: vec![wide((-3.0, 3.0)), wide((-3.0, 3.0)), wide((-3.0, 3.0))],
            bounds: (2.0, 0.5),
            measured: (1.0, 0.5),
        },
        Measured {
            name: "linear",
            operation: |x| {
                let (rows, weight) =
                    (x[0].clone().reshape([ROWS, INNER]), x[1].clone().reshape([OUTER, INNER]));
                linear(rows, weight, Some(x[2].clone())).reshape([ROWS * OUTER])
            },
            reference: |x, g| {
                let [rows, weight, bias] = [0, 1, 2]
                    .map(|k| x[k].iter().map(|value| exact(*value)).collect::<Vec<Exact>>());
                let g: Vec<Exact> = g.iter().map(|value| exact(*value)).collect();
                let value = |at: usize| {
                    let (row, column) = (at / OUTER, at % OUTER);
                    let term = |k: usize| &rows[row * INNER + k] * &weight[column * INNER + k];
                    sum((0..INNER).map(term).chain([bias[column].clone()]).collect())
                };
                let of_rows = |at: usize| {
                    let (row, k) = (at / INNER, at % INNER);
                    let term = |o: usize| &g[row * OUTER + o] * &weight[o * INNER + k];
                    sum((0..OUTER).map(term).collect())
                };
                let of_weight = |at: usize| {
                    let (o, k) = (at / INNER, at % INNER);
                    let term = |row: usize| &g[row * OUTER + o] * &rows[row * INNER + k];
                    sum((0..ROWS).map(term).collect())
                };
                let of_bias =
                    |o: usize| sum((0..ROWS).map(|row| g[row * OUTER + o].clone()).collect());
                let gradients = vec![
                    each(ROWS * INNER, of_rows),
                    each(OUTER * INNER, of_weight),
                    each(OUTER, of_bias),
                ];
                (each(ROWS * OUTER, value), gradients)
            },
            inputs: vec![
                (ROWS * INNER, [(-2.0, 2.0); 2]),
                (OUTER * INNER, [(-2.0, 2.0); 2]),
                (OUTER, [(-2.0, 2.0); 2]),
            ],
            // A product and an addition for each term.
            bounds: (INNER as f64 + 1.0, OUTER as f64),
            measured: (1.5, 1.8),
        },
        Measured {
            name: "polynomial",
            operation: |x| polynomial(x[0].clone(), x[1].clone()),
            reference: |x, g| {
                let xs: Vec<Exact> = x[0].iter().map(|x| exact(*x)).collect();
                let power = |i: usize, k: usize| (0..k).fold(exact(1.0), |p, _| p * &xs[i]);
                let c: Vec<Exact> = x[1].iter().map(|c| exact(*c)).collect();
                let value = |i: usize| sum((0..c.len()).map(|k| &c[k] * power(i, k)).collect());
                let slope = |i: usize| {
                    let term = |k: usize| &c[k] * exact(k as f64) * power(i, k - 1) * exact(g[i]);
                    sum((1..c.len()).map(term).collect())
                };
                let of_c = |k: usize| sum((0..COUNT).map(|i| power(i, k) * exact(g[i])).collect());
                (each(COUNT, value), vec![each(COUNT, slope), each(c.len(), of_c)])
            },
            inputs: vec![wide((-2.0, 2.0)), (4, [(-2.0, 2.0); 2])],
            // Two roundings for each of three steps; in the backward one more for k·cₖ and one for ȳ.
            // Of the coefficients' sums in f64 over 4,096 terms: 3 roundings of the power, and those
            // of 4096 / 32 + 32 additions, whose signs are random, so that 16 are far beyond them.
            bounds: (6.0, 16.0),
            measured: (1.1, 1.9),
        },
        Measured {
            name: "sum_squared_error",
            operation: |x| sum_squared_error(x[0].clone(), x[1].clone()),
            reference: |x, g| {
                let difference = |i: usize| exact(x[0][i]) - exact(x[1][i]);
                let square = |i: usize| difference(i) * difference(i);
                let slope = |i: usize, sign: f64| itself(difference(i) * exact(sign * 2.0 * g[0]));
                let gradients =
                    vec![each(COUNT, |i| slope(i, 1.0)), each(COUNT, |i| slope(i, -1.0))];
                (vec![sum((0..COUNT).map(square).collect())], gradients)
            },
            inputs: vec![wide((-3.0, 3.0)), wide((-3.0, 3.0))],
            // The difference twice and the result once; in f64 the roundings of the squares and of the
            // additions are random, and 4,096 terms are too few for them to add up.
            bounds: (2.5, 1.5),
            measured: (0.5, 1.2),
        },
        Measured {
            name: "cross_entropy",
            operation: |x| {
                let logits = x[0].clone().reshape([ROWS, CLASSES]);
                let classes: Vec<i64> = (0..ROWS).map(|row| class(row) as i64).collect();
                let targets = Tensor::<1, Int>::from_data(
                    TensorData::new(classes, [ROWS]),
                    &logits.device().inner(),
                );
                cross_entropy_unreduced(logits, targets, &CrossEntropyOptions::default())
            },
            reference: |x, g| {
                let x: Vec<Exact> = x[0].iter().map(|x| exact(*x)).collect();
                let exps: Vec<Exact> = x.iter().map(Exact::exp).collect();
                let sums: Vec<Exact> = exps
                    .chunks(CLASSES)
                    .map(|row| row.iter().fold(exact(0.0), |sum, term| sum + term))
                    .collect();
                let loss = |row: usize| itself(sums[row].ln() - &x[row * CLASSES + class(row)]);
                let slope = |at: usize| {
                    let (row, g) = (at / CLASSES, exact(g[at / CLASSES]));
                    let term = &exps[at] * &g / &sums[row];
                    if at % CLASSES == class(row) { sum(vec![term, -g]) } else { itself(term) }
                };
                (each(ROWS, loss), vec![each(ROWS * CLASSES, slope)])
            },
            inputs: vec![(ROWS * CLASSES, [(-10.0, 10.0); 2])],
            // x − m is off by up to half a unit of 16, and its exponential by sixteen of the smallest units
            // that a number can have; the exponential adds 2, the sum 2, two products 1 each.
            bounds: (22.0, 22.0),
            measured: (0.8, 17.4),
        },
    ]
}

/// A number that the data type holds exactly, with all its digits.
pub(crate) fn number(random: &mut SplitMix64, low: f64, high: f64, dtype: DType) -> f64 {
    // The generator's own are multiples of 2⁻¹²: sums and products of those would be exact.
    let part = (random.next_u64() >> 11) as f64 / 2f64.powi(53);
    let value = low + (high - low) * part;
    if dtype == DType::F32 { f64::from(value as f32) } else { value }
}

fn measure(case: &Measured, device: &Device, dtype: DType) -> (f64, f64) {
    let mut random = SplitMix64::new(7);
    let column = usize::from(dtype == DType::F64);
    let data: Vec<Vec<f64>> = case
        .inputs
        .iter()
        .map(|(count, ranges)| {
            let (low, high) = ranges[column];
            (0..*count).map(|_| number(&mut random, low, high, dtype)).collect()
        })
        .collect();
    let device = device.clone().autodiff();
    let leaves: Vec<Tensor<1>> =
        data.iter().map(|data| tensor([data.len()], data, &device, dtype).require_grad()).collect();
    let output = (case.operation)(&leaves);
    let count = output.dims()[0];
    let cotangent: Vec<f64> = (0..count).map(|_| number(&mut random, 0.5, 1.5, dtype)).collect();
    let (values, gradients) = (case.reference)(&data, &cotangent);
    let grads = (output.clone() * tensor([count], &cotangent, &device, dtype)).sum().backward();
    let forward = worst(numbers(output), &values, dtype);
    let backward = leaves.iter().zip(&gradients).map(|(leaf, expected)| {
        worst(numbers(leaf.grad(&grads).expect("it is tracked")), expected, dtype)
    });
    (forward, backward.fold(0.0, f64::max))
}

/// The most that can have been rounded to these tenths.
pub(crate) fn unrounded((values, gradients): (f64, f64)) -> (f64, f64) {
    // Half a unit of the last digit.
    (values + 0.05, gradients + 0.05)
}

/// Measures every case on every CPU backend in `f32` and `f64`, and panics if an error is larger
/// than `documented` says: a case's name, and the most for values and for gradients.
#[track_caller]
pub(crate) fn assert_documented<C>(
    cases: &[C],
    measure: impl Fn(&C, &Device, DType) -> (f64, f64),
    documented: impl Fn(&C) -> (&'static str, (f64, f64)),
) {
    let mut failed = Vec::new();
    for device in cpu() {
        for case in cases {
            let (name, most) = documented(case);
            for dtype in [DType::F32, DType::F64] {
                let (forward, backward) = measure(case, &device, dtype);
                let line = format!("{name:<18} {dtype:?} {forward:.2} {backward:.2}");
                println!("{line}  {device:?}");
                if forward > most.0 || backward > most.1 {
                    failed.push(line);
                }
            }
        }
    }
    assert!(failed.is_empty(), "beyond what the documentation states: {failed:#?}");
}

#[test]
fn values_and_gradients_are_as_accurate_as_documented() {
    println!("worst error in units in the last place of the result's scale: value, gradient");
    assert_documented(&operations(), measure, |case| {
        let measured = unrounded(case.measured);
        (case.name, (case.bounds.0.min(measured.0), case.bounds.1.min(measured.1)))
    });
}
