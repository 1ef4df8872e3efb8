//! The CPU kernels: matrix products by the crate faer, which packs blocks for the cache and chooses its
//! vector instructions at run time, on operands that lie anyhow; and sums over rows in `f64`.
//!
//! The threads are rayon's, each with bands of the products: faer's wait for each other in loops, which
//! takes several times as long where another program wants the cores too.

use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

use crate::support::Real;
use crate::support::cpu::{GRAIN, vectorized};
use crate::support::matrices::Matrix;
use crate::support::product::multiply;

/// A product a·b to compute; with an addend for every row, that is added.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product<'a, T> {
    pub(super) a: Matrix<'a, T>,
    pub(super) b: Matrix<'a, T>,
    pub(super) addend: Option<&'a [T]>,
}

/// Multiplications that are worth a thread: tens of microseconds of them.
const WORTH_A_THREAD: usize = 1 << 20;

/// Rows or columns of a band, at least. (The matrix product has another way for 64 and fewer, whose
/// sums are cut elsewhere: results would depend on the number of threads.)
const LEAST: usize = 96;

/// Some columns, or some rows, of a result.
struct Band<'a, T> {
    product: Product<'a, T>,
    output: *mut T,
    rows: Range<usize>,
    columns: Range<usize>,
}

// SAFETY: of the output it has its own elements alone.
unsafe impl<T: Send + Sync> Send for Band<'_, T> {}

impl<'a, T: Real> Product<'a, T> {
    /// The result cut along its longer side, so that little is packed twice; into this many bands, or
    /// as many as there is work for.
    fn bands(self, most: usize, output: *mut T) -> impl Iterator<Item = Band<'a, T>> {
        let ([rows, inner], [_, columns]) = (self.a.size(), self.b.size());
        let work = rows.saturating_mul(columns).saturating_mul(inner);
        let count = (work / WORTH_A_THREAD).min(rows.max(columns) / LEAST).min(most).max(1);
        let part = move |of: usize, band: usize| band * of / count..(band + 1) * of / count;
        (0..count).map(move |band| {
            let (rows, columns) = if rows > columns {
                (part(rows, band), 0..columns)
            } else {
                (0..rows, part(columns, band))
            };
            Band { product: self, output, rows, columns }
        })
    }
}

impl<T: Real> Band<'_, T> {
    /// Multiplications.
    fn work(&self) -> usize {
        self.rows.len().saturating_mul(self.columns.len()).saturating_mul(self.product.b.size()[0])
    }

    /// # Safety
    ///
    /// The output has room for the whole result, and nobody else uses these rows and columns of it.
    unsafe fn run(self) {
        let Self { product: Product { a, b, addend }, output, rows, columns } = self;
        let [inner, stride] = b.size();
        let sizes = [rows.len(), inner, columns.len()];
        let add = addend.is_some();
        // SAFETY: the operands lie within their buffers, which `strided` has seen, and the band is
        // within the result.
        unsafe {
            let output = output.add(rows.start * stride + columns.start);
            if let Some(addend) = addend {
                let addend = &addend[columns.clone()];
                for row in 0..rows.len() {
                    let to = output.add(row * stride);
                    to.copy_from_nonoverlapping(addend.as_ptr(), addend.len());
                }
            }
            let a = a.strided().from(rows.start, 0);
            let b = b.strided().from(0, columns.start);
            multiply(sizes, a, b, (output, stride), add);
        }
    }
}

/// Products in row-major order, at the same time.
pub(super) fn products<T: Real, const K: usize>(products: [Product<'_, T>; K]) -> [Vec<T>; K] {
    // Two for each thread: one that is late may leave its second one to another.
    let threads = rayon::current_num_threads();
    let most = if threads > 1 { (2 * threads).div_ceil(K) } else { 1 };
    let mut bands = Vec::with_capacity(K * most);
    let mut outputs = products.map(|product| {
        let Product { a, b, addend } = product;
        let ([rows, inner], [b_rows, columns]) = (a.size(), b.size());
        assert_eq!(inner, b_rows, "the matrices fit");
        assert!(
            addend.is_none_or(|addend| addend.len() == columns),
            "there is an addend for every column"
        );
        if inner == 0 {
            return match addend {
                Some(addend) => addend.repeat(rows),
                None => vec![T::ZERO; rows * columns],
            };
        }
        let mut output = Vec::with_capacity(rows * columns);
        if rows * columns > 0 {
            bands.extend(product.bands(most, output.as_mut_ptr()));
        }
        output
    });
    // SAFETY: every output has room for its result, and the bands of one do not overlap.
    let run = |band: Band<'_, T>| unsafe { band.run() };
    if bands.iter().map(Band::work).fold(0, usize::saturating_add) < 2 * WORTH_A_THREAD {
        bands.into_iter().for_each(run);
    } else {
        bands.into_par_iter().for_each(run);
    }
    for (output, Product { a, b, .. }) in outputs.iter_mut().zip(products) {
        // SAFETY: the bands are the whole result, and were written.
        unsafe { output.set_len(a.size()[0] * b.size()[1]) };
    }
    outputs
}

/// a·b, in row-major order; with an addend for every row, that is added.
pub(super) fn product<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>, addend: Option<&[T]>) -> Vec<T> {
    let [output] = products([Product { a, b, addend }]);
    output
}

/// The gradients of x, ȳ·w, and of w, ȳᵀ·x; of those whose other factor there is, at the same time.
pub(super) fn gradients<T: Real>(
    grad: Matrix<'_, T>,
    weight: Option<Matrix<'_, T>>,
    x: Option<Matrix<'_, T>>,
) -> [Option<Vec<T>>; 2] {
    let dx = weight.map(|weight| Product { a: grad, b: weight, addend: None });
    let dweight = x.map(|x| Product { a: grad.transpose(), b: x, addend: None });
    match (dx, dweight) {
        (Some(dx), Some(dweight)) => products([dx, dweight]).map(Some),
        (dx, dweight) => [dx, dweight].map(|one| {
            let [output] = products([one?]);
            Some(output)
        }),
    }
}

/// The sums over the rows of a matrix in row-major order, in `f64`.
pub(super) fn sum_rows<T: Real>(elements: &[T], columns: usize) -> Vec<T> {
    /// The most parts, each with sums of its own.
    const MOST: usize = 16;
    if columns == 0 {
        return Vec::new();
    }
    // How the rows are cut depends on their number alone, so that the sums are the same on every
    // number of threads.
    let rows = elements.len() / columns;
    let parts = (elements.len() / GRAIN).clamp(1, MOST).min(rows.div_ceil(8).max(1));
    let size = rows.div_ceil(parts).max(1) * columns;
    let sums = if parts == 1 {
        sum_part(elements, columns)
    } else {
        let parts: Vec<_> = elements.par_chunks(size).map(|part| sum_part(part, columns)).collect();
        parts
            .into_iter()
            .reduce(|mut total, part| {
                total.iter_mut().zip(part).for_each(|(total, sum)| *total += sum);
                total
            })
            .unwrap_or_else(|| vec![0.0; columns])
    };
    sums.into_iter().map(T::from_f64).collect()
}

fn sum_part<T: Real>(elements: &[T], columns: usize) -> Vec<f64> {
    // Several short rows at a time, so that there is something to vectorise.
    const WIDTH: usize = 64;
    let together = WIDTH.div_ceil(columns);
    let mut sums = vec![0.0; together * columns];
    vectorized(
        Arch::new(),
        #[inline(always)]
        || {
            for rows in elements.chunks(sums.len()) {
                for (sum, element) in sums.iter_mut().zip(rows) {
                    *sum += element.to_f64();
                }
            }
        },
    );
    let (total, rest) = sums.split_at_mut(columns);
    for row in rest.chunks(columns) {
        total.iter_mut().zip(row).for_each(|(total, sum)| *total += sum);
    }
    sums.truncate(columns);
    sums
}

#[cfg(test)]
mod tests {
    use super::{Matrix, Product, product, products, sum_rows};

    fn numbers(count: usize, seed: usize) -> Vec<f64> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 17) as f64 - 8.0).collect()
    }

    /// Small integers, so that every order of summation is exact.
    #[test]
    fn products_are_exact_in_every_layout_and_size() {
        let sizes = [
            [1, 1, 1],
            [3, 2, 5],
            [64, 3, 1],
            [1, 100, 7],
            [130, 129, 131],
            [0, 3, 2],
            [40, 90, 900],
            [900, 90, 40],
        ];
        for [rows, inner, columns] in sizes.into_iter().chain([[2, 0, 3], [2, 3, 0]]) {
            let (a, b, c) =
                (numbers(rows * inner, 1), numbers(inner * columns, 2), numbers(columns, 3));
            let mut expected = vec![0.0; rows * columns];
            for r in 0..rows {
                for k in 0..columns {
                    expected[r * columns + k] = c[k]
                        + (0..inner).map(|i| a[r * inner + i] * b[i * columns + k]).sum::<f64>();
                }
            }
            let transposed = |x: &[f64], rows: usize, columns: usize| -> Vec<f64> {
                (0..rows * columns).map(|p| x[p % rows * columns + p / rows]).collect()
            };
            let (at, bt) = (transposed(&a, rows, inner), transposed(&b, inner, columns));
            let left = [
                Matrix::row_major(&a, [rows, inner]),
                Matrix::row_major(&at, [inner, rows]).transpose(),
            ];
            let right = [
                Matrix::row_major(&b, [inner, columns]),
                Matrix::row_major(&bt, [columns, inner]).transpose(),
            ];
            for a in left {
                for b in right {
                    assert_eq!(product(a, b, Some(&c)), expected, "{rows} {inner} {columns}");
                    let plain = product(a, b, None);
                    for (p, (plain, expected)) in plain.iter().zip(&expected).enumerate() {
                        assert_eq!(plain + c[p % columns], *expected);
                    }
                }
            }
        }
    }

    /// Not small integers: the order of summation shows in the last bits.
    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        let wave = |count: usize| -> Vec<f32> { (0..count).map(|i| (i as f32).sin()).collect() };
        let tall = wave(40_000 * 7);
        // Some of them are cut into bands, along either side.
        for [rows, inner, columns] in [[130, 700, 150], [130, 700, 420], [600, 700, 90]] {
            let (a, b) = (wave(rows * inner), wave(inner * columns));
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.expect("threads can be made").install(|| {
                    let a = Matrix::row_major(&a, [rows, inner]);
                    let b = Matrix::row_major(&b, [inner, columns]);
                    let both = products([
                        Product { a, b, addend: None },
                        Product { a: b.transpose(), b: a.transpose(), addend: None },
                    ]);
                    (product(a, b, None), both, sum_rows(&tall, 7))
                })
            };
            let alone = run(1);
            for threads in [2, 3, 8] {
                assert!(run(threads) == alone, "{rows} {columns}, {threads} threads");
            }
        }
    }

    #[test]
    fn rows_are_summed_in_double_precision() {
        for (rows, columns) in [(0, 3), (1, 1), (5, 3), (100_003, 3), (70_001, 1), (300, 700)] {
            let x: Vec<f32> =
                (0..rows * columns).map(|i| ((i * 7919) % 1000) as f32 / 999.0).collect();
            let mut expected = vec![0.0f64; columns];
            for row in x.chunks(columns) {
                row.iter().zip(&mut expected).for_each(|(x, sum)| *sum += f64::from(*x));
            }
            // The sums in f64 are off by less than a unit of f32 in any order.
            for (found, expected) in sum_rows(&x, columns).into_iter().zip(expected) {
                let error = (f64::from(found) - expected).abs();
                assert!(error <= f64::from(f32::EPSILON) * expected, "{rows} {columns}");
            }
        }
        assert!(sum_rows::<f32>(&[], 0).is_empty());
    }
}
