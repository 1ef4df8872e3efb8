use ::ndarray::Array1;
use burn::backend::ops::IntTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{NdArray, TensorMetadata};
use burn::tensor::{DType, IntDType};
use burn_autograd_core::OrPanic as _;
use burn_ndarray::{NdArrayTensor, SharedArray};

use super::arguments::from_unsigned;
use super::kernel::{self, Problem};
use super::{CrossEntropyOps, OPERATION, Settings};
use crate::support::ndarray::{self, Stored};

impl CrossEntropyOps for NdArray {
    fn cross_entropy_forward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weight: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        match logits.dtype() {
            DType::F64 => forward::<f64>(logits, targets, weight, settings),
            _ => forward::<f32>(logits, targets, weight, settings),
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
            DType::F64 => backward::<f64>(logits, [sums, grad], targets, weight, settings),
            _ => backward::<f32>(logits, [sums, grad], targets, weight, settings),
        }
    }
}

/// The targets as the kernels take them.
fn indices(
    targets: IntTensor<NdArray>,
    classes: usize,
    ignore_index: Option<i64>,
) -> SharedArray<i64> {
    match targets {
        NdArrayTensor::U64(storage) => {
            let unsigned = storage.into_shared();
            let unsigned = unsigned.as_standard_layout();
            let unsigned = unsigned.as_slice().expect("the targets were put in row-major order");
            let found = from_unsigned(OPERATION, unsigned, classes, ignore_index).or_panic();
            Array1::from(found).into_dyn().into_shared()
        }
        other => match NdArray::int_cast(other, IntDType::I64) {
            NdArrayTensor::I64(storage) => storage.into_shared(),
            other => panic!("expected a cast to I64, got {:?}", other.dtype()),
        },
    }
}

/// Runs a kernel with what the rows are compared with.
fn with<T: Stored, R>(
    classes: usize,
    targets: IntTensor<NdArray>,
    weight: NdArrayTensor,
    settings: Settings,
    run: impl FnOnce(Problem<'_, T>) -> R,
) -> R {
    let targets = indices(targets, classes, settings.ignore_index);
    let targets = targets.as_standard_layout();
    let weight = settings.weighted.then(|| ndarray::contiguous::<T>(weight));
    run(Problem {
        classes,
        targets: targets.as_slice().expect("the targets were put in row-major order"),
        weight: weight.as_ref().map(ndarray::slice),
        settings,
    })
}

fn forward<T: Stored>(
    logits: NdArrayTensor,
    targets: IntTensor<NdArray>,
    weight: NdArrayTensor,
    settings: Settings,
) -> (NdArrayTensor, NdArrayTensor, NdArrayTensor) {
    let logits = ndarray::contiguous::<T>(logits);
    let (rows, classes) = (logits.shape()[0], logits.shape()[1]);
    let (loss, sums, total) = with(classes, targets, weight, settings, |problem| {
        kernel::forward(ndarray::slice(&logits), problem)
    });
    let count = loss.len();
    (
        T::wrap(ndarray::from_vec(loss, &[count])),
        T::wrap(ndarray::from_vec(sums, &[2, rows])),
        T::wrap(ndarray::from_vec(vec![total], &[1])),
    )
}

fn backward<T: Stored>(
    logits: NdArrayTensor,
    [sums, grad]: [NdArrayTensor; 2],
    targets: IntTensor<NdArray>,
    weight: NdArrayTensor,
    settings: Settings,
) -> NdArrayTensor {
    let (mut logits, unique) = ndarray::row_major::<T>(logits);
    let (sums, grad) = (ndarray::contiguous::<T>(sums), ndarray::contiguous::<T>(grad));
    let (sums, grad) = (ndarray::slice(&sums), ndarray::slice(&grad));
    with(logits.shape()[1], targets, weight, settings, |problem| {
        if unique && let Some(storage) = logits.as_slice_mut() {
            // Nobody else holds the logits.
            kernel::backward_into(storage, sums, grad, problem);
            return T::wrap(logits);
        }
        let dx = kernel::backward(ndarray::slice(&logits), sums, grad, problem);
        T::wrap(ndarray::from_vec(dx, logits.shape()))
    })
}
