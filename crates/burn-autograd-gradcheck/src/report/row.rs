use serde_json::Value;

use crate::suite::Entry;
use crate::{Record, Worst};

/// A check as the reports show it.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) entry: &'a Entry,
    /// The entries that fit worst, the worst first.
    pub(super) worst: Vec<Worst>,
    /// Pairs of what was expected and what the backward pass gave.
    pub(super) points: Vec<(f64, f64)>,
    /// What may have caused a failure.
    pub(super) causes: Vec<String>,
    /// A command line that repeats the check.
    pub(super) repeat: Option<String>,
}

impl<'a> Row<'a> {
    pub(super) fn new(entry: &'a Entry) -> Self {
        let Optional { worst, points, causes, repeat } = Optional::of(&entry.record);
        Self { entry, worst, points, causes, repeat }
    }

    pub(super) fn record(&self) -> &'a Record {
        &self.entry.record
    }

    /// How much of its bound the worst entry uses; above 1 it is a mistake. Infinite if it cannot be
    /// said.
    pub(super) fn ratio(&self) -> Option<f64> {
        self.worst.iter().map(ratio).reduce(f64::max)
    }
}

/// An error as a multiple of its bound.
fn ratio(worst: &Worst) -> f64 {
    let ratio = if worst.error == 0.0 { 0.0 } else { worst.error / worst.bound };
    if ratio.is_nan() { f64::INFINITY } else { ratio }
}

/// What a record may have beyond what every record has, read from its JSON form.
struct Optional {
    worst: Vec<Worst>,
    points: Vec<(f64, f64)>,
    causes: Vec<String>,
    repeat: Option<String>,
}

impl Optional {
    fn of(record: &Record) -> Self {
        let value = serde_json::to_value(record).unwrap_or_default();
        let list = |name: &str| value[name].as_array().map_or(&[][..], Vec::as_slice);
        let mut worst: Vec<_> = list("worst_entries").iter().filter_map(read).collect();
        if worst.is_empty() {
            worst.extend(record.worst.clone());
        }
        Self {
            worst,
            points: list("points").iter().map(|pair| (float(&pair[0]), float(&pair[1]))).collect(),
            causes: list("causes").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            repeat: value["repeat"].as_str().map(str::to_owned),
        }
    }
}

fn read(worst: &Value) -> Option<Worst> {
    let index = |value: &Value| -> Option<Vec<usize>> {
        value.as_array()?.iter().map(|place| usize::try_from(place.as_u64()?).ok()).collect()
    };
    Some(Worst {
        output: usize::try_from(worst["output"].as_u64()?).ok()?,
        output_index: index(&worst["output_index"]),
        input: usize::try_from(worst["input"].as_u64()?).ok()?,
        index: index(&worst["index"])?,
        analytic: float(&worst["analytic"]),
        numeric: float(&worst["numeric"]),
        error: float(&worst["error"]),
        bound: float(&worst["bound"]),
    })
}

/// A number; what is none was not finite.
fn float(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}
