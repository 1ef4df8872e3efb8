//! Nothing is saved: the gradient is a multiple of the identity.

use burn_autograd_core::{Context, Rule, Saved, Var};

use super::{Trace, TraceOps, spec};

impl<B: TraceOps> Rule<B, 1> for Trace {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "trace".into()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn forward(&self, _: &mut Context<B>, [a]: [Var<B>; 1]) -> [Var<B>; 1] {
        [Var::new(B::trace(a.into_primitive()))]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 1] {
        let shape = ctx.input_shape(0);
        [Some(spec::gradient(&grad, shape[shape.num_dims() - 1]))]
    }
}

#[cfg(feature = "autodiff")]
impl<B, C> TraceOps for burn_autodiff::Autodiff<B, C>
where
    B: TraceOps,
    C: burn_autodiff::checkpoint::strategy::CheckpointStrategy,
{
    fn trace(
        a: burn::backend::tensor::FloatTensor<Self>,
    ) -> burn::backend::tensor::FloatTensor<Self> {
        let [y] = burn_autograd_core::differentiate::<B, C, _, 1, 1>(Trace, [a]);
        y
    }
}
