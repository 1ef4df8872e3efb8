//! The determinant of a matrix, and its sign and logarithm.
//!
//! With ȳ the gradient of det A:  Ā = ȳ·det A·A⁻ᵀ, the matrix of cofactors times ȳ; with that of
//! ln|det A|:  Ā = ȳ·A⁻ᵀ. The sign is a constant.
//!
//! - **Domain**: the determinant is smooth everywhere, and 0 for a singular matrix; its gradient
//!   there is the matrix of cofactors up to n = 3, and NaN beyond, where it comes from a solution
//!   with the matrix. ln|det A| of a singular matrix is −∞ with sign 0, and its gradient NaN. A matrix
//!   with an entry that is not finite has NaN for a determinant.
//! - **Shapes**: `[.., n, n]` gives `[.., 1, 1]`: the matrix dimensions stay, as in Burn's `sum_dim`.
//!   The determinant of a 0×0 matrix is 1, its logarithm 0.
//! - **Data types**: the float types that the device computes with; see [`lu`](crate::lu) for `f16`
//!   and `bf16`. No logarithm in `f64` on wgpu, whose languages have none.
//! - **Range**: the determinant over- and underflows where the product of the pivots does, for large
//!   n soon; its logarithm does not.
//! - **Accuracy**: that of the determinant of a matrix at most 3n³·ρ·ε·‖A‖ away (see [`lu`](crate::lu)):
//!   relative errors are that times the condition number. For n = 6 and a good condition det was off by at
//!   most 3.1 units in the last place and its gradient by 4.1 of its largest number, the logarithm by 1.2
//!   and its gradient by 2.2 (measured against 77 digits). Products, and sums of logarithms, run in `f64`
//!   on Flex and NdArray. In `f16` and `bf16` on Flex the n pivots are rounded, each by half a unit, and
//!   the result once more; gradients of determinants up to n = 3 are computed in `f32` and rounded once,
//!   everywhere.
//! - **Cost**: ⅔n³ operations for the factorisation, and n products. The gradient takes some products
//!   of the entries up to n = 3, and beyond that, as always for the logarithm, a solution with the
//!   identity, 2n³.
//! - **Saved**: for the determinant the matrix alone up to n = 3, and beyond that its factors and the
//!   result, too; for the logarithm the matrix and its factors.

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
use burn::backend::{Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_autograd_core::{Error, OrPanic as _, Var, apply_rule, check as arguments};

use crate::lu::LuOps;
use crate::lu::arguments::factored;

/// The rule of [`det`](fn@det), for [`differentiate`](burn_autograd_core::differentiate): the
/// inputs are A and its factorisation.
#[derive(Debug, Clone, Copy)]
pub struct Det;

/// The rule of [`log_abs_det`]: the inputs are A and its factorisation.
#[derive(Debug, Clone, Copy)]
pub struct LogAbsDet;

/// The backends' side of the determinants. The default bodies are the specification.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Remote: cfg(feature = "remote"),
    Capture: cfg(feature = "capture"),
    Autodiff: cfg(feature = "autodiff"),
    Fusion: cfg(feature = "fusion")
)]
pub trait DetOps: LuOps {
    /// det A, as `[.., 1, 1]`, from A and its factorisation.
    #[fusion(default)]
    fn det(a: FloatTensor<Self>, packed: FloatTensor<Self>) -> FloatTensor<Self> {
        let _ = a;
        spec::det::<Self>(packed)
    }

    /// The sign of det A and ln|det A|, each as `[.., 1, 1]`, from A and its factorisation.
    #[fusion(default)]
    fn log_abs_det(
        a: FloatTensor<Self>,
        packed: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let _ = a;
        spec::log_abs_det::<Self>(packed)
    }
}

/// det A for matrices `[.., n, n]`, as `[.., 1, 1]`. The gradient is the matrix of cofactors times ȳ.
///
/// # Panics
///
/// If the matrices are not square, or the device cannot compute with the data type; [`try_det`]
/// returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::det::det;
///
/// let device = Device::flex().autodiff();
/// let a = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &device).require_grad();
/// let y = det(a.clone());
/// assert_eq!(y.dims(), [1, 1]);
/// assert!((y.clone().into_scalar::<f32>() + 2.0).abs() < 1e-6);
/// let da = a.grad(&y.sum().backward()).unwrap();
/// assert_eq!(da.to_data().try_to_vec::<f32>().unwrap(), [4.0, -3.0, -2.0, 1.0]);
/// # }
/// ```
#[track_caller]
pub fn det<const D: usize>(a: Tensor<D>) -> Tensor<D> {
    try_det(a).or_panic()
}

/// The same as [`det`](fn@det), with an error instead of a panic.
///
/// # Errors
///
/// If the matrices are not square, or the device cannot compute with the data type.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::det::try_det;
///
/// let a = Tensor::<2>::ones([2, 3], &Device::flex());
/// assert_eq!(
///     try_det(a).unwrap_err().to_string(),
///     "det: argument `a`: expected square matrices, [.., n, n], got [2, 3]"
/// );
/// # }
/// ```
pub fn try_det<const D: usize>(a: Tensor<D>) -> Result<Tensor<D>, Error> {
    let a = a.into_dispatch();
    arguments::floats("det", &[("a", &a)])?;
    factored("det", "a", &a.shape(), a.dtype())?;
    let packed = <Dispatch as LuOps>::lu_factor(a.clone());
    Ok(Tensor::from_dispatch(<Dispatch as DetOps>::det(a, packed)))
}

/// The sign of det A and ln|det A| for matrices `[.., n, n]`, each as `[.., 1, 1]`. The gradient of
/// the logarithm is ȳ·A⁻ᵀ; the sign has none.
///
/// # Panics
///
/// As [`det`](fn@det), and in `f64` on wgpu; [`try_log_abs_det`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::det::log_abs_det;
///
/// let device = Device::flex().autodiff();
/// let a = Tensor::<2>::from_floats([[0.0, 2.0], [4.0, 0.0]], &device).require_grad();
/// let (sign, log) = log_abs_det(a.clone());
/// assert_eq!(sign.into_scalar::<f32>(), -1.0);
/// assert!((log.clone().into_scalar::<f32>() - 8.0f32.ln()).abs() < 1e-6);
/// let da = a.grad(&log.sum().backward()).unwrap();
/// assert_eq!(da.to_data().try_to_vec::<f32>().unwrap(), [0.0, 0.5, 0.25, 0.0]);
/// # }
/// ```
#[track_caller]
pub fn log_abs_det<const D: usize>(a: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
    try_log_abs_det(a).or_panic()
}

/// The same as [`log_abs_det`], with an error instead of a panic.
///
/// # Errors
///
/// If the matrices are not square, or the device cannot compute with the data type or has no
/// logarithm of it.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::det::try_log_abs_det;
///
/// let a = Tensor::<2>::ones([2, 3], &Device::flex());
/// assert_eq!(
///     try_log_abs_det(a).unwrap_err().to_string(),
///     "log_abs_det: argument `a`: expected square matrices, [.., n, n], got [2, 3]"
/// );
/// # }
/// ```
pub fn try_log_abs_det<const D: usize>(a: Tensor<D>) -> Result<(Tensor<D>, Tensor<D>), Error> {
    let a = a.into_dispatch();
    arguments::floats("log_abs_det", &[("a", &a)])?;
    arguments::transcendental("log_abs_det", "a", &a)?;
    factored("log_abs_det", "a", &a.shape(), a.dtype())?;
    let packed = <Dispatch as LuOps>::lu_factor(a.clone());
    let (sign, log) = <Dispatch as DetOps>::log_abs_det(a, packed);
    Ok((Tensor::from_dispatch(sign), Tensor::from_dispatch(log)))
}

/// [`det`](fn@det) and [`log_abs_det`] as methods.
pub trait TensorDet: Sized {
    /// det A; see [`det`](fn@det).
    #[must_use]
    #[track_caller]
    fn det(self) -> Self;

    /// The sign of det A and ln|det A|; see [`log_abs_det`].
    #[must_use]
    #[track_caller]
    fn log_abs_det(self) -> (Self, Self);
}

impl<const D: usize> TensorDet for Tensor<D> {
    #[track_caller]
    fn det(self) -> Self {
        det(self)
    }

    #[track_caller]
    fn log_abs_det(self) -> (Self, Self) {
        log_abs_det(self)
    }
}

/// Recorded with its own backward where the variable is being differentiated.
impl TensorDet for Var {
    #[track_caller]
    fn det(self) -> Self {
        let packed = factors("det", &self).or_panic();
        let [y] = apply_rule(&Det, [self, packed]);
        y
    }

    #[track_caller]
    fn log_abs_det(self) -> (Self, Self) {
        let packed = arguments::transcendental("log_abs_det", "a", self.detach().primitive())
            .and_then(|()| factors("log_abs_det", &self))
            .or_panic();
        let [sign, log] = apply_rule(&LogAbsDet, [self, packed]);
        (sign, log)
    }
}

fn factors(operation: &str, a: &Var) -> Result<Var, Error> {
    factored(operation, "a", &a.shape(), a.dtype())?;
    Ok(Var::new(<Dispatch as LuOps>::lu_factor(a.detach().into_primitive())))
}
