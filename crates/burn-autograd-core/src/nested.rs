use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, TensorMetadata};

use crate::var::empty;
use crate::var::layout::for_anything;
use crate::watchdog;

/// The vector-Jacobian product of a composition, on the primitives of one backend.
///
/// `function` is run on a new autodiff level over `B`; the result is Σⱼ ⟨cotangentsⱼ, outputsⱼ⟩
/// differentiated with respect to every input, zeros where nothing depends on it. The result lives
/// on `B`: if that is itself an autodiff backend, it is tracked, and can be differentiated again. Where
/// no output has an element, the result is a constant.
///
/// For extension traits of operations with kernels: call it in a default body, with the trait's own method on
/// `Autodiff<Self>`, and the product is available on every backend and to any order.
///
/// # Panics
///
/// If a cotangent does not have its output's shape. And, in Burn, where `B` is itself an autodiff
/// backend, if `function` uses an operation of which Burn does not differentiate the backward: `linear`
/// ("Can't differentiate linear_x_backward."), `embedding`, most poolings and others. Write these in
/// other operations.
pub fn vector_jacobian_product<B: Backend, const N: usize, const M: usize>(
    function: impl FnOnce([FloatTensor<Autodiff<B>>; N]) -> [FloatTensor<Autodiff<B>>; M],
    inputs: [FloatTensor<B>; N],
    cotangents: [FloatTensor<B>; M],
) -> [FloatTensor<B>; N] {
    type Level<B> = Autodiff<B>;
    let inputs = inputs.map(for_anything::<B>);
    let leaves = {
        let _watched = watchdog::recording("vector_jacobian_product".into(), None);
        inputs.map(|input| <Level<B> as AutodiffBackend>::from_inner(input).require_grad())
    };
    let outputs = function(leaves.clone());
    let objective = outputs
        .into_iter()
        .zip(cotangents)
        .filter(|(output, cotangent)| {
            if !output.is_tracked() {
                return false;
            }
            assert!(
                output.shape() == cotangent.shape(),
                "vector_jacobian_product: argument `cotangents`: expected the output's shape {:?}, \
                 got {:?}",
                output.shape().to_vec(),
                cotangent.shape().to_vec()
            );
            // What has no elements has no gradient, and nothing is queued for it.
            output.shape().num_elements() > 0
        })
        .map(|(output, cotangent)| {
            let cotangent = for_anything::<B>(cotangent);
            let cotangent = <Level<B> as AutodiffBackend>::from_inner(cotangent);
            Level::<B>::float_sum(Level::<B>::float_mul(output, cotangent))
        })
        .reduce(Level::<B>::float_add);
    let Some(objective) = objective else {
        return leaves.map(|leaf| empty::zeros::<B>(leaf.shape(), leaf.primitive()));
    };
    let grads = objective.backward();
    // Where `B` is itself differentiated, this also lays out the gradient that arrives from outside.
    leaves.map(|leaf| match leaf.grad(&grads) {
        Some(grad) => for_anything::<B>(grad),
        None => zeros_like::<B>(leaf.primitive()),
    })
}

fn zeros_like<B: Backend>(tensor: &FloatTensor<B>) -> FloatTensor<B> {
    if tensor.shape().num_elements() == 0 {
        return empty::zeros::<B>(tensor.shape(), tensor);
    }
    B::float_zeros(tensor.shape(), &tensor.device(), tensor.dtype().into())
}
