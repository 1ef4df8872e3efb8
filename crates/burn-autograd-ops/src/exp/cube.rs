//! The CubeCL kernels: one launch each. With Burn's fusion they are queued like its own operations.

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
