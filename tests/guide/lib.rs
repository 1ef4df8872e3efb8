//! The README and the chapters of the guide in `docs`, as tests: every example in them is compiled and run.

#[doc = include_str!("../../README.md")]
mod readme {}
#[doc = include_str!("../../docs/introduction.md")]
mod introduction {}
#[doc = include_str!("../../docs/01-first-operation.md")]
mod chapter_1 {}
#[doc = include_str!("../../docs/02-backward.md")]
mod chapter_2 {}
#[doc = include_str!("../../docs/03-inputs-and-outputs.md")]
mod chapter_3 {}
#[doc = include_str!("../../docs/04-saving-and-memory.md")]
mod chapter_4 {}
#[doc = include_str!("../../docs/05-kernels.md")]
mod chapter_5 {}
#[doc = include_str!("../../docs/06-checking.md")]
mod chapter_6 {}
#[doc = include_str!("../../docs/07-second-derivatives.md")]
mod chapter_7 {}
#[doc = include_str!("../../docs/08-modules-and-training.md")]
mod chapter_8 {}
#[doc = include_str!("../../docs/09-coming-from-pytorch.md")]
mod chapter_9 {}
#[doc = include_str!("../../docs/10-how-it-works.md")]
mod chapter_10 {}
