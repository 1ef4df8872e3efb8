//! The numbers of one run, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};

/// Lines of the benchmark program and of the peers.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Workloads on backends.
    rows: Vec<Value>,
    /// What the engine costs.
    engine: Vec<Value>,
    /// A peer's form of a workload, with a number of threads.
    peers: Vec<Value>,
    /// Of the peers.
    versions: BTreeMap<String, String>,
    /// Peers that are not there, and why.
    missing: BTreeMap<String, String>,
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn median(time: &Value) -> Option<f64> {
    time["median"].as_f64()
}

impl Report {
    /// Takes a line in, and gives what to tell a user who waits.
    pub(crate) fn add(&mut self, line: Value) -> Option<String> {
        let with_time = |name: String, time: &Value| match median(time) {
            Some(seconds) => format!("{name}: {:.1} µs", seconds * 1e6),
            None => name,
        };
        if line["workload"].is_string() && line["backend"].is_string() {
            let name = format!("{}/{}", text(&line, "backend"), text(&line, "workload"));
            let told = with_time(name, &line["ours"]);
            self.rows.push(line);
            return Some(told);
        }
        if line["engine"].is_string() {
            let name = format!("{}/{}", text(&line, "backend"), text(&line, "engine"));
            let told = with_time(name, &line["first"]);
            self.engine.push(line);
            return Some(told);
        }
        let peer = line["peer"].as_str()?.to_owned();
        if let Some(why) = line["missing"].as_str() {
            self.missing(&peer, why);
            return None;
        }
        if let Some(version) = line["version"].as_str() {
            self.versions.insert(peer, version.to_owned());
            return None;
        }
        let name = format!("{}/{}", who(&line), text(&line, "workload"));
        let told = match line["error"].as_str() {
            Some(error) => format!("{name}: {error}"),
            None => with_time(name, &line),
        };
        self.peers.push(line);
        Some(told)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len() + self.engine.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn missing(&mut self, peer: &str, why: &str) {
        self.missing.insert(peer.to_owned(), why.to_owned());
    }

    pub(crate) fn is_missing(&self, peer: &str) -> bool {
        self.missing.contains_key(peer)
    }

    /// The workloads, each once, in their order.
    pub(crate) fn workloads(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for row in &self.rows {
            let name = text(row, "workload");
            if names.iter().all(|known| known != name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// The fastest form of a workload among the peers.
    fn best(&self, workload: &str) -> Option<&Value> {
        let own = self.peers.iter().filter(|line| text(line, "workload") == workload);
        own.filter(|line| median(line).is_some()).min_by(|a, b| {
            // Both have a median.
            let seconds = |line| median(line).unwrap_or(f64::INFINITY);
            seconds(a).total_cmp(&seconds(b))
        })
    }

    /// A row with the best peer and the ratios.
    fn row(&self, row: &Value) -> Value {
        let mut row = row.clone();
        let best = self.best(text(&row, "workload"));
        let ours = median(&row["ours"]);
        let ratio = |other: Option<f64>| Some(ours? / other?);
        row["ratios"] = json!({
            "burn": ratio(median(&row["burn"])),
            "floor": ratio(median(&row["floor"])),
            "peer": ratio(best.and_then(median)),
        });
        row["peer"] = best.cloned().unwrap_or_default();
        row
    }

    /// Everything.
    pub(crate) fn json(&self, facts: Value) -> Value {
        let mut report = facts;
        for (peer, version) in &self.versions {
            report["versions"][peer] = json!(version);
        }
        report["schema"] = json!(1);
        report["unit"] = json!("seconds");
        report["rows"] = self.rows.iter().map(|row| self.row(row)).collect();
        report["engine"] = json!(self.engine);
        report["peers"] = json!(self.peers);
        report["missing"] = self
            .missing
            .iter()
            .map(|(peer, why)| (peer.clone(), json!(why)))
            .collect::<Map<_, _>>()
            .into();
        report
    }

    /// What a user reads.
    pub(crate) fn tables(&self) -> String {
        let mut text = String::new();
        let with_peers = !self.peers.is_empty();
        if !self.rows.is_empty() {
            let mut head =
                ["workload", "backend", "ours µs", "Burn's µs", "graph µs", "floor µs"].to_vec();
            let mut ratios = ["of Burn's", "floors"].to_vec();
            if with_peers {
                head.extend(["peer µs", "best peer"]);
                ratios.push("of peer's");
            }
            head.extend(ratios);
            let rows = self.rows.iter().map(|row| self.cells(&self.row(row), with_peers)).collect();
            text += &table(&head, rows);
        }
        if !self.engine.is_empty() {
            let head = ["engine", "backend", "µs", "against µs", "ratio"];
            let cells = |row: &Value| {
                let (first, second) = (median(&row["first"]), median(&row["second"]));
                let ratio = first.zip(second).map(|(first, second)| first / second);
                let name = |field| row[field].as_str().unwrap_or_default().to_owned();
                vec![name("engine"), name("backend"), micros(first), micros(second), number(ratio)]
            };
            if !text.is_empty() {
                text.push('\n');
            }
            text += &table(&head, self.engine.iter().map(cells).collect());
        }
        for (peer, why) in &self.missing {
            // Writing to a string does not fail.
            let _ = writeln!(text, "\n{peer} is missing: {why} (benches/peers/README.md)");
        }
        text
    }

    fn cells(&self, row: &Value, with_peers: bool) -> Vec<String> {
        let mut cells = vec![text(row, "workload").to_owned(), text(row, "backend").to_owned()];
        cells.extend(["ours", "burn", "graph", "floor"].map(|name| micros(median(&row[name]))));
        let mut ratios =
            ["burn", "floor"].map(|name| number(row["ratios"][name].as_f64())).to_vec();
        if with_peers {
            let peer = &row["peer"];
            cells.push(micros(median(peer)));
            cells.push(if peer.is_object() { who(peer) } else { NONE.to_owned() });
            ratios.push(number(row["ratios"]["peer"].as_f64()));
        }
        cells.extend(ratios);
        cells
    }
}

const NONE: &str = "-";

/// A peer's form, and its threads if it was told.
fn who(line: &Value) -> String {
    let form = line["variant"].as_str().unwrap_or_else(|| text(line, "peer"));
    match line["threads"].as_u64() {
        Some(threads) => format!("{form} ({threads})"),
        None => form.to_owned(),
    }
}

fn micros(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| NONE.to_owned(), |seconds| format!("{:.1}", seconds * 1e6))
}

fn number(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| NONE.to_owned(), |ratio| format!("{ratio:.2}"))
}

/// A Markdown table whose columns are aligned, numbers to the right.
fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let head: Vec<String> = head.iter().map(|&name| name.to_owned()).collect();
    let is_number = |cell: &String| cell == NONE || cell.parse::<f64>().is_ok();
    let right: Vec<bool> =
        (0..head.len()).map(|column| rows.iter().all(|row| is_number(&row[column]))).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let cells = std::iter::once(&head).chain(&rows).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        })
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).zip(&right).map(|((cell, &width), right)| {
            if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().zip(&right).map(|(&width, right)| {
        if *right { format!("{}:", "-".repeat(width + 1)) } else { "-".repeat(width + 2) }
    });
    let rule = format!("|{}|\n", rule.collect::<Vec<_>>().join("|"));
    line(&head) + &rule + &rows.iter().map(line).collect::<String>()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Report, table};

    fn time(median: f64) -> Value {
        json!({"median": median, "least": median / 2.0, "repetitions": 9})
    }

    fn report() -> Report {
        let mut report = Report::default();
        let row = |backend: &str, ours: f64| {
            json!({
                "workload": "exp/f32/2000", "backend": backend,
                "ours": time(ours), "burn": time(8e-6), "graph": time(1.5e-6), "floor": null,
            })
        };
        let peer = |variant: &str, threads: Option<u64>, median: f64| {
            json!({
                "peer": "torch", "variant": variant, "workload": "exp/f32/2000",
                "threads": threads, "median": median, "least": median, "repetitions": 9,
            })
        };
        assert_eq!(report.add(row("flex", 2e-6)).as_deref(), Some("flex/exp/f32/2000: 2.0 µs"));
        report.add(row("ndarray", 4e-6));
        assert_eq!(report.add(json!({"peer": "torch", "version": "2.15.0", "threads": 1})), None);
        report.add(peer("torch", Some(1), 30e-6));
        report.add(peer("torch-compile", Some(2), 16e-6));
        report.add(json!({
            "peer": "torch", "variant": "torch-function", "workload": "exp/f32/2000", "threads": 2,
            "error": "no",
        }));
        report
    }

    #[test]
    fn the_best_peer_is_the_fastest_that_has_a_number() {
        let row = report().row(&report().rows[0]);
        assert_eq!(row["peer"]["variant"], "torch-compile");
        assert_eq!(row["ratios"]["peer"], 0.125);
        assert_eq!(row["ratios"]["burn"], 0.25);
        assert_eq!(row["ratios"]["floor"], Value::Null);
    }

    #[test]
    fn a_workload_on_two_backends_is_one_for_the_peers() {
        assert_eq!(report().workloads(), ["exp/f32/2000"]);
        assert_eq!(report().len(), 2);
    }

    #[test]
    fn everything_is_written() {
        let mut report = report();
        report.add(json!({"peer": "jax", "missing": "No module named 'jax'"}));
        assert!(report.is_missing("jax") && !report.is_missing("torch"));
        report.add(json!({
            "engine": "P3/2000", "backend": "flex", "first": time(3e-6), "second": time(2e-6),
        }));
        let written = report.json(json!({"machine": {"cores": 2}, "versions": {"burn": "0.22.1"}}));
        assert_eq!(written["machine"]["cores"], 2);
        assert_eq!(written["versions"], json!({"burn": "0.22.1", "torch": "2.15.0"}));
        assert_eq!(written["rows"][1]["ratios"]["peer"], 0.25);
        assert_eq!(written["rows"][1]["ours"]["repetitions"], 9);
        assert_eq!(written["rows"][1]["graph"]["median"], 1.5e-6);
        assert_eq!(written["peers"].as_array().map(Vec::len), Some(3));
        assert_eq!(written["engine"][0]["first"]["median"], 3e-6);
        assert_eq!(written["missing"]["jax"], "No module named 'jax'");
    }

    #[test]
    fn a_table_shows_what_was_measured() {
        let text = report().tables();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[2],
            "| exp/f32/2000 | flex    |     2.0 |       8.0 |      1.5 |        - |    16.0 | \
             torch-compile (2) |      0.25 |      - |      0.12 |"
        );
        assert_eq!(lines.len(), 4);
        let alone = Report { peers: Vec::new(), ..report() }.tables();
        assert!(!alone.contains("peer"), "{alone}");
    }

    #[test]
    fn words_stand_to_the_left_and_numbers_to_the_right() {
        let rows =
            vec![vec!["a".to_owned(), "1.5".to_owned()], vec!["bc".to_owned(), "-".to_owned()]];
        let expected = "| name |  µs |\n|------|----:|\n| a    | 1.5 |\n| bc   |   - |\n";
        assert_eq!(table(&["name", "µs"], rows), expected);
    }
}
