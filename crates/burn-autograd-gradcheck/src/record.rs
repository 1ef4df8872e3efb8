use std::fmt;

use serde::{Deserialize, Serialize};

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything that was to be checked was, and agreed.
    Pass,
    /// Something could not be judged, for the reason given.
    Unchecked,
    /// The function could not be evaluated.
    Invalid,
    /// A mistake.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Unchecked => "unchecked",
            Self::Invalid => "invalid",
            Self::Fail => "FAIL",
        })
    }
}

/// The entry of a Jacobian, or of a gradient, that fits worst.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worst {
    /// Which output; for a vector-Jacobian product, the one that weighs most.
    pub output: usize,
    /// Which element of it, if the check looks at one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_index: Option<Vec<usize>>,
    /// Which input.
    pub input: usize,
    /// Which element of it.
    pub index: Vec<usize>,
    /// What the backward pass gives.
    pub analytic: f64,
    /// What it is compared with.
    pub numeric: f64,
    /// Their distance.
    pub error: f64,
    /// What the distance may be.
    pub bound: f64,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The check's name: `jacobian`, `parity`, `subsets`, …
    pub check: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// Why, if it is not a pass.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub reason: String,
    /// The entry that fits worst, if entries were compared.
    pub worst: Option<Worst>,
    /// The smallest relative error that would have been seen, in the entry where that is largest.
    pub detects: Option<f64>,
    /// How many entries were compared, and how many there were.
    pub coverage: (usize, usize),
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl Record {
    /// A check that was not made.
    pub(crate) fn unchecked(check: &str, reason: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            verdict: Verdict::Unchecked,
            reason: reason.into(),
            worst: None,
            detects: None,
            coverage: (0, 0),
            seconds: 0.0,
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<9} {}", self.verdict, self.check)?;
        if self.coverage.1 > 0 {
            write!(f, "  {}/{} entries", self.coverage.0, self.coverage.1)?;
        }
        if let Some(detects) = self.detects {
            write!(f, "  detects {detects:.1e}")?;
        }
        if !self.reason.is_empty() {
            write!(f, "\n          {}", self.reason)?;
        }
        if let (Some(worst), true) = (&self.worst, self.verdict != Verdict::Pass) {
            write!(f, "\n          worst entry: output {}", worst.output)?;
            if let Some(index) = &worst.output_index {
                write!(f, " at {index:?}")?;
            }
            let relation = if worst.error <= worst.bound { "within" } else { "above" };
            write!(
                f,
                ", input {} at {:?}: analytic {:.9e}, expected {:.9e}, error {:.3e} {relation} the \
                 bound {:.3e}",
                worst.input, worst.index, worst.analytic, worst.numeric, worst.error, worst.bound
            )?;
            if worst.numeric != 0.0 && worst.analytic.is_finite() {
                write!(f, ", ratio {:.6}", worst.analytic / worst.numeric)?;
            }
        }
        Ok(())
    }
}

/// What all checks of one function found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[must_use = "a report that nobody reads checks nothing; call `assert_pass`"]
pub struct Report {
    /// One for each check.
    pub records: Vec<Record>,
}

impl Report {
    /// The worst verdict of all; [`Invalid`](Verdict::Invalid) if nothing was checked.
    pub fn verdict(&self) -> Verdict {
        self.records.iter().map(|record| record.verdict).max().unwrap_or(Verdict::Invalid)
    }

    /// Panics with the report unless every check passed.
    ///
    /// # Panics
    ///
    /// If a check failed, could not be run, or left something unchecked.
    #[track_caller]
    pub fn assert_pass(&self) {
        assert!(self.verdict() == Verdict::Pass, "the gradient check did not pass\n{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for record in &self.records {
            writeln!(f, "{record}")?;
        }
        Ok(())
    }
}
