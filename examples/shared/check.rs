//! Numbers that have to come out.

use std::fmt::{Debug, Display};
use std::process::ExitCode;

use approx::relative_eq;

/// Collects what was compared, so that one wrong number does not hide the next.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    compared: usize,
    wrong: Vec<String>,
}

impl Checks {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Expects |found − expected| ≤ tolerance.
    pub(crate) fn expect(&mut self, name: impl Display, found: f64, expected: f64, tolerance: f64) {
        // Unlike `abs_diff_eq`, this has an infinity close to itself; and NaN to nothing.
        let close = relative_eq!(found, expected, epsilon = tolerance, max_relative = 0.0);
        self.record(close, || {
            format!("{name}: expected {expected} within {tolerance:e}, got {found}")
        });
    }

    /// The same for each of several numbers, of which there have to be as many as are expected.
    pub(crate) fn expect_all(
        &mut self,
        name: impl Display,
        found: &[f64],
        expected: &[f64],
        tolerance: f64,
    ) {
        if found.len() != expected.len() {
            self.record(false, || format!("{name}: expected {expected:?}, got {found:?}"));
        }
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            self.expect(format!("{name}[{index}]"), *found, *expected, tolerance);
        }
    }

    /// Expects two values to be equal.
    pub(crate) fn expect_equal<T: PartialEq<U> + Debug, U: Debug>(
        &mut self,
        name: impl Display,
        found: T,
        expected: U,
    ) {
        self.record(found == expected, || format!("{name}: expected {expected:?}, got {found:?}"));
    }

    /// Expects something to be true.
    pub(crate) fn expect_that(&mut self, claim: impl Display, holds: bool) {
        self.record(holds, || format!("this does not hold: {claim}"));
    }

    fn record(&mut self, holds: bool, complaint: impl FnOnce() -> String) {
        self.compared += 1;
        if !holds {
            self.wrong.push(complaint());
        }
    }

    /// Prints the claim if everything held, otherwise what did not; gives the program's exit code.
    pub(crate) fn finish(self, claim: &str) -> ExitCode {
        if self.wrong.is_empty() && self.compared > 0 {
            println!("{claim}");
            return ExitCode::SUCCESS;
        }
        if self.compared == 0 {
            eprintln!("nothing was compared");
        }
        for line in &self.wrong {
            eprintln!("{line}");
        }
        ExitCode::FAILURE
    }
}
