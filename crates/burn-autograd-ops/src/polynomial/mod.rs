//! A polynomial whose coefficients are a tensor, y = Σₖ cₖ·xᵏ for every element, by Horner's rule.
//!
//! With ȳ the gradient of y:  x̄ = ȳ·Σₖ k·cₖ·xᵏ⁻¹,  c̄ₖ = Σ ȳ·xᵏ over all elements.
//!
//! - **Domain**: all real numbers; smooth everywhere. Any degree, of at least one coefficient.
//! - **Shapes**: `x` of any rank and shape, also empty; `coefficients` is `[degree + 1]`, the constant
//!   first. The output has the shape of `x`, each gradient its argument's.
//! - **Data types**: the float types that the device computes with: `f32` and `f64` on NdArray, `f16`
//!   and `bf16`, too, on Flex, where these are computed in `f32`. Kernels for all of them there; elsewhere
//!   Burn's operations, which its fusion makes one kernel of.
//! - **Cost**: on Flex and NdArray one pass over memory forward, one backward for both gradients.
//!   Elsewhere the gradient of the coefficients is a sum over all elements for each of them.
//! - **Accuracy**: Horner's rule, whose error is at most γ₂ₖ·Σ |cₖ|·|x|ᵏ for degree k, with
//!   γₙ = n·u / (1 − n·u) and u half a unit in the last place (Higham, Accuracy and Stability of
//!   Numerical Algorithms, section 5.1). The sums of the coefficients' gradients run in `f64` on Flex
//!   and NdArray. In units in the last place of Σ |cₖ|·|x|ᵏ, and of its counterparts for the gradients,
//!   at most 1.1 and 1.9 were measured for degree 3 over [−2, 2] against 77 digits. In `f16` and `bf16` on
//!   Flex value and gradients are computed in `f32` and rounded once.
//! - **Saved**: both arguments, through Burn's checkpointer.

mod backward;
#[cfg(feature = "check")]
pub(crate) mod check;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
mod kernel;
mod module;
#[cfg(feature = "ndarray")]
mod ndarray;
#[cfg(feature = "router")]
pub(crate) mod router;
mod spec;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_autograd_core::{
    Error, ErrorKind, Floats, OrPanic as _, Var, apply_rule, check as arguments,
};

use crate::support::variables;
pub use module::{Polynomial3, Polynomial3Config};

/// The rule of [`polynomial`](fn@polynomial), for
/// [`differentiate`](burn_autograd_core::differentiate).
#[derive(Debug, Clone, Copy)]
pub struct Polynomial;

/// Which gradients of [`polynomial`](fn@polynomial) are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// That of `x`.
    pub x: bool,
    /// That of the coefficients.
    pub coefficients: bool,
}

/// The backends' side of [`polynomial`](fn@polynomial). The default bodies are the specification.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Remote: cfg(feature = "remote"),
    Capture: cfg(feature = "capture"),
    Autodiff: cfg(feature = "autodiff"),
    Fusion: cfg(feature = "fusion")
)]
pub trait PolynomialOps: Backend {
    /// Σₖ cₖ·xᵏ for every element.
    #[fusion(default)]
    fn polynomial(x: FloatTensor<Self>, coefficients: FloatTensor<Self>) -> FloatTensor<Self> {
        spec::forward::<Self>(x, coefficients)
    }

    /// The gradients that are needed, of `x` and of the coefficients.
    #[fusion(default)]
    fn polynomial_backward(
        x: FloatTensor<Self>,
        coefficients: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        needs: Needs,
    ) -> Floats<Self> {
        spec::backward::<Self>(x, coefficients, grad, needs)
    }
}

fn counted(operation: &'static str, coefficients: &Shape) -> Result<(), Error> {
    if coefficients.num_dims() == 1 && coefficients.num_elements() > 0 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Shape,
        operation,
        "coefficients",
        "the shape [degree + 1]",
        format!("{:?}", coefficients.to_vec()),
    ))
}

/// c₀ + c₁·x + c₂·x² + … for every element.
///
/// The derivative with respect to `x` is Σ k·cₖ·xᵏ⁻¹, to cₖ it is xᵏ, summed over the elements. Takes
/// a tensor of any shape and the coefficients, the constant first; gives a tensor like `x`.
///
/// # Panics
///
/// If there is no coefficient, the arguments' devices or data types differ, or the device cannot
/// compute with the data type; [`try_polynomial`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::polynomial::polynomial;
///
/// let device = Device::flex().autodiff();
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &device).require_grad();
/// let c = Tensor::<1>::from_floats([5.0, 0.0, 3.0], &device).require_grad();
/// let y = polynomial(x.clone(), c.clone());
/// assert_eq!(y.to_data().try_to_vec::<f32>().unwrap(), [8.0, 17.0]);
/// let grads = y.sum().backward();
/// assert_eq!(x.grad(&grads).unwrap().to_data().try_to_vec::<f32>().unwrap(), [6.0, 12.0]);
/// assert_eq!(c.grad(&grads).unwrap().to_data().try_to_vec::<f32>().unwrap(), [2.0, 3.0, 5.0]);
/// # }
/// ```
#[track_caller]
pub fn polynomial<const D: usize>(x: Tensor<D>, coefficients: Tensor<1>) -> Tensor<D> {
    try_polynomial(x, coefficients).or_panic()
}

/// The same as [`polynomial`](fn@polynomial), with an error instead of a panic.
///
/// # Errors
///
/// If there is no coefficient, the devices or data types differ, the device cannot compute with the
/// data type, or a tensor is quantized.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::polynomial::try_polynomial;
///
/// let x = Tensor::<1>::ones([3], &Device::flex());
/// let none = Tensor::<1>::zeros([0], &Device::flex());
/// assert_eq!(
///     try_polynomial(x, none).unwrap_err().to_string(),
///     "polynomial: argument `coefficients`: expected the shape [degree + 1], got [0]"
/// );
/// # }
/// ```
pub fn try_polynomial<const D: usize>(
    x: Tensor<D>,
    coefficients: Tensor<1>,
) -> Result<Tensor<D>, Error> {
    let (x, coefficients) = (x.into_dispatch(), coefficients.into_dispatch());
    arguments::floats("polynomial", &[("x", &x), ("coefficients", &coefficients)])?;
    counted("polynomial", &coefficients.shape())?;
    Ok(Tensor::from_dispatch(<Dispatch as PolynomialOps>::polynomial(x, coefficients)))
}

/// [`polynomial`](fn@polynomial) as a method.
pub trait TensorPolynomial {
    /// What the coefficients are.
    type Coefficients;

    /// c₀ + c₁·x + c₂·x² + … of every element; see [`polynomial`](fn@polynomial).
    #[must_use]
    fn polynomial(self, coefficients: Self::Coefficients) -> Self;
}

impl<const D: usize> TensorPolynomial for Tensor<D> {
    type Coefficients = Tensor<1>;

    #[track_caller]
    fn polynomial(self, coefficients: Tensor<1>) -> Self {
        polynomial(self, coefficients)
    }
}

/// Recorded with its own backward where a variable is being differentiated.
impl TensorPolynomial for Var {
    type Coefficients = Self;

    #[track_caller]
    fn polynomial(self, coefficients: Self) -> Self {
        variables("polynomial", &[("x", &self), ("coefficients", &coefficients)])
            .and_then(|()| counted("polynomial", &coefficients.shape()))
            .or_panic();
        let [y] = apply_rule(&Polynomial, [self, coefficients]);
        y
    }
}
