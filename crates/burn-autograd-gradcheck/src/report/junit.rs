use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{BackendReport, Status, SuiteReport};
use crate::Verdict;
use crate::suite::Entry;

impl SuiteReport {
    /// The report as JUnit XML, for continuous integration.
    ///
    /// There is a suite for each operation, backend and data type, with a test for each case, order
    /// and check. What failed is a failure, and what could not be run an error. What could not be
    /// judged is an error too, so that it is not green; if it was declared, it is skipped. So is
    /// a backend that this machine cannot run.
    pub fn to_junit(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = self.junit(&mut text, &timestamp(now));
        text
    }

    pub(super) fn junit(&self, out: &mut String, timestamp: &str) -> fmt::Result {
        let mut suites: Vec<Vec<&Entry>> = Vec::new();
        let mut known: HashMap<_, usize> = HashMap::new();
        for entry in &self.checks {
            let number =
                *known.entry((&entry.op, &entry.backend, &entry.dtype)).or_insert_with(|| {
                    suites.push(Vec::new());
                    suites.len() - 1
                });
            suites[number].push(entry);
        }

        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
        let mut id = 0;
        for suite in &suites {
            let Some(Entry { op, backend, dtype, .. }) = suite.first().copied() else { continue };
            let outcomes: Vec<_> = suite.iter().map(|entry| Outcome::of(entry)).collect();
            let head = Head {
                name: &format!("{op}.{backend}.{dtype}"),
                id,
                timestamp,
                outcomes: &outcomes,
                seconds: suite.iter().map(|entry| entry.record.seconds).sum(),
            };
            let of_it = self.backends.iter().find(|found| found.name == *backend);
            self.open(out, &head, of_it.and_then(|found| found.adapter.as_deref()))?;
            for (entry, outcome) in suite.iter().zip(&outcomes) {
                test(out, head.name, entry, *outcome)?;
            }
            close(out);
            id += 1;
        }
        for backend in self.backends.iter().filter(|found| found.status == Status::Skipped) {
            let BackendReport { name, reason, .. } = backend;
            let outcomes = [Outcome::Skipped];
            let head = Head { name, id, timestamp, outcomes: &outcomes, seconds: 0.0 };
            self.open(out, &head, None)?;
            let (name, reason) = (escape(name), escape(reason.as_deref().unwrap_or("skipped")));
            writeln!(out, "    <testcase classname=\"{name}\" name=\"backend\" time=\"0\">")?;
            writeln!(out, "      <skipped message=\"{reason}\"/>\n    </testcase>")?;
            close(out);
            id += 1;
        }
        out.push_str("</testsuites>\n");
        Ok(())
    }

    fn open(&self, out: &mut String, head: &Head<'_>, adapter: Option<&str>) -> fmt::Result {
        let Head { name, id, timestamp, outcomes, seconds } = head;
        let count = |wanted| outcomes.iter().filter(|&&outcome| outcome == wanted).count();
        let (tests, failures) = (outcomes.len(), count(Outcome::Failure));
        let (errors, skipped) = (count(Outcome::Error), count(Outcome::Skipped));
        let (name, seconds) = (escape(name), time(*seconds));
        writeln!(
            out,
            "  <testsuite name=\"{name}\" package=\"gradcheck\" id=\"{id}\" tests=\"{tests}\" \
             failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{seconds}\" \
             timestamp=\"{timestamp}\" hostname=\"localhost\">"
        )?;
        out.push_str("    <properties>\n");
        let seed = self.seed.to_string();
        let properties =
            [("burn", Some(self.burn.as_str())), ("seed", Some(&seed)), ("adapter", adapter)];
        for (name, value) in properties {
            if let Some(value) = value {
                let value = escape(value);
                writeln!(out, "      <property name=\"{name}\" value=\"{value}\"/>")?;
            }
        }
        out.push_str("    </properties>\n");
        Ok(())
    }
}

/// What the opening tag of a suite says.
struct Head<'a> {
    name: &'a str,
    id: usize,
    timestamp: &'a str,
    outcomes: &'a [Outcome],
    seconds: f64,
}

/// JUnit's verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failure,
    Error,
    Skipped,
}

impl Outcome {
    fn of(entry: &Entry) -> Self {
        match entry.record.verdict {
            Verdict::Pass => Self::Passed,
            Verdict::Fail => Self::Failure,
            Verdict::Unchecked if entry.declared => Self::Skipped,
            Verdict::Unchecked | Verdict::Invalid => Self::Error,
        }
    }
}

fn test(out: &mut String, suite: &str, entry: &Entry, outcome: Outcome) -> fmt::Result {
    let Entry { op, case, backend, dtype, order, record, .. } = entry;
    let name = escape(&format!("{case} / order {order} / {}", record.check));
    let (suite, time) = (escape(suite), time(record.seconds));
    write!(out, "    <testcase classname=\"{suite}\" name=\"{name}\" time=\"{time}\"")?;
    let element = match outcome {
        Outcome::Passed => return writeln!(out, "/>"),
        Outcome::Skipped => {
            let message = escape(&record.reason);
            return writeln!(out, ">\n      <skipped message=\"{message}\"/>\n    </testcase>");
        }
        Outcome::Failure => "failure",
        Outcome::Error => "error",
    };
    let kind = match record.verdict {
        Verdict::Invalid => "invalid",
        Verdict::Unchecked => "unchecked",
        Verdict::Fail | Verdict::Pass => "fail",
    };
    let message = escape(&record.reason);
    write!(out, ">\n      <{element} type=\"{kind}\" message=\"{message}\"")?;
    let body = escape(&format!("{op} {case} on {backend} {dtype}, order {order}: {record}"));
    writeln!(out, ">{body}</{element}>\n    </testcase>")
}

fn close(out: &mut String) {
    // The schema of Ant's task demands them.
    out.push_str("    <system-out/>\n    <system-err/>\n  </testsuite>\n");
}

/// Seconds as a decimal number, without an exponent; more digits are refused by Jenkins.
fn time(seconds: f64) -> String {
    format!("{:.3}", if seconds.is_finite() { seconds.max(0.0) } else { 0.0 })
}

/// Text for an attribute or an element, without the characters that XML cannot hold: a panic's message
/// may have some.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // In an attribute they would be read as blanks.
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\u{fffe}' | '\u{ffff}' => {}
            control if control.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}

/// Seconds since 1970 as a date and a time of UTC.
pub(super) fn timestamp(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Counted from 1 March of the year 0, a leap day is the last of its year, and 400 years have
    // 146,097 days.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) =
        if month < 10 { (era * 400 + year, month + 3) } else { (era * 400 + year + 1, month - 9) };
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}")
}
