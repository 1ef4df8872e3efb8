//! The page: a template, a style sheet and a script from files, and the report as data.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::{self, Write as _};

use serde::Serialize;
use serde_json::Value;

use super::row::Row;
use super::{BackendReport, SuiteReport, Summary};
use crate::suite::Entry;
use crate::{Record, Verdict, Worst};

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");

/// The matrix has a column for each group; a check that is in none goes under "other". A `case` that
/// was not checked at all is one whose derivative is not proven.
const GROUPS: [(&str, &[&str]); 2] = [
    (
        "derivative",
        &["jacobian", "parity", "product", "consistency", "projection", "line", "integers", "case"],
    ),
    (
        "structure",
        &[
            "forward",
            "repeat",
            "cotangent",
            "subsets",
            "checkpointing",
            "layout",
            "broadcast",
            "accumulation",
            "twice",
            "batch",
            "dependence",
            "fusion",
            "untouched",
            "threads",
        ],
    ),
];

/// How many bytes of points, further entries and command lines the page may have altogether, and how
/// many before those of a pass are left out.
const MOST: usize = 8_000_000;
const MOST_WITH_PASSES: usize = 2_000_000;

/// How many checks the page names where scripts do not run.
const MOST_WITHOUT_SCRIPT: usize = 200;

impl SuiteReport {
    /// The report as one HTML page that needs nothing else: the matrix of operations, backends and
    /// checks, with a look at every check, its worst entries, and a plot of what the backward pass
    /// gave against what was expected.
    ///
    /// To stay small, the page has numbers of passes to ten digits, and points and command lines
    /// of passes, other than the tightest ones, only as long as they are few. The JSON has them all.
    ///
    /// # Errors
    ///
    /// If something in it has no JSON form.
    pub fn to_html(&self) -> serde_json::Result<String> {
        // A `<` could end the script element that holds the data.
        let data = serde_json::to_string(&Data::of(self))?.replace('<', "\\u003c");
        let mut fallback = String::new();
        // Writing into a string does not fail.
        let _ = self.fallback(&mut fallback);
        Ok(fill(
            PAGE,
            &[("style", STYLE), ("script", SCRIPT), ("data", &data), ("fallback", &fallback)],
        ))
    }

    /// What is read where scripts do not run: counts for each operation, and what did not pass.
    fn fallback(&self, out: &mut String) -> fmt::Result {
        let (burn, seed) = (escape(&self.burn), self.seed);
        let summary = escape(&self.summary.to_string());
        writeln!(
            out,
            "<h1>Gradient check</h1>\n<p>Burn {burn}, seed {seed}: {summary}.</p>\n<ul>"
        )?;
        for backend in &self.backends {
            writeln!(out, "<li>{}</li>", escape(&backend.to_string()))?;
        }
        out.push_str("</ul>\n<table>\n<tr><th>operation<th>✓ pass<th>✗ fail<th>? unchecked<th>! invalid</tr>\n");
        let mut summaries: BTreeMap<&str, Summary> = BTreeMap::new();
        for entry in &self.checks {
            summaries.entry(&entry.op).or_default().add(&Summary::of([entry]));
        }
        for (op, Summary { pass, fail, unchecked, invalid, .. }) in summaries {
            let op = escape(op);
            writeln!(out, "<tr><th>{op}<td>{pass}<td>{fail}<td>{unchecked}<td>{invalid}</tr>")?;
        }
        out.push_str("</table>\n");
        let mut rest: Vec<_> =
            self.checks.iter().filter(|entry| entry.record.verdict != Verdict::Pass).collect();
        rest.sort_by_key(|entry| std::cmp::Reverse(entry.record.verdict));
        if !rest.is_empty() {
            let (shown, all) = (rest.len().min(MOST_WITHOUT_SCRIPT), rest.len());
            writeln!(out, "<h2>Not passed: {shown} of {all}</h2>\n<ul>")?;
            for Entry { op, case, backend, dtype, order, record, .. } in &rest[..shown] {
                let symbol = symbol(record.verdict);
                let what = format!("{op} {case} on {backend} {dtype}, order {order}: {record}");
                writeln!(out, "<li>{symbol} {}</li>", escape(&what))?;
            }
            out.push_str("</ul>\n");
        }
        Ok(())
    }
}

fn symbol(verdict: Verdict) -> char {
    match verdict {
        Verdict::Pass => '✓',
        Verdict::Fail => '✗',
        Verdict::Unchecked => '?',
        Verdict::Invalid => '!',
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Puts values where the template says `{{name}}`. What stands in a value is not looked at.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut page = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        let value = values.iter().find(|(known, _)| *known == name);
        page.push_str(value.map_or("", |(_, value)| value));
        rest = after;
    }
    page.push_str(rest);
    page
}

/// The report by columns: the first number of each is the first check's, and so on.
#[derive(Serialize)]
struct Data<'a> {
    burn: &'a str,
    seed: u64,
    backends: &'a [BackendReport],
    summary: Summary,
    groups: [(&'a str, &'a [&'a str]); 2],
    /// Every text once; the columns have its number.
    text: Vec<String>,
    op: Vec<usize>,
    case: Vec<usize>,
    backend: Vec<usize>,
    dtype: Vec<usize>,
    order: Vec<u8>,
    check: Vec<usize>,
    /// A letter for each: pass, fail, unchecked, invalid.
    verdict: String,
    /// The numbers of those that were declared.
    declared: Vec<usize>,
    reason: Vec<usize>,
    detects: Vec<Value>,
    compared: Vec<(usize, usize)>,
    seconds: Vec<Value>,
    /// Output, element of it, input, element of it, analytic, numeric, error, bound.
    worst: Vec<Vec<WorstRow>>,
    /// For some, pairs of the numeric value and how far the analytic one is from it.
    points: BTreeMap<usize, Vec<Value>>,
    causes: BTreeMap<usize, Vec<usize>>,
    repeat: BTreeMap<usize, usize>,
    /// The numbers of those of which something was left out.
    shortened: Vec<usize>,
}

type WorstRow = (usize, usize, usize, usize, Value, Value, Value, Value);

/// Numbers texts.
#[derive(Default)]
struct Texts {
    numbers: HashMap<String, usize>,
    list: Vec<String>,
}

impl Texts {
    fn number(&mut self, text: &str) -> usize {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        self.list.push(text.to_owned());
        self.numbers.insert(text.to_owned(), self.list.len() - 1);
        self.list.len() - 1
    }
}

impl<'a> Data<'a> {
    fn of(report: &'a SuiteReport) -> Self {
        let rows: Vec<Row<'_>> = report.checks.iter().map(Row::new).collect();
        let whole = whole(&rows);
        let mut texts = Texts::default();
        // Number 0: where there is none.
        texts.number("");
        let mut data = Self {
            burn: &report.burn,
            seed: report.seed,
            backends: &report.backends,
            summary: report.summary,
            groups: GROUPS,
            text: Vec::new(),
            op: Vec::new(),
            case: Vec::new(),
            backend: Vec::new(),
            dtype: Vec::new(),
            order: Vec::new(),
            check: Vec::new(),
            verdict: String::new(),
            declared: Vec::new(),
            reason: Vec::new(),
            detects: Vec::new(),
            compared: Vec::new(),
            seconds: Vec::new(),
            worst: Vec::new(),
            points: BTreeMap::new(),
            causes: BTreeMap::new(),
            repeat: BTreeMap::new(),
            shortened: Vec::new(),
        };
        for (number, row) in rows.iter().enumerate() {
            data.add(number, row, whole.contains(&number), &mut texts);
        }
        data.text = texts.list;
        data
    }

    fn add(&mut self, number: usize, row: &Row<'_>, whole: bool, texts: &mut Texts) {
        let Entry { op, case, backend, dtype, order, declared, .. } = row.entry;
        let record = row.record();
        self.op.push(texts.number(op));
        self.case.push(texts.number(case));
        self.backend.push(texts.number(backend));
        self.dtype.push(texts.number(dtype));
        self.order.push(*order);
        self.check.push(texts.number(&record.check));
        self.verdict.push(match record.verdict {
            Verdict::Pass => 'p',
            Verdict::Fail => 'f',
            Verdict::Unchecked => 'u',
            Verdict::Invalid => 'i',
        });
        if *declared {
            self.declared.push(number);
        }
        self.reason.push(texts.number(&record.reason));
        self.detects.push(record.detects.map_or(Value::Null, |detects| rounded(detects, 3)));
        self.compared.push(record.coverage);
        self.seconds.push(rounded(record.seconds, 3));
        let digits = if record.verdict == Verdict::Pass { 10 } else { 17 };
        let kept = if whole { row.worst.len() } else { row.worst.len().min(1) };
        self.worst.push(row.worst[..kept].iter().map(|w| worst_row(w, digits, texts)).collect());
        if !record.causes.is_empty() {
            self.causes
                .insert(number, record.causes.iter().map(|text| texts.number(text)).collect());
        }
        if whole {
            if !record.points.is_empty() {
                let pairs = record.points.iter().flat_map(|&(numeric, analytic)| {
                    // The page shows neither value of a pair without a difference.
                    let distance = analytic - numeric;
                    let second = if distance.is_finite() { distance } else { f64::NAN };
                    [rounded(numeric, 6), rounded(second, 4)]
                });
                self.points.insert(number, pairs.collect());
            }
            if let Some(repeat) = &record.repeat {
                self.repeat.insert(number, texts.number(repeat));
            }
        } else {
            self.shortened.push(number);
        }
    }
}

fn worst_row(worst: &Worst, digits: usize, texts: &mut Texts) -> WorstRow {
    let element = worst.output_index.as_ref().map(|index| format!("{index:?}"));
    (
        worst.output,
        texts.number(&element.unwrap_or_default()),
        worst.input,
        texts.number(&format!("{:?}", worst.index)),
        rounded(worst.analytic, digits),
        rounded(worst.numeric, digits),
        rounded(worst.error, 4),
        rounded(worst.bound, 4),
    )
}

/// A number to so many significant digits, or the name of what is no number.
fn rounded(number: f64, digits: usize) -> Value {
    if number.is_finite() {
        let text = format!("{number:.*e}", digits.saturating_sub(1));
        let rounded: f64 = text.parse().unwrap_or(number);
        // Whole numbers are shorter as such.
        if rounded.fract() == 0.0 && rounded.abs() < 1e6 {
            Value::from(rounded as i64)
        } else {
            Value::from(rounded)
        }
    } else {
        Value::from(number.to_string())
    }
}

/// The checks that the page shows whole, within the limits: what did not pass first, then the
/// tightest pass of each place in the matrix, then other passes.
pub(super) fn whole(rows: &[Row<'_>]) -> HashSet<usize> {
    let mut order: Vec<(usize, Verdict, f64)> = rows
        .iter()
        .enumerate()
        .map(|(number, row)| (number, row.record().verdict, row.ratio().unwrap_or(0.0)))
        .collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then(b.2.total_cmp(&a.2)));
    let mut seen = HashSet::new();
    let (first, second): (Vec<_>, Vec<_>) = order.into_iter().partition(|&(number, verdict, _)| {
        let Entry { op, backend, dtype, order, record, .. } = rows[number].entry;
        verdict != Verdict::Pass || seen.insert((op, backend, dtype, order, &record.check))
    });
    let mut spent = 0;
    let mut whole = HashSet::new();
    for (number, verdict, _) in first.into_iter().chain(second) {
        let cost = cost(&rows[number]);
        let most = if verdict == Verdict::Pass { MOST_WITH_PASSES } else { MOST };
        if cost == 0 || spent + cost <= most {
            spent += cost;
            whole.insert(number);
        }
    }
    whole
}

/// About how many bytes the page needs for what it may leave out.
fn cost(row: &Row<'_>) -> usize {
    let Record { points, repeat, .. } = row.record();
    let repeat = repeat.as_ref().map_or(0, String::len);
    18 * points.len() + 80 * row.worst.len().saturating_sub(1) + repeat
}
