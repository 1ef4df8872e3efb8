//! The CubeCL kernels.
//!
//! - A matrix that fits into shared memory is factored there by one workgroup, two barriers per
//!   column: the units that update the next column find its pivot while they do.
//! - A larger one is factored in blocks of columns, in place: a workgroup factors the panel, then
//!   others exchange rows and solve for the block row, a unit per column, and subtract the product
//!   in tiles.
//! - A solve has a workgroup for a matrix and some right-hand sides, and substitutes in blocks of
//!   rows: a unit per column inside a block, every unit below or above it.
//!
//! Half-precision matrices are factored and solved in `f32`, and rounded at the end.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::{cast, into_contiguous};
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::LuOps;

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
/// Rows of a block of a substitution.
const SOLVE_BLOCK: usize = 16;

/// c / pivot; c where the pivot is zero: then every candidate was zero, or NaN, which is kept.
#[cube]
fn quotient<F: Float>(c: F, pivot: F) -> F {
    let zero = F::new(0.0);
    select(pivot == zero, c, c / pivot)
}

/// By the bits: an adapter's compiler may take a comparison to be free of NaN.
#[cube]
fn is_finite<F: Float>(value: F) -> bool {
    u32::cast_from(value.is_nan()) + u32::cast_from(value.is_inf()) == 0
}

/// The row of the largest of the lanes' candidates, the first of equals.
#[cube]
fn winner<F: Float>(
    magnitudes: &Shared<[F]>,
    rows: &Shared<[u32]>,
    #[comptime] lanes: usize,
) -> usize {
    let mut magnitude = magnitudes[0];
    let mut row = rows[0];
    for lane in 1..lanes {
        let other = magnitudes[lane];
        let other_row = rows[lane];
        if other > magnitude {
            magnitude = other;
            row = other_row;
        } else if other == magnitude {
            row = select(other_row < row, other_row, row);
        }
    }
    row as usize
}

/// One workgroup per matrix of side `n` ≤ `side`, in shared memory.
#[cube(launch_unchecked, address_type = "dynamic")]
fn factor_shared<F: Float>(
    a: &[F],
    packed: &mut [F],
    n: u32,
    batch: u32,
    nan: InputScalar,
    #[comptime] side: usize,
    #[comptime] width: usize,
    #[comptime] height: usize,
    #[define(F)] _dtype: ElemType,
) {
    let matrix = CUBE_POS;
    if matrix >= batch as usize {
        terminate!();
    }
    let n = n as usize;
    let x = UNIT_POS_X as usize;
    let y = UNIT_POS_Y as usize;
    // Odd: a column's entries then are in different banks.
    let stride = comptime!(side | 1);
    let mut m = Shared::<[F]>::new_slice(comptime!(side * (side | 1)));
    let mut order = Shared::<[u32]>::new_slice(side);
    let mut magnitudes = Shared::<[F]>::new_slice(height);
    let mut rows = Shared::<[u32]>::new_slice(height);

    let mut magnitude = F::new(-1.0);
    let mut row = 0u32;
    let mut i = y;
    while i < n {
        let mut j = x;
        while j < n {
            m[i * stride + j] = a[(matrix * n + i) * n + j];
            j += width;
        }
        if x == 0 {
            order[i] = i as u32;
            let value = m[i * stride].abs();
            // False for NaN, which reaches the diagonal later: see `poison`.
            if value > magnitude {
                magnitude = value;
                row = i as u32;
            }
        }
        i += height;
    }
    if x == 0 {
        magnitudes[y] = magnitude;
        rows[y] = row;
    }
    sync_cube();

    for k in 0..n {
        let p = winner::<F>(&magnitudes, &rows, height);
        if p != k {
            let mut j = UNIT_POS as usize;
            while j < n {
                let value = m[k * stride + j];
                m[k * stride + j] = m[p * stride + j];
                m[p * stride + j] = value;
                j += comptime!(width * height);
            }
            if UNIT_POS == 0 {
                let value = order[k];
                order[k] = order[p];
                order[p] = value;
            }
        }
        sync_cube();
        // The column below the pivot is not divided until the end: others still read it.
        let pivot = m[k * stride + k];
        let mut magnitude = F::new(-1.0);
        let mut row = k as u32 + 1;
        let mut i = k + 1 + y;
        while i < n {
            let l = quotient::<F>(m[i * stride + k], pivot);
            let mut j = k + 1 + x;
            while j < n {
                m[i * stride + j] = m[i * stride + j] - l * m[k * stride + j];
                j += width;
            }
            if x == 0 {
                if k + 1 < n {
                    let value = m[i * stride + k + 1].abs();
                    if value > magnitude {
                        magnitude = value;
                        row = i as u32;
                    }
                }
            }
            i += height;
        }
        if x == 0 {
            magnitudes[y] = magnitude;
            rows[y] = row;
        }
        sync_cube();
    }

    let mut bad = false;
    for k in 0..n {
        if !is_finite::<F>(m[k * stride + k]) {
            bad = true;
        }
    }
    let nan = nan.get::<F>();
    let start = matrix * (n + 1) * n;
    let mut i = y;
    while i < n {
        let mut j = x;
        while j < n {
            let mut value = m[i * stride + j];
            if j < i {
                value = quotient::<F>(value, m[j * stride + j]);
            }
            packed[start + i * n + j] = select(bad, nan, value);
            j += width;
        }
        i += height;
    }
    let mut j = UNIT_POS as usize;
    while j < n {
        packed[start + n * n + j] = F::cast_from(order[j]);
        j += comptime!(width * height);
    }
}

/// The matrix and the rows' order: where the blocked factorization starts.
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
    let start = matrix * (n + 1) * n;
    let y = UNIT_POS_Y as usize;
    let column = first + UNIT_POS_X as usize;
    let end = select(first + PANEL < n, first + PANEL, n);
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
        magnitudes[y] = magnitude;
        rows[y] = row;
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
                    magnitudes[y] = magnitude;
                    rows[y] = row;
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
    let end = select(first + PANEL < n, first + PANEL, n);
    let outside = n - (end - first);
    let tiles = (outside + comptime!(ROW_UNITS - 1)) / ROW_UNITS;
    let matrix = CUBE_POS / tiles;
    if matrix >= batch as usize {
        terminate!();
    }
    let start = matrix * (n + 1) * n;
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
    let start = matrix * (n + 1) * n;
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
/// left of it makes its row NaN, and a NaN or an infinity above it makes the rest of its column NaN or
/// infinite. A workgroup per matrix.
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
    let start = matrix * (n + 1) * n;
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

/// Whether a unit's flag is set, the number of units a power of two.
#[cube]
fn any(flag: u32, flags: &mut Shared<[u32]>, #[comptime] units: usize) -> bool {
    let unit = UNIT_POS as usize;
    flags[unit] = flag;
    sync_cube();
    let mut half = comptime!(units / 2).runtime();
    while half > 0 {
        if unit < half {
            flags[unit] = flags[unit] | flags[unit + half];
        }
        sync_cube();
        half /= 2;
    }
    flags[0] != 0
}

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
    #[define(F)] _dtype: ElemType,
) {
    let n = n as usize;
    let columns = columns as usize;
    let tiles = (columns + comptime!(width - 1)) / width;
    let matrix = CUBE_POS / tiles;
    if matrix >= batch as usize {
        terminate!();
    }
    let start = matrix * (n + 1) * n;
    let offset = matrix * n * columns;
    let y = UNIT_POS_Y as usize;
    let column = CUBE_POS % tiles * width + UNIT_POS_X as usize;

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
                values[r * width + UNIT_POS_X as usize] = value;
                r += height;
            }
            sync_cube();

            if y == 0 {
                let lane = UNIT_POS_X as usize;
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
                let lane = UNIT_POS_X as usize;
                let mut r = y;
                while r < size {
                    let row = row_of::<F>(packed, start, n, first + r, transposed);
                    x[offset + row * columns + column] = values[r * width + lane];
                    r += height;
                }
                let mut i = select(downward, first + size + y, y);
                let end = select(downward, n, first);
                while i < end {
                    let row = row_of::<F>(packed, start, n, i, transposed);
                    let mut value = x[offset + row * columns + column];
                    for s in 0..size {
                        value -= entry::<F>(packed, start, n, i, first + s, transposed)
                            * values[s * width + lane];
                    }
                    x[offset + row * columns + column] = value;
                    i += height;
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

/// The sizes of [.., n, n]: batch and n.
fn sizes(shape: &Shape) -> (usize, usize) {
    let dims: &[usize] = &shape[..];
    let n = dims[dims.len() - 1];
    (dims[..dims.len() - 2].iter().product(), n)
}

fn not_a_number(dtype: DType) -> InputScalar {
    InputScalar::new(f64::NAN, dtype_to_storage_type(dtype))
}

fn cubes(tensor: &CubeTensor, count: usize) -> CubeCount {
    calculate_cube_count_elemwise(&tensor.client, count, CubeDim::new_single())
}

/// Runs in `f32` what half precision is too coarse for.
fn widened(dtype: DType) -> Option<DType> {
    matches!(dtype, DType::F16 | DType::BF16).then_some(DType::F32)
}

/// The side of the matrices that a workgroup has room for, among the sides that there are kernels of.
fn shared_side(tensor: &CubeTensor, n: usize) -> Option<usize> {
    let properties = &tensor.client.properties().hardware;
    let scalar = tensor.dtype.size();
    let needed = |side: usize| side * (side | 1) * scalar + side * 4 + 16 * (scalar + 4);
    [4, 8, 16, 32, 48, 64, 80, 96]
        .into_iter()
        .find(|&side| n <= side && needed(side) <= properties.max_shared_memory_size)
}

fn factor(a: CubeTensor) -> CubeTensor {
    let a = into_contiguous(a);
    let (batch, n) = sizes(&a.shape());
    let mut dims = a.shape().to_vec();
    let rank = dims.len();
    dims[rank - 2] = n + 1;
    let client = a.client.clone();
    let packed = empty_device_dtype(client.clone(), a.device.clone(), Shape::from(dims), a.dtype);
    if batch * n == 0 {
        return packed;
    }
    let dtype = dtype_to_storage_type(a.dtype);
    let nan = not_a_number(a.dtype);
    let address_type = packed.required_address_type();
    if let Some(side) = shared_side(&a, n) {
        let (width, height) =
            if side <= 8 { (8, side) } else { (16, if side <= 16 { 8 } else { 16 }) };
        // SAFETY: the buffers are row-major, of `batch` matrices, and n ≤ side.
        unsafe {
            factor_shared::launch_unchecked(
                &client,
                cubes(&a, batch),
                CubeDim::new_2d(width as u32, height as u32),
                address_type,
                a.into_buffer_arg(),
                packed.clone().into_buffer_arg(),
                n as u32,
                batch as u32,
                nan,
                side,
                width,
                height,
                dtype,
            );
        }
        return packed;
    }

    let total = batch * (n + 1) * n;
    let cube_dim = CubeDim::new(&client, total);
    let pivots =
        empty_device_dtype(client.clone(), a.device.clone(), Shape::new([batch * n]), DType::U32);
    // SAFETY: the buffers are row-major, of `batch` matrices; a position past the end is left alone.
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
                cubes(&packed, batch),
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
                    cubes(&packed, batch * outside.div_ceil(ROW_UNITS)),
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
                    cubes(&packed, batch * tiles * tiles),
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
            cubes(&packed, batch),
            CubeDim::new_1d(64),
            address_type,
            packed.clone().into_buffer_arg(),
            n as u32,
            batch as u32,
            nan,
            64,
            dtype,
        );
    }
    packed
}

fn solve_with(packed: CubeTensor, b: CubeTensor, transposed: bool) -> CubeTensor {
    let (packed, b) = (into_contiguous(packed), into_contiguous(b));
    let shape = b.shape();
    let columns = shape[shape.num_dims() - 1];
    let (batch, n) = sizes(&packed.shape());
    let client = b.client.clone();
    let x = empty_device_dtype(client.clone(), b.device.clone(), shape.clone(), b.dtype);
    if shape.num_elements() == 0 {
        return x;
    }
    let width = match columns {
        1 => 1,
        2..=4 => 4,
        5..=8 => 8,
        _ => 32,
    };
    let units = if n <= 32 { 64 } else { 256 };
    let height = units / width;
    let address_type = packed.required_address_type().max(x.required_address_type());
    let dtype = dtype_to_storage_type(x.dtype);
    // SAFETY: the buffers are row-major, of `batch` matrices; a column past the end is left alone.
    unsafe {
        solve::launch_unchecked(
            &client,
            cubes(&b, batch * columns.div_ceil(width)),
            CubeDim::new_2d(width as u32, height as u32),
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
            dtype,
        );
    }
    x
}

impl LuOps for CubeBackend {
    fn lu_factor(a: FloatTensor<Self>) -> FloatTensor<Self> {
        let dtype = a.dtype();
        match widened(dtype) {
            Some(wide) => cast(factor(cast(a, wide)), dtype),
            None => factor(a),
        }
    }

    fn lu_solve(
        packed: FloatTensor<Self>,
        b: FloatTensor<Self>,
        transposed: bool,
    ) -> FloatTensor<Self> {
        let dtype = b.dtype();
        match widened(dtype) {
            Some(wide) => cast(solve_with(cast(packed, wide), cast(b, wide), transposed), dtype),
            None => solve_with(packed, b, transposed),
        }
    }
}

#[cfg(all(test, feature = "wgpu"))]
mod tests {
    use burn::backend::Dispatch;
    use burn::tensor::{DType, Device, DeviceKind, DeviceType, Tensor, TensorData};

    use super::LuOps;

    /// The wgpu device, if there is an adapter.
    fn device() -> Option<Device> {
        std::panic::catch_unwind(|| {
            let found = !Device::enumerate(DeviceType::Wgpu).into_vec().is_empty();
            found.then(|| Device::wgpu(DeviceKind::default()))
        })
        .ok()
        .flatten()
    }

    fn tensor(data: &[f64], shape: [usize; 3], dtype: DType, device: &Device) -> Tensor<3> {
        let data = TensorData::new(data.to_vec(), shape).convert_dtype(dtype);
        Tensor::from_data(data, (device, dtype))
    }

    fn numbers(tensor: Tensor<3>) -> Vec<f64> {
        let data = tensor.into_data().convert_dtype(DType::F64);
        data.as_slice::<f64>().expect("it was converted").to_vec()
    }

    fn factor(a: Tensor<3>) -> Tensor<3> {
        Tensor::from_dispatch(<Dispatch as LuOps>::lu_factor(a.into_dispatch()))
    }

    fn solve(packed: Tensor<3>, b: Tensor<3>, transposed: bool) -> Tensor<3> {
        let (packed, b) = (packed.into_dispatch(), b.into_dispatch());
        Tensor::from_dispatch(<Dispatch as LuOps>::lu_solve(packed, b, transposed))
    }

    /// In [-1, 1), multiples of 2⁻¹⁰: exact in every data type.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((self.0 >> 53) as f64) / 1024.0 - 1.0
        }

        fn numbers(&mut self, count: usize) -> Vec<f64> {
            (0..count).map(|_| self.next()).collect()
        }
    }

    /// The unit round-off with which a device computes, and that of what it stores.
    fn rounding(dtype: DType) -> (f64, f64) {
        let single = f64::from(f32::EPSILON) / 2.0;
        match dtype {
            DType::F64 => (f64::EPSILON / 2.0, 0.0),
            DType::F16 => (single, 2f64.powi(-11)),
            _ => (single, 0.0),
        }
    }

    /// What Higham (2002), theorems 9.3 and 9.4, bounds the error of a factorization and of a solution
    /// by: γₙ|L||U| and γ₃ₙ|L||U||x|, entry by entry.
    struct Factors {
        n: usize,
        packed: Vec<f64>,
        order: Vec<usize>,
        /// |L||U|, in the order of A's rows.
        size: Vec<f64>,
        /// L·U, in the order of A's rows.
        product: Vec<f64>,
    }

    impl Factors {
        fn new(packed: &[f64], n: usize) -> Self {
            let order: Vec<usize> = packed[n * n..].iter().map(|&row| row as usize).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..n).collect::<Vec<_>>(), "a permutation");
            let (mut size, mut product) = (vec![0.0; n * n], vec![0.0; n * n]);
            for i in 0..n {
                for k in 0..=i {
                    let l = if k == i { 1.0 } else { packed[i * n + k] };
                    for j in k..n {
                        let term = l * packed[k * n + j];
                        size[order[i] * n + j] += term.abs();
                        product[order[i] * n + j] += term;
                    }
                }
            }
            Self { n, packed: packed.to_vec(), order, size, product }
        }

        /// A division may be 2.5 units in the last place off in WGSL, five round-offs and not one;
        /// what is stored is rounded once more, in both factors.
        fn check_factors(&self, a: &[f64], dtype: DType) {
            let (n, (unit, stored)) = (self.n, rounding(dtype));
            for i in 0..n {
                for j in 0..i {
                    let l = self.packed[i * n + j].abs();
                    assert!(l <= 1.0 + 5.0 * unit + stored, "{l} at {i}, {j} of {n}");
                }
            }
            let relative = 1.01 * ((n as f64 + 4.0) * unit + 2.0 * stored);
            for place in 0..n * n {
                let error = (a[place] - self.product[place]).abs();
                assert!(error <= relative * self.size[place], "{error} at {place} of {n}");
            }
        }

        fn check_solution(&self, a: &[f64], b: &[f64], x: &[f64], dtype: DType, transposed: bool) {
            let (n, k, (unit, stored)) = (self.n, b.len() / self.n, rounding(dtype));
            let relative = 1.01 * (3.0 * (n as f64 + 4.0) * unit + 3.0 * stored);
            for i in 0..n {
                for c in 0..k {
                    let (mut residual, mut size) = (b[i * k + c], 0.0);
                    for j in 0..n {
                        let place = if transposed { j * n + i } else { i * n + j };
                        residual -= a[place] * x[j * k + c];
                        size += self.size[place] * x[j * k + c].abs();
                    }
                    let bound = relative * size;
                    assert!(residual.abs() <= bound, "{residual} > {bound} at {i}, {c} of {n}");
                }
            }
        }
    }

    fn check(n: usize, batch: usize, columns: &[usize], dtype: DType, device: &Device) {
        let mut random = Random((n * 1000 + batch) as u64);
        let a = random.numbers(batch * n * n);
        let packed = factor(tensor(&a, [batch, n, n], dtype, device));
        assert_eq!(packed.dims(), [batch, n + 1, n]);
        let found = numbers(packed.clone());
        let factors: Vec<Factors> =
            found.chunks(n * (n + 1)).map(|packed| Factors::new(packed, n)).collect();
        for (a, factors) in a.chunks(n * n).zip(&factors) {
            factors.check_factors(a, dtype);
        }
        for &k in columns {
            let b = random.numbers(batch * n * k);
            for transposed in [false, true] {
                let right = tensor(&b, [batch, n, k], dtype, device);
                let x = numbers(solve(packed.clone(), right, transposed));
                for (index, factors) in factors.iter().enumerate() {
                    let part = |data: &[f64], size: usize| data[index * size..][..size].to_vec();
                    factors.check_solution(
                        &part(&a, n * n),
                        &part(&b, n * k),
                        &part(&x, n * k),
                        dtype,
                        transposed,
                    );
                }
            }
        }
    }

    /// On both sides of every size at which another kernel takes over.
    #[test]
    fn factors_and_solutions_are_within_the_bounds_of_the_theory() {
        let Some(device) = device() else { return };
        for n in [1, 2, 3, 4, 5, 8, 9, 16, 17, 31, 32, 33, 48, 64, 65, 96, 97, 100, 128, 130, 193] {
            let columns = [1, 2, 7, n];
            let batches: &[usize] = if n < 40 { &[1, 3, 7] } else { &[3] };
            for &batch in batches {
                check(
                    n,
                    batch,
                    if batch == 3 { &columns } else { &columns[..1] },
                    DType::F32,
                    &device,
                );
            }
        }
    }

    #[test]
    fn other_data_types_are_as_accurate_as_they_can_be() {
        let Some(device) = device() else { return };
        for dtype in [DType::F64, DType::F16] {
            if device.supports_dtype(dtype) {
                for n in [1, 5, 33, 100] {
                    check(n, 2, &[1, n], dtype, &device);
                }
            }
        }
    }

    #[test]
    fn many_matrices_and_many_columns() {
        let Some(device) = device() else { return };
        check(3, 70_000, &[1], DType::F32, &device);
        check(5, 2, &[1000], DType::F32, &device);
    }

    /// Exact: only rows are exchanged.
    #[test]
    fn permutations_are_their_own_factorization() {
        let Some(device) = device() else { return };
        for n in [2, 5, 33, 130] {
            // 7 and these n have no common factor.
            let order: Vec<usize> = (0..n).map(|i| (i * 7 + 1) % n).collect();
            let mut a = vec![0.0; n * n];
            for (i, &row) in order.iter().enumerate() {
                a[row * n + i] = 1.0;
            }
            let packed = factor(tensor(&a, [1, n, n], DType::F32, &device));
            let mut expected = vec![0.0; n * n];
            (0..n).for_each(|i| expected[i * n + i] = 1.0);
            expected.extend(order.iter().map(|&row| row as f64));
            assert_eq!(numbers(packed.clone()), expected);
            let b = Random(n as u64).numbers(n);
            let right = tensor(&b, [1, n, 1], DType::F32, &device);
            let x = numbers(solve(packed.clone(), right.clone(), false));
            assert_eq!(x, order.iter().map(|&row| b[row]).collect::<Vec<_>>());
            let x = numbers(solve(packed, right, true));
            assert_eq!(order.iter().map(|&row| x[row]).collect::<Vec<_>>(), b);
        }
    }

    /// As LAPACK: of equal magnitudes the first.
    #[test]
    fn the_first_of_equal_pivots_is_taken() {
        let Some(device) = device() else { return };
        for n in [3, 16, 40, 130] {
            // Lower triangular, ±1: every candidate of every column is as large as the diagonal.
            let mut a = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..=i {
                    a[i * n + j] = if (i + j) % 2 == 0 { 1.0 } else { -1.0 };
                }
            }
            let mut expected = a.clone();
            expected.extend((0..n).map(|row| row as f64));
            assert_eq!(numbers(factor(tensor(&a, [1, n, n], DType::F32, &device))), expected);
        }
    }

    #[test]
    fn a_singular_matrix_and_one_with_nan_leave_the_others_alone() {
        let Some(device) = device() else { return };
        for n in [2, 3, 16, 34, 130] {
            let mut random = Random(n as u64);
            let good = random.numbers(n * n);
            let zero = vec![0.0; n * n];
            // A column of zeros stays one.
            let mut singular = good.clone();
            (0..n).for_each(|i| singular[i * n + n / 2] = 0.0);
            let mut nan = good.clone();
            nan[n * n - 2] = f64::NAN;
            let mut first = good.clone();
            first[0] = f64::NAN;
            let mut infinite = good.clone();
            infinite[n - 1] = f64::INFINITY;
            let all = [&good, &zero, &nan, &good, &first, &singular, &infinite, &good];
            let a: Vec<f64> = all.into_iter().flatten().copied().collect();
            let packed = factor(tensor(&a, [8, n, n], DType::F32, &device));
            let found = numbers(packed.clone());
            let matrices: Vec<&[f64]> = found.chunks(n * (n + 1)).collect();
            assert_eq!(matrices[0], matrices[3]);
            assert_eq!(matrices[0], matrices[7]);
            assert!(matrices[0].iter().all(|value| value.is_finite()));
            assert!(matrices[1][..n * n].iter().all(|&value| value == 0.0));
            for index in [2, 4, 6] {
                assert!(matrices[index][..n * n].iter().all(|value| value.is_nan()), "{index}");
            }
            for transposed in [false, true] {
                let b = random.numbers(n * 3).repeat(8);
                let right = tensor(&b, [8, n, 3], DType::F32, &device);
                let x = numbers(solve(packed.clone(), right, transposed));
                let x: Vec<&[f64]> = x.chunks(n * 3).collect();
                assert_eq!(x[0], x[3]);
                assert_eq!(x[0], x[7]);
                assert!(x[0].iter().all(|value| value.is_finite()));
                for index in [1, 2, 4, 5, 6] {
                    assert!(x[index].iter().all(|value| value.is_nan()), "{index} of {n}");
                }
            }
        }
    }

    #[test]
    fn views_are_read_as_what_they_are() {
        let Some(device) = device() else { return };
        for n in [5, 100] {
            let mut random = Random(9);
            let a = random.numbers(3 * n * n);
            let plain = tensor(&a, [3, n, n], DType::F32, &device);
            let copy = |tensor: Tensor<3>| {
                let shape = tensor.dims();
                super::tests::tensor(&numbers(tensor), shape, DType::F32, &device)
            };
            let view = plain.clone().swap_dims(1, 2).slice([1..3, 0..n, 0..n]);
            let packed = factor(view.clone());
            assert_eq!(numbers(packed.clone()), numbers(factor(copy(view))));
            let b = tensor(&random.numbers(n * 2), [1, 2, n], DType::F32, &device);
            let b = b.swap_dims(1, 2).expand([2, n, 2]);
            let x = solve(packed.clone(), b.clone(), false);
            assert_eq!(numbers(x), numbers(solve(packed, copy(b), false)));
        }
    }

    #[test]
    #[ignore]
    fn timing() {
        let Some(device) = device() else { return };
        for (batch, n) in [(4096, 3), (256, 8), (256, 32), (64, 64), (16, 128), (4, 512)] {
            let a = tensor(&Random(1).numbers(batch * n * n), [batch, n, n], DType::F32, &device);
            let run = |name: &str, f: &dyn Fn() -> Tensor<3>| {
                let mut times = Vec::new();
                for _ in 0..6 {
                    device.sync().unwrap();
                    let started = std::time::Instant::now();
                    let y = f();
                    device.sync().unwrap();
                    times.push(started.elapsed().as_secs_f64() * 1e3);
                    drop(y);
                }
                let first = times[0];
                times.sort_by(f64::total_cmp);
                println!(
                    "{name} {batch}x{n}: {:.2} ms, first {first:.0} ms",
                    times[times.len() / 2]
                );
            };
            run("factor", &|| factor(a.clone()));
            let packed = factor(a.clone());
            for k in [1, n] {
                let b =
                    tensor(&Random(2).numbers(batch * n * k), [batch, n, k], DType::F32, &device);
                run(&format!("solve {k}"), &|| solve(packed.clone(), b.clone(), false));
                run(&format!("solve t {k}"), &|| solve(packed.clone(), b.clone(), true));
            }
        }
    }

    #[test]
    fn nothing_comes_of_nothing() {
        let Some(device) = device() else { return };
        let packed = factor(Tensor::<3>::zeros([2, 0, 0], &device));
        assert_eq!(packed.dims(), [2, 1, 0]);
        let packed = factor(Tensor::<3>::ones([1, 1, 1], &device));
        let x = solve(packed, Tensor::<3>::zeros([1, 1, 0], &device), true);
        assert_eq!(x.dims(), [1, 1, 0]);
    }
}
