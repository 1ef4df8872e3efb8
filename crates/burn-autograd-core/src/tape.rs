//! The tape: what an operation on [`Var`]s leaves behind, and the sweep that turns it into
//! derivatives.
//!
//! Burn's own graph is consumed by one backward pass and gives constants. The tape is an immutable
//! value: it can be read any number of times, its derivatives are [`Var`]s with a place on it, and it
//! is freed with the last `Var` that refers to it. Every derivative is written in terms of operations
//! that have one, so there is no highest order. Nothing nests, so one backend type serves every order.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use smallvec::{SmallVec, smallvec};

use crate::scope::Scope;
use crate::{Error, ErrorKind, Var};

/// A list that most often has one or two entries, which then need no memory of their own. No more: what
/// holds it is moved a lot.
pub(crate) type Few<T> = SmallVec<[T; 2]>;

/// One that stays where it is made.
type Many<T> = SmallVec<[T; 8]>;

/// A new number, larger than all before: nodes in this order are in topological order.
pub(crate) fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What a node's backward is given.
#[derive(Debug)]
pub(crate) struct Arrived<'a, B: Backend> {
    node: &'a Arc<Node<B>>,
    /// The gradient of each output; `None` where it was not used.
    pub(crate) grads: Few<Option<Var<B>>>,
    /// Which parents' gradients lead to something that this sweep is asked for.
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

/// One recorded operation, or a variable.
pub(crate) struct Node<B: Backend> {
    id: u64,
    pub(crate) name: Cow<'static, str>,
    pub(crate) place: &'static Location<'static>,
    pub(crate) parents: Few<Option<Edge<B>>>,
    outputs: usize,
    /// `None` where a tape starts.
    backward: Option<Backward<B>>,
    /// Whether somebody may still ask for derivatives with respect to this variable.
    open: AtomicBool,
    /// What the variable is on Burn's graph.
    anchor: Option<FloatTensor<B>>,
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
    #[track_caller]
    fn node(
        name: impl Into<Cow<'static, str>>,
        parents: Few<Option<Self>>,
        outputs: usize,
        backward: Option<Backward<B>>,
    ) -> Node<B> {
        Node {
            id: fresh(),
            name: name.into(),
            place: Location::caller(),
            parents,
            outputs,
            backward,
            open: AtomicBool::new(false),
            anchor: None,
        }
    }

    fn of(node: Node<B>) -> Self {
        Self { node: Arc::new(node), output: 0 }
    }

    /// A variable: the start of a tape, or, inside a function that is itself differentiated, a child
    /// of another variable. [Open](Self::close) until it is closed.
    #[track_caller]
    pub(crate) fn leaf(outer: Option<Self>) -> Self {
        Self::leaf_at(outer, Location::caller())
    }

    pub(crate) fn leaf_at(outer: Option<Self>, place: &'static Location<'static>) -> Self {
        let backward: Option<Backward<B>> = match outer {
            Some(_) => {
                Some(Box::new(|mut arrived: Arrived<'_, B>| Ok(smallvec![Some(arrived.grad())])))
            }
            None => None,
        };
        let parents = outer.map_or_else(Few::new, |outer| smallvec![Some(outer)]);
        let mut node = Self::node("leaf", parents, 1, backward);
        node.place = place;
        node.open.store(true, Ordering::Relaxed);
        Self::of(node)
    }

    /// A tensor that Burn tracks: a tape starts here, and Burn's graph goes on.
    #[track_caller]
    pub(crate) fn anchor(tracked: FloatTensor<B>) -> Self {
        let mut node = Self::node("tracked", Few::new(), 1, None);
        node.anchor = Some(tracked);
        Self::of(node)
    }

    /// An operation on `parents`, of which at least one has a place.
    #[track_caller]
    pub(crate) fn operation(
        name: impl Into<Cow<'static, str>>,
        parents: Few<Option<Self>>,
        outputs: usize,
        backward: impl Fn(Arrived<'_, B>) -> Result<Few<Option<Var<B>>>, Error> + Send + Sync + 'static,
    ) -> Self {
        Self::of(Self::node(name, parents, outputs, Some(Box::new(backward))))
    }

    /// Says that nobody will ask for derivatives with respect to this variable any more.
    pub(crate) fn close(&self) {
        self.node.open.store(false, Ordering::Relaxed);
    }

    /// What this is on Burn's graph, if it is that and nothing else.
    #[cfg(feature = "autodiff")]
    pub(crate) fn anchored(&self) -> Option<&FloatTensor<B>> {
        self.node.anchor.as_ref()
    }
}

/// What some results depend on.
#[derive(Debug)]
pub(crate) struct Sources<B: Backend> {
    /// Tensors that Burn tracks.
    pub(crate) anchors: Vec<Edge<B>>,
    /// The oldest open variable: its number, and its place.
    open: Option<(u64, &'static Location<'static>)>,
}

impl<B: Backend> Sources<B> {
    pub(crate) fn of<'a>(results: impl IntoIterator<Item = &'a Var<B>>) -> Self {
        let mut found = Self { anchors: Vec::new(), open: None };
        let mut seen: HashSet<u64, BuildHasherDefault<Number>> = HashSet::default();
        let mut pending: Many<&Arc<Node<B>>> =
            results.into_iter().filter_map(|result| Some(&result.edge()?.node)).collect();
        while let Some(node) = pending.pop() {
            if !seen.insert(node.id) {
                continue;
            }
            if node.anchor.is_some() {
                found.anchors.push(Edge { node: node.clone(), output: 0 });
            }
            let older = found.open.is_none_or(|(oldest, _)| node.id < oldest);
            if older && node.open.load(Ordering::Relaxed) {
                found.open = Some((node.id, node.place));
            }
            pending.extend(node.parents.iter().flatten().map(|edge| &edge.node));
        }
        // The same order in every run.
        found.anchors.sort_unstable_by_key(|edge| edge.node.id);
        found
    }

    /// The place of an open variable that is older than a number.
    pub(crate) fn opened_before(&self, mark: u64) -> Option<&'static Location<'static>> {
        self.open.filter(|(id, _)| *id < mark).map(|(_, place)| place)
    }

    /// Whether somebody outside of what began with a number may ask for a derivative.
    pub(crate) fn matter(&self, mark: u64) -> bool {
        self.opened_before(mark).is_some() || !self.anchors.is_empty()
    }
}

/// The gradients of Σ ⟨cotangent, root⟩ with respect to `wanted`, which may be anywhere on the tape;
/// `None` where no root depends on it.
///
/// With `record` the result is on the tape itself.
pub(crate) fn sweep<B: Backend>(
    roots: impl IntoIterator<Item = (Edge<B>, Var<B>)>,
    wanted: &[Edge<B>],
    record: bool,
) -> Result<Vec<Option<Var<B>>>, Error> {
    let (edges, cotangents): (Few<Edge<B>>, Few<Var<B>>) = roots.into_iter().unzip();
    Sweep::new(&edges, wanted).run(cotangents, record)
}

/// The way from some roots back to what is wanted, which can be gone with any number of cotangents.
pub(crate) struct Sweep<'a, B: Backend> {
    roots: &'a [Edge<B>],
    reached: Reached<'a, B>,
    wanted: Few<Option<usize>>,
    /// Of the slots.
    asked: Many<bool>,
    /// Which nodes lead to something that is asked for.
    leads: Many<bool>,
}

impl<'a, B: Backend> Sweep<'a, B> {
    pub(crate) fn new(roots: &'a [Edge<B>], wanted: &[Edge<B>]) -> Self {
        let reached = Reached::from(roots);
        let mut asked = many(reached.slots, false);
        let wanted: Few<Option<usize>> = wanted.iter().map(|edge| reached.slot(edge)).collect();
        wanted.iter().flatten().for_each(|&slot| asked[slot] = true);
        let leads = many(reached.nodes.len(), false);
        let mut way = Self { roots, reached, wanted, asked, leads };
        for position in 0..way.leads.len() {
            let mut parents = way.reached.nodes[position].0.parents.iter().flatten();
            way.leads[position] = parents.any(|edge| way.is_on_the_way(edge));
        }
        way
    }

    fn is_on_the_way(&self, edge: &Edge<B>) -> bool {
        let position = self.reached.positions[&edge.node.id];
        self.leads[position] || self.asked[self.reached.nodes[position].1 + edge.output]
    }

    /// Goes the way with a cotangent for each root.
    pub(crate) fn run(
        &self,
        cotangents: impl IntoIterator<Item = Var<B>>,
        record: bool,
    ) -> Result<Vec<Option<Var<B>>>, Error> {
        let mut grads: Many<Option<Var<B>>> = (0..self.reached.slots).map(|_| None).collect();
        let add = |place: &mut Option<Var<B>>, grad: Var<B>| {
            *place = Some(match place.take() {
                Some(sum) => sum + grad,
                None => grad,
            });
        };
        let _scope = Scope::recording(record);
        for (edge, cotangent) in self.roots.iter().zip(cotangents) {
            let slot = self.reached.slot(edge).expect("it starts from the roots");
            add(&mut grads[slot], cotangent);
        }
        for (position, (node, first)) in self.reached.nodes.iter().enumerate().rev() {
            let outputs = *first..*first + node.outputs;
            let Some(backward) = node.backward.as_ref().filter(|_| self.leads[position]) else {
                continue;
            };
            if grads[outputs.clone()].iter().all(Option::is_none) {
                continue;
            }
            let arrived: Few<_> = outputs
                .map(|slot| if self.asked[slot] { grads[slot].clone() } else { grads[slot].take() })
                .collect();
            let needs: Few<_> = node
                .parents
                .iter()
                .map(|edge| edge.as_ref().is_some_and(|edge| self.is_on_the_way(edge)))
                .collect();
            let finite = crate::anomaly::enabled()
                .then(|| arrived.iter().flatten().all(crate::anomaly::is_finite));
            let passed = backward(Arrived { node, grads: arrived, needs: &needs })?;
            for (index, (parent, grad)) in node.parents.iter().zip(passed).enumerate() {
                let (Some(parent), Some(grad), true) = (parent, grad, needs[index]) else {
                    continue;
                };
                if finite == Some(true) && !crate::anomaly::is_finite(&grad) {
                    return Err(crate::anomaly::error(node.name.clone(), index, Some(node.place)));
                }
                let slot = self.reached.slot(parent).expect("a parent is reached with its child");
                add(&mut grads[slot], grad);
            }
        }
        Ok(self.wanted.iter().map(|slot| slot.and_then(|slot| grads[slot].clone())).collect())
    }
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
