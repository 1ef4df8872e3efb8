//! The integration tests, one program: engine, operations and checker together, on every backend of
//! the build.
#![allow(
    deprecated,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "Burn deprecated its NdArray backend, which we serve until it is gone; and tests may say why they leave a backend out, or what they measured"
)]

mod accuracy;
mod accuracy_linalg;
mod arguments;
mod captured;
mod captured_operations;
mod checker;
#[cfg(feature = "flex")]
mod checker_misfit;
mod checker_modes;
mod checker_structure;
mod checker_verdicts;
mod concurrency;
mod cross_entropy;
mod data;
mod devices;
mod empties;
mod engine;
#[cfg(feature = "flex")]
mod first_operation;
mod function;
mod graph;
#[cfg(feature = "flex")]
mod half;
mod hooks;
mod layout;
mod lifetime;
mod linalg;
mod linear;
mod modules;
mod one_tape;
mod operations;
mod planted;
mod polynomial;
mod precision;
mod products;
mod pulls;
mod pytorch;
mod reference;
mod second_order;
mod solve;
mod table;
mod through;
mod transforms;
mod values;
mod variables;
