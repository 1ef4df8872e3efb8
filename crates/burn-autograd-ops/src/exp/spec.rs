//! Forward and backward in Burn's own operations.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::Var;

use crate::support::is_empty;

/// eˣ.
pub(super) fn forward<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    if is_empty(&x) {
        return x;
    }
    Var::<B>::new(x).exp().into_primitive()
}

/// grad·y.
pub(super) fn backward<B: Backend>(y: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
    if is_empty(&grad) {
        return grad;
    }
    gradient(&Var::<B>::new(y), Var::new(grad)).into_primitive()
}

/// The same where it is being differentiated.
pub(super) fn gradient<B: Backend>(y: &Var<B>, grad: Var<B>) -> Var<B> {
    y * grad
}
