//! Strides that Burn's kernels for GPUs compute wrongly with, and how they are avoided.
//!
//! Two mistakes of Burn 0.22.1's CubeCL backend depend on how a tensor lies in memory, and on nothing
//! that an operation could see: its primitive under fusion tells no strides. Both are plain to see in
//! Burn's own operations on wgpu.
//!
//! - With fusion, elementwise operations choose the width of their vectors by strides in which a
//!   dimension of size 1 counts, and the order of their elements by strides in which it does not. Where
//!   x has shape `[8, 1]` and y `[1, 8]`, `(x.swap_dims(0, 1) + y) * 2` has the first half of its
//!   elements wrong in the second.
//! - With and without fusion, a reduction of a tensor of rank 4 or more along one of the first dimensions
//!   reads the wrong elements where the others are permuted: `x.swap_dims(2, 3).sum_dim(0)` of shape
//!   `[3, 2, 2, 2]` sums the elements of other columns.
//!
//! A tensor that is made flat and given its shape again has the strides that its shape says; it is
//! copied only if it had others. Neither step is fused.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

/// A tensor from elsewhere, laid out for elementwise operations: the same values, with the strides that
/// its shape says where Burn's kernel fusion would compute wrongly with others.
///
/// With fusion, Burn 0.22.1 gets elementwise operations wrong on tensors with a dimension of size 1 that
/// are views: `(x.swap_dims(0, 1) + y) * 2` for x of shape `[8, 1]` and y of shape `[1, 8]`. [`Var`]s lay
/// out what they wrap, and what they permute; call this on what comes from Burn's own `permute` and goes
/// to Burn's own operations. It costs two cuts of the queue, and a copy if the strides are others;
/// nothing where no dimension has size 1, and without fusion.
///
/// Its derivative is itself, and lays out the gradient.
///
/// [`Var`]: crate::Var
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::backend::Dispatch;
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::lay_out;
///
/// let column = Tensor::<2>::from_floats([[1.0], [2.0]], &Device::flex());
/// let row = column.swap_dims(0, 1).into_dispatch();
/// let row = Tensor::<2>::from_dispatch(lay_out::<Dispatch>(row));
/// assert_eq!(row.to_data().try_to_vec::<f32>().unwrap(), [1.0, 2.0]);
/// # }
/// ```
pub fn lay_out<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    let shape = tensor.shape();
    if is_risky_for_elements(&shape) && runs_on::<B>(&tensor, "fusion<") {
        return laid_out::<B>(tensor, shape);
    }
    tensor
}

/// A tensor that is about to be reduced along some of its dimensions.
pub(crate) fn for_reduction<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    let shape = tensor.shape();
    if is_risky_for_reductions(&shape) && runs_on::<B>(&tensor, "cubecl<") {
        return laid_out::<B>(tensor, shape);
    }
    tensor
}

/// With one element there is no order; with one dimension there is only one.
fn is_risky_for_elements(shape: &Shape) -> bool {
    shape.num_dims() > 1 && shape.num_elements() > 1 && shape.iter().any(|size| *size == 1)
}

fn is_risky_for_reductions(shape: &Shape) -> bool {
    shape.num_dims() > 3 && shape.num_elements() > 1
}

/// Whether a backend of this kind is among those that `B` is made of, by its name: a backend that is
/// chosen at run time has no other way to say so.
fn runs_on<B: Backend>(tensor: &FloatTensor<B>, kind: &str) -> bool {
    B::name(&tensor.device()).contains(kind)
}

fn laid_out<B: Backend>(tensor: FloatTensor<B>, shape: Shape) -> FloatTensor<B> {
    let flat = Shape::new([shape.num_elements()]);
    B::float_reshape(B::float_reshape(tensor, flat), shape)
}

/// The dimensions in another order.
///
/// With fusion, Burn 0.22.1 sends a permutation of floats to a remote device as one of integers, which
/// refuses it: there it is made of exchanges of two dimensions.
pub(crate) fn permuted<B: Backend>(tensor: FloatTensor<B>, axes: &[usize]) -> FloatTensor<B> {
    let tensor = settled::<B>(tensor);
    if !runs_on::<B>(&tensor, "router<") {
        return lay_out::<B>(B::float_permute(tensor, axes));
    }
    let (mut tensor, mut order) = (tensor, (0..axes.len()).collect::<Vec<_>>());
    for (dim, axis) in axes.iter().enumerate() {
        let from = order.iter().position(|other| other == axis).unwrap_or(dim);
        if from != dim {
            tensor = B::float_swap_dims(tensor, dim, from);
            order.swap(dim, from);
        }
    }
    lay_out::<B>(tensor)
}

/// Hands what is queued to the device, without waiting for it.
///
/// Burn's fusion computes wrongly with a batch of matrices that is made, permuted and used in one
/// queue: third derivatives of a batched product had the elements of another matrix. What was
/// permuted after it had been handed over is right.
pub(crate) fn settled<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    if tensor.shape().num_dims() > 2 && runs_on::<B>(&tensor, "fusion<") {
        // What fails here fails again where a result is read, with its reason.
        let _ = B::flush(&tensor.device());
    }
    tensor
}
