//! `cargo xtask test` and `cargo xtask ci`.

use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::gradcheck;
use crate::process::{cargo, must};

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
    step("tests", || {
        let mut command = cargo();
        command.args(["test", "--workspace"]);
        command.env("BURN_AUTOGRAD_REQUIRE", arguments.require.join(","));
        must("the tests", &mut command)
    })?;
    step("gradient checks", || {
        let checks = gradcheck::Arguments::requiring(arguments.require.clone());
        match gradcheck::run_in_one_build(&checks)? {
            code if code == ExitCode::SUCCESS => Ok(()),
            _ => Err("the gradient checks failed".to_owned()),
        }
    })?;
    step("the checker's self-test", || match gradcheck::self_test_in_one_build()? {
        code if code == ExitCode::SUCCESS => Ok(()),
        _ => Err("the checker's self-test failed".to_owned()),
    })?;
    step("Burn's own operations", || match gradcheck::burn_in_one_build()? {
        code if code == ExitCode::SUCCESS => Ok(()),
        _ => Err("what is known of Burn's operations has changed".to_owned()),
    })?;
    step("examples", crate::examples::run_tested)?;
    step("guide", crate::book::build)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run(arguments: &TestArguments) -> Result<ExitCode, String> {
    step("format", || must("rustfmt", cargo().args(["fmt", "--all", "--check"])))?;
    for (tool, args) in [("typos", &[][..]), ("cargo-deny", &["check"][..])] {
        if is_installed(tool) {
            step(tool, || {
                must(tool, Command::new(tool).args(args).current_dir(crate::process::root()))
            })?;
        } else {
            println!("== {tool} is not installed: skipped");
        }
    }
    step("lints", || {
        let mut command = cargo();
        command.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
        must("clippy", &mut command)
    })?;
    step("features", || {
        // The smallest build, gradients without fusion, and graphs without gradients.
        for features in ["flex", "flex,autodiff", "flex,capture"] {
            let mut command = cargo();
            command.args(["check", "--package", "burn-autograd", "--no-default-features"]);
            command.args(["--features", features]).env("RUSTFLAGS", "-D warnings");
            must("a build with few features", &mut command)?;
        }
        Ok(())
    })?;
    step("documentation", || {
        let mut command = cargo();
        command.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        must("rustdoc", &mut command)
    })?;
    test(arguments)
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
