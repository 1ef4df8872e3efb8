//! Sums, means, extremes, and what is made of them.

use burn::backend::{Backend, TensorMetadata, get_device_settings};
use burn::tensor::Shape;

use super::{Index, Var};

impl<B: Backend> Var<B> {
    /// The sum of all elements, shape `[1]`; 0 for an empty tensor. Derivative: the gradient in
    /// every element.
    #[must_use]
    #[track_caller]
    pub fn sum(&self) -> Self {
        let shape = self.shape();
        Self::op(
            "sum",
            [self.clone()],
            |_| shape,
            |[x]| {
                if x.shape().num_elements() == 0 {
                    return B::float_zeros(Shape::new([1]), &x.device(), x.dtype().into());
                }
                B::float_sum(x)
            },
            |shape, g, _| {
                let ones = Shape::from(vec![1; shape.num_dims()]);
                [Some(g.reshape(ones).expand(shape.clone()))]
            },
        )
    }

    /// The sum over a dimension, which stays with size 1. Derivative: the gradient repeated along
    /// it.
    #[must_use]
    #[track_caller]
    pub fn sum_dim(&self, dim: usize) -> Self {
        self.check_dim("sum_dim", dim);
        let mut shape = self.shape();
        shape[dim] = 1;
        self.clone().reduce_to(&shape)
    }

    /// The sum over several dimensions, which stay with size 1.
    #[must_use]
    #[track_caller]
    pub fn sum_dims(&self, dims: &[usize]) -> Self {
        let mut shape = self.shape();
        for &dim in dims {
            self.check_dim("sum_dims", dim);
            shape[dim] = 1;
        }
        self.clone().reduce_to(&shape)
    }

    /// The mean of all elements, shape `[1]`; NaN for an empty tensor.
    #[must_use]
    #[track_caller]
    pub fn mean(&self) -> Self {
        self.sum() / self.shape().num_elements() as f64
    }

    /// The mean over a dimension, which stays with size 1.
    #[must_use]
    #[track_caller]
    pub fn mean_dim(&self, dim: usize) -> Self {
        self.sum_dim(dim) / self.shape()[dim] as f64
    }

    /// The index of the largest element along a dimension, which stays with size 1; the first one
    /// on ties.
    #[must_use]
    #[track_caller]
    pub fn argmax(&self, dim: usize) -> Index<B> {
        self.check_dim("argmax", dim);
        let ints = get_device_settings::<B>(&self.device()).int_dtype;
        Index::new(B::float_argmax(self.raw().clone(), dim, ints))
    }

    /// The index of the smallest element along a dimension, which stays with size 1.
    #[must_use]
    #[track_caller]
    pub fn argmin(&self, dim: usize) -> Index<B> {
        self.check_dim("argmin", dim);
        let ints = get_device_settings::<B>(&self.device()).int_dtype;
        Index::new(B::float_argmin(self.raw().clone(), dim, ints))
    }

    /// The largest element along a dimension, which stays with size 1. The gradient goes to one of
    /// the largest, the one that [`argmax`](Self::argmax) names.
    #[must_use]
    #[track_caller]
    pub fn max_dim(&self, dim: usize) -> Self {
        self.gather(dim, self.argmax(dim))
    }

    /// The smallest element along a dimension, which stays with size 1.
    #[must_use]
    #[track_caller]
    pub fn min_dim(&self, dim: usize) -> Self {
        self.gather(dim, self.argmin(dim))
    }

    /// The largest element, shape `[1]`.
    #[must_use]
    #[track_caller]
    pub fn max(&self) -> Self {
        self.reshape([self.shape().num_elements()]).max_dim(0)
    }

    /// The smallest element, shape `[1]`.
    #[must_use]
    #[track_caller]
    pub fn min(&self) -> Self {
        self.reshape([self.shape().num_elements()]).min_dim(0)
    }

    /// ln Σ eˣ over a dimension, which stays with size 1, without overflow.
    ///
    /// Derivative: the [softmax](Self::softmax).
    #[must_use]
    #[track_caller]
    pub fn log_sum_exp(&self, dim: usize) -> Self {
        // The shift cancels: a constant will do.
        let shift = self.max_dim(dim).detach();
        (self - &shift).exp().sum_dim(dim).log() + shift
    }

    /// eˣ ÷ Σ eˣ over a dimension, without overflow.
    #[must_use]
    #[track_caller]
    pub fn softmax(&self, dim: usize) -> Self {
        let exp = (self - self.max_dim(dim).detach()).exp();
        let sum = exp.sum_dim(dim);
        exp / sum
    }

    /// x − ln Σ eˣ over a dimension, without overflow.
    #[must_use]
    #[track_caller]
    pub fn log_softmax(&self, dim: usize) -> Self {
        let shifted = self - self.max_dim(dim).detach();
        let sum = shifted.exp().sum_dim(dim).log();
        shifted - sum
    }
}
