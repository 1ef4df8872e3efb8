//! Multiply-add with broadcasting, y = w·x + b for every element.
//!
//! With ȳ the gradient of y:  w̄ = Σ ȳ·x,  x̄ = Σ ȳ·w,  b̄ = Σ ȳ, each summed over the dimensions in
//! which that argument was broadcast.
//!
//! - **Domain**: all real numbers; smooth everywhere.
//! - **Shapes**: equal ranks; in every dimension the sizes agree or are 1. The output has the common
//!   shape, each gradient its argument's. A gradient that sums over nothing is 0.
//! - **Data types**: the float types that the device computes with: `f32` and `f64` on NdArray, `f16`
//!   and `bf16`, too, on Flex, where these are computed in `f32`. Kernels: all of them there, and every
//!   float type of the adapter on wgpu, cuda, rocm, metal; with Burn's fusion its compiler makes them, of
//!   this operation and its neighbours.
//! - **Cost**: one pass over memory forward; backward one for all gradients on Flex and NdArray. The
//!   CubeCL kernel gives the products with both factors in one pass, and each gradient of an argument that
//!   was broadcast takes Burn's sum besides.
//! - **Accuracy**: on Flex and NdArray at most 2 units in the last place of |w·x| + |b| (1.0 was measured
//!   against 77 digits); gradients that are not summed are rounded once. In `f16` and `bf16` on Flex values
//!   and gradients are computed in `f32` and rounded once, sums included.
//! - **Sums** of a broadcast gradient run in `f64` on Flex and NdArray, for every data type, so
//!   that in `f32` and below they lose nothing over millions of terms. Everywhere else they are Burn's, in the data type.
//! - **Tracking**: each of `w`, `x`, `b` may be untracked; only the needed gradients are computed,
//!   and only the factors that they need are saved, through Burn's checkpointer.

mod backward;
#[cfg(feature = "check")]
pub(crate) mod check;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
mod kernel;
#[cfg(feature = "ndarray")]
mod ndarray;
#[cfg(feature = "router")]
pub(crate) mod router;
mod spec;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_autograd_core::{Error, Floats, OrPanic as _, Var, apply_rule, check as arguments};

use crate::support::variables;

/// The rule of [`multiply_add`], for [`differentiate`](burn_autograd_core::differentiate).
#[derive(Debug, Clone, Copy)]
pub struct MultiplyAdd;

/// Which gradients of [`multiply_add`] are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// That of `w`.
    pub w: bool,
    /// That of `x`.
    pub x: bool,
    /// That of `b`.
    pub b: bool,
}

/// A gradient for each of `w`, `x`, `b` that is needed.
type Gradients<T> = [Option<T>; 3];

impl Needs {
    /// The gradient of the output, and each factor that is needed.
    fn operands<B: Backend>(
        self,
        operands: Floats<B>,
    ) -> (FloatTensor<B>, Option<FloatTensor<B>>, Option<FloatTensor<B>>) {
        let mut operands = operands.0.into_iter();
        let mut next =
            || operands.next().expect("multiply_add: an operand of the backward is missing");
        (next(), self.x.then(&mut next), self.w.then(&mut next))
    }

    /// The gradients without their names.
    fn gradients<B: Backend>(self, gradients: Gradients<FloatTensor<B>>) -> Floats<B> {
        Floats(gradients.into_iter().flatten().collect())
    }
}

/// The backends' side of [`multiply_add`]. The default bodies are the specification.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Remote: cfg(feature = "remote"),
    Capture: cfg(feature = "capture"),
    Autodiff: cfg(feature = "autodiff"),
    Fusion: cfg(feature = "fusion")
)]
pub trait MultiplyAddOps: Backend {
    /// w·x + b, for shapes that broadcast.
    #[fusion(default)]
    fn multiply_add(
        w: FloatTensor<Self>,
        x: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        spec::forward::<Self>(w, x, b)
    }

    /// (grad·x, grad·w) in the shape of `grad`, from one pass over the operands.
    #[fusion(default)]
    fn multiply_add_products(
        w: FloatTensor<Self>,
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        spec::products::<Self>(w, x, grad)
    }

    /// The gradients that are needed, in the order `w`, `x`, `b`, each in the shape that `shapes`
    /// gives for that argument.
    ///
    /// The operands are the gradient of the output, then `w` if the gradient of `x` is needed, then
    /// `x` if that of `w` is.
    #[fusion(default)]
    fn multiply_add_backward(
        #[extension_type] operands: Floats<Self>,
        shapes: [Shape; 3],
        needs: Needs,
    ) -> Floats<Self> {
        let (grad, w, x) = needs.operands(operands);
        needs.gradients(spec::backward::<Self>(grad, w, x, shapes, needs))
    }
}

/// The shape that the three broadcast to; they were checked before.
fn common_shape(w: &Shape, x: &Shape, b: &Shape) -> Shape {
    arguments::broadcast("multiply_add", &[("w", w), ("x", x), ("b", b)]).or_panic()
}

/// w·x + b for every element, broadcasting all three.
///
/// The derivative with respect to `w` is x, to `x` is w, to `b` is 1, each gradient summed over the
/// dimensions in which its argument was broadcast. Takes tensors of one rank and data type, on one
/// device, whose sizes agree or are 1; gives one of the common shape.
///
/// # Panics
///
/// If the shapes do not broadcast, the devices or data types differ, or the device cannot compute
/// with the data type; [`try_multiply_add`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::multiply_add::multiply_add;
///
/// let device = Device::flex().autodiff();
/// let w = Tensor::<2>::from_floats([[2.0, 3.0]], &device).require_grad();
/// let x = Tensor::<2>::from_floats([[1.0, 1.0], [10.0, 10.0]], &device);
/// let b = Tensor::<2>::from_floats([[0.5]], &device).require_grad();
/// let y = multiply_add(w.clone(), x, b.clone());
/// assert_eq!(y.to_data().try_to_vec::<f32>().unwrap(), [2.5, 3.5, 20.5, 30.5]);
/// let grads = y.sum().backward();
/// assert_eq!(w.grad(&grads).unwrap().to_data().try_to_vec::<f32>().unwrap(), [11.0, 11.0]);
/// assert_eq!(b.grad(&grads).unwrap().to_data().try_to_vec::<f32>().unwrap(), [4.0]);
/// # }
/// ```
#[track_caller]
pub fn multiply_add<const D: usize>(w: Tensor<D>, x: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    try_multiply_add(w, x, b).or_panic()
}

/// The same as [`multiply_add`], with an error instead of a panic.
///
/// # Errors
///
/// If the shapes do not broadcast, the devices or data types differ, the device cannot compute with
/// the data type, or a tensor is quantized.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::multiply_add::try_multiply_add;
///
/// let w = Tensor::<1>::ones([3], &Device::flex());
/// let b = Tensor::<1>::ones([2], &Device::flex());
/// assert_eq!(
///     try_multiply_add(w.clone(), w, b).unwrap_err().to_string(),
///     "multiply_add: argument `b`: expected a shape that broadcasts with [3], got [2]"
/// );
/// # }
/// ```
pub fn try_multiply_add<const D: usize>(
    w: Tensor<D>,
    x: Tensor<D>,
    b: Tensor<D>,
) -> Result<Tensor<D>, Error> {
    let (w, x, b) = (w.into_dispatch(), x.into_dispatch(), b.into_dispatch());
    arguments::floats("multiply_add", &[("w", &w), ("x", &x), ("b", &b)])?;
    let shapes = (w.shape(), x.shape(), b.shape());
    arguments::broadcast("multiply_add", &[("w", &shapes.0), ("x", &shapes.1), ("b", &shapes.2)])?;
    Ok(Tensor::from_dispatch(<Dispatch as MultiplyAddOps>::multiply_add(w, x, b)))
}

/// [`multiply_add`] as a method.
pub trait TensorMultiplyAdd {
    /// self·x + b; see [`multiply_add`].
    #[must_use]
    fn multiply_add(self, x: Self, b: Self) -> Self;
}

impl<const D: usize> TensorMultiplyAdd for Tensor<D> {
    #[track_caller]
    fn multiply_add(self, x: Self, b: Self) -> Self {
        multiply_add(self, x, b)
    }
}

/// Recorded with its own backward where a variable is being differentiated.
impl TensorMultiplyAdd for Var {
    #[track_caller]
    fn multiply_add(self, x: Self, b: Self) -> Self {
        let shapes = (self.shape(), x.shape(), b.shape());
        let shapes = [("w", &shapes.0), ("x", &shapes.1), ("b", &shapes.2)];
        variables("multiply_add", &[("w", &self), ("x", &x), ("b", &b)])
            .and_then(|()| arguments::broadcast("multiply_add", &shapes))
            .or_panic();
        let [y] = apply_rule(&MultiplyAdd, [self, x, b]);
        y
    }
}
