use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use burn::backend::{AutodiffBackend, Dispatch, TensorMetadata};
use burn::tensor::{Gradients, Tensor};

use crate::tracking::is_tracked;
use crate::{Error, ErrorKind, Tensors};

/// The gradients of a loss on Burn's own graph, with what Burn leaves to the caller checked: the
/// strict form of `loss.backward()` and `x.grad(&gradients)`.
///
/// Consumes the graph, as `backward()` does; the gradients are constants. For gradients that can be
/// differentiated, or taken more than once, see [`grad`](crate::grad) and [`vjp`](crate::vjp).
///
/// # Errors
///
/// - [`ErrorKind::Shape`] if the loss has several elements (Burn would silently sum them);
/// - [`ErrorKind::Derivative`] if the loss or an input is untracked, the loss does not depend on
///   an input (Burn's `grad` gives `None`), or a backward pass has consumed the graph already, or the
///   part of it that two losses share (Burn panics).
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::gradients;
///
/// let device = Device::flex().autodiff();
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &device).require_grad();
/// let y = x.clone() * 3.0;
/// let error = gradients(y.clone(), x.clone()).unwrap_err();
/// assert!(error.to_string().contains("one element"));
/// let dx = gradients(y.sum(), x).unwrap();
/// assert_eq!(dx.to_data().try_to_vec::<f32>().unwrap(), [3.0, 3.0]);
/// # }
/// ```
pub fn gradients<const D: usize, I: Tensors>(loss: Tensor<D>, inputs: I) -> Result<I, Error> {
    const OPERATION: &str = "gradients";
    let loss = loss.into_dispatch();
    let error = |argument: String, expected: &str, got: String| {
        Err(Error::new(ErrorKind::Derivative, OPERATION, argument, expected, got))
    };
    if loss.shape().num_elements() != 1 {
        return Err(Error::new(
            ErrorKind::Shape,
            OPERATION,
            "loss",
            "one element",
            format!("the shape {:?}", loss.shape().to_vec()),
        ));
    }
    if !is_tracked(&loss) {
        return Err(untracked(OPERATION));
    }
    let inputs = inputs.into_dispatch();
    for (index, input) in inputs.iter().enumerate() {
        let leaf = is_tracked(input)
            && <Dispatch as burn::backend::ops::FloatTensorOps<_>>::float_is_require_grad(input);
        if !leaf {
            let expected = "a tensor with require_grad()";
            let got = if is_tracked(input) {
                "one computed from tracked tensors"
            } else {
                "an untracked one"
            };
            return error(format!("inputs[{index}]"), expected, got.into());
        }
    }
    let found = consuming(OPERATION, || <Dispatch as AutodiffBackend>::backward(loss))?;
    let mut grads = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.iter().enumerate() {
        match <Dispatch as AutodiffBackend>::grad(input, &found) {
            Some(grad) => grads.push(grad),
            None => {
                let expected = "an input that the loss depends on";
                return error(format!("inputs[{index}]"), expected, "one that it does not".into());
            }
        }
    }
    Ok(I::from_dispatch(grads))
}

/// Burn's `loss.backward()`, with an error where the graph is gone or there is none: for
/// [`Gradients`] of many tensors, as an optimizer wants them.
///
/// As Burn's, it differentiates the sum of a loss of several elements; [`gradients`] refuses that.
/// Burn panics before it has touched anything, so that other graphs are as they were. The panic is
/// caught here; its message still goes to standard error.
///
/// # Errors
///
/// [`ErrorKind::Derivative`] if the loss is untracked, or a backward pass has consumed its graph
/// already, or the part of it that two losses share.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::try_backward;
///
/// let device = Device::flex().autodiff();
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &device).require_grad();
/// let loss = (x.clone() * 3.0).sum();
/// let gradients = try_backward(&loss).unwrap();
/// let dx = x.grad(&gradients).unwrap();
/// assert_eq!(dx.to_data().try_to_vec::<f32>().unwrap(), [3.0, 3.0]);
/// // The pass has consumed the graph.
/// let error = try_backward(&loss).err().unwrap();
/// assert_eq!((error.operation(), error.argument()), ("try_backward", "loss"));
/// # }
/// ```
pub fn try_backward<const D: usize>(loss: &Tensor<D>) -> Result<Gradients, Error> {
    const OPERATION: &str = "try_backward";
    if !loss.is_tracked() {
        return Err(untracked(OPERATION));
    }
    consuming(OPERATION, || loss.backward())
}

fn untracked(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::Derivative,
        operation,
        "loss",
        "a tensor that depends on a tracked one",
        "an untracked one",
    )
}

/// Burn's backward pass, with an error where the graph is gone.
///
/// Burn tells nobody whether a graph has been consumed, it panics; and it does so before it has
/// touched anything.
fn consuming<T>(operation: &'static str, pass: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(pass)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        match text.or_else(|| payload.downcast_ref::<&str>().copied()) {
            Some(text) if text.contains("already been consumed") => Error::new(
                ErrorKind::Derivative,
                operation,
                "loss",
                "a graph that no backward pass has consumed (ask for all inputs at once, add the \
                 losses, or take `vjp`, whose pullback can be called many times)",
                "one that was consumed, in whole or in part",
            ),
            _ => resume_unwind(payload),
        }
    })
}
