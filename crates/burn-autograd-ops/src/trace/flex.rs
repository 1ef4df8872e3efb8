use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::DType;

use super::{TraceOps, kernel, number_shape, spec};
use crate::support::Real;
use crate::support::flex::{forwards, from_vec, in_single, matrices};

impl TraceOps for Flex {
    fn trace(a: FloatTensor<Self>) -> FloatTensor<Self> {
        match a.dtype() {
            DType::F32 => forward::<f32>(a),
            DType::F64 => forward::<f64>(a),
            DType::F16 | DType::BF16 => in_single([a], |[a]| forward::<f32>(a)),
            _ => spec::forward::<Self>(a),
        }
    }
}

fn forward<T: Real>(a: FloatTensor<Flex>) -> FloatTensor<Flex> {
    let a = forwards(a);
    from_vec(kernel::forward::<T>(&matrices(&a)), number_shape(&a.shape()))
}
