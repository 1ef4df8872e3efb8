//! The integration tests, one program: engine, operations and checker together, on every backend of
//! the build.
#![allow(
    deprecated,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "Burn deprecated its NdArray backend, which we serve until it is gone; and tests may say why they leave a backend out, or what they measured"
)]

mod accuracy;
mod arguments;
mod checker;
mod checker_modes;
mod concurrency;
mod cross_entropy;
mod devices;
mod engine;
mod function;
mod graph;
mod hooks;
mod lifetime;
mod linalg;
mod linear;
mod operations;
mod planted;
mod polynomial;
mod precision;
mod pytorch;
mod reference;
mod remote;
mod transforms;
mod values;
mod variables;
