//! Forward and backward in Burn's own operations.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;
use burn_autograd_core::{Floats, Var};

use super::{Gradients, Needs};

/// x·Wᵀ + b.
pub(super) fn forward<B: Backend>(operands: Floats<B>) -> FloatTensor<B> {
    let operands: Vec<Var<B>> = operands.0.into_iter().map(Var::new).collect();
    operands[0].linear(&operands[1], operands.get(2)).into_primitive()
}

/// The gradients that are needed.
pub(super) fn backward<B: Backend>(operands: Floats<B>, needs: Needs) -> Floats<B> {
    let operands = operands.0.into_iter().map(Var::<B>::new).collect();
    let (grad, weight, x) = needs.operands(operands);
    let gradients = gradients(&grad, weight.as_ref(), x.as_ref(), needs);
    Floats(gradients.into_iter().flatten().map(Var::into_primitive).collect())
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
