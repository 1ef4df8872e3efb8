//! The integration tests, one program: engine, operations and checker together, on every backend of
//! the build.
#![allow(
    deprecated,
    clippy::print_stderr,
    reason = "Burn deprecated its NdArray backend, which we serve until it is gone; and tests may say why they leave a backend out"
)]

mod arguments;
mod checker;
mod concurrency;
mod devices;
mod engine;
mod function;
mod graph;
mod hooks;
mod lifetime;
mod linalg;
mod operations;
mod planted;
mod pytorch;
mod reference;
mod transforms;
mod variables;
