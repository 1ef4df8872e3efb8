//! A difference, a square and a sum, which Burn's fusion joins with what stands before and after
//! them: the specification.

use burn_cubecl::CubeBackend;

use super::SumSquaredErrorOps;

impl SumSquaredErrorOps for CubeBackend {}
