//! On Burn's remote devices, and as a node of a captured graph.

use burn::backend::ir::BackendIr;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::apply_rule;
use burn_router::{BackendRouter, CustomOpRegistry, RouterChannel};

use super::{Polynomial, PolynomialOps};
use crate::support::router::{like, replay, send, serve};

const FORWARD: &str = "burn_autograd::polynomial";

/// The gradients stay the specification, for their number depends on what is tracked.
impl<C: RouterChannel> PolynomialOps for BackendRouter<C> {
    fn polynomial(x: FloatTensor<Self>, coefficients: FloatTensor<Self>) -> FloatTensor<Self> {
        replay(FORWARD, |inputs, _| apply_rule(&Polynomial, inputs));
        let y = like(&x);
        let [y] = send(FORWARD, [x, coefficients], [y], vec![]);
        y
    }
}

/// Tells a server how to run this operation.
pub(crate) fn register<B: BackendIr + PolynomialOps>(registry: &mut CustomOpRegistry<B>) {
    serve(registry, FORWARD, |[x, coefficients], _| [B::polynomial(x, coefficients)]);
}
