use std::fmt::Write as _;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{SCHEMA, SuiteReport};
use crate::Worst;
use crate::suite::Entry;

impl SuiteReport {
    /// The report as JSON, with a line for each check.
    ///
    /// # Errors
    ///
    /// If something in it has no JSON form.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let mut text = String::new();
        let mut separator = "{\n";
        let fields = [
            ("schema", serde_json::to_string(&self.schema)?),
            ("burn", serde_json::to_string(&self.burn)?),
            ("seed", serde_json::to_string(&self.seed)?),
            ("backends", lines(&self.backends)?),
            ("checks", lines(&self.checks)?),
            ("summary", serde_json::to_string(&self.summary)?),
        ];
        for (name, value) in fields {
            // Writing into a string does not fail.
            let _ = write!(text, "{separator}  \"{name}\": {value}");
            separator = ",\n";
        }
        text.push_str("\n}\n");
        Ok(text)
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    ///
    /// If the text is not such a report, or one of another [`SCHEMA`].
    pub fn from_json(text: &str) -> serde_json::Result<Self> {
        let report: Self = serde_json::from_str(text)?;
        if report.schema != SCHEMA {
            let found = report.schema;
            return Err(serde_json::Error::custom(format!(
                "the report has schema {found}, this program reads schema {SCHEMA}"
            )));
        }
        Ok(report)
    }
}

/// A list with one element on a line.
fn lines<T: serde::Serialize>(list: &[T]) -> serde_json::Result<String> {
    let mut text = String::from("[");
    for (number, element) in list.iter().enumerate() {
        text.push_str(if number == 0 { "\n    " } else { ",\n    " });
        text.push_str(&serde_json::to_string(element)?);
    }
    text.push_str(if list.is_empty() { "]" } else { "\n  ]" });
    Ok(text)
}

/// Reads entries. JSON has no NaN and no infinity: a number that is not finite is `null` there, and
/// NaN when it is read again.
pub(super) fn entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    Vec::<Value>::deserialize(deserializer)?
        .into_iter()
        .map(|mut value| {
            let nulls = Nulls::take(&mut value);
            let mut entry = Entry::deserialize(&value).map_err(D::Error::custom)?;
            nulls.put(&mut entry);
            Ok(entry)
        })
        .collect()
}

const NUMBERS: [&str; 4] = ["analytic", "numeric", "error", "bound"];

/// Where an entry has `null` for a number that is not finite.
#[derive(Default)]
struct Nulls {
    worst: Vec<&'static str>,
    worst_entries: Vec<(usize, &'static str)>,
    points: Vec<(usize, usize)>,
}

impl Nulls {
    /// Replaces them by a number that can be read.
    fn take(entry: &mut Value) -> Self {
        let mut nulls = Self::default();
        let replace = |value: Option<&mut Value>| match value {
            Some(value @ Value::Null) => {
                *value = Value::from(0.0);
                true
            }
            _ => false,
        };
        // An entry without a worst one has `null` for all of it.
        if let Some(worst) = entry.get_mut("worst").filter(|worst| worst.is_object()) {
            nulls.worst.extend(NUMBERS.iter().filter(|name| replace(worst.get_mut(**name))));
        }
        let list = entry.get_mut("worst_entries").and_then(Value::as_array_mut);
        for (number, worst) in list.into_iter().flatten().enumerate() {
            let names = NUMBERS.iter().filter(|name| replace(worst.get_mut(**name)));
            nulls.worst_entries.extend(names.map(|name| (number, *name)));
        }
        let list = entry.get_mut("points").and_then(Value::as_array_mut);
        for (number, point) in list.into_iter().flatten().enumerate() {
            let sides = (0..2).filter(|side| replace(point.get_mut(*side)));
            nulls.points.extend(sides.map(|side| (number, side)));
        }
        nulls
    }

    /// Makes them NaN.
    fn put(self, entry: &mut Entry) {
        let record = &mut entry.record;
        if let Some(worst) = &mut record.worst {
            self.worst.iter().for_each(|name| *number(worst, name) = f64::NAN);
        }
        for (place, name) in self.worst_entries {
            *number(&mut record.worst_entries[place], name) = f64::NAN;
        }
        for (place, side) in self.points {
            let point = &mut record.points[place];
            *(if side == 0 { &mut point.0 } else { &mut point.1 }) = f64::NAN;
        }
    }
}

fn number<'a>(worst: &'a mut Worst, name: &str) -> &'a mut f64 {
    match name {
        "analytic" => &mut worst.analytic,
        "numeric" => &mut worst.numeric,
        "error" => &mut worst.error,
        _ => &mut worst.bound,
    }
}
