//! Mistakes of operations that are written against Burn's graph itself, where nothing stands between:
//! which inputs are tracked, whose gradients add up, what is computed again.

use std::sync::atomic::{AtomicUsize, Ordering};

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::retro_forward::RetroForward;
use burn::backend::autodiff::checkpoint::state::BackwardStates;
use burn::backend::autodiff::checkpoint::strategy::{
    BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, BackendTensor, DispatchAutodiffContext, DispatchKindConversion, DispatchTensor, Flex,
    TensorMetadata,
};
use burn::tensor::{DType, GradientCheckpointingStrategy, Tensor, TensorData};
use burn_autograd::Var;
use burn_autograd::gradcheck::{Gradcheck, Report, Subject};

use super::Mutant;
use super::tools::{Op, elementwise, tensor};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        Mutant::new(19, "gradient overwritten where it has to be added", &["twice"], |planted| {
            check(planted, Mistake::Overwrites, |y| y)
        }),
        Mutant::new(21, "offset not moved past an untracked input: cat", &["subsets"], |planted| {
            Op::with_context(
                |ctx, [a, b]| {
                    ctx.save([&a, &b]);
                    Var::cat(&[a, b], 0)
                },
                move |ctx, g| {
                    let parts: [Var; 2] = ctx.tensors();
                    let (mut start, mut index) = (0, 0);
                    parts.map(|part| {
                        let len = part.shape()[0];
                        let needed = ctx.needs(index);
                        index += 1;
                        let block = needed.then(|| g.slice(start..start + len));
                        if needed || !planted {
                            start += len;
                        }
                        block
                    })
                },
            )
            .check::<Tensor<2>>((tensor([1, 3], 21), tensor([2, 3], 210)))
        }),
        Mutant::new(22, "panics where an input is not tracked", &["subsets"], |planted| {
            check(planted, Mistake::Unwraps, |y| y)
        }),
        Mutant::new(
            23,
            "gradient registered for an input that is not tracked",
            &["subsets"],
            |planted| check(planted, Mistake::RegistersUntracked, |y| y),
        ),
        Mutant::new(24, "output not connected to its inputs", &["jacobian"], |planted| {
            let op = elementwise(|x| x.exp(), |x, g| g * x.exp());
            let op = if planted { op.constant() } else { op };
            op.check::<Tensor<1>>(tensor([4], 24))
        }),
        // What is computed again is the output, for a square that follows.
        Mutant::new(55, "computed again, the forward is another", &["checkpointing"], |planted| {
            check(planted, Mistake::ComputesAnother, |y| y.clone() * y)
        }),
        Mutant::new(
            56,
            "computed again, the forward draws another mask",
            &["checkpointing"],
            |planted| check(planted, Mistake::DrawsAgain, |y| y.clone() * y),
        ),
        Mutant::new(
            57,
            "said to be computed again, though an input is not tracked",
            &["checkpointing"],
            |planted| check(planted, Mistake::ForgetsUntracked, |y| y.clone() * y),
        ),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mistake {
    Nothing,
    Overwrites,
    Unwraps,
    RegistersUntracked,
    ComputesAnother,
    DrawsAgain,
    ForgetsUntracked,
}

/// Checks a·b·mask, and what follows it, with or without a mistake in it.
fn check(
    planted: bool,
    mistake: Mistake,
    then: impl Fn(Tensor<1>) -> Tensor<1> + Send + Sync + 'static,
) -> Report {
    let mistake = if planted { mistake } else { Mistake::Nothing };
    let subject = Subject::new(move |(a, b): (Tensor<1>, Tensor<1>)| {
        then(Tensor::from_dispatch(product(mistake, a.into_dispatch(), b.into_dispatch())))
    });
    Gradcheck::new().run(&subject, (tensor([3], 19), tensor([3], 190)))
}

type OnGraph<C> = Autodiff<Flex, C>;
type Plain = FloatTensor<Flex>;
/// A tensor with its place on the graph; the same under each strategy.
type Placed = FloatTensor<OnGraph<NoCheckpointing>>;

const MASK: [f64; 3] = [2.0, 0.5, 1.0];

fn masked(a: Plain, b: Plain, shift: usize) -> Plain {
    let mut mask = MASK;
    mask.rotate_left(shift % MASK.len());
    let mask = TensorData::new(mask.to_vec(), [MASK.len()]).convert_dtype(DType::F64);
    let mask = Flex::float_from_data(mask, &a.device());
    Flex::float_mul(Flex::float_mul(a, b), mask)
}

fn product(mistake: Mistake, a: DispatchTensor, b: DispatchTensor) -> DispatchTensor {
    match a.autodiff.merge(b.autodiff) {
        DispatchAutodiffContext::Disabled => {
            let plain = |tensor| {
                <DispatchTensor as DispatchKindConversion<Flex>>::try_into_backend(tensor)
                    .expect("a tensor of Flex")
                    .float()
            };
            let y = masked(plain(a), plain(b), 0);
            <DispatchTensor as DispatchKindConversion<Flex>>::from_backend(BackendTensor::Float(y))
        }
        DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Balanced) => {
            on_graph::<BalancedCheckpointing>(mistake, a, b)
        }
        DispatchAutodiffContext::Enabled(_) => on_graph::<NoCheckpointing>(mistake, a, b),
    }
}

fn on_graph<C: CheckpointStrategy>(
    mistake: Mistake,
    a: DispatchTensor,
    b: DispatchTensor,
) -> DispatchTensor
where
    DispatchTensor: DispatchKindConversion<OnGraph<C>>,
{
    let inputs: [Placed; 2] = [a, b].map(|tensor| {
        <DispatchTensor as DispatchKindConversion<OnGraph<C>>>::try_into_backend(tensor)
            .expect("a tensor of Flex on an autodiff device")
            .float()
    });
    let [a, b] = inputs.each_ref().map(|input| input.primitive().clone());
    let y = masked(a.clone(), b.clone(), 0);
    let tracked = inputs.each_ref().map(Placed::is_tracked);
    let again = matches!(
        mistake,
        Mistake::Nothing
            | Mistake::ComputesAnother
            | Mistake::DrawsAgain
            | Mistake::ForgetsUntracked
    );
    let forgets = mistake == Mistake::ForgetsUntracked;

    let prepared =
        Backward::<Flex, 2>::prepare::<C>(Product { mistake }, inputs.each_ref().map(Placed::node));
    let prepared = if again && (forgets || tracked == [true, true]) {
        let parents = inputs.each_ref().map(Placed::id);
        let checkpointed = inputs.iter().zip(tracked).filter(|(_, tracked)| *tracked);
        prepared
            .memory_bound()
            .retro_forward(Again { mistake, parents })
            .parents(checkpointed.map(|(input, _)| input))
    } else {
        prepared.compute_bound()
    };
    let output = match prepared.stateful() {
        OpsKind::Tracked(prepared) => {
            let places = matches!(mistake, Mistake::Overwrites | Mistake::RegistersUntracked);
            let state = Kept { factors: [b, a], places: places.then(|| inputs.clone()) };
            prepared.finish(state, y)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    };
    <DispatchTensor as DispatchKindConversion<OnGraph<C>>>::from_backend(BackendTensor::Float(
        output,
    ))
}

#[derive(Debug)]
struct Product {
    mistake: Mistake,
}

#[derive(Debug, Clone)]
struct Kept {
    factors: [Plain; 2],
    places: Option<[Placed; 2]>,
}

impl Backward<Flex, 2> for Product {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let g = grads.consume::<Flex>(&ops.node);
        let Kept { factors, places } = ops.state;
        for (index, (parent, factor)) in ops.parents.into_iter().zip(factors).enumerate() {
            let gradient = masked(g.clone(), factor, 0);
            let place = places.as_ref().map(|places| &places[index]);
            match (self.mistake, parent, place) {
                (Mistake::Unwraps, parent, _) => {
                    let parent = parent.expect("an input is tracked");
                    grads.register::<Flex>(parent.id, gradient);
                }
                (Mistake::Overwrites, Some(parent), Some(place)) => {
                    let _ = grads.remove::<Flex>(place);
                    grads.register::<Flex>(parent.id, gradient);
                }
                (Mistake::RegistersUntracked, None, Some(place)) => {
                    grads.register::<Flex>(place.id(), gradient);
                }
                (_, Some(parent), _) => grads.register::<Flex>(parent.id, gradient),
                (_, None, _) => {}
            }
        }
    }
}

/// How the product is computed again.
#[derive(Debug)]
struct Again {
    mistake: Mistake,
    parents: [NodeId; 2],
}

impl RetroForward for Again {
    fn forward(&self, states: &mut BackwardStates, out: NodeId) {
        static DRAWN: AtomicUsize = AtomicUsize::new(0);
        let [a, b] = self.parents.map(|id| states.get_state::<Plain>(&id));
        let y = match self.mistake {
            Mistake::ComputesAnother => Flex::float_mul(a, b),
            Mistake::DrawsAgain => masked(a, b, 1 + DRAWN.fetch_add(1, Ordering::Relaxed) % 2),
            _ => masked(a, b, 0),
        };
        states.save(out, y);
    }
}
