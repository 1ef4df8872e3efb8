//! The formulas of the CPU kernels: one pass each.

use crate::support::Real;
use crate::support::cpu::Map;

/// x ↦ x·(5⁄2·x² − 3⁄2).
#[derive(Clone, Copy)]
pub(super) struct Forward;

impl Map<1> for Forward {
    #[inline(always)]
    fn apply<T: Real>(self, [x]: [T; 1]) -> T {
        x * (T::from_f64(2.5) * x * x - T::from_f64(1.5))
    }
}

/// (x, grad) ↦ grad·(15⁄2·x² − 3⁄2).
#[derive(Clone, Copy)]
pub(super) struct Backward;

impl Map<2> for Backward {
    #[inline(always)]
    fn apply<T: Real>(self, [x, grad]: [T; 2]) -> T {
        grad * (T::from_f64(7.5) * x * x - T::from_f64(1.5))
    }
}
