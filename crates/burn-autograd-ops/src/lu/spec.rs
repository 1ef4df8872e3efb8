//! The factorisation and the substitutions in Burn's own operations: a loop over columns, each step
//! for all matrices of the batch at once. An independent truth for the kernels, not a fast one.

use std::ops::Range;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata, get_device_settings};
use burn::tensor::Shape;
use burn_autograd_core::{Index, Var};

/// `[.., r, c]` as `[m, r, c]`.
fn flat<B: Backend>(tensor: FloatTensor<B>) -> Var<B> {
    let shape = tensor.shape().to_vec();
    let [batch @ .., rows, columns] = shape.as_slice() else {
        panic!("a matrix has two dimensions, got the shape {shape:?}")
    };
    Var::<B>::new(tensor).reshape([batch.iter().product(), *rows, *columns])
}

/// `[.., r, c]` with the leading dimensions of one and the matrix dimensions of the other.
fn with_batch(of: &Shape, matrix: [usize; 2]) -> Shape {
    let mut shape = of.to_vec();
    let rank = shape.len();
    shape[rank - 2..].copy_from_slice(&matrix);
    Shape::from(shape)
}

/// The batch dimensions of both brought to those that they broadcast to.
pub(crate) fn common_batch<B: Backend>(
    packed: FloatTensor<B>,
    b: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (left, right) = (packed.shape().to_vec(), b.shape().to_vec());
    let rank = left.len();
    let batch: Vec<usize> = left
        .iter()
        .zip(&right)
        .take(rank - 2)
        .map(|(left, right)| if *left == 1 { *right } else { *left })
        .collect();
    let expand = |tensor: FloatTensor<B>, shape: &[usize]| {
        let wanted = Shape::from([&batch, &shape[rank - 2..]].concat());
        Var::<B>::new(tensor).expand(wanted).into_primitive()
    };
    (expand(packed, &left), expand(b, &right))
}

/// See [`LuOps::lu_factor`](super::LuOps::lu_factor).
pub(super) fn factor<B: Backend>(a: FloatTensor<B>) -> FloatTensor<B> {
    let shape = a.shape();
    let n = shape[shape.num_dims() - 1];
    let a = flat::<B>(a);
    let m = a.shape()[0];
    let packed = with_batch(&shape, [n + 1, n]);
    if m * n == 0 {
        return a.full(packed, 0.0).into_primitive();
    }
    // 0·x is 0 for a number, and NaN for anything else: one such entry spoils its matrix. (A compiler
    // may take x − x for 0.)
    let a = &a + (&a * 0.0).sum_dims(&[1, 2]);
    // The permutation is one more column, which is exchanged with the rows.
    let rows = iota(&a, n).expand([m, n, 1]);
    let mut rest = Var::cat(&[a, rows], 2);
    let mut done = Vec::with_capacity(n);
    for k in 0..n {
        let left = n - k;
        let keys = rest.slice([0..m, 0..left, k..k + 1]).abs();
        let keys = keys.mask_fill(&keys.is_nan(), 0.0);
        let ints = B::int_into_float(keys.argmax(1).into_primitive(), rest.dtype().into());
        let chosen = Var::<B>::new(ints);
        let positions = iota(&rest, left).expand([m, left, 1]);
        let is_chosen = positions.equal(&chosen);
        // A choice and not a product with zeros, for what is not finite has to stay where it is.
        let pivot_row = rest.gather(1, wide(&chosen, n + 1));
        let first = rest.slice([0..m, 0..1, 0..n + 1]);
        rest = rest.mask_where(&is_chosen, &first.expand(rest.shape()));
        done.push(pivot_row.clone());
        if left == 1 {
            break;
        }
        let below = rest.slice([0..m, 1..left, 0..n + 1]);
        let pivot = pivot_row.slice([0..m, 0..1, k..k + 1]);
        // Below a pivot of 0 there are only zeros, which stay.
        let divisor = pivot.mask_fill(&pivot.equal_elem(0.0), 1.0);
        let multipliers = below.slice([0..m, 0..left - 1, k..k + 1]) / divisor;
        let eliminated = below.slice([0..m, 0..left - 1, k + 1..n])
            - &multipliers * pivot_row.slice([0..m, 0..1, k + 1..n]);
        let columns = [
            below.slice([0..m, 0..left - 1, 0..k]),
            multipliers,
            eliminated,
            below.slice([0..m, 0..left - 1, n..n + 1]),
        ];
        rest = Var::cat(&columns, 2);
    }
    let whole = Var::cat(&done, 1);
    let permutation = whole.slice([0..m, 0..n, n..n + 1]).reshape([m, 1, n]);
    Var::cat(&[whole.slice([0..m, 0..n, 0..n]), permutation], 1).reshape(packed).into_primitive()
}

/// See [`LuOps::lu_solve`](super::LuOps::lu_solve).
pub(super) fn solve<B: Backend>(
    packed: FloatTensor<B>,
    b: FloatTensor<B>,
    transposed: bool,
) -> FloatTensor<B> {
    let shape = b.shape();
    if shape.num_elements() == 0 {
        return b;
    }
    let (packed, b) = (flat::<B>(packed), flat::<B>(b));
    let (m, n, k) = (b.shape()[0], b.shape()[1], b.shape()[2]);
    let permutation = packed.slice([0..m, n..n + 1, 0..n]).reshape([m, n, 1]);
    let permutation = wide(&permutation, k);
    let entry = |i: usize| packed.slice([0..m, i..i + 1, i..i + 1]);
    // 0·d ⁄ d is 0 for a pivot that divides, and NaN for one that does not.
    let spoilt = (0..n)
        .map(|i| entry(i) * 0.0 / entry(i))
        .reduce(|sum, term| sum + term)
        .expect("there is a pivot");
    let x = if transposed {
        let row = |i: usize, range: Range<usize>| {
            packed.slice([0..m, i..i + 1, range.clone()]).reshape([m, range.len(), 1])
        };
        let w = substitute(b, Direction::Down, row, |row, i| row / entry(i));
        let v = substitute(w, Direction::Up, row, |row, _| row);
        v.zeros_like().scatter_add(1, permutation, &v)
    } else {
        let column = |i: usize, range: Range<usize>| packed.slice([0..m, range, i..i + 1]);
        let y = b.gather(1, permutation);
        let w = substitute(y, Direction::Down, column, |row, _| row);
        substitute(w, Direction::Up, column, |row, i| row / entry(i))
    };
    (x + spoilt).reshape(shape).into_primitive()
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    /// From the first row to the last.
    Down,
    /// From the last row to the first.
    Up,
}

/// Substitution in a triangle: row i, once it is `finish`ed, is subtracted from the rows that are
/// left, each times its coefficient.
fn substitute<B: Backend>(
    b: Var<B>,
    direction: Direction,
    coefficients: impl Fn(usize, Range<usize>) -> Var<B>,
    finish: impl Fn(Var<B>, usize) -> Var<B>,
) -> Var<B> {
    let [m, n, k] = [b.shape()[0], b.shape()[1], b.shape()[2]];
    let mut rest = b;
    let mut done = Vec::with_capacity(n);
    for step in 0..n {
        let left = n - step;
        let (i, at, others, range) = match direction {
            Direction::Down => (step, 0, 1..left, step + 1..n),
            Direction::Up => (left - 1, left - 1, 0..left - 1, 0..left - 1),
        };
        let row = finish(rest.slice([0..m, at..at + 1, 0..k]), i);
        if left > 1 {
            rest = rest.slice([0..m, others, 0..k]) - coefficients(i, range) * &row;
        }
        done.push(row);
    }
    if direction == Direction::Up {
        done.reverse();
    }
    Var::cat(&done, 1)
}

/// 0, 1, …, n − 1 as `[1, n, 1]`.
fn iota<B: Backend>(like: &Var<B>, n: usize) -> Var<B> {
    let (device, ints) = (like.device(), get_device_settings::<B>(&like.device()).int_dtype);
    let range = B::int_arange(0..n as i64, &device, ints);
    Var::<B>::new(B::int_into_float(range, like.dtype().into())).reshape([1, n, 1])
}

/// Row numbers `[m, r, 1]` as an index of rows of this width.
fn wide<B: Backend>(rows: &Var<B>, width: usize) -> Index<B> {
    let [m, r] = [rows.shape()[0], rows.shape()[1]];
    let ints = get_device_settings::<B>(&rows.device()).int_dtype;
    let index = B::float_into_int(rows.expand([m, r, width]).into_primitive(), ints);
    Index::new(index)
}
