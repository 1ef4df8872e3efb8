//! The matrix product of the crate gemm, on matrices that lie anyhow.

use gemm::Parallelism;

use super::Real;
use super::matrices::Strided;

/// What becomes of the elements that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// They are not read: C = A·B.
    Set,
    /// C += A·B.
    Add,
    /// C −= A·B.
    Subtract,
}

/// A product of rows × inner and inner × columns, into `c`, whose rows are `c_stride` apart; with
/// `parallel` on several threads.
///
/// # Safety
///
/// The matrices have these sizes. Nobody else uses these elements of `c`, which overlap neither `a` nor
/// `b`; they hold numbers unless they are [`Set`](Write::Set).
pub(crate) unsafe fn multiply<T: Real>(
    [rows, inner, columns]: [usize; 3],
    a: Strided<T>,
    b: Strided<T>,
    (c, c_stride): (*mut T, usize),
    write: Write,
    parallel: bool,
) {
    let sign = if write == Write::Subtract { -1.0 } else { 1.0 };
    let parallelism = if parallel { Parallelism::Rayon(0) } else { Parallelism::None };
    // SAFETY: the caller's.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            c,
            1,
            c_stride.cast_signed(),
            write != Write::Set,
            a.start,
            a.column_stride.cast_signed(),
            a.row_stride.cast_signed(),
            b.start,
            b.column_stride.cast_signed(),
            b.row_stride.cast_signed(),
            T::from_f64(1.0),
            T::from_f64(sign),
            false,
            false,
            false,
            parallelism,
        );
    }
}
