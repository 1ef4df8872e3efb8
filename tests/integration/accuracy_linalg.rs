//! How far the linear algebra is from the exact results, in units in the last place of the largest number
//! of a result: the numbers that its documentation states, for matrices whose condition is good. (What
//! holds for any matrix are bounds of residuals, in `linalg`.)
//!
//! The reference is computed with 256 bits (77 decimal digits) from the very numbers that the device got.

use burn::tensor::{DType, Device, Tensor};
use burn_autograd::gradcheck::SplitMix64;
use burn_autograd::ops::prelude::*;
use burn_autograd::ops::trace::trace;

use crate::accuracy::{Exact, assert_documented, exact, number, unit, unrounded};
use crate::devices::{numbers, tensor};

/// The size of the matrices.
const N: usize = 6;
const BATCH: usize = 20;

/// One matrix, row by row.
type Matrix = Vec<Exact>;

fn product(a: &[Exact], b: &[Exact], inner: usize) -> Matrix {
    let (rows, columns) = (a.len() / inner, b.len() / inner);
    let entry = |place: usize| {
        let (row, column) = (place / columns, place % columns);
        (0..inner).fold(exact(0.0), |sum, k| sum + &a[row * inner + k] * &b[k * columns + column])
    };
    (0..rows * columns).map(entry).collect()
}

fn transposed(a: &[Exact], columns: usize) -> Matrix {
    let rows = a.len() / columns;
    (0..a.len()).map(|place| a[place % rows * columns + place / rows].clone()).collect()
}

fn negated(a: Matrix) -> Matrix {
    a.into_iter().map(|entry| -entry).collect()
}

fn scaled(a: &[Exact], by: &Exact) -> Matrix {
    a.iter().map(|entry| entry * by).collect()
}

fn sum(a: Matrix, b: &[Exact]) -> Matrix {
    a.into_iter().zip(b).map(|(a, b)| a + b).collect()
}

fn identity() -> Matrix {
    (0..N * N).map(|place| exact(if place.is_multiple_of(N + 1) { 1.0 } else { 0.0 })).collect()
}

fn exact_trace(a: &[Exact]) -> Exact {
    (0..N).fold(exact(0.0), |sum, i| sum + &a[i * (N + 1)])
}

/// A⁻¹·B and det A, by elimination without exchanges of rows, which these matrices do not need.
fn eliminated(a: &[Exact], b: &[Exact]) -> (Matrix, Exact) {
    let columns = b.len() / N;
    let (mut a, mut b, mut det) = (a.to_vec(), b.to_vec(), exact(1.0));
    for pivot in 0..N {
        let divisor = a[pivot * N + pivot].clone();
        det *= divisor.clone();
        for (matrix, columns) in [(&mut a, N), (&mut b, columns)] {
            for entry in &mut matrix[pivot * columns..(pivot + 1) * columns] {
                *entry = &*entry / &divisor;
            }
        }
        for row in (0..N).filter(|row| *row != pivot) {
            let factor = a[row * N + pivot].clone();
            for (matrix, columns) in [(&mut a, N), (&mut b, columns)] {
                for column in 0..columns {
                    let term = &factor * &matrix[pivot * columns + column];
                    matrix[row * columns + column] = &matrix[row * columns + column] - term;
                }
            }
        }
    }
    (b, det)
}

fn inverse_of(a: &[Exact]) -> Matrix {
    eliminated(a, &identity()).0
}

/// The value and the gradients, from one matrix of each input and of the cotangent.
type Reference = fn(&[Matrix], &[Exact]) -> (Matrix, Vec<Matrix>);

struct Measured {
    name: &'static str,
    operation: fn(&[Tensor<3>]) -> Tensor<3>,
    reference: Reference,
    /// The columns of each input, and what is added on its diagonal.
    inputs: Vec<(usize, f64)>,
    /// What the documentation says was measured: the worst of `f32` and `f64` on every backend, for values
    /// and for gradients, rounded to a tenth, on a processor with AVX-512.
    measured: (f64, f64),
}

/// Entries within ±1, and this on the diagonal: ‖A⁻¹‖ is at most a sixth in the norm of row sums.
const DOMINANT: f64 = 2.0 * N as f64;

fn operations() -> Vec<Measured> {
    vec![
        Measured {
            name: "trace",
            operation: |x| trace(x[0].clone()),
            reference: |x, g| (vec![exact_trace(&x[0])], vec![scaled(&identity(), &g[0])]),
            inputs: vec![(N, DOMINANT)],
            measured: (0.5, 0.0),
        },
        Measured {
            name: "solve",
            operation: |x| solve(x[0].clone(), x[1].clone()),
            reference: |x, g| {
                let (solution, _) = eliminated(&x[0], &x[1]);
                let (db, _) = eliminated(&transposed(&x[0], N), g);
                let da = negated(product(&db, &transposed(&solution, 2), 2));
                (solution, vec![da, db])
            },
            inputs: vec![(N, DOMINANT), (2, 0.0)],
            measured: (1.9, 3.5),
        },
        Measured {
            name: "inverse",
            operation: |x| inverse(x[0].clone()),
            reference: |x, g| {
                let y = inverse_of(&x[0]);
                let yt = transposed(&y, N);
                let da = negated(product(&product(&yt, g, N), &yt, N));
                (y, vec![da])
            },
            inputs: vec![(N, DOMINANT)],
            measured: (1.9, 4.1),
        },
        Measured {
            name: "det",
            operation: |x| det(x[0].clone()),
            reference: |x, g| {
                let (y, det) = eliminated(&x[0], &identity());
                let da = scaled(&transposed(&y, N), &(&det * &g[0]));
                (vec![det], vec![da])
            },
            inputs: vec![(N, DOMINANT)],
            measured: (3.1, 4.1),
        },
        Measured {
            name: "log_abs_det",
            operation: |x| log_abs_det(x[0].clone()).1,
            reference: |x, g| {
                let (y, det) = eliminated(&x[0], &identity());
                (vec![det.ln()], vec![scaled(&transposed(&y, N), &g[0])])
            },
            inputs: vec![(N, DOMINANT)],
            measured: (1.2, 2.2),
        },
        Measured {
            name: "trace_inverse",
            operation: |x| trace_inverse(x[0].clone(), x[1].clone()),
            reference: |x, g| {
                let (a, b) = (&x[0], &x[1]);
                let first = transposed(&product(a, &inverse_of(b), N), N);
                let trace = exact_trace(a);
                let solution = transposed(&eliminated(b, g).0, N);
                let inner =
                    g.iter().zip(b).fold(exact(0.0), |sum, (left, right)| sum + left * right);
                let db = sum(negated(product(&first, &solution, N)), &scaled(g, &trace));
                let da = sum(solution, &scaled(&identity(), &inner));
                (sum(first, &scaled(b, &trace)), vec![da, db])
            },
            inputs: vec![(N, 0.0), (N, DOMINANT)],
            measured: (1.8, 3.2),
        },
    ]
}

/// The matrices, one after the other.
fn split(data: &[f64]) -> Vec<Matrix> {
    data.chunks(data.len() / BATCH)
        .map(|matrix| matrix.iter().map(|entry| exact(*entry)).collect())
        .collect()
}

/// The worst error, in units in the last place of the largest number of its matrix.
fn worst(found: &[f64], expected: &[Matrix], dtype: DType) -> f64 {
    let mut worst = 0.0f64;
    let size = found.len() / expected.len();
    for (found, expected) in found.chunks(size).zip(expected) {
        assert_eq!(found.len(), expected.len());
        let size = |entry: &Exact| entry.to_f64().value().abs();
        let unit = unit(expected.iter().map(size).fold(0.0, f64::max), dtype);
        for (found, expected) in found.iter().zip(expected) {
            worst = worst.max((exact(*found) - expected).to_f64().value().abs() / unit);
        }
    }
    worst
}

fn measure(case: &Measured, device: &Device, dtype: DType) -> (f64, f64) {
    let mut random = SplitMix64::new(13);
    let device = device.clone().autodiff();
    let (mut leaves, mut inputs) = (Vec::new(), Vec::new());
    for (columns, diagonal) in &case.inputs {
        let entry = |place: usize, random: &mut SplitMix64| {
            let on_diagonal = *columns == N && (place % (N * N)).is_multiple_of(N + 1);
            let shift = if on_diagonal { *diagonal } else { 0.0 };
            number(random, shift - 1.0, shift + 1.0, dtype)
        };
        let data: Vec<f64> =
            (0..BATCH * N * columns).map(|place| entry(place, &mut random)).collect();
        let leaf: Tensor<3> = tensor([BATCH, N, *columns], &data, &device, dtype);
        leaves.push(leaf.require_grad());
        inputs.push(split(&data));
    }
    let output = (case.operation)(&leaves);
    let shape = output.dims();
    let count = shape.iter().product::<usize>();
    let cotangent: Vec<f64> = (0..count).map(|_| number(&mut random, 0.5, 1.5, dtype)).collect();
    let grads = (output.clone() * tensor(shape, &cotangent, &device, dtype)).sum().backward();
    let mut values = Vec::new();
    let mut gradients = vec![Vec::new(); inputs.len()];
    for (index, cotangent) in split(&cotangent).iter().enumerate() {
        let matrices: Vec<Matrix> = inputs.iter().map(|input| input[index].clone()).collect();
        let (value, found) = (case.reference)(&matrices, cotangent);
        values.push(value);
        for (gradients, gradient) in gradients.iter_mut().zip(found) {
            gradients.push(gradient);
        }
    }
    let forward = worst(&numbers(output), &values, dtype);
    let backward = leaves.iter().zip(&gradients).map(|(leaf, expected)| {
        worst(&numbers(leaf.grad(&grads).expect("it is tracked")), expected, dtype)
    });
    (forward, backward.fold(0.0, f64::max))
}

#[test]
fn matrices_of_good_condition_are_as_accurate_as_documented() {
    println!("worst error in units in the last place of the largest number: value, gradient");
    // The order of sums is faer's, for the vectors that the processor has: elsewhere as many roundings, but
    // others. A mistake is off by far more than half as much again.
    assert_documented(&operations(), measure, |case| {
        let (values, gradients) = unrounded(case.measured);
        (case.name, (1.5 * values, 1.5 * gradients))
    });
}
