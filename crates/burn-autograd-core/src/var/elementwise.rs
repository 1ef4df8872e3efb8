//! Functions of one element.

use std::f64::consts::{FRAC_2_SQRT_PI, LN_2};

use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Backend, TensorMetadata, get_device_settings};

use super::Var;
use crate::OrPanic as _;

impl<B: Backend> Var<B> {
    /// Refuses what the device computes wrongly in this data type.
    fn transcendental(&self, name: &str) {
        crate::check::transcendental_on::<B>(name, "self", self.dtype(), &self.device()).or_panic();
    }

    /// xⁿ for an integer n, by repeated multiplication: exact in sign, and more accurate than a
    /// general power on devices whose `pow` goes through logarithms. x⁰ is 1.
    ///
    /// Derivative: n·xⁿ⁻¹.
    #[must_use]
    #[track_caller]
    pub fn powi(&self, exponent: i32) -> Self {
        self.power(exponent.into())
    }

    /// With room for the exponents of derivatives.
    #[track_caller]
    fn power(&self, exponent: i64) -> Self {
        if exponent == 0 {
            return self.ones_like();
        }
        Self::op(
            "powi",
            [self.clone()],
            |[x]| x.clone(),
            |[x]| power::<B>(x, exponent),
            move |x, g, _| match exponent {
                1 => [Some(g)],
                _ => [Some(g * (exponent as f64 * x.power(exponent - 1)))],
            },
        )
    }

    /// xᵖ for a real p; NaN for x < 0 unless p is an integer. An integer p is [`powi`](Self::powi).
    ///
    /// Derivative: p·xᵖ⁻¹.
    ///
    /// # Panics
    ///
    /// In `f64` on wgpu, whose adapters compute it wrongly.
    #[must_use]
    #[track_caller]
    pub fn powf(&self, exponent: f64) -> Self {
        if exponent.fract() == 0.0 && exponent.abs() <= f64::from(i32::MAX) {
            return self.powi(exponent as i32);
        }
        self.transcendental("powf");
        Self::op(
            "powf",
            [self.clone()],
            |[x]| x.clone(),
            |[x]| B::float_powf_scalar(x, exponent.into()),
            move |x, g, _| [Some(g * (exponent * x.powf(exponent - 1.0)))],
        )
    }

    /// xʸ, elementwise with broadcasting; NaN for x < 0 unless y is an integer.
    ///
    /// Derivatives: y·xʸ⁻¹, which is 0 where x and y are 0, and xʸ·ln x, which is 0 where x is 0.
    ///
    /// # Panics
    ///
    /// If the shapes do not broadcast; and in `f64` on wgpu, whose adapters compute it wrongly.
    #[must_use]
    #[track_caller]
    pub fn pow(&self, exponent: &Self) -> Self {
        self.transcendental("pow");
        self.check_alike("pow", "exponent", exponent);
        let shape = crate::check::broadcast(
            "pow",
            &[("self", &self.shape()), ("exponent", &exponent.shape())],
        )
        .or_panic();
        let (base, exponent) = (self.expand(shape.clone()), exponent.expand(shape));
        Self::op(
            "pow",
            [base, exponent],
            |[x, y]| [x.clone(), y.clone()],
            |[x, y]| B::float_powf(x, y),
            |[x, y], g, [dx, dy]| {
                [
                    dx.then(|| {
                        // 0⁰ is 1 for every x near 0 too: not zero times 0⁻¹, which is no number.
                        let both = x.equal_elem(0.0) & y.equal_elem(0.0);
                        let power = x.pow(&(y - 1.0).mask_fill(&both, 0.0));
                        &g * (y.mask_fill(&both, 0.0) * power)
                    }),
                    dy.then(|| {
                        let zero = x.equal_elem(0.0);
                        // ln 0 is infinite, and infinity times zero is no number.
                        let log = x.mask_fill(&zero, 1.0).log();
                        &g * (x.pow(y).mask_fill(&zero, 0.0) * log)
                    }),
                ]
            },
        )
    }

    /// eˣ. Derivative: eˣ.
    ///
    /// # Panics
    ///
    /// In `f64` on wgpu, whose adapters compute it wrongly.
    #[must_use]
    #[track_caller]
    pub fn exp(&self) -> Self {
        self.transcendental("exp");
        Self::op_by_output("exp", self, B::float_exp, |y, g| g * y)
    }

    /// ln x. Derivative: 1⁄x.
    ///
    /// # Panics
    ///
    /// In `f64` on wgpu, whose adapters compute it wrongly.
    #[must_use]
    #[track_caller]
    pub fn log(&self) -> Self {
        self.transcendental("log");
        let log = |[x]: [_; 1]| B::float_log(x);
        Self::op("log", [self.clone()], |[x]| x.clone(), log, |x, g, _| [Some(g / x)])
    }

    /// ln(1 + x), accurate near 0. Derivative: 1⁄(1 + x).
    ///
    /// # Panics
    ///
    /// In `f64` on wgpu, whose adapters compute it wrongly.
    #[must_use]
    #[track_caller]
    pub fn log1p(&self) -> Self {
        self.transcendental("log1p");
        let log = |[x]: [_; 1]| B::float_log1p(x);
        Self::op("log1p", [self.clone()], |[x]| x.clone(), log, |x, g, _| [Some(g / (x + 1.0))])
    }

    /// √x. Derivative: 1⁄(2√x).
    #[must_use]
    #[track_caller]
    pub fn sqrt(&self) -> Self {
        Self::op_by_output("sqrt", self, B::float_sqrt, |y, g| g * 0.5 / y)
    }

    /// 1⁄x. Derivative: −1⁄x².
    #[must_use]
    #[track_caller]
    pub fn recip(&self) -> Self {
        Self::op_by_output("recip", self, B::float_recip, |y, g| -(g * (&y * &y)))
    }

    /// sin x. Derivative: cos x.
    ///
    /// # Panics
    ///
    /// In `f64` on wgpu, whose adapters compute it wrongly.
    #[must_use]
    #[track_caller]
    pub fn sin(&self) -> Self {
        self.transcendental("sin");
        let sin = |[x]: [_; 1]| B::float_sin(x);
        Self::op("sin", [self.clone()], |[x]| x.clone(), sin, |x, g, _| [Some(g * x.cos())])
    }

    /// cos x. Derivative: −sin x.
    ///
    /// # Panics
    ///
    /// In `f64` on wgpu, whose adapters compute it wrongly.
    #[must_use]
    #[track_caller]
    pub fn cos(&self) -> Self {
        self.transcendental("cos");
        let cos = |[x]: [_; 1]| B::float_cos(x);
        Self::op("cos", [self.clone()], |[x]| x.clone(), cos, |x, g, _| [Some(-(g * x.sin()))])
    }

    /// tanh x. Derivative: 1 − tanh² x.
    ///
    /// # Panics
    ///
    /// In `f64` on wgpu, whose adapters compute it wrongly.
    #[must_use]
    #[track_caller]
    pub fn tanh(&self) -> Self {
        self.transcendental("tanh");
        Self::op_by_output("tanh", self, B::float_tanh, |y, g| g * (1.0 - &y * &y))
    }

    /// σ(x) = 1⁄(1 + e⁻ˣ). Derivative: σ(x)·σ(−x), which loses no digits where σ(x) is near 1.
    ///
    /// Composed here: Burn's own computes in `f32` on NdArray.
    ///
    /// # Panics
    ///
    /// In `f64` on wgpu, whose adapters compute it wrongly.
    #[must_use]
    #[track_caller]
    pub fn sigmoid(&self) -> Self {
        self.transcendental("sigmoid");
        Self::op(
            "sigmoid",
            [self.clone()],
            |[x]| x.clone(),
            |[x]| {
                // e^−|x| never overflows, nor does anything that Burn's derivative of this makes.
                let (negative, exp) = falling::<B>(x);
                let ones = B::float_ones(exp.shape(), &exp.device(), exp.dtype().into());
                let top = B::float_mask_where(ones, negative, exp.clone());
                B::float_div(top, B::float_add_scalar(exp, 1.0.into()))
            },
            |x, g, _| [Some(g * (x.sigmoid() * (-x).sigmoid()))],
        )
    }

    /// ln(1 + eˣ), without overflow. Derivative: σ(x).
    ///
    /// # Panics
    ///
    /// In `f64` on wgpu, whose adapters compute it wrongly.
    #[must_use]
    #[track_caller]
    pub fn softplus(&self) -> Self {
        self.transcendental("softplus");
        Self::op(
            "softplus",
            [self.clone()],
            |[x]| x.clone(),
            |[x]| {
                // max(x, 0) + ln(1 + e^−|x|)
                let (negative, exp) = falling::<B>(x.clone());
                B::float_add(B::float_mask_fill(x, negative, 0.0.into()), B::float_log1p(exp))
            },
            |x, g, _| [Some(g * x.sigmoid())],
        )
    }

    /// The error function, 2⁄√π·∫₀ˣ e^(−t²) dt. Derivative: 2⁄√π·e^(−x²).
    ///
    /// # Panics
    ///
    /// In `f64` on wgpu, whose adapters compute it wrongly.
    #[must_use]
    #[track_caller]
    pub fn erf(&self) -> Self {
        self.transcendental("erf");
        Self::op(
            "erf",
            [self.clone()],
            |[x]| x.clone(),
            |[x]| B::float_erf(x),
            |x, g, _| [Some(g * ((-(x * x)).exp() * FRAC_2_SQRT_PI))],
        )
    }

    /// 2ˣ. Derivative: ln 2·2ˣ.
    ///
    /// # Panics
    ///
    /// In `f64` on wgpu, whose adapters compute it wrongly.
    #[must_use]
    #[track_caller]
    pub fn exp2(&self) -> Self {
        (self * LN_2).exp()
    }

    /// x². Derivative: 2x.
    #[must_use]
    #[track_caller]
    pub fn square(&self) -> Self {
        self.powi(2)
    }

    /// |x|. Derivative: the [sign](Self::sign) of x, 0 at 0.
    #[must_use]
    #[track_caller]
    pub fn abs(&self) -> Self {
        Self::op(
            "abs",
            [self.clone()],
            |[x]| x.sign(),
            |[x]| B::float_abs(x),
            |sign, g, _| [Some(g * sign)],
        )
    }

    /// −1, 0 or 1. Its derivative is zero: the result is a constant.
    #[must_use]
    pub fn sign(&self) -> Self {
        Self::new(B::float_detach(B::float_sign(self.raw().clone()))).renewed(self.autodiff())
    }

    /// max(x, 0). Derivative: 1 for x > 0, otherwise 0, also at 0. NaN stays.
    #[must_use]
    #[track_caller]
    pub fn relu(&self) -> Self {
        self.fill_where_not_positive(self, 0.0)
    }
}

/// Where x < 0, and e^−|x|; at 0 with the derivative of e^−x.
fn falling<B: Backend>(x: FloatTensor<B>) -> (BoolTensor<B>, FloatTensor<B>) {
    let bools = get_device_settings::<B>(&x.device()).bool_dtype;
    let negative = B::float_lower_elem(x.clone(), 0.0.into(), bools);
    let fallen = B::float_mask_where(B::float_neg(x.clone()), negative.clone(), x);
    (negative, B::float_exp(fallen))
}

/// xⁿ for n ≠ 0 by squaring.
fn power<B: Backend>(x: FloatTensor<B>, exponent: i64) -> FloatTensor<B> {
    let mut power: Option<FloatTensor<B>> = None;
    let mut square = x;
    let mut rest = exponent.unsigned_abs();
    while rest > 0 {
        if rest & 1 == 1 {
            power = Some(match power {
                Some(power) => B::float_mul(power, square.clone()),
                None => square.clone(),
            });
        }
        rest >>= 1;
        if rest > 0 {
            square = B::float_mul(square.clone(), square);
        }
    }
    let power = power.expect("the exponent is not 0");
    if exponent > 0 { power } else { B::float_recip(power) }
}
