//! Where the gradient is proven: smooth everywhere. WGSL (section 15.7.4, accuracy of built-in
//! functions) bounds the error of `exp` by 3 + 2|x| units in the last place: 9 here.

use super::{exp, exp_vjp};
use crate::check::{Domain, unary_cases};

const DOMAIN: Domain = Domain { range: (-3.0, 3.0), kinks: &[], intrinsic_ulps: 9.0 };

unary_cases!("exp", exp, exp_vjp, DOMAIN);
