//! Finding the operation whose backward makes the first NaN or infinity.

use std::borrow::Cow;
use std::cell::Cell;
use std::panic::Location;

use burn::backend::Backend;

use crate::{Error, ErrorKind, Var};

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static LAST_FINITE: Cell<Option<(u64, &'static Location<'static>)>> = const { Cell::new(None) };
}

/// While it lives, backward passes on this thread look for the first NaN or infinity: the
/// counterpart of `torch.autograd.detect_anomaly`.
///
/// - A [`Function`](crate::Function) that was applied while the mode was on panics, in the backward
///   pass, if it makes a non-finite gradient of finite ones. The message names the function, the
///   input, and the file and line where it was applied.
/// - An operation with kernels ([`Rule`](crate::Rule)), as those of the library, does so too on Burn's
///   graph; the message has its name, but not where it was applied.
/// - A [`Var`] operation does the same in the transforms; they return the message as an error.
/// - Burn's own operations are located between two calls of [`watch`](crate::watch).
///
/// Every check reads the gradient back from the device: use it to find a fault, not in production. A
/// compiler of shaders may compute as if there were no infinities; what it removes is not found.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{AnomalyMode, Transform, Var};
///
/// let x = Tensor::<1>::from_floats([0.0], &Device::flex());
/// let _mode = AnomalyMode::enable();
/// // √(x²) is |x|; its backward divides 0 by 0 at 0.
/// let error = Transform::new().grad(|x: Var| x.powi(2).sqrt().sum(), x).unwrap_err();
/// assert_eq!(error.operation(), "sqrt");
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the mode is on as long as this lives"]
pub struct AnomalyMode(
    /// The mode is the thread's: it stays there.
    std::marker::PhantomData<*const ()>,
);

impl AnomalyMode {
    /// Turns the mode on for this thread.
    pub fn enable() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self(std::marker::PhantomData)
    }
}

impl Drop for AnomalyMode {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if !enabled() {
            LAST_FINITE.set(None);
        }
    }
}

pub(crate) fn enabled() -> bool {
    DEPTH.get() > 0
}

pub(crate) fn is_finite<B: Backend>(var: &Var<B>) -> bool {
    // On the host: a shader compiler may assume that there are none.
    var.to_data().iter::<f64>().all(f64::is_finite)
}

/// Blames an operation, which was applied at a place if that is known: Burn's dispatch hides it.
pub(crate) fn error(name: Cow<'static, str>, input: usize, place: Option<&Location<'_>>) -> Error {
    let place = match place {
        Some(place) => format!("the operation was applied at {place}"),
        None => "`watch` tells where the operation was applied".into(),
    };
    Error::new(
        ErrorKind::Derivative,
        name,
        format!("gradient of input {input}"),
        format!("finite numbers, from finite gradients ({place})"),
        "NaN or infinity",
    )
}

/// Remembers that gradients were finite at a place, one of those in the `order` in which they were
/// made, or blames what lies between it and the last
/// place where they were.
#[cfg(feature = "autodiff")]
pub(crate) fn passed(
    var: &Var,
    order: u64,
    place: &'static Location<'static>,
) -> Result<(), Error> {
    if is_finite(var) {
        LAST_FINITE.set(Some((order, place)));
        return Ok(());
    }
    // What was made later is met earlier; a place that was made before belongs to another pass.
    let (expected, whence) = match LAST_FINITE.get().filter(|(last, _)| *last > order) {
        Some((_, last)) => ("finite numbers, as at", format!("{last}")),
        None => ("finite numbers", "from the end of the computation".into()),
    };
    Err(Error::new(
        ErrorKind::Derivative,
        "watch",
        format!("gradient at {place}"),
        format!("{expected} {whence}: an operation between these places makes them"),
        "NaN or infinity",
    ))
}
