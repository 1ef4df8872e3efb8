//! Numbers of tensors, on the host and in double precision.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// All numbers of a tensor, row by row.
pub(crate) fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    // The numbers alone: reading is not part of a graph.
    tensor.to_data().convert_dtype(DType::F64).iter::<f64>().collect()
}

/// The number of a tensor of one element.
pub(crate) fn number<const D: usize>(tensor: &Tensor<D>) -> f64 {
    let numbers = numbers(tensor);
    assert_eq!(numbers.len(), 1, "number: expected one element, got {:?}", tensor.dims());
    numbers[0]
}

/// A tensor of one dimension, in the device's default precision.
pub(crate) fn vector(numbers: &[f64], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(numbers.to_vec(), [numbers.len()]), device)
}

/// A matrix from its rows, one after the other.
pub(crate) fn matrix<const R: usize, const C: usize>(
    rows: [[f64; C]; R],
    device: &Device,
) -> Tensor<2> {
    Tensor::from_data(TensorData::new(rows.concat(), [R, C]), device)
}
