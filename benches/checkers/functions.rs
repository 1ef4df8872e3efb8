//! Each row's function, with the backward that is to be checked.

use std::sync::atomic::{AtomicU64, Ordering};

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, Shape, Tensor, TensorData};
use burn_autograd::gradcheck::{Gradcheck, Report, SplitMix64};
use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;

use crate::Row;
use crate::op::{Op, check as check_op, unary};

const SCALES: [f64; 3] = [1e6, 1.0, 1e-3];
const TARGETS: [usize; 3] = [1, 3, 0];
const CLASSES: usize = 4;

/// What the checker says of a row.
///
/// # Panics
///
/// If there is no function for it.
pub(crate) fn check(row: &Row) -> Report {
    match row.id.as_str() {
        "square-f32" | "square-large-f32" => vector(row, unary(|x| x.square(), |x, g| g * 2.0 * x)),
        "exp-f32" | "exp-large-f32" => vector(row, factor(1.0)),
        "sin-f32" | "sin-large-f32" => vector(row, unary(|x| x.sin(), |x, g| g * x.cos())),
        "linear-f32" | "linear-large-f32" => vector(row, unary(|x| 5.0 * x, |_, g| 5.0 * g)),
        "cube-f32" | "cube-large-f32" => {
            vector(row, unary(|x| x.powi(3), |x, g| g * 3.0 * x.square()))
        }
        "relu" | "relu-near-kink" => vector(row, relu_leaking(0.0)),
        "abs" | "abs-near-kink" => vector(row, unary(|x| x.abs(), |x, g| g * x.sign())),
        "sqrt-near-zero" | "nan" => vector(row, unary(|x| x.sqrt(), |x, g| g * 0.5 / x.sqrt())),
        "log-near-zero" => vector(row, unary(|x| x.log(), |x, g| g / x)),
        "max-tie-shared" => vector(row, max_tie(true)),
        "max-tie-first" => vector(row, max_tie(false)),
        "steep" => vector(row, steep(10.0)),
        "steeper" => vector(row, steep(1e3)),
        "scaled-small" => vector(row, scaled(1e-8, 1.0)),
        "scaled-large" => vector(row, scaled(1e8, 1.0)),
        "mixed-scales" => vector(row, scaled_sum(1.0)),
        "inverse-ill-conditioned" => matrix(row, inverse()),
        "multiply-add-f32" => {
            let op = Op::new(
                |[w, x, b]| w * x + b,
                |[w, x, _], g| [(&g * x).sum_dim(0), &g * w, g.sum_dim(0)],
            );
            let inputs = (row.tensor::<2>(0), row.tensor::<2>(1), row.tensor::<2>(2));
            check_op::<3, _, Tensor<2>>(&op, inputs)
        }
        "matmul-f32" => {
            let op = Op::new(
                |[a, b]| a.matmul(&b),
                |[a, b], g| [g.matmul(&b.transpose()), a.transpose().matmul(&g)],
            );
            check_op::<2, _, Tensor<2>>(&op, (row.tensor::<2>(0), row.tensor::<2>(1)))
        }
        "cross-entropy-f32" => {
            check_op::<1, _, Tensor<1>>(&cross_entropy_mean(), row.tensor::<2>(0))
        }
        "trace-inverse" => pair_of_batches(row, &trace_inverse()),
        "sum-10000-f32" => vector(row, unary(|x| x.sum(), |x, g| g.expand(x.shape()))),
        "softmax" => matrix(row, softmax(1.0)),
        "complex-product" => check_op::<1, _, Tensor<1>>(&complex_product(), row.tensor::<2>(0)),
        "independent-input" => {
            let op = Op::new(|[x, _]| x.square(), |[x, y], g| [g * 2.0 * x, y.zeros_like()]);
            pair(row, &op)
        }
        "second-order" => to_order(row, cubic(false)),
        "identity-10000" => vector(row, identity(|g| g)),
        "identity-1000-one-entry" => vector(
            row,
            identity(|g| {
                let mut weights = vec![1.0; g.shape().num_elements()];
                weights[500] = 1.5;
                let weights = constant(&g, g.shape(), weights);
                g * weights
            }),
        ),
        "identity-10000-reversed" => vector(row, identity(|g| g.flip(&[0]))),
        "identity-200000-zero" => vector(row, identity(|g| g.zeros_like())),
        "factor-1.001" => vector(row, factor(1.001)),
        "factor-1.0001" => vector(row, factor(1.0001)),
        "factor-1.01-f32" => vector(row, factor(1.01)),
        "sign" => vector(row, unary(|x| x.cos(), |x, g| g * x.sin())),
        "transpose" => matrix(row, unary(|x| x.transpose(), |_, g| g)),
        "swapped-inputs" => {
            let op =
                Op::new(|[a, b]| a.square() * b, |[a, b], g| [&g * a.square(), g * 2.0 * a * b]);
            pair(row, &op)
        }
        "missing-term" => vector(row, unary(|x| &x * x.exp(), |x, g| g * &x * x.exp())),
        "cotangent-ignored" => vector(row, unary(|x| x.exp(), |x, _| x.exp())),
        "broadcast-sliced" => {
            let op = Op::new(|[x, b]| x + b, |_, g| [g.clone(), g.slice(0..1)]);
            check_op::<2, _, Tensor<2>>(&op, (row.tensor::<2>(0), row.tensor::<2>(1)))
        }
        "shifted-index" => vector(
            row,
            unary(
                |x| x.exp(),
                |x, g| {
                    let (slope, last) = (x.exp(), x.shape()[0] - 1);
                    g * Var::cat(&[slope.slice(last..last + 1), slope.slice(0..last)], 0)
                },
            ),
        ),
        "softmax-half" => matrix(row, softmax(0.5)),
        "scaled-small-doubled" => vector(row, scaled(1e-8, 2.0)),
        "mixed-scales-one-entry" => vector(row, scaled_sum(1.01)),
        "relu-leak" => vector(row, relu_leaking(1e-4)),
        "half-precision-f32" => vector(row, rounding(half)),
        "single-precision" => vector(row, rounding(|x| f64::from(x as f32))),
        "trace-inverse-published" => pair_of_batches(row, &trace_inverse_published()),
        "floor" => vector(row, unary(|x| mapped(&x, f64::floor), |_, g| g)),
        "detached" => vector(row, factor(1.0).detached()),
        "second-order-cut" => to_order(row, cubic(true)),
        "random" => vector(row, dropped()),
        other => panic!("no function for the row {other:?}"),
    }
}

fn vector(row: &Row, op: Op<1>) -> Report {
    check_op::<1, _, Tensor<1>>(&op, row.tensor::<1>(0))
}

fn matrix(row: &Row, op: Op<1>) -> Report {
    check_op::<1, _, Tensor<2>>(&op, row.tensor::<2>(0))
}

fn pair(row: &Row, op: &Op<2>) -> Report {
    check_op::<2, _, Tensor<1>>(op, (row.tensor::<1>(0), row.tensor::<1>(1)))
}

fn pair_of_batches(row: &Row, op: &Op<2>) -> Report {
    check_op::<2, _, Tensor<3>>(op, (row.tensor::<3>(0), row.tensor::<3>(1)))
}

fn to_order(row: &Row, op: Op<1>) -> Report {
    Gradcheck::new().run_order::<Tensor<1>, Tensor<1>>(
        move |x: Var| op.call([x]),
        row.order,
        row.tensor::<1>(0),
    )
}

/// Numbers beside a variable, of its data type and on its device.
fn constant(like: &Var, shape: impl Into<Shape>, data: Vec<f64>) -> Var {
    let shape: Shape = shape.into();
    let data = TensorData::new(data, shape).convert_dtype(like.dtype());
    Var::new(Dispatch::float_from_data(data, &like.device()))
}

/// A function of numbers, computed on the host.
fn mapped(var: &Var, f: impl FnMut(f64) -> f64) -> Var {
    let data = var.to_data().convert_dtype(DType::F64);
    let numbers = data.try_to_vec::<f64>().expect("it was converted");
    constant(var, var.shape(), numbers.into_iter().map(f).collect())
}

/// The identity matrix, for a batch.
fn unit(like: &Var) -> Var {
    let n = like.shape()[2];
    let data = (0..n * n).map(|i| if i / n == i % n { 1.0 } else { 0.0 }).collect();
    constant(like, [1, n, n], data)
}

/// eˣ, with a factor in its gradient.
fn factor(factor: f64) -> Op<1> {
    unary(|x| x.exp(), move |x, g| g * x.exp() * factor)
}

/// eˣ, whose gradient is a rounded output.
fn rounding(round: fn(f64) -> f64) -> Op<1> {
    unary(|x| x.exp(), move |x, g| g * mapped(&x.exp(), round))
}

/// To the eleven bits of half precision, for numbers in its range.
fn half(x: f64) -> f64 {
    f64::from(f32::from_bits(((x as f32).to_bits() + 0x1000) & !0x1fff))
}

fn identity(backward: impl Fn(Var) -> Var + Send + Sync + 'static) -> Op<1> {
    unary(|x| x, move |_, g| backward(g))
}

fn relu_leaking(leak: f64) -> Op<1> {
    unary(
        |x| x.fill_where_not_positive(&x, 0.0),
        move |x, g| (leak * &g).mask_where(&x.greater_elem(0.0), &g),
    )
}

fn max_tie(shared: bool) -> Op<1> {
    unary(
        |x| x.max_dim(0),
        move |x, g| {
            let zeros = x.zeros_like();
            if shared {
                let ties = zeros.mask_fill(&x.equal(&x.max_dim(0)), 1.0);
                g * (&ties / ties.sum_dim(0))
            } else {
                zeros.scatter_add(0, x.argmax(0), &g)
            }
        },
    )
}

fn steep(k: f64) -> Op<1> {
    unary(move |x| (k * x).exp(), move |x, g| g * k * (k * x).exp())
}

/// k·x², with a factor in its gradient.
fn scaled(k: f64, factor: f64) -> Op<1> {
    unary(move |x| k * x.square(), move |x, g| g * (2.0 * k * factor) * x)
}

/// Σ s·x², with a factor in the last entry of its gradient.
fn scaled_sum(last: f64) -> Op<1> {
    unary(
        |x| (x.square() * constant(&x, x.shape(), SCALES.to_vec())).sum(),
        move |x, g| {
            let mut scales = SCALES.to_vec();
            scales[2] *= last;
            let scales = constant(&x, x.shape(), scales);
            g * 2.0 * x * scales
        },
    )
}

fn inverse() -> Op<1> {
    unary(
        |a| a.inverse(),
        |a, g| {
            let y = a.inverse().transpose();
            -y.matmul(&g).matmul(&y)
        },
    )
}

/// The mean over the rows of −ln softmax at the target.
fn cross_entropy_mean() -> Op<1> {
    fn hot(like: &Var) -> Var {
        let mut data = vec![0.0; TARGETS.len() * CLASSES];
        for (row, target) in TARGETS.into_iter().enumerate() {
            data[row * CLASSES + target] = 1.0;
        }
        constant(like, [TARGETS.len(), CLASSES], data)
    }
    let rows = TARGETS.len() as f64;
    unary(
        move |x| -(hot(&x) * x.log_softmax(1)).sum() / rows,
        move |x, g| g.reshape([1, 1]) * (x.softmax(1) - hot(&x)) / rows,
    )
}

fn softmax(factor: f64) -> Op<1> {
    unary(
        |x| x.softmax(1),
        move |x, g| {
            let s = x.softmax(1);
            factor * &s * (&g - (&g * &s).sum_dim(1))
        },
    )
}

/// The product of complex numbers, each a row of its real and its imaginary part.
fn complex_product() -> Op<1> {
    fn times(a: &[Var; 2], b: &[Var; 2]) -> [Var; 2] {
        [&a[0] * &b[0] - &a[1] * &b[1], &a[0] * &b[1] + &a[1] * &b[0]]
    }
    fn number(z: &Var, row: usize) -> [Var; 2] {
        [0, 1].map(|part| z.slice([row..row + 1, part..part + 1]))
    }
    fn product(z: &Var, left_out: Option<usize>) -> [Var; 2] {
        let rows = (0..z.shape()[0]).filter(|row| Some(*row) != left_out);
        rows.map(|row| number(z, row))
            .reduce(|product, factor| times(&product, &factor))
            .expect("there are several factors")
    }
    unary(
        |z| Var::cat(&product(&z, None), 1).reshape([2]),
        |z, g| {
            let g = number(&g.reshape([1, 2]), 0);
            let rows: Vec<Var> = (0..z.shape()[0])
                .map(|row| {
                    let [re, im] = product(&z, Some(row));
                    Var::cat(&times(&g, &[re, -im]), 1)
                })
                .collect();
            Var::cat(&rows, 0)
        },
    )
}

/// 2.5x³ − 1.5x, whose gradient may be cut off from the graph.
fn cubic(cut: bool) -> Op<1> {
    unary(
        |x| 2.5 * x.powi(3) - 1.5 * x,
        move |x, g| {
            let x = if cut { x.detach() } else { x };
            g * (7.5 * x.square() - 1.5)
        },
    )
}

/// 2x² in a random half of the elements, 0 in the others; each call draws anew.
fn dropped() -> Op<1> {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    Op::with_context(
        |ctx, [x]| {
            let mut random = SplitMix64::new(CALLS.fetch_add(1, Ordering::Relaxed));
            let kept = mapped(&x, |_| if random.next_u64() & 1 == 0 { 2.0 } else { 0.0 });
            ctx.save([&x, &kept]);
            x.square() * kept
        },
        |ctx, g| {
            let [x, kept] = ctx.tensors();
            [Some(g * 2.0 * x * kept)]
        },
    )
}

/// (A·B⁻¹)ᵀ + tr(A)·B.
fn trace_inverse_forward([a, b]: [Var; 2]) -> Var {
    a.matmul(&b.clone().inverse()).transpose() + a.trace() * b
}

/// With the right backward.
pub(crate) fn trace_inverse() -> Op<2> {
    Op::new(trace_inverse_forward, |[a, b], g| {
        let turned = b.clone().inverse().transpose();
        let inner = (&g * &b).sum_dims(&[1, 2]);
        let first = g.transpose().matmul(&turned);
        let second = turned.matmul(&a.transpose()).matmul(&first);
        [first + inner * unit(&b), a.trace() * g - second]
    })
}

/// With the backward that was once published for it.
fn trace_inverse_published() -> Op<2> {
    Op::new(trace_inverse_forward, |[a, b], g| {
        let inverse = b.clone().inverse();
        let turned = inverse.transpose();
        let trace = g.clone().trace();
        let da = g.matmul(&turned) + &trace * unit(&b);
        let db = trace * b - turned.matmul(&a.transpose()).matmul(&g).matmul(&inverse);
        [da, db]
    })
}
