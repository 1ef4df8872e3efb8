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
#![allow(
    clippy::collapsible_if,
    clippy::manual_swap,
    clippy::assign_op_pattern,
    reason = "in the language of the kernels conditions are not short-circuited, and there is no swap"
)]

mod factor;
mod solve;
#[cfg(all(test, feature = "wgpu"))]
mod tests;

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::cast;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use self::factor::factor;
use self::solve::solve_with;
use super::LuOps;

/// By the bits: an adapter's compiler may take a comparison to be free of NaN.
#[cube]
fn is_finite<F: Float>(value: F) -> bool {
    u32::cast_from(value.is_nan()) + u32::cast_from(value.is_inf()) == 0
}

/// Where a matrix begins in what is packed: its n rows and their order.
#[cube]
fn start_of(matrix: usize, n: usize) -> usize {
    matrix * (n + 1) * n
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
