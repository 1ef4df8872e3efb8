//! On Burn's remote devices, and as a node of a captured graph.

use burn::backend::ir::BackendIr;
use burn::backend::tensor::FloatTensor;
use burn_router::{BackendRouter, CustomOpRegistry, RouterChannel};

use super::{InverseOps, TensorInverse};
use crate::support::router::{like, replay, send, serve};

const FORWARD: &str = "burn_autograd::inverse";

impl<C: RouterChannel> InverseOps for BackendRouter<C> {
    fn inverse(a: FloatTensor<Self>) -> FloatTensor<Self> {
        replay(FORWARD, |[a], _| [a.inverse()]);
        let y = like(&a);
        let [y] = send(FORWARD, [a], [y], vec![]);
        y
    }
}

/// Tells a server how to run this operation.
pub(crate) fn register<B: BackendIr + InverseOps>(registry: &mut CustomOpRegistry<B>) {
    serve(registry, FORWARD, |[a], _| [B::inverse(a)]);
}
