//! Where the gradient is proven: degrees below, at and above what fits a register, ranks 1 to 3, one
//! element, more than a tile, empty.

use burn::tensor::Tensor;
use burn_autograd_core::Var;
use burn_autograd_gradcheck::suite::{Case, draw};
use burn_autograd_gradcheck::{SplitMix64, Subject};

use super::{TensorPolynomial, polynomial};
use crate::check::EMPTY;

fn case<const D: usize>(random: &mut SplitMix64, shape: [usize; D], coefficients: usize) -> Case {
    let inputs = draw(random, &[&shape, &[coefficients]], (-1.5, 1.5), &[0.0], 0.5);
    type Inputs<const D: usize> = (Tensor<D>, Tensor<1>);
    let function = |(x, c): Inputs<D>| polynomial(x, c);
    let on_variables = |(x, c): (Var, Var)| x.polynomial(c);
    let name = format!("{shape:?} degree {}", coefficients - 1);
    Case::new("polynomial", name, Subject::new(function), inputs)
        .vjp(Subject::derivative::<Inputs<D>, Tensor<D>>(on_variables, 2))
}

/// The cases of this operation.
pub(crate) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case(random, [1], 1),
        case(random, [7], 1),
        case(random, [1], 4),
        case(random, [7], 2),
        case(random, [37], 4),
        case(random, [2, 3], 4),
        case(random, [2, 1, 3], 3),
        case(random, [3], 10),
        case(random, [0], 4).except("wgpu", EMPTY),
    ]
}
