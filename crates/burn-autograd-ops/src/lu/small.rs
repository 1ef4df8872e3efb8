//! Matrices of a few rows, in loops of constant bounds: element (i, j) is a vector.
//!
//! The elements of a vector are those of as many matrices, or, for the right-hand sides of one matrix,
//! of as many columns. What is done to each does not depend on which: its numbers are the same to the
//! last bit.
#![allow(
    clippy::needless_range_loop,
    reason = "the formulas of linear algebra have numbers of rows and columns"
)]

use std::mem::MaybeUninit;

use pulp::{Scalar, Simd};

use super::kernel::operations;
use crate::support::lanes::Lanes;
use crate::support::matrices::{Job, Matrices, Room, for_each};

/// The most elements that a vector has.
pub(crate) const MOST: usize = 16;

/// Matrices that are one job: a few vectors of them.
const GROUP: usize = 64;

/// The same elements of `MOST` matrices, of which as many count as a vector has elements.
pub(crate) type Elements<T, const N: usize> = [[[T; MOST]; N]; N];

/// The same elements of as many matrices as a vector has elements.
pub(crate) type Vectors<T, S, const N: usize> = [[<T as Lanes>::Vector<S>; N]; N];

/// Where results go.
pub(crate) type Places<'a, T> = Room<'a, MaybeUninit<T>>;

/// What is done with every matrix of a batch, some at a time.
pub(crate) trait Batch: Sync {
    type Element: Lanes;

    /// `count` matrices from `first` on: as many as a vector has elements, or fewer. Must be marked
    /// `#[inline(always)]`, or it gets no vector instructions.
    fn run<S: Simd>(&self, simd: S, first: usize, count: usize);
}

struct Groups<'a, B> {
    batch: &'a B,
    count: usize,
}

impl<B: Batch> Job for Groups<'_, B> {
    type Worker = ();

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, (): &mut (), group: usize) {
        let lanes = B::Element::lanes::<S>();
        let end = self.count.min((group + 1) * GROUP);
        for first in (group * GROUP..end).step_by(lanes) {
            self.batch.run(simd, first, lanes.min(end - first));
        }
    }
}

/// Runs it on `count` matrices, on several threads if it has enough operations.
pub(crate) fn for_all<B: Batch>(count: usize, operations_each: usize, batch: &B) {
    let groups = Groups { batch, count };
    for_each(count.div_ceil(GROUP), GROUP * operations_each, &groups);
}

/// Buffers of this many elements, filled by `run`.
pub(crate) fn filled<T, const K: usize>(
    lengths: [usize; K],
    run: impl FnOnce([&mut [MaybeUninit<T>]; K]),
) -> [Vec<T>; K] {
    let mut buffers = lengths.map(Vec::with_capacity);
    // The capacities are these or more.
    run(buffers.each_mut().map(Vec::spare_capacity_mut));
    for (buffer, len) in buffers.iter_mut().zip(lengths) {
        // SAFETY: `run` has filled it.
        unsafe { buffer.set_len(len) };
    }
    buffers
}

/// N×N matrices to read.
#[derive(Debug)]
pub(crate) struct Source<'a, T, const N: usize> {
    matrices: &'a Matrices<'a, T>,
    /// All of them, if they lie one after the other.
    dense: Option<&'a [T]>,
    /// Elements of each, of which the first N×N count.
    each: usize,
}

impl<'a, T: Lanes, const N: usize> Source<'a, T, N> {
    pub(crate) fn new(matrices: &'a Matrices<'a, T>) -> Self {
        assert!(matrices.rows >= N && matrices.columns == N, "matrices of {N} rows, or more");
        Self { matrices, dense: matrices.as_slice(), each: matrices.rows * N }
    }

    /// The matrices from `first` on.
    #[inline(always)]
    pub(crate) fn read(&self, first: usize, count: usize) -> Elements<T, N> {
        self.read_rows(0, first, count)
    }

    /// N rows of the matrices from `first` on.
    #[inline(always)]
    fn read_rows(&self, row: usize, first: usize, count: usize) -> Elements<T, N> {
        let mut elements = [[[T::ZERO; MOST]; N]; N];
        let count = count.min(MOST);
        if let Some(dense) = self.dense {
            let from = dense[first * self.each..][..count * self.each].chunks_exact(self.each);
            for (lane, from) in from.enumerate() {
                let from = &from[row * N..][..N * N];
                for i in 0..N {
                    for j in 0..N {
                        elements[i][j][lane] = from[i * N + j];
                    }
                }
            }
        } else {
            for lane in 0..count {
                let from = self.matrices.get(first + lane);
                for i in 0..N {
                    for j in 0..N {
                        elements[i][j][lane] = from.at(row + i, j);
                    }
                }
            }
        }
        elements
    }
}

/// Writes matrices, `places` one after the other.
#[inline(always)]
pub(crate) fn write<T: Copy, const N: usize, const M: usize>(
    elements: &[[[T; MOST]; N]; M],
    places: &mut [MaybeUninit<T>],
) {
    for (lane, place) in places.chunks_exact_mut(M * N).enumerate() {
        for i in 0..M {
            for j in 0..N {
                place[i * N + j].write(elements[i][j][lane]);
            }
        }
    }
}

/// A vector of the first elements.
#[inline(always)]
pub(crate) fn load<T: Lanes, S: Simd>(_: S, from: &[T]) -> T::Vector<S> {
    assert!(from.len() >= T::lanes::<S>(), "there are as many elements");
    // SAFETY: a vector is so many elements.
    unsafe { from.as_ptr().cast::<T::Vector<S>>().read_unaligned() }
}

#[inline(always)]
fn store<T: Lanes, S: Simd>(_: S, x: T::Vector<S>, to: &mut [T]) {
    assert!(to.len() >= T::lanes::<S>(), "there are as many elements");
    // SAFETY: as above.
    unsafe { to.as_mut_ptr().cast::<T::Vector<S>>().write_unaligned(x) }
}

#[inline(always)]
pub(crate) fn load_all<T: Lanes, S: Simd, const N: usize>(
    simd: S,
    from: &Elements<T, N>,
) -> Vectors<T, S, N> {
    let mut x = [[T::splat(simd, T::ZERO); N]; N];
    for i in 0..N {
        for j in 0..N {
            x[i][j] = load(simd, &from[i][j]);
        }
    }
    x
}

#[inline(always)]
pub(crate) fn store_all<T: Lanes, S: Simd, const N: usize>(
    simd: S,
    x: &Vectors<T, S, N>,
) -> Elements<T, N> {
    let mut to = [[[T::ZERO; MOST]; N]; N];
    for i in 0..N {
        for j in 0..N {
            store(simd, x[i][j], &mut to[i][j]);
        }
    }
    to
}

/// The factorisations of as many matrices as a vector has elements, or, as often, that of one.
pub(crate) struct Factors<T: Lanes, S: Simd, const N: usize> {
    simd: S,
    lu: Vectors<T, S, N>,
    permutation: [T::Vector<S>; N],
}

impl<T: Lanes, S: Simd, const N: usize> Factors<T, S, N> {
    #[inline(always)]
    pub(crate) fn new(simd: S, mut a: Vectors<T, S, N>) -> Self {
        let zero = T::splat(simd, T::ZERO);
        let index = |i: usize| T::splat(simd, T::from_f64(i as f64));
        let mut permutation = [zero; N];
        // x − x is 0 for a number, and NaN for anything else.
        let mut spoilt = zero;
        for i in 0..N {
            permutation[i] = index(i);
            for j in 0..N {
                spoilt = T::plus(simd, spoilt, T::minus(simd, a[i][j], a[i][j]));
            }
        }
        for k in 0..N {
            let mut chosen = index(k);
            let mut most = T::magnitudes(simd, a[k][k]);
            for i in k + 1..N {
                let size = T::magnitudes(simd, a[i][k]);
                let larger = T::greater(simd, size, most);
                most = T::select(simd, larger, size, most);
                chosen = T::select(simd, larger, index(i), chosen);
            }
            for i in k + 1..N {
                let exchanged = T::equal(simd, chosen, index(i));
                let exchange = |x: T::Vector<S>, y: T::Vector<S>| {
                    (T::select(simd, exchanged, y, x), T::select(simd, exchanged, x, y))
                };
                for j in 0..N {
                    (a[k][j], a[i][j]) = exchange(a[k][j], a[i][j]);
                }
                (permutation[k], permutation[i]) = exchange(permutation[k], permutation[i]);
            }
            // Below a pivot of 0 there are only zeros, which stay.
            let pivot = a[k][k];
            let none = T::equal(simd, pivot, zero);
            for i in k + 1..N {
                let multiplier = T::over(simd, a[i][k], pivot);
                a[i][k] = T::select(simd, none, a[i][k], multiplier);
                for j in k + 1..N {
                    let product = T::times(simd, multiplier, a[k][j]);
                    let less = T::minus(simd, a[i][j], product);
                    a[i][j] = T::select(simd, none, a[i][j], less);
                }
            }
        }
        let whole = T::equal(simd, spoilt, zero);
        let nan = T::splat(simd, T::NAN);
        for i in 0..N {
            permutation[i] = T::select(simd, whole, permutation[i], index(i));
            for j in 0..N {
                a[i][j] = T::select(simd, whole, a[i][j], nan);
            }
        }
        Self { simd, lu: a, permutation }
    }

    /// The factors of one matrix, and its permutation below them.
    #[inline(always)]
    fn of_one(simd: S, packed: &[T]) -> Self {
        let packed = &packed[..(N + 1) * N];
        let mut lu = [[T::splat(simd, T::ZERO); N]; N];
        let mut permutation = [T::splat(simd, T::ZERO); N];
        for i in 0..N {
            for j in 0..N {
                lu[i][j] = T::splat(simd, packed[i * N + j]);
            }
            permutation[i] = T::splat(simd, packed[N * N + i]);
        }
        Self { simd, lu, permutation }
    }

    /// The factors that were written by [`write`](Self::write).
    #[inline(always)]
    pub(crate) fn read(simd: S, packed: &Source<'_, T, N>, first: usize, count: usize) -> Self {
        let lu = load_all(simd, &packed.read(first, count));
        let mut permutation = [T::splat(simd, T::ZERO); N];
        // The N rows that end with the permutation.
        let last = packed.read_rows(1, first, count);
        for j in 0..N {
            permutation[j] = load(simd, &last[N - 1][j]);
        }
        Self { simd, lu, permutation }
    }

    /// Writes the factors and below them the permutation of each.
    #[inline(always)]
    pub(crate) fn write(&self, places: &mut [MaybeUninit<T>]) {
        let lu = store_all(self.simd, &self.lu);
        let mut permutation = [[T::ZERO; MOST]; N];
        for j in 0..N {
            store(self.simd, self.permutation[j], &mut permutation[j]);
        }
        for (lane, place) in places.chunks_exact_mut((N + 1) * N).enumerate() {
            for i in 0..N {
                for j in 0..N {
                    place[i * N + j].write(lu[i][j][lane]);
                }
                place[N * N + i].write(permutation[i][lane]);
            }
        }
    }

    /// x where one can divide by all pivots, NaN elsewhere.
    #[inline(always)]
    pub(crate) fn refuse_singular(&self, x: &mut Vectors<T, S, N>) {
        let simd = self.simd;
        let (zero, nan) = (T::splat(simd, T::ZERO), T::splat(simd, T::NAN));
        let mut doubt = zero;
        for i in 0..N {
            let pivot = self.lu[i][i];
            let none = T::equal(simd, pivot, zero);
            let finite = T::minus(simd, pivot, pivot);
            doubt = T::plus(simd, doubt, T::select(simd, none, nan, finite));
        }
        let sound = T::equal(simd, doubt, zero);
        for row in x {
            for x in row {
                *x = T::select(simd, sound, *x, nan);
            }
        }
    }

    /// X with L·U·X = X.
    #[inline(always)]
    pub(crate) fn solve<const C: usize>(&self, x: &mut [[T::Vector<S>; C]; N]) {
        let (simd, a) = (self.simd, &self.lu);
        for i in 0..N {
            for j in 0..i {
                self.subtract(x, i, a[i][j], j);
            }
        }
        for i in (0..N).rev() {
            for j in i + 1..N {
                self.subtract(x, i, a[i][j], j);
            }
            for x in &mut x[i] {
                *x = T::over(simd, *x, a[i][i]);
            }
        }
    }

    /// X with Uᵀ·Lᵀ·X = X.
    #[inline(always)]
    pub(crate) fn solve_transposed<const C: usize>(&self, x: &mut [[T::Vector<S>; C]; N]) {
        let (simd, a) = (self.simd, &self.lu);
        for i in 0..N {
            for j in 0..i {
                self.subtract(x, i, a[j][i], j);
            }
            for x in &mut x[i] {
                *x = T::over(simd, *x, a[i][i]);
            }
        }
        for i in (0..N).rev() {
            for j in i + 1..N {
                self.subtract(x, i, a[j][i], j);
            }
        }
    }

    /// Row i less a multiple of row j.
    #[inline(always)]
    fn subtract<const C: usize>(
        &self,
        x: &mut [[T::Vector<S>; C]; N],
        i: usize,
        multiple: T::Vector<S>,
        j: usize,
    ) {
        let simd = self.simd;
        for c in 0..C {
            x[i][c] = T::minus(simd, x[i][c], T::times(simd, multiple, x[j][c]));
        }
    }

    /// Row i is row p(i) of x.
    #[inline(always)]
    pub(crate) fn permuted(&self, x: &Vectors<T, S, N>) -> Vectors<T, S, N> {
        let mut y = *x;
        for i in 0..N {
            for from in 0..N {
                self.move_row(i, from, &x[from], &mut y[i]);
            }
        }
        y
    }

    /// Row p(i) is row i of x.
    #[inline(always)]
    pub(crate) fn permuted_back(&self, x: &Vectors<T, S, N>) -> Vectors<T, S, N> {
        let mut y = *x;
        for i in 0..N {
            for to in 0..N {
                self.move_row(i, to, &x[i], &mut y[to]);
            }
        }
        y
    }

    /// Copies a row where p(i) is `place`.
    #[inline(always)]
    fn move_row(
        &self,
        i: usize,
        place: usize,
        from: &[T::Vector<S>; N],
        to: &mut [T::Vector<S>; N],
    ) {
        let simd = self.simd;
        let index = T::splat(simd, T::from_f64(place as f64));
        let here = T::equal(simd, self.permutation[i], index);
        for c in 0..N {
            to[c] = T::select(simd, here, from[c], to[c]);
        }
    }
}

struct Factorisation<'a, T, const N: usize> {
    a: Source<'a, T, N>,
    packed: Places<'a, T>,
}

impl<T: Lanes, const N: usize> Batch for Factorisation<'_, T, N> {
    type Element = T;

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, first: usize, count: usize) {
        let factors = Factors::<T, S, N>::new(simd, load_all(simd, &self.a.read(first, count)));
        // SAFETY: each matrix is run once.
        factors.write(unsafe { self.packed.get_all(first, count) });
    }
}

/// As [`kernel::factor`](super::kernel::factor).
pub(crate) fn factor<T: Lanes, const N: usize>(a: &Matrices<'_, T>) -> Vec<T> {
    let each = (N + 1) * N;
    let [packed] = filled([a.count * each], |[packed]| {
        let batch = Factorisation { a: Source::<T, N>::new(a), packed: Room::new(packed, each) };
        for_all(a.count, operations(N, 0), &batch);
    });
    packed
}

/// L·U·X = X, in place, or Uᵀ·Lᵀ·X = X, for `columns` columns and one matrix: as many columns at a time
/// as a vector has elements, and the others one by one.
#[inline(always)]
pub(crate) fn solve<T: Lanes, S: Simd, const N: usize>(
    simd: S,
    packed: &[T],
    x: &mut [T],
    columns: usize,
    transposed: bool,
) {
    let left = solve_from::<T, S, N>(simd, packed, x, columns, transposed, 0);
    solve_from::<T, Scalar, N>(Scalar::new(), packed, x, columns, transposed, left);
}

/// The columns from `left` on, as many at a time as a vector has elements; gives the first that is left
/// over.
#[inline(always)]
fn solve_from<T: Lanes, S: Simd, const N: usize>(
    simd: S,
    packed: &[T],
    x: &mut [T],
    columns: usize,
    transposed: bool,
    mut left: usize,
) -> usize {
    let lanes = T::lanes::<S>();
    if left + lanes > columns {
        return left;
    }
    let factors = Factors::<T, S, N>::of_one(simd, packed);
    while left + lanes <= columns {
        let mut rows = [[T::splat(simd, T::ZERO)]; N];
        for i in 0..N {
            rows[i][0] = load(simd, &x[i * columns + left..]);
        }
        if transposed {
            factors.solve_transposed(&mut rows);
        } else {
            factors.solve(&mut rows);
        }
        for i in 0..N {
            store(simd, rows[i][0], &mut x[i * columns + left..]);
        }
        left += lanes;
    }
    left
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::lu::kernel::{factor, solve};
    use crate::support::lanes::Lanes;
    use crate::support::matrices::Matrices;

    /// In [-1.7, 1.7), and different from seed to seed.
    pub(crate) fn numbers<T: Lanes>(count: usize, seed: usize) -> Vec<T> {
        (0..count)
            .map(|i| T::from_f64(((i * 7919 + seed * 104_729) % 1009) as f64 / 300.0 - 1.7))
            .collect()
    }

    /// The factors of one matrix, element by element.
    fn eliminated<T: Lanes>(a: &[T], n: usize) -> Vec<T> {
        let mut w = a.to_vec();
        let mut order: Vec<usize> = (0..n).collect();
        if w.iter().all(|x| x.to_f64().is_finite()) {
            for k in 0..n {
                let mut chosen = k;
                for i in k + 1..n {
                    if w[i * n + k].magnitude() > w[chosen * n + k].magnitude() {
                        chosen = i;
                    }
                }
                order.swap(k, chosen);
                for j in 0..n {
                    w.swap(k * n + j, chosen * n + j);
                }
                let pivot = w[k * n + k];
                for i in k + 1..n {
                    if pivot != T::ZERO {
                        let multiplier = w[i * n + k].divide(pivot);
                        w[i * n + k] = multiplier;
                        for j in k + 1..n {
                            w[i * n + j] = w[i * n + j] - multiplier * w[k * n + j];
                        }
                    }
                }
            }
        } else {
            w.fill(T::NAN);
        }
        w.extend(order.into_iter().map(|row| T::from_f64(row as f64)));
        w
    }

    /// The solution with one matrix, element by element.
    fn substituted<T: Lanes>(packed: &[T], b: &[T], n: usize, transposed: bool) -> Vec<T> {
        let columns = b.len() / n;
        if (0..n).any(|i| !packed[i * n + i].divides()) {
            return vec![T::NAN; b.len()];
        }
        let row = |i: usize| packed[n * n + i].to_f64() as usize;
        let entry = |i: usize, j: usize| packed[if transposed { j * n + i } else { i * n + j }];
        let mut x = vec![T::ZERO; b.len()];
        for c in 0..columns {
            let from = |i: usize| if transposed { i } else { row(i) };
            let mut y: Vec<T> = (0..n).map(|i| b[from(i) * columns + c]).collect();
            for i in 0..n {
                for j in 0..i {
                    y[i] = y[i] - entry(i, j) * y[j];
                }
                if transposed {
                    y[i] = y[i].divide(entry(i, i));
                }
            }
            for i in (0..n).rev() {
                for j in i + 1..n {
                    y[i] = y[i] - entry(i, j) * y[j];
                }
                if !transposed {
                    y[i] = y[i].divide(entry(i, i));
                }
            }
            for i in 0..n {
                let to = if transposed { row(i) } else { i };
                x[to * columns + c] = y[i];
            }
        }
        x
    }

    #[track_caller]
    fn assert_equal<T: Lanes>(found: &[T], expected: &[T], what: &str) {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            let both_nan = found.to_f64().is_nan() && expected.to_f64().is_nan();
            let same = found.to_f64().to_bits() == expected.to_f64().to_bits();
            assert!(same || both_nan, "{what}, {place}: {found:?}, {expected:?}");
        }
    }

    fn compare<T: Lanes>(count: usize, n: usize) {
        let mut a = numbers::<T>(count * n * n, 2);
        // A singular matrix, ties, and a number that is not finite, among the others.
        if count > 3 {
            a[n * n..2 * n * n].fill(T::ZERO);
            a[2 * n * n..3 * n * n].fill(T::from_f64(-0.5));
            a[4 * n * n - 1] = T::NAN;
        }
        let what = format!("{count} of {n}×{n}");
        let packed = factor(&Matrices::contiguous(&a, &[count, n, n]));
        let expected: Vec<T> = a.chunks(n * n).flat_map(|a| eliminated(a, n)).collect();
        assert_equal(&packed, &expected, &what);
        for columns in [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 35] {
            let b = numbers::<T>(count * n * columns, columns);
            let packed_all = Matrices::contiguous(&packed, &[count, n + 1, n]);
            let b_all = Matrices::contiguous(&b, &[count, n, columns]);
            for transposed in [false, true] {
                let found = solve(&packed_all, &b_all, transposed);
                let each = packed.chunks((n + 1) * n).zip(b.chunks(n * columns));
                let expected: Vec<T> =
                    each.flat_map(|(packed, b)| substituted(packed, b, n, transposed)).collect();
                let what = format!("{what}, {columns} columns, transposed: {transposed}");
                assert_equal(&found, &expected, &what);
            }
        }
    }

    /// To the last bit: in vectors of any width, and with fewer than one has.
    #[test]
    fn factors_and_solutions_are_those_of_a_written_out_elimination() {
        for n in 1..=4 {
            for count in [0, 1, 2, 3, 4, 5, 8, 16, 17, 65] {
                compare::<f32>(count, n);
                compare::<f64>(count, n);
            }
        }
    }
}
