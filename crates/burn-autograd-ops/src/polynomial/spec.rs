//! Forward and backward in Burn's own operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn_autograd_core::{Floats, Var, empty};

use super::Needs;
use crate::support::is_empty;

/// Σₖ cₖ·xᵏ, by Horner's rule.
pub(super) fn forward<B: Backend>(x: FloatTensor<B>, c: FloatTensor<B>) -> FloatTensor<B> {
    if is_empty(&x) {
        return x;
    }
    value(&Var::<B>::new(x), &Var::new(c)).into_primitive()
}

/// The gradients that are needed.
pub(super) fn backward<B: Backend>(
    x: FloatTensor<B>,
    c: FloatTensor<B>,
    grad: FloatTensor<B>,
    needs: Needs,
) -> Floats<B> {
    if is_empty(&grad) {
        let dc = needs.coefficients.then(|| empty::zeros::<B>(c.shape(), &grad));
        return Floats([needs.x.then_some(grad), dc].into_iter().flatten().collect());
    }
    let gradients = gradients(&Var::<B>::new(x), &Var::new(c), &Var::new(grad), needs);
    Floats(gradients.into_iter().flatten().map(Var::into_primitive).collect())
}

/// Coefficient `k`, to be broadcast over `x`.
fn coefficient<B: Backend>(x: &Var<B>, c: &Var<B>, k: usize) -> Var<B> {
    c.slice(k..k + 1).reshape(vec![1; x.rank()])
}

fn value<B: Backend>(x: &Var<B>, c: &Var<B>) -> Var<B> {
    let degree = c.shape().num_elements() - 1;
    let highest = coefficient(x, c, degree).expand(x.shape());
    (0..degree).rev().fold(highest, |sum, k| sum * x + coefficient(x, c, k))
}

/// x̄ = ȳ·Σ k·cₖ·xᵏ⁻¹ and c̄ₖ = Σ ȳ·xᵏ, also where they are being differentiated.
pub(super) fn gradients<B: Backend>(
    x: &Var<B>,
    c: &Var<B>,
    grad: &Var<B>,
    needs: Needs,
) -> [Option<Var<B>>; 2] {
    let degree = c.shape().num_elements() - 1;
    let dx = needs.x.then(|| {
        if degree == 0 {
            return grad.zeros_like();
        }
        let term = |k: usize| coefficient(x, c, k) * k as f64;
        let slope = (1..degree).rev().fold(term(degree).expand(x.shape()), |s, k| s * x + term(k));
        grad * slope
    });
    let dc = needs.coefficients.then(|| {
        let mut power = grad.clone();
        let mut sums = vec![power.sum()];
        for _ in 0..degree {
            power = power * x;
            sums.push(power.sum());
        }
        Var::cat(&sums, 0)
    });
    [dx, dc]
}
