//! On Burn's remote devices, and as a node of a captured graph.

use burn::backend::TensorMetadata;
use burn::backend::ir::BackendIr;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::apply_rule;
use burn_router::{BackendRouter, CustomOpRegistry, RouterChannel};

use super::{MultiplyAdd, MultiplyAddOps, common_shape};
use crate::support::router::{like, replay, send, serve};

const FORWARD: &str = "burn_autograd::multiply_add";
const PRODUCTS: &str = "burn_autograd::multiply_add_products";

impl<C: RouterChannel> MultiplyAddOps for BackendRouter<C> {
    fn multiply_add(
        w: FloatTensor<Self>,
        x: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        replay(FORWARD, |inputs, _| apply_rule(&MultiplyAdd, inputs));
        let y = (common_shape(&w.shape(), &x.shape(), &b.shape()), w.dtype());
        let [y] = send(FORWARD, [w, x, b], [y], vec![]);
        y
    }

    fn multiply_add_products(
        w: FloatTensor<Self>,
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let products = [like(&grad), like(&grad)];
        let [dw, dx] = send(PRODUCTS, [w, x, grad], products, vec![]);
        (dw, dx)
    }
}

/// Tells a server how to run this operation.
pub(crate) fn register<B: BackendIr + MultiplyAddOps>(registry: &mut CustomOpRegistry<B>) {
    serve(registry, FORWARD, |[w, x, b], _| [B::multiply_add(w, x, b)]);
    serve(registry, PRODUCTS, |[w, x, grad], _| {
        let (dw, dx) = B::multiply_add_products(w, x, grad);
        [dw, dx]
    });
}
