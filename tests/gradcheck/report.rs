//! The report: a line for every operation, backend and data type as it is done, and a JSON file.

use std::path::Path;
use std::time::{Duration, Instant};

use burn_autograd::gradcheck::Verdict;
use burn_autograd::gradcheck::suite::Entry;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::backends::{Availability, Found};

/// How many checks ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) pass: usize,
    pub(crate) fail: usize,
    /// Among them those that were declared.
    pub(crate) unchecked: usize,
    #[serde(skip)]
    pub(crate) declared: usize,
    pub(crate) invalid: usize,
    pub(crate) seconds: f64,
}

impl Summary {
    fn count(&mut self, entry: &Entry) {
        *match entry.record.verdict {
            Verdict::Pass => &mut self.pass,
            Verdict::Fail => &mut self.fail,
            Verdict::Unchecked => &mut self.unchecked,
            Verdict::Invalid => &mut self.invalid,
        } += 1;
        self.declared += usize::from(entry.declared);
        self.seconds += entry.record.seconds;
    }
}

#[derive(Debug, Serialize)]
struct BackendStatus {
    name: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The JSON file. `schema` changes when a field's meaning does.
#[derive(Debug, Serialize)]
struct File<'a> {
    schema: u32,
    burn: &'static str,
    seed: u64,
    backends: &'a [BackendStatus],
    checks: &'a [Entry],
    summary: Summary,
}

/// Collects entries, and prints a line whenever a group of them is complete.
#[derive(Debug)]
pub(crate) struct Writer {
    seed: u64,
    backends: Vec<BackendStatus>,
    checks: Vec<Entry>,
    /// Where the group that is being checked begins.
    group: usize,
    bar: ProgressBar,
    started: Instant,
}

impl Writer {
    pub(crate) fn new(seed: u64, found: &[Found]) -> Self {
        let backends = found
            .iter()
            .map(|found| {
                let (status, adapter, reason) = match &found.availability {
                    Availability::Ran { adapter, .. } => ("ran", adapter.clone(), None),
                    Availability::Skipped { reason } => ("skipped", None, Some(reason.clone())),
                };
                BackendStatus { name: found.name.clone(), status, adapter, reason }
            })
            .collect();
        // Draws nothing unless the output is a terminal.
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} checks  {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { seed, backends, checks: Vec::new(), group: 0, bar, started: Instant::now() }
    }

    pub(crate) fn add(&mut self, entry: Entry) {
        let same = self.checks.get(self.group).is_none_or(|first| {
            (&first.op, &first.backend, &first.dtype) == (&entry.op, &entry.backend, &entry.dtype)
        });
        if !same {
            self.line();
        }
        self.bar.inc(1);
        self.bar
            .set_message(format!("{} {} {} {}", entry.op, entry.backend, entry.dtype, entry.case));
        if entry.record.verdict != Verdict::Pass {
            let Entry { op, case, backend, dtype, order, record, .. } = &entry;
            self.bar
                .suspend(|| println!("{op} {case} on {backend} {dtype}, order {order}: {record}"));
        }
        self.checks.push(entry);
    }

    /// Prints the group that is complete.
    fn line(&mut self) {
        let group = &self.checks[self.group..];
        let Some(first) = group.first() else { return };
        let mut summary = Summary::default();
        group.iter().for_each(|entry| summary.count(entry));
        let detects = group.iter().filter_map(|entry| entry.record.detects).fold(0.0, f64::max);
        let Summary { pass, fail, unchecked, invalid, seconds, .. } = summary;
        let mut text =
            format!("{:<14} {:<8} {}  {pass:>4} passed", first.op, first.backend, first.dtype);
        for (count, what) in [(fail, "FAILED"), (unchecked, "unchecked"), (invalid, "INVALID")] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        text += &format!("  detects {detects:.0e}  {seconds:.2} s");
        self.bar.suspend(|| println!("{text}"));
        self.group = self.checks.len();
    }

    /// Prints the last group and the summary.
    pub(crate) fn finish(&mut self) -> Summary {
        self.line();
        self.bar.finish_and_clear();
        let summary = self.summary();
        let Summary { pass, fail, unchecked, invalid, seconds, .. } = summary;
        println!(
            "{pass} passed, {fail} failed, {unchecked} unchecked, {invalid} invalid in {seconds:.1} s"
        );
        summary
    }

    fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        self.checks.iter().for_each(|entry| summary.count(entry));
        summary.seconds = self.started.elapsed().as_secs_f64();
        summary
    }

    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let file = File {
            schema: 1,
            burn: burn_autograd::BURN_VERSION,
            seed: self.seed,
            backends: &self.backends,
            checks: &self.checks,
            summary: self.summary(),
        };
        let mut text = serde_json::to_string_pretty(&file)?;
        text.push('\n');
        std::fs::write(path, text)
    }
}
