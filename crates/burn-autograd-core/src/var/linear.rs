//! Matrix products.

use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

use super::Var;
use super::empty::zeros;
use crate::{Error, ErrorKind};

impl<B: Backend> Var<B> {
    /// The matrix product over the last two dimensions, of equal ranks; leading dimensions
    /// broadcast.
    ///
    /// Derivatives: g·bᵀ and aᵀ·g.
    ///
    /// # Panics
    ///
    /// If the ranks differ or are below 2, or the shapes do not fit.
    #[must_use]
    #[track_caller]
    pub fn matmul(&self, rhs: &Self) -> Self {
        self.check_alike("matmul", "rhs", rhs);
        let (a, b) = (self.shape().to_vec(), rhs.shape().to_vec());
        let rank = a.len();
        let fits = rank == b.len()
            && rank >= 2
            && a[rank - 1] == b[rank - 2]
            && a[..rank - 2].iter().zip(&b[..rank - 2]).all(|(a, b)| a == b || *a == 1 || *b == 1);
        if !fits {
            let expected = format!("a shape whose matrices {a:?} can be multiplied by");
            let error = Error::new(ErrorKind::Shape, "matmul", "rhs", expected, format!("{b:?}"));
            error.raise();
        }
        Self::op(
            "matmul",
            [self.clone(), rhs.clone()],
            |[a, b]| [a.clone(), b.clone()],
            |[a, b]| product::<B>(a, b),
            |[a, b], g, [da, db]| {
                [
                    da.then(|| g.matmul(&b.transpose()).reduce_to(&a.shape())),
                    db.then(|| a.transpose().matmul(&g).reduce_to(&b.shape())),
                ]
            },
        )
    }

    /// x·wᵀ + b, with x `[.., i]`, w `[o, i]` and b `[o]`, as PyTorch's linear layer.
    ///
    /// # Panics
    ///
    /// If the shapes do not fit.
    #[must_use]
    #[track_caller]
    pub fn linear(&self, weight: &Self, bias: Option<&Self>) -> Self {
        self.check_alike("linear", "weight", weight);
        if let Some(bias) = bias {
            self.check_alike("linear", "bias", bias);
        }
        let shape = self.shape().to_vec();
        let [rows @ .., features] = shape.as_slice() else {
            let error =
                Error::new(ErrorKind::Shape, "linear", "self", "a rank of at least 1", "[]");
            error.raise();
        };
        let given = weight.shape().to_vec();
        let outputs = match given.as_slice() {
            [outputs, inputs] if inputs == features => *outputs,
            _ => {
                let expected = format!("[outputs, {features}], for inputs {shape:?}");
                let got = format!("{given:?}");
                Error::new(ErrorKind::Shape, "linear", "weight", expected, got).raise();
            }
        };
        if let Some(bias) = bias
            && bias.shape().to_vec() != [outputs]
        {
            let got = format!("{:?}", bias.shape().to_vec());
            Error::new(ErrorKind::Shape, "linear", "bias", format!("[{outputs}]"), got).raise();
        }
        let flat = self.reshape([rows.iter().product(), *features]);
        let y = flat.matmul(&weight.transpose());
        let y = match bias {
            Some(bias) => y + bias.reshape([1, outputs]),
            None => y,
        };
        y.reshape(Shape::from([rows, &[outputs]].concat()))
    }
}

/// A product in which nothing is summed is zero; not every backend knows.
fn product<B: Backend>(
    a: burn::backend::tensor::FloatTensor<B>,
    b: burn::backend::tensor::FloatTensor<B>,
) -> burn::backend::tensor::FloatTensor<B> {
    let (left, right) = (a.shape(), b.shape());
    if left.num_elements() > 0 && right.num_elements() > 0 {
        return B::float_matmul(a, b);
    }
    let rank = left.num_dims();
    let mut shape: Vec<usize> =
        left.iter().zip(right.iter()).map(|(a, b)| if *a == 1 { *b } else { *a }).collect();
    shape[rank - 2] = left[rank - 2];
    shape[rank - 1] = right[rank - 1];
    zeros::<B>(Shape::from(shape), &a)
}
