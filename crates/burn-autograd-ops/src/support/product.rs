//! The matrix product of the crate faer, on matrices that lie anyhow.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::Real;
use super::matrices::Strided;

/// C = A·B, or C += A·B with `add`, of rows × inner and inner × columns; the rows of `c` are `c_stride`
/// apart. On this thread.
///
/// # Safety
///
/// The matrices have these sizes. Nobody else uses these elements of `c`, which overlap neither `a` nor
/// `b`; they hold numbers if it is added to them.
pub(crate) unsafe fn multiply<T: Real>(
    [rows, inner, columns]: [usize; 3],
    a: Strided<T>,
    b: Strided<T>,
    (c, c_stride): (*mut T, usize),
    add: bool,
) {
    let view = |matrix: Strided<T>, rows, columns| {
        let [down, right] = [matrix.row_stride, matrix.column_stride].map(usize::cast_signed);
        // SAFETY: the caller's.
        unsafe { MatRef::from_raw_parts(matrix.start, rows, columns, down, right) }
    };
    // SAFETY: the caller's.
    let c = unsafe { MatMut::from_raw_parts_mut(c, rows, columns, c_stride.cast_signed(), 1) };
    let accumulate = if add { Accum::Add } else { Accum::Replace };
    let [a, b] = [view(a, rows, inner), view(b, inner, columns)];
    matmul(c, accumulate, a, b, T::from_f64(1.0), Par::Seq);
}
