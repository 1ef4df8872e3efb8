//! The gradient-check suite over our own operations. `cargo xtask gradcheck` runs it, once for the
//! CPU backends and once for wgpu, and puts the reports together; its options are the same.
//!
//! Exit code 0: everything passed, but for what is declared not to be checkable. 1: something failed.
//! 2: usage, or something that had to be checked could not be.
#![allow(deprecated, clippy::print_stdout, clippy::print_stderr, reason = "a program; and NdArray")]

mod backends;
mod burn;
mod report;
#[cfg(feature = "flex")]
mod selftest;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use ::burn::tensor::DType;
use burn_autograd::gradcheck::report::Summary;
use burn_autograd::gradcheck::suite::{Entry, Suite};
use clap::Parser;

use crate::backends::Availability;

/// Proves the gradients of our operations on the backends of this build.
#[derive(Debug, Parser)]
#[command(name = "gradcheck")]
struct Arguments {
    /// Operations to check; all if none is named.
    ops: Vec<String>,
    /// Cases to check, by their names; all if none is named.
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// Backends to check on; those of this build if none is named.
    #[arg(long, value_delimiter = ',')]
    backend: Vec<String>,
    /// Data types, of f64 and f32.
    #[arg(long, value_delimiter = ',', default_values = ["f64", "f32"])]
    dtype: Vec<String>,
    /// Orders of differentiation, of 1 and 2.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    order: Vec<u8>,
    /// The seed of inputs and cotangents.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    #[command(flatten)]
    files: report::Files,
    /// Checks Burn's own operations instead, and compares what is found with what is known. Exit code
    /// 0: it is the same. Operations that are named `burn::…` imply it.
    #[arg(long)]
    burn: bool,
    /// Checks nothing, and writes the report in this JSON file in other forms.
    #[arg(long, value_name = "FILE", hide = true)]
    render: Option<PathBuf>,
    /// Tests the checker itself: plants mistakes, each of which has to be found.
    #[arg(long)]
    self_test: bool,
    /// Lists operations and cases, and checks nothing.
    #[arg(long)]
    list: bool,
    /// Backends that must not be skipped.
    #[arg(long, value_delimiter = ',')]
    require: Vec<String>,
}

/// The exit codes that mean something.
const FAILED: u8 = 1;
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("gradcheck: {message}");
            ExitCode::from(UNUSABLE)
        }
    }
}

/// How to run an entry's case again.
fn repeat(entry: &Entry, seed: u64) -> String {
    let Entry { op, case, backend, dtype, order, .. } = entry;
    format!(
        "cargo xtask gradcheck {op} --case '{case}' --backend {backend} --dtype {dtype} --order {order} \
         --seed {seed}"
    )
}

fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    if arguments.self_test {
        #[cfg(feature = "flex")]
        return selftest::run();
        #[cfg(not(feature = "flex"))]
        return Err("the self-test needs the backend `flex`".to_owned());
    }
    if let Some(from) = &arguments.render {
        return arguments.files.render(from).map(|()| ExitCode::SUCCESS);
    }
    let burn = arguments.burn || arguments.ops.iter().any(|op| op.starts_with(burn::PREFIX));
    let mut cases = match burn {
        true => burn::cases(arguments.seed),
        false => burn_autograd::ops::check::cases(arguments.seed),
    };
    let known: BTreeSet<String> = cases.iter().map(|case| case.op.clone()).collect();
    if let Some(op) = arguments.ops.iter().find(|op| !known.contains(*op)) {
        let known: Vec<_> = known.into_iter().collect();
        return Err(format!("unknown operation `{op}`; there are: {}", known.join(", ")));
    }
    if !arguments.ops.is_empty() {
        cases.retain(|case| arguments.ops.contains(&case.op));
    }
    if let Some(name) = arguments.case.iter().find(|name| cases.iter().all(|c| c.name != **name)) {
        return Err(format!("unknown case `{name}`; --list shows the cases"));
    }
    if !arguments.case.is_empty() {
        cases.retain(|case| arguments.case.contains(&case.name));
    }
    if arguments.list {
        for case in &cases {
            println!("{:<14} {}", case.op, case.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let dtypes = arguments
        .dtype
        .iter()
        .map(|name| match name.as_str() {
            "f64" => Ok(DType::F64),
            "f32" => Ok(DType::F32),
            other => Err(format!("unknown data type `{other}`; there are: f64, f32")),
        })
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(order) = arguments.order.iter().find(|order| !(1..=2).contains(*order)) {
        return Err(format!("unknown order {order}; there are: 1, 2"));
    }

    let names = match arguments.backend.as_slice() {
        [] if burn => burn::BACKENDS.map(str::to_owned).to_vec(),
        [] => backends::OF_THIS_BUILD.iter().map(|&name| name.to_owned()).collect(),
        names => names.to_vec(),
    };
    let mut found = Vec::new();
    for name in &names {
        found.push(backends::find(name, &dtypes)?);
    }
    for backend in &found {
        match &backend.availability {
            Availability::Ran { adapter: Some(adapter), .. } => {
                println!("{}: {adapter}", backend.name);
            }
            Availability::Ran { .. } => {}
            Availability::Skipped { reason } => {
                println!("{}: skipped, {reason}", backend.name);
                if arguments.require.contains(&backend.name) {
                    return Err(format!("backend `{}` is required: {reason}", backend.name));
                }
            }
        }
    }
    if let Some(name) = arguments.require.iter().find(|name| !names.contains(name)) {
        return Err(format!("backend `{name}` is required, but not among those to check on"));
    }

    let mut suite = Suite::new(cases)
        // Burn's backward passes cannot be differentiated.
        .orders(if burn { vec![1] } else { arguments.order.clone() })
        .seed(arguments.seed)
        .repeat(repeat);
    if let Some(device) = backends::reference() {
        suite = suite.reference(&device);
    }
    let usable: Vec<_> = found.iter().filter_map(backends::Found::usable).collect();
    let mut writer = report::Writer::new(arguments.seed, &found);
    suite.run(&usable, |entry| writer.add(entry));
    let report = writer.finish();
    arguments.files.write(&report)?;
    if burn {
        let everything = arguments.ops.is_empty() && arguments.case.is_empty() && dtypes.len() == 2;
        return burn::outcome(&report, everything && names == burn::BACKENDS);
    }
    // A backend that was skipped has no checks; that is no failure, and `--require` makes it one.
    let skipped = usable.is_empty() && !found.is_empty();
    Ok(match report.summary {
        Summary { fail: 1.., .. } => ExitCode::from(FAILED),
        Summary { invalid: 1.., .. } => ExitCode::from(UNUSABLE),
        Summary { unchecked, .. } if unchecked > report.declared() => ExitCode::from(UNUSABLE),
        Summary { pass: 0, .. } if !skipped => {
            eprintln!("gradcheck: nothing was checked");
            ExitCode::from(UNUSABLE)
        }
        _ => ExitCode::SUCCESS,
    })
}
