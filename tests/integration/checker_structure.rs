//! The checker's structural checks: what varies from run to run, subsets of many inputs, batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::{DType, Tensor};
use burn_autograd::gradcheck::{Gradcheck, Report, Subject, Verdict, gradcheck};
use burn_autograd::{Context, Function, Saved, Var};

use crate::devices::{cpu, tensor};

const DATA: [f64; 6] = [0.75, -1.25, 1.5, -0.625, 2.0, 1.125];

#[track_caller]
fn verdict(report: &Report, check: &str) -> Verdict {
    report.check(check).unwrap_or_else(|| panic!("no record `{check}`\n{report}")).verdict
}

/// x², whose gradient is larger by one unit in the last place every other time.
#[derive(Debug, Clone, Default)]
struct Varying {
    runs: Arc<AtomicU64>,
}

impl Function<1> for Varying {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        ctx.save([&x]);
        [x.square()]
    }

    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [x] = ctx.tensors();
        let odd = self.runs.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        [Some(2.0 * x * g * if odd { 1.0 + f64::EPSILON } else { 1.0 })]
    }
}

#[test]
fn a_gradient_that_is_declared_to_vary_passes_and_its_spread_is_reported() {
    for device in cpu() {
        let x: Tensor<2> = tensor([2, 3], &DATA, &device, DType::F64);
        let subject = || {
            let varying = Varying::default();
            Subject::new(move |x: Tensor<2>| varying.apply([x]))
        };
        let report = Gradcheck::new().run(&subject(), x.clone());
        assert_eq!(verdict(&report, "repeat"), Verdict::Fail, "{report}");

        let report = Gradcheck::new().nondeterministic(2.0).run(&subject(), x);
        report.assert_pass();
        let reason = &report.check("repeat").expect("it is made").reason;
        let (_, rest) = reason.split_once("the gradient differs by up to ").expect("the spread");
        let (spread, rest) = rest.split_once(' ').expect("a number");
        let spread: f64 = spread.parse().expect("a number");
        assert!((0.5..=2.0).contains(&spread) && rest.starts_with("units in the last"), "{reason}");
    }
}

/// What is compared under a bound says what it sees, and a bound that allows everything is no pass.
#[test]
fn a_structural_check_that_sees_nothing_is_unchecked() {
    let checks = ["subsets", "checkpointing", "layout", "fusion", "accumulation", "product"];
    for device in cpu() {
        let x: Tensor<2> = tensor([2, 3], &DATA, &device, DType::F64);
        let sine = Subject::new(|x: Tensor<2>| x.sin());
        let report = Gradcheck::new().run(&sine, x.clone());
        report.assert_pass();
        for check in checks {
            let detects = report.check(check).and_then(|record| record.detects);
            assert!(detects.is_some_and(|detects| detects < 1e-12), "{check}: {report}");
        }
        let report = Gradcheck::new().nondeterministic(1e15).run(&sine, x);
        for check in checks {
            assert_eq!(verdict(&report, check), Verdict::Unchecked, "{report}");
        }
    }
}

#[test]
fn more_inputs_than_a_word_has_bits_are_checked() {
    let device = cpu().remove(0);
    let inputs: [Tensor<1>; 65] = std::array::from_fn(|number| {
        tensor([1], &[0.5 + number as f64 / 64.0], &device, DType::F64)
    });
    let neighbours = |x: [Tensor<1>; 65]| {
        let products = x.windows(2).map(|pair| pair[0].clone() * pair[1].clone());
        products.reduce(|sum, product| sum + product).expect("there are pairs")
    };
    gradcheck(neighbours, inputs).assert_pass();
}

/// The sum of eight tensors, whose gradients are wrong where about half of them are tracked.
#[derive(Debug, Clone)]
struct WrongForHalf;

impl Function<8> for WrongForHalf {
    fn forward(&self, _: &mut Context, inputs: [Var; 8]) -> [Var; 1] {
        [inputs.into_iter().reduce(|sum, x| sum + x).expect("eight inputs")]
    }

    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 8] {
        let tracked = (0..8).filter(|&input| ctx.needs(input)).count();
        let g = if (3..=5).contains(&tracked) { g * 2.0 } else { g };
        std::array::from_fn(|_| Some(g.clone()))
    }
}

#[test]
fn subsets_of_about_half_of_many_inputs_are_checked() {
    for device in cpu() {
        let inputs: [Tensor<1>; 8] =
            std::array::from_fn(|_| tensor([2], &DATA[..2], &device, DType::F64));
        let report = gradcheck(|inputs: [Tensor<1>; 8]| WrongForHalf.apply(inputs), inputs);
        assert_eq!(verdict(&report, "jacobian"), Verdict::Pass, "{report}");
        assert_eq!(verdict(&report, "subsets"), Verdict::Fail, "{report}");
    }
}

/// 3x, whose gradient is lost for a batch of one.
#[derive(Debug, Clone)]
struct LostAlone;

impl Function<1> for LostAlone {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x * 3.0]
    }

    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        [(g.shape()[0] > 1).then(|| g * 3.0)]
    }
}

#[test]
fn a_gradient_that_is_lost_for_a_batch_of_one_is_seen() {
    for device in cpu() {
        let x: Tensor<2> = tensor([3, 2], &DATA, &device, DType::F64);
        let subject = Subject::new(|x: Tensor<2>| LostAlone.apply([x]));
        let report = Gradcheck::new().batch([true]).run(&subject, x);
        assert_eq!(verdict(&report, "jacobian"), Verdict::Pass, "{report}");
        assert_eq!(verdict(&report, "batch"), Verdict::Fail, "{report}");
    }
}

#[test]
fn an_output_of_another_shape_for_a_batch_of_one_is_seen() {
    for device in cpu() {
        let x: Tensor<2> = tensor([3, 2], &DATA, &device, DType::F64);
        // The second output is a constant, of one column where it should have two.
        let function = |narrow: bool| {
            Subject::new(move |x: Tensor<2>| {
                let [rows, columns] = x.dims();
                let columns = if narrow && rows == 1 { 1 } else { columns };
                let ones = Tensor::<2>::ones([rows, columns], (&x.device(), x.dtype()));
                (x.sin(), ones)
            })
        };
        let check = Gradcheck::new().batch([true]);
        check.run(&function(false), x.clone()).assert_pass();
        let report = check.run(&function(true), x);
        assert_eq!(verdict(&report, "batch"), Verdict::Fail, "{report}");
        assert!(report.to_string().contains("output 1: expected [1, 2], got [1, 1]"), "{report}");
    }
}

#[test]
fn a_batch_that_is_not_as_declared_is_named() {
    for device in cpu() {
        let x: Tensor<2> = tensor([3, 2], &DATA, &device, DType::F64);
        let sum = Subject::new(|(a, b): (Tensor<2>, Tensor<2>)| a + b);
        let few = Gradcheck::new().batch([true]).run(&sum, (x.clone(), x.clone()));
        assert_eq!(verdict(&few, "batch"), Verdict::Invalid, "{few}");
        assert!(few.to_string().contains("each of the 2 inputs"), "{few}");

        let total = Subject::new(|x: Tensor<2>| x.sin().sum());
        let without = Gradcheck::new().batch([true]).run(&total, x);
        assert_eq!(verdict(&without, "batch"), Verdict::Invalid, "{without}");
        assert!(without.to_string().contains("output 0 to have the batch of 3"), "{without}");
    }
}

/// The more noise, the less a projection sees; below what it has to see it does not pass.
#[test]
fn a_projection_in_single_precision_passes_only_if_it_sees_enough() {
    let device = cpu().remove(0);
    let data: Vec<f64> = (0..64).map(|i| f64::from(i) / 64.0).collect();
    let x: Tensor<1> = tensor([64], &data, &device, DType::F32);
    let mut passed = 0;
    for constant in [0.0, 1e1, 1e2, 1e3] {
        let subject = Subject::new(move |x: Tensor<1>| x.exp() + constant);
        let report = Gradcheck::new().full_jacobian(1_000).run(&subject, x.clone());
        let record = report.check("projection").expect("64 × 64 entries are more");
        if record.verdict == Verdict::Pass {
            passed += 1;
            let detects = record.detects.expect("it compared something");
            assert!(detects <= 0.0225, "{constant}: {report}");
        }
    }
    assert!(passed > 0);
}

/// The identity, whose gradient is too large by a factor in one element.
#[derive(Debug, Clone)]
struct SlightlyWrong {
    at: usize,
    factor: f64,
}

impl Function<1> for SlightlyWrong {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x]
    }

    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let (at, len) = (self.at, g.shape()[0]);
        // A part of it by itself is right.
        if len <= at + 1 {
            return [Some(g)];
        }
        let wrong = g.slice(at..at + 1) * self.factor;
        [Some(Var::cat(&[g.slice(0..at), wrong, g.slice(at + 1..len)], 0))]
    }
}

/// sin(wᵢ·xᵢ): a difference quotient is off by more next to a large w than the mistake is.
#[test]
fn bisection_names_no_entry_that_is_right() {
    let device = cpu().remove(0);
    let x: Tensor<1> = tensor([64], &[0.5; 64], &device, DType::F64);
    let check = Gradcheck::new().full_jacobian(1_000);
    let subject = |curved: Option<usize>, factor: f64| {
        Subject::new(move |x: Tensor<1>| {
            let mut factors = [1.0; 64];
            if let Some(curved) = curved {
                factors[curved] = 24.0;
            }
            let factors: Tensor<1> = tensor([64], &factors, &x.device(), x.dtype());
            let x: Tensor<1> = SlightlyWrong { at: 10, factor }.apply([x]);
            (x * factors).sin()
        })
    };
    for (curved, factor, right) in [(None, 1.01, true), (Some(11), 1.0001, false)] {
        let report = check.run(&subject(curved, factor), x.clone());
        let record = report.check("projection").expect("64 × 64 entries are more");
        assert_eq!(record.verdict, Verdict::Fail, "{report}");
        let named = |what: &str| record.causes.iter().any(|cause| cause.contains(what));
        assert_eq!(named("the gradient of input 0 at [10] is"), right, "{report}");
        assert_eq!(named("no single entry"), !right, "{report}");
        assert!(!named("at [11]"), "{report}");
    }
}

/// What a line integral says to detect, it detects in single entries of its blocks.
#[test]
fn a_line_integral_of_blocks_sees_what_it_says() {
    let device = cpu().remove(0);
    let data: Vec<f64> = (0..96).map(|i| 0.5 + f64::from(i) / 128.0).collect();
    let x: Tensor<1> = tensor([96], &data, &device, DType::F32);
    let check = |at: usize, factor: f64| {
        let planted = SlightlyWrong { at, factor };
        let subject = Subject::new(move |x: Tensor<1>| planted.apply([x]).exp());
        Gradcheck::new().run(&subject, x.clone())
    };
    let report = check(1, 1.0);
    let record = report.check("line").expect("single precision without a reference");
    assert_eq!(record.verdict, Verdict::Pass, "{report}");
    let stated =
        "96 input elements in 24 segments, 2 cotangents: wrong entries that cancel are missed";
    assert!(record.reason.contains(stated), "{report}");
    let detects = record.detects.expect("it compared something");
    assert!(detects < 0.01, "{report}");
    // Its weight and its part in the direction make an element count for less than the typical one.
    for at in [1, 50, 94] {
        let report = check(at, 1.0 + 16.0 * detects);
        assert_eq!(report.verdict(), Verdict::Fail, "{at}: {report}");
    }
}

#[test]
fn every_kink_is_named_and_many_are_counted() {
    let device = cpu().remove(0);
    let check = |data: &[f64; 6]| {
        let x: Tensor<1> = tensor([6], data, &device, DType::F64);
        gradcheck(|x: Tensor<1>| x.abs(), x).to_string()
    };
    let two = check(&[1.0, 0.0, -2.0, 0.0, 1.5, -1.0]);
    for index in [1, 3] {
        assert!(two.contains(&format!("a kink or a jump in input 0 at [{index}]")), "{two}");
    }
    assert!(!two.contains("more like these"), "{two}");
    let six = check(&[0.0; 6]);
    assert!(six.contains("; and 2 more like these"), "{six}");
}
