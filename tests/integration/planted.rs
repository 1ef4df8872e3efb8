//! A wrong backward for every operation, which the checker must reject: a factor, a sign, a
//! cotangent that is ignored, a broadcast that is not summed. Each beside its right twin, which must
//! pass.

use burn::tensor::{DType, Device, Tensor};
use burn_autograd::gradcheck::{Report, Verdict, gradcheck, gradgradcheck};
use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;

use crate::devices::{cpu, tensor};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Planted {
    Nothing,
    /// legendre_p3: the gradient is too large by one in a thousand.
    Factor,
    /// relu: the sign is wrong.
    Sign,
    /// exp: the gradient of the output is taken for 1.
    CotangentIgnored,
    /// multiply_add: the gradient of `b` has the shape of the output.
    BroadcastNotSummed,
    /// multiply_add: the gradient of `b` is summed, but with the mean.
    BroadcastAveraged,
    /// multiply_add: the gradients of `w` and `x` are exchanged.
    Swapped,
    /// exp: right for every single output, but of several cotangents only the largest arrives.
    NotAdditive,
    /// legendre_p3: right, but its second derivative is not.
    Detached,
}

/// A function of which only the two bodies differ.
macro_rules! function {
    (
        $name:ident, $inputs:literal,
        |[$($forward_input:ident),+]| $forward:expr,
        |$planted:ident, [$($input:ident),+], $g:ident| $backward:expr
    ) => {
        #[derive(Debug, Clone)]
        struct $name(Planted);

        impl Function<$inputs> for $name {
            fn forward(
                &self,
                ctx: &mut Context,
                inputs: [Var; $inputs],
            ) -> [Var; 1] {
                ctx.save(inputs.each_ref());
                let [$($forward_input),+] = inputs;
                [$forward]
            }
            fn backward(
                &self,
                ctx: Saved,
                [$g]: [Var; 1],
            ) -> [Option<Var>; $inputs] {
                let [$($input),+] = ctx.tensors();
                let $planted = self.0;
                $backward.map(Some)
            }
        }
    };
}

function!(LegendreP3, 1, |[x]| 2.5 * x.powi(3) - 1.5 * x, |planted, [x], g| {
    let x = match planted {
        Planted::Detached => x.detach(),
        _ => x,
    };
    let gradient = g * (7.5 * x.powi(2) - 1.5);
    [if planted == Planted::Factor { gradient * 1.001 } else { gradient }]
});
function!(Relu, 1, |[x]| x.fill_where_not_positive(&x, 0.0), |planted, [x], g| {
    let gradient = g.fill_where_not_positive(&x, 0.0);
    [if planted == Planted::Sign { -gradient } else { gradient }]
});
function!(Exp, 1, |[x]| x.exp(), |planted, [x], g| {
    let g = match planted {
        Planted::CotangentIgnored => g.ones_like(),
        Planted::NotAdditive => g.mask_fill(&g.abs().lower(&g.abs().max().reshape([1, 1])), 0.0),
        _ => g,
    };
    [g * x.exp()]
});
function!(MultiplyAdd, 3, |[w, x, b]| w * x + b, |planted, [w, x, b], g| {
    let (mut dw, mut dx) = ((&g * &x).reduce_to(&w.shape()), (&g * &w).reduce_to(&x.shape()));
    if planted == Planted::Swapped {
        std::mem::swap(&mut dw, &mut dx);
    }
    let db = match planted {
        Planted::BroadcastNotSummed => g,
        Planted::BroadcastAveraged => {
            let count = g.shape().num_elements() as f64 / b.shape().num_elements() as f64;
            g.reduce_to(&b.shape()) / count
        }
        _ => g.reduce_to(&b.shape()),
    };
    [dw, dx, db]
});

const DATA: [f64; 6] = [0.75, -1.25, 1.5, -0.625, 2.0, 1.125];

fn unary(apply: impl Fn(Tensor<2>) -> Tensor<2> + Clone + Send + Sync + 'static) -> Vec<Report> {
    cpu()
        .into_iter()
        .map(|device| gradcheck(apply.clone(), tensor([2, 3], &DATA, &device, DType::F64)))
        .collect()
}

fn ternary(planted: Planted) -> Vec<Report> {
    cpu()
        .into_iter()
        .map(|device| {
            let w: Tensor<2> = tensor([2, 3], &DATA, &device, DType::F64);
            let x: Tensor<2> = tensor([2, 3], &DATA.map(|x| 1.0 - x), &device, DType::F64);
            let b: Tensor<2> = tensor([1, 3], &DATA[..3], &device, DType::F64);
            gradcheck(
                move |inputs: (Tensor<2>, Tensor<2>, Tensor<2>)| -> Tensor<2> {
                    MultiplyAdd(planted).apply_all(inputs)
                },
                (w, x, b),
            )
        })
        .collect()
}

#[track_caller]
fn rejected(reports: Vec<Report>, reason: &str) {
    for report in reports {
        assert_eq!(report.verdict(), Verdict::Fail, "{report}");
        assert!(report.to_string().contains(reason), "{report}");
    }
}

#[test]
fn right_twins_pass() {
    for report in [
        unary(|x| LegendreP3(Planted::Nothing).apply([x])),
        unary(|x| Relu(Planted::Nothing).apply([x])),
        unary(|x| Exp(Planted::Nothing).apply([x])),
        ternary(Planted::Nothing),
    ]
    .concat()
    {
        report.assert_pass();
    }
}

#[test]
fn a_factor_of_one_in_a_thousand_is_rejected() {
    let reports = unary(|x| LegendreP3(Planted::Factor).apply([x]));
    rejected(reports, "all 6 failing entries are 1.001000 times what they should be");
}

#[test]
fn a_wrong_sign_is_rejected() {
    rejected(unary(|x| Relu(Planted::Sign).apply([x])), "failing entries have the wrong sign");
}

#[test]
fn an_ignored_cotangent_is_rejected() {
    rejected(unary(|x| Exp(Planted::CotangentIgnored).apply([x])), "FAIL      jacobian");
}

#[test]
fn a_backward_that_is_not_additive_is_rejected() {
    rejected(unary(|x| Exp(Planted::NotAdditive).apply([x])), "FAIL      product");
}

#[test]
fn a_broadcast_that_is_not_summed_is_rejected() {
    let text = "MultiplyAdd: argument `gradient of input 2`: expected the input's shape [1, 3], got [2, 3]";
    rejected(ternary(Planted::BroadcastNotSummed), text);
    rejected(ternary(Planted::BroadcastAveraged), "0.500000 times what they should be");
}

#[test]
fn exchanged_gradients_are_rejected() {
    rejected(ternary(Planted::Swapped), "FAIL      jacobian");
}

#[test]
fn a_backward_that_is_cut_off_has_a_wrong_second_derivative() {
    for device in cpu() {
        let x: Tensor<2> = tensor([2, 3], &DATA, &device, DType::F64);
        for planted in [Planted::Nothing, Planted::Detached] {
            let function = LegendreP3(planted);
            let apply = {
                let function = function.clone();
                move |x: Tensor<2>| function.apply([x])
            };
            gradcheck(apply.clone(), x.clone()).assert_pass();
            let report = gradgradcheck(
                apply,
                move |x: Tensor<2>, g: Tensor<2>| vjp(|x: Var| function.call([x]), x).1.apply(g),
                x.clone(),
            );
            let expected = if planted == Planted::Nothing { Verdict::Pass } else { Verdict::Fail };
            assert_eq!(report.verdict(), expected, "{report}");
        }
    }
}

/// (A·B⁻¹)ᵀ + tr(A)·B, with the backward that was published for it, or with the right one.
#[derive(Debug, Clone)]
struct TraceInverse {
    published: bool,
}

impl Function<2> for TraceInverse {
    fn forward(&self, ctx: &mut Context, [a, b]: [Var; 2]) -> [Var; 1] {
        ctx.save([&a, &b]);
        [a.matmul(&b.clone().inverse()).transpose() + a.trace() * b]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 2] {
        let [a, b] = ctx.tensors();
        let n = b.shape()[0];
        let identity = Var::new(
            Tensor::<2>::eye(n, &Device::new(b.device()).inner()).cast(b.dtype()).into_dispatch(),
        );
        let inverse = b.clone().inverse().transpose();
        let (g_first, inner, last) = if self.published {
            (g.clone(), g.clone().trace(), g.clone().trace() * &b)
        } else {
            (g.transpose(), (&g * &b).sum_dims(&[0, 1]), a.clone().trace() * &g)
        };
        let da = g_first.matmul(&inverse) + inner * identity;
        let db = last - inverse.matmul(&a.transpose()).matmul(&g_first).matmul(&inverse);
        [Some(da), Some(db)]
    }
}

/// It uses Ḡ instead of Ḡᵀ, tr(Ḡ) instead of ⟨Ḡ, B⟩, and tr(Ḡ)·B instead of tr(A)·Ḡ.
#[test]
fn the_published_backward_of_trace_inverse_is_rejected() {
    for device in cpu() {
        let a: Tensor<2> = tensor([2, 2], &[0.75, -1.25, 1.5, -0.625], &device, DType::F64);
        let b: Tensor<2> = tensor([2, 2], &[3.0, 0.5, -0.75, 2.0], &device, DType::F64);
        let check = |published: bool| {
            let function = TraceInverse { published };
            gradcheck(
                move |inputs: (Tensor<2>, Tensor<2>)| -> Tensor<2> { function.apply_all(inputs) },
                (a.clone(), b.clone()),
            )
        };
        check(false).assert_pass();
        let report = check(true);
        rejected(vec![report.clone()], "FAIL      jacobian");
        let text = report.to_string();
        assert!(text.contains("the gradient of input 0 at ["), "{text}");
    }
}
