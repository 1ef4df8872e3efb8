//! Functions of `f64` that compute in `f32` on the way. Their gradients are right to the precision of
//! `f32`, and no difference quotient in `f64` agrees with them: they are not called wrong, nor proven.

use burn::nn::{RmsNorm, RmsNormConfig};
use burn::tensor::{DType, Tensor};
use burn_autograd::gradcheck::suite::{Backend, Case, Suite};
use burn_autograd::gradcheck::{
    Array, Gradcheck, Record, Report, Subject, Verdict, gradcheck, gradcheck_module,
};

use crate::devices::{cpu, tensor};

/// Points at which differences of [`normalised`] in `f64` agree with each other on the slope of a stair:
/// it is off by 10⁻⁴ to one half of the derivative.
const STAIRS: [f64; 6] =
    [-0.9912109375, -0.9287109375, 0.4931640625, 1.0400390625, -0.3505859375, 2.3212890625];

/// x over √((x² + ¾)/4), as a normalisation does that computes its denominator in `f32`.
fn normalised(x: Tensor<1>) -> Tensor<1> {
    let dtype = x.dtype();
    let single = x.clone().cast(DType::F32);
    let square = (single.clone() * single + 0.75) * 0.25;
    x / square.sqrt().cast(dtype)
}

/// The same throughout in the input's data type.
fn exactly_normalised(x: Tensor<1>) -> Tensor<1> {
    let square = (x.clone() * x.clone() + 0.75) * 0.25;
    x / square.sqrt()
}

fn check(
    function: impl Fn(Tensor<1>) -> Tensor<1> + Send + Sync + Clone + 'static,
    of: fn(Tensor<1>) -> Tensor<1>,
) -> Vec<Report> {
    let on = |device| {
        let subject = Subject::new(function.clone()).surrogate(of);
        Gradcheck::new().run(&subject, tensor([STAIRS.len()], &STAIRS, &device, DType::F64))
    };
    cpu().into_iter().map(on).collect()
}

#[test]
fn a_right_gradient_of_a_function_computed_in_f32_is_not_called_wrong() {
    for device in cpu() {
        let report = gradcheck(normalised, tensor([STAIRS.len()], &STAIRS, &device, DType::F64));
        let record = report.check("jacobian").unwrap();
        assert_eq!(record.verdict, Verdict::Invalid, "{report}");
        assert!(record.reason.contains("computed with about f32's precision"), "{report}");
        // Without the casts it is proven.
        let x = tensor([STAIRS.len()], &STAIRS, &device, DType::F64);
        gradcheck(exactly_normalised, x).assert_pass();
    }
}

#[test]
fn a_wrong_gradient_of_a_function_computed_in_f32_fails() {
    for factor in [1.5, 1.001, -1.0, 0.0] {
        for report in check(move |x| normalised(x) * factor, normalised) {
            assert_eq!(report.verdict(), Verdict::Fail, "times {factor}: {report}");
        }
    }
}

/// Also one that is wrong by less than single precision would show.
#[test]
fn a_wrong_gradient_of_a_function_computed_in_f64_fails() {
    for factor in [1.5, 1.0 + 1e-5, 1.0 + 1e-7] {
        for report in check(move |x| exactly_normalised(x) * factor, exactly_normalised) {
            assert_eq!(report.verdict(), Verdict::Fail, "times {factor}: {report}");
        }
    }
    // The gradient alone is computed in f32: its function is not, and it is wrong in f64.
    for report in check(normalised, exactly_normalised) {
        assert_eq!(report.verdict(), Verdict::Fail, "{report}");
    }
}

/// Projections of large functions, and a module of Burn's that computes in `f32`.
#[test]
fn large_functions_and_modules_are_not_called_wrong() {
    for device in cpu() {
        let data: Vec<f64> = (0..600).map(|i| STAIRS[i % 6] + (i / 6) as f64 / 128.0).collect();
        let x: Tensor<1> = tensor([600], &data, &device, DType::F64);
        let subject = Subject::new(normalised);
        let report = Gradcheck::new().full_jacobian(100).run(&subject, x.clone());
        assert_ne!(report.check("projection").unwrap().verdict, Verdict::Fail, "{report}");
        let wrong = Subject::new(|x: Tensor<1>| normalised(x) * 1.5).surrogate(normalised);
        let report = Gradcheck::new().full_jacobian(100).run(&wrong, x);
        assert_eq!(report.verdict(), Verdict::Fail, "{report}");

        let layer = RmsNormConfig::new(6).init(&device);
        let x: Tensor<2> = tensor([1, 6], &STAIRS, &device, DType::F64);
        let forward = |layer: &RmsNorm, x: Tensor<2>| layer.forward(x);
        let report = gradcheck_module(layer, forward, x);
        assert!(report.verdict() < Verdict::Fail && report.verdict() > Verdict::Pass, "{report}");
    }
}

/// In a suite such a function has no proof in `f64` that `f32` could be compared with: it is checked alone.
#[test]
fn a_suite_checks_such_a_function_in_f32_by_itself() {
    for device in cpu() {
        let inputs = vec![Array::new([STAIRS.len()], STAIRS)];
        let case = |factor: f64| {
            let subject = Subject::new(move |x: Tensor<1>| normalised(x) * factor);
            Case::new("normalised", "stairs", subject.surrogate(normalised), inputs.clone())
        };
        let records = |factor: f64| {
            let suite = Suite::new(vec![case(factor)]).orders([1]).reference(&device);
            let backend = Backend::new("cpu", device.clone(), [DType::F64, DType::F32]);
            let mut found = Vec::new();
            suite.run(&[backend], |entry| found.push((entry.dtype, entry.record)));
            found
        };
        let of = |records: &[(String, Record)], dtype: &str, check: &str| {
            let found = records.iter().find(|(of, record)| of == dtype && record.check == check);
            found.map(|(_, record)| record.verdict)
        };
        let right = records(1.0);
        assert_eq!(of(&right, "f64", "jacobian"), Some(Verdict::Invalid), "{right:?}");
        assert_eq!(of(&right, "f32", "parity"), None, "{right:?}");
        assert!(of(&right, "f32", "line").is_some_and(|line| line < Verdict::Invalid), "{right:?}");
        assert!(right.iter().all(|(_, record)| record.verdict != Verdict::Fail), "{right:?}");
        let wrong = records(1.5);
        assert_eq!(of(&wrong, "f64", "jacobian"), Some(Verdict::Fail), "{wrong:?}");
    }
}
