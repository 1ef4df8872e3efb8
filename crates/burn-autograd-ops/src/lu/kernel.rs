//! The CPU kernels, on row-major matrices.
//!
//! Rows are vectors, so that everything is "subtract a multiple of a row from a row": four rows and
//! two vectors at a time, which stay in registers while the rows above pass by. Up to 4×4 the loops
//! have constant bounds; from 128 on most operations are in Flex's matrix product.
#![allow(
    clippy::needless_range_loop,
    reason = "the formulas of linear algebra have numbers of rows and columns"
)]

use gemm::Parallelism;
use pulp::{NullaryFnOnce, Simd};

use crate::support::lanes::Lanes;
use crate::support::matrices::{Job, Matrices, Room, for_each};

/// Columns of a panel, factored one by one.
const PANEL: usize = 16;

/// Rows of a block, beyond which products go to the matrix product.
const BLOCK: usize = 64;

/// Rows in registers.
const ROWS: usize = 4;

/// From this size on one matrix is worth several threads, if there are not as many matrices.
const WORTH_THREADS: usize = 256;

/// A coefficient matrix at any strides.
#[derive(Debug, Clone, Copy)]
struct Coefficients<T> {
    start: *const T,
    row_stride: usize,
    column_stride: usize,
}

impl<T: Copy> Coefficients<T> {
    /// # Safety
    ///
    /// There is such an element.
    #[inline(always)]
    unsafe fn at(self, row: usize, column: usize) -> T {
        // SAFETY: the caller's.
        unsafe { *self.start.add(row * self.row_stride + column * self.column_stride) }
    }

    /// # Safety
    ///
    /// There is such an element.
    #[inline(always)]
    unsafe fn from(self, row: usize, column: usize) -> Self {
        // SAFETY: the caller's.
        let start = unsafe { self.start.add(row * self.row_stride + column * self.column_stride) };
        Self { start, ..self }
    }
}

/// A vector, or the first elements of one.
///
/// # Safety
///
/// There are as many elements.
#[inline(always)]
unsafe fn load<T: Lanes, S: Simd, const PART: bool>(
    simd: S,
    from: *const T,
    part: usize,
) -> T::Vector<S> {
    // SAFETY: the caller's.
    unsafe {
        if PART {
            T::load_part(simd, std::slice::from_raw_parts(from, part))
        } else {
            from.cast::<T::Vector<S>>().read_unaligned()
        }
    }
}

/// How the rows of a triangle are finished.
#[derive(Debug, Clone, Copy)]
enum Diagonal<T> {
    /// All ones.
    Unit,
    /// Divided by it, by products with these reciprocals.
    Reciprocals(*const T),
    /// Divided by it.
    Division,
}

/// Subtracts coefficients times rows from rows, in place: C −= A·B, and if `triangle` says so, then
/// solves with the triangle that A has there.
///
/// Row i of the result is row i of `x`, minus Σⱼ a(i, j)·row j of `b`. For a product `b` is another
/// matrix and j runs over all of `inner`; for a substitution it is `x` itself, and j runs over the
/// rows that are finished.
struct Sweep<T, S, const TRIANGLE: bool, const UP: bool> {
    simd: S,
    rows: usize,
    columns: usize,
    inner: usize,
    a: Coefficients<T>,
    b: *const T,
    b_stride: usize,
    x: *mut T,
    x_stride: usize,
    diagonal: Diagonal<T>,
}

impl<T: Lanes, S: Simd, const TRIANGLE: bool, const UP: bool> Sweep<T, S, TRIANGLE, UP> {
    /// `R` rows from `first` on, `V` vectors from column `left` on; or a part of one vector.
    ///
    /// # Safety
    ///
    /// These are within the matrices.
    #[inline(always)]
    unsafe fn block<const R: usize, const V: usize, const PART: bool>(
        &self,
        first: usize,
        left: usize,
    ) {
        let (simd, lanes) = (self.simd, T::lanes::<S>());
        let part = if PART { self.columns - left } else { 0 };
        // SAFETY: all rows and columns that are named are within the matrices.
        unsafe {
            let x = self.x.add(first * self.x_stride + left);
            let mut sums = [[T::splat(simd, T::ZERO); V]; R];
            for (r, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = load::<T, S, PART>(simd, x.add(r * self.x_stride + v * lanes), part);
                }
            }
            let range = match (TRIANGLE, UP) {
                (false, _) => 0..self.inner,
                (true, false) => 0..first,
                (true, true) => first + R..self.rows,
            };
            let a = self.a.from(first, 0);
            for j in range {
                let from = self.b.add(j * self.b_stride + left);
                let mut row = [T::splat(simd, T::ZERO); V];
                for (v, element) in row.iter_mut().enumerate() {
                    *element = load::<T, S, PART>(simd, from.add(v * lanes), part);
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let coefficient = T::splat(simd, a.at(r, j));
                    for (sum, element) in sums.iter_mut().zip(row) {
                        *sum = T::subtract_product(simd, coefficient, element, *sum);
                    }
                }
            }
            if TRIANGLE {
                for step in 0..R {
                    let i = if UP { R - 1 - step } else { step };
                    match self.diagonal {
                        Diagonal::Unit => {}
                        Diagonal::Reciprocals(reciprocals) => {
                            let by = T::splat(simd, *reciprocals.add(first + i));
                            for sum in &mut sums[i] {
                                *sum = T::times(simd, *sum, by);
                            }
                        }
                        Diagonal::Division => {
                            let by = T::splat(simd, a.at(i, first + i));
                            for sum in &mut sums[i] {
                                *sum = T::over(simd, *sum, by);
                            }
                        }
                    }
                    let finished = sums[i];
                    for other in step + 1..R {
                        let r = if UP { R - 1 - other } else { other };
                        let coefficient = T::splat(simd, a.at(r, first + i));
                        for (sum, element) in sums[r].iter_mut().zip(finished) {
                            *sum = T::subtract_product(simd, coefficient, element, *sum);
                        }
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    let to = x.add(r * self.x_stride + v * lanes);
                    if PART {
                        T::store_part(simd, std::slice::from_raw_parts_mut(to, part), sum);
                    } else {
                        to.cast::<T::Vector<S>>().write_unaligned(sum);
                    }
                }
            }
        }
    }

    /// All rows of some columns.
    ///
    /// # Safety
    ///
    /// As [`block`](Self::block).
    #[inline(always)]
    unsafe fn panel<const V: usize, const PART: bool>(&self, left: usize) {
        // SAFETY: the caller's.
        unsafe {
            if UP {
                let mut last = self.rows;
                while last >= ROWS {
                    last -= ROWS;
                    self.block::<ROWS, V, PART>(last, left);
                }
                while last > 0 {
                    last -= 1;
                    self.block::<1, V, PART>(last, left);
                }
            } else {
                let mut first = 0;
                while first + ROWS <= self.rows {
                    self.block::<ROWS, V, PART>(first, left);
                    first += ROWS;
                }
                while first < self.rows {
                    self.block::<1, V, PART>(first, left);
                    first += 1;
                }
            }
        }
    }
}

impl<T: Lanes, S: Simd, const TRIANGLE: bool, const UP: bool> NullaryFnOnce
    for Sweep<T, S, TRIANGLE, UP>
{
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let lanes = T::lanes::<S>();
        let mut left = 0;
        // SAFETY: whoever made this promised that the matrices have these sizes.
        unsafe {
            while left + 2 * lanes <= self.columns {
                self.panel::<2, false>(left);
                left += 2 * lanes;
            }
            if left + lanes <= self.columns {
                self.panel::<1, false>(left);
                left += lanes;
            }
            if left < self.columns {
                self.panel::<1, true>(left);
            }
        }
    }
}

/// C −= A·B, with A rows × inner.
#[derive(Debug, Clone, Copy)]
struct Product<T> {
    rows: usize,
    columns: usize,
    inner: usize,
    a: Coefficients<T>,
    b: *const T,
    b_stride: usize,
    c: *mut T,
    c_stride: usize,
}

impl<T: Lanes> Product<T> {
    /// # Safety
    ///
    /// The matrices have these sizes, and `c` overlaps neither of the others.
    #[inline(always)]
    unsafe fn subtract<S: Simd>(self, simd: S, parallel: bool) {
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

/// X with T·X = X, in place, for a triangle T of `rows` rows.
#[derive(Debug, Clone, Copy)]
struct Triangle<T> {
    rows: usize,
    columns: usize,
    a: Coefficients<T>,
    diagonal: Diagonal<T>,
    x: *mut T,
    x_stride: usize,
}

impl<T: Lanes> Triangle<T> {
    /// # Safety
    ///
    /// The matrices have these sizes, and do not overlap.
    #[inline(always)]
    unsafe fn solve<S: Simd, const UP: bool>(self, simd: S, parallel: bool) {
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

/// What one thread keeps from matrix to matrix.
#[derive(Debug, Default)]
pub(crate) struct Workspace<T> {
    pub(crate) reciprocals: Vec<T>,
    pub(crate) first: Vec<T>,
    pub(crate) second: Vec<T>,
}

/// The factorisation of one n×n matrix, and solutions with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factors<S> {
    pub(crate) simd: S,
    pub(crate) n: usize,
    /// Whether one matrix is spread over threads.
    pub(crate) parallel: bool,
}

/// Whether `count` n×n matrices are worth threads within each.
pub(crate) fn parallel_within(count: usize, n: usize) -> bool {
    n >= WORTH_THREADS && count < rayon::current_num_threads()
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
        match n {
            0 | 1 => {}
            2 => factor_small::<T, 2>(w, permutation),
            3 => factor_small::<T, 3>(w, permutation),
            4 => factor_small::<T, 4>(w, permutation),
            _ => self.factor_blocks(w, permutation),
        }
    }

    #[inline(always)]
    fn factor_blocks<T: Lanes>(self, w: &mut [T], permutation: &mut [T]) {
        let n = self.n;
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
            let l = Coefficients { start: w.cast_const(), row_stride: n, column_stride: 1 };
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
            1 => solve_small::<T, 1>(packed, x, columns),
            2 => solve_small::<T, 2>(packed, x, columns),
            3 => solve_small::<T, 3>(packed, x, columns),
            4 => solve_small::<T, 4>(packed, x, columns),
            n => {
                let a = Coefficients { start: packed.as_ptr(), row_stride: n, column_stride: 1 };
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
            1 => solve_small::<T, 1>(packed, x, columns),
            2 => solve_transposed_small::<T, 2>(packed, x, columns),
            3 => solve_transposed_small::<T, 3>(packed, x, columns),
            4 => solve_transposed_small::<T, 4>(packed, x, columns),
            n => {
                let a = Coefficients { start: packed.as_ptr(), row_stride: 1, column_stride: n };
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

/// The same for a few rows, whose number is known.
#[inline(always)]
fn factor_small<T: Lanes, const N: usize>(w: &mut [T], permutation: &mut [T]) {
    let mut a: [[T; N]; N] = std::array::from_fn(|i| std::array::from_fn(|j| w[i * N + j]));
    for k in 0..N {
        let mut chosen = k;
        for i in k + 1..N {
            if a[i][k].magnitude() > a[chosen][k].magnitude() {
                chosen = i;
            }
        }
        a.swap(k, chosen);
        permutation.swap(k, chosen);
        let pivot = a[k][k];
        if pivot == T::ZERO {
            continue;
        }
        for i in k + 1..N {
            let multiplier = a[i][k].divide(pivot);
            a[i][k] = multiplier;
            for j in k + 1..N {
                a[i][j] = a[i][j] - multiplier * a[k][j];
            }
        }
    }
    for i in 0..N {
        for j in 0..N {
            w[i * N + j] = a[i][j];
        }
    }
}

#[inline(always)]
fn solve_small<T: Lanes, const N: usize>(packed: &[T], x: &mut [T], columns: usize) {
    let a: [[T; N]; N] = std::array::from_fn(|i| std::array::from_fn(|j| packed[i * N + j]));
    for c in 0..columns {
        let mut y: [T; N] = std::array::from_fn(|i| x[i * columns + c]);
        for i in 0..N {
            for j in 0..i {
                y[i] = y[i] - a[i][j] * y[j];
            }
        }
        for i in (0..N).rev() {
            for j in i + 1..N {
                y[i] = y[i] - a[i][j] * y[j];
            }
            y[i] = y[i].divide(a[i][i]);
        }
        for i in 0..N {
            x[i * columns + c] = y[i];
        }
    }
}

#[inline(always)]
fn solve_transposed_small<T: Lanes, const N: usize>(packed: &[T], x: &mut [T], columns: usize) {
    let a: [[T; N]; N] = std::array::from_fn(|i| std::array::from_fn(|j| packed[i * N + j]));
    for c in 0..columns {
        let mut y: [T; N] = std::array::from_fn(|i| x[i * columns + c]);
        for i in 0..N {
            for j in 0..i {
                y[i] = y[i] - a[j][i] * y[j];
            }
            y[i] = y[i].divide(a[i][i]);
        }
        for i in (0..N).rev() {
            for j in i + 1..N {
                y[i] = y[i] - a[j][i] * y[j];
            }
        }
        for i in 0..N {
            x[i * columns + c] = y[i];
        }
    }
}

/// C −= A·B for row-major n×n matrices.
#[inline(always)]
pub(crate) fn subtract_product<T: Lanes, S: Simd>(
    factors: Factors<S>,
    a: &[T],
    b: &[T],
    c: &mut [T],
) {
    let n = factors.n;
    assert!(a.len() == n * n && b.len() == n * n && c.len() == n * n, "n×n matrices");
    let product = Product {
        rows: n,
        columns: n,
        inner: n,
        a: Coefficients { start: a.as_ptr(), row_stride: n, column_stride: 1 },
        b: b.as_ptr(),
        b_stride: n,
        c: c.as_mut_ptr(),
        c_stride: n,
    };
    // SAFETY: the sizes were checked, and `c` is borrowed for writing alone.
    unsafe { product.subtract(factors.simd, factors.parallel) };
}

/// About how many operations a factorisation takes, and a solution of this many columns.
pub(crate) fn operations(n: usize, columns: usize) -> usize {
    n.saturating_mul(n).saturating_mul(n + 2 * columns) + 8 * n
}

struct FactorJob<'a, T> {
    a: &'a Matrices<'a, T>,
    packed: Room<'a, T>,
    parallel: bool,
}

impl<T: Lanes> Job for FactorJob<'_, T> {
    type Worker = ();

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, (): &mut (), index: usize) {
        let n = self.a.rows;
        // SAFETY: each index is run once.
        let packed = unsafe { self.packed.get(index) };
        self.a.get(index).copy_rows(&mut packed[..n * n], |i| i);
        Factors { simd, n, parallel: self.parallel }.factor(packed);
    }
}

/// The factorisation of every matrix.
pub(crate) fn factor<T: Lanes>(a: &Matrices<'_, T>) -> Vec<T> {
    let (count, n) = (a.count, a.rows);
    let mut packed = vec![T::ZERO; count * (n + 1) * n];
    if !packed.is_empty() {
        let parallel = parallel_within(count, n);
        let room = Room::new(&mut packed, (n + 1) * n);
        for_each(count, operations(n, 0), &FactorJob { a, packed: room, parallel });
    }
    packed
}

struct SolveJob<'a, T> {
    packed: &'a Matrices<'a, T>,
    b: &'a Matrices<'a, T>,
    x: Room<'a, T>,
    transposed: bool,
    parallel: bool,
}

impl<T: Lanes> Job for SolveJob<'_, T> {
    type Worker = Workspace<T>;

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, worker: &mut Workspace<T>, index: usize) {
        let (n, columns) = (self.b.rows, self.b.columns);
        let factors = Factors { simd, n, parallel: self.parallel };
        let packed = self.packed.get(index).as_slice().expect("factors are row-major");
        let b = self.b.get(index);
        // SAFETY: each index is run once.
        let x = unsafe { self.x.get(index) };
        if !factors.divides(packed) {
            x.fill(T::NAN);
        } else if self.transposed {
            worker.first.resize(n * columns, T::ZERO);
            let Workspace { first, reciprocals, .. } = worker;
            b.copy_rows(first, |i| i);
            factors.solve_transposed(packed, first, columns, reciprocals);
            for (i, row) in first.chunks_exact(columns).enumerate() {
                x[factors.source(packed, i) * columns..][..columns].copy_from_slice(row);
            }
        } else {
            b.copy_rows(x, |i| factors.source(packed, i));
            factors.solve(packed, x, columns, &mut worker.reciprocals);
        }
    }
}

/// The solution with every matrix; `packed` is row-major within each.
pub(crate) fn solve<T: Lanes>(
    packed: &Matrices<'_, T>,
    b: &Matrices<'_, T>,
    transposed: bool,
) -> Vec<T> {
    let (count, n, columns) = (b.count, b.rows, b.columns);
    let mut x = vec![T::ZERO; count * n * columns];
    if !x.is_empty() {
        let parallel = parallel_within(count, n);
        let room = Room::new(&mut x, n * columns);
        let job = SolveJob { packed, b, x: room, transposed, parallel };
        for_each(count, operations(0, 0) + 2 * n * n * columns, &job);
    }
    x
}
