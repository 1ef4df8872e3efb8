//! [`cross_entropy`](fn@super::cross_entropy) as a module.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use burn_autograd_core::Error;

use super::{
    CrossEntropyOptions, Reduction, cross_entropy_unreduced, cross_entropy_with,
    try_cross_entropy_unreduced, try_cross_entropy_with,
};

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
#[non_exhaustive]
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
    /// The module, with its weights on a device, in the device's default data type; `forward` converts
    /// them to that of the logits.
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
#[non_exhaustive]
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
    /// The loss, `[1]`; shapes and panics as [`cross_entropy_with`], but for the weights' data type,
    /// which may be any.
    #[track_caller]
    pub fn forward<const D: usize, const DT: usize>(
        &self,
        logits: Tensor<D>,
        targets: Tensor<DT, Int>,
    ) -> Tensor<1> {
        let options = self.options_for(&logits);
        cross_entropy_with(logits, targets, &options)
    }

    /// The same as [`forward`](Self::forward), with an error instead of a panic. Reads the targets back.
    ///
    /// # Errors
    ///
    /// Where [`forward`](Self::forward) panics, on every device.
    ///
    /// ```
    /// # #[cfg(feature = "flex")] {
    /// use burn::tensor::{Device, Int, Tensor};
    /// use burn_autograd_ops::cross_entropy::CrossEntropyLossConfig;
    ///
    /// let device = Device::flex();
    /// let loss = CrossEntropyLossConfig::new().init(&device);
    /// let targets = Tensor::<1, Int>::from_ints([2], &device);
    /// assert_eq!(
    ///     loss.try_forward(Tensor::<2>::zeros([1, 2], &device), targets).unwrap_err().to_string(),
    ///     "cross_entropy: argument `targets`: expected class indices from 0 to below 2, got 2 in row 0"
    /// );
    /// # }
    /// ```
    pub fn try_forward<const D: usize, const DT: usize>(
        &self,
        logits: Tensor<D>,
        targets: Tensor<DT, Int>,
    ) -> Result<Tensor<1>, Error> {
        let options = self.options_for(&logits);
        try_cross_entropy_with(logits, targets, &options)
    }

    /// The loss of each row, in the targets' shape, whatever the reduction is: PyTorch's
    /// `reduction="none"`, whose result has another rank, hence another function. Panics as
    /// [`forward`](Self::forward).
    ///
    /// ```
    /// # #[cfg(feature = "flex")] {
    /// use burn::tensor::{Device, Int, Tensor};
    /// use burn_autograd_ops::cross_entropy::CrossEntropyLossConfig;
    ///
    /// let device = Device::flex();
    /// let loss = CrossEntropyLossConfig::new().with_ignore_index(Some(-1)).init(&device);
    /// let targets = Tensor::<1, Int>::from_ints([1, -1], &device);
    /// let losses = loss.forward_unreduced(Tensor::<2>::zeros([2, 4], &device), targets);
    /// assert_eq!(losses.into_data().try_to_vec::<f32>().unwrap(), [4f32.ln(), 0.0]);
    /// # }
    /// ```
    #[track_caller]
    pub fn forward_unreduced<const D: usize, const DT: usize>(
        &self,
        logits: Tensor<D>,
        targets: Tensor<DT, Int>,
    ) -> Tensor<DT> {
        let options = self.options_for(&logits);
        cross_entropy_unreduced(logits, targets, &options)
    }

    /// The same as [`forward_unreduced`](Self::forward_unreduced), with an error instead of a panic.
    /// Reads the targets back.
    ///
    /// # Errors
    ///
    /// Where [`forward`](Self::forward) panics, on every device.
    ///
    /// ```
    /// # #[cfg(feature = "flex")] {
    /// use burn::tensor::{Device, Int, Tensor};
    /// use burn_autograd_ops::cross_entropy::CrossEntropyLossConfig;
    ///
    /// let device = Device::flex();
    /// let loss = CrossEntropyLossConfig::new().with_weight(Some(vec![1.0; 3])).init(&device);
    /// let targets = Tensor::<1, Int>::from_ints([0], &device);
    /// let error = loss.try_forward_unreduced(Tensor::<2>::zeros([1, 2], &device), targets);
    /// assert_eq!(
    ///     error.unwrap_err().to_string(),
    ///     "cross_entropy: argument `weight`: expected [2], one for each class, got [3]"
    /// );
    /// # }
    /// ```
    pub fn try_forward_unreduced<const D: usize, const DT: usize>(
        &self,
        logits: Tensor<D>,
        targets: Tensor<DT, Int>,
    ) -> Result<Tensor<DT>, Error> {
        let options = self.options_for(&logits);
        try_cross_entropy_unreduced(logits, targets, &options)
    }

    /// The options, with the weights as they are stored.
    pub fn options(&self) -> CrossEntropyOptions {
        CrossEntropyOptions {
            reduction: self.reduction,
            weight: self.weight.clone(),
            ignore_index: self.ignore_index,
            label_smoothing: self.label_smoothing,
        }
    }

    /// The options, with the weights in the logits' data type. Logits in one that the device lacks are
    /// refused later, by name.
    fn options_for<const D: usize>(&self, logits: &Tensor<D>) -> CrossEntropyOptions {
        let (mut options, dtype) = (self.options(), logits.dtype());
        if dtype.is_float() && logits.device().supports_dtype(dtype) {
            options.weight = options.weight.map(|weight| weight.cast(dtype));
        }
        options
    }
}
