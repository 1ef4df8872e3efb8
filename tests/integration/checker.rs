//! The checker on functions of Burn's own: right gradients pass, what cannot be judged is not
//! called a pass, and mistakes of the function under test are named.

use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{DType, Tensor};
use burn_autograd::gradcheck::{Gradcheck, Report, Subject, Verdict, gradcheck};

use crate::devices::{all, cpu, tensor};

const DATA: [f64; 6] = [0.75, -1.25, 1.5, -0.625, 2.0, 1.125];

fn check(function: impl Fn(Tensor<2>) -> Tensor<2> + Send + Sync + Clone + 'static) -> Vec<Report> {
    cpu()
        .into_iter()
        .map(|device| gradcheck(function.clone(), tensor([2, 3], &DATA, &device, DType::F64)))
        .collect()
}

#[test]
fn right_gradients_of_burn_pass() {
    let passed = [
        check(|x| x.clone() * x),
        check(|x| x.sin().exp()),
        check(|x| x.tanh()),
        check(|x| softmax(x, 1)),
        check(|x| x.clone().transpose().matmul(x)),
        check(|x| x.powi_scalar(3) * 5.0 + 1000.0),
        check(|x| x.sum_dim(0)),
        check(|x| x.slice([0..1, 1..3])),
        check(|x| x.max_dim(1)),
    ];
    for report in passed.concat() {
        report.assert_pass();
    }
}

#[test]
fn a_derivative_that_is_zero_in_a_point_is_judged_on_the_slope_around_it() {
    for device in cpu() {
        let x: Tensor<1> = tensor([1], &[0.75], &device, DType::F64);
        gradcheck(|x: Tensor<1>| (x - 0.75).square(), x).assert_pass();
    }
}

/// Burn's NdArray computes `sigmoid` in `f32`, whatever the data type. The gradient cannot be called
/// wrong, and must not be called proven.
#[test]
#[cfg(feature = "ndarray")]
fn a_function_that_computes_in_lower_precision_is_unchecked() {
    let x: Tensor<2> = tensor([2, 3], &DATA, &burn::tensor::Device::ndarray(), DType::F64);
    let report = gradcheck(sigmoid, x);
    assert_eq!(report.verdict(), Verdict::Unchecked, "{report}");
    assert!(report.to_string().contains("computed with about f32's precision"), "{report}");
}

#[test]
fn a_kink_is_unchecked_and_not_wrong() {
    for device in cpu() {
        let x: Tensor<1> = tensor([3], &[-1.0, 0.0, 2.0], &device, DType::F64);
        let report = gradcheck(|x: Tensor<1>| x.abs(), x);
        assert_eq!(report.verdict(), Verdict::Unchecked, "{report}");
        assert!(report.to_string().contains("a kink or a jump in input 0 at [1]"), "{report}");
    }
}

#[test]
fn a_point_outside_the_domain_is_invalid() {
    for device in cpu() {
        let x: Tensor<1> = tensor([2], &[-1.0, 2.0], &device, DType::F64);
        let report = gradcheck(|x: Tensor<1>| x.log(), x);
        assert_eq!(report.verdict(), Verdict::Invalid, "{report}");
    }
}

#[test]
fn saturation_is_unchecked_and_not_a_pass() {
    for device in cpu() {
        let x: Tensor<1> = tensor([1], &[18.0], &device, DType::F64);
        let report = gradcheck(|x: Tensor<1>| x.tanh(), x);
        assert_eq!(report.verdict(), Verdict::Unchecked, "{report}");
        assert!(report.to_string().contains("low power"), "{report}");
    }
}

#[test]
fn complete_saturation_is_unchecked_and_not_wrong() {
    for device in cpu() {
        // 1/(1 + e⁻ˣ) at 40 is 1 to the last bit, its derivative e⁻⁴⁰.
        let x: Tensor<1> = tensor([1], &[40.0], &device, DType::F64);
        let report = gradcheck(|x: Tensor<1>| ((x.neg()).exp() + 1.0).recip(), x);
        assert_eq!(report.verdict(), Verdict::Unchecked, "{report}");
    }
}

#[test]
fn a_detached_output_is_named() {
    // Burn's `detach` of a leaf is a leaf again; of a result it is a constant.
    for report in check(|x| (x * 2.0).detach()) {
        assert_eq!(report.verdict(), Verdict::Fail, "{report}");
        assert!(report.to_string().contains("the output is detached"), "{report}");
    }
}

#[test]
fn a_gradient_that_depends_on_how_often_it_was_asked_for_is_rejected() {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    // Only the tracked forward, and another one each time: no function of its inputs.
    for report in check(|x| {
        let scale = if x.is_tracked() {
            1.0 + 1e-3 * (CALLS.fetch_add(1, Ordering::Relaxed) % 7) as f64
        } else {
            1.0
        };
        x.square() * scale
    }) {
        assert_eq!(report.verdict(), Verdict::Invalid, "{report}");
        assert!(report.to_string().contains("stochastic"), "{report}");
    }
}

#[test]
fn single_precision_is_proven_against_double() {
    let reference = cpu().into_iter().next().expect("a CPU backend is in every build of the tests");
    for device in all() {
        let x: Tensor<2> = tensor([2, 3], &DATA, &device, DType::F32);
        let product = Subject::new(|x: Tensor<2>| x.clone() * x);
        Gradcheck::new().reference(&reference).run(&product, x.clone()).assert_pass();
        // Wrong in single precision alone.
        let wrong = Subject::new(|x: Tensor<2>| {
            let factor = if x.dtype() == DType::F32 { 1.0 + 1e-5 } else { 1.0 };
            x.clone() * x * factor
        });
        let report = Gradcheck::new().reference(&reference).run(&wrong, x);
        assert_eq!(report.verdict(), Verdict::Fail, "{report}");
    }
}

/// Without a reference the numeric side of `f32` is too coarse to prove much, but it does not call a
/// right gradient wrong; a wrong sign it sees.
#[test]
fn single_precision_alone_does_not_fail_right_gradients() {
    for device in cpu() {
        let x: Tensor<2> = tensor([2, 3], &DATA, &device, DType::F32);
        let functions: [fn(Tensor<2>) -> Tensor<2>; 5] =
            [|x| x.clone() * x, |x| x.exp(), |x| x.sin(), |x| x * 5.0, |x| x.powi_scalar(3)];
        for function in functions {
            let report = gradcheck(function, x.clone());
            assert!(report.verdict() <= Verdict::Unchecked, "{report}");
        }
        let report = gradcheck(|x: Tensor<2>| x.clone().detach().square() * 2.0 - x.square(), x);
        assert_eq!(report.verdict(), Verdict::Fail, "{report}");
    }
}

#[test]
fn a_failure_says_which_entry_and_both_values() {
    let device = cpu().remove(0);
    let x: Tensor<1> = tensor([2], &[1.0, 3.0], &device, DType::F64);
    // The second element's gradient is dropped.
    let report = gradcheck(
        |x: Tensor<1>| {
            Tensor::cat(vec![x.clone().narrow(0, 0, 1), x.narrow(0, 1, 1).detach() * 2.0], 0)
        },
        x,
    );
    assert_eq!(report.verdict(), Verdict::Fail);
    let text = report.to_string();
    assert!(text.contains("worst entry: output 0 at [1], input 0 at [1]"), "{text}");
    assert!(text.contains("analytic 0.000000000e0, expected 2.000000000e0"), "{text}");
}
