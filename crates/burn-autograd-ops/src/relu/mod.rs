//! The rectified linear unit, relu(x) = max(x, 0), with derivative 1 where x > 0 and 0 elsewhere.
//!
//! - **Kink**: at 0, where any number in [0, 1] is a subgradient. It is 0 here, as in PyTorch and
//!   Burn. Second derivative: 0 everywhere it exists.
//! - **Domain**: all real numbers. NaN gives NaN, and passes the gradient, as in PyTorch; −0 gives 0.
//!   Adapters may assume that there is no NaN, so that this holds on the CPU backends only.
//! - **Shapes**: any rank, any shape, also empty; the output has the input's.
//! - **Data types**: the float types that the device computes with: `f32` and `f64` on NdArray, `f16`
//!   and `bf16`, too, on Flex, where these are computed in `f32`. Kernels: all of them there, and every
//!   float type of the adapter on wgpu, cuda, rocm, metal; with Burn's fusion its compiler makes them, of
//!   this operation and its neighbours.
//! - **Cost**: one pass over memory forward, one backward.
//! - **Accuracy**: exact, value and gradient, in every data type.
//! - **Saved**: the input, through Burn's checkpointer. Under gradient checkpointing the output is
//!   recomputed.
//!
//! Burn has a `relu` of its own, and it is a good one; this is the self-defined ReLU that every
//! tutorial on custom gradients starts with, done properly.

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
use burn_autograd_core::{Error, OrPanic as _, check as arguments};

/// The rule of [`relu`], for [`differentiate`](burn_autograd_core::differentiate).
#[derive(Debug, Clone, Copy)]
pub struct SelfDefinedRelu;

/// The backends' side of [`relu`]. The default bodies are the specification.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Remote: cfg(feature = "remote"),
    Capture: cfg(feature = "capture"),
    Autodiff: cfg(feature = "autodiff"),
    Fusion: cfg(feature = "fusion")
)]
pub trait ReluOps: Backend {
    /// max(x, 0).
    #[fusion(default)]
    fn self_defined_relu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        spec::forward::<Self>(x)
    }

    /// grad where x > 0, 0 elsewhere, for tensors of one shape.
    #[fusion(default)]
    fn self_defined_relu_backward(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        spec::backward::<Self>(x, grad)
    }
}

/// max(x, 0) for every element; the derivative is 1 where x > 0, and 0 elsewhere and at 0.
///
/// Takes a tensor of any shape and gives one of the same shape, data type and device.
///
/// # Panics
///
/// If the device cannot compute with the tensor's data type; [`try_relu`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::relu::relu;
///
/// let x = Tensor::<1>::from_floats([-1.5, 0.0, 2.0], &Device::flex().autodiff()).require_grad();
/// let y = relu(x.clone());
/// assert_eq!(y.to_data().try_to_vec::<f32>().unwrap(), [0.0, 0.0, 2.0]);
/// let dx = x.grad(&y.sum().backward()).unwrap();
/// assert_eq!(dx.to_data().try_to_vec::<f32>().unwrap(), [0.0, 0.0, 1.0]);
/// # }
/// ```
pub fn relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    try_relu(x).or_panic()
}

/// The same as [`relu`], with an error instead of a panic.
///
/// # Errors
///
/// If the device cannot compute with the tensor's data type, or it is quantized.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::quantization::QuantScheme;
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::relu::try_relu;
///
/// let x = Tensor::<1>::from_floats([0.5, 1.0], &Device::flex());
/// assert!(try_relu(x.clone()).is_ok());
/// let error = try_relu(x.quantize_dynamic(&QuantScheme::default())).unwrap_err().to_string();
/// assert!(error.starts_with("relu: argument `x`: expected a float tensor, got QFloat"), "{error}");
/// # }
/// ```
pub fn try_relu<const D: usize>(x: Tensor<D>) -> Result<Tensor<D>, Error> {
    let x = x.into_dispatch();
    arguments::floats("relu", &[("x", &x)])?;
    Ok(Tensor::from_dispatch(<Dispatch as ReluOps>::self_defined_relu(x)))
}

/// [`relu`] as a method.
pub trait TensorRelu {
    /// max(x, 0) of every element; see [`relu`].
    #[must_use]
    fn relu(self) -> Self;
}

impl<const D: usize> TensorRelu for Tensor<D> {
    #[track_caller]
    fn relu(self) -> Self {
        relu(self)
    }
}

/// [`relu`] as a module without parameters.
///
/// Without options there is no configuration either, as with Burn's `nn::Relu`.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::relu::Relu;
///
/// let x = Tensor::<2>::from_floats([[-1.0, 2.0]], &Device::flex());
/// assert_eq!(Relu::new().forward(x).to_data().try_to_vec::<f32>().unwrap(), [0.0, 2.0]);
/// # }
/// ```
#[derive(burn::module::Module, Debug, Default)]
pub struct Relu {}

impl Relu {
    /// The module.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }

    /// max(x, 0) of every element; shapes and panics as [`relu`].
    #[track_caller]
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        relu(x)
    }
}
