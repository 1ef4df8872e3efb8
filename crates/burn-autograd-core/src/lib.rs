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
#[cfg(feature = "autodiff")]
mod burn_graph;
mod call;
pub mod check;
mod error;
mod floats;
mod function;
mod gradient;
#[cfg(feature = "capture")]
mod graph;
mod record;
mod rule;
mod scope;
mod tape;
mod tensors;
mod tracking;
mod transform;
mod var;
mod variadic;

pub use anomaly::AnomalyMode;
#[cfg(feature = "autodiff")]
pub use burn_graph::{
    Retained, differentiate, gradients, hook_time_limit, retain_grad, share, share_module,
    try_backward, try_retain_grad, try_share, try_with_hook, watch, with_hook,
};
pub use error::{Error, ErrorKind, OrPanic};
pub use floats::Floats;
pub use function::Function;
pub use gradient::Gradient;
#[cfg(all(feature = "capture", feature = "autodiff"))]
pub use graph::{Captured, capture, capture_module, capture_operation};
#[cfg(feature = "capture")]
pub use graph::{Graph, GraphOperation, GraphTensor, Role};
pub use record::apply_rule;
pub use rule::{Context, Rule, Saved};
pub use scope::{Mode, without_recording};
#[doc(hidden)]
pub use tensors::Position;
pub use tensors::{Argument, Arguments, Tensors, Tree, Vars};
pub use transform::{
    Jacobian, Pullback, Transform, evaluate, grad, hessian, hvp, jacobian, jvp, nth_derivative,
    value_and_grad, value_and_grad_aux, vjp,
};
pub use var::{Index, Mask, Ranges, Var, empty, lay_out};
pub use variadic::VariadicFunction;

#[cfg(all(doctest, feature = "flex"))]
#[doc = include_str!("../README.md")]
mod readme {}
