//! Half precision on Flex: every operation is computed in `f32` and rounded once, but for what the
//! backward reads, which was rounded when it was saved.
//!
//! The reference is the same operation in `f64`, of the very numbers that the half-precision tensors
//! hold. Errors are counted in units in the last place of the half-precision type.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_autograd::gradcheck::SplitMix64;
use burn_autograd::ops::cross_entropy::cross_entropy_unreduced;
use burn_autograd::ops::prelude::*;
use burn_autograd::ops::trace::trace;

use crate::devices::{numbers, tensor};

type Operation = fn(&[Tensor<1>]) -> Tensor<1>;

/// How far a result may be off: so many units in the last place of its size, which counts from this
/// share of the tensor's largest number on.
type Bound = (f64, f64);

/// Of each number itself.
const ITSELF: f64 = 0.0;
/// Where terms cancel, the rounding errors in `f32` are more than a few hundredths of a unit of what is
/// left only if that is smaller than this.
const CANCELS: f64 = 1.0 / 64.0;
/// Of the largest number.
const LARGEST: f64 = 1.0;

const EXACT: Bound = (0.0, ITSELF);
/// One rounding, and what that of `f32` before it adds.
const ONCE: Bound = (0.51, ITSELF);
/// The same for a sum whose terms may cancel.
const SUM: Bound = (0.6, CANCELS);

struct Case {
    name: &'static str,
    operation: Operation,
    inputs: Vec<Vec<f64>>,
    value: Bound,
    /// One for each input.
    gradients: Vec<Bound>,
}

fn uniform(seed: u64, count: usize, low: f64, high: f64) -> Vec<f64> {
    let mut random = SplitMix64::new(seed);
    (0..count).map(|_| random.uniform(low, high)).collect()
}

const BATCH: usize = 16;
const N: usize = 4;

/// Entries within ±1, and 2n more on the diagonal. For n = 4, ‖A⁻¹‖ is at most ¼ and ‖A‖ 12, in the norm
/// of row sums; with L and U the factors, ‖|L|·|U|‖ is at most 18.
fn dominant(seed: u64, n: usize) -> Vec<f64> {
    let mut data = uniform(seed, BATCH * n * n, -1.0, 1.0);
    for (place, entry) in data.iter_mut().enumerate() {
        if (place % (n * n)).is_multiple_of(n + 1) {
            *entry += 2.0 * n as f64;
        }
    }
    data
}

/// Upper triangles, which are their own factors: nothing is rounded in them.
fn triangles(seed: u64) -> Vec<f64> {
    let diagonal = uniform(seed + 1, BATCH * N * N, 2.0, 9.0);
    let mut data = uniform(seed, BATCH * N * N, -0.9, 0.9);
    for (place, entry) in data.iter_mut().enumerate() {
        let (row, column) = (place % (N * N) / N, place % N);
        if row > column {
            *entry = 0.0;
        } else if row == column {
            *entry = diagonal[place];
        }
    }
    data
}

/// A batch of square matrices.
fn squares(x: &Tensor<1>) -> Tensor<3> {
    x.clone().reshape([BATCH, N, N])
}

fn flat<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let count = x.shape().num_elements();
    x.reshape([count])
}

/// Of a linear layer and a broadcast.
const ROWS: usize = 24;
const INNER: usize = 67;
const OUTER: usize = 33;

/// Of a cross entropy.
const CLASSES: usize = 40;

/// Rounding the factors changes A by at most 2u·|L|·|U|, with u half a unit, so that a solution is off by
/// 2u·¼·18 = 9u of its largest number and by half a unit of its own: 10 units are enough.
const SOLUTION: Bound = (10.0, LARGEST);

fn elementwise() -> Vec<Case> {
    vec![
        Case {
            name: "relu",
            operation: |x| relu(x[0].clone()),
            inputs: vec![uniform(1, 512, -3.0, 3.0)],
            value: EXACT,
            gradients: vec![EXACT],
        },
        Case {
            name: "exp",
            operation: |x| exp(x[0].clone()),
            inputs: vec![uniform(2, 512, -9.0, 10.5)],
            value: ONCE,
            // A product with the rounded value, which is off by up to a unit of the product.
            gradients: vec![(1.51, ITSELF)],
        },
        Case {
            name: "legendre_p3",
            operation: |x| legendre_p3(x[0].clone()),
            inputs: vec![uniform(3, 512, -3.0, 3.0)],
            value: SUM,
            gradients: vec![SUM],
        },
        Case {
            name: "multiply_add",
            operation: |x| multiply_add(x[0].clone(), x[1].clone(), x[2].clone()),
            inputs: vec![
                uniform(4, 512, -3.0, 3.0),
                uniform(5, 512, -3.0, 3.0),
                uniform(6, 512, -3.0, 3.0),
            ],
            value: SUM,
            gradients: vec![ONCE, ONCE, EXACT],
        },
        Case {
            name: "multiply_add, broadcast",
            operation: |x| {
                let row = |x: &Tensor<1>| x.clone().reshape([1, OUTER]);
                let rows = x[1].clone().reshape([ROWS, OUTER]);
                flat(multiply_add(row(&x[0]), rows, row(&x[2])))
            },
            inputs: vec![
                uniform(7, OUTER, -3.0, 3.0),
                uniform(8, ROWS * OUTER, -3.0, 3.0),
                uniform(9, OUTER, -3.0, 3.0),
            ],
            value: SUM,
            gradients: vec![SUM, ONCE, ONCE],
        },
        Case {
            name: "polynomial",
            operation: |x| polynomial(x[0].clone(), x[1].clone()),
            inputs: vec![uniform(10, 512, -2.0, 2.0), uniform(11, 4, -2.0, 2.0)],
            value: SUM,
            gradients: vec![SUM, SUM],
        },
    ]
}

fn sums() -> Vec<Case> {
    vec![
        Case {
            name: "sum_squared_error",
            operation: |x| sum_squared_error(x[0].clone(), x[1].clone()),
            inputs: vec![uniform(12, 512, -3.0, 3.0), uniform(13, 512, -3.0, 3.0)],
            value: ONCE,
            gradients: vec![ONCE, ONCE],
        },
        Case {
            name: "linear",
            operation: |x| {
                let rows = x[0].clone().reshape([ROWS, INNER]);
                let weight = x[1].clone().reshape([OUTER, INNER]);
                flat(linear(rows, weight, Some(x[2].clone())))
            },
            inputs: vec![
                uniform(14, ROWS * INNER, -2.0, 2.0),
                uniform(15, OUTER * INNER, -2.0, 2.0),
                uniform(16, OUTER, -2.0, 2.0),
            ],
            value: SUM,
            gradients: vec![SUM, SUM, ONCE],
        },
        Case {
            name: "cross_entropy",
            operation: |x| {
                let logits = x[0].clone().reshape([ROWS, CLASSES]);
                let classes: Vec<i64> = (0..ROWS).map(|row| (row * 7 % CLASSES) as i64).collect();
                let targets = Tensor::<1, Int>::from_data(
                    TensorData::new(classes, [ROWS]),
                    &logits.device().inner(),
                );
                cross_entropy_unreduced(logits, targets, &CrossEntropyOptions::default())
            },
            inputs: vec![uniform(17, ROWS * CLASSES, -4.0, 4.0)],
            value: ONCE,
            gradients: vec![ONCE],
        },
    ]
}

fn linear_algebra() -> Vec<Case> {
    vec![
        Case {
            name: "trace",
            operation: |x| flat(trace(squares(&x[0]))),
            inputs: vec![uniform(18, BATCH * N * N, -3.0, 3.0)],
            value: ONCE,
            gradients: vec![EXACT],
        },
        Case {
            name: "solve",
            operation: |x| flat(solve(squares(&x[0]), x[1].clone().reshape([BATCH, N, 2]))),
            inputs: vec![dominant(19, N), uniform(20, BATCH * N * 2, -1.0, 1.0)],
            value: SOLUTION,
            // A product of two solutions; and a solution.
            gradients: vec![(21.0, LARGEST), SOLUTION],
        },
        Case {
            name: "inverse",
            operation: |x| flat(inverse(squares(&x[0]))),
            inputs: vec![dominant(21, N)],
            value: SUM,
            // Two products with the rounded inverse Y, each rounded: four roundings of |Y|ᵀ·|Ȳ|·|Y|ᵀ,
            // whose entries are at most (¼)²·1.5, four times the largest of the gradient.
            gradients: vec![(17.0, LARGEST)],
        },
        Case {
            name: "det",
            operation: |x| flat(det(squares(&x[0]))),
            inputs: vec![dominant(22, N)],
            // Each pivot is rounded, and the product.
            value: (4.6, ITSELF),
            // The determinant, its product with ȳ, and a solution.
            gradients: vec![(16.0, LARGEST)],
        },
        Case {
            name: "det, 3×3",
            operation: |x| flat(det(x[0].clone().reshape([BATCH, 3, 3]))),
            inputs: vec![dominant(23, 3)],
            value: (3.6, ITSELF),
            // From the entries, in single precision.
            gradients: vec![SUM],
        },
        Case {
            name: "det, triangles",
            operation: |x| flat(det(squares(&x[0]))),
            inputs: vec![triangles(24)],
            value: ONCE,
            // The determinant and its product with ȳ are rounded, each by up to a unit of the result.
            gradients: vec![(2.6, CANCELS)],
        },
        Case {
            name: "log_abs_det",
            operation: |x| flat(log_abs_det(squares(&x[0])).1),
            inputs: vec![dominant(26, N)],
            // The logarithms of four rounded pivots are off by u each, which is an eighth of a unit of a
            // number from 4 to 8.
            value: (1.1, ITSELF),
            gradients: vec![SOLUTION],
        },
        Case {
            name: "log_abs_det, triangles",
            operation: |x| flat(log_abs_det(squares(&x[0])).1),
            inputs: vec![triangles(27)],
            value: ONCE,
            gradients: vec![SUM],
        },
        Case {
            name: "trace_inverse",
            operation: |x| flat(trace_inverse(squares(&x[0]), squares(&x[1]))),
            inputs: vec![uniform(29, BATCH * N * N, -1.0, 1.0), dominant(30, N)],
            value: SUM,
            // ⟨Ȳ, B⟩ and tr(A)·Ȳ are so much larger than the solutions that the errors of these are at
            // most two units.
            gradients: vec![(1.0, LARGEST), (2.5, LARGEST)],
        },
        Case {
            name: "trace_inverse, broadcast",
            operation: |x| {
                let b = x[1].clone().reshape([1, N, N]);
                flat(trace_inverse(squares(&x[0]), b))
            },
            inputs: vec![uniform(31, BATCH * N * N, 0.0, 1.0), dominant(32, N)[..N * N].to_vec()],
            value: SUM,
            // Sixteen gradients are rounded, and their sum, which is about ten times as large.
            gradients: vec![(1.0, LARGEST), (4.0, LARGEST)],
        },
    ]
}

/// One unit in the last place of a number of this size.
fn unit(size: f64, dtype: DType) -> f64 {
    let (digits, least) = if dtype == DType::F16 { (11, -14) } else { (8, -126) };
    let exponent = if size == 0.0 { least } else { (size.log2().floor() as i32).max(least) };
    2f64.powi(exponent + 1 - digits)
}

/// The worst error, in units in the last place.
fn worst(found: &[f64], expected: &[f64], share: f64, dtype: DType) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let mut worst = 0.0f64;
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.is_finite() && expected.is_finite(), "{found}, expected {expected}");
        let error = (found - expected).abs();
        worst = worst.max(error / unit(expected.abs().max(share * largest), dtype));
    }
    worst
}

/// The value and the gradients.
fn run(case: &Case, data: &[Vec<f64>], device: &Device, dtype: DType) -> (Vec<f64>, Vec<Vec<f64>>) {
    let leaves: Vec<Tensor<1>> =
        data.iter().map(|data| tensor([data.len()], data, device, dtype).require_grad()).collect();
    let output = (case.operation)(&leaves);
    assert_eq!(output.dtype(), dtype, "{}", case.name);
    let count = output.dims()[0];
    // From ½ to 1½, and exact in eight bits.
    let cotangent: Vec<f64> = (0..count).map(|i| 0.5 + (i * 37 % 65) as f64 / 64.0).collect();
    let grads = (output.clone() * tensor([count], &cotangent, device, dtype)).sum().backward();
    let gradients = leaves.iter().map(|leaf| {
        let gradient = leaf.grad(&grads).expect("it is tracked");
        assert_eq!(gradient.dtype(), dtype, "{}", case.name);
        numbers(gradient)
    });
    (numbers(output), gradients.collect())
}

fn check(cases: Vec<Case>) {
    let device = Device::flex().autodiff();
    let mut failed = Vec::new();
    for case in cases {
        for dtype in [DType::F16, DType::BF16] {
            // The numbers that the type holds.
            let held = |data: &Vec<f64>| numbers(tensor([data.len()], data, &device, dtype));
            let data: Vec<Vec<f64>> = case.inputs.iter().map(held).collect();
            let (value, gradients) = run(&case, &data, &device, dtype);
            let (exact, exact_gradients) = run(&case, &data, &device, DType::F64);
            assert_eq!(gradients.len(), case.gradients.len(), "{}", case.name);
            let bounds = std::iter::once(case.value).chain(case.gradients.iter().copied());
            let found = std::iter::once(value).chain(gradients);
            let expected = std::iter::once(exact).chain(exact_gradients);
            for (part, (((units, share), found), expected)) in
                bounds.zip(found).zip(expected).enumerate()
            {
                let error = worst(&found, &expected, share, dtype);
                let what = if part == 0 { "value".to_owned() } else { format!("gradient {part}") };
                let line = format!("{:<24} {dtype:?} {what}: {error:.3} of {units}", case.name);
                println!("{line}");
                if error > units {
                    failed.push(line);
                }
            }
        }
    }
    assert!(failed.is_empty(), "beyond the bounds: {failed:#?}");
}

#[test]
fn elementwise_operations_are_rounded_once() {
    check(elementwise());
}

#[test]
fn sums_are_rounded_once() {
    check(sums());
}

#[test]
fn linear_algebra_is_rounded_where_it_is_stored() {
    check(linear_algebra());
}

/// A sum of 4,096 ones is 2,048 in `f16` and 256 in `bf16` if each addition is rounded to them.
#[test]
fn long_sums_run_in_single_precision() {
    const COUNT: usize = 4096;
    let device = Device::flex().autodiff();
    for dtype in [DType::F16, DType::BF16] {
        let ones = |count: usize| -> Tensor<1> {
            tensor([count], &vec![1.0; count], &device, dtype).require_grad()
        };
        let x = ones(COUNT);
        let loss = sum_squared_error(x.clone(), x.zeros_like());
        assert_eq!(numbers(loss), [4096.0]);
        let y = linear(x.clone().reshape([1, COUNT]), ones(COUNT).reshape([1, COUNT]), None);
        assert_eq!(numbers(y), [4096.0]);
        let bias = ones(1);
        let rows = x.clone().reshape([COUNT, 1]);
        let y = multiply_add(ones(1).reshape([1, 1]), rows, bias.clone().reshape([1, 1]));
        // The sum in the test itself is not of interest: its gradient is.
        assert_eq!(numbers(bias.grad(&y.sum().backward()).expect("it is tracked")), [4096.0]);
        let c = ones(2);
        let grads = polynomial(x, c.clone()).sum().backward();
        assert_eq!(numbers(c.grad(&grads).expect("it is tracked")), [4096.0, 4096.0]);
    }
}
