//! Where a tape meets Burn's graph: results that depend on tracked tensors leave as steps of it.
//!
//! All results that leave together share one step, whose backward sweeps their tape from the results to
//! the tracked tensors, the *anchors*. Burn's steps have a fixed number of parents, so the anchors of a
//! larger number are gathered by steps of eight.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Dispatch, DispatchAutodiffContext, DispatchKindConversion,
    DispatchTensor, TensorMetadata,
};
use burn::tensor::GradientCheckpointingStrategy;
use burn_autodiff::NodeId;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::{
    BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};

use super::apply::{from_backend, into_backend, unknown_backend};
use super::step::{OutputStep, Slots};
use super::{on_backend, watchdog};
use crate::rule::Meta;
use crate::scope::{self, Scope};
use crate::tape::{Edge, Sources, sweep};
use crate::{Error, OrPanic as _, Var};

/// Parents of one of Burn's steps.
const PARENTS: usize = 8;

/// The tensors of results that leave their tape together, on the device that they came from. Of those
/// that depend on tracked tensors, Burn's `backward()` reaches these.
///
/// `context` is that of everything that the results were computed from.
#[track_caller]
pub(crate) fn leave(
    operation: &'static str,
    results: Vec<Var>,
    context: DispatchAutodiffContext,
) -> Result<Vec<DispatchTensor>, Error> {
    let context = results.iter().fold(context, |context, result| context.merge(result.autodiff()));
    if context == DispatchAutodiffContext::Disabled {
        return Ok(results.into_iter().map(Var::into_raw).collect());
    }
    let place = Location::caller();
    let is_placed = |result: &Var| result.edge().is_some() && scope::recording();
    let anchors = match results.iter().any(is_placed) {
        true => Sources::of(&results).anchors,
        false => Vec::new(),
    };
    let mut left: Vec<Option<DispatchTensor>> = Vec::with_capacity(results.len());
    let mut leaving = Vec::new();
    for result in results {
        let tracked = result.edge().and_then(Edge::anchored).cloned();
        left.push(if anchors.is_empty() || !is_placed(&result) {
            Some(constant(result.into_raw(), context))
        } else if tracked.is_some() {
            tracked
        } else {
            leaving.push(result);
            None
        });
    }
    let mut registered = match leaving.is_empty() {
        true => Vec::new(),
        false => register(operation, leaving, anchors, context, place)?,
    }
    .into_iter();
    Ok(left.into_iter().filter_map(|left| left.or_else(|| registered.next())).collect())
}

/// A tensor of an autodiff device that nothing tracks.
fn constant(tensor: DispatchTensor, context: DispatchAutodiffContext) -> DispatchTensor {
    let mut constant = <Dispatch as AutodiffBackend>::from_inner(tensor);
    constant.autodiff = context;
    constant
}

fn register(
    operation: &'static str,
    results: Vec<Var>,
    anchors: Vec<Edge<Dispatch>>,
    context: DispatchAutodiffContext,
    place: &'static Location<'static>,
) -> Result<Vec<DispatchTensor>, Error> {
    on_backend!(
        results[0].raw(),
        B => Ok(match context {
            DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Balanced) => {
                with::<B, BalancedCheckpointing>(operation, results, anchors, place)
            }
            _ => with::<B, NoCheckpointing>(operation, results, anchors, place),
        }),
        else Err(unknown_backend(operation.into(), results[0].raw()))
    )
}

fn with<B, C>(
    operation: &'static str,
    results: Vec<Var>,
    anchors: Vec<Edge<Dispatch>>,
    place: &'static Location<'static>,
) -> Vec<DispatchTensor>
where
    B: Backend,
    C: CheckpointStrategy,
    DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B, C>>,
{
    let _watched = watchdog::recording(operation.into(), Some(place));
    let tracked: Vec<FloatTensor<Autodiff<B, C>>> = anchors
        .iter()
        .filter_map(|anchor| into_backend::<Autodiff<B, C>>(anchor.anchored()?.clone()).ok())
        .collect();
    assert!(tracked.len() == anchors.len(), "{operation}: tensors of several backends");
    let edges = results.iter().filter_map(|result| result.edge().cloned()).collect();
    let tensors: Vec<FloatTensor<B>> = results
        .into_iter()
        .map(|result| into_backend::<B>(result.into_raw()).expect("a result of this backend"))
        .collect();
    let gradients = Slots::<B>::new(anchors.len());
    let mut parents: Vec<NodeGuard> = tracked.iter().map(|tensor| tensor.node()).collect();
    let mut first = Some(0);
    let mut gathered = Vec::new();
    // One place is left for the tensor that reclaims.
    while parents.len() >= PARENTS {
        let mut next = Vec::new();
        let mut rest = parents.into_iter().peekable();
        while rest.peek().is_some() {
            let group: Vec<NodeGuard> = rest.by_ref().take(PARENTS).collect();
            let count = group.len();
            let step = Gather { first };
            first = first.map(|first| first + count);
            let metas = match step.first {
                Some(first) => tracked[first..first + count].iter().map(meta::<B, C>).collect(),
                None => Vec::new(),
            };
            let state = Gathered { gradients: gradients.clone(), metas: Arc::new(metas) };
            let node = prepare::<B, C, _>(step, group, state, tensors[0].clone());
            next.push(node.node());
            gathered.push(node);
        }
        // Only the lowest row holds anchors.
        first = None;
        parents = next;
    }
    let reclaim = Live::is_due().then(|| {
        let like = tracked[0].primitive();
        let leaf = B::float_ones([1].into(), &like.device(), like.dtype().into());
        <Autodiff<B, C> as AutodiffBackend>::from_inner(leaf).require_grad()
    });
    parents.extend(reclaim.iter().map(|leaf| leaf.node()));

    let direct = gathered.is_empty();
    let metas = match direct {
        true => tracked.iter().map(meta::<B, C>).collect(),
        false => Vec::new(),
    };
    let cotangents = Slots::<B>::new(tensors.len());
    let state = Crossing {
        tape: Arc::new(Tape { operation, results: edges, anchors, live: Live::new() }),
        cotangents: (tensors.len() > 1).then(|| cotangents.clone()),
        gradients,
        metas: Arc::new(metas),
    };
    let outputs = if let [tensor] = tensors.as_slice() {
        vec![prepare::<B, C, _>(Bridge { direct }, parents, state, tensor.clone())]
    } else {
        let hub = prepare::<B, C, _>(Bridge { direct }, parents, state, tensors[0].clone());
        let output = |(index, tensor): (usize, FloatTensor<B>)| {
            let step = OutputStep { index };
            let prepared = Backward::<B, 1>::prepare::<C>(step, [hub.node()]).compute_bound();
            match prepared.stateful() {
                OpsKind::Tracked(prepared) => prepared.finish(cotangents.clone(), tensor),
                OpsKind::UnTracked(prepared) => prepared.finish(tensor),
            }
        };
        tensors.into_iter().enumerate().map(output).collect()
    };
    if let Some(leaf) = reclaim {
        // Burn looks for what nobody can reach any more in the whole graph of the leaf, which the new
        // step has joined with that of the anchors. The leaf's own step is the only one consumed.
        let _ = <Autodiff<B, C> as AutodiffBackend>::backward(leaf);
        Live::reclaimed();
    }
    outputs.into_iter().map(from_backend::<Autodiff<B, C>>).collect()
}

/// Shape, data type and device of an anchor that Burn's graph goes on from.
fn meta<B: Backend, C: CheckpointStrategy>(anchor: &FloatTensor<Autodiff<B, C>>) -> Meta<B> {
    Meta::of(anchor.primitive())
}

/// Registers a step with up to eight parents.
fn prepare<B, C, S>(
    step: S,
    parents: Vec<NodeGuard>,
    state: S::State,
    output: FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>>
where
    B: Backend,
    C: CheckpointStrategy,
    S: Backward<B, PARENTS>,
{
    // The places that are left name a node that nothing tracks.
    let empty = || <Autodiff<B, C> as AutodiffBackend>::from_inner(output.clone()).node();
    let mut parents = parents.into_iter();
    let parents = std::array::from_fn(|_| parents.next().unwrap_or_else(empty));
    match step.prepare::<C>(parents).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, output),
        OpsKind::UnTracked(_) => unreachable!("an anchor is tracked"),
    }
}

/// Hands a gradient to a parent, or zeros to one that needs some.
fn pass<B: Backend>(
    (parent, order): (NodeId, usize),
    gradient: Option<FloatTensor<B>>,
    Meta { shape, dtype, device }: &Meta<B>,
    grads: &mut Gradients,
) {
    match gradient {
        Some(gradient) => grads.register::<B>(parent, gradient),
        // A leaf then has no gradient; but the step of an interior node runs all the same, and Burn
        // panics if it finds nothing.
        None if order > 0 => {
            let zeros = B::float_zeros(shape.clone(), device, (*dtype).into());
            grads.register::<B>(parent, zeros);
        }
        None => {}
    }
}

/// Collects anchors, or steps that do.
#[derive(Debug)]
struct Gather {
    /// The first anchor; `None` where the parents gather.
    first: Option<usize>,
}

#[derive(Debug, Clone)]
struct Gathered<B: Backend> {
    gradients: Slots<B>,
    metas: Arc<Vec<Meta<B>>>,
}

impl<B: Backend> Backward<B, PARENTS> for Gather {
    type State = Gathered<B>;

    fn backward(self, ops: Ops<Self::State, PARENTS>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Some(first) = self.first else { return };
        for (index, (parent, meta)) in ops.parents.iter().zip(&*ops.state.metas).enumerate() {
            let gradient = ops.state.gradients.take_one(first + index);
            if let Some(parent) = parent {
                pass((parent.id, parent.order), gradient, meta, grads);
            }
        }
    }
}

/// The backward of results that have left: a sweep of their tape.
#[derive(Debug)]
struct Bridge {
    /// Whether the parents are the anchors themselves.
    direct: bool,
}

/// What some results were computed by.
struct Tape {
    operation: &'static str,
    results: Vec<Edge<Dispatch>>,
    anchors: Vec<Edge<Dispatch>>,
    #[expect(dead_code, reason = "counts how many there are")]
    live: Live,
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tape of {}", self.operation)
    }
}

#[derive(Debug, Clone)]
struct Crossing<B: Backend> {
    tape: Arc<Tape>,
    /// Where there are several results.
    cotangents: Option<Slots<B>>,
    gradients: Slots<B>,
    /// Of the anchors that are parents.
    metas: Arc<Vec<Meta<B>>>,
}

impl<B: Backend> Backward<B, PARENTS> for Bridge
where
    DispatchTensor: DispatchKindConversion<B>,
{
    type State = Crossing<B>;

    fn backward(self, ops: Ops<Self::State, PARENTS>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Crossing { tape, cotangents, gradients, metas } = ops.state;
        let arrived = match cotangents {
            None => vec![Some(grads.consume::<B>(&ops.node))],
            Some(slots) => slots.take(),
        };
        let lift = |tensor: FloatTensor<B>| Var::new(from_backend::<B>(tensor));
        let roots = tape.results.iter().cloned().zip(arrived);
        let roots = roots.filter_map(|(edge, cotangent)| Some((edge, lift(cotangent?))));
        let found = {
            let _graph = Scope::on_graph();
            let _watched = watchdog::backward(tape.operation.into());
            sweep(roots, &tape.anchors, false).or_panic()
        };
        let lower = |grad: Var| {
            into_backend::<B>(grad.into_raw()).expect("a gradient of the results' backend")
        };
        for (index, grad) in found.into_iter().enumerate() {
            let grad = grad.map(lower);
            if !self.direct {
                if let Some(grad) = grad {
                    gradients.put(index, grad);
                }
            } else if let (Some(Some(parent)), Some(meta)) =
                (ops.parents.get(index), metas.get(index))
            {
                pass((parent.id, parent.order), grad, meta, grads);
            }
        }
    }
}

/// Counts the tapes that Burn's graphs hold.
///
/// Burn frees the steps of a result that was dropped in a later backward pass over the same graph. A loop
/// of transforms without one would hold every tape. So one is caused where their number has doubled.
struct Live(());

static LIVE: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(Live::LEAST);

impl Live {
    const LEAST: usize = 8;

    fn new() -> Self {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Self(())
    }

    /// A pass over a graph that is locked would wait forever.
    fn is_due() -> bool {
        LIVE.load(Ordering::Relaxed) >= LIMIT.load(Ordering::Relaxed) && !scope::is_on_graph()
    }

    fn reclaimed() {
        let live = LIVE.load(Ordering::Relaxed);
        LIMIT.store((2 * live).max(Self::LEAST), Ordering::Relaxed);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::{Device, Tensor};
    use burn_autodiff::NodeId;

    use crate::{Var, evaluate, grad};

    /// How many nodes Burn makes. One test of this crate makes any.
    fn nodes<T>(run: impl FnOnce() -> T) -> u64 {
        let before = NodeId::new().value;
        let _kept = run();
        NodeId::new().value - before - 1
    }

    #[test]
    fn a_result_is_one_step_of_burns_graph_however_long_its_tape() {
        let device = Device::flex().autodiff();
        let plain = Tensor::<1>::from_floats([1.0, 2.0], &device);
        let chain = |length: i32| move |x: Var| (0..length).fold(x, |y, _| y * 1.5);
        for x in [plain.clone(), plain.require_grad()] {
            let value = |length| nodes(|| evaluate::<_, Tensor<1>>(chain(length), x.clone()));
            assert_eq!(value(1), value(100));
            let gradient = |length| nodes(|| grad(|x: Var| chain(length)(x).sum(), x.clone()));
            assert_eq!(gradient(1), gradient(100));
            let pair = |x: Var| (x.clone() * 2.0, x * 3.0);
            let two = nodes(|| evaluate::<_, (Tensor<1>, Tensor<1>)>(pair, x.clone()));
            // One more for each result, and one that the two share.
            assert!(two <= value(1) + 2, "{two}");
        }
    }
}
