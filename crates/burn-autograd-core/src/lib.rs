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

mod anomaly;
pub mod check;
#[cfg(feature = "autodiff")]
mod differentiate;
mod error;
mod floats;
mod function;
mod gradient;
#[cfg(feature = "capture")]
mod graph;
#[cfg(feature = "autodiff")]
mod graph_gradients;
#[cfg(feature = "autodiff")]
mod hooks;
#[cfg(feature = "autodiff")]
mod nested;
mod record;
mod rule;
mod tape;
mod tensors;
mod transform;
mod var;

pub use anomaly::AnomalyMode;
#[cfg(feature = "autodiff")]
pub use differentiate::differentiate;
pub use error::{Error, ErrorKind};
pub use floats::Floats;
pub use function::Function;
pub use gradient::Gradient;
#[cfg(feature = "capture")]
pub use graph::{Graph, GraphOperation, GraphTensor, Role, Traced, trace, trace_module};
#[cfg(feature = "autodiff")]
pub use graph_gradients::gradients;
#[cfg(feature = "autodiff")]
pub use hooks::{
    Retained, hook_time_limit, retain_grad, try_retain_grad, try_with_hook, watch, with_hook,
};
#[cfg(feature = "autodiff")]
pub use nested::vector_jacobian_product;
pub use record::apply_rule;
pub use rule::{Context, Rule, Saved};
pub use tape::without_recording;
pub use tensors::{Argument, Arguments, Tensors, Vars};
pub use transform::{
    Jacobian, Pullback, Transform, evaluate, grad, hessian, hvp, jacobian, jvp, nth_derivative,
    value_and_grad, vjp,
};
pub use var::{Index, Mask, Ranges, Var};
