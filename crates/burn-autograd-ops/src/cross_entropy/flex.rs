use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Bytes, DType, FloatDType, IntDType};
use burn_autograd_core::OrPanic as _;
use burn_flex::{FlexTensor, Layout};

use super::arguments::from_unsigned;
use super::kernel::{self, Problem};
use super::{CrossEntropyOps, OPERATION, Settings};
use crate::support::{Real, flex};

impl CrossEntropyOps for Flex {
    fn cross_entropy_forward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weight: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        match logits.dtype() {
            DType::F64 => forward::<f64>(&logits, targets, &weight, settings),
            DType::F32 => forward::<f32>(&logits, targets, &weight, settings),
            half => {
                let [logits, weight] =
                    [logits, weight].map(|tensor| Self::float_cast(tensor, FloatDType::F32));
                let (loss, sums, total) = forward::<f32>(&logits, targets, &weight, settings);
                (Self::float_cast(loss, half.into()), sums, total)
            }
        }
    }

    fn cross_entropy_rows_backward(
        logits: FloatTensor<Self>,
        sums: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        weighted: bool,
        ignores: bool,
        ignore_index: i64,
        label_smoothing: f64,
    ) -> FloatTensor<Self> {
        let settings = Settings::of_rows(weighted, ignores, ignore_index, label_smoothing);
        match logits.dtype() {
            DType::F64 => backward::<f64>(logits, &sums, targets, &weight, &grad, settings),
            DType::F32 => backward::<f32>(logits, &sums, targets, &weight, &grad, settings),
            half => {
                let [logits, weight] =
                    [logits, weight].map(|tensor| Self::float_cast(tensor, FloatDType::F32));
                let dx = backward::<f32>(logits, &sums, targets, &weight, &grad, settings);
                Self::float_cast(dx, half.into())
            }
        }
    }
}

/// The targets as the kernels take them.
fn indices(targets: IntTensor<Flex>, classes: usize, ignore_index: Option<i64>) -> FlexTensor {
    if targets.dtype() != DType::U64 {
        return Flex::int_cast(targets, IntDType::I64).to_contiguous();
    }
    let targets = targets.to_contiguous();
    let unsigned = targets.as_slice::<u64>().expect("the targets were made contiguous");
    let found = from_unsigned(OPERATION, unsigned, classes, ignore_index).or_panic();
    let layout = Layout::contiguous(targets.shape());
    FlexTensor::new(Bytes::from_elems(found), layout, DType::I64)
}

/// Runs a kernel with what the rows are compared with.
fn with<T: Real, R>(
    classes: usize,
    targets: IntTensor<Flex>,
    weight: &FlexTensor,
    settings: Settings,
    run: impl FnOnce(Problem<'_, T>) -> R,
) -> R {
    let targets = indices(targets, classes, settings.ignore_index);
    let weight = settings.weighted.then(|| weight.to_contiguous());
    run(Problem {
        classes,
        targets: targets.as_slice::<i64>().expect("the targets were cast and made contiguous"),
        weight: weight.as_ref().map(flex::slice::<T>),
        settings,
    })
}

fn forward<T: Real>(
    logits: &FlexTensor,
    targets: IntTensor<Flex>,
    weight: &FlexTensor,
    settings: Settings,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let shape = logits.shape();
    let logits = logits.to_contiguous();
    let (loss, sums, total) = with(shape[1], targets, weight, settings, |problem| {
        kernel::forward(flex::slice::<T>(&logits), problem)
    });
    let count = loss.len();
    (
        flex::from_vec(loss, [count].into()),
        flex::from_vec(sums, [2, shape[0]].into()),
        flex::from_vec(vec![total], [1].into()),
    )
}

fn backward<T: Real>(
    logits: FlexTensor,
    sums: &FlexTensor,
    targets: IntTensor<Flex>,
    weight: &FlexTensor,
    grad: &FlexTensor,
    settings: Settings,
) -> FlexTensor {
    let shape = logits.shape();
    let mut logits = if logits.is_contiguous() { logits } else { logits.to_contiguous() };
    let (sums, grad) = (sums.to_contiguous(), grad.to_contiguous());
    let (sums, grad) = (flex::slice::<T>(&sums), flex::slice::<T>(&grad));
    with(shape[1], targets, weight, settings, |problem| {
        let range = logits.layout().contiguous_offsets();
        if let (Some((start, end)), Some(storage)) = (range, logits.try_storage_mut::<T>()) {
            // Nobody else holds the logits.
            kernel::backward_into(&mut storage[start..end], sums, grad, problem);
            return logits;
        }
        let dx = kernel::backward(flex::slice::<T>(&logits), sums, grad, problem);
        flex::from_vec(dx, shape)
    })
}
