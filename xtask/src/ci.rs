//! `cargo xtask test` and `cargo xtask ci`.

use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::gradcheck;
use crate::process::{cargo, must, workspace};

/// Without advisories, which need the network: the public workflow looks at them.
const DENY: [&str; 4] = ["check", "bans", "licenses", "sources"];

/// The packages that users get.
const PUBLISHED: [&str; 4] =
    ["burn-autograd", "burn-autograd-core", "burn-autograd-gradcheck", "burn-autograd-ops"];

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TestArguments {
    /// A backend that must not be skipped; may be given again.
    #[arg(long, value_delimiter = ',', value_name = "BACKEND")]
    require: Vec<String>,
}

fn step(what: &str, mut run: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    println!("== {what}");
    let started = Instant::now();
    run()?;
    println!("== {what}: {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

pub(crate) fn test(arguments: &TestArguments) -> Result<ExitCode, String> {
    let skipped = gradcheck::without_driver(&arguments.require)?;
    let wgpu = skipped.is_none();
    step("tests", || {
        let mut command = cargo();
        command.arg("test").args(workspace(wgpu));
        command.env("BURN_AUTOGRAD_REQUIRE", arguments.require.join(","));
        must("the tests", &mut command)
    })?;
    step("gradient checks", || {
        let checks = gradcheck::Arguments::requiring(arguments.require.clone());
        match gradcheck::run_in_one_build(&checks, skipped.clone())? {
            code if code == ExitCode::SUCCESS => Ok(()),
            _ => Err("the gradient checks failed".to_owned()),
        }
    })?;
    step("the checker's self-test", || match gradcheck::self_test_in_one_build(wgpu)? {
        code if code == ExitCode::SUCCESS => Ok(()),
        _ => Err("the checker's self-test failed".to_owned()),
    })?;
    step("Burn's own operations", || match gradcheck::burn_in_one_build(wgpu)? {
        code if code == ExitCode::SUCCESS => Ok(()),
        _ => Err("what is known of Burn's operations has changed".to_owned()),
    })?;
    step("examples", || crate::examples::run_tested(wgpu))?;
    step("guide", crate::book::build)?;
    // Last, for their dependencies are built for them alone.
    step("remote tests", || {
        must("the remote tests", cargo().args(["test", "--package", "remote-tests"]))
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run(arguments: &TestArguments) -> Result<ExitCode, String> {
    // What cannot be checked here fails now, not in half an hour.
    gradcheck::without_driver(&arguments.require)?;
    step("format", || must("rustfmt", cargo().args(["fmt", "--all", "--check"])))?;
    for (tool, args) in [("typos", &[][..]), ("cargo-deny", &DENY[..])] {
        if is_installed(tool) {
            step(tool, || {
                must(tool, Command::new(tool).args(args).current_dir(crate::process::root()))
            })?;
        } else {
            println!("== {tool} is missing: skipped; `cargo install {}`", crate_of(tool));
        }
    }
    step("lints", || {
        // The suite is a test target that `cargo test` leaves out, so it is named. The remote tests apart,
        // as they are built.
        lint(&workspace(true), &["--all-targets", "--test", "gradcheck"])?;
        lint(&["--package", "remote-tests"], &["--all-targets"])
    })?;
    step("features", || {
        // The engine alone, the smallest build with operations, and graphs without gradients.
        for features in ["flex,autodiff", "flex,ops", "flex,capture,ops"] {
            let selection = ["--package", "burn-autograd", "--no-default-features"];
            lint(&selection, &["--features", features])?;
        }
        Ok(())
    })?;
    step("documentation", || {
        let mut command = cargo();
        command.arg("doc").args(workspace(true)).arg("--no-deps");
        must("rustdoc", command.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    step("packages", || {
        let mut command = cargo();
        command.args(["package", "--allow-dirty"]);
        for package in PUBLISHED {
            command.args(["--package", package]);
        }
        must("cargo package", &mut command)
    })?;
    test(arguments)
}

/// The crate that a tool is in.
fn crate_of(tool: &str) -> &str {
    if tool == "typos" { "typos-cli" } else { tool }
}

fn lint(selection: &[&str], more: &[&str]) -> Result<(), String> {
    let mut command = cargo();
    command.arg("clippy").args(selection).args(more).args(["--", "-D", "warnings"]);
    must("clippy", &mut command)
}

fn is_installed(tool: &str) -> bool {
    let quiet = || Stdio::null();
    Command::new(tool)
        .arg("--version")
        .stdin(quiet())
        .stdout(quiet())
        .stderr(quiet())
        .status()
        .is_ok_and(|status| status.success())
}
