//! Where the gradient is proven: ranks 1 to 3, one element, more than a vector register, empty.

use burn::tensor::Tensor;
use burn_autograd_core::Var;
use burn_autograd_gradcheck::suite::{Case, draw};
use burn_autograd_gradcheck::{SplitMix64, Subject};

use super::{TensorSumSquaredError, sum_squared_error};

fn case<const D: usize>(random: &mut SplitMix64, shape: [usize; D]) -> Case {
    let inputs = draw(random, &[&shape, &shape], (-2.0, 2.0), &[], 0.0);
    type Inputs<const D: usize> = (Tensor<D>, Tensor<D>);
    let function = |(p, t): Inputs<D>| sum_squared_error(p, t);
    let on_variables = |(p, t): (Var, Var)| p.sum_squared_error(t);
    Case::new("sum_squared_error", format!("{shape:?}"), Subject::new(function), inputs)
        .vjp(Subject::derivative::<Inputs<D>, Tensor<1>>(on_variables, 2))
        .exact()
}

/// The cases of this operation.
pub(crate) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case(random, [1]),
        case(random, [7]),
        case(random, [37]),
        case(random, [2, 3]),
        case(random, [2, 1, 3]),
        case(random, [0]),
    ]
}
