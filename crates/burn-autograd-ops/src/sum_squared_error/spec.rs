//! Forward and backward in Burn's own operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;
use burn_autograd_core::{Var, empty};

use crate::support::is_empty;

/// Σ (p − t)², one element.
pub(super) fn forward<B: Backend>(p: FloatTensor<B>, t: FloatTensor<B>) -> FloatTensor<B> {
    if is_empty(&p) {
        return empty::zeros::<B>(Shape::new([1]), &p);
    }
    (Var::<B>::new(p) - Var::new(t)).square().sum().into_primitive()
}

/// 2·grad·(p − t), where `grad` has one element.
pub(super) fn backward<B: Backend>(
    p: FloatTensor<B>,
    t: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    if is_empty(&p) {
        return empty::zeros::<B>(p.shape(), &p);
    }
    gradient(&Var::<B>::new(p), &Var::new(t), &Var::new(grad)).into_primitive()
}

/// The same where it is being differentiated.
pub(super) fn gradient<B: Backend>(p: &Var<B>, t: &Var<B>, grad: &Var<B>) -> Var<B> {
    (p - t) * (grad.reshape(vec![1; p.rank()]) * 2.0)
}
