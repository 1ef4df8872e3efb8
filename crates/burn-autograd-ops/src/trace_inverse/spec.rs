//! Forward and backward as a composition of the factorisation, solutions with it, and Burn's own
//! operations.

use burn::backend::tensor::FloatTensor;
use burn_autograd_core::{Floats, Var};

use super::{Needs, TraceInverseOps};
use crate::lu::{LuSolve, diagonal, scaled_identity};

/// See [`TraceInverseOps::trace_inverse_parts`].
pub(super) fn parts<B: TraceInverseOps>(
    a: FloatTensor<B>,
    b: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let packed = Var::<B>::new(B::lu_factor(b.clone()));
    let [y, first] = formula(&Var::new(a), &Var::new(b), &packed);
    (y.into_primitive(), packed.into_primitive(), first.into_primitive())
}

/// The result and (A·B⁻¹)ᵀ, also where they are being differentiated.
pub(super) fn formula<B: TraceInverseOps>(a: &Var<B>, b: &Var<B>, packed: &Var<B>) -> [Var<B>; 2] {
    let first = LuSolve::apply(true, b, packed, a.transpose());
    [&first + trace(a) * b, first]
}

fn trace<B: TraceInverseOps>(a: &Var<B>) -> Var<B> {
    let rank = a.rank();
    diagonal(a, a.shape()[rank - 1]).sum_dim(rank - 2)
}

/// See [`TraceInverseOps::trace_inverse_backward`].
pub(super) fn backward<B: TraceInverseOps>(operands: Floats<B>, needs: Needs) -> Floats<B> {
    let gradients = gradients(operands.into_array().map(Var::<B>::new), needs);
    Floats(gradients.into_iter().flatten().map(Var::into_primitive).collect())
}

/// The same where it is being differentiated.
pub(super) fn gradients<B: TraceInverseOps>(
    [a, b, packed, first, grad]: [Var<B>; 5],
    needs: Needs,
) -> [Option<Var<B>>; 2] {
    let rank = b.rank();
    let n = b.shape()[rank - 1];
    let solution = LuSolve::apply(false, &b, &packed, grad.clone()).transpose();
    let db = needs.b.then(|| &grad * trace(&a) - first.matmul(&solution));
    let da = needs.a.then(|| {
        let inner = (grad * b).sum_dims(&[rank - 2, rank - 1]);
        solution + scaled_identity(&inner, n)
    });
    [da, db]
}
