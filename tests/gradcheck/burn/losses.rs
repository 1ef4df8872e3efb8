//! Losses.

use burn::nn::loss::{
    BinaryCrossEntropyLossConfig, CosineEmbeddingLossConfig, CrossEntropyLossConfig,
    GaussianNLLLossConfig, HuberLossConfig, KLDivLossConfig, LpLossConfig, MseLoss,
    PoissonNllLossConfig, Reduction, SmoothL1LossConfig,
};
use burn::tensor::loss::cross_entropy_with_logits;
use burn::tensor::module::ctc_loss;
use burn::tensor::{Int, Tensor};
use burn_autograd::gradcheck::suite::{Case, draw};
use burn_autograd::gradcheck::{Array, SplitMix64};

use super::{case, positive, uniform};

pub(super) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    let mut cases = residuals(random);
    cases.extend(likelihoods(random));
    cases
}

/// Predictions and targets whose differences keep half a unit away from 0 and from ±1, where the
/// losses have kinks.
fn apart(random: &mut SplitMix64) -> Vec<Array> {
    let targets = uniform(random, &[&[2, 3]]);
    let residuals = draw(random, &[&[2, 3]], (-3.0, 3.0), &[0.0, -1.0, 1.0], 0.375);
    let predictions = targets[0].data.iter().zip(&residuals[0].data).map(|(t, r)| t + r);
    vec![Array::new([2, 3], predictions.collect::<Vec<_>>()), targets[0].clone()]
}

fn residuals(random: &mut SplitMix64) -> Vec<Case> {
    vec![
        case(
            "mse_loss",
            "nn::loss::MseLoss, the mean",
            uniform(random, &[&[2, 3], &[2, 3]]),
            |[x, y]: [Tensor<2>; 2]| MseLoss::new().forward(x, y, Reduction::Mean),
        ),
        case("l1_loss", "nn::loss::LpLoss, the mean", apart(random), |[x, y]: [Tensor<2>; 2]| {
            LpLossConfig::l1().forward(x, y, Reduction::Mean)
        })
        .first_step(0.125),
        case(
            "huber_loss",
            "nn::loss::HuberLoss, δ = 1, the mean",
            apart(random),
            |[x, y]: [Tensor<2>; 2]| {
                HuberLossConfig::new(1.0).init().forward(x, y, Reduction::Mean)
            },
        )
        .first_step(0.125),
        case(
            "smooth_l1_loss",
            "nn::loss::SmoothL1Loss, β = 1",
            apart(random),
            |[x, y]: [Tensor<2>; 2]| SmoothL1LossConfig::new().init().forward(x, y),
        )
        .first_step(0.125),
        case(
            "cosine_embedding_loss",
            "nn::loss::CosineEmbeddingLoss",
            // The second is given transposed, so that it is never the first once more: there the
            // similarity is largest, and its gradient nothing but rounding.
            uniform(random, &[&[3, 4], &[4, 3]]),
            |[x, y]: [Tensor<2>; 2]| {
                let y = y.transpose();
                let same = Tensor::<1, Int>::from_data([1, 1, 1], &x.device());
                CosineEmbeddingLossConfig::new().init().forward(x, y, same)
            },
        )
        .first_step(0.125),
    ]
}

fn likelihoods(random: &mut SplitMix64) -> Vec<Case> {
    let mut gaussian = uniform(random, &[&[2, 3], &[2, 3]]);
    gaussian.extend(positive(random, &[&[2, 3]]));
    let probabilities =
        |random: &mut SplitMix64, shape: &[usize]| draw(random, &[shape], (0.25, 0.75), &[], 0.0);
    let mut divergence = uniform(random, &[&[2, 3]]);
    divergence.extend(probabilities(random, &[2, 3]));
    let mut counts = uniform(random, &[&[2, 3]]);
    counts.extend(positive(random, &[&[2, 3]]));
    vec![
        case(
            "cross_entropy_loss",
            "nn::loss::CrossEntropyLoss",
            uniform(random, &[&[3, 4]]),
            |x: Tensor<2>| {
                let targets = Tensor::<1, Int>::from_data([2, 0, 3], &x.device());
                CrossEntropyLossConfig::new().init(&x.device()).forward(x, targets)
            },
        ),
        case(
            "cross_entropy_with_logits",
            "targets that are probabilities",
            {
                let mut inputs = uniform(random, &[&[3, 4]]);
                inputs.extend(probabilities(random, &[3, 4]));
                inputs
            },
            |[x, y]: [Tensor<2>; 2]| cross_entropy_with_logits(x, y),
        ),
        case(
            "binary_cross_entropy_loss",
            "nn::loss::BinaryCrossEntropyLoss, of logits",
            draw(random, &[&[2, 3]], (-3.0, 3.0), &[], 0.0),
            |x: Tensor<2>| {
                let targets = Tensor::<2, Int>::from_data([[1, 0, 1], [0, 0, 1]], &x.device());
                let config = BinaryCrossEntropyLossConfig::new().with_logits(true);
                config.init(&x.device()).forward(x, targets)
            },
        ),
        case(
            "binary_cross_entropy_loss",
            "nn::loss::BinaryCrossEntropyLoss, of probabilities",
            probabilities(random, &[2, 3]),
            |x: Tensor<2>| {
                let targets = Tensor::<2, Int>::from_data([[1, 0, 1], [0, 0, 1]], &x.device());
                BinaryCrossEntropyLossConfig::new().init(&x.device()).forward(x, targets)
            },
        )
        .first_step(0.125),
        case("kl_div_loss", "nn::loss::KLDivLoss", divergence, |[x, y]: [Tensor<2>; 2]| {
            KLDivLossConfig::new().init().forward(x, y, Reduction::Sum)
        })
        .first_step(0.125),
        case(
            "gaussian_nll_loss",
            "nn::loss::GaussianNLLLoss",
            gaussian,
            |[x, y, variance]: [Tensor<2>; 3]| {
                GaussianNLLLossConfig::new().init().forward(x, y, variance, Reduction::Mean)
            },
        ),
        case("poisson_nll_loss", "nn::loss::PoissonNllLoss", counts, |[x, y]: [Tensor<2>; 2]| {
            PoissonNllLossConfig::new().init().forward_no_reduction(x, y)
        }),
        case(
            "ctc_loss",
            "two targets of other lengths",
            draw(random, &[&[4, 2, 3]], (-3.0, -0.25), &[], 0.0),
            |log_probs: Tensor<3>| {
                let device = log_probs.device();
                let targets = Tensor::<2, Int>::from_data([[1, 2], [2, 0]], &device);
                let inputs = Tensor::<1, Int>::from_data([4, 3], &device);
                let lengths = Tensor::<1, Int>::from_data([2, 1], &device);
                ctc_loss(log_probs, targets, inputs, lengths, 0)
            },
        ),
    ]
}
