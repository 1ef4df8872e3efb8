//! The factorisation: what its kernels share, and which of them are launched.

mod blocked;
mod workgroup;

use burn::backend::TensorMetadata;
use burn::tensor::Shape;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::sizes;
use crate::support::cube::empty_like;

/// c / pivot; c where the pivot is zero: then every candidate was zero, or NaN, which is kept.
#[cube]
fn quotient<F: Float>(c: F, pivot: F) -> F {
    let zero = F::new(0.0);
    select(pivot == zero, c, c / pivot)
}

/// Writes down a lane's candidate for the pivot.
#[cube]
fn offer<F: Float>(
    magnitudes: &mut Shared<[F]>,
    rows: &mut Shared<[u32]>,
    lane: usize,
    magnitude: F,
    row: u32,
) {
    magnitudes[lane] = magnitude;
    rows[lane] = row;
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

/// See [`LuOps::lu_factor`](crate::lu::LuOps::lu_factor).
pub(super) fn factor(a: CubeTensor) -> CubeTensor {
    let a = into_contiguous(a);
    let (batch, n) = sizes(&a.shape());
    let mut dims = a.shape().to_vec();
    let rank = dims.len();
    dims[rank - 2] = n + 1;
    let packed = empty_like(&a, Shape::from(dims));
    if batch * n > 0 {
        match workgroup::side(&a, n) {
            Some(side) => workgroup::factor(a, &packed, side),
            None => blocked::factor(a, &packed),
        }
    }
    packed
}
