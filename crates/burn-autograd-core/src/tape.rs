//! The tape: what an operation on [`Var`]s leaves behind, and the sweep that turns it into
//! derivatives.
//!
//! Burn's own graph is consumed by one backward pass and gives constants. This one is a plain,
//! immutable value: it is read as often as one likes, its derivatives are again [`Var`]s with a
//! place on it, and it is freed with the last `Var` that refers to it. Every derivative is written
//! in terms of the operations that have one, so that the order is not limited; nothing nests, so
//! that one backend type serves every order.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::backend::Backend;
use smallvec::{SmallVec, smallvec};

use crate::{Error, ErrorKind, Var};

/// A list that most often has one or two entries, which then need no memory of their own. No more: what
/// holds it is moved a lot.
pub(crate) type Few<T> = SmallVec<[T; 2]>;

/// One that stays where it is made.
type Many<T> = SmallVec<[T; 8]>;

/// A new number, larger than all before: nodes in this order are in topological order.
pub(crate) fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(true) };
}

/// Whether operations on this thread leave a trace.
pub(crate) fn recording() -> bool {
    RECORDING.get()
}

/// Turns recording on or off until it is dropped.
#[derive(Debug)]
pub(crate) struct Recording(bool);

impl Recording {
    pub(crate) fn set(on: bool) -> Self {
        Self(RECORDING.replace(on))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        RECORDING.set(self.0);
    }
}

thread_local! {
    static WITHIN: std::cell::RefCell<Vec<(Cow<'static, str>, &'static str)>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Names the function whose body runs, for errors, until it is dropped.
#[derive(Debug)]
pub(crate) struct Within(());

impl Within {
    pub(crate) fn enter(name: Cow<'static, str>, part: &'static str) -> Self {
        WITHIN.with_borrow_mut(|stack| stack.push((name, part)));
        Self(())
    }

    /// An operation, and within which function's body it runs.
    pub(crate) fn describe(operation: &str) -> Option<String> {
        WITHIN.with_borrow(|stack| {
            stack.last().map(|(name, part)| format!("{operation} (in the {part} of {name})"))
        })
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        WITHIN.with_borrow_mut(Vec::pop);
    }
}

thread_local! {
    static ON_GRAPH: Cell<bool> = const { Cell::new(false) };
}

/// Whether a body runs that Burn's graph records as a whole, or whose backward Burn runs: with the
/// graph locked.
pub(crate) fn on_graph() -> bool {
    ON_GRAPH.get()
}

/// Says so until it is dropped.
#[cfg(feature = "autodiff")]
#[derive(Debug)]
pub(crate) struct OnGraph(bool);

#[cfg(feature = "autodiff")]
impl OnGraph {
    pub(crate) fn enter() -> Self {
        Self(ON_GRAPH.replace(true))
    }
}

#[cfg(feature = "autodiff")]
impl Drop for OnGraph {
    fn drop(&mut self) {
        ON_GRAPH.set(self.0);
    }
}

/// Runs `body` without recording it: its results are constants of the tape. The counterpart of
/// `torch.no_grad` for [`Var`]s.
///
/// Burn's graph is not switched off: where it tracks a tensor, it goes on;
/// [`detach`](Var::detach) cuts both.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Var, grad, without_recording};
///
/// let x = Tensor::<1>::from_floats([3.0], &Device::flex());
/// // x·x with the first factor held constant.
/// let dx = grad(|x: Var| without_recording(|| &x * 1.0) * x, x);
/// assert_eq!(dx.into_scalar::<f32>(), 3.0);
/// # }
/// ```
pub fn without_recording<T>(body: impl FnOnce() -> T) -> T {
    let _off = Recording::set(false);
    body()
}

/// What a node's backward is given.
#[derive(Debug)]
pub(crate) struct Arrived<'a, B: Backend> {
    node: &'a Arc<Node<B>>,
    /// The gradient of each output; `None` where it was not used.
    pub(crate) grads: Few<Option<Var<B>>>,
    /// Which parents' gradients lead to something that is asked for.
    pub(crate) needs: &'a [bool],
}

impl<B: Backend> Arrived<'_, B> {
    /// The gradient of the only output.
    pub(crate) fn grad(&mut self) -> Var<B> {
        self.grads[0].take().expect("a node with one output runs only if its gradient arrived")
    }

    /// An output, with its place on the tape: a derivative may refer to it.
    pub(crate) fn output(&self, index: usize, kept: &Var<B>) -> Var<B> {
        kept.clone().at(Edge { node: self.node.clone(), output: index })
    }

    /// The places of the node's inputs.
    pub(crate) fn parents(&self) -> &[Option<Edge<B>>] {
        &self.node.parents
    }
}

type Backward<B> = Box<dyn Fn(Arrived<'_, B>) -> Result<Few<Option<Var<B>>>, Error> + Send + Sync>;

/// One recorded operation.
pub(crate) struct Node<B: Backend> {
    id: u64,
    pub(crate) name: Cow<'static, str>,
    pub(crate) place: &'static Location<'static>,
    pub(crate) parents: Few<Option<Edge<B>>>,
    outputs: usize,
    /// `None` for a leaf.
    backward: Option<Backward<B>>,
}

impl<B: Backend> fmt::Debug for Node<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{} at {}", self.name, self.id, self.place)
    }
}

/// A tape may be as long as a training run: its nodes are freed in a loop, not by recursion.
impl<B: Backend> Drop for Node<B> {
    fn drop(&mut self) {
        let mut pending = std::mem::take(&mut self.parents);
        // What the closure holds of the tape are the parents: with these still alive, dropping it
        // drops no node.
        self.backward = None;
        while let Some(edge) = pending.pop() {
            if let Some(mut node) = edge.and_then(|edge| Arc::into_inner(edge.node)) {
                pending.append(&mut node.parents);
                node.backward = None;
            }
        }
    }
}

/// Which output of which operation a [`Var`] is.
#[derive(Debug)]
pub(crate) struct Edge<B: Backend> {
    pub(crate) node: Arc<Node<B>>,
    pub(crate) output: usize,
}

impl<B: Backend> Clone for Edge<B> {
    fn clone(&self) -> Self {
        Self { node: self.node.clone(), output: self.output }
    }
}

impl<B: Backend> Edge<B> {
    /// The start of a tape.
    #[track_caller]
    pub(crate) fn leaf() -> Self {
        let node = Node {
            id: fresh(),
            name: "leaf".into(),
            place: Location::caller(),
            parents: Few::new(),
            outputs: 1,
            backward: None,
        };
        Self { node: Arc::new(node), output: 0 }
    }

    /// An operation on `parents`, of which at least one has a place.
    #[track_caller]
    pub(crate) fn operation(
        name: impl Into<Cow<'static, str>>,
        parents: Few<Option<Self>>,
        outputs: usize,
        backward: impl Fn(Arrived<'_, B>) -> Result<Few<Option<Var<B>>>, Error> + Send + Sync + 'static,
    ) -> Self {
        let node = Node {
            id: fresh(),
            name: name.into(),
            place: Location::caller(),
            parents,
            outputs,
            backward: Some(Box::new(backward)),
        };
        Self { node: Arc::new(node), output: 0 }
    }
}

/// The gradients of Σ ⟨cotangent, root⟩ with respect to `wanted`, which may be anywhere on the tape;
/// `None` where no root depends on it.
///
/// With `record` the result is on the tape itself.
pub(crate) fn sweep<B: Backend>(
    roots: Vec<(Edge<B>, Var<B>)>,
    wanted: &[Edge<B>],
    record: bool,
) -> Result<Vec<Option<Var<B>>>, Error> {
    let (edges, cotangents): (Few<Edge<B>>, Few<Var<B>>) = roots.into_iter().unzip();
    let reached = Reached::from(&edges);
    let mut asked = many(reached.slots, false);
    let wanted: Few<Option<usize>> = wanted.iter().map(|edge| reached.slot(edge)).collect();
    wanted.iter().flatten().for_each(|&slot| asked[slot] = true);
    // Which nodes lead to something that is asked for.
    let mut leads = many(reached.nodes.len(), false);
    let is_on_the_way = |leads: &[bool], edge: &Edge<B>| {
        let position = reached.positions[&edge.node.id];
        leads[position] || asked[reached.nodes[position].1 + edge.output]
    };
    for (position, (node, _)) in reached.nodes.iter().enumerate() {
        leads[position] = node.parents.iter().flatten().any(|edge| is_on_the_way(&leads, edge));
    }

    let mut grads: Many<Option<Var<B>>> = (0..reached.slots).map(|_| None).collect();
    let add = |place: &mut Option<Var<B>>, grad: Var<B>| {
        *place = Some(match place.take() {
            Some(sum) => sum + grad,
            None => grad,
        });
    };
    let _mode = Recording::set(record);
    for (edge, cotangent) in edges.iter().zip(cotangents) {
        let slot = reached.slot(edge).expect("it starts from the roots");
        add(&mut grads[slot], cotangent);
    }
    for (position, (node, first)) in reached.nodes.iter().enumerate().rev() {
        let outputs = *first..*first + node.outputs;
        let Some(backward) = node.backward.as_ref().filter(|_| leads[position]) else { continue };
        if grads[outputs.clone()].iter().all(Option::is_none) {
            continue;
        }
        let arrived: Few<_> = outputs
            .map(|slot| if asked[slot] { grads[slot].clone() } else { grads[slot].take() })
            .collect();
        let needs: Few<_> = node
            .parents
            .iter()
            .map(|edge| edge.as_ref().is_some_and(|edge| is_on_the_way(&leads, edge)))
            .collect();
        let finite = crate::anomaly::enabled()
            .then(|| arrived.iter().flatten().all(crate::anomaly::is_finite));
        let passed = backward(Arrived { node, grads: arrived, needs: &needs })?;
        for (index, (parent, grad)) in node.parents.iter().zip(passed).enumerate() {
            let (Some(parent), Some(grad), true) = (parent, grad, needs[index]) else { continue };
            if finite == Some(true) && !crate::anomaly::is_finite(&grad) {
                return Err(crate::anomaly::error(node.name.clone(), index, node.place));
            }
            let slot = reached.slot(parent).expect("a parent is reached with its child");
            add(&mut grads[slot], grad);
        }
    }
    Ok(wanted.iter().map(|slot| slot.and_then(|slot| grads[slot].clone())).collect())
}

/// Everything that some places of the tape depend on, these included.
struct Reached<'a, B: Backend> {
    /// In topological order, each with the slot of its first output.
    nodes: Many<(&'a Arc<Node<B>>, usize)>,
    /// By the nodes' numbers.
    positions: HashMap<u64, usize, BuildHasherDefault<Number>>,
    /// One for each output of each node.
    slots: usize,
}

impl<'a, B: Backend> Reached<'a, B> {
    fn from(roots: &'a [Edge<B>]) -> Self {
        let mut nodes = Many::new();
        let mut positions = HashMap::default();
        let mut pending: Many<&'a Arc<Node<B>>> = roots.iter().map(|edge| &edge.node).collect();
        while let Some(node) = pending.pop() {
            if positions.insert(node.id, 0).is_none() {
                pending.extend(node.parents.iter().flatten().map(|edge| &edge.node));
                nodes.push((node, 0));
            }
        }
        nodes.sort_unstable_by_key(|(node, _)| node.id);
        let mut slots = 0;
        for (position, (node, first)) in nodes.iter_mut().enumerate() {
            positions.insert(node.id, position);
            *first = slots;
            slots += node.outputs;
        }
        Self { nodes, positions, slots }
    }

    fn slot(&self, edge: &Edge<B>) -> Option<usize> {
        Some(self.nodes[*self.positions.get(&edge.node.id)?].1 + edge.output)
    }
}

/// A hash of the numbers that nodes have, which count up: nobody chooses them to collide.
#[derive(Default)]
struct Number(u64);

impl Hasher for Number {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // Multiplied by an odd number near 2⁶⁴ over the golden ratio, which spreads into the upper
        // bits that a table looks at.
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

fn many<T: Clone>(count: usize, value: T) -> Many<T> {
    smallvec![value; count]
}

/// The name of an operation, made before the first of `leaves`, that a variable depends on.
///
/// A transform gives tensors: what came from outside, by a variable that is being differentiated
/// there, would be lost without a word.
pub(crate) fn older<B: Backend>(outputs: &[Var<B>], leaves: &[Edge<B>]) -> Option<String> {
    let first = leaves.iter().map(|leaf| leaf.node.id).min()?;
    let mut seen: HashSet<u64, BuildHasherDefault<Number>> = HashSet::default();
    let mut pending: Many<&Arc<Node<B>>> =
        outputs.iter().filter_map(|output| Some(&output.edge()?.node)).collect();
    while let Some(node) = pending.pop() {
        if node.id < first {
            return Some(node.name.clone().into_owned());
        }
        if seen.insert(node.id) {
            pending.extend(node.parents.iter().flatten().map(|edge| &edge.node));
        }
    }
    None
}

pub(crate) fn not_on_tape(operation: &'static str, argument: String) -> Error {
    Error::new(
        ErrorKind::Derivative,
        operation,
        argument,
        "a variable that is being differentiated (an argument of the function that a transform \
         is given, Var::leaf, or something computed from them)",
        "a constant",
    )
}
