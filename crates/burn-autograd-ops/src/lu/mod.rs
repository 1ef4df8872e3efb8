//! The LU factorisation with partial pivoting, P·A = L·U, and the solutions that it gives: what
//! [`solve`](mod@crate::solve), [`inverse`](mod@crate::inverse), [`det`](mod@crate::det) and
//! [`trace_inverse`](mod@crate::trace_inverse) are made of.
//!
//! One float tensor holds everything that a factorisation is, the permutation included, so that it
//! is saved, checkpointed and queued like any other.
//!
//! - **Pivot**: the largest magnitude in the column, the first one on ties, as LAPACK chooses.
//! - **Shapes**: matrices are the last two dimensions; any leading dimensions are a batch, whose
//!   matrices do not see each other. n = 0 and an empty batch give empty results.
//! - **Singular**: a matrix is refused if a pivot is exactly 0 or not finite, or one of its entries is
//!   not finite. Nothing is read back to find out: every entry of every solution with that matrix is
//!   NaN, and the other matrices of the batch are what they are without it. A matrix that is only
//!   nearly singular is solved, with an error that its condition number bounds.
//! - **Data types**: permutations are exact up to n = 2²⁴ in `f32`, 2048 in `f16`, 256 in `bf16`;
//!   beyond that the operations refuse. NdArray has `f32` and `f64`. Flex, wgpu, cuda, rocm
//!   and metal compute `f16` and `bf16` in `f32`, and round each result, the factors too: a solution in
//!   these types is that of a matrix which is off by up to a unit in the last place of |L|·|U|. A factor
//!   beyond 65504 is ∞ in `f16`, and its matrix is refused like a singular one.
//! - **Accuracy**: for every n, ‖A·X − B‖ ≤ 3n³·ρ·ε·‖A‖·‖X‖ (Higham 2002, theorem 9.4 and lemma 9.6, with
//!   γ₃ₙ‖L‖‖U‖), where the growth ρ of the pivots is a small number for matrices that occur.
//! - **Cost**: ⅔n³ operations for a factorisation, 2n² for each column of a right-hand side.

pub(crate) mod arguments;
mod backward;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
pub(crate) mod kernel;
#[cfg(feature = "ndarray")]
mod ndarray;
#[cfg(feature = "router")]
pub(crate) mod router;
pub(crate) mod small;
pub(crate) mod spec;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension, get_device_settings};
use burn::tensor::Shape;
use burn_autograd_core::{Index, Mask, Var};

pub use backward::LuSolve;

/// The backends' side of the factorisation. The default bodies are the specification.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Remote: cfg(feature = "remote"),
    Capture: cfg(feature = "capture"),
    Autodiff: cfg(feature = "autodiff"),
    Fusion: cfg(feature = "fusion")
)]
pub trait LuOps: Backend {
    /// P·A = L·U by partial pivoting, for every matrix of a batch. `a` is `[.., n, n]`, the result
    /// `[.., n + 1, n]`: rows 0..n hold U on and above the diagonal and L below it (its unit
    /// diagonal is implied); row n holds the permutation: entry i is the row of A that became row i.
    ///
    /// Of a matrix with an entry that is not finite, every factor is NaN. The result is a constant,
    /// also where `a` is tracked; [`lu_solve_with`](Self::lu_solve_with) has the derivatives.
    #[fusion(id = "burn_autograd::lu_factor", dtype = a, shape = packed_shape(a))]
    fn lu_factor(a: FloatTensor<Self>) -> FloatTensor<Self> {
        spec::factor::<Self>(a)
    }

    /// X with A·X = B, or Aᵀ·X = B; `b` is `[.., n, k]`, with the batch dimensions of `packed`. NaN
    /// for a matrix with a pivot that is 0 or not finite.
    #[fusion(id = "burn_autograd::lu_solve", dtype = b, shape = b)]
    fn lu_solve(
        packed: FloatTensor<Self>,
        b: FloatTensor<Self>,
        transposed: bool,
    ) -> FloatTensor<Self> {
        spec::solve::<Self>(packed, b, transposed)
    }

    /// The same for `packed`, the factorisation of `a`, and batch dimensions that broadcast;
    /// differentiable with respect to `a` and `b`, to any order, without another factorisation.
    #[fusion(default)]
    fn lu_solve_with(
        a: FloatTensor<Self>,
        packed: FloatTensor<Self>,
        b: FloatTensor<Self>,
        transposed: bool,
    ) -> FloatTensor<Self> {
        let _ = a;
        let (packed, b) = spec::common_batch::<Self>(packed, b);
        Self::lu_solve(packed, b, transposed)
    }
}

/// The shape of the factorisation of matrices of this shape.
pub(crate) fn packed_shape(a: &Shape) -> Shape {
    let mut shape = a.clone();
    let rank = shape.num_dims();
    shape[rank - 2] += 1;
    shape
}

/// The shape of solutions: the matrices of `b`, in the batch dimensions that it and `a` broadcast to.
#[cfg(feature = "router")]
pub(crate) fn solution_shape(a: &Shape, b: &Shape) -> Shape {
    let mut sizes = b.to_vec();
    let batch = sizes.len() - 2;
    for (size, left) in sizes.iter_mut().zip(a.iter()).take(batch) {
        if *size == 1 {
            *size = *left;
        }
    }
    Shape::from(sizes)
}

/// The shape `[.., 1, 1]` of one number for each matrix.
pub(crate) fn number_shape(a: &Shape) -> Shape {
    let mut shape = a.clone();
    let rank = shape.num_dims();
    (shape[rank - 2], shape[rank - 1]) = (1, 1);
    shape
}

/// The first n entries on the diagonal of matrices with n columns, `[.., n, 1]`.
pub(crate) fn diagonal<B: Backend>(x: &Var<B>, n: usize) -> Var<B> {
    let mut shape = x.shape();
    let rank = shape.num_dims();
    let each = shape[rank - 2] * n;
    let count: usize = shape.iter().take(rank - 2).product();
    (shape[rank - 2], shape[rank - 1]) = (n, 1);
    if count * n == 0 {
        return x.full(shape, 0.0);
    }
    let (device, ints) = (x.device(), get_device_settings::<B>(&x.device()).int_dtype);
    let index = B::int_arange_step(0..(n * n) as i64, n + 1, &device, ints);
    x.reshape([count, each]).select(1, Index::new(index)).reshape(shape)
}

/// Where `[.., n, n]` is not on its diagonal, as `[1, .., n, n]`.
pub(crate) fn off_diagonal<B: Backend>(like: &Var<B>, rank: usize, n: usize) -> Mask<B> {
    let (device, settings) = (like.device(), get_device_settings::<B>(&like.device()));
    let sizes = |rows: usize, columns: usize| {
        let mut sizes = vec![1; rank];
        (sizes[rank - 2], sizes[rank - 1]) = (rows, columns);
        Shape::from(sizes)
    };
    let range = |shape: Shape| {
        let range = B::int_arange(0..n as i64, &device, settings.int_dtype);
        B::int_expand(B::int_reshape(range, shape), sizes(n, n))
    };
    Mask::new(B::int_not_equal(range(sizes(n, 1)), range(sizes(1, n)), settings.bool_dtype))
}

/// g·I for `[.., 1, 1]`: zeros off the diagonal also where g is not finite.
pub(crate) fn scaled_identity<B: Backend>(g: &Var<B>, n: usize) -> Var<B> {
    let mut shape = g.shape();
    let rank = shape.num_dims();
    (shape[rank - 2], shape[rank - 1]) = (n, n);
    if shape.num_elements() == 0 {
        return g.full(shape, 0.0);
    }
    g.expand(shape).mask_fill(&off_diagonal(g, rank, n), 0.0)
}

#[cfg(all(test, feature = "flex"))]
mod tests;
