//! Reductions, cumulative operations, sorting, and products of matrices and vectors.

use burn::tensor::Tensor;
use burn_autograd::gradcheck::suite::{Case, draw};
use burn_autograd::gradcheck::{Array, SplitMix64};

use super::{case, distinct, uniform};

pub(super) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    let mut cases = sums(random);
    cases.extend(products(random));
    cases.extend(largest(random));
    cases.extend(matrices(random));
    cases
}

fn sums(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case("sum", "2×3", uniform(random, &[&[2, 3]]), |x: Tensor<2>| x.sum()).exact(),
        case("sum_dim", "the middle", uniform(random, &[&[2, 3, 2]]), |x: Tensor<3>| x.sum_dim(1))
            .exact(),
        case("mean", "2×3", uniform(random, &[&[2, 3]]), |x: Tensor<2>| x.mean()),
        case("mean_dim", "the middle", uniform(random, &[&[2, 3, 2]]), |x: Tensor<3>| {
            x.mean_dim(1)
        }),
        case("mean_dims", "outer ones", uniform(random, &[&[2, 3, 2]]), |x: Tensor<3>| {
            x.mean_dims(&[0, 2])
        }),
        case("cumsum", "the middle", uniform(random, &[&[2, 4, 2]]), |x: Tensor<3>| x.cumsum(1))
            .exact(),
        case("cumsum", "the first", uniform(random, &[&[5, 2]]), |x: Tensor<2>| x.cumsum(0))
            .exact(),
        case("var", "unbiased, the middle", uniform(random, &[&[2, 4, 2]]), |x: Tensor<3>| {
            x.var(1)
        }),
        case("var", "unbiased, of five", uniform(random, &[&[5, 2]]), |x: Tensor<2>| x.var(0)),
        case("cov", "unbiased, of five", uniform(random, &[&[5, 2]]), |x: Tensor<2>| x.cov(0, 1)),
        case("var_bias", "the last", uniform(random, &[&[3, 4]]), |x: Tensor<2>| x.var_bias(1)),
        case("var_mean", "both outputs", uniform(random, &[&[3, 4]]), |x: Tensor<2>| x.var_mean(0)),
        case("cov", "unbiased, of four", uniform(random, &[&[4, 3]]), |x: Tensor<2>| x.cov(0, 1)),
    ]
}

/// Factors of both signs, away from zero, with zeros in some places.
fn factors(random: &mut SplitMix64, shape: &[usize], zeros: &[usize]) -> Vec<Array> {
    let mut inputs = draw(random, &[shape], (-1.5, 1.5), &[0.0], 0.5);
    for &place in zeros {
        inputs[0].data[place] = 0.0;
    }
    inputs
}

fn products(random: &mut SplitMix64) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, zeros) in
        [("without zeros", &[][..]), ("a zero", &[4][..]), ("two zeros", &[1, 4][..])]
    {
        cases.push(case("prod", name, factors(random, &[2, 3], zeros), |x: Tensor<2>| x.prod()));
    }
    // Along the middle of 2×4×2: none, one, two zeros and one more in the four rows.
    let zeros = [2, 1, 5, 12];
    for (name, zeros) in [("without zeros", &[][..]), ("none, one and two zeros", &zeros[..])] {
        cases.push(case("prod_dim", name, factors(random, &[2, 4, 2], zeros), |x: Tensor<3>| {
            x.prod_dim(1)
        }));
        cases.push(case("cumprod", name, factors(random, &[2, 4, 2], zeros), |x: Tensor<3>| {
            x.cumprod(1)
        }));
    }
    cases.push(case(
        "prod_dims",
        "outer ones",
        factors(random, &[2, 2, 3], &[]),
        |x: Tensor<3>| x.prod_dims(&[0, 2]),
    ));
    cases
}

fn largest(random: &mut SplitMix64) -> Vec<Case> {
    type Along = fn(Tensor<3>) -> Tensor<3>;
    let along: [(&str, &str, Along); 12] = [
        ("max_dim", "the middle", |x| x.max_dim(1)),
        ("max_dim_with_indices", "the last", |x| x.max_dim_with_indices(2).0),
        ("max_dims", "outer ones", |x| x.max_dims(&[0, 2])),
        ("min_dim", "the middle", |x| x.min_dim(1)),
        ("min_dim_with_indices", "the first", |x| x.min_dim_with_indices(0).0),
        ("sort", "the middle", |x| x.sort(1)),
        ("sort_descending", "the last", |x| x.sort_descending(2)),
        ("sort_with_indices", "the first", |x| x.sort_with_indices(0).0),
        ("topk", "two of the middle", |x| x.topk(2, 1)),
        ("median", "of an even number", |x| x.median(1)),
        ("cummax", "the middle", |x| x.cummax(1)),
        ("cummin", "the middle", |x| x.cummin(1)),
    ];
    let mut cases: Vec<Case> = along
        .into_iter()
        .map(|(op, name, function)| case(op, name, vec![distinct(random, &[2, 4, 3])], function))
        .collect();
    type Reduction = fn(Tensor<2>) -> Tensor<1>;
    let whole: [(&str, Reduction); 3] =
        [("max", |x| x.max()), ("min", |x| x.min()), ("max_abs", |x| x.max_abs())];
    for (op, function) in whole {
        cases.push(case(op, "3×4", vec![sizes_apart(random, &[3, 4])], function));
    }
    cases.push(case(
        "max_abs_dim",
        "the last",
        vec![sizes_apart(random, &[3, 4])],
        |x: Tensor<2>| x.max_abs_dim(1),
    ));
    cases
}

/// Distinct values whose absolute values are distinct too.
fn sizes_apart(random: &mut SplitMix64, shape: &[usize]) -> Array {
    let mut array = distinct(random, shape);
    let lowest = array.data.iter().copied().fold(f64::INFINITY, f64::min);
    for value in &mut array.data {
        let size = *value - lowest + 0.75;
        *value = if random.next_u64() & 1 == 0 { size } else { -size };
    }
    array
}

fn matrices(random: &mut SplitMix64) -> Vec<Case> {
    let product = |[a, b]: [Tensor<4>; 2]| a.matmul(b);
    vec![
        case(
            "matmul",
            "2×3 times 3×4",
            uniform(random, &[&[2, 3], &[3, 4]]),
            |[a, b]: [Tensor<2>; 2]| a.matmul(b),
        )
        .exact(),
        case(
            "matmul",
            "the left batch is broadcast",
            uniform(random, &[&[1, 2, 3], &[3, 3, 2]]),
            |[a, b]: [Tensor<3>; 2]| a.matmul(b),
        )
        .exact(),
        case(
            "matmul",
            "the right batch is broadcast",
            uniform(random, &[&[3, 2, 3], &[1, 3, 2]]),
            |[a, b]: [Tensor<3>; 2]| a.matmul(b),
        )
        .exact(),
        case(
            "matmul",
            "both batches are broadcast, in other dimensions",
            uniform(random, &[&[2, 1, 2, 3], &[1, 3, 3, 2]]),
            product,
        )
        .exact(),
        case(
            "matmul",
            "one row, broadcast",
            uniform(random, &[&[3, 2, 1, 2], &[3, 1, 2, 3]]),
            product,
        )
        .exact(),
        case("dot", "of five", uniform(random, &[&[5], &[5]]), |[a, b]: [Tensor<1>; 2]| a.dot(b))
            .exact(),
        case(
            "cross",
            "along the middle",
            uniform(random, &[&[2, 3, 2], &[2, 3, 2]]),
            |[a, b]: [Tensor<3>; 2]| a.cross(b, 1),
        )
        .exact(),
        case(
            "cross",
            "one of two, broadcast",
            uniform(random, &[&[2, 3], &[1, 3]]),
            |[a, b]: [Tensor<2>; 2]| a.cross(b, 1),
        )
        .exact(),
    ]
}
