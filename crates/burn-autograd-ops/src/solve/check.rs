//! Where the gradient is proven: random matrices with n added on the diagonal, so that every step
//! stays far from a singular one; batches that broadcast either way; empty ones.

use burn::tensor::Tensor;
use burn_autograd_core::Var;
use burn_autograd_gradcheck::suite::Case;
use burn_autograd_gradcheck::{SplitMix64, Subject};

use super::{TensorSolve, TensorSolveVector, solve, solve_right, solve_vector};
use crate::check::{EMPTY, batched, matrices};

fn case<const D: usize>(random: &mut SplitMix64, shapes: [[usize; D]; 2]) -> Case {
    let [a, b] = shapes;
    let inputs = matrices(random, &[(&a, true), (&b, false)]);
    let function = |(a, b): (Tensor<D>, Tensor<D>)| solve(a, b);
    let on_variables = |(a, b): (Var, Var)| a.solve(b);
    Case::new("solve", format!("{a:?} {b:?}"), Subject::new(function), inputs)
        .vjp(Subject::derivative::<(Tensor<D>, Tensor<D>), Tensor<D>>(on_variables, 2))
        .batch(&batched(shapes))
}

fn right<const D: usize>(random: &mut SplitMix64, shapes: [[usize; D]; 2]) -> Case {
    let [a, b] = shapes;
    let inputs = matrices(random, &[(&a, true), (&b, false)]);
    let function = |(a, b): (Tensor<D>, Tensor<D>)| solve_right(a, b);
    let on_variables = |(a, b): (Var, Var)| a.solve_right(b);
    Case::new("solve", format!("right {a:?} {b:?}"), Subject::new(function), inputs)
        .vjp(Subject::derivative::<(Tensor<D>, Tensor<D>), Tensor<D>>(on_variables, 2))
        .batch(&batched(shapes))
}

fn vector<const D: usize, const E: usize>(
    random: &mut SplitMix64,
    a: [usize; D],
    b: [usize; E],
) -> Case {
    let inputs = matrices(random, &[(a.as_slice(), true), (b.as_slice(), false)]);
    let function = |(a, b): (Tensor<D>, Tensor<E>)| solve_vector(a, b);
    let on_variables = |(a, b): (Var, Var)| a.solve_vector(b);
    Case::new("solve", format!("vector {a:?} {b:?}"), Subject::new(function), inputs)
        .vjp(Subject::derivative::<(Tensor<D>, Tensor<E>), Tensor<E>>(on_variables, 2))
}

/// The cases of this operation.
pub(crate) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case(random, [[1, 1], [1, 1]]),
        case(random, [[2, 2], [2, 3]]),
        case(random, [[3, 3], [3, 1]]),
        case(random, [[5, 5], [5, 2]]),
        case(random, [[2, 3, 3], [2, 3, 2]]),
        case(random, [[1, 3, 3], [2, 3, 1]]),
        case(random, [[2, 2, 2], [1, 2, 1]]),
        case(random, [[2, 1, 2, 2], [1, 2, 2, 1]]),
        right(random, [[3, 3], [2, 3]]),
        right(random, [[1, 2, 2], [2, 1, 2]]),
        case(random, [[0, 0], [0, 2]]),
        case(random, [[0, 2, 2], [0, 2, 1]]),
        case(random, [[2, 2], [2, 0]]).except("wgpu", EMPTY),
        vector(random, [3, 3], [3]),
        vector(random, [1, 2, 2], [2, 2]),
    ]
}
