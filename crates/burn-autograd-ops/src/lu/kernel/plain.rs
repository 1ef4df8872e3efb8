//! The same, as it is written, with divisions: for pivots that have no reciprocal, 0 and the smallest and
//! largest numbers, which the fast way turns into NaN.

use crate::support::lanes::Lanes;

/// row\[to\] −= coefficient·row\[from\], from column `first` on.
fn subtract<T: Lanes>(
    rows: &mut [T],
    width: usize,
    [to, from]: [usize; 2],
    first: usize,
    coefficient: T,
) {
    for column in first..width {
        let by = coefficient * rows[from * width + column];
        rows[to * width + column] -= by;
    }
}

/// Factors a row-major matrix in place, by partial pivoting; `chosen[i]` is the row that became row i.
pub(super) fn factor<T: Lanes>(w: &mut [T], chosen: &mut [usize]) {
    let n = chosen.len();
    for (i, row) in chosen.iter_mut().enumerate() {
        *row = i;
    }
    for k in 0..n {
        let mut most = k;
        for i in k + 1..n {
            if w[i * n + k].magnitude() > w[most * n + k].magnitude() {
                most = i;
            }
        }
        chosen.swap(k, most);
        for column in 0..n {
            w.swap(k * n + column, most * n + column);
        }
        let pivot = w[k * n + k];
        // Below a pivot of 0 there are only zeros, which stay.
        if pivot == T::ZERO {
            continue;
        }
        for i in k + 1..n {
            let multiplier = w[i * n + k].divide(pivot);
            w[i * n + k] = multiplier;
            subtract(w, n, [i, k], k + 1, multiplier);
        }
    }
}

/// L·U·X = X, in place, or Uᵀ·Lᵀ·X = X.
pub(super) fn solve<T: Lanes>(factors: &[T], x: &mut [T], columns: usize, transposed: bool) {
    let n = x.len() / columns;
    let at = |i: usize, j: usize| factors[if transposed { j * n + i } else { i * n + j }];
    let divide = |x: &mut [T], i: usize| {
        for x in &mut x[i * columns..][..columns] {
            *x = x.divide(at(i, i));
        }
    };
    for i in 0..n {
        for j in 0..i {
            subtract(x, columns, [i, j], 0, at(i, j));
        }
        if transposed {
            divide(x, i);
        }
    }
    for i in (0..n).rev() {
        for j in i + 1..n {
            subtract(x, columns, [i, j], 0, at(i, j));
        }
        if !transposed {
            divide(x, i);
        }
    }
}
