use burn::backend::NdArray;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use super::{LuOps, kernel, packed_shape, spec};
use crate::support::lanes::Lanes;
use crate::support::ndarray::{Stored, contiguous, from_vec, matrices};

impl LuOps for NdArray {
    fn lu_factor(a: FloatTensor<Self>) -> FloatTensor<Self> {
        match a.dtype() {
            DType::F32 => factor::<f32>(a),
            DType::F64 => factor::<f64>(a),
            _ => spec::factor::<Self>(a),
        }
    }

    fn lu_solve(
        packed: FloatTensor<Self>,
        b: FloatTensor<Self>,
        transposed: bool,
    ) -> FloatTensor<Self> {
        match b.dtype() {
            DType::F32 => solve::<f32>(packed, b, transposed),
            DType::F64 => solve::<f64>(packed, b, transposed),
            _ => spec::solve::<Self>(packed, b, transposed),
        }
    }
}

fn factor<T: Lanes + Stored>(a: FloatTensor<NdArray>) -> FloatTensor<NdArray> {
    let shape = packed_shape(&a.shape()).to_vec();
    T::wrap(from_vec(kernel::factor::<T>(&matrices(&contiguous(a))), &shape))
}

fn solve<T: Lanes + Stored>(
    packed: FloatTensor<NdArray>,
    b: FloatTensor<NdArray>,
    transposed: bool,
) -> FloatTensor<NdArray> {
    let shape = b.shape().to_vec();
    let (packed, b) = (contiguous(packed), contiguous(b));
    T::wrap(from_vec(kernel::solve::<T>(&matrices(&packed), &matrices(&b), transposed), &shape))
}
