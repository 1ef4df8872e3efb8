//! Custom differentiable operations for [Burn](burn): **define** an operation and its backward once,
//! **run** it on every backend, **prove** its gradient, **differentiate** it again.
//!
//! What `torch.autograd.Function`, `gradcheck` and `autograd.grad` are to PyTorch:
//!
//! - [`Function`]: forward and explicit backward, on every backend.
//! - [`grad`], [`vjp`], [`jvp`], [`jacobian`], [`hessian`], [`hvp`], [`nth_derivative`],
//!   [`Gradient`]: derivatives of functions and of what is composed of them, to any order, as
//!   tensors that can be differentiated again.
//! - [`with_hook`], [`retain_grad`], [`watch`], [`AnomalyMode`]: a look at gradients on their way.
//! - `Graph`, `trace` (feature `capture`): ordinary tensor code as a graph, shown and differentiated.
//! - [`Rule`] and [`differentiate`]: the same for an operation with kernels, behind a backend
//!   extension trait.
//! - [`ops`]: operations with fused kernels for the CPU and, through CubeCL, for wgpu, cuda, rocm
//!   and metal.
//! - `gradcheck` (feature `gradcheck`): numeric derivatives whose error is computed, not guessed.
//!
//! # Crate features
//!
//! - `autodiff` (default): Burn's autodiff; without it, only the derivatives of what is written in
//!   [`Var`]s.
//! - `capture`: graphs and traces of tensor code.
//! - `fusion` (default): Burn's kernel fusion; has to agree with what Burn is built with.
//! - `gradcheck`: the checker. `check-cases`: the cases on which our own operations are proven.
//! - `remote`: the operations on Burn's remote devices (`ops::remote`).
//! - `flex`, `ndarray`, `wgpu`, `vulkan`, `metal`, `webgpu`, `cuda`, `rocm`: backends and runtimes;
//!   none is on by default.

pub use burn_autograd_core::*;
/// The gradient checker.
#[cfg(feature = "gradcheck")]
pub use burn_autograd_gradcheck as gradcheck;
/// The operations.
pub use burn_autograd_ops as ops;

/// What most users import.
pub mod prelude {
    pub use burn_autograd_core::{
        Context, Function, Gradient, Saved, Var, evaluate, grad, hessian, hvp, jacobian, jvp,
        nth_derivative, value_and_grad, vjp,
    };
    #[cfg(feature = "autodiff")]
    pub use burn_autograd_core::{retain_grad, with_hook};
    pub use burn_autograd_ops::condition_estimate::condition_estimate;
    pub use burn_autograd_ops::cross_entropy::{
        CrossEntropyLoss, CrossEntropyLossConfig, CrossEntropyOptions, cross_entropy,
    };
    pub use burn_autograd_ops::det::{det, log_abs_det};
    pub use burn_autograd_ops::exp::exp;
    pub use burn_autograd_ops::inverse::inverse;
    pub use burn_autograd_ops::legendre_p3::legendre_p3;
    pub use burn_autograd_ops::linear::{Linear, LinearConfig, linear};
    pub use burn_autograd_ops::multiply_add::multiply_add;
    pub use burn_autograd_ops::polynomial::{Polynomial3, Polynomial3Config, polynomial};
    pub use burn_autograd_ops::prelude::*;
    pub use burn_autograd_ops::relu::{Relu, relu};
    pub use burn_autograd_ops::solve::{solve, solve_right, solve_vector};
    pub use burn_autograd_ops::sum_squared_error::{SumSquaredErrorLoss, sum_squared_error};
    pub use burn_autograd_ops::trace_inverse::trace_inverse;
}

/// The release of Burn that this release is for.
pub const BURN_VERSION: &str = "0.22.1";

/// The README's example, as a test.
#[cfg(all(doctest, feature = "flex", feature = "gradcheck", feature = "capture"))]
#[doc = include_str!("../../../README.md")]
mod readme {}

/// The guide's examples, as tests.
#[cfg(all(doctest, feature = "flex", feature = "gradcheck", feature = "capture"))]
mod book;
