//! The CPU kernels: forward and backward in one pass over memory each, for every broadcast.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

use super::Needs;
use crate::support::Real;
use crate::support::broadcast::{Broadcast, Segment};
use crate::support::cpu::{GRAIN, Map, vectorized};

const W: usize = 0;
const X: usize = 1;
const B: usize = 2;

/// (w, x, b) ↦ w·x + b, for equal shapes.
#[derive(Clone, Copy)]
pub(super) struct Forward;

impl Map<3> for Forward {
    #[inline(always)]
    fn apply<T: Real>(self, [w, x, b]: [T; 3]) -> T {
        w * x + b
    }
}

/// The most parts that a pass is cut into.
const MOST: usize = 16;

/// The parts that a pass over `len` elements is cut into. Their number depends on the length
/// alone, so that sums are the same on every number of threads.
fn parts(len: usize, most: usize) -> Vec<Range<usize>> {
    let count = (len / GRAIN).clamp(1, most);
    let size = len.div_ceil(count).max(1);
    (0..count).map(|part| (part * size).min(len)..((part + 1) * size).min(len)).collect()
}

/// Cuts a buffer into the same parts.
fn cut<'a, T>(mut buffer: &'a mut [T], parts: &[Range<usize>]) -> Vec<&'a mut [T]> {
    parts
        .iter()
        .map(|range| {
            let (head, tail) = std::mem::take(&mut buffer).split_at_mut(range.len());
            buffer = tail;
            head
        })
        .collect()
}

/// An operand along a segment: element by element, or one value.
#[derive(Clone, Copy)]
enum Run<'a, T> {
    Moving(&'a [T]),
    Still(T),
}

impl<'a, T: Real> Run<'a, T> {
    fn new<const K: usize>(
        operand: &'a [T],
        index: usize,
        plan: &Broadcast<K>,
        segment: &Segment<K>,
    ) -> Self {
        let offset = segment.offsets[index];
        if plan.still[index] {
            Self::Still(operand[offset])
        } else {
            Self::Moving(&operand[offset..offset + segment.len])
        }
    }
}

/// Runs the body with each operand as a function of the position, compiled for every combination.
macro_rules! with_runs {
    ($arch:expr, $len:expr; $($name:ident),+ => $body:expr) => {
        with_runs!(@ $arch, $len; [$($name)+] => $body)
    };
    (@ $arch:expr, $len:expr; [$head:ident $($tail:ident)*] => $body:expr) => {
        match $head {
            Run::Moving(values) => {
                // So that the compiler sees that no index is out of bounds.
                let values = &values[..$len];
                let $head = move |i: usize| values[i];
                with_runs!(@ $arch, $len; [$($tail)*] => $body)
            }
            Run::Still(value) => {
                let $head = move |_: usize| value;
                with_runs!(@ $arch, $len; [$($tail)*] => $body)
            }
        }
    };
    (@ $arch:expr, $len:expr; [] => $body:expr) => {
        vectorized($arch, #[inline(always)] move || $body)
    };
}

/// w·x + b, for shapes that broadcast.
pub(super) fn forward<T: Real>(plan: &Broadcast<3>, w: &[T], x: &[T], b: &[T]) -> Vec<T> {
    let mut output = Vec::with_capacity(plan.len);
    let parts = parts(plan.len, MOST);
    let arch = Arch::new();
    let run = |(range, out): (Range<usize>, &mut [MaybeUninit<T>])| {
        let first = range.start;
        plan.segments(range, |segment| {
            let len = segment.len;
            let out = &mut out[segment.start - first..][..len];
            let w = Run::new(w, W, plan, &segment);
            let x = Run::new(x, X, plan, &segment);
            let b = Run::new(b, B, plan, &segment);
            with_runs!(arch, len; w, x, b => {
                for (i, place) in out.iter_mut().enumerate() {
                    place.write(w(i) * x(i) + b(i));
                }
            });
        });
    };
    let places = cut(&mut output.spare_capacity_mut()[..plan.len], &parts);
    each(parts, places, run);
    // SAFETY: the segments of all parts cover every element once, and each was written.
    unsafe { output.set_len(plan.len) };
    output
}

/// Runs the parts, in parallel if there are several.
fn each<S: Send, R: Send>(
    parts: Vec<Range<usize>>,
    buffers: Vec<S>,
    run: impl Fn((Range<usize>, S)) -> R + Sync + Send,
) -> Vec<R> {
    if parts.len() == 1 {
        parts.into_iter().zip(buffers).map(run).collect()
    } else {
        parts.into_par_iter().zip(buffers).map(run).collect()
    }
}

/// (grad·x, grad·w) for equal shapes, in one pass; the second one overwrites `grad`.
pub(super) fn products_into<T: Real>(grad: &mut [T], w: &[T], x: &[T]) -> Vec<T> {
    let len = grad.len();
    assert!(w.len() == len && x.len() == len, "the operands have one length");
    let mut dw = Vec::with_capacity(len);
    let parts = parts(len, MOST);
    let arch = Arch::new();
    let places = cut(&mut dw.spare_capacity_mut()[..len], &parts);
    let grads = cut(grad, &parts);
    type Places<'a, T> = (&'a mut [MaybeUninit<T>], &'a mut [T]);
    let run = |(range, (dw, grad)): (Range<usize>, Places<'_, T>)| {
        let (w, x) = (&w[range.clone()], &x[range]);
        arch.dispatch(
            #[inline(always)]
            move || {
                for (((dw, grad), w), x) in dw.iter_mut().zip(grad).zip(w).zip(x) {
                    dw.write(*grad * *x);
                    *grad *= *w;
                }
            },
        );
    };
    each(parts, places.into_iter().zip(grads).collect(), run);
    // SAFETY: the parts cover every element once, and each was written.
    unsafe { dw.set_len(len) };
    dw
}

/// (grad·x, grad·w) for equal shapes, in one pass.
pub(super) fn products<T: Real>(grad: &[T], w: &[T], x: &[T]) -> (Vec<T>, Vec<T>) {
    let len = grad.len();
    assert!(w.len() == len && x.len() == len, "the operands have one length");
    let (mut dw, mut dx) = (Vec::with_capacity(len), Vec::with_capacity(len));
    let parts = parts(len, MOST);
    let arch = Arch::new();
    type Places<'a, T> = (&'a mut [MaybeUninit<T>], &'a mut [MaybeUninit<T>]);
    let run = |(range, (dw, dx)): (Range<usize>, Places<'_, T>)| {
        let (grad, w, x) = (&grad[range.clone()], &w[range.clone()], &x[range]);
        arch.dispatch(
            #[inline(always)]
            move || {
                for ((((dw, dx), grad), w), x) in dw.iter_mut().zip(dx).zip(grad).zip(w).zip(x) {
                    dw.write(*grad * *x);
                    dx.write(*grad * *w);
                }
            },
        );
    };
    let places = cut(&mut dw.spare_capacity_mut()[..len], &parts);
    let places = places.into_iter().zip(cut(&mut dx.spare_capacity_mut()[..len], &parts));
    each(parts, places.collect(), run);
    // SAFETY: the parts cover every element once, and each was written in both.
    unsafe {
        dw.set_len(len);
        dx.set_len(len);
    }
    (dw, dx)
}

/// Where a gradient goes: one place for every element, or sums for what was broadcast.
enum Target<'a, T> {
    Unneeded,
    Elements(&'a mut [MaybeUninit<T>]),
    Sums(Vec<f64>),
}

/// The gradients that are needed. A factor is there if the other one's gradient is needed; the
/// others may be empty.
pub(super) fn backward<T: Real>(
    plan: &Broadcast<3>,
    grad: &[T],
    w: &[T],
    x: &[T],
    needs: Needs,
) -> [Option<Vec<T>>; 3] {
    let needs = [needs.w, needs.x, needs.b];
    let elements: [bool; 3] = std::array::from_fn(|k| needs[k] && !plan.broadcast[k]);
    let mut buffers: [Vec<T>; 3] =
        elements.map(|whole| Vec::with_capacity(if whole { plan.len } else { 0 }));
    // Each part has sums of its own; together they stay smaller than the operands.
    let sums = (0..3).filter(|&k| needs[k] && !elements[k]).map(|k| plan.lens[k]).sum::<usize>();
    let parts = parts(plan.len, (plan.len / (4 * sums).max(1)).clamp(1, MOST));
    let mut places: [Vec<&mut [MaybeUninit<T>]>; 3] = {
        let mut index = 0;
        buffers.each_mut().map(|buffer| {
            let whole = elements[index];
            index += 1;
            if whole {
                cut(&mut buffer.spare_capacity_mut()[..plan.len], &parts)
            } else {
                Vec::new()
            }
        })
    };
    let targets: Vec<[Target<'_, T>; 3]> = (0..parts.len())
        .map(|part| {
            std::array::from_fn(|k| match (needs[k], elements[k]) {
                (false, _) => Target::Unneeded,
                (true, true) => Target::Elements(std::mem::take(&mut places[k][part])),
                (true, false) => Target::Sums(vec![0.0; plan.lens[k]]),
            })
        })
        .collect();

    let arch = Arch::new();
    let done = each(parts, targets, |(range, mut targets)| {
        let first = range.start;
        plan.segments(range, |segment| {
            let len = segment.len;
            let grad = &grad[segment.start..][..len];
            for (k, target) in targets.iter_mut().enumerate() {
                if matches!(target, Target::Unneeded) {
                    continue;
                }
                let factor = match k {
                    W => Run::new(x, X, plan, &segment),
                    X => Run::new(w, W, plan, &segment),
                    _ => Run::Still(T::from_f64(1.0)),
                };
                let offset = segment.offsets[k];
                match target {
                    Target::Unneeded => {}
                    Target::Elements(out) => {
                        let out = &mut out[segment.start - first..][..len];
                        with_runs!(arch, len; factor => {
                            for (i, (place, &grad)) in out.iter_mut().zip(grad).enumerate() {
                                place.write(grad * factor(i));
                            }
                        });
                    }
                    Target::Sums(sums) if plan.still[k] => {
                        sums[offset] += with_runs!(arch, len; factor => sum(grad, factor));
                    }
                    Target::Sums(sums) => {
                        let sums = &mut sums[offset..][..len];
                        with_runs!(arch, len; factor => {
                            for (i, (sum, &grad)) in sums.iter_mut().zip(grad).enumerate() {
                                *sum += (grad * factor(i)).to_f64();
                            }
                        });
                    }
                }
            }
        });
        targets.map(|target| match target {
            Target::Sums(sums) => Some(sums),
            _ => None,
        })
    });

    drop(places);
    let mut totals: [Option<Vec<f64>>; 3] = [None, None, None];
    for part in done {
        for (total, sums) in totals.iter_mut().zip(part) {
            match (total.as_mut(), sums) {
                (Some(total), Some(sums)) => {
                    total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
                }
                (None, Some(sums)) => *total = Some(sums),
                (_, None) => {}
            }
        }
    }
    let mut index = 0;
    buffers.map(|mut buffer| {
        let k = index;
        index += 1;
        if elements[k] {
            // SAFETY: the segments of all parts cover every element once, and each was written.
            unsafe { buffer.set_len(plan.len) };
            Some(buffer)
        } else {
            totals[k].take().map(|sums| sums.into_iter().map(T::from_f64).collect())
        }
    })
}

/// Σ grad·factor over a segment, in eight interleaved `f64` sums so that it is vectorised.
#[inline(always)]
fn sum<T: Real>(grad: &[T], factor: impl Fn(usize) -> T) -> f64 {
    const LANES: usize = 8;
    let mut lanes = [0.0; LANES];
    let whole = grad.len() - grad.len() % LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += (grad[start + lane] * factor(start + lane)).to_f64();
        }
    }
    let tail: f64 = (whole..grad.len()).map(|i| (grad[i] * factor(i)).to_f64()).sum();
    lanes.iter().sum::<f64>() + tail
}
