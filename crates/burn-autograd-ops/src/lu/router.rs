//! On Burn's remote devices, and as nodes of a captured graph.

use burn::backend::TensorMetadata;
use burn::backend::ir::{BackendIr, ScalarIr};
use burn::backend::tensor::FloatTensor;
use burn_router::{BackendRouter, CustomOpRegistry, RouterChannel};

use super::{LuOps, packed_shape};
use crate::support::router::{like, send, serve};

const FACTOR: &str = "burn_autograd::lu_factor";
const SOLVE: &str = "burn_autograd::lu_solve";

impl<C: RouterChannel> LuOps for BackendRouter<C> {
    fn lu_factor(a: FloatTensor<Self>) -> FloatTensor<Self> {
        let packed = (packed_shape(&a.shape()), a.dtype());
        let [packed] = send(FACTOR, [a], [packed], vec![]);
        packed
    }

    fn lu_solve(
        packed: FloatTensor<Self>,
        b: FloatTensor<Self>,
        transposed: bool,
    ) -> FloatTensor<Self> {
        let x = like(&b);
        let [x] = send(SOLVE, [packed, b], [x], vec![ScalarIr::Bool(transposed)]);
        x
    }
}

/// Tells a server how to run these operations.
pub(crate) fn register<B: BackendIr + LuOps>(registry: &mut CustomOpRegistry<B>) {
    serve(registry, FACTOR, |[a], _| [B::lu_factor(a)]);
    serve(registry, SOLVE, |[packed, b], scalars| {
        [B::lu_solve(packed, b, scalars[0].elem::<bool>())]
    });
}
