//! What moves elements: gathering, scattering, slicing, joining, repeating, padding.

use burn::tensor::ops::PadMode;
use burn::tensor::{Bool, IndexingUpdateOp, Int, Tensor, s};
use burn_autograd::gradcheck::suite::Case;
use burn_autograd::gradcheck::{Array, SplitMix64};

use super::{case, distinct, uniform};

pub(super) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    let mut cases = gathering(random);
    cases.extend(scattering(random));
    cases.extend(masks(random));
    cases.extend(shapes(random));
    cases.extend(joining(random));
    // None of them computes: they are exact at integers.
    cases.into_iter().map(Case::exact).chain(updates(random)).collect()
}

fn gathering(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case(
            "gather",
            "repeated elements, along the last dimension",
            uniform(random, &[&[2, 4]]),
            |x: Tensor<2>| {
                let indices = [[3, 0, 0, 1, 3], [2, 2, 1, 0, 2]];
                let indices = Tensor::<2, Int>::from_data(indices, &x.device());
                x.gather(1, indices)
            },
        ),
        case(
            "gather",
            "along the middle dimension",
            uniform(random, &[&[2, 3, 2]]),
            |x: Tensor<3>| {
                let indices = [[[2, 0], [1, 2]], [[0, 0], [2, 1]]];
                let indices = Tensor::<3, Int>::from_data(indices, &x.device());
                x.gather(1, indices)
            },
        ),
        case("gather_nd", "repeated rows", uniform(random, &[&[2, 3, 2]]), |x: Tensor<3>| {
            let indices = [[0, 2], [1, 0], [0, 2], [1, 1]];
            let indices = Tensor::<2, Int>::from_data(indices, &x.device());
            x.gather_nd::<2, 2>(indices)
        }),
        case(
            "select",
            "repeated and unused columns",
            uniform(random, &[&[2, 4, 2]]),
            |x: Tensor<3>| {
                let indices = Tensor::<1, Int>::from_data([3, 0, 3, 1, 3], &x.device());
                x.select(1, indices)
            },
        ),
        case("take", "indices of two dimensions", uniform(random, &[&[3, 2]]), |x: Tensor<2>| {
            let indices = Tensor::<2, Int>::from_data([[2, 0, 2], [1, 1, 0]], &x.device());
            x.take::<2, 3>(0, indices)
        }),
        case("slice", "steps 2 and −1", uniform(random, &[&[5, 4]]), |x: Tensor<2>| {
            x.slice(s![0..5;2, 1..4;-1])
        }),
        case("slice", "from the end", uniform(random, &[&[4, 3, 2]]), |x: Tensor<3>| {
            x.slice(s![-3..-1, .., 1..])
        }),
        case("narrow", "a middle part", uniform(random, &[&[2, 5]]), |x: Tensor<2>| {
            x.narrow(1, 1, 3)
        }),
        case("chunk", "a rest", uniform(random, &[&[2, 5]]), |x: Tensor<2>| {
            let [a, b, c]: [Tensor<2>; 3] = x.chunk(3, 1).try_into().expect("three chunks");
            (a, b, c)
        }),
    ]
}

/// What [`scattering`] updates along the last dimension of a 2×4 tensor, without repetition.
const APART: [[i32; 3]; 2] = [[3, 0, 2], [1, 2, 0]];

fn scattering(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case(
            "scatter",
            "add, repeated elements",
            uniform(random, &[&[2, 3], &[2, 4]]),
            |(x, values): (Tensor<2>, Tensor<2>)| {
                let indices = [[0, 2, 0, 0], [1, 1, 2, 1]];
                let indices = Tensor::<2, Int>::from_data(indices, &x.device());
                x.scatter(1, indices, values, IndexingUpdateOp::Add)
            },
        ),
        case(
            "scatter",
            "assign",
            uniform(random, &[&[2, 4], &[2, 3]]),
            |(x, values): (Tensor<2>, Tensor<2>)| {
                let indices = Tensor::<2, Int>::from_data(APART, &x.device());
                x.scatter(1, indices, values, IndexingUpdateOp::Assign)
            },
        ),
        case(
            "scatter",
            "multiply",
            uniform(random, &[&[2, 4], &[2, 3]]),
            |(x, values): (Tensor<2>, Tensor<2>)| {
                let indices = Tensor::<2, Int>::from_data(APART, &x.device());
                x.scatter(1, indices, values, IndexingUpdateOp::Mul)
            },
        ),
        case(
            "scatter_nd",
            "add, repeated rows",
            uniform(random, &[&[3, 2, 2], &[4, 2]]),
            |(x, values): (Tensor<3>, Tensor<2>)| {
                let indices = [[0, 1], [2, 0], [0, 1], [1, 1]];
                let indices = Tensor::<2, Int>::from_data(indices, &x.device());
                x.scatter_nd(indices, values, IndexingUpdateOp::Add)
            },
        ),
        case(
            "scatter_nd",
            "assign",
            uniform(random, &[&[3, 2, 2], &[3, 2]]),
            |(x, values): (Tensor<3>, Tensor<2>)| {
                let indices = [[0, 1], [2, 0], [1, 1]];
                let indices = Tensor::<2, Int>::from_data(indices, &x.device());
                x.scatter_nd(indices, values, IndexingUpdateOp::Assign)
            },
        ),
        case(
            "scatter_nd",
            "multiply",
            uniform(random, &[&[3, 2, 2], &[3, 2]]),
            |(x, values): (Tensor<3>, Tensor<2>)| {
                let indices = [[0, 1], [2, 0], [1, 1]];
                let indices = Tensor::<2, Int>::from_data(indices, &x.device());
                x.scatter_nd(indices, values, IndexingUpdateOp::Mul)
            },
        ),
        case(
            "select_assign",
            "add, repeated columns",
            uniform(random, &[&[2, 3], &[2, 4]]),
            |(x, values): (Tensor<2>, Tensor<2>)| {
                let indices = Tensor::<1, Int>::from_data([2, 0, 2, 2], &x.device());
                x.select_assign(1, indices, values, IndexingUpdateOp::Add)
            },
        ),
        case(
            "select_assign",
            "assign",
            uniform(random, &[&[4, 2], &[2, 2]]),
            |(x, values): (Tensor<2>, Tensor<2>)| {
                let indices = Tensor::<1, Int>::from_data([3, 1], &x.device());
                x.select_assign(0, indices, values, IndexingUpdateOp::Assign)
            },
        ),
        case(
            "select_assign",
            "multiply",
            uniform(random, &[&[4, 2], &[2, 2]]),
            |(x, values): (Tensor<2>, Tensor<2>)| {
                let indices = Tensor::<1, Int>::from_data([3, 1], &x.device());
                x.select_assign(0, indices, values, IndexingUpdateOp::Mul)
            },
        ),
        case(
            "slice_assign",
            "step 2",
            uniform(random, &[&[5, 3], &[3, 2]]),
            |(x, values): (Tensor<2>, Tensor<2>)| x.slice_assign(s![0..5;2, 1..3], values),
        ),
        case(
            "slice_assign",
            "a middle part",
            uniform(random, &[&[4, 3], &[2, 2]]),
            |(x, values): (Tensor<2>, Tensor<2>)| x.slice_assign(s![1..3, 0..2], values),
        ),
        case("slice_fill", "a middle part", uniform(random, &[&[4, 3]]), |x: Tensor<2>| {
            x.slice_fill(s![1..3, 0..2], 2.0)
        }),
    ]
}

/// Updates with the larger or the smaller value: at values that are apart.
fn updates(random: &mut SplitMix64) -> Vec<Case> {
    let split = |random: &mut SplitMix64| {
        let all = distinct(random, &[14]).data;
        vec![Array::new([2, 4], &all[..8]), Array::new([2, 3], &all[8..])]
    };
    let mut cases = Vec::new();
    for (name, update) in [("maximum", IndexingUpdateOp::Max), ("minimum", IndexingUpdateOp::Min)] {
        cases.push(case(
            "scatter",
            name,
            split(random),
            move |(x, values): (Tensor<2>, Tensor<2>)| {
                let indices = Tensor::<2, Int>::from_data(APART, &x.device());
                x.scatter(1, indices, values, update)
            },
        ));
        cases.push(case(
            "select_assign",
            name,
            split(random),
            move |(x, values): (Tensor<2>, Tensor<2>)| {
                let indices = Tensor::<1, Int>::from_data([3, 0, 2], &x.device());
                x.select_assign(1, indices, values, update)
            },
        ));
        cases.push(case(
            "scatter_nd",
            name,
            split(random),
            move |(x, values): (Tensor<2>, Tensor<2>)| {
                let indices = [[0, 3], [0, 1], [1, 0], [1, 3], [0, 0], [1, 2]];
                let indices = Tensor::<2, Int>::from_data(indices, &x.device());
                x.scatter_nd(indices, values.reshape([6]), update)
            },
        ));
    }
    cases
}

fn masks(random: &mut SplitMix64) -> Vec<Case> {
    const MASK: [[bool; 3]; 2] = [[true, false, true], [false, false, true]];
    vec![
        case(
            "mask_where",
            "2×3",
            uniform(random, &[&[2, 3], &[2, 3]]),
            |[x, values]: [Tensor<2>; 2]| {
                x.clone().mask_where(Tensor::<2, Bool>::from_data(MASK, &x.device()), values)
            },
        ),
        case(
            "mask_where",
            "values broadcast",
            uniform(random, &[&[2, 3], &[1, 3]]),
            |[x, values]: [Tensor<2>; 2]| {
                x.clone().mask_where(Tensor::<2, Bool>::from_data(MASK, &x.device()), values)
            },
        ),
        case("mask_fill", "2×3", uniform(random, &[&[2, 3]]), |x: Tensor<2>| {
            x.clone().mask_fill(Tensor::<2, Bool>::from_data(MASK, &x.device()), 2.0)
        }),
        case("mask_fill", "mask broadcast", uniform(random, &[&[2, 3]]), |x: Tensor<2>| {
            x.clone()
                .mask_fill(Tensor::<2, Bool>::from_data([[true, false, true]], &x.device()), 2.0)
        }),
        case("mask_select", "2×3", uniform(random, &[&[2, 3]]), |x: Tensor<2>| {
            x.clone().mask_select(Tensor::<2, Bool>::from_data(MASK, &x.device()))
        }),
        case("triu", "second diagonal", uniform(random, &[&[3, 4]]), |x: Tensor<2>| x.triu(1)),
        case("tril", "below the diagonal", uniform(random, &[&[2, 3, 3]]), |x: Tensor<3>| {
            x.tril(-1)
        }),
    ]
}

fn shapes(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case("reshape", "2×3×2 to 4×3", uniform(random, &[&[2, 3, 2]]), |x: Tensor<3>| {
            x.reshape([4, 3])
        }),
        case("swap_dims", "outer ones", uniform(random, &[&[2, 3, 4]]), |x: Tensor<3>| {
            x.swap_dims(0, 2)
        }),
        case("permute", "a cycle of four", uniform(random, &[&[2, 1, 3, 4]]), |x: Tensor<4>| {
            x.permute([2, 0, 3, 1])
        }),
        case("flip", "two of three", uniform(random, &[&[2, 3, 4]]), |x: Tensor<3>| x.flip([0, 2])),
        case("roll", "two dimensions", uniform(random, &[&[3, 4]]), |x: Tensor<2>| {
            x.roll(&[1, -1], &[0, 1])
        }),
        case(
            "expand",
            "two dimensions, one of them new",
            uniform(random, &[&[3, 1]]),
            |x: Tensor<2>| x.expand([2, 3, 4]),
        ),
        case("expand", "outer ones", uniform(random, &[&[1, 2, 1]]), |x: Tensor<3>| {
            x.expand([3, 2, 2])
        }),
    ]
}

fn joining(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case(
            "cat",
            "three parts of different sizes, in the middle",
            uniform(random, &[&[2, 1, 2], &[2, 3, 2], &[2, 2, 2]]),
            |[a, b, c]: [Tensor<3>; 3]| Tensor::cat(vec![a, b, c], 1),
        ),
        case(
            "stack",
            "in the middle",
            uniform(random, &[&[2, 3], &[2, 3]]),
            |[a, b]: [Tensor<2>; 2]| Tensor::stack::<3>(vec![a, b], 1),
        ),
        case("repeat_dim", "of size 1", uniform(random, &[&[2, 1, 3]]), |x: Tensor<3>| {
            x.repeat_dim(1, 3)
        }),
        case("repeat_dim", "of size 3", uniform(random, &[&[2, 3, 2]]), |x: Tensor<3>| {
            x.repeat_dim(1, 2)
        }),
        case("repeat", "two dimensions", uniform(random, &[&[2, 1, 3]]), |x: Tensor<3>| {
            x.repeat(&[2, 3, 1])
        }),
        case("unfold", "windows that overlap", uniform(random, &[&[2, 5, 2]]), |x: Tensor<3>| {
            x.unfold::<4, _>(1, 3, 1)
        }),
        case("unfold", "gaps and a rest", uniform(random, &[&[8, 2]]), |x: Tensor<2>| {
            x.unfold::<3, _>(0, 2, 3)
        }),
        case("pad", "constant", uniform(random, &[&[2, 2, 3]]), |x: Tensor<3>| {
            x.pad([(0, 1), (2, 0), (1, 2)], PadMode::Constant(2.0))
        }),
        case("pad", "reflect", uniform(random, &[&[2, 3, 4]]), |x: Tensor<3>| {
            x.pad([(1, 2), (3, 0)], PadMode::Reflect)
        }),
        case("pad", "edge", uniform(random, &[&[2, 3, 2]]), |x: Tensor<3>| {
            x.pad([(2, 1), (0, 3)], PadMode::Edge)
        }),
    ]
}
