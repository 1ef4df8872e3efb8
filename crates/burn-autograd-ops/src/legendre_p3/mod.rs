//! The third Legendre polynomial, P₃(x) = ½(5x³ − 3x), with derivative P₃′(x) = 3⁄2·(5x² − 1).
//!
//! - **Domain**: all real numbers; smooth everywhere. Computed as x·(5⁄2·x² − 3⁄2); overflows
//!   to ±∞ where the polynomial does; NaN gives NaN.
//! - **Shapes**: any rank, any shape, also empty; the output has the input's.
//! - **Data types**: the float types that the device computes with: `f32` and `f64` on NdArray, `f16`
//!   and `bf16`, too, on Flex, where these are computed in `f32`. Kernels: all of them there, and every
//!   float type of the adapter on wgpu, cuda, rocm, metal; with Burn's fusion its compiler makes them, of
//!   this operation and its neighbours.
//! - **Cost**: one pass over memory forward, one backward.
//! - **Accuracy**: on Flex and NdArray at most 4 units in the last place of ½(5|x|³ + 3|x|), and the
//!   gradient of 3⁄2·|ȳ|·(5x² + 1), one for each rounding; over [−3, 3] at most 1.7 and 1.8 were measured
//!   against 77 digits. Relative to P₃ itself digits are lost near its roots, in every evaluation. In `f16`
//!   and `bf16` on Flex both are computed in `f32` and rounded once.
//! - **Saved**: the input, through Burn's checkpointer. Under gradient checkpointing the output is
//!   recomputed.
//! - **Source**: NIST Digital Library of Mathematical Functions, table 18.6.1 and section 14.7.

mod backward;
#[cfg(feature = "check")]
pub(crate) mod check;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
mod kernel;
#[cfg(feature = "ndarray")]
mod ndarray;
#[cfg(feature = "router")]
pub(crate) mod router;
mod spec;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;
use burn_autograd_core::{Error, OrPanic as _, Var, apply_rule, check as arguments};

/// The rule of [`legendre_p3`], for [`differentiate`](burn_autograd_core::differentiate).
#[derive(Debug, Clone, Copy)]
pub struct LegendreP3;

/// The backends' side of [`legendre_p3`]. The default bodies are the specification.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Remote: cfg(feature = "remote"),
    Capture: cfg(feature = "capture"),
    Autodiff: cfg(feature = "autodiff"),
    Fusion: cfg(feature = "fusion")
)]
pub trait LegendreP3Ops: Backend {
    /// P₃(x).
    #[fusion(default)]
    fn legendre_p3(x: FloatTensor<Self>) -> FloatTensor<Self> {
        spec::forward::<Self>(x)
    }

    /// grad·P₃′(x), for tensors of one shape.
    #[fusion(default)]
    fn legendre_p3_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        spec::backward::<Self>(x, grad)
    }
}

/// P₃(x) = ½(5x³ − 3x) for every element; the derivative is 3⁄2·(5x² − 1).
///
/// Takes a tensor of any shape and gives one of the same shape, data type and device.
///
/// # Panics
///
/// If the device cannot compute with the tensor's data type; [`try_legendre_p3`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::legendre_p3::legendre_p3;
///
/// let x = Tensor::<1>::from_floats([0.5, -1.0, 2.0], &Device::flex());
/// assert_eq!(legendre_p3(x).to_data().try_to_vec::<f32>().unwrap(), [-0.4375, -1.0, 17.0]);
/// # }
/// ```
#[track_caller]
pub fn legendre_p3<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    try_legendre_p3(x).or_panic()
}

/// The same as [`legendre_p3`], with an error instead of a panic.
///
/// # Errors
///
/// If the device cannot compute with the tensor's data type, or it is quantized.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::quantization::QuantScheme;
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::legendre_p3::try_legendre_p3;
///
/// let x = Tensor::<1>::from_floats([0.5, 1.0], &Device::flex());
/// assert!(try_legendre_p3(x.clone()).is_ok());
/// let error = try_legendre_p3(x.quantize_dynamic(&QuantScheme::default())).unwrap_err().to_string();
/// assert!(error.starts_with("legendre_p3: argument `x`: expected a float tensor, got QFloat"), "{error}");
/// # }
/// ```
pub fn try_legendre_p3<const D: usize>(x: Tensor<D>) -> Result<Tensor<D>, Error> {
    let x = x.into_dispatch();
    arguments::floats("legendre_p3", &[("x", &x)])?;
    Ok(Tensor::from_dispatch(<Dispatch as LegendreP3Ops>::legendre_p3(x)))
}

/// [`legendre_p3`] as a method.
pub trait TensorLegendreP3 {
    /// P₃ of every element; see [`legendre_p3`].
    #[must_use]
    fn legendre_p3(self) -> Self;
}

impl<const D: usize> TensorLegendreP3 for Tensor<D> {
    fn legendre_p3(self) -> Self {
        legendre_p3(self)
    }
}

/// Recorded with its own backward where the variable is being differentiated.
impl TensorLegendreP3 for Var {
    #[track_caller]
    fn legendre_p3(self) -> Self {
        let [y] = apply_rule(&LegendreP3, [self]);
        y
    }
}

/// [`legendre_p3`] as a module without parameters.
///
/// Without options there is no configuration either, as with Burn's `nn::Relu`.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::legendre_p3::LegendreP3Activation;
///
/// let x = Tensor::<2>::from_floats([[1.0, -2.0]], &Device::flex());
/// assert_eq!(LegendreP3Activation::new().forward(x).to_data().try_to_vec::<f32>().unwrap(), [1.0, -17.0]);
/// # }
/// ```
#[derive(burn::module::Module, Debug, Default)]
pub struct LegendreP3Activation {}

impl LegendreP3Activation {
    /// The module.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }

    /// P₃(x) of every element; shapes and panics as [`legendre_p3`].
    #[track_caller]
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        legendre_p3(x)
    }
}
