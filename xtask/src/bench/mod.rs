//! `cargo xtask bench`: runs the benchmark program and, if asked to, the peers on the same workloads,
//! and puts their numbers together.

mod machine;
mod report;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

use crate::process::CPU;
use crate::process::{cargo, quiet_drivers, root};
use report::Report;

/// A part of it failed; what was measured is reported all the same.
const FAILED: u8 = 1;

const BACKENDS: [&str; 3] = ["flex", "ndarray", "wgpu"];
const PEERS: [&str; 2] = ["torch", "jax"];
const PEERS_PYTHON: &str = "PEERS_PYTHON";

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Parts of names as `flex/legendre_p3/f32/2000`; all workloads if none is given.
    filter: Vec<String>,
    /// Backends: flex, ndarray, wgpu [default: flex,ndarray; with BENCH_WGPU set, all].
    #[arg(long, value_delimiter = ',')]
    backend: Vec<String>,
    /// The elementwise operations also with a hundred million elements, which takes some ten gigabytes.
    #[arg(long)]
    large: bool,
    /// Times PyTorch (with one thread, with two, and with all) and JAX on the same workloads.
    #[arg(long)]
    peers: bool,
    /// The interpreter that has the peers [default: $PEERS_PYTHON, or python3].
    #[arg(long, value_name = "PATH", requires = "peers")]
    python: Option<PathBuf>,
    /// Writes everything here, as JSON: the machine, the versions, every number.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Lists the names, and measures nothing.
    #[arg(long, conflicts_with_all = ["peers", "json"])]
    list: bool,
}

impl Arguments {
    fn check(&self) -> Result<(), String> {
        match self.backend.iter().find(|name| !BACKENDS.contains(&name.as_str())) {
            Some(name) => {
                Err(format!("unknown backend `{name}`; there are: {}", BACKENDS.join(", ")))
            }
            None => Ok(()),
        }
    }

    /// The benchmark program, built if it must be.
    fn program(&self) -> Command {
        let mut command = cargo();
        command.args(["bench", "--quiet", "--bench", "operations"]);
        // The shader compilers take longer to build than everything else.
        if !self.has_wgpu() {
            command.args(CPU);
        }
        command.arg("--").args(&self.filter);
        if !self.backend.is_empty() {
            command.arg("--backend").arg(self.backend.join(","));
        }
        if self.large {
            command.arg("--large");
        }
        command.arg(if self.list { "--list" } else { "--json" });
        command
    }

    /// As the benchmark program decides it.
    fn has_wgpu(&self) -> bool {
        match self.backend.as_slice() {
            [] => std::env::var_os("BENCH_WGPU").is_some(),
            names => names.iter().any(|name| name == "wgpu"),
        }
    }

    fn interpreter(&self) -> PathBuf {
        let named = self.python.clone();
        named
            .or_else(|| std::env::var_os(PEERS_PYTHON).map(PathBuf::from))
            .unwrap_or_else(|| "python3".into())
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    arguments.check()?;
    if let Some(path) = &arguments.json {
        // Before an hour has passed.
        std::fs::File::options()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    if arguments.list {
        let code = crate::process::code(&mut arguments.program())?;
        return Ok(ExitCode::from(u8::try_from(code).unwrap_or(FAILED)));
    }
    let mut report = Report::default();
    let done = lines(&mut arguments.program(), |line| {
        if let Some(name) = report.add(line) {
            eprintln!("{name}");
        }
    })?;
    if report.is_empty() {
        return Err("nothing was measured".to_owned());
    }
    let mut failed = !done;
    if failed {
        eprintln!("xtask: the benchmark program failed after {} results", report.len());
    }
    if arguments.peers {
        failed |= !peers(arguments, &mut report);
    }
    print!("{}", report.tables());
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&report.json(machine::facts()))
            .map_err(|error| error.to_string())?;
        std::fs::write(path, text + "\n")
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Times the peers on the report's workloads. A peer that is missing is no failure.
fn peers(arguments: &Arguments, report: &mut Report) -> bool {
    let workloads = report.workloads();
    if workloads.is_empty() {
        eprintln!("xtask: the peers have none of these workloads");
        return true;
    }
    let python = arguments.interpreter();
    let mut done = true;
    for peer in PEERS {
        for threads in threads(peer, machine::cores()) {
            let mut command = Command::new(&python);
            command.arg(root().join("benches/peers/peers.py")).arg(peer);
            if let Some(threads) = threads {
                command.args(["--threads", &threads.to_string()]);
            }
            command.args(&workloads);
            quiet_drivers(&mut command);
            let outcome = lines(&mut command, |line| {
                if let Some(name) = report.add(line) {
                    eprintln!("{name}");
                }
            });
            match outcome {
                Ok(true) => {}
                Ok(false) => {
                    eprintln!("xtask: {peer} failed");
                    done = false;
                }
                Err(message) => {
                    report.missing(peer, &message);
                    break;
                }
            }
            if report.is_missing(peer) {
                break;
            }
        }
    }
    done
}

/// The numbers of threads to time a peer with. Small tensors gain from one, and only PyTorch lets
/// itself be told.
fn threads(peer: &str, cores: usize) -> Vec<Option<usize>> {
    if peer != "torch" {
        return vec![None];
    }
    let mut counts = vec![1, 2, cores];
    counts.retain(|&count| count <= cores);
    counts.dedup();
    counts.into_iter().map(Some).collect()
}

/// Runs a command and hands on the JSON objects among its lines, as they come; gives whether it
/// succeeded.
fn lines(command: &mut Command, mut take: impl FnMut(Value)) -> Result<bool, String> {
    command.stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| {
        format!("cannot run {}: {error}", command.get_program().to_string_lossy())
    })?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // A BLAS may print complaints between them.
            match serde_json::from_str::<Value>(&line) {
                Ok(value) if value.is_object() => take(value),
                _ => eprintln!("{line}"),
            }
        }
    }
    let status = child.wait().map_err(|error| format!("cannot wait for {command:?}: {error}"))?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use clap::Parser;

    use super::{Arguments, lines, threads};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Line::try_parse_from(std::iter::once("bench").chain(line.split_whitespace()))
            .map(|line| line.arguments)
    }

    #[test]
    fn arguments_reach_the_program() {
        let arguments = parse("exp relu --backend flex,wgpu").expect("it is right");
        assert!(arguments.check().is_ok());
        let program = arguments.program();
        let passed: Vec<_> = program.get_args().skip_while(|argument| *argument != "--").collect();
        assert_eq!(passed, ["--", "exp", "relu", "--backend", "flex,wgpu", "--json"]);
    }

    #[test]
    fn what_is_large_is_asked_for() {
        let passed_on = |line: &str| {
            let program = parse(line).expect("it is right").program();
            let passed = program.get_args().map(|argument| argument.to_string_lossy().into_owned());
            passed.skip_while(|argument| argument != "--").skip(1).collect::<Vec<_>>()
        };
        assert_eq!(passed_on("--large"), ["--large", "--json"]);
        assert_eq!(passed_on("--list --large"), ["--large", "--list"]);
        assert_eq!(passed_on(""), ["--json"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let message = parse("--backend tch").expect("clap takes it").check().expect_err("unknown");
        assert!(message.contains("`tch`") && message.contains("flex, ndarray, wgpu"), "{message}");
        assert!(parse("--python python3").is_err());
        assert!(parse("--list --peers").is_err());
        let arguments = parse("--peers --python some/python").expect("it is right");
        assert_eq!(arguments.interpreter(), PathBuf::from("some/python"));
    }

    #[test]
    fn only_pytorch_is_told_its_threads() {
        assert_eq!(threads("torch", 1), [Some(1)]);
        assert_eq!(threads("torch", 2), [Some(1), Some(2)]);
        assert_eq!(threads("torch", 16), [Some(1), Some(2), Some(16)]);
        assert_eq!(threads("jax", 16), [None]);
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_that_names_it() {
        let message = lines(&mut Command::new("no-such-interpreter"), |_| {}).expect_err("missing");
        assert!(message.contains("no-such-interpreter"), "{message}");
    }
}
