//! The CPU kernel: one read of each diagonal, where it is.

use crate::support::Real;
use crate::support::matrices::{Matrices, Matrix};

/// Σ aᵢᵢ of one matrix, in `f64`.
#[inline(always)]
pub(crate) fn trace<T: Real>(a: &Matrix<'_, T>, n: usize) -> f64 {
    (0..n).map(|i| a.at(i, i).to_f64()).sum()
}

/// Σ aᵢᵢ of every matrix.
pub(super) fn forward<T: Real>(a: &Matrices<'_, T>) -> Vec<T> {
    (0..a.count).map(|index| T::from_f64(trace(&a.get(index), a.rows))).collect()
}
