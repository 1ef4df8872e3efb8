//! The input is saved; the gradient is grad·P₃′(x), one kernel.

use burn_autograd_core::{Context, Rule, Saved, Var};

use super::{LegendreP3, LegendreP3Ops, spec};

impl<B: LegendreP3Ops> Rule<B, 1> for LegendreP3 {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "legendre_p3".into()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn forward(&self, ctx: &mut Context<B>, [x]: [Var<B>; 1]) -> [Var<B>; 1] {
        ctx.save([&x]);
        [Var::new(B::legendre_p3(x.into_primitive()))]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 1] {
        let [x] = ctx.into_tensors();
        [Some(spec::gradient(&x, grad))]
    }

    fn backward_kernel(&self, ctx: Saved<B>, grads: [Option<Var<B>>; 1]) -> [Option<Var<B>>; 1] {
        let [grad] = ctx.or_zeros(grads);
        let [x] = ctx.into_tensors();
        [Some(Var::new(B::legendre_p3_backward(x.into_primitive(), grad.into_primitive())))]
    }
}

#[cfg(feature = "autodiff")]
impl<B, C> LegendreP3Ops for burn_autodiff::Autodiff<B, C>
where
    B: LegendreP3Ops,
    C: burn_autodiff::checkpoint::strategy::CheckpointStrategy,
{
    // The backward stays the specification here: made of Burn's operations, it is differentiable.
    fn legendre_p3(
        x: burn::backend::tensor::FloatTensor<Self>,
    ) -> burn::backend::tensor::FloatTensor<Self> {
        let [y] = burn_autograd_core::differentiate::<B, C, _, 1, 1>(LegendreP3, [x]);
        y
    }
}
