use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::{Dispatch, DispatchAutodiffContext, DispatchTensor, TensorMetadata};
use burn::tensor::Tensor;

use crate::rule::short_type_name;
use crate::tape::Within;
use crate::var::Origin;
use crate::{Arguments, Context, Error, ErrorKind, Rule, Saved, Tensors, Var, apply_rule, check};

/// A differentiable function, written once for every backend: `N` tensors in, `M` tensors out.
///
/// The counterpart of `torch.autograd.Function`. Forward and backward are made of [`Var`]s, or of
/// Burn's tensors through [`Var::into_tensor`]; they run on whatever device the inputs live on.
/// Parameters that are not differentiated are fields of the implementing type: numbers, strings,
/// tensors of integers or booleans. The contract is that of [`Rule`].
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
pub trait Function<const N: usize, const M: usize = 1>:
    Debug + Clone + Send + Sync + 'static
{
    /// The name that errors and graphs use; by default that of the type.
    fn name(&self) -> Cow<'static, str> {
        short_type_name::<Self>().into()
    }

    /// See [`Rule::recomputes`].
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

    /// See [`Rule::differentiable`]. The counterpart of `ctx.mark_non_differentiable`.
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
    /// [`Rule::backward_partial`].
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
        self.try_apply(inputs).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same as [`apply_all`](Self::apply_all), with an error instead of a panic for inputs on
    /// different devices, of different or of unsupported data types, or missing.
    ///
    /// # Errors
    ///
    /// Those of [`check::floats`]; and [`ErrorKind::Contract`] if an input is missing that is not
    /// [optional](Self::optional), or an output has another rank than the one that is asked for.
    #[track_caller]
    fn try_apply<I: Arguments, O: Tensors>(&self, inputs: I) -> Result<O, Error> {
        const {
            assert!(
                I::COUNT == N,
                "the number of tensors given is not that of the function's inputs"
            );
            assert!(O::COUNT == M, "the number of tensors asked for is not that of its outputs");
        }
        let mut inputs = inputs.into_arguments().into_iter();
        let inputs: [Option<DispatchTensor>; N] = std::array::from_fn(|_| inputs.next().flatten());
        let (call, inputs) = Call::new(self, inputs)?;
        let outputs = call.run(inputs)?;
        for (index, (output, rank)) in outputs.iter().zip(O::ranks()).enumerate() {
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
        Ok(O::from_dispatch(outputs.into()))
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
        let (call, tensors) = Call::new(self, tensors).unwrap_or_else(|error| error.raise());
        let mut tensors = tensors.into_iter();
        let inputs = inputs.map(|input| {
            let tensor = tensors.next().expect("there is a tensor for each input");
            input.unwrap_or_else(|| Var::new(tensor))
        });
        apply_rule(&OnTape(call), inputs)
    }
}

/// A function without its type, so that recording it is compiled once for all functions.
trait Body<const N: usize, const M: usize>: Debug + Send + Sync {
    fn name(&self) -> Cow<'static, str>;
    fn recomputes(&self) -> bool;
    fn once_differentiable(&self) -> bool;
    fn differentiable(&self, output: usize) -> bool;
    fn forward(&self, ctx: &mut Context, inputs: [Option<Var>; N]) -> [Var; M];
    fn backward(&self, ctx: Saved, grads: [Option<Var>; M]) -> [Option<Var>; N];
}

impl<F: Function<N, M>, const N: usize, const M: usize> Body<N, M> for F {
    fn name(&self) -> Cow<'static, str> {
        Function::name(self)
    }

    fn recomputes(&self) -> bool {
        Function::recomputes(self)
    }

    fn once_differentiable(&self) -> bool {
        Function::once_differentiable(self)
    }

    fn differentiable(&self, output: usize) -> bool {
        Function::differentiable(self, output)
    }

    fn forward(&self, ctx: &mut Context, inputs: [Option<Var>; N]) -> [Var; M] {
        let _name = Within::enter(Function::name(self), "forward");
        #[cfg(feature = "capture")]
        let _noted = crate::graph::Applied::begin(|| Function::name(self));
        if inputs.iter().all(Option::is_some) {
            return Function::forward(self, ctx, inputs.map(|input| input.expect("all are there")));
        }
        Function::forward_partial(self, ctx, inputs)
    }

    fn backward(&self, ctx: Saved, grads: [Option<Var>; M]) -> [Option<Var>; N] {
        let _name = Within::enter(Function::name(self), "backward");
        self.backward_partial(ctx, grads)
    }
}

/// One application of a function.
#[derive(Debug, Clone)]
pub(crate) struct Call<const N: usize, const M: usize> {
    body: Arc<dyn Body<N, M>>,
    /// Which inputs were given. In the place of the others stands a constant that nothing reads.
    present: [bool; N],
    /// What the forward kept, told to the tape when the forward runs on Burn's graph.
    kept: Option<Arc<Mutex<Vec<Kept>>>>,
    /// Which gradients the bodies are told to be needed, where that is more than what one of the
    /// graphs needs: the two share what the forward keeps.
    needs: Option<[bool; N]>,
}

/// What a tensor that a forward kept was to it.
#[derive(Debug, Clone)]
enum Kept {
    Input(usize),
    Output(usize),
    Intermediate(Box<DispatchTensor>),
}

impl<const N: usize, const M: usize> Call<N, M> {
    #[track_caller]
    fn new<F: Function<N, M>>(
        function: &F,
        inputs: [Option<DispatchTensor>; N],
    ) -> Result<(Self, [DispatchTensor; N]), Error> {
        let present = inputs.each_ref().map(Option::is_some);
        let name = Function::name(function);
        if let Some(missing) = (0..N).find(|&index| !present[index] && !function.optional(index)) {
            return Err(Error::new(
                ErrorKind::Contract,
                name,
                argument(missing),
                "a tensor (the input is not declared optional)",
                "None",
            ));
        }
        let Some(any) = inputs.iter().flatten().next() else {
            let expected = "at least one tensor";
            return Err(Error::new(ErrorKind::Contract, name, "inputs", expected, "none"));
        };
        let given: Vec<_> = inputs
            .iter()
            .enumerate()
            .filter_map(|(index, input)| Some((argument(index), input.as_ref()?)))
            .collect();
        check::floats(&name, &given)?;
        let filler = without_autodiff(any.clone());
        let inputs = inputs.map(|input| input.unwrap_or_else(|| filler.clone()));
        #[cfg(feature = "autodiff")]
        let body: Arc<dyn Body<N, M>> = match crate::anomaly::enabled() {
            true => Arc::new(crate::anomaly::Checked::new(function.clone())),
            false => Arc::new(function.clone()),
        };
        #[cfg(not(feature = "autodiff"))]
        let body: Arc<dyn Body<N, M>> = Arc::new(function.clone());
        Ok((Self { body, present, kept: None, needs: None }, inputs))
    }

    /// The inputs that were given.
    fn given(&self, inputs: [Var; N]) -> [Option<Var>; N] {
        let mut present = self.present.iter();
        inputs.map(|input| present.next().is_some_and(|present| *present).then_some(input))
    }

    /// Runs the forward, and records the backward on Burn's graph if an input is of an autodiff
    /// device.
    fn run(self, inputs: [DispatchTensor; N]) -> Result<[DispatchTensor; M], Error> {
        let context = inputs.iter().fold(DispatchAutodiffContext::Disabled, |context, input| {
            context.merge(input.autodiff)
        });
        if context == DispatchAutodiffContext::Disabled {
            let mut context = Context::new(vec![false; N]);
            let inputs = self.given(Var::inputs(inputs));
            let outputs = self.body.forward(&mut context, inputs);
            for output in &outputs {
                crate::record::refuse_leak(&self.body.name(), "forward", output);
            }
            refuse_tracked(self.body.name(), &outputs)?;
            return Ok(outputs.map(Var::into_raw));
        }
        #[cfg(feature = "autodiff")]
        return route::record(self, inputs, context);
        #[cfg(not(feature = "autodiff"))]
        unreachable!("a tensor of an autodiff device needs the feature `autodiff`")
    }
}

/// Of constants a body makes constants, unless it holds something that Burn tracks.
fn refuse_tracked(name: Cow<'static, str>, outputs: &[Var]) -> Result<(), Error> {
    if !outputs.iter().any(|output| is_tracked(output.raw())) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Contract,
        name,
        "outputs",
        "constants, like the inputs; a tensor that is tracked has to be an input, not a field",
        "one that Burn tracks",
    ))
}

fn argument(index: usize) -> &'static str {
    const NAMES: [&str; 12] = [
        "inputs[0]",
        "inputs[1]",
        "inputs[2]",
        "inputs[3]",
        "inputs[4]",
        "inputs[5]",
        "inputs[6]",
        "inputs[7]",
        "inputs[8]",
        "inputs[9]",
        "inputs[10]",
        "inputs[11]",
    ];
    NAMES.get(index).copied().unwrap_or("inputs[12..]")
}

pub(crate) fn without_autodiff(tensor: DispatchTensor) -> DispatchTensor {
    #[cfg(feature = "autodiff")]
    if tensor.autodiff != DispatchAutodiffContext::Disabled {
        return <Dispatch as burn::backend::AutodiffBackend>::inner(tensor);
    }
    tensor
}

pub(crate) fn is_tracked(tensor: &DispatchTensor) -> bool {
    #[cfg(feature = "autodiff")]
    return tensor.autodiff != DispatchAutodiffContext::Disabled && Dispatch::is_tracked(tensor);
    #[cfg(not(feature = "autodiff"))]
    {
        let _ = tensor;
        false
    }
}

/// A call on variables that are being differentiated.
#[derive(Debug, Clone)]
struct OnTape<const N: usize, const M: usize>(Call<N, M>);

impl<const N: usize, const M: usize> Rule<Dispatch, N, M> for OnTape<N, M> {
    fn name(&self) -> Cow<'static, str> {
        self.0.body.name()
    }

    fn recomputes(&self) -> bool {
        self.0.body.recomputes()
    }

    fn once_differentiable(&self) -> bool {
        self.0.body.once_differentiable()
    }

    fn differentiable(&self, output: usize) -> bool {
        self.0.body.differentiable(output)
    }

    fn forward(&self, ctx: &mut Context, inputs: [Var; N]) -> [Var; M] {
        if !inputs.iter().any(|input| is_tracked(input.raw())) {
            let outputs = self.0.body.forward(ctx, self.0.given(inputs));
            if let Err(error) = refuse_tracked(self.0.body.name(), &outputs) {
                error.raise();
            }
            return outputs;
        }
        // Burn tracks an input too. Its graph gets the function as a whole, with its own backward.
        let kept = Arc::new(Mutex::new(Vec::new()));
        if ctx.tracked() {
            for (needed, input) in ctx.needs.iter_mut().zip(&inputs) {
                *needed |= is_tracked(input.raw());
            }
        }
        let call = Call {
            kept: ctx.tracked().then(|| kept.clone()),
            needs: ctx.needs.clone().try_into().ok().filter(|_| ctx.tracked()),
            ..self.0.clone()
        };
        let outputs = call
            .run(inputs.each_ref().map(|input| input.raw().clone()))
            .unwrap_or_else(|error| error.raise())
            .map(Var::new);
        for kept in std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner)) {
            ctx.kept.push(match kept {
                Kept::Input(index) => inputs[index].clone(),
                Kept::Output(index) => outputs[index].clone(),
                // What was kept is a constant to Burn's graph.
                Kept::Intermediate(tensor) => Var::with_origin(*tensor, Origin::Again),
            });
        }
        outputs
    }

    fn is_tracked_elsewhere(&self, tensor: &DispatchTensor) -> bool {
        is_tracked(tensor)
    }

    fn forward_again(&self, ctx: &mut Context, inputs: [Var; N]) -> [Var; M] {
        self.0.body.forward(ctx, self.0.given(inputs))
    }

    fn backward(&self, ctx: Saved, grads: [Var; M]) -> [Option<Var>; N] {
        self.backward_partial(ctx, grads.map(Some))
    }

    fn backward_partial(&self, ctx: Saved, grads: [Option<Var>; M]) -> [Option<Var>; N] {
        let body = &self.0.body;
        if !body.once_differentiable() {
            return body.backward(ctx, grads);
        }
        // The gradient is a constant to Burn's graph as well, which refuses to differentiate it.
        let tracked: Vec<DispatchTensor> = grads
            .iter()
            .flatten()
            .chain(&ctx.tensors)
            .map(|var| var.raw().clone())
            .filter(is_tracked)
            .collect();
        if tracked.is_empty() {
            return body.backward(ctx, grads);
        }
        let ctx = Saved { tensors: ctx.tensors.iter().map(Var::detach).collect(), ..ctx };
        let refuse = Refuse { name: body.name() };
        let found = body.backward(ctx, grads.map(|grad| grad.map(|grad| grad.detach())));
        found.map(|grad| {
            grad.map(|grad| {
                tracked
                    .iter()
                    .fold(grad, |grad, anchor| refuse.call([grad, Var::new(anchor.clone())]))
            })
        })
    }
}

/// A constant that claims to depend on its second input, and refuses to say how.
#[derive(Debug, Clone)]
struct Refuse {
    name: Cow<'static, str>,
}

impl Function<2> for Refuse {
    fn name(&self) -> Cow<'static, str> {
        format!("{}.once_differentiable", self.name).into()
    }

    fn forward(&self, _: &mut Context, [value, _]: [Var; 2]) -> [Var; 1] {
        [value]
    }

    fn backward(&self, _: Saved, _: [Var; 1]) -> [Option<Var>; 2] {
        panic!("{}", Error::once_differentiable(self.name.clone()))
    }
}

/// Which backend a tensor that Burn chose at run time belongs to.
#[cfg(feature = "autodiff")]
mod route {
    use burn::backend::autodiff::checkpoint::strategy::{
        BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
    };
    use burn::backend::{
        Autodiff, AutodiffBackend, Backend, BackendTensor, DispatchKindConversion,
        DispatchTensorKind,
    };
    use burn::tensor::GradientCheckpointingStrategy;

    use super::*;
    use crate::tape::OnGraph;

    pub(super) fn record<const N: usize, const M: usize>(
        call: Call<N, M>,
        inputs: [DispatchTensor; N],
        context: DispatchAutodiffContext,
    ) -> Result<[DispatchTensor; M], Error> {
        let inner = inputs.iter().find_map(|input| match &input.kind {
            DispatchTensorKind::Autodiff(inner) => Some(&**inner),
            _ => None,
        });
        match inner {
            #[cfg(feature = "flex")]
            Some(DispatchTensorKind::Flex(_)) => {
                on::<burn::backend::Flex, N, M>(call, inputs, context)
            }
            #[cfg(feature = "ndarray")]
            Some(DispatchTensorKind::NdArray(_)) => {
                on::<burn::backend::NdArray, N, M>(call, inputs, context)
            }
            #[cfg(feature = "cube")]
            Some(DispatchTensorKind::Cube(_)) => {
                on::<burn::backend::Cube, N, M>(call, inputs, context)
            }
            _ => Err(Error::new(
                ErrorKind::Device,
                call.body.name(),
                "inputs",
                "an autodiff device of a backend that burn-autograd is built with (features flex, \
                 ndarray, wgpu, vulkan, metal, webgpu, cuda, rocm)",
                format!("{:?}", inputs[0].device()),
            )),
        }
    }

    fn on<B, const N: usize, const M: usize>(
        call: Call<N, M>,
        inputs: [DispatchTensor; N],
        context: DispatchAutodiffContext,
    ) -> Result<[DispatchTensor; M], Error>
    where
        B: Backend,
        DispatchTensor: DispatchKindConversion<B>
            + DispatchKindConversion<Autodiff<B, NoCheckpointing>>
            + DispatchKindConversion<Autodiff<B, BalancedCheckpointing>>,
    {
        match context {
            DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Balanced) => {
                with::<B, BalancedCheckpointing, N, M>(call, inputs)
            }
            _ => with::<B, NoCheckpointing, N, M>(call, inputs),
        }
    }

    fn with<B, C, const N: usize, const M: usize>(
        call: Call<N, M>,
        inputs: [DispatchTensor; N],
    ) -> Result<[DispatchTensor; M], Error>
    where
        B: Backend,
        C: CheckpointStrategy,
        DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B, C>>,
    {
        let inputs = inputs.map(|input| {
            if input.autodiff == DispatchAutodiffContext::Disabled {
                let plain = into_backend::<B>(input).expect("the inputs are on one device");
                <Autodiff<B, C> as AutodiffBackend>::from_inner(plain)
            } else {
                into_backend::<Autodiff<B, C>>(input).expect("the inputs are on one device")
            }
        });
        let outputs = crate::differentiate::<B, C, Routed<N, M>, N, M>(Routed(call), inputs);
        Ok(outputs.map(|output| {
            <DispatchTensor as DispatchKindConversion<Autodiff<B, C>>>::from_backend(
                BackendTensor::Float(output),
            )
        }))
    }

    fn into_backend<B: Backend>(
        tensor: DispatchTensor,
    ) -> Result<burn::backend::tensor::FloatTensor<B>, String>
    where
        DispatchTensor: DispatchKindConversion<B>,
    {
        <DispatchTensor as DispatchKindConversion<B>>::try_into_backend(tensor)
            .map(BackendTensor::float)
    }

    /// A call as a rule of one backend.
    #[derive(Debug, Clone)]
    struct Routed<const N: usize, const M: usize>(Call<N, M>);

    impl<const N: usize, const M: usize> Routed<N, M> {
        /// A tensor that came out of the function's body.
        fn lower<B: Backend>(&self, part: &'static str, var: Var) -> Var<B>
        where
            DispatchTensor: DispatchKindConversion<B>,
        {
            crate::record::refuse_leak(&self.0.body.name(), part, &var);
            let origin = var.origin();
            let tensor = var.into_raw();
            let got = tensor.device();
            // A constant of the autodiff device is a constant.
            let tensor = if is_tracked(&tensor) { tensor } else { without_autodiff(tensor) };
            match into_backend::<B>(tensor) {
                Ok(tensor) => Var::with_origin(tensor, origin),
                Err(_) => panic!(
                    "{}",
                    Error::new(
                        ErrorKind::Contract,
                        self.0.body.name(),
                        part,
                        format!(
                            "tensors of the inputs' device without autodiff ({}); a tensor that is \
                             tracked has to be an input, not a field",
                            std::any::type_name::<B>()
                        ),
                        format!("{got:?}"),
                    )
                ),
            }
        }

        fn lift<B: Backend>(tensor: burn::backend::tensor::FloatTensor<B>) -> DispatchTensor
        where
            DispatchTensor: DispatchKindConversion<B>,
        {
            <DispatchTensor as DispatchKindConversion<B>>::from_backend(BackendTensor::Float(
                tensor,
            ))
        }
    }

    impl<B, const N: usize, const M: usize> Rule<B, N, M> for Routed<N, M>
    where
        B: Backend,
        DispatchTensor: DispatchKindConversion<B>,
    {
        fn name(&self) -> Cow<'static, str> {
            self.0.body.name()
        }

        fn recomputes(&self) -> bool {
            self.0.body.recomputes()
        }

        fn differentiable(&self, output: usize) -> bool {
            self.0.body.differentiable(output)
        }

        fn forward(&self, ctx: &mut Context<B>, inputs: [Var<B>; N]) -> [Var<B>; M] {
            // Nothing is kept for a graph that needs nothing.
            let needs = self.0.needs.filter(|_| ctx.tracked()).map(Vec::from);
            let mut context = Context::new(needs.unwrap_or_else(|| ctx.needs.clone()));
            let inputs = Var::inputs(inputs.map(|input| Self::lift::<B>(input.into_raw())));
            let outputs = {
                let _graph = OnGraph::enter();
                self.0.body.forward(&mut context, self.0.given(inputs))
            };
            if let Some(report) = &self.0.kept {
                let kind = |kept: &Var| match kept.origin() {
                    Origin::Input(index) => Kept::Input(index),
                    origin => {
                        outputs.iter().position(|output| output.origin() == origin).map_or_else(
                            || Kept::Intermediate(Box::new(kept.raw().clone())),
                            Kept::Output,
                        )
                    }
                };
                *report.lock().unwrap_or_else(PoisonError::into_inner) =
                    context.kept.iter().map(kind).collect();
            }
            ctx.kept.extend(context.kept.into_iter().map(|kept| self.lower("saved tensors", kept)));
            outputs.map(|output| self.lower("outputs", output))
        }

        fn backward(&self, ctx: Saved<B>, grads: [Var<B>; M]) -> [Option<Var<B>>; N] {
            self.backward_partial(ctx, grads.map(Some))
        }

        fn backward_partial(
            &self,
            ctx: Saved<B>,
            grads: [Option<Var<B>>; M],
        ) -> [Option<Var<B>>; N] {
            let device = |meta: &crate::rule::Meta<B>| {
                // The device of a plain tensor, under its run-time name.
                let probe = B::float_empty([0].into(), &meta.device, meta.dtype.into());
                crate::rule::Meta::<Dispatch> {
                    shape: meta.shape.clone(),
                    dtype: meta.dtype,
                    device: Self::lift::<B>(probe).device(),
                }
            };
            let saved = Saved::<Dispatch> {
                name: ctx.name,
                needs: self.0.needs.map_or(ctx.needs, Vec::from),
                inputs: ctx.inputs.iter().map(device).collect(),
                outputs: ctx.outputs.iter().map(device).collect(),
                tensors: ctx
                    .tensors
                    .into_iter()
                    .map(|var| {
                        let origin = var.origin();
                        Var::with_origin(Self::lift::<B>(var.into_raw()), origin)
                    })
                    .collect(),
            };
            let grads =
                grads.map(|grad| grad.map(|grad| Var::new(Self::lift::<B>(grad.into_raw()))));
            let _graph = OnGraph::enter();
            let found = self.0.body.backward(saved, grads);
            found.map(|grad| grad.map(|grad| self.lower("gradients", grad)))
        }
    }
}
