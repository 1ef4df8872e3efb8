//! The factorisation of one matrix: panels column by column, then what is right of them.

use pulp::{NullaryFnOnce, Simd};

use super::product::Product;
use super::sweep::Diagonal;
use super::triangle::Triangle;
use super::{BLOCK, Factors};
use crate::support::lanes::Lanes;
use crate::support::matrices::Strided;

/// Columns of a panel, factored one by one.
const PANEL: usize = 16;

/// A row whose first elements do not count, subtracted many times.
struct Eliminate<T, S> {
    simd: S,
    w: *mut T,
    n: usize,
    /// The column of the pivot, and the last column of the panel.
    k: usize,
    end: usize,
    reciprocal: Option<T>,
}

impl<T: Lanes, S: Simd> NullaryFnOnce for Eliminate<T, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, w, n, k, end, reciprocal } = self;
        let lanes = T::lanes::<S>();
        // The pivot row with zeros up to the pivot: whole vectors may be subtracted, and what is
        // left of the pivot, which is L already, stays as it is.
        let begin = k + 1 - (k + 1) % PANEL;
        let mut pivots = [T::ZERO; PANEL];
        // SAFETY: all places are within the n×n matrix, and the panel is at most as wide as the
        // copy of its pivot row.
        unsafe {
            let pivot = *w.add(k * n + k);
            for column in k + 1..end {
                pivots[column - begin] = *w.add(k * n + column);
            }
            let skipped = (k + 1 - begin) / lanes * lanes;
            let begin = begin + skipped;
            let whole = end.saturating_sub(begin) / lanes;
            let part = end.saturating_sub(begin) % lanes;
            for i in k + 1..n {
                let row = w.add(i * n);
                let head = *row.add(k);
                let multiplier = match reciprocal {
                    Some(reciprocal) => head * reciprocal,
                    None => head.divide(pivot),
                };
                let coefficient = T::splat(simd, multiplier);
                for v in 0..whole {
                    let at = row.add(begin + v * lanes).cast::<T::Vector<S>>();
                    let by = pivots.as_ptr().add(skipped + v * lanes).cast::<T::Vector<S>>();
                    let left = T::subtract_product(
                        simd,
                        coefficient,
                        by.read_unaligned(),
                        at.read_unaligned(),
                    );
                    at.write_unaligned(left);
                }
                if part > 0 {
                    let offset = whole * lanes;
                    let at = std::slice::from_raw_parts_mut(row.add(begin + offset), part);
                    let by = T::load_part(simd, &pivots[skipped + offset..][..part]);
                    let left = T::subtract_product(simd, coefficient, by, T::load_part(simd, at));
                    T::store_part(simd, at, left);
                }
                // After the vectors, which would have to wait for it.
                *row.add(k) = multiplier;
            }
        }
    }
}

impl<S: Simd> Factors<S> {
    /// Factors the matrix in the first n rows, and writes the permutation below it.
    #[inline(always)]
    pub(crate) fn factor<T: Lanes>(self, packed: &mut [T]) {
        let n = self.n;
        let (w, permutation) = packed.split_at_mut(n * n);
        for (i, to) in permutation.iter_mut().enumerate() {
            *to = T::from_f64(i as f64);
        }
        // x − x is 0 for a number, and NaN for anything else.
        #[allow(clippy::eq_op, reason = "0 for a finite number, NaN for any other")]
        let spoilt = w.iter().fold(T::ZERO, |sum, &x| sum + (x - x));
        if spoilt != T::ZERO {
            w.fill(T::NAN);
            return;
        }
        for j in (0..n).step_by(BLOCK) {
            let end = n.min(j + BLOCK);
            for c in (j..end).step_by(PANEL) {
                let panel_end = end.min(c + PANEL);
                for k in c..panel_end {
                    self.eliminate(w, permutation, k, panel_end);
                }
                self.update(w, c..panel_end, panel_end..end);
            }
            self.update(w, j..end, end..n);
        }
    }

    /// Chooses the pivot of column k, exchanges rows, and eliminates below it, up to column `end`.
    #[inline(always)]
    fn eliminate<T: Lanes>(self, w: &mut [T], permutation: &mut [T], k: usize, end: usize) {
        let n = self.n;
        let mut chosen = k;
        let mut most = w[k * n + k].magnitude();
        for i in k + 1..n {
            let size = w[i * n + k].magnitude();
            if size > most {
                (chosen, most) = (i, size);
            }
        }
        if chosen != k {
            permutation.swap(k, chosen);
            let (above, below) = w.split_at_mut(chosen * n);
            above[k * n..(k + 1) * n].swap_with_slice(&mut below[..n]);
        }
        let pivot = w[k * n + k];
        // Below a pivot of 0 there are only zeros, which stay.
        if k + 1 == n || pivot == T::ZERO {
            return;
        }
        let (simd, w) = (self.simd, w.as_mut_ptr());
        simd.vectorize(Eliminate { simd, w, n, k, end, reciprocal: pivot.reciprocal() });
    }

    /// What is right of factored columns: U by substitution, and the rest less L·U.
    #[inline(always)]
    fn update<T: Lanes>(
        self,
        w: &mut [T],
        done: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
    ) {
        if columns.is_empty() {
            return;
        }
        let n = self.n;
        let w = w.as_mut_ptr();
        // SAFETY: blocks of the n×n matrix: the factored columns, the rows of U right of them and
        // what is below these do not overlap.
        unsafe {
            let l = Strided { start: w.cast_const(), row_stride: n, column_stride: 1 };
            let u = w.add(done.start * n + columns.start);
            let triangle = Triangle {
                rows: done.len(),
                columns: columns.len(),
                a: l.from(done.start, done.start),
                diagonal: Diagonal::Unit,
                x: u,
                x_stride: n,
            };
            triangle.solve::<S, false>(self.simd, self.parallel);
            if done.end < n {
                let product = Product {
                    rows: n - done.end,
                    columns: columns.len(),
                    inner: done.len(),
                    a: l.from(done.end, done.start),
                    b: u,
                    b_stride: n,
                    c: w.add(done.end * n + columns.start),
                    c_stride: n,
                };
                product.subtract(self.simd, self.parallel);
            }
        }
    }
}
