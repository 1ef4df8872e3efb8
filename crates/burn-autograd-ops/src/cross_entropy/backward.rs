//! The logits and two numbers for each row are saved; the gradient is one kernel.

use burn_autograd_core::{Context, Rule, Saved, Var};

use super::{CrossEntropy, CrossEntropyOps, Reduction, spec};

impl<B: CrossEntropyOps> CrossEntropy<B> {
    fn weights(&self) -> Option<Var<B>> {
        self.weight.clone().map(Var::new)
    }
}

impl<B: CrossEntropyOps> Rule<B, 1> for CrossEntropy<B> {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        super::OPERATION.into()
    }

    fn forward(&self, ctx: &mut Context<B>, [logits]: [Var<B>; 1]) -> [Var<B>; 1] {
        if logits.is_recorded() {
            // What was kept is asked for as a function of the logits.
            let [losses, sums, weights] =
                spec::rows(&logits, self.targets.clone(), self.weights(), self.settings);
            let (loss, total) = spec::reduce(losses, &weights, self.settings, logits.dtype());
            ctx.save([&logits, &sums, &total]);
            return [loss];
        }
        let weight = self.weight.clone().unwrap_or_else(|| logits.primitive().clone());
        let (loss, sums, total) = B::cross_entropy_forward(
            logits.primitive().clone(),
            self.targets.clone(),
            weight,
            self.settings,
        );
        ctx.save([&logits, &Var::new(sums), &Var::new(total)]);
        [Var::new(loss)]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 1] {
        let rows = ctx.input_shape(0)[0];
        let [logits, sums, total] = ctx.into_tensors();
        let divided = self.settings.reduction == Some(Reduction::Mean);
        let total = divided.then(|| total.detach());
        let grad = spec::row_gradients(&grad, total.as_ref(), rows, self.settings);
        if logits.is_recorded() || grad.is_recorded() {
            // A second derivative: Burn's operations have one, the kernel has none.
            let weight = self.weights();
            let targets = self.targets.clone();
            return [Some(spec::gradient(&logits, targets, weight, &grad, self.settings))];
        }
        let sums = sums.detach().into_primitive();
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

    // So do the rows, but that targets are refused where the kernels refuse them.
    fn cross_entropy_rows(
        logits: burn::backend::tensor::FloatTensor<Self>,
        targets: burn::backend::tensor::IntTensor<Self>,
        weight: burn::backend::tensor::FloatTensor<Self>,
        weighted: bool,
        ignores: bool,
        ignore_index: i64,
        label_smoothing: f64,
    ) -> (
        burn::backend::tensor::FloatTensor<Self>,
        burn::backend::tensor::FloatTensor<Self>,
        burn::backend::tensor::FloatTensor<Self>,
    ) {
        let settings = super::Settings::of_rows(weighted, ignores, ignore_index, label_smoothing);
        let logits = Var::<Self>::new(logits);
        let classes = logits.shape()[1];
        super::arguments::check_as_a_kernel::<B>(&targets, classes, settings.ignore_index);
        let weight = settings.weighted.then(|| Var::new(weight));
        let rows = spec::rows::<Self>(&logits, targets, weight, settings);
        let [losses, sums, weights] = rows.map(Var::into_primitive);
        (losses, sums, weights)
    }
}
