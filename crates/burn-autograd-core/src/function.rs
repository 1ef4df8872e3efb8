use std::borrow::Cow;
use std::fmt::Debug;

use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::Tensor;

use crate::rule::short_type_name;
use crate::{Context, Differentiable, Error, ErrorKind, Floats, Rule, Saved, Tensors, Var, check};

/// A differentiable function, written once for every backend: `N` tensors in, `M` tensors out.
///
/// The counterpart of `torch.autograd.Function`. Forward and backward are generic in the backend
/// and made of [`Var`]s; parameters that are not tensors are fields of the implementing type. The
/// contract is that of [`Rule`].
///
/// # Example: the third Legendre polynomial
///
/// P₃(x) = ½(5x³ − 3x), with derivative 3⁄2·(5x² − 1).
///
/// ```
/// use burn_autograd_core::{Context, Differentiable, Function, Saved, Var};
///
/// #[derive(Debug, Clone)]
/// struct LegendreP3;
///
/// impl Function<1> for LegendreP3 {
///     fn forward<B: Differentiable>(&self, ctx: &mut Context<B>, [x]: [Var<B>; 1]) -> [Var<B>; 1] {
///         ctx.save([&x]);
///         [0.5 * (5.0 * x.powi(3) - 3.0 * x)]
///     }
///     fn backward<B: Differentiable>(&self, ctx: Saved<B>, [g]: [Var<B>; 1]) -> [Option<Var<B>>; 1] {
///         let [x] = ctx.tensors();
///         [Some(g * 1.5 * (5.0 * x.powi(2) - 1.0))]
///     }
/// }
/// # #[cfg(all(feature = "flex", feature = "autodiff"))] {
/// use burn::tensor::{Device, Tensor};
///
/// let x = Tensor::<1>::from_floats([0.5, -1.0, 2.0], &Device::flex().autodiff()).require_grad();
/// let y = LegendreP3.apply([x.clone()]);
/// assert_eq!(y.to_data().try_to_vec::<f32>().unwrap(), [-0.4375, -1.0, 17.0]);
/// let dx = x.grad(&y.sum().backward()).unwrap();
/// assert_eq!(dx.to_data().try_to_vec::<f32>().unwrap(), [0.375, 6.0, 28.5]);
/// # }
/// ```
pub trait Function<const N: usize, const M: usize = 1>:
    Debug + Clone + Send + Sync + 'static
{
    /// The name that errors use; by default that of the type.
    fn name(&self) -> Cow<'static, str> {
        short_type_name::<Self>().into()
    }

    /// See [`Rule::recomputes`].
    fn recomputes(&self) -> bool {
        false
    }

    /// The outputs. What the backward needs is given to [`Context::save`].
    fn forward<B: Differentiable>(&self, ctx: &mut Context<B>, inputs: [Var<B>; N]) -> [Var<B>; M];

    /// The gradient of every input, from the gradient of every output.
    fn backward<B: Differentiable>(&self, ctx: Saved<B>, grads: [Var<B>; M])
    -> [Option<Var<B>>; N];

    /// See [`Rule::backward_partial`].
    fn backward_partial<B: Differentiable>(
        &self,
        ctx: Saved<B>,
        grads: [Option<Var<B>>; M],
    ) -> [Option<Var<B>>; N] {
        let grads = ctx.or_zeros(grads);
        self.backward(ctx, grads)
    }

    /// Applies the function to tensors of one rank and gives its single output, of the same rank.
    ///
    /// On an autodiff device the output is tracked if an input is.
    ///
    /// # Panics
    ///
    /// If the inputs live on different devices or have a data type that the device cannot compute
    /// with, or the output has another rank; [`try_apply`](Self::try_apply) returns an error instead.
    fn apply<const D: usize>(&self, inputs: [Tensor<D>; N]) -> Tensor<D>
    where
        Self: Function<N, 1>,
    {
        Function::<N, 1>::apply_all(self, inputs)
    }

    /// Applies the function to tensors of any ranks and gives all its outputs.
    ///
    /// `let (sum, product): (Tensor<2>, Tensor<1>) = f.apply_all((a, b));`
    ///
    /// # Panics
    ///
    /// As [`apply`](Self::apply).
    fn apply_all<I: Tensors, O: Tensors>(&self, inputs: I) -> O {
        self.try_apply(inputs).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same as [`apply_all`](Self::apply_all), with an error instead of a panic for inputs on
    /// different devices, of different or of unsupported data types.
    ///
    /// # Errors
    ///
    /// Those of [`check::floats`]; and [`ErrorKind::Contract`] if an output has another rank than the
    /// one that is asked for.
    fn try_apply<I: Tensors, O: Tensors>(&self, inputs: I) -> Result<O, Error> {
        const {
            assert!(
                I::COUNT == N,
                "the number of tensors given is not that of the function's inputs"
            );
            assert!(O::COUNT == M, "the number of tensors asked for is not that of its outputs");
        }
        let inputs = inputs.into_dispatch();
        check_inputs(&self.name(), &inputs)?;
        let outputs = <Dispatch as Differentiable>::apply_function::<Self, N, M>(
            self.clone(),
            Floats(inputs),
        );
        for (index, (output, rank)) in outputs.0.iter().zip(O::ranks()).enumerate() {
            let got = output.shape().num_dims();
            if got != rank {
                return Err(Error::new(
                    ErrorKind::Contract,
                    self.name(),
                    format!("outputs[{index}]"),
                    format!("rank {rank}, as it is asked for"),
                    format!("rank {got}"),
                ));
            }
        }
        Ok(O::from_dispatch(outputs.0))
    }
}

pub(crate) fn check_inputs(
    name: &str,
    inputs: &[burn::backend::DispatchTensor],
) -> Result<(), Error> {
    const NAMES: [&str; 8] = [
        "inputs[0]",
        "inputs[1]",
        "inputs[2]",
        "inputs[3]",
        "inputs[4]",
        "inputs[5]",
        "inputs[6]",
        "inputs[7]",
    ];
    let arguments: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| (NAMES.get(index).copied().unwrap_or("inputs[8..]"), input))
        .collect();
    check::floats(name, &arguments)
}

impl<B, F, const N: usize, const M: usize> Rule<B, N, M> for F
where
    B: Differentiable,
    F: Function<N, M>,
{
    fn name(&self) -> Cow<'static, str> {
        Function::name(self)
    }

    fn recomputes(&self) -> bool {
        Function::recomputes(self)
    }

    fn forward(&self, ctx: &mut Context<B>, inputs: [Var<B>; N]) -> [Var<B>; M] {
        Function::forward(self, ctx, inputs)
    }

    fn backward(&self, ctx: Saved<B>, grads: [Var<B>; M]) -> [Option<Var<B>>; N] {
        Function::backward(self, ctx, grads)
    }

    fn backward_partial(&self, ctx: Saved<B>, grads: [Option<Var<B>>; M]) -> [Option<Var<B>>; N] {
        Function::backward_partial(self, ctx, grads)
    }
}
