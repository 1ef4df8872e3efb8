//! Recorded code, computed again on variables: derivatives of any order of code that knows nothing
//! of them.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::ir::{
    ActivationOperationIr as A, BaseOperationIr as B, BoolOperationIr as Bo, FloatOperationIr as F,
    IntOperationIr as I, NumericOperationIr as N, OperationIr as O, ScalarIr, TensorIr,
};
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::tensor::Device;
use burn::backend::{
    AutodiffBackend, Dispatch, DispatchTensor, Scalar, TensorMetadata, get_device_settings,
};
use burn::module::Module;
use burn::tensor::{DType, IndexingUpdateOp, Shape, Slice, Tensor, TensorData};

use super::{Graph, Source};
use crate::call::without_autodiff;
use crate::{Error, ErrorKind, Index, Mask, Tensors, Var, Vars, check};

/// Ordinary tensor code as a function of variables, which the transforms differentiate to any order.
///
/// Made by [`trace`] and [`trace_module`]. What the code read beside its arguments is a constant;
/// everything is computed in the data type of the arguments, whatever the code was written for.
pub struct Traced<I, O> {
    graph: Graph,
    constants: Arc<Mutex<Vec<Constants>>>,
    types: PhantomData<fn(I) -> O>,
}

/// What the code read beside its arguments, in the data type and on the device of a replay.
#[derive(Debug, Clone)]
struct Constants {
    dtype: DType,
    device: Device<Dispatch>,
    values: HashMap<u64, Value>,
}

impl<I, O> Clone for Traced<I, O> {
    fn clone(&self) -> Self {
        Self { graph: self.graph.clone(), constants: self.constants.clone(), types: PhantomData }
    }
}

impl<I, O> fmt::Debug for Traced<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Traced").field(&self.graph).finish()
    }
}

/// Traces a function of tensors: records it, and compares values and gradients of what was recorded
/// with those of the function itself, at `at` and at one point beside it, up to 1⁄16 or so away.
///
/// No recording sees a `detach()`. The comparison does, where the detached part's share of a gradient
/// is more than some 10⁻⁵ of the largest gradient; a function that uses gelu, whose gradient in Burn is
/// an approximation, is compared up to 10⁻³, and one that computes in half precision up to eight of its
/// roundings, 1 % of the largest gradient in `f16` and 6 % in `bf16`, and 0.03 and 0.25 beside that: trace
/// it in `f32`, a trace serves any data type. A smaller share passes, as one that vanishes at both points
/// does.
///
/// The function must do the same for all arguments of these shapes: it cannot look at a value. A
/// tensor that it captured has to follow its arguments:
/// `weight.clone().to_device(&x.device())`; for modules there is [`trace_module`].
///
/// # Errors
///
/// - [`ErrorKind::DType`], [`ErrorKind::Device`] if the arguments are not of one data type and
///   device;
/// - [`ErrorKind::Contract`] if the function cannot be recorded, or performs an operation that has
///   no counterpart on [`Var`]; the operation is named;
/// - [`ErrorKind::Derivative`] if the values or the gradient of what was recorded are not the
///   function's own: it detaches something, or draws random numbers.
///
/// # Panics
///
/// Where the function does.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor, activation};
/// use burn_autograd_core::{Var, nth_derivative, trace};
///
/// let x = Tensor::<1>::from_floats([0.0, 0.5], &Device::flex());
/// let softplus = trace(|x: Tensor<1>| activation::softplus(x, 1.0), x.clone()).unwrap();
/// // Its second derivative is σ(x)·(1 − σ(x)), which is a quarter at 0.
/// let second = nth_derivative(|x: Var| softplus.call(x), x, 2);
/// let at_zero = second.to_data().try_to_vec::<f32>().unwrap()[0];
/// assert!((at_zero - 0.25).abs() < 1e-6);
/// # }
/// ```
pub fn trace<In: Tensors, Out: Tensors>(
    function: impl Fn(In) -> Out,
    at: In,
) -> Result<Traced<In, Out>, Error> {
    let tensors: Vec<_> = at.into_dispatch().into_iter().map(without_autodiff).collect();
    check::inputs("trace", &tensors)?;
    let graph = Graph::record(&function, In::from_dispatch(tensors.clone()))?;
    Traced::verified(graph, function, tensors)
}

/// Traces a function of a module and tensors; see [`trace`]. The module's parameters are constants.
///
/// # Errors
///
/// As [`trace`].
///
/// # Panics
///
/// Where the function does.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Var, hessian, trace_module};
///
/// let device = Device::flex();
/// let layer = LinearConfig::new(2, 1).init(&device);
/// let x = Tensor::<2>::from_floats([[1.0, 2.0]], &device);
/// let forward = |layer: &Linear, x: Tensor<2>| layer.forward(x).tanh();
/// let traced = trace_module(&layer, forward, x.clone()).unwrap();
/// assert_eq!(hessian(|x: Var| traced.call(x), x).matrix().dims(), [2, 2]);
/// # }
/// ```
pub fn trace_module<M: Module, In: Tensors, Out: Tensors>(
    module: &M,
    function: impl Fn(&M, In) -> Out,
    at: In,
) -> Result<Traced<In, Out>, Error> {
    let tensors: Vec<_> = at.into_dispatch().into_iter().map(without_autodiff).collect();
    check::inputs("trace", &tensors)?;
    let graph = Graph::record_module(module, &function, In::from_dispatch(tensors.clone()))?;
    let device = burn::tensor::Device::new(tensors[0].device()).autodiff();
    let module = module.valid().to_device(&device);
    Traced::verified(graph, |inputs| function(&module, inputs), tensors)
}

impl<In: Tensors, Out: Tensors> Traced<In, Out> {
    /// What was recorded.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The function on variables.
    ///
    /// # Panics
    ///
    /// If an argument has not the shape of the recorded one, or not the data type and device of the
    /// others; or if an operation cannot compute in that data type.
    #[track_caller]
    pub fn call(&self, inputs: In::Vars) -> Out::Vars {
        let inputs = inputs.into_vec();
        let tensors: Vec<_> = inputs.iter().map(|input| input.raw().clone()).collect();
        check::inputs("Traced::call", &tensors).unwrap_or_else(|error| error.raise());
        for (index, input) in inputs.iter().enumerate() {
            let expected = &self.graph.tensors[self.graph.inputs[index]].shape;
            if input.shape().to_vec() != *expected {
                Error::new(
                    ErrorKind::Shape,
                    "Traced::call",
                    format!("inputs[{index}]"),
                    format!("the recorded shape {expected:?}"),
                    format!("{:?}", input.shape().to_vec()),
                )
                .raise();
            }
        }
        Out::Vars::from_vec(self.run(inputs).unwrap_or_else(|error| error.raise()))
    }

    fn run(&self, inputs: Vec<Var>) -> Result<Vec<Var>, Error> {
        let source = self.graph.source.as_ref().expect("a recorded graph has its source");
        let Some(first) = inputs.first() else {
            return Err(Error::new(
                ErrorKind::Contract,
                "trace",
                "function",
                "at least one argument",
                "none",
            ));
        };
        let (dtype, device) = (first.dtype(), without_autodiff(first.raw().clone()).device());
        let constants = {
            let mut all = self.constants.lock().unwrap_or_else(PoisonError::into_inner);
            let known = |known: &&Constants| known.dtype == dtype && known.device == device;
            match all.iter().find(known) {
                Some(known) => known.clone(),
                None => {
                    let new = Constants::new(source, dtype, device);
                    all.push(new.clone());
                    new
                }
            }
        };
        Replay::new(source, constants, inputs).run(source)
    }

    /// Compares the replay with the function, at the given point and at one beside it: a part that is
    /// multiplied by 0 is not seen, and arguments often are zeros.
    fn verified(
        graph: Graph,
        function: impl Fn(In) -> Out,
        at: Vec<DispatchTensor>,
    ) -> Result<Self, Error> {
        let traced = Self { graph, constants: Arc::default(), types: PhantomData };
        traced.compared(&function, &at, Point::Given)?;
        let beside = |tensor: &DispatchTensor| {
            let x: Var = Var::new(tensor.clone());
            let step = uneven(&x) * 0.0625;
            (x + step).into_raw()
        };
        let beside: Vec<_> = at.iter().map(beside).collect();
        traced.compared(&function, &beside, Point::Beside)?;
        Ok(traced)
    }

    /// Compares values, and the gradient for uneven cotangents.
    fn compared(
        &self,
        function: &impl Fn(In) -> Out,
        at: &[DispatchTensor],
        point: Point,
    ) -> Result<(), Error> {
        let leaves: Vec<_> = at.iter().map(|tensor| Var::leaf(Var::new(tensor.clone()))).collect();
        let outputs = self.run(leaves.clone())?;
        let cotangents: Vec<Var> = outputs.iter().map(uneven).collect();
        let replayed = crate::Gradient::of(&outputs)
            .cotangents(&cotangents)
            .constant()
            .gradients(&leaves.iter().collect::<Vec<_>>())?;

        let tracked: Vec<_> = at
            .iter()
            .map(|tensor| {
                // The rank is no part of a tensor's data.
                let plain = Tensor::<1>::from_dispatch(tensor.clone());
                Tensor::<1>::from_inner(plain).require_grad().into_dispatch()
            })
            .collect();
        let own = function(In::from_dispatch(tracked.clone())).into_dispatch();
        let mut objective: Option<Var> = None;
        for ((own, output), cotangent) in own.into_iter().zip(&outputs).zip(&cotangents) {
            let own: Var = Var::new(own);
            compare(
                "value",
                &Var::new(without_autodiff(own.raw().clone())),
                output,
                VALUES.max(HALF * rounding(output.dtype())),
                point,
            )?;
            let term = (own * cotangent).sum();
            objective = Some(match objective {
                Some(sum) => sum + term,
                None => term,
            });
        }
        let objective = objective.map(Var::into_raw).filter(crate::call::is_tracked);
        let grads = objective.map(<Dispatch as AutodiffBackend>::backward);
        for (index, (input, found)) in tracked.iter().zip(replayed).enumerate() {
            let own = grads
                .as_ref()
                .and_then(|grads| <Dispatch as AutodiffBackend>::grad(input, grads))
                .map_or_else(|| leaves[index].zeros_like(), Var::new);
            let found = found.unwrap_or_else(|| leaves[index].zeros_like());
            compare("gradient", &own, &found, self.tolerance(found.dtype()), point)?;
        }
        Ok(())
    }

    /// What the two gradients may differ by, relative to the largest number.
    fn tolerance(&self, dtype: DType) -> f64 {
        let source = self.graph.source.as_ref().expect("a recorded graph has its source");
        let approximate =
            source.operations.iter().any(|known| matches!(known, O::Activation(A::Gelu(_))));
        match dtype {
            _ if approximate => APPROXIMATE,
            // Both are rounded, in another order. In double precision Burn's gradient of a division by
            // a number is rounded to single precision; a long chain of these adds up.
            DType::F64 => 64.0 * f64::from(f32::EPSILON),
            DType::F32 => 256.0 * f64::from(f32::EPSILON),
            half => HALF * rounding(half),
        }
    }
}

/// Where a replay is compared with its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    Given,
    /// Perhaps beyond the function's domain: what is not finite there says nothing.
    Beside,
}

/// Weights that no symmetry cancels: the fractional parts of the multiples of the golden ratio.
fn uneven(like: &Var) -> Var {
    let count = like.shape().num_elements();
    let data: Vec<f64> =
        (1..=count).map(|k| (k as f64 * 0.618_033_988_749_895).fract() + 0.25).collect();
    constant(TensorData::new(data, like.shape()), like.dtype(), &like.device())
}

fn constant(data: TensorData, dtype: DType, device: &Device<Dispatch>) -> Var {
    Var::new(Dispatch::float_from_data(data.convert_dtype(dtype), device))
}

/// A thousand roundings of single precision in the largest number: some of Burn's kernels compute in
/// it whatever the data type.
const VALUES: f64 = 1e3 * f32::EPSILON as f64;

/// The gradient of Burn's gelu is that of an approximation of it, which differs by 4·10⁻⁴.
const APPROXIMATE: f64 = 1e-3;

/// Roundings of half precision that a gradient may be off by: Burn's, of each step, and those of ours.
/// With more of them, 6 % of the largest number in `bf16`, a part that is left out would pass.
const HALF: f64 = 8.0;

/// From 1 to the next number.
fn rounding(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::EPSILON,
        DType::F32 => f64::from(f32::EPSILON),
        DType::F16 => 2f64.powi(-10),
        _ => 2f64.powi(-7),
    }
}

/// Agreement relative to the largest number. A detached part or a random number usually is a difference
/// of another order.
fn compare(
    what: &'static str,
    own: &Var,
    replayed: &Var,
    tolerance: f64,
    point: Point,
) -> Result<(), Error> {
    // What is zero but for rounding has no scale of its own. Its terms, like the weights, are taken to
    // be of the size of one.
    let floor = match own.dtype() {
        full @ (DType::F64 | DType::F32) => 64.0 * rounding(full),
        half => 32.0 * rounding(half),
    };
    let numbers = |var: &Var| var.to_data().iter::<f64>().collect::<Vec<_>>();
    let (own, replayed) = (numbers(own), numbers(replayed));
    let scale =
        own.iter().chain(&replayed).filter(|x| x.is_finite()).fold(0.0, |m: f64, x| m.max(x.abs()));
    let bound = scale * tolerance + floor;
    let differ = |(own, replayed): (&f64, &f64)| {
        let both = own.is_finite() && replayed.is_finite();
        let same = own == replayed
            || (own.is_nan() && replayed.is_nan())
            || (point == Point::Beside && !both);
        !(same || (own - replayed).abs() <= bound)
    };
    let Some((own, replayed)) = own.iter().zip(&replayed).find(|pair| differ(*pair)) else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::Derivative,
        "trace",
        "function",
        format!(
            "a recording with the function's own {what}, {own} (a recording sees no detach(), and no random numbers)"
        ),
        format!("{replayed}"),
    ))
}

/// A tensor in the course of a replay.
#[derive(Debug, Clone)]
enum Value {
    Float(Var),
    Int(DispatchTensor),
    Bool(DispatchTensor),
}

struct Replay {
    values: HashMap<u64, Value>,
    dtype: DType,
    device: Device<Dispatch>,
}

fn unsupported(operation: &O) -> Error {
    let (name, _) = super::record::describe(operation);
    Error::new(
        ErrorKind::Contract,
        "trace",
        "function",
        "operations that have a counterpart on Var",
        format!("`{name}`"),
    )
}

fn number(scalar: ScalarIr) -> f64 {
    scalar.elem()
}

fn whole(scalar: ScalarIr) -> Scalar {
    scalar.elem::<i64>().into()
}

impl Constants {
    fn new(source: &Source, dtype: DType, device: Device<Dispatch>) -> Self {
        let settings = get_device_settings::<Dispatch>(&device);
        let mut values = HashMap::new();
        for (id, data) in &source.values {
            let value = match data.dtype() {
                kind if kind.is_float() => Value::Float(constant(data.clone(), dtype, &device)),
                kind if kind.is_bool() => {
                    let data = data.clone().convert_dtype(DType::from(settings.bool_dtype));
                    Value::Bool(Dispatch::bool_from_data(data, &device))
                }
                _ => {
                    let data = data.clone().convert_dtype(DType::from(settings.int_dtype));
                    Value::Int(Dispatch::int_from_data(data, &device))
                }
            };
            values.insert(*id, value);
        }
        Self { dtype, device, values }
    }
}

impl Replay {
    fn new(source: &Source, constants: Constants, inputs: Vec<Var>) -> Self {
        let Constants { dtype, device, mut values } = constants;
        for (id, input) in source.inputs.iter().zip(inputs) {
            values.insert(*id, Value::Float(input));
        }
        Self { values, dtype, device }
    }

    fn run(mut self, source: &Source) -> Result<Vec<Var>, Error> {
        for operation in &source.operations {
            if matches!(operation, O::Init(_) | O::Drop(_)) {
                continue;
            }
            let found = self.perform(operation).ok_or_else(|| unsupported(operation))?;
            let outputs: Vec<_> = operation.outputs().map(|tensor| tensor.id.value()).collect();
            for (id, value) in outputs.into_iter().zip(found) {
                self.values.insert(id, value);
            }
        }
        let output = |id: &u64| match self.values.get(id) {
            Some(Value::Float(var)) => Ok(var.clone()),
            _ => Err(Error::new(
                ErrorKind::Contract,
                "trace",
                "function",
                "results that are float tensors",
                "another kind",
            )),
        };
        source.outputs.iter().map(output).collect()
    }

    fn float(&self, tensor: &TensorIr) -> Option<&Var> {
        match self.values.get(&tensor.id.value())? {
            Value::Float(var) => Some(var),
            _ => None,
        }
    }

    fn int(&self, tensor: &TensorIr) -> Option<DispatchTensor> {
        match self.values.get(&tensor.id.value())? {
            Value::Int(int) => Some(int.clone()),
            _ => None,
        }
    }

    fn index(&self, tensor: &TensorIr) -> Option<Index> {
        Some(Index::new(self.int(tensor)?))
    }

    fn mask(&self, tensor: &TensorIr) -> Option<Mask> {
        match self.values.get(&tensor.id.value())? {
            Value::Bool(mask) => Some(Mask::new(mask.clone())),
            _ => None,
        }
    }

    fn full(&self, shape: &Shape, value: f64) -> Var {
        let dtype = self.dtype.into();
        Var::new(Dispatch::float_full(shape.clone(), value.into(), &self.device, dtype))
    }

    /// The results of an operation; `None` if it has no counterpart.
    fn perform(&self, operation: &O) -> Option<Vec<Value>> {
        let value = match operation {
            O::BaseFloat(base) => return self.base(base),
            O::BaseInt(base) => self.base_int(base)?,
            O::BaseBool(base) => Value::Bool(self.base_bool(base)?),
            O::NumericFloat(_, numeric) => return self.numeric(numeric),
            O::NumericInt(_, numeric) => self.numeric_int(numeric)?,
            O::Float(_, float) => Value::Float(self.elementary(float)?),
            O::Activation(activation) => Value::Float(self.activation(activation)?),
            O::Int(I::IntoFloat(cast)) => {
                let int = self.int(&cast.input)?;
                Value::Float(Var::new(Dispatch::int_into_float(int, self.dtype.into())))
            }
            O::Bool(Bo::IntoFloat(cast)) => {
                let mask = self.mask(&cast.input)?.into_primitive();
                Value::Float(Var::new(Dispatch::bool_into_float(mask, self.dtype.into())))
            }
            O::Bool(Bo::Not(not)) => Value::Bool((!self.mask(&not.input)?).into_primitive()),
            O::Bool(Bo::And(and)) => {
                Value::Bool((self.mask(&and.lhs)? & self.mask(&and.rhs)?).into_primitive())
            }
            O::Bool(Bo::Or(or)) => {
                Value::Bool((self.mask(&or.lhs)? | self.mask(&or.rhs)?).into_primitive())
            }
            O::Custom(custom) => {
                let (mut floats, mut ints) = (Vec::new(), Vec::new());
                for input in &custom.inputs {
                    match self.values.get(&input.id.value())? {
                        Value::Float(var) => floats.push(var.clone()),
                        Value::Int(int) => ints.push(Index::new(int.clone())),
                        Value::Bool(_) => return None,
                    }
                }
                let found = super::custom::run(&custom.id, floats, ints, &custom.scalars)?;
                return Some(found.into_iter().map(Value::Float).collect());
            }
            _ => return None,
        };
        Some(vec![value])
    }

    fn base(&self, operation: &B) -> Option<Vec<Value>> {
        let mask = |mask: Mask| Some(vec![Value::Bool(mask.into_primitive())]);
        let var = match operation {
            B::Reshape(op) => self.float(&op.input)?.reshape(op.out.shape.clone()),
            B::SwapDims(op) => self.float(&op.input)?.swap_dims(op.dim1, op.dim2),
            B::Permute(op) => self.float(&op.input)?.permute(&op.axes),
            B::Flip(op) => self.float(&op.input)?.flip(&op.axes),
            B::Expand(op) => expanded(self.float(&op.input)?, &op.out.shape),
            B::Slice(op) => self.float(&op.tensor)?.slice(ranges(&op.ranges, &op.tensor.shape)?),
            B::SliceAssign(op) => {
                let ranges = ranges(&op.ranges, &op.tensor.shape)?;
                let (tensor, value) = (self.float(&op.tensor)?, self.float(&op.value)?);
                let hole = self.full(&op.value.shape, 1.0).embed(&op.tensor.shape, &ranges);
                tensor.mask_fill(&hole.greater_elem(0.5), 0.0)
                    + value.embed(&op.tensor.shape, &ranges)
            }
            B::Select(op) => self.float(&op.tensor)?.select(op.dim, self.index(&op.indices)?),
            B::SelectAssign(op) if matches!(op.update, IndexingUpdateOp::Add) => {
                let (index, value) = (self.index(&op.indices)?, self.float(&op.value)?);
                self.float(&op.tensor)?.select_add(op.dim, index, value)
            }
            B::Gather(op) => self.float(&op.tensor)?.gather(op.dim, self.index(&op.indices)?),
            B::Scatter(op) if matches!(op.update, IndexingUpdateOp::Add) => {
                let (index, value) = (self.index(&op.indices)?, self.float(&op.value)?);
                self.float(&op.tensor)?.scatter_add(op.dim, index, value)
            }
            B::MaskWhere(op) => {
                let (mask, value) = (self.mask(&op.mask)?, self.float(&op.value)?);
                self.float(&op.tensor)?.mask_where(&mask, value)
            }
            B::MaskFill(op) => {
                self.float(&op.tensor)?.mask_fill(&self.mask(&op.mask)?, number(op.value))
            }
            B::Equal(op) => return mask(self.float(&op.lhs)?.equal(self.float(&op.rhs)?)),
            B::EqualElem(op) => return mask(self.float(&op.lhs)?.equal_elem(number(op.rhs))),
            B::NotEqual(op) => return mask(self.float(&op.lhs)?.not_equal(self.float(&op.rhs)?)),
            B::NotEqualElem(op) => {
                return mask(self.float(&op.lhs)?.not_equal_elem(number(op.rhs)));
            }
            B::RepeatDim(op) => {
                let part = self.float(&op.tensor)?.clone();
                Var::cat(&vec![part; op.times], op.dim)
            }
            B::Cat(op) => {
                let parts: Option<Vec<_>> =
                    op.tensors.iter().map(|tensor| self.float(tensor).cloned()).collect();
                Var::cat(&parts?, op.dim)
            }
            // One data type for everything.
            B::Cast(op) => self.float(&op.input)?.clone(),
            B::Ones(op) => self.full(&op.out.shape, 1.0),
            B::Zeros(op) => self.full(&op.out.shape, 0.0),
            _ => return None,
        };
        Some(vec![Value::Float(var)])
    }

    fn base_int(&self, operation: &B) -> Option<Value> {
        let settings = get_device_settings::<Dispatch>(&self.device);
        let (ints, bools) = (settings.int_dtype, settings.bool_dtype);
        let mask = |mask| Some(Value::Bool(mask));
        Some(Value::Int(match operation {
            B::Reshape(op) => Dispatch::int_reshape(self.int(&op.input)?, op.out.shape.clone()),
            B::SwapDims(op) => Dispatch::int_swap_dims(self.int(&op.input)?, op.dim1, op.dim2),
            B::Permute(op) => Dispatch::int_permute(self.int(&op.input)?, &op.axes),
            B::Expand(op) => Dispatch::int_expand(self.int(&op.input)?, op.out.shape.clone()),
            B::Cast(op) => self.int(&op.input)?,
            B::Ones(op) => Dispatch::int_ones(op.out.shape.clone(), &self.device, ints),
            B::Zeros(op) => Dispatch::int_zeros(op.out.shape.clone(), &self.device, ints),
            B::Equal(op) => {
                return mask(Dispatch::int_equal(self.int(&op.lhs)?, self.int(&op.rhs)?, bools));
            }
            B::EqualElem(op) => {
                return mask(Dispatch::int_equal_elem(self.int(&op.lhs)?, whole(op.rhs), bools));
            }
            B::NotEqual(op) => {
                return mask(Dispatch::int_not_equal(
                    self.int(&op.lhs)?,
                    self.int(&op.rhs)?,
                    bools,
                ));
            }
            B::NotEqualElem(op) => {
                return mask(Dispatch::int_not_equal_elem(
                    self.int(&op.lhs)?,
                    whole(op.rhs),
                    bools,
                ));
            }
            _ => return None,
        }))
    }

    fn base_bool(&self, operation: &B) -> Option<DispatchTensor> {
        let mask = |tensor| Some(self.mask(tensor)?.into_primitive());
        Some(match operation {
            B::Reshape(op) => Dispatch::bool_reshape(mask(&op.input)?, op.out.shape.clone()),
            B::SwapDims(op) => Dispatch::bool_swap_dims(mask(&op.input)?, op.dim1, op.dim2),
            B::Permute(op) => Dispatch::bool_permute(mask(&op.input)?, &op.axes),
            B::Expand(op) => Dispatch::bool_expand(mask(&op.input)?, op.out.shape.clone()),
            _ => return None,
        })
    }

    fn numeric(&self, operation: &N) -> Option<Vec<Value>> {
        let mask = |mask: Mask| Some(vec![Value::Bool(mask.into_primitive())]);
        let index = |index: Index| Some(vec![Value::Int(index.into_primitive())]);
        let var = match operation {
            N::Add(op) => self.float(&op.lhs)? + self.float(&op.rhs)?,
            N::Sub(op) => self.float(&op.lhs)? - self.float(&op.rhs)?,
            N::Mul(op) => self.float(&op.lhs)? * self.float(&op.rhs)?,
            N::Div(op) => self.float(&op.lhs)? / self.float(&op.rhs)?,
            N::AddScalar(op) => self.float(&op.lhs)? + number(op.rhs),
            N::SubScalar(op) => self.float(&op.lhs)? - number(op.rhs),
            N::MulScalar(op) => self.float(&op.lhs)? * number(op.rhs),
            N::DivScalar(op) => self.float(&op.lhs)? / number(op.rhs),
            N::Neg(op) => -self.float(&op.input)?,
            N::Abs(op) => self.float(&op.input)?.abs(),
            N::Sign(op) => self.float(&op.input)?.sign(),
            N::Full(op) => self.full(&op.out.shape, number(op.value)),
            N::Sum(op) => self.float(&op.input)?.sum(),
            N::SumDim(op) => self.float(&op.input)?.sum_dim(op.axis),
            N::SumDims(op) => self.float(&op.input)?.sum_dims(&op.axes),
            N::Mean(op) => self.float(&op.input)?.mean(),
            N::MeanDim(op) => self.float(&op.input)?.mean_dim(op.axis),
            N::Max(op) => self.float(&op.input)?.max(),
            N::Min(op) => self.float(&op.input)?.min(),
            N::MaxDim(op) => self.float(&op.input)?.max_dim(op.axis),
            N::MinDim(op) => self.float(&op.input)?.min_dim(op.axis),
            N::ArgMax(op) => return index(self.float(&op.input)?.argmax(op.axis)),
            N::ArgMin(op) => return index(self.float(&op.input)?.argmin(op.axis)),
            N::Greater(op) => return mask(self.float(&op.lhs)?.greater(self.float(&op.rhs)?)),
            N::GreaterElem(op) => return mask(self.float(&op.lhs)?.greater_elem(number(op.rhs))),
            N::GreaterEqual(op) => {
                return mask(self.float(&op.lhs)?.greater_equal(self.float(&op.rhs)?));
            }
            N::GreaterEqualElem(op) => {
                return mask(self.float(&op.lhs)?.greater_equal_elem(number(op.rhs)));
            }
            N::Lower(op) => return mask(self.float(&op.lhs)?.lower(self.float(&op.rhs)?)),
            N::LowerElem(op) => return mask(self.float(&op.lhs)?.lower_elem(number(op.rhs))),
            N::LowerEqual(op) => {
                return mask(self.float(&op.lhs)?.lower_equal(self.float(&op.rhs)?));
            }
            N::LowerEqualElem(op) => {
                return mask(self.float(&op.lhs)?.lower_equal_elem(number(op.rhs)));
            }
            N::Clamp(op) => self.float(&op.tensor)?.clamp(number(op.min), number(op.max)),
            N::ClampMin(op) => {
                let (x, least) = (self.float(&op.lhs)?, number(op.rhs));
                x.mask_fill(&x.lower_elem(least), least)
            }
            N::ClampMax(op) => {
                let (x, most) = (self.float(&op.lhs)?, number(op.rhs));
                x.mask_fill(&x.greater_elem(most), most)
            }
            N::PowiScalar(op) => self.float(&op.lhs)?.powf(number(op.rhs)),
            _ => return None,
        };
        Some(vec![Value::Float(var)])
    }

    fn numeric_int(&self, operation: &N) -> Option<Value> {
        let bools = get_device_settings::<Dispatch>(&self.device).bool_dtype;
        let mask = |mask| Some(Value::Bool(mask));
        Some(Value::Int(match operation {
            N::Add(op) => Dispatch::int_add(self.int(&op.lhs)?, self.int(&op.rhs)?),
            N::Sub(op) => Dispatch::int_sub(self.int(&op.lhs)?, self.int(&op.rhs)?),
            N::Mul(op) => Dispatch::int_mul(self.int(&op.lhs)?, self.int(&op.rhs)?),
            N::AddScalar(op) => Dispatch::int_add_scalar(self.int(&op.lhs)?, whole(op.rhs)),
            N::MulScalar(op) => Dispatch::int_mul_scalar(self.int(&op.lhs)?, whole(op.rhs)),
            N::Greater(op) => {
                return mask(Dispatch::int_greater(self.int(&op.lhs)?, self.int(&op.rhs)?, bools));
            }
            N::GreaterElem(op) => {
                return mask(Dispatch::int_greater_elem(self.int(&op.lhs)?, whole(op.rhs), bools));
            }
            N::GreaterEqual(op) => {
                return mask(Dispatch::int_greater_equal(
                    self.int(&op.lhs)?,
                    self.int(&op.rhs)?,
                    bools,
                ));
            }
            N::GreaterEqualElem(op) => {
                return mask(Dispatch::int_greater_equal_elem(
                    self.int(&op.lhs)?,
                    whole(op.rhs),
                    bools,
                ));
            }
            N::Lower(op) => {
                return mask(Dispatch::int_lower(self.int(&op.lhs)?, self.int(&op.rhs)?, bools));
            }
            N::LowerElem(op) => {
                return mask(Dispatch::int_lower_elem(self.int(&op.lhs)?, whole(op.rhs), bools));
            }
            N::LowerEqual(op) => {
                return mask(Dispatch::int_lower_equal(
                    self.int(&op.lhs)?,
                    self.int(&op.rhs)?,
                    bools,
                ));
            }
            N::LowerEqualElem(op) => {
                return mask(Dispatch::int_lower_equal_elem(
                    self.int(&op.lhs)?,
                    whole(op.rhs),
                    bools,
                ));
            }
            _ => return None,
        }))
    }

    fn elementary(&self, operation: &F) -> Option<Var> {
        Some(match operation {
            F::Exp(op) => self.float(&op.input)?.exp(),
            F::Log(op) => self.float(&op.input)?.log(),
            F::Log1p(op) => self.float(&op.input)?.log1p(),
            F::Erf(op) => self.float(&op.input)?.erf(),
            F::Sqrt(op) => self.float(&op.input)?.sqrt(),
            F::Sin(op) => self.float(&op.input)?.sin(),
            F::Cos(op) => self.float(&op.input)?.cos(),
            F::Tanh(op) => self.float(&op.input)?.tanh(),
            F::Recip(op) => self.float(&op.input)?.recip(),
            F::PowfScalar(op) => self.float(&op.lhs)?.powf(number(op.rhs)),
            F::Powf(op) => self.float(&op.lhs)?.pow(self.float(&op.rhs)?),
            F::Matmul(op) => self.float(&op.lhs)?.matmul(self.float(&op.rhs)?),
            _ => return None,
        })
    }

    fn activation(&self, operation: &A) -> Option<Var> {
        Some(match operation {
            A::Relu(op) => self.float(&op.input)?.relu(),
            A::Sigmoid(op) => self.float(&op.input)?.sigmoid(),
            A::LogSigmoid(op) => -(-self.float(&op.input)?).softplus(),
            A::LeakyRelu(op) => {
                let (x, slope) = (self.float(&op.lhs)?, number(op.rhs));
                x.mask_where(&x.lower_elem(0.0), &(x * slope))
            }
            A::Gelu(op) => {
                let x = self.float(&op.input)?;
                0.5 * x * (1.0 + (x * std::f64::consts::FRAC_1_SQRT_2).erf())
            }
            A::Softmax(op) => self.float(&op.input)?.softmax(op.axis),
            A::LogSoftmax(op) => self.float(&op.input)?.log_softmax(op.axis),
            A::Softmin(op) => (-self.float(&op.input)?).softmax(op.axis),
            _ => return None,
        })
    }
}

/// Burn's expand may add dimensions in front.
fn expanded(x: &Var, shape: &Shape) -> Var {
    let missing = shape.num_dims() - x.rank();
    let padded = [vec![1; missing], x.shape().to_vec()].concat();
    x.reshape(Shape::from(padded)).expand(shape.clone())
}

/// Ranges with steps of one, from either end.
fn ranges(slices: &[Slice], shape: &Shape) -> Option<Vec<std::ops::Range<usize>>> {
    let range = |(slice, size): (&Slice, &usize)| {
        let at = |index: isize| if index < 0 { index + *size as isize } else { index };
        let (start, end) = (at(slice.start), slice.end.map_or(*size as isize, at));
        let fits = slice.step == 1 && 0 <= start && start <= end && end <= *size as isize;
        fits.then_some(start as usize..end as usize)
    };
    slices.iter().zip(shape.iter()).map(range).collect()
}
