//! Elementwise kernels on slices: one pass, vector instructions chosen at run time, parallel above
//! a size, and written into an input's own buffer where that is allowed.

use std::mem::MaybeUninit;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Real;

/// y = f(x₁, …, x_K) for every element.
pub(crate) trait Map<const K: usize>: Copy + Send + Sync {
    /// Must be marked `#[inline(always)]`, or the loop around it cannot be vectorised.
    fn apply<T: Real>(self, x: [T; K]) -> T;
}

/// Elements per task. A task of this many streams through its operands in tens of microseconds,
/// ten times what waking a worker thread costs.
pub(crate) const GRAIN: usize = 1 << 16;

/// No operand is overwritten.
const FRESH: usize = usize::MAX;

/// Runs `map` into a new buffer.
pub(crate) fn map<T: Real, M: Map<K>, const K: usize>(map: M, inputs: [&[T]; K]) -> Vec<T> {
    let len = inputs[0].len();
    let mut output = Vec::with_capacity(len);
    let spare = &mut output.spare_capacity_mut()[..len];
    run::<T, M, K, FRESH>(map, inputs.map(Operand::new), spare);
    // SAFETY: `run` has written every element.
    unsafe { output.set_len(len) };
    output
}

/// Runs `map` and overwrites operand `REUSE`, which is `output` and not among `inputs` (whatever
/// stands there at its place is not read).
pub(crate) fn map_into<T: Real, M: Map<K>, const K: usize, const REUSE: usize>(
    map: M,
    inputs: [Option<&[T]>; K],
    output: &mut [T],
) {
    let len = output.len();
    let inputs = std::array::from_fn(|k| match inputs[k] {
        Some(input) if k != REUSE => {
            assert_eq!(input.len(), len, "operands have one length");
            Operand::new(input)
        }
        _ => {
            assert_eq!(k, REUSE, "only the operand that is overwritten may be missing");
            Operand::dangling(len)
        }
    });
    // SAFETY: `MaybeUninit<T>` has the layout of `T`, and `run` only ever writes whole elements.
    let output = unsafe { &mut *(std::ptr::from_mut(output) as *mut [MaybeUninit<T>]) };
    run::<T, M, K, REUSE>(map, inputs, output);
}

/// The start of an operand and its length; only read.
#[derive(Clone, Copy)]
struct Operand<T> {
    start: *const T,
    len: usize,
}

// SAFETY: it is read like the shared slice it was made from.
unsafe impl<T: Sync> Send for Operand<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Operand<T> {}

impl<T> Operand<T> {
    fn new(slice: &[T]) -> Self {
        Self { start: slice.as_ptr(), len: slice.len() }
    }

    /// Stands for the operand that is overwritten, which is read through the output.
    fn dangling(len: usize) -> Self {
        Self { start: std::ptr::NonNull::dangling().as_ptr(), len }
    }
}

fn run<T: Real, M: Map<K>, const K: usize, const REUSE: usize>(
    map: M,
    inputs: [Operand<T>; K],
    output: &mut [MaybeUninit<T>],
) {
    for input in &inputs {
        assert_eq!(input.len, output.len(), "operands have one length");
    }
    // Two tasks or more, or the calling thread alone.
    if output.len() < 2 * GRAIN {
        block::<T, M, K, REUSE>(map, inputs, 0, output);
    } else {
        output
            .par_chunks_mut(GRAIN)
            .enumerate()
            .for_each(|(index, chunk)| block::<T, M, K, REUSE>(map, inputs, index * GRAIN, chunk));
    }
}

/// Calls a closure, marked `#[inline(always)]`, where there are this machine's vector instructions.
///
/// [`Arch::dispatch`] takes closures too, and calls them as [`FnOnce`]. For one that can be called more
/// than once this is a function around it, which may stay outside, and the closure with it: without
/// vectors, and with calls for each fused multiply-add.
pub(crate) fn vectorized<R>(arch: Arch, run: impl FnMut() -> R) -> R {
    arch.dispatch(Vectorized(run))
}

struct Vectorized<F>(F);

impl<R, F: FnMut() -> R> WithSimd for Vectorized<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}

fn block<T: Real, M: Map<K>, const K: usize, const REUSE: usize>(
    map: M,
    inputs: [Operand<T>; K],
    start: usize,
    output: &mut [MaybeUninit<T>],
) {
    vectorized(
        Arch::new(),
        #[inline(always)]
        move || {
            // In locals: behind a reference the compiler must assume that writing an element may
            // change where the operands are, and gives up on vector instructions.
            let mut sources = [std::ptr::null::<T>(); K];
            for (source, input) in sources.iter_mut().zip(&inputs) {
                *source = input.start.wrapping_add(start);
            }
            for (index, place) in output.iter_mut().enumerate() {
                let mut x = [T::ZERO; K];
                for k in 0..K {
                    x[k] = if k == REUSE {
                        // SAFETY: the output is the operand, and holds its value until it is
                        // overwritten below.
                        unsafe { place.assume_init() }
                    } else {
                        // SAFETY: the operand is as long as the whole output, of which this block is
                        // `start..start + output.len()`.
                        unsafe { *sources[k].add(index) }
                    };
                }
                place.write(map.apply(x));
            }
        },
    );
}

#[cfg(test)]
pub(super) mod tests {
    use super::{GRAIN, Map, Real, map, map_into};

    /// Not symmetric, so that exchanged operands are noticed.
    #[derive(Clone, Copy)]
    pub(in crate::support) struct Difference;

    impl Map<2> for Difference {
        #[inline(always)]
        fn apply<T: Real>(self, [a, b]: [T; 2]) -> T {
            a - b
        }
    }

    #[test]
    fn every_element_is_written_once_below_and_above_the_grain() {
        for len in [0, 1, 2, 7, GRAIN - 1, 2 * GRAIN, 3 * GRAIN + 5] {
            let a: Vec<f64> = (0..len).map(|i| 3.0 * i as f64).collect();
            let b: Vec<f64> = (0..len).map(|i| i as f64).collect();
            let expected: Vec<f64> = (0..len).map(|i| 2.0 * i as f64).collect();
            assert_eq!(map(Difference, [&a, &b]), expected);
            let mut first = a.clone();
            map_into::<_, _, 2, 0>(Difference, [None, Some(&b)], &mut first);
            assert_eq!(first, expected);
            let mut second = b.clone();
            map_into::<_, _, 2, 1>(Difference, [Some(&a), None], &mut second);
            assert_eq!(second, expected);
        }
    }
}
