//! B is kept with its factors: its values are in the gradient of A, and both gradients solve with it. A,
//! and (A·B⁻¹)ᵀ, are kept for the gradient of B alone. The factors and (A·B⁻¹)ᵀ are the kernel's: a
//! gradient that is differentiated again computes them from A and B.

use burn_autograd_core::{Context, Floats, Rule, Saved, Var};

use super::{Needs, TraceInverse, TraceInverseOps, spec};
use crate::lu::LuSolve;

impl<B: TraceInverseOps> Rule<B, 2> for TraceInverse {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "trace_inverse".into()
    }

    fn forward(&self, ctx: &mut Context<B>, [a, b]: [Var<B>; 2]) -> [Var<B>; 1] {
        if !ctx.tracked() {
            return [Var::new(B::trace_inverse(a.into_primitive(), b.into_primitive()))];
        }
        let (y, packed, first) =
            B::trace_inverse_parts(a.clone().into_primitive(), b.clone().into_primitive());
        ctx.save_optional([Some(&b), ctx.needs(1).then_some(&a)]);
        ctx.save_for_kernel([&packed]);
        if ctx.needs(1) {
            ctx.save_for_kernel([&first]);
        }
        [Var::new(y)]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 2] {
        summed(ctx, grad, |a, b, grad, needs| {
            let packed = Var::new(B::lu_factor(b.detach().into_primitive()));
            let first = match needs.b {
                true => LuSolve::apply(true, &b, &packed, a.transpose()),
                false => grad.clone(),
            };
            spec::gradients([a, b, packed, first, grad], needs)
        })
    }

    fn backward_kernel(
        &self,
        mut ctx: Saved<B>,
        grads: [Option<Var<B>>; 1],
    ) -> [Option<Var<B>>; 2] {
        let [grad] = ctx.or_zeros(grads);
        let [packed, first] = if ctx.needed(1) {
            ctx.for_kernel()
        } else {
            let [packed] = ctx.for_kernel();
            // (A·B⁻¹)ᵀ is not read.
            [packed, grad.primitive().clone()]
        };
        summed(ctx, grad, |a, b, grad, needs| {
            let [a, b, grad] = [a, b, grad].map(Var::into_primitive);
            let operands = Floats(vec![a, b, packed, first, grad]);
            let Floats(gradients) = B::trace_inverse_backward(operands, needs);
            let mut gradients = gradients.into_iter().map(Var::new);
            [needs.a, needs.b].map(|needed| if needed { gradients.next() } else { None })
        })
    }
}

/// The gradients, from A, B and the cotangent, summed over what was broadcast.
fn summed<B: TraceInverseOps>(
    ctx: Saved<B>,
    grad: Var<B>,
    gradients: impl FnOnce(Var<B>, Var<B>, Var<B>, Needs) -> [Option<Var<B>>; 2],
) -> [Option<Var<B>>; 2] {
    let needs = Needs { a: ctx.needs(0), b: ctx.needs(1) };
    let shapes = [0, 1].map(|index| ctx.input_shape(index).clone());
    let [b, a] = ctx.optional_tensors();
    let b = b.expect("trace_inverse: the forward saved B");
    // Where A is not there it is not read: any matrices of its shape will do.
    let a = a.unwrap_or_else(|| b.clone());
    let [da, db] = gradients(a, b, grad, needs);
    [da.map(|da| da.reduce_to(&shapes[0])), db.map(|db| db.reduce_to(&shapes[1]))]
}

#[cfg(feature = "autodiff")]
impl<B, C> TraceInverseOps for burn_autodiff::Autodiff<B, C>
where
    B: TraceInverseOps,
    C: burn_autodiff::checkpoint::strategy::CheckpointStrategy,
{
    // Parts and backward stay the specification here: it is made of operations that have
    // derivatives.
    fn trace_inverse(
        a: burn::backend::tensor::FloatTensor<Self>,
        b: burn::backend::tensor::FloatTensor<Self>,
    ) -> burn::backend::tensor::FloatTensor<Self> {
        let [y] = burn_autograd_core::differentiate::<B, C, _, 2, 1>(TraceInverse, [a, b]);
        y
    }
}
