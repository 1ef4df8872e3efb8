use burn::backend::tensor::FloatTensor;
use burn::backend::{NdArray, TensorMetadata};
use burn::tensor::DType;

use super::{DetOps, kernel, spec};
use crate::lu::number_shape;
use crate::support::ndarray::{Stored, contiguous, from_vec, matrices};

impl DetOps for NdArray {
    fn det(_: FloatTensor<Self>, packed: FloatTensor<Self>) -> FloatTensor<Self> {
        match packed.dtype() {
            DType::F32 => det::<f32>(packed),
            DType::F64 => det::<f64>(packed),
            _ => spec::det::<Self>(packed),
        }
    }

    fn log_abs_det(
        _: FloatTensor<Self>,
        packed: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        match packed.dtype() {
            DType::F32 => log_abs_det::<f32>(packed),
            DType::F64 => log_abs_det::<f64>(packed),
            _ => spec::log_abs_det::<Self>(packed),
        }
    }
}

fn det<T: Stored>(packed: FloatTensor<NdArray>) -> FloatTensor<NdArray> {
    let shape = number_shape(&packed.shape()).to_vec();
    T::wrap(from_vec(kernel::det::<T>(&matrices(&contiguous(packed))), &shape))
}

fn log_abs_det<T: Stored>(
    packed: FloatTensor<NdArray>,
) -> (FloatTensor<NdArray>, FloatTensor<NdArray>) {
    let shape = number_shape(&packed.shape()).to_vec();
    let (sign, log) = kernel::log_abs_det::<T>(&matrices(&contiguous(packed)));
    (T::wrap(from_vec(sign, &shape)), T::wrap(from_vec(log, &shape)))
}
