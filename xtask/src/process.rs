//! Running cargo, and the programs that it builds.

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

/// Builds a test program of the root package and gives its path.
pub(crate) fn build_test(name: &str, features: &[&str]) -> Result<PathBuf, String> {
    let mut command = cargo();
    command.args([
        "test",
        "--no-run",
        "--test",
        name,
        "--message-format",
        "json-render-diagnostics",
    ]);
    command.args(features);
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("building the `{name}` program failed"));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| format!("cargo built no `{name}` program"))
}
