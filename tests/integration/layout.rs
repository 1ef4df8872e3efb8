//! Views of which Burn's own kernels on wgpu compute wrong results: ours do not.

use burn::tensor::{DType, Device, Tensor};
use burn_autograd::Gradient;
use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;

use crate::devices::{all, numbers, tensor};

/// 0, 1, 2, …
fn range<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let data: Vec<f64> = (0..shape.iter().product::<usize>()).map(|i| i as f64).collect();
    tensor(shape, &data, device, DType::F32)
}

/// A column that was made a row, beside a row: with fusion Burn gets half of the elements of
/// `(column.swap_dims(0, 1) + row) * 2` wrong.
#[test]
fn operations_on_a_column_that_became_a_row() {
    for device in all() {
        let row = range([1, 8], &device);
        let fresh = || range([8, 1], &device).swap_dims(0, 1);
        let sum = multiply_add(fresh(), row.clone(), row.clone());
        let expected: Vec<f64> = (0..8).map(|i| f64::from(i * i + i)).collect();
        assert_eq!(numbers(sum), expected, "{device:?}");
        let sum = Var::from(fresh()) + Var::from(&row);
        let twice: Vec<f64> = (0..8).map(|i| f64::from(4 * i)).collect();
        assert_eq!(numbers((sum * 2.0).into_tensor::<2>()), twice, "{device:?}");
        let turned = Var::from(range([8, 1], &device)).swap_dims(0, 1);
        let sum = turned + Var::from(&row);
        assert_eq!(numbers((sum * 2.0).into_tensor::<2>()), twice, "{device:?}");
    }
}

/// A sum over the first dimension of four, the last two of which were exchanged: Burn's kernels sum
/// other elements, with fusion and without.
#[test]
fn reductions_of_four_dimensions() {
    for device in all() {
        let x = Var::from(range([3, 2, 2, 2], &device)).swap_dims(2, 3);
        // Σᵢ (8i + 4a + 2c + b), in the order a, b, c.
        let expected = [24.0, 30.0, 27.0, 33.0, 36.0, 42.0, 39.0, 45.0];
        assert_eq!(numbers(x.sum_dim(0).into_tensor::<4>()), expected, "{device:?}");
        let largest = [16.0, 18.0, 17.0, 19.0, 20.0, 22.0, 21.0, 23.0];
        assert_eq!(numbers(x.max_dim(0).into_tensor::<4>()), largest, "{device:?}");
    }
}

/// The gradient of what is broadcast is summed over the same dimensions.
#[test]
fn gradients_of_four_dimensions() {
    for device in all() {
        let w = Var::leaf(range([1, 2, 2, 2], &device));
        let x = Var::from(range([3, 2, 2, 2], &device));
        // The cotangent of `w + 0` is a view of x.
        let y = (w.expand([3, 2, 2, 2]).swap_dims(2, 3) * &x).sum();
        let [dw] = Gradient::of([&y]).wrt([&w]);
        let expected = [24.0, 30.0, 27.0, 33.0, 36.0, 42.0, 39.0, 45.0];
        assert_eq!(numbers(dw.into_tensor::<4>()), expected, "{device:?}");
    }
}
