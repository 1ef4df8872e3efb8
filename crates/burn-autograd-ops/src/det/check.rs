//! Where the gradients are proven; the matrices are those of [`solve`](crate::solve::check), and for
//! the determinant any up to n = 3.

use burn::tensor::Tensor;
use burn_autograd_core::Var;
use burn_autograd_gradcheck::suite::Case;
use burn_autograd_gradcheck::{Intrinsic, SplitMix64, Subject};

use super::{TensorDet, det, log_abs_det};
use crate::check::{batched, matrices};

fn case<const D: usize>(random: &mut SplitMix64, shape: [usize; D]) -> Case {
    let inputs = matrices(random, &[(&shape, shape[D - 1] > 3)]);
    Case::new("det", format!("{shape:?}"), Subject::new(det::<D>), inputs)
        .vjp(Subject::derivative::<Tensor<D>, Tensor<D>>(|a: Var| a.det(), 2))
        .roundings(roundings(shape[D - 1]))
        .batch(&batched([shape]))
}

/// n pivots, each of up to n products and differences, and as many for the cofactors, in which terms of
/// the size of the largest may cancel.
fn roundings(n: usize) -> f64 {
    (3 * n * n) as f64
}

/// Sums of up to five logarithms.
fn log<const D: usize>(random: &mut SplitMix64, shape: [usize; D]) -> Case {
    let inputs = matrices(random, &[(&shape, true)]);
    let function = |a: Tensor<D>| log_abs_det(a).1;
    Case::new("det", format!("log {shape:?}"), Subject::new(function), inputs)
        .vjp(Subject::derivative::<Tensor<D>, Tensor<D>>(|a: Var| a.log_abs_det().1, 2))
        .intrinsics(&[Intrinsic::Log; 5])
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
        case(random, [2, 1, 4, 4]),
        log(random, [1, 1]),
        log(random, [3, 3]),
        log(random, [2, 5, 5]),
        case(random, [0, 0]),
        case(random, [0, 2, 2]),
        log(random, [2, 0, 0]),
    ]
}
