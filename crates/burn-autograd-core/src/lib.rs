//! The engine of `burn-autograd`: custom differentiable functions for [Burn](burn).
//!
//! It knows no operation. It offers
//!
//! - [`Function`]: a differentiable function written once, generic in the backend, with an explicit
//!   backward; [`Function::apply`] takes and returns ordinary [`Tensor`](burn::tensor::Tensor)s.
//! - [`Rule`]: the same for one backend, so that forward and backward may call kernels, and
//!   [`differentiate`], which records a rule on Burn's autodiff graph.
//! - [`Var`]: a float tensor of any rank with operators, so that bodies read like mathematics.
//! - [`vjp`]: a vector-Jacobian product whose result is itself differentiable.
//! - [`check`]: refusals of bad arguments, with errors that name operation and argument.
//!
//! # Crate features
//!
//! `autodiff` (default) gives gradients; without it functions run forward only. `fusion` (default)
//! has to agree with what Burn is built with. `flex`, `ndarray`, `wgpu`, `vulkan`, `metal`,
//! `webgpu`, `cuda`, `rocm` turn on a backend or runtime; none is on by default.
#![cfg_attr(
    feature = "ndarray",
    allow(
        deprecated,
        reason = "Burn deprecated its NdArray backend; we serve it until it is gone"
    )
)]

pub mod check;
#[cfg(feature = "autodiff")]
mod differentiate;
mod dispatch;
mod error;
mod function;
mod rule;
mod tensors;
#[cfg(feature = "autodiff")]
mod transform;
mod var;

#[cfg(feature = "autodiff")]
pub use differentiate::differentiate;
pub use dispatch::{Differentiable, Floats};
pub use error::{Error, ErrorKind};
pub use function::Function;
pub use rule::{Context, Rule, Saved};
pub use tensors::Tensors;
#[cfg(feature = "autodiff")]
pub use transform::{vector_jacobian_product, vjp};
pub use var::Var;
