//! The gradients of each operation for a cotangent, by its method on variables: themselves differentiable.

use burn::tensor::{Int, Tensor};
use burn_autograd::ops::cross_entropy::CrossEntropyOptions;
use burn_autograd::ops::prelude::*;
use burn_autograd::ops::relu::SelfDefinedRelu;
use burn_autograd::{Tree, Var, apply_rule, vjp};

/// The gradients of a function of variables for a cotangent.
#[track_caller]
pub(crate) fn pulled<I: Tree, O: Tree>(
    function: impl FnOnce(I::Vars) -> O::Vars,
    at: I,
    cotangent: O,
) -> I {
    vjp(function, at).1.apply(cotangent)
}

macro_rules! unary {
    ($($name:ident: $function:expr;)+) => {
        $(
            #[track_caller]
            pub(crate) fn $name<const D: usize>(x: Tensor<D>, grad: Tensor<D>) -> Tensor<D> {
                pulled($function, x, grad)
            }
        )+
    };
}

unary! {
    legendre_p3_vjp: |x: Var| x.legendre_p3();
    exp_vjp: |x: Var| x.fused_exp();
    relu_vjp: |x: Var| {
        let [y] = apply_rule(&SelfDefinedRelu, [x]);
        y
    };
    inverse_vjp: |a: Var| a.inverse();
    trace_vjp: |a: Var| a.trace();
    det_vjp: |a: Var| a.det();
    log_abs_det_vjp: |a: Var| a.log_abs_det().1;
}

macro_rules! binary {
    ($($name:ident($second:ty, $grad:ty): $function:expr;)+) => {
        $(
            #[track_caller]
            pub(crate) fn $name<const D: usize>(
                a: Tensor<D>,
                b: $second,
                grad: $grad,
            ) -> (Tensor<D>, $second) {
                pulled($function, (a, b), grad)
            }
        )+
    };
}

binary! {
    polynomial_vjp(Tensor<1>, Tensor<D>): |(x, c): (Var, Var)| x.polynomial(c);
    sum_squared_error_vjp(Tensor<D>, Tensor<1>): |(p, t): (Var, Var)| p.sum_squared_error(t);
    solve_vjp(Tensor<D>, Tensor<D>): |(a, b): (Var, Var)| a.solve(b);
    solve_right_vjp(Tensor<D>, Tensor<D>): |(a, b): (Var, Var)| a.solve_right(b);
    trace_inverse_vjp(Tensor<D>, Tensor<D>): |(a, b): (Var, Var)| a.trace_inverse(b);
}

#[track_caller]
pub(crate) fn solve_vector_vjp<const D: usize, const E: usize>(
    a: Tensor<D>,
    b: Tensor<E>,
    grad: Tensor<E>,
) -> (Tensor<D>, Tensor<E>) {
    pulled(|(a, b): (Var, Var)| a.solve_vector(b), (a, b), grad)
}

#[track_caller]
pub(crate) fn multiply_add_vjp<const D: usize>(
    w: Tensor<D>,
    x: Tensor<D>,
    b: Tensor<D>,
    grad: Tensor<D>,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    pulled(|(w, x, b): (Var, Var, Var)| w.multiply_add(x, b), (w, x, b), grad)
}

#[track_caller]
pub(crate) fn linear_vjp<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    grad: Tensor<D>,
) -> (Tensor<D>, Tensor<2>, Option<Tensor<1>>) {
    let Some(bias) = bias else {
        let f = |(x, weight): (Var, Var)| x.fused_linear(weight, None);
        let (dx, dw) = pulled(f, (x, weight), grad);
        return (dx, dw, None);
    };
    let f = |(x, weight, bias): (Var, Var, Var)| x.fused_linear(weight, Some(bias));
    let (dx, dw, db) = pulled(f, (x, weight, bias), grad);
    (dx, dw, Some(db))
}

#[track_caller]
pub(crate) fn cross_entropy_vjp<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
    grad: Tensor<1>,
) -> Tensor<D> {
    pulled(|x: Var| x.cross_entropy(targets, options), logits, grad)
}

#[track_caller]
pub(crate) fn cross_entropy_unreduced_vjp<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
    grad: Tensor<DT>,
) -> Tensor<D> {
    pulled(|x: Var| x.cross_entropy_unreduced(targets, options), logits, grad)
}
