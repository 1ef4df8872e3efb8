//! `cargo xtask examples`: runs the examples, each of which checks its own numbers, and prints a table.

use std::io::{IsTerminal, Write as _};
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::process::{self, built, cargo, quiet_drivers, root};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Examples to run; all if none is named.
    names: Vec<String>,
    /// Backends to run them on: flex, ndarray, wgpu.
    #[arg(long, value_delimiter = ',', value_name = "BACKEND", default_value = "flex")]
    backend: Vec<String>,
}

const BACKENDS: [&str; 3] = ["flex", "ndarray", "wgpu"];

/// Those that `cargo xtask test` runs on flex alone, and why.
const LONG: [(&str, &str); 2] = [
    ("pinn", "trains a network for 10,000 steps"),
    ("pinn_heat", "trains a network for thousands of steps"),
];

/// Something failed.
const FAILED: u8 = 1;

/// An example, and where to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    example: String,
    /// `None` for an example that has no such choice.
    backend: Option<&'static str>,
}

impl Run {
    fn backend(&self) -> &'static str {
        self.backend.unwrap_or("-")
    }

    fn command(&self) -> Command {
        let mut command = program(&self.example);
        if let Some(backend) = self.backend {
            command.args(["--backend", backend]);
        }
        command
    }
}

fn program(example: &str) -> Command {
    let mut command = Command::new(built("examples", example));
    quiet_drivers(command.current_dir(root()).stdin(Stdio::null()));
    command
}

/// What became of an example: the meaning of its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    WrongNumbers,
    Usage,
    /// By a panic, or killed.
    Crashed,
}

impl Outcome {
    fn of(code: Option<i32>) -> Self {
        match code {
            Some(0) => Self::Passed,
            Some(1) => Self::WrongNumbers,
            Some(2) => Self::Usage,
            Some(_) | None => Self::Crashed,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::WrongNumbers => "numbers wrong",
            Self::Usage => "usage",
            Self::Crashed => "crashed",
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let backends = backends(&arguments.backend)?;
    let examples = choose(all()?, &arguments.names)?;
    let mut selection = vec!["--package", "burn-autograd-workspace"];
    if !backends.contains(&"wgpu") {
        selection.extend(process::CPU);
    }
    process::build("the examples", &["build", "--examples"], &selection, "")?;
    run_all(&plan(&examples, &backends, takes_backend))
}

/// Runs all on flex, and the short ones on the other backends of this machine, from the build that the
/// tests have made: `cargo run` would build their dependencies once more, with the features of one
/// package.
pub(crate) fn run_tested(wgpu: bool) -> Result<(), String> {
    let examples = all()?;
    let mut runs = plan(&examples, &["flex"], takes_backend);
    let short: Vec<String> = examples.into_iter().filter(|name| !is_long(name)).collect();
    let others: &[&'static str] = if wgpu { &["ndarray", "wgpu"] } else { &["ndarray"] };
    // What has no choice of a backend has run.
    runs.extend(
        plan(&short, others, takes_backend).into_iter().filter(|run| run.backend.is_some()),
    );
    for (name, reason) in LONG {
        if runs.iter().any(|run| run.example == name) {
            println!("{name} on flex alone: it {reason}");
        }
    }
    match run_all(&runs)? {
        code if code == ExitCode::SUCCESS => Ok(()),
        _ => Err("an example failed".to_owned()),
    }
}

fn is_long(example: &str) -> bool {
    LONG.iter().any(|(name, _)| *name == example)
}

/// Each backend once, in the order in which they were asked for.
fn backends(names: &[String]) -> Result<Vec<&'static str>, String> {
    let mut backends = Vec::new();
    for name in names {
        let Some(known) = BACKENDS.into_iter().find(|known| known == name) else {
            return Err(format!(
                "--backend: expected one of {}, got `{name}`",
                BACKENDS.join(", ")
            ));
        };
        if !backends.contains(&known) {
            backends.push(known);
        }
    }
    Ok(backends)
}

/// Every example of the root package, by name.
fn all() -> Result<Vec<String>, String> {
    let mut command = cargo();
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    command.stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if !output.status.success() {
        return Err("`cargo metadata` failed".to_owned());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("`cargo metadata`: {error}"))?;
    let found = examples_in(&metadata);
    if found.is_empty() { Err("the root package has no example".to_owned()) } else { Ok(found) }
}

fn examples_in(metadata: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let folder = metadata["workspace_root"].as_str().map(std::path::PathBuf::from);
    let manifest = folder.map(|folder| folder.join("Cargo.toml"));
    let is_root = |package: &Value| {
        let path = package["manifest_path"].as_str().map(std::path::Path::new);
        path.is_some() && path == manifest.as_deref()
    };
    let targets = list(&metadata["packages"]).into_iter().filter(is_root);
    let mut names: Vec<String> = targets
        .flat_map(|package| list(&package["targets"]))
        .filter(|target| list(&target["kind"]).iter().any(|kind| kind == "example"))
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// Those that are named, in the order of all.
fn choose(all: Vec<String>, names: &[String]) -> Result<Vec<String>, String> {
    if let Some(name) = names.iter().find(|name| !all.contains(name)) {
        return Err(format!(
            "expected the name of an example, got `{name}`; there are: {}",
            all.join(", ")
        ));
    }
    Ok(all.into_iter().filter(|name| names.is_empty() || names.contains(name)).collect())
}

/// Each example on each backend, or once if it has no choice of one.
fn plan(
    examples: &[String],
    backends: &[&'static str],
    takes_backend: impl Fn(&str) -> bool,
) -> Vec<Run> {
    let runs = examples.iter().map(|example| {
        let run = |backend| Run { example: example.clone(), backend };
        if takes_backend(example) {
            backends.iter().map(|backend| run(Some(backend))).collect()
        } else {
            vec![run(None)]
        }
    });
    runs.collect::<Vec<_>>().concat()
}

/// Whether an example names `--backend` in its help.
fn takes_backend(example: &str) -> bool {
    let output = program(example).arg("--help").stderr(Stdio::null()).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("--backend"))
}

/// Runs as many at once as there are cores, and prints a line for each as soon as it is done.
fn run_all(runs: &[Run]) -> Result<ExitCode, String> {
    let table = Table::new(runs);
    println!("{}", table.head());
    let next = AtomicUsize::new(0);
    let (send, done) = mpsc::channel();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores.min(runs.len()) {
            let (next, send) = (&next, send.clone());
            scope.spawn(move || {
                while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    let output = run.command().output();
                    if send.send((run, started.elapsed().as_secs_f64(), output)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let terminal = std::io::stdout().is_terminal();
        let mut failures = Vec::new();
        for (number, (run, seconds, output)) in (1..).zip(done) {
            let output = output.map_err(|error| {
                format!("cannot run example `{}` ({error}); was it built?", run.example)
            })?;
            let outcome = Outcome::of(output.status.code());
            let row = table.row(run, seconds, outcome);
            if terminal {
                // Over the line that shows that something is going on.
                print!("\r\u{1b}[2K{row}\n{number} of {} done", runs.len());
                // Of no consequence.
                let _ = std::io::stdout().flush();
            } else {
                println!("{row}");
            }
            if outcome != Outcome::Passed {
                failures.push((run, outcome, output));
            }
        }
        if terminal {
            print!("\r\u{1b}[2K");
        }
        for (run, outcome, output) in &failures {
            println!("{}", failure(run, *outcome, output));
        }
        println!("{} passed, {} failed", runs.len() - failures.len(), failures.len());
        Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    })
}

/// What an example that failed has printed.
fn failure(run: &Run, outcome: Outcome, output: &Output) -> String {
    let on = run.backend.map_or_else(String::new, |backend| format!(" on {backend}"));
    let mut text = format!("\n== {}{on}: {} ({})\n", run.example, outcome.text(), output.status);
    for stream in [&output.stdout, &output.stderr] {
        text += &String::from_utf8_lossy(stream);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

/// The columns' widths.
struct Table {
    name: usize,
}

impl Table {
    fn new(runs: &[Run]) -> Self {
        let names = runs.iter().map(|run| run.example.len());
        Self { name: names.chain(["example".len()]).max().unwrap_or_default() }
    }

    fn head(&self) -> String {
        format!(
            "{:<width$}  {:<7}  {:>7}  result",
            "example",
            "backend",
            "seconds",
            width = self.name
        )
    }

    fn row(&self, run: &Run, seconds: f64, outcome: Outcome) -> String {
        format!(
            "{:<width$}  {:<7}  {seconds:>7.1}  {}",
            run.example,
            run.backend(),
            outcome.text(),
            width = self.name
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        LONG, Outcome, Run, Table, all, backends, choose, examples_in, failure, is_long, plan,
    };

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn exit_codes_have_their_meaning() {
        let texts =
            [Some(0), Some(1), Some(2), Some(101), None].map(|code| Outcome::of(code).text());
        assert_eq!(texts, ["ok", "numbers wrong", "usage", "crashed", "crashed"]);
    }

    #[test]
    fn examples_are_those_of_the_root_package() {
        let package = |manifest: &str, targets: serde_json::Value| json!({"manifest_path": manifest, "targets": targets});
        let metadata = json!({
            "workspace_root": "/house",
            "packages": [
                package("/house/crates/a/Cargo.toml", json!([{"name": "other", "kind": ["example"]}])),
                package("/house/Cargo.toml", json!([
                    {"name": "second", "kind": ["example"]},
                    {"name": "tests", "kind": ["test"]},
                    {"name": "first", "kind": ["example"]},
                ])),
            ],
        });
        assert_eq!(examples_in(&metadata), ["first", "second"]);
        assert!(all().unwrap().contains(&"03_legendre_p3".to_owned()));
    }

    #[test]
    fn each_example_runs_on_each_backend_or_once() {
        let run = |example: &str, backend| Run { example: example.to_owned(), backend };
        let runs = plan(&names(&["a", "plain"]), &["flex", "wgpu"], |name| name != "plain");
        let expected = [run("a", Some("flex")), run("a", Some("wgpu")), run("plain", None)];
        assert_eq!(runs, expected);
        let arguments: Vec<_> = runs[1].command().get_args().map(ToOwned::to_owned).collect();
        assert_eq!(arguments, ["--backend", "wgpu"]);
        assert_eq!(runs[2].command().get_args().count(), 0);
    }

    #[test]
    fn arguments_are_checked() {
        let found = backends(&names(&["wgpu", "flex", "wgpu"]));
        assert_eq!(found, Ok(vec!["wgpu", "flex"]));
        let error = backends(&names(&["tpu"])).unwrap_err();
        assert_eq!(error, "--backend: expected one of flex, ndarray, wgpu, got `tpu`");
        let all = names(&["a", "b", "c"]);
        assert_eq!(choose(all.clone(), &[]), Ok(all.clone()));
        assert_eq!(choose(all.clone(), &names(&["c", "a"])), Ok(names(&["a", "c"])));
        let error = choose(all, &names(&["d"])).unwrap_err();
        assert_eq!(error, "expected the name of an example, got `d`; there are: a, b, c");
    }

    #[test]
    fn long_examples_have_a_reason() {
        assert!(is_long("pinn") && !is_long("03_legendre_p3"));
        assert!(LONG.iter().all(|(_, reason)| !reason.is_empty()));
    }

    #[test]
    fn the_table_has_columns() {
        let run = |example: &str, backend| Run { example: example.to_owned(), backend };
        let runs = [run("03_legendre_p3", Some("ndarray")), run("plain", None)];
        let table = Table::new(&runs);
        let rows = [
            table.head(),
            table.row(&runs[0], 12.34, Outcome::Passed),
            table.row(&runs[1], 0.06, Outcome::WrongNumbers),
        ];
        let expected = [
            "example         backend  seconds  result",
            "03_legendre_p3  ndarray     12.3  ok",
            "plain           -            0.1  numbers wrong",
        ];
        assert_eq!(rows, expected);
    }

    #[cfg(unix)]
    #[test]
    fn a_failure_shows_all_that_was_printed() {
        let mut command = std::process::Command::new("sh");
        let output = command.args(["-c", "echo out; printf err >&2; exit 1"]).output().unwrap();
        let run = Run { example: "a".to_owned(), backend: Some("flex") };
        let text = failure(&run, Outcome::of(output.status.code()), &output);
        assert_eq!(text, "\n== a on flex: numbers wrong (exit status: 1)\nout\nerr\n");
    }
}
