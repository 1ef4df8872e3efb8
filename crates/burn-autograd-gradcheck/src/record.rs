use std::fmt;

use serde::{Deserialize, Serialize};

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verdict {
    /// Everything that was to be checked was, and agreed.
    Pass,
    /// Something could not be judged, for the reason given.
    Unchecked,
    /// The function could not be evaluated, or not in its inputs' precision.
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
#[non_exhaustive]
pub struct Worst {
    /// Which output; for a vector-Jacobian product, the one that weighs most.
    pub output: usize,
    /// Which element of it, if the check looks at one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_index: Option<Vec<usize>>,
    /// Which input.
    pub input: usize,
    /// What it is called, if the inputs have names, as the parameters of a module do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub input_name: Option<String>,
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
#[non_exhaustive]
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
    /// The entries that fit worst, worst first; up to five.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub worst_entries: Vec<Worst>,
    /// What was expected and what the backward pass gave, of up to 128 entries spread over all, those
    /// that fit worst among them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub points: Vec<(f64, f64)>,
    /// Likely causes of a failure, where its pattern shows them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub causes: Vec<String>,
    /// How the derivative of the entry that fits worst was found, step by step, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub steps: Option<String>,
    /// How to repeat the check.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repeat: Option<String>,
    /// The smallest relative error that would have been seen, in the entry where that is largest. Where a
    /// block of entries is judged by one sum, in the typical entry of the block.
    pub detects: Option<f64>,
    /// How many entries were compared, and how many there were.
    pub coverage: (usize, usize),
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl Record {
    /// A check that found nothing yet.
    pub(crate) fn new(check: &str) -> Self {
        Self {
            check: check.to_owned(),
            verdict: Verdict::Pass,
            reason: String::new(),
            worst: None,
            worst_entries: Vec::new(),
            points: Vec::new(),
            causes: Vec::new(),
            steps: None,
            repeat: None,
            detects: None,
            coverage: (0, 0),
            seconds: 0.0,
        }
    }

    /// The record with the inputs called by their names, where it speaks of them by their numbers.
    pub(crate) fn named(mut self, name: impl Fn(usize) -> Option<String>) -> Self {
        for worst in self.worst.iter_mut().chain(&mut self.worst_entries) {
            worst.input_name = name(worst.input);
        }
        for text in self.causes.iter_mut().chain([&mut self.reason]) {
            *text = with_names(text, &name);
        }
        self
    }

    /// A check that was not made.
    pub(crate) fn unchecked(check: &str, reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unchecked, reason: reason.into(), ..Self::new(check) }
    }
}

/// A text in which "input 3" is followed by that input's name.
fn with_names(text: &str, name: &impl Fn(usize) -> Option<String>) -> String {
    const WORD: &str = "input ";
    let mut parts = text.split(WORD);
    let mut named = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = part.split_at(digits);
        named.push_str(WORD);
        named.push_str(number);
        if let Some(name) = number.parse().ok().and_then(name) {
            named.push_str(&format!(" ({name})"));
        }
        named.push_str(rest);
    }
    named
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
        for line in self.steps.iter().flat_map(|steps| steps.lines()) {
            write!(f, "\n          {line}")?;
        }
        if self.verdict == Verdict::Pass {
            return Ok(());
        }
        for cause in &self.causes {
            write!(f, "\n          likely cause: {cause}")?;
        }
        let entries = match self.worst_entries.as_slice() {
            [] => self.worst.as_slice(),
            entries => entries,
        };
        for (rank, worst) in entries.iter().enumerate() {
            let head = if rank == 0 { "worst entry:" } else { "           :" };
            write!(f, "\n          {head} {worst}")?;
        }
        if let Some(repeat) = &self.repeat {
            write!(f, "\n          repeat: {repeat}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "output {}", self.output)?;
        if let Some(index) = &self.output_index {
            write!(f, " at {index:?}")?;
        }
        let relation = if self.error <= self.bound { "within" } else { "above" };
        write!(f, ", input {}", self.input)?;
        if let Some(name) = &self.input_name {
            write!(f, " ({name})")?;
        }
        write!(
            f,
            " at {:?}: analytic {:.9e}, expected {:.9e}, error {:.3e} {relation} the bound {:.3e}",
            self.index, self.analytic, self.numeric, self.error, self.bound
        )?;
        if self.numeric != 0.0 && self.analytic.is_finite() {
            write!(f, ", ratio {:.6}", self.analytic / self.numeric)?;
        }
        Ok(())
    }
}

/// What all checks of one function found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a report that nobody reads checks nothing; call `assert_pass`"]
pub struct Report {
    /// One for each check.
    pub records: Vec<Record>,
}

impl Report {
    /// The report of these checks.
    pub fn new(records: Vec<Record>) -> Self {
        Self { records }
    }

    /// The worst verdict of all; [`Invalid`](Verdict::Invalid) if nothing was checked.
    pub fn verdict(&self) -> Verdict {
        self.records.iter().map(|record| record.verdict).max().unwrap_or(Verdict::Invalid)
    }

    /// The record of a check by its name, if it was made.
    pub fn check(&self, name: &str) -> Option<&Record> {
        self.records.iter().find(|record| record.check == name)
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
