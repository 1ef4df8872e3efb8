//! Products: small ones by [`Sweep`], large ones by that of the crate gemm.

use pulp::Simd;

use super::BLOCK;
use super::sweep::{Diagonal, Sweep};
use crate::support::lanes::Lanes;
use crate::support::matrices::Strided;
use crate::support::product::{Write, multiply};

/// C −= A·B, with A rows × inner.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product<T> {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) inner: usize,
    pub(super) a: Strided<T>,
    pub(super) b: *const T,
    pub(super) b_stride: usize,
    pub(super) c: *mut T,
    pub(super) c_stride: usize,
}

impl<T: Lanes> Product<T> {
    /// # Safety
    ///
    /// The matrices have these sizes, and `c` overlaps neither of the others.
    #[inline(always)]
    pub(super) unsafe fn subtract<S: Simd>(self, simd: S, parallel: bool) {
        if self.rows.saturating_mul(self.columns).saturating_mul(self.inner) < BLOCK.pow(3) {
            simd.vectorize(Sweep::<T, S, false, false> {
                simd,
                rows: self.rows,
                columns: self.columns,
                inner: self.inner,
                a: self.a,
                b: self.b,
                b_stride: self.b_stride,
                x: self.c,
                x_stride: self.c_stride,
                diagonal: Diagonal::Unit,
            });
            return;
        }
        let b = Strided { start: self.b, row_stride: self.b_stride, column_stride: 1 };
        let sizes = [self.rows, self.inner, self.columns];
        // SAFETY: the caller's.
        unsafe {
            multiply(sizes, self.a, b, (self.c, self.c_stride), Write::Subtract, parallel);
        }
    }
}
