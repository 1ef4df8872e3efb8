//! Where the gradient is proven: equal shapes, each argument broadcast in some dimension, all of
//! them in some, one element, empty.

use burn::tensor::Tensor;
use burn_autograd_core::Var;
use burn_autograd_gradcheck::suite::{Case, draw};
use burn_autograd_gradcheck::{SplitMix64, Subject};

use super::{TensorMultiplyAdd, multiply_add};
use crate::check::EMPTY;

fn case<const D: usize>(random: &mut SplitMix64, shapes: [[usize; D]; 3]) -> Case {
    let inputs = draw(random, &shapes.each_ref().map(|shape| &shape[..]), (-2.0, 2.0), &[], 0.0);
    let [w, x, b] = shapes;
    type Inputs<const D: usize> = (Tensor<D>, Tensor<D>, Tensor<D>);
    let function = |(w, x, b): Inputs<D>| multiply_add(w, x, b);
    let on_variables = |(w, x, b): (Var, Var, Var)| w.multiply_add(x, b);
    Case::new("multiply_add", format!("{w:?} {x:?} {b:?}"), Subject::new(function), inputs)
        .vjp(Subject::derivative::<Inputs<D>, Tensor<D>>(on_variables, 2))
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
