//! The operations of `burn-autograd`.
//!
//! | operation | definition | derivative | saved |
//! |---|---|---|---|
//! | [`legendre_p3`] | ½(5x³ − 3x) | 3⁄2·(5x² − 1) | the input |
//! | [`relu`](mod@relu) | max(x, 0) | 1 where x > 0, 0 elsewhere and at 0 | the input |
//! | [`exp`](mod@exp) | eˣ | the output | the output |
//! | [`multiply_add`] | w·x + b, broadcasting | x, w, 1, summed over what was broadcast | the factors |
//!
//! Each is a folder: `mod.rs` has the definition and what users call, `spec.rs` forward and backward
//! in Burn's own operations, `backward.rs` what is saved and the explicit backward, `kernel.rs` the
//! formulas of the CPU kernels, `flex.rs`, `ndarray.rs` and `cube.rs` the backends that gain from a
//! kernel, `check.rs` the cases on which the gradient is proven.
//!
//! An operation is a backend extension trait, for example
//! [`LegendreP3Ops`](legendre_p3::LegendreP3Ops). Its default bodies are the specification, so that
//! a backend without a kernel is an empty `impl`. The gradient of each operation is itself
//! differentiable: its `_vjp` function gives a gradient that is tracked.
#![cfg_attr(
    feature = "ndarray",
    allow(
        deprecated,
        reason = "Burn deprecated its NdArray backend; we serve it until it is gone"
    )
)]

pub mod exp;
pub mod legendre_p3;
pub mod lu;
pub mod multiply_add;
pub mod relu;
mod support;

#[cfg(feature = "check")]
pub mod check;

/// The tensor methods of every operation.
pub mod prelude {
    pub use crate::exp::TensorExp;
    pub use crate::legendre_p3::TensorLegendreP3;
    pub use crate::multiply_add::TensorMultiplyAdd;
    pub use crate::relu::TensorRelu;
}
