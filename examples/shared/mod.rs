//! What the examples share, so that each holds its own idea alone: arguments, checked numbers,
//! training loops, pictures. Nothing in here is needed to use the library.
#![allow(dead_code, reason = "each example uses a part of it")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the examples are programs")]

pub(crate) mod check;
pub(crate) mod cli;
pub(crate) mod cubic;
pub(crate) mod fit;
pub(crate) mod network;
pub(crate) mod plot;
pub(crate) mod values;

/// Small tensors are allocated all the time; the system's allocator takes longer for them than their
/// arithmetic.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
