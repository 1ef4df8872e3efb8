//! What the crate `gradcheck` says of the functions in functions.json.
//!
//! `cargo run --release -- [ID]` prints a line of JSON for each row, or for one.
//!
//! The crate is asked through its trait `Backend`, here of plain numbers in single or double precision:
//! what is compared and how is the crate's, the gradient is the function's own. It is used with its
//! defaults for the precision. It takes one tensor: a function of several is checked in one input after
//! the other, and is accepted if it is so in each. Its sums are taken in double precision, as its
//! documentation has it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Instant;

use gradcheck::{Backend, Config, Report, Verdict};
use serde::Deserialize;
use serde_json::json;

mod functions;
use functions::{Function, function};

/// The largest input that is checked: the cost grows with its square.
const LARGEST: usize = 100_000;

const FUNCTIONS: &str = include_str!("../../functions.json");

#[derive(Debug, Deserialize)]
struct Functions {
    rows: Vec<Row>,
}

/// A function, a gradient for it, and the inputs to check it at.
#[derive(Debug, Deserialize)]
struct Row {
    id: String,
    dtype: String,
    inputs: Vec<Input>,
    #[serde(default = "first")]
    order: u32,
}

fn first() -> u32 {
    1
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
}

impl Input {
    fn numbers(&self) -> Vec<f64> {
        let Some(mut state) = self.seed else { return self.values.clone() };
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            self.low + (self.high - self.low) * (f64::from(state >> 8) / f64::from(1 << 24))
        };
        (0..self.shape.iter().product()).map(|_| draw()).collect()
    }
}

/// Which precision the tensors have, as a type.
trait Float {
    fn round(x: f64) -> f64;
}

struct Single;
struct Double;

impl Float for Single {
    fn round(x: f64) -> f64 {
        f64::from(x as f32)
    }
}

impl Float for Double {
    fn round(x: f64) -> f64 {
        x
    }
}

/// The gradient of the input from the gradient of the output.
type Pull = Rc<dyn Fn(&[f64]) -> Vec<f64>>;

/// Numbers, and what made them: a backend's tensor with its graph.
#[derive(Clone)]
struct Tensor {
    numbers: Vec<f64>,
    pull: Option<Pull>,
}

/// Plain numbers.
struct Plain<F>(F);

impl<F: Float> Backend for Plain<F> {
    type Tensor = Tensor;

    fn name() -> &'static str {
        "plain"
    }

    fn from_slice(data: &[f64], _: &[usize]) -> Tensor {
        Tensor { numbers: data.iter().map(|&x| F::round(x)).collect(), pull: None }
    }

    fn to_vec(t: &Tensor) -> Vec<f64> {
        t.numbers.clone()
    }

    fn forward_sum(f: &dyn Fn(Tensor) -> Tensor, x: &Tensor) -> f64 {
        f(x.clone()).numbers.iter().sum()
    }

    /// Panics where there is no gradient, as the crate's own adapter of Burn does.
    fn analytic_grad(f: &dyn Fn(Tensor) -> Tensor, x: &Tensor) -> Vec<f64> {
        let y = f(x.clone());
        let pull = y.pull.expect("no gradient was recorded for the input");
        pull(&vec![1.0; y.numbers.len()]).into_iter().map(F::round).collect()
    }
}

/// Checks each input, the others being constants.
fn check<F: Float>(function: &Function, inputs: &[Input], config: &Config) -> Vec<Report> {
    let numbers: Rc<Vec<Vec<f64>>> = Rc::new(
        inputs.iter().map(|input| input.numbers().into_iter().map(F::round).collect()).collect(),
    );
    let calls = Rc::new(Cell::new(0));
    (0..inputs.len())
        .map(|index| {
            let run = |x: Tensor| {
                let mut arguments = (*numbers).clone();
                arguments[index] = x.numbers;
                calls.set(calls.get() + 1);
                let call = calls.get();
                let output = (function.forward)(call, &arguments);
                let pull = function.backward.clone().map(|backward| -> Pull {
                    Rc::new(move |g| backward(call, &arguments, g).swap_remove(index))
                });
                Tensor { numbers: output.into_iter().map(F::round).collect(), pull }
            };
            let input = &numbers[index];
            gradcheck::gradcheck::<Plain<F>, _>("row", input, &inputs[index].shape, run, config)
        })
        .collect()
}

/// The verdict in the comparison's words, and the crate's own.
fn judge(row: &Row) -> (&'static str, String) {
    if row.order > 1 {
        return ("not run", "it has no second order".to_owned());
    }
    let elements: usize = row.inputs.iter().flat_map(|input| &input.shape).product();
    if row.inputs.len() == 1 && elements > LARGEST {
        let reason =
            format!("its {} evaluations of {elements} elements take too long", 2 * elements);
        return ("not run", reason);
    }
    let function = function(&row.id);
    let run = || match row.dtype.as_str() {
        "f32" => check::<Single>(&function, &row.inputs, &Config::f32_defaults()),
        _ => check::<Double>(&function, &row.inputs, &Config::f64_defaults()),
    };
    let reports = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(reports) => reports,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            return ("reject", format!("panic: {}", text.unwrap_or_default()));
        }
    };
    let verdicts: Vec<_> = reports.into_iter().map(|report| report.verdict).collect();
    let all = verdicts.iter().map(|verdict| format!("{verdict:?}")).collect::<Vec<_>>().join(", ");
    let wrong =
        |verdict: &Verdict| matches!(verdict, Verdict::Mismatch | Verdict::StructuralMismatch);
    let verdict = if verdicts.iter().any(wrong) {
        "reject"
    } else if verdicts.iter().all(Verdict::is_pass) {
        "accept"
    } else {
        "undecided"
    };
    (verdict, all)
}

fn main() {
    let only = std::env::args().nth(1);
    let functions: Functions = serde_json::from_str(FUNCTIONS).expect("functions.json is valid");
    println!("{}", json!({"tool": "gradcheck-crate", "version": "0.1.0"}));
    std::panic::set_hook(Box::new(|_| {}));
    for row in &functions.rows {
        if only.as_ref().is_some_and(|only| *only != row.id) {
            continue;
        }
        let start = Instant::now();
        let (verdict, reason) = judge(row);
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{}",
            json!({
                "tool": "gradcheck-crate",
                "id": row.id,
                "verdict": verdict,
                "reason": reason,
                "seconds": seconds,
            })
        );
    }
}
