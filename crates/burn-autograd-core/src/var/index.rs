//! Picking elements by integer tensors.

use burn::backend::tensor::IntTensor;
use burn::backend::{Backend, Dispatch, DispatchAutodiffContext, TensorMetadata};
use burn::tensor::{IndexingUpdateOp, Int, Shape, Tensor};

use super::Var;
use super::shape::refuse;

/// An integer tensor of any rank, which picks elements.
#[derive(Debug, Clone)]
pub struct Index<B: Backend = Dispatch>(IntTensor<B>);

impl<B: Backend> Index<B> {
    /// Wraps a primitive.
    pub fn new(index: IntTensor<B>) -> Self {
        Self(index)
    }

    /// The primitive.
    pub fn into_primitive(self) -> IntTensor<B> {
        self.0
    }

    /// The shape.
    pub fn shape(&self) -> Shape {
        self.0.shape()
    }
}

impl<const D: usize> From<Tensor<D, Int>> for Index {
    fn from(index: Tensor<D, Int>) -> Self {
        let mut index = index.into_dispatch();
        // What a constant is combined with decides whether the result is tracked.
        index.autodiff = DispatchAutodiffContext::Disabled;
        Self(index)
    }
}

impl<const D: usize> From<&Tensor<D, Int>> for Index {
    fn from(index: &Tensor<D, Int>) -> Self {
        index.clone().into()
    }
}

impl<B: Backend> From<&Self> for Index<B> {
    fn from(index: &Self) -> Self {
        index.clone()
    }
}

impl<B: Backend> Var<B> {
    /// Along `dim`, the elements that `index` names: `y[i, j] = x[i, index[i, j]]` for `dim` 1. The
    /// index has this tensor's shape in every other dimension.
    ///
    /// Derivative: [`scatter_add`](Self::scatter_add) of the gradient to zeros.
    ///
    /// An index out of range is Burn's to refuse: it panics on Flex and NdArray, on wgpu it reads
    /// anything.
    #[must_use]
    #[track_caller]
    pub fn gather(&self, dim: usize, index: impl Into<Index<B>>) -> Self {
        let index = index.into();
        let shape = self.shape();
        self.check_other_dims("gather", dim, &index, &shape);
        if index.shape().num_elements() == 0 {
            return self.full(index.shape(), 0.0);
        }
        let kept = index.clone();
        Self::op(
            "gather",
            [self.clone()],
            |_| kept,
            |[x]| match index.shape().num_elements() {
                // All other dimensions have size 1, so that this is the same. With fusion, Burn 0.22.1
                // reads the first element if a scatter to the same place is queued with it.
                1 => B::float_select(x, dim, B::int_reshape(index.0, Shape::new([1]))),
                _ => B::float_gather(dim, x, index.0),
            },
            move |index, g, _| [Some(g.full(shape.clone(), 0.0).scatter_add(dim, index, &g))],
        )
    }

    /// This tensor with `values` added where `index` says, along `dim`; what falls on one place adds
    /// up. Derivatives: the gradient, and what [`gather`](Self::gather) picks of it.
    #[must_use]
    #[track_caller]
    pub fn scatter_add(&self, dim: usize, index: impl Into<Index<B>>, values: &Self) -> Self {
        let index = index.into();
        self.check_alike("scatter_add", "values", values);
        self.check_other_dims("scatter_add", dim, &index, &self.shape());
        if index.shape() != values.shape() {
            let expected = format!("the shape of `values`, {:?}", values.shape().to_vec());
            refuse("scatter_add", "index", expected, format!("{:?}", index.shape().to_vec()));
        }
        if index.shape().num_elements() == 0 {
            return self.clone();
        }
        let kept = index.clone();
        Self::op(
            "scatter_add",
            [self.clone(), values.clone()],
            |_| kept,
            |[x, values]| B::float_scatter(dim, x, index.0, values, IndexingUpdateOp::Add),
            move |index, g, [dx, dvalues]| {
                let picked = dvalues.then(|| g.gather(dim, index));
                [dx.then_some(g), picked]
            },
        )
    }

    /// Along `dim`, the slices that `index` (rank 1) names. Derivative: the gradient added to these
    /// slices of zeros.
    #[must_use]
    #[track_caller]
    pub fn select(&self, dim: usize, index: impl Into<Index<B>>) -> Self {
        let index = index.into();
        self.check_dim("select", dim);
        if index.shape().num_dims() != 1 {
            refuse("select", "index", "rank 1".into(), format!("{:?}", index.shape().to_vec()));
        }
        let shape = self.shape();
        if index.shape().num_elements() == 0 {
            let mut none = shape;
            none[dim] = 0;
            return self.full(none, 0.0);
        }
        let kept = index.clone();
        Self::op(
            "select",
            [self.clone()],
            |_| kept,
            |[x]| B::float_select(x, dim, index.0),
            move |index, g, _| [Some(g.full(shape.clone(), 0.0).select_add(dim, index, &g))],
        )
    }

    /// This tensor with the slices of `values` added to those that `index` (rank 1) names, along
    /// `dim`. Derivatives: the gradient, and what [`select`](Self::select) picks of it.
    #[must_use]
    #[track_caller]
    pub fn select_add(&self, dim: usize, index: impl Into<Index<B>>, values: &Self) -> Self {
        let index = index.into();
        self.check_alike("select_add", "values", values);
        self.check_dim("select_add", dim);
        let mut expected = self.shape();
        expected[dim] = index.shape().num_elements();
        if index.shape().num_dims() != 1 || values.shape() != expected {
            let expected =
                format!("rank 1, one for each slice of `values` {:?}", values.shape().to_vec());
            refuse("select_add", "index", expected, format!("{:?}", index.shape().to_vec()));
        }
        let kept = index.clone();
        Self::op(
            "select_add",
            [self.clone(), values.clone()],
            |_| kept,
            |[x, values]| B::float_select_assign(x, dim, index.0, values, IndexingUpdateOp::Add),
            move |index, g, [dx, dvalues]| {
                let picked = dvalues.then(|| g.select(dim, index));
                [dx.then_some(g), picked]
            },
        )
    }

    #[track_caller]
    fn check_other_dims(
        &self,
        operation: &'static str,
        dim: usize,
        index: &Index<B>,
        shape: &Shape,
    ) {
        self.check_dim(operation, dim);
        let got = index.shape();
        let fits = got.num_dims() == shape.num_dims()
            && (0..got.num_dims()).all(|other| other == dim || got[other] == shape[other]);
        if !fits {
            let expected = format!("the shape {:?} in every dimension but {dim}", shape.to_vec());
            refuse(operation, "index", expected, format!("{:?}", got.to_vec()));
        }
    }
}
