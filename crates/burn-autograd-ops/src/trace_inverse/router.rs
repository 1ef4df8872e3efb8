//! On Burn's remote devices, and as a node of a captured graph.

use burn::backend::TensorMetadata;
use burn::backend::ir::BackendIr;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::{OrPanic as _, check as arguments};
use burn_router::{BackendRouter, CustomOpRegistry, RouterChannel};

use super::{TensorTraceInverse, TraceInverseOps};
use crate::support::router::{replay, send, serve};

const FORWARD: &str = "burn_autograd::trace_inverse";

/// What the backward needs stays the specification: the factorisation and the solutions are
/// operations by themselves.
impl<C: RouterChannel> TraceInverseOps for BackendRouter<C> {
    fn trace_inverse(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        replay(FORWARD, |[a, b], _| [a.trace_inverse(b)]);
        let shape = arguments::broadcast("trace_inverse", &[("a", &a.shape()), ("b", &b.shape())])
            .or_panic();
        let y = (shape, a.dtype());
        let [y] = send(FORWARD, [a, b], [y], vec![]);
        y
    }
}

/// Tells a server how to run this operation.
pub(crate) fn register<B: BackendIr + TraceInverseOps>(registry: &mut CustomOpRegistry<B>) {
    serve(registry, FORWARD, |[a, b], _| [B::trace_inverse(a, b)]);
}
