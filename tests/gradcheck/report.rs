//! The report: a line for every operation, backend and data type as it is done, and files.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burn_autograd::gradcheck::Verdict;
use burn_autograd::gradcheck::report::{BackendReport, Group, SuiteReport};
use burn_autograd::gradcheck::suite::Entry;
use indicatif::{ProgressBar, ProgressStyle};

use crate::backends::{Availability, Found};

/// Collects entries, and prints a line whenever a group of them is complete.
#[derive(Debug)]
pub(crate) struct Writer {
    report: SuiteReport,
    /// Where the group that is being checked begins.
    group: usize,
    bar: ProgressBar,
    started: Instant,
}

impl Writer {
    pub(crate) fn new(seed: u64, found: &[Found]) -> Self {
        let backends = found
            .iter()
            .map(|found| match &found.availability {
                Availability::Ran { adapter, .. } => {
                    let mut ran = BackendReport::ran(&found.name);
                    ran.adapter = adapter.clone();
                    ran
                }
                Availability::Skipped { reason } => BackendReport::skipped(&found.name, reason),
            })
            .collect();
        // Draws nothing unless the output is a terminal.
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} checks  {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        let report = SuiteReport::new(burn_autograd::BURN_VERSION, seed, backends);
        Self { report, group: 0, bar, started: Instant::now() }
    }

    pub(crate) fn add(&mut self, entry: Entry) {
        if !self.group().includes(&entry) {
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
        self.report.push(entry);
    }

    fn group(&self) -> Group<'_> {
        Group(&self.report.checks[self.group..])
    }

    /// Prints the group that is complete.
    fn line(&mut self) {
        let group = self.group();
        if !group.0.is_empty() {
            self.bar.suspend(|| println!("{group}"));
        }
        self.group = self.report.checks.len();
    }

    /// Prints the last group and the summary.
    pub(crate) fn finish(mut self) -> SuiteReport {
        self.line();
        self.bar.finish_and_clear();
        // What it took altogether, rather than the sum of the checks.
        self.report.summary.seconds = self.started.elapsed().as_secs_f64();
        println!("{}", self.report.summary);
        self.report
    }
}

/// The files to write a report to.
#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    /// Writes the report here, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the report here, as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Writes the report here, as one HTML page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Files {
    pub(crate) fn write(&self, report: &SuiteReport) -> Result<(), String> {
        let write = |path: &Path, text: String| {
            std::fs::write(path, text)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))
        };
        if let Some(path) = &self.json {
            write(path, report.to_json().map_err(|error| error.to_string())?)?;
        }
        if let Some(path) = &self.junit {
            write(path, report.to_junit())?;
        }
        if let Some(path) = &self.html {
            write(path, report.to_html().map_err(|error| error.to_string())?)?;
        }
        Ok(())
    }

    /// Writes the report in a JSON file again, in other forms.
    pub(crate) fn render(&self, from: &Path) -> Result<(), String> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", from.display());
        let text = std::fs::read_to_string(from).map_err(|error| named(&error))?;
        self.write(&SuiteReport::from_json(&text).map_err(|error| named(&error))?)
    }
}
