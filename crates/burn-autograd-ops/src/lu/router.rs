//! On Burn's remote devices, and as nodes of a captured graph. A factorisation is a constant there as
//! everywhere: what is made with it is recorded with its matrix, which tells the derivatives.

use burn::backend::ir::{BackendIr, ScalarIr};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Dispatch, TensorMetadata};
use burn_autograd_core::{OrPanic as _, Var, apply_rule};
use burn_router::{BackendRouter, CustomOpRegistry, RouterChannel};

use super::arguments::factored;
use super::{LuOps, LuSolve, packed_shape, solution_shape};
use crate::support::router::{like, replay, send, serve};

const FACTOR: &str = "burn_autograd::lu_factor";
const SOLVE: &str = "burn_autograd::lu_solve";
const SOLVE_WITH: &str = "burn_autograd::lu_solve_with";

impl<C: RouterChannel> LuOps for BackendRouter<C> {
    fn lu_factor(a: FloatTensor<Self>) -> FloatTensor<Self> {
        replay(FACTOR, |[a], _| {
            // In a smaller data type than it was recorded in.
            factored("lu_factor", "a", &a.shape(), a.dtype()).or_panic();
            let packed = <Dispatch as LuOps>::lu_factor(a.detach().into_primitive());
            [Var::<Dispatch>::new(packed)]
        });
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

    fn lu_solve_with(
        a: FloatTensor<Self>,
        packed: FloatTensor<Self>,
        b: FloatTensor<Self>,
        transposed: bool,
    ) -> FloatTensor<Self> {
        replay(SOLVE_WITH, |inputs, scalars| {
            apply_rule(&LuSolve { transposed: scalars[0].elem::<bool>() }, inputs)
        });
        let x = (solution_shape(&packed.shape(), &b.shape()), b.dtype());
        let [x] = send(SOLVE_WITH, [a, packed, b], [x], vec![ScalarIr::Bool(transposed)]);
        x
    }
}

/// Tells a server how to run these operations.
pub(crate) fn register<B: BackendIr + LuOps>(registry: &mut CustomOpRegistry<B>) {
    serve(registry, FACTOR, |[a], _| [B::lu_factor(a)]);
    serve(registry, SOLVE, |[packed, b], scalars| {
        [B::lu_solve(packed, b, scalars[0].elem::<bool>())]
    });
    serve(registry, SOLVE_WITH, |[a, packed, b], scalars| {
        [B::lu_solve_with(a, packed, b, scalars[0].elem::<bool>())]
    });
}
