//! Activation functions.

use burn::tensor::Tensor;
use burn::tensor::activation::{
    celu, elu, gelu, gelu_approximate, glu, hard_shrink, hard_sigmoid, hard_swish, hardtanh,
    leaky_relu, log_sigmoid, log_softmax, mish, prelu, quiet_softmax, relu, relu6, selu, shrink,
    sigmoid, silu, soft_shrink, softmax, softmin, softplus, softplus_with_threshold, softsign,
    tanh, tanhshrink, thresholded_relu,
};
use burn_autograd::gradcheck::SplitMix64;
use burn_autograd::gradcheck::suite::{Case, draw};

use super::{case, uniform};

type Unary = fn(Tensor<2>) -> Tensor<2>;
type Along = fn(Tensor<3>, usize) -> Tensor<3>;

pub(super) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    // Each function with its kinks, which inputs keep twice the largest step away from.
    let pointwise: [(&str, &[f64], Unary); 27] = [
        ("relu", &[0.0], relu),
        ("leaky_relu", &[0.0], |x| leaky_relu(x, 0.125)),
        ("relu6", &[0.0, 6.0], relu6),
        ("thresholded_relu", &[1.0], |x| thresholded_relu(x, 1.0)),
        ("gelu", &[], gelu),
        ("gelu_approximate", &[], gelu_approximate),
        ("sigmoid", &[], sigmoid),
        ("log_sigmoid", &[], log_sigmoid),
        ("hard_sigmoid", &[-2.5, 2.5], |x| hard_sigmoid(x, 0.2, 0.5)),
        ("silu", &[], silu),
        ("hard_swish", &[-3.0, 3.0], hard_swish),
        ("mish", &[], mish),
        ("tanh", &[], tanh),
        ("tanhshrink", &[], tanhshrink),
        ("hardtanh", &[-1.0, 1.5], |x| hardtanh(x, -1.0, 1.5)),
        ("elu", &[0.0], |x| elu(x, 1.5)),
        // Where its two branches meet with one slope and different curvature.
        ("elu, α = 1", &[], |x| elu(x, 1.0)),
        ("celu", &[], |x| celu(x, 1.5)),
        ("selu", &[0.0], selu),
        ("celu, α = 2", &[], |x| celu(x, 2.0)),
        ("softplus", &[], |x| softplus(x, 1.5)),
        ("softplus, β = 2", &[], |x| softplus(x, 2.0)),
        ("softplus_with_threshold", &[2.0], |x| softplus_with_threshold(x, 1.0, 2.0)),
        ("softsign", &[], softsign),
        ("hard_shrink", &[-1.0, 1.0], |x| hard_shrink(x, 1.0)),
        ("soft_shrink", &[-1.0, 1.0], |x| soft_shrink(x, 1.0)),
        ("shrink", &[-1.0, 1.0], |x| shrink(x, 1.0, 0.5)),
    ];
    let mut cases: Vec<Case> = pointwise
        .into_iter()
        .map(|(name, kinks, function)| {
            let (op, rest) = name.split_once(", ").unwrap_or((name, "3×5"));
            let inputs = draw(random, &[&[3, 5]], (-4.0, 4.0), kinks, 0.5);
            case(op, rest, inputs, function)
        })
        .collect();
    let along: [(&str, Along); 5] = [
        ("softmax", |x, dim| softmax(x, dim)),
        ("softmin", |x, dim| softmin(x, dim)),
        ("log_softmax", |x, dim| log_softmax(x, dim)),
        ("quiet_softmax", |x, dim| quiet_softmax(x, dim)),
        ("glu", |x, dim| glu(x, dim)),
    ];
    for (op, function) in along {
        for dim in [1, 2] {
            cases.push(case(
                op,
                &format!("2×4×2, dimension {dim}"),
                draw(random, &[&[2, 4, 2]], (-3.0, 3.0), &[], 0.0),
                move |x: Tensor<3>| function(x, dim),
            ));
        }
    }
    // Where the exponential of the branch that is not taken overflows, in f64 as in f32.
    let far: [(&str, Unary); 4] = [
        ("elu", |x| elu(x, 1.5)),
        ("celu", |x| celu(x, 1.0)),
        ("selu", selu),
        ("softplus", |x| softplus(x, 1.0)),
    ];
    for (op, function) in far {
        let inputs = draw(random, &[&[1, 3]], (800.0, 900.0), &[], 0.0);
        cases.push(case(op, "at 800 to 900", inputs, function));
    }
    let mut slopes = draw(random, &[&[2, 3, 2]], (-2.0, 2.0), &[0.0], 0.5);
    slopes.extend(uniform(random, &[&[3]]));
    cases.push(case(
        "prelu",
        "a slope for each channel",
        slopes,
        |(x, alpha): (Tensor<3>, Tensor<1>)| prelu(x, alpha),
    ));
    let mut slope = draw(random, &[&[2, 4]], (-2.0, 2.0), &[0.0], 0.5);
    slope.extend(uniform(random, &[&[1]]));
    cases.push(case("prelu", "one slope", slope, |(x, alpha): (Tensor<2>, Tensor<1>)| {
        prelu(x, alpha)
    }));
    cases
}
