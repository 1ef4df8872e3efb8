//! Gradients that can be differentiated again.

use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{Int, Tensor};
use burn_autograd_core::{Error, check as arguments};

use super::arguments::{Arguments, axes};
use super::{CrossEntropyOps, CrossEntropyOptions, Reduction};
use crate::support::permuted;

const OPERATION: &str = "cross_entropy_vjp";

/// The gradient of grad·loss with respect to the logits, tracked if an argument is: differentiate it
/// for second derivatives.
///
/// # Panics
///
/// As [`cross_entropy_with`](super::cross_entropy_with); and if `grad` is not of shape `[1]` and like
/// the logits. [`try_cross_entropy_vjp`] returns an error.
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
    let grad = (grad.into_dispatch(), &[1][..]);
    product(logits, targets, options, Some(options.reduction), grad, Ok)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The same as [`cross_entropy_vjp`], with an error instead of a panic. Reads the targets back.
///
/// # Errors
///
/// Where [`cross_entropy_vjp`] panics, on every device.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_autograd_ops::cross_entropy::try_cross_entropy_vjp;
///
/// let device = Device::flex();
/// let logits = Tensor::<2>::zeros([1, 2], &device);
/// let gradient = |target: i32, grad| {
///     let targets = Tensor::<1, Int>::from_ints([target], &device);
///     try_cross_entropy_vjp(logits.clone(), targets, &Default::default(), grad)
/// };
/// assert_eq!(
///     gradient(2, Tensor::ones([1], &device)).unwrap_err().to_string(),
///     "cross_entropy_vjp: argument `targets`: expected class indices from 0 to below 2, got 2 in row 0"
/// );
/// assert_eq!(
///     gradient(1, Tensor::ones([3], &device)).unwrap_err().to_string(),
///     "cross_entropy_vjp: argument `grad`: expected the output's shape [1], got [3]"
/// );
/// # }
/// ```
pub fn try_cross_entropy_vjp<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
    grad: Tensor<1>,
) -> Result<Tensor<D>, Error> {
    let grad = (grad.into_dispatch(), &[1][..]);
    product(logits, targets, options, Some(options.reduction), grad, read)
}

/// The gradient of ⟨grad, losses⟩ with respect to the logits, for
/// [`cross_entropy_unreduced`](super::cross_entropy_unreduced); tracked if an argument is.
///
/// # Panics
///
/// As [`cross_entropy_with`](super::cross_entropy_with); and if `grad` does not have the targets' shape,
/// or is not like the logits. [`try_cross_entropy_unreduced_vjp`] returns an error.
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
    product(logits, targets, options, None, (grad.into_dispatch(), &shape[..]), Ok)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The same as [`cross_entropy_unreduced_vjp`], with an error instead of a panic. Reads the targets back.
///
/// # Errors
///
/// Where [`cross_entropy_unreduced_vjp`] panics, on every device.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_autograd_ops::cross_entropy::try_cross_entropy_unreduced_vjp;
///
/// let device = Device::flex();
/// let logits = Tensor::<2>::zeros([2, 2], &device);
/// let targets = Tensor::<1, Int>::from_ints([1, 0], &device);
/// let grad = Tensor::<1>::ones([1], &device);
/// assert_eq!(
///     try_cross_entropy_unreduced_vjp(logits, targets, &Default::default(), grad)
///         .unwrap_err()
///         .to_string(),
///     "cross_entropy_vjp: argument `grad`: expected the output's shape [2], got [1]"
/// );
/// # }
/// ```
pub fn try_cross_entropy_unreduced_vjp<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
    grad: Tensor<DT>,
) -> Result<Tensor<D>, Error> {
    let shape = targets.dims();
    product(logits, targets, options, None, (grad.into_dispatch(), &shape[..]), read)
}

/// Checks the values of the targets, too.
fn read(arguments: Arguments) -> Result<Arguments, Error> {
    arguments.checked(OPERATION)
}

/// The gradient, if `grad` has the expected shape and the arguments pass the last check.
fn product<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
    reduction: Option<Reduction>,
    (grad, expected): (DispatchTensor, &[usize]),
    check: fn(Arguments) -> Result<Arguments, Error>,
) -> Result<Tensor<D>, Error> {
    let shape = logits.dims();
    let arguments = Arguments::new(OPERATION, logits, targets, options, reduction)?;
    arguments::floats(OPERATION, &[("logits", &arguments.logits), ("grad", &grad)])?;
    crate::support::cotangent(OPERATION, expected, &grad.shape())?;
    let Arguments { logits, targets, weight, settings } = check(arguments)?;
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
        return Ok(Tensor::from_dispatch(dx));
    }
    let (last, back) = axes(D);
    let last: [usize; D] = std::array::from_fn(|dim| shape[last[dim]]);
    let back: [usize; D] = std::array::from_fn(|dim| back[dim]);
    Ok(permuted(Tensor::<2>::from_dispatch(dx).reshape(last), back))
}
