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
            let error = match Entry::deserialize(&value) {
                Ok(entry) => return Ok(entry),
                Err(error) => error,
            };
            let missing = without_nulls(&mut value);
            let mut entry = Entry::deserialize(&value).map_err(|_| D::Error::custom(error))?;
            if let Some(worst) = &mut entry.record.worst {
                for name in missing {
                    *number(worst, name) = f64::NAN;
                }
            }
            Ok(entry)
        })
        .collect()
}

const NUMBERS: [&str; 4] = ["analytic", "numeric", "error", "bound"];

/// Makes an entry readable: replaces the numbers of the worst entry that are `null`, and says which
/// they were; leaves out such points and further entries.
fn without_nulls(entry: &mut Value) -> Vec<&'static str> {
    let mut missing = Vec::new();
    if let Some(worst) = entry.get_mut("worst").and_then(Value::as_object_mut) {
        for name in NUMBERS {
            if let Some(value @ Value::Null) = worst.get_mut(name) {
                *value = Value::from(0.0);
                missing.push(name);
            }
        }
    }
    if let Some(list) = entry.get_mut("worst_entries").and_then(Value::as_array_mut) {
        list.retain(|worst| NUMBERS.iter().all(|name| !worst[*name].is_null()));
    }
    if let Some(list) = entry.get_mut("points").and_then(Value::as_array_mut) {
        list.retain(|pair| !(pair[0].is_null() || pair[1].is_null()));
    }
    missing
}

fn number<'a>(worst: &'a mut Worst, name: &str) -> &'a mut f64 {
    match name {
        "analytic" => &mut worst.analytic,
        "numeric" => &mut worst.numeric,
        "error" => &mut worst.error,
        _ => &mut worst.bound,
    }
}
