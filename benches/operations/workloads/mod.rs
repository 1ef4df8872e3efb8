//! What is measured. The names are those of `benches/peers/peers.py`.

mod elementwise;

use burn::tensor::{DType, Device, Tensor};

use crate::measure::Step;

/// One workload, on any backend.
pub(crate) struct Workload {
    /// The peers' name of it.
    pub(crate) name: String,
    pub(crate) dtype: DType,
    /// Makes the inputs.
    pub(crate) contenders: Box<dyn Fn(&Device) -> Contenders>,
}

/// Who is timed.
pub(crate) struct Contenders {
    pub(crate) ours: Step,
    /// The same composed from Burn's operations, where Burn has them.
    pub(crate) burns: Option<Step>,
    /// Of these the fastest counts.
    pub(crate) floors: Vec<Step>,
}

/// Every workload, in the order in which they are measured.
pub(crate) fn all() -> Vec<Workload> {
    elementwise::workloads()
}

/// A step: the output for some tracked inputs, then the gradient of its sum for each of them.
///
/// The peers are given their cotangent. Burn makes its own, ones, in the timed region; an operation of
/// ours that took one (or a product with one, summed) would cost more than that at 2,000 elements.
fn forward_backward<const N: usize, const D: usize>(
    inputs: [Tensor<D>; N],
    operation: impl Fn([Tensor<D>; N]) -> Tensor<D> + 'static,
) -> Step {
    Box::new(move || {
        let mut grads = operation(inputs.clone()).backward();
        for input in &inputs {
            input.grad_remove(&mut grads).expect("every input is tracked");
        }
    })
}
