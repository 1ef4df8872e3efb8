//! Gradients that can be differentiated again.

use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{Int, Tensor};
use burn_autograd_core::{Error, check as arguments};

use super::arguments::{Arguments, axes};
use super::{CrossEntropyOps, CrossEntropyOptions, Reduction};
use crate::support::permuted;

/// The gradient of grad·loss with respect to the logits, tracked if an argument is: differentiate it
/// for second derivatives.
///
/// # Panics
///
/// As [`cross_entropy_with`](super::cross_entropy_with); and if `grad` is not of shape `[1]` and like
/// the logits.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_autograd_ops::cross_entropy::cross_entropy_vjp;
///
/// let device = Device::flex().autodiff();
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0]], &device).require_grad();
/// let targets = Tensor::<1, Int>::from_ints([1], &device);
/// let grad = Tensor::<1>::from_floats([2.0], &device);
/// let dx = cross_entropy_vjp(logits.clone(), targets, &Default::default(), grad);
/// assert_eq!(dx.to_data().try_to_vec::<f32>().unwrap(), [1.0, -1.0]);
/// // The second derivative of the first logit's gradient: 2·p·(1 − p), −2·p².
/// let second = logits.grad(&dx.slice([0..1, 0..1]).sum().backward()).unwrap();
/// assert_eq!(second.to_data().try_to_vec::<f32>().unwrap(), [0.5, -0.5]);
/// # }
/// ```
pub fn cross_entropy_vjp<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
    grad: Tensor<1>,
) -> Tensor<D> {
    product(logits, targets, options, Some(options.reduction), (grad.into_dispatch(), &[1]))
}

/// The gradient of ⟨grad, losses⟩ with respect to the logits, for
/// [`cross_entropy_unreduced`](super::cross_entropy_unreduced); tracked if an argument is.
///
/// # Panics
///
/// As [`cross_entropy_with`](super::cross_entropy_with); and if `grad` does not have the targets' shape
/// and is like the logits.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_autograd_ops::cross_entropy::cross_entropy_unreduced_vjp;
///
/// let device = Device::flex().autodiff();
/// let logits = Tensor::<2>::zeros([2, 2], &device).require_grad();
/// let targets = Tensor::<1, Int>::from_ints([1, 0], &device);
/// let grad = Tensor::<1>::from_floats([2.0, 4.0], &device);
/// let dx = cross_entropy_unreduced_vjp(logits.clone(), targets, &Default::default(), grad);
/// assert_eq!(dx.to_data().try_to_vec::<f32>().unwrap(), [1.0, -1.0, -2.0, 2.0]);
/// // The second derivative of the first logit's gradient, 2·p·(1 − p), −2·p²; the rows are apart.
/// let second = logits.grad(&dx.slice([0..1, 0..1]).sum().backward()).unwrap();
/// assert_eq!(second.to_data().try_to_vec::<f32>().unwrap(), [0.5, -0.5, 0.0, 0.0]);
/// # }
/// ```
pub fn cross_entropy_unreduced_vjp<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
    grad: Tensor<DT>,
) -> Tensor<D> {
    let shape = targets.dims();
    product(logits, targets, options, None, (grad.into_dispatch(), &shape))
}

fn product<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
    reduction: Option<Reduction>,
    (grad, expected): (DispatchTensor, &[usize]),
) -> Tensor<D> {
    const OPERATION: &str = "cross_entropy_vjp";
    let shape = logits.dims();
    let checked = || -> Result<Arguments, Error> {
        let arguments = Arguments::new(OPERATION, logits, targets, options, reduction)?;
        arguments::floats(OPERATION, &[("logits", &arguments.logits), ("grad", &grad)])?;
        crate::support::cotangent(OPERATION, expected, &grad.shape())?;
        Ok(arguments)
    };
    let Arguments { logits, targets, weight, settings } =
        checked().unwrap_or_else(|error| panic!("{error}"));
    let weight = weight
        .unwrap_or_else(|| Tensor::<2>::from_dispatch(logits.clone()).inner().into_dispatch());
    let count = if reduction.is_some() { 1 } else { targets.shape().num_elements() };
    let grad = match expected.len() {
        1 => grad,
        _ => Tensor::<DT>::from_dispatch(grad).reshape([count]).into_dispatch(),
    };
    let dx =
        <Dispatch as CrossEntropyOps>::cross_entropy_vjp(logits, targets, weight, grad, settings);
    if D == 2 {
        return Tensor::from_dispatch(dx);
    }
    let (last, back) = axes(D);
    let last: [usize; D] = std::array::from_fn(|dim| shape[last[dim]]);
    let back: [usize; D] = std::array::from_fn(|dim| back[dim]);
    permuted(Tensor::<2>::from_dispatch(dx).reshape(last), back)
}
