//! On Burn's remote devices, and as a node of a captured graph.

use burn::backend::ir::BackendIr;
use burn::backend::tensor::FloatTensor;
use burn_router::{BackendRouter, CustomOpRegistry, RouterChannel};

use super::{ExpOps, TensorExp};
use crate::support::router::{like, replay, send, serve};

const FORWARD: &str = "burn_autograd::exp";
const BACKWARD: &str = "burn_autograd::exp_backward";

impl<C: RouterChannel> ExpOps for BackendRouter<C> {
    fn exp(x: FloatTensor<Self>) -> FloatTensor<Self> {
        replay(FORWARD, |[x], _| [x.fused_exp()]);
        let y = like(&x);
        let [y] = send(FORWARD, [x], [y], vec![]);
        y
    }

    fn exp_backward(y: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let dx = like(&grad);
        let [dx] = send(BACKWARD, [y, grad], [dx], vec![]);
        dx
    }
}

/// Tells a server how to run this operation.
pub(crate) fn register<B: BackendIr + ExpOps>(registry: &mut CustomOpRegistry<B>) {
    serve(registry, FORWARD, |[x], _| [B::exp(x)]);
    serve(registry, BACKWARD, |[y, grad], _| [B::exp_backward(y, grad)]);
}
