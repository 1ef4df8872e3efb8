use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::DType;

use super::{DetOps, kernel, spec};
use crate::lu::number_shape;
use crate::support::Real;
use crate::support::flex::{forwards, from_vec, in_single, matrices, rounded, single};

impl DetOps for Flex {
    fn det(_: FloatTensor<Self>, packed: FloatTensor<Self>) -> FloatTensor<Self> {
        match packed.dtype() {
            DType::F32 => det::<f32>(packed),
            DType::F64 => det::<f64>(packed),
            DType::F16 | DType::BF16 => in_single([packed], |[packed]| det::<f32>(packed)),
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
            half @ (DType::F16 | DType::BF16) => {
                let (sign, log) = log_abs_det::<f32>(single(packed));
                (rounded(sign, half), rounded(log, half))
            }
            _ => spec::log_abs_det::<Self>(packed),
        }
    }
}

fn det<T: Real>(packed: FloatTensor<Flex>) -> FloatTensor<Flex> {
    let packed = forwards(packed);
    from_vec(kernel::det::<T>(&matrices(&packed)), number_shape(&packed.shape()))
}

fn log_abs_det<T: Real>(packed: FloatTensor<Flex>) -> (FloatTensor<Flex>, FloatTensor<Flex>) {
    let packed = forwards(packed);
    let shape = number_shape(&packed.shape());
    let (sign, log) = kernel::log_abs_det::<T>(&matrices(&packed));
    (from_vec(sign, shape.clone()), from_vec(log, shape))
}
