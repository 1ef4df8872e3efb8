//! The CPU kernels: Horner's rule, a coefficient at a time over a block of elements that stays in the
//! first-level cache, so that each is one loop over vectors whatever the degree; and both gradients in
//! one pass over memory.

use std::mem::MaybeUninit;

use pulp::Arch;
use rayon::prelude::*;

use super::Needs;
use crate::support::Real;
use crate::support::cpu::{GRAIN, vectorized};

/// Elements per block: a few blocks fit the first-level cache, and a loop over one is long enough.
const BLOCK: usize = 256;

/// Interleaved sums, so that they are vectorised.
const LANES: usize = 32;

/// Σ cₖ·xᵏ for every element of a block, from the highest coefficient down.
#[inline(always)]
fn horner<'y, T: Real>(x: &[T], coefficients: &[T], block: &'y mut [T; BLOCK]) -> &'y [T] {
    let y = &mut block[..x.len()];
    let (highest, lower) = match coefficients.split_last() {
        Some((highest, lower)) => (*highest, lower),
        // The derivative of a constant.
        None => (T::ZERO, coefficients),
    };
    y.fill(highest);
    for c in lower.iter().rev() {
        for (y, x) in y.iter_mut().zip(x) {
            *y = *y * *x + *c;
        }
    }
    y
}

/// Σ cₖ·xᵏ for every element.
pub(super) fn forward<T: Real>(x: &[T], c: &[T]) -> Vec<T> {
    let mut output = Vec::with_capacity(x.len());
    let spare = &mut output.spare_capacity_mut()[..x.len()];
    let arch = Arch::new();
    let part = |x: &[T], out: &mut [MaybeUninit<T>]| {
        vectorized(
            arch,
            #[inline(always)]
            || {
                let mut block = [T::ZERO; BLOCK];
                for (x, out) in x.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
                    let y = horner(x, c, &mut block);
                    for (place, y) in out.iter_mut().zip(y) {
                        place.write(*y);
                    }
                }
            },
        );
    };
    if x.len() < 2 * GRAIN {
        part(x, spare);
    } else {
        spare.par_chunks_mut(GRAIN).zip(x.par_chunks(GRAIN)).for_each(|(out, x)| part(x, out));
    }
    // SAFETY: the blocks cover every element once, and each was written.
    unsafe { output.set_len(x.len()) };
    output
}

/// Adds Σ term, element i to sum i mod LANES; and multiplies each term by x.
#[inline(always)]
fn add_and_multiply<T: Real>(sums: &mut [f64; LANES], terms: &mut [T], x: &[T]) {
    let mut lanes = *sums;
    let (mut terms, mut xs) = (terms.chunks_exact_mut(LANES), x.chunks_exact(LANES));
    for (terms, x) in terms.by_ref().zip(xs.by_ref()) {
        for ((sum, term), x) in lanes.iter_mut().zip(terms).zip(x) {
            *sum += term.to_f64();
            *term *= *x;
        }
    }
    for ((sum, term), x) in lanes.iter_mut().zip(terms.into_remainder()).zip(xs.remainder()) {
        *sum += term.to_f64();
        *term *= *x;
    }
    *sums = lanes;
}

/// The gradients that are needed: ȳ·p′(x) for every element, and Σ ȳ·xᵏ for every coefficient.
///
/// The sums run in `f64`, in parts that depend on the length alone, so that they are the same on
/// every number of threads.
pub(super) fn backward<T: Real>(x: &[T], c: &[T], grad: &[T], needs: Needs) -> [Option<Vec<T>>; 2] {
    let len = x.len();
    let mut dx = Vec::with_capacity(if needs.x { len } else { 0 });
    let slope: Vec<T> =
        c.iter().enumerate().skip(1).map(|(k, c)| *c * T::from_f64(k as f64)).collect();
    let sums = if needs.coefficients { c.len() } else { 0 };
    let arch = Arch::new();
    let part = |x: &[T], grad: &[T], mut out: &mut [MaybeUninit<T>]| -> Vec<f64> {
        vectorized(
            arch,
            #[inline(always)]
            || {
                let mut sums = vec![[0.0f64; LANES]; sums];
                let mut block = [T::ZERO; BLOCK];
                for (x, grad) in x.chunks(BLOCK).zip(grad.chunks(BLOCK)) {
                    if needs.x {
                        let (head, tail) = std::mem::take(&mut out).split_at_mut(x.len());
                        let slopes = horner(x, &slope, &mut block);
                        for ((place, slope), grad) in head.iter_mut().zip(slopes).zip(grad) {
                            place.write(*slope * *grad);
                        }
                        out = tail;
                    }
                    let terms = &mut block[..x.len()];
                    terms.copy_from_slice(grad);
                    for sums in &mut sums {
                        add_and_multiply(sums, terms, x);
                    }
                }
                sums.iter().map(|lanes| lanes.iter().sum()).collect()
            },
        )
    };
    let spare = &mut dx.spare_capacity_mut()[..if needs.x { len } else { 0 }];
    let totals: Vec<f64> = if len < 2 * GRAIN {
        part(x, grad, spare)
    } else {
        let mut places: Vec<&mut [MaybeUninit<T>]> = spare.chunks_mut(GRAIN).collect();
        places.resize_with(len.div_ceil(GRAIN), Default::default);
        let parts: Vec<Vec<f64>> = (x.par_chunks(GRAIN), grad.par_chunks(GRAIN), places)
            .into_par_iter()
            .map(|(x, grad, out)| part(x, grad, out))
            .collect();
        (0..sums).map(|k| parts.iter().map(|part| part[k]).sum()).collect()
    };
    if needs.x {
        // SAFETY: the blocks cover every element once, and each was written.
        unsafe { dx.set_len(len) };
    }
    [
        needs.x.then_some(dx),
        needs.coefficients.then(|| totals.into_iter().map(T::from_f64).collect()),
    ]
}
