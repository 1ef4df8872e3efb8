//! Where the gradient is proven; the matrices are those of [`solve`](crate::solve::check).

use burn::tensor::Tensor;
use burn_autograd_core::Var;
use burn_autograd_gradcheck::suite::Case;
use burn_autograd_gradcheck::{SplitMix64, Subject};

use super::{TensorInverse, inverse};
use crate::check::{batched, matrices};

fn case<const D: usize>(random: &mut SplitMix64, shape: [usize; D]) -> Case {
    let inputs = matrices(random, &[(&shape, true)]);
    Case::new("inverse", format!("{shape:?}"), Subject::new(inverse::<D>), inputs)
        .vjp(Subject::derivative::<Tensor<D>, Tensor<D>>(|a: Var| a.inverse(), 2))
        .batch(&batched([shape]))
}

/// The cases of this operation.
pub(crate) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case(random, [1, 1]),
        case(random, [2, 2]),
        case(random, [3, 3]),
        case(random, [5, 5]),
        case(random, [2, 3, 3]),
        case(random, [2, 1, 2, 2]),
        case(random, [0, 0]),
        case(random, [0, 2, 2]),
    ]
}
