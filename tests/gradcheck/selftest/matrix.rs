//! The kill matrix: which check found which mistake, printed and written.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::{MISTAKES, Outcome, Sham};

/// The checks by their names in a report, and what the matrix calls them.
pub(super) const CHECKS: &[(&str, &str)] = &[
    ("jacobian", "jac"),
    ("projection", "prj"),
    ("line", "lin"),
    ("integers", "int"),
    ("parity", "par"),
    ("values", "val"),
    ("sizes", "siz"),
    ("points", "pts"),
    ("order 2", "or2"),
    ("product", "pro"),
    ("cotangent", "cot"),
    ("forward", "fwd"),
    ("repeat", "rep"),
    ("subsets", "sub"),
    ("checkpointing", "ckp"),
    ("layout", "lay"),
    ("fusion", "fus"),
    ("untouched", "unt"),
    ("accumulation", "acc"),
    ("twice", "twi"),
    ("threads", "thr"),
    ("broadcast", "bro"),
    ("batch", "bat"),
    ("other", "oth"),
];

/// What is called so here that is no record of a single report, or whose name does not say enough.
const EXPLAINED: &[(&str, &str)] = &[
    ("values", "the function and its gradient at points where both are known"),
    ("sizes", "any check at another size, or with another parameter"),
    ("points", "any check at a second point of the same shape"),
    ("order 2", "any check of the second derivative"),
    ("other", "any other check"),
];

/// The column of a record. What is before a colon says which of several checks the record is of.
pub(super) fn check_of(record: &str) -> &'static str {
    let name = match record.split_once(": ") {
        Some(("order 2", _)) => "order 2",
        Some(("order 1", check)) => check,
        Some((label, _)) if label.starts_with("point ") => "points",
        Some(_) => "sizes",
        None => record,
    };
    CHECKS.iter().find(|(check, _)| *check == name).map_or("other", |(check, _)| *check)
}

/// What became of everything.
#[derive(Debug)]
pub(super) struct Matrix {
    outcomes: Vec<Outcome>,
    shams: Vec<Sham>,
}

impl Matrix {
    pub(super) fn new(outcomes: Vec<Outcome>, shams: Vec<Sham>) -> Self {
        Self { outcomes, shams }
    }

    pub(super) fn passed(&self) -> bool {
        self.outcomes.iter().all(|o| (o.killed() || o.impossible()) && o.twin_passes())
            && self.shams.iter().all(|sham| sham.rejected)
    }

    fn summary(&self) -> String {
        let count = |test: fn(&Outcome) -> bool| self.outcomes.iter().filter(|o| test(o)).count();
        let impossible = count(Outcome::impossible);
        let rejected = self.shams.iter().filter(|sham| sham.rejected).count();
        format!(
            "{} of {} mistakes found by the checks meant for them, {} not, {impossible} impossible; {} of \
             {} twins pass; {rejected} of {} shams rejected",
            count(Outcome::killed),
            MISTAKES - impossible,
            count(|o| !o.impossible() && !o.killed()),
            count(|o| !o.impossible() && o.twin_passes()),
            MISTAKES - impossible,
            self.shams.len(),
        )
    }

    fn mark(outcome: &Outcome, check: &str) -> &'static str {
        match (outcome.killed_by.contains(&check), outcome.found_by.contains(check)) {
            (true, true) => "●",
            (true, false) => "✗",
            (false, true) => "○",
            (false, false) => "",
        }
    }

    fn status(outcome: &Outcome) -> &'static str {
        match (outcome.impossible(), outcome.killed(), outcome.twin_passes()) {
            (true, ..) => "impossible",
            (_, true, true) => "found",
            (_, false, _) => "SURVIVES",
            (_, _, false) => "TWIN FAILS",
        }
    }

    /// The matrix, and what went wrong.
    pub(super) fn print(&self) {
        let head: Vec<_> = CHECKS.iter().map(|(_, short)| *short).collect();
        println!("{:>2} {:<10} {}  mistake", "", "", head.join(" "));
        for outcome in &self.outcomes {
            let marks: Vec<_> = CHECKS
                .iter()
                .map(|(check, _)| format!(" {:1} ", Self::mark(outcome, check)))
                .collect();
            let (number, status) = (outcome.number, Self::status(outcome));
            println!("{number:>2} {status:<10} {}  {}", marks.join(" "), outcome.name);
        }
        for sham in &self.shams {
            let status = if sham.rejected { "rejected" } else { "PASSES" };
            println!("   {status:<10} {}: {}", sham.name, first_line(&sham.verdict));
        }
        for outcome in &self.outcomes {
            let Outcome { number, reason, twin_reason, .. } = outcome;
            if !outcome.impossible() && !outcome.killed() {
                let meant = outcome.killed_by.join(", ");
                println!("{number} survives: meant for {meant}; found: {}", first_line(reason));
            }
            if !outcome.twin_passes() {
                println!("{number} without the mistake: {}", first_line(twin_reason));
            }
        }
        println!("{}", self.summary());
    }

    fn markdown(&self) -> String {
        let mut text = String::from(
            "# The gradient checker's self-test\n\n\
             Generated by `cargo xtask gradcheck --self-test`, which writes it to\n\
             `target/gradcheck/self-test.md`; copy it here when it changes.\n\n\
             A mistake is planted in a function's gradient. The check that is meant for it has to find it, \
             and the same\nfunction without the mistake has to pass every check. ● found by the check that \
             is meant for it; ○ found by\nanother one too; ✗ not found by a check that is meant for it. The \
             structural checks are made where the\ngradient itself passed: a mistake that the Jacobian shows \
             is in the column of the Jacobian alone.\n\n",
        );
        let _ = writeln!(text, "{}.\n", self.summary());
        let head: Vec<_> = CHECKS.iter().map(|(_, short)| *short).collect();
        let _ = writeln!(text, "|  | mistake | {} | |", head.join(" | "));
        let _ = writeln!(text, "|--:|---|{}---|", ":-:|".repeat(CHECKS.len()));
        for outcome in &self.outcomes {
            let marks: Vec<_> =
                CHECKS.iter().map(|(check, _)| Self::mark(outcome, check)).collect();
            let (number, status) = (outcome.number, Self::status(outcome));
            let _ = writeln!(
                text,
                "| {number} | {} | {} | {status} |",
                outcome.name,
                marks.join(" | ")
            );
        }
        let found = |check: &str| {
            let of = self.outcomes.iter().filter(|o| o.found_by.contains(check));
            let alone = of.clone().filter(|o| o.found_by.len() == 1).count();
            (of.count(), alone)
        };
        text.push_str(
            "\n## Checks\n\n| | check | mistakes found | by no other check |\n|---|---|--:|--:|\n",
        );
        for (check, short) in CHECKS {
            let (found, alone) = found(check);
            let what = EXPLAINED.iter().find(|(name, _)| name == check);
            let what = what.map_or_else(String::new, |(_, what)| format!(": {what}"));
            let _ = writeln!(text, "| {short} | {check}{what} | {found} | {alone} |");
        }
        let impossible: Vec<_> = self.outcomes.iter().filter(|o| o.impossible()).collect();
        if !impossible.is_empty() {
            text.push_str("\n## Mistakes that cannot be made\n\n");
            for outcome in impossible {
                let _ =
                    writeln!(text, "- {}. {}: {}", outcome.number, outcome.name, outcome.reason);
            }
        }
        text.push_str("\n## Shams\n\nThey must not pass, although no formula is wrong or the check is fed nonsense.\n\n");
        text.push_str("| sham | | what is said of it |\n|---|---|---|\n");
        for sham in &self.shams {
            let status = if sham.rejected { "rejected" } else { "PASSES" };
            let said = first_line(&sham.verdict).replace('|', "\\|");
            let _ = writeln!(text, "| {} | {status} | {said} |", sham.name);
        }
        text
    }

    /// Writes the matrix into `target/gradcheck`, for readers and for programs.
    pub(super) fn write(&self) -> Result<(), String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/gradcheck");
        let failed = |what: &Path, error: &dyn std::fmt::Display| {
            format!("cannot write {}: {error}", what.display())
        };
        std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
        let report = json!({
            "schema": 1,
            "burn": burn_autograd::BURN_VERSION,
            "passed": self.passed(),
            "summary": self.summary(),
            "mistakes": self.outcomes.iter().map(|outcome| {
                let mut value = json!(outcome);
                value["status"] = json!(Self::status(outcome));
                value
            }).collect::<Vec<_>>(),
            "shams": self.shams,
        });
        let mut text =
            serde_json::to_string_pretty(&report).map_err(|error| failed(&folder, &error))?;
        text.push('\n');
        for (name, text) in [("self-test.json", text), ("self-test.md", self.markdown())] {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|error| failed(&path, &error))?;
        }
        Ok(())
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
