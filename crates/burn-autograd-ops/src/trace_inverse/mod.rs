//! Y = (A·B⁻¹)ᵀ + tr(A)·B.
//!
//! With G the gradient of Y and Y₁ = (A·B⁻¹)ᵀ:
//!
//! - Ā = (B⁻¹·G)ᵀ + ⟨G, B⟩·I = Gᵀ·B⁻ᵀ + ⟨G, B⟩·I,
//! - B̄ = −Y₁·(B⁻¹·G)ᵀ + tr(A)·G = −B⁻ᵀ·Aᵀ·Gᵀ·B⁻ᵀ + tr(A)·G,
//!
//! each summed over the batch dimensions in which its argument was broadcast.
//!
//! - **Domain**: matrices B that are not singular; what a singular one gives is said in
//!   [`lu`](crate::lu): NaN in each entry of its own result and gradients, unless a `try_` form is asked,
//!   which reads one number of each result back. Entries of A that are not finite spread as the formula
//!   has them.
//! - **Shapes**: A and B are `[.., n, n]`, of one rank; the leading dimensions broadcast, and a matrix
//!   B that is broadcast is factored once. n and the batch may be 0.
//! - **Data types**: the float types that the device computes with; see [`lu`](crate::lu) for
//!   `f16` and `bf16`. Kernels that do everything to a matrix while it is in the cache: `f32` and
//!   `f64` on Flex and NdArray, `f16` and `bf16` on Flex in `f32`.
//! - **Accuracy**: Y₁ is a solution with Bᵀ: ‖Y₁ᵀ·B − A‖ ≤ 3n³·ρ·ε·‖Y₁‖·‖B‖. tr(A) and ⟨G, B⟩ are summed in
//!   `f64` on Flex and NdArray. For n = 6 and a good condition of B, Y was off by at most 1.8 units in the
//!   last place of its largest number, the gradients by 3.2 (measured against 77 digits). In `f16` and
//!   `bf16` on Flex the result is rounded once; the gradients read the factors and Y₁, which were rounded,
//!   and are rounded themselves.
//! - **Cost**: one factorisation, ⅔n³ operations; 2n³ for Y, 2n³ for Ā, and 2n³ more for B̄. There is
//!   no inverse. A gradient that is differentiated again factors B once more.
//! - **Saved**: B and its factors; where B is tracked, A and Y₁, too: Y − tr(A)·B would lose digits where
//!   the trace is large.

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
mod small;
mod spec;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_autograd_core::{Error, Floats, OrPanic as _, Var, apply_rule, check as arguments};

use crate::lu::LuOps;
use crate::lu::arguments::{factored, fits, refuse_singular};
use crate::support::variables;
use crate::trace::TraceOps;

/// The rule of [`trace_inverse`](fn@trace_inverse), for
/// [`differentiate`](burn_autograd_core::differentiate).
#[derive(Debug, Clone, Copy)]
pub struct TraceInverse;

/// Which gradients of [`trace_inverse`](fn@trace_inverse) are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// That of `a`.
    pub a: bool,
    /// That of `b`.
    pub b: bool,
}

/// The backends' side of [`trace_inverse`](fn@trace_inverse). The default bodies are the
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
pub trait TraceInverseOps: LuOps + TraceOps {
    /// (A·B⁻¹)ᵀ + tr(A)·B, for batch dimensions that broadcast.
    #[fusion(default)]
    fn trace_inverse(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::trace_inverse_parts(a, b).0
    }

    /// The result, the factors of B, and (A·B⁻¹)ᵀ.
    #[fusion(default)]
    fn trace_inverse_parts(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        spec::parts::<Self>(a, b)
    }

    /// The gradients that are needed, `a` before `b`, in the common batch dimensions.
    ///
    /// The operands are A, B, its factors, (A·B⁻¹)ᵀ, and the gradient of the result. The first and the
    /// fourth are read for the gradient of `b` alone; without it they may be any matrices of such shapes.
    #[fusion(default)]
    fn trace_inverse_backward(
        #[extension_type] operands: Floats<Self>,
        needs: Needs,
    ) -> Floats<Self> {
        spec::backward::<Self>(operands, needs)
    }
}

/// (A·B⁻¹)ᵀ + tr(A)·B for matrices `[.., n, n]`, whose leading dimensions broadcast.
///
/// Where a matrix of B is singular, its result and its gradients are NaN.
///
/// # Panics
///
/// If the shapes do not fit, the devices or data types differ, or the device cannot compute with the
/// data type; [`try_trace_inverse`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::trace_inverse::trace_inverse;
///
/// let device = Device::flex().autodiff();
/// let a = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &device).require_grad();
/// let b = Tensor::<2>::from_floats([[0.0, 1.0], [0.5, 0.0]], &device);
/// let y = trace_inverse(a.clone(), b);
/// assert_eq!(y.to_data().try_to_vec::<f32>().unwrap(), [2.0, 9.0, 4.5, 6.0]);
/// let da = a.grad(&y.sum().backward()).unwrap();
/// assert_eq!(da.to_data().try_to_vec::<f32>().unwrap(), [3.5, 1.0, 2.0, 2.5]);
/// # }
/// ```
#[track_caller]
pub fn trace_inverse<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    checked(a, b).or_panic()
}

fn checked<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Result<Tensor<D>, Error> {
    const OPERATION: &str = "trace_inverse";
    let (a, b) = (a.into_dispatch(), b.into_dispatch());
    arguments::floats(OPERATION, &[("a", &a), ("b", &b)])?;
    factored(OPERATION, "b", &b.shape(), b.dtype())?;
    fits(OPERATION, ("b", &b.shape()), ("a", &a.shape()), &[1, 2])?;
    Ok(Tensor::from_dispatch(<Dispatch as TraceInverseOps>::trace_inverse(a, b)))
}

/// The same as [`trace_inverse`](fn@trace_inverse), with an error instead of a panic, or of a result
/// that is NaN.
///
/// It reads one number of each result back, which waits for the device.
///
/// # Errors
///
/// If the shapes do not fit, the devices or data types differ, the device cannot compute with the
/// data type, or a matrix of B is singular: the error names the first.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::trace_inverse::try_trace_inverse;
///
/// let b = Tensor::<2>::from_floats([[1.0, 2.0], [2.0, 4.0]], &Device::flex());
/// assert_eq!(
///     try_trace_inverse(b.ones_like(), b).unwrap_err().to_string(),
///     "trace_inverse: argument `b`: expected matrices that are not singular, and finite, got a \
///      singular matrix"
/// );
/// # }
/// ```
pub fn try_trace_inverse<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Result<Tensor<D>, Error> {
    let y = checked(a, b.clone())?;
    refuse_singular("trace_inverse", "b", b, &y)?;
    Ok(y)
}

/// [`trace_inverse`](fn@trace_inverse) as a method.
pub trait TensorTraceInverse {
    /// (self·B⁻¹)ᵀ + tr(self)·B; see [`trace_inverse`](fn@trace_inverse).
    #[must_use]
    #[track_caller]
    fn trace_inverse(self, b: Self) -> Self;
}

impl<const D: usize> TensorTraceInverse for Tensor<D> {
    #[track_caller]
    fn trace_inverse(self, b: Self) -> Self {
        trace_inverse(self, b)
    }
}

/// Recorded with its own backward where a variable is being differentiated.
impl TensorTraceInverse for Var {
    #[track_caller]
    fn trace_inverse(self, b: Self) -> Self {
        variables("trace_inverse", &[("a", &self), ("b", &b)])
            .and_then(|()| factored("trace_inverse", "b", &b.shape(), b.dtype()))
            .and_then(|()| fits("trace_inverse", ("b", &b.shape()), ("a", &self.shape()), &[1, 2]))
            .or_panic();
        let [y] = apply_rule(&TraceInverse, [self, b]);
        y
    }
}
