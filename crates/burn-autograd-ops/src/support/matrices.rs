//! Batches of matrices on slices: where each of them is, and work spread over them.

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Matrices in a buffer, at any strides.
#[derive(Debug, Clone)]
pub(crate) struct Matrices<'a, T> {
    data: &'a [T],
    start: usize,
    /// Size and stride of the innermost leading dimension, and of those around it that go on where it
    /// ends: usually all of them.
    inner: (usize, usize),
    /// Those of the others, innermost first.
    outer: Vec<(usize, usize)>,
    /// How many matrices.
    pub(crate) count: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T: Copy> Matrices<'a, T> {
    /// The shape has at least two dimensions, each with a stride; `data[start]` is the first element.
    pub(crate) fn new(
        data: &'a [T],
        start: usize,
        shape: &[usize],
        stride: impl Fn(usize) -> usize,
    ) -> Self {
        let rank = shape.len();
        let mut inner: (usize, usize) = (1, 0);
        let mut outer: Vec<(usize, usize)> = Vec::new();
        for dim in (0..rank - 2).rev().filter(|&dim| shape[dim] != 1) {
            let next = (shape[dim], stride(dim));
            let last = outer.last_mut().unwrap_or(&mut inner);
            if last.0 == 1 {
                *last = next;
            } else if next.1 == last.0 * last.1 {
                last.0 *= next.0;
            } else {
                outer.push(next);
            }
        }
        Self {
            data,
            start,
            inner,
            outer,
            count: shape[..rank - 2].iter().product(),
            rows: shape[rank - 2],
            columns: shape[rank - 1],
            row_stride: stride(rank - 2),
            column_stride: stride(rank - 1),
        }
    }

    /// Row-major ones, one after the other.
    #[cfg(any(feature = "ndarray", test))]
    pub(crate) fn contiguous(data: &'a [T], shape: &[usize]) -> Self {
        Self::new(data, 0, shape, |dim| shape[dim + 1..].iter().product())
    }

    /// Sizes and strides of the leading dimensions, innermost first.
    fn leading(&self) -> impl Iterator<Item = (usize, usize)> {
        std::iter::once(self.inner).chain(self.outer.iter().copied())
    }

    /// All elements, if the matrices are row-major and lie one after the other.
    pub(crate) fn as_slice(&self) -> Option<&'a [T]> {
        let mut expected = 1;
        let own = [(self.columns, self.column_stride), (self.rows, self.row_stride)];
        for (size, stride) in own.into_iter().chain(self.leading()) {
            // The stride of a dimension of size 1 says nothing.
            if size != 1 && stride != expected {
                return None;
            }
            expected *= size;
        }
        self.data.get(self.start..self.start + expected)
    }

    /// One of them.
    pub(crate) fn get(&self, index: usize) -> Matrix<'a, T> {
        let mut rest = index;
        let mut start = self.start;
        for (size, stride) in self.leading() {
            start += rest % size * stride;
            rest /= size;
        }
        Matrix {
            data: self.data.get(start..).unwrap_or(&[]),
            rows: self.rows,
            columns: self.columns,
            row_stride: self.row_stride,
            column_stride: self.column_stride,
        }
    }
}

/// A matrix at any strides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T: Copy> Matrix<'a, T> {
    /// Element `(r, c)` is `data[r·strides[0] + c·strides[1]]`.
    pub(crate) fn new(data: &'a [T], size: [usize; 2], strides: [usize; 2]) -> Self {
        let ([rows, columns], [row_stride, column_stride]) = (size, strides);
        Self { data, rows, columns, row_stride, column_stride }
    }

    /// A matrix in row-major order.
    pub(crate) fn row_major(data: &'a [T], size: [usize; 2]) -> Self {
        Self::new(data, size, [size[1], 1])
    }

    /// Rows and columns.
    pub(crate) fn size(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// The same without its buffer, in which it is seen to lie.
    pub(crate) fn strided(&self) -> Strided<T> {
        let Self { data, rows, columns, row_stride, column_stride } = *self;
        if rows > 0 && columns > 0 {
            let last = (rows - 1) * row_stride + (columns - 1) * column_stride;
            assert!(last < data.len(), "the matrix lies within its buffer");
        }
        Strided { start: data.as_ptr(), row_stride, column_stride }
    }

    #[inline(always)]
    pub(crate) fn at(&self, row: usize, column: usize) -> T {
        self.data[row * self.row_stride + column * self.column_stride]
    }

    #[inline(always)]
    pub(crate) fn transpose(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// The elements in row-major order, if they lie so.
    pub(crate) fn as_slice(&self) -> Option<&'a [T]> {
        // The stride of a dimension of size 1 says nothing.
        let dense = (self.column_stride == 1 || self.columns == 1)
            && (self.row_stride == self.columns || self.rows == 1);
        dense.then(|| &self.data[..self.rows * self.columns])
    }

    /// Copies it to `to`, row-major.
    #[inline(always)]
    pub(crate) fn copy(&self, to: &mut [T]) {
        // A transposed matrix, in tiles whose rows are vectors on both sides.
        const TILE: usize = 8;
        let [rows, columns] = [self.rows, self.columns].map(|size| size - size % TILE);
        if self.column_stride == 1 || self.row_stride != 1 || rows == 0 || columns == 0 {
            self.copy_rows(to, |i| i);
            return;
        }
        for left in (0..columns).step_by(TILE) {
            for top in (0..rows).step_by(TILE) {
                let tile: [[T; TILE]; TILE] = std::array::from_fn(|j| {
                    let from = &self.data[(left + j) * self.column_stride + top..][..TILE];
                    from.try_into().expect("as many elements")
                });
                for i in 0..TILE {
                    let to = &mut to[(top + i) * self.columns + left..][..TILE];
                    for j in 0..TILE {
                        to[j] = tile[j][i];
                    }
                }
            }
        }
        for i in 0..self.rows {
            let first = if i < rows { columns } else { 0 };
            for j in first..self.columns {
                to[i * self.columns + j] = self.at(i, j);
            }
        }
    }

    /// Copies it to `to`, row-major; row i from row `row(i)`.
    #[inline(always)]
    pub(crate) fn copy_rows(&self, to: &mut [T], row: impl Fn(usize) -> usize) {
        if self.columns == 0 {
            return;
        }
        let row_of = |i: usize| row(i) * self.row_stride;
        if self.column_stride == 1 {
            for (i, to) in to.chunks_exact_mut(self.columns).enumerate() {
                to.copy_from_slice(&self.data[row_of(i)..][..self.columns]);
            }
            return;
        }
        // In blocks, so that neither side leaves the cache between two uses of a line.
        const BLOCK: usize = 16;
        for top in (0..self.rows).step_by(BLOCK) {
            for left in (0..self.columns).step_by(BLOCK) {
                for i in top..self.rows.min(top + BLOCK) {
                    for j in left..self.columns.min(left + BLOCK) {
                        to[i * self.columns + j] = self.data[row_of(i) + j * self.column_stride];
                    }
                }
            }
        }
    }
}

/// The first element of a matrix, and its strides: for kernels that write elsewhere in its buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strided<T> {
    pub(crate) start: *const T,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<T: Copy> Strided<T> {
    /// What is right of and below an element, with that.
    ///
    /// # Safety
    ///
    /// There is such an element.
    #[inline(always)]
    pub(crate) unsafe fn from(self, row: usize, column: usize) -> Self {
        // SAFETY: the caller's.
        let start = unsafe { self.start.add(row * self.row_stride + column * self.column_stride) };
        Self { start, ..self }
    }
}

/// Room for one result of each matrix, which many threads write, each its own.
#[derive(Debug)]
pub(crate) struct Room<'a, T> {
    start: *mut T,
    len: usize,
    each: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a mutable slice, and `get` is unsafe.
unsafe impl<T: Send> Send for Room<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Room<'_, T> {}

impl<'a, T> Room<'a, T> {
    /// `each` elements for each matrix.
    pub(crate) fn new(buffer: &'a mut [T], each: usize) -> Self {
        Self { start: buffer.as_mut_ptr(), len: buffer.len(), each, lifetime: PhantomData }
    }

    /// The room of one matrix.
    ///
    /// # Safety
    ///
    /// Nobody else has that of the same matrix at the same time.
    #[expect(clippy::mut_from_ref, reason = "each matrix has its own room, and one writer")]
    pub(crate) unsafe fn get(&self, index: usize) -> &mut [T] {
        // SAFETY: the caller's.
        unsafe { self.get_all(index, 1) }
    }

    /// The room of some matrices, one after the other.
    ///
    /// # Safety
    ///
    /// Nobody else has that of one of them at the same time.
    #[expect(clippy::mut_from_ref, reason = "each matrix has its own room, and one writer")]
    pub(crate) unsafe fn get_all(&self, first: usize, count: usize) -> &mut [T] {
        assert!((first + count) * self.each <= self.len, "room for each matrix");
        let len = count * self.each;
        // SAFETY: within the buffer, and the caller is its only user.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first * self.each), len) }
    }
}

/// What is done with each matrix of a batch.
pub(crate) trait Job: Sync {
    /// What one thread keeps from matrix to matrix.
    type Worker: Default;

    /// Must be marked `#[inline(always)]`, or it gets no vector instructions.
    fn run<S: Simd>(&self, simd: S, worker: &mut Self::Worker, index: usize);
}

struct Range<'a, J> {
    job: &'a J,
    range: std::ops::Range<usize>,
}

impl<J: Job> WithSimd for Range<'_, J> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut worker = J::Worker::default();
        for index in self.range {
            self.job.run(simd, &mut worker, index);
        }
    }
}

/// Operations for which a second thread is woken: tens of microseconds of them.
const WORTH_A_THREAD: usize = 1 << 17;

/// Runs a job on every matrix, on several threads if it has enough operations.
pub(crate) fn for_each<J: Job>(count: usize, operations_each: usize, job: &J) {
    let arch = Arch::new();
    let all = count.saturating_mul(operations_each);
    if count < 2 || all < 2 * WORTH_A_THREAD {
        arch.dispatch(Range { job, range: 0..count });
        return;
    }
    let threads = rayon::current_num_threads();
    let parts = count.min(all / WORTH_A_THREAD).min(4 * threads);
    // As many for every thread.
    let parts = if parts > threads { parts - parts % threads } else { parts };
    (0..parts).into_par_iter().for_each(|part| {
        let range = part * count / parts..(part + 1) * count / parts;
        arch.dispatch(Range { job, range });
    });
}

#[cfg(test)]
mod tests {
    use super::{Matrices, Matrix};

    /// Every element of every matrix, by its coordinates; and whether they are seen to lie one after the
    /// other.
    #[track_caller]
    fn check(shape: &[usize], strides: &[usize], start: usize, dense: bool) {
        let places: Vec<usize> = (0..1000).collect();
        let matrices = Matrices::new(&places, start, shape, |dim| strides[dim]);
        let [batch @ .., rows, columns] = shape else { panic!("two dimensions or more") };
        assert_eq!(matrices.count, batch.iter().product::<usize>());
        let mut all = Vec::new();
        for index in 0..matrices.count {
            let (mut rest, mut first) = (index, start);
            for (size, stride) in batch.iter().zip(strides).rev() {
                first += rest % size * stride;
                rest /= size;
            }
            let matrix = matrices.get(index);
            for row in 0..*rows {
                for column in 0..*columns {
                    let [.., down, right] = strides else { panic!("two strides or more") };
                    let place = first + row * down + column * right;
                    assert_eq!(matrix.at(row, column), place, "matrix {index}");
                    all.push(place);
                }
            }
        }
        assert_eq!(matrices.as_slice(), dense.then_some(&all[..]));
    }

    /// All sizes around a tile, both ways.
    #[test]
    fn a_copy_is_row_major() {
        for rows in [1, 7, 8, 9, 16, 21] {
            for columns in [1, 7, 8, 9, 16, 21] {
                let places: Vec<usize> = (0..rows * columns).collect();
                let matrix = Matrix::row_major(&places, [rows, columns]);
                let mut copy = vec![usize::MAX; places.len()];
                matrix.copy(&mut copy);
                assert_eq!(copy, places);
                let transposed = matrix.transpose();
                transposed.copy(&mut copy);
                let expected: Vec<_> = (0..columns)
                    .flat_map(|i| (0..rows).map(move |j| (i, j)))
                    .map(|(i, j)| matrix.at(j, i))
                    .collect();
                assert_eq!(copy, expected, "{rows}×{columns}");
            }
        }
    }

    #[test]
    fn matrices_are_where_the_strides_say() {
        check(&[2, 3], &[3, 1], 0, true);
        check(&[2, 3], &[1, 2], 0, false);
        check(&[4, 2, 3], &[6, 3, 1], 5, true);
        check(&[1, 2, 3], &[99, 3, 1], 0, true);
        check(&[2, 4, 2, 3], &[24, 6, 3, 1], 0, true);
        check(&[2, 1, 4, 2, 3], &[24, 7, 6, 3, 1], 0, true);
        // A gap, an exchange and a repetition, around dimensions that are one after the other.
        check(&[2, 4, 2, 3], &[30, 6, 3, 1], 0, false);
        check(&[4, 2, 2, 3], &[6, 24, 3, 1], 0, false);
        check(&[5, 2, 4, 2, 3], &[100, 24, 6, 3, 1], 0, false);
        check(&[5, 2, 4, 2, 3], &[48, 24, 6, 3, 1], 0, true);
        check(&[2, 5, 2, 4, 2, 3], &[240, 48, 6, 12, 3, 1], 0, false);
        check(&[3, 2, 2, 3], &[0, 6, 3, 1], 0, false);
        check(&[3, 2, 2, 3], &[6, 0, 3, 1], 0, false);
        check(&[3, 2, 2, 3], &[0, 0, 3, 1], 0, false);
    }
}
