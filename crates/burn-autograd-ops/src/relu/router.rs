//! On Burn's remote devices, and as a node of a captured graph.

use burn::backend::ir::BackendIr;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::apply_rule;
use burn_router::{BackendRouter, CustomOpRegistry, RouterChannel};

use super::{ReluOps, SelfDefinedRelu};
use crate::support::router::{like, replay, send, serve};

const FORWARD: &str = "burn_autograd::relu";
const BACKWARD: &str = "burn_autograd::relu_backward";

impl<C: RouterChannel> ReluOps for BackendRouter<C> {
    fn self_defined_relu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        replay(FORWARD, |[x], _| apply_rule(&SelfDefinedRelu, [x]));
        let y = like(&x);
        let [y] = send(FORWARD, [x], [y], vec![]);
        y
    }

    fn self_defined_relu_backward(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let dx = like(&grad);
        let [dx] = send(BACKWARD, [x, grad], [dx], vec![]);
        dx
    }
}

/// Tells a server how to run this operation.
pub(crate) fn register<B: BackendIr + ReluOps>(registry: &mut CustomOpRegistry<B>) {
    serve(registry, FORWARD, |[x], _| [B::self_defined_relu(x)]);
    serve(registry, BACKWARD, |[x, grad], _| [B::self_defined_relu_backward(x, grad)]);
}
