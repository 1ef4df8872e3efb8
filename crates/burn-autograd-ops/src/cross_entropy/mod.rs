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
//!   waited for: there the `try_` forms do that, and the others give NaN: for the row's loss and the
//!   sum and mean that it is in, and for the row's gradient. The gradient of a mean is divided by the sum of
//!   the weights, which is NaN then: that of every row is, but for those that are ignored.
//! - **Class weights** are constants: no gradient flows to them.
//! - **Data types**: the float types that the device computes with: `f32` and `f64` on NdArray, `f16` and
//!   `bf16`, too, on Flex; these are computed in `f32`, and rounded once, everywhere. Kernels: all of them on
//!   Flex and NdArray, every float type of the adapter on wgpu, cuda, rocm, metal. Not `f64` on wgpu, whose
//!   languages have no exponential of it.
//! - **Accuracy**: on Flex and NdArray in `f32` and `f64`, for logits within ±10, loss and gradient are
//!   within 22 units in the last place; the gradient at the target, which is a difference, in `f32` within
//!   10⁻⁷·g (tested: against 77 digits 0.8 and 17.4 units were measured, in `f32` for up to 50,257 classes
//!   against `f64` 3.7, 18.2 and 6·10⁻⁸·g). What counts is that x − m is rounded, by up to half a unit of
//!   16, and that eˣ⁻ᵐ is off by as much. Sums run in `f64`, over parts of at most sixteen terms in the
//!   data type; a loss far below 1 is as accurate as any other.
//! - **Cost**: the logits come from memory once for the loss, and once more for the gradient, which is
//!   written once: on Flex and NdArray over the logits where nobody else holds them, by the CubeCL kernels
//!   elsewhere. Those take the maximum and the sum in one pass, with one exponential for each logit, and
//!   rescale the sum when the maximum rises. There is no matrix of ones and zeros. Logits of more than two
//!   dimensions are first put in the order `[n, d₁, …, c]`.
//! - **Saved**: the logits, through Burn's checkpointer, and two numbers for each row: its maximum m and
//!   Σ eˣ⁻ᵐ.

mod arguments;
mod backward;
#[cfg(feature = "check")]
pub(crate) mod check;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
mod functions;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod kernel;
mod methods;
mod module;
#[cfg(feature = "ndarray")]
mod ndarray;
mod options;
#[cfg(feature = "router")]
pub(crate) mod router;
mod spec;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata, backend_extension};
use burn_autograd_core::Var;

use crate::support::wide;
pub use functions::{
    cross_entropy, cross_entropy_unreduced, cross_entropy_with, try_cross_entropy,
    try_cross_entropy_unreduced, try_cross_entropy_with,
};
pub use methods::TensorCrossEntropy;
pub use module::{CrossEntropyLoss, CrossEntropyLossConfig};
pub use options::{CrossEntropyOptions, Reduction, Settings};

const OPERATION: &str = "cross_entropy";

/// The rule of [`cross_entropy`](fn@cross_entropy), for
/// [`differentiate`](burn_autograd_core::differentiate): logits `[n, c]` to the loss.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CrossEntropy<B: Backend> {
    /// The class of each row, `[n]`.
    pub targets: IntTensor<B>,
    /// The weight of each class, `[c]`, if [`Settings::weighted`] says so.
    pub weight: Option<FloatTensor<B>>,
    /// The options.
    pub settings: Settings,
}

impl<B: Backend> CrossEntropy<B> {
    /// The rule for these targets, class weights and settings.
    pub fn new(targets: IntTensor<B>, weight: Option<FloatTensor<B>>, settings: Settings) -> Self {
        Self { targets, weight, settings }
    }
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
}
