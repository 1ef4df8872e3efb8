use burn::backend::tensor::FloatTensor;
use burn::backend::{NdArray, TensorMetadata};
use burn::tensor::DType;
use burn_autograd_core::Floats;
use burn_ndarray::{NdArrayTensor, SharedArray};

use super::{LinearOps, Needs, kernel, spec};
use crate::support::matrices::Matrix;
use crate::support::ndarray::{self, Stored};

impl LinearOps for NdArray {
    fn linear_forward(operands: Floats<Self>) -> FloatTensor<Self> {
        match operands.0[0].dtype() {
            DType::F32 => forward::<f32>(operands.0),
            DType::F64 => forward::<f64>(operands.0),
            _ => spec::forward::<Self>(operands),
        }
    }

    fn linear_backward(operands: Floats<Self>, needs: Needs) -> Floats<Self> {
        match operands.0[0].dtype() {
            DType::F32 => backward::<f32>(operands.0, needs),
            DType::F64 => backward::<f64>(operands.0, needs),
            _ => spec::backward::<Self>(operands, needs),
        }
    }
}

/// A matrix in row-major or column-major order, or anything in row-major order.
fn readable<T: Stored>(tensor: NdArrayTensor) -> SharedArray<T> {
    let (array, _) = T::unwrap(tensor);
    if is_transposed(&array) { array } else { ndarray::contiguous(T::wrap(array)) }
}

/// Whether this is a matrix in column-major order.
fn is_transposed<T: Stored>(array: &SharedArray<T>) -> bool {
    array.ndim() == 2 && array.t().is_standard_layout()
}

/// A readable array, with its leading dimensions as rows.
fn matrix<T: Stored>(array: &SharedArray<T>) -> Matrix<'_, T> {
    let [count, columns] = rows(array.shape());
    if !array.is_standard_layout() {
        let elements = array.as_slice_memory_order().expect("it is in column-major order");
        return Matrix::row_major(elements, [columns, count]).transpose();
    }
    Matrix::row_major(ndarray::slice(array), [count, columns])
}

/// The size with the leading dimensions as rows.
fn rows(shape: &[usize]) -> [usize; 2] {
    let (last, leading) = shape.split_last().expect("the rank is at least 1");
    [leading.iter().product(), *last]
}

fn forward<T: Stored>(operands: Vec<NdArrayTensor>) -> NdArrayTensor {
    let mut shape = operands[0].shape().to_vec();
    let operands: Vec<_> = operands.into_iter().map(readable::<T>).collect();
    let (x, weight) = (matrix(&operands[0]), matrix(&operands[1]));
    if let Some(last) = shape.last_mut() {
        *last = weight.size()[0];
    }
    let y = kernel::product(x, weight.transpose(), operands.get(2).map(ndarray::slice));
    T::wrap(ndarray::from_vec(y, &shape))
}

fn backward<T: Stored>(operands: Vec<NdArrayTensor>, needs: Needs) -> Floats<NdArray> {
    let (grad, weight, x) = needs.operands(operands);
    let grad = ndarray::contiguous::<T>(grad);
    let mut shape = grad.shape().to_vec();
    let [count, outputs] = rows(&shape);
    let elements = ndarray::slice(&grad);
    let grads = Matrix::row_major(elements, [count, outputs]);
    let (weight, x) = (weight.map(readable::<T>), x.map(readable::<T>));
    let [dx, dweight] =
        kernel::gradients(grads, weight.as_ref().map(matrix), x.as_ref().map(matrix));
    let mut gradients = Vec::with_capacity(3);
    let mut push = |data, shape: &[usize]| gradients.push(T::wrap(ndarray::from_vec(data, shape)));
    if let (Some(dx), Some(weight)) = (dx, &weight) {
        if let Some(last) = shape.last_mut() {
            *last = weight.shape()[1];
        }
        push(dx, &shape);
    }
    if let (Some(dweight), Some(x)) = (dweight, &x) {
        push(dweight, &[outputs, rows(x.shape())[1]]);
    }
    if needs.bias {
        push(kernel::sum_rows(elements, outputs), &[outputs]);
    }
    Floats(gradients)
}
