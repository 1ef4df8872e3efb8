//! The functions, and those that return an error instead of a panic.

use burn::tensor::{Int, Shape, Tensor};
use burn_autograd_core::{Error, OrPanic as _};

use super::arguments::Arguments;
use super::{CrossEntropyOptions, OPERATION};

/// The mean cross entropy of logits and class indices, `[1]`: −ln of the target's softmax, on
/// average.
///
/// The gradient of a row is (softmax − 1 at the target) ÷ n. Takes logits `[n, c]` or `[n, c, d₁, …]`
/// and integers `[n]` or `[n, d₁, …]`. For weights, smoothing and so on see [`cross_entropy_with`].
///
/// # Panics
///
/// If the shapes do not fit, the devices differ, the device cannot compute with the data type or has
/// no exponential of it; and, on the CPU backends, if a target is no class. [`try_cross_entropy`]
/// returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_autograd_ops::cross_entropy::cross_entropy;
///
/// let device = Device::flex().autodiff();
/// let logits = Tensor::<2>::from_floats([[0.2, 0.3, 0.9], [0.2, 0.3, 0.9]], &device).require_grad();
/// let targets = Tensor::<1, Int>::from_ints([0, 0], &device);
/// let loss = cross_entropy(logits.clone(), targets);
/// assert!((loss.clone().into_scalar::<f32>() - 1.415_591_9).abs() < 1e-6);
/// let gradient = logits.grad(&loss.backward()).unwrap().into_data().try_to_vec::<f32>().unwrap();
/// assert!((gradient[0] + 0.378_609_06).abs() < 1e-7);
/// # }
/// ```
#[track_caller]
pub fn cross_entropy<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
) -> Tensor<1> {
    cross_entropy_with(logits, targets, &CrossEntropyOptions::default())
}

/// The same as [`cross_entropy`](fn@cross_entropy), with an error instead of a panic. Reads the targets
/// back, for which a GPU has to be waited for.
///
/// # Errors
///
/// If the shapes do not fit, a target is no class, the devices differ, the device cannot compute with
/// the data type or has no exponential of it, or a tensor is quantized.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_autograd_ops::cross_entropy::try_cross_entropy;
///
/// let device = Device::flex();
/// let targets = Tensor::<1, Int>::from_ints([0, 2], &device);
/// assert_eq!(
///     try_cross_entropy(Tensor::<2>::zeros([2, 2], &device), targets).unwrap_err().to_string(),
///     "cross_entropy: argument `targets`: expected class indices from 0 to below 2, got 2 in row 1"
/// );
/// # }
/// ```
pub fn try_cross_entropy<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
) -> Result<Tensor<1>, Error> {
    try_cross_entropy_with(logits, targets, &CrossEntropyOptions::default())
}

/// The mean or sum of the cross entropy, `[1]`, with class weights, an ignored index and label
/// smoothing; see the [module](mod@crate::cross_entropy) for the formulas.
///
/// # Panics
///
/// As [`cross_entropy`](fn@cross_entropy); and if there is not a weight for each class, in the logits' data
/// type and on their device, or the smoothing is not in [0, 1].
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_autograd_ops::cross_entropy::{CrossEntropyOptions, Reduction, cross_entropy_with};
///
/// let device = Device::flex();
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0], [5.0, 9.0]], &device);
/// let targets = Tensor::<1, Int>::from_ints([1, -1], &device);
/// let options =
///     CrossEntropyOptions::default().with_reduction(Reduction::Sum).with_ignore_index(Some(-1));
/// let loss = cross_entropy_with(logits, targets, &options);
/// assert_eq!(loss.into_scalar::<f32>(), std::f32::consts::LN_2);
/// # }
/// ```
#[track_caller]
pub fn cross_entropy_with<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
) -> Tensor<1> {
    Arguments::new(OPERATION, logits, targets, options, Some(options.reduction))
        .map(|arguments| Tensor::from_dispatch(arguments.run()))
        .or_panic()
}

/// The same as [`cross_entropy_with`], with an error instead of a panic. Reads the targets back.
///
/// # Errors
///
/// Where [`cross_entropy_with`] panics, on every device.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_autograd_ops::cross_entropy::{CrossEntropyOptions, try_cross_entropy_with};
///
/// let device = Device::flex();
/// let logits = Tensor::<2>::zeros([1, 2], &device);
/// let targets = Tensor::<1, Int>::from_ints([0], &device);
/// let options = CrossEntropyOptions::default().with_label_smoothing(1.5);
/// assert_eq!(
///     try_cross_entropy_with(logits, targets, &options).unwrap_err().to_string(),
///     "cross_entropy: argument `label_smoothing`: expected a number from 0 to 1, got 1.5"
/// );
/// # }
/// ```
pub fn try_cross_entropy_with<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
) -> Result<Tensor<1>, Error> {
    let arguments = Arguments::new(OPERATION, logits, targets, options, Some(options.reduction))?;
    Ok(Tensor::from_dispatch(arguments.checked(OPERATION)?.run()))
}

/// The loss of each row, in the targets' shape; 0 where it is ignored.
///
/// # Panics
///
/// As [`cross_entropy_with`].
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_autograd_ops::cross_entropy::cross_entropy_unreduced;
///
/// let device = Device::flex();
/// let logits = Tensor::<3>::zeros([2, 4, 3], &device);
/// let targets = Tensor::<2, Int>::from_ints([[0, 1, 2], [3, 2, 1]], &device);
/// let losses = cross_entropy_unreduced(logits, targets, &Default::default());
/// assert_eq!(losses.dims(), [2, 3]);
/// assert_eq!(losses.into_data().try_to_vec::<f32>().unwrap(), [4f32.ln(); 6]);
/// # }
/// ```
#[track_caller]
pub fn cross_entropy_unreduced<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
) -> Tensor<DT> {
    let shape = targets.shape();
    Arguments::new(OPERATION, logits, targets, options, None)
        .map(|arguments| shaped(arguments, shape))
        .or_panic()
}

/// The same as [`cross_entropy_unreduced`], with an error instead of a panic. Reads the targets back.
///
/// # Errors
///
/// Where [`cross_entropy_with`] panics, on every device.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_autograd_ops::cross_entropy::try_cross_entropy_unreduced;
///
/// let device = Device::flex();
/// let logits = Tensor::<2>::zeros([3, 2], &device);
/// let targets = Tensor::<1, Int>::from_ints([0, 1], &device);
/// assert_eq!(
///     try_cross_entropy_unreduced(logits, targets, &Default::default()).unwrap_err().to_string(),
///     "cross_entropy: argument `targets`: expected [3], one class for each row of `logits` [3, 2], \
///      got [2]"
/// );
/// # }
/// ```
pub fn try_cross_entropy_unreduced<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
) -> Result<Tensor<DT>, Error> {
    let shape = targets.shape();
    let arguments = Arguments::new(OPERATION, logits, targets, options, None)?;
    Ok(shaped(arguments.checked(OPERATION)?, shape))
}

/// The losses in the targets' shape.
fn shaped<const DT: usize>(arguments: Arguments, shape: Shape) -> Tensor<DT> {
    let losses = arguments.run();
    match DT {
        1 => Tensor::from_dispatch(losses),
        _ => Tensor::<1>::from_dispatch(losses).reshape(shape),
    }
}
