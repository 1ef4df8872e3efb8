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
//! - `Graph`, `capture` (feature `capture`): ordinary tensor code as a graph, shown and differentiated.
//! - [`Rule`] and [`differentiate`]: the same for an operation with kernels, behind a backend
//!   extension trait.
//! - [`ops`]: operations with fused kernels for the CPU and, through CubeCL, for wgpu, cuda, rocm
//!   and metal.
//! - `gradcheck` (feature `gradcheck`): numeric derivatives whose error is computed, not guessed.
//!
//! # Crate features
//!
//! - `autodiff` (default): Burn's autodiff. Without it, there are only the derivatives of functions of [`Var`]s.
//! - `fusion` (default): Burn's kernel fusion. Set it as you set Burn's own feature.
//! - `ops` (default): the operations, in [`ops`]. A user of the engine alone leaves it out, and with it faer, and
//!   rayon and pulp unless Burn itself needs them.
//! - `gradcheck`: the checker. `check-cases`: the cases on which the operations are checked.
//! - `capture`: graphs of ordinary tensor code, and their derivatives.
//! - `remote`: the operations on Burn's remote devices (`ops::remote`).
//! - `flex`, `ndarray`, `wgpu`, `vulkan`, `metal`, `webgpu`, `cuda`, `rocm`: backends and runtimes. None is on
//!   by default.
//!
//! Burn's backends `cpu` and `tch` are not supported. The build of `cpu`, CubeCL's runtime for CPUs, downloads a
//! compiled LLVM, and `tch` needs libtorch: the gate has neither, so nothing could be checked on them. On a
//! CPU use `flex`. A [`Function`] on either is refused with an error that names the supported backends.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use burn_autograd_core::*;
/// The gradient checker.
#[cfg(feature = "gradcheck")]
pub use burn_autograd_gradcheck as gradcheck;
/// The operations.
#[cfg(feature = "ops")]
pub use burn_autograd_ops as ops;

#[cfg(feature = "wgpu")]
pub mod wgpu;

/// The engine: functions, variables and transforms.
///
/// Operations are in `ops::prelude`. No name here is a name of Burn's.
pub mod prelude {
    pub use burn_autograd_core::{
        Context, Function, Gradient, Saved, Var, evaluate, grad, hessian, hvp, jacobian, jvp,
        nth_derivative, value_and_grad, value_and_grad_aux, vjp,
    };
    #[cfg(feature = "autodiff")]
    pub use burn_autograd_core::{retain_grad, with_hook};
}

/// The release of Burn that this release is for.
pub const BURN_VERSION: &str = "0.22.1";

#[cfg(all(doctest, feature = "flex", feature = "gradcheck"))]
#[doc = include_str!("../README.md")]
mod readme {}
