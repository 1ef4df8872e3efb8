//! Both arguments are saved; the gradients that are needed come from one call.

use burn_autograd_core::{Context, Floats, Rule, Saved, Var};

use super::{Needs, Polynomial, PolynomialOps, spec};

impl<B: PolynomialOps> Rule<B, 2> for Polynomial {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "polynomial".into()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn forward(&self, ctx: &mut Context<B>, [x, c]: [Var<B>; 2]) -> [Var<B>; 1] {
        ctx.save([&x, &c]);
        [Var::new(B::polynomial(x.into_primitive(), c.into_primitive()))]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 2] {
        let needs = Needs { x: ctx.needs(0), coefficients: ctx.needs(1) };
        let [x, c] = ctx.into_tensors();
        spec::gradients(&x, &c, &grad, needs)
    }

    fn backward_kernel(&self, ctx: Saved<B>, grads: [Option<Var<B>>; 1]) -> [Option<Var<B>>; 2] {
        let [grad] = ctx.or_zeros(grads);
        let needs = Needs { x: ctx.needs(0), coefficients: ctx.needs(1) };
        let [x, c] = ctx.into_tensors();
        let [x, c, grad] = [x, c, grad].map(Var::into_primitive);
        let Floats(gradients) = B::polynomial_backward(x, c, grad, needs);
        let mut gradients = gradients.into_iter().map(Var::new);
        [needs.x, needs.coefficients].map(|needed| if needed { gradients.next() } else { None })
    }
}

#[cfg(feature = "autodiff")]
impl<B, C> PolynomialOps for burn_autodiff::Autodiff<B, C>
where
    B: PolynomialOps,
    C: burn_autodiff::checkpoint::strategy::CheckpointStrategy,
{
    // The backward stays the specification here: made of Burn's operations, it is differentiable.
    fn polynomial(
        x: burn::backend::tensor::FloatTensor<Self>,
        coefficients: burn::backend::tensor::FloatTensor<Self>,
    ) -> burn::backend::tensor::FloatTensor<Self> {
        let [y] = burn_autograd_core::differentiate::<B, C, _, 2, 1>(Polynomial, [x, coefficients]);
        y
    }
}
