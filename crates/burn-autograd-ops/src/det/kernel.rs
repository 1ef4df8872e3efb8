//! The CPU kernels: products of the pivots in `f64`.

use crate::support::Real;
use crate::support::matrices::{Matrices, Matrix};

/// −1 for an odd permutation, 1 for an even one; it is cut into its cycles.
fn parity<T: Real>(packed: &Matrix<'_, T>, n: usize, seen: &mut Vec<bool>) -> f64 {
    seen.clear();
    seen.resize(n, false);
    let mut odd = false;
    for start in 0..n {
        let mut at = start;
        while !std::mem::replace(&mut seen[at], true) {
            at = (packed.at(n, at).to_f64() as usize).min(n - 1);
            odd ^= at != start;
        }
    }
    if odd { -1.0 } else { 1.0 }
}

/// det A of every factorisation.
pub(super) fn det<T: Real>(packed: &Matrices<'_, T>) -> Vec<T> {
    let n = packed.columns;
    let mut seen = Vec::new();
    (0..packed.count)
        .map(|index| {
            let packed = packed.get(index);
            let product: f64 = (0..n).map(|i| packed.at(i, i).to_f64()).product();
            T::from_f64(product * parity(&packed, n, &mut seen))
        })
        .collect()
}

/// The sign of det A and ln|det A| of every factorisation.
pub(super) fn log_abs_det<T: Real>(packed: &Matrices<'_, T>) -> (Vec<T>, Vec<T>) {
    let n = packed.columns;
    let mut seen = Vec::new();
    (0..packed.count)
        .map(|index| {
            let packed = packed.get(index);
            let mut sign = parity(&packed, n, &mut seen);
            let mut log = 0.0;
            for i in 0..n {
                let pivot = packed.at(i, i).to_f64();
                // 0 for 0, and NaN for NaN.
                sign *= if pivot == 0.0 || pivot.is_nan() { pivot.abs() } else { pivot.signum() };
                log += pivot.abs().ln();
            }
            (T::from_f64(sign), T::from_f64(log))
        })
        .unzip()
}
