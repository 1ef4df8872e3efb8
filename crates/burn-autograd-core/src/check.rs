//! Refusals of bad arguments, before a kernel runs.
//!
//! A shape, a data type or a device that does not fit gives an [`Error`] that names the operation
//! and the argument. The data type matters most: on an adapter without `f64` or `bf16` Burn's
//! kernels compute garbage without a word.

use std::borrow::Cow;
use std::fmt::Debug;

use burn::backend::tensor::Device;
use burn::backend::{
    Backend, Dispatch, DispatchAutodiffContext, DispatchDevice, DispatchTensor, TensorMetadata,
};
use burn::tensor::{DType, Shape};

use crate::tracking::under_autodiff;
use crate::{Error, ErrorKind, Var};

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
    let tensors = arguments.iter().map(|(_, tensor)| *tensor).enumerate();
    joint(operation, tensors, |index| arguments[index].0.into(), true)
}

/// The same for arguments that are named by their positions.
#[cfg(all(feature = "capture", feature = "autodiff"))]
pub(crate) fn alike_inputs(operation: &str, tensors: &[DispatchTensor]) -> Result<(), Error> {
    joint(operation, tensors.iter().enumerate(), |index| format!("inputs[{index}]").into(), true)
}

/// The same for arguments that may have different float types.
pub(crate) fn inputs<'a>(
    operation: &str,
    tensors: impl IntoIterator<Item = (usize, &'a DispatchTensor)>,
) -> Result<(), Error> {
    joint(operation, tensors.into_iter(), |index| format!("inputs[{index}]").into(), false)
}

fn joint<'a>(
    operation: &str,
    tensors: impl Iterator<Item = (usize, &'a DispatchTensor)>,
    name: impl Fn(usize) -> Cow<'static, str>,
    one_dtype: bool,
) -> Result<(), Error> {
    let mut first: Option<(usize, DType, DispatchDevice)> = None;
    let mut tracking: Option<(usize, DispatchAutodiffContext)> = None;
    for (index, tensor) in tensors {
        let dtype = tensor.dtype();
        if !dtype.is_float() || matches!(dtype, DType::QFloat(_)) {
            let got = format!("{dtype:?}");
            return Err(Error::new(
                ErrorKind::DType,
                operation.to_owned(),
                name(index),
                "a float tensor",
                got,
            ));
        }
        if tensor.autodiff != DispatchAutodiffContext::Disabled {
            match tracking {
                None => tracking = Some((index, tensor.autodiff)),
                Some((other, expected)) if expected != tensor.autodiff => {
                    let other = name(other);
                    return Err(other_strategy(
                        operation,
                        name(index),
                        &other,
                        expected,
                        tensor.autodiff,
                    ));
                }
                Some(_) => {}
            }
        }
        let device = under_autodiff(tensor);
        let known = first.as_ref().is_some_and(|(_, expected, _)| *expected == dtype);
        if !known && !Dispatch::supports_dtype(&device, dtype) {
            return Err(unsupported(operation, name(index), &device, dtype));
        }
        match &first {
            None => first = Some((index, dtype, device)),
            Some((other, _, place)) if *place != device => {
                return Err(other_device(operation, name(index), &name(*other), place, &device));
            }
            Some((other, expected, _)) if one_dtype && *expected != dtype => {
                let other = name(*other);
                return Err(other_dtype(operation, name(index), &other, *expected, dtype));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Checks that two float tensors may meet in one operation of Burn: the same data type and device, and
/// devices that checkpoint gradients in the same way.
///
/// Burn's own backends panic where they differ, without naming the operation, or compute with the
/// one data type on the bytes of the other. This runs in every operation on two variables.
pub(crate) fn alike<B: Backend>(
    operation: &str,
    (first, a): (&str, &Var<B>),
    (second, b): (&'static str, &Var<B>),
) -> Result<(), Error> {
    let plain = DispatchAutodiffContext::Disabled;
    let (expected, got) = (a.autodiff(), b.autodiff());
    if expected != got && expected != plain && got != plain {
        return Err(other_strategy(operation, second, first, expected, got));
    }
    let (place, other) = (a.raw().device(), b.raw().device());
    if place != other {
        return Err(other_device(operation, second, first, &place, &other));
    }
    let (expected, got) = (a.dtype(), b.dtype());
    if expected != got {
        return Err(other_dtype(operation, second, first, expected, got));
    }
    Ok(())
}

fn other_device<D: Debug>(
    operation: &str,
    argument: impl Into<Cow<'static, str>>,
    other: &str,
    expected: &D,
    got: &D,
) -> Error {
    let expected = format!("the device of `{other}`, {expected:?}");
    Error::new(ErrorKind::Device, operation.to_owned(), argument, expected, format!("{got:?}"))
}

fn other_dtype(
    operation: &str,
    argument: impl Into<Cow<'static, str>>,
    other: &str,
    expected: DType,
    got: DType,
) -> Error {
    let expected = format!("the data type of `{other}`, {expected:?}");
    Error::new(ErrorKind::DType, operation.to_owned(), argument, expected, format!("{got:?}"))
}

fn other_strategy(
    operation: &str,
    argument: impl Into<Cow<'static, str>>,
    other: &str,
    expected: DispatchAutodiffContext,
    got: DispatchAutodiffContext,
) -> Error {
    let expected = format!("the checkpointing strategy of `{other}`, {expected:?}");
    Error::new(ErrorKind::Device, operation.to_owned(), argument, expected, format!("{got:?}"))
}

fn unsupported(
    operation: &str,
    argument: Cow<'static, str>,
    device: &DispatchDevice,
    dtype: DType,
) -> Error {
    let able: Vec<_> = [DType::F64, DType::F32, DType::F16, DType::BF16]
        .into_iter()
        .filter(|dtype| Dispatch::supports_dtype(device, *dtype))
        .map(|dtype| format!("{dtype:?}"))
        .collect();
    Error::new(
        ErrorKind::DType,
        operation.to_owned(),
        argument,
        format!("a float type that {device:?} computes with ({})", able.join(", ")),
        format!("{dtype:?}"),
    )
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
