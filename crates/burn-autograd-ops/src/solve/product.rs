//! The vector-Jacobian product on every backend.

use burn::backend::backend_extension;
use burn::backend::tensor::FloatTensor;
use burn_autodiff::Autodiff;

use crate::lu::{LuOps, LuSolve};

/// The backends' side of [`solve_vjp`](super::solve_vjp). The solution itself is in [`LuOps`].
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Remote: cfg(feature = "remote"),
    Capture: cfg(feature = "capture"),
    Autodiff: cfg(feature = "autodiff"),
    Fusion: cfg(feature = "fusion")
)]
pub trait SolveOps: LuOps {
    /// The gradients of ⟨grad, X⟩ through the explicit backward, themselves differentiable.
    #[fusion(default)]
    fn solve_vjp(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let packed = Self::lu_factor(a.clone());
        let rule = LuSolve { transposed: false };
        let [da, _, db] =
            burn_autograd_core::rule_product::<Self, _, _, _>(&rule, [a, packed, b], [Some(grad)]);
        (da, db)
    }
}

#[cfg(feature = "flex")]
impl SolveOps for burn::backend::Flex {}
#[cfg(feature = "ndarray")]
impl SolveOps for burn::backend::NdArray {}
#[cfg(feature = "cube")]
impl SolveOps for burn_cubecl::CubeBackend {}
impl<B, C> SolveOps for Autodiff<B, C>
where
    B: SolveOps,
    C: burn_autodiff::checkpoint::strategy::CheckpointStrategy,
{
}
