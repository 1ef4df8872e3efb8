//! `cargo xtask gradcheck`: builds the suite for the CPU backends and runs it, then for wgpu, whose
//! build takes several times as long, and puts both reports together. Without a driver for wgpu it says so
//! and builds nothing for it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::{Value, json};

use crate::driver;
use crate::process::{self, code, must, quiet_drivers, root, workspace};

/// Something failed.
const FAILED: u8 = 1;
/// Usage, or something that had to be checked could not be.
pub(crate) const UNUSABLE: u8 = 2;

/// The backends, in the order in which they are checked, and those that need no adapter.
const ALL: [&str; 3] = ["flex", "ndarray", WGPU];
const CPU: [&str; 2] = ["flex", "ndarray"];
const WGPU: &str = "wgpu";

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Operations to check; all if none is named.
    ops: Vec<String>,
    /// Cases to check, by their names; all if none is named.
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// Backends to check on: flex, ndarray, wgpu [default: all that this machine can run].
    #[arg(long, value_delimiter = ',')]
    backend: Vec<String>,
    /// Data types: f64, f32 [default: both].
    #[arg(long, value_delimiter = ',')]
    dtype: Vec<String>,
    /// Orders of differentiation: 1, 2 [default: both].
    #[arg(long, value_delimiter = ',')]
    order: Vec<String>,
    /// Checks Burn's own operations instead, on the CPU, against what is known of them.
    #[arg(long)]
    burn: bool,
    /// Builds what runs on wgpu without Burn's kernel fusion, which is on elsewhere.
    #[arg(long, conflicts_with = "burn")]
    without_fusion: bool,
    /// Tests the checker itself: plants mistakes, each of which has to be found by the check that is
    /// meant for it.
    #[arg(long, conflicts_with_all = ["burn", "json", "junit", "html", "list", "without_fusion"])]
    self_test: bool,
    /// The seed of inputs and cotangents.
    #[arg(long)]
    seed: Option<u64>,
    /// Writes the report here, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the report here, as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Writes the report here, as one HTML page that opens from disk.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Lists operations and cases, and checks nothing.
    #[arg(long)]
    list: bool,
    /// A backend that must not be skipped; may be given again.
    #[arg(long, value_delimiter = ',', value_name = "BACKEND")]
    require: Vec<String>,
}

impl Arguments {
    /// Everything, and none of these backends skipped.
    pub(crate) fn requiring(require: Vec<String>) -> Self {
        Self { require, ..Self::default() }
    }

    fn wanted(&self) -> Result<Vec<String>, String> {
        let known = |name: &String| ALL.contains(&name.as_str());
        if let Some(name) = self.backend.iter().chain(&self.require).find(|name| !known(name)) {
            return Err(format!("unknown backend `{name}`; there are: {}", ALL.join(", ")));
        }
        let wanted = match self.backend.as_slice() {
            [] if self.burn => CPU.map(str::to_owned).to_vec(),
            [] => ALL.map(str::to_owned).to_vec(),
            names => names.to_vec(),
        };
        match self.require.iter().find(|name| !wanted.contains(name)) {
            Some(name) => {
                Err(format!("backend `{name}` is required, but not among those to check on"))
            }
            None => Ok(wanted),
        }
    }

    /// The suite's arguments for some of the backends.
    fn pass_on(&self, command: &mut Command, backends: &[String], json: &Path) {
        command.args(&self.ops).arg("--backend").arg(backends.join(","));
        let lists = [("--dtype", &self.dtype), ("--order", &self.order)];
        for (name, values) in lists.into_iter().filter(|(_, values)| !values.is_empty()) {
            command.arg(name).arg(values.join(","));
        }
        for case in &self.case {
            command.arg("--case").arg(case);
        }
        if let Some(seed) = self.seed {
            command.args(["--seed", &seed.to_string()]);
        }
        let required: Vec<_> =
            self.require.iter().filter(|name| backends.contains(name)).cloned().collect();
        if !required.is_empty() {
            command.arg("--require").arg(required.join(","));
        }
        for (name, flag) in [("--burn", self.burn), ("--list", self.list)] {
            command.args(flag.then_some(name));
        }
        command.arg("--json").arg(json);
    }
}

impl Arguments {
    /// Has the suite's program write the report in its other forms: this one does not link it.
    fn render(&self, program: &Path, report: &Path) -> Result<(), String> {
        let mut command = Command::new(program);
        command.arg("--render").arg(report);
        let mut forms = 0;
        for (option, path) in [("--junit", &self.junit), ("--html", &self.html)] {
            if let Some(path) = path {
                command.arg(option).arg(path);
                forms += 1;
            }
        }
        if forms == 0 { Ok(()) } else { must("writing the report", &mut command) }
    }
}

/// The packages and features to build the suite with.
type Build = Vec<&'static str>;

/// The suite alone, with these backends and no more.
fn alone(features: &'static str) -> Build {
    vec!["--package", "gradcheck-suite", "--no-default-features", "--features", features]
}

/// The suite as the tests build it: what they have built is not built again.
fn with_the_tests(wgpu: bool) -> Build {
    workspace(wgpu)
}

/// A skipped backend, and why.
type Skipped = Option<String>;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    if arguments.self_test {
        return self_test(&alone("flex,ndarray"));
    }
    let mut wanted = arguments.wanted()?;
    let runs_on_wgpu = wanted.iter().any(|name| name == WGPU) && !arguments.list;
    let skipped = if runs_on_wgpu { without_driver(&arguments.require)? } else { None };
    if skipped.is_some() {
        wanted.retain(|name| name != WGPU);
    }
    let (cpu, gpu): (Vec<_>, Vec<_>) =
        wanted.into_iter().partition(|name| CPU.contains(&name.as_str()));
    let mut stages = Vec::new();
    if !cpu.is_empty() {
        stages.push((alone("flex,ndarray"), cpu));
    }
    if !(gpu.is_empty() || arguments.list && !stages.is_empty()) {
        let features = match arguments.without_fusion {
            true => "flex,ndarray,wgpu",
            false => "flex,ndarray,wgpu,fusion",
        };
        stages.push((alone(features), gpu));
    }
    run_stages(arguments, &stages, skipped)
}

/// Why wgpu is skipped, if it is: this machine has no driver for it. An error if it is required.
pub(crate) fn without_driver(require: &[String]) -> Result<Skipped, String> {
    match driver::find() {
        Ok(()) => Ok(None),
        Err(reason) if require.iter().any(|name| name == WGPU) => {
            Err(format!("backend `wgpu` is required: {reason}"))
        }
        Err(reason) => {
            println!("wgpu: skipped, {reason}");
            Ok(Some(reason))
        }
    }
}

/// Runs the suite on all backends from the one build that the tests use too.
pub(crate) fn run_in_one_build(
    arguments: &Arguments,
    skipped: Skipped,
) -> Result<ExitCode, String> {
    let mut wanted = arguments.wanted()?;
    if skipped.is_some() {
        wanted.retain(|name| name != WGPU);
    }
    run_stages(arguments, &[(with_the_tests(skipped.is_none()), wanted)], skipped)
}

/// Has the suite's program test the checker.
fn self_test(build: &Build) -> Result<ExitCode, String> {
    let mut command = Command::new(program(build)?);
    command.current_dir(root()).env("RUST_BACKTRACE", "0").arg("--self-test");
    let code = code(&mut command)?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(FAILED)))
}

/// The self-test from the build that the tests use.
pub(crate) fn self_test_in_one_build(wgpu: bool) -> Result<ExitCode, String> {
    self_test(&with_the_tests(wgpu))
}

/// What is known of Burn's own operations, from the build that the tests use.
pub(crate) fn burn_in_one_build(wgpu: bool) -> Result<ExitCode, String> {
    let arguments = Arguments { burn: true, ..Arguments::default() };
    run_stages(&arguments, &[(with_the_tests(wgpu), arguments.wanted()?)], None)
}

/// Builds the suite's program.
fn program(build: &Build) -> Result<PathBuf, String> {
    let targets = ["test", "--no-run", "--test", "gradcheck"];
    process::build("the gradient checks", &targets, build, "gradcheck")?
        .ok_or_else(|| "cargo built no `gradcheck` program".to_owned())
}

fn run_stages(
    arguments: &Arguments,
    stages: &[(Build, Vec<String>)],
    skipped: Skipped,
) -> Result<ExitCode, String> {
    let folder = root().join("target/gradcheck");
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    // What is found of Burn's operations does not replace what was found of ours.
    let prefix = if arguments.burn { "burn-" } else { "" };
    let mut reports = Vec::new();
    let mut worst = 0;
    let mut last = None;
    for (build, backends) in stages {
        let program = program(build)?;
        let file = folder.join(format!("{prefix}{}.json", backends.join("-")));
        // A report of an earlier run must not be taken for this one's.
        let _ = std::fs::remove_file(&file);
        let mut command = Command::new(&program);
        // The panics that the suite catches are in its report.
        command.current_dir(root()).env("RUST_BACKTRACE", "0");
        quiet_drivers(&mut command);
        arguments.pass_on(&mut command, backends, &file);
        let code = match code(&mut command) {
            Ok(code @ 0..=2) => code as u8,
            // It panicked, or a driver took it down. The other stages' reports are not lost for that.
            Ok(_) | Err(_) => UNUSABLE,
        };
        worst = worse(worst, code);
        if file.exists() {
            reports.push(read(&file)?);
            last = Some(program);
        } else {
            // A list, or usage: what went wrong was said, and the next stage would say it again.
            break;
        }
    }
    if reports.is_empty() {
        return Ok(ExitCode::from(worst));
    }
    if let Some(reason) = skipped {
        let backend = json!({ "name": WGPU, "status": "skipped", "reason": reason });
        reports.push(json!({ "backends": [backend] }));
    }
    let report = merge(reports);
    let text = lines(&report)?;
    let merged = folder.join(format!("{prefix}report.json"));
    for path in [Some(&merged), arguments.json.as_ref()].into_iter().flatten() {
        std::fs::write(path, &text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    if let Some(program) = last {
        arguments.render(&program, &merged)?;
    }
    if stages.len() > 1 {
        let summary = &report["summary"];
        println!(
            "all backends: {} passed, {} failed, {} unchecked, {} invalid",
            summary["pass"], summary["fail"], summary["unchecked"], summary["invalid"]
        );
    }
    if worst == 0 && report["summary"]["pass"] == 0 {
        return Err("nothing was checked".to_owned());
    }
    Ok(ExitCode::from(worst))
}

/// A failure counts for more than something that could not be checked.
fn worse(a: u8, b: u8) -> u8 {
    if a == FAILED || b == FAILED { FAILED } else { a.max(b) }
}

fn read(path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// A report as JSON, with a line for each check.
fn lines(report: &Value) -> Result<String, String> {
    let text = |value: &Value| serde_json::to_string(value).map_err(|error| error.to_string());
    let mut fields = Vec::new();
    for name in ["schema", "burn", "seed", "backends", "checks", "summary"] {
        let value = match report[name].as_array() {
            Some(list) if !list.is_empty() => {
                let list: Vec<_> = list.iter().map(text).collect::<Result<_, _>>()?;
                format!("[\n    {}\n  ]", list.join(",\n    "))
            }
            _ => text(&report[name])?,
        };
        fields.push(format!("  \"{name}\": {value}"));
    }
    Ok(format!("{{\n{}\n}}\n", fields.join(",\n")))
}

/// One report of several: lists one after the other, counts added.
fn merge(reports: Vec<Value>) -> Value {
    let list = |name: &str| -> Vec<Value> {
        let lists = reports.iter().filter_map(|report| report[name].as_array());
        lists.flatten().cloned().collect()
    };
    let sum = |name: &str| -> u64 {
        reports.iter().filter_map(|report| report["summary"][name].as_u64()).sum()
    };
    let seconds: f64 =
        reports.iter().filter_map(|report| report["summary"]["seconds"].as_f64()).sum();
    let first = reports.first();
    let field = |name: &str| first.map(|report| report[name].clone()).unwrap_or_default();
    json!({
        "schema": field("schema"),
        "burn": field("burn"),
        "seed": field("seed"),
        "backends": list("backends"),
        "checks": list("checks"),
        "summary": {
            "pass": sum("pass"),
            "fail": sum("fail"),
            "unchecked": sum("unchecked"),
            "invalid": sum("invalid"),
            "seconds": seconds,
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{FAILED, UNUSABLE, lines, merge, worse};

    #[test]
    fn a_failure_is_not_hidden_by_what_could_not_be_checked() {
        assert_eq!(worse(0, 0), 0);
        assert_eq!(worse(0, UNUSABLE), UNUSABLE);
        assert_eq!(worse(FAILED, UNUSABLE), FAILED);
        assert_eq!(worse(UNUSABLE, FAILED), FAILED);
    }

    #[test]
    fn reports_are_put_together() {
        let part = |name: &str, pass: u64| {
            json!({
                "schema": 1, "burn": "0.22.1", "seed": 42,
                "backends": [{"name": name, "status": "ran"}],
                "checks": [{"op": "exp", "backend": name}],
                "summary": {"pass": pass, "fail": 1, "unchecked": 0, "invalid": 0, "seconds": 0.5},
            })
        };
        let whole = merge(vec![part("flex", 2), part("wgpu", 3)]);
        assert_eq!(whole["summary"]["pass"], 5);
        assert_eq!(whole["summary"]["fail"], 2);
        assert_eq!(whole["backends"][1]["name"], "wgpu");
        assert_eq!(whole["checks"].as_array().map(Vec::len), Some(2));
        assert_eq!(whole["schema"], 1);

        let text = lines(&whole).expect("JSON");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), whole);
        assert_eq!(text.matches("\n    {").count(), 4, "a line for each backend and check");
    }
}
