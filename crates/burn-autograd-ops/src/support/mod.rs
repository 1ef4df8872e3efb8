//! What the operations' kernels share: one pass over memory on the CPU backends, one launch on the
//! CubeCL backend. It knows no operation.

pub(crate) mod broadcast;
pub(crate) mod cpu;
#[cfg(feature = "cube")]
pub(crate) mod cube;
#[cfg(feature = "flex")]
pub(crate) mod flex;
pub(crate) mod lanes;
pub(crate) mod matrices;
#[cfg(feature = "ndarray")]
pub(crate) mod ndarray;
mod precision;
pub(crate) mod product;
mod real;
#[cfg(feature = "router")]
pub(crate) mod router;

use burn::backend::{DispatchTensor, TensorMetadata};
use burn::tensor::Shape;
use burn_autograd_core::{Error, ErrorKind, Var, check};

pub(crate) use precision::{cast, wide};
pub(crate) use real::Real;

/// Whether there is nothing to compute. Burn 0.22.1's fusion loses results that are queued together
/// with an operation on an empty tensor: none is queued then.
pub(crate) fn is_empty(tensor: &impl TensorMetadata) -> bool {
    tensor.shape().num_elements() == 0
}

/// The dimensions in another order, and the gradient in the first: both laid out, see
/// [`lay_out`](burn_autograd_core::lay_out). Two at a time: Burn 0.22.1 sends a permutation of floats to a
/// remote device as one of integers, if fusion is on.
pub(crate) fn permuted<const D: usize>(
    tensor: burn::tensor::Tensor<D>,
    axes: [usize; D],
) -> burn::tensor::Tensor<D> {
    use burn::backend::Dispatch;
    use burn::tensor::Tensor;

    let laid_out = |tensor: Tensor<D>| {
        Tensor::<D>::from_dispatch(burn_autograd_core::lay_out::<Dispatch>(tensor.into_dispatch()))
    };
    let (mut tensor, mut order) = (laid_out(tensor), std::array::from_fn::<_, D, _>(|dim| dim));
    for (dim, axis) in axes.into_iter().enumerate() {
        let from = order.iter().position(|other| *other == axis).expect("a permutation");
        if from != dim {
            tensor = tensor.swap_dims(dim, from);
            order.swap(dim, from);
        }
    }
    laid_out(tensor)
}

/// The last two of at least two dimensions exchanged.
pub(crate) fn transposed<const D: usize>(
    tensor: burn::tensor::Tensor<D>,
) -> burn::tensor::Tensor<D> {
    let mut axes: [usize; D] = std::array::from_fn(|dim| dim);
    axes.swap(D - 2, D - 1);
    permuted(tensor, axes)
}

/// Checks variables as [`check::floats`] checks tensors: a kernel would read the bytes of one data
/// type as those of the other, or round to that of its first operand.
pub(crate) fn variables(operation: &str, given: &[(&'static str, &Var)]) -> Result<(), Error> {
    // Nearly always there is nothing to say, and small operations are called often.
    let first = given[0].1;
    let (dtype, device) = (first.dtype(), first.device());
    if given.iter().skip(1).all(|(_, var)| var.dtype() == dtype && var.device() == device) {
        return Ok(());
    }
    // The check looks at no value, so that nothing is lost where they are being differentiated.
    let given: Vec<_> = given.iter().map(|(name, var)| (*name, var.detach())).collect();
    let tensors: Vec<_> = given.iter().map(|(name, var)| (*name, var.primitive())).collect();
    check::floats(operation, &tensors)
}

/// Checks two float arguments that must have one shape.
pub(crate) fn same_shape(
    operation: &'static str,
    first: (&'static str, &DispatchTensor),
    second: (&'static str, &DispatchTensor),
) -> Result<(), Error> {
    check::floats(operation, &[first, second])?;
    equal_shapes(operation, (first.0, &first.1.shape()), (second.0, &second.1.shape()))
}

/// Checks the shapes alone.
pub(crate) fn equal_shapes(
    operation: &'static str,
    first: (&'static str, &Shape),
    second: (&'static str, &Shape),
) -> Result<(), Error> {
    if first.1 == second.1 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Shape,
        operation,
        second.0,
        format!("the shape of `{}`, {:?}", first.0, first.1.to_vec()),
        format!("{:?}", second.1.to_vec()),
    ))
}
