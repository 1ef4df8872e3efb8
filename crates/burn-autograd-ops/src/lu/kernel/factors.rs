//! The factorisation of one matrix, and solutions with it, by the crate faer.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::lu::partial_pivoting::factor::{lu_in_place, lu_in_place_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_unit_lower_triangular_in_place,
    solve_unit_upper_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::{Accum, MatMut, MatRef, Par};
use pulp::Simd;

use super::{Workspace, plain};
use crate::lu::small;
use crate::support::lanes::Lanes;
use crate::support::matrices::Matrix;

/// The factorisation of one n×n matrix, and solutions with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factors<S> {
    pub(crate) simd: S,
    pub(crate) n: usize,
    /// Whether one matrix is spread over threads.
    pub(crate) parallel: bool,
}

impl<S: Simd> Factors<S> {
    fn par(self) -> Par {
        if self.parallel { Par::rayon(0) } else { Par::Seq }
    }

    /// Factors a matrix of more than four rows: n rows of factors, and the permutation below them.
    #[inline(always)]
    pub(crate) fn factor<T: Lanes>(
        self,
        a: &Matrix<'_, T>,
        packed: &mut [T],
        workspace: &mut Workspace<T>,
    ) {
        let n = self.n;
        let (factors, permutation) = packed.split_at_mut(n * n);
        // faer takes half the time for a matrix whose columns lie together.
        let columns = &mut workspace.first;
        columns.resize(n * n, T::ZERO);
        a.transpose().copy(columns);
        let rows = &mut workspace.rows;
        rows.clear();
        if finite(columns) {
            rows.resize(2 * n, 0);
            let (chosen, inverse) = rows.split_at_mut(n);
            let par = self.par();
            let scratch = lu_in_place_scratch::<usize, T>(n, n, par, Default::default());
            lu_in_place(
                MatMut::from_column_major_slice_mut(columns, n, n),
                chosen,
                inverse,
                par,
                MemStack::new(&mut MemBuffer::new(scratch)),
                Default::default(),
            );
            if finite(columns) {
                Matrix::row_major(columns, [n, n]).transpose().copy(factors);
            } else {
                // Infinite factors, or those of a pivot that has no reciprocal.
                a.copy(factors);
                plain::factor(factors, chosen);
            }
        } else {
            factors.fill(T::NAN);
            rows.extend(0..n);
        }
        for (to, &row) in permutation.iter_mut().zip(&*rows) {
            *to = T::from_f64(row as f64);
        }
    }

    /// Whether a matrix can be divided by: no pivot is 0 or not finite.
    #[inline(always)]
    pub(crate) fn divides<T: Lanes>(self, packed: &[T]) -> bool {
        (0..self.n).all(|i| packed[i * self.n + i].divides())
    }

    /// The row of A that became row i.
    #[inline(always)]
    pub(crate) fn source<T: Lanes>(self, packed: &[T], i: usize) -> usize {
        // A factorisation that someone else wrote must not lead out of the matrix.
        (packed[self.n * self.n + i].to_f64() as usize).min(self.n - 1)
    }

    /// L·U·X = X, in place, for `columns` columns; or Uᵀ·Lᵀ·X = X.
    #[inline(always)]
    pub(crate) fn solve<T: Lanes>(
        self,
        packed: &[T],
        x: &mut [T],
        columns: usize,
        transposed: bool,
    ) {
        let n = self.n;
        assert_eq!(x.len(), n * columns, "a row for each row of the matrix");
        if columns == 0 {
            return;
        }
        match n {
            0 => {}
            1 => small::solve::<T, S, 1>(self.simd, packed, x, columns, transposed),
            2 => small::solve::<T, S, 2>(self.simd, packed, x, columns, transposed),
            3 => small::solve::<T, S, 3>(self.simd, packed, x, columns, transposed),
            4 => small::solve::<T, S, 4>(self.simd, packed, x, columns, transposed),
            _ => {
                let factors = &packed[..n * n];
                // faer multiplies by reciprocals.
                if !(0..n).all(|i| factors[i * n + i].reciprocal().is_some()) {
                    return plain::solve(factors, x, columns, transposed);
                }
                let factors = MatRef::from_row_major_slice(factors, n, n);
                let mut x = MatMut::from_row_major_slice_mut(x, n, columns);
                let par = self.par();
                if transposed {
                    solve_lower_triangular_in_place(factors.transpose(), x.as_mut(), par);
                    solve_unit_upper_triangular_in_place(factors.transpose(), x, par);
                } else {
                    solve_unit_lower_triangular_in_place(factors, x.as_mut(), par);
                    solve_upper_triangular_in_place(factors, x, par);
                }
            }
        }
    }

    /// C −= A·B for row-major n×n matrices.
    #[inline(always)]
    pub(crate) fn subtract_product<T: Lanes>(self, a: &[T], b: &[T], c: &mut [T]) {
        let n = self.n;
        let [a, b] = [a, b].map(|matrix| MatRef::from_row_major_slice(matrix, n, n));
        let c = MatMut::from_row_major_slice_mut(c, n, n);
        matmul(c, Accum::Add, a, b, T::from_f64(-1.0), self.par());
    }
}

/// Whether all are numbers, without a branch in the loop.
#[inline(always)]
#[allow(clippy::eq_op, reason = "x − x is 0 for a finite number, NaN for any other")]
fn finite<T: Lanes>(numbers: &[T]) -> bool {
    numbers.iter().fold(true, |all, &x| all & (x - x == T::ZERO))
}
