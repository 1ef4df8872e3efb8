//! The integration tests, one program: engine, operations and checker together, on every backend of
//! the build.
#![allow(
    deprecated,
    clippy::print_stderr,
    reason = "Burn deprecated its NdArray backend, which we serve until it is gone; and tests may say why they leave a backend out"
)]

mod arguments;
mod checker;
mod devices;
mod engine;
mod function;
mod operations;
mod planted;
mod reference;
mod transforms;
mod variables;
