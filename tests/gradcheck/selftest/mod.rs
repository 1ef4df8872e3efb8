//! The checker's own test: mistakes that are planted in gradients, each of which it has to find.
//!
//! 68 kinds of mistakes, most of them ones that were found in some library. Each is planted in a small
//! function, whose twin without it has to pass every check, and has to be found by the check that is
//! meant for it: a check that finds nothing which others do not shows. Shams stand beside them: what
//! must not pass for other reasons.

mod formulas;
mod graph;
mod matrix;
mod memory;
mod points;
mod shams;
mod shapes;
mod state;
mod tools;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn_autograd::gradcheck::{Report, Verdict};
use serde::Serialize;

/// How many kinds of mistakes there are.
const MISTAKES: usize = 68;

/// A mistake.
#[derive(Debug, Clone, Copy)]
struct Mutant {
    number: usize,
    /// What is planted.
    name: &'static str,
    /// The checks that are meant for it: all of them have to find it.
    killed_by: &'static [&'static str],
    how: How,
}

#[derive(Debug, Clone, Copy)]
enum How {
    /// Checks the function, with the mistake or without.
    Runs(fn(bool) -> Report),
    /// It cannot be made, for this reason.
    #[expect(dead_code, reason = "every mistake of the list can be made at present")]
    Impossible(&'static str),
}

impl Mutant {
    fn new(
        number: usize,
        name: &'static str,
        killed_by: &'static [&'static str],
        run: fn(bool) -> Report,
    ) -> Self {
        Self { number, name, killed_by, how: How::Runs(run) }
    }
}

/// What became of a mistake.
#[derive(Debug, Clone, Serialize)]
struct Outcome {
    number: usize,
    name: &'static str,
    /// The checks that are meant for it.
    killed_by: &'static [&'static str],
    /// The checks that found it.
    found_by: BTreeSet<&'static str>,
    /// Of the function with the mistake; nothing if it cannot be made.
    verdict: Option<Verdict>,
    /// Of the function without.
    twin: Option<Verdict>,
    /// The first reason why it does not pass; or why the mistake cannot be made.
    reason: String,
    /// What is wrong with the twin, if it does not pass.
    twin_reason: String,
}

impl Outcome {
    /// Whether each check that is meant for it has found it.
    fn killed(&self) -> bool {
        self.verdict == Some(Verdict::Fail)
            && self.killed_by.iter().all(|check| self.found_by.contains(check))
    }

    fn impossible(&self) -> bool {
        self.verdict.is_none()
    }

    /// Whether the twin passes everything.
    fn twin_passes(&self) -> bool {
        self.impossible() || self.twin == Some(Verdict::Pass)
    }
}

/// What must not pass, although no formula is wrong.
#[derive(Debug, Clone, Serialize)]
struct Sham {
    name: &'static str,
    rejected: bool,
    /// What was said of it.
    verdict: String,
}

/// Plants all mistakes, prints what became of them, and writes it into `target/gradcheck`.
pub(crate) fn run() -> Result<ExitCode, String> {
    let mut mutants = [
        formulas::mutants(),
        shapes::mutants(),
        state::mutants(),
        graph::mutants(),
        points::mutants(),
    ]
    .concat();
    mutants.sort_by_key(|mutant| mutant.number);
    let numbers: Vec<_> = mutants.iter().map(|mutant| mutant.number).collect();
    if numbers != (1..=MISTAKES).collect::<Vec<_>>() {
        return Err(format!("expected the mistakes 1 to {MISTAKES}, each once, got {numbers:?}"));
    }
    let unknown = |check: &&&str| !matrix::CHECKS.iter().any(|(name, _)| name == *check);
    if let Some(check) = mutants.iter().flat_map(|mutant| mutant.killed_by).find(unknown) {
        return Err(format!("no check is called `{check}`"));
    }

    // What panics here is caught by the checks, and is in their reports.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcomes = in_parallel(&mutants);
    let shams = shams::run();
    std::panic::set_hook(hook);

    let result = matrix::Matrix::new(outcomes, shams);
    result.print();
    result.write()?;
    Ok(if result.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// As many at a time as there are processors.
fn in_parallel(mutants: &[Mutant]) -> Vec<Outcome> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = outcome(mutant);
                    done.lock().expect("no thread panics with it").push(outcome);
                }
            });
        }
    });
    let mut outcomes = done.into_inner().expect("no thread panics with it");
    outcomes.sort_by_key(|outcome| outcome.number);
    outcomes
}

fn outcome(mutant: &Mutant) -> Outcome {
    let Mutant { number, name, killed_by, how } = *mutant;
    let run = match how {
        How::Runs(run) => run,
        How::Impossible(reason) => {
            return Outcome {
                number,
                name,
                killed_by,
                found_by: BTreeSet::new(),
                verdict: None,
                twin: None,
                reason: reason.to_owned(),
                twin_reason: String::new(),
            };
        }
    };
    let (report, twin) = (run(true), run(false));
    let failed = report.records.iter().filter(|record| record.verdict == Verdict::Fail);
    // Of what was not found, why it could not be.
    let open = report.records.iter().find(|record| record.verdict != Verdict::Pass);
    let first = failed.clone().next().or(open);
    Outcome {
        number,
        name,
        killed_by,
        found_by: failed.map(|record| matrix::check_of(&record.check)).collect(),
        verdict: Some(report.verdict()),
        twin: Some(twin.verdict()),
        reason: first
            .map_or_else(String::new, |record| format!("{}: {}", record.check, record.reason)),
        twin_reason: twin
            .records
            .iter()
            .find(|record| record.verdict != Verdict::Pass)
            .map_or_else(String::new, |record| {
                format!("{} in {}: {}", record.verdict, record.check, record.reason)
            }),
    }
}
