//! Where the gradient is proven: all options, alone and together, one class, one row, logits of
//! several dimensions, unreduced, empty. The logits' loss is smooth everywhere; its exponentials and
//! logarithms on an adapter are off by 3 + 2|x| units each, for |x| ≤ 6.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_autograd_core::Var;
use burn_autograd_gradcheck::suite::{Case, draw};
use burn_autograd_gradcheck::{Intrinsic, SplitMix64, Subject};

use super::{
    CrossEntropyOptions, Reduction, TensorCrossEntropy, cross_entropy_unreduced, cross_entropy_with,
};

/// The options as data: a weight lives on a device.
#[derive(Debug, Clone, Default)]
struct Plan {
    reduction: Option<Reduction>,
    weighted: bool,
    ignore_index: Option<i64>,
    label_smoothing: f64,
}

impl Plan {
    fn options(&self, classes: usize, dtype: DType, device: &Device) -> CrossEntropyOptions {
        let weight: Vec<f64> = (0..classes).map(|class| 0.5 + 0.375 * class as f64).collect();
        let device = device.clone().inner();
        CrossEntropyOptions {
            reduction: self.reduction.unwrap_or_default(),
            weight: self
                .weighted
                .then(|| Tensor::from_data(TensorData::new(weight, [classes]), (&device, dtype))),
            ignore_index: self.ignore_index,
            label_smoothing: self.label_smoothing,
        }
    }
}

fn targets<const DT: usize>(shape: [usize; DT], data: &[i64], device: Device) -> Tensor<DT, Int> {
    Tensor::from_data(TensorData::new(data.to_vec(), shape), &device.inner())
}

fn case<const D: usize, const DT: usize>(
    random: &mut SplitMix64,
    shape: [usize; D],
    plan: Plan,
) -> Case {
    let inputs = draw(random, &[&shape], (-3.0, 3.0), &[], 0.0);
    let places: [usize; DT] = std::array::from_fn(|dim| shape[if dim == 0 { 0 } else { dim + 1 }]);
    let classes = shape[1].max(1) as u64;
    let data: Vec<i64> = (0..places.iter().product::<usize>())
        .map(|row| match plan.ignore_index {
            Some(index) if row % 3 == 1 => index,
            ignored => {
                let drawn = random.next_u64() % classes;
                // If all were ignored, the mean would be that of nothing.
                let shifted = row == 0 && ignored == Some(drawn as i64);
                ((drawn + u64::from(shifted)) % classes) as i64
            }
        })
        .collect();
    let name = format!("{shape:?} {plan:?}");
    let reduced = plan.reduction.is_some();
    let at = move |dtype: DType, device: Device| {
        let options = plan.options(shape[1], dtype, &device);
        (targets::<DT>(places, &data, device), options)
    };
    let case = |subject: Subject, product: Subject| {
        Case::new("cross_entropy", name, subject, inputs).vjp(product)
    };
    let on_variables = at.clone();
    let case = if reduced {
        let function = move |x: Tensor<D>| {
            let (targets, options) = at(x.dtype(), x.device());
            cross_entropy_with(x, targets, &options)
        };
        let on_variables = move |x: Var| {
            let (targets, options) = on_variables(x.dtype(), Device::new(x.device()));
            x.cross_entropy(targets, &options)
        };
        case(Subject::new(function), Subject::derivative::<Tensor<D>, Tensor<1>>(on_variables, 2))
    } else {
        let function = move |x: Tensor<D>| {
            let (targets, options) = at(x.dtype(), x.device());
            cross_entropy_unreduced(x, targets, &options)
        };
        let on_variables = move |x: Var| {
            let (targets, options) = on_variables(x.dtype(), Device::new(x.device()));
            x.cross_entropy_unreduced(targets, &options)
        };
        case(Subject::new(function), Subject::derivative::<Tensor<D>, Tensor<DT>>(on_variables, 2))
    };
    // A gradient is a probability minus what the target says, which may cancel. Of a probability: the
    // difference to the maximum is below 6 and rounded, 6 half-units of its exponential, which has 4
    // itself; as much again for the sum of them; then a quotient, a difference, three weights and the
    // sum over the classes: 32 in all.
    case.intrinsics(&[Intrinsic::Exp, Intrinsic::Log]).roundings(32.0)
}

/// The cases of this operation.
pub(crate) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    let mean = Plan { reduction: Some(Reduction::Mean), ..Plan::default() };
    let sum = Plan { reduction: Some(Reduction::Sum), ..Plan::default() };
    let all =
        Plan { weighted: true, ignore_index: Some(-100), label_smoothing: 0.125, ..mean.clone() };
    vec![
        case::<2, 1>(random, [2, 3], mean.clone()),
        case::<2, 1>(random, [1, 4], mean.clone()),
        case::<2, 1>(random, [3, 1], mean.clone()),
        case::<2, 1>(random, [5, 4], sum.clone()),
        case::<2, 1>(random, [4, 3], Plan::default()),
        case::<2, 1>(random, [4, 3], Plan { weighted: true, ..mean.clone() }),
        case::<2, 1>(random, [4, 3], Plan { ignore_index: Some(1), ..mean.clone() }),
        case::<2, 1>(random, [4, 3], Plan { label_smoothing: 0.25, ..mean.clone() }),
        case::<2, 1>(random, [4, 3], Plan { label_smoothing: 0.25, weighted: true, ..sum.clone() }),
        case::<2, 1>(random, [2, 35], all.clone()),
        case::<2, 1>(random, [5, 4], Plan { reduction: None, ..all.clone() }),
        case::<3, 2>(random, [2, 3, 4], mean.clone()),
        case::<3, 2>(random, [2, 3, 2], all.clone()),
        case::<3, 2>(random, [2, 3, 2], Plan::default()),
        case::<4, 3>(random, [1, 2, 3, 2], all),
        case::<2, 1>(random, [0, 3], sum),
        case::<2, 1>(random, [0, 3], Plan::default()),
    ]
}
