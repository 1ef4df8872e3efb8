//! Where the gradient is proven; the matrices B are those of [`solve`](crate::solve::check).

use burn::tensor::Tensor;
use burn_autograd_core::Var;
use burn_autograd_gradcheck::suite::Case;
use burn_autograd_gradcheck::{SplitMix64, Subject};

use super::{TensorTraceInverse, trace_inverse};
use crate::check::{batched, matrices};

type Inputs<const D: usize> = (Tensor<D>, Tensor<D>);

fn case<const D: usize>(random: &mut SplitMix64, shapes: [[usize; D]; 2]) -> Case {
    let [a, b] = shapes;
    let inputs = matrices(random, &[(&a, false), (&b, true)]);
    let function = |(a, b): Inputs<D>| trace_inverse(a, b);
    let on_variables = |(a, b): (Var, Var)| a.trace_inverse(b);
    Case::new("trace_inverse", format!("{a:?} {b:?}"), Subject::new(function), inputs)
        .vjp(Subject::derivative::<Inputs<D>, Tensor<D>>(on_variables, 2))
        .batch(&batched(shapes))
}

/// The cases of this operation.
pub(crate) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case(random, [[1, 1], [1, 1]]),
        case(random, [[2, 2], [2, 2]]),
        case(random, [[3, 3], [3, 3]]),
        case(random, [[5, 5], [5, 5]]),
        case(random, [[2, 3, 3], [2, 3, 3]]),
        case(random, [[2, 2, 2], [1, 2, 2]]),
        case(random, [[1, 3, 3], [2, 3, 3]]),
        case(random, [[2, 1, 2, 2], [1, 2, 2, 2]]),
        case(random, [[0, 0], [0, 0]]),
        case(random, [[0, 3, 3], [0, 3, 3]]),
    ]
}
