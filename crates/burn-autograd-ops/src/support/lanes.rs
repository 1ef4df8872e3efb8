//! Explicit vectors of the kernels that the compiler does not vectorise by itself.

use pulp::Simd;

use super::Real;

/// `f32` and `f64` with the vectors of an instruction set.
pub(crate) trait Lanes: Real + Default {
    const NAN: Self;

    type Vector<S: Simd>: Copy;

    /// Yes or no for each element.
    type Mask<S: Simd>: Copy;

    /// How many elements a vector has.
    fn lanes<S: Simd>() -> usize {
        size_of::<Self::Vector<S>>() / size_of::<Self>()
    }

    fn divide(self, by: Self) -> Self;

    fn magnitude(self) -> Self;

    /// 1⁄x where that is a normal number: a product with it is as good as a division.
    fn reciprocal(self) -> Option<Self>;

    /// Whether one can divide by it.
    fn divides(self) -> bool;

    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;

    /// c − a·b, in one rounding or two.
    fn subtract_product<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;

    fn times<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    fn over<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    fn minus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    fn magnitudes<S: Simd>(simd: S, x: Self::Vector<S>) -> Self::Vector<S>;

    /// Whether a > b; no where one is NaN.
    fn greater<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Mask<S>;

    /// Whether a = b; no where one is NaN.
    fn equal<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Mask<S>;

    /// `yes` where the mask says so, `no` elsewhere.
    fn select<S: Simd>(
        simd: S,
        mask: Self::Mask<S>,
        yes: Self::Vector<S>,
        no: Self::Vector<S>,
    ) -> Self::Vector<S>;
}

macro_rules! lanes {
    ($float:ident, $vector:ident, $mask:ident, $splat:ident, $negate_mul_add:ident, $mul:ident,
     $div:ident, $add:ident, $sub:ident, $abs:ident, $greater:ident, $equal:ident, $select:ident) => {
        impl Lanes for $float {
            const NAN: Self = Self::NAN;

            type Vector<S: Simd> = S::$vector;

            type Mask<S: Simd> = S::$mask;

            #[inline(always)]
            fn divide(self, by: Self) -> Self {
                self / by
            }

            #[inline(always)]
            fn magnitude(self) -> Self {
                self.abs()
            }

            #[inline(always)]
            fn reciprocal(self) -> Option<Self> {
                let reciprocal = 1.0 / self;
                (reciprocal.is_normal() && self.is_normal()).then_some(reciprocal)
            }

            #[inline(always)]
            fn divides(self) -> bool {
                self != 0.0 && self.is_finite()
            }

            #[inline(always)]
            fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S> {
                simd.$splat(x)
            }

            #[inline(always)]
            fn subtract_product<S: Simd>(
                simd: S,
                a: Self::Vector<S>,
                b: Self::Vector<S>,
                c: Self::Vector<S>,
            ) -> Self::Vector<S> {
                simd.$negate_mul_add(a, b, c)
            }

            #[inline(always)]
            fn times<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S> {
                simd.$mul(a, b)
            }

            #[inline(always)]
            fn over<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S> {
                simd.$div(a, b)
            }

            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S> {
                simd.$add(a, b)
            }

            #[inline(always)]
            fn minus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S> {
                simd.$sub(a, b)
            }

            #[inline(always)]
            fn magnitudes<S: Simd>(simd: S, x: Self::Vector<S>) -> Self::Vector<S> {
                simd.$abs(x)
            }

            #[inline(always)]
            fn greater<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Mask<S> {
                simd.$greater(a, b)
            }

            #[inline(always)]
            fn equal<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Mask<S> {
                simd.$equal(a, b)
            }

            #[inline(always)]
            fn select<S: Simd>(
                simd: S,
                mask: Self::Mask<S>,
                yes: Self::Vector<S>,
                no: Self::Vector<S>,
            ) -> Self::Vector<S> {
                simd.$select(mask, yes, no)
            }
        }
    };
}

lanes!(
    f32,
    f32s,
    m32s,
    splat_f32s,
    negate_mul_add_e_f32s,
    mul_f32s,
    div_f32s,
    add_f32s,
    sub_f32s,
    abs_f32s,
    greater_than_f32s,
    equal_f32s,
    select_f32s
);
lanes!(
    f64,
    f64s,
    m64s,
    splat_f64s,
    negate_mul_add_e_f64s,
    mul_f64s,
    div_f64s,
    add_f64s,
    sub_f64s,
    abs_f64s,
    greater_than_f64s,
    equal_f64s,
    select_f64s
);
