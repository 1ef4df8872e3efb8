//! The kernels against the specification, which computes in another order.

use approx::abs_diff_eq;
use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn_autograd_core::Var;

use super::{LuOps, spec};
use crate::support::flex::from_vec;

/// Numbers in [−1, 1) from a linear congruential generator.
fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(2) | 1;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

fn values(tensor: FloatTensor<Flex>) -> Vec<f64> {
    Var::<Flex>::new(tensor).to_data().as_slice::<f64>().expect("f64").to_vec()
}

/// Sizes around every border: constant bounds up to 4; from there on the powers of two at which a library
/// may change its blocks, and their neighbours.
const SIZES: [usize; 22] =
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 130, 200];

/// Both are backward stable, so that they differ by at most the sum of two bounds, n²·ε·‖A‖·κ times a
/// constant; random matrices have κ ≤ 100·n² or so here: 1e-9 leaves two digits.
const CLOSE: f64 = 1e-9;

#[track_caller]
fn close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let size = expected.iter().fold(1.0f64, |most, x| most.max(x.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let same = abs_diff_eq!(*found, *expected, epsilon = CLOSE * size)
            || (found.is_nan() && expected.is_nan());
        assert!(same, "{what} at {index}: {found:e}, expected {expected:e}");
    }
}

#[test]
fn the_kernels_agree_with_the_specification() {
    for n in SIZES {
        let batch = if n > 64 { 1 } else { 3 };
        let a = from_vec(numbers(n as u64 + 7, batch * n * n), [batch, n, n].into());
        let expected = spec::factor::<Flex>(a.clone());
        let found = Flex::lu_factor(a);
        close(&format!("factors, n = {n}"), &values(found), &values(expected.clone()));
        for columns in [0, 1, 3, 8, 17, 40] {
            let b =
                from_vec(numbers(columns as u64, batch * n * columns), [batch, n, columns].into());
            for transposed in [false, true] {
                let what =
                    format!("solution, n = {n}, {columns} columns, transposed: {transposed}");
                let slow = spec::solve::<Flex>(expected.clone(), b.clone(), transposed);
                let fast = Flex::lu_solve(expected.clone(), b.clone(), transposed);
                close(&what, &values(fast), &values(slow));
            }
        }
    }
}

#[test]
fn views_are_read_where_they_are() {
    for n in [1, 3, 20] {
        let a = from_vec(numbers(3, 2 * n * n), [2, n, n].into());
        let b = from_vec(numbers(4, 2 * n * 5), [2, 5, n].into());
        let view = (a.transpose(1, 2), b.transpose(1, 2));
        let copy = (view.0.to_contiguous(), view.1.to_contiguous());
        let packed = Flex::lu_factor(view.0);
        assert_eq!(values(packed.clone()), values(Flex::lu_factor(copy.0)));
        for transposed in [false, true] {
            let x = Flex::lu_solve(packed.clone(), view.1.clone(), transposed);
            assert_eq!(
                values(x),
                values(Flex::lu_solve(packed.clone(), copy.1.clone(), transposed))
            );
        }
    }
}

/// The largest pivot, the first one on ties; below a pivot of 0 nothing changes; an entry that is not
/// a number spoils its matrix and no other.
#[test]
fn pivots_are_chosen_as_documented() {
    for n in [3usize, 6, 20] {
        let mut a = vec![0.0; 3 * n * n];
        // Ties of ±1 in the first column; the identity elsewhere.
        for i in 0..n {
            a[i * n] = if i % 2 == 0 { 0.5 } else { -1.0 };
            a[i * n + i] += 2.0 * f64::from(i > 0);
        }
        // A column of zeros.
        let filling = numbers(5, n * n);
        for i in 0..n {
            for j in 0..n {
                a[n * n + i * n + j] = if j == 1 { 0.0 } else { filling[i * n + j] };
            }
        }
        a[2 * n * n + 1] = f64::INFINITY;
        a[1] = 0.0;
        let a = from_vec(a, [3, n, n].into());
        let (fast, slow) = (values(Flex::lu_factor(a.clone())), values(spec::factor::<Flex>(a)));
        close(&format!("n = {n}"), &fast, &slow);
        let each = n * (n + 1);
        assert_eq!(fast[n * n] as usize, if n > 1 { 1 } else { 0 }, "the first of the largest");
        assert_eq!(fast[each + n + 1], 0.0, "the pivot of the column of zeros");
        assert!(fast[each..2 * each].iter().all(|x| x.is_finite()));
        assert!(fast[2 * each..2 * each + n * n].iter().all(|x| x.is_nan()));
        assert_eq!(fast[2 * each + n * n..], (0..n).map(|i| i as f64).collect::<Vec<_>>());
    }
}

/// Pivots that have no reciprocal, because it is too large or loses digits: a column of that size, which
/// makes the first pivot so, or the last one.
#[test]
fn pivots_need_no_reciprocal() {
    for n in [3usize, 6, 20] {
        for (exponent, column) in [(-1030, 0), (-1030, n - 1), (1022, 0), (1022, n - 1)] {
            // In two factors, for one of them is not a number.
            let scaled = |x: f64, exponent: i32| {
                let half = exponent / 2;
                x * 2f64.powi(half) * 2f64.powi(exponent - half)
            };
            // Diagonally dominant: every pivot is between 1 and 3.
            let mut a: Vec<f64> =
                numbers(n as u64 + 1, n * n).into_iter().map(|x| x / (2 * n) as f64).collect();
            for i in 0..n {
                a[i * n + i] += 2.0;
            }
            for i in 0..n {
                a[i * n + column] = scaled(a[i * n + column], exponent);
            }
            let a = from_vec(a, [n, n].into());
            // Of the same size again: U has that of A's columns, and L has none.
            let factors = |packed: FloatTensor<Flex>| {
                let mut factors = values(packed);
                for i in 0..=column {
                    factors[i * n + column] = scaled(factors[i * n + column], -exponent);
                }
                factors
            };
            let expected = spec::factor::<Flex>(a.clone());
            let what = format!("n = {n}, column {column} times 2^{exponent}");
            let pivot = values(expected.clone())[column * n + column];
            assert!(!pivot.is_normal() || !pivot.recip().is_normal(), "{what}: {pivot:e}");
            close(&what, &factors(Flex::lu_factor(a)), &factors(expected.clone()));
            // Solutions are as large as the column is small.
            let b = numbers(2, n * 5).into_iter().map(|x| if exponent < 0 { x * 1e-9 } else { x });
            let b = from_vec(b.collect(), [n, 5].into());
            for transposed in [false, true] {
                let slow = values(spec::solve::<Flex>(expected.clone(), b.clone(), transposed));
                let fast = values(Flex::lu_solve(expected.clone(), b.clone(), transposed));
                assert!(slow.iter().all(|x| x.is_finite()), "{what}");
                close(&format!("{what}, transposed: {transposed}"), &fast, &slow);
            }
        }
    }
}

/// One matrix large enough to be spread over threads, and many small ones: the same numbers on any
/// number of threads.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for (batch, n) in [(1, 300), (5, 70), (3000, 3)] {
        let a = from_vec(numbers(11, batch * n * n), [batch, n, n].into());
        let b = from_vec(numbers(12, batch * n * n), [batch, n, n].into());
        let run = |threads: usize| {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| {
                let packed = Flex::lu_factor(a.clone());
                let x = Flex::lu_solve(packed.clone(), b.clone(), true);
                [values(packed), values(x)]
                    .concat()
                    .into_iter()
                    .map(f64::to_bits)
                    .collect::<Vec<_>>()
            })
        };
        let alone = run(1);
        assert!(alone == run(2) && alone == run(5), "{batch} of {n}×{n}");
    }
}
