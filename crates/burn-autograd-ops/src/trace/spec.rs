//! Forward and backward in Burn's own operations.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::Var;

use crate::lu::{diagonal, scaled_identity};

/// Σ aᵢᵢ.
pub(super) fn forward<B: Backend>(a: FloatTensor<B>) -> FloatTensor<B> {
    let a = Var::<B>::new(a);
    let rank = a.rank();
    diagonal(&a, a.shape()[rank - 1]).sum_dim(rank - 2).into_primitive()
}

/// grad·I.
pub(super) fn gradient<B: Backend>(grad: &Var<B>, n: usize) -> Var<B> {
    scaled_identity(grad, n)
}
