//! Solutions with the factors of one matrix.

use pulp::Simd;

use super::Factors;
use super::sweep::Diagonal;
use super::triangle::Triangle;
use crate::lu::small;
use crate::support::lanes::Lanes;
use crate::support::matrices::Strided;

impl<S: Simd> Factors<S> {
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

    /// L·U·X = X, in place, for `columns` columns.
    #[inline(always)]
    pub(crate) fn solve<T: Lanes>(
        self,
        packed: &[T],
        x: &mut [T],
        columns: usize,
        reciprocals: &mut Vec<T>,
    ) {
        assert_eq!(x.len(), self.n * columns, "a row for each row of the matrix");
        if columns == 0 {
            return;
        }
        match self.n {
            0 => {}
            1 => small::solve::<T, S, 1>(self.simd, packed, x, columns, false),
            2 => small::solve::<T, S, 2>(self.simd, packed, x, columns, false),
            3 => small::solve::<T, S, 3>(self.simd, packed, x, columns, false),
            4 => small::solve::<T, S, 4>(self.simd, packed, x, columns, false),
            n => {
                let a = Strided { start: packed.as_ptr(), row_stride: n, column_stride: 1 };
                let diagonal = self.diagonal(packed, reciprocals);
                let lower = Triangle {
                    rows: n,
                    columns,
                    a,
                    diagonal: Diagonal::Unit,
                    x: x.as_mut_ptr(),
                    x_stride: columns,
                };
                // SAFETY: the factors have n×n elements and `x` n rows of `columns`.
                unsafe {
                    lower.solve::<S, false>(self.simd, self.parallel);
                    Triangle { diagonal, ..lower }.solve::<S, true>(self.simd, self.parallel);
                }
            }
        }
    }

    /// Uᵀ·Lᵀ·X = X, in place, for `columns` columns.
    #[inline(always)]
    pub(crate) fn solve_transposed<T: Lanes>(
        self,
        packed: &[T],
        x: &mut [T],
        columns: usize,
        reciprocals: &mut Vec<T>,
    ) {
        assert_eq!(x.len(), self.n * columns, "a row for each row of the matrix");
        if columns == 0 {
            return;
        }
        match self.n {
            0 => {}
            1 => small::solve::<T, S, 1>(self.simd, packed, x, columns, true),
            2 => small::solve::<T, S, 2>(self.simd, packed, x, columns, true),
            3 => small::solve::<T, S, 3>(self.simd, packed, x, columns, true),
            4 => small::solve::<T, S, 4>(self.simd, packed, x, columns, true),
            n => {
                let a = Strided { start: packed.as_ptr(), row_stride: 1, column_stride: n };
                let diagonal = self.diagonal(packed, reciprocals);
                let lower = Triangle {
                    rows: n,
                    columns,
                    a,
                    diagonal,
                    x: x.as_mut_ptr(),
                    x_stride: columns,
                };
                // SAFETY: the factors have n×n elements and `x` n rows of `columns`.
                unsafe {
                    lower.solve::<S, false>(self.simd, self.parallel);
                    Triangle { diagonal: Diagonal::Unit, ..lower }
                        .solve::<S, true>(self.simd, self.parallel);
                }
            }
        }
    }

    /// How to divide by the diagonal of U; the reciprocals live in the buffer.
    #[inline(always)]
    fn diagonal<T: Lanes>(self, packed: &[T], reciprocals: &mut Vec<T>) -> Diagonal<T> {
        reciprocals.clear();
        let n = self.n;
        reciprocals.extend((0..n).map_while(|i| packed[i * n + i].reciprocal()));
        if reciprocals.len() == n {
            Diagonal::Reciprocals(reciprocals.as_ptr())
        } else {
            Diagonal::Division
        }
    }
}
