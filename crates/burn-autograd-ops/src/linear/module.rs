//! [`linear`](super::linear) as a layer with parameters.

use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use super::linear;

/// The configuration of [`Linear`].
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::linear::LinearConfig;
///
/// let device = Device::flex();
/// let layer = LinearConfig::new(3, 2).init(&device);
/// assert_eq!(layer.weight.dims(), [2, 3]);
/// let y = layer.forward(Tensor::<3>::ones([5, 4, 3], &device));
/// assert_eq!(y.dims(), [5, 4, 2]);
/// assert!(LinearConfig::new(3, 2).with_bias(false).init(&device).bias.is_none());
/// # }
/// ```
#[derive(Config, Debug)]
#[non_exhaustive]
pub struct LinearConfig {
    /// The number of input features.
    pub d_input: usize,
    /// The number of output features.
    pub d_output: usize,
    /// Whether there is a bias.
    #[config(default = true)]
    pub bias: bool,
    /// What parameters are filled with: uniform in ±0.1, unless it is said.
    #[config(default = "Initializer::Uniform { min: -0.1, max: 0.1 }")]
    pub initializer: Initializer,
}

impl LinearConfig {
    /// The layer, with new parameters on a device.
    pub fn init(&self, device: &Device) -> Linear {
        let fans = (Some(self.d_input), Some(self.d_output));
        Linear {
            weight: self.initializer.init_with(
                [self.d_output, self.d_input],
                fans.0,
                fans.1,
                device,
            ),
            bias: self
                .bias
                .then(|| self.initializer.init_with([self.d_output], fans.0, fans.1, device)),
        }
    }
}

/// [`linear`](super::linear()) with its parameters, made by [`LinearConfig`].
///
/// The weight is stored as `[outputs, inputs]`, PyTorch's layout; that of Burn's `nn::Linear` is its
/// transpose.
#[derive(Module, Debug)]
pub struct Linear {
    /// The matrix, `[outputs, inputs]`.
    pub weight: Param<Tensor<2>>,
    /// The bias, `[outputs]`, if there is one.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// x·Wᵀ + b, for `x` `[.., inputs]` of any rank; panics as [`linear`](super::linear()).
    #[track_caller]
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        linear(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}
