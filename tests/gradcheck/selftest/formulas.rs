//! Wrong formulas: signs, factors, terms, cotangents, transposes, precision.

use burn::tensor::{DType, Device, Tensor};
use burn_autograd::gradcheck::{Gradcheck, Report};
use burn_autograd::{Function, Var};

use super::Mutant;
use super::tools::{Op, constant, elementwise, host, known, of, positive, tensor};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        Mutant::new(1, "sign of one input's gradient flipped: cross product", &["jacobian"], cross),
        Mutant::new(2, "factor 2 missing: x²", &["jacobian"], |planted| {
            let factor = if planted { 1.0 } else { 2.0 };
            elementwise(|x| x.square(), move |x, g| factor * x * g)
                .check::<Tensor<1>>(tensor([4], 2))
        }),
        Mutant::new(3, "factor 1.001 too large: eˣ", &["jacobian"], |planted| {
            slightly_wrong(planted).check::<Tensor<1>>(tensor([4], 3))
        }),
        Mutant::new(4, "a term of the product rule dropped: x·eˣ", &["jacobian"], |planted| {
            elementwise(
                |x| &x * x.exp(),
                move |x, g| {
                    let second = &x * x.exp();
                    g * if planted { second } else { x.exp() + second }
                },
            )
            .check::<Tensor<1>>(tensor([4], 4))
        }),
        Mutant::new(
            5,
            "factor forgotten that is 1 in simple data: s·x",
            &["jacobian"],
            |planted| {
                Op::new(|[s, x]| s * x, move |[s, x], g| [&g * x, if planted { g } else { g * s }])
                    .check::<Tensor<1>>((tensor([3], 5), tensor([3], 50)))
            },
        ),
        Mutant::new(6, "cotangent ignored, taken for ones: eˣ", &["jacobian"], |planted| {
            elementwise(
                |x| x.exp(),
                move |x, g| if planted { g.ones_like() * x.exp() } else { g * x.exp() },
            )
            .check::<Tensor<1>>(tensor([4], 6))
        }),
        Mutant::new(
            7,
            "cotangent applied after the reduction: w·x, summed over rows",
            &["jacobian"],
            |planted| {
                Op::new(
                    |[w, x]| w * x,
                    move |[w, x], g| {
                        let dw = match planted {
                            true => x.sum_dim(0) * g.mean_dim(0),
                            false => (&g * x).sum_dim(0),
                        };
                        [dw, g * w]
                    },
                )
                .check::<Tensor<2>>((tensor([1, 3], 7), tensor([2, 3], 70)))
            },
        ),
        Mutant::new(
            8,
            "cotangent read at the input's index: transpose",
            &["jacobian"],
            |planted| {
                elementwise(|x| x.transpose(), move |_, g| if planted { g } else { g.transpose() })
                    .check::<Tensor<2>>(tensor([3, 3], 8))
            },
        ),
        Mutant::new(9, "transpose missing: product of square matrices", &["jacobian"], |planted| {
            Op::new(
                |[a, b]| a.matmul(&b),
                move |[a, b], g| {
                    let b = if planted { b } else { b.transpose() };
                    [g.matmul(&b), a.transpose().matmul(&g)]
                },
            )
            .check::<Tensor<2>>((tensor([2, 2], 9), tensor([2, 2], 90)))
        }),
        Mutant::new(
            15,
            "input taken for the output: 1 − x² for tanh",
            &["jacobian"],
            |planted| {
                elementwise(
                    |x| x.tanh(),
                    move |x, g| g * (1.0 - if planted { x.square() } else { x.tanh().square() }),
                )
                .check::<Tensor<1>>(tensor([4], 15))
            },
        ),
        Mutant::new(20, "gradients of two inputs exchanged: a²·b", &["jacobian"], |planted| {
            Op::new(
                |[a, b]| a.square() * b,
                move |[a, b], g| {
                    let (da, db) = (&g * 2.0 * &a * b, g * a.square());
                    if planted { [db, da] } else { [da, db] }
                },
            )
            .check::<Tensor<1>>((tensor([3], 20), tensor([3], 200)))
        }),
        Mutant::new(
            46,
            "wrong by 2·10⁻⁵ where x > 1, single precision: eˣ",
            &["line"],
            |planted| {
                let x: Tensor<1> = of([4], &[0.5, 1.5, -0.75, 1.75]);
                elementwise(
                    |x| x.exp(),
                    move |x, g| {
                        let factor = if planted { 1.00002 } else { 1.0 };
                        g * x.exp() * x.ones_like().mask_fill(&x.greater_elem(1.0), factor)
                    },
                )
                .check::<Tensor<1>>(x.cast(DType::F32))
            },
        ),
        Mutant::new(
            47,
            "derivative of a parameter missing: x ⁄ temperature",
            &["jacobian"],
            |planted| {
                Op::with_context(
                    |ctx, [x, t]| {
                        ctx.save([&x, &t]);
                        x / t
                    },
                    move |ctx, g| {
                        let [x, t] = ctx.tensors();
                        let dt = -(&g * x / t.square()).sum_dim(0);
                        [Some(g / t), (!planted).then_some(dt)]
                    },
                )
                .check::<Tensor<1>>((tensor([3], 47), positive([1], 470)))
            },
        ),
        Mutant::new(
            48,
            "ε in another place than in the forward: 1 ⁄ √(v + ε)",
            &["jacobian"],
            |planted| {
                let root = move |v: &Var| match planted {
                    true => v.sqrt() + 1e-5,
                    false => (v + 1e-5).sqrt(),
                };
                elementwise(|v| (v + 1e-5).sqrt().recip(), move |v, g| -0.5 * g / root(&v).powi(3))
                    .check::<Tensor<1>>(positive([4], 48))
            },
        ),
        Mutant::new(49, "output kept in lower precision: eˣ", &["jacobian"], |planted| {
            Op::with_context(
                move |ctx, [x]| {
                    let y = x.exp();
                    let kept = match planted {
                        true => rounded(&y),
                        false => y.clone(),
                    };
                    ctx.save([&kept]);
                    y
                },
                |ctx, g| {
                    let [y] = ctx.tensors();
                    [Some(g * y)]
                },
            )
            .check::<Tensor<1>>(tensor([4], 49))
        }),
        Mutant::new(
            58,
            "backward cut off from the graph: its derivative is wrong",
            &["order 2"],
            |planted| {
                let op = elementwise(
                    |x| 2.5 * x.powi(3) - 1.5 * x,
                    move |x, g| {
                        let x = if planted { x.detach() } else { x };
                        g * (7.5 * x.square() - 1.5)
                    },
                );
                Gradcheck::new().run_order::<Tensor<1>, Tensor<1>>(
                    move |x: Var| op.call([x]),
                    2,
                    tensor([3], 58),
                )
            },
        ),
        Mutant::new(
            59,
            "backward not linear: the cotangent is clipped",
            &["cotangent"],
            |planted| {
                elementwise(
                    |x| x.sin(),
                    move |x, g| x.cos() * if planted { g.clamp(-1.0, 1.0) } else { g },
                )
                .check::<Tensor<1>>(tensor([4], 59))
            },
        ),
        Mutant::new(
            60,
            "tracked forward differs from the plain one: sin x",
            &["forward"],
            |planted| {
                Op::with_context(
                    move |ctx, [x]| {
                        ctx.save([&x]);
                        let factor = if planted && ctx.tracked() { 1.0 + 1e-9 } else { 1.0 };
                        x.sin() * factor
                    },
                    |ctx, g| {
                        let [x] = ctx.tensors();
                        [Some(g * x.cos())]
                    },
                )
                .check::<Tensor<1>>(tensor([4], 60))
            },
        ),
        Mutant::new(
            61,
            "forward wrong, backward consistent with it: x + 0.044715·x³",
            &["values"],
            |planted| {
                let c = if planted { 0.0447 } else { 0.044715 };
                let op = elementwise(
                    move |x| &x + c * x.powi(3),
                    move |x, g| g * (1.0 + 3.0 * c * x.square()),
                );
                let at = known(&[1.0, 2.0], &[1.044715, 2.35772], &[1.134145, 1.53658]);
                op.check_with::<Tensor<1>>(&at, tensor([4], 61))
            },
        ),
        Mutant::new(
            62,
            "forward rounds, backward is that of the intended function: x",
            &["jacobian"],
            |planted| {
                let x: Tensor<1> = of([3], &[0.25, 1.75, -0.75]);
                let op = elementwise(
                    move |x| match planted {
                        true => {
                            let data = host(&x).into_iter().map(f64::round).collect();
                            constant(&x, &x.shape().to_vec(), data)
                        }
                        false => x,
                    },
                    |_, g| g,
                );
                op.check_with::<Tensor<1>>(&Gradcheck::new().first_step(0.125), x)
            },
        ),
        Mutant::new(
            63,
            "wrong by 10⁻⁵ in single precision alone: x²",
            &["parity"],
            |planted| {
                let op = elementwise(
                    |x| x.square(),
                    move |x, g| {
                        let wrong = planted && x.dtype() == DType::F32;
                        g * 2.0 * x * if wrong { 1.0 + 1e-5 } else { 1.0 }
                    },
                );
                let check = Gradcheck::new().reference(&Device::flex());
                op.check_with::<Tensor<1>>(&check, tensor([4], 63).cast(DType::F32))
            },
        ),
        Mutant::new(66, "error that a sum as loss cannot see: softmax", &["jacobian"], |planted| {
            let factor = if planted { 0.5 } else { 1.0 };
            elementwise(
                |x| x.softmax(0),
                move |x, g| {
                    let s = x.softmax(0);
                    factor * &s * (&g - (&g * &s).sum_dim(0))
                },
            )
            .check::<Tensor<1>>(tensor([4], 66))
        }),
        Mutant::new(
            67,
            "gradient at the mirrored index, 3000 elements: flip",
            &["projection"],
            |planted| {
                elementwise(|x| x.flip(&[0]), move |_, g| if planted { g } else { g.flip(&[0]) })
                    .check::<Tensor<1>>(tensor([3000], 67))
            },
        ),
        Mutant::new(
            68,
            "1 % in an entry a billion times smaller than its neighbour",
            &["jacobian"],
            |planted| {
                let scales = vec![1e6, 1e-3];
                let mut wrong = scales.clone();
                if planted {
                    wrong[1] *= 1.01;
                }
                elementwise(
                    move |x| (x.square() * constant(&x, &[2], scales.clone())).sum(),
                    move |x, g| g * 2.0 * &x * constant(&x, &[2], wrong.clone()),
                )
                .check::<Tensor<1>>(tensor([2], 68))
            },
        ),
    ]
}

/// eˣ, whose derivative is too large by one in a thousand.
pub(super) fn slightly_wrong(planted: bool) -> Op<1> {
    let factor = if planted { 1.001 } else { 1.0 };
    elementwise(|x| x.exp(), move |x, g| g * x.exp() * factor)
}

/// The values as single precision holds them.
fn rounded(var: &Var) -> Var {
    let data = host(var).into_iter().map(|value| f64::from(value as f32)).collect();
    constant(var, &var.shape().to_vec(), data)
}

fn cross(planted: bool) -> Report {
    /// Along the second dimension, which has three elements.
    fn product(a: &Var, b: &Var) -> Var {
        let rolled =
            |x: &Var, by: usize| Var::cat(&[x.slice([0..2, by..3]), x.slice([0..2, 0..by])], 1);
        rolled(a, 1) * rolled(b, 2) - rolled(a, 2) * rolled(b, 1)
    }
    Op::new(
        |[a, b]| product(&a, &b),
        move |[a, b], g| {
            let db = product(&g, &a);
            [product(&b, &g), if planted { -db } else { db }]
        },
    )
    .check::<Tensor<2>>((tensor([2, 3], 1), tensor([2, 3], 10)))
}
