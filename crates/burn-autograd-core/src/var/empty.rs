//! Constants where a tensor is empty, for the bodies of operations with kernels.
//!
//! Burn 0.22.1's fusion takes a size of 0 for one that is broadcast. It makes one kernel of an operation
//! on an empty tensor and of others that are queued beside it, a mere fill among them, and their results
//! are lost (empty tensors: burn #5310). What stands for an empty result, or for a sum over nothing, is
//! therefore made of data, which is never part of a kernel.

use burn::backend::tensor::{Device, FloatTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, Shape, TensorData};

/// A tensor of one value, made of data.
///
/// # Panics
///
/// If the data type is quantized.
pub fn constant<B: Backend>(
    shape: Shape,
    value: f64,
    dtype: DType,
    device: &Device<B>,
) -> FloatTensor<B> {
    B::float_from_data(TensorData::full_dtype(shape, value, dtype), device)
}

/// Zeros made of data, with the data type and device of a tensor.
///
/// # Panics
///
/// If the data type is quantized.
pub fn zeros<B: Backend>(shape: Shape, like: &FloatTensor<B>) -> FloatTensor<B> {
    constant::<B>(shape, 0.0, like.dtype(), &like.device())
}
