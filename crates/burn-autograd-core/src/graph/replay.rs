//! Recorded operations, performed again on variables: derivatives of any order of code that knows
//! nothing of them.

use std::collections::HashMap;
use std::sync::Arc;

use burn::backend::ir::{
    ActivationOperationIr as A, BaseOperationIr as B, BinaryOpIr, BoolOperationIr as Bo,
    FloatOperationIr as F, IntOperationIr as I, NumericOperationIr as N, OperationIr as O,
    ScalarIr, ScalarOpIr, TensorIr,
};
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::tensor::Device;
use burn::backend::{Dispatch, DispatchTensor, Scalar, get_device_settings};
use burn::tensor::{BoolDType, DType, IndexingUpdateOp, Shape, Slice, TensorData};

use super::Source;
use crate::{Error, ErrorKind, Index, Mask, Var};

/// What the code read beside its arguments, in the data type and on the device of a replay.
#[derive(Debug)]
pub(super) struct Constants {
    pub(super) dtype: DType,
    pub(super) device: Device<Dispatch>,
    values: HashMap<u64, Value>,
}

/// A tensor in the course of a replay.
#[derive(Debug, Clone)]
enum Value {
    Float(Var),
    Int(DispatchTensor),
    Bool(DispatchTensor),
}

pub(super) struct Replay {
    values: HashMap<u64, Value>,
    constants: Arc<Constants>,
}

pub(super) fn constant(data: TensorData, dtype: DType, device: &Device<Dispatch>) -> Var {
    Var::new(Dispatch::float_from_data(data.convert_dtype(dtype), device))
}

fn unsupported(operation: &O) -> Error {
    let (name, _) = super::record::describe(operation);
    Error::new(
        ErrorKind::Contract,
        "capture",
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
    pub(super) fn new(source: &Source, dtype: DType, device: Device<Dispatch>) -> Self {
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
    /// With values for some tensors, by their numbers, in the place of what was recorded.
    pub(super) fn new(
        constants: Arc<Constants>,
        given: impl IntoIterator<Item = (u64, Var)>,
    ) -> Self {
        let values = given.into_iter().map(|(id, var)| (id, Value::Float(var))).collect();
        Self { values, constants }
    }

    fn value(&self, id: u64) -> Option<&Value> {
        self.values.get(&id).or_else(|| self.constants.values.get(&id))
    }

    pub(super) fn run(mut self, source: &Source) -> Result<Vec<Var>, Error> {
        for (index, operation) in source.operations.iter().enumerate() {
            if matches!(operation, O::Init(_) | O::Drop(_)) {
                continue;
            }
            let found = self.perform(operation).ok_or_else(|| unsupported(operation))?;
            let outputs: Vec<_> = operation.outputs().map(|tensor| tensor.id.value()).collect();
            for (id, value) in outputs.into_iter().zip(found) {
                self.values.insert(id, value);
            }
            // What nobody reads any more is freed.
            for tensor in operation.inputs() {
                let id = tensor.id.value();
                if source.last_read.get(&id) == Some(&index) && !source.outputs.contains(&id) {
                    self.values.remove(&id);
                }
            }
        }
        let output = |id: &u64| match self.value(*id) {
            Some(Value::Float(var)) => Ok(var.clone()),
            _ => Err(Error::new(
                ErrorKind::Contract,
                "capture",
                "function",
                "results that are float tensors",
                "another kind",
            )),
        };
        source.outputs.iter().map(output).collect()
    }

    fn float(&self, tensor: &TensorIr) -> Option<&Var> {
        match self.value(tensor.id.value())? {
            Value::Float(var) => Some(var),
            _ => None,
        }
    }

    fn int(&self, tensor: &TensorIr) -> Option<DispatchTensor> {
        match self.value(tensor.id.value())? {
            Value::Int(int) => Some(int.clone()),
            _ => None,
        }
    }

    fn index(&self, tensor: &TensorIr) -> Option<Index> {
        Some(Index::new(self.int(tensor)?))
    }

    fn mask(&self, tensor: &TensorIr) -> Option<Mask> {
        match self.value(tensor.id.value())? {
            Value::Bool(mask) => Some(Mask::new(mask.clone())),
            _ => None,
        }
    }

    fn full(&self, shape: &Shape, value: f64) -> Var {
        let dtype = self.constants.dtype.into();
        Var::new(Dispatch::float_full(shape.clone(), value.into(), &self.constants.device, dtype))
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
                Value::Float(Var::new(Dispatch::int_into_float(int, self.constants.dtype.into())))
            }
            O::Bool(Bo::IntoFloat(cast)) => {
                let mask = self.mask(&cast.input)?.into_primitive();
                Value::Float(Var::new(Dispatch::bool_into_float(mask, self.constants.dtype.into())))
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
                    match self.value(input.id.value())? {
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
        let ints = get_device_settings::<Dispatch>(&self.constants.device).int_dtype;
        Some(Value::Int(match operation {
            B::Reshape(op) => Dispatch::int_reshape(self.int(&op.input)?, op.out.shape.clone()),
            B::SwapDims(op) => Dispatch::int_swap_dims(self.int(&op.input)?, op.dim1, op.dim2),
            B::Permute(op) => Dispatch::int_permute(self.int(&op.input)?, &op.axes),
            B::Expand(op) => Dispatch::int_expand(self.int(&op.input)?, op.out.shape.clone()),
            B::Cast(op) => self.int(&op.input)?,
            B::Ones(op) => Dispatch::int_ones(op.out.shape.clone(), &self.constants.device, ints),
            B::Zeros(op) => Dispatch::int_zeros(op.out.shape.clone(), &self.constants.device, ints),
            B::Equal(op) => return self.ints_compared(op, Dispatch::int_equal),
            B::EqualElem(op) => return self.int_compared(op, Dispatch::int_equal_elem),
            B::NotEqual(op) => return self.ints_compared(op, Dispatch::int_not_equal),
            B::NotEqualElem(op) => return self.int_compared(op, Dispatch::int_not_equal_elem),
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
        Some(Value::Int(match operation {
            N::Add(op) => Dispatch::int_add(self.int(&op.lhs)?, self.int(&op.rhs)?),
            N::Sub(op) => Dispatch::int_sub(self.int(&op.lhs)?, self.int(&op.rhs)?),
            N::Mul(op) => Dispatch::int_mul(self.int(&op.lhs)?, self.int(&op.rhs)?),
            N::AddScalar(op) => Dispatch::int_add_scalar(self.int(&op.lhs)?, whole(op.rhs)),
            N::MulScalar(op) => Dispatch::int_mul_scalar(self.int(&op.lhs)?, whole(op.rhs)),
            N::Greater(op) => return self.ints_compared(op, Dispatch::int_greater),
            N::GreaterElem(op) => return self.int_compared(op, Dispatch::int_greater_elem),
            N::GreaterEqual(op) => return self.ints_compared(op, Dispatch::int_greater_equal),
            N::GreaterEqualElem(op) => {
                return self.int_compared(op, Dispatch::int_greater_equal_elem);
            }
            N::Lower(op) => return self.ints_compared(op, Dispatch::int_lower),
            N::LowerElem(op) => return self.int_compared(op, Dispatch::int_lower_elem),
            N::LowerEqual(op) => return self.ints_compared(op, Dispatch::int_lower_equal),
            N::LowerEqualElem(op) => return self.int_compared(op, Dispatch::int_lower_equal_elem),
            _ => return None,
        }))
    }

    fn ints_compared(
        &self,
        op: &BinaryOpIr,
        compare: fn(DispatchTensor, DispatchTensor, BoolDType) -> DispatchTensor,
    ) -> Option<Value> {
        Some(Value::Bool(compare(self.int(&op.lhs)?, self.int(&op.rhs)?, self.bools())))
    }

    fn int_compared(
        &self,
        op: &ScalarOpIr,
        compare: fn(DispatchTensor, Scalar, BoolDType) -> DispatchTensor,
    ) -> Option<Value> {
        Some(Value::Bool(compare(self.int(&op.lhs)?, whole(op.rhs), self.bools())))
    }

    fn bools(&self) -> BoolDType {
        get_device_settings::<Dispatch>(&self.constants.device).bool_dtype
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
