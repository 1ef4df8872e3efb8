//! The options, as users give them and as the backends get them.

use burn::config::Config;
use burn::tensor::Tensor;

/// What becomes of the losses of the rows.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reduction {
    /// Σ l ÷ Σ wₜ over the rows that are not ignored; the default.
    Mean,
    /// Σ l.
    Sum,
}

#[expect(clippy::derivable_impls, reason = "Config's derive does not know the attribute `default`")]
impl Default for Reduction {
    fn default() -> Self {
        Self::Mean
    }
}

/// How [`cross_entropy_with`](super::cross_entropy_with) and
/// [`cross_entropy_unreduced`](super::cross_entropy_unreduced) compute the loss.
///
/// ```
/// use burn_autograd_ops::cross_entropy::{CrossEntropyOptions, Reduction};
///
/// let options = CrossEntropyOptions::default().with_ignore_index(Some(-1)).with_label_smoothing(0.1);
/// assert_eq!((options.ignore_index, options.label_smoothing), (Some(-1), 0.1));
/// assert!(options.weight.is_none());
/// assert_eq!(options.reduction, Reduction::Mean);
/// assert_eq!(options.with_reduction(Reduction::Sum).reduction, Reduction::Sum);
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CrossEntropyOptions {
    /// What becomes of the losses of the rows; not read where they are not reduced.
    pub reduction: Reduction,
    /// A weight for each class, a constant; 1 if there are none.
    pub weight: Option<Tensor<1>>,
    /// The target of rows that do not count. None if there is none; PyTorch's is −100 unless it is
    /// said.
    pub ignore_index: Option<i64>,
    /// ε in [0, 1]: the target's share that goes to all classes.
    pub label_smoothing: f64,
}

impl CrossEntropyOptions {
    /// These options with this reduction of the losses.
    #[must_use]
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// These options with a weight for each class, or with none.
    #[must_use]
    pub fn with_weight(mut self, weight: Option<Tensor<1>>) -> Self {
        self.weight = weight;
        self
    }

    /// These options with a target that marks the rows that do not count, or with none.
    #[must_use]
    pub fn with_ignore_index(mut self, ignore_index: Option<i64>) -> Self {
        self.ignore_index = ignore_index;
        self
    }

    /// These options with this label smoothing, ε in [0, 1].
    #[must_use]
    pub fn with_label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }
}

/// The options that are not tensors, as the backends get them.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// What becomes of the losses of the rows; None leaves them.
    pub reduction: Option<Reduction>,
    /// Whether there are class weights.
    pub weighted: bool,
    /// The target of rows that do not count.
    pub ignore_index: Option<i64>,
    /// ε in [0, 1].
    pub label_smoothing: f64,
}

impl Settings {
    /// Those of the options that are not tensors. The reduction is given apart: None leaves the losses.
    pub fn of(options: &CrossEntropyOptions, reduction: Option<Reduction>) -> Self {
        Self {
            reduction,
            weighted: options.weight.is_some(),
            ignore_index: options.ignore_index,
            label_smoothing: options.label_smoothing,
        }
    }

    /// What concerns single rows, as plain numbers, which Burn sends along with an operation: whether
    /// there are class weights, whether a target is ignored, which one, and the label smoothing.
    pub(super) fn rows(self) -> (bool, bool, i64, f64) {
        let ignored = self.ignore_index;
        (self.weighted, ignored.is_some(), ignored.unwrap_or_default(), self.label_smoothing)
    }

    /// The settings of single rows, from plain numbers.
    pub(super) fn of_rows(
        weighted: bool,
        ignores: bool,
        ignore_index: i64,
        label_smoothing: f64,
    ) -> Self {
        let ignore_index = ignores.then_some(ignore_index);
        Self { reduction: None, weighted, ignore_index, label_smoothing }
    }
}
