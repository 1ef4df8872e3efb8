use burn::backend::tensor::FloatTensor;
use burn::backend::{NdArray, TensorMetadata};
use burn::tensor::DType;

use super::{TraceOps, kernel, number_shape, spec};
use crate::support::ndarray::{Stored, contiguous, from_vec, matrices};

impl TraceOps for NdArray {
    fn trace(a: FloatTensor<Self>) -> FloatTensor<Self> {
        match a.dtype() {
            DType::F32 => forward::<f32>(a),
            DType::F64 => forward::<f64>(a),
            _ => spec::forward::<Self>(a),
        }
    }
}

fn forward<T: Stored>(a: FloatTensor<NdArray>) -> FloatTensor<NdArray> {
    let shape = number_shape(&a.shape()).to_vec();
    T::wrap(from_vec(kernel::forward::<T>(&matrices(&contiguous(a))), &shape))
}
