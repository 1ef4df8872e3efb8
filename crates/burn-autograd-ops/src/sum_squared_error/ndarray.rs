use burn::backend::tensor::FloatTensor;
use burn::backend::{NdArray, TensorMetadata};
use burn::tensor::DType;
use burn_ndarray::NdArrayTensor;

use super::kernel::{self, Backward};
use super::{SumSquaredErrorOps, spec};
use crate::support::Real;
use crate::support::ndarray::{self, Stored};

impl SumSquaredErrorOps for NdArray {
    fn sum_squared_error(
        prediction: FloatTensor<Self>,
        target: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        match prediction.dtype() {
            DType::F32 => forward::<f32>(prediction, target),
            DType::F64 => forward::<f64>(prediction, target),
            _ => spec::forward::<Self>(prediction, target),
        }
    }

    fn sum_squared_error_backward(
        prediction: FloatTensor<Self>,
        target: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let scale = match grad.dtype() {
            DType::F32 => ndarray::slice(&ndarray::contiguous::<f32>(grad.clone()))[0].to_f64(),
            DType::F64 => ndarray::slice(&ndarray::contiguous::<f64>(grad.clone()))[0],
            _ => return spec::backward::<Self>(prediction, target, grad),
        };
        ndarray::map(Backward(scale), [prediction, target])
            .unwrap_or_else(|[prediction, target]| spec::backward::<Self>(prediction, target, grad))
    }
}

fn forward<T: Stored>(p: NdArrayTensor, t: NdArrayTensor) -> NdArrayTensor {
    let (p, t) = (ndarray::contiguous::<T>(p), ndarray::contiguous::<T>(t));
    let sum = kernel::forward(ndarray::slice(&p), ndarray::slice(&t));
    T::wrap(ndarray::from_vec(vec![sum], &[1]))
}
