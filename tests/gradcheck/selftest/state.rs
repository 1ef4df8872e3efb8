//! Mistakes in memory and state: views, work in place, recycled memory, caches, threads.
//!
//! Where a mistake would already show in the Jacobian, it is planted in the path of a dense cotangent:
//! as in a kernel that has another one for sparse cotangents. The Jacobian is checked one output at a
//! time, so that what remains is for the check that is meant.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use burn_autograd::gradcheck::{Gradcheck, Report, Subject};
use burn_autograd::{Function, Var};

use super::Mutant;
use super::memory::{overwrite, shared, without_strides};
use super::tools::{Op, constant, elementwise, host, sweep, tensor};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        Mutant::new(
            16,
            "output that was kept is overwritten in place: eˣ",
            &["untouched"],
            |planted| {
                Op::with_context(
                    |ctx, [x]| {
                        let y = x.exp();
                        ctx.save([&y]);
                        y
                    },
                    move |ctx, g| {
                        let [y] = ctx.tensors();
                        let gradient = g * &y;
                        if planted {
                            overwrite(&y, &host(&gradient));
                        }
                        [Some(gradient)]
                    },
                )
                .check::<Tensor<1>>(tensor([4], 16))
            },
        ),
        Mutant::new(
            17,
            "cotangent overwritten in place that another input still needs",
            &["subsets"],
            in_place,
        ),
        Mutant::new(
            18,
            "gradient doubled where one tensor is both inputs",
            &["twice"],
            |planted| {
                product_of_one_memory(planted.then_some(2.0))
                    .check::<Tensor<1>>((tensor([3], 18), tensor([3], 180)))
            },
        ),
        Mutant::new(25, "strides of an input ignored: x²", &["layout"], |planted| {
            elementwise(|x| x.square(), move |x, g| g * 2.0 * if planted { flat(&x) } else { x })
                .check::<Tensor<2>>(tensor([2, 3], 25))
        }),
        Mutant::new(26, "strides of the cotangent ignored: x²", &["layout"], |planted| {
            elementwise(|x| x.square(), move |x, g| 2.0 * x * if planted { flat(&g) } else { g })
                .check::<Tensor<2>>(tensor([2, 3], 26))
        }),
        Mutant::new(
            29,
            "output buffer not fully written: what was in it shows",
            &["repeat"],
            |planted| {
                let memory = Arc::new(Mutex::new(vec![0.0; 4]));
                let written = memory.clone();
                elementwise(
                    move |x| {
                        let y = x.square();
                        *lock(&written) = host(&y);
                        y
                    },
                    move |x, g| {
                        let gradient = 2.0 * &x * &g;
                        if !planted || !is_dense(&g) {
                            return gradient;
                        }
                        let mut memory = lock(&memory);
                        let last = memory[3];
                        *memory = host(&gradient);
                        memory[3] = last;
                        constant(&g, &[4], memory.clone())
                    },
                )
                .check::<Tensor<1>>(tensor([4], 29))
            },
        ),
        Mutant::new(30, "gradient added to a buffer that was not zeroed", &["repeat"], |planted| {
            let memory = Mutex::new(vec![0.0; 4]);
            elementwise(
                |x| x.square(),
                move |x, g| {
                    let gradient = 2.0 * &x * &g;
                    if !planted || !is_dense(&g) {
                        return gradient;
                    }
                    let mut memory = lock(&memory);
                    for (sum, term) in memory.iter_mut().zip(host(&gradient)) {
                        *sum += term;
                    }
                    constant(&g, &[4], memory.clone())
                },
            )
            .check::<Tensor<1>>(tensor([4], 30))
        }),
        Mutant::new(
            52,
            "reduction in another order each time: one unit in the last place",
            &["repeat"],
            |planted| atomic(planted).check::<Tensor<1>>(tensor([4], 52)),
        ),
        Mutant::new(53, "cache by shape that is filled once", &["points"], |planted| {
            let cache: Mutex<HashMap<Vec<usize>, Var>> = Mutex::default();
            let op = elementwise(
                |x| x.square(),
                move |x, g| {
                    if !planted {
                        return 2.0 * x * g;
                    }
                    let kept = lock(&cache).entry(x.shape().to_vec()).or_insert(x).clone();
                    2.0 * kept * g
                },
            );
            sweep([1, 2].map(|point| {
                (format!("point {point}"), op.check::<Tensor<1>>(tensor([4], 530 + point)))
            }))
        }),
        Mutant::new(54, "two graphs share what the forward kept", &["repeat"], |planted| {
            let kept: Arc<Mutex<Option<Var>>> = Arc::default();
            let keep = kept.clone();
            Op::with_context(
                move |ctx, [x]| {
                    ctx.save([&x]);
                    if ctx.tracked() {
                        *lock(&keep) = Some(x.clone());
                    }
                    x.square()
                },
                move |ctx, g| {
                    let [x] = ctx.tensors();
                    let last = lock(&kept).clone().filter(|last| last.shape() == x.shape());
                    let x = if planted { last.unwrap_or(x) } else { x };
                    [Some(2.0 * x * g)]
                },
            )
            .check::<Tensor<1>>(tensor([4], 54))
        }),
        Mutant::new(65, "threads share a buffer without a lock", &["threads"], race),
    ]
}

/// x², whose gradient is off by a unit in the last place every other time.
pub(super) fn atomic(planted: bool) -> Op<1> {
    let runs = AtomicU64::new(0);
    elementwise(
        |x| x.square(),
        move |x, g| {
            let odd = runs.fetch_add(1, Ordering::Relaxed) % 2 == 1;
            2.0 * x * g * if planted && odd { 1.0 + 2.0 * f64::EPSILON } else { 1.0 }
        },
    )
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The elements as they lie in memory.
fn flat(var: &Var) -> Var {
    constant(var, &var.shape().to_vec(), without_strides(var))
}

/// Whether no element is zero.
fn is_dense(g: &Var) -> bool {
    host(g).iter().all(|&value| value != 0.0)
}

/// 3a + b: the sum hands one cotangent to both, and the product by 3 may write into it.
fn in_place(planted: bool) -> Report {
    let triple = elementwise(
        |x| x * 3.0,
        move |_, g| {
            let gradient = &g * 3.0;
            if planted && is_dense(&g) {
                overwrite(&g, &host(&gradient));
            }
            gradient
        },
    );
    // Its own copy of the cotangent, so that what arrives at both inputs is no view.
    let sum = Op::new(
        |[a, b]| a + b,
        |_, g| {
            let g = constant(&g, &g.shape().to_vec(), host(&g));
            [g.clone(), g]
        },
    );
    let subject =
        Subject::new(move |(a, b): (Tensor<1>, Tensor<1>)| sum.apply([triple.apply([a]), b]));
    Gradcheck::new().run(&subject, (tensor([3], 17), tensor([3], 170)))
}

/// a·b, whose gradients are multiplied by this if both inputs are one tensor.
fn product_of_one_memory(factor: Option<f64>) -> Op<2> {
    Op::new(
        |[a, b]| a * b,
        move |[a, b], g| {
            let factor = factor.filter(|_| shared(&a, &b)).unwrap_or(1.0);
            [&g * b * factor, g * a * factor]
        },
    )
}

/// x², whose gradient is gathered in a buffer that all threads use: zeroed, added to, read.
fn race(planted: bool) -> Report {
    let buffer: Arc<Vec<AtomicU64>> = Arc::new((0..4).map(|_| AtomicU64::new(0)).collect());
    let inside = Arc::new(AtomicUsize::new(0));
    elementwise(
        |x| x.square(),
        move |x, g| {
            let gradient = 2.0 * x * &g;
            if !planted {
                return gradient;
            }
            let crowd = inside.fetch_add(1, Ordering::SeqCst) + 1;
            if crowd == 1 {
                buffer.iter().for_each(|sum| sum.store(0.0f64.to_bits(), Ordering::SeqCst));
            }
            // Long enough for another thread to come in.
            let started = Instant::now();
            while inside.load(Ordering::SeqCst) < 2 && started.elapsed() < Duration::from_millis(4)
            {
                std::thread::yield_now();
            }
            for (sum, term) in buffer.iter().zip(host(&gradient)) {
                let old = f64::from_bits(sum.load(Ordering::SeqCst));
                sum.store((old + term).to_bits(), Ordering::SeqCst);
            }
            std::thread::sleep(Duration::from_millis(1));
            let found =
                buffer.iter().map(|sum| f64::from_bits(sum.load(Ordering::SeqCst))).collect();
            inside.fetch_sub(1, Ordering::SeqCst);
            constant(&g, &[4], found)
        },
    )
    .check::<Tensor<1>>(tensor([4], 65))
}
