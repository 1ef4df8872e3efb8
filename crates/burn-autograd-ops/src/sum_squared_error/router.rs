//! On Burn's remote devices, and as a node of a captured graph.

use burn::backend::TensorMetadata;
use burn::backend::ir::BackendIr;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::apply_rule;
use burn_router::{BackendRouter, CustomOpRegistry, RouterChannel};

use super::{SumSquaredError, SumSquaredErrorOps};
use crate::support::router::{like, replay, send, serve};

const FORWARD: &str = "burn_autograd::sum_squared_error";
const BACKWARD: &str = "burn_autograd::sum_squared_error_backward";

impl<C: RouterChannel> SumSquaredErrorOps for BackendRouter<C> {
    fn sum_squared_error(
        prediction: FloatTensor<Self>,
        target: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        replay(FORWARD, |inputs, _| apply_rule(&SumSquaredError, inputs));
        let loss = ([1].into(), prediction.dtype());
        let [loss] = send(FORWARD, [prediction, target], [loss], vec![]);
        loss
    }

    fn sum_squared_error_backward(
        prediction: FloatTensor<Self>,
        target: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let gradient = like(&prediction);
        let [gradient] = send(BACKWARD, [prediction, target, grad], [gradient], vec![]);
        gradient
    }
}

/// Tells a server how to run this operation.
pub(crate) fn register<B: BackendIr + SumSquaredErrorOps>(registry: &mut CustomOpRegistry<B>) {
    serve(registry, FORWARD, |[p, t], _| [B::sum_squared_error(p, t)]);
    serve(registry, BACKWARD, |[p, t, grad], _| [B::sum_squared_error_backward(p, t, grad)]);
}
