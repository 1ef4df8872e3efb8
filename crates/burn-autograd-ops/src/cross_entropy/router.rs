//! On Burn's remote devices, and as nodes of a captured graph.

use burn::backend::TensorMetadata;
use burn::backend::ir::{BackendIr, CustomOpIr, HandleContainer, ScalarIr};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::Shape;
use burn_router::{BackendRouter, CustomOpRegistry, RouterChannel};

use super::{CrossEntropyOps, Reduction, Settings, wide};
use crate::support::router::{like, send};

const LOSS: &str = "burn_autograd::cross_entropy";
const ROWS: &str = "burn_autograd::cross_entropy_rows";
const BACKWARD: &str = "burn_autograd::cross_entropy_rows_backward";

/// In the order in which the operations have them.
type Numbers = (bool, bool, i64, f64);

fn encode((weighted, ignores, ignore_index, label_smoothing): Numbers) -> Vec<ScalarIr> {
    vec![
        ScalarIr::Bool(weighted),
        ScalarIr::Bool(ignores),
        ScalarIr::Int(ignore_index),
        ScalarIr::Float(label_smoothing),
    ]
}

fn decode(scalars: &[ScalarIr]) -> Numbers {
    (scalars[0].elem(), scalars[1].elem(), scalars[2].elem(), scalars[3].elem())
}

/// The same, and what becomes of the losses of the rows: whether they are reduced, and whether to the
/// mean.
fn encode_settings(settings: Settings) -> Vec<ScalarIr> {
    let reduced = settings.reduction.is_some();
    let mean = settings.reduction == Some(Reduction::Mean);
    let mut numbers = encode(settings.rows());
    numbers.extend([ScalarIr::Bool(reduced), ScalarIr::Bool(mean)]);
    numbers
}

fn decode_settings(scalars: &[ScalarIr]) -> Settings {
    let (weighted, ignores, ignore_index, label_smoothing) = decode(scalars);
    let (reduced, mean): (bool, bool) = (scalars[4].elem(), scalars[5].elem());
    let reduction = reduced.then_some(if mean { Reduction::Mean } else { Reduction::Sum });
    Settings { reduction, ..Settings::of_rows(weighted, ignores, ignore_index, label_smoothing) }
}

/// Tells captured code what the loss is: that of the logits, with targets and class weights as constants.
#[cfg(all(feature = "capture", feature = "autodiff"))]
fn replay() {
    use burn::backend::Dispatch;
    use burn_autograd_core::{Index, OrPanic as _, Var, apply_rule, capture_operation, check};

    use super::{CrossEntropy, OPERATION};

    capture_operation(LOSS, |floats, ints, scalars| {
        let [logits, weight]: [Var; 2] = floats.try_into().ok()?;
        let [targets]: [Index; 1] = ints.try_into().ok()?;
        check::transcendental(OPERATION, "logits", logits.detach().primitive()).or_panic();
        let settings = decode_settings(scalars);
        let rule = CrossEntropy::<Dispatch> {
            targets: targets.into_primitive(),
            // Where there are no weights, any tensor was recorded in their place.
            weight: settings
                .weighted
                .then(|| weight.detach().into_tensor::<1>().inner().into_dispatch()),
            settings,
        };
        let [loss] = apply_rule::<Dispatch, _, 1, 1>(&rule, [logits]);
        Some(vec![loss])
    });
}

impl<C: RouterChannel> CrossEntropyOps for BackendRouter<C> {
    fn cross_entropy(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weight: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        #[cfg(all(feature = "capture", feature = "autodiff"))]
        replay();
        let count = if settings.reduction.is_some() { 1 } else { logits.shape()[0] };
        let loss = (Shape::new([count]), logits.dtype());
        let [loss] = send(LOSS, [logits, targets, weight], [loss], encode_settings(settings));
        loss
    }

    fn cross_entropy_rows(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weight: FloatTensor<Self>,
        weighted: bool,
        ignores: bool,
        ignore_index: i64,
        label_smoothing: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (rows, dtype) = (logits.shape()[0], wide(logits.dtype()));
        let row = || (Shape::new([rows]), dtype);
        let outputs = [row(), (Shape::new([2, rows]), dtype), row()];
        let numbers = encode((weighted, ignores, ignore_index, label_smoothing));
        let [losses, sums, weights] = send(ROWS, [logits, targets, weight], outputs, numbers);
        (losses, sums, weights)
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
        let dx = like(&logits);
        let numbers = encode((weighted, ignores, ignore_index, label_smoothing));
        let [dx] = send(BACKWARD, [logits, sums, targets, weight, grad], [dx], numbers);
        dx
    }
}

fn loss<B: BackendIr + CrossEntropyOps>(
    handles: &mut HandleContainer<B::Handle>,
    operation: &CustomOpIr,
) {
    let ([logits, targets, weight], [output]) = operation.as_fixed::<3, 1>();
    let loss = B::cross_entropy(
        handles.get_float_tensor::<B>(logits),
        handles.get_int_tensor::<B>(targets),
        handles.get_float_tensor::<B>(weight),
        decode_settings(&operation.scalars),
    );
    handles.register_float_tensor::<B>(&output.id, loss);
}

fn rows<B: BackendIr + CrossEntropyOps>(
    handles: &mut HandleContainer<B::Handle>,
    operation: &CustomOpIr,
) {
    let ([logits, targets, weight], outputs) = operation.as_fixed::<3, 3>();
    let (weighted, ignores, ignore_index, label_smoothing) = decode(&operation.scalars);
    let (losses, sums, weights) = B::cross_entropy_rows(
        handles.get_float_tensor::<B>(logits),
        handles.get_int_tensor::<B>(targets),
        handles.get_float_tensor::<B>(weight),
        weighted,
        ignores,
        ignore_index,
        label_smoothing,
    );
    for (output, tensor) in outputs.iter().zip([losses, sums, weights]) {
        handles.register_float_tensor::<B>(&output.id, tensor);
    }
}

fn backward<B: BackendIr + CrossEntropyOps>(
    handles: &mut HandleContainer<B::Handle>,
    operation: &CustomOpIr,
) {
    let ([logits, sums, targets, weight, grad], [output]) = operation.as_fixed::<5, 1>();
    let (weighted, ignores, ignore_index, label_smoothing) = decode(&operation.scalars);
    let dx = B::cross_entropy_rows_backward(
        handles.get_float_tensor::<B>(logits),
        handles.get_float_tensor::<B>(sums),
        handles.get_int_tensor::<B>(targets),
        handles.get_float_tensor::<B>(weight),
        handles.get_float_tensor::<B>(grad),
        weighted,
        ignores,
        ignore_index,
        label_smoothing,
    );
    handles.register_float_tensor::<B>(&output.id, dx);
}

/// Tells a server how to run these operations.
pub(crate) fn register<B: BackendIr + CrossEntropyOps>(registry: &mut CustomOpRegistry<B>) {
    registry.register(LOSS, |handles, operation, _| loss::<B>(handles, operation));
    registry.register(ROWS, |handles, operation, _| rows::<B>(handles, operation));
    registry.register(BACKWARD, |handles, operation, _| backward::<B>(handles, operation));
}
