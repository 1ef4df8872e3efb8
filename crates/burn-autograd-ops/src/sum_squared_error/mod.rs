//! The sum of squared errors, L = Σ (p − t)².
//!
//! With L̄ the gradient of L:  p̄ = 2·L̄·(p − t),  t̄ = −p̄.
//!
//! - **Domain**: all real numbers; smooth everywhere.
//! - **Shapes**: `prediction` and `target` of one shape, which may be empty (the sum is 0); nothing is
//!   broadcast, for a `[n]` against a `[n, 1]` would silently become n² differences. The result is `[1]`.
//! - **Data types**: the float types that the device computes with: `f32` and `f64` on NdArray, `f16`
//!   and `bf16`, too, on Flex, where these are computed in `f32`. Kernels for all of them there; elsewhere
//!   Burn's operations, which its fusion joins.
//! - **Cost**: one pass over memory forward, one backward.
//! - **Accuracy**: on Flex and NdArray each difference is rounded once and the sum runs in `f64`: in `f32`
//!   the result is within 2.5 units in the last place of the exact sum, whatever its length below 2²⁸
//!   terms, and the gradient within 1.5; 0.5 and 1.2 were measured for 4,096 terms against 77 digits, in
//!   `f64` 0.1 and 1.2. In `f16` and `bf16` on Flex the differences are those of `f32`, and both results
//!   are rounded once.
//! - **Saved**: both arguments, through Burn's checkpointer.

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
use burn::module::Module;
use burn::tensor::Tensor;
use burn_autograd_core::{Error, OrPanic as _, Var, apply_rule};

use crate::support::{equal_shapes, variables};

/// The rule of [`sum_squared_error`](fn@sum_squared_error), for
/// [`differentiate`](burn_autograd_core::differentiate).
#[derive(Debug, Clone, Copy)]
pub struct SumSquaredError;

/// The backends' side of [`sum_squared_error`](fn@sum_squared_error). The default bodies are the
/// specification.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Remote: cfg(feature = "remote"),
    Capture: cfg(feature = "capture"),
    Autodiff: cfg(feature = "autodiff"),
    Fusion: cfg(feature = "fusion")
)]
pub trait SumSquaredErrorOps: Backend {
    /// Σ (prediction − target)², one element.
    #[fusion(default)]
    fn sum_squared_error(
        prediction: FloatTensor<Self>,
        target: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        spec::forward::<Self>(prediction, target)
    }

    /// 2·grad·(prediction − target), where `grad` has one element.
    #[fusion(default)]
    fn sum_squared_error_backward(
        prediction: FloatTensor<Self>,
        target: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        spec::backward::<Self>(prediction, target, grad)
    }
}

/// Σ (prediction − target)², a tensor of one element.
///
/// The derivative with respect to the prediction is 2·(prediction − target), to the target its
/// opposite. Both may be tracked or not.
///
/// # Panics
///
/// If the arguments differ in shape, device or data type, or the device cannot compute with it;
/// [`try_sum_squared_error`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::sum_squared_error::sum_squared_error;
///
/// let device = Device::flex().autodiff();
/// let p = Tensor::<1>::from_floats([1.0, 2.0], &device).require_grad();
/// let t = Tensor::<1>::from_floats([0.0, 5.0], &device);
/// let loss = sum_squared_error(p.clone(), t);
/// assert_eq!(loss.clone().into_scalar::<f32>(), 10.0);
/// let grads = loss.backward();
/// assert_eq!(p.grad(&grads).unwrap().to_data().try_to_vec::<f32>().unwrap(), [2.0, -6.0]);
/// # }
/// ```
#[track_caller]
pub fn sum_squared_error<const D: usize>(prediction: Tensor<D>, target: Tensor<D>) -> Tensor<1> {
    try_sum_squared_error(prediction, target).or_panic()
}

/// The same as [`sum_squared_error`](fn@sum_squared_error), with an error instead of a panic.
///
/// # Errors
///
/// If the arguments differ in shape, device or data type, the device cannot compute with it, or a
/// tensor is quantized.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::sum_squared_error::try_sum_squared_error;
///
/// let prediction = Tensor::<1>::ones([3], &Device::flex());
/// let target = Tensor::<1>::ones([2], &Device::flex());
/// assert_eq!(
///     try_sum_squared_error(prediction, target).unwrap_err().to_string(),
///     "sum_squared_error: argument `target`: expected the shape of `prediction`, [3], got [2]"
/// );
/// # }
/// ```
pub fn try_sum_squared_error<const D: usize>(
    prediction: Tensor<D>,
    target: Tensor<D>,
) -> Result<Tensor<1>, Error> {
    let (p, t) = (prediction.into_dispatch(), target.into_dispatch());
    crate::support::same_shape("sum_squared_error", ("prediction", &p), ("target", &t))?;
    Ok(Tensor::from_dispatch(<Dispatch as SumSquaredErrorOps>::sum_squared_error(p, t)))
}

/// [`sum_squared_error`](fn@sum_squared_error) as a method.
pub trait TensorSumSquaredError {
    /// What the sum is.
    type Loss;

    /// Σ (self − target)²; see [`sum_squared_error`](fn@sum_squared_error).
    #[must_use]
    fn sum_squared_error(self, target: Self) -> Self::Loss;
}

impl<const D: usize> TensorSumSquaredError for Tensor<D> {
    type Loss = Tensor<1>;

    #[track_caller]
    fn sum_squared_error(self, target: Self) -> Tensor<1> {
        sum_squared_error(self, target)
    }
}

/// Recorded with its own backward where a variable is being differentiated.
impl TensorSumSquaredError for Var {
    type Loss = Self;

    #[track_caller]
    fn sum_squared_error(self, target: Self) -> Self {
        const OPERATION: &str = "sum_squared_error";
        let shapes = (self.shape(), target.shape());
        let shapes = (("prediction", &shapes.0), ("target", &shapes.1));
        variables(OPERATION, &[("prediction", &self), ("target", &target)])
            .and_then(|()| equal_shapes(OPERATION, shapes.0, shapes.1))
            .or_panic();
        let [loss] = apply_rule(&SumSquaredError, [self, target]);
        loss
    }
}

/// [`sum_squared_error`](fn@sum_squared_error) as a module without parameters: PyTorch's
/// `MSELoss(reduction="sum")`. Without options there is no configuration either, as with Burn's
/// `nn::loss::MseLoss`.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::sum_squared_error::SumSquaredErrorLoss;
///
/// let device = Device::flex();
/// let p = Tensor::<2>::from_floats([[1.0, 2.0]], &device);
/// let loss = SumSquaredErrorLoss::new().forward(p.clone(), p.zeros_like());
/// assert_eq!(loss.into_scalar::<f32>(), 5.0);
/// # }
/// ```
#[derive(Module, Debug, Default)]
pub struct SumSquaredErrorLoss {}

impl SumSquaredErrorLoss {
    /// The module.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }

    /// Σ (prediction − target)²; shapes and panics as [`sum_squared_error`](fn@sum_squared_error).
    #[track_caller]
    pub fn forward<const D: usize>(&self, prediction: Tensor<D>, target: Tensor<D>) -> Tensor<1> {
        sum_squared_error(prediction, target)
    }
}
