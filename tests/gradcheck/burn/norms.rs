//! Normalisations and pooling.

use burn::module::{Param, ParamId};
use burn::nn::{GroupNorm, InstanceNorm, LayerNormConfig, RmsNorm};
use burn::tensor::Tensor;
use burn::tensor::module::{
    adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d, avg_pool1d, avg_pool2d,
    batch_norm, batch_norm_train, layer_norm, max_pool1d, max_pool2d, max_pool2d_with_indices,
};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn_autograd::gradcheck::SplitMix64;
use burn_autograd::gradcheck::suite::Case;

use super::{case, distinct, positive, uniform};

pub(super) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    let mut cases = norms(random);
    cases.extend(pools(random));
    cases
}

/// A module's parameter that is a tensor of the caller's.
fn param(value: Tensor<1>) -> Param<Tensor<1>> {
    Param::initialized(ParamId::new(), value)
}

/// Input, scale and shift.
type Affine<const D: usize> = (Tensor<D>, Tensor<1>, Tensor<1>);

fn norms(random: &mut SplitMix64) -> Vec<Case> {
    let mut fixed = uniform(random, &[&[2, 3, 2], &[3], &[3], &[3]]);
    fixed.extend(positive(random, &[&[3]]));
    vec![
        case(
            "layer_norm",
            "nn::LayerNorm",
            uniform(random, &[&[2, 2, 5], &[5], &[5]]),
            |(x, gamma, beta): Affine<3>| {
                let mut norm = LayerNormConfig::new(5).init(&x.device());
                (norm.gamma, norm.beta) = (param(gamma), Some(param(beta)));
                norm.forward(x)
            },
        )
        .batch(&[true, false, false]),
        case(
            "layer_norm",
            "of a matrix, without bias",
            uniform(random, &[&[3, 4], &[4]]),
            |(x, gamma): (Tensor<2>, Tensor<1>)| layer_norm(x, gamma, None, 1e-2),
        )
        .batch(&[true, false]),
        case(
            "group_norm",
            "nn::GroupNorm, two groups",
            uniform(random, &[&[2, 4, 3], &[4], &[4]]),
            |(x, gamma, beta): Affine<3>| {
                let norm = GroupNorm {
                    gamma: Some(param(gamma)),
                    beta: Some(param(beta)),
                    num_groups: 2,
                    num_channels: 4,
                    epsilon: 1e-5,
                    affine: true,
                };
                norm.forward(x)
            },
        )
        .batch(&[true, false, false]),
        case(
            "instance_norm",
            "nn::InstanceNorm",
            uniform(random, &[&[2, 2, 3, 2], &[2], &[2]]),
            |(x, gamma, beta): Affine<4>| {
                let norm = InstanceNorm {
                    gamma: Some(param(gamma)),
                    beta: Some(param(beta)),
                    num_channels: 2,
                    epsilon: 1e-5,
                    affine: true,
                };
                norm.forward(x)
            },
        )
        .batch(&[true, false, false]),
        case(
            "rms_norm",
            "nn::RmsNorm",
            uniform(random, &[&[2, 2, 4], &[4]]),
            |(x, gamma): (Tensor<3>, Tensor<1>)| {
                RmsNorm { gamma: param(gamma), epsilon: 1e-5 }.forward(x)
            },
        )
        .batch(&[true, false]),
        case(
            "batch_norm",
            "with given statistics",
            fixed,
            |(x, gamma, beta, mean, variance): (
                Tensor<3>,
                Tensor<1>,
                Tensor<1>,
                Tensor<1>,
                Tensor<1>,
            )| batch_norm(x, gamma, beta, mean, variance, 1e-5),
        ),
        case(
            "batch_norm_train",
            "the output",
            uniform(random, &[&[3, 2, 2], &[2], &[2]]),
            |(x, gamma, beta): Affine<3>| batch_norm_train(x, gamma, beta, 1e-5).output,
        ),
        case(
            "batch_norm_train",
            "the statistics",
            uniform(random, &[&[3, 2, 2], &[2], &[2]]),
            |(x, gamma, beta): Affine<3>| {
                let trained = batch_norm_train(x, gamma, beta, 1e-5);
                (trained.mean, trained.variance)
            },
        ),
    ]
}

fn pools(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case(
            "max_pool1d",
            "kernel 3, stride 2, padding 1",
            vec![distinct(random, &[2, 2, 6])],
            |x: Tensor<3>| {
                max_pool1d(x, MaxPoolOptions::new([3]).with_stride([2]).with_padding([1]))
            },
        )
        .batch(&[true]),
        case(
            "max_pool2d",
            "kernel 3×2, stride 2 and 1, padding 1 and 0, dilation 1 and 2",
            vec![distinct(random, &[2, 1, 4, 5])],
            |x: Tensor<4>| {
                let options = MaxPoolOptions::new([3, 2])
                    .with_stride([2, 1])
                    .with_padding([1, 0])
                    .with_dilation([1, 2]);
                max_pool2d(x, options)
            },
        )
        .batch(&[true]),
        case(
            "max_pool2d",
            "ceil mode, another padding on each side",
            vec![distinct(random, &[1, 2, 4, 5])],
            |x: Tensor<4>| {
                let options = MaxPoolOptions::new([2, 3])
                    .with_stride([3, 2])
                    .with_padding_pairs([(0, 1), (1, 0)])
                    .with_ceil_mode(true);
                max_pool2d(x, options)
            },
        ),
        case(
            "max_pool2d_with_indices",
            "overlapping windows",
            vec![distinct(random, &[1, 2, 4, 3])],
            |x: Tensor<4>| {
                max_pool2d_with_indices(x, MaxPoolOptions::new([2, 2]).with_stride([1, 1])).0
            },
        ),
        case(
            "avg_pool1d",
            "kernel 3, stride 2, padding 1 that counts",
            uniform(random, &[&[2, 2, 6]]),
            |x: Tensor<3>| {
                avg_pool1d(x, AvgPoolOptions::new([3]).with_stride([2]).with_padding([1]))
            },
        )
        .batch(&[true]),
        case(
            "avg_pool2d",
            "kernel 2×3, stride 2 and 1, padding 1 and 1 that does not count",
            uniform(random, &[&[2, 1, 4, 5]]),
            |x: Tensor<4>| {
                let options = AvgPoolOptions::new([2, 3])
                    .with_stride([2, 1])
                    .with_padding([1, 1])
                    .with_count_include_pad(false);
                avg_pool2d(x, options)
            },
        )
        .batch(&[true]),
        case(
            "avg_pool2d",
            "kernel 3×2, padding 1 and 0 that counts, a rest",
            uniform(random, &[&[1, 2, 6, 5]]),
            |x: Tensor<4>| {
                let options = AvgPoolOptions::new([3, 2]).with_stride([2, 2]).with_padding([1, 0]);
                avg_pool2d(x, options)
            },
        ),
        case("avg_pool2d", "ceil mode", uniform(random, &[&[1, 1, 5, 6]]), |x: Tensor<4>| {
            let options = AvgPoolOptions::new([2, 3]).with_stride([2, 2]).with_ceil_mode(true);
            avg_pool2d(x, options)
        }),
        case(
            "avg_pool2d",
            "ceil mode, padding 1 that counts",
            uniform(random, &[&[1, 1, 4, 5]]),
            |x: Tensor<4>| {
                let options = AvgPoolOptions::new([3, 2])
                    .with_stride([2, 3])
                    .with_padding([1, 1])
                    .with_ceil_mode(true);
                avg_pool2d(x, options)
            },
        ),
        case("adaptive_avg_pool1d", "7 to 3", uniform(random, &[&[2, 2, 7]]), |x: Tensor<3>| {
            adaptive_avg_pool1d(x, 3)
        })
        .batch(&[true]),
        case(
            "adaptive_avg_pool2d",
            "5×4 to 3×3, windows overlap",
            uniform(random, &[&[2, 1, 5, 4]]),
            |x: Tensor<4>| adaptive_avg_pool2d(x, [3, 3]),
        )
        .batch(&[true]),
        case(
            "adaptive_avg_pool2d",
            "3×2 to 4×5, larger than the input",
            uniform(random, &[&[1, 2, 3, 2]]),
            |x: Tensor<4>| adaptive_avg_pool2d(x, [4, 5]),
        ),
        case(
            "adaptive_avg_pool3d",
            "3×4×3 to 2×3×1",
            uniform(random, &[&[1, 1, 3, 4, 3]]),
            |x: Tensor<5>| adaptive_avg_pool3d(x, [2, 3, 1]),
        ),
    ]
}
