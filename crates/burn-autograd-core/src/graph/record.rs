use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use burn::backend::ir::{OperationIr, TensorId};
use burn::backend::{Capture, DispatchKindConversion, DispatchTensor, TensorMetadata};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use serde_json::Value;

use super::{Graph, GraphOperation, GraphTensor, Role, Source};
use crate::tracking::{is_tracked, without_autodiff};
use crate::{Error, ErrorKind, Tensors};

thread_local! {
    /// One device for all recordings of a thread: a process has 65,536 of them.
    static DEVICE: Device = Device::capture();
    static FUNCTIONS: RefCell<Option<Vec<Applied>>> = const { RefCell::new(None) };
}

/// What a function did while a graph was recorded: everything between two marks.
pub(crate) struct Applied {
    name: Cow<'static, str>,
    since: u64,
    until: u64,
}

/// Notes the end of a function when it is dropped.
pub(crate) struct Noted(Option<(Cow<'static, str>, u64)>);

impl Applied {
    /// Tells the graph that is being recorded on this thread, if any, of a function.
    pub(crate) fn begin(name: impl FnOnce() -> Cow<'static, str>) -> Noted {
        Noted(FUNCTIONS.with_borrow(Option::is_some).then(|| (name(), mark())))
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        let Some((name, since)) = self.0.take().filter(|_| !std::thread::panicking()) else {
            return;
        };
        let applied = Applied { name, since, until: mark() };
        FUNCTIONS.with_borrow_mut(|functions| functions.get_or_insert_default().push(applied));
    }
}

/// The number of a new tensor on the recording device: numbers only grow.
fn mark() -> u64 {
    let probe = DEVICE.with(|device| Tensor::<1>::from_data([0.0f32], device));
    id(&probe.into_dispatch()).expect("the device records")
}

fn id(tensor: &DispatchTensor) -> Option<u64> {
    use burn::backend::BackendTensor as T;
    let tensor =
        <DispatchTensor as DispatchKindConversion<Capture>>::try_into_backend(tensor.clone())
            .ok()?;
    match tensor {
        T::Float(tensor) | T::Int(tensor) | T::Bool(tensor) => Some(tensor.id().value()),
        _ => None,
    }
}

/// The parameters of a module: their paths, and whether they require a gradient.
#[derive(Default)]
struct Parameters {
    path: Vec<String>,
    found: Vec<(String, bool, Option<u64>)>,
}

impl ModuleVisitor for Parameters {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let id = id(&parameter.val().into_dispatch());
        self.found.push((self.path.join("."), parameter.is_require_grad(), id));
    }

    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
}

/// Stops the noting of functions, also when the function that is recorded panics.
struct Noting;

impl Drop for Noting {
    fn drop(&mut self) {
        FUNCTIONS.set(None);
    }
}

impl Graph {
    /// Records a function of tensors.
    ///
    /// The inputs' values are not used, only their shapes and data types, and whether they are
    /// tracked. A tensor that the function captured has to be moved to the device of its arguments:
    /// `weight.inner().to_device(&x.device())`. For modules there is
    /// [`record_module`](Self::record_module).
    ///
    /// # Errors
    ///
    /// If a graph is already being recorded on this thread, if a result is not computed on the
    /// arguments' device, and what else Burn's recording refuses.
    ///
    /// # Panics
    ///
    /// Where the function does; so if it reads the value of a computed tensor.
    pub fn record<I: Tensors, O: Tensors>(
        function: impl FnOnce(I) -> O,
        inputs: I,
    ) -> Result<Self, Error> {
        Self::record_with(|_, inputs| (function(inputs), Vec::new()), inputs)
    }

    /// Records a function of a module and tensors; the module's parameters are known by their paths.
    ///
    /// The module may be on any device, with autodiff or without.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    ///
    /// # Panics
    ///
    /// As [`record`](Self::record).
    pub fn record_module<M: Module, I: Tensors, O: Tensors>(
        module: &M,
        function: impl FnOnce(&M, I) -> O,
        inputs: I,
    ) -> Result<Self, Error> {
        let mut originals = Parameters::default();
        module.visit(&mut originals);
        let plain = module.valid();
        // Kept until the recording has ended: freeing it would be recorded too.
        let mut kept = None;
        Self::record_with(
            |device, inputs| {
                let moved = plain.to_device(device);
                let mut parameters = Parameters::default();
                moved.visit(&mut parameters);
                let known = parameters
                    .found
                    .into_iter()
                    .zip(originals.found)
                    .filter_map(|((path, _, id), (_, tracked, _))| Some((id?, path, tracked)))
                    .collect();
                let outputs = function(&moved, inputs);
                kept = Some(moved);
                (outputs, known)
            },
            inputs,
        )
    }

    fn record_with<I: Tensors, O: Tensors>(
        function: impl FnOnce(&Device, I) -> (O, Vec<(u64, String, bool)>),
        inputs: I,
    ) -> Result<Self, Error> {
        const OPERATION: &str = "Graph::record";
        let device = DEVICE.with(Device::clone);
        let inputs = inputs.into_dispatch();
        let tracked: Vec<bool> = inputs.iter().map(is_tracked).collect();
        if FUNCTIONS.with_borrow(Option::is_some) {
            let expected = "no other recording on this thread";
            let got = "one that has not ended";
            return Err(Error::new(ErrorKind::Contract, OPERATION, "function", expected, got));
        }
        FUNCTIONS.set(Some(Vec::new()));
        let noting = Noting;
        let mut kept = Vec::new();
        let mut parameters = Vec::new();
        let mut refused = None;
        let mut output_ids = Vec::new();
        let mut boundary = (Vec::new(), Vec::new());
        let captured = device.capture_scope(|scope| {
            let inputs: Vec<_> = inputs
                .into_iter()
                .map(|input| {
                    // The rank is no part of a tensor's data.
                    let plain = Tensor::<1>::from_dispatch(without_autodiff(input));
                    plain.to_device(&device).into_dispatch()
                })
                .collect();
            kept.extend(inputs.iter().cloned());
            let (outputs, known) = function(&device, I::from_dispatch(inputs));
            parameters = known;
            let outputs = outputs.into_dispatch();
            let input_ids: Vec<u64> = kept.iter().filter_map(id).collect();
            refused = outputs
                .iter()
                .find(|output| id(output).is_none())
                .map(|output| format!("{:?}", output.device()));
            output_ids = outputs.iter().filter_map(id).collect();
            // Burn takes each computed tensor once, and no argument.
            let mut seen: HashSet<u64> = input_ids.iter().copied().collect();
            let computed: Vec<u64> =
                output_ids.iter().copied().filter(|id| seen.insert(*id)).collect();
            kept.extend(outputs);
            boundary = (input_ids.clone(), computed.clone());
            let ir = |ids: Vec<u64>| ids.into_iter().map(TensorId::new).collect::<Vec<_>>();
            scope.complete(ir(input_ids), ir(computed))
        });
        let functions = FUNCTIONS.take().unwrap_or_default();
        drop(noting);
        drop(kept);
        if let Some(got) = refused {
            let expected = "results computed from the arguments, on their device";
            return Err(Error::new(ErrorKind::Device, OPERATION, "function", expected, got));
        }
        let captured = captured.map_err(|error| {
            let expected = "a function that can be recorded";
            Error::new(ErrorKind::Contract, OPERATION, "function", expected, error.to_string())
        })?;
        // Burn may know a tensor by another number in the end.
        let resolved: HashMap<u64, u64> = boundary
            .0
            .into_iter()
            .zip(&captured.graph.inputs)
            .chain(boundary.1.into_iter().zip(&captured.graph.outputs))
            .map(|(id, resolved)| (id, resolved.value()))
            .collect();
        let inputs: Vec<u64> = captured.graph.inputs.iter().map(|id| id.value()).collect();
        let operations = captured.graph.operations;
        let reads = operations.iter().enumerate().flat_map(|(index, operation)| {
            operation.inputs().map(move |tensor| (tensor.id.value(), index))
        });
        let source = Source {
            last_read: reads.collect(),
            parameters: parameters.iter().map(|(id, path, _)| (path.clone(), *id)).collect(),
            operations,
            values: captured.values.into_iter().map(|(id, data)| (id.value(), data)).collect(),
            outputs: output_ids
                .into_iter()
                .map(|id| resolved.get(&id).copied().unwrap_or(id))
                .collect(),
            inputs,
        };
        Ok(Self::build(source, &tracked, parameters, functions))
    }

    fn build(
        source: Source,
        tracked: &[bool],
        parameters: Vec<(u64, String, bool)>,
        functions: Vec<Applied>,
    ) -> Self {
        let mut tensors: Vec<GraphTensor> = Vec::new();
        let mut index: HashMap<u64, usize> = HashMap::new();
        let parameters: HashMap<u64, (String, bool)> =
            parameters.into_iter().map(|(id, path, tracked)| (id, (path, tracked))).collect();
        let performed: Vec<&OperationIr> = source
            .operations
            .iter()
            .filter(|operation| !matches!(operation, OperationIr::Init(_) | OperationIr::Drop(_)))
            .collect();

        // Leaves: the inputs, then the parameters and constants in the order of their use.
        let described: HashMap<u64, (Vec<usize>, burn::tensor::DType)> = source
            .operations
            .iter()
            .flat_map(OperationIr::nodes)
            .map(|tensor| (tensor.id.value(), (tensor.shape.to_vec(), tensor.dtype)))
            .collect();
        let made: HashSet<u64> = performed
            .iter()
            .flat_map(|operation| operation.outputs())
            .map(|tensor| tensor.id.value())
            .collect();
        let used = performed.iter().flat_map(|operation| operation.inputs()).map(|t| t.id.value());
        let leaves: Vec<u64> = source
            .inputs
            .iter()
            .copied()
            .chain(used.filter(|id| !made.contains(id)))
            .chain(source.outputs.iter().copied().filter(|id| !made.contains(id)))
            .collect();
        for id in leaves {
            if index.contains_key(&id) {
                continue;
            }
            let (shape, dtype) = match (described.get(&id), source.values.get(&id)) {
                (Some(described), _) => described.clone(),
                (None, Some(data)) => (data.shape().to_vec(), data.dtype()),
                (None, None) => continue,
            };
            let (role, tracked) = match source.inputs.iter().position(|input| *input == id) {
                Some(position) => (Role::Input(position), tracked[position]),
                None => match parameters.get(&id) {
                    Some((path, tracked)) => (Role::Parameter(path.clone()), *tracked),
                    None => (Role::Constant, false),
                },
            };
            index.insert(id, tensors.len());
            tensors.push(GraphTensor { role, shape, dtype, tracked });
        }

        // The outermost functions lie apart, in the order of the operations.
        let mut outermost: Vec<usize> = Vec::new();
        for (index, function) in functions.iter().enumerate().rev() {
            let inside =
                outermost.last().is_some_and(|outer| functions[*outer].since < function.since);
            if !inside {
                outermost.push(index);
            }
        }
        outermost.reverse();
        let mut operations = Vec::with_capacity(performed.len());
        for operation in performed {
            let inputs: Vec<usize> = operation
                .inputs()
                .filter_map(|tensor| index.get(&tensor.id.value()).copied())
                .collect();
            let flows = inputs.iter().any(|input| tensors[*input].tracked);
            let mut outputs = Vec::new();
            for tensor in operation.outputs() {
                index.insert(tensor.id.value(), tensors.len());
                outputs.push(tensors.len());
                tensors.push(GraphTensor {
                    role: Role::Intermediate,
                    shape: tensor.shape.to_vec(),
                    dtype: tensor.dtype,
                    tracked: flows && tensor.dtype.is_float(),
                });
            }
            let (name, attributes) = describe(operation);
            let number = |id: u64| {
                let next = outermost.partition_point(|index| functions[*index].until < id);
                outermost.get(next).copied().filter(|index| functions[*index].since < id)
            };
            let function = operation.outputs().next().and_then(|tensor| number(tensor.id.value()));
            operations.push(GraphOperation {
                name,
                inputs,
                outputs,
                attributes,
                function,
                collapsed: false,
            });
        }

        let mut source = source;
        let place = |id: &u64| index.get(id).copied();
        let inputs: Vec<usize> = source.inputs.iter().filter_map(place).collect();
        let outputs: Vec<usize> = source.outputs.iter().filter_map(place).collect();
        // What an argument was when it was recorded is of no use to anyone.
        for input in &source.inputs {
            source.values.remove(input);
        }
        Self {
            tensors,
            operations,
            functions: functions.into_iter().map(|applied| applied.name.into_owned()).collect(),
            inputs,
            outputs,
            source: Some(Arc::new(source)),
        }
    }
}

/// Name and parameters of an operation, from its serialised form, which is the same for all kinds.
pub(super) fn describe(operation: &OperationIr) -> (String, Vec<(String, String)>) {
    let is_tensor = |value: &Value| value.get("status").is_some() && value.get("id").is_some();
    let mut value = serde_json::to_value(operation).unwrap_or_default();
    let mut name = String::new();
    // {"NumericFloat": ["F32", {"MulScalar": {"lhs": …, "rhs": …, "out": …}}]}
    loop {
        value = match value {
            Value::Array(mut parts) => parts.pop().unwrap_or_default(),
            // The result of an operation without inputs is a tensor, not another name.
            Value::Object(fields) if fields.len() == 1 && !fields.values().any(is_tensor) => {
                let (variant, inner) = fields.into_iter().next().unwrap_or_default();
                name = variant;
                inner
            }
            other => {
                value = other;
                break;
            }
        };
    }
    let Value::Object(fields) = value else { return (snake_case(&name), Vec::new()) };
    if name == "Custom"
        && let Some(Value::String(id)) = fields.get("id")
    {
        return (id.clone(), Vec::new());
    }
    let attributes = fields
        .into_iter()
        .filter(|(field, value)| {
            let list = value.as_array().is_some_and(|list| list.iter().any(is_tensor));
            !(is_tensor(value) || list || value.is_null() || field == "accumulator_len")
        })
        .map(|(field, value)| (field, show(&value)))
        .collect();
    (snake_case(&name), attributes)
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

/// A parameter in short: `2`, `0..3`, `[1, 0]`.
fn show(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            if let (Some(start), Some(end)) = (fields.get("start"), fields.get("end")) {
                let step = fields.get("step").and_then(Value::as_i64).unwrap_or(1);
                let end = if end.is_null() { String::new() } else { show(end) };
                let step = if step == 1 { String::new() } else { format!(";{step}") };
                return format!("{}..{end}{step}", show(start));
            }
            // A scalar says its kind: {"Float": 2.0}.
            match fields.iter().next() {
                Some((_, inner)) if fields.len() == 1 => show(inner),
                _ => value.to_string(),
            }
        }
        Value::Array(list) => {
            format!("[{}]", list.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        Value::Number(number) => match number.as_f64() {
            Some(number) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.0}"),
            _ => number.to_string(),
        },
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
