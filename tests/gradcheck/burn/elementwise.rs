//! Functions of each element.

use burn::tensor::Tensor;
use burn_autograd::gradcheck::suite::{Case, draw};
use burn_autograd::gradcheck::{Array, SplitMix64};

use super::{case, distinct, positive, uniform};

pub(super) fn cases(random: &mut SplitMix64) -> Vec<Case> {
    let mut cases = unary(random);
    cases.extend(powers(random));
    cases.extend(binary(random));
    cases
}

type Unary = fn(Tensor<2>) -> Tensor<2>;

fn unary(random: &mut SplitMix64) -> Vec<Case> {
    /// The interval of the inputs, and points that they keep twice the largest step away from.
    struct On(f64, f64, &'static [f64]);
    const CONSTANT: [&str; 5] = ["sign", "floor", "ceil", "round", "trunc"];
    const HALVES: &[f64] = &[-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0];
    let functions: [(&str, On, f64, Unary); 29] = [
        ("exp", On(-3.0, 3.0, &[]), 0.25, Tensor::exp),
        ("log", On(0.5, 4.0, &[]), 0.25, Tensor::log),
        ("log1p", On(-0.5, 3.0, &[]), 0.25, Tensor::log1p),
        ("sqrt", On(0.5, 4.0, &[]), 0.25, Tensor::sqrt),
        ("recip", On(-3.0, 3.0, &[0.0]), 0.25, Tensor::recip),
        ("square", On(-3.0, 3.0, &[]), 0.25, |x| x.square()),
        ("abs", On(-3.0, 3.0, &[0.0]), 0.25, Tensor::abs),
        ("neg", On(-3.0, 3.0, &[]), 0.25, Tensor::neg),
        ("sign", On(-3.0, 3.0, &[0.0]), 0.25, Tensor::sign),
        ("sin", On(-4.0, 4.0, &[]), 0.25, Tensor::sin),
        ("cos", On(-4.0, 4.0, &[]), 0.25, Tensor::cos),
        ("tan", On(-1.0, 1.0, &[]), 0.25, Tensor::tan),
        ("asin", On(-0.5, 0.5, &[]), 0.25, Tensor::asin),
        ("acos", On(-0.5, 0.5, &[]), 0.25, Tensor::acos),
        ("atan", On(-3.0, 3.0, &[]), 0.25, Tensor::atan),
        ("sinh", On(-3.0, 3.0, &[]), 0.25, Tensor::sinh),
        ("cosh", On(-3.0, 3.0, &[]), 0.25, Tensor::cosh),
        ("tanh", On(-3.0, 3.0, &[]), 0.25, Tensor::tanh),
        ("asinh", On(-3.0, 3.0, &[]), 0.25, Tensor::asinh),
        ("acosh", On(1.5, 4.0, &[]), 0.25, Tensor::acosh),
        ("atanh", On(-0.5, 0.5, &[]), 0.25, Tensor::atanh),
        ("erf", On(-3.0, 3.0, &[]), 0.25, Tensor::erf),
        ("deg2rad", On(-90.0, 90.0, &[]), 0.25, Tensor::deg2rad),
        // Constant between jumps.
        ("floor", On(-2.0, 2.0, HALVES), 0.0625, Tensor::floor),
        ("ceil", On(-2.0, 2.0, HALVES), 0.0625, Tensor::ceil),
        ("round", On(-2.0, 2.0, HALVES), 0.0625, Tensor::round),
        ("trunc", On(-2.0, 2.0, HALVES), 0.0625, Tensor::trunc),
        ("clamp", On(-3.0, 3.0, &[-1.0, 1.5]), 0.25, |x| x.clamp(-1.0, 1.5)),
        ("clamp_min", On(-3.0, 3.0, &[0.5]), 0.25, |x| x.clamp_min(0.5)),
    ];
    functions
        .into_iter()
        .map(|(op, On(low, high, avoid), step, function)| {
            let inputs = draw(random, &[&[2, 5]], (low, high), avoid, 2.0 * step);
            let case = case(op, "2×5", inputs, function).first_step(step);
            if CONSTANT.contains(&op) { case.constant() } else { case }
        })
        .collect()
}

fn powers(random: &mut SplitMix64) -> Vec<Case> {
    let both_signs = |random: &mut SplitMix64| draw(random, &[&[2, 4]], (-2.0, 2.0), &[0.0], 0.5);
    let integers: [(&str, &str, Unary); 5] = [
        ("powf_scalar", "3, bases of both signs", |x| x.powf_scalar(3.0)),
        ("powf_scalar", "−3, bases of both signs", |x| x.powf_scalar(-3.0)),
        ("powi_scalar", "0", |x| x.powi_scalar(0)),
        ("powi_scalar", "5, bases of both signs", |x| x.powi_scalar(5)),
        ("powi_scalar", "−2, bases of both signs", |x| x.powi_scalar(-2)),
    ];
    let mut cases: Vec<Case> = integers
        .into_iter()
        .map(|(op, name, function)| case(op, name, both_signs(random), function))
        .collect();
    let exponents =
        |x: &Tensor<1>, values: [f64; 4]| Tensor::<1>::from_data(values, (&x.device(), x.dtype()));
    let mut bases = positive(random, &[&[2, 3]]);
    bases.extend(uniform(random, &[&[1, 3]]));
    cases.extend([
        case("powf_scalar", "2.5", positive(random, &[&[2, 4]]), |x: Tensor<2>| x.powf_scalar(2.5)),
        case("powi_scalar", "3, base 0", vec![Array::new([2], [0.0, 1.0])], |x: Tensor<1>| {
            x.powi_scalar(3)
        }),
        case("powf", "exponents broadcast", bases, |[x, y]: [Tensor<2>; 2]| x.powf(y)),
        case(
            "powf",
            "bases of both signs, given exponents 1, 2, 3 and 4",
            draw(random, &[&[4]], (-2.0, 2.0), &[0.0], 0.5),
            move |x: Tensor<1>| {
                let exponents = exponents(&x, [1.0, 2.0, 3.0, 4.0]);
                x.powf(exponents)
            },
        ),
        case(
            "powf",
            "base 0, given exponents 0, 1, 2 and 3",
            vec![Array::new([4], [0.0; 4])],
            move |x: Tensor<1>| {
                let exponents = exponents(&x, [0.0, 1.0, 2.0, 3.0]);
                x.powf(exponents)
            },
        ),
        case(
            "powf",
            "given bases 0, 1, 2 and 3, exponents",
            positive(random, &[&[4]]),
            move |y: Tensor<1>| exponents(&y, [0.0, 1.0, 2.0, 3.0]).powf(y),
        ),
    ]);
    cases
}

/// Dividends and divisors of both signs whose quotients are not near an integer.
fn divisions(random: &mut SplitMix64) -> Vec<Array> {
    let signed = |random: &mut SplitMix64, size: f64| match random.next_u64() & 1 {
        0 => size,
        _ => -size,
    };
    let mut dividends = Vec::new();
    let mut divisors = Vec::new();
    for _ in 0..8 {
        let whole = (random.next_u64() % 3) as f64;
        let divisor = random.uniform(1.0, 1.5);
        let dividend = divisor * (whole + random.uniform(0.375, 0.625));
        let dividend = (dividend * 4096.0).round() / 4096.0;
        dividends.push(signed(random, dividend));
        divisors.push(signed(random, divisor));
    }
    vec![Array::new([2, 4], dividends), Array::new([2, 4], divisors)]
}

fn binary(random: &mut SplitMix64) -> Vec<Case> {
    type Binary = fn([Tensor<2>; 2]) -> Tensor<2>;
    let mut cases = Vec::new();
    let arithmetic: [(&str, Binary); 3] =
        [("add", |[x, y]| x + y), ("sub", |[x, y]| x - y), ("mul", |[x, y]| x * y)];
    for (op, function) in arithmetic {
        let shapes: [(&str, [&[usize]; 2]); 3] = [
            ("the right is broadcast", [&[2, 3], &[1, 3]]),
            ("the left is broadcast", [&[2, 1], &[2, 3]]),
            ("both are broadcast", [&[2, 1], &[1, 3]]),
        ];
        for (name, shapes) in shapes {
            cases.push(case(op, name, uniform(random, &shapes), function).exact());
        }
    }
    let away = |random: &mut SplitMix64, shapes: &[&[usize]]| {
        draw(random, shapes, (-2.0, 2.0), &[0.0], 0.5)
    };
    let scalars: [(&str, &str, Unary); 5] = [
        ("add_scalar", "⅓", |x| x.add_scalar(1.0 / 3.0)),
        ("sub_scalar", "⅓", |x| x.sub_scalar(1.0 / 3.0)),
        ("mul_scalar", "⅓", |x| x.mul_scalar(1.0 / 3.0)),
        ("div_scalar", "3", |x| x.div_scalar(3.0)),
        ("div_scalar", "4", |x| x.div_scalar(4.0)),
    ];
    for (op, name, function) in scalars {
        cases.push(case(op, name, uniform(random, &[&[2, 3]]), function));
    }
    cases.extend([
        case(
            "div",
            "both are broadcast",
            away(random, &[&[2, 1], &[1, 3]]),
            |[x, y]: [Tensor<2>; 2]| x / y,
        ),
        case("div", "2×3", away(random, &[&[2, 3], &[2, 3]]), |[x, y]: [Tensor<2>; 2]| x / y),
        case(
            "atan2",
            "all quadrants, broadcast",
            vec![
                Array::new([4, 1], [1.25, -0.75, 0.875, -1.5]),
                Array::new([1, 3], [0.75, -1.125, 1.75]),
            ],
            |[y, x]: [Tensor<2>; 2]| y.atan2(x),
        ),
        case(
            "atan2",
            "on the axes",
            vec![Array::new([3], [1.0, -1.0, 0.0]), Array::new([3], [0.0, 0.0, 1.0])],
            |[y, x]: [Tensor<1>; 2]| y.atan2(x),
        ),
        case("hypot", "broadcast", away(random, &[&[2, 3], &[1, 3]]), |[x, y]: [Tensor<2>; 2]| {
            x.hypot(y)
        }),
        case("remainder", "both signs", divisions(random), |[x, y]: [Tensor<2>; 2]| x.remainder(y))
            .first_step(0.0625),
        case("fmod", "both signs", divisions(random), |[x, y]: [Tensor<2>; 2]| x.fmod(y))
            .first_step(0.0625),
        case(
            "remainder_scalar",
            "1.25",
            vec![Array::new([5], [0.75, 2.0, -0.5, -1.875, 3.0])],
            |x: Tensor<1>| x.remainder_scalar(1.25),
        )
        .first_step(0.0625),
        case(
            "fmod_scalar",
            "1.25",
            vec![Array::new([5], [0.75, 2.0, -0.5, -1.875, 3.0])],
            |x: Tensor<1>| x.fmod_scalar(1.25),
        )
        .first_step(0.0625),
    ]);
    let pairs: [(&str, Binary); 2] =
        [("max_pair", |[x, y]| x.max_pair(y)), ("min_pair", |[x, y]| x.min_pair(y))];
    for (op, function) in pairs {
        let all = distinct(random, &[12]).data;
        let inputs = vec![Array::new([2, 3], &all[..6]), Array::new([2, 3], &all[6..])];
        cases.push(case(op, "2×3", inputs, function));
    }
    cases
}
