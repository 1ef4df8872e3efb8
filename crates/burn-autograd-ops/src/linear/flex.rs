use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, Shape};
use burn_autograd_core::Floats;
use burn_flex::FlexTensor;

use super::{LinearOps, Needs, kernel, spec};
use crate::support::matrices::Matrix;
use crate::support::{Real, flex};

impl LinearOps for Flex {
    fn linear_forward(operands: Floats<Self>) -> FloatTensor<Self> {
        match operands.0[0].dtype() {
            DType::F32 => forward::<f32>(operands.0),
            DType::F64 => forward::<f64>(operands.0),
            half @ (DType::F16 | DType::BF16) => {
                let operands = operands.0.into_iter().map(flex::single).collect();
                flex::rounded(forward::<f32>(operands), half)
            }
            _ => spec::forward::<Self>(operands),
        }
    }

    fn linear_backward(operands: Floats<Self>, needs: Needs) -> Floats<Self> {
        match operands.0[0].dtype() {
            DType::F32 => backward::<f32>(operands.0, needs),
            DType::F64 => backward::<f64>(operands.0, needs),
            half @ (DType::F16 | DType::BF16) => {
                let operands = operands.0.into_iter().map(flex::single).collect();
                let Floats(gradients) = backward::<f32>(operands, needs);
                Floats(gradients.into_iter().map(|found| flex::rounded(found, half)).collect())
            }
            _ => spec::backward::<Self>(operands, needs),
        }
    }
}

/// A tensor whose rows a kernel can read: a matrix that lies anyhow, or anything contiguous.
fn readable(tensor: FlexTensor) -> FlexTensor {
    // Where an element is repeated, a stride is 0; where it is flipped, negative.
    let layout = tensor.layout();
    let matrix = layout.num_dims() == 2 && layout.strides().iter().all(|stride| *stride > 0);
    if matrix || tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// A readable tensor, with its leading dimensions as rows.
fn matrix<T: Real>(tensor: &FlexTensor) -> Matrix<'_, T> {
    let layout = tensor.layout();
    if layout.num_dims() == 2 && layout.strides().iter().all(|stride| *stride > 0) {
        let size = [layout.shape()[0], layout.shape()[1]];
        let strides = [0, 1].map(|dim| layout.strides()[dim].unsigned_abs());
        return Matrix::new(&tensor.storage::<T>()[layout.start_offset()..], size, strides);
    }
    Matrix::row_major(flex::slice::<T>(tensor), rows(layout.shape()))
}

/// The size with the leading dimensions as rows.
fn rows(shape: &Shape) -> [usize; 2] {
    let (last, leading) = shape.split_last().expect("the rank is at least 1");
    [leading.iter().product(), *last]
}

fn forward<T: Real>(operands: Vec<FlexTensor>) -> FlexTensor {
    let mut shape = operands[0].shape();
    let operands: Vec<_> = operands.into_iter().map(readable).collect();
    let (x, weight) = (matrix::<T>(&operands[0]), matrix::<T>(&operands[1]));
    let bias = operands.get(2).map(FlexTensor::to_contiguous);
    let last = shape.num_dims() - 1;
    shape[last] = weight.size()[0];
    let y = kernel::product(x, weight.transpose(), bias.as_ref().map(flex::slice::<T>));
    flex::from_vec(y, shape)
}

fn backward<T: Real>(operands: Vec<FlexTensor>, needs: Needs) -> Floats<Flex> {
    let (grad, weight, x) = needs.operands(operands);
    let grad = flex::contiguous(grad);
    let shape = grad.shape();
    let [count, outputs] = rows(&shape);
    let elements = flex::slice::<T>(&grad);
    let grads = Matrix::row_major(elements, [count, outputs]);
    let (weight, x) = (weight.map(readable), x.map(readable));
    let [dx, dweight] =
        kernel::gradients(grads, weight.as_ref().map(matrix::<T>), x.as_ref().map(matrix::<T>));
    let mut gradients = Vec::with_capacity(3);
    if let (Some(dx), Some(weight)) = (dx, &weight) {
        let mut shape = shape.clone();
        let last = shape.num_dims() - 1;
        shape[last] = weight.layout().shape()[1];
        gradients.push(flex::from_vec(dx, shape));
    }
    if let (Some(dweight), Some(x)) = (dweight, &x) {
        let shape = Shape::new([outputs, rows(x.layout().shape())[1]]);
        gradients.push(flex::from_vec(dweight, shape));
    }
    if needs.bias {
        gradients.push(flex::from_vec(kernel::sum_rows(elements, outputs), [outputs].into()));
    }
    Floats(gradients)
}
