use std::fmt;

use super::{BackendReport, Status, SuiteReport, Summary};
use crate::Verdict;
use crate::suite::Entry;

/// The checks of one operation on one backend with one data type; its text is one line.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a>(pub &'a [Entry]);

impl Group<'_> {
    /// Whether an entry belongs to the group as well.
    pub fn includes(&self, entry: &Entry) -> bool {
        self.0.first().is_none_or(|first| same(first, entry))
    }
}

pub(super) fn same(a: &Entry, b: &Entry) -> bool {
    (&a.op, &a.backend, &a.dtype) == (&b.op, &b.backend, &b.dtype)
}

impl fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Entry { op, backend, dtype, .. }) = self.0.first() else { return Ok(()) };
        let Summary { pass, fail, unchecked, invalid, seconds } = Summary::of(self.0);
        write!(f, "{op:<18} {backend:<8} {dtype}  {pass:>4} passed")?;
        for (count, what) in [(fail, "FAILED"), (unchecked, "unchecked"), (invalid, "INVALID")] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        if let Some(detects) = self.0.iter().filter_map(|e| e.record.detects).reduce(f64::max) {
            write!(f, "  detects {detects:.0e}")?;
        }
        write!(f, "  {seconds:.2} s")
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pass, fail, unchecked, invalid, seconds } = self;
        write!(
            f,
            "{pass} passed, {fail} failed, {unchecked} unchecked, {invalid} invalid in {seconds:.1} s"
        )
    }
}

impl fmt::Display for BackendReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, status, adapter, reason } = self;
        match (status, adapter, reason) {
            (Status::Ran, Some(adapter), _) => write!(f, "{name}: {adapter}"),
            (Status::Ran, None, _) => write!(f, "{name}: ran"),
            (Status::Skipped, _, Some(reason)) => write!(f, "{name}: skipped, {reason}"),
            (Status::Skipped, _, None) => write!(f, "{name}: skipped"),
        }
    }
}

/// A line for each backend, a line for each [`Group`] after what in it did not pass, and the summary.
impl fmt::Display for SuiteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for backend in &self.backends {
            writeln!(f, "{backend}")?;
        }
        for group in self.checks.chunk_by(same) {
            for Entry { op, case, backend, dtype, order, record, .. } in group {
                if record.verdict != Verdict::Pass {
                    writeln!(f, "{op} {case} on {backend} {dtype}, order {order}: {record}")?;
                }
            }
            writeln!(f, "{}", Group(group))?;
        }
        writeln!(f, "{}", self.summary)
    }
}
