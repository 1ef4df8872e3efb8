//! Graphs of ordinary tensor code: what was computed from what.

#[cfg(feature = "autodiff")]
mod captured;
#[cfg(feature = "autodiff")]
mod custom;
mod draw;
mod layout;
mod record;
#[cfg(feature = "autodiff")]
mod replay;
mod text;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use burn::backend::ir::OperationIr;
use burn::tensor::{DType, TensorData};

#[cfg(feature = "autodiff")]
pub use captured::{Captured, capture, capture_module};
#[cfg(feature = "autodiff")]
pub use custom::capture_operation;
pub(crate) use record::Applied;

/// The operations that a function of tensors performs: recorded, not computed.
///
/// The function is ordinary Burn code, whole modules included; [`Function`](crate::Function)s in it
/// are known by name. The counterpart of `grad_fn` and `next_functions`, before anything is
/// differentiated. Show it as [text](Self::to_text), as [Graphviz](Self::to_dot), or as a
/// [picture](Self::to_svg).
///
/// What cannot be recorded: a function that reads a value (its operations would depend on it), and
/// the gradients of Burn's autodiff.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::Graph;
///
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &Device::flex().autodiff()).require_grad();
/// let graph = Graph::record(|x: Tensor<1>| x.clone() * x.sin(), x).unwrap();
/// let names: Vec<_> = graph.operations().iter().map(|operation| operation.name()).collect();
/// assert_eq!(names, ["sin", "mul"]);
/// assert_eq!(
///     graph.to_text(),
///     "1 input, 2 operations, 1 output\n\
///      \x20 %0 = input 0      f32 [2]  leaf, tracked\n\
///      \x20 %1 = sin(%0)      f32 [2]  tracked\n\
///      \x20 %2 = mul(%0, %1)  f32 [2]  tracked\n\
///      \x20 output 0 = %2\n"
/// );
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Graph {
    tensors: Vec<GraphTensor>,
    operations: Vec<GraphOperation>,
    functions: Vec<String>,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    /// What was recorded, for those who compute with it.
    #[cfg_attr(not(feature = "autodiff"), expect(dead_code, reason = "read by the replay"))]
    source: Option<Arc<Source>>,
}

#[derive(Debug)]
#[cfg_attr(not(feature = "autodiff"), expect(dead_code, reason = "read by the replay"))]
struct Source {
    operations: Vec<OperationIr>,
    values: HashMap<u64, TensorData>,
    inputs: Vec<u64>,
    outputs: Vec<u64>,
    /// By their paths.
    parameters: HashMap<String, u64>,
    /// The operation that reads a tensor last.
    last_read: HashMap<u64, usize>,
}

/// What a tensor is to a [`Graph`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// An argument of the function, by its position.
    Input(usize),
    /// A parameter of a recorded module, by its path.
    Parameter(String),
    /// A tensor that the function brought along.
    Constant,
    /// A result of an operation.
    Intermediate,
}

/// A tensor of a [`Graph`].
#[derive(Debug, Clone)]
pub struct GraphTensor {
    role: Role,
    shape: Vec<usize>,
    dtype: DType,
    tracked: bool,
}

impl GraphTensor {
    /// What it is to the graph.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its data type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Whether it is an input or a parameter that requires a gradient, or a float tensor computed from
    /// one. The counterpart of `requires_grad`, with two exceptions: Burn records no `detach`, and a
    /// [`Function`](crate::Function) only by what it computes. So what was detached, and an output
    /// without derivative, count as tracked here, though no gradient passes them.
    pub fn is_tracked(&self) -> bool {
        self.tracked
    }

    /// Whether it is not the result of an operation.
    pub fn is_leaf(&self) -> bool {
        self.role != Role::Intermediate
    }
}

/// An operation of a [`Graph`].
#[derive(Debug, Clone)]
pub struct GraphOperation {
    name: String,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    attributes: Vec<(String, String)>,
    function: Option<usize>,
    /// Whether it stands for all operations of its function.
    collapsed: bool,
}

impl GraphOperation {
    /// Its name, as Burn's: `matmul`, `mul_scalar`; or that of a
    /// [collapsed](Graph::collapsed) function.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tensors it reads, as indices of [`Graph::tensors`].
    pub fn inputs(&self) -> &[usize] {
        &self.inputs
    }

    /// The tensors it makes, as indices of [`Graph::tensors`].
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// Its parameters that are not tensors: scalars, dimensions, ranges.
    pub fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    /// The position, in [`Graph::functions`], of the function whose forward it belongs to.
    pub fn function(&self) -> Option<usize> {
        self.function
    }
}

impl Graph {
    /// All tensors, leaves first.
    pub fn tensors(&self) -> &[GraphTensor] {
        &self.tensors
    }

    /// All operations, in the order in which they were performed.
    pub fn operations(&self) -> &[GraphOperation] {
        &self.operations
    }

    /// The names of the [`Function`](crate::Function)s that were applied; one that others apply comes
    /// before them, and its operations are counted as theirs.
    pub fn functions(&self) -> &[String] {
        &self.functions
    }

    /// The function's arguments, as indices of [`tensors`](Self::tensors).
    pub fn inputs(&self) -> &[usize] {
        &self.inputs
    }

    /// The function's results, as indices of [`tensors`](Self::tensors).
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// The same graph with every [`Function`](crate::Function) as one operation, as autodiff sees
    /// it.
    #[must_use]
    pub fn collapsed(&self) -> Self {
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); self.functions.len()];
        // Who reads a tensor: the functions, and whether anything outside of functions does.
        let mut readers: Vec<HashSet<Option<usize>>> = vec![HashSet::new(); self.tensors.len()];
        for (index, operation) in self.operations.iter().enumerate() {
            if let Some(function) = operation.function {
                members[function].push(index);
            }
            for input in &operation.inputs {
                readers[*input].insert(operation.function);
            }
        }
        for output in &self.outputs {
            readers[*output].insert(None);
        }
        let mut operations: Vec<GraphOperation> = Vec::new();
        for (index, operation) in self.operations.iter().enumerate() {
            let Some(function) = operation.function else {
                operations.push(operation.clone());
                continue;
            };
            // It stands where its last operation stood: everything it reads is there.
            let members = &members[function];
            if members.last() != Some(&index) {
                continue;
            }
            let all = || members.iter().map(|member| &self.operations[*member]);
            let made: Vec<usize> =
                all().flat_map(|member| member.outputs.iter().copied()).collect();
            let mut known: HashSet<usize> = made.iter().copied().collect();
            let read = all().flat_map(|member| member.inputs.iter().copied());
            let inputs = read.filter(|input| known.insert(*input)).collect();
            let outside =
                |tensor: &usize| readers[*tensor].iter().any(|reader| *reader != Some(function));
            operations.push(GraphOperation {
                name: self.functions[function].clone(),
                inputs,
                outputs: made.into_iter().filter(outside).collect(),
                attributes: Vec::new(),
                function: Some(function),
                collapsed: true,
            });
        }
        // Tensors that only a function knew are gone.
        let mut used: HashSet<usize> = self.inputs.iter().chain(&self.outputs).copied().collect();
        for operation in &operations {
            used.extend(operation.inputs.iter().chain(&operation.outputs));
        }
        let kept: Vec<usize> =
            (0..self.tensors.len()).filter(|index| used.contains(index)).collect();
        let place: HashMap<usize, usize> =
            kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        let moved = |list: &[usize]| list.iter().map(|index| place[index]).collect::<Vec<_>>();
        for operation in &mut operations {
            operation.inputs = moved(&operation.inputs);
            operation.outputs = moved(&operation.outputs);
        }
        Self {
            tensors: kept.iter().map(|index| self.tensors[*index].clone()).collect(),
            operations,
            functions: self.functions.clone(),
            inputs: moved(&self.inputs),
            outputs: moved(&self.outputs),
            source: None,
        }
    }
}
