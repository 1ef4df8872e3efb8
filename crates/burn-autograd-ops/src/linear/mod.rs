//! The linear layer, y = x·Wᵀ + b.
//!
//! With ȳ the gradient of y, and the leading dimensions of x and y taken as rows:
//! x̄ = ȳ·W,  W̄ = ȳᵀ·x,  b̄ = Σ ȳ over the rows.
//!
//! - **Domain**: all real numbers; smooth everywhere.
//! - **Shapes**: `x` `[.., i]` of any rank, `weight` `[o, i]`, `bias` `[o]` or none; the output is
//!   `[.., o]`. `weight` lies as in PyTorch; Burn's own `nn::Linear` stores `[i, o]`. Any size may be
//!   0; a product in which nothing is summed is 0.
//! - **Data types**: the float types that the device computes with: `f32` and `f64` on NdArray, `f16`
//!   and `bf16`, too, on Flex, where these are computed in `f32`. Kernels for all of them there; elsewhere
//!   Burn's matrix product, which its fusion knows.
//! - **Accuracy**: that of a matrix product in the data type, whose terms are summed in blocks; `b̄` is
//!   summed in `f64` on Flex and NdArray. At most one unit in the last place of Σ |x|·|w| + |b| for each
//!   term and the bias, and likewise for the gradients (1.5 and 1.8 were measured for 67 terms against 77
//!   digits, in `f32` and `f64`). In `f16` and `bf16` on Flex sums run in `f32`, and each result is rounded
//!   once.
//! - **Cost**: for r rows 2·r·i·o operations forward, as many for `x̄` and for `W̄` each, and r·o for `b̄`.
//!   On Flex and NdArray transposed operands are read where they are, by their strides.
//! - **Tracking**: each of `x`, `weight`, `bias` may be untracked; only the needed gradients are
//!   computed, and only the factors that they need are saved, through Burn's checkpointer.

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

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchTensor, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_autograd_core::{
    Error, ErrorKind, Floats, OrPanic as _, Var, apply_rule, check as arguments,
};

use crate::support::variables;
pub use module::{Linear, LinearConfig};

/// The rule of [`linear`], with and without a bias, for
/// [`differentiate`](burn_autograd_core::differentiate).
#[derive(Debug, Clone, Copy)]
pub struct Affine;

/// Which gradients of [`linear`] are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// That of `x`.
    pub x: bool,
    /// That of `weight`.
    pub weight: bool,
    /// That of `bias`.
    pub bias: bool,
}

/// A gradient for each of `x`, `weight`, `bias` that is needed.
type Gradients<T> = [Option<T>; 3];

impl Needs {
    /// The gradient of the output, and each factor that is needed: `weight`, `x`.
    fn operands<T>(self, operands: Vec<T>) -> (T, Option<T>, Option<T>) {
        let mut operands = operands.into_iter();
        let mut next = || operands.next().expect("linear: an operand of the backward is missing");
        (next(), self.x.then(&mut next), self.weight.then(&mut next))
    }
}

/// The backends' side of [`linear`]. The default bodies are the specification.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Remote: cfg(feature = "remote"),
    Capture: cfg(feature = "capture"),
    Autodiff: cfg(feature = "autodiff"),
    Fusion: cfg(feature = "fusion")
)]
pub trait LinearOps: Backend {
    /// x·Wᵀ + b, from `x`, `weight` and, if there is one, `bias`.
    #[fusion(default)]
    fn linear_forward(#[extension_type] operands: Floats<Self>) -> FloatTensor<Self> {
        spec::forward::<Self>(operands)
    }

    /// The gradients that are needed, in the order `x`, `weight`, `bias`.
    ///
    /// The operands are the gradient of the output, then `weight` if the gradient of `x` is needed,
    /// then `x` if that of `weight` is.
    #[fusion(default)]
    fn linear_backward(#[extension_type] operands: Floats<Self>, needs: Needs) -> Floats<Self> {
        spec::backward::<Self>(operands, needs)
    }
}

/// The shape of the output, if the arguments' shapes fit.
fn output_shape(
    operation: &'static str,
    x: &Shape,
    weight: &Shape,
    bias: Option<&Shape>,
) -> Result<Shape, Error> {
    let refuse = |argument, expected, got: &Shape| {
        let got = format!("{:?}", got.to_vec());
        Err(Error::new(ErrorKind::Shape, operation, argument, expected, got))
    };
    let mut shape = x.to_vec();
    let Some(last) = shape.last_mut() else {
        return refuse("x", "a rank of at least 1".to_owned(), x);
    };
    if weight.num_dims() != 2 || weight[1] != *last {
        let expected = format!("[outputs, {last}], for `x` {:?}", x.to_vec());
        return refuse("weight", expected, weight);
    }
    let outputs = weight[0];
    if let Some(bias) = bias
        && bias.to_vec() != [outputs]
    {
        return refuse("bias", format!("[{outputs}], one for each output"), bias);
    }
    *last = outputs;
    Ok(Shape::from(shape))
}

/// Checks data types, devices and shapes, but not the shape of `grad`; gives the shape of the output.
fn checked(
    operation: &'static str,
    x: &DispatchTensor,
    weight: &DispatchTensor,
    bias: Option<&DispatchTensor>,
    grad: Option<&DispatchTensor>,
) -> Result<Shape, Error> {
    let mut given = vec![("x", x), ("weight", weight)];
    given.extend(bias.map(|bias| ("bias", bias)));
    given.extend(grad.map(|grad| ("grad", grad)));
    arguments::floats(operation, &given)?;
    output_shape(operation, &x.shape(), &weight.shape(), bias.map(|bias| bias.shape()).as_ref())
}

/// x·Wᵀ + b, with `x` `[.., i]`, `weight` `[o, i]` and `bias` `[o]`, as PyTorch's `linear`.
///
/// The gradients are ȳ·W for `x`, ȳᵀ·x for `weight`, and Σ ȳ over the rows for `bias`.
///
/// # Panics
///
/// If the shapes do not fit, the devices or data types differ, or the device cannot compute with the
/// data type; [`try_linear`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::linear::linear;
///
/// let device = Device::flex().autodiff();
/// let x = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &device);
/// let weight = Tensor::<2>::from_floats([[1.0, 10.0]], &device).require_grad();
/// let bias = Tensor::<1>::from_floats([0.5], &device).require_grad();
/// let y = linear(x, weight.clone(), Some(bias.clone()));
/// assert_eq!(y.to_data().try_to_vec::<f32>().unwrap(), [21.5, 43.5]);
/// let grads = y.sum().backward();
/// assert_eq!(weight.grad(&grads).unwrap().to_data().try_to_vec::<f32>().unwrap(), [4.0, 6.0]);
/// assert_eq!(bias.grad(&grads).unwrap().to_data().try_to_vec::<f32>().unwrap(), [2.0]);
/// # }
/// ```
#[track_caller]
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    try_linear(x, weight, bias).or_panic()
}

/// The same as [`linear`], with an error instead of a panic.
///
/// # Errors
///
/// If the shapes do not fit, the devices or data types differ, the device cannot compute with the
/// data type, or a tensor is quantized.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::linear::try_linear;
///
/// let x = Tensor::<2>::ones([1, 2], &Device::flex());
/// let weight = Tensor::<2>::ones([2, 3], &Device::flex());
/// assert_eq!(
///     try_linear(x, weight, None).unwrap_err().to_string(),
///     "linear: argument `weight`: expected [outputs, 2], for `x` [1, 2], got [2, 3]"
/// );
/// # }
/// ```
pub fn try_linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Result<Tensor<D>, Error> {
    let (x, weight, bias) =
        (x.into_dispatch(), weight.into_dispatch(), bias.map(Tensor::into_dispatch));
    checked("linear", &x, &weight, bias.as_ref(), None)?;
    let operands = [x, weight].into_iter().chain(bias).collect();
    Ok(Tensor::from_dispatch(<Dispatch as LinearOps>::linear_forward(Floats(operands))))
}

/// [`linear`] as a method.
pub trait TensorLinear: Sized {
    /// What the weight is.
    type Weight;
    /// What the bias is.
    type Bias;

    /// self·Wᵀ + b; see [`linear`]. `Var` has a `linear` of its own, made of its operations, hence
    /// the other name.
    #[must_use]
    fn fused_linear(self, weight: Self::Weight, bias: Option<Self::Bias>) -> Self;
}

impl<const D: usize> TensorLinear for Tensor<D> {
    type Weight = Tensor<2>;
    type Bias = Tensor<1>;

    #[track_caller]
    fn fused_linear(self, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Self {
        linear(self, weight, bias)
    }
}

/// Recorded with its own backward where a variable is being differentiated.
impl TensorLinear for Var {
    type Weight = Self;
    type Bias = Self;

    #[track_caller]
    fn fused_linear(self, weight: Self, bias: Option<Self>) -> Self {
        // Without a bias the weight is looked at twice.
        let given = [("x", &self), ("weight", &weight), ("bias", bias.as_ref().unwrap_or(&weight))];
        let shape = bias.as_ref().map(Self::shape);
        variables("linear", &given)
            .and_then(|()| output_shape("linear", &self.shape(), &weight.shape(), shape.as_ref()))
            .or_panic();
        let [y] = match bias {
            Some(bias) => apply_rule(&Affine, [self, weight, bias]),
            None => apply_rule(&Affine, [self, weight]),
        };
        y
    }
}
