//! What this workspace's gradient checker says of the functions in functions.json.
//!
//! `cargo bench --bench checkers -- [--only ID] [--timing]` prints a line of JSON for each row;
//! `compare.py` puts them beside those of other checkers. The checker runs with its defaults, on Flex.
//! `--timing` times the check of one larger function instead.
#![allow(clippy::print_stdout, reason = "a program")]

mod functions;
mod op;

use std::process::ExitCode;
use std::time::Instant;

use burn::tensor::{DType, Device, Shape, Tensor, TensorData};
use burn_autograd::gradcheck::{Gradcheck, Report, Subject, Verdict};
use burn_autograd::{BURN_VERSION, ops};
use clap::Parser;
use serde::Deserialize;
use serde_json::json;

/// Checks the functions of the comparison.
#[derive(Debug, Parser)]
#[command(name = "checkers")]
struct Arguments {
    /// This row alone.
    #[arg(long, value_name = "ID")]
    only: Option<String>,
    /// Times a check instead.
    #[arg(long)]
    timing: bool,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

const FUNCTIONS: &str = include_str!("functions.json");
const TOOL: &str = "burn-autograd";
/// Timed checks, after one that is not; the fastest counts.
const REPETITIONS: usize = 3;

#[derive(Debug, Deserialize)]
struct Functions {
    timing: Vec<Input>,
    rows: Vec<Row>,
}

/// A function, a gradient for it, and the inputs to check it at.
#[derive(Debug, Deserialize)]
struct Row {
    id: String,
    dtype: String,
    inputs: Vec<Input>,
    #[serde(default = "first")]
    order: usize,
}

fn first() -> usize {
    1
}

impl Row {
    fn tensor<const D: usize>(&self, index: usize) -> Tensor<D> {
        let dtype = if self.dtype == "f32" { DType::F32 } else { DType::F64 };
        self.inputs[index].tensor(dtype)
    }
}

/// Numbers that are given, or the seed of a generator.
#[derive(Debug, Deserialize)]
struct Input {
    shape: Vec<usize>,
    #[serde(default)]
    values: Vec<f64>,
    seed: Option<u32>,
    #[serde(default)]
    low: f64,
    #[serde(default)]
    high: f64,
    /// Added to the diagonals of the last two dimensions.
    #[serde(default)]
    diagonal: f64,
}

impl Input {
    fn numbers(&self) -> Vec<f64> {
        let Some(mut state) = self.seed else { return self.values.clone() };
        let size = self.shape.last().copied().unwrap_or(1);
        let element = |position: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let unit = f64::from(state >> 8) / f64::from(1 << 24);
            let element = self.low + (self.high - self.low) * unit;
            let diagonal = self.diagonal != 0.0 && position / size % size == position % size;
            if diagonal { element + self.diagonal } else { element }
        };
        (0..self.shape.iter().product()).map(element).collect()
    }

    fn tensor<const D: usize>(&self, dtype: DType) -> Tensor<D> {
        let data = TensorData::new(self.numbers(), Shape::from(self.shape.clone()));
        Tensor::from_data(data, (&Device::flex(), dtype))
    }
}

/// The verdict in the comparison's words, and what it rests on.
fn judge(report: &Report) -> (&'static str, String) {
    let verdict = report.verdict();
    let word = match verdict {
        Verdict::Pass => "accept",
        Verdict::Fail => "reject",
        _ => "undecided",
    };
    let decisive = report.records.iter().find(|record| record.verdict == verdict);
    let reason = match decisive {
        Some(record) if verdict != Verdict::Pass => {
            format!("{verdict}, {}: {}", record.check, record.reason)
        }
        _ => String::new(),
    };
    (word, reason)
}

fn rows(rows: &[Row], only: Option<&str>) {
    for row in rows.iter().filter(|row| only.is_none_or(|only| only == row.id)) {
        let start = Instant::now();
        let report = functions::check(row);
        let seconds = start.elapsed().as_secs_f64();
        let (verdict, reason) = judge(&report);
        println!(
            "{}",
            json!({
                "tool": TOOL,
                "id": row.id,
                "verdict": verdict,
                "reason": reason,
                "seconds": seconds,
            })
        );
    }
}

/// The check of (A·B⁻¹)ᵀ + tr(A)·B, every entry of its Jacobian: this workspace's operation, and the same
/// formulas as a function without kernels.
fn timing(inputs: &[Input]) -> ExitCode {
    let [a, b] = [0, 1].map(|index| inputs[index].tensor::<3>(DType::F64));
    let operation = Subject::new(|[a, b]: [Tensor<3>; 2]| ops::trace_inverse::trace_inverse(a, b));
    let function = functions::trace_inverse().subject::<[Tensor<3>; 2], Tensor<3>>();
    // Above the number of entries of this Jacobian.
    let check = Gradcheck::new().full_jacobian(1 << 20);
    for (form, subject) in [("operation", operation), ("function", function)] {
        let mut best: Option<(f64, Report)> = None;
        for repetition in 0..=REPETITIONS {
            let inputs = [a.clone(), b.clone()];
            let start = Instant::now();
            let report = check.run(&subject, inputs);
            let seconds = start.elapsed().as_secs_f64();
            let faster = best.as_ref().is_none_or(|(least, _)| seconds < *least);
            if repetition > 0 && faster {
                best = Some((seconds, report));
            }
        }
        let Some((seconds, report)) = best else { return ExitCode::FAILURE };
        println!(
            "{}",
            json!({
                "tool": TOOL,
                "timing": "check",
                "form": form,
                "verdict": judge(&report).0,
                "threads": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
                "seconds": seconds,
                "jacobian": report.check("jacobian").map(|record| record.seconds),
            })
        );
        if report.verdict() != Verdict::Pass {
            println!("{report}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let functions: Functions = serde_json::from_str(FUNCTIONS).expect("functions.json is valid");
    println!("{}", json!({"tool": TOOL, "version": format!("on Burn {BURN_VERSION}")}));
    if arguments.timing {
        return timing(&functions.timing);
    }
    rows(&functions.rows, arguments.only.as_deref());
    ExitCode::SUCCESS
}
