//! The logits and two numbers for each row are saved; the gradient is one kernel.

use burn_autograd_core::{Context, Rule, Saved, Var};

use super::{CrossEntropy, CrossEntropyOps, Reduction, spec};

impl<B: CrossEntropyOps> CrossEntropy<B> {
    fn is_mean(&self) -> bool {
        self.settings.reduction == Some(Reduction::Mean)
    }

    fn weights(&self) -> Option<Var<B>> {
        self.weight.clone().map(Var::new)
    }
}

impl<B: CrossEntropyOps> Rule<B, 1> for CrossEntropy<B> {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        super::OPERATION.into()
    }

    fn forward(&self, ctx: &mut Context<B>, [logits]: [Var<B>; 1]) -> [Var<B>; 1] {
        let weight = self.weight.clone().unwrap_or_else(|| logits.primitive().clone());
        let (loss, sums, total) = B::cross_entropy_forward(
            logits.primitive().clone(),
            self.targets.clone(),
            weight,
            self.settings,
        );
        ctx.save([&logits]);
        ctx.save_for_kernel([&sums, &total]);
        [Var::new(loss)]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 1] {
        let [logits] = ctx.into_tensors();
        let rows = logits.shape()[0];
        let (targets, weights) = (self.targets.clone(), self.weights());
        let total = self
            .is_mean()
            .then(|| spec::total(&logits, targets.clone(), weights.clone(), self.settings));
        let grad = spec::row_gradients(&grad, total.as_ref(), rows, self.settings);
        [Some(spec::gradient(&logits, targets, weights, &grad, self.settings))]
    }

    fn backward_kernel(
        &self,
        mut ctx: Saved<B>,
        grads: [Option<Var<B>>; 1],
    ) -> [Option<Var<B>>; 1] {
        let rows = ctx.input_shape(0)[0];
        let [sums, total] = ctx.for_kernel();
        let [grad] = ctx.or_zeros(grads);
        let [logits] = ctx.into_tensors();
        let total = self.is_mean().then(|| Var::new(total));
        let grad = spec::row_gradients(&grad, total.as_ref(), rows, self.settings);
        let weight = self.weight.clone().unwrap_or_else(|| sums.clone());
        let (weighted, ignores, ignore_index, label_smoothing) = self.settings.rows();
        [Some(Var::new(B::cross_entropy_rows_backward(
            logits.into_primitive(),
            sums,
            self.targets.clone(),
            weight,
            grad.into_primitive(),
            weighted,
            ignores,
            ignore_index,
            label_smoothing,
        )))]
    }
}

#[cfg(feature = "autodiff")]
impl<B, C> CrossEntropyOps for burn_autodiff::Autodiff<B, C>
where
    B: CrossEntropyOps,
    C: burn_autodiff::checkpoint::strategy::CheckpointStrategy,
{
    // The backward stays the specification here: made of Burn's operations, it is differentiable.
    fn cross_entropy(
        logits: burn::backend::tensor::FloatTensor<Self>,
        targets: burn::backend::tensor::IntTensor<Self>,
        weight: burn::backend::tensor::FloatTensor<Self>,
        settings: super::Settings,
    ) -> burn::backend::tensor::FloatTensor<Self> {
        let weight = settings.weighted.then(|| weight.primitive().clone());
        let rule = CrossEntropy::<B> { targets, weight, settings };
        let [loss] = burn_autograd_core::differentiate::<B, C, _, 1, 1>(rule, [logits]);
        loss
    }
}
