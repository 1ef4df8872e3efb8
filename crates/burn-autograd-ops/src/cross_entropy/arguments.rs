//! What is refused, and arguments in the form that the backends take.

use std::fmt::Display;

use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{DType, Int, Tensor, TensorData};
use burn_autograd_core::{Error, ErrorKind, check as arguments};

use super::{CrossEntropyOps, CrossEntropyOptions, Reduction, Settings};
use crate::support::permuted;

/// Whether an integer type holds a value; comparing with one that it does not hold would compare with
/// what is left of it.
pub(super) fn holds(dtype: DType, value: i64) -> bool {
    match dtype {
        DType::I64 => true,
        DType::I32 => i32::try_from(value).is_ok(),
        DType::I16 => i16::try_from(value).is_ok(),
        DType::I8 => i8::try_from(value).is_ok(),
        DType::U64 => u64::try_from(value).is_ok(),
        DType::U32 => u32::try_from(value).is_ok(),
        DType::U16 => u16::try_from(value).is_ok(),
        DType::U8 => u8::try_from(value).is_ok(),
        _ => false,
    }
}

/// The error about a target that is no class.
fn no_class(
    operation: &'static str,
    row: usize,
    value: impl Display,
    classes: usize,
    ignore_index: Option<i64>,
) -> Error {
    let ignored = match ignore_index {
        Some(index) => format!(" or the ignored index {index}"),
        None => String::new(),
    };
    Error::new(
        ErrorKind::Value,
        operation,
        "targets",
        format!("class indices from 0 to below {classes}{ignored}"),
        format!("{value} in row {row}"),
    )
}

/// Whether a target is a class, or ignored.
fn is_known(target: i64, classes: usize, ignore_index: Option<i64>) -> bool {
    usize::try_from(target).is_ok_and(|target| target < classes) || Some(target) == ignore_index
}

/// Unsigned targets in the signed type, or the error about the first that is no class and not ignored. A
/// cast would make negative numbers of the largest, and of one of these the ignored index.
pub(super) fn from_unsigned(
    operation: &'static str,
    targets: &[u64],
    classes: usize,
    ignore_index: Option<i64>,
) -> Result<Vec<i64>, Error> {
    let signed = |(row, &target): (usize, &u64)| {
        i64::try_from(target)
            .ok()
            .filter(|target| is_known(*target, classes, ignore_index))
            .ok_or_else(|| no_class(operation, row, target, classes, ignore_index))
    };
    targets.iter().enumerate().map(signed).collect()
}

/// The first target that is no class and not ignored.
pub(super) fn check_targets(
    operation: &'static str,
    targets: &[i64],
    classes: usize,
    ignore_index: Option<i64>,
) -> Result<(), Error> {
    match targets.iter().position(|target| !is_known(*target, classes, ignore_index)) {
        Some(row) => Err(no_class(operation, row, targets[row], classes, ignore_index)),
        None => Ok(()),
    }
}

/// The same of targets that were read back.
fn check_data(
    operation: &'static str,
    targets: &TensorData,
    classes: usize,
    ignore_index: Option<i64>,
) -> Result<(), Error> {
    if targets.dtype() == DType::U64 {
        let targets: Vec<u64> = targets.iter().collect();
        return from_unsigned(operation, &targets, classes, ignore_index).map(drop);
    }
    let targets: Vec<i64> = targets.iter().collect();
    check_targets(operation, &targets, classes, ignore_index)
}

/// Arguments in the form that the backends take.
pub(super) struct Arguments {
    /// `[n, c]`.
    pub(super) logits: DispatchTensor,
    /// `[n]`.
    pub(super) targets: DispatchTensor,
    pub(super) weight: Option<DispatchTensor>,
    pub(super) settings: Settings,
}

/// Where the classes of logits `[n, c, d₁, …]` go last, and back.
pub(super) fn axes(rank: usize) -> (Vec<usize>, Vec<usize>) {
    let last = std::iter::once(0).chain(2..rank).chain([1]).collect();
    let back = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    (last, back)
}

/// Checks everything but the targets' values.
pub(super) fn check_arguments(
    operation: &'static str,
    logits: &DispatchTensor,
    targets: &DispatchTensor,
    options: &CrossEntropyOptions,
) -> Result<(), Error> {
    let weight = options.weight.clone().map(Tensor::into_dispatch);
    let mut floats = vec![("logits", logits)];
    floats.extend(weight.as_ref().map(|weight| ("weight", weight)));
    arguments::floats(operation, &floats)?;
    arguments::transcendental(operation, "logits", logits)?;
    let (found, shape) = (targets.shape().to_vec(), logits.shape().to_vec());
    let refuse = |argument, expected, got| {
        Err(Error::new(ErrorKind::Shape, operation, argument, expected, got))
    };
    let [rows, classes, more @ ..] = shape.as_slice() else {
        let expected = "a rank of at least 2, [n, classes, ..]".to_owned();
        return refuse("logits", expected, format!("{shape:?}"));
    };
    let expected = [&[*rows], more].concat();
    if found != expected {
        let expected = format!("{expected:?}, one class for each row of `logits` {shape:?}");
        return refuse("targets", expected, format!("{found:?}"));
    }
    if let Some(weight) = &weight
        && weight.shape().to_vec() != [*classes]
    {
        let got = format!("{:?}", weight.shape().to_vec());
        return refuse("weight", format!("[{classes}], one for each class"), got);
    }
    if !(0.0..=1.0).contains(&options.label_smoothing) {
        return Err(Error::new(
            ErrorKind::Value,
            operation,
            "label_smoothing",
            "a number from 0 to 1",
            options.label_smoothing.to_string(),
        ));
    }
    let place = |tensor: &DispatchTensor| burn::tensor::Device::new(tensor.device()).inner();
    let (expected, got) = (place(logits), place(targets));
    if expected != got {
        return Err(Error::new(
            ErrorKind::Device,
            operation,
            "targets",
            format!("the device of `logits`, {expected:?}"),
            format!("{got:?}"),
        ));
    }
    Ok(())
}

/// The targets as one row. Those that are one already stay as they are: fusion would queue an operation,
/// and loses results that stand beside one on an empty tensor.
pub(super) fn flat<const DT: usize>(targets: Tensor<DT, Int>) -> DispatchTensor {
    if DT == 1 {
        return targets.into_dispatch();
    }
    let rows = targets.shape().num_elements();
    targets.reshape([rows]).into_dispatch()
}

impl Arguments {
    pub(super) fn new<const D: usize, const DT: usize>(
        operation: &'static str,
        logits: Tensor<D>,
        targets: Tensor<DT, Int>,
        options: &CrossEntropyOptions,
        reduction: Option<Reduction>,
    ) -> Result<Self, Error> {
        // A constant, wherever it was made.
        let targets = targets.inner();
        check_arguments(
            operation,
            &logits.clone().into_dispatch(),
            &targets.clone().into_dispatch(),
            options,
        )?;
        let rows = targets.shape().num_elements();
        let logits = if D == 2 {
            logits.into_dispatch()
        } else {
            let classes = logits.dims()[1];
            let last: [usize; D] = std::array::from_fn(|dim| axes(D).0[dim]);
            permuted(logits, last).reshape([rows, classes]).into_dispatch()
        };
        let weight = options.weight.clone().map(|weight| weight.inner().into_dispatch());
        let settings = Settings::of(options, reduction);
        Ok(Self { logits, targets: flat(targets), weight, settings })
    }

    /// Reads the targets back and checks them.
    pub(super) fn checked(self, operation: &'static str) -> Result<Self, Error> {
        let (classes, ignore_index) = (self.logits.shape()[1], self.settings.ignore_index);
        let targets = Tensor::<1, Int>::from_dispatch(self.targets.clone()).into_data();
        check_data(operation, &targets, classes, ignore_index)?;
        Ok(self)
    }

    pub(super) fn run(self) -> DispatchTensor {
        let Self { logits, targets, weight, settings } = self;
        let weight = weight.unwrap_or_else(|| logits.clone());
        <Dispatch as CrossEntropyOps>::cross_entropy(logits, targets, weight, settings)
    }
}
