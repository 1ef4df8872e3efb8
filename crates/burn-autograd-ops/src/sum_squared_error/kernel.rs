//! The CPU kernels: one pass each.

use pulp::Arch;
use rayon::prelude::*;

use crate::support::Real;
use crate::support::cpu::{GRAIN, Map, vectorized};

/// Interleaved sums, so that they are vectorised.
const LANES: usize = 32;

/// Σ (p − t)², in `f64`, in parts that depend on the length alone, so that the sum is the same on
/// every number of threads.
pub(super) fn forward<T: Real>(p: &[T], t: &[T]) -> T {
    let arch = Arch::new();
    let part = |p: &[T], t: &[T]| -> f64 {
        vectorized(
            arch,
            #[inline(always)]
            || {
                let mut lanes = [0.0f64; LANES];
                let (mut ps, mut ts) = (p.chunks_exact(LANES), t.chunks_exact(LANES));
                for (p, t) in ps.by_ref().zip(ts.by_ref()) {
                    for ((sum, p), t) in lanes.iter_mut().zip(p).zip(t) {
                        let difference = (*p - *t).to_f64();
                        *sum += difference * difference;
                    }
                }
                for ((sum, p), t) in lanes.iter_mut().zip(ps.remainder()).zip(ts.remainder()) {
                    let difference = (*p - *t).to_f64();
                    *sum += difference * difference;
                }
                lanes.iter().sum()
            },
        )
    };
    let sum = if p.len() < 2 * GRAIN {
        part(p, t)
    } else {
        let parts = p.par_chunks(GRAIN).zip(t.par_chunks(GRAIN)).map(|(p, t)| part(p, t));
        parts.collect::<Vec<f64>>().into_iter().sum()
    };
    T::from_f64(sum)
}

/// (p, t) ↦ 2·grad·(p − t).
#[derive(Clone, Copy)]
pub(super) struct Backward(pub(super) f64);

impl Map<2> for Backward {
    #[inline(always)]
    fn apply<T: Real>(self, [p, t]: [T; 2]) -> T {
        T::from_f64(2.0 * self.0) * (p - t)
    }
}
