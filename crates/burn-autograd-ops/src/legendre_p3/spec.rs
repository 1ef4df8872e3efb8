//! Forward and backward in Burn's own operations.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::Var;

use crate::support::is_empty;

/// x·(5⁄2·x² − 3⁄2).
pub(super) fn forward<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    if is_empty(&x) {
        return x;
    }
    let x = Var::<B>::new(x);
    (((&x * &x) * 2.5 - 1.5) * x).into_primitive()
}

/// grad·(15⁄2·x² − 3⁄2).
pub(super) fn backward<B: Backend>(x: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
    if is_empty(&grad) {
        return grad;
    }
    gradient(&Var::<B>::new(x), Var::new(grad)).into_primitive()
}

/// The same where it is being differentiated.
pub(super) fn gradient<B: Backend>(x: &Var<B>, grad: Var<B>) -> Var<B> {
    ((x * x) * 7.5 - 1.5) * grad
}
