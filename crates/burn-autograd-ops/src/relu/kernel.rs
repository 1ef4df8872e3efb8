//! The formulas of the CPU kernels: one pass each.

use crate::support::Real;
use crate::support::cpu::Map;

/// x ↦ 0 where x ≤ 0, x elsewhere. A comparison with NaN is false, so that NaN stays NaN.
#[derive(Clone, Copy)]
pub(super) struct Forward;

impl Map<1> for Forward {
    #[inline(always)]
    fn apply<T: Real>(self, [x]: [T; 1]) -> T {
        if x <= T::ZERO { T::ZERO } else { x }
    }
}

/// (x, grad) ↦ 0 where x ≤ 0, grad elsewhere.
#[derive(Clone, Copy)]
pub(super) struct Backward;

impl Map<2> for Backward {
    #[inline(always)]
    fn apply<T: Real>(self, [x, grad]: [T; 2]) -> T {
        if x <= T::ZERO { T::ZERO } else { grad }
    }
}
