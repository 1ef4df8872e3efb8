//! The CubeCL kernels: one launch each. With Burn's fusion the specification takes their place: it is
//! compiled into one kernel with the operations before and after it, which saves passes over memory.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::ReluOps;
use crate::support::cube::{self, Binary, BinaryFormula, Unary, UnaryFormula};

/// x ↦ 0 where x ≤ 0, x elsewhere.
struct Forward;

impl Unary for Forward {
    type Formula<F: Float, N: Size> = Self;
}

#[cube]
impl<F: Float, N: Size> UnaryFormula<F, N> for Forward {
    fn execute(x: Vector<F, N>) -> Vector<F, N> {
        let zero = Vector::<F, N>::new(F::new(0.0));
        select_many(x.less_equal(&zero), zero, x)
    }
}

/// (x, grad) ↦ 0 where x ≤ 0, grad elsewhere.
struct Backward;

impl Binary for Backward {
    type Formula<F: Float, N: Size> = Self;
}

#[cube]
impl<F: Float, N: Size> BinaryFormula<F, N> for Backward {
    fn execute(x: Vector<F, N>, grad: Vector<F, N>) -> Vector<F, N> {
        let zero = Vector::<F, N>::new(F::new(0.0));
        select_many(x.less_equal(&zero), zero, grad)
    }
}

impl ReluOps for CubeBackend {
    fn self_defined_relu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        cube::unary::<Forward>(x)
    }

    fn self_defined_relu_backward(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        cube::binary::<Backward>(x, grad)
    }
}

#[cfg(all(test, feature = "wgpu"))]
mod tests {
    use super::{CubeBackend, ReluOps};
    use crate::support::cube::tests::check_binary;

    #[test]
    fn kernels_follow_the_formulas() {
        check_binary(|x, _| CubeBackend::self_defined_relu(x), |x, _| x.max(0.0));
        let backward = CubeBackend::self_defined_relu_backward;
        check_binary(backward, |x, grad| if x > 0.0 { grad } else { 0.0 });
    }
}
