//! The kernel for matrices that fit into the shared memory of a workgroup, and its launch.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{offer, quotient, winner};
use crate::lu::cube::{cubes, is_finite, not_a_number, sizes, start_of};

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
            // False for NaN, which reaches the diagonal later: see `blocked::poison`.
            if value > magnitude {
                magnitude = value;
                row = i as u32;
            }
        }
        i += height;
    }
    if x == 0 {
        offer::<F>(&mut magnitudes, &mut rows, y, magnitude, row);
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
            offer::<F>(&mut magnitudes, &mut rows, y, magnitude, row);
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
    let start = start_of(matrix, n);
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

/// The side of the matrices that a workgroup has room for, among the sides that there are kernels
/// of.
pub(super) fn side(tensor: &CubeTensor, n: usize) -> Option<usize> {
    let properties = &tensor.client.properties().hardware;
    let scalar = tensor.dtype.size();
    let needed = |side: usize| side * (side | 1) * scalar + side * 4 + 16 * (scalar + 4);
    [4, 8, 16, 32, 48, 64, 80, 96]
        .into_iter()
        .find(|&side| n <= side && needed(side) <= properties.max_shared_memory_size)
}

/// Factors matrices whose side is at most `side`, for which a workgroup has room.
pub(super) fn factor(a: CubeTensor, packed: &CubeTensor, side: usize) {
    let (batch, n) = sizes(&a.shape());
    let client = a.client.clone();
    let (width, height) = match side {
        ..=4 => (4, 4),
        5..=8 => (8, 4),
        9..=16 => (16, 4),
        17..=32 => (16, 8),
        _ => (16, 16),
    };
    // SAFETY: the buffers are row-major, of `batch` matrices, and n ≤ side.
    unsafe {
        factor_shared::launch_unchecked(
            &client,
            cubes(&a, batch),
            CubeDim::new_2d(width as u32, height as u32),
            packed.required_address_type(),
            a.into_buffer_arg(),
            packed.clone().into_buffer_arg(),
            n as u32,
            batch as u32,
            not_a_number(packed.dtype),
            side,
            width,
            height,
            dtype_to_storage_type(packed.dtype),
        );
    }
}
