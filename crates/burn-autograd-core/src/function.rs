use std::borrow::Cow;
use std::fmt::Debug;

use burn::backend::DispatchTensor;
use burn::tensor::Tensor;

use crate::call::Call;
use crate::rule::short_type_name;
use crate::tensors::Position;
use crate::{
    Arguments, Context, Error, ErrorKind, OrPanic as _, Saved, Tensors, Var, Vars, record, scope,
};

/// A differentiable function, written once for every backend: `N` tensors in, `M` tensors out.
///
/// The counterpart of `torch.autograd.Function`. Forward and backward are made of [`Var`]s, or of
/// Burn's tensors through [`Var::into_tensor`]; they run on whatever device the inputs live on.
/// Parameters that are not differentiated are fields of the implementing type: numbers, strings,
/// tensors of integers or booleans. The contract is that of [`Rule`](crate::Rule).
///
/// # Example: the third Legendre polynomial
///
/// P₃(x) = ½(5x³ − 3x), with derivative 3⁄2·(5x² − 1).
///
/// ```
/// use burn_autograd_core::{Context, Function, Saved, Var};
///
/// #[derive(Debug, Clone)]
/// struct LegendreP3;
///
/// impl Function<1> for LegendreP3 {
///     fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
///         ctx.save([&x]);
///         [0.5 * (5.0 * x.powi(3) - 3.0 * x)]
///     }
///     fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
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
///
/// The backward differentiates again, to any order: see [`grad`](crate::grad).
///
/// # Threads
///
/// Functions, [`Var`]s and what the transforms return may be used by many threads at once. Not so a
/// tensor that Burn tracks, with Burn's operations or with these: it belongs to a graph, and Burn locks
/// its graphs in another order in a backward pass than where an operation joins two of them, so that
/// threads which share a graph may wait for each other for ever. With the feature `autodiff`, `share`
/// and `share_module` make leaves that threads may share, because these belong to no graph. A tensor
/// computed from tracked ones cannot be shared. A function that has waited for Burn's graph for 30 seconds
/// (`hook_time_limit`) is reported on standard error, with the file and line where it was applied.
pub trait Function<const N: usize, const M: usize = 1>:
    Debug + Clone + Send + Sync + 'static
{
    /// The name that errors and graphs use; by default that of the type.
    fn name(&self) -> Cow<'static, str> {
        short_type_name::<Self>().into()
    }

    /// See [`Rule::recomputes`](crate::Rule::recomputes).
    fn recomputes(&self) -> bool {
        false
    }

    /// Whether the backward has no derivative of its own; false by default. A second derivative is
    /// then an error that names the function. The counterpart of
    /// `torch.autograd.function.once_differentiable`.
    ///
    /// Declare it where the backward computes in a way that nothing records, for example on the host.
    fn once_differentiable(&self) -> bool {
        false
    }

    /// See [`Rule::differentiable`](crate::Rule::differentiable). The counterpart of `ctx.mark_non_differentiable`.
    fn differentiable(&self, output: usize) -> bool {
        let _ = output;
        true
    }

    /// Whether this input may be left out; false by default. A function that says true for one
    /// implements [`forward_partial`](Self::forward_partial).
    fn optional(&self, input: usize) -> bool {
        let _ = input;
        false
    }

    /// The outputs. What the backward needs is given to [`Context::save`].
    fn forward(&self, ctx: &mut Context, inputs: [Var; N]) -> [Var; M];

    /// The same where [optional](Self::optional) inputs may be `None`.
    fn forward_partial(&self, ctx: &mut Context, inputs: [Option<Var>; N]) -> [Var; M] {
        let inputs = inputs.map(|input| {
            input.unwrap_or_else(|| {
                panic!(
                    "{}: an input is declared optional, but forward_partial is not implemented",
                    self.name()
                )
            })
        });
        self.forward(ctx, inputs)
    }

    /// The gradient of every input, from the gradient of every output.
    fn backward(&self, ctx: Saved, grads: [Var; M]) -> [Option<Var>; N];

    /// The same where some outputs were not used: their gradient is `None`. See
    /// [`Rule::backward_partial`](crate::Rule::backward_partial).
    fn backward_partial(&self, ctx: Saved, grads: [Option<Var>; M]) -> [Option<Var>; N] {
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
    #[track_caller]
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
    /// An [optional](Self::optional) input is an `Option<Tensor<D>>`.
    ///
    /// # Panics
    ///
    /// As [`apply`](Self::apply).
    #[track_caller]
    fn apply_all<I: Arguments, O: Tensors>(&self, inputs: I) -> O {
        applied(self, inputs, |call, inputs| call.run(inputs)).or_panic()
    }

    /// The same as [`apply_all`](Self::apply_all), with an error instead of a panic for inputs on
    /// different devices, of unsupported data types, or missing, and for what an operation in the
    /// forward refuses.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DType`] and [`ErrorKind::Device`] for inputs; [`ErrorKind::Contract`] if an input is
    /// missing that is not [optional](Self::optional), or an output does not have the requested rank; and
    /// the error of an operation in the forward.
    #[track_caller]
    fn try_apply<I: Arguments, O: Tensors>(&self, inputs: I) -> Result<O, Error> {
        applied(self, inputs, |call, inputs| scope::catching(|| call.run(inputs)))
    }

    /// Applies the function to variables, within another function or a function that is being
    /// differentiated.
    ///
    /// # Panics
    ///
    /// As [`apply`](Self::apply).
    #[track_caller]
    fn call(&self, inputs: [Var; N]) -> Var
    where
        Self: Function<N, 1>,
    {
        let [output] = Function::<N, 1>::call_partial(self, inputs.map(Some));
        output
    }

    /// The same with all outputs.
    ///
    /// # Panics
    ///
    /// As [`apply`](Self::apply).
    #[track_caller]
    fn call_all(&self, inputs: [Var; N]) -> [Var; M] {
        self.call_partial(inputs.map(Some))
    }

    /// The same where [optional](Self::optional) inputs may be left out.
    ///
    /// # Panics
    ///
    /// As [`apply`](Self::apply).
    #[track_caller]
    fn call_partial(&self, inputs: [Option<Var>; N]) -> [Var; M] {
        let tensors = inputs.each_ref().map(|input| input.as_ref().map(|var| var.raw().clone()));
        let (call, tensors) = Call::new(self, tensors).or_panic();
        let mut tensors = tensors.into_iter();
        let inputs = inputs.map(|input| {
            let tensor = tensors.next().expect("there is a tensor for each input");
            input.unwrap_or_else(|| Var::new(tensor))
        });
        record::array(record::apply(record::Fixed(call), inputs.into_iter().collect(), true))
    }
}

/// Runs a call on the tensors of some arguments, and gives the outputs their ranks.
#[track_caller]
fn applied<F, I, O, const N: usize, const M: usize>(
    function: &F,
    inputs: I,
    run: impl FnOnce(Call<N, M>, [DispatchTensor; N]) -> Result<[DispatchTensor; M], Error>,
) -> Result<O, Error>
where
    F: Function<N, M>,
    I: Arguments,
    O: Tensors,
{
    const {
        assert!(I::COUNT == N, "the number of tensors given is not that of the function's inputs");
        assert!(O::COUNT == M, "the number of tensors asked for is not that of its outputs");
    }
    let mut inputs = inputs.into_arguments().into_iter();
    let inputs: [Option<DispatchTensor>; N] = std::array::from_fn(|_| inputs.next().flatten());
    let (call, inputs) = Call::new(function, inputs)?;
    let outputs = run(call, inputs)?;
    let outputs: Vec<Var> = outputs.into_iter().map(Var::outside).collect();
    let outputs: O::Vars = Vars::from_vec(outputs);
    let mut positions = Vec::new();
    O::positions(&outputs, &mut positions);
    for (index, (output, position)) in outputs.clone().into_vec().iter().zip(positions).enumerate()
    {
        let got = output.rank();
        if let Position::Tensor(Some(rank)) = position
            && rank != got
        {
            return Err(Error::new(
                ErrorKind::Contract,
                function.name(),
                format!("outputs[{index}]"),
                format!("rank {rank}, as it is asked for"),
                format!("rank {got}"),
            ));
        }
    }
    Ok(O::from_vars(outputs))
}
