//! The CPU kernels, on row-major matrices, one at a time. (Up to 4×4 they are those of
//! [`small`](super::small).)
//!
//! Rows are vectors, so that everything is "subtract a multiple of a row from a row": four rows and
//! two vectors at a time, which stay in registers while the rows above pass by. From 128 on most
//! operations are in the matrix product of the crate gemm.
//!
//! That is all we take from a library. A whole factorisation from one would be another layout of the
//! factors and a list of exchanges, to be copied into the one tensor that a factorisation is here; pivots
//! and matrices that are refused would be its choice; and small matrices, where it is called once for
//! each, are the ones that come in large batches. Flex has the crate already.
#![allow(
    clippy::needless_range_loop,
    reason = "the formulas of linear algebra have numbers of rows and columns"
)]

mod factor;
mod product;
mod solve;
mod sweep;
mod triangle;

use pulp::Simd;

use self::product::Product;
use super::small;
use crate::support::lanes::Lanes;
use crate::support::matrices::{Job, Matrices, Room, Strided, for_each};

/// Rows of a block, beyond which products go to the matrix product.
const BLOCK: usize = 64;

/// From this size on one matrix is worth several threads, if there are not as many matrices.
const WORTH_THREADS: usize = 256;

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
        a: Strided { start: a.as_ptr(), row_stride: n, column_stride: 1 },
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
    match n {
        1 => return small::factor::<T, 1>(a),
        2 => return small::factor::<T, 2>(a),
        3 => return small::factor::<T, 3>(a),
        4 => return small::factor::<T, 4>(a),
        _ => {}
    }
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
