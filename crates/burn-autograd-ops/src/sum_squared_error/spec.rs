//! Forward and backward in Burn's own operations.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::Var;

/// Σ (p − t)², one element.
pub(super) fn forward<B: Backend>(p: FloatTensor<B>, t: FloatTensor<B>) -> FloatTensor<B> {
    (Var::<B>::new(p) - Var::new(t)).square().sum().into_primitive()
}

/// 2·grad·(p − t), where `grad` has one element.
pub(super) fn backward<B: Backend>(
    p: FloatTensor<B>,
    t: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    gradient(&Var::<B>::new(p), &Var::new(t), &Var::new(grad)).into_primitive()
}

/// The same where it is being differentiated.
pub(super) fn gradient<B: Backend>(p: &Var<B>, t: &Var<B>, grad: &Var<B>) -> Var<B> {
    (p - t) * (grad.reshape(vec![1; p.rank()]) * 2.0)
}
