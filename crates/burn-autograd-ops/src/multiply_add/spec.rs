//! Forward and backward in Burn's own operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;
use burn_autograd_core::{Var, empty};

use super::{Gradients, MultiplyAddOps, Needs, common_shape};
use crate::support::is_empty;

/// w·x + b.
pub(super) fn forward<B: MultiplyAddOps>(
    w: FloatTensor<B>,
    x: FloatTensor<B>,
    b: FloatTensor<B>,
) -> FloatTensor<B> {
    let shape = common_shape(&w.shape(), &x.shape(), &b.shape());
    if shape.num_elements() == 0 {
        return empty::zeros::<B>(shape, &w);
    }
    (Var::<B>::new(w) * Var::new(x) + Var::new(b)).into_primitive()
}

/// (grad·x, grad·w).
pub(super) fn products<B: MultiplyAddOps>(
    w: FloatTensor<B>,
    x: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    if is_empty(&grad) {
        return (grad.clone(), grad);
    }
    let (w, x, grad) = (Var::<B>::new(w), Var::new(x), Var::new(grad));
    ((&grad * x).into_primitive(), (grad * w).into_primitive())
}

/// The gradients that are needed, each summed over what was broadcast.
pub(super) fn backward<B: MultiplyAddOps>(
    grad: FloatTensor<B>,
    w: Option<FloatTensor<B>>,
    x: Option<FloatTensor<B>>,
    [w_shape, x_shape, b_shape]: [Shape; 3],
    needs: Needs,
) -> Gradients<FloatTensor<B>> {
    if is_empty(&grad) {
        let zeros = |needed: bool, shape| needed.then(|| empty::zeros::<B>(shape, &grad));
        return [zeros(needs.w, w_shape), zeros(needs.x, x_shape), zeros(needs.b, b_shape)];
    }
    let grad = Var::<B>::new(grad);
    let db = needs.b.then(|| grad.clone().reduce_to(&b_shape).into_primitive());
    let (dw, dx) = match (needs.w, needs.x, w, x) {
        (true, true, Some(w), Some(x)) => {
            let (dw, dx) = B::multiply_add_products(w, x, grad.into_primitive());
            (Some(Var::<B>::new(dw)), Some(Var::new(dx)))
        }
        (true, false, _, Some(x)) => (Some(grad * Var::new(x)), None),
        (false, true, Some(w), _) => (None, Some(grad * Var::new(w))),
        (false, false, ..) => (None, None),
        _ => panic!("multiply_add: a factor that the backward needs was not saved"),
    };
    [
        dw.map(|dw| dw.reduce_to(&w_shape).into_primitive()),
        dx.map(|dx| dx.reduce_to(&x_shape).into_primitive()),
        db,
    ]
}

/// The same where it is being differentiated. `w` is there if the gradient of `x` is needed, `x` if
/// that of `w` is.
pub(super) fn gradients<B: Backend>(
    grad: &Var<B>,
    w: Option<&Var<B>>,
    x: Option<&Var<B>>,
    [w_shape, x_shape, b_shape]: &[Shape; 3],
    needs: Needs,
) -> Gradients<Var<B>> {
    let dx = w.filter(|_| needs.x).map(|w| (grad * w).reduce_to(x_shape));
    let dw = x.filter(|_| needs.w).map(|x| (grad * x).reduce_to(w_shape));
    [dw, dx, needs.b.then(|| grad.clone().reduce_to(b_shape))]
}
