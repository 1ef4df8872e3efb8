//! Burn's own operations, checked like ours: what the checker finds is compared with what is known.
//!
//! Only first derivatives: Burn's backward pass cannot be differentiated. Shapes are small and without
//! symmetry: strides, paddings and dilations differ between the axes, sizes are odd and even, windows
//! leave a rest. Values keep away from kinks, and where the largest is taken they are apart.

mod activations;
mod convolutions;
mod elementwise;
mod indexing;
mod known;
mod losses;
mod norms;
mod reductions;
mod resizing;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;

use burn_autograd::Tensors;
use burn_autograd::gradcheck::report::SuiteReport;
use burn_autograd::gradcheck::suite::{Case, draw};
use burn_autograd::gradcheck::{Array, Record, SplitMix64, Subject, Verdict};

/// What the names of Burn's operations begin with.
pub(crate) const PREFIX: &str = "burn::";

/// The backends that there is a record of.
pub(crate) const BACKENDS: [&str; 2] = ["flex", "ndarray"];

/// How many roundings of terms as large as the largest result may be left in `f32` where such terms
/// cancel, as they do in a sum of products or in 1 − tanh².
const ROUNDINGS: f64 = 8.0;

/// Every case, with inputs drawn from a seed.
pub(crate) fn cases(seed: u64) -> Vec<Case> {
    // Each group has numbers of its own, which do not depend on those before it.
    let random =
        |group: u64| SplitMix64::new(seed ^ (group + 1).wrapping_mul(0xD1B5_4A32_D192_ED03));
    type Group = fn(&mut SplitMix64) -> Vec<Case>;
    let groups: [(Group, f64); 8] = [
        (convolutions::cases, ROUNDINGS),
        (norms::cases, ROUNDINGS),
        (activations::cases, ROUNDINGS),
        (resizing::cases, ROUNDINGS),
        // They move elements, and add at most a few of them.
        (indexing::cases, 0.0),
        (reductions::cases, ROUNDINGS),
        (elementwise::cases, ROUNDINGS),
        (losses::cases, ROUNDINGS),
    ];
    groups
        .into_iter()
        .zip(0..)
        .flat_map(|((cases, roundings), group)| {
            cases(&mut random(group)).into_iter().map(move |case| case.roundings(roundings))
        })
        .collect()
}

/// A case of one of Burn's operations.
fn case<I: Tensors, O: Tensors>(
    op: &str,
    name: &str,
    inputs: Vec<Array>,
    function: impl Fn(I) -> O + Send + Sync + 'static,
) -> Case {
    // Burn has kernels for what it composes of others where gradients are tracked.
    Case::new(format!("{PREFIX}{op}"), name, Subject::new(function), inputs).rounded_forward()
}

/// Inputs of these shapes between −1.5 and 1.5.
fn uniform(random: &mut SplitMix64, shapes: &[&[usize]]) -> Vec<Array> {
    draw(random, shapes, (-1.5, 1.5), &[], 0.0)
}

/// Inputs of these shapes between ½ and 2.
fn positive(random: &mut SplitMix64, shapes: &[&[usize]]) -> Vec<Array> {
    draw(random, shapes, (0.5, 2.0), &[], 0.0)
}

/// An input whose elements are all at least ¾ apart, in random order: no step of ¼ changes which of
/// them is the largest.
fn distinct(random: &mut SplitMix64, shape: &[usize]) -> Array {
    let count: usize = shape.iter().product();
    let mut values: Vec<f64> =
        (0..count).map(|i| 0.75 * (i as f64 - count as f64 / 2.0) + 0.125).collect();
    for last in (1..count).rev() {
        values.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
    }
    Array::new(shape, values)
}

/// Where something was checked: an operation's case on a backend, in a data type.
type Spot<'a> = (&'a str, &'a str, &'a str, &'a str);

/// A check that did not pass.
#[derive(Debug, Clone, Copy)]
struct Finding<'a> {
    check: &'a str,
    /// What it says.
    verdict: Verdict,
    /// The largest error of the entries that fit worst, if entries were compared; infinite, if one is not
    /// a number.
    error: Option<f64>,
}

impl<'a> Finding<'a> {
    fn of(record: &'a Record) -> Self {
        let errors = record.worst_entries.iter().map(|worst| match worst.error {
            error if error.is_finite() => error,
            _ => f64::INFINITY,
        });
        let error = errors.reduce(f64::max);
        Self { check: &record.check, verdict: record.verdict, error }
    }
}

impl fmt::Display for Finding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.check, self.verdict)?;
        match self.error {
            Some(error) => write!(f, " with an error of {error:.1e}"),
            None => Ok(()),
        }
    }
}

/// Compares what was found with what is known, prints both, and gives the exit code: 0 if they are the
/// same. Of a run of everything a table is written.
pub(crate) fn outcome(report: &SuiteReport, everything: bool) -> Result<ExitCode, String> {
    // The checks of each spot that did not pass; a spot where all did is there too.
    let mut found: BTreeMap<Spot<'_>, Vec<Finding<'_>>> = BTreeMap::new();
    for entry in &report.checks {
        let spot = (&*entry.op, &*entry.case, &*entry.backend, &*entry.dtype);
        let findings = found.entry(spot).or_default();
        if entry.record.verdict != Verdict::Pass {
            findings.push(Finding::of(&entry.record));
        }
    }
    if found.is_empty() {
        return Err("nothing was checked".to_owned());
    }
    let mut reasons: Vec<(&str, &str)> = Vec::new();
    let (mut passed, mut different) = (0, 0);
    for (&spot, findings) in &found {
        passed += usize::from(findings.is_empty());
        let known = known::at(spot);
        for entry in known.iter().filter(|entry| findings.iter().any(|found| entry.is(*found))) {
            let reason = (spot.0, entry.what);
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        let unknown = findings.iter().filter(|found| {
            !known.iter().any(|entry| entry.is(**found)) && !known::follows(spot, **found)
        });
        let gone = known.iter().filter(|entry| !findings.iter().any(|found| entry.is(*found)));
        let differences: Vec<_> = unknown
            .map(|found| format!("{found} is not in the record"))
            .chain(gone.map(|entry| format!("{entry} is recorded")))
            .collect();
        if !differences.is_empty() {
            different += 1;
            let (op, case, backend, dtype) = spot;
            println!("differs: {op} {case} on {backend} {dtype}: {}", differences.join("; "));
        }
    }
    for (op, what) in reasons {
        println!("known: {op}: {what}");
    }
    println!(
        "of {} cases on a backend in a data type {passed} pass, {} do not; {different} differ from \
         the record",
        found.len(),
        found.len() - passed
    );
    if everything {
        table::write(&found, report.seed)?;
    }
    Ok(if different == 0 { ExitCode::SUCCESS } else { ExitCode::from(crate::FAILED) })
}
