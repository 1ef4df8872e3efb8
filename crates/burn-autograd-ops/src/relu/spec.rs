//! Forward and backward in Burn's own operations.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::Var;

use crate::support::is_empty;

/// 0 where x ≤ 0, x elsewhere.
pub(super) fn forward<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    if is_empty(&x) {
        return x;
    }
    let x = Var::<B>::new(x);
    x.fill_where_not_positive(&x, 0.0).into_primitive()
}

/// 0 where x ≤ 0, grad elsewhere.
pub(super) fn backward<B: Backend>(x: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
    if is_empty(&grad) {
        return grad;
    }
    gradient(&Var::<B>::new(x), Var::new(grad)).into_primitive()
}

/// The same where it is being differentiated.
pub(super) fn gradient<B: Backend>(x: &Var<B>, grad: Var<B>) -> Var<B> {
    grad.fill_where_not_positive(x, 0.0)
}
