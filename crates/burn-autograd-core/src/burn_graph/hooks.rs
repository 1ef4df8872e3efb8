//! Looking at gradients between two operations: hooks, kept gradients, watch points.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;

use crate::{Context, Error, ErrorKind, Function, OrPanic as _, Saved, Var, anomaly};

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
        [Some((self.body)(g))]
    }
}

#[track_caller]
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
/// [`hook_time_limit`](crate::hook_time_limit) is reported on standard error with its file and line.
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
    try_with_hook(tensor, hook).or_panic()
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

/// A tensor that a backward pass leaves behind: the gradient in the middle of a computation (see
/// [`retain_grad`]), or an auxiliary result of a [`Function`]'s backward, which holds a clone of this.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Context, Function, Retained, Saved, Var};
///
/// /// The identity, which reports the square of its gradient.
/// #[derive(Debug, Clone)]
/// struct Reporting(Retained<1>);
///
/// impl Function<1> for Reporting {
///     fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
///         [x]
///     }
///     fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
///         self.0.put(&g.square());
///         [Some(g)]
///     }
/// }
///
/// let statistic = Retained::default();
/// let x = Tensor::<1>::from_floats([2.0], &Device::flex().autodiff()).require_grad();
/// let _ = (Reporting(statistic.clone()).apply([x]) * 3.0).sum().backward();
/// assert_eq!(statistic.get().unwrap().into_scalar::<f32>(), 9.0);
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Retained<const D: usize>(Arc<Mutex<Option<Tensor<D>>>>);

impl<const D: usize> Retained<D> {
    /// The tensor, as a plain one, after a backward pass that left it; `None` before.
    pub fn get(&self) -> Option<Tensor<D>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Leaves a tensor in the place of the one before.
    ///
    /// # Panics
    ///
    /// If its rank is not `D`.
    #[track_caller]
    pub fn put(&self, var: &Var) {
        let tensor = var.detach().into_tensor();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tensor);
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
/// assert!(retained.get().is_none());
/// let _ = (y * 3.0).sum().backward();
/// let dy = retained.get().unwrap();
/// assert_eq!(dy.to_data().try_to_vec::<f32>().unwrap(), [3.0, 3.0]);
/// # }
/// ```
#[track_caller]
pub fn retain_grad<const D: usize>(tensor: Tensor<D>) -> (Tensor<D>, Retained<D>) {
    try_retain_grad(tensor).or_panic()
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
    let retained = Retained::default();
    let slot = retained.clone();
    let tensor = hooked("retain_grad", tensor, Location::caller(), move |grad| {
        slot.put(&grad);
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
        anomaly::passed(&grad, order, place).or_panic();
        grad
    };
    hooked("watch", tensor, place, check).or_panic()
}
