//! The CubeCL kernels: one launch each. With Burn's fusion they are queued like its own operations.

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
