use std::ops::{Add, Mul, Neg, Sub};

/// `f32` and `f64`, as the kernels see them. Every method is inlined and free of branches, so that
/// a loop over it becomes vector instructions.
pub(crate) trait Real:
    burn::tensor::Element
    + bytemuck::Pod
    + faer::traits::RealField
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
    + PartialOrd
{
    const ZERO: Self;

    fn from_f64(value: f64) -> Self;

    fn to_f64(self) -> f64;

    /// eˣ to about one unit in the last place, over the whole range: subnormal results, 0, ∞, NaN.
    ///
    /// x = n·ln 2 + r with |r| ≤ ½ ln 2 (Cody and Waite's two-part ln 2, so that n·ln 2 loses
    /// nothing), eʳ by a polynomial, and 2ⁿ in two factors, because neither 2¹²⁸ nor a
    /// subnormal 2ⁿ can be built from an exponent field.
    fn exp(self) -> Self;

    /// A small power of two.
    const LOWER: Self;

    /// eˣ⁄[`LOWER`](Self::LOWER) for x ≤ 0 and NaN, in fewer steps than [`exp`](Self::exp): no
    /// 2ⁿ⁄`LOWER` is subnormal. A product with `LOWER` makes it eˣ, and so does that of a sum. It is 0
    /// far below the smallest number that `exp` has.
    fn raised_exp(self) -> Self;
}

/// Whether a fused multiply-add is one instruction wherever a kernel is compiled for vectors. On an
/// x86-64 without AVX2 it is a call, which is slow and right; elsewhere it might always be one.
const FUSED: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// a·b + c, in one rounding where that is one instruction.
macro_rules! fused {
    ($a:expr, $b:expr, $c:expr) => {
        if FUSED { ($a).mul_add($b, $c) } else { $a * $b + $c }
    };
}

macro_rules! exponential {
    ($float:ty, $bits:ty, $signed:ty, $mantissa:literal, $bias:literal, $low:literal, $high:literal,
     $ln2_high:expr, $ln2_low:literal, [$first:expr, $($coefficient:expr),+]) => {
        const LOWER: Self = <$float>::from_bits((($bias - $mantissa - 10) as $bits) << $mantissa);

        #[inline(always)]
        fn exp(self) -> Self {
            // Adding 1.5·2^mantissa rounds to an integer and leaves it in the low bits.
            const SHIFT: $float = 1.5 * (1u64 << $mantissa) as $float;
            // Written as comparisons, not as min and max, so that NaN stays.
            let x = if self > $high { $high } else { self };
            let x = if x < $low { $low } else { x };
            let (shifted, r) = exponential!(@reduce $float, x, SHIFT, $ln2_high, $ln2_low);
            let mut p: $float = $first;
            $(p = fused!(p, r, $coefficient);)+
            let p = fused!(p * r, r, r) + 1.0;
            let n = shifted.to_bits().wrapping_sub(SHIFT.to_bits()) as $signed;
            let half = n >> 1;
            let power = |e: $signed| <$float>::from_bits((e.wrapping_add($bias) as $bits) << $mantissa);
            p * power(half) * power(n.wrapping_sub(half))
        }

        #[inline(always)]
        fn raised_exp(self) -> Self {
            // As above, and what is in the low bits is the exponent field of 2ⁿ⁄LOWER.
            const SHIFT: $float =
                1.5 * (1u64 << $mantissa) as $float + ($bias + $mantissa + 10) as $float;
            // Below, the field is 0, and so is the number.
            const LEAST: $float =
                -(($bias + $mantissa + 10) as $float) * std::f64::consts::LN_2 as $float;
            let x = if self < LEAST { LEAST } else { self };
            let (shifted, r) = exponential!(@reduce $float, x, SHIFT, $ln2_high, $ln2_low);
            let mut p: $float = $first;
            $(p = fused!(p, r, $coefficient);)+
            fused!(fused!(p, r, 1.0), r, 1.0) * <$float>::from_bits(shifted.to_bits() << $mantissa)
        }
    };
    // n above the shift, and r.
    (@reduce $float:ty, $x:ident, $shift:ident, $ln2_high:expr, $ln2_low:literal) => {{
        const LOG2_E: $float = std::f64::consts::LOG2_E as $float;
        let shifted = fused!($x, LOG2_E, $shift);
        let n = shifted - $shift;
        (shifted, fused!(-n, $ln2_low, fused!(-n, $ln2_high, $x)))
    }};
}

/// 1/n!, rounded.
const fn coefficient(n: u32) -> f64 {
    let mut product = 1.0;
    let mut k = 2;
    while k <= n {
        product *= k as f64;
        k += 1;
    }
    1.0 / product
}

impl Real for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    // Degree 6, the best one whose first coefficients are 1 and 1: off by 6e-9 of the result, a tenth of
    // the rounding error. (Taylor's polynomial is as good with degree 7.)
    exponential!(
        f32,
        u32,
        i32,
        23,
        127,
        -104.0,
        89.0,
        355.0 / 512.0,
        -2.121_944_4e-4,
        [1.381_203_9e-3, 8.368_156e-3, 4.166_822_5e-2, 1.666_652_3e-1, 4.999_999_4e-1]
    );
}

impl Real for f64 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    // Degree 13: the remainder r¹⁴/14! is 4e-18 of the result.
    exponential!(
        f64,
        u64,
        i64,
        52,
        1023,
        -746.0,
        710.0,
        6.931_471_803_691_238e-1,
        1.908_214_929_270_587_7e-10,
        [
            coefficient(13),
            coefficient(12),
            coefficient(11),
            coefficient(10),
            coefficient(9),
            coefficient(8),
            coefficient(7),
            coefficient(6),
            coefficient(5),
            coefficient(4),
            coefficient(3),
            coefficient(2)
        ]
    );
}

#[cfg(test)]
mod tests {
    use super::Real;

    /// Distance in units in the last place of `f32`, against `f64`'s exponential, which is exact to
    /// far below one of them.
    #[test]
    fn exp_f32_is_within_two_ulp_of_the_exact_value() {
        let mut worst = 0.0f64;
        let mut x = -87.0f32;
        while x < 88.5 {
            let exact = f64::from(x).exp();
            let ulp = f64::from(f32::from_bits((exact as f32).to_bits() + 1) - exact as f32);
            worst = worst.max((f64::from(Real::exp(x)) - exact).abs() / ulp);
            x += 0.001_37;
        }
        assert!(worst < 2.0, "worst error {worst} ulp");
    }

    /// The standard library's exponential is itself good to below one ulp.
    #[test]
    fn exp_f64_is_within_two_ulp_of_the_standard_library() {
        let mut worst = 0.0f64;
        let mut x = -707.0f64;
        while x < 709.5 {
            let exact = x.exp();
            let ulp = f64::from_bits(exact.to_bits() + 1) - exact;
            worst = worst.max((Real::exp(x) - exact).abs() / ulp);
            x += 0.002_37;
        }
        assert!(worst < 2.0, "worst error {worst} ulp");
    }

    #[test]
    fn raised_exp_is_within_two_ulp_of_the_exact_value() {
        let mut worst = 0.0f64;
        let mut x = 0.0f32;
        while x > -87.0 {
            let exact = f64::from(x).exp();
            let ulp = exact as f32 - f32::from_bits((exact as f32).to_bits() - 1);
            let found = x.raised_exp() * f32::LOWER;
            worst = worst.max((f64::from(found) - exact).abs() / f64::from(ulp));
            x -= 0.001_37;
        }
        assert!(worst < 2.0, "worst error {worst} ulp of f32");
        let mut worst = 0.0f64;
        let mut x = 0.0f64;
        while x > -707.0 {
            let exact = x.exp();
            let ulp = exact - f64::from_bits(exact.to_bits() - 1);
            worst = worst.max((x.raised_exp() * f64::LOWER - exact).abs() / ulp);
            x -= 0.002_37;
        }
        assert!(worst < 2.0, "worst error {worst} ulp of f64");
    }

    #[test]
    fn raised_exp_is_right_at_the_ends() {
        assert_eq!(0.0f32.raised_exp() * f32::LOWER, 1.0);
        assert_eq!(0.0f64.raised_exp() * f64::LOWER, 1.0);
        // A term that is nothing must not count in a sum of raised ones either.
        for x in [f32::NEG_INFINITY, f32::MIN, -1e4, -111.3] {
            assert_eq!(x.raised_exp(), 0.0, "{x}");
        }
        for x in [f64::NEG_INFINITY, f64::MIN, -1e4, -752.5] {
            assert_eq!(x.raised_exp(), 0.0, "{x}");
        }
        assert!(f32::NAN.raised_exp().is_nan() && f64::NAN.raised_exp().is_nan());
        let (small, exact) = ((-100.0f32).raised_exp() * f32::LOWER, (-100.0f64).exp());
        assert!((f64::from(small) - exact).abs() <= f64::from(f32::from_bits(1)));
        let (small, exact) = ((-740.0f64).raised_exp() * f64::LOWER, (-740.0f64).exp());
        assert!((small - exact).abs() <= f64::from_bits(1));
    }

    #[test]
    fn exp_is_right_at_the_ends() {
        assert_eq!(Real::exp(0.0f32), 1.0);
        assert_eq!(Real::exp(0.0f64), 1.0);
        assert_eq!(Real::exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(Real::exp(f64::INFINITY), f64::INFINITY);
        assert_eq!(Real::exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(Real::exp(f64::NEG_INFINITY), 0.0);
        assert_eq!(Real::exp(88.8f32), f32::INFINITY);
        assert_eq!(Real::exp(709.8f64), f64::INFINITY);
        assert!(Real::exp(f32::NAN).is_nan() && Real::exp(f64::NAN).is_nan());
        // Subnormal results keep their leading bits.
        let (small, exact) = (Real::exp(-100.0f32), (-100.0f64).exp());
        assert!((f64::from(small) - exact).abs() <= f64::from(f32::from_bits(1)));
        let (small, exact) = (Real::exp(-740.0f64), (-740.0f64).exp());
        assert!((small - exact).abs() <= f64::from_bits(1));
    }
}
