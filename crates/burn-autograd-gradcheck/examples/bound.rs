//! How often the true error of a numeric derivative is within its bound.
//!
//! Draws random points for functions, each computed in f64, in f32, and in f32 with f64 as its
//! companion, and compares the numeric derivative with one in closed form. There are two families: the
//! one that some rules of the method come from, and one that was held out, which has tensor operations of
//! Burn too.
//!
//! `cargo run --release -p burn-autograd-gradcheck --example bound -- [SEED [TRIALS]]`
//! `cargo run --release -p burn-autograd-gradcheck --features flex --example bound -- --held-out [SEED [TRIALS]]`
//!
//! Prints the tables in the documentation of `numeric`. The exit code is 1 if the bound covers the
//! error in less than 99.9 % of the trials of a mode, or if a smooth function is taken for one with
//! a kink.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

#[path = "bound/functions.rs"]
#[macro_use]
mod functions;
#[path = "bound/held_out.rs"]
mod held_out;
#[path = "bound/real.rs"]
mod real;

use std::process::ExitCode;

use burn_autograd_gradcheck::SplitMix64;
use burn_autograd_gradcheck::numeric::{Estimate, Nature, Precision, Samples, StepTable};

use functions::Function;
use real::{Exact, Single};

const USAGE: &str = "usage: bound [--held-out] [SEED [TRIALS]]
  --held-out  the functions and tensor operations that were held out
  SEED    of the random points, a number [default: 1]
  TRIALS  of each mode, over all functions [default: 10000]";

/// The largest step: what `gradcheck` takes.
const FIRST_STEP: f64 = 0.25;

/// What part of the trials has to be covered.
const REQUIRED: f64 = 0.999;

/// Derivatives smaller than this part of the slope nearby are judged on that scale, as in
/// `gradcheck`.
const NEGLIGIBLE: f64 = 1e-3;

/// What computes the function, and how its noise is known.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    F64,
    F32,
    Companion,
    /// The short ladder that `gradcheck` takes first, and believes only where it confirms a gradient: the
    /// others are left to the long one, and are not counted.
    Short,
}

const MODES: [(Mode, &str); 4] = [
    (Mode::F64, "f64"),
    (Mode::F32, "f32"),
    (Mode::Companion, "f32, companion in f64"),
    (Mode::Short, "f64, short ladder"),
];

impl Mode {
    fn precision(self) -> Precision {
        match self {
            Self::F64 => Precision::F64,
            Self::F32 | Self::Companion => Precision::F32,
            // It has to be a hundred times as sure of what it confirms.
            Self::Short => {
                let mut short = Precision::F64.short().expect("20 rows can be fewer");
                short.detects /= 100.0;
                short
            }
        }
    }
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let held_out = arguments.first().is_some_and(|first| first == "--held-out");
    if held_out {
        arguments.remove(0);
    }
    let number = |position: usize, default: u64| {
        arguments.get(position).map_or(Ok(default), |text| {
            text.parse::<u64>().map_err(|error| format!("{text:?} is not a number: {error}"))
        })
    };
    let (seed, trials) = match (number(0, 1), number(1, 10_000), arguments.len()) {
        (Ok(seed), Ok(trials), 0..=2) if trials > 0 => (seed, trials as usize),
        (Err(error), ..) | (_, Err(error), _) => {
            eprintln!("bound: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
        _ => {
            eprintln!("bound: too many arguments, or no trials\n{USAGE}");
            return ExitCode::from(2);
        }
    };

    let functions = if held_out { held_out::functions() } else { functions::functions() };
    if held_out && cfg!(not(feature = "flex")) {
        eprintln!("bound: without the feature `flex` the tensor operations are left out");
    }
    let tallies: Vec<Vec<Tally>> =
        MODES.iter().map(|&(mode, _)| run(&functions, mode, seed, trials)).collect();
    let family = if held_out { ", held out" } else { "" };
    println!("Seed {seed}, {trials} trials of each mode, {} functions{family}.\n", functions.len());
    print(&functions, &tallies);
    let mut fine = true;
    for ((_, name), tallies) in MODES.iter().zip(&tallies) {
        let all = Tally::of(tallies);
        for miss in &all.misses {
            eprintln!("\n{name}: {miss}");
        }
        fine &= all.covered as f64 >= REQUIRED * all.ratios.len() as f64 && all.flagged == 0;
    }
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What came out for one function.
#[derive(Debug, Clone, Default)]
struct Tally {
    covered: usize,
    /// The error of each trial, in bounds.
    ratios: Vec<f64>,
    /// The bound of each trial, relative to the derivative.
    relative: Vec<f64>,
    /// Trials whose bound is too wide to see a mistake.
    unchecked: usize,
    /// Trials that were said to have no derivative.
    flagged: usize,
    misses: Vec<String>,
}

impl Tally {
    fn of(parts: &[Self]) -> Self {
        let mut all = Self::default();
        for part in parts {
            all.covered += part.covered;
            all.ratios.extend(&part.ratios);
            all.relative.extend(&part.relative);
            all.unchecked += part.unchecked;
            all.flagged += part.flagged;
            all.misses.extend_from_slice(&part.misses);
        }
        all
    }

    fn worst(&self) -> f64 {
        self.ratios.iter().copied().fold(0.0, f64::max)
    }

    fn median(&self) -> f64 {
        let mut sorted = self.relative.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// The trials of one mode. Every function has its own sequence of points, the same in all modes.
fn run(functions: &[Function], mode: Mode, seed: u64, trials: usize) -> Vec<Tally> {
    let mut tallies = vec![Tally::default(); functions.len()];
    for (number, (function, tally)) in functions.iter().zip(&mut tallies).enumerate() {
        let mut random = SplitMix64::new(seed);
        let mut random = SplitMix64::new(random.next_u64() ^ number as u64);
        for _ in (number..trials).step_by(functions.len()) {
            let draw = |range: &(f64, f64)| random.uniform(range.0, range.1);
            let inputs: Vec<f64> = function.ranges.iter().map(draw).collect();
            let exact = function.exact_slope(&inputs);
            let samples = sample(function, mode, &inputs);
            let precision = mode.precision();
            let found = match mode {
                Mode::Short => samples.glance(precision).and_then(|glance| glance.derivative(0)),
                _ => Some(samples.derivative(0, precision)),
            };
            let Some(found) =
                found.filter(|found| mode != Mode::Short || !is_wide(found, &exact, precision))
            else {
                tally.unchecked += 1;
                Exact::clear();
                continue;
            };
            let miss = || (inputs.clone(), samples.table(0, precision));
            record(tally, function, &found, &exact, precision, miss);
            Exact::clear();
        }
    }
    tallies
}

fn sample(function: &Function, mode: Mode, inputs: &[f64]) -> Samples {
    let moved = |delta: f64| {
        let mut inputs = inputs.to_vec();
        inputs[0] += delta;
        inputs
    };
    let double = |delta: f64| {
        let inputs = moved(delta);
        (inputs[0], vec![(function.double)(&inputs)])
    };
    let single = |delta: f64| {
        let inputs: Vec<Single> = moved(delta).into_iter().map(Single::from).collect();
        (f64::from(inputs[0].0), vec![f64::from((function.single)(&inputs).0)])
    };
    match mode {
        Mode::F64 | Mode::Short => Samples::take(inputs[0], FIRST_STEP, mode.precision(), double),
        Mode::F32 => Samples::take(inputs[0], FIRST_STEP, mode.precision(), single),
        Mode::Companion => {
            Samples::take_with(FIRST_STEP, mode.precision(), single, |delta| double(delta).1)
        }
    }
}

fn record(
    tally: &mut Tally,
    function: &Function,
    found: &Estimate,
    exact: &Exact,
    precision: Precision,
    miss: impl Fn() -> (Vec<f64>, StepTable),
) {
    let error = (Exact::from(found.value) - *exact).to_f64().abs();
    let size = exact.to_f64().abs();
    // An output that does not move claims that its derivative is not above what rounding hides.
    let bound = found.bound + if found.nature == Nature::Constant { found.hidden } else { 0.0 };
    if error <= bound {
        tally.covered += 1;
    } else {
        let (inputs, table) = miss();
        tally.misses.push(format!(
            "{} at {inputs:?}: the derivative is {:.15e}, off by {error:.1e}\n{table}",
            function.name,
            exact.to_f64()
        ));
    }
    tally.ratios.push(if error == 0.0 { 0.0 } else { error / bound });
    tally.relative.push(bound / size);
    tally.flagged += usize::from(matches!(found.nature, Nature::NonSmooth | Nature::NotFinite));
    tally.unchecked += usize::from(is_wide(found, exact, precision));
}

/// Whether the bound is too wide to see a mistake.
fn is_wide(found: &Estimate, exact: &Exact, precision: Precision) -> bool {
    let hidden = if found.nature == Nature::Constant { found.hidden } else { 0.0 };
    let scale = exact.to_f64().abs().max(NEGLIGIBLE * found.slope);
    found.bound + hidden > precision.detects * scale
}

fn print(functions: &[Function], tallies: &[Vec<Tally>]) {
    println!(
        "| mode | covered | worst error/bound | median bound/abs(f′) | unchecked | taken for kinks |"
    );
    println!("|---|---|---|---|---|---|");
    for ((_, name), tallies) in MODES.iter().zip(tallies) {
        let all = Tally::of(tallies);
        println!(
            "| {name} | {} of {} ({:.2} %) | {:.2} | {:.0e} | {} | {} |",
            all.covered,
            all.ratios.len(),
            100.0 * all.covered as f64 / all.ratios.len() as f64,
            all.worst(),
            all.median(),
            all.unchecked,
            all.flagged
        );
    }
    println!(
        "\nBy function, for each mode but the last: covered, the worst error/bound, the median bound/abs(f′), and how \
         many trials were unchecked.\n"
    );
    println!("| f, by its first input | range | f64 | | | | f32 | | | | companion | | | |");
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for (number, function) in functions.iter().enumerate() {
        let ranges: Vec<String> =
            function.ranges.iter().map(|(low, high)| format!("[{low}, {high}]")).collect();
        let (first, others) = ranges.split_first().expect("a function has an input");
        let same = others.iter().all(|range| range == first);
        let ranges = match others.len() {
            0 => first.clone(),
            _ if same => format!("{first}, {} times", ranges.len()),
            _ => ranges.join(", "),
        };
        print!("| {} | {ranges} ", function.name);
        for tallies in &tallies[..3] {
            let tally = &tallies[number];
            print!(
                "| {}/{} | {:.2} | {:.0e} | {} ",
                tally.covered,
                tally.ratios.len(),
                tally.worst(),
                tally.median(),
                tally.unchecked
            );
        }
        println!("|");
    }
}
