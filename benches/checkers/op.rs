//! A differentiable function whose bodies are given.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use burn_autograd::gradcheck::{Gradcheck, Report, Subject};
use burn_autograd::{Arguments, Context, Function, Saved, Tensors, Var};

type Forward<const N: usize> = dyn Fn(&mut Context, [Var; N]) -> Var + Send + Sync;
type Backward<const N: usize> = dyn Fn(Saved, Var) -> [Option<Var>; N] + Send + Sync;

/// A function of N inputs, with the backward that is to be checked.
#[derive(Clone)]
pub(crate) struct Op<const N: usize> {
    differentiable: bool,
    forward: Arc<Forward<N>>,
    backward: Arc<Backward<N>>,
}

impl<const N: usize> fmt::Debug for Op<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Op")
    }
}

impl<const N: usize> Function<N> for Op<N> {
    fn name(&self) -> Cow<'static, str> {
        "planted".into()
    }

    fn differentiable(&self, _: usize) -> bool {
        self.differentiable
    }

    fn forward(&self, ctx: &mut Context, inputs: [Var; N]) -> [Var; 1] {
        [(self.forward)(ctx, inputs)]
    }

    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; N] {
        (self.backward)(ctx, g)
    }
}

impl<const N: usize> Op<N> {
    /// One that keeps its inputs.
    pub(crate) fn new(
        forward: impl Fn([Var; N]) -> Var + Send + Sync + 'static,
        backward: impl Fn([Var; N], Var) -> [Var; N] + Send + Sync + 'static,
    ) -> Self {
        Self::with_context(
            move |ctx, inputs| {
                ctx.save(inputs.each_ref());
                forward(inputs)
            },
            move |ctx, g| backward(ctx.tensors(), g).map(Some),
        )
    }

    /// One that says what it keeps.
    pub(crate) fn with_context(
        forward: impl Fn(&mut Context, [Var; N]) -> Var + Send + Sync + 'static,
        backward: impl Fn(Saved, Var) -> [Option<Var>; N] + Send + Sync + 'static,
    ) -> Self {
        Self { differentiable: true, forward: Arc::new(forward), backward: Arc::new(backward) }
    }

    /// One whose output has no derivative.
    pub(crate) fn detached(self) -> Self {
        Self { differentiable: false, ..self }
    }

    /// What the checker is given.
    pub(crate) fn subject<I: Tensors + Arguments, O: Tensors>(&self) -> Subject {
        let op = self.clone();
        Subject::new(move |inputs: I| -> O { Function::<N, 1>::apply_all(&op, inputs) })
    }
}

/// The check without options.
pub(crate) fn check<const N: usize, I: Tensors + Arguments, O: Tensors>(
    op: &Op<N>,
    inputs: I,
) -> Report {
    Gradcheck::new().run(&op.subject::<I, O>(), inputs)
}

/// A function of one input.
pub(crate) fn unary(
    forward: impl Fn(Var) -> Var + Send + Sync + 'static,
    backward: impl Fn(Var, Var) -> Var + Send + Sync + 'static,
) -> Op<1> {
    Op::new(move |[x]| forward(x), move |[x], g| [backward(x, g)])
}
