//! The gradient-check cases of every operation: what `cargo xtask gradcheck` runs.

use burn::tensor::Tensor;
use burn_autograd_core::Var;
use burn_autograd_gradcheck::suite::{Case, draw};
use burn_autograd_gradcheck::{Intrinsic, SplitMix64, Subject};

/// Every case of every operation, with inputs drawn from a seed.
///
/// ```
/// let cases = burn_autograd_ops::check::cases(42);
/// assert!(cases.iter().any(|case| case.op == "legendre_p3"));
/// ```
pub fn cases(seed: u64) -> Vec<Case> {
    // Each operation has numbers of its own, which do not depend on those before it.
    let random = |op: u64| SplitMix64::new(seed ^ (op + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    [
        crate::legendre_p3::check::cases,
        crate::relu::check::cases,
        crate::exp::check::cases,
        crate::multiply_add::check::cases,
        crate::polynomial::check::cases,
        crate::sum_squared_error::check::cases,
        crate::linear::check::cases,
        crate::cross_entropy::check::cases,
        crate::solve::check::cases,
        crate::inverse::check::cases,
        crate::trace::check::cases,
        crate::det::check::cases,
        crate::trace_inverse::check::cases,
    ]
    .into_iter()
    .zip(0..)
    .flat_map(|(cases, op)| cases(&mut random(op)))
    .collect()
}

/// Where a unary operation is checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Domain {
    /// Inputs are drawn from here.
    pub(crate) range: (f64, f64),
    /// Points without a derivative, which inputs keep twice the largest step away from.
    pub(crate) kinks: &'static [f64],
    /// What an adapter computes it with.
    pub(crate) intrinsics: &'static [Intrinsic],
}

/// Which inputs are batches of matrices, if all have as many in the first dimension.
pub(crate) fn batched<const D: usize, const N: usize>(shapes: [[usize; D]; N]) -> [bool; N] {
    let rows = shapes[0][0];
    [D > 2 && rows > 1 && shapes.iter().all(|shape| shape[0] == rows); N]
}

/// Random matrices, which n on the diagonal keeps away from singular ones where that is asked for: by
/// Gershgorin no eigenvalue is below n⁄2, so that none reaches 0 within a step of ¼.
pub(crate) fn matrices(
    random: &mut SplitMix64,
    shapes: &[(&[usize], bool)],
) -> Vec<burn_autograd_gradcheck::Array> {
    shapes
        .iter()
        .map(|(shape, invertible)| {
            let n = shape[shape.len() - 1];
            let mut array = burn_autograd_gradcheck::Array::from_fn(shape.to_vec(), || {
                random.uniform(-0.5, 0.5)
            });
            if *invertible {
                for place in array.data.iter_mut().enumerate() {
                    if place.0 % (n * n) % (n + 1) == 0 {
                        *place.1 += n as f64;
                    }
                }
            }
            array
        })
        .collect()
}

const FIRST_STEP: f64 = 0.25;

/// Why a case with empty tensors and others is not checked on wgpu. The operations queue nothing on an
/// empty tensor, which is tested; the checker adds and transposes what it has.
pub(crate) const EMPTY: &str = "Burn 0.22.1's fusion loses results that are queued together with \
                                an operation on an empty tensor (empty tensors: burn #5310), and \
                                the checker queues some";

type Forward<const D: usize> = fn(Tensor<D>) -> Tensor<D>;
type OnVariables = fn(Var) -> Var;

/// One case of a unary operation, on tensors and on variables.
pub(crate) fn unary<const D: usize>(
    op: &str,
    shape: [usize; D],
    (function, on_variables): (Forward<D>, OnVariables),
    domain: Domain,
    random: &mut SplitMix64,
) -> Case {
    let inputs = draw(random, &[&shape], domain.range, domain.kinks, 2.0 * FIRST_STEP);
    Case::new(op, format!("{shape:?}"), Subject::new(function), inputs)
        .vjp(Subject::derivative::<Tensor<D>, Tensor<D>>(on_variables, 2))
        .first_step(FIRST_STEP)
        .intrinsics(domain.intrinsics)
}

/// The shapes on which every unary operation is checked: one element, primes, more than one vector
/// register, several ranks, empty, a row and a column of even length (of views of those Burn's fusion
/// computes wrongly).
macro_rules! unary_cases {
    ($op:literal, $function:path, $on_variables:expr, $domain:expr) => {
        /// The cases of this operation.
        pub(crate) fn cases(
            random: &mut burn_autograd_gradcheck::SplitMix64,
        ) -> Vec<burn_autograd_gradcheck::suite::Case> {
            use crate::check::unary;
            vec![
                unary($op, [1], ($function, $on_variables), $domain, random),
                unary($op, [7], ($function, $on_variables), $domain, random),
                unary($op, [67], ($function, $on_variables), $domain, random),
                unary($op, [2, 3], ($function, $on_variables), $domain, random),
                unary($op, [8, 1], ($function, $on_variables), $domain, random),
                unary($op, [2, 3, 2], ($function, $on_variables), $domain, random),
                unary($op, [1, 2, 1, 3], ($function, $on_variables), $domain, random),
                unary($op, [0], ($function, $on_variables), $domain, random),
                unary($op, [3, 0], ($function, $on_variables), $domain, random),
                unary($op, [1, 8], ($function, $on_variables), $domain, random),
            ]
        }
    };
}
pub(crate) use unary_cases;
