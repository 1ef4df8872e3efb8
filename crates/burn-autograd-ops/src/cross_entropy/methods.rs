//! The functions as methods of tensors and variables.

use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor};
use burn_autograd_core::{OrPanic as _, Var, apply_rule};

use super::arguments::{axes, check_arguments, flat};
use super::{
    CrossEntropy, CrossEntropyOptions, OPERATION, Reduction, Settings, cross_entropy_unreduced,
    cross_entropy_with,
};

/// [`cross_entropy_with`] and [`cross_entropy_unreduced`] as methods.
pub trait TensorCrossEntropy {
    /// What the reduced loss is.
    type Loss;
    /// What the losses of the rows are.
    type Losses<const DT: usize>;

    /// The mean or sum of the cross entropy of these logits; see [`cross_entropy_with`].
    #[must_use]
    fn cross_entropy<const DT: usize>(
        self,
        targets: Tensor<DT, Int>,
        options: &CrossEntropyOptions,
    ) -> Self::Loss;

    /// The loss of each row; see [`cross_entropy_unreduced`].
    #[must_use]
    fn cross_entropy_unreduced<const DT: usize>(
        self,
        targets: Tensor<DT, Int>,
        options: &CrossEntropyOptions,
    ) -> Self::Losses<DT>;
}

impl<const D: usize> TensorCrossEntropy for Tensor<D> {
    type Loss = Tensor<1>;
    type Losses<const DT: usize> = Tensor<DT>;

    #[track_caller]
    fn cross_entropy<const DT: usize>(
        self,
        targets: Tensor<DT, Int>,
        options: &CrossEntropyOptions,
    ) -> Tensor<1> {
        cross_entropy_with(self, targets, options)
    }

    #[track_caller]
    fn cross_entropy_unreduced<const DT: usize>(
        self,
        targets: Tensor<DT, Int>,
        options: &CrossEntropyOptions,
    ) -> Tensor<DT> {
        cross_entropy_unreduced(self, targets, options)
    }
}

/// Recorded with its own backward where the variable is being differentiated.
impl TensorCrossEntropy for Var {
    type Loss = Self;
    type Losses<const DT: usize> = Self;

    #[track_caller]
    fn cross_entropy<const DT: usize>(
        self,
        targets: Tensor<DT, Int>,
        options: &CrossEntropyOptions,
    ) -> Self {
        on_tape(&self, targets, options, Some(options.reduction))
    }

    #[track_caller]
    fn cross_entropy_unreduced<const DT: usize>(
        self,
        targets: Tensor<DT, Int>,
        options: &CrossEntropyOptions,
    ) -> Self {
        let shape = targets.shape();
        on_tape(&self, targets, options, None).reshape(shape)
    }
}

#[track_caller]
fn on_tape<const DT: usize>(
    logits: &Var,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
    reduction: Option<Reduction>,
) -> Var {
    let targets = targets.inner();
    check_arguments(
        OPERATION,
        logits.detach().primitive(),
        &targets.clone().into_dispatch(),
        options,
    )
    .or_panic();
    let shape = logits.shape();
    let rows = targets.shape().num_elements();
    let logits = match shape.num_dims() {
        2 => logits.clone(),
        rank => logits.permute(&axes(rank).0).reshape([rows, shape[1]]),
    };
    let weight = options.weight.clone().map(|weight| weight.inner().into_dispatch());
    let rule =
        CrossEntropy { targets: flat(targets), weight, settings: Settings::of(options, reduction) };
    let [loss] = apply_rule::<Dispatch, _, 1, 1>(&rule, [logits]);
    loss
}
