//! The operations of `burn-autograd`.
//!
//! | operation | definition | derivative | saved |
//! |---|---|---|---|
//! | [`legendre_p3`] | ½(5x³ − 3x) | 3⁄2·(5x² − 1) | the input |
//! | [`relu`](mod@relu) | max(x, 0) | 1 where x > 0, 0 elsewhere and at 0 | the input |
//! | [`exp`](mod@exp) | eˣ | the output | the output |
//! | [`multiply_add`] | w·x + b, broadcasting | x, w, 1, summed over what was broadcast | the factors |
//! | [`polynomial`](mod@polynomial) | Σ cₖ·xᵏ | Σ k·cₖ·xᵏ⁻¹, and Σ xᵏ | both arguments |
//! | [`sum_squared_error`](mod@sum_squared_error) | Σ (p − t)² | 2·(p − t), and its opposite | both arguments |
//! | [`linear`](mod@linear) | x·Wᵀ + b | ȳ·W, ȳᵀ·x, Σ ȳ | the factors that are needed |
//! | [`cross_entropy`](mod@cross_entropy) | −ln softmax at the target | softmax − 1 at the target | the logits, two numbers a row |
//! | [`solve`](mod@solve) | X with A·X = B, or X·A = B | B̄ = A⁻ᵀ·X̄, Ā = −B̄·Xᵀ | A, its factors, X |
//! | [`inverse`](mod@inverse) | A⁻¹ | −Yᵀ·Ȳ·Yᵀ | the output |
//! | [`trace`](mod@trace) | Σ aᵢᵢ | ȳ·I | nothing |
//! | [`det`](mod@det) | det A; the sign and ln\|det A\| | ȳ times the cofactors; ȳ·A⁻ᵀ | A, its factors |
//! | [`trace_inverse`](mod@trace_inverse) | (A·B⁻¹)ᵀ + tr(A)·B | (B⁻¹·G)ᵀ + ⟨G, B⟩·I; −Y₁·(B⁻¹·G)ᵀ + tr(A)·G | B, its factors; for B̄ also A and Y₁ = (A·B⁻¹)ᵀ |
//! | [`condition_estimate`](mod@condition_estimate) | ‖A‖₁·‖A⁻¹‖₁ | none | nothing |
//!
//! Each is a folder: `mod.rs` has the definition and what users call, `spec.rs` forward and backward
//! in Burn's own operations, `backward.rs` what is saved and the explicit backward, `kernel.rs` the
//! formulas of the CPU kernels, `flex.rs`, `ndarray.rs` and `cube.rs` the backends that gain from a
//! kernel, `check.rs` the cases on which the gradient is proven. Where one of them would be long it is
//! several: [`lu`] has a folder `kernel`, and [`cross_entropy`](mod@cross_entropy) its options, arguments,
//! functions and methods apart.
//!
//! `f16` and `bf16` are computed in `f32` on Flex, and each result is rounded once. Second derivatives are
//! made of Burn's own operations, which round each step to the data type.
//!
//! [`prelude`] has the functions and the tensor methods.
//!
//! An operation is a backend extension trait, for example
//! [`LegendreP3Ops`](legendre_p3::LegendreP3Ops). Its default bodies are the specification, so that
//! a backend without a kernel is an empty `impl`. The gradient of each operation is itself
//! differentiable, to any order: `vjp(|x: Var| x.legendre_p3(), x)`. Functions panic on bad arguments, as
//! Burn's do; their `try_` forms return an error, also where a singular matrix makes a result NaN.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    feature = "ndarray",
    allow(
        deprecated,
        reason = "Burn deprecated its NdArray backend; we serve it until it is gone"
    )
)]

pub mod condition_estimate;
pub mod cross_entropy;
pub mod det;
pub mod exp;
pub mod inverse;
pub mod legendre_p3;
pub mod linear;
pub mod lu;
pub mod multiply_add;
pub mod polynomial;
pub mod relu;
#[cfg(feature = "router")]
pub mod remote;
pub mod solve;
pub mod sum_squared_error;
mod support;
pub mod trace;
pub mod trace_inverse;

#[cfg(feature = "check")]
pub mod check;

/// The functions and the tensor methods of every operation.
///
/// The modules [`Linear`](linear::Linear), [`Relu`](mod@relu), [`CrossEntropyLoss`](mod@cross_entropy) and
/// the others are not in it: Burn has modules of the same names.
pub mod prelude {
    pub use crate::condition_estimate::{TensorConditionEstimate, condition_estimate};
    pub use crate::cross_entropy::{CrossEntropyOptions, TensorCrossEntropy, cross_entropy};
    pub use crate::det::{TensorDet, det, log_abs_det};
    pub use crate::exp::{TensorExp, exp};
    pub use crate::inverse::{TensorInverse, inverse};
    pub use crate::legendre_p3::{TensorLegendreP3, legendre_p3};
    pub use crate::linear::{TensorLinear, linear};
    pub use crate::multiply_add::{TensorMultiplyAdd, multiply_add};
    pub use crate::polynomial::{TensorPolynomial, polynomial};
    pub use crate::relu::{TensorRelu, relu};
    pub use crate::solve::{TensorSolve, TensorSolveVector, solve, solve_right, solve_vector};
    pub use crate::sum_squared_error::{TensorSumSquaredError, sum_squared_error};
    pub use crate::trace::{TensorTrace, trace};
    pub use crate::trace_inverse::{TensorTraceInverse, trace_inverse};
}

#[cfg(all(doctest, feature = "flex"))]
#[doc = include_str!("../README.md")]
mod readme {}
