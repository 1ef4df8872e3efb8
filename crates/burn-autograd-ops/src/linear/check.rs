//! Where the gradient is proven: with and without a bias, one row, one feature, one output, several
//! ranks, more than one block of a matrix kernel, empty in every dimension.

use burn::tensor::Tensor;
use burn_autograd_core::Var;
use burn_autograd_gradcheck::suite::{Case, draw};
use burn_autograd_gradcheck::{SplitMix64, Subject};

use super::{TensorLinear, linear};
use crate::check::EMPTY;

/// A product and an addition for each of up to ten terms, and the bias; they may cancel.
const ROUNDINGS: f64 = 21.0;

fn with_bias<const D: usize>(random: &mut SplitMix64, x: [usize; D], outputs: usize) -> Case {
    let weight = [outputs, x[D - 1]];
    let inputs = draw(random, &[&x, &weight, &[outputs]], (-2.0, 2.0), &[], 0.0);
    type Inputs<const D: usize> = (Tensor<D>, Tensor<2>, Tensor<1>);
    let function = |(x, weight, bias): Inputs<D>| linear(x, weight, Some(bias));
    let on_variables = |(x, weight, bias): (Var, Var, Var)| x.fused_linear(weight, Some(bias));
    let name = format!("{x:?} {weight:?} [{outputs}]");
    Case::new("linear", name, Subject::new(function), inputs)
        .vjp(Subject::derivative::<Inputs<D>, Tensor<D>>(on_variables, 2))
        .roundings(ROUNDINGS)
        .exact()
}

fn without_bias<const D: usize>(random: &mut SplitMix64, x: [usize; D], outputs: usize) -> Case {
    let weight = [outputs, x[D - 1]];
    let inputs = draw(random, &[&x, &weight], (-2.0, 2.0), &[], 0.0);
    type Inputs<const D: usize> = (Tensor<D>, Tensor<2>);
    let function = |(x, weight): Inputs<D>| linear(x, weight, None);
    let on_variables = |(x, weight): (Var, Var)| x.fused_linear(weight, None);
    let name = format!("{x:?} {weight:?}");
    Case::new("linear", name, Subject::new(function), inputs)
        .vjp(Subject::derivative::<Inputs<D>, Tensor<D>>(on_variables, 2))
        .roundings(ROUNDINGS)
        .exact()
}

/// The cases of this operation.
pub(crate) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        with_bias(random, [4, 3], 2),
        without_bias(random, [4, 3], 2),
        with_bias(random, [1, 5], 7),
        without_bias(random, [7, 1], 3),
        with_bias(random, [1, 1], 1),
        with_bias(random, [3, 4], 1),
        with_bias(random, [3], 2),
        without_bias(random, [5], 1),
        with_bias(random, [2, 3, 2], 3),
        without_bias(random, [2, 1, 2, 3], 2),
        with_bias(random, [9, 10], 3),
        with_bias(random, [0, 3], 2).except("wgpu", EMPTY),
        without_bias(random, [2, 0], 3).except("wgpu", EMPTY),
        with_bias(random, [2, 3], 0).except("wgpu", EMPTY),
    ]
}
