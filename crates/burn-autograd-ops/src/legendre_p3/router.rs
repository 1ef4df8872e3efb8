//! On Burn's remote devices, and as a node of a captured graph.

use burn::backend::ir::BackendIr;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::apply_rule;
use burn_router::{BackendRouter, CustomOpRegistry, RouterChannel};

use super::{LegendreP3, LegendreP3Ops};
use crate::support::router::{like, replay, send, serve};

const FORWARD: &str = "burn_autograd::legendre_p3";
const BACKWARD: &str = "burn_autograd::legendre_p3_backward";

impl<C: RouterChannel> LegendreP3Ops for BackendRouter<C> {
    fn legendre_p3(x: FloatTensor<Self>) -> FloatTensor<Self> {
        replay(FORWARD, |[x], _| apply_rule(&LegendreP3, [x]));
        let y = like(&x);
        let [y] = send(FORWARD, [x], [y], vec![]);
        y
    }

    fn legendre_p3_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let dx = like(&grad);
        let [dx] = send(BACKWARD, [x, grad], [dx], vec![]);
        dx
    }
}

/// Tells a server how to run this operation.
pub(crate) fn register<B: BackendIr + LegendreP3Ops>(registry: &mut CustomOpRegistry<B>) {
    serve(registry, FORWARD, |[x], _| [B::legendre_p3(x)]);
    serve(registry, BACKWARD, |[x, grad], _| [B::legendre_p3_backward(x, grad)]);
}
