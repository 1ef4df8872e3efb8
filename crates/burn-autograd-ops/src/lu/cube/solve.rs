//! The kernel of the substitutions, and its launch.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{any, cubes, is_finite, not_a_number, sizes, start_of};
use crate::support::cube::empty_like;

/// Rows of a block of a substitution.
const SOLVE_BLOCK: usize = 16;

/// Solves for `width` right-hand sides of a matrix.
#[cube(launch_unchecked, address_type = "dynamic")]
fn solve<F: Float>(
    packed: &[F],
    b: &[F],
    x: &mut [F],
    n: u32,
    columns: u32,
    batch: u32,
    nan: InputScalar,
    #[comptime] transposed: bool,
    #[comptime] width: usize,
    #[comptime] height: usize,
    #[comptime] micro: usize,
    #[define(F)] _dtype: ElemType,
) {
    let n = n as usize;
    let columns = columns as usize;
    let tiles = (columns + comptime!(width - 1)) / width;
    let matrix = CUBE_POS / tiles;
    if matrix >= batch as usize {
        terminate!();
    }
    let start = start_of(matrix, n);
    let offset = matrix * n * columns;
    let lane = UNIT_POS as usize % width;
    let y = UNIT_POS as usize / width;
    let column = CUBE_POS % tiles * width + lane;

    // A·X = B is L·U·X = P·B: the rows of B are reordered first. Aᵀ·X = B is Uᵀ·Lᵀ·(P·X) = B: row i of
    // what is computed is row order(i) of X, and is kept there.
    let mut i = y;
    while i < n {
        let row = row_of::<F>(packed, start, n, i, true);
        if column < columns {
            if comptime!(transposed) {
                x[offset + row * columns + column] = b[offset + i * columns + column];
            } else {
                x[offset + i * columns + column] = b[offset + row * columns + column];
            }
        }
        i += height;
    }
    let mut flags = Shared::<[u32]>::new_slice(comptime!(width * height));
    let mut flag = 0u32;
    let mut k = UNIT_POS as usize;
    while k < n {
        let pivot = packed[start + k * n + k];
        if !is_finite::<F>(pivot) {
            flag = 1u32;
        }
        if pivot == F::new(0.0) {
            flag = 1u32;
        }
        k += comptime!(width * height);
    }
    let bad = any(flag, &mut flags, comptime!(width * height));

    let mut triangle = Shared::<[F]>::new_slice(comptime!(SOLVE_BLOCK * SOLVE_BLOCK));
    let mut values = Shared::<[F]>::new_slice(comptime!(SOLVE_BLOCK * width));
    sync_storage();
    let blocks = (n + comptime!(SOLVE_BLOCK - 1)) / SOLVE_BLOCK;
    for sweep in 0..2 {
        for step in 0..blocks {
            let downward = sweep == 0;
            let block = select(downward, step, blocks - 1 - step);
            let first = block * SOLVE_BLOCK;
            let size = select(first + SOLVE_BLOCK < n, SOLVE_BLOCK.runtime(), n - first);

            let mut place = UNIT_POS as usize;
            while place < comptime!(SOLVE_BLOCK * SOLVE_BLOCK) {
                let row = place / SOLVE_BLOCK;
                let other = place % SOLVE_BLOCK;
                if row < size {
                    if other < size {
                        triangle[place] =
                            entry::<F>(packed, start, n, first + row, first + other, transposed);
                    }
                }
                place += comptime!(width * height);
            }
            let mut r = y;
            while r < size {
                let row = row_of::<F>(packed, start, n, first + r, transposed);
                let mut value = F::new(0.0);
                if column < columns {
                    value = x[offset + row * columns + column];
                }
                values[r * width + lane] = value;
                r += height;
            }
            sync_cube();

            if y == 0 {
                // L has a unit diagonal: it is met downward, or upward if transposed.
                let unit_diagonal = downward != transposed;
                for step in 0..size {
                    let r = select(downward, step, size - 1 - step);
                    let mut value = values[r * width + lane];
                    let from = select(downward, 0usize.runtime(), r + 1);
                    let to = select(downward, r, size);
                    for s in from..to {
                        value -= triangle[r * SOLVE_BLOCK + s] * values[s * width + lane];
                    }
                    if !unit_diagonal {
                        value /= triangle[r * SOLVE_BLOCK + r];
                    }
                    values[r * width + lane] = value;
                }
            }
            sync_cube();

            if column < columns {
                let mut r = y;
                while r < size {
                    let row = row_of::<F>(packed, start, n, first + r, transposed);
                    x[offset + row * columns + column] = values[r * width + lane];
                    r += height;
                }
                let mut i = select(downward, first + size + y, y);
                let end = select(downward, n, first);
                while i < end {
                    let mut sums = Array::<F>::new(micro);
                    #[unroll]
                    for m in 0..micro {
                        sums[m] = F::new(0.0);
                    }
                    for s in 0..size {
                        let value = values[s * width + lane];
                        #[unroll]
                        for m in 0..micro {
                            let row = i + m * height;
                            let row = select(row < end, row, end - 1);
                            sums[m] +=
                                value * entry::<F>(packed, start, n, row, first + s, transposed);
                        }
                    }
                    #[unroll]
                    for m in 0..micro {
                        if i + m * height < end {
                            let row = row_of::<F>(packed, start, n, i + m * height, transposed);
                            let place = offset + row * columns + column;
                            x[place] = x[place] - sums[m];
                        }
                    }
                    i += comptime!(height * micro);
                }
            }
            sync_storage();
        }
    }

    if bad {
        if column < columns {
            let mut i = y;
            while i < n {
                x[offset + i * columns + column] = nan.get::<F>();
                i += height;
            }
        }
    }
}

/// The entry of the factors, or of their transpose.
#[cube]
fn entry<F: Float>(
    packed: &[F],
    start: usize,
    n: usize,
    row: usize,
    column: usize,
    #[comptime] transposed: bool,
) -> F {
    if comptime!(transposed) {
        packed[start + column * n + row]
    } else {
        packed[start + row * n + column]
    }
}

/// The row that became row `i`; `i` itself if they are not reordered.
#[cube]
fn row_of<F: Float>(
    packed: &[F],
    start: usize,
    n: usize,
    i: usize,
    #[comptime] reordered: bool,
) -> usize {
    if comptime!(reordered) {
        let row = u32::cast_from(packed[start + n * n + i]) as usize;
        // Never outside, whatever is in the tensor.
        select(row < n, row, n - 1)
    } else {
        i
    }
}

/// See [`LuOps::lu_solve`](crate::lu::LuOps::lu_solve).
pub(super) fn solve_with(packed: CubeTensor, b: CubeTensor, transposed: bool) -> CubeTensor {
    let (packed, b) = (into_contiguous(packed), into_contiguous(b));
    let shape = b.shape();
    let columns = shape[shape.num_dims() - 1];
    let (batch, n) = sizes(&packed.shape());
    let client = b.client.clone();
    let x = empty_like(&b, shape.clone());
    if shape.num_elements() == 0 {
        return x;
    }
    let width = match columns {
        1 => 1,
        2..=4 => 4,
        5..=8 => 8,
        _ => 32,
    };
    let units = match n {
        ..=16 => 32,
        17..=32 => 64,
        _ => 256,
    };
    let height = units / width;
    // Rows of a unit at a time, which share what is read of the right-hand sides.
    let micro = if n >= 8 * height { 4 } else { 1 };
    let address_type = packed.required_address_type().max(x.required_address_type());
    let dtype = dtype_to_storage_type(x.dtype);
    // SAFETY: the buffers are row-major, of `batch` matrices; a column past the end is left alone.
    unsafe {
        solve::launch_unchecked(
            &client,
            cubes(&b, batch * columns.div_ceil(width)),
            CubeDim::new_1d(units as u32),
            address_type,
            packed.into_buffer_arg(),
            b.into_buffer_arg(),
            x.clone().into_buffer_arg(),
            n as u32,
            columns as u32,
            batch as u32,
            not_a_number(x.dtype),
            transposed,
            width,
            height,
            micro,
            dtype,
        );
    }
    x
}
