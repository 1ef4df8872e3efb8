//! Substitution with a triangle, in blocks of rows: what is finished is subtracted as a product.

use pulp::Simd;

use super::BLOCK;
use super::product::Product;
use super::sweep::{Diagonal, Sweep};
use crate::support::lanes::Lanes;
use crate::support::matrices::Strided;

/// X with T·X = X, in place, for a triangle T of `rows` rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Triangle<T> {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) a: Strided<T>,
    pub(super) diagonal: Diagonal<T>,
    pub(super) x: *mut T,
    pub(super) x_stride: usize,
}

impl<T: Lanes> Triangle<T> {
    /// # Safety
    ///
    /// The matrices have these sizes, and do not overlap.
    #[inline(always)]
    pub(super) unsafe fn solve<S: Simd, const UP: bool>(self, simd: S, parallel: bool) {
        // SAFETY: every block is within the matrices, and what is subtracted is other rows.
        unsafe {
            if self.rows <= BLOCK {
                self.direct::<S, UP>(simd);
                return;
            }
            let blocks = self.rows.div_ceil(BLOCK);
            for step in 0..blocks {
                let block = if UP { blocks - 1 - step } else { step };
                let (first, end) = (block * BLOCK, self.rows.min((block + 1) * BLOCK));
                let x = self.x.add(first * self.x_stride);
                let (from, to) = if UP { (end, self.rows) } else { (0, first) };
                if from < to {
                    let product = Product {
                        rows: end - first,
                        columns: self.columns,
                        inner: to - from,
                        a: self.a.from(first, from),
                        b: self.x.add(from * self.x_stride),
                        b_stride: self.x_stride,
                        c: x,
                        c_stride: self.x_stride,
                    };
                    product.subtract(simd, parallel);
                }
                let diagonal = match self.diagonal {
                    Diagonal::Reciprocals(all) => Diagonal::Reciprocals(all.add(first)),
                    other => other,
                };
                let a = self.a.from(first, first);
                Self { rows: end - first, a, diagonal, x, ..self }.direct::<S, UP>(simd);
            }
        }
    }

    /// # Safety
    ///
    /// As [`solve`](Self::solve).
    #[inline(always)]
    unsafe fn direct<S: Simd, const UP: bool>(self, simd: S) {
        simd.vectorize(Sweep::<T, S, true, UP> {
            simd,
            rows: self.rows,
            columns: self.columns,
            inner: 0,
            a: self.a,
            b: self.x,
            b_stride: self.x_stride,
            x: self.x,
            x_stride: self.x_stride,
            diagonal: self.diagonal,
        });
    }
}
