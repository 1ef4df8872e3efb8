//! Tensors from numbers, numbers from tensors, and their comparison.

use approx::abs_diff_eq;
use burn::tensor::{DType, Device, Tensor, TensorData};

/// A tensor of these numbers.
pub(crate) fn tensor<const D: usize>(
    shape: [usize; D],
    data: &[f64],
    device: &Device,
    dtype: DType,
) -> Tensor<D> {
    let data = TensorData::new(data.to_vec(), shape);
    Tensor::from_data(data.convert_dtype(dtype), (device, dtype))
}

/// The numbers of a tensor.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    let data = tensor.into_data().convert_dtype(DType::F64);
    data.as_slice::<f64>().expect("it was converted").to_vec()
}

/// As many numbers are found as are expected, and each is off by the bound at most. NaN and an
/// infinity are close to nothing, not even to themselves.
#[track_caller]
pub(crate) fn assert_close(what: &str, found: &[f64], expected: &[f64], bound: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            abs_diff_eq!(*found, *expected, epsilon = bound),
            "{what} at {index}: {found:e}, expected {expected:e} ± {bound:e}"
        );
    }
}
