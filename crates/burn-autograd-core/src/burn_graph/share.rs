//! Tracked leaves that many threads may use at once.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use super::watchdog;
use crate::{Error, ErrorKind, OrPanic as _};

/// A leaf of the same value that many threads may compute with at once, each with a backward pass of
/// its own.
///
/// Burn keeps a graph for everything that is connected. A leaf with `require_grad()` belongs to one
/// from the start, so threads that use it share a graph; Burn locks the graphs in one order in a
/// backward pass and in another where an operation joins two of them, and the threads may wait for
/// each other for ever. A leaf whose own (empty) step has been consumed belongs to no graph: what a
/// thread computes from it is in graphs of that thread. So this makes a new leaf, and consumes that
/// step with a backward pass of the leaf alone, which costs one tensor of ones.
///
/// - Use the tensor that is returned, in all threads: its gradients are its own, in each thread's
///   `Gradients`. Whoever collects them adds them.
/// - Call it before the threads start, and again after each step of an optimizer, which makes new
///   leaves.
/// - Do not call `backward()` on the returned leaf itself: Burn panics, and gives it a graph again.
///   `detach()` of it is a new leaf, which is not shared.
/// - Only leaves made here may be shared. A tensor that was computed from tracked ones belongs to a
///   graph, and so does any other leaf that a backward pass has not met, whether Burn's operations use
///   it or ours. Ours, and functions, are reported on standard error if they wait for longer than
///   [`hook_time_limit`](crate::hook_time_limit); Burn's wait without a word.
/// - A computation that is dropped without a backward pass is freed piece by piece in later backward
///   passes of any thread, where Burn would free it at once with a leaf's graph.
///
/// The leaf's strategy of gradient checkpointing stays as it is. Calling it twice is harmless.
///
/// # Panics
///
/// Where [`try_share`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::share;
///
/// let device = Device::flex().autodiff();
/// let w = share(Tensor::<1>::from_floats([3.0, -1.0], &device).require_grad());
/// let gradients: Vec<Vec<f32>> = std::thread::scope(|scope| {
///     let work = |sample: f32| {
///         let w = w.clone();
///         scope.spawn(move || {
///             let loss = (w.clone() * sample).powi_scalar(2).sum();
///             w.grad(&loss.backward()).unwrap().to_data().try_to_vec::<f32>().unwrap()
///         })
///     };
///     let threads = [work(1.0), work(2.0)];
///     threads.into_iter().map(|thread| thread.join().unwrap()).collect()
/// });
/// // 2w·sample².
/// assert_eq!(gradients, [[6.0, -2.0], [24.0, -8.0]]);
/// # }
/// ```
#[track_caller]
#[must_use = "the tensor that is returned may be shared, not the argument"]
pub fn share<const D: usize>(leaf: Tensor<D>) -> Tensor<D> {
    try_share(leaf).or_panic()
}

/// [`share`] with an error instead of a panic.
///
/// # Errors
///
/// [`ErrorKind::Derivative`] if the tensor is no leaf with `require_grad()`, or is distributed over
/// devices: Burn has to meet the step of such a leaf in each backward pass.
pub fn try_share<const D: usize>(leaf: Tensor<D>) -> Result<Tensor<D>, Error> {
    let error = |expected: &str, got: &str| {
        Err(Error::new(ErrorKind::Derivative, "share", "leaf", expected, got))
    };
    if !leaf.is_require_grad() {
        let got = match leaf.is_tracked() {
            true => "one computed from tracked tensors",
            false => "an untracked one",
        };
        return error("a tensor with require_grad()", got);
    }
    if leaf.is_distributed() {
        return error("a leaf of one device", "one that is distributed");
    }
    // Burn's graph locks for both of what follows.
    let _watched = watchdog::recording("share".into(), None);
    // Of a leaf, Burn's detach makes a leaf with a node of its own. Consuming the step of the old one
    // would fail if it had been consumed before.
    let leaf = leaf.detach();
    let _ = leaf.backward();
    Ok(leaf)
}

/// A module whose parameters many threads may compute with at once: each that requires a gradient is
/// [shared](share). Parameters keep their ids, so that the gradients go to the optimizer as before.
///
/// Call it before the threads start, and again after each step of the optimizer.
///
/// # Panics
///
/// If a parameter is distributed over devices.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::share_module;
///
/// let device = Device::flex().autodiff();
/// let layer = share_module(LinearConfig::new(2, 1).with_bias(false).init(&device));
/// let gradients: Vec<Vec<f32>> = std::thread::scope(|scope| {
///     let work = |input: [f32; 2]| {
///         let (layer, device) = (layer.clone(), device.clone());
///         scope.spawn(move || {
///             let loss = layer.forward(Tensor::<2>::from_floats([input], &device)).sum();
///             let gradient = layer.weight.val().grad(&loss.backward()).unwrap();
///             gradient.to_data().try_to_vec::<f32>().unwrap()
///         })
///     };
///     let threads = [work([1.0, 2.0]), work([-3.0, 0.5])];
///     threads.into_iter().map(|thread| thread.join().unwrap()).collect()
/// });
/// assert_eq!(gradients, [[1.0, 2.0], [-3.0, 0.5]]);
/// # }
/// ```
#[must_use = "the module that is returned may be shared, not the argument"]
pub fn share_module<M: Module>(module: M) -> M {
    struct Share;

    impl ModuleMapper for Share {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| match tensor.is_require_grad() {
                true => share(tensor),
                false => tensor,
            })
        }
    }

    module.map(&mut Share)
}
