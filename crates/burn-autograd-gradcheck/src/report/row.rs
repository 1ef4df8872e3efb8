use crate::suite::Entry;
use crate::{Record, Worst};

/// A check as the reports show it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) entry: &'a Entry,
    /// The entries that fit worst, the worst first.
    pub(super) worst: &'a [Worst],
}

impl<'a> Row<'a> {
    pub(super) fn new(entry: &'a Entry) -> Self {
        let Record { worst, worst_entries, .. } = &entry.record;
        let worst = if worst_entries.is_empty() { worst.as_slice() } else { worst_entries };
        Self { entry, worst }
    }

    pub(super) fn record(&self) -> &'a Record {
        &self.entry.record
    }

    /// How much of its bound the worst entry uses; above 1 it is a mistake. Infinite if it cannot be
    /// said.
    pub(super) fn ratio(&self) -> Option<f64> {
        self.worst.iter().map(ratio).reduce(f64::max)
    }
}

/// An error as a multiple of its bound.
fn ratio(worst: &Worst) -> f64 {
    let ratio = if worst.error == 0.0 { 0.0 } else { worst.error / worst.bound };
    if ratio.is_nan() { f64::INFINITY } else { ratio }
}
