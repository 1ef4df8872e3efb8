//! What is measured. The names are those of `benches/peers/peers.py`.

mod cross_entropy;
mod elementwise;
mod fits;
mod graph;
mod linear;
mod trace_inverse;

use burn::tensor::{DType, Device, Tensor};
use burn_autograd::prelude::*;

use crate::measure::Step;

/// One workload, on any backend.
pub(crate) struct Workload {
    /// The peers' name of it.
    pub(crate) name: String,
    pub(crate) dtype: DType,
    /// Makes the inputs.
    pub(crate) contenders: Box<dyn Fn(&Device) -> Contenders>,
}

/// Who is timed. Where there are several forms of one thing, the fastest counts.
pub(crate) struct Contenders {
    pub(crate) ours: Vec<Form>,
    /// The same composed from Burn's operations; none where Burn has not got them.
    pub(crate) burns: Vec<Form>,
    /// As many operations on Burn's graph, without the arithmetic; none where that is a small part of it.
    pub(crate) graphs: Vec<Form>,
    /// What nobody can beat.
    pub(crate) floors: Vec<Form>,
}

/// A way to do it, and its name.
pub(crate) type Form = (String, Step);

/// Every workload, in the order in which they are measured; those that take gigabytes where `large` asks
/// for them.
pub(crate) fn all(large: bool) -> Vec<Workload> {
    elementwise::workloads(large)
        .into_iter()
        .chain(linear::workloads())
        .chain(cross_entropy::workloads())
        .chain(trace_inverse::workloads())
        .chain(fits::workloads())
        .collect()
}

/// Starts a backward pass with a given cotangent: y ↦ one number, whose gradient with respect to y is g.
#[derive(Debug, Clone)]
struct Given;

impl Function<2> for Given {
    fn forward(&self, ctx: &mut Context, [y, g]: [Var; 2]) -> [Var; 1] {
        ctx.save([&g]);
        [y.full(vec![1; y.rank()], 0.0)]
    }
    fn backward(&self, ctx: Saved, _one: [Var; 1]) -> [Option<Var>; 2] {
        let [g] = ctx.into_tensors();
        [Some(g), None]
    }
}

/// The gradients of all inputs, out of Burn's graph.
fn gradients<const N: usize, const D: usize, const R: usize>(
    inputs: &[Tensor<D>; N],
    root: &Tensor<R>,
) -> [Tensor<D>; N] {
    let mut grads = root.backward();
    inputs.each_ref().map(|input| input.grad_remove(&mut grads).expect("every input is tracked"))
}

/// Output and gradients, in the two ways in which a cotangent comes into Burn's graph.
///
/// The peers are given theirs, which costs them nothing. Burn's `backward()` makes its own, ones: a
/// pass over memory, cheap where there are few elements. An operation that gives one costs
/// microseconds, whatever the size.
fn forward_backward<const N: usize, const D: usize>(
    inputs: &[Tensor<D>; N],
    g: &Tensor<D>,
    operation: impl Fn([Tensor<D>; N]) -> Tensor<D> + Copy + 'static,
) -> Vec<Form> {
    let ones = {
        let inputs = inputs.clone();
        Step::new(move || {
            let y = operation(inputs.clone());
            let gradients = gradients(&inputs, &y);
            (y, gradients)
        })
    };
    let given = {
        let (inputs, g) = (inputs.clone(), g.clone());
        Step::new(move || {
            let y = operation(inputs.clone());
            let gradients = gradients(&inputs, &Given.apply([y.clone(), g.clone()]));
            (y, gradients)
        })
    };
    vec![("ones".to_owned(), ones), ("given".to_owned(), given)]
}

/// The same without Burn's graph, by `vjp` of the operation and one pull.
fn pullback<const N: usize, const D: usize>(
    inputs: &[Tensor<D>; N],
    g: &Tensor<D>,
    operation: impl Fn([Var; N]) -> Var + 'static,
) -> Form {
    let (inputs, g) = (inputs.clone().map(Tensor::inner), g.clone().inner());
    let step = Step::new(move || {
        let (y, pullback): (Tensor<D>, _) = vjp(&operation, inputs.clone());
        (y, pullback.apply(g.clone()))
    });
    ("pullback".to_owned(), step)
}
