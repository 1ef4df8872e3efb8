//! What every operation is made of: multiples of rows subtracted from rows, as vectors.

use pulp::{NullaryFnOnce, Simd};

use crate::support::lanes::Lanes;
use crate::support::matrices::Strided;

/// Rows in registers.
const ROWS: usize = 4;

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
pub(super) enum Diagonal<T> {
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
pub(super) struct Sweep<T, S, const TRIANGLE: bool, const UP: bool> {
    pub(super) simd: S,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) inner: usize,
    pub(super) a: Strided<T>,
    pub(super) b: *const T,
    pub(super) b_stride: usize,
    pub(super) x: *mut T,
    pub(super) x_stride: usize,
    pub(super) diagonal: Diagonal<T>,
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
