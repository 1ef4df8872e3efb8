//! Products: small ones by [`Sweep`], large ones by that of the crate gemm.

use gemm::Parallelism;
use pulp::Simd;

use super::BLOCK;
use super::sweep::{Coefficients, Diagonal, Sweep};
use crate::support::lanes::Lanes;

/// C −= A·B, with A rows × inner.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product<T> {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) inner: usize,
    pub(super) a: Coefficients<T>,
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
        let parallelism = if parallel { Parallelism::Rayon(0) } else { Parallelism::None };
        // SAFETY: the caller's.
        unsafe {
            gemm::gemm(
                self.rows,
                self.columns,
                self.inner,
                self.c,
                1,
                self.c_stride as isize,
                true,
                self.a.start,
                self.a.column_stride as isize,
                self.a.row_stride as isize,
                self.b,
                1,
                self.b_stride as isize,
                T::ONE,
                -T::ONE,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}
