//! The functions, with their derivatives in closed form.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, FRAC_PI_2};

use crate::real::{Exact, Real, Single};

/// A function of some inputs, to be differentiated by the first.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// Where each input lies.
    pub(crate) ranges: &'static [(f64, f64)],
    pub(crate) single: fn(&[Single]) -> Single,
    pub(crate) double: fn(&[f64]) -> f64,
    pub(crate) slope: fn(&[Exact]) -> Exact,
}

impl Function {
    pub(crate) fn exact_slope(&self, inputs: &[f64]) -> Exact {
        let inputs: Vec<Exact> = inputs.iter().map(|&input| Exact::from(input)).collect();
        (self.slope)(&inputs)
    }
}

macro_rules! functions {
    ($(
        $name:literal,
        |$($input:ident in $low:literal .. $high:literal),+| $value:expr,
        $slope:expr;
    )*) => {
        vec![$({
            fn value<R: Real>(inputs: &[R]) -> R {
                let &[$($input),+] = inputs else { panic!("the number of inputs of {}", $name) };
                $value
            }
            #[allow(unused_variables, reason = "a derivative may be simpler")]
            fn slope(inputs: &[Exact]) -> Exact {
                let &[$($input),+] = inputs else { panic!("the number of inputs of {}", $name) };
                $slope
            }
            Function {
                name: $name,
                ranges: &[$(($low, $high)),+],
                single: value::<Single>,
                double: value::<f64>,
                slope,
            }
        }),*]
    };
}

/// Constants of GELU, √(2/π) and 0.044715; and of the cubic norm. They are what `f64` has: the
/// functions are those with these numbers.
const ROOT: f64 = 0.797_884_560_802_865_4;
const CUBE: f64 = 0.044715;
const THIRD: f64 = 1.0 / 3.0;

pub(crate) fn sigmoid<R: Real>(x: R) -> R {
    ((-x).exp() + 1.0).recip()
}

/// The derivative of the logistic function.
fn bell(x: Exact) -> Exact {
    sigmoid(x) * sigmoid(-x)
}

/// Σ tₙ/dₙ with t₀ = `first`, tₙ = tₙ₋₁·`ratio`(n) and dₙ = `divisor`(n), until terms change
/// nothing.
pub(crate) fn series<R: Real>(
    first: R,
    ratio: impl Fn(f64) -> R,
    divisor: impl Fn(f64) -> f64,
) -> R {
    let (mut sum, mut term) = (first / divisor(0.0), first);
    for n in 1..1000 {
        let n = f64::from(n);
        term = term * ratio(n);
        let next = sum + term / divisor(n);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

/// 2/√π·exp(−x²)·Σ 2ⁿ x²ⁿ⁺¹/(1·3·5⋯(2n + 1)): all terms of one sign.
pub(crate) fn erf<R: Real>(x: R) -> R {
    let sum = series(x, |n| x.square() * 2.0 / R::from(2.0 * n + 1.0), |_| 1.0);
    (-x.square()).exp() * sum * FRAC_2_SQRT_PI
}

/// The normal distribution.
pub(crate) fn normal<R: Real>(x: R) -> R {
    (erf(x * FRAC_1_SQRT_2) + 1.0) * 0.5
}

/// Its derivative, with the same constants.
pub(crate) fn density(x: Exact) -> Exact {
    (-(x * FRAC_1_SQRT_2).square()).exp() * FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * 0.5
}

/// Jₙ for n = 0 and n = 1, by the series in x/2: with alternating signs, and up to e⁸ for x = 9.
fn bessel<R: Real>(x: R, order: u8) -> R {
    let half = x * 0.5;
    let order = f64::from(order);
    let first = if order == 0.0 { R::from(1.0) } else { half };
    series(first, |k| -half.square() / R::from(k * (k + order)), |_| 1.0)
}

/// ∫ sin t/t from 0 to x.
fn sine_integral<R: Real>(x: R) -> R {
    series(x, |n| -x.square() / R::from(2.0 * n * (2.0 * n + 1.0)), |n| 2.0 * n + 1.0)
}

/// exp(−x²)·∫ exp t² from 0 to x.
fn dawson<R: Real>(x: R) -> R {
    let sum = series(x, |n| x.square() / R::from(n), |n| 2.0 * n + 1.0);
    (-x.square()).exp() * sum
}

/// Three terms of Stirling's series at x + 6, and back.
fn ln_gamma<R: Real>(x: R) -> R {
    let z = x + 6.0;
    let factors = (1..6).fold(x, |product, k| product * (x + f64::from(k)));
    let terms = (z * 12.0).recip() - (z.square() * z * 360.0).recip()
        + (z.square().square() * z * 1260.0).recip();
    (z - 0.5) * z.ln() - z + 0.918_938_533_204_672_8 + terms - factors.ln()
}

fn ln_gamma_slope(x: Exact) -> Exact {
    let z = x + 6.0;
    let terms = -(z.square() * 12.0).recip() + (z.square().square() * 120.0).recip()
        - (z.square().square() * z.square() * 252.0).recip();
    let factors = (0..6).fold(Exact::from(0.0), |sum, k| sum + (x + f64::from(k)).recip());
    z.ln() + (z - 0.5) / z - 1.0 + terms - factors
}

/// w with w·eʷ = x, by Newton's method.
fn lambert<R: Real>(x: R) -> R {
    (0..12).fold((x + 1.0).ln(), |w, _| w - (w - x * (-w).exp()) / (w + 1.0))
}

/// E with E − 0.6 sin E = x, by Newton's method.
fn kepler<R: Real>(x: R) -> R {
    let start = x + x.sin() * 0.6;
    (0..16).fold(start, |e, _| e - (e - e.sin() * 0.6 - x) / (-e.cos() * 0.6 + 1.0))
}

/// The complete elliptic integrals of the first and of the second kind, with the parameter m.
fn elliptic<R: Real>(m: R) -> (R, R) {
    let (mut a, mut b) = (R::from(1.0), (-m + 1.0).sqrt());
    let mut sum = m * 0.5;
    for n in 0..10 {
        let c = (a - b) * 0.5;
        (a, b) = ((a + b) * 0.5, (a * b).sqrt());
        sum = sum + c.square() * f64::from(1 << n);
    }
    let first = R::from(FRAC_PI_2) / a;
    (first, first * (-sum + 1.0))
}

pub(crate) fn horner<R: Real>(x: R, coefficients: &[f64]) -> R {
    coefficients.iter().rev().fold(R::from(0.0), |sum, &coefficient| sum * x + coefficient)
}

/// Chebyshev's polynomial of a degree by its recurrence, from 1 and `first`·x: 1 for the first
/// kind, 2 for the second.
fn chebyshev<R: Real>(x: R, first: f64, degree: usize) -> R {
    let start = (R::from(1.0), x * first);
    (1..degree).fold(start, |(before, last), _| (last, x * last * 2.0 - before)).1
}

/// The product of x − k for k from 1 to 6.
fn roots<R: Real>(x: R, skipped: Option<i32>) -> R {
    let kept = (1..=6).filter(|&root| Some(root) != skipped);
    kept.fold(R::from(1.0), |product, root| product * (x - f64::from(root)))
}

fn sum<R: Real>(values: &[R]) -> R {
    values[1..].iter().fold(values[0], |sum, &value| sum + value)
}

pub(crate) fn mean<R: Real>(values: &[R]) -> R {
    sum(values) / values.len() as f64
}

/// The sum of the squares of the differences from the mean.
fn squares<R: Real>(values: &[R]) -> R {
    let mean = mean(values);
    sum(&values.iter().map(|&value| (value - mean).square()).collect::<Vec<R>>())
}

fn largest<R: Real>(values: &[R]) -> R {
    values[1..].iter().fold(values[0], |largest, &v| if v > largest { v } else { largest })
}

/// The exponentials, less the largest value.
fn exponentials<R: Real>(values: &[R]) -> Vec<R> {
    let largest = largest(values);
    values.iter().map(|&value| (value - largest).exp()).collect()
}

pub(crate) fn softmax<R: Real>(values: &[R], which: usize) -> R {
    let exponentials = exponentials(values);
    exponentials[which] / sum(&exponentials)
}

fn log_sum_exp<R: Real>(values: &[R]) -> R {
    largest(values) + sum(&exponentials(values)).ln()
}

/// The first value, normalised, and the deviation.
fn layer_norm<R: Real>(values: &[R]) -> (R, R) {
    let deviation = (squares(values) / values.len() as f64 + 1e-5).sqrt();
    ((values[0] - mean(values)) / deviation, deviation)
}

fn root_mean_square<R: Real>(values: &[R]) -> R {
    let squares: Vec<R> = values.iter().map(|value| value.square()).collect();
    (mean(&squares) + 1e-6).sqrt()
}

/// The product of two matrices of two rows.
fn product<R: Real>([a, b, c, d]: [R; 4], [e, f, g, h]: [R; 4]) -> [R; 4] {
    [a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h]
}

fn cosine<R: Real>(first: [R; 3], second: [R; 3]) -> R {
    let dot = |a: [R; 3], b: [R; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    dot(first, second) / (dot(first, first) * dot(second, second)).sqrt()
}

fn cubes<R: Real>(values: [R; 3]) -> R {
    sum(&values.map(|value| value.abs().square() * value.abs()))
}

/// The first family. None of these is among the functions that the method was first made with, but runs
/// over them led to four more of its rules. It was first made with exp, sin, x³,
/// tanh, 1000 + sin x, eˣ − 1 − x, cos 20x (50x, 100x), the logistic function, x¹⁰, arctan 30x,
/// tanh 20x, exp(−300x²), 1 − tanh x, x·σ(x), eˣ cos 7x, 10⁴ + x², (10⁵ + x²) − 10⁵, ln, √, x·|x|,
/// Huber's, x²(3 − 2x) between 0 and 1; GELU by erf, ln Σ eˣ as it stands, E[x²] − E[x]²; and
/// functions with kinks.
pub(crate) fn functions() -> Vec<Function> {
    functions! {
        // Elementary functions and what they are made of.
        "tan x", |x in -1.2..1.2| x.sin() / x.cos(), x.cos().square().recip();
        "arsinh x = ln(x + √(x² + 1))", |x in -3.0..3.0|
            (x + (x.square() + 1.0).sqrt()).ln(),
            (x.square() + 1.0).sqrt().recip();
        "arcosh x = ln(x + √(x² − 1))", |x in 1.05..6.0|
            (x + (x.square() - 1.0).sqrt()).ln(),
            (x.square() - 1.0).sqrt().recip();
        "artanh x = ½ ln((1 + x)/(1 − x))", |x in -0.7..0.7|
            ((x + 1.0) / (-x + 1.0)).ln() * 0.5,
            (-x.square() + 1.0).recip();
        "arcsin x = arctan(x/√(1 − x²))", |x in -0.7..0.7|
            (x / (-x.square() + 1.0).sqrt()).atan(),
            (-x.square() + 1.0).sqrt().recip();
        "sinh x = (eˣ − e⁻ˣ)/2", |x in -4.0..4.0|
            (x.exp() - (-x).exp()) * 0.5,
            (x.exp() + (-x).exp()) * 0.5;
        "ln(1 + x²)", |x in -4.0..4.0|
            (x.square() + 1.0).ln(),
            x * 2.0 / (x.square() + 1.0);
        "x^0.3 = exp(0.3 ln x)", |x in 0.05..8.0|
            (x.ln() * 0.3).exp(),
            (x.ln() * 0.3).exp() * 0.3 / x;
        "xˣ", |x in 0.05..3.0|
            (x.ln() * x).exp(),
            (x.ln() * x).exp() * (x.ln() + 1.0);
        "x ln x", |x in 0.05..5.0| x * x.ln(), x.ln() + 1.0;
        "x exp(−x²)", |x in -3.0..3.0|
            x * (-x.square()).exp(),
            (-x.square() * 2.0 + 1.0) * (-x.square()).exp();
        "ln cosh x", |x in -8.0..8.0| ((x.exp() + (-x).exp()) * 0.5).ln(), x.tanh();

        // Special functions by their series and iterations.
        "erf x", |x in -3.0..3.0| erf(x), (-x.square()).exp() * FRAC_2_SQRT_PI;
        "J₀(x)", |x in 0.1..9.0| bessel(x, 0), -bessel(x, 1);
        "Si(x)", |x in 0.3..6.0| sine_integral(x), x.sin() / x;
        "Dawson's integral", |x in -3.0..3.0| dawson(x), -x * dawson(x) * 2.0 + 1.0;
        "ln Γ(x), Stirling's series at x + 6", |x in 0.4..8.0| ln_gamma(x), ln_gamma_slope(x);
        "Lambert's W(x)", |x in 0.3..6.0| lambert(x), lambert(x) / (x * (lambert(x) + 1.0));
        "Kepler's E, E − 0.6 sin E = x", |x in -3.0..3.0|
            kepler(x),
            (-kepler(x).cos() * 0.6 + 1.0).recip();
        "elliptic K(x) by the arithmetic-geometric mean", |x in 0.05..0.7|
            elliptic(x).0,
            {
                let (first, second) = elliptic(x);
                (second - (-x + 1.0) * first) / (x * (-x + 1.0) * 2.0)
            };

        // Rational functions and polynomials.
        "(x³ − 2x + 1)/(x⁴ + 3)", |x in -3.0..3.0|
            (x.square() * x - x * 2.0 + 1.0) / (x.square().square() + 3.0),
            {
                let (p, q) = (x.square() * x - x * 2.0 + 1.0, x.square().square() + 3.0);
                ((x.square() * 3.0 - 2.0) * q - p * x.square() * x * 4.0) / q.square()
            };
        "1/(1 + 25x²)", |x in -1.0..1.0|
            (x.square() * 25.0 + 1.0).recip(),
            -x * 50.0 / (x.square() * 25.0 + 1.0).square();
        "1/(x² + 0.01)", |x in -2.0..2.0|
            (x.square() + 0.01).recip(),
            -x * 2.0 / (x.square() + 0.01).square();
        "polynomial of degree 7", |x in -2.0..2.0|
            horner(x, &[0.3, -1.1, 0.7, 2.3, -0.9, 0.4, -1.7, 0.6]),
            horner(x, &[-1.1, 1.4, 6.9, -3.6, 2.0, -10.2, 4.2]);
        "T₁₂(x)", |x in -1.1..1.1| chebyshev(x, 1.0, 12), chebyshev(x, 2.0, 11) * 12.0;
        "(x − 1)(x − 2)⋯(x − 6)", |x in 0.0..7.0|
            roots(x, None),
            (1..=6).fold(Exact::from(0.0), |sum, skipped| sum + roots(x, Some(skipped)));

        // Cancellation and large constants.
        "(x − 1)⁶, expanded", |x in 0.0..2.0|
            horner(x, &[1.0, -6.0, 15.0, -20.0, 15.0, -6.0, 1.0]),
            (x - 1.0).square().square() * (x - 1.0) * 6.0;
        "1 − cos x", |x in -1.0..1.0| -x.cos() + 1.0, x.sin();
        "x − sin x", |x in -1.0..1.0| x - x.sin(), -x.cos() + 1.0;
        "ln(1 + x) − x + x²/2", |x in -0.6..2.0|
            (x + 1.0).ln() - x + x.square() * 0.5,
            x.square() / (x + 1.0);
        "√(x + 10⁴) − 100", |x in -5.0..5.0|
            (x + 1e4).sqrt() - 100.0,
            (x + 1e4).sqrt().recip() * 0.5;
        "3000 + x sin x", |x in -3.0..3.0| x * x.sin() + 3000.0, x.sin() + x * x.cos();
        "σ(x + 1) − σ(x)", |x in -6.0..6.0|
            sigmoid(x + 1.0) - sigmoid(x),
            bell(x + 1.0) - bell(x);

        // Oscillation.
        "x sin x²", |x in -5.0..5.0|
            x * x.square().sin(),
            x.square().sin() + x.square() * x.square().cos() * 2.0;
        "sin 3x cos 17x", |x in -3.0..3.0|
            (x * 3.0).sin() * (x * 17.0).cos(),
            (x * 3.0).cos() * (x * 17.0).cos() * 3.0 - (x * 3.0).sin() * (x * 17.0).sin() * 17.0;
        "sin 40x/(1 + x²)", |x in -2.0..2.0|
            (x * 40.0).sin() / (x.square() + 1.0),
            {
                let (sine, cosine, q) = ((x * 40.0).sin(), (x * 40.0).cos(), x.square() + 1.0);
                (cosine * q * 40.0 - sine * x * 2.0) / q.square()
            };
        "sin 1/x", |x in 0.3..2.0| x.recip().sin(), -x.recip().cos() / x.square();
        "sin x/x", |x in 0.4..12.0| x.sin() / x, (x * x.cos() - x.sin()) / x.square();
        "Σ 2⁻ᵏ cos 2ᵏx, k < 7", |x in -3.0..3.0|
            (0..7).fold(R::from(0.0), |sum, k| {
                let power = f64::from(1 << k);
                sum + (x * power).cos() / power
            }),
            (0..7).fold(Exact::from(0.0), |sum, k| sum - (x * f64::from(1 << k)).sin());

        // Saturation and activations.
        "exp(−eˣ)", |x in -3.0..2.5| (-x.exp()).exp(), -x.exp() * (-x.exp()).exp();
        "x/(1 + abs(x))", |x in -4.0..4.0| x / (x.abs() + 1.0), (x.abs() + 1.0).square().recip();
        "ELU", |x in -4.0..4.0|
            if x > R::from(0.0) { x } else { x.exp() - 1.0 },
            if x > Exact::from(0.0) { Exact::from(1.0) } else { x.exp() };
        "erf 4x", |x in -1.5..1.5|
            erf(x * 4.0),
            (-x.square() * 16.0).exp() * FRAC_2_SQRT_PI * 4.0;
        "mish: x tanh ln(1 + eˣ)", |x in -6.0..6.0|
            x * (x.exp() + 1.0).ln().tanh(),
            {
                let t = (x.exp() + 1.0).ln().tanh();
                t + x * (-t.square() + 1.0) * sigmoid(x)
            };
        "softplus: ln(1 + eˣ)", |x in -12.0..12.0| (x.exp() + 1.0).ln(), sigmoid(x);
        "GELU by tanh", |x in -5.0..5.0|
            x * (((x + x.square() * x * CUBE) * ROOT).tanh() + 1.0) * 0.5,
            {
                let t = ((x + x.square() * x * CUBE) * ROOT).tanh();
                let inner = (x.square() * 3.0 * CUBE + 1.0) * ROOT;
                (t + 1.0) * 0.5 + x * (-t.square() + 1.0) * inner * 0.5
            };
        "x σ(1.702 x)", |x in -6.0..6.0|
            x * sigmoid(x * 1.702),
            sigmoid(x * 1.702) + x * bell(x * 1.702) * 1.702;
        "pseudo-Huber: √(x² + 1) − 1", |x in -3.0..3.0|
            (x.square() + 1.0).sqrt() - 1.0,
            x / (x.square() + 1.0).sqrt();
        "focal loss: −(1 − p)² ln p, p = σ(x)", |x in -6.0..6.0|
            {
                let p = sigmoid(x);
                -(-p + 1.0).square() * p.ln()
            },
            {
                let p = sigmoid(x);
                (-p + 1.0).square() * (p * p.ln() * 2.0 + p - 1.0)
            };

        // Several inputs.
        "softmax of 4, its first", |x in -3.0..3.0, b in -3.0..3.0, c in -3.0..3.0, d in -3.0..3.0|
            softmax(&[x, b, c, d], 0),
            softmax(&[x, b, c, d], 0) * (-softmax(&[x, b, c, d], 0) + 1.0);
        "softmax of 4, its second", |x in -3.0..3.0, b in -3.0..3.0, c in -3.0..3.0, d in -3.0..3.0|
            softmax(&[x, b, c, d], 1),
            -softmax(&[x, b, c, d], 0) * softmax(&[x, b, c, d], 1);
        "log-softmax of 4, its second",
            |x in -3.0..3.0, b in -3.0..3.0, c in -3.0..3.0, d in -3.0..3.0|
            b - log_sum_exp(&[x, b, c, d]),
            -softmax(&[x, b, c, d], 0);
        "cross-entropy of 4, smoothed",
            |x in -3.0..3.0, b in -3.0..3.0, c in -3.0..3.0, d in -3.0..3.0|
            log_sum_exp(&[x, b, c, d]) - (x * 0.025 + b * 0.925 + c * 0.025 + d * 0.025),
            softmax(&[x, b, c, d], 0) - 0.025;
        "layer norm of 5, its first",
            |x in -2.0..2.0, b in -2.0..2.0, c in -2.0..2.0, d in -2.0..2.0, e in -2.0..2.0|
            layer_norm(&[x, b, c, d, e]).0,
            {
                let (y, deviation) = layer_norm(&[x, b, c, d, e]);
                (-y.square() + 4.0) / 5.0 / deviation
            };
        "RMS norm of 4, its second",
            |x in -2.0..2.0, b in -2.0..2.0, c in -2.0..2.0, d in -2.0..2.0|
            b / root_mean_square(&[x, b, c, d]),
            {
                let r = root_mean_square(&[x, b, c, d]);
                -b * x / (r.square() * r * 4.0)
            };
        "variance of 6, in two passes",
            |x in -3.0..3.0, b in -3.0..3.0, c in -3.0..3.0, d in -3.0..3.0, e in -3.0..3.0,
            f in -3.0..3.0|
            squares(&[x, b, c, d, e, f]) / 5.0,
            (x - mean(&[x, b, c, d, e, f])) * 2.0 / 5.0;
        "attention of 3 keys and values",
            |q in -2.0..2.0, a in -2.0..2.0, b in -2.0..2.0, c in -2.0..2.0, u in -2.0..2.0,
            v in -2.0..2.0, w in -2.0..2.0|
            {
                let scores = [q * a, q * b, q * c];
                softmax(&scores, 0) * u + softmax(&scores, 1) * v + softmax(&scores, 2) * w
            },
            {
                let scores = [q * a, q * b, q * c];
                let p = [softmax(&scores, 0), softmax(&scores, 1), softmax(&scores, 2)];
                let key = p[0] * a + p[1] * b + p[2] * c;
                p[0] * u * (a - key) + p[1] * v * (b - key) + p[2] * w * (c - key)
            };
        "A·B·A of 2 × 2 matrices, its first",
            |a in -2.0..2.0, b in -2.0..2.0, c in -2.0..2.0, d in -2.0..2.0, e in -2.0..2.0,
            f in -2.0..2.0, g in -2.0..2.0, h in -2.0..2.0|
            product(product([a, b, c, d], [e, f, g, h]), [a, b, c, d])[0],
            product([a, b, c, d], [e, f, g, h])[0] + product([e, f, g, h], [a, b, c, d])[0];
        "ln det of 2 × 2", |a in 1.0..3.0, b in -0.7..0.7, c in -0.7..0.7, d in 1.0..3.0|
            (a * d - b * c).ln(),
            d / (a * d - b * c);
        "inverse of 2 × 2, its first",
            |a in 1.0..3.0, b in -0.7..0.7, c in -0.7..0.7, d in 1.0..3.0|
            d / (a * d - b * c),
            -d.square() / (a * d - b * c).square();
        "yˣ", |x in -3.0..3.0, y in 0.3..5.0| (y.ln() * x).exp(), (y.ln() * x).exp() * y.ln();
        "√(x² + y²)", |x in -3.0..3.0, y in 0.1..3.0|
            (x.square() + y.square()).sqrt(),
            x / (x.square() + y.square()).sqrt();
        "the angle of (y, x)", |x in -3.0..3.0, y in 0.1..3.0|
            (x / y).atan(),
            y / (x.square() + y.square());
        "cosine of the angle of two vectors",
            |a in -2.0..2.0, b in -2.0..2.0, c in 0.3..2.0, u in -2.0..2.0, v in -2.0..2.0,
            w in 0.3..2.0|
            cosine([a, b, c], [u, v, w]),
            {
                let length = |x: [Exact; 3]| (x[0].square() + x[1].square() + x[2].square()).sqrt();
                let (first, second) = (length([a, b, c]), length([u, v, w]));
                u / (first * second) - cosine([a, b, c], [u, v, w]) * a / first.square()
            };
        "(abs(x)³ + abs(y)³ + abs(z)³)^⅓", |x in 0.3..3.0, y in -3.0..3.0, z in -3.0..3.0|
            (cubes([x, y, z]).ln() * THIRD).exp(),
            (cubes([x, y, z]).ln() * THIRD).exp() * x.square() * 3.0 * THIRD / cubes([x, y, z]);
        "ln of a mixture of two Gaussians", |x in -4.0..4.0, m in 0.5..2.0|
            ((-(x - m).square()).exp() * 0.3 + (-(x + m).square() * 2.0).exp() * 0.7).ln(),
            {
                let first = (-(x - m).square()).exp() * 0.3;
                let second = (-(x + m).square() * 2.0).exp() * 0.7;
                (-first * (x - m) * 2.0 - second * (x + m) * 4.0) / (first + second)
            };
        "the price of an option (Black and Scholes), by the stock's",
            |s in 0.5..2.0, k in 0.5..2.0, v in 0.2..0.6|
            {
                let above = (s / k).ln() / v + v * 0.5;
                s * normal(above) - k * normal(above - v)
            },
            {
                let above = (s / k).ln() / v + v * 0.5;
                normal(above) + (density(above) - k / s * density(above - v)) / v
            };
    }
}
