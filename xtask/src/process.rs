//! Running cargo, and the programs that it builds.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo tells this process about its own package is not meant for the packages it builds:
    // build scripts that watch these variables would run again whenever `cargo xtask` and a plain
    // `cargo` take turns, and most of the dependencies would be built again with them.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name.as_ref());
        }
    }
    command.current_dir(root());
    quiet_drivers(&mut command);
    command
}

/// The features that build the CPU backends alone.
pub(crate) const CPU: [&str; 3] = ["--no-default-features", "--features", "flex,ndarray"];

/// The selection of packages and features that the tests are built with: everything but the remote tests,
/// whose dependencies would double the build; and without a driver nothing for wgpu.
pub(crate) fn workspace(wgpu: bool) -> Vec<&'static str> {
    let mut selection = vec!["--workspace", "--exclude", "remote-tests"];
    if !wgpu {
        selection.extend(CPU);
    }
    selection
}

/// A program that cargo built without optimisation, in a folder like `examples`.
pub(crate) fn built(folder: &str, name: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root()
        .join(target)
        .join("debug")
        .join(folder)
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Mesa's drivers print an error for every adapter that they look for where this variable is unset,
/// as it is in containers.
pub(crate) fn quiet_drivers(command: &mut Command) {
    const VARIABLE: &str = "XDG_RUNTIME_DIR";
    if std::env::var_os(VARIABLE).is_none() {
        command.env(VARIABLE, std::env::temp_dir());
    }
}

/// Runs a command and gives its exit code; an error if it could not be started or was killed.
pub(crate) fn code(command: &mut Command) -> Result<i32, String> {
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    status.code().ok_or_else(|| format!("{command:?} was killed"))
}

/// Runs a command that must succeed.
pub(crate) fn must(what: &str, command: &mut Command) -> Result<(), String> {
    match code(command)? {
        0 => Ok(()),
        code => Err(format!("{what} failed (exit code {code})")),
    }
}

/// Builds these targets of a selection of packages and features with cargo. Gives the program of this name,
/// if the build makes one.
///
/// Says what is built, and how many crates of how many are ready: on a terminal by cargo's own bar.
pub(crate) fn build(
    what: &str,
    targets: &[&str],
    selection: &[&str],
    name: &str,
) -> Result<Option<PathBuf>, String> {
    let total = crates(selection).unwrap_or_default();
    eprintln!("building {what}: {total} crates");
    let mut command = cargo();
    command.args(targets).args(selection).args(["--message-format", "json-render-diagnostics"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let output = child.stdout.take().expect("it is piped");
    let bar = std::io::stderr().is_terminal();
    let (mut ready, mut said) = (BTreeSet::new(), 0);
    let mut program = None;
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
        if message["reason"] != "compiler-artifact" {
            continue;
        }
        if message["target"]["name"] == name {
            program = message["executable"].as_str().map(PathBuf::from).or(program);
        }
        ready.insert(message["package_id"].to_string());
        // What is up to date comes first, at once.
        let tenth = 10 * ready.len() / total.max(1);
        if !bar && message["fresh"] == false && tenth > said && ready.len() < total {
            said = tenth;
            eprintln!("  {} of {total} crates", ready.len());
        }
    }
    let status = child.wait().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if status.success() { Ok(program) } else { Err(format!("building {what} failed")) }
}

/// How many crates a selection of packages and features is made of.
fn crates(selection: &[&str]) -> Option<usize> {
    let mut command = cargo();
    command.args(["tree", "--quiet", "--prefix", "none", "--edges", "normal,build,dev"]);
    let output = command.args(selection).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let name = |line: &str| Some(line.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
    let names: BTreeSet<String> = text.lines().filter_map(name).filter(|n| !n.is_empty()).collect();
    Some(names.len())
}
