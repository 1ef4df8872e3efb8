//! Where the gradient is proven: smooth everywhere. An adapter's own `exp` is measured, and allowed for.

use burn_autograd_core::Var;
use burn_autograd_gradcheck::Intrinsic;

use super::{TensorExp, exp};
use crate::check::{Domain, unary_cases};

const DOMAIN: Domain = Domain { range: (-3.0, 3.0), kinks: &[], intrinsics: &[Intrinsic::Exp] };

unary_cases!("exp", exp, |x: Var| x.fused_exp(), DOMAIN);
