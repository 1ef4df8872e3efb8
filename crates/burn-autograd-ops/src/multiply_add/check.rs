//! Where the gradient is proven: equal shapes, each argument broadcast in some dimension, all of
//! them in some, one element, empty.

use burn::tensor::Tensor;
use burn_autograd_gradcheck::suite::{Case, draw};
use burn_autograd_gradcheck::{SplitMix64, Subject};

use super::{multiply_add, multiply_add_vjp};
use crate::check::EMPTY;

fn case<const D: usize>(random: &mut SplitMix64, shapes: [[usize; D]; 3]) -> Case {
    let inputs = draw(random, &shapes.each_ref().map(|shape| &shape[..]), (-2.0, 2.0), &[], 0.0);
    let [w, x, b] = shapes;
    let function = |(w, x, b): (Tensor<D>, Tensor<D>, Tensor<D>)| multiply_add(w, x, b);
    let vjp = |(w, x, b): (Tensor<D>, Tensor<D>, Tensor<D>), grad: Tensor<D>| {
        multiply_add_vjp(w, x, b, grad)
    };
    Case::new("multiply_add", format!("{w:?} {x:?} {b:?}"), Subject::new(function), inputs)
        .vjp(Subject::product(vjp))
        .exact()
}

/// The cases of this operation.
pub(crate) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case(random, [[1], [1], [1]]),
        case(random, [[7], [7], [7]]),
        case(random, [[1], [13], [1]]),
        case(random, [[2, 3], [2, 3], [2, 3]]),
        case(random, [[1, 3], [2, 3], [1, 3]]),
        case(random, [[2, 1], [1, 3], [2, 3]]),
        case(random, [[2, 3], [2, 1], [1, 1]]),
        case(random, [[1, 1], [1, 1], [2, 3]]),
        case(random, [[1, 1], [5, 1], [1, 3]]),
        case(random, [[2, 1, 3], [1, 2, 1], [1, 1, 1]]),
        case(random, [[0], [0], [0]]),
        case(random, [[0, 3], [1, 3], [0, 1]]).except("wgpu", EMPTY),
        case(random, [[1, 4], [1, 4], [1, 4]]),
        case(random, [[2, 1, 4], [1, 1, 4], [2, 1, 1]]),
    ]
}
