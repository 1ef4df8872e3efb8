//! [`Var`] and its operations, each with its derivative beside it.

mod elementwise;
pub mod empty;
mod index;
pub(crate) mod layout;
mod linear;
mod operators;
mod reduce;
mod select;
mod shape;

use std::borrow::Cow;
use std::sync::Arc;

use burn::backend::tensor::{Device, FloatTensor};
use burn::backend::{Backend, Dispatch, DispatchAutodiffContext, TensorMetadata};
use burn::tensor::{DType, Shape, Tensor, TensorData};

use smallvec::smallvec;

pub use index::Index;
pub use layout::lay_out;
pub use select::Mask;
pub use shape::Ranges;

use crate::tape::{self, Edge, Sources};
#[cfg(feature = "autodiff")]
use crate::tracking::same;
use crate::tracking::{Plain, plain};
use crate::{Error, ErrorKind, OrPanic as _, scope};

/// A float tensor of any rank, with operators: what the bodies of [`Function`](crate::Function)s and
/// the functions given to [`grad`](crate::grad), [`hessian`](crate::hessian) and the other
/// transforms compute with.
///
/// `Var` alone holds a tensor of any device that Burn chooses at run time; `Var<B>` is one of the
/// backend `B`, for [`Rule`](crate::Rule)s with kernels. A clone shares the buffer.
///
/// Operators take values or references, and `f64` scalars on either side; shapes broadcast as in
/// Burn (equal ranks, sizes agree or are 1).
///
/// # Derivatives
///
/// Where a `Var` is being differentiated, every operation is recorded with its derivative, which is
/// made of `Var` operations too: derivatives exist to any order. Everything computed from a
/// constant is a constant.
///
/// A tensor that Burn tracks becomes a variable, too: what is computed from it and leaves as a tensor
/// is tracked, and Burn's `backward()` reaches it.
///
/// A `Var` that is being differentiated here does not give out its tensor: what would be computed from
/// that would silently be a constant. [`detach`](Self::detach) says that this is meant.
///
/// # Panics
///
/// Every operation refuses shapes, data types, devices, dimensions and indices that do not fit, with a
/// text that names the operation and the argument, what was expected and what came; and, where its own
/// documentation says so, `f64` on devices that compute it wrongly. What is made of several operations
/// panics as these do.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Var, nth_derivative};
///
/// // f(x) = a·x² + b·x + c, with f′(x) = 2a·x + b and f″(x) = 2a.
/// let (a, b, c) = (3.0, -1.0, 0.5);
/// let f = |x: Var| a * x.powi(2) + b * x + c;
/// let x = Tensor::<1>::from_floats([0.5, 2.0], &Device::flex());
/// let first = nth_derivative(f, x.clone(), 1);
/// assert_eq!(first.to_data().try_to_vec::<f32>().unwrap(), [2.0, 11.0]);
/// let second = nth_derivative(f, x, 2);
/// assert_eq!(second.to_data().try_to_vec::<f32>().unwrap(), [6.0, 6.0]);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Var<B: Backend = Dispatch> {
    /// Without autodiff. Behind a pointer: a primitive of run-time choice is large, and variables are
    /// moved a lot.
    tensor: Arc<FloatTensor<B>>,
    edge: Option<Edge<B>>,
    origin: Origin,
    /// How the device differentiates that this came from, and that it goes back to.
    autodiff: DispatchAutodiffContext,
}

/// What a function knows this tensor as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The input of this index, as long as nothing was done to it.
    Input(usize),
    /// A value that was computed; a clone has the same number.
    Value(u64),
}

/// How the devices of some variables differentiate.
pub(crate) fn joint<B: Backend>(vars: &[Var<B>]) -> DispatchAutodiffContext {
    let disabled = DispatchAutodiffContext::Disabled;
    vars.iter().map(|var| var.autodiff).find(|context| *context != disabled).unwrap_or(disabled)
}

impl<B: Backend> Var<B> {
    /// Wraps a primitive: as a constant, unless Burn chooses the backend at run time and tracks the
    /// tensor.
    #[track_caller]
    pub fn new(tensor: FloatTensor<B>) -> Self {
        let Plain { tensor, autodiff, tracked } = plain::<B>(tensor);
        let edge = tracked.filter(|_| scope::recording()).map(Edge::anchor);
        Self { edge, autodiff, ..Self::made(layout::lay_out::<B>(tensor)) }
    }

    /// Carries a tensor as it is, to where it is entered or has left.
    pub(crate) fn outside(tensor: FloatTensor<B>) -> Self {
        Self::with_origin(tensor, Origin::Value(0))
    }

    /// Wraps what an operation has made, which lies in memory as its shape says.
    pub(crate) fn made(tensor: FloatTensor<B>) -> Self {
        Self::with_origin(tensor, Origin::Value(tape::fresh()))
    }

    pub(crate) fn input_of(tensor: FloatTensor<B>, index: usize) -> Self {
        Self::with_origin(layout::lay_out::<B>(tensor), Origin::Input(index))
    }

    pub(crate) fn inputs<const N: usize>(tensors: [FloatTensor<B>; N]) -> [Self; N] {
        let mut index = 0;
        tensors.map(|tensor| {
            let input = Self::input_of(tensor, index);
            index += 1;
            input
        })
    }

    pub(crate) fn with_origin(tensor: FloatTensor<B>, origin: Origin) -> Self {
        let autodiff = DispatchAutodiffContext::Disabled;
        Self { tensor: Arc::new(tensor), edge: None, origin, autodiff }
    }

    pub(crate) fn placed(tensor: FloatTensor<B>, edge: Edge<B>) -> Self {
        Self { edge: Some(edge), ..Self::made(tensor) }
    }

    /// The same with a place on the tape.
    pub(crate) fn at(self, edge: Edge<B>) -> Self {
        Self { edge: Some(edge), origin: Origin::Value(tape::fresh()), ..self }
    }

    /// This tensor as an input of a function that is about to run.
    pub(crate) fn as_input(&self, index: usize) -> Self {
        let (edge, autodiff) = (None, DispatchAutodiffContext::Disabled);
        Self { tensor: self.tensor.clone(), edge, origin: Origin::Input(index), autodiff }
    }

    /// The same, keeping its place.
    pub(crate) fn as_placed_input(&self, index: usize) -> Self {
        Self { origin: Origin::Input(index), ..self.clone() }
    }

    /// The same without its place on the tape, and without its device's autodiff.
    pub(crate) fn unplaced(self) -> Self {
        Self { edge: None, autodiff: DispatchAutodiffContext::Disabled, ..self }
    }

    /// The same as a result of its own, of a device that differentiates so.
    pub(crate) fn renewed(self, autodiff: DispatchAutodiffContext) -> Self {
        Self { origin: Origin::Value(tape::fresh()), autodiff, ..self }
    }

    /// The same as a constant.
    pub(crate) fn renewed_constant(self) -> Self {
        let autodiff = self.autodiff;
        Self { edge: None, ..self }.renewed(autodiff)
    }

    pub(crate) fn autodiff(&self) -> DispatchAutodiffContext {
        self.autodiff
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn edge(&self) -> Option<&Edge<B>> {
        self.edge.as_ref()
    }

    /// The tensor, whether or not it is being differentiated.
    pub(crate) fn raw(&self) -> &FloatTensor<B> {
        &self.tensor
    }

    pub(crate) fn into_raw(self) -> FloatTensor<B> {
        Arc::unwrap_or_clone(self.tensor)
    }

    /// A new variable with this value: gradients can be taken with respect to it.
    ///
    /// The transforms ([`grad`](crate::grad) and the others) make their arguments such variables.
    /// Use it with [`Gradient`](crate::Gradient) to differentiate in the style of
    /// `torch.autograd.grad`.
    #[track_caller]
    pub fn leaf(tensor: impl Into<Self>) -> Self {
        let var = tensor.into();
        let edge = Edge::leaf(var.edge.clone());
        var.at(edge)
    }

    /// Whether this is being differentiated: an argument of a function that a transform was given,
    /// or computed from one. The counterpart of `requires_grad`.
    pub fn is_recorded(&self) -> bool {
        self.edge.is_some() && scope::recording()
    }

    /// The name of the operation that made this, if it is being differentiated. The counterpart of
    /// `grad_fn.name()`.
    pub fn operation(&self) -> Option<&str> {
        Some(&*self.edge.as_ref()?.node.name)
    }

    /// The names of the operations whose results that operation took; `None` for a constant. The
    /// counterpart of `grad_fn.next_functions`.
    pub fn operands(&self) -> Vec<Option<&str>> {
        let parents = self.edge.as_ref().map(|edge| edge.node.parents.as_slice());
        parents
            .unwrap_or_default()
            .iter()
            .map(|parent| parent.as_ref().map(|edge| &*edge.node.name))
            .collect()
    }

    /// The same value as a constant: no derivative flows through it, neither here nor on Burn's
    /// graph.
    #[must_use]
    pub fn detach(&self) -> Self {
        // Burn makes another leaf of a leaf; without the claim to a gradient it is a constant.
        let tensor = B::float_set_require_grad(B::float_detach(self.raw().clone()), false);
        Self { autodiff: self.autodiff, ..Self::made(tensor) }
    }

    /// The same value as a constant of the variables of this tape. Tensors that Burn tracks are still
    /// reached: a loss that was computed with [`Gradient`](crate::Gradient)s becomes a tensor for Burn's
    /// `backward()` in this way.
    #[must_use]
    #[track_caller]
    pub fn constant(&self) -> Self {
        #[cfg(feature = "autodiff")]
        if self.is_recorded()
            && let Some(var) = same::<Self, Var>(self.clone())
            && let autodiff @ DispatchAutodiffContext::Enabled(_) = self.autodiff
        {
            let left = crate::burn_graph::leave("constant", vec![var], autodiff).or_panic();
            let tensor = left.into_iter().next().and_then(same);
            return Self::new(tensor.unwrap_or_else(|| unreachable!("one tensor has left")));
        }
        self.clone().renewed_constant()
    }

    /// The primitive.
    ///
    /// # Panics
    ///
    /// If this is being differentiated: what would be computed from the primitive would silently be
    /// a constant. Write that computation as a [`Function`](crate::Function), or
    /// [`detach`](Self::detach) first.
    pub fn into_primitive(self) -> FloatTensor<B> {
        self.refuse_leaving("into_primitive");
        self.into_raw()
    }

    /// The primitive, borrowed.
    ///
    /// # Panics
    ///
    /// As [`into_primitive`](Self::into_primitive).
    pub fn primitive(&self) -> &FloatTensor<B> {
        self.refuse_leaving("primitive");
        &self.tensor
    }

    fn refuse_leaving(&self, method: &'static str) {
        if self.is_recorded() {
            let error = Error::new(
                ErrorKind::Derivative,
                method,
                "self",
                "a constant: what is computed from the tensor has no derivative here (write it as a \
                 Function, or in operations of Var; for a model, capture_module makes a function of \
                 variables; detach() makes a constant)",
                format!("a variable that is being differentiated, made by {:?}", self.operation()),
            );
            error.raise();
        }
    }

    /// The shape.
    pub fn shape(&self) -> Shape {
        self.tensor.shape()
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.tensor.shape().num_dims()
    }

    /// The data type.
    pub fn dtype(&self) -> DType {
        self.tensor.dtype()
    }

    /// The device.
    pub fn device(&self) -> Device<B> {
        self.tensor.device()
    }

    /// The values, copied to the host. Reading is not differentiated.
    ///
    /// # Panics
    ///
    /// If the device cannot be waited for (wgpu in a browser), or has failed.
    pub fn to_data(&self) -> TensorData {
        burn::tensor::try_read_sync(B::float_into_data(self.raw().clone()))
            .unwrap_or_else(|| panic!("to_data: the device cannot be read synchronously"))
            .unwrap_or_else(|error| panic!("to_data: {error:?}"))
    }

    /// A constant tensor of ones with the same shape, data type and device.
    #[must_use]
    pub fn ones_like(&self) -> Self {
        let (shape, dtype, device) = (self.shape(), self.dtype(), self.device());
        let tensor = match shape.num_elements() {
            0 => empty::constant::<B>(shape, 1.0, dtype, &device),
            _ => B::float_ones(shape, &device, dtype.into()),
        };
        Self { autodiff: self.autodiff, ..Self::made(tensor) }
    }

    /// A constant tensor of zeros with the same shape, data type and device.
    #[must_use]
    pub fn zeros_like(&self) -> Self {
        let (shape, dtype, device) = (self.shape(), self.dtype(), self.device());
        let tensor = match shape.num_elements() {
            0 => empty::constant::<B>(shape, 0.0, dtype, &device),
            _ => B::float_zeros(shape, &device, dtype.into()),
        };
        Self { autodiff: self.autodiff, ..Self::made(tensor) }
    }

    /// A constant tensor of one value, with the data type and device of this one.
    #[must_use]
    pub fn full(&self, shape: impl Into<Shape>, value: f64) -> Self {
        let shape: Shape = shape.into();
        let (dtype, device) = (self.dtype(), self.device());
        let tensor = match shape.num_elements() {
            0 => empty::constant::<B>(shape, value, dtype, &device),
            _ => B::float_full(shape, value.into(), &device, dtype.into()),
        };
        Self { autodiff: self.autodiff, ..Self::made(tensor) }
    }

    /// Refuses an operand of another data type or device.
    #[track_caller]
    fn check_alike(&self, operation: &str, argument: &'static str, other: &Self) {
        crate::check::alike(operation, ("self", self), (argument, other)).or_panic();
    }

    /// An operation and its derivative.
    ///
    /// `save` says what the derivative needs, and is called only if there will be one. `derivative`
    /// gets that, the gradient of the output, and which inputs' gradients are needed.
    #[track_caller]
    pub(crate) fn op<const N: usize, S: Send + Sync + 'static>(
        name: impl Into<Cow<'static, str>>,
        inputs: [Self; N],
        save: impl FnOnce(&[Self; N]) -> S,
        forward: impl FnOnce([FloatTensor<B>; N]) -> FloatTensor<B>,
        derivative: impl Fn(&S, Self, [bool; N]) -> [Option<Self>; N] + Send + Sync + 'static,
    ) -> Self {
        let autodiff = joint(&inputs);
        if !scope::recording() || inputs.iter().all(|input| input.edge.is_none()) {
            return Self { autodiff, ..Self::made(forward(inputs.map(Self::into_raw))) };
        }
        let saved = save(&inputs);
        let parents = inputs.iter().map(|input| input.edge.clone()).collect();
        let output = Self { autodiff, ..Self::made(forward(inputs.map(Self::into_raw))) };
        let edge = Edge::operation(name, parents, 1, move |mut arrived| {
            let needs = std::array::from_fn(|index| arrived.needs[index]);
            Ok(derivative(&saved, arrived.grad(), needs).into_iter().collect())
        });
        output.at(edge)
    }

    /// An operation with one input whose derivative is best told by its output.
    #[track_caller]
    pub(crate) fn op_by_output(
        name: &'static str,
        input: &Self,
        forward: impl FnOnce(FloatTensor<B>) -> FloatTensor<B>,
        derivative: impl Fn(Self, Self) -> Self + Send + Sync + 'static,
    ) -> Self {
        let tensor = forward(input.raw().clone());
        let output = Self { autodiff: input.autodiff, ..Self::made(tensor) };
        if !input.is_recorded() {
            return output;
        }
        let kept = output.clone();
        let edge = Edge::operation(name, smallvec![input.edge.clone()], 1, move |mut arrived| {
            let grad = arrived.grad();
            let output = arrived.output(0, &kept);
            Ok(smallvec![Some(derivative(output, grad))])
        });
        output.at(edge)
    }
}

impl Var {
    /// The tensor, of rank `D`, on the device that it came from. Where this was computed from tensors
    /// that Burn tracks, Burn's `backward()` reaches them.
    ///
    /// # Panics
    ///
    /// If the rank is not `D`; and, as [`into_primitive`](Self::into_primitive), if this is being
    /// differentiated with respect to a variable.
    #[track_caller]
    pub fn into_tensor<const D: usize>(self) -> Tensor<D> {
        let rank = self.rank();
        if rank != D {
            let error = Error::new(
                ErrorKind::Shape,
                "into_tensor",
                "D",
                format!("the variable's rank {rank} (its shape is {:?})", self.shape().to_vec()),
                format!("{D}"),
            );
            error.raise();
        }
        // A body's variables are differentiated by whoever runs it, also where theirs are closed.
        let refused =
            || scope::is_in_body() || Sources::of([&self]).opened_before(u64::MAX).is_some();
        if self.is_recorded() && refused() {
            self.refuse_leaving("into_tensor");
        }
        #[cfg(feature = "autodiff")]
        {
            let autodiff = self.autodiff;
            let left = crate::burn_graph::leave("into_tensor", vec![self], autodiff).or_panic();
            let tensor = left.into_iter().next();
            Tensor::from_dispatch(tensor.unwrap_or_else(|| unreachable!("one tensor has left")))
        }
        #[cfg(not(feature = "autodiff"))]
        Tensor::from_dispatch(self.into_raw())
    }

    /// A variable with the value of a tensor: a constant, unless Burn tracks the tensor. What is computed
    /// from a tracked one is tracked where it leaves, and `backward()` of that reaches the tensor.
    ///
    /// # Panics
    ///
    /// If the tensor is quantized; and, in the body of a [`Function`](crate::Function) that Burn's graph
    /// records, or in a hook, if Burn tracks the tensor: it has to be an input there, for its gradient
    /// would be lost, and its graph is locked during a backward pass.
    #[track_caller]
    pub fn from_tensor<const D: usize>(tensor: Tensor<D>) -> Self {
        let tensor = tensor.into_dispatch();
        assert!(
            tensor.dtype().is_float() && !matches!(tensor.dtype(), DType::QFloat(_)),
            "Var: argument `tensor`: expected a float tensor, got {:?}",
            tensor.dtype()
        );
        if scope::is_on_graph() {
            if crate::tracking::is_tracked(&tensor) {
                Error::new(
                    ErrorKind::Contract,
                    "Var::from_tensor",
                    "tensor",
                    "an untracked tensor; one that is tracked has to be an input of the function (or \
                     be detached, if it is meant as a constant)",
                    "a tracked one, which the function holds as a field or has captured",
                )
                .raise();
            }
            return Self::new(crate::tracking::without_autodiff(tensor));
        }
        Self::new(tensor)
    }
}

impl<const D: usize> From<Tensor<D>> for Var {
    #[track_caller]
    fn from(tensor: Tensor<D>) -> Self {
        Self::from_tensor(tensor)
    }
}

impl<const D: usize> From<&Tensor<D>> for Var {
    #[track_caller]
    fn from(tensor: &Tensor<D>) -> Self {
        Self::from_tensor(tensor.clone())
    }
}

impl<B: Backend> From<&Self> for Var<B> {
    fn from(var: &Self) -> Self {
        var.clone()
    }
}
