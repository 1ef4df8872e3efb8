//! Gradient checking for [Burn](burn), with a computed error bound instead of a guessed tolerance.
//!
//! [`gradcheck`] compares the gradient that a backward pass gives with a numeric derivative, entry
//! by entry of the Jacobian; [`gradgradcheck`] does so for the second derivative. They need no
//! tolerance: the numeric derivative comes with a bound on its own error, from extrapolation and
//! from the measured noise of the function ([`numeric`]), and the analytic gradient with a bound on
//! its rounding. An entry is
//!
//! - [`Pass`](Verdict::Pass) if both agree within these bounds, and the bounds are small enough to
//!   have seen a mistake: the report says which ([`Record::detects`]);
//! - [`Fail`](Verdict::Fail) if they do not, on two different step ladders or by more than a hundred
//!   bounds;
//! - [`Unchecked`](Verdict::Unchecked) if nothing can be said, for a reason that is given: a kink,
//!   or too much noise. It is never counted as a pass;
//! - [`Invalid`](Verdict::Invalid) if the function cannot be evaluated, or computes in less than `f64`
//!   though its inputs are `f64`: what is wrong then is not the gradient.
//!
//! ```
//! # #[cfg(feature = "flex")] {
//! use burn::tensor::{DType, Device, Tensor};
//! use burn_autograd_gradcheck::gradcheck;
//!
//! let device = Device::flex();
//! let x = Tensor::<2>::from_data([[0.5, -1.25], [2.0, 0.75]], (&device, DType::F64));
//! gradcheck(|x: Tensor<2>| x.clone().tanh() * x, x).assert_pass();
//! # }
//! ```
//!
//! Give `f64` inputs, on the `flex` or `ndarray` backend. Only there is the numeric side precise; on
//! `f32` inputs it is not, and small mistakes go [`Unchecked`](Verdict::Unchecked). To check a
//! backend that has `f32` alone, give it a [`reference`](Gradcheck::reference) device: the gradient
//! is proven there in `f64` and compared here under a derived bound.
//!
//! A sum as the loss hides mistakes, so none is used: every output element's gradient is checked by
//! itself, and structural checks use random cotangents.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod api;
mod array;
mod calibrate;
mod control;
mod diagnosis;
mod draft;
mod evaluate;
#[doc = include_str!("guide.md")]
pub mod guide {}
mod integers;
mod jacobian;
mod line;
mod lower;
mod modules;
pub mod numeric;
mod parity;
mod projection;
mod proven;
mod random;
mod record;
pub mod report;
mod structure;
mod subject;
pub mod suite;
mod values;

pub use api::{Gradcheck, gradcheck, gradcheck_module, gradcheck_order, gradgradcheck};
pub use array::Array;
pub use calibrate::{Calibration, Intrinsic};
pub use control::{Control, Mistake};
pub use random::SplitMix64;
pub use record::{Record, Report, Verdict, Worst};
pub use subject::Subject;
pub use values::Expected;

#[cfg(all(doctest, feature = "flex"))]
#[doc = include_str!("../README.md")]
mod readme {}
