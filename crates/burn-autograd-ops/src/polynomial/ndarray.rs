use burn::backend::tensor::FloatTensor;
use burn::backend::{NdArray, TensorMetadata};
use burn::tensor::DType;
use burn_autograd_core::Floats;
use burn_ndarray::NdArrayTensor;

use super::{Needs, PolynomialOps, kernel, spec};
use crate::support::ndarray::{self, Stored};

impl PolynomialOps for NdArray {
    fn polynomial(x: FloatTensor<Self>, coefficients: FloatTensor<Self>) -> FloatTensor<Self> {
        match x.dtype() {
            DType::F32 => forward::<f32>(x, coefficients),
            DType::F64 => forward::<f64>(x, coefficients),
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
            _ => spec::backward::<Self>(x, coefficients, grad, needs),
        }
    }
}

fn forward<T: Stored>(x: NdArrayTensor, c: NdArrayTensor) -> NdArrayTensor {
    let (x, c) = (ndarray::contiguous::<T>(x), ndarray::contiguous::<T>(c));
    let y = kernel::forward(ndarray::slice(&x), ndarray::slice(&c));
    T::wrap(ndarray::from_vec(y, x.shape()))
}

fn backward<T: Stored>(
    x: NdArrayTensor,
    c: NdArrayTensor,
    grad: NdArrayTensor,
    needs: Needs,
) -> Floats<NdArray> {
    let [x, c, grad] = [x, c, grad].map(ndarray::contiguous::<T>);
    let [xs, cs, grad] = [&x, &c, &grad].map(ndarray::slice::<T>);
    let found = kernel::backward(xs, cs, grad, needs).into_iter().zip([x.shape(), c.shape()]);
    let wrap =
        |(data, shape): (Option<Vec<T>>, &[usize])| Some(T::wrap(ndarray::from_vec(data?, shape)));
    Floats(found.filter_map(wrap).collect())
}
