//! Forward and backward of each operation: ours, the same composed from Burn's own operations, Burn's
//! graph without the arithmetic, and a floor, in one run, so that their ratios mean something; and what the
//! engine costs.
//!
//! `cargo xtask bench` runs this program, beside the peers if it is asked to. Alone:
//! `cargo bench --bench operations -- [FILTER…] [--backend flex,ndarray,wgpu] [--large] [--json]
//! [--list]`.
//! `benches/README.md` describes the method.
#![allow(deprecated, clippy::print_stdout, clippy::print_stderr, reason = "a program; and NdArray")]

mod engine;
mod floor;
mod measure;
mod workloads;

use std::process::ExitCode;

use burn::tensor::{DType, Device};
use clap::Parser;
use serde_json::json;

use crate::measure::{Time, race};
use crate::workloads::Contenders;

/// With the system's allocator one measures page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Times the operations on the backends of this build.
#[derive(Debug, Parser)]
#[command(name = "operations")]
struct Arguments {
    /// Parts of names as `flex/legendre_p3/f32/2000`; all workloads if none is given.
    filter: Vec<String>,
    /// Backends: flex, ndarray, wgpu [default: flex,ndarray; with BENCH_WGPU set, all].
    #[arg(long, value_delimiter = ',')]
    backend: Vec<String>,
    /// The elementwise operations also with a hundred million elements.
    #[arg(long)]
    large: bool,
    /// Writes each result as a line of JSON, as soon as it is there, instead of a table.
    #[arg(long)]
    json: bool,
    /// Lists the names, and measures nothing.
    #[arg(long)]
    list: bool,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    fn wants(&self, name: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|part| name.contains(part.as_str()))
    }

    fn devices(&self) -> Result<Vec<(&'static str, Device)>, String> {
        type Make = fn() -> Device;
        const ALL: &[(&str, Make)] = &[
            #[cfg(feature = "flex")]
            ("flex", Device::flex),
            #[cfg(feature = "ndarray")]
            ("ndarray", Device::ndarray),
            #[cfg(feature = "wgpu")]
            ("wgpu", || Device::wgpu(Default::default())),
        ];
        if let Some(name) = self.backend.iter().find(|name| ALL.iter().all(|(of, _)| of != name)) {
            let known: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
            return Err(format!("unknown backend `{name}`; this build has: {}", known.join(", ")));
        }
        let default = |name| name != "wgpu" || std::env::var_os("BENCH_WGPU").is_some();
        let wanted = ALL.iter().copied().filter(|(name, _)| match self.backend.as_slice() {
            [] => default(*name),
            names => names.iter().any(|wanted| wanted == name),
        });
        Ok(wanted.map(|(name, device)| (name, device().autodiff())).collect())
    }
}

/// Usage, or nothing to measure.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("operations: {message}");
            ExitCode::from(UNUSABLE)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let devices = arguments.devices()?;
    let mut rows = 0;
    if !(arguments.json || arguments.list) {
        println!(
            "{:<40} {:>10} {:>10} {:>10} {:>10} {:>9} {:>7}",
            "forward + backward",
            "ours µs",
            "Burn's µs",
            "graph µs",
            "floor µs",
            "of Burn's",
            "floors"
        );
    }
    for workload in workloads::all(arguments.large) {
        for (backend, device) in &devices {
            let name = format!("{backend}/{}", workload.name);
            // A GPU has no transcendental functions of f64.
            let exists = workload.dtype != DType::F64 || *backend != "wgpu";
            if !exists || !arguments.wants(&name) {
                continue;
            }
            rows += 1;
            if arguments.list {
                println!("{name}");
                continue;
            }
            let Contenders { ours, burns, graphs, floors } = (workload.contenders)(device);
            let [ours, burns, graph, floor] = race([ours, burns, graphs, floors], device);
            let ours = ours.expect("there is a form of ours");
            if arguments.json {
                let row = json!({
                    "workload": workload.name,
                    "backend": backend,
                    "ours": ours.json(),
                    "burn": burns.as_ref().map(Time::json),
                    "graph": graph.as_ref().map(Time::json),
                    "floor": floor.as_ref().map(Time::json),
                });
                println!("{row}");
            } else {
                println!(
                    "{name:<40} {:>10.1} {:>10} {:>10} {:>10} {:>9} {:>7}",
                    ours.micros(),
                    or_none(burns.as_ref().map(|time| format!("{:.1}", time.micros()))),
                    or_none(graph.as_ref().map(|time| format!("{:.1}", time.micros()))),
                    or_none(floor.as_ref().map(|time| format!("{:.1}", time.micros()))),
                    or_none(burns.as_ref().map(|time| format!("{:.2}", ours.median / time.median))),
                    or_none(floor.as_ref().map(|time| format!("{:.2}", ours.median / time.median))),
                );
            }
        }
    }
    rows += engine::run(arguments, &devices);
    if rows == 0 {
        return Err(format!(
            "no workload's name contains {}; --list names them",
            arguments.filter.join(", nor ")
        ));
    }
    Ok(())
}

fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}
