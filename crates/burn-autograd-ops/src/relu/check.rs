//! Where the gradient is proven: both sides of the kink at 0, which the inputs keep away from. The
//! value at 0 itself is a convention, and tested as such.

use super::{relu, relu_vjp};
use crate::check::{Domain, unary_cases};

const DOMAIN: Domain = Domain { range: (-3.0, 3.0), kinks: &[0.0], intrinsics: &[] };

unary_cases!("relu", relu, relu_vjp, DOMAIN);
