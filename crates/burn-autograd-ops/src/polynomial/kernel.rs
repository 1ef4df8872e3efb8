//! The CPU kernels: Horner's rule on a tile of elements at a time, which stays in vector registers
//! whatever the degree; and both gradients in one pass over memory.

use std::mem::MaybeUninit;

use pulp::Arch;
use rayon::prelude::*;

use super::Needs;
use crate::support::Real;
use crate::support::cpu::{GRAIN, vectorized};

/// Elements per tile: enough independent chains of multiply and add to hide their latency.
const TILE: usize = 32;

/// The elements of a tile; zeros behind the end.
#[inline(always)]
fn tile<T: Real>(elements: &[T]) -> [T; TILE] {
    let mut tile = [T::ZERO; TILE];
    if elements.len() == TILE {
        tile.copy_from_slice(elements);
    } else {
        tile[..elements.len()].copy_from_slice(elements);
    }
    tile
}

#[inline(always)]
fn write<T: Real>(out: &mut [MaybeUninit<T>], tile: [T; TILE]) {
    for (place, value) in out.iter_mut().zip(tile) {
        place.write(value);
    }
}

/// Σ cₖ·xᵏ for every element of a tile, from the highest coefficient down.
#[inline(always)]
fn horner<T: Real>(x: &[T; TILE], coefficients: impl DoubleEndedIterator<Item = T>) -> [T; TILE] {
    let mut coefficients = coefficients.rev();
    let mut y = [coefficients.next().unwrap_or(T::ZERO); TILE];
    for c in coefficients {
        for (y, x) in y.iter_mut().zip(x) {
            *y = *y * *x + c;
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
                for (x, out) in x.chunks(TILE).zip(out.chunks_mut(TILE)) {
                    write(out, horner(&tile(x), c.iter().copied()));
                }
            },
        );
    };
    if x.len() < 2 * GRAIN {
        part(x, spare);
    } else {
        spare.par_chunks_mut(GRAIN).zip(x.par_chunks(GRAIN)).for_each(|(out, x)| part(x, out));
    }
    // SAFETY: the tiles cover every element once, and each was written.
    unsafe { output.set_len(x.len()) };
    output
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
                let mut sums = vec![[0.0f64; TILE]; sums];
                for (x, grad) in x.chunks(TILE).zip(grad.chunks(TILE)) {
                    let len = x.len();
                    let (x, grad) = (tile(x), tile(grad));
                    if needs.x {
                        let mut dx = horner(&x, slope.iter().copied());
                        for (dx, grad) in dx.iter_mut().zip(&grad) {
                            *dx = *dx * *grad;
                        }
                        let (head, tail) = std::mem::take(&mut out).split_at_mut(len);
                        write(head, dx);
                        out = tail;
                    }
                    // Zeros behind the end add nothing.
                    let mut term = grad;
                    for sum in &mut sums {
                        for ((sum, term), x) in sum.iter_mut().zip(&mut term).zip(&x) {
                            *sum += term.to_f64();
                            *term = *term * *x;
                        }
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
        // SAFETY: the tiles cover every element once, and each was written.
        unsafe { dx.set_len(len) };
    }
    [
        needs.x.then_some(dx),
        needs.coefficients.then(|| totals.into_iter().map(T::from_f64).collect()),
    ]
}
