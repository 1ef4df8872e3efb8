//! [`cross_entropy`](fn@super::cross_entropy) as a module.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use super::{CrossEntropyOptions, Reduction, cross_entropy_with};

/// The configuration of [`CrossEntropyLoss`].
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_autograd_ops::cross_entropy::CrossEntropyLossConfig;
///
/// let device = Device::flex();
/// let loss = CrossEntropyLossConfig::new().with_weight(Some(vec![1.0, 3.0])).init(&device);
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0], [0.0, 0.0]], &device);
/// let targets = Tensor::<1, Int>::from_ints([0, 1], &device);
/// assert_eq!(loss.forward(logits, targets).into_scalar::<f32>(), std::f32::consts::LN_2);
/// # }
/// ```
#[derive(Config, Debug)]
pub struct CrossEntropyLossConfig {
    /// A weight for each class; 1 if there are none.
    #[config(default = "None")]
    pub weight: Option<Vec<f64>>,
    /// The target of rows that do not count.
    #[config(default = "None")]
    pub ignore_index: Option<i64>,
    /// ε in [0, 1].
    #[config(default = 0.0)]
    pub label_smoothing: f64,
    /// What becomes of the losses of the rows.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl CrossEntropyLossConfig {
    /// The module, with its weights on a device.
    pub fn init(&self, device: &Device) -> CrossEntropyLoss {
        let weight = self.weight.as_ref();
        CrossEntropyLoss {
            weight: weight.map(|weight| Tensor::from_data(weight.as_slice(), device)),
            ignore_index: self.ignore_index,
            label_smoothing: self.label_smoothing,
            reduction: self.reduction,
        }
    }
}

/// [`cross_entropy_with`] with its options, made by [`CrossEntropyLossConfig`].
#[derive(Module, Debug)]
pub struct CrossEntropyLoss {
    /// A weight for each class, a constant.
    pub weight: Option<Tensor<1>>,
    /// The target of rows that do not count.
    pub ignore_index: Option<i64>,
    /// ε in [0, 1].
    pub label_smoothing: f64,
    /// What becomes of the losses of the rows.
    #[module(skip)]
    pub reduction: Reduction,
}

impl CrossEntropyLoss {
    /// The loss, `[1]`; shapes and panics as [`cross_entropy_with`].
    pub fn forward<const D: usize, const DT: usize>(
        &self,
        logits: Tensor<D>,
        targets: Tensor<DT, Int>,
    ) -> Tensor<1> {
        cross_entropy_with(logits, targets, &self.options())
    }

    /// The options.
    pub fn options(&self) -> CrossEntropyOptions {
        CrossEntropyOptions {
            reduction: self.reduction,
            weight: self.weight.clone(),
            ignore_index: self.ignore_index,
            label_smoothing: self.label_smoothing,
        }
    }
}
