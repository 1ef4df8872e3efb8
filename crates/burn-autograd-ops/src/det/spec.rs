//! The determinants in Burn's own operations, from the factors.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn_autograd_core::{Var, empty};

use crate::lu::{diagonal, number_shape};
use crate::support::is_empty;

/// The pivots `[.., n, 1]`.
fn pivots<B: Backend>(packed: &Var<B>) -> Var<B> {
    diagonal(packed, packed.shape()[packed.rank() - 1])
}

/// The product over the second dimension from the end, in pairs. (Burn's own product goes through
/// logarithms, and is NaN for negative numbers.)
fn product<B: Backend>(x: Var<B>) -> Var<B> {
    let dim = x.rank() - 2;
    let mut x = x;
    let part = |x: &Var<B>, from: usize, to: usize| {
        let mut ranges: Vec<_> = x.shape().iter().map(|size| 0..*size).collect();
        ranges[dim] = from..to;
        x.slice(ranges)
    };
    loop {
        let n = x.shape()[dim];
        if n == 1 {
            return x;
        }
        let half = n / 2;
        let pairs = part(&x, 0, half) * part(&x, half, 2 * half);
        x = if n % 2 == 1 { Var::cat(&[pairs, part(&x, n - 1, n)], dim) } else { pairs };
    }
}

/// 1 for an even permutation, −1 for an odd one.
fn parity<B: Backend>(packed: &Var<B>) -> Var<B> {
    let shape = packed.shape().to_vec();
    let (rank, n) = (shape.len(), shape[shape.len() - 1]);
    let mut ranges: Vec<_> = shape.iter().map(|size| 0..*size).collect();
    ranges[rank - 2] = n..n + 1;
    let row = packed.slice(ranges);
    let column = row.transpose();
    let mut square = shape.clone();
    square[rank - 2] = n;
    // Entry (i, j) is 1 where j comes after i and is smaller.
    let ints = burn::backend::get_device_settings::<B>(&packed.device()).int_dtype;
    let range = B::int_arange(0..n as i64, &packed.device(), ints);
    let mut sizes = vec![1; rank];
    sizes[rank - 2] = n;
    let positions = Var::<B>::new(B::int_into_float(range, packed.dtype().into()))
        .reshape(burn::tensor::Shape::from(sizes));
    let later =
        positions.transpose().expand(square.clone()).greater(&positions.expand(square.clone()));
    let inverted = column.greater(&row) & later;
    let ones = packed.full(square.clone(), 1.0);
    let counts = ones.zeros_like().mask_where(&inverted, &ones).sum_dim(rank - 1);
    // Rounded to even and odd before they are added: an exact sum of few ones per row.
    let odd = |x: Var<B>| &x - Var::new(B::float_floor((&x * 0.5).into_primitive())) * 2.0;
    1.0 - odd(odd(counts).sum_dim(rank - 2)) * 2.0
}

/// One number for each 0×0 matrix, or for none.
fn of_nothing<B: Backend>(packed: &FloatTensor<B>, value: f64) -> FloatTensor<B> {
    let shape = number_shape(&packed.shape());
    empty::constant::<B>(shape, value, packed.dtype(), &packed.device())
}

/// det A.
pub(super) fn det<B: Backend>(packed: FloatTensor<B>) -> FloatTensor<B> {
    if is_empty(&packed) {
        return of_nothing::<B>(&packed, 1.0);
    }
    let packed = Var::<B>::new(packed);
    (product(pivots(&packed)) * parity(&packed)).into_primitive()
}

/// The sign of det A, and ln|det A|.
pub(super) fn log_abs_det<B: Backend>(packed: FloatTensor<B>) -> (FloatTensor<B>, FloatTensor<B>) {
    if is_empty(&packed) {
        return (of_nothing::<B>(&packed, 1.0), of_nothing::<B>(&packed, 0.0));
    }
    let packed = Var::<B>::new(packed);
    let pivots = pivots(&packed);
    let dim = pivots.rank() - 2;
    let sign = product(pivots.sign() + &pivots * 0.0) * parity(&packed);
    (sign.into_primitive(), pivots.abs().log().sum_dim(dim).into_primitive())
}

/// The matrix of cofactors for n ≤ 3, a polynomial of the entries.
pub(super) fn cofactors<B: Backend>(a: &Var<B>) -> Var<B> {
    let rank = a.rank();
    let n = a.shape()[rank - 1];
    // Row or column i of the result is number i + by of this.
    let turn = |x: &Var<B>, dim: usize, by: usize| {
        let part = |from: usize, to: usize| {
            let mut ranges: Vec<_> = x.shape().iter().map(|size| 0..*size).collect();
            ranges[dim] = from..to;
            x.slice(ranges)
        };
        Var::cat(&[part(by, n), part(0, by)], dim)
    };
    let minor = |rows: usize, columns: usize| turn(&turn(a, rank - 2, rows), rank - 1, columns);
    if a.shape().num_elements() == 0 {
        return a.clone();
    }
    match n {
        1 => a.ones_like(),
        2 => {
            let swapped = minor(1, 1);
            let off = crate::lu::off_diagonal(a, rank, 2);
            swapped.mask_where(&off, &-&swapped)
        }
        3 => minor(1, 1) * minor(2, 2) - minor(1, 2) * minor(2, 1),
        _ => panic!("det: cofactors are written out up to n = 3, not for {n}"),
    }
}
