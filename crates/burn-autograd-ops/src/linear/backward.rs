//! Of each factor only what the other one's gradient needs is saved; only the needed gradients are
//! computed, in one call.

use burn_autograd_core::{Context, Floats, Rule, Saved, Var};

use super::{Affine, Gradients, LinearOps, Needs, spec};

/// Keeps the factors that the backward needs.
fn save<B: LinearOps>(ctx: &mut Context<B>, x: &Var<B>, weight: &Var<B>) {
    ctx.save_optional([ctx.needs(0).then_some(weight), ctx.needs(1).then_some(x)]);
}

fn forward<B: LinearOps, const N: usize>(inputs: [Var<B>; N]) -> Var<B> {
    let operands = inputs.into_iter().map(Var::into_primitive).collect();
    Var::new(B::linear_forward(Floats(operands)))
}

/// The factors that the gradients of this pass are made of.
fn factors<B: LinearOps>(needs: Needs, ctx: Saved<B>) -> [Option<Var<B>>; 2] {
    let [weight, x] = ctx.optional_tensors();
    [weight.filter(|_| needs.x), x.filter(|_| needs.weight)]
}

fn backward<B: LinearOps>(needs: Needs, ctx: Saved<B>, grad: &Var<B>) -> Gradients<Var<B>> {
    let [weight, x] = factors(needs, ctx);
    spec::gradients(grad, weight.as_ref(), x.as_ref(), needs)
}

fn kernel<B: LinearOps>(
    needs: Needs,
    ctx: Saved<B>,
    grads: [Option<Var<B>>; 1],
) -> Gradients<Var<B>> {
    let [grad] = ctx.or_zeros(grads);
    let factors = factors(needs, ctx).into_iter().flatten();
    let operands = std::iter::once(grad).chain(factors).map(Var::into_primitive).collect();
    let Floats(gradients) = B::linear_backward(Floats(operands), needs);
    let mut gradients = gradients.into_iter().map(Var::new);
    [needs.x, needs.weight, needs.bias].map(|needed| if needed { gradients.next() } else { None })
}

fn needs_with_bias<B: LinearOps>(ctx: &Saved<B>) -> Needs {
    Needs { bias: ctx.needs(2), ..needs_alone(ctx) }
}

fn needs_alone<B: LinearOps>(ctx: &Saved<B>) -> Needs {
    Needs { x: ctx.needs(0), weight: ctx.needs(1), bias: false }
}

impl<B: LinearOps> Rule<B, 3> for Affine {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "linear".into()
    }

    fn forward(&self, ctx: &mut Context<B>, inputs: [Var<B>; 3]) -> [Var<B>; 1] {
        save(ctx, &inputs[0], &inputs[1]);
        [forward(inputs)]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 3] {
        backward(needs_with_bias(&ctx), ctx, &grad)
    }

    fn backward_kernel(&self, ctx: Saved<B>, grads: [Option<Var<B>>; 1]) -> [Option<Var<B>>; 3] {
        kernel(needs_with_bias(&ctx), ctx, grads)
    }
}

impl<B: LinearOps> Rule<B, 2> for Affine {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "linear".into()
    }

    fn forward(&self, ctx: &mut Context<B>, inputs: [Var<B>; 2]) -> [Var<B>; 1] {
        save(ctx, &inputs[0], &inputs[1]);
        [forward(inputs)]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 2] {
        let [dx, dw, _] = backward(needs_alone(&ctx), ctx, &grad);
        [dx, dw]
    }

    fn backward_kernel(&self, ctx: Saved<B>, grads: [Option<Var<B>>; 1]) -> [Option<Var<B>>; 2] {
        let [dx, dw, _] = kernel(needs_alone(&ctx), ctx, grads);
        [dx, dw]
    }
}

#[cfg(feature = "autodiff")]
impl<B, C> LinearOps for burn_autodiff::Autodiff<B, C>
where
    B: LinearOps,
    C: burn_autodiff::checkpoint::strategy::CheckpointStrategy,
{
    // The backward stays the specification here: made of Burn's operations, it is differentiable.
    fn linear_forward(operands: Floats<Self>) -> burn::backend::tensor::FloatTensor<Self> {
        use burn_autograd_core::differentiate;
        let [y] = match operands.0.len() {
            2 => differentiate::<B, C, _, 2, 1>(Affine, operands.into_array()),
            _ => differentiate::<B, C, _, 3, 1>(Affine, operands.into_array()),
        };
        y
    }
}
