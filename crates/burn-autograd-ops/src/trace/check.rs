//! Where the gradient is proven.

use burn::tensor::Tensor;
use burn_autograd_core::Var;
use burn_autograd_gradcheck::suite::Case;
use burn_autograd_gradcheck::{SplitMix64, Subject};

use super::{TensorTrace, trace};
use crate::check::{batched, matrices};

fn case<const D: usize>(random: &mut SplitMix64, shape: [usize; D]) -> Case {
    let inputs = matrices(random, &[(&shape, false)]);
    Case::new("trace", format!("{shape:?}"), Subject::new(trace::<D>), inputs)
        .vjp(Subject::derivative::<Tensor<D>, Tensor<D>>(|a: Var| a.trace(), 2))
        .exact()
        .batch(&batched([shape]))
}

/// The cases of this operation.
pub(crate) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case(random, [1, 1]),
        case(random, [2, 2]),
        case(random, [5, 5]),
        case(random, [2, 3, 3]),
        case(random, [2, 1, 2, 2]),
        case(random, [0, 0]),
        case(random, [2, 0, 0]),
        case(random, [0, 3, 3]),
    ]
}
