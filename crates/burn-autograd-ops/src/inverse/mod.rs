//! The inverse of a matrix, Y = A⁻¹.
//!
//! With Ȳ the gradient of Y:  Ā = −Yᵀ·Ȳ·Yᵀ.
//!
//! - **Domain**: matrices that are not singular; what a singular one gives is said in
//!   [`lu`](crate::lu): NaN in each entry of its own inverse and gradient, unless a `try_` form is
//!   asked. To multiply by an inverse, [`solve`](mod@crate::solve) instead: it is faster and more accurate.
//! - **Shapes**: `[.., n, n]`; n and the batch may be 0.
//! - **Data types**: the float types that the device computes with; see [`lu`](crate::lu) for
//!   `f16` and `bf16`.
//! - **Accuracy**: that of [`solve`](mod@crate::solve) with the identity. For n = 6 and a good condition
//!   1.9 units in the last place of the largest number were measured against 77 digits, for the gradient
//!   4.1. In `f16` and `bf16` on Flex the factors are not rounded, and the inverse once; its gradient is
//!   two products with that.
//! - **Cost**: 2⅔n³ operations forward, 4n³ backward.
//! - **Saved**: the output alone.

mod backward;
#[cfg(feature = "check")]
pub(crate) mod check;
#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "router")]
pub(crate) mod router;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_autograd_core::{Error, OrPanic as _, Var, apply_rule, check as arguments};

use crate::lu::arguments::{factored, refuse_singular};
use crate::lu::{LuOps, number_shape, scaled_identity};

/// The rule of [`inverse`](fn@inverse), for [`differentiate`](burn_autograd_core::differentiate).
#[derive(Debug, Clone, Copy)]
pub struct Inverse;

/// The backends' side of [`inverse`](fn@inverse): a solution with the identity.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Remote: cfg(feature = "remote"),
    Capture: cfg(feature = "capture"),
    Autodiff: cfg(feature = "autodiff"),
    Fusion: cfg(feature = "fusion")
)]
pub trait InverseOps: LuOps {
    /// A⁻¹.
    #[fusion(default)]
    fn inverse(a: FloatTensor<Self>) -> FloatTensor<Self> {
        with_identity::<Self>(a)
    }
}

/// The solution with the identity.
fn with_identity<B: LuOps>(a: FloatTensor<B>) -> FloatTensor<B> {
    if crate::support::is_empty(&a) {
        return a;
    }
    let shape = a.shape();
    let ones = B::float_ones(number_shape(&shape), &a.device(), a.dtype().into());
    let identity = scaled_identity(&Var::<B>::new(ones), shape[shape.num_dims() - 1]);
    B::lu_solve(B::lu_factor(a), identity.into_primitive(), false)
}

#[cfg(feature = "ndarray")]
impl InverseOps for burn::backend::NdArray {}
#[cfg(feature = "cube")]
impl InverseOps for burn_cubecl::CubeBackend {}

/// A⁻¹ for matrices `[.., n, n]`. The gradient is −A⁻ᵀ·Ȳ·A⁻ᵀ.
///
/// Where a matrix is singular, its inverse and its gradient are NaN.
///
/// # Panics
///
/// If the matrices are not square, or the device cannot compute with the data type; [`try_inverse`]
/// returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::inverse::inverse;
///
/// let a = Tensor::<2>::from_floats([[0.0, 2.0], [4.0, 0.0]], &Device::flex().autodiff());
/// let y = inverse(a.require_grad());
/// assert_eq!(y.to_data().try_to_vec::<f32>().unwrap(), [0.0, 0.25, 0.5, 0.0]);
/// # }
/// ```
#[track_caller]
pub fn inverse<const D: usize>(a: Tensor<D>) -> Tensor<D> {
    checked(a).or_panic()
}

fn checked<const D: usize>(a: Tensor<D>) -> Result<Tensor<D>, Error> {
    let a = a.into_dispatch();
    arguments::floats("inverse", &[("a", &a)])?;
    factored("inverse", "a", &a.shape(), a.dtype())?;
    Ok(Tensor::from_dispatch(<Dispatch as InverseOps>::inverse(a)))
}

/// The same as [`inverse`](fn@inverse), with an error instead of a panic, or of an inverse that is
/// NaN.
///
/// It reads one number of each inverse back, which waits for the device.
///
/// # Errors
///
/// If the matrices are not square, the device cannot compute with the data type, or a matrix is
/// singular: the error names the first.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::inverse::try_inverse;
///
/// let a = Tensor::<2>::from_floats([[1.0, 2.0], [2.0, 4.0]], &Device::flex());
/// assert_eq!(
///     try_inverse(a).unwrap_err().to_string(),
///     "inverse: argument `a`: expected matrices that are not singular, and finite, got a \
///      singular matrix"
/// );
/// # }
/// ```
pub fn try_inverse<const D: usize>(a: Tensor<D>) -> Result<Tensor<D>, Error> {
    let y = checked(a.clone())?;
    refuse_singular("inverse", "a", a, &y)?;
    Ok(y)
}

/// [`inverse`](fn@inverse) as a method.
pub trait TensorInverse {
    /// A⁻¹; see [`inverse`](fn@inverse).
    #[must_use]
    #[track_caller]
    fn inverse(self) -> Self;
}

impl<const D: usize> TensorInverse for Tensor<D> {
    #[track_caller]
    fn inverse(self) -> Self {
        inverse(self)
    }
}

/// Recorded with its own backward where the variable is being differentiated.
impl TensorInverse for Var {
    #[track_caller]
    fn inverse(self) -> Self {
        factored("inverse", "a", &self.shape(), self.dtype()).or_panic();
        let [y] = apply_rule(&Inverse, [self]);
        y
    }
}
