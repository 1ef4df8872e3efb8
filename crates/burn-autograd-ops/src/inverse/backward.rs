//! The output is saved, for the gradient is two products with it.

use burn_autograd_core::{Context, Rule, Saved, Var};

use super::{Inverse, InverseOps};

impl<B: InverseOps> Rule<B, 1> for Inverse {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "inverse".into()
    }

    fn forward(&self, ctx: &mut Context<B>, [a]: [Var<B>; 1]) -> [Var<B>; 1] {
        let y = Var::new(B::inverse(a.into_primitive()));
        ctx.save([&y]);
        [y]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 1] {
        let [y] = ctx.into_tensors();
        if grad.shape().num_elements() == 0 {
            return [Some(grad)];
        }
        let y = y.transpose();
        [Some(-y.matmul(&grad).matmul(&y))]
    }
}

#[cfg(feature = "autodiff")]
impl<B, C> InverseOps for burn_autodiff::Autodiff<B, C>
where
    B: InverseOps,
    C: burn_autodiff::checkpoint::strategy::CheckpointStrategy,
{
    fn inverse(
        a: burn::backend::tensor::FloatTensor<Self>,
    ) -> burn::backend::tensor::FloatTensor<Self> {
        let [y] = burn_autograd_core::differentiate::<B, C, _, 1, 1>(Inverse, [a]);
        y
    }
}
