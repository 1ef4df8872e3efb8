//! What the code of this thread runs in: whether it is recorded, on whose behalf, under which watch.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::{AnomalyMode, Error, anomaly};

#[derive(Debug, Clone, Copy)]
struct Flags {
    recording: bool,
    /// A body runs that Burn's graph records as a whole, or whose backward Burn runs with its graph
    /// locked.
    on_graph: bool,
    /// Somebody wants errors returned.
    catching: bool,
}

thread_local! {
    static FLAGS: Cell<Flags> = const {
        Cell::new(Flags { recording: true, on_graph: false, catching: false })
    };
    /// The bodies that run, the innermost last: the function's name, and which of its bodies.
    static BODIES: RefCell<Vec<(Cow<'static, str>, &'static str)>> = const { RefCell::new(Vec::new()) };
}

/// Changes what the code of this thread runs in, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Scope {
    before: Flags,
    body: bool,
}

impl Scope {
    fn enter(change: impl FnOnce(&mut Flags)) -> Self {
        let before = FLAGS.get();
        let mut flags = before;
        change(&mut flags);
        FLAGS.set(flags);
        Self { before, body: false }
    }

    /// Operations are recorded, or not.
    pub(crate) fn recording(on: bool) -> Self {
        Self::enter(|flags| flags.recording = on)
    }

    #[cfg(feature = "autodiff")]
    pub(crate) fn on_graph() -> Self {
        Self::enter(|flags| flags.on_graph = true)
    }

    /// A function's body runs: errors name it.
    pub(crate) fn body(name: Cow<'static, str>, part: &'static str) -> Self {
        BODIES.with_borrow_mut(|bodies| bodies.push((name, part)));
        Self { before: FLAGS.get(), body: true }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        FLAGS.set(self.before);
        if self.body {
            BODIES.with_borrow_mut(Vec::pop);
        }
    }
}

/// Whether operations on this thread are recorded.
pub(crate) fn recording() -> bool {
    FLAGS.get().recording
}

pub(crate) fn is_on_graph() -> bool {
    FLAGS.get().on_graph
}

/// Whether a function's body runs.
pub(crate) fn is_in_body() -> bool {
    BODIES.with_borrow(|bodies| !bodies.is_empty())
}

/// An operation, and the body it runs in.
pub(crate) fn describe(operation: &str) -> Option<String> {
    BODIES.with_borrow(|bodies| {
        let (name, part) = bodies.last()?;
        Some(format!("{operation} (in the {part} of {name})"))
    })
}

/// Runs `body`, and returns an error that an operation of this library in it panics with.
///
/// Where panics abort the process the operation panics.
pub(crate) fn catching<T>(body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let _scope = Scope::enter(|flags| flags.catching = true);
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| match payload.downcast() {
        Ok(error) => Err(*error),
        Err(payload) => resume_unwind(payload),
    })
}

/// Panics with an error, or hands it to [`catching`].
#[track_caller]
pub(crate) fn raise(error: Error) -> ! {
    if FLAGS.get().catching && cfg!(panic = "unwind") {
        resume_unwind(Box::new(error));
    }
    panic!("{error}")
}

/// Runs `body` without recording it: its results are constants, for the transforms and for Burn's
/// `backward()`. The counterpart of `torch.no_grad` for [`Var`](crate::Var)s.
///
/// It holds for this thread. [`Mode`] carries it to another one.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Var, grad, without_recording};
///
/// let x = Tensor::<1>::from_floats([3.0], &Device::flex());
/// // x·x with the first factor held constant.
/// let dx = grad(|x: Var| without_recording(|| &x * 1.0) * x, x);
/// assert_eq!(dx.into_scalar::<f32>(), 3.0);
/// # }
/// ```
pub fn without_recording<T>(body: impl FnOnce() -> T) -> T {
    let _scope = Scope::recording(false);
    body()
}

/// What a thread has switched on and off ([`without_recording`], [`AnomalyMode`](crate::AnomalyMode)),
/// to be taken to the threads that work for it.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Mode, Var, without_recording};
///
/// let x = Var::leaf(Tensor::<1>::from_floats([3.0], &Device::flex()));
/// let y = without_recording(|| {
///     let mode = Mode::current();
///     std::thread::scope(|scope| scope.spawn(|| mode.run(|| &x * 2.0)).join().unwrap())
/// });
/// assert!(!y.is_recorded());
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Mode {
    recording: bool,
    anomaly: bool,
}

impl Mode {
    /// That of this thread.
    #[must_use]
    pub fn current() -> Self {
        Self { recording: recording(), anomaly: anomaly::enabled() }
    }

    /// Runs `body` in this mode.
    pub fn run<T>(self, body: impl FnOnce() -> T) -> T {
        let _scope = Scope::recording(self.recording);
        let _mode = self.anomaly.then(AnomalyMode::enable);
        body()
    }
}
