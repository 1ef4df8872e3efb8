//! The CubeCL kernels: one launch each. With Burn's fusion the specification takes their place: it is
//! compiled into one kernel with the operations before and after it, which saves passes over memory.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::ExpOps;
use crate::support::cube::{self, Binary, BinaryFormula, Unary, UnaryFormula};

/// x ↦ eˣ.
struct Forward;

impl Unary for Forward {
    type Formula<F: Float, N: Size> = Self;
}

#[cube]
impl<F: Float, N: Size> UnaryFormula<F, N> for Forward {
    fn execute(x: Vector<F, N>) -> Vector<F, N> {
        x.exp()
    }
}

/// (y, grad) ↦ grad·y.
struct Backward;

impl Binary for Backward {
    type Formula<F: Float, N: Size> = Self;
}

#[cube]
impl<F: Float, N: Size> BinaryFormula<F, N> for Backward {
    fn execute(y: Vector<F, N>, grad: Vector<F, N>) -> Vector<F, N> {
        grad * y
    }
}

impl ExpOps for CubeBackend {
    fn exp(x: FloatTensor<Self>) -> FloatTensor<Self> {
        cube::unary::<Forward>(x)
    }

    fn exp_backward(y: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        cube::binary::<Backward>(y, grad)
    }
}

#[cfg(all(test, feature = "wgpu"))]
mod tests {
    use super::{CubeBackend, ExpOps};
    use crate::support::cube::tests::{check_binary, device, numbers, ramp, tensor};

    #[test]
    fn kernels_follow_the_formulas() {
        check_binary(CubeBackend::exp_backward, |y, grad| y * grad);
        let Some(device) = device() else { return };
        let x = ramp(1001);
        let y = numbers(CubeBackend::exp(tensor(&x, [7, 11, 13], &device)));
        for (x, y) in x.into_iter().zip(y) {
            // WGSL allows 3 + 2·|x| units in the last place, each at most ε.
            let expected = f64::from(x).exp();
            let bound = f64::from((3.0 + 2.0 * x.abs()) * f32::EPSILON) * expected;
            assert!((f64::from(y) - expected).abs() <= bound, "exp({x}) = {y}");
        }
    }
}
