//! On Burn's remote devices, and as nodes of a captured graph.

use burn::backend::TensorMetadata;
use burn::backend::ir::BackendIr;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::{OrPanic as _, apply_rule, check as arguments};
use burn_router::{BackendRouter, CustomOpRegistry, RouterChannel};

use super::{Det, DetOps, LogAbsDet};
use crate::lu::number_shape;
use crate::support::router::{replay, send, serve};

const DET: &str = "burn_autograd::det";
const LOG_ABS_DET: &str = "burn_autograd::log_abs_det";

impl<C: RouterChannel> DetOps for BackendRouter<C> {
    fn det(a: FloatTensor<Self>, packed: FloatTensor<Self>) -> FloatTensor<Self> {
        replay(DET, |inputs, _| apply_rule(&Det, inputs));
        let y = (number_shape(&a.shape()), a.dtype());
        let [y] = send(DET, [a, packed], [y], vec![]);
        y
    }

    fn log_abs_det(
        a: FloatTensor<Self>,
        packed: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        replay(LOG_ABS_DET, |[a, packed], _| {
            arguments::transcendental("log_abs_det", "a", a.detach().primitive()).or_panic();
            apply_rule(&LogAbsDet, [a, packed])
        });
        let number = || (number_shape(&a.shape()), a.dtype());
        let numbers = [number(), number()];
        let [sign, log] = send(LOG_ABS_DET, [a, packed], numbers, vec![]);
        (sign, log)
    }
}

/// Tells a server how to run these operations.
pub(crate) fn register<B: BackendIr + DetOps>(registry: &mut CustomOpRegistry<B>) {
    serve(registry, DET, |[a, packed], _| [B::det(a, packed)]);
    serve(registry, LOG_ABS_DET, |[a, packed], _| {
        let (sign, log) = B::log_abs_det(a, packed);
        [sign, log]
    });
}
