//! The kernels for matrices of any size, and their launches.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::{DType, Shape};
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::{offer, quotient, winner};
use crate::lu::cube::{any, cubes, is_finite, not_a_number, sizes, start_of};

/// Columns of a panel, of which one row is one coalesced access of a warp.
const PANEL: usize = 32;
/// Rows that a workgroup updates at a time in a panel.
const PANEL_ROWS: usize = 8;
/// Side of the tiles of the trailing update, of which a unit has `MICRO`².
const TILE: usize = 32;
const MICRO: usize = 4;
/// Depth of a tile's product that is in shared memory at a time.
const DEPTH: usize = 16;
/// Units, and columns, of a workgroup that solves for the block row.
const ROW_UNITS: usize = 64;

/// Where a panel ends: the last one may have fewer columns.
#[cube]
fn panel_end(first: usize, n: usize) -> usize {
    select(first + PANEL < n, first + PANEL, n)
}

/// The matrix and the rows' order: where the blocked factorisation starts.
#[cube(launch_unchecked, address_type = "dynamic")]
fn start_blocked<F: Float>(
    a: &[F],
    packed: &mut [F],
    n: u32,
    total: usize,
    #[define(F)] _dtype: ElemType,
) {
    let place = ABSOLUTE_POS;
    if place >= total {
        terminate!();
    }
    let n = n as usize;
    let column = place % n;
    let matrix = place / n / (n + 1);
    let row = place / n - matrix * (n + 1);
    if row < n {
        packed[place] = a[(matrix * n + row) * n + column];
    } else {
        packed[place] = F::cast_from(column as u32);
    }
}

/// Factors columns `first..first + PANEL` of every matrix, in place, a workgroup per matrix and a
/// lane per column. Writes the row that each column's pivot came from.
#[cube(launch_unchecked, address_type = "dynamic")]
fn factor_panel<F: Float>(
    packed: &mut [F],
    pivots: &mut [u32],
    n: u32,
    batch: u32,
    first: u32,
    #[comptime] lanes: usize,
    #[define(F)] _dtype: ElemType,
) {
    let matrix = CUBE_POS;
    if matrix >= batch as usize {
        terminate!();
    }
    let n = n as usize;
    let first = first as usize;
    let start = start_of(matrix, n);
    let y = UNIT_POS_Y as usize;
    let column = first + UNIT_POS_X as usize;
    let end = panel_end(first, n);
    let mut magnitudes = Shared::<[F]>::new_slice(lanes);
    let mut rows = Shared::<[u32]>::new_slice(lanes);

    if column == first {
        let mut magnitude = F::new(-1.0);
        let mut row = first as u32;
        let mut i = first + y;
        while i < n {
            let value = packed[start + i * n + column].abs();
            if value > magnitude {
                magnitude = value;
                row = i as u32;
            }
            i += lanes;
        }
        offer::<F>(&mut magnitudes, &mut rows, y, magnitude, row);
    }
    sync_cube();

    for k in first..end {
        let p = winner::<F>(&magnitudes, &rows, lanes);
        if y == 0 {
            if p != k {
                if column < end {
                    let value = packed[start + k * n + column];
                    packed[start + k * n + column] = packed[start + p * n + column];
                    packed[start + p * n + column] = value;
                }
            }
            if column == first {
                pivots[matrix * n + k] = p as u32;
                let value = packed[start + n * n + k];
                packed[start + n * n + k] = packed[start + n * n + p];
                packed[start + n * n + p] = value;
            }
        }
        sync_storage();
        // Columns before `k` keep their numerators until the end: others still read them.
        if column > k {
            if column < end {
                let pivot = packed[start + k * n + k];
                let u = packed[start + k * n + column];
                let mut magnitude = F::new(-1.0);
                let mut row = k as u32 + 1;
                let mut i = k + 1 + y;
                while i < n {
                    let l = quotient::<F>(packed[start + i * n + k], pivot);
                    let value = packed[start + i * n + column] - l * u;
                    packed[start + i * n + column] = value;
                    let value = value.abs();
                    if value > magnitude {
                        magnitude = value;
                        row = i as u32;
                    }
                    i += lanes;
                }
                if column == k + 1 {
                    offer::<F>(&mut magnitudes, &mut rows, y, magnitude, row);
                }
            }
        }
        sync_storage();
    }

    if column < end {
        let pivot = packed[start + column * n + column];
        let mut i = column + 1 + y;
        while i < n {
            packed[start + i * n + column] = quotient::<F>(packed[start + i * n + column], pivot);
            i += lanes;
        }
    }
}

/// Exchanges rows outside the panel as inside, and solves for the block row right of it: a unit per
/// column.
#[cube(launch_unchecked, address_type = "dynamic")]
fn block_row<F: Float>(
    packed: &mut [F],
    pivots: &[u32],
    n: u32,
    batch: u32,
    first: u32,
    #[define(F)] _dtype: ElemType,
) {
    let n = n as usize;
    let first = first as usize;
    let end = panel_end(first, n);
    let outside = n - (end - first);
    let tiles = (outside + comptime!(ROW_UNITS - 1)) / ROW_UNITS;
    let matrix = CUBE_POS / tiles;
    if matrix >= batch as usize {
        terminate!();
    }
    let start = start_of(matrix, n);
    let index = CUBE_POS % tiles * ROW_UNITS + UNIT_POS as usize;
    let column = select(index < first, index, index + (end - first));

    let mut l = Shared::<[F]>::new_slice(comptime!(PANEL * PANEL));
    let mut place = UNIT_POS as usize;
    while place < comptime!(PANEL * PANEL) {
        let row = first + place / PANEL;
        let other = first + place % PANEL;
        if row < end {
            if other < end {
                l[place] = packed[start + row * n + other];
            }
        }
        place += ROW_UNITS;
    }
    sync_cube();

    if column < n {
        for k in first..end {
            let p = pivots[matrix * n + k] as usize;
            if p != k {
                let value = packed[start + k * n + column];
                packed[start + k * n + column] = packed[start + p * n + column];
                packed[start + p * n + column] = value;
            }
        }
        if column >= end {
            for k in first + 1..end {
                let mut value = packed[start + k * n + column];
                for other in first..k {
                    value -=
                        l[(k - first) * PANEL + other - first] * packed[start + other * n + column];
                }
                packed[start + k * n + column] = value;
            }
        }
    }
}

/// Subtracts from what is right of and below the panel the product of the block column and the
/// block row, a workgroup per tile.
#[cube(launch_unchecked, address_type = "dynamic")]
fn trailing<F: Float>(
    packed: &mut [F],
    n: u32,
    batch: u32,
    first: u32,
    #[define(F)] _dtype: ElemType,
) {
    let n = n as usize;
    let first = first as usize;
    let end = first + PANEL;
    let tiles = (n - end + comptime!(TILE - 1)) / TILE;
    let matrix = CUBE_POS / (tiles * tiles);
    if matrix >= batch as usize {
        terminate!();
    }
    let tile = CUBE_POS - matrix * tiles * tiles;
    let start = start_of(matrix, n);
    let top = end + tile / tiles * TILE;
    let left = end + tile % tiles * TILE;
    let across = comptime!(TILE / MICRO);
    let x = UNIT_POS_X as usize;
    let y = UNIT_POS_Y as usize;
    let zero = F::new(0.0);

    let mut l = Shared::<[F]>::new_slice(comptime!(TILE * (DEPTH + 1)));
    let mut u = Shared::<[F]>::new_slice(comptime!(DEPTH * TILE));
    let mut sums = Array::<F>::new(comptime!(MICRO * MICRO));
    let mut ls = Array::<F>::new(MICRO);
    #[unroll]
    for place in 0..comptime!(MICRO * MICRO) {
        sums[place] = zero;
    }

    for depth in 0..comptime!(PANEL / DEPTH) {
        let inner = first + depth * DEPTH;
        let mut place = UNIT_POS as usize;
        while place < comptime!(TILE * DEPTH) {
            let row = place / DEPTH;
            let column = place % DEPTH;
            let mut value = zero;
            if top + row < n {
                value = packed[start + (top + row) * n + inner + column];
            }
            l[row * comptime!(DEPTH + 1) + column] = value;
            let row = place / TILE;
            let column = place % TILE;
            let mut value = zero;
            if left + column < n {
                value = packed[start + (inner + row) * n + left + column];
            }
            u[place] = value;
            place += comptime!((TILE / MICRO) * (TILE / MICRO));
        }
        sync_cube();
        for t in 0..DEPTH {
            #[unroll]
            for r in 0..MICRO {
                ls[r] = l[(y + r * across) * comptime!(DEPTH + 1) + t];
            }
            #[unroll]
            for c in 0..MICRO {
                let right = u[t * TILE + x + c * across];
                #[unroll]
                for r in 0..MICRO {
                    sums[r * MICRO + c] += ls[r] * right;
                }
            }
        }
        sync_cube();
    }

    #[unroll]
    for r in 0..MICRO {
        let row = top + y + r * across;
        #[unroll]
        for c in 0..MICRO {
            let column = left + x + c * across;
            if row < n {
                if column < n {
                    let place = start + row * n + column;
                    packed[place] = packed[place] - sums[r * MICRO + c];
                }
            }
        }
    }
}

/// Fills the matrices that have an entry that is not finite: the diagonal has one then, for a NaN
/// left of it makes its row NaN, and a NaN or an infinity above it makes the rest of its column NaN
/// or infinite. A workgroup per matrix.
#[cube(launch_unchecked, address_type = "dynamic")]
fn poison<F: Float>(
    packed: &mut [F],
    n: u32,
    batch: u32,
    nan: InputScalar,
    #[comptime] units: usize,
    #[define(F)] _dtype: ElemType,
) {
    let matrix = CUBE_POS;
    if matrix >= batch as usize {
        terminate!();
    }
    let n = n as usize;
    let start = start_of(matrix, n);
    let mut flags = Shared::<[u32]>::new_slice(units);
    let mut flag = 0u32;
    let mut k = UNIT_POS as usize;
    while k < n {
        if !is_finite::<F>(packed[start + k * n + k]) {
            flag = 1u32;
        }
        k += units;
    }
    if any(flag, &mut flags, units) {
        let mut place = UNIT_POS as usize;
        while place < n * n {
            packed[start + place] = nan.get::<F>();
            place += units;
        }
    }
}

/// Factors matrices of any size.
pub(super) fn factor(a: CubeTensor, packed: &CubeTensor) {
    let (batch, n) = sizes(&a.shape());
    let client = a.client.clone();
    let dtype = dtype_to_storage_type(packed.dtype);
    let address_type = packed.required_address_type();
    let total = batch * (n + 1) * n;
    let cube_dim = CubeDim::new(&client, total);
    let pivots = empty_device_dtype(
        client.clone(),
        packed.device.clone(),
        Shape::new([batch * n]),
        DType::U32,
    );
    // SAFETY: the buffers are row-major, of `batch` matrices; what is past the end is left alone.
    unsafe {
        start_blocked::launch_unchecked(
            &client,
            calculate_cube_count_elemwise(&client, total, cube_dim),
            cube_dim,
            address_type,
            a.into_buffer_arg(),
            packed.clone().into_buffer_arg(),
            n as u32,
            total,
            dtype,
        );
    }
    for first in (0..n).step_by(PANEL) {
        let end = n.min(first + PANEL);
        // SAFETY: as above.
        unsafe {
            factor_panel::launch_unchecked(
                &client,
                cubes(packed, batch),
                CubeDim::new_2d(PANEL as u32, PANEL_ROWS as u32),
                address_type,
                packed.clone().into_buffer_arg(),
                pivots.clone().into_buffer_arg(),
                n as u32,
                batch as u32,
                first as u32,
                PANEL_ROWS,
                dtype,
            );
        }
        let outside = n - (end - first);
        if outside > 0 {
            // SAFETY: as above.
            unsafe {
                block_row::launch_unchecked(
                    &client,
                    cubes(packed, batch * outside.div_ceil(ROW_UNITS)),
                    CubeDim::new_1d(ROW_UNITS as u32),
                    address_type,
                    packed.clone().into_buffer_arg(),
                    pivots.clone().into_buffer_arg(),
                    n as u32,
                    batch as u32,
                    first as u32,
                    dtype,
                );
            }
        }
        if end < n {
            let tiles = (n - end).div_ceil(TILE);
            let across = (TILE / MICRO) as u32;
            // SAFETY: as above; the panel is not the last, and has all its columns.
            unsafe {
                trailing::launch_unchecked(
                    &client,
                    cubes(packed, batch * tiles * tiles),
                    CubeDim::new_2d(across, across),
                    address_type,
                    packed.clone().into_buffer_arg(),
                    n as u32,
                    batch as u32,
                    first as u32,
                    dtype,
                );
            }
        }
    }
    // SAFETY: as above.
    unsafe {
        poison::launch_unchecked(
            &client,
            cubes(packed, batch),
            CubeDim::new_1d(64),
            address_type,
            packed.clone().into_buffer_arg(),
            n as u32,
            batch as u32,
            not_a_number(packed.dtype),
            64,
            dtype,
        );
    }
}
