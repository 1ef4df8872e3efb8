//! The CPU kernels: matrix products by the crate gemm, which packs blocks for the cache and chooses its
//! vector instructions and threads at run time, on operands that lie anyhow; and sums over rows in `f64`.

use gemm::Parallelism;
use pulp::Arch;
use rayon::prelude::*;

use crate::support::Real;
use crate::support::cpu::GRAIN;

/// A matrix in a buffer, by strides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    elements: &'a [T],
    size: [usize; 2],
    strides: [usize; 2],
}

impl<'a, T> Matrix<'a, T> {
    /// Element `(r, c)` is `elements[r·strides[0] + c·strides[1]]`.
    pub(super) fn new(elements: &'a [T], size: [usize; 2], strides: [usize; 2]) -> Self {
        let [rows, columns] = size;
        if rows > 0 && columns > 0 {
            let last = (rows - 1) * strides[0] + (columns - 1) * strides[1];
            assert!(last < elements.len(), "the matrix lies within its buffer");
        }
        Self { elements, size, strides }
    }

    /// A matrix in row-major order.
    pub(super) fn row_major(elements: &'a [T], size: [usize; 2]) -> Self {
        Self::new(elements, size, [size[1], 1])
    }

    pub(super) fn size(&self) -> [usize; 2] {
        self.size
    }

    pub(super) fn transpose(self) -> Self {
        let Self { elements, size: [rows, columns], strides: [down, right] } = self;
        Self { elements, size: [columns, rows], strides: [right, down] }
    }
}

/// a·b, in row-major order; with an addend for every row, that is added.
pub(super) fn product<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>, addend: Option<&[T]>) -> Vec<T> {
    let ([rows, inner], [_, columns]) = (a.size, b.size);
    assert_eq!(inner, b.size[0], "the matrices fit");
    let mut output = match addend {
        Some(addend) => addend.repeat(rows),
        None => vec![T::ZERO; rows * columns],
    };
    assert_eq!(output.len(), rows * columns, "there is an addend for every column");
    if output.is_empty() || inner == 0 {
        return output;
    }
    let [a_strides, b_strides] =
        [a.strides, b.strides].map(|strides| strides.map(usize::cast_signed));
    let one = T::from_f64(1.0);
    // SAFETY: `Matrix::new` has checked that the operands lie within their buffers; the output is a
    // buffer of its own, of this size, in row-major order.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            output.as_mut_ptr(),
            1,
            columns.cast_signed(),
            addend.is_some(),
            a.elements.as_ptr(),
            a_strides[1],
            a_strides[0],
            b.elements.as_ptr(),
            b_strides[1],
            b_strides[0],
            one,
            one,
            false,
            false,
            false,
            Parallelism::Rayon(0),
        );
    }
    output
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
    Arch::new().dispatch(
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
    use super::{Matrix, product, sum_rows};

    fn numbers(count: usize, seed: usize) -> Vec<f64> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 17) as f64 - 8.0).collect()
    }

    /// Small integers, so that every order of summation is exact.
    #[test]
    fn products_are_exact_in_every_layout_and_size() {
        let sizes = [[1, 1, 1], [3, 2, 5], [64, 3, 1], [1, 100, 7], [130, 129, 131], [0, 3, 2]];
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
        let (rows, inner, columns) = (130, 700, 150);
        let (a, b) = (wave(rows * inner), wave(inner * columns));
        let tall = wave(40_000 * 7);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads can be made").install(|| {
                let a = Matrix::row_major(&a, [rows, inner]);
                let b = Matrix::row_major(&b, [inner, columns]);
                (product(a, b, None), sum_rows(&tall, 7))
            })
        };
        let alone = run(1);
        for threads in [2, 3, 8] {
            assert!(run(threads) == alone, "{threads} threads");
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
