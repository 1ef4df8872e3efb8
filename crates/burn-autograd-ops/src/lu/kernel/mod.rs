//! The CPU kernels, on row-major matrices, one at a time: up to 4×4 those of [`small`](super::small), from
//! there on those of the crate faer.
//!
//! faer multiplies by the reciprocal of a pivot, and a pivot of 0 has none: its factors are then NaN, and the
//! determinant would be too. Where there is no reciprocal the factors and solutions are those of
//! [`plain`] loops.

mod factors;
mod plain;

use pulp::Simd;

pub(crate) use self::factors::Factors;
use super::small;
use crate::support::lanes::Lanes;
use crate::support::matrices::{Job, Matrices, Room, for_each};

/// From this size on one matrix is worth several threads, if there are not as many matrices.
const WORTH_THREADS: usize = 256;

/// What one thread keeps from matrix to matrix.
#[derive(Debug, Default)]
pub(crate) struct Workspace<T> {
    pub(crate) first: Vec<T>,
    pub(crate) second: Vec<T>,
    rows: Vec<usize>,
}

/// Whether `count` n×n matrices are worth threads within each.
pub(crate) fn parallel_within(count: usize, n: usize) -> bool {
    n >= WORTH_THREADS && count < rayon::current_num_threads()
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
    type Worker = Workspace<T>;

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, worker: &mut Workspace<T>, index: usize) {
        let factors = Factors { simd, n: self.a.rows, parallel: self.parallel };
        // SAFETY: each index is run once.
        let packed = unsafe { self.packed.get(index) };
        factors.factor(&self.a.get(index), packed, worker);
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
            let first = &mut worker.first;
            first.resize(n * columns, T::ZERO);
            b.copy(first);
            factors.solve(packed, first, columns, true);
            for (i, row) in first.chunks_exact(columns).enumerate() {
                x[factors.source(packed, i) * columns..][..columns].copy_from_slice(row);
            }
        } else {
            b.copy_rows(x, |i| factors.source(packed, i));
            factors.solve(packed, x, columns, false);
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
