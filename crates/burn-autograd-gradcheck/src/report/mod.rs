//! A suite's report: as text, JSON, JUnit, and one HTML page that opens from disk.
//!
//! Collect what [`Suite::run`](crate::suite::Suite::run) gives in a [`SuiteReport`], then print it,
//! or write [`to_json`](SuiteReport::to_json), [`to_junit`](SuiteReport::to_junit) and
//! [`to_html`](SuiteReport::to_html) to files. The JSON can be read again, and the reports of
//! several programs [merged](SuiteReport::merge).

mod html;
mod json;
mod junit;
mod row;
mod text;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Verdict;
use crate::suite::Entry;

pub use text::Group;

/// The version of the JSON: it changes when the meaning of a field does, not when one is added.
pub const SCHEMA: u32 = 1;

/// All that a suite found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SuiteReport {
    /// The version of the JSON, [`SCHEMA`].
    pub schema: u32,
    /// The release of Burn that was checked.
    pub burn: String,
    /// The seed of inputs and cotangents.
    pub seed: u64,
    /// The backends that were asked for, and what became of them.
    pub backends: Vec<BackendReport>,
    /// One entry for each check, in the order in which they were made.
    #[serde(deserialize_with = "json::entries")]
    pub checks: Vec<Entry>,
    /// How they ended.
    pub summary: Summary,
}

/// A backend that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackendReport {
    /// Its name.
    pub name: String,
    /// Whether it was checked.
    pub status: Status,
    /// The adapter that it ran on, if it is one that needs an adapter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl BackendReport {
    /// A backend that was checked. Set [`adapter`](Self::adapter) if it ran on one.
    pub fn ran(name: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Ran, adapter: None, reason: None }
    }

    /// A backend that this machine cannot run, and why.
    pub fn skipped(name: impl Into<String>, reason: impl Into<String>) -> Self {
        let reason = Some(reason.into());
        Self { name: name.into(), status: Status::Skipped, adapter: None, reason }
    }
}

/// Whether a backend was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Status {
    /// It was.
    Ran,
    /// This machine cannot run it.
    Skipped,
}

/// How many checks ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// Agreed.
    pub pass: usize,
    /// Found a mistake.
    pub fail: usize,
    /// Could not be judged, those that were declared included.
    pub unchecked: usize,
    /// Could not be run.
    pub invalid: usize,
    /// How long they took, in seconds.
    pub seconds: f64,
}

impl Summary {
    /// Counts these entries and adds their times.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut summary = Self::default();
        for entry in entries {
            summary.count(entry.record.verdict);
            summary.seconds += entry.record.seconds;
        }
        summary
    }

    fn count(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Pass => &mut self.pass,
            Verdict::Fail => &mut self.fail,
            Verdict::Unchecked => &mut self.unchecked,
            Verdict::Invalid => &mut self.invalid,
        } += 1;
    }

    fn add(&mut self, other: &Self) {
        self.pass += other.pass;
        self.fail += other.fail;
        self.unchecked += other.unchecked;
        self.invalid += other.invalid;
        self.seconds += other.seconds;
    }
}

impl SuiteReport {
    /// A report without checks.
    pub fn new(burn: impl Into<String>, seed: u64, backends: Vec<BackendReport>) -> Self {
        Self {
            schema: SCHEMA,
            burn: burn.into(),
            seed,
            backends,
            checks: Vec::new(),
            summary: Summary::default(),
        }
    }

    /// Adds a check, and counts it.
    pub fn push(&mut self, entry: Entry) {
        self.summary.add(&Summary::of([&entry]));
        self.checks.push(entry);
    }

    /// How many checks were declared not to be possible; they are among the unchecked.
    pub fn declared(&self) -> usize {
        self.checks
            .iter()
            .filter(|entry| entry.declared && entry.record.verdict == Verdict::Unchecked)
            .count()
    }

    /// Adds what another program found in the same run: its backends and checks come after these.
    ///
    /// # Errors
    ///
    /// If the other report is of another schema, release of Burn or seed. This one is then left as
    /// it was.
    pub fn merge(&mut self, other: Self) -> Result<(), MergeError> {
        let fields = [
            ("schema", self.schema.to_string(), other.schema.to_string()),
            ("release of Burn", self.burn.clone(), other.burn.clone()),
            ("seed", self.seed.to_string(), other.seed.to_string()),
        ];
        for (field, this, other) in fields {
            if this != other {
                return Err(MergeError { field, this, other });
            }
        }
        for backend in other.backends {
            // One that ran for some data types may have been skipped for others.
            match self.backends.iter_mut().find(|known| known.name == backend.name) {
                Some(known) if known.status == Status::Skipped => *known = backend,
                Some(_) => {}
                None => self.backends.push(backend),
            }
        }
        self.checks.extend(other.checks);
        self.summary.add(&other.summary);
        Ok(())
    }
}

/// Two reports that are not of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeError {
    field: &'static str,
    this: String,
    other: String,
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, this, other } = self;
        write!(
            f,
            "the reports are not of one run: the {field} is {this} in one and {other} in the other"
        )
    }
}

impl std::error::Error for MergeError {}

#[cfg(test)]
mod tests;
