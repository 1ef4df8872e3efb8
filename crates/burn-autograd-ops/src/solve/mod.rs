//! Systems of linear equations: A·X = B, X·A = B, and A·x = b.
//!
//! With X̄ the gradient of X:  B̄ = A⁻ᵀ·X̄,  Ā = −B̄·Xᵀ, each summed over the batch dimensions in which
//! its argument was broadcast. Both come from the factorisation that the solution was made with.
//!
//! - **Domain**: matrices that are not singular; what a singular one gives is said in
//!   [`lu`](crate::lu): NaN in each entry of its own solution and gradients, unless a `try_` form
//!   is asked, which reads one number of each solution back (that waits for the device).
//! - **Shapes**: A is `[.., n, n]`, B `[.., n, k]`, of one rank; the leading dimensions broadcast. A
//!   matrix that is broadcast is factored once. n, k and the batch may be 0: the result then is empty.
//! - **Data types**: the float types that the device computes with; see [`lu`](crate::lu) for
//!   `f16` and `bf16`.
//! - **Accuracy**: ‖A·X − B‖ ≤ 3n³·ρ·ε·‖A‖·‖X‖ (tested), so that X is off by at most the condition number
//!   times that; see [`condition_estimate`](mod@crate::condition_estimate). For n = 6 and a good condition
//!   X was off by at most 1.9 units in the last place of its largest number, the gradients by 3.5 (measured
//!   against 77 digits). In `f16` and `bf16`, whose factors are rounded, ε is a unit of these types.
//! - **Cost**: ⅔n³ + 2n²k operations forward, 2n²k for B̄ and as many again for Ā.
//! - **Saved**: A, B's solution if the gradient of A is needed, and the factors.

#[cfg(feature = "check")]
pub(crate) mod check;

use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::Tensor;
use burn_autograd_core::{Error, ErrorKind, OrPanic as _, Var, check as arguments};

use crate::lu::arguments::{factored, fits, refuse_singular};
use crate::lu::{LuOps, LuSolve};
use crate::support::{transposed, variables};

/// X with A·X = B; `a` is `[.., n, n]`, `b` `[.., n, k]`, and their leading dimensions broadcast.
///
/// The gradient of `b` is A⁻ᵀ·X̄, that of `a` is minus this times Xᵀ. Where a matrix is singular, its
/// solution and gradients are NaN.
///
/// # Panics
///
/// If the shapes do not fit, the devices or data types differ, or the device cannot compute with the
/// data type; [`try_solve`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::solve::solve;
///
/// let device = Device::flex().autodiff();
/// let a = Tensor::<2>::from_floats([[0.0, 2.0], [4.0, 0.0]], &device);
/// let b = Tensor::<2>::from_floats([[2.0], [8.0]], &device).require_grad();
/// let x = solve(a, b.clone());
/// assert_eq!(x.to_data().try_to_vec::<f32>().unwrap(), [2.0, 1.0]);
/// let db = b.grad(&x.sum().backward()).unwrap();
/// assert_eq!(db.to_data().try_to_vec::<f32>().unwrap(), [0.5, 0.25]);
/// # }
/// ```
#[track_caller]
pub fn solve<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    left("solve", a, b).or_panic()
}

/// The same as [`solve`], with an error instead of a panic, or of a solution that is NaN.
///
/// It reads one number of each solution back, which waits for the device.
///
/// # Errors
///
/// If the shapes do not fit, the devices or data types differ, the device cannot compute with the
/// data type, or a matrix is singular: the error names the first.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::solve::try_solve;
///
/// let a = Tensor::<3>::from_floats([[[2.0]], [[0.0]]], &Device::flex());
/// assert_eq!(
///     try_solve(a.clone(), a.ones_like()).unwrap_err().to_string(),
///     "solve: argument `a`: expected matrices that are not singular, and finite, got a singular \
///      one at batch index [1] (1 of 2 are)"
/// );
/// # }
/// ```
pub fn try_solve<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Result<Tensor<D>, Error> {
    let x = left("solve", a.clone(), b)?;
    refuse_singular("solve", "a", a, &x)?;
    Ok(x)
}

fn left<const D: usize>(
    operation: &'static str,
    a: Tensor<D>,
    b: Tensor<D>,
) -> Result<Tensor<D>, Error> {
    let (a, b) = (a.into_dispatch(), b.into_dispatch());
    arguments::floats(operation, &[("a", &a), ("b", &b)])?;
    factored(operation, "a", &a.shape(), a.dtype())?;
    fits(operation, ("a", &a.shape()), ("b", &b.shape()), &[2])?;
    let packed = <Dispatch as LuOps>::lu_factor(a.clone());
    Ok(Tensor::from_dispatch(<Dispatch as LuOps>::lu_solve_with(a, packed, b, false)))
}

/// X with X·A = B; `a` is `[.., n, n]`, `b` `[.., k, n]`, and their leading dimensions broadcast.
///
/// The gradient of `b` is X̄·A⁻ᵀ, that of `a` is −Xᵀ times this.
///
/// # Panics
///
/// As [`solve`]; [`try_solve_right`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::solve::solve_right;
///
/// let device = Device::flex();
/// let a = Tensor::<2>::from_floats([[0.0, 2.0], [4.0, 0.0]], &device);
/// let x = solve_right(a, Tensor::<2>::from_floats([[2.0, 8.0]], &device));
/// assert_eq!(x.to_data().try_to_vec::<f32>().unwrap(), [4.0, 0.5]);
/// # }
/// ```
#[track_caller]
pub fn solve_right<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    right(a, b).or_panic()
}

/// The same as [`solve_right`], with an error instead of a panic, or of a solution that is NaN.
///
/// # Errors
///
/// As [`try_solve`].
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::solve::try_solve_right;
///
/// let a = Tensor::<2>::from_floats([[1.0, 2.0], [2.0, 4.0]], &Device::flex());
/// assert_eq!(
///     try_solve_right(a.clone(), a.ones_like()).unwrap_err().to_string(),
///     "solve_right: argument `a`: expected matrices that are not singular, and finite, got a \
///      singular matrix"
/// );
/// # }
/// ```
pub fn try_solve_right<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Result<Tensor<D>, Error> {
    let x = right(a.clone(), b)?;
    refuse_singular("solve_right", "a", a, &x)?;
    Ok(x)
}

fn right<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Result<Tensor<D>, Error> {
    let operation = "solve_right";
    let (a, b) = (a.into_dispatch(), b.into_dispatch());
    arguments::floats(operation, &[("a", &a), ("b", &b)])?;
    factored(operation, "a", &a.shape(), a.dtype())?;
    fits(operation, ("a", &a.shape()), ("b", &b.shape()), &[1])?;
    let packed = <Dispatch as LuOps>::lu_factor(a.clone());
    let b = transposed(Tensor::<D>::from_dispatch(b)).into_dispatch();
    let x = <Dispatch as LuOps>::lu_solve_with(a, packed, b, true);
    Ok(transposed(Tensor::<D>::from_dispatch(x)))
}

/// x with A·x = b, for vectors: `a` is `[.., n, n]`, `b` `[.., n]`, with one dimension less, and
/// their leading dimensions broadcast. For x·A = b give `a.transpose()`: a vector is no row.
///
/// # Panics
///
/// As [`solve`], and if E is not D − 1; [`try_solve_vector`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::solve::solve_vector;
///
/// let device = Device::flex();
/// let a = Tensor::<2>::from_floats([[0.0, 2.0], [4.0, 0.0]], &device);
/// let x = solve_vector(a, Tensor::<1>::from_floats([2.0, 8.0], &device));
/// assert_eq!(x.to_data().try_to_vec::<f32>().unwrap(), [2.0, 1.0]);
/// # }
/// ```
#[track_caller]
pub fn solve_vector<const D: usize, const E: usize>(a: Tensor<D>, b: Tensor<E>) -> Tensor<E> {
    column::<D, E>(b)
        .and_then(|b| left("solve_vector", a, b))
        .map(|x| x.squeeze_dim::<E>(D - 1))
        .or_panic()
}

/// The same as [`solve_vector`], with an error instead of a panic, or of a solution that is NaN.
///
/// # Errors
///
/// As [`try_solve`], and if E is not D − 1.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::solve::try_solve_vector;
///
/// let a = Tensor::<2>::eye(3, &Device::flex());
/// assert_eq!(
///     try_solve_vector(a.clone(), a).unwrap_err().to_string(),
///     "solve_vector: argument `b`: expected one dimension less than the 2 of `a`, got 2 dimensions"
/// );
/// # }
/// ```
pub fn try_solve_vector<const D: usize, const E: usize>(
    a: Tensor<D>,
    b: Tensor<E>,
) -> Result<Tensor<E>, Error> {
    let b = column::<D, E>(b)?;
    let x = left("solve_vector", a.clone(), b)?;
    refuse_singular("solve_vector", "a", a, &x)?;
    Ok(x.squeeze_dim::<E>(D - 1))
}

fn column<const D: usize, const E: usize>(b: Tensor<E>) -> Result<Tensor<D>, Error> {
    one_dimension_less(D, E)?;
    Ok(b.unsqueeze_dim::<D>(E))
}

fn one_dimension_less(matrix: usize, vector: usize) -> Result<(), Error> {
    if vector + 1 == matrix {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Shape,
        "solve_vector",
        "b",
        format!("one dimension less than the {matrix} of `a`"),
        format!("{vector} dimensions"),
    ))
}

/// [`solve`] as a method.
pub trait TensorSolve {
    /// X with self·X = B; see [`solve`].
    #[must_use]
    #[track_caller]
    fn solve(self, b: Self) -> Self;

    /// X with X·self = B; see [`solve_right`].
    #[must_use]
    #[track_caller]
    fn solve_right(self, b: Self) -> Self;
}

impl<const D: usize> TensorSolve for Tensor<D> {
    #[track_caller]
    fn solve(self, b: Self) -> Self {
        solve(self, b)
    }

    #[track_caller]
    fn solve_right(self, b: Self) -> Self {
        solve_right(self, b)
    }
}

/// [`solve_vector`] as a method; `V` is what a vector is.
pub trait TensorSolveVector<V = Self> {
    /// x with self·x = b; see [`solve_vector`].
    #[must_use]
    #[track_caller]
    fn solve_vector(self, b: V) -> V;
}

impl<const D: usize, const E: usize> TensorSolveVector<Tensor<E>> for Tensor<D> {
    #[track_caller]
    fn solve_vector(self, b: Tensor<E>) -> Tensor<E> {
        solve_vector(self, b)
    }
}

/// Recorded with its own backward where a variable is being differentiated.
impl TensorSolveVector for Var {
    #[track_caller]
    fn solve_vector(self, b: Self) -> Self {
        let last = b.rank();
        one_dimension_less(self.rank(), last).or_panic();
        with_var("solve_vector", false, &self, b.unsqueeze_dim(last), &[2]).squeeze_dim(last)
    }
}

/// Recorded with its own backward where a variable is being differentiated.
impl TensorSolve for Var {
    #[track_caller]
    fn solve(self, b: Self) -> Self {
        with_var("solve", false, &self, b, &[2])
    }

    #[track_caller]
    fn solve_right(self, b: Self) -> Self {
        with_var("solve_right", true, &self, b, &[1])
    }
}

#[track_caller]
fn with_var(operation: &str, right: bool, a: &Var, b: Var, dims: &[usize]) -> Var {
    variables(operation, &[("a", a), ("b", &b)])
        .and_then(|()| factored(operation, "a", &a.shape(), a.dtype()))
        .and_then(|()| fits(operation, ("a", &a.shape()), ("b", &b.shape()), dims))
        .or_panic();
    let packed = Var::new(<Dispatch as LuOps>::lu_factor(a.detach().into_primitive()));
    if right {
        LuSolve::apply(true, a, &packed, b.transpose()).transpose()
    } else {
        LuSolve::apply(false, a, &packed, b)
    }
}
