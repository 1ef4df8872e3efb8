//! One application of a function: to tensors, or to variables on the tape.

use std::borrow::Cow;
use std::fmt::Debug;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::{Dispatch, DispatchAutodiffContext, DispatchTensor};

use crate::tape::Within;
use crate::var::Origin;
use crate::{Context, Error, ErrorKind, Function, Rule, Saved, Var, check};

/// A function without its type, so that recording it is compiled once for all functions.
pub(crate) trait Body<const N: usize, const M: usize>: Debug + Send + Sync {
    fn recomputes(&self) -> bool;
    fn once_differentiable(&self) -> bool;
    fn differentiable(&self, output: usize) -> bool;
    fn forward(&self, ctx: &mut Context, inputs: [Option<Var>; N]) -> [Var; M];
    fn backward(&self, ctx: Saved, grads: [Option<Var>; M]) -> [Option<Var>; N];
}

impl<F: Function<N, M>, const N: usize, const M: usize> Body<N, M> for F {
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
#[cfg_attr(
    not(feature = "autodiff"),
    expect(dead_code, reason = "what passes between the tape and Burn's graph")
)]
#[derive(Debug, Clone)]
pub(crate) struct Call<const N: usize, const M: usize> {
    pub(crate) body: Arc<dyn Body<N, M>>,
    pub(crate) name: Cow<'static, str>,
    /// Where the function was applied.
    pub(crate) place: &'static Location<'static>,
    /// Which inputs were given. In the place of the others stands a constant that nothing reads.
    present: [bool; N],
    /// What the forward kept, told to the tape when the forward runs on Burn's graph.
    pub(crate) kept: Option<Arc<Mutex<Vec<Kept>>>>,
    /// Which gradients the bodies are told to be needed, where that is more than what one of the
    /// graphs needs: the two share what the forward keeps.
    pub(crate) needs: Option<[bool; N]>,
}

/// What a tensor that a forward kept was to it.
#[cfg_attr(
    not(feature = "autodiff"),
    expect(dead_code, reason = "what passes between the tape and Burn's graph")
)]
#[derive(Debug, Clone)]
pub(crate) enum Kept {
    Input(usize),
    Output(usize),
    Intermediate(Box<DispatchTensor>),
}

impl<const N: usize, const M: usize> Call<N, M> {
    #[track_caller]
    pub(crate) fn new<F: Function<N, M>>(
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
        let place = Location::caller();
        Ok((Self { body, name, place, present, kept: None, needs: None }, inputs))
    }

    /// The inputs that were given.
    pub(crate) fn given(&self, inputs: [Var; N]) -> [Option<Var>; N] {
        let mut present = self.present.iter();
        inputs.map(|input| present.next().is_some_and(|present| *present).then_some(input))
    }

    /// Runs the forward, and records the backward on Burn's graph if an input is of an autodiff
    /// device.
    pub(crate) fn run(self, inputs: [DispatchTensor; N]) -> Result<[DispatchTensor; M], Error> {
        let context = inputs.iter().fold(DispatchAutodiffContext::Disabled, |context, input| {
            context.merge(input.autodiff)
        });
        if context == DispatchAutodiffContext::Disabled {
            let mut context = Context::new([false; N]);
            let inputs = self.given(Var::inputs(inputs));
            let outputs = self.body.forward(&mut context, inputs);
            for output in &outputs {
                crate::record::refuse_leak(&self.name, "forward", output);
            }
            refuse_tracked(self.name, &outputs)?;
            return Ok(outputs.map(Var::into_raw));
        }
        #[cfg(feature = "autodiff")]
        return crate::route::record(self, inputs, context);
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
pub(crate) struct OnTape<const N: usize, const M: usize>(pub(crate) Call<N, M>);

impl<const N: usize, const M: usize> Rule<Dispatch, N, M> for OnTape<N, M> {
    fn name(&self) -> Cow<'static, str> {
        self.0.name.clone()
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
            if let Err(error) = refuse_tracked(self.0.name.clone(), &outputs) {
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
            needs: ctx.needs[..].try_into().ok().filter(|_| ctx.tracked()),
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

    fn repeats(&self) -> bool {
        true
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
        let refuse = Refuse { name: self.0.name.clone() };
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
