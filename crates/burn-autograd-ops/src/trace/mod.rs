//! The trace of a matrix, Σ aᵢᵢ.
//!
//! With ȳ the gradient of the trace:  Ā = ȳ·I.
//!
//! - **Domain**: all real numbers; smooth everywhere. Off the diagonal nothing is read, and the
//!   gradient is 0, also where others are not finite.
//! - **Shapes**: `[.., n, n]` gives `[.., 1, 1]`: the matrix dimensions stay, as in Burn's `sum_dim`.
//!   The trace of a 0×0 matrix is 0.
//! - **Data types**: the float types that the device computes with: `f32` and `f64` on NdArray, `f16` and
//!   `bf16`, too, on Flex.
//! - **Accuracy**: on Flex (for `f16` and `bf16`, too) and on NdArray the sum runs in `f64` and is rounded
//!   once: it is off by at most n·2⁻⁵³·Σ |aᵢᵢ| and that rounding (half a unit in the last place was
//!   measured against 77 digits, for n = 6). Elsewhere it is Burn's sum in the data type. The gradient is
//!   exact.
//! - **Cost**: n entries of each matrix are read, and n − 1 added; the gradient writes n².
//! - **Saved**: nothing.

mod backward;
#[cfg(feature = "check")]
pub(crate) mod check;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
pub(crate) mod kernel;
#[cfg(feature = "ndarray")]
mod ndarray;
#[cfg(feature = "router")]
pub(crate) mod router;
mod spec;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_autograd_core::{Error, OrPanic as _, Var, apply_rule, check as arguments};

use crate::lu::arguments::square;
use crate::lu::number_shape;

/// The rule of [`trace`](fn@trace), for [`differentiate`](burn_autograd_core::differentiate).
#[derive(Debug, Clone, Copy)]
pub struct Trace;

/// The backends' side of [`trace`](fn@trace). The default bodies are the specification.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Remote: cfg(feature = "remote"),
    Capture: cfg(feature = "capture"),
    Autodiff: cfg(feature = "autodiff"),
    Fusion: cfg(feature = "fusion")
)]
pub trait TraceOps: Backend {
    /// Σ aᵢᵢ, as `[.., 1, 1]`.
    #[fusion(id = "burn_autograd::trace", dtype = a, shape = number_shape(a))]
    fn trace(a: FloatTensor<Self>) -> FloatTensor<Self> {
        spec::forward::<Self>(a)
    }
}

/// Σ aᵢᵢ for matrices `[.., n, n]`, as `[.., 1, 1]`. The gradient is ȳ·I.
///
/// # Panics
///
/// If the matrices are not square, or the device cannot compute with the data type; [`try_trace`]
/// returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::trace::trace;
///
/// let device = Device::flex().autodiff();
/// let a = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &device).require_grad();
/// let y = trace(a.clone());
/// assert_eq!((y.dims(), y.clone().into_scalar::<f32>()), ([1, 1], 5.0));
/// let da = a.grad(&(y * 3.0).sum().backward()).unwrap();
/// assert_eq!(da.to_data().try_to_vec::<f32>().unwrap(), [3.0, 0.0, 0.0, 3.0]);
/// # }
/// ```
#[track_caller]
pub fn trace<const D: usize>(a: Tensor<D>) -> Tensor<D> {
    try_trace(a).or_panic()
}

/// The same as [`trace`](fn@trace), with an error instead of a panic.
///
/// # Errors
///
/// If the matrices are not square, or the device cannot compute with the data type.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::trace::try_trace;
///
/// let a = Tensor::<2>::ones([2, 3], &Device::flex());
/// assert_eq!(
///     try_trace(a).unwrap_err().to_string(),
///     "trace: argument `a`: expected square matrices, [.., n, n], got [2, 3]"
/// );
/// # }
/// ```
pub fn try_trace<const D: usize>(a: Tensor<D>) -> Result<Tensor<D>, Error> {
    let a = a.into_dispatch();
    arguments::floats("trace", &[("a", &a)])?;
    square("trace", "a", &a.shape())?;
    Ok(Tensor::from_dispatch(<Dispatch as TraceOps>::trace(a)))
}

/// [`trace`](fn@trace) as a method.
pub trait TensorTrace {
    /// Σ aᵢᵢ; see [`trace`](fn@trace).
    #[must_use]
    #[track_caller]
    fn trace(self) -> Self;
}

impl<const D: usize> TensorTrace for Tensor<D> {
    #[track_caller]
    fn trace(self) -> Self {
        trace(self)
    }
}

/// Recorded with its own backward where the variable is being differentiated.
impl TensorTrace for Var {
    #[track_caller]
    fn trace(self) -> Self {
        square("trace", "a", &self.shape()).or_panic();
        let [y] = apply_rule(&Trace, [self]);
        y
    }
}
