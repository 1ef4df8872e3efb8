//! Cross entropy between logits and class indices, as `torch.nn.functional.cross_entropy`.
//!
//! With p the softmax of a row x of c logits, t its target, w the weight of each class (1 if there
//! are none) and ε the label smoothing, the row's loss is
//!
//! l = −(1 − ε)·wₜ·ln pₜ − ε/c · Σₖ wₖ·ln pₖ,
//!
//! and 0 where t is the ignored index. The mean is Σ l ÷ Σ wₜ over the rows that are not ignored. With
//! g the gradient of l, and δ 1 for the target and 0 for the other classes,
//!
//! x̄ₖ = g·(((1 − ε)·wₜ + ε/c · Σⱼ wⱼ)·pₖ − (1 − ε)·wₜ·δₖ − ε/c · wₖ).
//!
//! - **Domain**: all real numbers, of any size; smooth everywhere. A logit of −∞ is a class of
//!   probability 0: its loss is ∞, its gradient as the formula says. A row with NaN or +∞, or with
//!   nothing but −∞, has a loss and gradients of NaN, as in PyTorch. Adapters may assume that there
//!   is no NaN and no ∞, so that this holds on the CPU backends only.
//! - **Shapes**: logits `[n, c]` or `[n, c, d₁, …]`, targets `[n]` or `[n, d₁, …]`. The mean and the sum
//!   have one element (Burn has no rank 0), the unreduced losses the targets' shape. Of an empty
//!   batch, or one that is ignored as a whole, the sum is 0, and the mean 0 ÷ 0 = NaN, as in PyTorch.
//! - **Targets**: any integer type. One that is no class and not ignored is an error that names its
//!   row (counted over all dimensions of the targets), on the CPU backends always. A GPU would have to be
//!   waited for: there the `try_` forms do that, and the others give NaN for the row, for the mean and
//!   for the row's gradient.
//! - **Class weights** are constants: no gradient flows to them.
//! - **Data types**: the float types that the device computes with; `f16` and `bf16` are computed in
//!   `f32`, and rounded once. Kernels: `f32` and `f64` on Flex and NdArray, every float type of the
//!   adapter on wgpu, cuda, rocm, metal. Not `f64` on wgpu, whose languages have no exponential of it.
//! - **Accuracy**: on Flex and NdArray in `f32`, for logits within ±10, loss and gradient are within 22
//!   units in the last place, and the gradient at the target, which is a difference, within 10⁻⁷·g
//!   (tested against `f64`; found: 4, 19 and 6·10⁻⁸·g). What counts is that x − m is rounded, by up to
//!   half a unit of 16, and that eˣ⁻ᵐ is off by as much. Sums run in `f64`; a loss far below 1 is as accurate as any other.
//! - **Cost**: logits are read once for the loss, and once more for the gradient, which is written
//!   once, over the logits where nobody else holds them. There is no matrix of ones and zeros. Logits
//!   of more than two dimensions are first put in the order `[n, d₁, …, c]`.
//! - **Saved**: the logits, through Burn's checkpointer, and two numbers for each row: its maximum m and
//!   Σ eˣ⁻ᵐ.

mod backward;
#[cfg(feature = "check")]
pub(crate) mod check;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod kernel;
mod module;
#[cfg(feature = "ndarray")]
mod ndarray;
#[cfg(feature = "router")]
pub(crate) mod router;
mod spec;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, DispatchTensor, TensorMetadata, backend_extension};
use burn::config::Config;
use burn::tensor::{DType, Int, Tensor};
use burn_autograd_core::{Error, ErrorKind, Var, apply_rule, check as arguments};

pub use module::{CrossEntropyLoss, CrossEntropyLossConfig};

const OPERATION: &str = "cross_entropy";

/// What becomes of the losses of the rows.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Σ l ÷ Σ wₜ over the rows that are not ignored; the default.
    Mean,
    /// Σ l.
    Sum,
}

#[expect(clippy::derivable_impls, reason = "Config's derive does not know the attribute `default`")]
impl Default for Reduction {
    fn default() -> Self {
        Self::Mean
    }
}

/// How [`cross_entropy_with`] and [`cross_entropy_unreduced`] compute the loss.
///
/// ```
/// use burn_autograd_ops::cross_entropy::{CrossEntropyOptions, Reduction};
///
/// let options = CrossEntropyOptions { label_smoothing: 0.1, ..Default::default() };
/// assert_eq!(options.reduction, Reduction::Mean);
/// assert!(options.weight.is_none() && options.ignore_index.is_none());
/// ```
#[derive(Debug, Clone, Default)]
pub struct CrossEntropyOptions {
    /// What becomes of the losses of the rows; not read where they are not reduced.
    pub reduction: Reduction,
    /// A weight for each class, a constant; 1 if there are none.
    pub weight: Option<Tensor<1>>,
    /// The target of rows that do not count. None if there is none; PyTorch's is −100 unless it is
    /// said.
    pub ignore_index: Option<i64>,
    /// ε in [0, 1]: the target's share that goes to all classes.
    pub label_smoothing: f64,
}

/// The options that are not tensors, as the backends get them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// What becomes of the losses of the rows; None leaves them.
    pub reduction: Option<Reduction>,
    /// Whether there are class weights.
    pub weighted: bool,
    /// The target of rows that do not count.
    pub ignore_index: Option<i64>,
    /// ε in [0, 1].
    pub label_smoothing: f64,
}

impl Settings {
    /// What concerns single rows, as plain numbers, which Burn sends along with an operation: whether
    /// there are class weights, whether a target is ignored, which one, and the label smoothing.
    fn rows(self) -> (bool, bool, i64, f64) {
        let ignored = self.ignore_index;
        (self.weighted, ignored.is_some(), ignored.unwrap_or_default(), self.label_smoothing)
    }

    /// The settings of single rows, from plain numbers.
    fn of_rows(weighted: bool, ignores: bool, ignore_index: i64, label_smoothing: f64) -> Self {
        let ignore_index = ignores.then_some(ignore_index);
        Self { reduction: None, weighted, ignore_index, label_smoothing }
    }
}

/// The rule of [`cross_entropy`](fn@cross_entropy), for
/// [`differentiate`](burn_autograd_core::differentiate): logits `[n, c]` to the loss.
#[derive(Debug, Clone)]
pub struct CrossEntropy<B: Backend> {
    /// The class of each row, `[n]`.
    pub targets: IntTensor<B>,
    /// The weight of each class, `[c]`, if [`Settings::weighted`] says so.
    pub weight: Option<FloatTensor<B>>,
    /// The options.
    pub settings: Settings,
}

/// The backends' side of [`cross_entropy`](fn@cross_entropy). The default bodies are the specification.
///
/// Logits are `[n, c]`, targets `[n]`. `weight` is `[c]` where [`Settings::weighted`] says so; if not,
/// it is any float tensor, and not read. What is kept for the backward, and what the sums are made of,
/// is `f32` for logits in `f16` and `bf16`, and has the logits' data type otherwise.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Remote: cfg(feature = "remote"),
    Capture: cfg(feature = "capture"),
    Autodiff: cfg(feature = "autodiff"),
    Fusion: cfg(feature = "fusion")
)]
pub trait CrossEntropyOps: Backend {
    /// The loss, `[1]`, or `[n]` if it is not reduced.
    #[fusion(default)]
    fn cross_entropy(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weight: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        let (loss, _, _) = Self::cross_entropy_forward(logits, targets, weight, settings);
        loss
    }

    /// The loss, and what the backward needs: the maximum m of each row and its Σ eˣ⁻ᵐ, `[2, n]`; and
    /// what the sum of the losses was divided by, `[1]`.
    #[fusion(default)]
    fn cross_entropy_forward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weight: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let dtype = logits.dtype();
        let (weighted, ignores, ignore_index, label_smoothing) = settings.rows();
        let (losses, sums, weights) = Self::cross_entropy_rows(
            logits,
            targets,
            weight,
            weighted,
            ignores,
            ignore_index,
            label_smoothing,
        );
        let (loss, total) =
            spec::reduce::<Self>(Var::new(losses), &Var::new(weights), settings, dtype);
        (loss.into_primitive(), sums, total.into_primitive())
    }

    /// The loss of each row, `[n]`; its maximum m and Σ eˣ⁻ᵐ, `[2, n]`; its weight in the mean, `[n]`.
    #[fusion(
        id = "burn_autograd::cross_entropy_rows",
        meta = |logits, _targets, _weight, _weighted, _ignores, _ignore_index, _label_smoothing| {
            let (rows, dtype) = (logits.shape[0], wide(logits.dtype));
            let spec = |shape| burn::backend::fusion::custom::TensorSpec::new(shape, dtype);
            (spec(burn::tensor::Shape::new([rows])), spec(burn::tensor::Shape::new([2, rows])), spec(burn::tensor::Shape::new([rows])))
        }
    )]
    #[allow(
        clippy::too_many_arguments,
        reason = "plain numbers, which Burn sends along with the operation"
    )]
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
        let rows = spec::rows::<Self>(
            &Var::new(logits),
            targets,
            settings.weighted.then(|| Var::new(weight)),
            settings,
        );
        let [losses, sums, weights] = rows.map(Var::into_primitive);
        (losses, sums, weights)
    }

    /// The gradient of the logits, from that of each row's loss, `[n]`, and the `[2, n]` of the forward.
    #[fusion(
        id = "burn_autograd::cross_entropy_rows_backward",
        dtype = logits,
        shape = logits
    )]
    #[allow(
        clippy::too_many_arguments,
        reason = "plain numbers, which Burn sends along with the operation"
    )]
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
        let _ = sums;
        let weight = settings.weighted.then(|| Var::new(weight));
        let logits = Var::<Self>::new(logits);
        spec::gradient(&logits, targets, weight, &Var::new(grad), settings).into_primitive()
    }

    /// The gradient of ⟨grad, loss⟩ through the explicit backward, itself differentiable.
    #[cfg(feature = "autodiff")]
    #[fusion(default)]
    fn cross_entropy_vjp(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        use burn::backend::{Autodiff, AutodiffBackend};
        let weight = <Autodiff<Self> as AutodiffBackend>::from_inner(weight);
        let [dx] = burn_autograd_core::vector_jacobian_product::<Self, 1, 1>(
            |[x]| [Autodiff::<Self>::cross_entropy(x, targets, weight, settings)],
            [logits],
            [grad],
        );
        dx
    }
}

/// What is computed with: `f32` at least.
fn wide(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        other => other,
    }
}

/// Whether an integer type holds a value; comparing with one that it does not hold would compare with
/// what is left of it.
fn holds(dtype: DType, value: i64) -> bool {
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
fn no_class(row: usize, value: i64, classes: usize, ignore_index: Option<i64>) -> Error {
    let ignored = match ignore_index {
        Some(index) => format!(" or the ignored index {index}"),
        None => String::new(),
    };
    Error::new(
        ErrorKind::Value,
        OPERATION,
        "targets",
        format!("class indices from 0 to below {classes}{ignored}"),
        format!("{value} in row {row}"),
    )
}

/// The first target that is no class and not ignored.
fn check_targets(targets: &[i64], classes: usize, ignore_index: Option<i64>) -> Result<(), Error> {
    let known = |target: i64| {
        usize::try_from(target).is_ok_and(|target| target < classes) || Some(target) == ignore_index
    };
    match targets.iter().position(|target| !known(*target)) {
        Some(row) => Err(no_class(row, targets[row], classes, ignore_index)),
        None => Ok(()),
    }
}

/// Arguments in the form that the backends take.
struct Arguments {
    /// `[n, c]`.
    logits: DispatchTensor,
    /// `[n]`.
    targets: DispatchTensor,
    weight: Option<DispatchTensor>,
    settings: Settings,
}

/// Where the classes of logits `[n, c, d₁, …]` go last, and back.
fn axes(rank: usize) -> (Vec<usize>, Vec<usize>) {
    let last = std::iter::once(0).chain(2..rank).chain([1]).collect();
    let back = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    (last, back)
}

/// Checks everything but the targets' values.
fn check_arguments(
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

impl Arguments {
    fn new<const D: usize, const DT: usize>(
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
            let last: [isize; D] = std::array::from_fn(|dim| axes(D).0[dim].cast_signed());
            logits.permute(last).reshape([rows, classes]).into_dispatch()
        };
        let weight = options.weight.clone().map(|weight| weight.inner().into_dispatch());
        let settings = Settings {
            reduction,
            weighted: weight.is_some(),
            ignore_index: options.ignore_index,
            label_smoothing: options.label_smoothing,
        };
        Ok(Self { logits, targets: targets.reshape([rows]).into_dispatch(), weight, settings })
    }

    /// Reads the targets back and checks them.
    fn checked(self) -> Result<Self, Error> {
        let classes = self.logits.shape()[1];
        let targets: Vec<i64> =
            Tensor::<1, Int>::from_dispatch(self.targets.clone()).into_data().iter().collect();
        check_targets(&targets, classes, self.settings.ignore_index)?;
        Ok(self)
    }

    fn run(self) -> DispatchTensor {
        let Self { logits, targets, weight, settings } = self;
        let weight = weight.unwrap_or_else(|| logits.clone());
        <Dispatch as CrossEntropyOps>::cross_entropy(logits, targets, weight, settings)
    }
}

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
pub fn try_cross_entropy<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
) -> Result<Tensor<1>, Error> {
    try_cross_entropy_with(logits, targets, &CrossEntropyOptions::default())
}

/// The mean or sum of the cross entropy, `[1]`, with class weights, an ignored index and label
/// smoothing; see the [module](self) for the formulas.
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
/// let options = CrossEntropyOptions {
///     reduction: Reduction::Sum,
///     ignore_index: Some(-1),
///     ..Default::default()
/// };
/// let loss = cross_entropy_with(logits, targets, &options);
/// assert_eq!(loss.into_scalar::<f32>(), std::f32::consts::LN_2);
/// # }
/// ```
pub fn cross_entropy_with<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
) -> Tensor<1> {
    Arguments::new(OPERATION, logits, targets, options, Some(options.reduction))
        .map(|arguments| Tensor::from_dispatch(arguments.run()))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The same as [`cross_entropy_with`], with an error instead of a panic. Reads the targets back.
///
/// # Errors
///
/// Where [`cross_entropy_with`] panics, on every device.
pub fn try_cross_entropy_with<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
) -> Result<Tensor<1>, Error> {
    let arguments = Arguments::new(OPERATION, logits, targets, options, Some(options.reduction))?;
    Ok(Tensor::from_dispatch(arguments.checked()?.run()))
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
pub fn cross_entropy_unreduced<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
) -> Tensor<DT> {
    let shape = targets.shape();
    Arguments::new(OPERATION, logits, targets, options, None)
        .map(|arguments| Tensor::<1>::from_dispatch(arguments.run()).reshape(shape))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The same as [`cross_entropy_unreduced`], with an error instead of a panic. Reads the targets back.
///
/// # Errors
///
/// Where [`cross_entropy_with`] panics, on every device.
pub fn try_cross_entropy_unreduced<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
) -> Result<Tensor<DT>, Error> {
    let shape = targets.shape();
    let arguments = Arguments::new(OPERATION, logits, targets, options, None)?.checked()?;
    Ok(Tensor::<1>::from_dispatch(arguments.run()).reshape(shape))
}

/// The gradient of grad·loss with respect to the logits, tracked if an argument is: differentiate it
/// for second derivatives.
///
/// # Panics
///
/// As [`cross_entropy_with`]; and if `grad` is not of shape `[1]` and like the logits.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_autograd_ops::cross_entropy::cross_entropy_vjp;
///
/// let device = Device::flex().autodiff();
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0]], &device).require_grad();
/// let targets = Tensor::<1, Int>::from_ints([1], &device);
/// let grad = Tensor::<1>::from_floats([2.0], &device);
/// let dx = cross_entropy_vjp(logits.clone(), targets, &Default::default(), grad);
/// assert_eq!(dx.to_data().try_to_vec::<f32>().unwrap(), [1.0, -1.0]);
/// // The second derivative of the first logit's gradient: 2·p·(1 − p), −2·p².
/// let second = logits.grad(&dx.slice([0..1, 0..1]).sum().backward()).unwrap();
/// assert_eq!(second.to_data().try_to_vec::<f32>().unwrap(), [0.5, -0.5]);
/// # }
/// ```
#[cfg(feature = "autodiff")]
pub fn cross_entropy_vjp<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
    grad: Tensor<1>,
) -> Tensor<D> {
    product(logits, targets, options, Some(options.reduction), (grad.into_dispatch(), &[1]))
}

/// The gradient of ⟨grad, losses⟩ with respect to the logits, for [`cross_entropy_unreduced`]; tracked
/// if an argument is.
///
/// # Panics
///
/// As [`cross_entropy_with`]; and if `grad` does not have the targets' shape and is like the logits.
#[cfg(feature = "autodiff")]
pub fn cross_entropy_unreduced_vjp<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
    grad: Tensor<DT>,
) -> Tensor<D> {
    let shape = targets.dims();
    product(logits, targets, options, None, (grad.into_dispatch(), &shape))
}

#[cfg(feature = "autodiff")]
fn product<const D: usize, const DT: usize>(
    logits: Tensor<D>,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
    reduction: Option<Reduction>,
    (grad, expected): (DispatchTensor, &[usize]),
) -> Tensor<D> {
    const OPERATION: &str = "cross_entropy_vjp";
    let shape = logits.dims();
    let checked = || {
        let arguments = Arguments::new(OPERATION, logits, targets, options, reduction)?;
        arguments::floats(OPERATION, &[("logits", &arguments.logits), ("grad", &grad)])?;
        let got = grad.shape().to_vec();
        if got != expected {
            return Err(Error::new(
                ErrorKind::Shape,
                OPERATION,
                "grad",
                format!("the loss's shape {expected:?}"),
                format!("{got:?}"),
            ));
        }
        Ok(arguments)
    };
    let Arguments { logits, targets, weight, settings } =
        checked().unwrap_or_else(|error| panic!("{error}"));
    let weight = weight
        .unwrap_or_else(|| Tensor::<2>::from_dispatch(logits.clone()).inner().into_dispatch());
    let count = if reduction.is_some() { 1 } else { targets.shape().num_elements() };
    let grad = Tensor::<DT>::from_dispatch(grad).reshape([count]).into_dispatch();
    let dx =
        <Dispatch as CrossEntropyOps>::cross_entropy_vjp(logits, targets, weight, grad, settings);
    if D == 2 {
        return Tensor::from_dispatch(dx);
    }
    let (last, back) = axes(D);
    let last: [usize; D] = std::array::from_fn(|dim| shape[last[dim]]);
    let back: [isize; D] = std::array::from_fn(|dim| back[dim].cast_signed());
    Tensor::<2>::from_dispatch(dx).reshape(last).permute(back)
}

/// [`cross_entropy_with`] and [`cross_entropy_unreduced`] as methods.
pub trait TensorCrossEntropy {
    /// What the reduced loss is.
    type Loss;
    /// What the losses of the rows are.
    type Losses<const DT: usize>;

    /// The mean or sum of the cross entropy of these logits; see [`cross_entropy_with`].
    #[must_use]
    fn cross_entropy<const DT: usize>(
        self,
        targets: Tensor<DT, Int>,
        options: &CrossEntropyOptions,
    ) -> Self::Loss;

    /// The loss of each row; see [`cross_entropy_unreduced`].
    #[must_use]
    fn cross_entropy_unreduced<const DT: usize>(
        self,
        targets: Tensor<DT, Int>,
        options: &CrossEntropyOptions,
    ) -> Self::Losses<DT>;
}

impl<const D: usize> TensorCrossEntropy for Tensor<D> {
    type Loss = Tensor<1>;
    type Losses<const DT: usize> = Tensor<DT>;

    fn cross_entropy<const DT: usize>(
        self,
        targets: Tensor<DT, Int>,
        options: &CrossEntropyOptions,
    ) -> Tensor<1> {
        cross_entropy_with(self, targets, options)
    }

    fn cross_entropy_unreduced<const DT: usize>(
        self,
        targets: Tensor<DT, Int>,
        options: &CrossEntropyOptions,
    ) -> Tensor<DT> {
        cross_entropy_unreduced(self, targets, options)
    }
}

/// Recorded with its own backward where the variable is being differentiated.
impl TensorCrossEntropy for Var {
    type Loss = Self;
    type Losses<const DT: usize> = Self;

    #[track_caller]
    fn cross_entropy<const DT: usize>(
        self,
        targets: Tensor<DT, Int>,
        options: &CrossEntropyOptions,
    ) -> Self {
        on_tape(&self, targets, options, Some(options.reduction))
    }

    #[track_caller]
    fn cross_entropy_unreduced<const DT: usize>(
        self,
        targets: Tensor<DT, Int>,
        options: &CrossEntropyOptions,
    ) -> Self {
        let shape = targets.shape();
        on_tape(&self, targets, options, None).reshape(shape)
    }
}

#[track_caller]
fn on_tape<const DT: usize>(
    logits: &Var,
    targets: Tensor<DT, Int>,
    options: &CrossEntropyOptions,
    reduction: Option<Reduction>,
) -> Var {
    let targets = targets.inner();
    check_arguments(
        OPERATION,
        logits.detach().primitive(),
        &targets.clone().into_dispatch(),
        options,
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let shape = logits.shape();
    let rows = targets.shape().num_elements();
    let flat = match shape.num_dims() {
        2 => logits.clone(),
        rank => logits.permute(&axes(rank).0).reshape([rows, shape[1]]),
    };
    let weight = options.weight.clone().map(|weight| weight.inner().into_dispatch());
    let rule = CrossEntropy {
        targets: targets.reshape([rows]).into_dispatch(),
        settings: Settings {
            reduction,
            weighted: weight.is_some(),
            ignore_index: options.ignore_index,
            label_smoothing: options.label_smoothing,
        },
        weight,
    };
    let [loss] = apply_rule::<Dispatch, _, 1, 1>(&rule, [flat]);
    loss
}
