//! The integration tests, one program: engine, operations and checker together, on every backend of
//! the build.
#![allow(deprecated, reason = "Burn deprecated its NdArray backend; we serve it until it is gone")]

mod arguments;
mod checker;
mod devices;
mod engine;
mod function;
mod operations;
mod planted;
mod reference;
