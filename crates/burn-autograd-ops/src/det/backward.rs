//! The matrix of cofactors: up to n = 3 written out, so that it is right for singular matrices too,
//! beyond that det A·A⁻ᵀ by a solution with the factors.

use burn_autograd_core::{Context, Rule, Saved, Var};

use super::{Det, DetOps, LogAbsDet, spec};
use crate::lu::{LuSolve, scaled_identity};
use crate::support::{cast, wide};

/// A⁻ᵀ·g.
fn inverse_transpose<B: DetOps>(a: &Var<B>, packed: &Var<B>, g: &Var<B>) -> Var<B> {
    let n = a.shape()[a.rank() - 1];
    LuSolve::apply(true, a, packed, scaled_identity(g, n))
}

impl<B: DetOps> Rule<B, 2> for Det {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "det".into()
    }

    fn forward(&self, ctx: &mut Context<B>, [a, packed]: [Var<B>; 2]) -> [Var<B>; 1] {
        ctx.save([&a]);
        let n = a.shape()[a.rank() - 1];
        let y = Var::new(B::det(a.into_primitive(), packed.clone().into_primitive()));
        if n > 3 {
            ctx.save([&packed, &y]);
        }
        [y]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 2] {
        let mut saved = ctx.into_all_tensors().into_iter();
        let da = match (saved.next(), saved.next(), saved.next()) {
            // The gradient is empty, too.
            (Some(a), ..) if a.shape().num_elements() == 0 => a.zeros_like(),
            // In half precision differences of products would be rounded at each step.
            (Some(a), None, _) => {
                let (dtype, wide) = (a.dtype(), wide(a.dtype()));
                cast(&(cast(&grad, wide) * spec::cofactors(&cast(&a, wide))), dtype)
            }
            (Some(a), Some(packed), Some(y)) => inverse_transpose(&a, &packed, &(grad * y)),
            _ => panic!("det: the forward saved no matrix"),
        };
        [Some(da), None]
    }
}

impl<B: DetOps> Rule<B, 2, 2> for LogAbsDet {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "log_abs_det".into()
    }

    fn differentiable(&self, output: usize) -> bool {
        output == 1
    }

    fn forward(&self, ctx: &mut Context<B>, [a, packed]: [Var<B>; 2]) -> [Var<B>; 2] {
        ctx.save([&a, &packed]);
        let (sign, log) = B::log_abs_det(a.into_primitive(), packed.into_primitive());
        [Var::new(sign), Var::new(log)]
    }

    fn backward(&self, ctx: Saved<B>, [_, grad]: [Var<B>; 2]) -> [Option<Var<B>>; 2] {
        let [a, packed] = ctx.into_tensors();
        if a.shape().num_elements() == 0 {
            return [Some(a.zeros_like()), None];
        }
        [Some(inverse_transpose(&a, &packed, &grad)), None]
    }
}

#[cfg(feature = "autodiff")]
mod autodiff {
    use burn::backend::tensor::FloatTensor;
    use burn_autodiff::Autodiff;
    use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn_autograd_core::differentiate;

    use super::{Det, DetOps, LogAbsDet};

    impl<B: DetOps, C: CheckpointStrategy> DetOps for Autodiff<B, C> {
        fn det(a: FloatTensor<Self>, packed: FloatTensor<Self>) -> FloatTensor<Self> {
            let [y] = differentiate::<B, C, _, 2, 1>(Det, [a, packed]);
            y
        }

        fn log_abs_det(
            a: FloatTensor<Self>,
            packed: FloatTensor<Self>,
        ) -> (FloatTensor<Self>, FloatTensor<Self>) {
            let [sign, log] = differentiate::<B, C, _, 2, 2>(LogAbsDet, [a, packed]);
            (sign, log)
        }
    }
}
