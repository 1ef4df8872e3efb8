//! Every operation of `Var`: its value against plain Rust, three derivatives against numeric ones and
//! against Burn's own, single precision against double, and the corners: kinks, overflow, empty
//! tensors, every rank, refusals.
#![allow(
    clippy::single_range_in_vec_init,
    reason = "a slice takes a range for each of the first dimensions, often for one"
)]

use approx::relative_eq;
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use burn_autograd::gradcheck::numeric::{Precision, Samples};
use burn_autograd::prelude::*;
use burn_autograd::{Index, Mask};

use crate::devices::{all, autodiff, cpu, wgpu};

/// Where the inputs of a case lie. All numbers are multiples of 2⁻⁷, so that single precision has
/// them exactly.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Domain {
    /// Between −1.6 and 1.6.
    Real,
    /// From 0.55 to 2.1.
    Positive,
    /// From −2.1 to −0.55.
    Negative,
    /// No two closer than 0.31 to each other, none closer than 0.15 to a multiple of 0.3125: the
    /// numeric derivative crosses no kink. For up to 13 numbers.
    Apart,
}

impl Domain {
    fn number(self, position: usize) -> f64 {
        let real = || (((11 * position + 5) % 29) as f64 - 14.0) * 0.109375 + 0.0546875;
        match self {
            Self::Real => real(),
            Self::Positive => 0.5 + real().abs(),
            Self::Negative => -0.5 - real().abs(),
            Self::Apart => (((5 * position + 3) % 13) as f64 - 6.0) * 0.3125 + 0.15625,
        }
    }
}

/// One operation at one point.
struct Case {
    name: &'static str,
    shapes: Vec<Vec<usize>>,
    domain: Domain,
    function: fn(&[Var]) -> Var,
    output: Vec<usize>,
    value: fn(&[Vec<f64>]) -> Vec<f64>,
}

impl Case {
    fn count(&self) -> usize {
        self.shapes.iter().map(|shape| shape.iter().product::<usize>()).sum()
    }

    fn data(&self) -> Vec<f64> {
        assert!(self.domain != Domain::Apart || self.count() <= 13, "{}", self.name);
        (0..self.count()).map(|position| self.domain.number(position)).collect()
    }

    fn split<T>(&self, mut block: impl FnMut(std::ops::Range<usize>, &[usize]) -> T) -> Vec<T> {
        let mut start = 0;
        self.shapes
            .iter()
            .map(|shape| {
                let end = start + shape.iter().product::<usize>();
                let part = block(start..end, shape);
                start = end;
                part
            })
            .collect()
    }

    /// The output, from all inputs one after the other in one variable.
    fn call(&self, flat: &Var) -> Var {
        let inputs = self.split(|range, shape| flat.slice([range]).reshape(shape.to_vec()));
        (self.function)(&inputs)
    }
}

/// An operation, its inputs, the shape of its output, and the output in plain Rust.
macro_rules! case {
    ($name:literal, $domain:ident, [$($input:ident: $shape:expr),+], $function:expr, $output:expr, $value:expr) => {
        Case {
            name: $name,
            shapes: vec![$($shape.to_vec()),+],
            domain: Domain::$domain,
            function: |inputs| {
                let [$($input),+] = inputs else { unreachable!("there is an input for each shape") };
                $function
            },
            output: $output.to_vec(),
            value: |inputs| {
                let [$($input),+] = inputs else { unreachable!("there is an input for each shape") };
                $value
            },
        }
    };
}

/// A function of one element.
macro_rules! unary {
    ($name:literal, $domain:ident, |$x:ident| $function:expr, |$y:ident| $value:expr) => {
        case!($name, $domain, [$x: [2, 3]], $function, [2, 3], $x.iter().map(|&$y| $value).collect())
    };
}

/// A function of two elements, without broadcasting.
macro_rules! binary {
    ($name:literal, $domain:ident, |$a:ident, $b:ident| $function:expr, $value:expr) => {
        case!($name, $domain, [$a: [2, 3], $b: [2, 3]], $function, [2, 3],
            $a.iter().zip($b).map(|(&$a, &$b)| $value).collect())
    };
}

/// The same of a column and a row.
macro_rules! broadcast {
    ($name:literal, $domain:ident, |$a:ident, $b:ident| $function:expr, $value:expr) => {
        case!($name, $domain, [$a: [2, 1], $b: [1, 3]], $function, [2, 3],
            build(&[2, 3], |i| { let ($a, $b) = ($a[i[0]], $b[i[1]]); $value }))
    };
}

/// The elements of a tensor, from a formula of their places.
fn build(shape: &[usize], formula: impl Fn(&[usize]) -> f64) -> Vec<f64> {
    let count: usize = shape.iter().product();
    (0..count)
        .map(|mut position| {
            let mut place = vec![0; shape.len()];
            for dim in (0..shape.len()).rev() {
                place[dim] = position % shape[dim];
                position /= shape[dim];
            }
            formula(&place)
        })
        .collect()
}

fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::NEG_INFINITY, f64::max)
}

fn smallest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}

/// 2⁄√π·Σ (−1)ⁿ·x²ⁿ⁺¹ ⁄ (n!·(2n + 1)); exact to a few units for |x| < 2.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..60 {
        let n = f64::from(n);
        term *= -x * x / n;
        sum += term / (2.0 * n + 1.0);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn device(var: &Var) -> Device {
    Device::new(var.device())
}

/// Integers on the variable's own device, an autodiff device among them.
fn index<const D: usize>(like: &Var, shape: [usize; D], data: &[i32]) -> Index {
    let data = TensorData::new(data.to_vec(), shape);
    Tensor::<D, Int>::from_data(data, &device(like)).into()
}

fn mask<const D: usize>(like: &Var, shape: [usize; D], data: &[bool]) -> Mask {
    let data = TensorData::new(data.to_vec(), shape);
    Tensor::<D, Bool>::from_data(data, &device(like)).into()
}

const T: bool = true;
const F: bool = false;

fn elementwise() -> Vec<Case> {
    vec![
        unary!("neg", Real, |x| -x, |x| -x),
        unary!("x + 2", Real, |x| x + 2.0, |x| x + 2.0),
        unary!("2 + x", Real, |x| 2.0 + x, |x| 2.0 + x),
        unary!("x - 2", Real, |x| x - 2.0, |x| x - 2.0),
        unary!("2 - x", Real, |x| 2.0 - x, |x| 2.0 - x),
        unary!("x * 1.5", Real, |x| x * 1.5, |x| x * 1.5),
        unary!("1.5 * x", Real, |x| 1.5 * x, |x| 1.5 * x),
        unary!("x / 3", Real, |x| x / 3.0, |x| x / 3.0),
        unary!("3 / x", Positive, |x| 3.0 / x, |x| 3.0 / x),
        unary!("powi(0)", Real, |x| x.powi(0) + x, |x| 1.0 + x),
        unary!("powi(1)", Real, |x| x.powi(1), |x| x),
        unary!("powi(2)", Real, |x| x.powi(2), |x| x * x),
        unary!("powi(3)", Real, |x| x.powi(3), |x| x * x * x),
        unary!("powi(6)", Real, |x| x.powi(6), |x| x.powi(6)),
        unary!("powi(-1)", Positive, |x| x.powi(-1), |x| 1.0 / x),
        unary!("powi(-2) below 0", Negative, |x| x.powi(-2), |x| 1.0 / (x * x)),
        unary!("powi(-3) below 0", Negative, |x| x.powi(-3), |x| x.powi(-3)),
        unary!("powf(2.5)", Positive, |x| x.powf(2.5), |x| x.powf(2.5)),
        unary!("powf(-0.5)", Positive, |x| x.powf(-0.5), |x| 1.0 / x.sqrt()),
        unary!("powf(3) below 0", Negative, |x| x.powf(3.0), |x| x * x * x),
        unary!("exp", Real, |x| x.exp(), |x| x.exp()),
        unary!("exp2", Real, |x| x.exp2(), |x| x.exp2()),
        unary!("log", Positive, |x| x.log(), |x| x.ln()),
        unary!("log1p", Positive, |x| (x - 1.0).log1p(), |x| (x - 1.0).ln_1p()),
        unary!("sqrt", Positive, |x| x.sqrt(), |x| x.sqrt()),
        unary!("recip", Positive, |x| x.recip(), |x| 1.0 / x),
        unary!("recip below 0", Negative, |x| x.recip(), |x| 1.0 / x),
        unary!("sin", Real, |x| x.sin(), |x| x.sin()),
        unary!("cos", Real, |x| x.cos(), |x| x.cos()),
        unary!("tanh", Real, |x| x.tanh(), |x| x.tanh()),
        unary!("sigmoid", Real, |x| x.sigmoid(), |x| sigmoid(x)),
        unary!("softplus", Real, |x| x.softplus(), |x| x.exp().ln_1p()),
        unary!("erf", Real, |x| x.erf(), |x| erf(x)),
        unary!("square", Real, |x| x.square(), |x| x * x),
        unary!("abs", Apart, |x| x.abs(), |x| x.abs()),
        unary!("relu", Apart, |x| x.relu(), |x| x.max(0.0)),
        unary!("clamp", Apart, |x| x.clamp(-0.625, 0.9375), |x| x.clamp(-0.625, 0.9375)),
        unary!("sign", Apart, |x| x.sign() * x, |x| x.abs()),
        binary!("a + b", Real, |a, b| a + b, a + b),
        binary!("a - b", Real, |a, b| a - b, a - b),
        binary!("a * b", Real, |a, b| a * b, a * b),
        binary!("a / b", Positive, |a, b| a / b, a / b),
        binary!("pow", Positive, |a, b| a.pow(b), a.powf(b)),
        binary!("maximum", Apart, |a, b| a.maximum(b), a.max(b)),
        binary!("minimum", Apart, |a, b| a.minimum(b), a.min(b)),
        broadcast!("a + b, broadcast", Real, |a, b| a + b, a + b),
        broadcast!("a - b, broadcast", Real, |a, b| a - b, a - b),
        broadcast!("a * b, broadcast", Real, |a, b| a * b, a * b),
        broadcast!("a / b, broadcast", Positive, |a, b| a / b, a / b),
        broadcast!("pow, broadcast", Positive, |a, b| a.pow(b), a.powf(b)),
        broadcast!("maximum, broadcast", Apart, |a, b| a.maximum(b), a.max(b)),
        broadcast!("minimum, broadcast", Apart, |a, b| a.minimum(b), a.min(b)),
        unary!("x * x, one variable twice", Real, |x| x * x, |x| x * x),
        unary!("x / x.square()", Positive, |x| x / x.square(), |x| 1.0 / x),
    ]
}

fn choices() -> Vec<Case> {
    vec![
        case!(
            "mask_where",
            Real,
            [x: [2, 3], v: [2, 3]],
            x.mask_where(&mask(x, [2, 3], &[T, F, T, F, F, T]), v),
            [2, 3],
            [v[0], x[1], v[2], x[3], x[4], v[5]].to_vec()
        ),
        case!(
            "mask_where, mask and value broadcast",
            Real,
            [x: [2, 3], v: [2, 1]],
            x.mask_where(&mask(x, [1, 3], &[T, F, T]), v),
            [2, 3],
            [v[0], x[1], v[0], v[1], x[4], v[1]].to_vec()
        ),
        case!(
            "mask_fill",
            Real,
            [x: [2, 3]],
            x.mask_fill(&mask(x, [2, 3], &[T, F, T, F, F, T]), 0.5),
            [2, 3],
            [0.5, x[1], 0.5, x[3], x[4], 0.5].to_vec()
        ),
        case!(
            "mask_fill, mask broadcast",
            Real,
            [x: [2, 3]],
            x.mask_fill(&mask(x, [2, 1], &[F, T]), 0.5),
            [2, 3],
            [x[0], x[1], x[2], 0.5, 0.5, 0.5].to_vec()
        ),
        case!(
            "fill_where_not_positive",
            Apart,
            [x: [4], c: [4]],
            x.fill_where_not_positive(c, 0.5),
            [4],
            x.iter().zip(c).map(|(&x, &c)| if c <= 0.0 { 0.5 } else { x }).collect()
        ),
    ]
}

fn arrangements() -> Vec<Case> {
    vec![
        case!("reshape", Real, [x: [2, 3]], x.reshape([3, 2]), [3, 2], x.clone()),
        case!("unsqueeze_dim", Real, [x: [2, 3]], x.unsqueeze_dim(1), [2, 1, 3], x.clone()),
        case!("squeeze_dim", Real, [x: [2, 1, 3]], x.squeeze_dim(1), [2, 3], x.clone()),
        case!("permute", Real, [x: [2, 3, 2]], x.permute(&[2, 0, 1]), [2, 2, 3],
            build(&[2, 2, 3], |i| x[i[1] * 6 + i[2] * 2 + i[0]])),
        case!("swap_dims", Real, [x: [2, 2, 3]], x.swap_dims(0, 2), [3, 2, 2],
            build(&[3, 2, 2], |i| x[i[2] * 6 + i[1] * 3 + i[0]])),
        case!("transpose", Real, [x: [2, 3]], x.transpose(), [3, 2],
            build(&[3, 2], |i| x[i[1] * 3 + i[0]])),
        case!("expand", Real, [x: [2, 1, 2]], x.expand([2, 3, 2]), [2, 3, 2],
            build(&[2, 3, 2], |i| x[i[0] * 2 + i[2]])),
        case!("reduce_to", Real, [x: [2, 3, 2]], x.clone().reduce_to(&[1, 3, 1].into()), [1, 3, 1],
            build(&[3], |i| x[i[0] * 2] + x[i[0] * 2 + 1] + x[6 + i[0] * 2] + x[7 + i[0] * 2])),
        case!("slice", Real, [x: [3, 4]], x.slice([1..3, 1..3]), [2, 2],
            build(&[2, 2], |i| x[(i[0] + 1) * 4 + i[1] + 1])),
        case!("slice of the first dimension", Real, [x: [3, 2]], x.slice(2..3), [1, 2],
            x[4..].to_vec()),
        case!("cat", Real, [a: [2, 1], b: [2, 3], c: [2, 2]],
            Var::cat(&[a.clone(), b.clone(), c.clone()], 1), [2, 6],
            [&a[..1], &b[..3], &c[..2], &a[1..], &b[3..], &c[2..]].concat()),
        case!("cat of one variable twice", Real, [x: [2, 2]],
            Var::cat(&[x.clone(), x.clone()], 0), [4, 2], [&x[..], &x[..]].concat()),
        case!("stack", Real, [a: [2, 2], b: [2, 2]], Var::stack(&[a.clone(), b.clone()], 1),
            [2, 2, 2], [&a[..2], &b[..2], &a[2..], &b[2..]].concat()),
    ]
}

fn reductions() -> Vec<Case> {
    vec![
        case!("sum", Real, [x: [2, 3]], x.sum(), [1], vec![x.iter().sum()]),
        case!("sum_dim", Real, [x: [2, 3, 2]], x.sum_dim(1), [2, 1, 2],
            build(&[2, 1, 2], |i| (0..3).map(|k| x[i[0] * 6 + k * 2 + i[2]]).sum())),
        case!("sum_dims", Real, [x: [2, 3, 2]], x.sum_dims(&[0, 2]), [1, 3, 1],
            build(&[3], |i| x[i[0] * 2] + x[i[0] * 2 + 1] + x[6 + i[0] * 2] + x[7 + i[0] * 2])),
        case!("mean", Real, [x: [2, 3]], x.mean(), [1], vec![x.iter().sum::<f64>() / 6.0]),
        case!("mean_dim", Real, [x: [2, 3]], x.mean_dim(0), [1, 3],
            build(&[3], |i| (x[i[0]] + x[3 + i[0]]) / 2.0)),
        case!("max_dim", Apart, [x: [2, 3]], x.max_dim(1), [2, 1],
            x.chunks(3).map(|row| largest(row.to_vec())).collect()),
        case!("min_dim", Apart, [x: [2, 3]], x.min_dim(0), [1, 3],
            build(&[3], |i| x[i[0]].min(x[3 + i[0]]))),
        case!("max", Apart, [x: [2, 3]], x.max(), [1], vec![largest(x.clone())]),
        case!("min", Apart, [x: [2, 3]], x.min(), [1], vec![smallest(x.clone())]),
        case!("log_sum_exp", Apart, [x: [2, 3]], x.log_sum_exp(1), [2, 1],
            x.chunks(3).map(|row| row.iter().map(|x| x.exp()).sum::<f64>().ln()).collect()),
        case!("softmax", Apart, [x: [2, 3]], x.softmax(0), [2, 3],
            build(&[2, 3], |i| x[i[0] * 3 + i[1]].exp() / (x[i[1]].exp() + x[3 + i[1]].exp()))),
        case!("log_softmax", Apart, [x: [2, 3]], x.log_softmax(1), [2, 3],
            x.chunks(3)
                .flat_map(|row| {
                    let sum = row.iter().map(|x| x.exp()).sum::<f64>().ln();
                    row.iter().map(|x| x - sum).collect::<Vec<_>>()
                })
                .collect()),
    ]
}

fn picks_and_products() -> Vec<Case> {
    vec![
        case!("gather", Real, [x: [2, 3]],
            x.gather(1, index(x, [2, 4], &[2, 0, 2, 1, 1, 1, 0, 2])), [2, 4],
            [x[2], x[0], x[2], x[1], x[4], x[4], x[3], x[5]].to_vec()),
        case!("gather of one, rank 1", Real, [x: [4]], x.gather(0, index(x, [1], &[2])), [1], vec![x[2]]),
        case!("gather of one, row", Real, [x: [1, 4]], x.gather(1, index(x, [1, 1], &[2])), [1, 1],
            vec![x[2]]),
        case!("gather of one, column", Real, [x: [4, 1]], x.gather(0, index(x, [1, 1], &[2])), [1, 1],
            vec![x[2]]),
        case!("gather, rank 1", Real, [x: [3]], x.gather(0, index(x, [4], &[2, 0, 2, 1])), [4],
            vec![x[2], x[0], x[2], x[1]]),
        case!("select of one", Real, [x: [4]], x.select(0, index(x, [1], &[2])), [1], vec![x[2]]),
        case!("scatter_add of one", Real, [x: [4], v: [1]], x.scatter_add(0, index(x, [1], &[2]), v), [4],
            vec![x[0], x[1], x[2] + v[0], x[3]]),
        case!("max_dim of a row", Apart, [x: [1, 4]], x.max_dim(1), [1, 1], vec![largest(x.clone())]),
        case!("min_dim of a column", Apart, [x: [4, 1]], x.min_dim(0), [1, 1], vec![smallest(x.clone())]),
        case!("scatter_add", Real, [x: [2, 3], v: [2, 4]],
            x.scatter_add(1, index(x, [2, 4], &[2, 0, 2, 1, 1, 1, 0, 2]), v), [2, 3],
            [x[0] + v[1], x[1] + v[3], x[2] + v[0] + v[2], x[3] + v[6], x[4] + v[4] + v[5], x[5] + v[7]]
                .to_vec()),
        case!("select", Real, [x: [3, 2]], x.select(0, index(x, [4], &[2, 0, 2, 1])), [4, 2],
            [&x[4..], &x[..2], &x[4..], &x[2..4]].concat()),
        case!("select_add", Real, [x: [2, 3], v: [2, 2]],
            x.select_add(1, index(x, [2], &[2, 2]), v), [2, 3],
            [x[0], x[1], x[2] + v[0] + v[1], x[3], x[4], x[5] + v[2] + v[3]].to_vec()),
        case!("matmul", Real, [a: [2, 3], b: [3, 2]], a.matmul(b), [2, 2],
            build(&[2, 2], |i| (0..3).map(|k| a[i[0] * 3 + k] * b[k * 2 + i[1]]).sum())),
        case!("matmul of a batch", Real, [a: [2, 1, 3], b: [2, 3, 2]], a.matmul(b), [2, 1, 2],
            build(&[2, 1, 2], |i| (0..3).map(|k| a[i[0] * 3 + k] * b[i[0] * 6 + k * 2 + i[2]]).sum())),
        case!("matmul, left batch broadcast", Real, [a: [1, 2, 2], b: [2, 2, 1]], a.matmul(b), [2, 2, 1],
            build(&[2, 2, 1], |i| (0..2).map(|k| a[i[1] * 2 + k] * b[i[0] * 2 + k]).sum())),
        case!("matmul, both batches broadcast", Real, [a: [2, 1, 1, 2], b: [1, 3, 2, 1]], a.matmul(b),
            [2, 3, 1, 1],
            build(&[2, 3], |i| (0..2).map(|k| a[i[0] * 2 + k] * b[i[1] * 2 + k]).sum())),
        case!("matmul of a matrix with itself", Real, [a: [2, 2]], a.matmul(a), [2, 2],
            build(&[2, 2], |i| (0..2).map(|k| a[i[0] * 2 + k] * a[k * 2 + i[1]]).sum())),
        case!("linear", Real, [x: [2, 3], w: [2, 3], b: [2]], x.linear(w, Some(b)), [2, 2],
            build(&[2, 2], |i| b[i[1]] + (0..3).map(|k| x[i[0] * 3 + k] * w[i[1] * 3 + k]).sum::<f64>())),
        case!("linear without bias, rank 1", Real, [x: [3], w: [2, 3]], x.linear(w, None), [2],
            build(&[2], |i| (0..3).map(|k| x[k] * w[i[0] * 3 + k]).sum())),
        case!("linear, rank 3", Real, [x: [2, 1, 2], w: [3, 2], b: [3]], x.linear(w, Some(b)), [2, 1, 3],
            build(&[2, 1, 3], |i| b[i[2]] + (0..2).map(|k| x[i[0] * 2 + k] * w[i[2] * 2 + k]).sum::<f64>())),
    ]
}

fn cases() -> Vec<Case> {
    let mut cases = elementwise();
    cases.extend(choices());
    cases.extend(arrangements());
    cases.extend(reductions());
    cases.extend(picks_and_products());
    cases
}

fn constant(shape: &[usize], data: &[f64], device: &Device, dtype: DType) -> Var {
    let data = TensorData::new(data.to_vec(), [data.len()]).convert_dtype(dtype);
    Var::from(Tensor::<1>::from_data(data, (device, dtype))).reshape(shape.to_vec())
}

fn numbers(var: &Var) -> Vec<f64> {
    let data = var.to_data().convert_dtype(DType::F64);
    data.as_slice::<f64>().expect("it was converted").to_vec()
}

/// Uneven numbers of both signs, another row for each `seed`.
fn uneven(count: usize, seed: usize) -> Vec<f64> {
    (0..count).map(|i| (((7 * i + 3 * seed + 1) % 11) as f64 - 5.0) / 8.0 + 0.0625).collect()
}

fn weigh(var: &Var, seed: usize) -> Var {
    let weights = uneven(var.shape().num_elements(), seed);
    let shape = var.shape().to_vec();
    (var * constant(&shape, &weights, &device(var), var.dtype())).sum()
}

/// φ₀ = ⟨c₀, y + y³⁄3⟩ and φₖ = ⟨cₖ, ∇φₖ₋₁⟩, with uneven weights. The cube makes the derivatives of
/// a linear operation depend on its input, so that its backward is differentiated as well.
fn objectives(case: &Case, flat: &Var, count: usize) -> (Var, Vec<Var>) {
    let y = case.call(flat);
    let mut objectives = vec![weigh(&(&y + y.powi(3) / 3.0), 0)];
    for order in 1..count {
        let [gradient] = Gradient::of([&objectives[order - 1]]).wrt([flat]);
        objectives.push(weigh(&gradient, order));
    }
    (y, objectives)
}

/// ∇φ₀, ∇φ₁, … and y before them.
fn tower(case: &Case, device: &Device, dtype: DType, count: usize) -> Vec<Var> {
    let flat = Var::leaf(constant(&[case.count()], &case.data(), device, dtype));
    let (y, objectives) = objectives(case, &flat, count);
    let gradient = |objective: &Var| {
        let [gradient] = Gradient::of([objective]).constant().wrt([&flat]);
        gradient
    };
    std::iter::once(y).chain(objectives.iter().map(gradient)).collect()
}

const UNIT: f64 = f64::EPSILON / 2.0;

/// What is wrong, with the name of each operation; all of it is reported at once.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    /// An infinity is close to itself, and NaN to nothing.
    fn compare(&mut self, what: &str, found: &[f64], expected: &[f64], bound: f64) {
        if !relative_eq!(*found, *expected, epsilon = bound, max_relative = 0.0) {
            self.0.push(format!("{what}: {found:?}, expected {expected:?} within {bound:e}"));
        }
    }

    #[track_caller]
    fn report(self) {
        assert!(self.0.is_empty(), "{} failed:\n{}", self.0.len(), self.0.join("\n"));
    }
}

fn size<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> f64 {
    numbers.into_iter().fold(1.0f64, |a, b| a.max(b.abs()))
}

/// Built-in functions are good to a few units in the last place, and no case has more than some ten
/// operations on numbers up to the largest of inputs and outputs: 64 units of that.
#[test]
fn values_are_those_of_plain_rust() {
    let mut failures = Failures::default();
    for device in cpu() {
        for case in cases() {
            let what = format!("{} on {device:?}", case.name);
            let data = case.data();
            let expected = (case.value)(&case.split(|range, _| data[range].to_vec()));
            let flat = constant(&[case.count()], &data, &device, DType::F64);
            let found = case.call(&flat);
            assert_eq!(found.shape().to_vec(), case.output, "{what}");
            let bound = 64.0 * UNIT * size(data.iter().chain(&expected));
            failures.compare(&what, &numbers(&found), &expected, bound);
            // The same with a place on the tape.
            let recorded = case.call(&Var::leaf(&flat));
            failures.compare(&what, &numbers(&recorded), &numbers(&found), 0.0);
        }
    }
    failures.report();
}

/// ∇φ₀, ∇φ₁ and ∇φ₂ against numeric derivatives along an uneven direction, in which an error of any
/// entry shows; and the same gradients on every other device.
#[test]
fn three_derivatives_are_the_numeric_ones() {
    let mut failures = Failures::default();
    let mut precision = Precision::F64;
    precision.rows = 12;
    let devices = cpu();
    for case in cases() {
        let (count, data) = (case.count(), case.data());
        let gradients: Vec<_> =
            tower(&case, &devices[0], DType::F64, 3)[1..].iter().map(numbers).collect();
        let direction = uneven(count, 5);
        let samples = Samples::take(0.0, 0.125, precision, |step| {
            let moved: Vec<_> = data.iter().zip(&direction).map(|(x, v)| x + step * v).collect();
            let flat = Var::leaf(constant(&[count], &moved, &devices[0], DType::F64));
            let (_, objectives) = objectives(&case, &flat, 3);
            (step, objectives.iter().flat_map(numbers).collect())
        });
        for (order, gradient) in gradients.iter().enumerate() {
            let terms: Vec<_> = gradient.iter().zip(&direction).map(|(g, v)| g * v).collect();
            let numeric = samples.derivative(order, precision);
            let what = format!("derivative {} of {} on {:?}", order + 1, case.name, devices[0]);
            // The bound of the numeric derivative, and some thousand roundings of ours.
            let bound = numeric.bound + 1000.0 * UNIT * terms.iter().map(|t| t.abs()).sum::<f64>();
            failures.compare(&what, &[terms.iter().sum()], &[numeric.value], bound);
            // A bound that would let a mistake pass proves nothing.
            if numeric.bound > 1e-6 * size(&terms) {
                failures
                    .0
                    .push(format!("{what}: the numeric derivative is too noisy, {numeric:?}"));
            }
        }
        for device in &devices[1..] {
            let others = tower(&case, device, DType::F64, 3);
            for (order, (found, expected)) in others[1..].iter().zip(&gradients).enumerate() {
                let what = format!("derivative {} of {} on {device:?}", order + 1, case.name);
                failures.compare(&what, &numbers(found), expected, 1000.0 * UNIT * size(expected));
            }
        }
    }
    failures.report();
}

/// The gradient of φ₂ by Burn's `backward()`, which sweeps the tape that our two derivatives are on.
#[test]
fn burn_differentiates_the_second_derivative_to_the_same_third() {
    let mut failures = Failures::default();
    for device in autodiff(cpu()) {
        for case in cases() {
            let what = format!("{} on {device:?}", case.name);
            let data = TensorData::new(case.data(), [case.count()]);
            let x = Tensor::<1>::from_data(data, (&device, DType::F64)).require_grad();
            let flat = Var::leaf(&x);
            let (_, objectives) = objectives(&case, &flat, 3);
            let [expected] = Gradient::of([&objectives[2]]).constant().wrt([&flat]);
            let expected = numbers(&expected);
            let loss: Tensor<1> = objectives[2].constant().into_tensor();
            let Some(found) = x.grad(&loss.backward()) else {
                failures.0.push(format!("{what}: Burn's graph does not reach the input"));
                continue;
            };
            // Another order of some hundred operations, on terms up to the largest entry that cancel
            // by less than a tenfold.
            let bound = 1000.0 * UNIT * size(&expected);
            failures.compare(&what, &crate::devices::numbers(found), &expected, bound);
        }
    }
    failures.report();
}

/// Each input alone on the tape, the others constants: only its gradient is asked for, and it is the
/// same.
#[test]
fn an_operation_with_constants_has_the_same_gradient() {
    let mut failures = Failures::default();
    for device in cpu() {
        for case in cases().into_iter().filter(|case| case.shapes.len() > 1) {
            let all = numbers(&tower(&case, &device, DType::F64, 1)[1]);
            let data = case.data();
            let expected = case.split(|range, _| all[range].to_vec());
            for (input, expected) in expected.iter().enumerate() {
                let mut inputs =
                    case.split(|range, shape| constant(shape, &data[range], &device, DType::F64));
                let leaf = Var::leaf(&inputs[input]);
                inputs[input] = leaf.clone();
                let y = (case.function)(&inputs);
                let objective = weigh(&(&y + y.powi(3) / 3.0), 0);
                let [found] = Gradient::of([&objective]).wrt([&leaf]);
                let what = format!("input {input} of {} on {device:?}", case.name);
                assert_eq!(found.shape(), leaf.shape(), "{what}");
                failures.compare(&what, &numbers(&found), expected, 64.0 * UNIT * size(&all));
            }
        }
    }
    failures.report();
}

/// In single precision on wgpu the inputs are exact, so that only the operations round. WGSL bounds
/// `exp` by 3 + 2|x| < 8 units in the last place here, and division, `log`, roots and powers made of
/// these by less than 16; `sin` and `cos` by 2⁻¹¹ absolutely, `tanh` by what a quotient of
/// exponentials gives. A result has at most some 16 such factors, and sums at most 12 terms of one
/// size: 16·16 units of the largest number on the way, which is one of inputs, outputs, their cubes
/// and gradients.
#[test]
fn single_precision_on_wgpu_agrees_with_double_precision() {
    single_precision_agrees(2);
}

/// The same bound: the numbers on the way are counted in it.
#[test]
fn third_derivatives_on_wgpu_agree_with_double_precision() {
    single_precision_agrees(3);
}

#[track_caller]
fn single_precision_agrees(orders: usize) {
    let (Some(wgpu), Some(reference)) = (wgpu(), cpu().first().cloned()) else { return };
    let mut failures = Failures::default();
    let unit = f64::from(f32::EPSILON) / 2.0;
    for case in cases() {
        let expected = tower(&case, &reference, DType::F64, orders);
        let found = tower(&case, &wgpu, DType::F32, orders);
        let cubes: Vec<_> = numbers(&expected[0]).iter().map(|y| y.powi(3)).collect();
        let mut largest = size(case.data().iter().chain(&cubes));
        for (order, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let expected = numbers(expected);
            largest = largest.max(size(&expected));
            let bound = match case.name {
                "sin" | "cos" => 8.0 * 2f64.powi(-11) * largest,
                _ => 256.0 * unit * largest,
            };
            let what = format!("derivative {order} of {}", case.name);
            failures.compare(&what, &numbers(found), &expected, bound);
        }
    }
    failures.report();
}

fn leaf(numbers: &[f64], device: &Device, dtype: DType) -> Var {
    Var::leaf(constant(&[numbers.len()], numbers, device, dtype))
}

fn float(device: &Device) -> DType {
    if cpu().contains(device) { DType::F64 } else { DType::F32 }
}

/// Values, first and second derivatives (of the sum) that closed forms give exactly, where numbers
/// are large enough that a naive formula overflows.
#[test]
fn saturated_functions_are_finite_to_second_order() {
    type Row = (&'static str, fn(&Var) -> Var, [f64; 2], [f64; 2]);
    let rows: [Row; 6] = [
        ("sigmoid", |x| x.sigmoid(), [0.0, 1.0], [0.0, 0.0]),
        ("softplus", |x| x.softplus(), [0.0, 1e4], [0.0, 1.0]),
        ("tanh", |x| x.tanh(), [-1.0, 1.0], [0.0, 0.0]),
        ("erf", |x| x.erf(), [-1.0, 1.0], [0.0, 0.0]),
        ("relu", |x| x.relu(), [0.0, 1e4], [0.0, 1.0]),
        ("abs", |x| x.abs(), [1e4, 1e4], [-1.0, 1.0]),
    ];
    let mut failures = Failures::default();
    for device in all() {
        for (name, function, value, first) in rows {
            let x = leaf(&[-1e4, 1e4], &device, float(&device));
            let y = function(&x);
            let [dx] = Gradient::of([&y.sum()]).wrt([&x]);
            let [ddx] = Gradient::of([&dx.sum()]).wrt([&x]);
            for (order, (found, expected)) in
                [(y, value), (dx, first), (ddx, [0.0, 0.0])].iter().enumerate()
            {
                let what = format!("derivative {order} of {name} at ±1e4 on {device:?}");
                failures.compare(&what, &numbers(found), expected, 0.0);
            }
        }
    }
    failures.report();
}

#[test]
fn large_logits_do_not_overflow() {
    let mut failures = Failures::default();
    for device in all() {
        let dtype = float(&device);
        let cotangent = [0.25, -2.0, 0.5];
        // Two equal largest and one that is negligible: softmax is (½, 0, ½).
        type Row = (&'static str, fn(&Var) -> Var, Vec<f64>, [f64; 3]);
        let rows: [Row; 3] = [
            ("log_sum_exp", |x| x.log_sum_exp(0), vec![1e4 + 2f64.ln()], [0.125, 0.0, 0.125]),
            // pᵢ·(cᵢ − Σ pⱼcⱼ), with Σ pⱼcⱼ = ⅜.
            ("softmax", |x| x.softmax(0), vec![0.5, 0.0, 0.5], [-0.0625, 0.0, 0.0625]),
            // cᵢ − pᵢ·Σ cⱼ, with Σ cⱼ = −1¼.
            (
                "log_softmax",
                |x| x.log_softmax(0),
                vec![-(2f64.ln()), -2e4 - 2f64.ln(), -(2f64.ln())],
                [0.875, -2.0, 1.125],
            ),
        ];
        for (name, function, value, gradient) in rows {
            let x = leaf(&[1e4, -1e4, 1e4], &device, dtype);
            let y = function(&x);
            let c = constant(&[value.len()], &cotangent[..value.len()], &device, dtype);
            let [dx] = Gradient::of([&y]).cotangents([&c]).wrt([&x]);
            let [ddx] = Gradient::of([&(&dx * &dx).sum()]).wrt([&x]);
            // Half a unit of 2·10⁴, and four more.
            let unit = if dtype == DType::F64 { UNIT } else { f64::from(f32::EPSILON) / 2.0 };
            let what = format!("{name} on {device:?}");
            failures.compare(&what, &numbers(&y), &value, 4.0 * unit * 2e4);
            failures.compare(&what, &numbers(&dx), &gradient, 8.0 * unit);
            if numbers(&ddx).iter().any(|x| !x.is_finite()) {
                failures.0.push(format!("{what}: second derivative {:?}", numbers(&ddx)));
            }
        }
    }
    failures.report();
}

#[test]
fn kinks_have_the_derivative_that_is_documented() {
    type Row = (&'static str, fn(&Var) -> Var, Vec<f64>, Vec<f64>);
    let mut failures = Failures::default();
    for device in all() {
        let rows: Vec<Row> = vec![
            ("relu", |x| x.relu(), vec![0.0, -0.0, 1e-30, -1e-30], vec![0.0, 0.0, 1.0, 0.0]),
            ("abs", |x| x.abs(), vec![0.0, -0.0, 2.0, -2.0], vec![0.0, 0.0, 1.0, -1.0]),
            ("clamp", |x| x.clamp(-1.0, 2.0), vec![-1.0, 2.0, -1.5, 2.5], vec![1.0, 1.0, 0.0, 0.0]),
            // On ties the gradient goes to self, here the variable, or to the other, a constant.
            ("maximum", |x| x.maximum(&x.detach()), vec![1.0, -2.0], vec![1.0, 1.0]),
            ("minimum", |x| x.minimum(&x.detach()), vec![1.0, -2.0], vec![1.0, 1.0]),
            ("maximum, right", |x| x.detach().maximum(x), vec![1.0, -2.0], vec![0.0, 0.0]),
            ("minimum, right", |x| x.detach().minimum(x), vec![1.0, -2.0], vec![0.0, 0.0]),
            ("powi(1) at 0", |x| x.powi(1), vec![0.0, -0.0], vec![1.0, 1.0]),
            ("powi(2) at 0", |x| x.powi(2), vec![0.0, -0.0], vec![0.0, 0.0]),
        ];
        for (name, function, at, expected) in rows {
            let x = leaf(&at, &device, float(&device));
            let [dx] = Gradient::of([&function(&x).sum()]).wrt([&x]);
            failures.compare(&format!("{name} on {device:?}"), &numbers(&dx), &expected, 0.0);
        }
        // Of equal extremes exactly one gets the gradient.
        for (name, function) in
            [("max", (|x: &Var| x.max()) as fn(&Var) -> Var), ("min", |x: &Var| (-x).min())]
        {
            let x = leaf(&[1.0, 3.0, 3.0], &device, float(&device));
            let [dx] = Gradient::of([&function(&x)]).wrt([&x]);
            let mut dx = numbers(&dx);
            dx.sort_by(f64::total_cmp);
            let one = if name == "max" { [0.0, 0.0, 1.0] } else { [-1.0, 0.0, 0.0] };
            failures.compare(&format!("{name} on {device:?}"), &dx, &one, 0.0);
        }
    }
    failures.report();
}

/// Adapters may assume that there is no NaN: on the CPU backends only.
#[test]
fn nan_passes() {
    for device in cpu() {
        let x = leaf(&[f64::NAN, -1.0], &device, DType::F64);
        for (name, y) in [("relu", Var::relu(&x)), ("clamp", x.clamp(-2.0, 2.0)), ("abs", x.abs())]
        {
            let [dx] = Gradient::of([&y.sum()]).wrt([&x]);
            assert!(numbers(&y)[0].is_nan(), "{name} on {device:?}");
            assert!(numbers(&dx)[1].is_finite(), "{name} on {device:?}");
        }
        let [dx] = Gradient::of([&Var::relu(&x).sum()]).wrt([&x]);
        assert_eq!(numbers(&dx), [1.0, 0.0], "{device:?}");
    }
}

/// The gradients of an operation on empty tensors are empty or zero, of their inputs' shapes, to
/// second order.
#[test]
fn empty_tensors_pass_through_every_operation() {
    type Row = (&'static str, Vec<Vec<usize>>, fn(&[Var]) -> Var, Vec<usize>);
    let one = |shape: &[usize]| vec![shape.to_vec()];
    let two = |a: &[usize], b: &[usize]| vec![a.to_vec(), b.to_vec()];
    let rows: Vec<Row> = vec![
        ("a + b", two(&[0, 3], &[1, 3]), |x| &x[0] + &x[1], vec![0, 3]),
        ("a - b", two(&[0, 3], &[1, 3]), |x| &x[0] - &x[1], vec![0, 3]),
        ("a * b", two(&[0, 3], &[1, 3]), |x| &x[0] * &x[1], vec![0, 3]),
        ("a / b", two(&[2, 0], &[2, 1]), |x| &x[0] / (&x[1] + 1.0), vec![2, 0]),
        ("scalars", one(&[0]), |x| 1.0 - (2.0 * &x[0] / 3.0 + 1.0), vec![0]),
        ("powi", one(&[2, 0]), |x| x[0].powi(3), vec![2, 0]),
        ("exp and log", one(&[2, 0]), |x| x[0].exp().log().log1p(), vec![2, 0]),
        ("sin, cos, tanh", one(&[2, 0]), |x| x[0].sin().cos().tanh(), vec![2, 0]),
        ("sqrt, recip", one(&[2, 0]), |x| x[0].sqrt().recip(), vec![2, 0]),
        ("sigmoid, softplus, erf", one(&[2, 0]), |x| x[0].sigmoid().softplus().erf(), vec![2, 0]),
        ("abs, relu, clamp", one(&[2, 0]), |x| x[0].abs().relu().clamp(0.0, 1.0), vec![2, 0]),
        ("maximum", two(&[0, 3], &[1, 3]), |x| x[0].maximum(&x[1]), vec![0, 3]),
        ("minimum", two(&[0, 3], &[1, 3]), |x| x[0].minimum(&x[1]), vec![0, 3]),
        ("reshape", one(&[2, 0]), |x| x[0].reshape([0, 7]), vec![0, 7]),
        ("unsqueeze_dim", one(&[2, 0]), |x| x[0].unsqueeze_dim(0), vec![1, 2, 0]),
        ("permute", one(&[2, 0, 3]), |x| x[0].permute(&[2, 0, 1]), vec![3, 2, 0]),
        ("transpose", one(&[2, 0]), |x| x[0].transpose(), vec![0, 2]),
        ("expand", one(&[1, 0]), |x| x[0].expand([4, 0]), vec![4, 0]),
        ("expand to nothing", one(&[2, 1]), |x| x[0].expand([2, 0]), vec![2, 0]),
        ("reduce_to", one(&[2, 0]), |x| x[0].clone().reduce_to(&[2, 1].into()), vec![2, 1]),
        ("slice of nothing", one(&[2, 0]), |x| x[0].slice(1..2), vec![1, 0]),
        ("slice to nothing", one(&[2, 3]), |x| x[0].slice(1..1), vec![0, 3]),
        ("cat", two(&[2, 0], &[2, 3]), |x| Var::cat(x, 1), vec![2, 3]),
        ("cat of nothing", two(&[0, 3], &[0, 3]), |x| Var::cat(x, 0), vec![0, 3]),
        ("stack", two(&[0, 3], &[0, 3]), |x| Var::stack(x, 1), vec![0, 2, 3]),
        ("sum", one(&[0, 3]), |x| x[0].sum(), vec![1]),
        ("sum_dim over nothing", one(&[0, 3]), |x| x[0].sum_dim(0), vec![1, 3]),
        ("sum_dim beside nothing", one(&[0, 3]), |x| x[0].sum_dim(1), vec![0, 1]),
        ("mean_dim beside nothing", one(&[0, 3]), |x| x[0].mean_dim(1), vec![0, 1]),
        ("max_dim beside nothing", one(&[0, 3]), |x| x[0].max_dim(1), vec![0, 1]),
        ("min_dim beside nothing", one(&[3, 0]), |x| x[0].min_dim(0), vec![1, 0]),
        ("log_sum_exp beside nothing", one(&[0, 3]), |x| x[0].log_sum_exp(1), vec![0, 1]),
        ("softmax beside nothing", one(&[0, 3]), |x| x[0].softmax(1), vec![0, 3]),
        ("log_softmax beside nothing", one(&[0, 3]), |x| x[0].log_softmax(1), vec![0, 3]),
        ("softmax over nothing", one(&[3, 0]), |x| x[0].softmax(1), vec![3, 0]),
        (
            "gather of nothing",
            one(&[2, 3]),
            |x| x[0].gather(1, index(&x[0], [2, 0], &[])),
            vec![2, 0],
        ),
        ("select of nothing", one(&[2, 3]), |x| x[0].select(0, index(&x[0], [0], &[])), vec![0, 3]),
        (
            "select beside nothing",
            one(&[2, 0]),
            |x| x[0].select(0, index(&x[0], [1], &[1])),
            vec![1, 0],
        ),
        (
            "scatter_add of nothing",
            two(&[2, 3], &[2, 0]),
            |x| x[0].scatter_add(1, index(&x[0], [2, 0], &[]), &x[1]),
            vec![2, 3],
        ),
        (
            "select_add of nothing",
            two(&[2, 3], &[0, 3]),
            |x| x[0].select_add(0, index(&x[0], [0], &[]), &x[1]),
            vec![2, 3],
        ),
        (
            "select_add beside nothing",
            two(&[2, 0], &[1, 0]),
            |x| x[0].select_add(0, index(&x[0], [1], &[1]), &x[1]),
            vec![2, 0],
        ),
        (
            "mask_where",
            two(&[2, 0], &[2, 1]),
            |x| x[0].mask_where(&x[0].greater_elem(0.0), &x[1]),
            vec![2, 0],
        ),
        ("mask_fill", one(&[2, 0]), |x| x[0].mask_fill(&x[0].greater_elem(0.0), 1.0), vec![2, 0]),
        ("matmul over nothing", two(&[2, 0], &[0, 3]), |x| x[0].matmul(&x[1]), vec![2, 3]),
        ("matmul of no rows", two(&[0, 2], &[2, 3]), |x| x[0].matmul(&x[1]), vec![0, 3]),
        (
            "matmul of an empty batch",
            two(&[0, 2, 1], &[1, 1, 2]),
            |x| x[0].matmul(&x[1]),
            vec![0, 2, 2],
        ),
        ("linear of no rows", two(&[0, 2], &[3, 2]), |x| x[0].linear(&x[1], None), vec![0, 3]),
        ("linear of no features", two(&[2, 0], &[3, 0]), |x| x[0].linear(&x[1], None), vec![2, 3]),
    ];
    let mut failures = Failures::default();
    for device in cpu() {
        for (name, shapes, function, output) in &rows {
            let run = || {
                let leaves: Vec<_> = shapes
                    .iter()
                    .map(|shape| {
                        let data = vec![0.5; shape.iter().product()];
                        Var::leaf(constant(shape, &data, &device, DType::F64))
                    })
                    .collect();
                let y = function(&leaves);
                assert_eq!(y.shape().to_vec(), *output, "shape of the output");
                for leaf in &leaves {
                    let objective = (&y * &y).sum();
                    let [first] = Gradient::of([&objective]).wrt([leaf]);
                    assert_eq!(first.shape(), leaf.shape(), "shape of the gradient");
                    let [second] = Gradient::of([&(&first * &first).sum()]).wrt([leaf]);
                    assert_eq!(second.shape(), leaf.shape(), "shape of the second derivative");
                    let _ = (numbers(&first), numbers(&second));
                }
            };
            if let Some(text) = refusal(run) {
                failures.0.push(format!("{name} on {device:?}: {text}"));
            }
        }
    }
    failures.report();
}

/// What a closure panics with.
fn refusal(run: impl FnOnce()) -> Option<String> {
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).err()?;
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .or(Some("?".into()))
}

/// What runs along one dimension gives the same at every rank: as on [before, n, after].
#[test]
fn operations_along_a_dimension_work_at_every_rank() {
    type Along = fn(&Var, usize) -> Var;
    let operations: [(&str, Along); 11] = [
        ("sum_dim", |x, dim| x.sum_dim(dim)),
        ("mean_dim", |x, dim| x.mean_dim(dim)),
        ("max_dim", |x, dim| x.max_dim(dim)),
        ("min_dim", |x, dim| x.min_dim(dim)),
        ("log_sum_exp", |x, dim| x.log_sum_exp(dim)),
        ("softmax", |x, dim| x.softmax(dim)),
        ("log_softmax", |x, dim| x.log_softmax(dim)),
        ("cat", |x, dim| Var::cat(&[x * 2.0, x.square()], dim)),
        ("stack", |x, dim| Var::stack(&[x * 2.0, x.square()], dim)),
        ("select", |x, dim| x.select(dim, index(x, [3], &[1, 0, 1]))),
        ("slice", |x, dim| {
            let mut ranges: Vec<_> = x.shape().iter().map(|size| 0..*size).collect();
            ranges[dim] = 1..x.shape()[dim];
            x.slice(ranges)
        }),
    ];
    let mut failures = Failures::default();
    for device in cpu() {
        for shape in [&[3][..], &[2, 3], &[2, 3, 2], &[2, 1, 2, 2], &[2, 1, 2, 1, 2]] {
            for dim in (0..shape.len()).filter(|&dim| shape[dim] > 1) {
                let before: usize = shape[..dim].iter().product();
                let after: usize = shape[dim + 1..].iter().product();
                let count = before * shape[dim] * after;
                let data: Vec<_> = (0..count).map(|i| Domain::Apart.number(i)).collect();
                for (name, operation) in operations {
                    let run = |shape: &[usize], dim: usize| {
                        let x = Var::leaf(constant(shape, &data, &device, DType::F64));
                        let y = operation(&x, dim);
                        let [dx] = Gradient::of([&weigh(&y, 2)]).wrt([&x]);
                        let [ddx] = Gradient::of([&weigh(&(&dx * &x), 3)]).wrt([&x]);
                        assert_eq!(ddx.shape(), x.shape());
                        [numbers(&y), numbers(&dx), numbers(&ddx)]
                    };
                    let expected = run(&[before, shape[dim], after], 1);
                    for (found, expected) in run(shape, dim).iter().zip(&expected) {
                        let what = format!("{name} of {shape:?} along {dim} on {device:?}");
                        failures.compare(&what, found, expected, 64.0 * UNIT * size(expected));
                    }
                }
            }
        }
    }
    failures.report();
}

#[test]
fn a_wrong_argument_is_refused_by_name() {
    type Row = (&'static str, &'static str, fn(&Var) -> Var);
    // x is [2, 3].
    let rows: Vec<Row> = vec![
        ("add", "rhs", |x| x + x.transpose()),
        ("sub", "rhs", |x| x - x.sum()),
        ("mul", "rhs", |x| x * x.transpose()),
        ("div", "rhs", |x| x / x.transpose()),
        ("maximum", "rhs", |x| x.maximum(&x.transpose())),
        ("minimum", "rhs", |x| x.minimum(&x.transpose())),
        ("greater", "rhs", |x| x.mask_fill(&x.greater(&x.transpose()), 0.0)),
        ("mask_where", "mask", |x| x.mask_where(&mask(x, [3, 2], &[T; 6]), x)),
        ("mask_where", "value", |x| x.mask_where(&mask(x, [2, 3], &[T; 6]), &x.transpose())),
        ("mask_where", "value", |x| x.slice(0..1).mask_where(&mask(x, [1, 3], &[T; 3]), x)),
        ("mask_fill", "mask", |x| x.mask_fill(&mask(x, [3, 2], &[T; 6]), 0.0)),
        ("mask_fill", "mask", |x| x.mask_fill(&mask(x, [3], &[T; 3]), 0.0)),
        ("fill_where_not_positive", "condition", |x| {
            x.fill_where_not_positive(&x.transpose(), 0.0)
        }),
        ("reshape", "shape", |x| x.reshape([5])),
        ("unsqueeze_dim", "dim", |x| x.unsqueeze_dim(3)),
        ("squeeze_dim", "dim", |x| x.squeeze_dim(0)),
        ("squeeze_dim", "dim", |x| x.squeeze_dim(2)),
        ("permute", "axes", |x| x.permute(&[0, 0])),
        ("permute", "axes", |x| x.permute(&[0])),
        ("swap_dims", "dim", |x| x.swap_dims(0, 2)),
        ("transpose", "self", |x| x.sum().transpose()),
        ("expand", "shape", |x| x.expand([4, 3])),
        ("expand", "shape", |x| x.expand([1, 2, 3])),
        ("reduce_to", "shape", |x| x.clone().reduce_to(&[2, 2].into())),
        ("slice", "ranges", |x| x.slice(0..3)),
        ("slice", "ranges", |x| x.slice([0..1, 0..1, 0..1])),
        ("cat", "parts", |x| Var::cat(&[x.clone(), x.transpose()], 0)),
        ("cat", "parts", |_| Var::cat(&[], 0)),
        ("cat", "dim", |x| Var::cat(std::slice::from_ref(x), 2)),
        ("stack", "parts", |x| Var::stack(&[x.clone(), x.transpose()], 0)),
        ("stack", "parts", |_| Var::stack(&[], 0)),
        ("stack", "dim", |x| Var::stack(std::slice::from_ref(x), 3)),
        ("sum_dim", "dim", |x| x.sum_dim(2)),
        ("sum_dims", "dim", |x| x.sum_dims(&[0, 2])),
        ("mean_dim", "dim", |x| x.mean_dim(2)),
        ("max_dim", "dim", |x| x.max_dim(2)),
        ("min_dim", "dim", |x| x.min_dim(2)),
        ("log_sum_exp", "dim", |x| x.log_sum_exp(2)),
        ("softmax", "dim", |x| x.softmax(2)),
        ("log_softmax", "dim", |x| x.log_softmax(2)),
        ("gather", "dim", |x| x.gather(2, index(x, [2, 3], &[0; 6]))),
        ("gather", "index", |x| x.gather(0, index(x, [2, 2], &[0; 4]))),
        ("scatter_add", "index", |x| x.scatter_add(0, index(x, [2, 2], &[0; 4]), x)),
        ("scatter_add", "index", |x| x.scatter_add(0, index(x, [1, 3], &[0; 3]), x)),
        ("select", "index", |x| x.select(0, index(x, [1, 1], &[0]))),
        ("select", "dim", |x| x.select(2, index(x, [1], &[0]))),
        ("select_add", "index", |x| x.select_add(0, index(x, [1], &[0]), x)),
        ("matmul", "rhs", |x| x.matmul(x)),
        ("matmul", "rhs", |x| x.matmul(&x.sum())),
        ("linear", "weight", |x| x.linear(&x.transpose(), None)),
        ("linear", "weight", |x| x.linear(&x.sum(), None)),
        ("linear", "bias", |x| x.linear(x, Some(&x.reshape([6])))),
        ("max", "self", |x| x.slice(0..0).max()),
        ("max_dim", "self", |x| x.slice(0..0).max_dim(0)),
    ];
    let mut failures = Failures::default();
    for device in cpu() {
        let x = Var::leaf(constant(&[2, 3], &[0.5; 6], &device, DType::F64));
        for (operation, argument, function) in &rows {
            let text = refusal(|| drop(function(&x))).unwrap_or_else(|| "nothing".into());
            let names = text.starts_with(&format!("{operation}: argument `"));
            if !names || !text.contains(*argument) {
                failures.0.push(format!("{operation}, {argument} on {device:?}: {text}"));
            }
        }
    }
    failures.report();
}

/// Burn's backends panic here without naming the operation, or read one data type as the other.
#[test]
fn operands_that_do_not_go_together_are_refused_by_name() {
    type Row = (&'static str, &'static str, fn(&Var, &Var) -> Var);
    // x and y are [2, 2].
    let rows: Vec<Row> = vec![
        ("add", "rhs", |x, y| x + y),
        ("sub", "rhs", |x, y| x - y),
        ("mul", "rhs", |x, y| x * y),
        ("div", "rhs", |x, y| x / y),
        ("pow", "exponent", |x, y| x.pow(y)),
        ("maximum", "rhs", |x, y| x.maximum(y)),
        ("minimum", "rhs", |x, y| x.minimum(y)),
        ("greater", "rhs", |x, y| x.mask_fill(&x.greater(y), 0.0)),
        ("greater_equal", "rhs", |x, y| x.mask_fill(&x.greater_equal(y), 0.0)),
        ("lower", "rhs", |x, y| x.mask_fill(&x.lower(y), 0.0)),
        ("lower_equal", "rhs", |x, y| x.mask_fill(&x.lower_equal(y), 0.0)),
        ("equal", "rhs", |x, y| x.mask_fill(&x.equal(y), 0.0)),
        ("not_equal", "rhs", |x, y| x.mask_fill(&x.not_equal(y), 0.0)),
        ("mask_where", "value", |x, y| x.mask_where(&x.equal_elem(0.5), y)),
        ("matmul", "rhs", |x, y| x.matmul(y)),
        ("linear", "weight", |x, y| x.linear(y, None)),
        ("linear", "bias", |x, y| x.linear(x, Some(&y.slice(0..1).reshape([2])))),
        ("cat", "parts", |x, y| Var::cat(&[x.clone(), y.clone()], 0)),
        ("stack", "parts", |x, y| Var::stack(&[x.clone(), y.clone()], 0)),
        ("scatter_add", "values", |x, y| x.scatter_add(0, index(x, [2, 2], &[0; 4]), y)),
        ("select_add", "values", |x, y| x.select_add(0, index(x, [2], &[0, 1]), y)),
    ];
    let new = |device: &Device, dtype: DType| constant(&[2, 2], &[0.5; 4], device, dtype);
    let mut failures = Failures::default();
    let devices = cpu();
    for device in &devices {
        let tracking = device.clone().autodiff();
        let x = Var::leaf(new(&tracking, DType::F64));
        let mut partners = vec![
            ("data type", new(&tracking, DType::F32)),
            ("data type", new(device, DType::F32)),
            ("checkpointing strategy", new(&tracking.clone().gradient_checkpointing(), DType::F64)),
        ];
        let others = devices.iter().filter(|other| *other != device);
        partners.extend(others.map(|other| ("device", new(other, DType::F64))));
        for (operation, argument, function) in &rows {
            for (what, y) in &partners {
                let text = refusal(|| drop(function(&x, y))).unwrap_or_else(|| "nothing".into());
                let refused =
                    format!("{operation}: argument `{argument}`: expected the {what} of ");
                if !text.starts_with(&refused) {
                    failures.0.push(format!("{operation}, {what} on {device:?}: {text}"));
                }
            }
            // A constant of the plain device goes with a tensor of the autodiff device.
            if let Some(text) = refusal(|| drop(function(&x, &new(device, DType::F64)))) {
                failures.0.push(format!("{operation} on {device:?}: {text}"));
            }
        }
    }
    failures.report();
}

#[test]
fn comparisons_and_masks_say_where() {
    for device in all() {
        let x = leaf(&[-1.0, 0.0, 2.0, 3.0], &device, float(&device));
        let y = leaf(&[-1.0, 1.0, 1.0, 3.0], &device, float(&device));
        let ones = |mask: Mask| numbers(&x.zeros_like().mask_fill(&mask, 1.0));
        assert_eq!(ones(x.greater(&y)), [0.0, 0.0, 1.0, 0.0], "{device:?}");
        assert_eq!(ones(x.greater_equal(&y)), [1.0, 0.0, 1.0, 1.0], "{device:?}");
        assert_eq!(ones(x.lower(&y)), [0.0, 1.0, 0.0, 0.0], "{device:?}");
        assert_eq!(ones(x.lower_equal(&y)), [1.0, 1.0, 0.0, 1.0], "{device:?}");
        assert_eq!(ones(x.equal(&y)), [1.0, 0.0, 0.0, 1.0], "{device:?}");
        assert_eq!(ones(x.not_equal(&y)), [0.0, 1.0, 1.0, 0.0], "{device:?}");
        assert_eq!(ones(x.equal(&y) & x.greater_elem(0.0)), [0.0, 0.0, 0.0, 1.0], "{device:?}");
        assert_eq!(ones(x.equal(&y) | x.equal_elem(0.0)), [1.0, 1.0, 0.0, 1.0], "{device:?}");
        assert_eq!(ones(!x.lower_elem(2.0)), [0.0, 0.0, 1.0, 1.0], "{device:?}");
        assert_eq!(numbers(&x.sign()), [-1.0, 0.0, 1.0, 1.0], "{device:?}");
        assert!(!x.sign().is_recorded(), "{device:?}");
        let picked = |index| numbers(&x.gather(0, &index));
        assert_eq!((picked(x.argmax(0)), picked(x.argmin(0))), (vec![3.0], vec![-1.0]));
    }
}

/// Masked logits are −∞: their probability is 0, and so is their gradient.
#[test]
fn infinite_logits_are_probabilities_of_zero() {
    let mut failures = Failures::default();
    let infinity = f64::INFINITY;
    for device in cpu() {
        let x = leaf(&[-infinity, 0.5, 0.5], &device, DType::F64);
        let c = constant(&[3], &[0.25, 1.0, -2.0], &device, DType::F64);
        let half = std::f64::consts::LN_2;
        let [sum] = Gradient::of([&x.log_sum_exp(0)]).wrt([&x]);
        let y = x.softmax(0);
        let [dx] = Gradient::of([&y]).cotangents([&c]).wrt([&x]);
        let [ddx] = Gradient::of([&dx]).cotangents([&c]).wrt([&x]);
        let what = |part: &str| format!("{part} on {device:?}");
        failures.compare(&what("sum"), &numbers(&x.log_sum_exp(0)), &[0.5 + half], 4.0 * UNIT);
        failures.compare(
            &what("gradient of the sum"),
            &numbers(&sum),
            &[0.0, 0.5, 0.5],
            4.0 * UNIT,
        );
        failures.compare(&what("softmax"), &numbers(&y), &[0.0, 0.5, 0.5], 4.0 * UNIT);
        failures.compare(&what("its gradient"), &numbers(&dx), &[0.0, 0.75, -0.75], 8.0 * UNIT);
        // Of two equal logits: ⟨c, dx⟩ = ¼(c₁ − c₂)·tanh′ is stationary.
        failures.compare(&what("its second derivative"), &numbers(&ddx), &[0.0; 3], 8.0 * UNIT);
        for (at, expected) in [
            ([-infinity, -infinity], -infinity),
            ([infinity, 0.0], infinity),
            ([-infinity, infinity], infinity),
        ] {
            let found = numbers(&leaf(&at, &device, DType::F64).log_sum_exp(0));
            failures.compare(&what(&format!("sum of {at:?}")), &found, &[expected], 0.0);
        }
    }
    failures.report();
}
