//! The CPU kernels: everything that is done to a matrix, while it is in the cache.
#![allow(
    clippy::needless_range_loop,
    reason = "the formulas of linear algebra have numbers of rows and columns"
)]

use pulp::Simd;

use super::{Needs, small};
use crate::lu::kernel::{Factors, Workspace, operations, parallel_within};
use crate::support::lanes::Lanes;
use crate::support::matrices::{Job, Matrices, Matrix, Room, for_each};
use crate::trace::kernel::trace;

struct Forward<'a, T> {
    a: &'a Matrices<'a, T>,
    b: &'a Matrices<'a, T>,
    y: Room<'a, T>,
    packed: Room<'a, T>,
    first: Room<'a, T>,
    parallel: bool,
}

impl<T: Lanes> Job for Forward<'_, T> {
    type Worker = Workspace<T>;

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, worker: &mut Workspace<T>, index: usize) {
        let n = self.a.rows;
        let (a, b) = (self.a.get(index), self.b.get(index));
        // SAFETY: each index is run once.
        let (y, packed, first) =
            unsafe { (self.y.get(index), self.packed.get(index), self.first.get(index)) };
        let factors = Factors { simd, n, parallel: self.parallel };
        factors.factor(&b, packed, worker);
        if !factors.divides(packed) {
            first.fill(T::NAN);
            y.fill(T::NAN);
            return;
        }
        let trace = T::from_f64(trace(&a, n));
        // In the place of the result: new memory costs more than a pass over some that is in the cache.
        a.transpose().copy(y);
        factors.solve(packed, y, n, true);
        for (i, row) in y.chunks_exact(n).enumerate() {
            first[factors.source(packed, i) * n..][..n].copy_from_slice(row);
        }
        b.copy(y);
        for (y, &first) in y.iter_mut().zip(&*first) {
            *y = first + trace * *y;
        }
    }
}

/// The result, the factors of B, and (A·B⁻¹)ᵀ, for as many A as B.
pub(super) fn forward<T: Lanes>(a: &Matrices<'_, T>, b: &Matrices<'_, T>) -> [Vec<T>; 3] {
    let (count, n) = (a.count, a.rows);
    match n {
        1 => return small::forward::<T, 1>(a, b),
        2 => return small::forward::<T, 2>(a, b),
        3 => return small::forward::<T, 3>(a, b),
        4 => return small::forward::<T, 4>(a, b),
        _ => {}
    }
    let mut y = vec![T::ZERO; count * n * n];
    let mut packed = vec![T::ZERO; count * n * (n + 1)];
    let mut first = vec![T::ZERO; count * n * n];
    if count * n > 0 {
        let job = Forward {
            a,
            b,
            y: Room::new(&mut y, n * n),
            packed: Room::new(&mut packed, n * (n + 1)),
            first: Room::new(&mut first, n * n),
            parallel: parallel_within(count, n),
        };
        for_each(count, operations(n, n), &job);
    }
    [y, packed, first]
}

struct Backward<'a, T> {
    a: &'a Matrices<'a, T>,
    b: &'a Matrices<'a, T>,
    packed: &'a Matrices<'a, T>,
    first: &'a Matrices<'a, T>,
    grad: &'a Matrices<'a, T>,
    da: Option<Room<'a, T>>,
    db: Option<Room<'a, T>>,
    parallel: bool,
}

impl<T: Lanes> Job for Backward<'_, T> {
    type Worker = Workspace<T>;

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, worker: &mut Workspace<T>, index: usize) {
        let n = self.a.rows;
        // SAFETY: each index is run once.
        let [da, db] =
            [&self.da, &self.db].map(|room| room.as_ref().map(|room| unsafe { room.get(index) }));
        let factors = Factors { simd, n, parallel: self.parallel };
        let packed = self.packed.get(index).as_slice().expect("factors are row-major");
        if !factors.divides(packed) {
            da.into_iter().chain(db).for_each(|gradient| gradient.fill(T::NAN));
            return;
        }
        let (b, grad) = (self.b.get(index), self.grad.get(index));
        let Workspace { first, second, .. } = worker;
        // The solution is computed in the place of B's gradient, and its transpose is A's, but for the
        // diagonal.
        let (x, db) = place(db, first, n * n);
        grad.copy_rows(x, |i| factors.source(packed, i));
        factors.solve(packed, x, n, false);
        let (solution, _) = place(da, second, n * n);
        Matrix::row_major(x, [n, n]).transpose().copy(solution);
        if db {
            let trace = T::from_f64(trace(&self.a.get(index), n));
            grad.copy(x);
            x.iter_mut().for_each(|g| *g = trace * *g);
            let first = self.first.get(index).as_slice().expect("it is row-major");
            factors.subtract_product(first, solution, x);
        }
        if self.da.is_some() {
            let inner = T::from_f64(inner(&grad, &b, n));
            for i in 0..n {
                solution[i * n + i] += inner;
            }
        }
    }
}

/// Where a result goes, or a buffer if nobody wants it; and which of the two.
#[inline(always)]
fn place<'a, T: Lanes>(
    result: Option<&'a mut [T]>,
    buffer: &'a mut Vec<T>,
    len: usize,
) -> (&'a mut [T], bool) {
    match result {
        Some(result) => (result, true),
        None => {
            buffer.resize(len, T::ZERO);
            (buffer, false)
        }
    }
}

/// ⟨G, B⟩, in `f64`: rows apart, so that there are as many sums to add to at a time as a row is long.
#[inline(always)]
fn inner<T: Lanes>(grad: &Matrix<'_, T>, b: &Matrix<'_, T>, n: usize) -> f64 {
    const SUMS: usize = 8;
    let mut sums = [0.0f64; SUMS];
    if let (Some(grad), Some(b)) = (grad.as_slice(), b.as_slice()) {
        let (grad_parts, b_parts) = (grad.chunks_exact(SUMS), b.chunks_exact(SUMS));
        let rest = grad_parts.remainder().iter().zip(b_parts.remainder());
        let rest: f64 = rest.map(|(g, b)| g.to_f64() * b.to_f64()).sum();
        for (g, b) in grad_parts.zip(b_parts) {
            for k in 0..SUMS {
                sums[k] += g[k].to_f64() * b[k].to_f64();
            }
        }
        return sums.iter().sum::<f64>() + rest;
    }
    for i in 0..n {
        for j in 0..n {
            sums[j % SUMS] += grad.at(i, j).to_f64() * b.at(i, j).to_f64();
        }
    }
    sums.iter().sum()
}

/// The gradients that are needed, for as many of each operand.
pub(super) fn backward<T: Lanes>(
    operands: [&Matrices<'_, T>; 5],
    needs: Needs,
) -> [Option<Vec<T>>; 2] {
    let [a, b, packed, first, grad] = operands;
    let (count, n) = (a.count, a.rows);
    match n {
        1 => return small::backward::<T, 1>(operands, needs),
        2 => return small::backward::<T, 2>(operands, needs),
        3 => return small::backward::<T, 3>(operands, needs),
        4 => return small::backward::<T, 4>(operands, needs),
        _ => {}
    }
    let [mut da, mut db] =
        [needs.a, needs.b].map(|needed| needed.then(|| vec![T::ZERO; count * n * n]));
    if count * n > 0 {
        let job = Backward {
            a,
            b,
            packed,
            first,
            grad,
            da: da.as_mut().map(|da| Room::new(da, n * n)),
            db: db.as_mut().map(|db| Room::new(db, n * n)),
            parallel: parallel_within(count, n),
        };
        for_each(count, 2 * operations(n, n / 2), &job);
    }
    [da, db]
}
