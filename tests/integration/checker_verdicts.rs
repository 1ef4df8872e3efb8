//! What the checker must not call a pass: what was left open, what was not looked at, what has nothing
//! to prove.

use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_autograd::gradcheck::suite::{Backend, Case, Entry, Suite, draw};
use burn_autograd::gradcheck::{Array, Gradcheck, Report, SplitMix64, Subject, Verdict};
use burn_autograd::{Function, Var};

use crate::devices::{cpu, message, tensor};
use crate::through::Through;

fn through(x: Tensor<1>, backward: fn(Var) -> Var) -> Tensor<1> {
    Through(backward).apply([x])
}

/// relu, whose gradient goes through a closure.
fn relu(backward: fn(Var) -> Var) -> Subject {
    Subject::new(move |x: Tensor<1>| through(x, backward).clamp_min(0.0))
}

/// One of four elements is in relu's kink: 15 of 16 entries can be judged.
const WITH_A_KINK: [f64; 4] = [-1.0, 0.0, 2.0, 3.0];

fn verdict_of(report: &Report, check: &str) -> Verdict {
    let record = report.check(check);
    record.unwrap_or_else(|| panic!("no record `{check}`:\n{report}")).verdict
}

#[test]
fn every_check_is_made_on_what_was_covered() {
    for device in cpu() {
        let x: Tensor<1> = tensor([4], &WITH_A_KINK, &device, DType::F64);
        let check = Gradcheck::new().coverage(0.9);
        let report = check.run(&relu(|g| g), x.clone());
        report.assert_pass();
        for check in ["subsets", "cotangent", "product", "repeat", "layout"] {
            assert_eq!(verdict_of(&report, check), Verdict::Pass, "{report}");
        }
        // Right where one cotangent is 1 and the others 0, as in the Jacobian; not linear.
        let report = check.run(&relu(|g| g.abs()), x);
        assert_eq!(verdict_of(&report, "jacobian"), Verdict::Pass, "{report}");
        assert_eq!(verdict_of(&report, "cotangent"), Verdict::Fail, "{report}");
    }
}

#[test]
fn a_reference_that_is_covered_says_nothing_of_the_device() {
    for device in cpu() {
        let x: Tensor<1> = tensor([4], &WITH_A_KINK, &device, DType::F32);
        let check = Gradcheck::new().reference(&device).coverage(0.9);
        let report = check.run(&relu(|g| g), x.clone());
        report.assert_pass();
        assert_eq!(report.check("parity").map(|parity| parity.coverage), Some((8, 8)), "{report}");
        let wrong = relu(|g| if g.dtype() == DType::F32 { g * 1.001 } else { g });
        let report = check.run(&wrong, x);
        assert_eq!(verdict_of(&report, "reference"), Verdict::Pass, "{report}");
        assert_eq!(verdict_of(&report, "parity"), Verdict::Fail, "{report}");
    }
}

/// All outputs have a kink in one input: that input is left out, and the others are not.
#[test]
fn an_input_in_whose_kink_all_outputs_are_is_left_out() {
    let function = Subject::new(|x: Tensor<1>| softmax(x.clamp_min(0.0), 0));
    for device in cpu() {
        let x: Tensor<1> = tensor([4], &WITH_A_KINK, &device, DType::F64);
        let report = Gradcheck::new().coverage(0.7).run(&function, x);
        report.assert_pass();
        let product = report.check("product").map(|product| product.coverage);
        assert_eq!(product, Some((3, 3)), "{report}");
    }
}

#[test]
fn where_nothing_is_left_nothing_passes() {
    for device in cpu() {
        // The entries off the diagonal are zero, and that is all that can be said.
        let x: Tensor<1> = tensor([2], &[0.0, 0.0], &device, DType::F64);
        let report = Gradcheck::new().coverage(0.5).run(&relu(|g| g), x);
        assert_eq!(verdict_of(&report, "jacobian"), Verdict::Pass, "{report}");
        assert_eq!(verdict_of(&report, "structure"), Verdict::Unchecked, "{report}");
        assert_eq!(verdict_of(&report, "dependence"), Verdict::Unchecked, "{report}");
        assert_eq!(report.verdict(), Verdict::Unchecked, "{report}");
    }
}

#[test]
fn a_large_function_with_a_kink_is_checked_on_its_other_blocks() {
    let device = cpu().remove(0);
    let data: Vec<f64> =
        (0..3000).map(|i| if i == 1700 { 0.0 } else { 0.5 + f64::from(i) / 4096.0 }).collect();
    let x = Tensor::<1>::from_data(TensorData::new(data, [3000]), (&device, DType::F64));
    let check = Gradcheck::new().coverage(0.9);
    let report = check.run(&relu(|g| g), x.clone());
    report.assert_pass();
    assert!(report.check("subsets").is_some(), "{report}");
    // The cotangents of a projection are dense: what is wrong is that a multiple of them is not.
    let clipped = relu(|g| g.clamp(-2.0, 2.0));
    assert_eq!(check.run(&clipped, x).verdict(), Verdict::Fail);
}

#[test]
fn the_declared_coverage_is_printed_as_it_is() {
    for device in cpu() {
        let data: Vec<f64> =
            (0..40).map(|i| if i == 7 { 0.0 } else { 1.0 + f64::from(i) / 64.0 }).collect();
        let x: Tensor<1> = tensor([40], &data, &device, DType::F64);
        let report = Gradcheck::new().coverage(0.999).run(&relu(|g| g), x);
        report.assert_pass();
        let reason = report.check("jacobian").map(|record| record.reason.clone());
        let reason = reason.unwrap_or_default();
        assert!(reason.contains("1599 of 1600"), "{reason}");
        assert!(reason.contains("at least 0.999 "), "{reason}");
    }
}

/// A gradient that changes by a tenth if its inputs are rounded proves nothing by agreeing that well.
#[test]
fn ill_conditioned_entries_are_not_covered() {
    for device in cpu() {
        let x: Tensor<1> = tensor([3], &[0.75, -1.5, 1.25], &device, DType::F32);
        let steep = Subject::new(|x: Tensor<1>| (x * 1e6).sin());
        let check = Gradcheck::new().first_step(2f64.powi(-24)).reference(&device).coverage(0.99);
        let report = check.run(&steep, x);
        assert_eq!(verdict_of(&report, "reference"), Verdict::Pass, "{report}");
        let parity = report.check("parity").expect("the reference passed");
        assert_ne!(parity.verdict, Verdict::Pass, "{report}");
        assert!(parity.coverage.0 < parity.coverage.1, "{report}");
    }
}

#[test]
fn an_output_that_is_too_large_to_move_is_not_constant() {
    for device in cpu() {
        let x: Tensor<1> = tensor([2], &[0.5, -1.25], &device, DType::F64);
        let lost = |x: Tensor<1>| (through(x.clone(), |g| g.zeros_like()) + 1e17, x.sin());
        let report = Gradcheck::new().run(&Subject::new(lost), x.clone());
        assert_eq!(verdict_of(&report, "jacobian"), Verdict::Unchecked, "{report}");
        assert!(report.to_string().contains("lost in rounding"), "{report}");
        // A constant of an ordinary size is one.
        let constant = |x: Tensor<1>| (through(x.clone(), |g| g.zeros_like()) * 0.0 + 1e3, x.sin());
        let report = Gradcheck::new().run(&Subject::new(constant), x);
        assert_eq!(verdict_of(&report, "jacobian"), Verdict::Pass, "{report}");
    }
}

/// 128·x mod 1: the steps from ¼ to 2⁻⁷ are all periods of it.
#[test]
fn a_function_whose_periods_are_the_steps_is_not_constant() {
    for device in cpu() {
        let x: Tensor<1> = tensor([1], &[0.3125 + 1.0 / 1024.0], &device, DType::F64);
        let saw = |x: Tensor<1>| {
            let turns = through(x.clone(), |g| g.zeros_like()) * 128.0;
            (turns.clone() - turns.floor(), x.sin())
        };
        let report = Gradcheck::new().run(&Subject::new(saw), x);
        assert_ne!(verdict_of(&report, "jacobian"), Verdict::Pass, "{report}");
    }
}

fn entries(cases: Vec<Case>, orders: &[u8], dtypes: &[DType]) -> Vec<Entry> {
    let device = cpu().remove(0);
    let suite = Suite::new(cases).orders(orders).reference(&device);
    let backend = Backend::new("cpu", device, dtypes);
    let mut entries = Vec::new();
    suite.run(&[backend], |entry| entries.push(entry));
    entries
}

/// The worst verdict of a suite, with the checks that gave it.
fn worst(entries: &[Entry]) -> (Verdict, Vec<&str>) {
    let worst =
        entries.iter().map(|entry| entry.record.verdict).max().expect("something is checked");
    let of = entries.iter().filter(|entry| entry.record.verdict == worst);
    (worst, of.map(|entry| entry.record.check.as_str()).collect())
}

fn at(data: &[f64]) -> Vec<Array> {
    vec![Array::new([data.len()], data)]
}

#[test]
fn a_suite_without_anything_to_prove_does_not_pass() {
    let zero = || Subject::new(|x: Tensor<1>| through(x, |g| g.zeros_like()) * 0.0);
    let product = || Subject::product(|x: Tensor<1>, _: Tensor<1>| x.zeros_like());
    let case = |data: &[f64]| Case::new("zero", "case", zero(), at(data)).vjp(product());
    for dtype in [DType::F64, DType::F32] {
        for order in [1, 2] {
            let found = entries(vec![case(&[0.5, -1.25])], &[order], &[dtype]);
            let dependence = (Verdict::Unchecked, vec!["dependence"]);
            assert_eq!(worst(&found), dependence, "order {order}: {found:?}");
        }
    }
    let found = entries(vec![case(&[0.5]).constant()], &[1, 2], &[DType::F64, DType::F32]);
    assert_eq!(worst(&found).0, Verdict::Pass, "{found:?}");

    // Empty inputs are a case beside others, and none alone.
    let sine = |data: &[f64]| {
        Case::new("sine", format!("{data:?}"), Subject::new(|x: Tensor<1>| x.sin()), at(data))
    };
    let found = entries(vec![sine(&[])], &[1], &[DType::F64]);
    assert_eq!(worst(&found), (Verdict::Unchecked, vec!["dependence"]), "{found:?}");
    let found = entries(vec![sine(&[]), sine(&[0.5])], &[1], &[DType::F64]);
    assert_eq!(worst(&found).0, Verdict::Pass, "{found:?}");
}

#[test]
fn a_case_has_the_options_of_a_check() {
    let case = || Case::new("relu", "kink", relu(|g| g), at(&WITH_A_KINK));
    let found = entries(vec![case()], &[1], &[DType::F64, DType::F32]);
    assert_eq!(worst(&found).0, Verdict::Unchecked, "{found:?}");
    let case = case().coverage(0.9).steps();
    let found = entries(vec![case.clone()], &[1], &[DType::F64, DType::F32]);
    assert_eq!(worst(&found).0, Verdict::Pass, "{found:?}");
    assert!(found.iter().any(|entry| entry.record.steps.is_some()), "{found:?}");
    assert!(found.iter().any(|entry| entry.record.check == "parity"), "{found:?}");
    // Above the limit the outputs are weighted.
    let found = entries(vec![case.full_jacobian(1)], &[1], &[DType::F64]);
    assert!(found.iter().any(|entry| entry.record.check == "projection"), "{found:?}");

    let wrong = || Case::new("relu", "kink", relu(|g| g.abs()), at(&WITH_A_KINK)).coverage(0.9);
    for dtype in [DType::F64, DType::F32] {
        let found = entries(vec![wrong()], &[1], &[dtype]);
        assert_eq!(worst(&found).0, Verdict::Fail, "{found:?}");
    }
}

#[test]
fn a_failure_says_how_it_is_repeated() {
    let wrong = || Subject::new(|x: Tensor<1>| through(x, |g| g * 2.0));
    let found =
        entries(vec![Case::new("twice", "[2]", wrong(), at(&[0.5, 2.0]))], &[1], &[DType::F64]);
    let repeat = found[0].record.repeat.clone().expect("it failed");
    assert!(repeat.contains("twice, case '[2]' on cpu in f64, order 1, seed 42"), "{repeat}");
    assert!(!repeat.contains("xtask"), "{repeat}");

    let x = |device: &Device| tensor::<1>([2], &[0.5, 2.0], device, DType::F64);
    for device in cpu() {
        let check = Gradcheck::new().first_step(0.125).coverage(0.75).seed(7).exact();
        let text = check.run(&wrong(), x(&device)).to_string();
        let expected = "repeat: Gradcheck::new().first_step(0.125).seed(7).coverage(0.75).exact()\
                        .run(&subject, inputs) at the same inputs";
        assert!(text.contains(expected), "{text}");
        let inputs = |size: usize| Tensor::<1>::ones([size], (&device, DType::F64));
        let report = Gradcheck::new().run_sizes(&wrong().names(["width"]), inputs);
        let text = report.to_string();
        assert!(text.contains("run_sizes(&subject, inputs_of_size)"), "{text}");
        assert!(text.contains("input 0 (width)"), "{text}");
    }
}

#[test]
fn sizes_that_are_all_empty_prove_nothing() {
    for device in cpu() {
        let empty = |_: usize| Tensor::<1>::zeros([0], (&device, DType::F64));
        let report = Gradcheck::new().run_sizes(&Subject::new(|x: Tensor<1>| x.sin()), empty);
        assert_eq!(report.verdict(), Verdict::Unchecked, "{report}");
    }
}

#[test]
fn integers_say_how_many_there_were() {
    for device in cpu() {
        let data: Vec<f64> = (0..100).map(|i| 0.5 + f64::from(i) / 64.0).collect();
        let x: Tensor<1> = tensor([100], &data, &device, DType::F64);
        let square = Subject::new(|x: Tensor<1>| x.clone() * x);
        let report = Gradcheck::new().exact().run(&square, x);
        let record = report.check("integers").expect("declared");
        assert_eq!((record.verdict, record.coverage), (Verdict::Pass, (48, 100)), "{report}");
    }
}

#[test]
fn nonsense_is_refused() {
    for step in [0.0, -0.25, f64::NAN, f64::INFINITY] {
        let text = message(|| drop(Gradcheck::new().first_step(step)));
        assert!(text.contains("argument `first_step`"), "{text}");
        let case = || Case::new("sine", "[1]", Subject::new(|x: Tensor<1>| x.sin()), at(&[0.5]));
        let text = message(|| drop(case().first_step(step)));
        assert!(text.contains("argument `first_step`"), "{text}");
    }
    let text = message(|| {
        draw(&mut SplitMix64::new(1), &[&[2]], (-1.0, 1.0), &[0.0], 2.0);
    });
    assert!(text.contains("draw: argument `margin`"), "{text}");
}
