//! The output is saved, for it is the derivative; the gradient is grad·y, one kernel.

use burn_autograd_core::{Context, Rule, Saved, Var};

use super::{Exp, ExpOps, spec};

impl<B: ExpOps> Rule<B, 1> for Exp {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "exp".into()
    }

    fn forward(&self, ctx: &mut Context<B>, [x]: [Var<B>; 1]) -> [Var<B>; 1] {
        let y = Var::new(B::exp(x.into_primitive()));
        ctx.save([&y]);
        [y]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 1] {
        let [y] = ctx.into_tensors();
        [Some(spec::gradient(&y, grad))]
    }

    fn backward_kernel(&self, ctx: Saved<B>, grads: [Option<Var<B>>; 1]) -> [Option<Var<B>>; 1] {
        let [grad] = ctx.or_zeros(grads);
        let [y] = ctx.into_tensors();
        [Some(Var::new(B::exp_backward(y.into_primitive(), grad.into_primitive())))]
    }
}

#[cfg(feature = "autodiff")]
impl<B, C> ExpOps for burn_autodiff::Autodiff<B, C>
where
    B: ExpOps,
    C: burn_autodiff::checkpoint::strategy::CheckpointStrategy,
{
    // The backward stays the specification here: made of Burn's operations, it is differentiable.
    fn exp(
        x: burn::backend::tensor::FloatTensor<Self>,
    ) -> burn::backend::tensor::FloatTensor<Self> {
        let [y] = burn_autograd_core::differentiate::<B, C, _, 1, 1>(Exp, [x]);
        y
    }
}
