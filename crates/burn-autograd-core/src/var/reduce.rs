//! Sums, means, extremes, and what is made of them.

use burn::backend::{Backend, TensorMetadata, get_device_settings};
use burn::tensor::Shape;

use super::empty::zeros;
use super::layout::for_reduction;
use super::{Index, Var};
use crate::{Error, ErrorKind};

impl<B: Backend> Var<B> {
    /// Refuses to look for an extreme among no elements.
    #[track_caller]
    fn check_filled(&self, operation: &'static str, dim: usize) {
        self.check_dim(operation, dim);
        let shape = self.shape();
        if shape[dim] == 0 {
            let expected = format!("at least one element along dimension {dim}");
            let got = format!("the shape {:?}", shape.to_vec());
            Error::new(ErrorKind::Shape, operation, "self", expected, got).raise();
        }
    }

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
                    return zeros::<B>(Shape::new([1]), &x);
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
        self.check_dim("mean_dim", dim);
        self.sum_dim(dim) / self.shape()[dim] as f64
    }

    /// The index of the largest element along a dimension, which stays with size 1; the first one
    /// on ties.
    #[must_use]
    #[track_caller]
    pub fn argmax(&self, dim: usize) -> Index<B> {
        self.check_filled("argmax", dim);
        let ints = get_device_settings::<B>(&self.device()).int_dtype;
        Index::new(B::float_argmax(for_reduction::<B>(self.raw().clone()), dim, ints))
    }

    /// The index of the smallest element along a dimension, which stays with size 1.
    #[must_use]
    #[track_caller]
    pub fn argmin(&self, dim: usize) -> Index<B> {
        self.check_filled("argmin", dim);
        let ints = get_device_settings::<B>(&self.device()).int_dtype;
        Index::new(B::float_argmin(for_reduction::<B>(self.raw().clone()), dim, ints))
    }

    /// The largest element along a dimension, which stays with size 1. The gradient goes to one of
    /// the largest, the one that [`argmax`](Self::argmax) names.
    #[must_use]
    #[track_caller]
    pub fn max_dim(&self, dim: usize) -> Self {
        self.check_filled("max_dim", dim);
        self.gather(dim, self.argmax(dim))
    }

    /// The smallest element along a dimension, which stays with size 1.
    #[must_use]
    #[track_caller]
    pub fn min_dim(&self, dim: usize) -> Self {
        self.check_filled("min_dim", dim);
        self.gather(dim, self.argmin(dim))
    }

    /// The largest element, shape `[1]`.
    #[must_use]
    #[track_caller]
    pub fn max(&self) -> Self {
        let flat = self.reshape([self.shape().num_elements()]);
        flat.check_filled("max", 0);
        flat.max_dim(0)
    }

    /// The smallest element, shape `[1]`.
    #[must_use]
    #[track_caller]
    pub fn min(&self) -> Self {
        let flat = self.reshape([self.shape().num_elements()]);
        flat.check_filled("min", 0);
        flat.min_dim(0)
    }

    /// ln Σ eˣ over a dimension, which stays with size 1, without overflow.
    ///
    /// Derivative: the [softmax](Self::softmax).
    #[must_use]
    #[track_caller]
    pub fn log_sum_exp(&self, dim: usize) -> Self {
        self.check_filled("log_sum_exp", dim);
        // The shift cancels: a constant will do.
        let shift = self.max_dim(dim).detach();
        // ∞ − ∞ would make NaN of ∞, and of nothing but −∞.
        let shift = shift.mask_fill(&shift.abs().equal_elem(f64::INFINITY), 0.0);
        (self - &shift).exp().sum_dim(dim).log() + shift
    }

    /// eˣ ÷ Σ eˣ over a dimension, without overflow.
    #[must_use]
    #[track_caller]
    pub fn softmax(&self, dim: usize) -> Self {
        self.check_dim("softmax", dim);
        if self.shape().num_elements() == 0 {
            return self.clone();
        }
        let exp = (self - self.max_dim(dim).detach()).exp();
        let sum = exp.sum_dim(dim);
        exp / sum
    }

    /// x − ln Σ eˣ over a dimension, without overflow.
    #[must_use]
    #[track_caller]
    pub fn log_softmax(&self, dim: usize) -> Self {
        self.check_dim("log_softmax", dim);
        if self.shape().num_elements() == 0 {
            return self.clone();
        }
        let shifted = self - self.max_dim(dim).detach();
        let sum = shifted.exp().sum_dim(dim).log();
        shifted - sum
    }
}
