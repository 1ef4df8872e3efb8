//! On Burn's remote devices, and as a node of a captured graph.

use burn::backend::TensorMetadata;
use burn::backend::ir::BackendIr;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::apply_rule;
use burn_router::{BackendRouter, CustomOpRegistry, RouterChannel};

use super::{Trace, TraceOps};
use crate::lu::number_shape;
use crate::support::router::{replay, send, serve};

const FORWARD: &str = "burn_autograd::trace";

impl<C: RouterChannel> TraceOps for BackendRouter<C> {
    fn trace(a: FloatTensor<Self>) -> FloatTensor<Self> {
        replay(FORWARD, |[a], _| apply_rule(&Trace, [a]));
        let y = (number_shape(&a.shape()), a.dtype());
        let [y] = send(FORWARD, [a], [y], vec![]);
        y
    }
}

/// Tells a server how to run this operation.
pub(crate) fn register<B: BackendIr + TraceOps>(registry: &mut CustomOpRegistry<B>) {
    serve(registry, FORWARD, |[a], _| [B::trace(a)]);
}
