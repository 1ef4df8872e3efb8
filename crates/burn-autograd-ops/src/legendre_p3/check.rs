//! Where the gradient is proven: smooth everywhere, both roots of the derivative (±0.447) within the
//! range.

use super::{legendre_p3, legendre_p3_vjp};
use crate::check::{Domain, unary_cases};

const DOMAIN: Domain = Domain { range: (-2.0, 2.0), kinks: &[], intrinsics: &[] };

unary_cases!("legendre_p3", legendre_p3, legendre_p3_vjp, DOMAIN);
