use std::sync::Arc;

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, TensorMetadata};
use burn_autodiff::Autodiff;

use crate::rule::{Meta, Metas, check_gradient};
use crate::var::empty;
use crate::var::layout::for_anything;
use crate::{Context, Rule, Saved, Var, anomaly, watchdog};

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

/// The vector-Jacobian product of one rule: its forward, which keeps what its backward needs, and its
/// backward, without a graph between them.
///
/// The result is Σⱼ ⟨cotangentsⱼ, outputsⱼ⟩ differentiated with respect to every input; a cotangent that
/// is `None` is that of an unused output. It is that of [`vector_jacobian_product`] of the one operation,
/// which costs several times as much where tensors are small. On an autodiff backend it is tracked if the
/// rule's bodies are made of operations that are, and can be differentiated again. Where no cotangent has
/// an element the gradients are zeros, and the rule does not run. The cotangent of an output without
/// [derivative](Rule::differentiable) is not read.
///
/// # Panics
///
/// If a cotangent does not have its output's shape, or the rule returns a gradient whose shape, data
/// type or device is not its input's; and in [`AnomalyMode`](crate::AnomalyMode), if a gradient is not
/// finite though the cotangents are.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::backend::{Backend, Dispatch};
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Context, Rule, Saved, Var, rule_product};
///
/// /// x², with derivative 2x.
/// #[derive(Debug, Clone)]
/// struct Square;
///
/// impl<B: Backend> Rule<B, 1> for Square {
///     fn forward(&self, ctx: &mut Context<B>, [x]: [Var<B>; 1]) -> [Var<B>; 1] {
///         ctx.save([&x]);
///         [&x * &x]
///     }
///     fn backward(&self, ctx: Saved<B>, [g]: [Var<B>; 1]) -> [Option<Var<B>>; 1] {
///         let [x] = ctx.tensors();
///         [Some(g * 2.0 * x)]
///     }
/// }
///
/// let tensor = |values| Tensor::<1>::from_floats(values, &Device::flex()).into_dispatch();
/// let (x, g) = (tensor([3.0, -1.0]), tensor([1.0, 10.0]));
/// let [dx] = rule_product::<Dispatch, _, 1, 1>(&Square, [x], [Some(g)]);
/// let dx = Tensor::<1>::from_dispatch(dx);
/// assert_eq!(dx.to_data().try_to_vec::<f32>().unwrap(), [6.0, -20.0]);
/// # }
/// ```
pub fn rule_product<B: Backend, R: Rule<B, N, M>, const N: usize, const M: usize>(
    rule: &R,
    inputs: [FloatTensor<B>; N],
    cotangents: [Option<FloatTensor<B>>; M],
) -> [FloatTensor<B>; N] {
    let inputs = inputs.map(for_anything::<B>);
    let name = rule.name();
    // As on a graph, no gradient arrives at an output without derivative: no backward expects one.
    let mut output = 0;
    let cotangents = cotangents.map(|cotangent| {
        output += 1;
        cotangent.filter(|_| rule.differentiable(output - 1))
    });
    // What has no elements has no gradient, and nothing is queued for it.
    if cotangents.iter().flatten().all(|cotangent| cotangent.shape().num_elements() == 0) {
        return inputs.map(|input| empty::zeros::<B>(input.shape(), &input));
    }
    let mut context = Context::new([true; N]);
    let outputs = rule.forward(&mut context, Var::inputs(inputs.clone()));
    for (cotangent, output) in cotangents.iter().zip(&outputs) {
        let Some(cotangent) = cotangent else { continue };
        assert!(
            output.shape() == cotangent.shape(),
            "{name}: argument `cotangents`: expected the output's shape {:?}, got {:?}",
            output.shape().to_vec(),
            cotangent.shape().to_vec()
        );
    }
    let metas = Arc::new(Metas {
        inputs: inputs.iter().map(Meta::of).collect(),
        outputs: outputs.iter().map(|output| Meta::of(output.raw())).collect(),
    });
    let saved = Saved {
        name: name.clone(),
        needs: context.needs,
        tensors: context.kept,
        metas: metas.clone(),
    };
    drop(outputs);
    let finite = were_finite::<B>(cotangents.iter().flatten());
    let cotangents = cotangents.map(|cotangent| Some(Var::new(for_anything::<B>(cotangent?))));
    let found = rule.backward_partial(saved, cotangents);
    let mut index = 0;
    found.map(|grad| {
        let input = &metas.inputs[index];
        index += 1;
        let Some(grad) = grad else { return zeros_like::<B>(&inputs[index - 1]) };
        if let Err(error) = check_gradient::<B>(&name, index - 1, input, grad.raw()) {
            panic!("{error}");
        }
        let grad = for_anything::<B>(grad.into_raw());
        refuse_anomaly::<B>(finite, &name, index - 1, &grad);
        grad
    })
}

/// The vector-Jacobian product of an operation whose backward needs nothing of its forward but the
/// inputs: that backward, between tensors that lie in memory as Burn's kernels need them.
///
/// Where no cotangent has an element the gradients are zeros, and `backward` does not run. On an autodiff
/// backend the result is tracked if `backward` is made of operations that are. `operation` is the name that
/// [`AnomalyMode`](crate::AnomalyMode) gives it.
///
/// # Panics
///
/// In `AnomalyMode`, if a gradient is not finite though the cotangents are.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::backend::Dispatch;
/// use burn::backend::ops::FloatTensorOps;
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::explicit_product;
///
/// let tensor = |values| Tensor::<1>::from_floats(values, &Device::flex()).into_dispatch();
/// // −x, with derivative −1.
/// let [dx] = explicit_product::<Dispatch, 1, 1>(
///     "negate",
///     |[_], [g]| [Dispatch::float_neg(g)],
///     [tensor([3.0, -1.0])],
///     [tensor([1.0, 10.0])],
/// );
/// let dx = Tensor::<1>::from_dispatch(dx);
/// assert_eq!(dx.to_data().try_to_vec::<f32>().unwrap(), [-1.0, -10.0]);
/// # }
/// ```
pub fn explicit_product<B: Backend, const N: usize, const M: usize>(
    operation: &'static str,
    backward: impl FnOnce([FloatTensor<B>; N], [FloatTensor<B>; M]) -> [FloatTensor<B>; N],
    inputs: [FloatTensor<B>; N],
    cotangents: [FloatTensor<B>; M],
) -> [FloatTensor<B>; N] {
    let inputs = inputs.map(for_anything::<B>);
    if cotangents.iter().all(|cotangent| cotangent.shape().num_elements() == 0) {
        return inputs.map(|input| empty::zeros::<B>(input.shape(), &input));
    }
    let finite = were_finite::<B>(cotangents.iter());
    let gradients = backward(inputs, cotangents.map(for_anything::<B>)).map(for_anything::<B>);
    for (index, gradient) in gradients.iter().enumerate() {
        refuse_anomaly::<B>(finite, operation, index, gradient);
    }
    gradients
}

/// Whether the gradients of finite cotangents have to be looked at.
fn were_finite<'a, B: Backend>(cotangents: impl Iterator<Item = &'a FloatTensor<B>>) -> bool {
    anomaly::enabled()
        && cotangents
            .map(|tensor| Var::<B>::new(tensor.clone()))
            .all(|var| anomaly::is_finite(&var))
}

fn refuse_anomaly<B: Backend>(finite: bool, name: &str, index: usize, grad: &FloatTensor<B>) {
    if finite && !anomaly::is_finite(&Var::<B>::new(grad.clone())) {
        panic!("{}", anomaly::error_somewhere(name.to_owned().into(), index));
    }
}

fn zeros_like<B: Backend>(tensor: &FloatTensor<B>) -> FloatTensor<B> {
    if tensor.shape().num_elements() == 0 {
        return empty::zeros::<B>(tensor.shape(), tensor);
    }
    B::float_zeros(tensor.shape(), &tensor.device(), tensor.dtype().into())
}
