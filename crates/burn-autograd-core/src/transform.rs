use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, TensorMetadata};

use crate::function::check_inputs;
use crate::{Differentiable, Floats, Function, Tensors};

/// The vector-Jacobian product of a composition, on the primitives of one backend.
///
/// `function` is run on a new autodiff level over `B`; the result is Σⱼ ⟨cotangentsⱼ, outputsⱼ⟩
/// differentiated with respect to every input, zeros where nothing depends on it. The result lives
/// on `B`: if that is itself an autodiff backend, it is tracked, and can be differentiated again.
///
/// For extension traits: call it in a default body, with the trait's own method on
/// `Autodiff<Self>`, and the product is available on every backend and to any order.
///
/// # Panics
///
/// If a cotangent does not have its output's shape.
pub fn vector_jacobian_product<B: Backend, const N: usize, const M: usize>(
    function: impl FnOnce([FloatTensor<Autodiff<B>>; N]) -> [FloatTensor<Autodiff<B>>; M],
    inputs: [FloatTensor<B>; N],
    cotangents: [FloatTensor<B>; M],
) -> [FloatTensor<B>; N] {
    type Level<B> = Autodiff<B>;
    let leaves =
        inputs.map(|input| <Level<B> as AutodiffBackend>::from_inner(input).require_grad());
    let outputs = function(leaves.clone());
    let objective = outputs
        .into_iter()
        .zip(cotangents)
        .filter(|(output, _)| output.is_tracked())
        .map(|(output, cotangent)| {
            assert!(
                output.shape() == cotangent.shape(),
                "vector_jacobian_product: argument `cotangents`: expected the output's shape {:?}, \
                 got {:?}",
                output.shape().to_vec(),
                cotangent.shape().to_vec()
            );
            let cotangent = <Level<B> as AutodiffBackend>::from_inner(cotangent);
            Level::<B>::float_sum(Level::<B>::float_mul(output, cotangent))
        })
        .reduce(Level::<B>::float_add);
    let Some(objective) = objective else {
        return leaves.map(|leaf| zeros_like::<B>(leaf.primitive()));
    };
    let grads = objective.backward();
    leaves.map(|leaf| leaf.grad(&grads).unwrap_or_else(|| zeros_like::<B>(leaf.primitive())))
}

fn zeros_like<B: Backend>(tensor: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_zeros(tensor.shape(), &tensor.device(), tensor.dtype().into())
}

/// The vector-Jacobian product of a [`Function`] at `inputs`, itself differentiable: what
/// `torch.autograd.grad(..., create_graph=True)` gives.
///
/// Gives, for every input, the gradient of Σⱼ ⟨cotangentsⱼ, outputsⱼ⟩; zeros where nothing depends
/// on it. Inputs need not be tracked; if they are, so is the result, and Burn's ordinary
/// `backward()` then gives second derivatives.
///
/// # Panics
///
/// As [`Function::apply`]; and if a cotangent does not have its output's shape.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Context, Differentiable, Function, Saved, Var, vjp};
///
/// /// x³, with derivative 3x².
/// #[derive(Debug, Clone)]
/// struct Cube;
///
/// impl Function<1> for Cube {
///     fn forward<B: Differentiable>(&self, ctx: &mut Context<B>, [x]: [Var<B>; 1]) -> [Var<B>; 1] {
///         ctx.save([&x]);
///         [x.powi(3)]
///     }
///     fn backward<B: Differentiable>(&self, ctx: Saved<B>, [g]: [Var<B>; 1]) -> [Option<Var<B>>; 1] {
///         let [x] = ctx.tensors();
///         [Some(3.0 * x.powi(2) * g)]
///     }
/// }
///
/// let device = Device::flex().autodiff();
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &device).require_grad();
/// let (dx,): (Tensor<1>,) = vjp(Cube, (x.clone(),), (x.ones_like(),));
/// assert_eq!(dx.to_data().try_to_vec::<f32>().unwrap(), [3.0, 12.0]);
/// let ddx = x.grad(&dx.sum().backward()).unwrap();
/// assert_eq!(ddx.to_data().try_to_vec::<f32>().unwrap(), [6.0, 12.0]);
/// # }
/// ```
pub fn vjp<F, I, O, const N: usize, const M: usize>(function: F, inputs: I, cotangents: O) -> I
where
    F: Function<N, M>,
    I: Tensors,
    O: Tensors,
{
    const {
        assert!(I::COUNT == N, "the number of tensors given is not that of the function's inputs");
        assert!(O::COUNT == M, "there is one cotangent for each of the function's outputs");
    }
    let (inputs, cotangents) = (inputs.into_dispatch(), cotangents.into_dispatch());
    let all: Vec<_> = inputs.iter().chain(&cotangents).cloned().collect();
    check_inputs(&function.name(), &all).unwrap_or_else(|error| panic!("{error}"));
    let grads = <Dispatch as Differentiable>::vjp_function::<F, N, M>(
        function,
        Floats(inputs),
        Floats(cotangents),
    );
    I::from_dispatch(grads.0)
}
