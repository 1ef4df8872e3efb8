use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::DType;
use burn_autograd_core::Floats;
use burn_flex::FlexTensor;

use super::{Needs, PolynomialOps, kernel, spec};
use crate::support::{Real, flex};

impl PolynomialOps for Flex {
    fn polynomial(x: FloatTensor<Self>, coefficients: FloatTensor<Self>) -> FloatTensor<Self> {
        match x.dtype() {
            DType::F32 => forward::<f32>(x, coefficients),
            DType::F64 => forward::<f64>(x, coefficients),
            DType::F16 | DType::BF16 => {
                flex::in_single([x, coefficients], |[x, c]| forward::<f32>(x, c))
            }
            _ => spec::forward::<Self>(x, coefficients),
        }
    }

    fn polynomial_backward(
        x: FloatTensor<Self>,
        coefficients: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        needs: Needs,
    ) -> Floats<Self> {
        match x.dtype() {
            DType::F32 => backward::<f32>(x, coefficients, grad, needs),
            DType::F64 => backward::<f64>(x, coefficients, grad, needs),
            half @ (DType::F16 | DType::BF16) => {
                let [x, c, grad] = [x, coefficients, grad].map(flex::single);
                let Floats(gradients) = backward::<f32>(x, c, grad, needs);
                Floats(gradients.into_iter().map(|found| flex::rounded(found, half)).collect())
            }
            _ => spec::backward::<Self>(x, coefficients, grad, needs),
        }
    }
}

fn forward<T: Real>(x: FlexTensor, c: FlexTensor) -> FlexTensor {
    let shape = x.shape();
    let (x, c) = (flex::contiguous(x), flex::contiguous(c));
    flex::from_vec(kernel::forward(flex::slice::<T>(&x), flex::slice(&c)), shape)
}

fn backward<T: Real>(x: FlexTensor, c: FlexTensor, grad: FlexTensor, needs: Needs) -> Floats<Flex> {
    let shapes = [x.shape(), c.shape()];
    let (x, c, grad) = (flex::contiguous(x), flex::contiguous(c), flex::contiguous(grad));
    let [x, c, grad] = [&x, &c, &grad].map(flex::slice::<T>);
    let found = kernel::backward(x, c, grad, needs).into_iter().zip(shapes);
    Floats(found.filter_map(|(data, shape)| Some(flex::from_vec(data?, shape))).collect())
}
