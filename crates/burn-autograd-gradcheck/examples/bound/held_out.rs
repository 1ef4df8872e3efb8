//! The second family, held out: functions, and tensor operations of Burn. Nothing of the method was chosen
//! or changed after looking at what comes out for them. Softmax, its logarithm, the layer norm, the
//! logistic function, silu and gelu are formulas of the other lists; here Burn's kernels compute them.

#![allow(
    clippy::redundant_closure,
    clippy::single_range_in_vec_init,
    reason = "every row of the table is written alike"
)]

use crate::functions::{Function, horner, series, sigmoid, softmax};
use crate::real::{Exact, Real, Single};

/// ∫ sin t² from 0 to x.
fn fresnel<R: Real>(x: R) -> R {
    let fourth = x.square().square();
    series(x.square() * x, |n| -fourth / R::from(2.0 * n * (2.0 * n + 1.0)), |n| 4.0 * n + 3.0)
}

/// ∫ (1 − e⁻ᵗ)/t from 0 to x.
fn entire_exponential<R: Real>(x: R) -> R {
    series(x, |n| -x / R::from(n + 1.0), |n| n + 1.0)
}

/// Σ xⁿ/n².
fn dilogarithm<R: Real>(x: R) -> R {
    series(x, |_| x, |n| (n + 1.0) * (n + 1.0))
}

/// The modified Bessel function Iₙ, for n = 0 and n = 1: all terms of one sign.
fn modified_bessel<R: Real>(x: R, order: f64) -> R {
    let half = x * 0.5;
    let first = if order == 0.0 { R::from(1.0) } else { half };
    series(first, |k| half.square() / R::from(k * (k + order)), |_| 1.0)
}

/// Jₙ for n from 1 to 3.
fn bessel<R: Real>(x: R, order: i32) -> R {
    let half = x * 0.5;
    let first = (1..=order).fold(R::from(1.0), |first, k| first * half / R::from(f64::from(k)));
    let order = f64::from(order);
    series(first, |k| -half.square() / R::from(k * (k + order)), |_| 1.0)
}

/// The solution of y″ = x·y with y(0) = 1 and y′(0) = 0, and its derivative.
fn airy<R: Real>(x: R) -> R {
    let cube = x.square() * x;
    series(R::from(1.0), |k| cube / R::from(3.0 * k * (3.0 * k - 1.0)), |_| 1.0)
}

fn airy_slope(x: Exact) -> Exact {
    let cube = x.square() * x;
    series(x.square() * 0.5, |k| cube / Exact::from(3.0 * k * (3.0 * k + 2.0)), |_| 1.0)
}

/// Legendre's Pₙ₋₁ and Pₙ, by the recurrence.
fn legendre<R: Real>(x: R, degree: u32) -> (R, R) {
    (1..degree).fold((R::from(1.0), x), |(before, last), n| {
        let n = f64::from(n);
        (last, (x * last * (2.0 * n + 1.0) - before * n) / (n + 1.0))
    })
}

/// Hermite's Hₙ₋₁ and Hₙ, by the recurrence.
fn hermite<R: Real>(x: R, degree: u32) -> (R, R) {
    (1..degree).fold((R::from(1.0), x * 2.0), |(before, last), n| {
        (last, x * last * 2.0 - before * (2.0 * f64::from(n)))
    })
}

/// Laguerre's Lₙ₋₁ and Lₙ, by the recurrence.
fn laguerre<R: Real>(x: R, degree: u32) -> (R, R) {
    (1..degree).fold((R::from(1.0), -x + 1.0), |(before, last), n| {
        let n = f64::from(n);
        (last, ((-x + (2.0 * n + 1.0)) * last - before * n) / (n + 1.0))
    })
}

/// The numerator of Padé's approximation of eˣ; its denominator is that of −x.
const PADE: [f64; 4] = [120.0, 60.0, 12.0, 1.0];
const PADE_SLOPE: [f64; 3] = [60.0, 24.0, 3.0];

/// The population x after some years of growth, x → 3.2·x·(1 − x), and its derivative.
fn grown<R: Real>(x: R, years: usize) -> (R, R) {
    (0..years).fold((x, R::from(1.0)), |(x, slope), _| {
        (x * (-x + 1.0) * 3.2, slope * (-x * 2.0 + 1.0) * 3.2)
    })
}

/// The cube root by Newton's method.
fn cube_root<R: Real>(x: R) -> R {
    (0..40).fold((x + 2.0) / 3.0, |y, _| (y * 2.0 + x / y.square()) / 3.0)
}

/// Σ exp(−½(x − c)²) for five c, each times a weight.
fn bumps<R: Real>(x: R, weight: impl Fn(R) -> R) -> R {
    [-2.0, -1.0, 0.0, 1.0, 2.0].into_iter().fold(R::from(0.0), |sum, centre: f64| {
        let distance = x - centre;
        sum + weight(distance) * (distance.square() * -0.5).exp()
    })
}

/// −Σ p ln p of the softmax of three.
fn entropy<R: Real>(values: &[R; 3]) -> R {
    (0..3).fold(R::from(0.0), |sum, which| {
        let p = softmax(values, which);
        sum - p * p.ln()
    })
}

/// The third side of a triangle.
fn side<R: Real>(angle: R, a: R, b: R) -> R {
    (a.square() + b.square() - a * b * angle.cos() * 2.0).sqrt()
}

pub(crate) fn functions() -> Vec<Function> {
    let scalars = functions! {
        // Compositions.
        "tanh sin 2x", |x in -3.0..3.0|
            (x * 2.0).sin().tanh(),
            (-(x * 2.0).sin().tanh().square() + 1.0) * (x * 2.0).cos() * 2.0;
        "x/√(1 + x²)", |x in -4.0..4.0|
            x / (x.square() + 1.0).sqrt(),
            ((x.square() + 1.0) * (x.square() + 1.0).sqrt()).recip();
        "exp sin 3x", |x in -3.0..3.0|
            (x * 3.0).sin().exp(),
            (x * 3.0).cos() * (x * 3.0).sin().exp() * 3.0;
        "ln(2 + cos x)", |x in -4.0..4.0| (x.cos() + 2.0).ln(), -x.sin() / (x.cos() + 2.0);
        "arctan eˣ", |x in -4.0..4.0| x.exp().atan(), x.exp() / ((x * 2.0).exp() + 1.0);
        "√(1 + √(1 + x²))", |x in -4.0..4.0|
            ((x.square() + 1.0).sqrt() + 1.0).sqrt(),
            {
                let inner = (x.square() + 1.0).sqrt();
                x / (inner * (inner + 1.0).sqrt() * 2.0)
            };
        "1/(1 + x⁴)", |x in -2.0..2.0|
            (x.square().square() + 1.0).recip(),
            -x.square() * x * 4.0 / (x.square().square() + 1.0).square();
        "x² e⁻ˣ", |x in -2.0..6.0|
            x.square() * (-x).exp(),
            (x * 2.0 - x.square()) * (-x).exp();
        "x^2.5 e⁻ˣ = exp(2.5 ln x − x)", |x in 0.3..8.0|
            (x.ln() * 2.5 - x).exp(),
            (x.ln() * 2.5 - x).exp() * (x.recip() * 2.5 - 1.0);
        "cos x ln(1 + x²)", |x in -4.0..4.0|
            x.cos() * (x.square() + 1.0).ln(),
            x.cos() * x * 2.0 / (x.square() + 1.0) - x.sin() * (x.square() + 1.0).ln();
        "arctan 5x − arctan 3x", |x in -3.0..3.0|
            (x * 5.0).atan() - (x * 3.0).atan(),
            (x.square() * 25.0 + 1.0).recip() * 5.0 - (x.square() * 9.0 + 1.0).recip() * 3.0;

        // Special functions and polynomials.
        "∫ sin t² from 0", |x in 0.2..2.5| fresnel(x), x.square().sin();
        "∫ (1 − e⁻ᵗ)/t from 0", |x in 0.2..5.0|
            entire_exponential(x),
            (-(-x).exp() + 1.0) / x;
        "the dilogarithm Li₂(x)", |x in 0.05..0.7| dilogarithm(x), -(-x + 1.0).ln() / x;
        "I₀(x)", |x in 0.1..6.0| modified_bessel(x, 0.0), modified_bessel(x, 1.0);
        "J₂(x)", |x in 0.3..9.0| bessel(x, 2), (bessel(x, 1) - bessel(x, 3)) * 0.5;
        "y with y″ = x y, y(0) = 1, y′(0) = 0", |x in -4.0..3.0| airy(x), airy_slope(x);
        "P₈(x)", |x in -0.9..0.9|
            legendre(x, 8).1,
            {
                let (before, last) = legendre(x, 8);
                (x * last - before) * 8.0 / (x.square() - 1.0)
            };
        "H₆(x)", |x in -2.5..2.5| hermite(x, 6).1, hermite(x, 6).0 * 12.0;
        "L₅(x)", |x in 0.2..8.0|
            laguerre(x, 5).1,
            {
                let (before, last) = laguerre(x, 5);
                (last - before) * 5.0 / x
            };
        "Padé's approximation of eˣ", |x in -2.0..2.0|
            horner(x, &PADE) / horner(-x, &PADE),
            {
                let (above, below) = (horner(x, &PADE), horner(-x, &PADE));
                (horner(x, &PADE_SLOPE) * below + above * horner(-x, &PADE_SLOPE)) / below.square()
            };
        "x/(1 + x²/(3 + x²/(5 + x²/7)))", |x in -3.0..3.0|
            {
                let square = x.square();
                x / (square / (square / (square / 7.0 + 5.0) + 3.0) + 1.0)
            },
            {
                let square = x.square();
                let above = x * (square * 10.0 + 105.0);
                let below = square.square() + square * 45.0 + 105.0;
                let slopes = (square * 30.0 + 105.0, x * (square * 4.0 + 90.0));
                (slopes.0 * below - above * slopes.1) / below.square()
            };

        // Iterations.
        "four steps of x → 3.2 x (1 − x)", |x in 0.05..0.95| grown(x, 4).0, grown(x, 4).1;
        "the cube root by Newton's method", |x in 0.3..8.0|
            cube_root(x),
            (cube_root(x).square() * 3.0).recip();
        "√(x + √(x + √(x + …)))", |x in 0.5..6.0|
            (0..120).fold(x, |y, _| (y + x).sqrt()),
            (x * 4.0 + 1.0).sqrt().recip();

        // Oscillation.
        "sin eˣ", |x in -2.0..2.5| x.exp().sin(), x.exp() * x.exp().cos();
        "sin 9x + sin 11x", |x in -3.0..3.0|
            (x * 9.0).sin() + (x * 11.0).sin(),
            (x * 9.0).cos() * 9.0 + (x * 11.0).cos() * 11.0;
        "cos x³", |x in -2.2..2.2|
            (x.square() * x).cos(),
            -(x.square() * x).sin() * x.square() * 3.0;
        "exp(−x²) cos 12x", |x in -2.0..2.0|
            (-x.square()).exp() * (x * 12.0).cos(),
            -(-x.square()).exp() * (x * (x * 12.0).cos() * 2.0 + (x * 12.0).sin() * 12.0);

        // Cancellation and large constants.
        "(1 − cos x)/x²", |x in 0.2..3.0|
            (-x.cos() + 1.0) / x.square(),
            (x * x.sin() + x.cos() * 2.0 - 2.0) / (x.square() * x);
        "x − tanh x", |x in -2.0..2.0| x - x.tanh(), x.tanh().square();
        "√(1 + x²) − x", |x in 0.0..6.0|
            (x.square() + 1.0).sqrt() - x,
            x / (x.square() + 1.0).sqrt() - 1.0;
        "500 + x³/(1 + x²)", |x in -3.0..3.0|
            x.square() * x / (x.square() + 1.0) + 500.0,
            x.square() * (x.square() + 3.0) / (x.square() + 1.0).square();

        // Branches: away from the point where they meet, and with two derivatives there.
        "ln(1 + abs(x − 4)), left of 4", |x in -3.0..3.0|
            ((x - 4.0).abs() + 1.0).ln(),
            -(-x + 5.0).recip();
        "x eˣ below 0, sin x + x² above", |x in -3.0..3.0|
            if x < R::from(0.0) { x * x.exp() } else { x.sin() + x.square() },
            if x < Exact::from(0.0) { (x + 1.0) * x.exp() } else { x.cos() + x * 2.0 };

        // Several inputs, and sums.
        "tanh x σ(x)", |x in -5.0..5.0|
            x.tanh() * sigmoid(x),
            {
                let (t, s) = (x.tanh(), sigmoid(x));
                (-t.square() + 1.0) * s + t * s * sigmoid(-x)
            };
        "log-density of Student's t, three degrees of freedom", |x in -5.0..5.0|
            (x.square() / 3.0 + 1.0).ln() * -2.0,
            -x * 4.0 / (x.square() + 3.0);
        "five Gaussian bumps", |x in -3.0..3.0|
            bumps(x, |_| R::from(1.0)),
            bumps(x, |distance| -distance);
        "the side of a triangle, by the angle", |x in 0.3..2.8, a in 0.5..2.0, b in 0.5..2.0|
            side(x, a, b),
            a * b * x.sin() / side(x, a, b);
        "the root (√(b² + 4c) − b)/2, by b", |b in -3.0..3.0, c in 0.3..3.0|
            ((b.square() + c * 4.0).sqrt() - b) * 0.5,
            (b / (b.square() + c * 4.0).sqrt() - 1.0) * 0.5;
        "the harmonic mean of three", |x in 0.4..3.0, y in 0.4..3.0, z in 0.4..3.0|
            (x.recip() + y.recip() + z.recip()).recip() * 3.0,
            ((x.recip() + y.recip() + z.recip()) * x).square().recip() * 3.0;
        "divergence of two Gaussians, by the second's deviation",
            |s in 0.5..3.0, t in 0.5..3.0, d in -2.0..2.0|
            (s / t).ln() + (t.square() + d.square()) / (s.square() * 2.0) - 0.5,
            s.recip() - (t.square() + d.square()) / (s.square() * s);
        "the entropy of a softmax of three", |x in -3.0..3.0, y in -3.0..3.0, z in -3.0..3.0|
            entropy(&[x, y, z]),
            {
                let p = softmax(&[x, y, z], 0);
                -p * (p.ln() + entropy(&[x, y, z]))
            };
    };
    scalars.into_iter().chain(operations()).collect()
}

#[cfg(feature = "flex")]
use tensors::operations;

/// There are none without Flex.
#[cfg(not(feature = "flex"))]
fn operations() -> Vec<Function> {
    Vec::new()
}

/// Operations of Burn on tensors, on Flex.
#[cfg(feature = "flex")]
mod tensors {
    use std::f64::consts::FRAC_2_SQRT_PI;

    use burn::tensor::activation::{
        celu, gelu, hard_swish, log_softmax, quiet_softmax, sigmoid, silu, softmax,
    };
    use burn::tensor::{DType, Device, Tensor, TensorData};

    use crate::functions::{Function, density, erf, mean, normal, softmax as part};
    use crate::real::{Exact, Real, Single};

    /// An element of a function of a vector.
    fn evaluate(
        inputs: &[f64],
        dtype: DType,
        operation: impl Fn(Tensor<1>) -> Tensor<1>,
        element: usize,
    ) -> f64 {
        let data = TensorData::new(inputs.to_vec(), [inputs.len()]).convert_dtype(dtype);
        let x = Tensor::<1>::from_data(data, (&Device::flex(), dtype));
        let values = operation(x).into_data().convert_dtype(DType::F64);
        values.try_to_vec::<f64>().expect("it was converted")[element]
    }

    /// A constant matrix beside a tensor.
    fn matrix<const R: usize, const C: usize>(like: &Tensor<1>, rows: [[f64; C]; R]) -> Tensor<2> {
        let data = TensorData::from(rows).convert_dtype(like.dtype());
        Tensor::from_data(data, (&like.device(), like.dtype()))
    }

    macro_rules! operations {
        ($(
            $name:literal,
            |$($input:ident in $low:literal .. $high:literal),+| $element:literal of $operation:expr,
            $slope:expr;
        )*) => {
            vec![$({
                fn double(inputs: &[f64]) -> f64 {
                    evaluate(inputs, DType::F64, $operation, $element)
                }
                fn single(inputs: &[Single]) -> Single {
                    let inputs: Vec<f64> = inputs.iter().map(|x| f64::from(x.0)).collect();
                    Single(evaluate(&inputs, DType::F32, $operation, $element) as f32)
                }
                #[allow(unused_variables, reason = "a derivative may be simpler")]
                fn slope(inputs: &[Exact]) -> Exact {
                    let &[$($input),+] = inputs else { panic!("the number of inputs of {}", $name) };
                    $slope
                }
                Function { name: $name, ranges: &[$(($low, $high)),+], single, double, slope }
            }),*]
        };
    }

    /// Constants that single precision holds.
    const WEIGHTS: [[f64; 3]; 3] = [[0.5, -1.25, 0.75], [1.0, 0.25, -0.5], [-0.75, 1.5, 0.375]];
    const SYMMETRIC: [[f64; 3]; 3] = [[2.0, 0.5, -0.25], [0.5, -1.0, 0.75], [-0.25, 0.75, 1.5]];
    const KEYS: [[f64; 2]; 3] = [[0.5, 1.25], [-1.5, 0.25], [0.75, -0.5]];
    const VALUES: [f64; 3] = [1.5, -0.75, 0.25];

    fn sum(values: &[Exact]) -> Exact {
        values.iter().fold(Exact::from(0.0), |sum, &value| sum + value)
    }

    fn dot(row: &[f64], x: &[Exact]) -> Exact {
        sum(&row.iter().zip(x).map(|(&a, &x)| x * a).collect::<Vec<_>>())
    }

    fn logistic(x: Exact) -> Exact {
        ((-x).exp() + 1.0).recip()
    }

    /// The derivative of the logistic function.
    fn bell(x: Exact) -> Exact {
        logistic(x) * logistic(-x)
    }

    fn normalised(x: Tensor<1>) -> Tensor<1> {
        let deviation = (x.clone().var_bias(0) + 1e-5).sqrt();
        (x.clone() - x.mean_dim(0)) / deviation
    }

    pub(super) fn operations() -> Vec<Function> {
        operations! {
            "softmax of a tensor of 6, its third",
                |a in -3.0..3.0, b in -3.0..3.0, c in -3.0..3.0, d in -3.0..3.0, e in -3.0..3.0,
                f in -3.0..3.0| 2 of |x| softmax(x, 0),
                -part(&[a, b, c, d, e, f], 0) * part(&[a, b, c, d, e, f], 2);
            "log_softmax of a tensor of 5, its first",
                |a in -3.0..3.0, b in -3.0..3.0, c in -3.0..3.0, d in -3.0..3.0, e in -3.0..3.0|
                0 of |x| log_softmax(x, 0),
                -part(&[a, b, c, d, e], 0) + 1.0;
            "quiet_softmax of a tensor of 3, its first",
                |a in -3.0..3.0, b in -3.0..3.0, c in -3.0..3.0| 0 of |x| quiet_softmax(x, 0),
                {
                    let p = part(&[a, b, c, Exact::from(0.0)], 0);
                    p * (-p + 1.0)
                };
            "sigmoid of a tensor", |a in -6.0..6.0| 0 of |x| sigmoid(x), bell(a);
            "silu of a tensor", |a in -6.0..6.0| 0 of |x| silu(x), logistic(a) + a * bell(a);
            "gelu of a tensor", |a in -4.0..4.0| 0 of |x| gelu(x), normal(a) + a * density(a);
            "hard_swish of a tensor, between its kinks", |a in -2.5..2.5|
                0 of |x| hard_swish(x),
                a / 3.0 + 0.5;
            "celu of a tensor, α = 1.5, below its kink", |a in -4.0..-0.4|
                0 of |x| celu(x, 1.5),
                (a / 1.5).exp();
            "layer norm of a tensor of 5, its second",
                |a in -2.0..2.0, b in -2.0..2.0, c in -2.0..2.0, d in -2.0..2.0, e in -2.0..2.0|
                1 of normalised,
                {
                    let values = [a, b, c, d, e];
                    let mean = mean(&values);
                    let squares = sum(&values.map(|value| (value - mean).square()));
                    let deviation = (squares / 5.0 + 1e-5).sqrt();
                    let product = (a - mean) * (b - mean) / deviation.square();
                    -(product + 1.0) / 5.0 / deviation
                };
            "Σ exp of the cumulative sum of 4",
                |a in -1.5..1.5, b in -1.5..1.5, c in -1.5..1.5, d in -1.5..1.5|
                0 of |x| x.cumsum(0).exp().sum(),
                a.exp() + (a + b).exp() + (a + b + c).exp() + (a + b + c + d).exp();
            "tanh of the cumulative product of 3, its last",
                |a in -1.5..1.5, b in -1.5..1.5, c in -1.5..1.5|
                2 of |x| x.cumprod(0).tanh(),
                (-(a * b * c).tanh().square() + 1.0) * b * c;
            "two layers by matrix products: Σ W tanh(W x)",
                |a in -2.0..2.0, b in -2.0..2.0, c in -2.0..2.0|
                0 of |x| {
                    let w = matrix(&x, WEIGHTS);
                    w.clone().matmul(w.matmul(x.reshape([3, 1])).tanh()).sum()
                },
                {
                    let part = |row: usize| {
                        let t = dot(&WEIGHTS[row], &[a, b, c]).tanh();
                        let above = WEIGHTS[0][row] + WEIGHTS[1][row] + WEIGHTS[2][row];
                        (-t.square() + 1.0) * WEIGHTS[row][0] * above
                    };
                    part(0) + part(1) + part(2)
                };
            "Rayleigh's quotient of a matrix of 3 × 3",
                |a in 0.3..2.0, b in -2.0..2.0, c in -2.0..2.0|
                0 of |x| {
                    let column: Tensor<2> = x.clone().reshape([3, 1]);
                    let image = matrix(&x, SYMMETRIC).matmul(column.clone());
                    (image * column).sum() / x.square().sum()
                },
                {
                    let x = [a, b, c];
                    let image = [0, 1, 2].map(|row| dot(&SYMMETRIC[row], &x));
                    let length = a.square() + b.square() + c.square();
                    let quotient = (image[0] * a + image[1] * b + image[2] * c) / length;
                    (image[0] - quotient * a) * 2.0 / length
                };
            "ln Σ exp of a tensor of 4, less the largest",
                |a in -3.0..3.0, b in -3.0..3.0, c in -3.0..3.0, d in -3.0..3.0|
                0 of |x| (x.clone() - x.clone().max()).exp().sum().log() + x.max(),
                part(&[a, b, c, d], 0);
            "erf x exp(x/2) of a tensor", |a in -2.5..2.5|
                0 of |x| x.clone().erf() * (x * 0.5).exp(),
                (a * 0.5).exp() * (erf(a) * 0.5 + (-a.square()).exp() * FRAC_2_SQRT_PI);
            "the product of 1 + x² over a tensor of 4",
                |a in -2.0..2.0, b in -2.0..2.0, c in -2.0..2.0, d in -2.0..2.0|
                0 of |x| (x.square() + 1.0).prod(),
                a * 2.0 * (b.square() + 1.0) * (c.square() + 1.0) * (d.square() + 1.0);
            "the standard deviation of a tensor of 4",
                |a in -3.0..3.0, b in -3.0..3.0, c in -3.0..3.0, d in -3.0..3.0|
                0 of |x| x.var(0).sqrt(),
                {
                    let values = [a, b, c, d];
                    let mean = mean(&values);
                    let squares = sum(&values.map(|value| (value - mean).square()));
                    (a - mean) / (squares * 3.0).sqrt()
                };
            "the length of a tensor of 5",
                |a in -2.0..2.0, b in 0.3..2.0, c in -2.0..2.0, d in -2.0..2.0, e in -2.0..2.0|
                0 of |x| x.square().sum().sqrt(),
                a / (a.square() + b.square() + c.square() + d.square() + e.square()).sqrt();
            "x^y of tensors", |a in 0.4..3.0, b in -2.0..2.0|
                0 of |x| x.clone().slice([0..1]).powf(x.slice([1..2])),
                (a.ln() * (b - 1.0)).exp() * b;
            "ln(1 + sinh x) of a tensor", |a in 0.3..3.0|
                0 of |x| x.sinh().log1p(),
                {
                    let (up, down) = (a.exp(), (-a).exp());
                    (up + down) / (up - down + 2.0)
                };
            "arsinh of a tensor", |a in -3.0..3.0|
                0 of |x| x.asinh(),
                (a.square() + 1.0).sqrt().recip();
            "attention of a query to 3 keys, by matrix products", |a in -2.0..2.0, b in -2.0..2.0|
                0 of |x| {
                    let query: Tensor<2> = x.clone().reshape([1, 2]);
                    let scores = query.matmul(matrix(&x, KEYS).transpose()) * 0.5;
                    let weights = softmax(scores, 1);
                    let values = matrix(&x, [VALUES]);
                    (weights * values).sum()
                },
                {
                    let scores = KEYS.map(|key| dot(&key, &[a, b]) * 0.5);
                    let weights = [0, 1, 2].map(|which| part(&scores, which));
                    let keys = KEYS.map(|key| 0.5 * key[0]);
                    let mean = dot(&keys, &weights);
                    sum(&[0, 1, 2].map(|i| weights[i] * VALUES[i] * (-mean + keys[i])))
                };
            "cosine of the angle to a constant vector",
                |a in -2.0..2.0, b in 0.3..2.0, c in -2.0..2.0|
                0 of |x| {
                    let other: Tensor<1> = matrix(&x, [VALUES]).reshape([3]);
                    let lengths = x.clone().square().sum().sqrt()
                        * other.clone().square().sum().sqrt();
                    (x * other).sum() / lengths
                },
                {
                    let length = (a.square() + b.square() + c.square()).sqrt();
                    let other = dot(&VALUES, &VALUES.map(Exact::from)).sqrt();
                    let cosine = dot(&VALUES, &[a, b, c]) / (length * other);
                    (other.recip() * VALUES[0] - cosine * a / length) / length
                };
            "the trace of X·Xᵀ·X for X of 2 × 2",
                |a in -2.0..2.0, b in -2.0..2.0, c in -2.0..2.0, d in -2.0..2.0|
                0 of |x| {
                    let x: Tensor<2> = x.reshape([2, 2]);
                    let product = x.clone().matmul(x.clone().transpose());
                    (product * x.transpose()).sum()
                },
                a.square() * 3.0 + b.square() + c.square() + b * c;
            "the mean of σ over an outer product of 3",
                |a in -2.0..2.0, b in -2.0..2.0, c in -2.0..2.0|
                0 of |x| {
                    let column: Tensor<2> = x.clone().reshape([3, 1]);
                    sigmoid(column.matmul(x.reshape([1, 3]))).mean()
                },
                (a * bell(a.square()) + b * bell(a * b) + c * bell(a * c)) * 2.0 / 9.0;
            "ln of the mean square, weighted by softmax",
                |a in 0.4..3.0, b in 0.4..3.0, c in 0.4..3.0|
                0 of |x| (softmax(x.clone(), 0) * x.square()).sum().log(),
                {
                    let values = [a, b, c];
                    let weights = [0, 1, 2].map(|which| part(&values, which));
                    let mean = sum(&[0, 1, 2].map(|i| weights[i] * values[i].square()));
                    weights[0] * (a.square() - mean + a * 2.0) / mean
                };
        }
    }
}
