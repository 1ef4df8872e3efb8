//! Convolutions, what is built on them, and attention.

use burn::tensor::module::{
    attention, conv_transpose1d, conv_transpose2d, conv_transpose3d, conv1d, conv2d, conv3d,
    deform_conv2d, embedding, fold4d, linear, unfold4d,
};
use burn::tensor::ops::{
    AttentionModuleOptions, ConvOptions, ConvTransposeOptions, DeformConvOptions, UnfoldOptions,
};
use burn::tensor::{Bool, Int, Tensor};
use burn_autograd::gradcheck::SplitMix64;
use burn_autograd::gradcheck::suite::{Case, draw};

use super::{case, uniform};

pub(super) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    let mut cases = convolutions(random);
    cases.extend(transposed(random));
    cases.extend(others(random));
    cases
}

/// Input, weight and bias.
type Biased<const D: usize> = (Tensor<D>, Tensor<D>, Tensor<1>);

fn convolutions(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case(
            "conv1d",
            "stride 2, padding 2, dilation 2, two groups",
            uniform(random, &[&[2, 2, 7], &[4, 1, 3], &[4]]),
            |(x, w, b): Biased<3>| conv1d(x, w, Some(b), ConvOptions::new([2], [2], [2], 2)),
        )
        .exact()
        .batch(&[true, false, false]),
        case(
            "conv1d",
            "stride 3 with a rest, padding 1 before and 2 after, no bias",
            uniform(random, &[&[1, 2, 9], &[3, 2, 2]]),
            |(x, w): (Tensor<3>, Tensor<3>)| {
                conv1d(x, w, None, ConvOptions::new_with_padding([3], [(1, 2)], [1], 1))
            },
        )
        .exact(),
        case(
            "conv2d",
            "stride 1 and 2, padding 2 and 0, dilation 2 and 1",
            uniform(random, &[&[2, 1, 4, 5], &[2, 1, 3, 2], &[2]]),
            |(x, w, b): Biased<4>| {
                conv2d(x, w, Some(b), ConvOptions::new([1, 2], [2, 0], [2, 1], 1))
            },
        )
        .exact()
        .batch(&[true, false, false]),
        case(
            "conv2d",
            "two groups, stride 2 and 1, padding 1 and 2, dilation 1 and 2",
            uniform(random, &[&[1, 2, 4, 5], &[4, 1, 2, 3], &[4]]),
            |(x, w, b): Biased<4>| {
                conv2d(x, w, Some(b), ConvOptions::new([2, 1], [1, 2], [1, 2], 2))
            },
        )
        .exact(),
        case(
            "conv2d",
            "strides 3 and 2 that leave a rest",
            uniform(random, &[&[1, 1, 7, 6], &[2, 1, 2, 3], &[2]]),
            |(x, w, b): Biased<4>| {
                conv2d(x, w, Some(b), ConvOptions::new([3, 2], [0, 0], [1, 1], 1))
            },
        )
        .exact(),
        case(
            "conv2d",
            "another padding on each side",
            uniform(random, &[&[1, 2, 3, 4], &[2, 2, 2, 2], &[2]]),
            |(x, w, b): Biased<4>| {
                let padding = [(0, 1), (2, 1)];
                let options = ConvOptions::new_with_padding([1, 2], padding, [1, 1], 1);
                conv2d(x, w, Some(b), options)
            },
        )
        .exact(),
        case(
            "conv2d",
            "as many groups as channels",
            uniform(random, &[&[2, 3, 3, 2], &[3, 1, 2, 2], &[3]]),
            |(x, w, b): Biased<4>| {
                conv2d(x, w, Some(b), ConvOptions::new([1, 1], [0, 1], [1, 1], 3))
            },
        )
        .exact(),
        case(
            "conv2d",
            "kernel of one element, no bias",
            uniform(random, &[&[2, 3, 2, 3], &[2, 3, 1, 1]]),
            |(x, w): (Tensor<4>, Tensor<4>)| {
                conv2d(x, w, None, ConvOptions::new([1, 1], [0, 0], [1, 1], 1))
            },
        )
        .exact(),
        case(
            "conv3d",
            "two groups, stride, padding and dilation of each axis its own",
            uniform(random, &[&[1, 2, 3, 3, 2], &[2, 1, 2, 1, 2], &[2]]),
            |(x, w, b): Biased<5>| {
                conv3d(x, w, Some(b), ConvOptions::new([1, 2, 1], [1, 0, 1], [2, 1, 1], 2))
            },
        )
        .exact(),
    ]
}

fn transposed(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case(
            "conv_transpose1d",
            "stride 2, padding 1, output padding 1, dilation 2",
            uniform(random, &[&[2, 2, 4], &[2, 3, 3], &[3]]),
            |(x, w, b): Biased<3>| {
                conv_transpose1d(x, w, Some(b), ConvTransposeOptions::new([2], [1], [1], [2], 1))
            },
        )
        .exact()
        .batch(&[true, false, false]),
        case(
            "conv_transpose2d",
            "two groups, stride 2 and 3, padding 1 and 0, output padding 1 and 2, dilation 2 and 1",
            uniform(random, &[&[1, 2, 3, 2], &[2, 2, 2, 3], &[4]]),
            |(x, w, b): Biased<4>| {
                let options = ConvTransposeOptions::new([2, 3], [1, 0], [1, 2], [2, 1], 2);
                conv_transpose2d(x, w, Some(b), options)
            },
        )
        .exact(),
        case(
            "conv_transpose2d",
            "one group, no bias",
            uniform(random, &[&[2, 2, 2, 3], &[2, 3, 3, 2]]),
            |(x, w): (Tensor<4>, Tensor<4>)| {
                let options = ConvTransposeOptions::new([1, 2], [1, 0], [0, 1], [1, 1], 1);
                conv_transpose2d(x, w, None, options)
            },
        )
        .exact()
        .batch(&[true, false]),
        case(
            "conv_transpose3d",
            "stride, padding and dilation of each axis its own",
            uniform(random, &[&[1, 2, 2, 1, 3], &[2, 1, 2, 2, 1], &[1]]),
            |(x, w, b): Biased<5>| {
                let options =
                    ConvTransposeOptions::new([2, 1, 2], [0, 1, 0], [1, 0, 0], [1, 2, 1], 1);
                conv_transpose3d(x, w, Some(b), options)
            },
        )
        .exact(),
    ]
}

/// Input, offset, weight, mask and bias.
type Deformable = (Tensor<4>, Tensor<4>, Tensor<4>, Tensor<4>, Tensor<1>);

fn others(random: &mut SplitMix64) -> Vec<Case> {
    let mut deformable = uniform(random, &[&[1, 1, 4, 3], &[1, 1, 2, 2], &[1, 4, 2, 2], &[1]]);
    // Between the pixels, where bilinear interpolation has no kink.
    deformable.splice(1..1, draw(random, &[&[1, 8, 2, 2]], (0.3125, 0.6875), &[], 0.0));
    vec![
        case(
            "deform_conv2d",
            "stride 2, padding 0 and 1, with mask and bias",
            deformable,
            |(x, offset, w, mask, b): Deformable| {
                let options = DeformConvOptions::new([2, 2], [0, 1], [1, 1], 1, 1);
                deform_conv2d(x, offset, w, Some(mask), Some(b), options)
            },
        )
        .first_step(0.125),
        case(
            "unfold4d",
            "stride 2 and 1, padding 1 and 0, dilation 1 and 2",
            uniform(random, &[&[2, 2, 3, 4]]),
            |x: Tensor<4>| unfold4d(x, [2, 2], UnfoldOptions::new([2, 1], [1, 0], [1, 2])),
        )
        .exact()
        .batch(&[true]),
        case("fold4d", "overlapping blocks", uniform(random, &[&[1, 12, 4]]), |x: Tensor<3>| {
            fold4d(x, [3, 4], [2, 3], UnfoldOptions::new([1, 1], [0, 0], [1, 1]))
        })
        .exact(),
        case(
            "linear",
            "with bias",
            uniform(random, &[&[2, 3, 2], &[2, 4], &[4]]),
            |(x, w, b): (Tensor<3>, Tensor<2>, Tensor<1>)| linear(x, w, Some(b)),
        )
        .exact()
        .batch(&[true, false, false]),
        case(
            "linear",
            "of a vector, without bias",
            uniform(random, &[&[3], &[3, 2]]),
            |(x, w): (Tensor<1>, Tensor<2>)| linear(x, w, None),
        )
        .exact(),
        case(
            "embedding",
            "repeated and unused rows",
            uniform(random, &[&[5, 3]]),
            |w: Tensor<2>| {
                let rows = Tensor::<2, Int>::from_data([[4, 0, 4], [1, 2, 0]], &w.device());
                embedding(w, rows)
            },
        )
        .exact(),
        case(
            "attention",
            "more keys than queries",
            uniform(random, &[&[1, 2, 2, 3], &[1, 2, 3, 3], &[1, 2, 3, 2]]),
            |[q, k, v]: [Tensor<4>; 3]| {
                attention(q, k, v, None, None, AttentionModuleOptions::default())
            },
        )
        .batch(&[true, true, true]),
        case(
            "attention",
            "masked, with a bias on the scores",
            uniform(random, &[&[2, 1, 2, 2], &[2, 1, 3, 2], &[2, 1, 3, 2], &[2, 1, 2, 3]]),
            |[q, k, v, bias]: [Tensor<4>; 4]| {
                let mask = [[[[false, true, false], [true, false, false]]]];
                let mask = Tensor::<4, Bool>::from_data(mask, &q.device()).expand([2, 1, 2, 3]);
                attention(q, k, v, Some(mask), Some(bias), AttentionModuleOptions::default())
            },
        ),
        case(
            "attention",
            "causal, softcap 2, scale ¾",
            uniform(random, &[&[1, 1, 3, 2], &[1, 1, 3, 2], &[1, 1, 3, 2]]),
            |[q, k, v]: [Tensor<4>; 3]| {
                let options = AttentionModuleOptions {
                    scale: Some(0.75),
                    softcap: Some(2.0),
                    is_causal: true,
                };
                attention(q, k, v, None, None, options)
            },
        ),
    ]
}
