//! What is known not to pass in Burn 0.22.1, and why.

use burn_autograd::gradcheck::Verdict;

use super::Spot;

/// One check that does not pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// The check, and what it says.
    pub(super) finding: (&'static str, Verdict),
}

/// What is known of a case on a backend, in a data type.
pub(super) fn at(spot: Spot<'_>) -> Vec<Known> {
    let _ = spot;
    Vec::new()
}
