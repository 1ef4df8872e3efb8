//! The CubeCL kernels: a cube for each row sums it up in one pass over its logits, and one launch over
//! all logits reads them once more and writes the gradient. With Burn's fusion they are queued like its
//! own operations.
#![allow(
    clippy::collapsible_if,
    clippy::manual_swap,
    clippy::assign_op_pattern,
    reason = "in the language of the kernels conditions are not short-circuited, and there is no swap"
)]

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, Shape};
use burn_autograd_core::Var;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::arguments::holds;
use super::{CrossEntropyOps, Settings, spec, wide};

/// The most units that share a row.
const UNITS: usize = 256;

/// Which of the options a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Options {
    weighted: bool,
    smooth: bool,
    ignore: bool,
    /// Whether the targets' type holds the number of classes.
    bounded: bool,
}

/// The sum, or the maximum, of what every unit of the cube holds. The number of units is a power of
/// two.
#[cube]
fn reduce<A: Float>(shared: &mut Shared<[A]>, value: A, #[comptime] maximum: bool) -> A {
    sync_cube();
    shared[UNIT_POS as usize] = value;
    sync_cube();
    let mut half = CUBE_DIM / 2;
    while half > 0 {
        if UNIT_POS < half {
            let mine = shared[UNIT_POS as usize];
            let other = shared[(UNIT_POS + half) as usize];
            if comptime!(maximum) {
                shared[UNIT_POS as usize] = select(other > mine, other, mine);
            } else {
                shared[UNIT_POS as usize] = mine + other;
            }
        }
        sync_cube();
        half /= 2;
    }
    shared[0]
}

/// a·b, and 0 where a is, whatever b is.
#[cube]
fn product<A: Float>(a: A, b: A) -> A {
    let zero = A::from_int(0);
    select(a == zero, zero, a * b)
}

/// 0 for a class, 1 for an ignored row, 2 for what is no class.
#[cube]
fn kind<I: Int>(target: I, classes: usize, ignored: I, #[comptime] options: Options) -> u32 {
    let mut kind = 0u32;
    if target < I::from_int(0) {
        kind = 2u32;
    }
    if comptime!(options.bounded) {
        if target >= I::cast_from(classes) {
            kind = 2u32;
        }
    }
    if comptime!(options.ignore) {
        if target == ignored {
            kind = 1u32;
        }
    }
    kind
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn rows_kernel<F: Float, A: Float, I: Int>(
    logits: &Tensor<F>,
    targets: &Tensor<I>,
    weight: &Tensor<F>,
    losses: &mut Tensor<A>,
    sums: &mut Tensor<A>,
    weights: &mut Tensor<A>,
    rows: usize,
    classes: usize,
    epsilon: InputScalar,
    nan: InputScalar,
    ignored: InputScalar,
    #[comptime] units: usize,
    #[comptime] options: Options,
    #[define(F, A, I)] _dtypes: [ElemType; 3],
) {
    // A cube beyond the last row repeats it and writes nothing, because all units of a cube have to
    // meet at its barriers.
    let row = select(CUBE_POS < rows, CUBE_POS, rows - 1);
    let base = row * classes;
    let mut shared = Shared::<[A]>::new_slice(units);

    // Relative to the unit's maximum so far, and rescaled when that rises. It starts at the lowest finite
    // number, from which −∞ can be subtracted.
    let mut largest = A::min_value();
    let mut sum = A::from_int(0);
    let mut dot = A::from_int(0);
    let mut all = A::from_int(0);
    let mut k = UNIT_POS as usize;
    while k < classes {
        let x = A::cast_from(logits[base + k]);
        let rises = x > largest;
        // Of the logit if the maximum stays, of the sums if it rises: one exponential for both.
        let shift = select(rises, largest - x, x - largest);
        let ratio = shift.exp();
        sum = select(rises, sum * ratio + A::from_int(1), sum + ratio);
        if comptime!(options.smooth) {
            let mut w = A::from_int(1);
            if comptime!(options.weighted) {
                w = A::cast_from(weight[k]);
            }
            let lowered = product::<A>(all, shift);
            dot += select(rises, lowered, w * shift);
            all += w;
        }
        largest = select(rises, x, largest);
        k += units;
    }
    // From the unit's maximum to the row's. A unit without logits adds nothing.
    let max = reduce::<A>(&mut shared, largest, true);
    let shift = largest - max;
    let scaled = sum * shift.exp();
    let sum = reduce::<A>(&mut shared, scaled, false);
    if comptime!(options.smooth) {
        let lowered = dot + product::<A>(all, shift);
        dot = reduce::<A>(&mut shared, lowered, false);
        all = reduce::<A>(&mut shared, all, false);
    }

    if UNIT_POS == 0 && CUBE_POS < rows {
        let target = targets[row];
        let kind = kind::<I>(target, classes, ignored.get::<I>(), options);
        // The maximum alone adds 1, so that there is less only where every logit is −∞.
        let sum = select(sum < A::new(0.5), nan.get::<A>(), sum);
        let mut loss = A::from_int(0);
        let mut w = A::from_int(0);
        if kind == 2 {
            loss = nan.get::<A>();
            w = nan.get::<A>();
        }
        if kind == 0 {
            let class = u32::cast_from(target) as usize;
            w = A::from_int(1);
            if comptime!(options.weighted) {
                w = A::cast_from(weight[class]);
            }
            let log = sum.ln();
            let one = A::from_int(1);
            loss = log - (A::cast_from(logits[base + class]) - max);
            if comptime!(options.smooth) {
                let epsilon = epsilon.get::<A>();
                loss = (one - epsilon) * w * loss
                    + epsilon / A::cast_from(classes) * (all * log - dot);
            } else {
                loss *= w;
            }
        }
        losses[row] = loss;
        weights[row] = w;
        sums[row] = max;
        sums[rows + row] = sum;
    }
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn gradient_kernel<F: Float, A: Float, I: Int>(
    logits: &Tensor<F>,
    sums: &Tensor<A>,
    targets: &Tensor<I>,
    weight: &Tensor<A>,
    grad: &Tensor<A>,
    dx: &mut Tensor<F>,
    rows: usize,
    classes: usize,
    epsilon: InputScalar,
    nan: InputScalar,
    ignored: InputScalar,
    #[comptime] options: Options,
    #[define(F, A, I)] _dtypes: [ElemType; 3],
) {
    if ABSOLUTE_POS >= rows * classes {
        terminate!();
    }
    let row = ABSOLUTE_POS / classes;
    let k = ABSOLUTE_POS % classes;
    let target = targets[row];
    let kind = kind::<I>(target, classes, ignored.get::<I>(), options);
    let mut value = A::from_int(0);
    if kind == 2 {
        value = nan.get::<A>();
    }
    if kind == 0 {
        let class = u32::cast_from(target) as usize;
        let one = A::from_int(1);
        let g = grad[row];
        let mut at_target = one;
        if comptime!(options.weighted) {
            at_target = weight[class];
        }
        let p = (A::cast_from(logits[ABSOLUTE_POS]) - sums[row]).exp() / sums[rows + row];
        if comptime!(options.smooth) {
            let epsilon = epsilon.get::<A>();
            at_target *= one - epsilon;
            let mut each = epsilon / A::cast_from(classes);
            let mut all = epsilon;
            if comptime!(options.weighted) {
                // Behind the weights stands their sum.
                all = each * weight[classes];
                each *= weight[k];
            }
            value = g * ((at_target + all) * p - each);
        } else {
            value = g * (at_target * p);
        }
        if k == class {
            value -= g * at_target;
        }
    }
    dx[ABSOLUTE_POS] = F::cast_from(value);
}

/// The data types that a kernel is compiled for, and the options; the ignored index as far as the
/// targets' type can hold it.
struct Setting {
    dtypes: [ElemType; 3],
    epsilon: InputScalar,
    nan: InputScalar,
    ignored: InputScalar,
    options: Options,
}

impl Setting {
    fn new(logits: DType, targets: DType, classes: usize, settings: Settings) -> Self {
        let dtypes = [logits, wide(logits), targets].map(dtype_to_storage_type);
        let held = settings.ignore_index.filter(|index| holds(targets, *index));
        Self {
            dtypes,
            epsilon: InputScalar::new(settings.label_smoothing, dtypes[1]),
            nan: InputScalar::new(f64::NAN, dtypes[1]),
            ignored: InputScalar::new(held.unwrap_or(0), dtypes[2]),
            options: Options {
                weighted: settings.weighted,
                smooth: settings.label_smoothing != 0.0,
                ignore: held.is_some(),
                bounded: i64::try_from(classes).is_ok_and(|classes| holds(targets, classes)),
            },
        }
    }
}

fn is_empty(tensor: &CubeTensor) -> bool {
    tensor.shape().num_elements() == 0
}

impl CrossEntropyOps for CubeBackend {
    fn cross_entropy_rows(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weight: FloatTensor<Self>,
        weighted: bool,
        ignores: bool,
        ignore_index: i64,
        label_smoothing: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let settings = Settings::of_rows(weighted, ignores, ignore_index, label_smoothing);
        if is_empty(&logits) {
            let weight = settings.weighted.then(|| Var::new(weight));
            let rows = spec::rows::<Self>(&Var::new(logits), targets, weight, settings);
            let [losses, sums, weights] = rows.map(Var::into_primitive);
            return (losses, sums, weights);
        }
        let (logits, targets) = (into_contiguous(logits), into_contiguous(targets));
        let weight = if settings.weighted { into_contiguous(weight) } else { logits.clone() };
        let (client, shape) = (logits.client.clone(), logits.shape());
        let (rows, classes) = (shape[0], shape[1]);
        let new = |shape: Shape| {
            empty_device_dtype(client.clone(), logits.device.clone(), shape, wide(logits.dtype))
        };
        let (losses, weights) = (new(Shape::new([rows])), new(Shape::new([rows])));
        let sums = new(Shape::new([2, rows]));
        let most = client.properties().hardware.max_cube_dim.0 as usize;
        // A power of two.
        let units = classes.next_power_of_two().min(UNITS).min(1 << most.max(1).ilog2());
        let cube_dim = CubeDim::new_1d(units as u32);
        let setting = Setting::new(logits.dtype, targets.dtype, shape[1], settings);
        // SAFETY: the rows and classes are those of the logits; every position that is read or written
        // lies below them.
        unsafe {
            rows_kernel::launch_unchecked(
                &client,
                calculate_cube_count_elemwise(&client, rows * units, cube_dim),
                cube_dim,
                logits.required_address_type(),
                logits.into_tensor_arg(),
                targets.into_tensor_arg(),
                weight.into_tensor_arg(),
                losses.clone().into_tensor_arg(),
                sums.clone().into_tensor_arg(),
                weights.clone().into_tensor_arg(),
                rows,
                classes,
                setting.epsilon,
                setting.nan,
                setting.ignored,
                units,
                setting.options,
                setting.dtypes,
            );
        }
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
        let settings = Settings::of_rows(weighted, ignores, ignore_index, label_smoothing);
        if is_empty(&logits) {
            return logits;
        }
        let [logits, sums, targets, grad] = [logits, sums, targets, grad].map(into_contiguous);
        let weight = if settings.weighted {
            let weight = Self::float_cast(weight, wide(logits.dtype).into());
            let sum = Self::float_sum(weight.clone());
            into_contiguous(Self::float_cat(vec![weight, sum], 0))
        } else {
            grad.clone()
        };
        let (client, shape) = (logits.client.clone(), logits.shape());
        let dx = crate::support::cube::empty_like(&logits, shape.clone());
        let units = shape.num_elements();
        let cube_dim = CubeDim::new(&client, units);
        let setting = Setting::new(logits.dtype, targets.dtype, shape[1], settings);
        // SAFETY: the rows and classes are those of the logits; the kernel checks its position against
        // them.
        unsafe {
            gradient_kernel::launch_unchecked(
                &client,
                calculate_cube_count_elemwise(&client, units, cube_dim),
                cube_dim,
                logits.required_address_type(),
                logits.into_tensor_arg(),
                sums.into_tensor_arg(),
                targets.into_tensor_arg(),
                weight.into_tensor_arg(),
                grad.into_tensor_arg(),
                dx.clone().into_tensor_arg(),
                shape[0],
                shape[1],
                setting.epsilon,
                setting.nan,
                setting.ignored,
                setting.options,
                setting.dtypes,
            );
        }
        dx
    }
}
