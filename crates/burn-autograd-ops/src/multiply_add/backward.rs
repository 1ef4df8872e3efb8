//! Of each factor only what the other one's gradient needs is saved; only the needed gradients are
//! computed, in one call.

use burn::tensor::Shape;
use burn_autograd_core::{Context, Floats, Rule, Saved, Var};

use super::{MultiplyAdd, MultiplyAddOps, Needs, spec};

impl<B: MultiplyAddOps> Rule<B, 3> for MultiplyAdd {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "multiply_add".into()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn forward(&self, ctx: &mut Context<B>, [w, x, b]: [Var<B>; 3]) -> [Var<B>; 1] {
        ctx.save_optional([ctx.needs(1).then_some(&w), ctx.needs(0).then_some(&x)]);
        [Var::new(B::multiply_add(w.into_primitive(), x.into_primitive(), b.into_primitive()))]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 3] {
        let (needs, shapes) = asked(&ctx);
        let [w, x] = ctx.optional_tensors();
        spec::gradients(&grad, w.as_ref(), x.as_ref(), &shapes, needs)
    }

    fn backward_kernel(&self, ctx: Saved<B>, grads: [Option<Var<B>>; 1]) -> [Option<Var<B>>; 3] {
        let (needs, shapes) = asked(&ctx);
        let [grad] = ctx.or_zeros(grads);
        let [w, x] = ctx.optional_tensors();
        let factors = [w.filter(|_| needs.x), x.filter(|_| needs.w)].into_iter().flatten();
        let operands = std::iter::once(grad).chain(factors).map(Var::into_primitive).collect();
        let Floats(gradients) = B::multiply_add_backward(Floats(operands), shapes, needs);
        let mut gradients = gradients.into_iter().map(Var::new);
        [needs.w, needs.x, needs.b].map(|needed| if needed { gradients.next() } else { None })
    }
}

/// The gradients that this pass wants, and their shapes.
fn asked<B: MultiplyAddOps>(ctx: &Saved<B>) -> (Needs, [Shape; 3]) {
    let needs = Needs { w: ctx.needs(0), x: ctx.needs(1), b: ctx.needs(2) };
    (needs, [0, 1, 2].map(|index| ctx.input_shape(index).clone()))
}

#[cfg(feature = "autodiff")]
impl<B, C> MultiplyAddOps for burn_autodiff::Autodiff<B, C>
where
    B: MultiplyAddOps,
    C: burn_autodiff::checkpoint::strategy::CheckpointStrategy,
{
    // The backward stays the specification here: made of Burn's operations, it is differentiable.
    fn multiply_add(
        w: burn::backend::tensor::FloatTensor<Self>,
        x: burn::backend::tensor::FloatTensor<Self>,
        b: burn::backend::tensor::FloatTensor<Self>,
    ) -> burn::backend::tensor::FloatTensor<Self> {
        let [y] = burn_autograd_core::differentiate::<B, C, _, 3, 1>(MultiplyAdd, [w, x, b]);
        y
    }
}
