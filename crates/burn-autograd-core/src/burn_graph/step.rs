//! A rule as one step of Burn's graph.

use std::any::TypeId;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend};
use burn_autodiff::Autodiff;
use burn_autodiff::NodeId;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::retro_forward::RetroForward;
use burn_autodiff::checkpoint::state::BackwardStates;
use burn_autodiff::checkpoint::strategy::{CheckpointStrategy, NoCheckpointing};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};

use super::watchdog;
use crate::record::Kept;
use crate::rule::{Meta, Metas, check_gradient};
use crate::tape::Few;
use crate::{Context, Rule, Saved, Var, anomaly};

/// Runs a rule's forward and records its backward on Burn's autodiff graph.
///
/// This is how an extension trait's method is implemented for `Autodiff<B, C>`, under every
/// checkpointing strategy `C`.
///
/// - Only if an input is tracked is anything saved or recorded.
/// - With several outputs, these share one backward, which sees `None` for an unused one.
/// - Saved inputs, and the output of a rule that [recomputes](Rule::recomputes), go through Burn's
///   checkpointer, if the strategy computes anything again.
///
/// # Panics
///
/// In the backward pass, with a text that names the rule, the input and both values, if the rule
/// returns a gradient whose shape, data type or device is not its input's.
pub fn differentiate<B, C, R, const N: usize, const M: usize>(
    rule: R,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
) -> [FloatTensor<Autodiff<B, C>>; M]
where
    B: Backend,
    C: CheckpointStrategy,
    R: Rule<B, N, M>,
{
    record::<B, C, R, N, M>(rule, inputs, None)
}

/// The same for what was applied at a place.
pub(super) fn record<B, C, R, const N: usize, const M: usize>(
    rule: R,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
    place: Option<&'static Location<'static>>,
) -> [FloatTensor<Autodiff<B, C>>; M]
where
    B: Backend,
    C: CheckpointStrategy,
    R: Rule<B, N, M>,
{
    const { assert!(M > 0, "a rule has at least one output") };
    let needs = inputs.each_ref().map(|input| input.is_tracked());
    let mut context = Context::new(needs);
    let outputs = rule.forward(
        &mut context,
        Var::inputs(inputs.each_ref().map(|input| input.primitive().clone())),
    );
    let saved = Kept::of(context.kept, &outputs, |_| true);
    let outputs = outputs.map(Var::into_raw);

    let differentiable: [bool; M] = std::array::from_fn(|output| rule.differentiable(output));
    if !differentiable.contains(&true) {
        return outputs.map(<Autodiff<B, C> as AutodiffBackend>::from_inner);
    }

    // Burn's graph locks whatever it registers, also what is untracked.
    let _watched = watchdog::recording(rule.name(), place);
    // The guards keep the inputs' nodes alive until the step that depends on them is registered.
    let guards = inputs.each_ref().map(|input| input.node());
    let step = Step::<R, M> { rule: rule.clone() };

    // Burn's checkpointer can recompute a node only from tracked parents, and only one output.
    let recompute = M == 1 && rule.recomputes() && !needs.contains(&false);
    let prepared = Backward::<B, N>::prepare::<C>(step, guards);
    let prepared = if recompute {
        let parents = inputs.each_ref().map(|input| input.id());
        prepared
            .memory_bound()
            .retro_forward(Recompute::<B, R, N, M> { rule, parents, backend: Default::default() })
            .parents(&inputs)
    } else {
        prepared.compute_bound()
    };

    let mut prepared = match prepared.stateful() {
        OpsKind::UnTracked(prepared) => {
            // Nothing upstream is tracked. The first output keeps the node that Burn wants
            // registered, the others are plain constants.
            let mut prepared = Some(prepared);
            return outputs.map(|output| match prepared.take() {
                Some(prepared) => prepared.finish(output),
                None => <Autodiff<B, C> as AutodiffBackend>::from_inner(output),
            });
        }
        OpsKind::Tracked(prepared) => prepared,
    };

    // A checkpointer that only holds tensors would cost two maps in every backward pass.
    let holds = TypeId::of::<C>() == TypeId::of::<NoCheckpointing>();
    let kept = saved
        .into_iter()
        .map(|kept| match kept {
            Kept::Input(index) if needs[index] && !holds => {
                Stored::Checkpointed(prepared.checkpoint(&inputs[index]), index)
            }
            // An untracked input has no node worth asking for.
            Kept::Input(index) => Stored::Held(inputs[index].primitive().clone(), Some(index)),
            Kept::Output(_, kept) | Kept::Intermediate(kept) => Stored::Held(kept.into_raw(), None),
        })
        .collect();
    let state = State {
        kept,
        saved: context.slots,
        for_kernel: context.for_kernel,
        metas: Arc::new(Metas {
            inputs: inputs.iter().map(|input| Meta::of(input.primitive())).collect(),
            outputs: outputs.iter().map(|output| Meta::of(output)).collect(),
        }),
        slots: None,
        checked: anomaly::enabled(),
        place,
    };

    if M == 1 {
        let mut hook = Some((prepared, state));
        return outputs.map(|output| {
            let (prepared, state) = hook.take().expect("there is one output");
            prepared.finish(state, output)
        });
    }

    // Several outputs: Burn's steps have one. A hub node carries the backward; each output is a
    // child of the hub whose own step puts its gradient into a slot. Burn runs the steps in the
    // order of their depth, and whether or not a gradient was registered for them, so that the hub
    // runs after all of them and finds the slots of unused outputs empty.
    let slots = Slots::new(M);
    let state = State { slots: Some(slots.clone()), ..state };
    let hub = prepared.finish(state, outputs[0].clone());
    let mut index = 0;
    outputs.map(|output| {
        let step = OutputStep { index };
        index += 1;
        if !differentiable[index - 1] {
            return <Autodiff<B, C> as AutodiffBackend>::from_inner(output);
        }
        let prepared = Backward::<B, 1>::prepare::<C>(step, [hub.node()]).compute_bound();
        match prepared.stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(slots.clone(), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    })
}

/// The recorded backward of a rule.
#[derive(Debug)]
struct Step<R, const M: usize> {
    rule: R,
}

#[derive(Debug, Clone)]
enum Stored<B: Backend> {
    /// The input of this index, to be asked of the checkpointer exactly once.
    Checkpointed(NodeId, usize),
    /// A tensor held here, and which input it is, if it is one.
    Held(FloatTensor<B>, Option<usize>),
}

#[derive(Debug)]
struct State<B: Backend> {
    kept: Few<Stored<B>>,
    /// For each saved tensor, whether it is there.
    saved: Few<bool>,
    for_kernel: Few<FloatTensor<B>>,
    metas: Arc<Metas<B>>,
    /// Where there are several outputs.
    slots: Option<Slots<B>>,
    /// Whether the operation was applied in [`AnomalyMode`](crate::AnomalyMode).
    checked: bool,
    place: Option<&'static Location<'static>>,
}

impl<B: Backend> Clone for State<B> {
    fn clone(&self) -> Self {
        Self {
            kept: self.kept.clone(),
            saved: self.saved.clone(),
            for_kernel: self.for_kernel.clone(),
            metas: self.metas.clone(),
            slots: self.slots.clone(),
            checked: self.checked,
            place: self.place,
        }
    }
}

/// Where the outputs of a rule with several of them leave their gradients for the hub.
#[derive(Clone)]
pub(super) struct Slots<B: Backend>(Arc<Mutex<Vec<Option<FloatTensor<B>>>>>);

impl<B: Backend> Slots<B> {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new((0..count).map(|_| None).collect())))
    }

    pub(super) fn put(&self, index: usize, grad: FloatTensor<B>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(grad);
    }

    pub(super) fn take_one(&self, index: usize) -> Option<FloatTensor<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index)?.take()
    }

    pub(super) fn take(&self) -> Vec<Option<FloatTensor<B>>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<B: Backend> fmt::Debug for Slots<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slots")
    }
}

/// Puts the gradient of an output into its slot.
#[derive(Debug)]
pub(super) struct OutputStep {
    pub(super) index: usize,
}

impl<B: Backend> Backward<B, 1> for OutputStep {
    type State = Slots<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        ops.state.put(self.index, grads.consume::<B>(&ops.node));
    }
}

impl<B, R, const N: usize, const M: usize> Backward<B, N> for Step<R, M>
where
    B: Backend,
    R: Rule<B, N, M>,
{
    type State = State<B>;

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let State { kept, saved, for_kernel, metas, slots, checked, place } = ops.state;
        let arrived: [Option<Var<B>>; M] = if M == 1 {
            let mut grad = Some(Var::new(grads.consume::<B>(&ops.node)));
            std::array::from_fn(|_| grad.take())
        } else {
            let mut slots = slots.map(|slots| slots.take()).unwrap_or_default().into_iter();
            std::array::from_fn(|_| slots.next().flatten().map(Var::new))
        };
        let tensors = kept
            .into_iter()
            .map(|stored| match stored {
                Stored::Checkpointed(node, index) => {
                    Var::input_of(checkpointer.retrieve_node_output(node), index)
                }
                Stored::Held(tensor, Some(index)) => Var::input_of(tensor, index),
                Stored::Held(tensor, None) => Var::new(tensor),
            })
            .collect();
        let name = self.rule.name();
        let needs: Few<_> = ops.parents.iter().map(Option::is_some).collect();
        let saved = Saved {
            name: name.clone(),
            needed: needs.clone(),
            needs,
            tensors,
            slots: saved,
            for_kernel,
            metas: metas.clone(),
        };

        let finite = checked && arrived.iter().flatten().all(anomaly::is_finite);
        let found = self.rule.backward_kernel(saved, arrived);
        for (index, ((parent, input), grad)) in
            ops.parents.iter().zip(&metas.inputs).zip(found).enumerate()
        {
            let Some(parent) = parent else { continue };
            match grad.map(Var::into_raw) {
                Some(grad) => {
                    if let Err(error) = check_gradient::<B>(&name, index, input, &grad) {
                        panic!("{error}");
                    }
                    if finite && !anomaly::is_finite(&Var::<B>::new(grad.clone())) {
                        panic!("{}", anomaly::error(name, index, place));
                    }
                    grads.register::<B>(parent.id, grad);
                }
                // "Does not depend on this input." A leaf then has no gradient; but the step of an
                // interior node runs all the same, and Burn panics if it finds nothing.
                None if parent.order > 0 => {
                    let Meta { shape, dtype, device } = input;
                    let zeros = B::float_zeros(shape.clone(), device, (*dtype).into());
                    grads.register::<B>(parent.id, zeros);
                }
                None => {}
            }
        }
    }
}

/// Re-runs a rule's forward for Burn's checkpointer.
#[derive(Debug)]
struct Recompute<B, R, const N: usize, const M: usize> {
    rule: R,
    parents: [NodeId; N],
    backend: std::marker::PhantomData<fn() -> B>,
}

impl<B, R, const N: usize, const M: usize> RetroForward for Recompute<B, R, N, M>
where
    B: Backend,
    R: Rule<B, N, M>,
{
    fn forward(&self, states: &mut BackwardStates, out_node: NodeId) {
        let inputs = self.parents.map(|id| states.get_state::<FloatTensor<B>>(&id));
        let mut context = Context::new([false; N]);
        let outputs = self.rule.forward(&mut context, Var::inputs(inputs));
        if let Some(output) = outputs.into_iter().next() {
            states.save(out_node, output.into_raw());
        }
    }
}
