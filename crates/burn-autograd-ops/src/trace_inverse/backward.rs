//! B is factored once. It is kept with its factors: its values are in the gradient of A, and both
//! gradients solve with it, which a second derivative differentiates. A, and (A·B⁻¹)ᵀ, are kept for the
//! gradient of B alone.

use burn_autograd_core::{Context, Floats, Rule, Saved, Var};

use super::{Needs, TraceInverse, TraceInverseOps, spec};

impl<B: TraceInverseOps> Rule<B, 2> for TraceInverse {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "trace_inverse".into()
    }

    fn forward(&self, ctx: &mut Context<B>, [a, b]: [Var<B>; 2]) -> [Var<B>; 1] {
        if !ctx.tracked() {
            return [Var::new(B::trace_inverse(a.into_primitive(), b.into_primitive()))];
        }
        let (y, packed, first) = if a.is_recorded() || b.is_recorded() {
            // The second run, for a second derivative: the kernel has none, its parts have.
            let packed = Var::new(B::lu_factor(b.detach().into_primitive()));
            let [y, first] = spec::formula(&a, &b, &packed);
            (y, packed, first)
        } else {
            let (y, packed, first) =
                B::trace_inverse_parts(a.clone().into_primitive(), b.clone().into_primitive());
            (Var::new(y), Var::new(packed), Var::new(first))
        };
        ctx.save([&b, &packed]);
        if ctx.needs(1) {
            ctx.save([&a, &first]);
        }
        [y]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 2] {
        let needs = Needs { a: ctx.needs(0), b: ctx.needs(1) };
        let (a_shape, b_shape) = (ctx.input_shape(0).clone(), ctx.input_shape(1).clone());
        let mut saved = ctx.into_all_tensors().into_iter();
        let (Some(b), Some(packed)) = (saved.next(), saved.next()) else {
            panic!("trace_inverse: the forward saved no factorisation")
        };
        let (a, first) = match (saved.next(), saved.next()) {
            (Some(a), Some(first)) => (a, first),
            // Not read: any matrices of these shapes will do.
            _ => (b.clone(), grad.clone()),
        };
        let operands = [a, b, packed, first, grad];
        let [da, db] = if operands.iter().any(Var::is_recorded) {
            spec::gradients(operands, needs)
        } else {
            let operands = operands.map(Var::into_primitive);
            let Floats(gradients) = B::trace_inverse_backward(Floats(operands.into()), needs);
            let mut gradients = gradients.into_iter().map(Var::new);
            [needs.a, needs.b].map(|needed| if needed { gradients.next() } else { None })
        };
        [da.map(|da| da.reduce_to(&a_shape)), db.map(|db| db.reduce_to(&b_shape))]
    }
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
