//! One application of a function: to tensors, or to variables on the tape.

use std::borrow::Cow;
use std::fmt::Debug;
use std::panic::Location;
use std::sync::Arc;

use burn::backend::{Dispatch, DispatchAutodiffContext, DispatchTensor};

use crate::scope::Scope;
use crate::tracking::without_autodiff;
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
        let _body = Scope::body(Function::name(self), "forward");
        #[cfg(feature = "capture")]
        let _noted = crate::graph::Applied::begin(|| Function::name(self));
        if inputs.iter().all(Option::is_some) {
            return Function::forward(self, ctx, inputs.map(|input| input.expect("all are there")));
        }
        Function::forward_partial(self, ctx, inputs)
    }

    fn backward(&self, ctx: Saved, grads: [Option<Var>; M]) -> [Option<Var>; N] {
        let _body = Scope::body(Function::name(self), "backward");
        self.backward_partial(ctx, grads)
    }
}

/// One application of a function. On the tape it is a rule for every backend.
#[derive(Debug, Clone)]
pub(crate) struct Call<const N: usize, const M: usize> {
    pub(crate) body: Arc<dyn Body<N, M>>,
    pub(crate) name: Cow<'static, str>,
    /// Where the function was applied.
    #[cfg_attr(not(feature = "autodiff"), expect(dead_code, reason = "for Burn's graph"))]
    pub(crate) place: &'static Location<'static>,
    /// Which inputs were given. In the place of the others stands a constant that nothing reads.
    present: [bool; N],
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
                format!("inputs[{missing}]"),
                "a tensor (the input is not declared optional)",
                "None",
            ));
        }
        let Some(any) = inputs.iter().flatten().next() else {
            let expected = "at least one tensor";
            return Err(Error::new(ErrorKind::Contract, name, "inputs", expected, "none"));
        };
        let given = inputs.iter().enumerate().filter_map(|(i, input)| Some((i, input.as_ref()?)));
        check::inputs(&name, given)?;
        let filler = without_autodiff(any.clone());
        let inputs = inputs.map(|input| input.unwrap_or_else(|| filler.clone()));
        let body = Arc::new(function.clone());
        Ok((Self { body, name, place: Location::caller(), present }, inputs))
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
            let outputs = Rule::forward(&self, &mut context, Var::inputs(inputs));
            for output in &outputs {
                crate::record::refuse_leak(&self.name, "forward", output);
            }
            return Ok(outputs.map(Var::into_raw));
        }
        #[cfg(feature = "autodiff")]
        return crate::burn_graph::record(self, inputs, context);
        #[cfg(not(feature = "autodiff"))]
        unreachable!("a tensor of an autodiff device needs the feature `autodiff`")
    }
}

impl<const N: usize, const M: usize> Rule<Dispatch, N, M> for Call<N, M> {
    fn name(&self) -> Cow<'static, str> {
        self.name.clone()
    }

    fn recomputes(&self) -> bool {
        self.body.recomputes()
    }

    fn once_differentiable(&self) -> bool {
        self.body.once_differentiable()
    }

    fn differentiable(&self, output: usize) -> bool {
        self.body.differentiable(output)
    }

    fn forward(&self, ctx: &mut Context, inputs: [Var; N]) -> [Var; M] {
        self.body.forward(ctx, self.given(inputs))
    }

    fn backward(&self, ctx: Saved, grads: [Var; M]) -> [Option<Var>; N] {
        self.backward_partial(ctx, grads.map(Some))
    }

    fn backward_partial(&self, ctx: Saved, grads: [Option<Var>; M]) -> [Option<Var>; N] {
        self.body.backward(ctx, grads)
    }
}
