//! On Burn's remote devices, and as a node of a captured graph.

use burn::backend::TensorMetadata;
use burn::backend::ir::BackendIr;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::{Floats, apply_rule};
use burn_router::{BackendRouter, CustomOpRegistry, RouterChannel};

use super::{Affine, LinearOps};
use crate::support::router::{replay, send, serve_all};

const FORWARD: &str = "burn_autograd::linear";
const WITHOUT_BIAS: &str = "burn_autograd::linear_without_bias";

/// The gradients stay the specification, for their number depends on what is tracked.
impl<C: RouterChannel> LinearOps for BackendRouter<C> {
    fn linear_forward(operands: Floats<Self>) -> FloatTensor<Self> {
        replay::<3, 1>(FORWARD, |inputs, _| apply_rule(&Affine, inputs));
        replay::<2, 1>(WITHOUT_BIAS, |inputs, _| apply_rule(&Affine, inputs));
        let operands = operands.0;
        let mut shape = operands[0].shape();
        let last = shape.num_dims() - 1;
        shape[last] = operands[1].shape()[0];
        let y = (shape, operands[0].dtype());
        let id = if operands.len() == 3 { FORWARD } else { WITHOUT_BIAS };
        let [y] = send(id, operands, [y], vec![]);
        y
    }
}

/// Tells a server how to run this operation.
pub(crate) fn register<B: BackendIr + LinearOps>(registry: &mut CustomOpRegistry<B>) {
    for id in [FORWARD, WITHOUT_BIAS] {
        serve_all(registry, id, |operands, _| [B::linear_forward(Floats(operands))]);
    }
}
