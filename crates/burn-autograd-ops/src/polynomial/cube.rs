//! Horner's rule is a chain of elementwise operations, which Burn's fusion makes one kernel of, and
//! joins with what stands before and after it: the specification.

use burn_cubecl::CubeBackend;

use super::PolynomialOps;

impl PolynomialOps for CubeBackend {}
