//! Systems of linear equations: A·X = B, X·A = B, and A·x = b.
//!
//! With X̄ the gradient of X:  B̄ = A⁻ᵀ·X̄,  Ā = −B̄·Xᵀ, each summed over the batch dimensions in which
//! its argument was broadcast. Both come from the factorisation that the solution was made with.
//!
//! - **Domain**: matrices that are not singular; what a singular one gives is said in
//!   [`lu`](crate::lu): NaN in each entry of its own solution and gradients, unless a `try_` form
//!   is asked, which reads one number of each solution, or of each gradient of A, back (that waits for
//!   the device).
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
#[cfg(feature = "autodiff")]
mod product;
#[cfg(all(feature = "router", feature = "autodiff"))]
mod router;

use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::Tensor;
use burn_autograd_core::{Error, ErrorKind, Var, check as arguments};

use crate::lu::arguments::{factored, fits, refuse_singular};
use crate::lu::{LuOps, LuSolve};
use crate::support::{transposed, variables};
#[cfg(feature = "autodiff")]
pub use product::SolveOps;

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
pub fn solve<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    left("solve", a, b).unwrap_or_else(|error| panic!("{error}"))
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
pub fn solve_right<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    right(a, b).unwrap_or_else(|error| panic!("{error}"))
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
pub fn solve_vector<const D: usize, const E: usize>(a: Tensor<D>, b: Tensor<E>) -> Tensor<E> {
    column::<D, E>("solve_vector", "b", b)
        .and_then(|b| left("solve_vector", a, b))
        .map(|x| x.squeeze_dim::<E>(D - 1))
        .unwrap_or_else(|error| panic!("{error}"))
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
    let b = column::<D, E>("solve_vector", "b", b)?;
    let x = left("solve_vector", a.clone(), b)?;
    refuse_singular("solve_vector", "a", a, &x)?;
    Ok(x.squeeze_dim::<E>(D - 1))
}

fn column<const D: usize, const E: usize>(
    operation: &'static str,
    argument: &'static str,
    b: Tensor<E>,
) -> Result<Tensor<D>, Error> {
    one_dimension_less(operation, argument, D, E)?;
    Ok(b.unsqueeze_dim::<D>(E))
}

fn one_dimension_less(
    operation: &'static str,
    argument: &'static str,
    matrix: usize,
    vector: usize,
) -> Result<(), Error> {
    if vector + 1 == matrix {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Shape,
        operation,
        argument,
        format!("one dimension less than the {matrix} of `a`"),
        format!("{vector} dimensions"),
    ))
}

/// The gradients of ⟨grad, X⟩, with A·X = B, with respect to `a` and `b`, tracked if an argument is:
/// differentiate them for second derivatives.
///
/// # Panics
///
/// As [`solve`]; and if `grad` does not have the shape of X. [`try_solve_vjp`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::solve::solve_vjp;
///
/// let a = Tensor::<2>::from_floats([[2.0]], &Device::flex().autodiff()).require_grad();
/// let (da, db) = solve_vjp(a.clone(), a.ones_like(), a.ones_like());
/// assert_eq!((da.clone().into_scalar::<f32>(), db.into_scalar::<f32>()), (-0.25, 0.5));
/// // ∂²(b⁄a)/∂a² = 2b⁄a³.
/// assert_eq!(a.grad(&da.sum().backward()).unwrap().into_scalar::<f32>(), 0.25);
/// # }
/// ```
#[cfg(feature = "autodiff")]
pub fn solve_vjp<const D: usize>(
    a: Tensor<D>,
    b: Tensor<D>,
    grad: Tensor<D>,
) -> (Tensor<D>, Tensor<D>) {
    left_vjp("solve_vjp", a, b, grad).unwrap_or_else(|error| panic!("{error}"))
}

/// The same as [`solve_vjp`], with an error instead of a panic, or of gradients that are NaN.
///
/// It reads one number of each gradient of `a` back, which waits for the device.
///
/// # Errors
///
/// As [`try_solve`], so also if a matrix is singular; and if `grad` does not have the shape of X.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::solve::try_solve_vjp;
///
/// let a = Tensor::<3>::from_floats([[[2.0]], [[0.0]]], &Device::flex());
/// let b = a.ones_like();
/// assert_eq!(
///     try_solve_vjp(a.clone(), b.clone(), b.clone()).unwrap_err().to_string(),
///     "solve_vjp: argument `a`: expected matrices that are not singular, and finite, got a singular \
///      one at batch index [1] (1 of 2 are)"
/// );
/// assert_eq!(
///     try_solve_vjp(a, b.clone(), b.slice([0..1])).unwrap_err().to_string(),
///     "solve_vjp: argument `grad`: expected the output's shape [2, 1, 1], got [1, 1, 1]"
/// );
/// # }
/// ```
#[cfg(feature = "autodiff")]
pub fn try_solve_vjp<const D: usize>(
    a: Tensor<D>,
    b: Tensor<D>,
    grad: Tensor<D>,
) -> Result<(Tensor<D>, Tensor<D>), Error> {
    let (da, db) = left_vjp("solve_vjp", a.clone(), b, grad)?;
    refuse_singular("solve_vjp", "a", a, &da)?;
    Ok((da, db))
}

#[cfg(feature = "autodiff")]
fn left_vjp<const D: usize>(
    operation: &'static str,
    a: Tensor<D>,
    b: Tensor<D>,
    grad: Tensor<D>,
) -> Result<(Tensor<D>, Tensor<D>), Error> {
    let [a, b, grad] = [a, b, grad].map(Tensor::into_dispatch);
    product_arguments(operation, [&a, &b, &grad], 2)?;
    let (da, db) = <Dispatch as SolveOps>::solve_vjp(a, b, grad);
    Ok((Tensor::from_dispatch(da), Tensor::from_dispatch(db)))
}

/// Checks the arguments of a product; `dim` is the dimension of `b`, counted from the end, that is n.
#[cfg(feature = "autodiff")]
fn product_arguments(
    operation: &'static str,
    [a, b, grad]: [&burn::backend::DispatchTensor; 3],
    dim: usize,
) -> Result<(), Error> {
    arguments::floats(operation, &[("a", a), ("b", b), ("grad", grad)])?;
    factored(operation, "a", &a.shape(), a.dtype())?;
    fits(operation, ("a", &a.shape()), ("b", &b.shape()), &[dim])?;
    crate::lu::arguments::cotangent(operation, &a.shape(), &b.shape(), &grad.shape())
}

/// The gradients of ⟨grad, X⟩, with X·A = B, with respect to `a` and `b`, tracked if an argument is:
/// differentiate them for second derivatives.
///
/// # Panics
///
/// As [`solve_right`]; and if `grad` does not have the shape of X. [`try_solve_right_vjp`] returns an
/// error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::solve::solve_right_vjp;
///
/// let device = Device::flex().autodiff();
/// let a = Tensor::<2>::from_floats([[0.0, 2.0], [4.0, 0.0]], &device).require_grad();
/// // X is [4, ½].
/// let b = Tensor::<2>::from_floats([[2.0, 8.0]], &device);
/// let (da, db) = solve_right_vjp(a.clone(), b.clone(), b.ones_like());
/// assert_eq!(db.to_data().try_to_vec::<f32>().unwrap(), [0.25, 0.5]);
/// assert_eq!(da.to_data().try_to_vec::<f32>().unwrap(), [-1.0, -2.0, -0.125, -0.25]);
/// // The sum of `db` is that of A⁻¹, whose gradient is −A⁻ᵀ·1·1ᵀ·A⁻ᵀ.
/// let second = a.grad(&db.sum().backward()).unwrap();
/// assert_eq!(second.to_data().try_to_vec::<f32>().unwrap(), [-0.125, -0.25, -0.0625, -0.125]);
/// # }
/// ```
#[cfg(feature = "autodiff")]
pub fn solve_right_vjp<const D: usize>(
    a: Tensor<D>,
    b: Tensor<D>,
    grad: Tensor<D>,
) -> (Tensor<D>, Tensor<D>) {
    right_vjp(a, b, grad).unwrap_or_else(|error| panic!("{error}"))
}

/// The same as [`solve_right_vjp`], with an error instead of a panic, or of gradients that are NaN.
///
/// # Errors
///
/// As [`try_solve_vjp`].
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::solve::try_solve_right_vjp;
///
/// let a = Tensor::<2>::from_floats([[1.0, 2.0], [2.0, 4.0]], &Device::flex());
/// assert_eq!(
///     try_solve_right_vjp(a.clone(), a.clone(), a).unwrap_err().to_string(),
///     "solve_right_vjp: argument `a`: expected matrices that are not singular, and finite, got a \
///      singular matrix"
/// );
/// # }
/// ```
#[cfg(feature = "autodiff")]
pub fn try_solve_right_vjp<const D: usize>(
    a: Tensor<D>,
    b: Tensor<D>,
    grad: Tensor<D>,
) -> Result<(Tensor<D>, Tensor<D>), Error> {
    let (da, db) = right_vjp(a.clone(), b, grad)?;
    refuse_singular("solve_right_vjp", "a", a, &da)?;
    Ok((da, db))
}

#[cfg(feature = "autodiff")]
fn right_vjp<const D: usize>(
    a: Tensor<D>,
    b: Tensor<D>,
    grad: Tensor<D>,
) -> Result<(Tensor<D>, Tensor<D>), Error> {
    let [a, b, grad] = [a, b, grad].map(Tensor::into_dispatch);
    product_arguments("solve_right_vjp", [&a, &b, &grad], 1)?;
    // X·A = B is Aᵀ·Xᵀ = Bᵀ.
    let [a, b, grad] =
        [a, b, grad].map(|x| transposed(Tensor::<D>::from_dispatch(x)).into_dispatch());
    let (da, db) = <Dispatch as SolveOps>::solve_vjp(a, b, grad);
    Ok((transposed(Tensor::from_dispatch(da)), transposed(Tensor::from_dispatch(db))))
}

/// The gradients of ⟨grad, x⟩, with A·x = b for vectors, with respect to `a` and `b`, tracked if an
/// argument is: differentiate them for second derivatives.
///
/// # Panics
///
/// As [`solve_vector`]; and if `grad` does not have the shape of x. [`try_solve_vector_vjp`] returns an
/// error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::solve::solve_vector_vjp;
///
/// let device = Device::flex().autodiff();
/// let a = Tensor::<2>::from_floats([[0.0, 2.0], [4.0, 0.0]], &device);
/// // x is [2, 1].
/// let b = Tensor::<1>::from_floats([2.0, 8.0], &device).require_grad();
/// let (da, db) = solve_vector_vjp(a, b.clone(), b.ones_like());
/// assert_eq!(db.to_data().try_to_vec::<f32>().unwrap(), [0.5, 0.25]);
/// assert_eq!(da.to_data().try_to_vec::<f32>().unwrap(), [-1.0, -0.5, -0.5, -0.25]);
/// // The sum of `da` is −¾·(x₁ + x₂).
/// let second = b.grad(&da.sum().backward()).unwrap();
/// assert_eq!(second.to_data().try_to_vec::<f32>().unwrap(), [-0.375, -0.1875]);
/// # }
/// ```
#[cfg(feature = "autodiff")]
pub fn solve_vector_vjp<const D: usize, const E: usize>(
    a: Tensor<D>,
    b: Tensor<E>,
    grad: Tensor<E>,
) -> (Tensor<D>, Tensor<E>) {
    vector_vjp(a, b, grad).unwrap_or_else(|error| panic!("{error}"))
}

/// The same as [`solve_vector_vjp`], with an error instead of a panic, or of gradients that are NaN.
///
/// # Errors
///
/// As [`try_solve_vjp`], and if E is not D − 1.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::solve::try_solve_vector_vjp;
///
/// let a = Tensor::<2>::eye(3, &Device::flex());
/// assert_eq!(
///     try_solve_vector_vjp(a.clone(), a.clone(), a).unwrap_err().to_string(),
///     "solve_vector_vjp: argument `b`: expected one dimension less than the 2 of `a`, got 2 dimensions"
/// );
/// # }
/// ```
#[cfg(feature = "autodiff")]
pub fn try_solve_vector_vjp<const D: usize, const E: usize>(
    a: Tensor<D>,
    b: Tensor<E>,
    grad: Tensor<E>,
) -> Result<(Tensor<D>, Tensor<E>), Error> {
    let (da, db) = vector_vjp(a.clone(), b, grad)?;
    refuse_singular("solve_vector_vjp", "a", a, &da)?;
    Ok((da, db))
}

#[cfg(feature = "autodiff")]
fn vector_vjp<const D: usize, const E: usize>(
    a: Tensor<D>,
    b: Tensor<E>,
    grad: Tensor<E>,
) -> Result<(Tensor<D>, Tensor<E>), Error> {
    const OPERATION: &str = "solve_vector_vjp";
    let b = column::<D, E>(OPERATION, "b", b)?;
    let grad = column::<D, E>(OPERATION, "grad", grad)?;
    let (da, db) = left_vjp(OPERATION, a, b, grad)?;
    Ok((da, db.squeeze_dim::<E>(D - 1)))
}

/// [`solve`] as a method.
pub trait TensorSolve {
    /// X with self·X = B; see [`solve`].
    #[must_use]
    fn solve(self, b: Self) -> Self;

    /// X with X·self = B; see [`solve_right`].
    #[must_use]
    fn solve_right(self, b: Self) -> Self;
}

impl<const D: usize> TensorSolve for Tensor<D> {
    fn solve(self, b: Self) -> Self {
        solve(self, b)
    }

    fn solve_right(self, b: Self) -> Self {
        solve_right(self, b)
    }
}

/// [`solve_vector`] as a method; `V` is what a vector is.
pub trait TensorSolveVector<V = Self> {
    /// x with self·x = b; see [`solve_vector`].
    #[must_use]
    fn solve_vector(self, b: V) -> V;
}

impl<const D: usize, const E: usize> TensorSolveVector<Tensor<E>> for Tensor<D> {
    fn solve_vector(self, b: Tensor<E>) -> Tensor<E> {
        solve_vector(self, b)
    }
}

/// Recorded with its own backward where a variable is being differentiated.
impl TensorSolveVector for Var {
    #[track_caller]
    fn solve_vector(self, b: Self) -> Self {
        let last = b.rank();
        one_dimension_less("solve_vector", "b", self.rank(), last)
            .unwrap_or_else(|error| panic!("{error}"));
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
        .unwrap_or_else(|error| panic!("{error}"));
    let packed = Var::new(<Dispatch as LuOps>::lu_factor(a.detach().into_primitive()));
    if right {
        LuSolve::apply(true, a, &packed, b.transpose()).transpose()
    } else {
        LuSolve::apply(false, a, &packed, b)
    }
}
