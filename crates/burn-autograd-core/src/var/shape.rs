//! The same elements in another arrangement.

use std::ops::Range;

use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, Slice};

use super::empty::zeros;
use super::layout::{for_reduction, lay_out, permuted, settled};
use super::{Var, joint};
use crate::tape::Edge;
use crate::{Error, ErrorKind, OrPanic as _, check};

#[track_caller]
pub(super) fn refuse(
    operation: &'static str,
    argument: &'static str,
    expected: String,
    got: String,
) -> ! {
    Error::new(ErrorKind::Shape, operation, argument, expected, got).raise()
}

impl<B: Backend> Var<B> {
    #[track_caller]
    pub(super) fn check_dim(&self, operation: &'static str, dim: usize) {
        if dim >= self.rank() {
            let expected = format!("a dimension below the rank {}", self.rank());
            refuse(operation, "dim", expected, dim.to_string());
        }
    }

    /// The same elements in another shape. Derivative: the gradient in the old shape.
    ///
    /// # Panics
    ///
    /// If the number of elements is not the same.
    #[must_use]
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Self {
        let (from, to) = (self.shape(), shape.into());
        if from.num_elements() != to.num_elements() {
            let expected = format!("the {} elements of {:?}", from.num_elements(), from.to_vec());
            refuse("reshape", "shape", expected, format!("{:?}", to.to_vec()));
        }
        Self::op(
            "reshape",
            [self.clone()],
            |_| from,
            |[x]| B::float_reshape(x, to),
            |from, g, _| [Some(g.reshape(from.clone()))],
        )
    }

    /// A new dimension of size 1 at `dim`.
    #[must_use]
    #[track_caller]
    pub fn unsqueeze_dim(&self, dim: usize) -> Self {
        let mut shape = self.shape().to_vec();
        if dim > shape.len() {
            let expected = format!("a dimension up to the rank {}", shape.len());
            refuse("unsqueeze_dim", "dim", expected, dim.to_string());
        }
        shape.insert(dim, 1);
        self.reshape(Shape::from(shape))
    }

    /// Without the dimension `dim`, which has size 1.
    #[must_use]
    #[track_caller]
    pub fn squeeze_dim(&self, dim: usize) -> Self {
        self.check_dim("squeeze_dim", dim);
        let mut shape = self.shape().to_vec();
        if shape[dim] != 1 {
            let expected = format!("a dimension of size 1 of {shape:?}");
            refuse("squeeze_dim", "dim", expected, dim.to_string());
        }
        shape.remove(dim);
        self.reshape(Shape::from(shape))
    }

    /// Dimension `i` of the result is dimension `axes[i]` of this. Derivative: the inverse
    /// permutation.
    ///
    /// # Panics
    ///
    /// If `axes` is not a permutation of the dimensions.
    #[must_use]
    #[track_caller]
    pub fn permute(&self, axes: &[usize]) -> Self {
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if sorted != (0..self.rank()).collect::<Vec<_>>() {
            let expected = format!("a permutation of the {} dimensions", self.rank());
            refuse("permute", "axes", expected, format!("{axes:?}"));
        }
        Self::op(
            "permute",
            [self.clone()],
            |_| {
                let mut inverse = vec![0; axes.len()];
                for (to, from) in axes.iter().enumerate() {
                    inverse[*from] = to;
                }
                inverse
            },
            |[x]| permuted::<B>(x, axes),
            |inverse, g, _| [Some(g.permute(inverse))],
        )
    }

    /// The elements in reverse order along some dimensions. Derivative: the gradient reversed.
    #[must_use]
    #[track_caller]
    pub fn flip(&self, dims: &[usize]) -> Self {
        for &dim in dims {
            self.check_dim("flip", dim);
        }
        let kept = dims.to_vec();
        Self::op(
            "flip",
            [self.clone()],
            |_| kept,
            |[x]| B::float_flip(x, dims),
            |dims, g, _| [Some(g.flip(dims))],
        )
    }

    /// Two dimensions exchanged.
    #[must_use]
    #[track_caller]
    pub fn swap_dims(&self, first: usize, second: usize) -> Self {
        self.check_dim("swap_dims", first);
        self.check_dim("swap_dims", second);
        Self::op(
            "swap_dims",
            [self.clone()],
            |_| (),
            |[x]| lay_out::<B>(B::float_swap_dims(settled::<B>(x), first, second)),
            move |(), g, _| [Some(g.swap_dims(first, second))],
        )
    }

    /// The last two dimensions exchanged.
    ///
    /// # Panics
    ///
    /// If the rank is below 2.
    #[must_use]
    #[track_caller]
    pub fn transpose(&self) -> Self {
        let rank = self.rank();
        if rank < 2 {
            refuse("transpose", "self", "a rank of at least 2".into(), rank.to_string());
        }
        self.swap_dims(rank - 2, rank - 1)
    }

    /// Dimensions of size 1 repeated to `shape`, of the same rank. Derivative: the gradient summed
    /// over them.
    ///
    /// # Panics
    ///
    /// If this does not broadcast to `shape`.
    #[must_use]
    #[track_caller]
    pub fn expand(&self, shape: impl Into<Shape>) -> Self {
        let (from, to) = (self.shape(), shape.into());
        let fits = from.num_dims() == to.num_dims()
            && from.iter().zip(to.iter()).all(|(from, to)| from == to || *from == 1);
        if !fits {
            let expected = format!("a shape that {:?} broadcasts to", from.to_vec());
            refuse("expand", "shape", expected, format!("{:?}", to.to_vec()));
        }
        if from == to {
            return self.clone();
        }
        Self::op(
            "expand",
            [self.clone()],
            |_| from,
            |[x]| {
                if to.num_elements() == 0 {
                    return zeros::<B>(to, &x);
                }
                B::float_expand(x, to)
            },
            |from, g, _| [Some(g.reduce_to(from))],
        )
    }

    /// Undoes a broadcast in a gradient: sums over every dimension in which `shape` has size 1 and
    /// this tensor has not. Derivative: the gradient [expanded](Self::expand).
    ///
    /// # Panics
    ///
    /// If this tensor's shape is not one that `shape` broadcasts to.
    #[must_use]
    #[track_caller]
    pub fn reduce_to(self, shape: &Shape) -> Self {
        let from = self.shape();
        if from == *shape {
            return self;
        }
        let fits = from.num_dims() == shape.num_dims()
            && from.iter().zip(shape.iter()).all(|(from, to)| from == to || *to == 1);
        if !fits {
            let expected = format!("a shape that broadcasts to {:?}", from.to_vec());
            refuse("reduce_to", "shape", expected, format!("{:?}", shape.to_vec()));
        }
        let dims: Vec<_> = (0..from.num_dims()).filter(|&dim| from[dim] != shape[dim]).collect();
        let empty = from.num_elements() == 0;
        let to = shape.clone();
        Self::op(
            "reduce_to",
            [self],
            |_| from,
            move |[x]| {
                if empty {
                    // A sum over nothing, which Burn's reductions refuse on some backends
                    // (burn #5310).
                    return zeros::<B>(to, &x);
                }
                let x = for_reduction::<B>(x);
                dims.into_iter().fold(x, |sum, dim| B::float_sum_dim(sum, dim))
            },
            |from, g, _| [Some(g.expand(from.clone()))],
        )
    }

    /// A block of the tensor: one range for each of the first dimensions, all of the others; for the
    /// first dimension alone the range itself.
    /// Derivative: the gradient in that block of a zero tensor.
    ///
    /// # Panics
    ///
    /// If there are more ranges than dimensions, or a range is not within its dimension.
    #[must_use]
    #[track_caller]
    pub fn slice(&self, ranges: impl Ranges) -> Self {
        let shape = self.shape();
        let ranges = ranges.into_vec();
        let full: Vec<Range<usize>> = (0..shape.num_dims())
            .map(|dim| ranges.get(dim).cloned().unwrap_or(0..shape[dim]))
            .collect();
        let fits = ranges.len() <= full.len()
            && full
                .iter()
                .zip(shape.iter())
                .all(|(range, size)| range.start <= range.end && range.end <= *size);
        if !fits {
            refuse(
                "slice",
                "ranges",
                format!("ranges within {:?}", shape.to_vec()),
                format!("{ranges:?}"),
            );
        }
        let sizes = Shape::from(full.iter().map(Range::len).collect::<Vec<_>>());
        let whole = shape.clone();
        let block = full.clone();
        Self::op(
            "slice",
            [self.clone()],
            |_| full,
            move |[x]| {
                if sizes.num_elements() == 0 {
                    return zeros::<B>(sizes, &x);
                }
                B::float_slice(x, &slices(&block))
            },
            move |block, g, _| [Some(g.embed(&whole, block))],
        )
    }

    /// This tensor as a block of a zero tensor of another shape. Derivative: that block of the
    /// gradient.
    #[must_use]
    #[track_caller]
    pub(crate) fn embed(&self, shape: &Shape, block: &[Range<usize>]) -> Self {
        let (shape, ranges) = (shape.clone(), block.to_vec());
        Self::op(
            "embed",
            [self.clone()],
            |_| block.to_vec(),
            move |[x]| {
                if x.shape().num_elements() == 0 {
                    return zeros::<B>(shape, &x);
                }
                let whole = B::float_zeros(shape, &x.device(), x.dtype().into());
                B::float_slice_assign(whole, &slices(&ranges), x)
            },
            |block, g, _| [Some(g.slice(block.as_slice()))],
        )
    }

    #[track_caller]
    fn check_parts(operation: &str, first: &Self, part: &Self) {
        check::alike(operation, ("parts[0]", first), ("parts", part)).or_panic();
    }

    /// Tensors one after the other along `dim`. Derivative: to each its block of the gradient.
    ///
    /// # Panics
    ///
    /// If there is none, or their shapes differ in another dimension than `dim`.
    #[must_use]
    #[track_caller]
    pub fn cat(parts: &[Self], dim: usize) -> Self {
        let Some(first) = parts.first() else {
            refuse("cat", "parts", "at least one tensor".into(), "none".into())
        };
        first.check_dim("cat", dim);
        let mut sizes = Vec::with_capacity(parts.len());
        for part in parts {
            Self::check_parts("cat", first, part);
            let (mut shape, mut expected) = (part.shape().to_vec(), first.shape().to_vec());
            if shape.len() == expected.len() {
                sizes.push(shape[dim]);
                (shape[dim], expected[dim]) = (0, 0);
            }
            if shape != expected {
                let expected = format!(
                    "the shape of the first, {:?}, but for dimension {dim}",
                    first.shape().to_vec()
                );
                refuse("cat", "parts", expected, format!("{:?}", part.shape().to_vec()));
            }
        }
        let mut whole = first.shape().to_vec();
        whole[dim] = sizes.iter().sum();
        let filled: Vec<_> = parts.iter().filter(|part| part.shape().num_elements() > 0).collect();
        let tensor = if filled.is_empty() {
            zeros::<B>(Shape::from(whole), first.raw())
        } else {
            B::float_cat(filled.into_iter().map(|part| part.raw().clone()).collect(), dim)
        };
        if !parts.iter().any(Self::is_recorded) {
            return Self::new(tensor).renewed(joint(parts));
        }
        let parents = parts.iter().map(|part| part.edge().cloned()).collect();
        let edge = Edge::operation("cat", parents, 1, move |mut arrived| {
            let grad = arrived.grad();
            let mut start = 0;
            let blocks = sizes.iter().zip(arrived.needs).map(|(size, needed)| {
                let mut ranges: Vec<_> = grad.shape().iter().map(|size| 0..*size).collect();
                ranges[dim] = start..start + size;
                start += size;
                needed.then(|| grad.slice(ranges))
            });
            Ok(blocks.collect())
        });
        Self::placed(tensor, edge).renewed(joint(parts))
    }

    /// Tensors of one shape stacked along a new dimension.
    #[must_use]
    #[track_caller]
    pub fn stack(parts: &[Self], dim: usize) -> Self {
        let Some(first) = parts.first() else {
            refuse("stack", "parts", "at least one tensor".into(), "none".into())
        };
        let shape = first.shape();
        if dim > shape.num_dims() {
            let expected = format!("a dimension up to the rank {}", shape.num_dims());
            refuse("stack", "dim", expected, dim.to_string());
        }
        for part in parts {
            Self::check_parts("stack", first, part);
        }
        if let Some(other) = parts.iter().find(|part| part.shape() != shape) {
            let expected = format!("the shape of the first, {:?}", shape.to_vec());
            refuse("stack", "parts", expected, format!("{:?}", other.shape().to_vec()));
        }
        let parts: Vec<_> = parts.iter().map(|part| part.unsqueeze_dim(dim)).collect();
        Self::cat(&parts, dim)
    }
}

/// What [`Var::slice`] takes: a range, or one for each of several dimensions.
pub trait Ranges {
    /// In the order of the dimensions.
    fn into_vec(self) -> Vec<Range<usize>>;
}

impl Ranges for Range<usize> {
    fn into_vec(self) -> Vec<Range<usize>> {
        vec![self]
    }
}

impl<const N: usize> Ranges for [Range<usize>; N] {
    fn into_vec(self) -> Vec<Range<usize>> {
        self.into()
    }
}

impl Ranges for &[Range<usize>] {
    fn into_vec(self) -> Vec<Range<usize>> {
        self.to_vec()
    }
}

impl Ranges for Vec<Range<usize>> {
    fn into_vec(self) -> Self {
        self
    }
}

fn slices(ranges: &[Range<usize>]) -> Vec<Slice> {
    ranges.iter().map(|range| Slice::from(range.clone())).collect()
}
