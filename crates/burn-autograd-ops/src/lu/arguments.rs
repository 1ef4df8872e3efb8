//! What the operations on square matrices refuse.

use burn::backend::{Backend, Dispatch};
use burn::tensor::{DType, Shape, Tensor};
use burn_autograd_core::{Error, ErrorKind, Var};

use super::{LuOps, diagonal};

/// Checks that an argument holds square matrices.
pub(crate) fn square(operation: &str, name: &'static str, shape: &Shape) -> Result<(), Error> {
    let sizes = shape.to_vec();
    match sizes.as_slice() {
        [.., rows, columns] if rows == columns => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Shape,
            operation.to_owned(),
            name,
            "square matrices, [.., n, n]",
            format!("{sizes:?}"),
        )),
    }
}

/// The same, of a size whose permutations the data type counts exactly.
pub(crate) fn factored(
    operation: &str,
    name: &'static str,
    shape: &Shape,
    dtype: DType,
) -> Result<(), Error> {
    square(operation, name, shape)?;
    let most = match dtype {
        DType::F16 => 1 << 11,
        DType::BF16 => 1 << 8,
        _ => 1 << 24,
    };
    let n = shape[shape.num_dims() - 1];
    if n <= most {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Shape,
        operation.to_owned(),
        name,
        format!("n up to {most}, which {dtype:?} counts exactly"),
        format!("n = {n}"),
    ))
}

/// Checks that dimension `dim`, counted from the end, of `b` is the size of the matrices of `a`, and
/// that the leading dimensions broadcast.
pub(crate) fn fits(
    operation: &str,
    (a_name, a): (&'static str, &Shape),
    (b_name, b): (&'static str, &Shape),
    dims: &[usize],
) -> Result<(), Error> {
    let (left, right) = (a.to_vec(), b.to_vec());
    let rank = left.len();
    let n = left[rank - 1];
    let fits = right.len() == rank
        && dims.iter().all(|&dim| right[rank - dim] == n)
        && left[..rank - 2]
            .iter()
            .zip(&right)
            .all(|(left, right)| left == right || *left == 1 || *right == 1);
    if fits {
        return Ok(());
    }
    let matrix = match dims {
        [2] => format!("[.., {n}, k]"),
        [1] => format!("[.., k, {n}]"),
        _ => format!("[.., {n}, {n}]"),
    };
    Err(Error::new(
        ErrorKind::Shape,
        operation.to_owned(),
        b_name,
        format!("{matrix} whose leading dimensions broadcast with those of `{a_name}`, {left:?}"),
        format!("{right:?}"),
    ))
}

/// Refuses a result that a singular matrix has spoilt. Every entry is NaN then, so that one entry of
/// each is read back; only if there is a NaN are the matrices factored again, to find the first.
pub(crate) fn refuse_singular<const D: usize>(
    operation: &'static str,
    name: &'static str,
    matrices: Tensor<D>,
    result: &Tensor<D>,
) -> Result<(), Error> {
    let shape = result.shape();
    if shape.num_elements() == 0 {
        return Ok(());
    }
    let rank = shape.num_dims();
    let corner: Vec<_> = shape
        .iter()
        .enumerate()
        .map(|(dim, size)| 0..if dim + 2 < rank { *size } else { 1 })
        .collect();
    let result = Var::<Dispatch>::new(result.clone().into_dispatch());
    let corners = floats(&result.detach().slice(corner));
    if !corners.iter().any(|corner| corner.is_nan()) {
        return Ok(());
    }
    let matrices = Var::<Dispatch>::new(matrices.into_dispatch()).detach();
    let (shape, n) = (matrices.shape(), matrices.shape()[rank - 1]);
    let packed = Var::<Dispatch>::new(Dispatch::lu_factor(matrices.into_primitive()));
    let pivots = floats(&diagonal(&packed, n));
    let spoilt = |pivots: &[f64]| pivots.iter().any(|pivot| *pivot == 0.0 || !pivot.is_finite());
    let singular: Vec<usize> =
        pivots.chunks_exact(n).enumerate().filter(|(_, p)| spoilt(p)).map(|(i, _)| i).collect();
    let Some(&first) = singular.first() else {
        // The NaN came with another argument.
        return Ok(());
    };
    let batch = &shape.to_vec()[..rank - 2];
    let mut index = vec![0; batch.len()];
    let mut rest = first;
    for (index, size) in index.iter_mut().zip(batch).rev() {
        *index = rest % size;
        rest /= size;
    }
    let got = if batch.is_empty() {
        "a singular matrix".to_owned()
    } else {
        let count = batch.iter().product::<usize>();
        format!("a singular one at batch index {index:?} ({} of {count} are)", singular.len())
    };
    Err(Error::new(
        ErrorKind::Value,
        operation,
        name,
        "matrices that are not singular, and finite",
        got,
    ))
}

fn floats<B: Backend>(var: &Var<B>) -> Vec<f64> {
    let data = var.to_data().convert_dtype(DType::F64);
    data.as_slice::<f64>().expect("it was converted").to_vec()
}
