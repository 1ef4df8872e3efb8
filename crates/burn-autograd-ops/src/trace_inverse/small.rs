//! The CPU kernels for matrices of a few rows: as many of them at a time as a vector has elements.
#![allow(
    clippy::needless_range_loop,
    reason = "the formulas of linear algebra have numbers of rows and columns"
)]

use pulp::Simd;

use super::Needs;
use crate::lu::kernel::operations;
use crate::lu::small::{
    Batch, Elements, Factors, MOST, Places, Source, Vectors, filled, for_all, load, load_all,
    store_all, write,
};
use crate::support::lanes::Lanes;
use crate::support::matrices::{Matrices, Room};

struct Forward<'a, T, const N: usize> {
    a: Source<'a, T, N>,
    b: Source<'a, T, N>,
    y: Places<'a, T>,
    packed: Places<'a, T>,
    first: Places<'a, T>,
}

impl<T: Lanes, const N: usize> Batch for Forward<'_, T, N> {
    type Element = T;

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, start: usize, count: usize) {
        let (a, b) = (self.a.read(start, count), self.b.read(start, count));
        let trace = load(simd, &traces(&a));
        let mut x = transpose(load_all(simd, &a));
        let b = load_all(simd, &b);
        let factors = Factors::<T, S, N>::new(simd, b);
        factors.solve_transposed(&mut x);
        let mut first = factors.permuted_back(&x);
        factors.refuse_singular(&mut first);
        let mut y = first;
        for i in 0..N {
            for j in 0..N {
                y[i][j] = T::plus(simd, first[i][j], T::times(simd, trace, b[i][j]));
            }
        }
        // SAFETY: each matrix is run once.
        unsafe {
            factors.write(self.packed.get_all(start, count));
            write(&store_all(simd, &first), self.first.get_all(start, count));
            write(&store_all(simd, &y), self.y.get_all(start, count));
        }
    }
}

/// tr(A) of each matrix.
#[inline(always)]
fn traces<T: Lanes, const N: usize>(a: &Elements<T, N>) -> [T; MOST] {
    let mut sums = [0.0f64; MOST];
    for i in 0..N {
        for lane in 0..MOST {
            sums[lane] += a[i][i][lane].to_f64();
        }
    }
    sums.map(T::from_f64)
}

/// ⟨G, B⟩ of each two matrices.
#[inline(always)]
fn inner_products<T: Lanes, const N: usize>(
    grad: &Elements<T, N>,
    b: &Elements<T, N>,
) -> [T; MOST] {
    let mut sums = [0.0f64; MOST];
    for i in 0..N {
        for j in 0..N {
            for lane in 0..MOST {
                sums[lane] += grad[i][j][lane].to_f64() * b[i][j][lane].to_f64();
            }
        }
    }
    sums.map(T::from_f64)
}

#[inline(always)]
fn transpose<V: Copy, const N: usize>(x: [[V; N]; N]) -> [[V; N]; N] {
    let mut y = x;
    for i in 0..N {
        for j in 0..N {
            y[i][j] = x[j][i];
        }
    }
    y
}

/// As the kernel for any n.
pub(super) fn forward<T: Lanes, const N: usize>(
    a: &Matrices<'_, T>,
    b: &Matrices<'_, T>,
) -> [Vec<T>; 3] {
    let count = a.count;
    let len = count * N * N;
    filled([len, len + count * N, len], |[y, packed, first]| {
        let batch = Forward {
            a: Source::<T, N>::new(a),
            b: Source::new(b),
            y: Room::new(y, N * N),
            packed: Room::new(packed, (N + 1) * N),
            first: Room::new(first, N * N),
        };
        for_all(count, operations(N, N), &batch);
    })
}

struct Backward<'a, T, const N: usize> {
    a: Source<'a, T, N>,
    b: Source<'a, T, N>,
    packed: Source<'a, T, N>,
    first: Source<'a, T, N>,
    grad: Source<'a, T, N>,
    da: Option<Places<'a, T>>,
    db: Option<Places<'a, T>>,
}

impl<T: Lanes, const N: usize> Batch for Backward<'_, T, N> {
    type Element = T;

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, start: usize, count: usize) {
        let factors = Factors::read(simd, &self.packed, start, count);
        let grad = self.grad.read(start, count);
        let g: Vectors<T, S, N> = load_all(simd, &grad);
        let mut x = factors.permuted(&g);
        factors.solve(&mut x);
        let solution = transpose(x);
        if let Some(db) = &self.db {
            let trace = load(simd, &traces(&self.a.read(start, count)));
            let first: Vectors<T, S, N> = load_all(simd, &self.first.read(start, count));
            let mut gradient = g;
            for i in 0..N {
                for j in 0..N {
                    let mut sum = T::times(simd, trace, g[i][j]);
                    for k in 0..N {
                        sum = T::subtract_product(simd, first[i][k], solution[k][j], sum);
                    }
                    gradient[i][j] = sum;
                }
            }
            factors.refuse_singular(&mut gradient);
            // SAFETY: each matrix is run once.
            let places = unsafe { db.get_all(start, count) };
            write(&store_all(simd, &gradient), places);
        }
        if let Some(da) = &self.da {
            let inner = inner_products(&grad, &self.b.read(start, count));
            let inner = load(simd, &inner);
            let mut gradient = solution;
            for i in 0..N {
                gradient[i][i] = T::plus(simd, gradient[i][i], inner);
            }
            factors.refuse_singular(&mut gradient);
            // SAFETY: as above.
            let places = unsafe { da.get_all(start, count) };
            write(&store_all(simd, &gradient), places);
        }
    }
}

/// As the kernel for any n.
pub(super) fn backward<T: Lanes, const N: usize>(
    [a, b, packed, first, grad]: [&Matrices<'_, T>; 5],
    needs: Needs,
) -> [Option<Vec<T>>; 2] {
    let count = a.count;
    let len = |needed: bool| if needed { count * N * N } else { 0 };
    let [da, db] = filled([len(needs.a), len(needs.b)], |[da, db]| {
        let batch = Backward {
            a: Source::<T, N>::new(a),
            b: Source::new(b),
            packed: Source::new(packed),
            first: Source::new(first),
            grad: Source::new(grad),
            da: needs.a.then(|| Room::new(da, N * N)),
            db: needs.b.then(|| Room::new(db, N * N)),
        };
        for_all(count, operations(N, N), &batch);
    });
    [needs.a.then_some(da), needs.b.then_some(db)]
}

#[cfg(test)]
mod tests {
    use super::{Needs, backward, forward};
    use crate::lu::kernel::{factor, solve};
    use crate::lu::small::tests::numbers;
    use crate::support::lanes::Lanes;
    use crate::support::matrices::Matrices;

    fn assert_equal<T: Lanes>(found: &[T], expected: &[T], what: &str) {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            let both_nan = found.to_f64().is_nan() && expected.to_f64().is_nan();
            assert!(found == expected || both_nan, "{what}, {place}: {found:?}, {expected:?}");
        }
    }

    fn transposed<T: Copy>(x: &[T], n: usize) -> Vec<T> {
        (0..x.len()).map(|p| x[p / (n * n) * n * n + p % n * n + p / n % n]).collect()
    }

    /// Against the factors and solutions that stand alone, which must be the same to the last bit.
    fn compare<T: Lanes, const N: usize>(count: usize) {
        let shape = [count, N, N];
        let len = count * N * N;
        let (a, mut b, grad) = (numbers::<T>(len, 1), numbers::<T>(len, 2), numbers::<T>(len, 3));
        // A singular matrix, and one that is not finite, among the others.
        if count > 2 {
            b[N * N..2 * N * N].fill(T::ZERO);
            b[3 * N * N - 1] = T::NAN;
        }
        let [a_all, b_all, grad_all] =
            [&a, &b, &grad].map(|x| Matrices::contiguous(&x[..], &shape));
        let what = format!("{count} of {N}×{N}");

        let [y, packed, first] = forward::<T, N>(&a_all, &b_all);
        assert_equal(&packed, &factor(&b_all), &what);
        let packed_all = Matrices::contiguous(&packed, &[count, N + 1, N]);
        let at = transposed(&a, N);
        let expected = solve(&packed_all, &Matrices::contiguous(&at, &shape), true);
        assert_equal(&first, &expected, &what);
        let traces: Vec<T> = (a.chunks(N * N))
            .map(|a| T::from_f64((0..N).map(|i| a[i * (N + 1)].to_f64()).sum()))
            .collect();
        let expected: Vec<T> = (0..len).map(|p| first[p] + traces[p / (N * N)] * b[p]).collect();
        assert_equal(&y, &expected, &what);

        // The same operands, which lie in columns.
        let bt = transposed(&b, N);
        let strides = [N * N, 1, N];
        let [a_columns, b_columns] =
            [&at, &bt].map(|x| Matrices::new(&x[..], 0, &shape, |dim| strides[dim]));
        let columns = forward::<T, N>(&a_columns, &b_columns);
        for (found, expected) in columns.iter().zip([&y, &packed, &first]) {
            assert_equal(found, expected, &what);
        }

        let first_all = Matrices::contiguous(&first, &shape);
        let operands = [&a_all, &b_all, &packed_all, &first_all, &grad_all];
        let [da, db] = backward::<T, N>(operands, Needs { a: true, b: true });
        let solution = transposed(&solve(&packed_all, &grad_all, false), N);
        let (da, db) = (da.expect("it is needed"), db.expect("it is needed"));
        for p in 0..len {
            let (matrix, row, column) = (p / (N * N), p / N % N, p % N);
            let start = matrix * N * N;
            let inner: f64 = (start..start + N * N).map(|q| grad[q].to_f64() * b[q].to_f64()).sum();
            let inner = if row == column { inner } else { 0.0 };
            let expected = solution[p].to_f64() + inner;
            let product = (0..N).map(|k| {
                first[start + row * N + k].to_f64() * solution[start + k * N + column].to_f64()
            });
            let scale: f64 = product.clone().map(f64::abs).sum();
            let linear = traces[matrix].to_f64() * grad[p].to_f64();
            let expected_b = linear - product.sum::<f64>();
            let close = |found: T, expected: f64, scale: f64| {
                let found = found.to_f64();
                found.is_nan() && expected.is_nan() || (found - expected).abs() <= 1e-5 * scale
            };
            assert!(close(da[p], expected, solution[p].to_f64().abs() + inner.abs()), "{what}");
            assert!(close(db[p], expected_b, scale + linear.abs()), "{what}");
        }
        for (index, needs) in
            [Needs { a: true, b: false }, Needs { a: false, b: true }].into_iter().enumerate()
        {
            let mut alone = backward::<T, N>(operands, needs);
            assert!(alone[1 - index].is_none());
            let alone = alone[index].take().expect("it is needed");
            assert_equal(&alone, [&da, &db][index], &what);
        }
    }

    #[test]
    fn many_matrices_at_a_time_are_what_each_is_alone() {
        for count in [0, 1, 2, 3, 7, 8, 15, 16, 17, 63, 64, 65, 130, 5000] {
            compare::<f32, 1>(count);
            compare::<f32, 2>(count);
            compare::<f32, 3>(count);
            compare::<f32, 4>(count);
            compare::<f64, 1>(count);
            compare::<f64, 2>(count);
            compare::<f64, 3>(count);
            compare::<f64, 4>(count);
        }
    }
}
