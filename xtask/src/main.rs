//! The project's task runner. It spawns cargo and never links Burn, so that it is built in seconds.
//!
//! `cargo xtask gradcheck` checks the gradients, `cargo xtask bench` measures, `cargo xtask test` runs
//! every test, `cargo xtask ci` is run before a change is proposed; `cargo xtask examples` runs the
//! examples, `cargo xtask book` builds the guide, `cargo xtask new-op` and `cargo xtask new-extension`
//! write what a new operation begins with.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

mod bench;
mod book;
mod ci;
mod driver;
mod examples;
mod gradcheck;
mod new_extension;
mod new_op;
mod process;
mod template;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Tasks of this workspace")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Proves the gradient of every operation on every backend that this machine can run.
    Gradcheck(gradcheck::Arguments),
    /// Times every operation beside the same in Burn's own operations, and a floor.
    ///
    /// Forward and backward, measured in one run; with --peers also in PyTorch and JAX. The method is
    /// described in benches/README.md.
    ///
    /// Exit code 0: all was measured, or a peer is missing, which is reported. 1: a part failed; the
    /// rest is reported. 2: usage, or nothing could be measured.
    Bench(bench::Arguments),
    /// Runs the examples, each of which checks its own numbers, and prints a table.
    ///
    /// Exit code 0: all passed. 1: one did not, and its output is shown. 2: usage, or a build that
    /// failed.
    Examples(examples::Arguments),
    /// Builds the guide, docs/, as web pages below target/book.
    ///
    /// Uses mdBook 0.5; if it is not installed, installs it below target/tools.
    Book(book::Arguments),
    /// Writes the folder of a new operation and registers it.
    ///
    /// It compiles and runs; its gradient check fails until its backward is filled in. If the name is
    /// taken or a registry is not as expected, nothing is changed.
    NewOp(new_op::Arguments),
    /// Writes a crate of its own that depends on burn-autograd, with one function, its gradient check and
    /// its README.
    NewExtension(new_extension::Arguments),
    /// Runs unit, documentation and integration tests, the gradient checks, the checker's self-test,
    /// the checks of Burn's own operations, and the examples, and builds the guide.
    ///
    /// For the guide, mdBook 0.5 is installed below target/tools if it is not there.
    Test(ci::TestArguments),
    /// Formatting, lints, documentation, and all that `test` runs.
    Ci(ci::TestArguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Gradcheck(arguments) => gradcheck::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Examples(arguments) => examples::run(&arguments),
        Task::Book(arguments) => book::run(&arguments),
        Task::NewOp(arguments) => new_op::run(&arguments),
        Task::NewExtension(arguments) => new_extension::run(&arguments),
        Task::Test(arguments) => ci::test(&arguments),
        Task::Ci(arguments) => ci::run(&arguments),
    };
    outcome.unwrap_or_else(|message| {
        eprintln!("xtask: {message}");
        ExitCode::from(gradcheck::UNUSABLE)
    })
}
