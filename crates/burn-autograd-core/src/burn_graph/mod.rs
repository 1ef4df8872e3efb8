//! The only room that knows Burn's autodiff graph.
//!
//! - `step`: a rule with its backward as one step of Burn's graph, for [`Function::apply`](crate::Function)
//!   and the extension traits of operations with kernels;
//! - `apply`: the same for a function, whose backend Burn chooses at run time;
//! - `bridge`: the results of a tape that depend on tracked tensors, as one step each.

mod apply;
mod bridge;
mod gradients;
mod hooks;
mod share;
mod step;
pub(crate) mod watchdog;

pub(crate) use apply::record;
pub(crate) use bridge::leave;
pub use gradients::{gradients, try_backward};
pub use hooks::{Retained, retain_grad, try_retain_grad, try_with_hook, watch, with_hook};
pub use share::{share, share_module, try_share};
pub use step::differentiate;
pub use watchdog::hook_time_limit;

/// Runs code for the backend of a tensor on an autodiff device: `$body` with the type `$backend`.
macro_rules! on_backend {
    ($tensor:expr, $backend:ident => $body:expr, else $refuse:expr) => {{
        use burn::backend::DispatchTensorKind as Kind;
        let kind = match &$tensor.kind {
            Kind::Autodiff(inner) => &**inner,
            kind => kind,
        };
        match kind {
            #[cfg(feature = "flex")]
            Kind::Flex(_) => {
                type $backend = burn::backend::Flex;
                $body
            }
            #[cfg(feature = "ndarray")]
            Kind::NdArray(_) => {
                type $backend = burn::backend::NdArray;
                $body
            }
            #[cfg(feature = "cube")]
            Kind::Cube(_) => {
                type $backend = burn::backend::Cube;
                $body
            }
            #[cfg(feature = "remote")]
            Kind::Remote(_) => {
                type $backend = burn::backend::Remote;
                $body
            }
            _ => $refuse,
        }
    }};
}
pub(crate) use on_backend;
