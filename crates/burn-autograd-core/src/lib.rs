//! The engine of `burn-autograd`: custom differentiable functions for [Burn](burn).
//!
//! It knows no operation. It offers
//!
//! - [`Function`]: a differentiable function with an explicit backward, written once;
//!   [`Function::apply`] takes and returns ordinary [`Tensor`](burn::tensor::Tensor)s of any device,
//!   [`Function::call`] variables.
//! - [`Var`]: a float tensor of any rank with operators, so that bodies read like mathematics; each
//!   of its operations has derivatives of any order.
//! - [`grad`], [`vjp`], [`jacobian`], [`hessian`] and the other transforms of functions over `Var`s,
//!   and [`Gradient`] for derivatives within them. Results can be differentiated again, here and by
//!   Burn's `backward()`.
//! - `with_hook`, `retain_grad`, `watch`, [`AnomalyMode`]: gradients on their way.
//! - `share`, `share_module`: tracked leaves for several threads.
//! - `Graph`, `capture`: ordinary tensor code as a graph, shown and differentiated.
//! - [`Rule`]: a function on one backend, so that forward and backward may call kernels, and
//!   `differentiate`, which records a rule on Burn's autodiff graph.
//! - [`check`]: refusals of bad arguments, with errors that name operation and argument.
//!
//! # Crate features
//!
//! `autodiff` (default) connects to Burn's autodiff; without it there are the transforms of `Var`s
//! alone. `fusion` (default) has to agree with what Burn is built with. `capture` gives graphs of
//! tensor code, and with `autodiff` their derivatives. `flex`, `ndarray`, `wgpu`, `vulkan`, `metal`,
//! `webgpu`, `cuda`, `rocm` turn on a backend or runtime; none is on by default.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    feature = "ndarray",
    allow(
        deprecated,
        reason = "Burn deprecated its NdArray backend; we serve it until it is gone"
    )
)]

mod anomaly;
mod call;
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
#[cfg(feature = "autodiff")]
mod route;
mod rule;
#[cfg(feature = "autodiff")]
mod share;
mod tape;
mod tensors;
mod transform;
mod var;
#[cfg(feature = "autodiff")]
mod watchdog;

pub use anomaly::AnomalyMode;
#[cfg(feature = "autodiff")]
pub use differentiate::differentiate;
pub use error::{Error, ErrorKind};
pub use floats::Floats;
pub use function::Function;
pub use gradient::Gradient;
#[cfg(all(feature = "capture", feature = "autodiff"))]
pub use graph::{Captured, capture, capture_module, capture_operation};
#[cfg(feature = "capture")]
pub use graph::{Graph, GraphOperation, GraphTensor, Role};
#[cfg(feature = "autodiff")]
pub use graph_gradients::{gradients, try_backward};
#[cfg(feature = "autodiff")]
pub use hooks::{Retained, retain_grad, try_retain_grad, try_with_hook, watch, with_hook};
#[cfg(feature = "autodiff")]
pub use nested::{explicit_product, rule_product, vector_jacobian_product};
pub use record::apply_rule;
pub use rule::{Context, Rule, Saved};
#[cfg(feature = "autodiff")]
pub use share::{share, share_module, try_share};
pub use tape::without_recording;
pub use tensors::{Argument, Arguments, Tensors, Vars};
pub use transform::{
    Jacobian, Pullback, Transform, evaluate, evaluate_all, grad, hessian, hvp, jacobian, jvp,
    nth_derivative, value_and_grad, vjp,
};
pub use var::{Index, Mask, Ranges, Var, empty, lay_out};
#[cfg(feature = "autodiff")]
pub use watchdog::hook_time_limit;

#[cfg(all(doctest, feature = "flex"))]
#[doc = include_str!("../README.md")]
mod readme {}
