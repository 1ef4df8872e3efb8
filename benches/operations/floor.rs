//! What nobody can beat: the memory that a workload has to read and write, over preallocated buffers,
//! on one thread and on all of them; the faster one counts. On a device with a queue, a copy of as much.

use std::cell::RefCell;
use std::hint::black_box;
use std::ops::{Add, Mul};
use std::rc::Rc;

use burn::backend::{Backend, Dispatch};
use burn::tensor::{Device, Distribution, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::measure::Step;
use crate::workloads::Form;

/// The floor of a workload on a device: that of the CPU, or, where the device has a queue, a copy of as
/// many elements as are `moved`, read and written together; none where memory is not what takes the time.
pub(crate) fn on(
    device: &Device,
    moved: Option<usize>,
    cpu: impl FnOnce() -> Vec<Form>,
) -> Vec<Form> {
    // The backend is chosen at run time: its name alone says what it is.
    if !Dispatch::name(device.as_dispatch()).contains("cubecl<") {
        return cpu();
    }
    moved.map(|moved| copy(moved, device)).into_iter().collect()
}

/// Elements per buffer: 128 MiB are as much as some adapters bind.
const MOST_COPIED: usize = 1 << 25;

/// One of Burn's elementwise operations on half of these elements, which it reads, and writes as many.
fn copy(moved: usize, device: &Device) -> Form {
    let len = moved.div_ceil(2);
    let parts = len.div_ceil(MOST_COPIED);
    let device = device.clone().inner();
    let inputs: Vec<Tensor<1>> = (0..parts)
        .map(|_| {
            let range = Distribution::Uniform(0.0, 1.0);
            Tensor::<1>::random([len.div_ceil(parts)], range, &device)
        })
        .collect();
    let step =
        Step::new(move || -> Vec<_> { inputs.iter().map(|input| input.clone() + 1.0).collect() });
    ("copy".to_owned(), step)
}

/// Elements per task: at most so many that threads which finish early can take over.
const MOST: usize = 1 << 16;

/// Elements per task on this many threads.
fn task(len: usize, threads: usize) -> usize {
    if threads == 1 { len.max(1) } else { len.div_ceil(threads).clamp(1, MOST) }
}

/// Runs `pass` over this many elements on one thread and, where that can be a gain, on all.
fn on_one_and_all<B: 'static>(len: usize, buffers: B, pass: fn(&mut B, usize)) -> Vec<Form> {
    let buffers = Rc::new(RefCell::new(buffers));
    // Waking a thread takes longer than a pass over so few; and threads that look for work disturb
    // the other contenders.
    let threads = if len < 1 << 14 { 1 } else { rayon::current_num_threads() };
    let mut counts = vec![1, threads];
    counts.dedup();
    counts
        .into_iter()
        .map(|threads| {
            let buffers = Rc::clone(&buffers);
            let step = Step::new(move || pass(&mut buffers.borrow_mut(), threads));
            (format!("threads: {threads}"), step)
        })
        .collect()
}

/// x → y, then (x, ȳ) → x̄.
pub(crate) fn unary(len: usize) -> Vec<Form> {
    let [x, g] = [1.5f32, 0.5].map(|value| vec![value; len]);
    let [y, dx] = [(), ()].map(|()| vec![0.0f32; len]);
    on_one_and_all(len, (x, g, y, dx), |(x, g, y, dx), threads| {
        let task = task(x.len(), threads);
        let forward = |(y, x): (&mut [f32], &[f32])| {
            Arch::new().dispatch(|| y.iter_mut().zip(x).for_each(|(y, x)| *y = x * x));
        };
        let backward = |((dx, x), g): ((&mut [f32], &[f32]), &[f32])| {
            Arch::new()
                .dispatch(|| dx.iter_mut().zip(x).zip(g).for_each(|((dx, x), g)| *dx = x * g));
        };
        if threads == 1 {
            forward((y, x));
            backward(((dx, x), g));
        } else {
            y.par_chunks_mut(task).zip(x.par_chunks(task)).for_each(forward);
            dx.par_chunks_mut(task)
                .zip(x.par_chunks(task))
                .zip(g.par_chunks(task))
                .for_each(backward);
        }
    })
}

/// (w, x, b) → y, then (w, x, ȳ) → (w̄, x̄). The gradient of `b` is ȳ itself.
pub(crate) fn multiply_add(len: usize) -> Vec<Form> {
    let inputs = [1.5f32, 0.5, 2.0, 0.25].map(|value| vec![value; len]);
    let outputs = [(), (), ()].map(|()| vec![0.0f32; len]);
    on_one_and_all(len, (inputs, outputs), |([w, x, b, g], [y, dw, dx]), threads| {
        let task = task(w.len(), threads);
        type Forward<'a> = (((&'a mut [f32], &'a [f32]), &'a [f32]), &'a [f32]);
        let forward = |(((y, w), x), b): Forward<'_>| {
            Arch::new().dispatch(|| {
                y.iter_mut().zip(w).zip(x).zip(b).for_each(|(((y, w), x), b)| *y = w * x + b);
            });
        };
        type Backward<'a> = ((((&'a mut [f32], &'a mut [f32]), &'a [f32]), &'a [f32]), &'a [f32]);
        let backward = |((((dw, dx), w), x), g): Backward<'_>| {
            Arch::new().dispatch(|| {
                for ((((dw, dx), w), x), g) in dw.iter_mut().zip(dx).zip(w).zip(x).zip(g) {
                    *dw = g * x;
                    *dx = g * w;
                }
            });
        };
        if threads == 1 {
            forward((((y, w), x), b));
            backward(((((dw, dx), w), x), g));
        } else {
            y.par_chunks_mut(task)
                .zip(w.par_chunks(task))
                .zip(x.par_chunks(task))
                .zip(b.par_chunks(task))
                .for_each(forward);
            dw.par_chunks_mut(task)
                .zip(dx.par_chunks_mut(task))
                .zip(w.par_chunks(task))
                .zip(x.par_chunks(task))
                .zip(g.par_chunks(task))
                .for_each(backward);
        }
    })
}

/// A float type that can be multiplied and added in vector registers.
pub(crate) trait Number:
    Copy + Send + Sync + Mul<Output = Self> + Add<Output = Self> + 'static
{
    const ONE: Self;

    /// This many multiply-adds on this thread, in registers.
    fn multiply_adds(count: usize) -> Self;
}

macro_rules! number {
    ($float:ty, $lanes:ident, $splat:ident, $multiply_add:ident, $sum:ident) => {
        impl Number for $float {
            const ONE: Self = 1.0;

            fn multiply_adds(count: usize) -> Self {
                struct Chains(usize);
                impl WithSimd for Chains {
                    type Output = $float;

                    #[inline(always)]
                    fn with_simd<S: Simd>(self, simd: S) -> $float {
                        // More than a multiply-add's latency times how many start in a cycle.
                        const CHAINS: usize = 12;
                        let mut chains = [simd.$splat(1.0); CHAINS];
                        let [factor, addend] =
                            [0.999, 0.001].map(|value| simd.$splat(black_box(value)));
                        for _ in 0..self.0.div_ceil(CHAINS * S::$lanes) {
                            for chain in &mut chains {
                                *chain = simd.$multiply_add(*chain, factor, addend);
                            }
                        }
                        chains.into_iter().map(|chain| simd.$sum(chain)).sum()
                    }
                }
                Arch::new().dispatch(Chains(count))
            }
        }
    };
}

number!(f32, F32_LANES, splat_f32s, mul_add_f32s, reduce_sum_f32s);
number!(f64, F64_LANES, splat_f64s, mul_add_f64s, reduce_sum_f64s);

/// This many multiply-adds at the machine's peak rate: nothing is loaded or stored.
pub(crate) fn arithmetic<T: Number>(count: usize) -> Vec<Form> {
    on_one_and_all(count, count, |count, threads| {
        let part = count.div_ceil(threads);
        if threads == 1 {
            black_box(T::multiply_adds(part));
        } else {
            (0..threads).into_par_iter().for_each(|_| {
                black_box(T::multiply_adds(part));
            });
        }
    })
}

/// (a, b) → y, then (a, b, y) → (ā, b̄), on one thread.
pub(crate) fn binary<T: Number>(len: usize) -> Vec<Form> {
    let [a, b] = [(), ()].map(|()| vec![T::ONE; len]);
    let [mut y, mut da, mut db] = [(), (), ()].map(|()| vec![T::ONE; len]);
    let step = Step::new(move || {
        Arch::new().dispatch(|| {
            for ((y, a), b) in y.iter_mut().zip(&a).zip(&b) {
                *y = *a * *b;
            }
            for ((((da, db), a), b), y) in da.iter_mut().zip(&mut db).zip(&a).zip(&b).zip(&y) {
                *da = *y * *b;
                *db = *y * *a;
            }
        });
    });
    vec![("threads: 1".to_owned(), step)]
}

/// x is read for a sum; then read again for x̄.
pub(crate) fn row_reduction(len: usize) -> Vec<Form> {
    let (x, dx) = (vec![1.5f32; len], vec![0.0f32; len]);
    on_one_and_all(len, (x, dx), |(x, dx), threads| {
        let task = task(x.len(), threads);
        let forward = |x: &[f32]| {
            Arch::new().dispatch(|| {
                let mut sums = [0.0f32; LANES];
                for x in x.chunks_exact(LANES) {
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum += x;
                    }
                }
                black_box(sums);
            });
        };
        let backward = |(dx, x): (&mut [f32], &[f32])| {
            Arch::new().dispatch(|| dx.iter_mut().zip(x).for_each(|(dx, x)| *dx = x * 0.5));
        };
        if threads == 1 {
            forward(x);
            backward((dx, x));
        } else {
            x.par_chunks(task).for_each(forward);
            dx.par_chunks_mut(task).zip(x.par_chunks(task)).for_each(backward);
        }
    })
}

/// Sums in so many parts, so that the compiler may use vector registers.
const LANES: usize = 64;

/// Gradient descent on Σ(model − y)², fused into one pass over the points for each step. The model
/// gives its value and its derivatives.
pub(crate) fn fit<F>(
    [x, y]: [Vec<f32>; 2],
    start: [f32; 4],
    rate: f32,
    steps: usize,
    model: F,
) -> Vec<Form>
where
    F: Fn(f32, [f32; 4]) -> (f32, [f32; 4]) + Copy + 'static,
{
    let step = Step::new(move || {
        let parameters = Arch::new().dispatch(
            #[inline(always)]
            || {
                let mut parameters = start;
                for _ in 0..steps {
                    let mut sums = [[0.0f32; LANES]; 4];
                    let mut add = |lane: usize, x: f32, y: f32| {
                        let (value, derivatives) = model(x, parameters);
                        let error = 2.0 * (value - y);
                        for (sum, derivative) in sums.iter_mut().zip(derivatives) {
                            sum[lane] += error * derivative;
                        }
                    };
                    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
                    let rest = xs.remainder().iter().zip(ys.remainder());
                    for (x, y) in xs.zip(ys) {
                        for lane in 0..LANES {
                            add(lane, x[lane], y[lane]);
                        }
                    }
                    rest.for_each(|(x, y)| add(0, *x, *y));
                    for (parameter, sums) in parameters.iter_mut().zip(&sums) {
                        *parameter -= rate * sums.iter().sum::<f32>();
                    }
                }
                parameters
            },
        );
        black_box(parameters);
    });
    vec![("threads: 1".to_owned(), step)]
}
