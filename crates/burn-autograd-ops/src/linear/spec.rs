//! Forward and backward in Burn's own operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;
use burn_autograd_core::{Floats, Var, empty};

use super::{Gradients, Needs};
use crate::support::is_empty;

/// x·Wᵀ + b.
pub(super) fn forward<B: Backend>(operands: Floats<B>) -> FloatTensor<B> {
    let Floats(operands) = operands;
    if is_empty(&operands[0]) || is_empty(&operands[1]) {
        return forward_of_nothing::<B>(operands);
    }
    let operands: Vec<Var<B>> = operands.into_iter().map(Var::new).collect();
    operands[0].linear(&operands[1], operands.get(2)).into_primitive()
}

/// The same without rows, features or outputs: nothing is summed, so that the bias is left.
fn forward_of_nothing<B: Backend>(operands: Vec<FloatTensor<B>>) -> FloatTensor<B> {
    let mut shape = operands[0].shape();
    let last = shape.num_dims() - 1;
    shape[last] = operands[1].shape()[0];
    let mut operands = operands.into_iter();
    match (operands.next(), operands.nth(1)) {
        (_, Some(bias)) if shape.num_elements() > 0 => {
            let mut row = vec![1; last + 1];
            row[last] = shape[last];
            Var::<B>::new(bias).reshape(Shape::from(row)).expand(shape).into_primitive()
        }
        (Some(x), _) => empty::zeros::<B>(shape, &x),
        (None, _) => panic!("linear: an operand of the forward is missing"),
    }
}

/// The gradients that are needed.
pub(super) fn backward<B: Backend>(operands: Floats<B>, needs: Needs) -> Floats<B> {
    let (grad, weight, x) = needs.operands(operands.0);
    if [Some(&grad), weight.as_ref(), x.as_ref()].into_iter().flatten().any(is_empty) {
        return backward_of_nothing::<B>(&grad, weight.as_ref(), x.as_ref(), needs);
    }
    let (grad, weight, x) = (Var::<B>::new(grad), weight.map(Var::new), x.map(Var::new));
    let gradients = gradients(&grad, weight.as_ref(), x.as_ref(), needs);
    Floats(gradients.into_iter().flatten().map(Var::into_primitive).collect())
}

/// The same without rows, features or outputs: zeros, but for the bias where there are no features.
fn backward_of_nothing<B: Backend>(
    grad: &FloatTensor<B>,
    weight: Option<&FloatTensor<B>>,
    x: Option<&FloatTensor<B>>,
    needs: Needs,
) -> Floats<B> {
    let shape = grad.shape().to_vec();
    let last = shape.len() - 1;
    let dx = weight.map(|weight| {
        let mut shape = shape.clone();
        shape[last] = weight.shape()[1];
        empty::zeros::<B>(Shape::from(shape), grad)
    });
    let dw = x.map(|x| empty::zeros::<B>(Shape::new([shape[last], x.shape()[last]]), grad));
    let db = needs.bias.then(|| {
        if is_empty(grad) {
            return empty::zeros::<B>(Shape::new([shape[last]]), grad);
        }
        let rows = shape[..last].iter().product();
        let grad = Var::<B>::new(grad.clone()).reshape([rows, shape[last]]);
        grad.sum_dim(0).reshape([shape[last]]).into_primitive()
    });
    Floats([dx, dw, db].into_iter().flatten().collect())
}

/// The same where it is being differentiated. `weight` is there if the gradient of `x` is needed, `x`
/// if that of `weight` is.
pub(super) fn gradients<B: Backend>(
    grad: &Var<B>,
    weight: Option<&Var<B>>,
    x: Option<&Var<B>>,
    needs: Needs,
) -> Gradients<Var<B>> {
    let shape = grad.shape().to_vec();
    let (leading, outputs) = (&shape[..shape.len() - 1], shape[shape.len() - 1]);
    let rows = leading.iter().product();
    let grad = grad.reshape([rows, outputs]);
    let dx = weight.map(|weight| {
        let dx = grad.matmul(weight);
        dx.reshape(Shape::from([leading, &[weight.shape()[1]]].concat()))
    });
    let dw = x.map(|x| {
        let shape = x.shape();
        grad.transpose().matmul(&x.reshape([rows, shape[shape.num_dims() - 1]]))
    });
    let db = needs.bias.then(|| grad.sum_dim(0).reshape([outputs]));
    [dx, dw, db]
}
