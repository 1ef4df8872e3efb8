//! Refusals of bad arguments, before a kernel runs.
//!
//! A shape, a data type or a device that does not fit gives an [`Error`] that names the operation
//! and the argument. The data type matters most: on an adapter without `f64` or `bf16` Burn's
//! kernels compute garbage without a word.

use burn::backend::tensor::Device;
use burn::backend::{
    Backend, Dispatch, DispatchAutodiffContext, DispatchDevice, DispatchTensor, TensorMetadata,
};
use burn::tensor::{DType, Shape};

use crate::{Error, ErrorKind};

/// The device under an autodiff decorator, or the device itself.
fn physical(device: DispatchDevice) -> DispatchDevice {
    #[cfg(feature = "autodiff")]
    if let DispatchDevice::Autodiff(_) = &device {
        return burn::tensor::Device::new(device).inner().as_dispatch().clone();
    }
    device
}

/// Checks that every argument is a float tensor of one data type, on one device that computes with
/// it.
///
/// A tensor of an autodiff device and one of its plain device may meet: the latter is a constant.
///
/// # Errors
///
/// [`ErrorKind::DType`] for an integer, boolean or quantized tensor, for a float type that the
/// device lacks, and for arguments of different float types; [`ErrorKind::Device`] for arguments on
/// different devices, or on autodiff devices that checkpoint gradients differently.
pub fn floats(operation: &str, arguments: &[(&'static str, &DispatchTensor)]) -> Result<(), Error> {
    let mut first: Option<(&'static str, DType, DispatchDevice)> = None;
    let mut tracking: Option<(&'static str, DispatchAutodiffContext)> = None;
    for (name, tensor) in arguments {
        let dtype = tensor.dtype();
        if !dtype.is_float() || matches!(dtype, DType::QFloat(_)) {
            let got = format!("{dtype:?}");
            return Err(Error::new(
                ErrorKind::DType,
                operation.to_owned(),
                *name,
                "a float tensor",
                got,
            ));
        }
        if tensor.autodiff != DispatchAutodiffContext::Disabled {
            match tracking {
                None => tracking = Some((name, tensor.autodiff)),
                Some((other, expected)) if expected != tensor.autodiff => {
                    return Err(Error::new(
                        ErrorKind::Device,
                        operation.to_owned(),
                        *name,
                        format!("the checkpointing strategy of `{other}`, {expected:?}"),
                        format!("{:?}", tensor.autodiff),
                    ));
                }
                Some(_) => {}
            }
        }
        let device = physical(tensor.device());
        match &first {
            None => {
                supported(operation, name, &device, dtype)?;
                first = Some((name, dtype, device));
            }
            Some((other, expected, place)) => {
                if *place != device {
                    return Err(Error::new(
                        ErrorKind::Device,
                        operation.to_owned(),
                        *name,
                        format!("the device of `{other}`, {place:?}"),
                        format!("{device:?}"),
                    ));
                }
                if *expected != dtype {
                    return Err(Error::new(
                        ErrorKind::DType,
                        operation.to_owned(),
                        *name,
                        format!("the data type of `{other}`, {expected:?}"),
                        format!("{dtype:?}"),
                    ));
                }
            }
        }
    }
    Ok(())
}

fn supported(
    operation: &str,
    argument: &'static str,
    device: &DispatchDevice,
    dtype: DType,
) -> Result<(), Error> {
    if Dispatch::supports_dtype(device, dtype) {
        return Ok(());
    }
    let able: Vec<_> = [DType::F64, DType::F32, DType::F16, DType::BF16]
        .into_iter()
        .filter(|dtype| Dispatch::supports_dtype(device, *dtype))
        .map(|dtype| format!("{dtype:?}"))
        .collect();
    Err(Error::new(
        ErrorKind::DType,
        operation.to_owned(),
        argument,
        format!("a float type that {device:?} computes with ({})", able.join(", ")),
        format!("{dtype:?}"),
    ))
}

/// Checks that a device has transcendental functions (`exp`, `log`, `sin`, …) of a tensor's data type.
///
/// The languages behind wgpu have them for 16 and 32 bits only. An adapter may have `f64` all the
/// same; its additions and products are then right, and its `exp` is silent garbage.
///
/// # Errors
///
/// [`ErrorKind::DType`] for `f64` on a wgpu device.
pub fn transcendental(
    operation: &str,
    argument: &'static str,
    tensor: &DispatchTensor,
) -> Result<(), Error> {
    transcendental_on::<Dispatch>(operation, argument, tensor.dtype(), &tensor.device())
}

pub(crate) fn transcendental_on<B: Backend>(
    operation: &str,
    argument: &'static str,
    dtype: DType,
    device: &Device<B>,
) -> Result<(), Error> {
    // The name spells out the runtime under all decorators, as `fusion<cubecl<wgpu<wgsl>>>`.
    if dtype != DType::F64 || !B::name(device).contains("wgpu") {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::DType,
        operation.to_owned(),
        argument,
        format!("F32 or F16, of which {device:?} has transcendental functions"),
        "F64",
    ))
}

/// The shape that all arguments broadcast to: sizes agree, or one of them is 1. Ranks are equal, as
/// everywhere in Burn.
///
/// # Errors
///
/// [`ErrorKind::Shape`] naming the first argument that does not fit those before it.
///
/// ```
/// use burn::tensor::Shape;
/// use burn_autograd_core::check::broadcast;
///
/// let (row, column) = (Shape::new([1, 3]), Shape::new([2, 1]));
/// assert_eq!(broadcast("op", &[("a", &row), ("b", &column)]).unwrap(), Shape::new([2, 3]));
/// let error = broadcast("op", &[("a", &row), ("b", &Shape::new([2, 4]))]).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "op: argument `b`: expected a shape that broadcasts with [1, 3], got [2, 4]"
/// );
/// ```
pub fn broadcast(operation: &str, arguments: &[(&'static str, &Shape)]) -> Result<Shape, Error> {
    let mut common: Option<Vec<usize>> = None;
    for (name, shape) in arguments {
        let sizes = shape.to_vec();
        let Some(joint) = &mut common else {
            common = Some(sizes);
            continue;
        };
        let fits = joint.len() == sizes.len()
            && joint.iter().zip(&sizes).all(|(a, b)| a == b || *a == 1 || *b == 1);
        if !fits {
            return Err(Error::new(
                ErrorKind::Shape,
                operation.to_owned(),
                *name,
                format!("a shape that broadcasts with {joint:?}"),
                format!("{sizes:?}"),
            ));
        }
        for (a, b) in joint.iter_mut().zip(&sizes) {
            if *a == 1 {
                *a = *b;
            }
        }
    }
    Ok(Shape::from(common.unwrap_or_default()))
}
