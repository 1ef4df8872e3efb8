//! Where the gradient is proven: smooth everywhere, both roots of the derivative (±0.447) within the
//! range.

use burn_autograd_core::Var;

use super::{TensorLegendreP3, legendre_p3};
use crate::check::{Domain, unary_cases};

const DOMAIN: Domain = Domain { range: (-2.0, 2.0), kinks: &[], intrinsics: &[] };

unary_cases!("legendre_p3", legendre_p3, |x: Var| x.legendre_p3(), DOMAIN);
