//! Both arguments are saved; one pass gives the prediction's gradient, and the target's is its
//! opposite.

use burn_autograd_core::{Context, Rule, Saved, Var};

use super::{SumSquaredError, SumSquaredErrorOps, spec};

impl<B: SumSquaredErrorOps> Rule<B, 2> for SumSquaredError {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "sum_squared_error".into()
    }

    fn forward(&self, ctx: &mut Context<B>, [p, t]: [Var<B>; 2]) -> [Var<B>; 1] {
        ctx.save([&p, &t]);
        [Var::new(B::sum_squared_error(p.into_primitive(), t.into_primitive()))]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 2] {
        let needs = [ctx.needs(0), ctx.needs(1)];
        let [p, t] = ctx.into_tensors();
        both(needs, spec::gradient(&p, &t, &grad))
    }

    fn backward_kernel(&self, ctx: Saved<B>, grads: [Option<Var<B>>; 1]) -> [Option<Var<B>>; 2] {
        let needs = [ctx.needs(0), ctx.needs(1)];
        let [grad] = ctx.or_zeros(grads);
        let [p, t] = ctx.into_tensors();
        let [p, t, grad] = [p, t, grad].map(Var::into_primitive);
        both(needs, Var::new(B::sum_squared_error_backward(p, t, grad)))
    }
}

/// The gradient of the prediction, and its opposite for the target.
fn both<B: SumSquaredErrorOps>(needs: [bool; 2], gradient: Var<B>) -> [Option<Var<B>>; 2] {
    let of_target = needs[1].then(|| match gradient.shape().num_elements() {
        // Nothing is queued on an empty tensor.
        0 => gradient.clone(),
        _ => -&gradient,
    });
    [needs[0].then_some(gradient), of_target]
}

#[cfg(feature = "autodiff")]
impl<B, C> SumSquaredErrorOps for burn_autodiff::Autodiff<B, C>
where
    B: SumSquaredErrorOps,
    C: burn_autodiff::checkpoint::strategy::CheckpointStrategy,
{
    // The backward stays the specification here: made of Burn's operations, it is differentiable.
    fn sum_squared_error(
        prediction: burn::backend::tensor::FloatTensor<Self>,
        target: burn::backend::tensor::FloatTensor<Self>,
    ) -> burn::backend::tensor::FloatTensor<Self> {
        let inputs = [prediction, target];
        let [loss] = burn_autograd_core::differentiate::<B, C, _, 2, 1>(SumSquaredError, inputs);
        loss
    }
}
