//! How much a solution with a matrix may lose: its condition number, κ₁ = ‖A‖₁·‖A⁻¹‖₁.
//!
//! The relative error of a solution is about κ₁ times that of its right-hand side and of the
//! arithmetic: of 16 digits, log₁₀ κ₁ are lost.
//!
//! - **Definition**: ‖A‖₁ is the largest sum of magnitudes in a column. Nothing is estimated but for
//!   rounding: the whole inverse is computed, and the number is that of the formula, off by the accuracy of
//!   the inverse. For κ₁ near 1⁄ε only its order of magnitude means anything. An exactly singular matrix
//!   has ∞, one with an entry that is not finite NaN, the 0×0 matrix 0.
//! - **Shapes**: `[.., n, n]` gives `[.., 1, 1]`.
//! - **Data types**: those of [`inverse`](mod@crate::inverse).
//! - **Derivative**: none; the result is a constant.
//! - **Cost**: 2⅔n³ operations, for a factorisation and the inverse. The matrix is factored anew, also
//!   where a solution with it has factored it before.

use burn::backend::{Dispatch, TensorMetadata as _};
use burn::tensor::Tensor;
use burn_autograd_core::{Error, OrPanic as _, Var, check as arguments};

use crate::inverse::InverseOps;
use crate::lu::arguments::factored;

/// κ₁ = ‖A‖₁·‖A⁻¹‖₁ for matrices `[.., n, n]`, as `[.., 1, 1]`, a constant.
///
/// # Panics
///
/// If the matrices are not square, or the device cannot compute with the data type;
/// [`try_condition_estimate`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::condition_estimate::condition_estimate;
///
/// let a = Tensor::<2>::from_floats([[0.0, 2.0], [8.0, 0.0]], &Device::flex());
/// assert_eq!(condition_estimate(a).into_scalar::<f32>(), 4.0);
/// # }
/// ```
#[track_caller]
pub fn condition_estimate<const D: usize>(a: Tensor<D>) -> Tensor<D> {
    try_condition_estimate(a).or_panic()
}

/// The same as [`condition_estimate`], with an error instead of a panic.
///
/// # Errors
///
/// If the matrices are not square, or the device cannot compute with the data type.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::condition_estimate::try_condition_estimate;
///
/// let a = Tensor::<2>::ones([2, 3], &Device::flex());
/// assert_eq!(
///     try_condition_estimate(a).unwrap_err().to_string(),
///     "condition_estimate: argument `a`: expected square matrices, [.., n, n], got [2, 3]"
/// );
/// # }
/// ```
pub fn try_condition_estimate<const D: usize>(a: Tensor<D>) -> Result<Tensor<D>, Error> {
    let a = a.into_dispatch();
    arguments::floats("condition_estimate", &[("a", &a)])?;
    factored("condition_estimate", "a", &a.shape(), a.dtype())?;
    Ok(number(&Var::new(a)).into_tensor())
}

/// κ₁.
fn number(a: &Var) -> Var {
    let a = a.detach();
    let (rows, columns) = (a.rank() - 2, a.rank() - 1);
    if a.shape().num_elements() == 0 {
        return a.sum_dims(&[rows, columns]);
    }
    let inverse = Var::new(<Dispatch as InverseOps>::inverse(a.primitive().clone()));
    let singular = inverse.sum_dims(&[rows, columns]).is_nan();
    // Not every backend finds the largest number where there is none.
    let norm = |x: &Var| x.abs().mask_fill(&x.is_nan(), 0.0).sum_dim(rows).max_dim(columns);
    let number = (norm(&a) * norm(&inverse)).mask_fill(&singular, f64::INFINITY);
    // 0·x is NaN for what is not finite.
    number + (a * 0.0).sum_dims(&[rows, columns])
}

/// [`condition_estimate`] as a method.
pub trait TensorConditionEstimate {
    /// κ₁; see [`condition_estimate`].
    #[must_use]
    #[track_caller]
    fn condition_estimate(self) -> Self;
}

impl<const D: usize> TensorConditionEstimate for Tensor<D> {
    #[track_caller]
    fn condition_estimate(self) -> Self {
        condition_estimate(self)
    }
}

/// A constant, also where the variable is being differentiated.
impl TensorConditionEstimate for Var {
    #[track_caller]
    fn condition_estimate(self) -> Self {
        factored("condition_estimate", "a", &self.shape(), self.dtype()).or_panic();
        number(&self)
    }
}
