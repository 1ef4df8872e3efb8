use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use burn_flex::FlexTensor;

use super::kernel::{self, Backward};
use super::{SumSquaredErrorOps, spec};
use crate::support::{Real, flex};

impl SumSquaredErrorOps for Flex {
    fn sum_squared_error(
        prediction: FloatTensor<Self>,
        target: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        match prediction.dtype() {
            DType::F32 => forward::<f32>(prediction, target),
            DType::F64 => forward::<f64>(prediction, target),
            DType::F16 | DType::BF16 => {
                flex::in_single([prediction, target], |[p, t]| forward::<f32>(p, t))
            }
            _ => spec::forward::<Self>(prediction, target),
        }
    }

    fn sum_squared_error_backward(
        prediction: FloatTensor<Self>,
        target: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let scale = match grad.dtype() {
            DType::F32 => flex::slice::<f32>(&grad.to_contiguous())[0].to_f64(),
            DType::F64 => flex::slice::<f64>(&grad.to_contiguous())[0],
            DType::F16 | DType::BF16 => flex::slice::<f32>(&flex::single(grad.clone()))[0].to_f64(),
            _ => return spec::backward::<Self>(prediction, target, grad),
        };
        flex::map(Backward(scale), [prediction, target])
            .unwrap_or_else(|[prediction, target]| spec::backward::<Self>(prediction, target, grad))
    }
}

fn forward<T: Real>(p: FlexTensor, t: FlexTensor) -> FlexTensor {
    let (p, t) = (flex::contiguous(p), flex::contiguous(t));
    flex::from_vec(vec![kernel::forward(flex::slice::<T>(&p), flex::slice(&t))], [1].into())
}
