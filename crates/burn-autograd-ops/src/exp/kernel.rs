//! The formulas of the CPU kernels: one pass each.

use crate::support::Real;
use crate::support::cpu::Map;

/// x ↦ eˣ, to about one unit in the last place.
#[derive(Clone, Copy)]
pub(super) struct Forward;

impl Map<1> for Forward {
    #[inline(always)]
    fn apply<T: Real>(self, [x]: [T; 1]) -> T {
        x.exp()
    }
}

/// (y, grad) ↦ grad·y.
#[derive(Clone, Copy)]
pub(super) struct Backward;

impl Map<2> for Backward {
    #[inline(always)]
    fn apply<T: Real>(self, [y, grad]: [T; 2]) -> T {
        grad * y
    }
}
