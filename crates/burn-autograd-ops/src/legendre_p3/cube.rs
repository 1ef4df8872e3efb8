//! The CubeCL kernels: one launch each. With Burn's fusion the specification takes their place: it is
//! compiled into one kernel with the operations before and after it, which saves passes over memory.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::LegendreP3Ops;
use crate::support::cube::{self, Binary, BinaryFormula, Unary, UnaryFormula};

/// x ↦ x·(5⁄2·x² − 3⁄2).
struct Forward;

impl Unary for Forward {
    type Formula<F: Float, N: Size> = Self;
}

#[cube]
impl<F: Float, N: Size> UnaryFormula<F, N> for Forward {
    fn execute(x: Vector<F, N>) -> Vector<F, N> {
        x * (Vector::new(F::new(2.5)) * x * x - Vector::new(F::new(1.5)))
    }
}

/// (x, grad) ↦ grad·(15⁄2·x² − 3⁄2).
struct Backward;

impl Binary for Backward {
    type Formula<F: Float, N: Size> = Self;
}

#[cube]
impl<F: Float, N: Size> BinaryFormula<F, N> for Backward {
    fn execute(x: Vector<F, N>, grad: Vector<F, N>) -> Vector<F, N> {
        grad * (Vector::new(F::new(7.5)) * x * x - Vector::new(F::new(1.5)))
    }
}

impl LegendreP3Ops for CubeBackend {
    fn legendre_p3(x: FloatTensor<Self>) -> FloatTensor<Self> {
        cube::unary::<Forward>(x)
    }

    fn legendre_p3_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        cube::binary::<Backward>(x, grad)
    }
}

#[cfg(all(test, feature = "wgpu"))]
mod tests {
    use super::{CubeBackend, LegendreP3Ops};
    use crate::support::cube::tests::check_binary;

    /// Exact: the factors have few bits.
    #[test]
    fn kernels_follow_the_formulas() {
        check_binary(
            |x, _| CubeBackend::legendre_p3(x),
            |x, _| (0.5 * (5.0 * f64::from(x).powi(3) - 3.0 * f64::from(x))) as f32,
        );
        check_binary(CubeBackend::legendre_p3_backward, |x, grad| {
            (f64::from(grad) * 1.5 * (5.0 * f64::from(x).powi(2) - 1.0)) as f32
        });
    }
}
