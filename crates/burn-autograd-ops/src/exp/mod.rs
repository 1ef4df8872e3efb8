//! The exponential, eˣ, whose derivative is its own output.
//!
//! - **Domain**: all real numbers; smooth everywhere. Overflows to ∞ above 88.72 (`f32`) and 709.78
//!   (`f64`), goes through the subnormal numbers to 0 below −87.3 and −708.4; NaN gives NaN.
//! - **Accuracy**: within two units in the last place on Flex and NdArray over the whole range (0.9 was
//!   measured against 77 digits in `f32` and in `f64`; the gradient 1.5). In
//!   `f16` and `bf16` on Flex the value is rounded once, to half a unit, and the gradient is a product with
//!   that, within 1.5 units. On a GPU it is what the adapter's own exponential gives, which WGSL bounds by
//!   3 + 2|x| units.
//! - **Cost**: one pass over memory forward, one backward.
//! - **Shapes**: any rank, any shape, also empty; the output has the input's.
//! - **Data types**: the float types that the device computes with: `f32` and `f64` on NdArray, `f16`
//!   and `bf16`, too, on Flex, where these are computed in `f32`. Kernels: all of them there, and every
//!   float type of the adapter on wgpu, cuda, rocm, metal; with Burn's fusion its compiler makes them, of
//!   this operation and its neighbours.
//!   Not `f64` on wgpu, whose languages have no exponential of it: it is refused.
//! - **Saved**: the *output*, not the input: the backward then is one product.

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

/// The rule of [`exp`](fn@exp), for [`differentiate`](burn_autograd_core::differentiate).
#[derive(Debug, Clone, Copy)]
pub struct Exp;

/// The backends' side of [`exp`](fn@exp). The default bodies are the specification.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Remote: cfg(feature = "remote"),
    Capture: cfg(feature = "capture"),
    Autodiff: cfg(feature = "autodiff"),
    Fusion: cfg(feature = "fusion")
)]
pub trait ExpOps: Backend {
    /// eˣ.
    #[fusion(default)]
    fn exp(x: FloatTensor<Self>) -> FloatTensor<Self> {
        spec::forward::<Self>(x)
    }

    /// grad·y, where y = eˣ is the output, for tensors of one shape.
    #[fusion(default)]
    fn exp_backward(y: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        spec::backward::<Self>(y, grad)
    }
}

/// eˣ for every element; the derivative is the output itself.
///
/// Takes a tensor of any shape and gives one of the same shape, data type and device.
///
/// # Panics
///
/// If the device cannot compute with the tensor's data type, or has no exponential of it, as wgpu
/// has none of `f64`; [`try_exp`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::exp::exp;
///
/// let x = Tensor::<1>::from_floats([0.0, 1.0], &Device::flex().autodiff()).require_grad();
/// let y = exp(x.clone());
/// let e = std::f32::consts::E;
/// assert_eq!(y.to_data().try_to_vec::<f32>().unwrap(), [1.0, e]);
/// assert_eq!(x.grad(&y.sum().backward()).unwrap().to_data().try_to_vec::<f32>().unwrap(), [1.0, e]);
/// # }
/// ```
#[track_caller]
pub fn exp<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    try_exp(x).or_panic()
}

/// The same as [`exp`](fn@exp), with an error instead of a panic.
///
/// # Errors
///
/// If the device cannot compute with the tensor's data type or has no exponential of it, or it is
/// quantized.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::quantization::QuantScheme;
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::exp::try_exp;
///
/// let x = Tensor::<1>::from_floats([0.5, 1.0], &Device::flex());
/// assert!(try_exp(x.clone()).is_ok());
/// let error = try_exp(x.quantize_dynamic(&QuantScheme::default())).unwrap_err().to_string();
/// assert!(error.starts_with("exp: argument `x`: expected a float tensor, got QFloat"), "{error}");
/// # }
/// ```
pub fn try_exp<const D: usize>(x: Tensor<D>) -> Result<Tensor<D>, Error> {
    let x = x.into_dispatch();
    arguments::floats("exp", &[("x", &x)])?;
    arguments::transcendental("exp", "x", &x)?;
    Ok(Tensor::from_dispatch(<Dispatch as ExpOps>::exp(x)))
}

/// [`exp`](fn@exp) as a method.
pub trait TensorExp {
    /// eˣ of every element; see [`exp`](fn@exp). Burn's tensors have an `exp` of their own, hence
    /// the other name.
    #[must_use]
    fn fused_exp(self) -> Self;
}

impl<const D: usize> TensorExp for Tensor<D> {
    #[track_caller]
    fn fused_exp(self) -> Self {
        exp(self)
    }
}

/// Recorded with its own backward where the variable is being differentiated.
impl TensorExp for Var {
    #[track_caller]
    fn fused_exp(self) -> Self {
        arguments::transcendental("exp", "x", self.detach().primitive()).or_panic();
        let [y] = apply_rule(&Exp, [self]);
        y
    }
}

/// [`exp`](fn@exp) as a module without parameters.
///
/// Without options there is no configuration either, as with Burn's `nn::Relu`.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::exp::ExpActivation;
///
/// let x = Tensor::<2>::from_floats([[0.0, f32::NEG_INFINITY]], &Device::flex());
/// assert_eq!(ExpActivation::new().forward(x).to_data().try_to_vec::<f32>().unwrap(), [1.0, 0.0]);
/// # }
/// ```
#[derive(burn::module::Module, Debug, Default)]
pub struct ExpActivation {}

impl ExpActivation {
    /// The module.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }

    /// eˣ of every element; shapes and panics as [`exp`](fn@exp).
    #[track_caller]
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        exp(x)
    }
}
