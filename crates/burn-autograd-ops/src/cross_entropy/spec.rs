//! Forward and backward in Burn's own operations.

use burn::backend::tensor::{BoolTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata, get_device_settings};
use burn::tensor::{DType, Shape};
use burn_autograd_core::{Index, Mask, Var, empty};

use super::arguments::holds;
use super::{Reduction, Settings, wide};
use crate::support::cast;

/// What the targets of the rows say.
struct Targets<B: Backend> {
    /// The class, `[n, 1]`; 0 where there is none.
    class: Index<B>,
    /// The same, `[n]`.
    flat: Index<B>,
    /// Which rows are ignored, `[n]`.
    ignored: Option<Mask<B>>,
    /// Which rows name no class and are not ignored, `[n]`.
    unknown: Mask<B>,
}

impl<B: Backend> Targets<B> {
    fn new(targets: IntTensor<B>, classes: usize, settings: Settings) -> Self {
        let dtype = targets.dtype();
        let bools = get_device_settings::<B>(&targets.device()).bool_dtype;
        let ignored: Option<BoolTensor<B>> = settings
            .ignore_index
            .filter(|index| holds(dtype, *index))
            .map(|index| B::int_equal_elem(targets.clone(), index.into(), bools));
        let below = B::int_lower_elem(targets.clone(), 0.into(), bools);
        let outside = match i64::try_from(classes) {
            Ok(classes) if holds(dtype, classes) => {
                let above = B::int_greater_equal_elem(targets.clone(), classes.into(), bools);
                B::bool_or(below, above)
            }
            _ => below,
        };
        let unknown = match &ignored {
            Some(ignored) => B::bool_and(outside.clone(), B::bool_not(ignored.clone())),
            None => outside.clone(),
        };
        let none = match &ignored {
            Some(ignored) => B::bool_or(outside, ignored.clone()),
            None => outside,
        };
        let class = B::int_mask_fill(targets, none, 0.into());
        let rows = class.shape().num_elements();
        Self {
            class: Index::new(B::int_reshape(class.clone(), Shape::new([rows, 1]))),
            flat: Index::new(class),
            ignored: ignored.map(Mask::new),
            unknown: Mask::new(unknown),
        }
    }

    /// The logits, with zeros in the rows that are ignored: whatever stands there, no value and no
    /// derivative depends on it.
    fn read(&self, x: Var<B>) -> Var<B> {
        let Some(ignored) = &self.ignored else { return x };
        let column = Shape::new([x.shape()[0], 1]);
        x.mask_fill(&Mask::new(B::bool_reshape(ignored.clone().into_primitive(), column)), 0.0)
    }

    /// 0 where the row is ignored, NaN where it has no class.
    fn mask(&self, x: Var<B>) -> Var<B> {
        let x = match &self.ignored {
            Some(ignored) => x.mask_fill(ignored, 0.0),
            None => x,
        };
        x.mask_fill(&self.unknown, f64::NAN)
    }

    /// The weight of each row's class, `[n, 1]`; 1 if there are none.
    fn weights(&self, weight: Option<&Var<B>>, like: &Var<B>) -> Var<B> {
        let rows = like.shape()[0];
        match weight {
            Some(weight) => weight.select(0, &self.flat).reshape([rows, 1]),
            None => like.full([rows, 1], 1.0),
        }
    }
}

/// The losses, `[n]`; the maximum of each row and its Σ eˣ⁻ᵐ, `[2, n]`; the weights in the mean, `[n]`.
pub(super) fn rows<B: Backend>(
    logits: &Var<B>,
    targets: IntTensor<B>,
    weight: Option<Var<B>>,
    settings: Settings,
) -> [Var<B>; 3] {
    let x = cast(logits, wide(logits.dtype()));
    let (count, classes) = (x.shape()[0], x.shape()[1]);
    if count == 0 || classes == 0 {
        let none = x.full([count], 0.0);
        let losses = match count {
            0 => none.clone(),
            // No target is a class.
            _ => Targets::<B>::new(targets, classes, settings).mask(none.clone()),
        };
        return [losses.clone(), x.full([2, count], 0.0), losses];
    }
    let weight = weight.map(|weight| cast(&weight, x.dtype()));
    let targets = Targets::new(targets, classes, settings);
    let x = targets.read(x);
    // The shift cancels: a constant will do.
    let max = x.max_dim(1).detach();
    let shifted = &x - &max;
    let sums = shifted.exp().sum_dim(1);
    let logs = sums.log();
    let epsilon = settings.label_smoothing;
    let weights = targets.weights(weight.as_ref(), &x);
    let mut losses = (&logs - shifted.gather(1, &targets.class)) * &weights * (1.0 - epsilon);
    if epsilon != 0.0 {
        let smooth = match &weight {
            Some(weight) => ((&logs - &shifted) * weight.reshape([1, classes])).sum_dim(1),
            None => (&logs - &shifted).sum_dim(1),
        };
        losses = losses + smooth * (epsilon / classes as f64);
    }
    let sums = Var::cat(&[max.reshape([1, count]), sums.reshape([1, count])], 0);
    let flat = |x: Var<B>| targets.mask(x.reshape([count]));
    [flat(losses), sums, flat(weights)]
}

/// The loss in a data type, and what the sum was divided by, `[1]`.
pub(super) fn reduce<B: Backend>(
    losses: Var<B>,
    weights: &Var<B>,
    settings: Settings,
    dtype: DType,
) -> (Var<B>, Var<B>) {
    if losses.shape().num_elements() == 0 {
        return reduce_nothing(weights, settings, dtype);
    }
    let (loss, total) = match settings.reduction {
        None => (losses, weights.full([1], 1.0)),
        Some(Reduction::Sum) => (losses.sum(), weights.full([1], 1.0)),
        Some(Reduction::Mean) => {
            let total = weights.sum();
            (losses.sum() / &total, total)
        }
    };
    (cast(&loss, dtype), total)
}

/// The same without rows: 0 is the sum, and 0 ÷ 0 the mean.
fn reduce_nothing<B: Backend>(
    weights: &Var<B>,
    settings: Settings,
    dtype: DType,
) -> (Var<B>, Var<B>) {
    let (size, loss, total) = match settings.reduction {
        None => (0, 0.0, 1.0),
        Some(Reduction::Sum) => (1, 0.0, 1.0),
        Some(Reduction::Mean) => (1, f64::NAN, 0.0),
    };
    let constant = |size: usize, value: f64, dtype: DType| {
        Var::new(empty::constant::<B>(Shape::new([size]), value, dtype, &weights.device()))
    };
    (constant(size, loss, dtype), constant(1, total, weights.dtype()))
}

/// What the mean divides by, `[1]`. It does not depend on the logits' values.
pub(super) fn total<B: Backend>(
    logits: &Var<B>,
    targets: IntTensor<B>,
    weight: Option<Var<B>>,
    settings: Settings,
) -> Var<B> {
    let like = logits.detach().full([1, 1], 1.0);
    let like = cast(&like, wide(like.dtype()));
    let (count, classes) = (logits.shape()[0], logits.shape()[1]);
    if count == 0 || classes == 0 {
        return like.reshape([1]);
    }
    let weight = weight.map(|weight| cast(&weight, like.dtype()));
    let targets = Targets::new(targets, classes, settings);
    let weights = targets.weights(weight.as_ref(), &like.expand([count, 1]));
    targets.mask(weights.reshape([count])).sum()
}

/// The gradient of each row's loss, `[n]`, in the data type of the sums.
pub(super) fn row_gradients<B: Backend>(
    grad: &Var<B>,
    total: Option<&Var<B>>,
    rows: usize,
    settings: Settings,
) -> Var<B> {
    if rows == 0 {
        let (dtype, device) = (wide(grad.dtype()), grad.device());
        return Var::new(empty::constant::<B>(Shape::new([0]), 0.0, dtype, &device));
    }
    let grad = cast(grad, wide(grad.dtype()));
    match (settings.reduction, total) {
        (None, _) => grad,
        (Some(Reduction::Mean), Some(total)) => (grad / total).expand([rows]),
        (Some(_), _) => grad.expand([rows]),
    }
}

/// The gradient of the logits, from that of each row's loss, `[n]`.
pub(super) fn gradient<B: Backend>(
    logits: &Var<B>,
    targets: IntTensor<B>,
    weight: Option<Var<B>>,
    grad: &Var<B>,
    settings: Settings,
) -> Var<B> {
    let x = cast(logits, wide(logits.dtype()));
    let (count, classes) = (x.shape()[0], x.shape()[1]);
    if count == 0 || classes == 0 {
        return logits.zeros_like();
    }
    let weight = weight.map(|weight| cast(&weight, x.dtype()));
    let targets = Targets::new(targets, classes, settings);
    let x = targets.read(x);
    let grad = targets.mask(grad.clone()).reshape([count, 1]);
    let epsilon = settings.label_smoothing;
    let at_target = targets.weights(weight.as_ref(), &x) * (1.0 - epsilon);
    let (all, each) = match &weight {
        Some(weight) => (weight.sum().reshape([1, 1]), weight.reshape([1, classes])),
        None => (x.full([1, 1], classes as f64), x.full([1, 1], 1.0)),
    };
    let scale = &at_target + all * (epsilon / classes as f64);
    let mut dx = x.softmax(1) * (&grad * scale);
    if epsilon != 0.0 {
        dx = dx - &grad * (each * (epsilon / classes as f64));
    }
    let dx = dx.scatter_add(1, &targets.class, &-(grad * at_target));
    cast(&dx, logits.dtype())
}
