//! Looking at gradients between two operations: hooks, kept gradients, watch points.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use burn::tensor::Tensor;

use crate::{Context, Error, ErrorKind, Function, Saved, Var, anomaly};

type Body = Arc<dyn Fn(Var) -> Var + Send + Sync>;

/// The identity, whose backward is a closure.
#[derive(Clone)]
struct Hook {
    kind: &'static str,
    place: &'static Location<'static>,
    body: Body,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.kind, self.place)
    }
}

impl Function<1> for Hook {
    fn name(&self) -> Cow<'static, str> {
        format!("{} at {}", self.kind, self.place).into()
    }

    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x]
    }

    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let _watched = Watchdog::watch(self.place);
        [Some((self.body)(g))]
    }
}

fn hooked<const D: usize>(
    kind: &'static str,
    tensor: Tensor<D>,
    place: &'static Location<'static>,
    body: impl Fn(Var) -> Var + Send + Sync + 'static,
) -> Result<Tensor<D>, Error> {
    if !tensor.is_tracked() {
        return Err(Error::new(
            ErrorKind::Derivative,
            kind,
            "tensor",
            "a tensor that is tracked (require_grad() on it, or computed from one that is)",
            "an untracked one, whose gradient is never computed",
        ));
    }
    Hook { kind, place, body: Arc::new(body) }.try_apply([tensor])
}

/// The same tensor, whose gradient passes through `hook`: it sees the gradient and may replace it
/// by another of the same shape. The counterpart of `Tensor.register_hook`, for any tensor, also
/// between Burn's own operations.
///
/// Use the tensor that is returned: only what is computed from that one has its gradient hooked.
/// The gradient comes as a plain tensor, without autodiff.
///
/// Burn holds the graph's lock while a hook runs. A hook that computes with a *tracked* tensor of the
/// graph that is being differentiated would therefore wait for ever; let it capture `inner()` of
/// such a tensor. What the hook returns is checked, and a hook that is still running after
/// [`hook_time_limit`] is reported on standard error with its file and line.
///
/// # Panics
///
/// If the tensor is not tracked; and, in the backward pass, with the hook's file and line, if it
/// returns a gradient of another shape, data type or device, or a tracked one.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::with_hook;
///
/// let x = Tensor::<1>::from_floats([1.0, 5.0], &Device::flex().autodiff()).require_grad();
/// let y = with_hook(x.clone() * 10.0, |grad| grad.clamp(-1.0, 1.0));
/// let dx = x.grad(&(y * 3.0).sum().backward()).unwrap();
/// assert_eq!(dx.to_data().try_to_vec::<f32>().unwrap(), [10.0, 10.0]);
/// # }
/// ```
#[track_caller]
pub fn with_hook<const D: usize>(
    tensor: Tensor<D>,
    hook: impl Fn(Tensor<D>) -> Tensor<D> + Send + Sync + 'static,
) -> Tensor<D> {
    try_with_hook(tensor, hook).unwrap_or_else(|error| panic!("{error}"))
}

/// [`with_hook`] with an error instead of a panic.
///
/// # Errors
///
/// If the tensor is not tracked.
#[track_caller]
pub fn try_with_hook<const D: usize>(
    tensor: Tensor<D>,
    hook: impl Fn(Tensor<D>) -> Tensor<D> + Send + Sync + 'static,
) -> Result<Tensor<D>, Error> {
    hooked("hook", tensor, Location::caller(), move |grad| {
        Var::from_tensor(hook(grad.into_tensor::<D>()))
    })
}

/// The gradient of a tensor in the middle of a computation: see [`retain_grad`].
#[derive(Debug, Clone)]
pub struct Retained<const D: usize>(Arc<Mutex<Option<Tensor<D>>>>);

impl<const D: usize> Retained<D> {
    /// The gradient, as a plain tensor, after a backward pass that reached the tensor; `None`
    /// before. Another backward pass replaces it.
    pub fn grad(&self) -> Option<Tensor<D>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The same tensor, and a handle that will hold its gradient. The counterpart of
/// `Tensor.retain_grad()`.
///
/// # Panics
///
/// If the tensor is not tracked.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::retain_grad;
///
/// let x = Tensor::<1>::from_floats([1.0, 5.0], &Device::flex().autodiff()).require_grad();
/// let (y, retained) = retain_grad(x.clone() * 10.0);
/// assert!(retained.grad().is_none());
/// let _ = (y * 3.0).sum().backward();
/// let dy = retained.grad().unwrap();
/// assert_eq!(dy.to_data().try_to_vec::<f32>().unwrap(), [3.0, 3.0]);
/// # }
/// ```
#[track_caller]
pub fn retain_grad<const D: usize>(tensor: Tensor<D>) -> (Tensor<D>, Retained<D>) {
    try_retain_grad(tensor).unwrap_or_else(|error| panic!("{error}"))
}

/// [`retain_grad`] with an error instead of a panic.
///
/// # Errors
///
/// If the tensor is not tracked.
#[track_caller]
pub fn try_retain_grad<const D: usize>(
    tensor: Tensor<D>,
) -> Result<(Tensor<D>, Retained<D>), Error> {
    let retained = Retained(Arc::new(Mutex::new(None)));
    let slot = retained.0.clone();
    let tensor = hooked("retain_grad", tensor, Location::caller(), move |grad| {
        let copy = grad.clone().into_tensor::<D>();
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        grad
    })?;
    Ok((tensor, retained))
}

/// The same tensor as a watch point of [`AnomalyMode`](crate::AnomalyMode): in the backward pass,
/// the first watch point at which the gradient is not finite panics with its file and line, and with
/// those of the last one at which it was; one of the operations between them is to blame.
///
/// Without the mode, or for an untracked tensor, it does nothing.
#[track_caller]
pub fn watch<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if !anomaly::enabled() || !tensor.is_tracked() {
        return tensor;
    }
    let place = Location::caller();
    let order = crate::tape::fresh();
    let check = move |grad: Var| {
        anomaly::passed(&grad, order, place).unwrap_or_else(|error| panic!("{error}"));
        grad
    };
    hooked("watch", tensor, place, check).unwrap_or_else(|error| panic!("{error}"))
}

/// How long a hook may run before it is reported on standard error; 30 seconds if not set.
///
/// The report does not end the hook, which may only be slow.
pub fn hook_time_limit(limit: Duration) {
    LIMIT.store(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

static LIMIT: AtomicU64 = AtomicU64::new(30_000);

/// Reports hooks that do not come back.
#[derive(Default)]
struct Watchdog {
    running: Mutex<HashMap<u64, (Instant, &'static Location<'static>)>>,
    wake: Condvar,
}

struct Watched(u64);

impl Watchdog {
    fn get() -> &'static Self {
        static WATCHDOG: OnceLock<Watchdog> = OnceLock::new();
        WATCHDOG.get_or_init(|| {
            // Without threads (WebAssembly) nothing is reported.
            let _ = std::thread::Builder::new()
                .name("burn-autograd hooks".into())
                .spawn(|| Self::get().patrol());
            Self::default()
        })
    }

    fn watch(place: &'static Location<'static>) -> Watched {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let watchdog = Self::get();
        let mut running = watchdog.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(id, (Instant::now(), place));
        if running.len() == 1 {
            watchdog.wake.notify_one();
        }
        Watched(id)
    }

    #[expect(clippy::print_stderr, reason = "the thread that would tell its caller hangs")]
    fn patrol(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let limit = Duration::from_millis(LIMIT.load(Ordering::Relaxed));
            running.retain(|_, (start, place)| {
                let late = start.elapsed() >= limit;
                if late {
                    eprintln!(
                        "burn-autograd: the hook at {place} has been running for {:.1} s. If it \
                         computes with a tracked tensor of the graph that is being differentiated, \
                         it waits for a lock that its own backward pass holds, and will not return: \
                         let the hook capture `inner()` of that tensor.",
                        start.elapsed().as_secs_f64()
                    );
                }
                !late
            });
            running = if running.is_empty() {
                self.wake.wait(running).unwrap_or_else(PoisonError::into_inner)
            } else {
                let nap = (limit / 4).clamp(Duration::from_millis(5), Duration::from_secs(1));
                self.wake.wait_timeout(running, nap).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let watchdog = Watchdog::get();
        watchdog.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}
