//! Forward and backward as a composition of the factorisation, solutions with it, and Burn's own
//! operations.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::{Floats, OrPanic as _, Var, check as arguments, empty};

use super::{Needs, TraceInverseOps};
use crate::lu::{LuSolve, diagonal, scaled_identity};
use crate::support::is_empty;

/// See [`TraceInverseOps::trace_inverse_parts`].
pub(super) fn parts<B: TraceInverseOps>(
    a: FloatTensor<B>,
    b: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let shape =
        arguments::broadcast("trace_inverse", &[("a", &a.shape()), ("b", &b.shape())]).or_panic();
    if shape.num_elements() == 0 {
        let nothing = empty::zeros::<B>(shape, &a);
        return (nothing.clone(), B::lu_factor(b), nothing);
    }
    let packed = B::lu_factor(b.clone());
    let [a, b, factors] = [a, b, packed.clone()].map(Var::<B>::new);
    let first = LuSolve::apply(true, &b, &factors, a.transpose());
    let y = &first + trace(&a) * b;
    (y.into_primitive(), packed, first.into_primitive())
}

fn trace<B: TraceInverseOps>(a: &Var<B>) -> Var<B> {
    let rank = a.rank();
    diagonal(a, a.shape()[rank - 1]).sum_dim(rank - 2)
}

/// See [`TraceInverseOps::trace_inverse_backward`].
pub(super) fn backward<B: TraceInverseOps>(operands: Floats<B>, needs: Needs) -> Floats<B> {
    if let Some(grad) = operands.0.last().filter(|grad| is_empty(*grad)) {
        // Zeros, once they are summed over the batch.
        return Floats(
            [needs.a, needs.b].iter().filter(|needed| **needed).map(|_| grad.clone()).collect(),
        );
    }
    let gradients = gradients(operands.into_array().map(Var::<B>::new), needs);
    Floats(gradients.into_iter().flatten().map(Var::into_primitive).collect())
}

/// The same of variables.
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
