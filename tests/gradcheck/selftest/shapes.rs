//! Mistakes in shapes: broadcasts, sizes, parameters, batches, indices.

use burn::tensor::{DType, Tensor};
use burn_autograd::Var;
use burn_autograd::gradcheck::Gradcheck;

use super::Mutant;
use super::tools::{Op, constant, elementwise, sweep, tensor};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        Mutant::new(10, "sum over a broadcast dimension missing", &["jacobian"], |planted| {
            let db = move |g: Var| if planted { g } else { g.sum_dim(0) };
            add(db).check::<Tensor<2>>((tensor([2, 3], 10), tensor([1, 3], 100)))
        }),
        Mutant::new(
            11,
            "sum over the wrong one of two equal dimensions",
            &["jacobian"],
            |planted| {
                let dim = usize::from(planted);
                Op::new(
                    |[x, b]| x * b.reshape([1, 3]),
                    move |[x, b], g| [&g * b.reshape([1, 3]), (g * x).sum_dim(dim).reshape([3])],
                )
                .check::<Tensor<2>>((tensor([3, 3], 11), tensor([3], 110)))
            },
        ),
        Mutant::new(
            12,
            "mean over a broadcast dimension instead of the sum",
            &["jacobian", "integers"],
            |planted| {
                let db = move |g: Var| if planted { g.mean_dim(0) } else { g.sum_dim(0) };
                let check = Gradcheck::new().exact();
                add(db).check_with::<Tensor<2>>(&check, (tensor([2, 3], 12), tensor([1, 3], 120)))
            },
        ),
        Mutant::new(
            13,
            "sum over a leading dimension missing that the input does not have",
            &["jacobian"],
            |planted| {
                Op::new(
                    |[x, b]| x + b.reshape([1, 3]),
                    move |_, g| {
                        let db = if planted { g.clone() } else { g.sum_dim(0).reshape([3]) };
                        [g, db]
                    },
                )
                .check::<Tensor<2>>((tensor([2, 3], 13), tensor([3], 130)))
            },
        ),
        Mutant::new(14, "size 1 not taken for a broadcast", &["sizes"], |planted| {
            let op = Op::new(
                |[x, b]| x * b,
                move |[x, b], g| {
                    let db = &g * &x;
                    [g * &b, if planted { db } else { db.reduce_to(&b.shape()) }]
                },
            );
            sweep([3, 1].map(|size| {
                let report = op.check::<Tensor<1>>((tensor([3], 14), tensor([size], 140)));
                (format!("size {size}"), report)
            }))
        }),
        Mutant::new(27, "wrong for odd sizes: sin x", &["sizes"], |planted| {
            let op = elementwise(
                |x| x.sin(),
                move |x, g| {
                    let size = x.shape()[0];
                    let gradient = g * x.cos();
                    let wrong = planted && size % 2 == 1;
                    if wrong { gradient.slice(0..size - 1).padded(&[size]) } else { gradient }
                },
            );
            sweep(
                [2, 3, 4, 5, 7, 8].map(|size| {
                    (format!("size {size}"), op.check::<Tensor<1>>(tensor([size], 27)))
                }),
            )
        }),
        Mutant::new(
            28,
            "elements beyond a multiple of the vector width not written",
            &["sizes"],
            |planted| {
                let op = elementwise(
                    |x| x.sin(),
                    move |x, g| {
                        let size = x.shape()[0];
                        let gradient = g * x.cos();
                        let written = if planted { size - size % 4 } else { size };
                        gradient.slice(0..written).padded(&[size])
                    },
                );
                let subject = op.subject::<Tensor<1>, Tensor<1>>();
                Gradcheck::new().run_sizes(&subject, |size| tensor::<1>([size], 28))
            },
        ),
        Mutant::new(
            31,
            "batch index dropped: the first row's values for all rows",
            &["jacobian"],
            |planted| {
                let op = elementwise(
                    |x| x.square(),
                    move |x, g| {
                        let x = if planted { x.slice(0..1) } else { x };
                        g * 2.0 * x
                    },
                );
                op.check_with::<Tensor<2>>(&Gradcheck::new().batch([true]), tensor([3, 2], 31))
            },
        ),
        Mutant::new(
            32,
            "rows of a batch leak into each other: softmax over the wrong dimension",
            &["batch"],
            |planted| {
                let dim = usize::from(!planted);
                let op = elementwise(
                    move |x| x.softmax(dim),
                    move |x, g| {
                        let s = x.softmax(dim);
                        &s * (&g - (&g * &s).sum_dim(dim))
                    },
                );
                op.check_with::<Tensor<2>>(&Gradcheck::new().batch([true]), tensor([3, 2], 32))
            },
        ),
        Mutant::new(33, "loop over groups wrong from the second group on", &["sizes"], |planted| {
            let op = Op::new(
                |[x, w]| (x * w).sum_dim(1),
                move |[x, w], g| {
                    let dx = &g * w;
                    let x = if planted { x.slice(0..1) } else { x };
                    [dx, g * x]
                },
            );
            sweep([1, 2, 3].map(|groups| {
                let inputs = (tensor([groups, 2], 33), tensor([groups, 2], 330));
                (format!("groups {groups}"), op.check::<Tensor<2>>(inputs))
            }))
        }),
        Mutant::new(34, "the first dimension's dilation used for both", &["sizes"], |planted| {
            sweep([[1, 1], [2, 2], [1, 2]].map(|dilation| {
                let op = dilated(dilation, planted);
                (format!("dilation {dilation:?}"), op.check::<Tensor<2>>(tensor([4, 5], 34)))
            }))
        }),
        Mutant::new(
            35,
            "divisor of a partial window: mean over windows of two, five elements",
            &["jacobian"],
            |planted| {
                let divided = |y: &Var, last: f64| y * constant(y, &[3], vec![0.5, 0.5, last]);
                elementwise(
                    move |x| divided(&x.padded(&[6]).reshape([3, 2]).sum_dim(1).reshape([3]), 1.0),
                    move |_, g| {
                        let g = divided(&g, if planted { 0.5 } else { 1.0 });
                        g.reshape([3, 1]).expand([3, 2]).reshape([6]).slice(0..5)
                    },
                )
                .check::<Tensor<1>>(tensor([5], 35))
            },
        ),
        Mutant::new(
            36,
            "input's size computed from the output's, where a rest was dropped",
            &["sizes"],
            |planted| {
                // Sums of two; the last element of an odd number is left out.
                let op = elementwise(
                    |x| {
                        let pairs = x.shape()[0] / 2;
                        x.slice(0..2 * pairs).reshape([pairs, 2]).sum_dim(1).reshape([pairs])
                    },
                    move |x, g| {
                        let pairs = g.shape()[0];
                        let dx = g.reshape([pairs, 1]).expand([pairs, 2]).reshape([2 * pairs]);
                        if planted { dx } else { dx.padded(&[x.shape()[0]]) }
                    },
                );
                sweep([2, 3, 4, 5].map(|size| {
                    (format!("size {size}"), op.check::<Tensor<1>>(tensor([size], 36)))
                }))
            },
        ),
        Mutant::new(
            37,
            "of several gradients for one index the last one wins: gather",
            &["jacobian", "integers"],
            |planted| {
                let op = elementwise(
                    |x| picked(&x, &[0, 2, 2, 1]),
                    move |_, g| {
                        let twice = picked(&g, &[2]);
                        let twice = if planted { twice } else { twice + picked(&g, &[1]) };
                        Var::cat(&[picked(&g, &[0, 3]), twice], 0)
                    },
                );
                op.check_with::<Tensor<1>>(&Gradcheck::new().exact(), tensor([3], 37))
            },
        ),
        Mutant::new(38, "gradient scattered along the wrong dimension", &["jacobian"], |planted| {
            elementwise(
                |x| x.slice([0..2, 0..1, 0..3]),
                move |_, g| {
                    let g = if planted { g.transpose() } else { g };
                    g.padded(&[2, 3, 3])
                },
            )
            .check::<Tensor<3>>(tensor([2, 3, 3], 38))
        }),
        Mutant::new(
            39,
            "index −1 wraps in the forward, is clamped to 0 in the backward",
            &["jacobian"],
            |planted| {
                elementwise(
                    |x| x.slice(3..4) * 3.0,
                    move |_, g| {
                        let g = g * 3.0;
                        let zeros = g.full([3], 0.0);
                        Var::cat(&if planted { [g, zeros] } else { [zeros, g] }, 0)
                    },
                )
                .check::<Tensor<1>>(tensor([4], 39))
            },
        ),
        Mutant::new(40, "repeating a dimension larger than 1", &["sizes"], |planted| {
            let op = elementwise(
                |x| Var::cat(&[x.clone(), x], 1),
                move |x, g| {
                    let size = x.shape()[1];
                    match planted {
                        // Right if each element is repeated, as a single one is.
                        true => g.reshape([2, size, 2]).sum_dim(2).reshape([2, size]),
                        false => g.slice([0..2, 0..size]) + g.slice([0..2, size..2 * size]),
                    }
                },
            );
            sweep(
                [1, 3].map(|size| {
                    (format!("size {size}"), op.check::<Tensor<2>>(tensor([2, size], 40)))
                }),
            )
        }),
        Mutant::new(50, "gradient in another data type than the input", &["jacobian"], |planted| {
            elementwise(
                |x| x * 3.0,
                move |_, g| {
                    let gradient = g * 3.0;
                    match planted {
                        true => gradient.into_tensor::<1>().cast(DType::F32).into(),
                        false => gradient,
                    }
                },
            )
            .check::<Tensor<1>>(tensor([3], 50))
        }),
        Mutant::new(
            51,
            "right elements in another shape of the same size",
            &["jacobian"],
            |planted| {
                elementwise(
                    |x| x * 3.0,
                    move |_, g| {
                        let gradient = g * 3.0;
                        if planted { gradient.reshape([3, 2]) } else { gradient }
                    },
                )
                .check::<Tensor<2>>(tensor([2, 3], 51))
            },
        ),
        Mutant::new(
            64,
            "backward reads the first element of an empty tensor",
            &["sizes"],
            |planted| {
                let op = elementwise(
                    |x| x.sin(),
                    move |x, g| {
                        if planted {
                            let _ = host_first(&g);
                        }
                        g * x.cos()
                    },
                );
                let subject = op.subject::<Tensor<1>, Tensor<1>>();
                // The sizes up to 8: an empty tensor is the first of them.
                Gradcheck::new().run_sizes(&subject, |size| tensor::<1>([size.min(8)], 64))
            },
        ),
    ]
}

/// What a kernel does that reads an element to find out a property of all.
fn host_first(g: &Var) -> f64 {
    super::tools::host(g)[0]
}

/// x + b, with the gradient of b from that of the sum.
fn add(db: impl Fn(Var) -> Var + Send + Sync + 'static) -> Op<2> {
    Op::new(|[x, b]| x + b, move |_, g| [g.clone(), db(g)])
}

/// The elements at these places, one after the other.
fn picked(x: &Var, places: &[usize]) -> Var {
    let parts: Vec<Var> = places.iter().map(|&place| x.slice(place..place + 1)).collect();
    Var::cat(&parts, 0)
}

/// 2·x[i, j] + 3·x[i + d₀, j + d₁] for 4 × 5 elements.
fn dilated([rows, columns]: [usize; 2], planted: bool) -> Op<1> {
    elementwise(
        move |x| {
            2.0 * x.slice([0..4 - rows, 0..5 - columns]) + 3.0 * x.slice([rows..4, columns..5])
        },
        move |_, g| {
            let shift = if planted { rows } else { columns };
            let below = Var::cat(&[g.full([rows, 5 - columns], 0.0), 3.0 * &g], 0);
            let right = match shift {
                0 => below,
                shift => Var::cat(&[g.full([4, shift], 0.0), below], 1),
            };
            (2.0 * g).padded(&[4, 5]) + right.padded(&[4, 5])
        },
    )
}

trait Padded {
    /// With zeros behind the last element of each dimension, up to a shape.
    fn padded(&self, shape: &[usize]) -> Self;
}

impl Padded for Var {
    fn padded(&self, shape: &[usize]) -> Self {
        (0..shape.len()).fold(self.clone(), |x, dim| {
            let mut rest = x.shape().to_vec();
            rest[dim] = shape[dim] - rest[dim];
            if rest[dim] == 0 {
                return x;
            }
            let zeros = x.full(rest, 0.0);
            Self::cat(&[x, zeros], dim)
        })
    }
}
