//! Matrices of a few rows, as many at a time as a vector has elements: element (i, j) of all of them
//! is one vector. What is done to each is what the kernels of single matrices do, operation by
//! operation, so that it has the same factors to the last bit.
#![allow(
    clippy::needless_range_loop,
    reason = "the formulas of linear algebra have numbers of rows and columns"
)]

use std::mem::MaybeUninit;

use pulp::Simd;

use crate::support::lanes::Lanes;
use crate::support::matrices::Matrices;

/// The most elements that a vector has.
pub(crate) const MOST: usize = 16;

/// Matrices that are one job: a few vectors of them.
pub(crate) const GROUP: usize = 64;

/// The same elements of `MOST` matrices, of which as many count as a vector has elements.
pub(crate) type Elements<T, const N: usize> = [[[T; MOST]; N]; N];

/// The same elements of as many matrices as a vector has elements.
pub(crate) type Vectors<T, S, const N: usize> = [[<T as Lanes>::Vector<S>; N]; N];

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

/// One vector of `MOST` elements or fewer.
#[inline(always)]
pub(crate) fn load<T: Lanes, S: Simd>(_: S, from: &[T; MOST]) -> T::Vector<S> {
    const { assert!(size_of::<T::Vector<S>>() <= size_of::<[T; MOST]>()) }
    // SAFETY: a vector is so many elements, which the array has.
    unsafe { from.as_ptr().cast::<T::Vector<S>>().read_unaligned() }
}

#[inline(always)]
pub(crate) fn store<T: Lanes, S: Simd>(_: S, x: T::Vector<S>, to: &mut [T; MOST]) {
    const { assert!(size_of::<T::Vector<S>>() <= size_of::<[T; MOST]>()) }
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

/// The factorisations of as many matrices as a vector has elements.
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
    pub(crate) fn solve(&self, x: &mut Vectors<T, S, N>) {
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
    pub(crate) fn solve_transposed(&self, x: &mut Vectors<T, S, N>) {
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
    fn subtract(&self, x: &mut Vectors<T, S, N>, i: usize, multiple: T::Vector<S>, j: usize) {
        let simd = self.simd;
        for c in 0..N {
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
