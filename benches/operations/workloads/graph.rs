//! What Burn's graph costs where there is nothing to compute: the same tracked inputs and the same
//! number of operations, on tensors of one element.

use burn::tensor::{DType, Device, Tensor};

use super::{Form, gradients};
use crate::measure::Step;

/// Where there are more elements, the time is theirs.
const MOST: usize = 2_000;

/// Operations that are as good as none, and their name.
pub(super) type Named<const N: usize> = (&'static str, fn([Tensor<1>; N]) -> Tensor<1>);

// An addition is Burn's cheapest operation: its backward hands the gradient on as it is.

/// One operation with one input.
pub(super) const UNARY: &[Named<1>] = &[("add", |[x]| x + 1.0)];

/// One operation with three inputs, of which Burn has nothing as cheap: either two additions, or the one
/// operation that takes any number.
pub(super) const TERNARY: &[Named<3>] =
    &[("add", |[a, b, c]| a + b + c), ("cat", |inputs| Tensor::cat(inputs.into(), 0))];

/// Forward and backward of each; nothing where a workload of so many `elements` is not a matter of the
/// graph.
pub(super) fn forms<const N: usize>(
    operations: &[Named<N>],
    elements: usize,
    options: (&Device, DType),
) -> Vec<Form> {
    if elements > MOST {
        return Vec::new();
    }
    operations
        .iter()
        .map(|&(name, operation)| {
            let inputs: [Tensor<1>; N] =
                std::array::from_fn(|_| Tensor::<1>::ones([1], options).require_grad());
            let step = Step::new(move || {
                let y = operation(inputs.clone());
                let gradients = gradients(&inputs, &y);
                (y, gradients)
            });
            (name.to_owned(), step)
        })
        .collect()
}
