//! Where the gradient is proven: both sides of the kink at 0, which the inputs keep away from. The
//! value at 0 itself is a convention, and tested as such.

use burn_autograd_core::{Var, apply_rule};

use super::{SelfDefinedRelu, relu};
use crate::check::{Domain, unary_cases};

const DOMAIN: Domain = Domain { range: (-3.0, 3.0), kinks: &[0.0], intrinsics: &[] };

fn on_variables(x: Var) -> Var {
    let [y] = apply_rule(&SelfDefinedRelu, [x]);
    y
}

unary_cases!("relu", relu, on_variables, DOMAIN);
