//! What is known of a function beside its derivative: values from elsewhere, and conventions.

use burn::tensor::{DType, Tensor};
use burn_autograd::gradcheck::{Expected, Gradcheck, Report, Subject, Verdict};

use crate::devices::{cpu, tensor};

const AT: [f64; 3] = [0.75, -1.25, 2.0];

fn verdict(report: &Report) -> Verdict {
    report.check("values").unwrap_or_else(|| panic!("no such record: {report}")).verdict
}

#[test]
fn a_forward_that_is_wrong_together_with_its_backward_is_found() {
    let cubic = |x: Tensor<1>, c: f64| x.clone() + x.powi_scalar(3) * c;
    let subject = Subject::new(move |x: Tensor<1>| cubic(x, 0.25));
    for device in cpu() {
        let x = || -> Tensor<1> { tensor([3], &AT, &device, DType::F64) };
        for (c, expected) in [(0.25, Verdict::Pass), (0.250001, Verdict::Fail)] {
            let known = Expected::new().function(move |x: Tensor<1>| cubic(x, c));
            let report = Gradcheck::new().expect(known).run(&subject, x());
            assert_eq!(report.check("jacobian").unwrap().verdict, Verdict::Pass, "{report}");
            assert_eq!(verdict(&report), expected, "{report}");
        }
    }
}

#[test]
fn a_convention_at_a_kink_is_a_known_gradient() {
    for device in cpu() {
        let of = |data: [f64; 3]| -> Tensor<1> { tensor([3], &data, &device, DType::F64) };
        let abs = Subject::new(|x: Tensor<1>| x.abs());
        let kink = || Expected::new().at(of([0.0, 1.0, -2.0])).outputs(of([0.0, 1.0, 2.0]));
        let run = |known| Gradcheck::new().expect(known).run(&abs, of(AT));
        run(kink().gradients(of([0.0, 1.0, -1.0]))).assert_pass();
        run(kink().gradients(of([0.0, 3.0, 0.5])).cotangents(of([7.0, 3.0, -0.5]))).assert_pass();
        let report = run(kink().gradients(of([1.0, 1.0, -1.0])));
        assert_eq!(verdict(&report), Verdict::Fail);
        assert!(report.to_string().contains("the gradient of input 0 at [0] is 0e0, expected 1e0"));
    }
}

#[test]
fn the_tolerance_is_in_units_in_the_last_place() {
    for device in cpu() {
        for (dtype, epsilon) in [(DType::F64, f64::EPSILON), (DType::F32, f64::from(f32::EPSILON))]
        {
            let x: Tensor<1> = tensor([3], &AT, &device, dtype);
            let double = Subject::new(|x: Tensor<1>| x * 2.0);
            let off: Vec<f64> = AT.map(|x| 2.0 * x * (1.0 + 8.0 * epsilon)).to_vec();
            let known = || Expected::new().outputs(tensor::<1>([3], &off, &device, dtype));
            for (known, expected) in [
                (known(), Verdict::Fail),
                (known().ulps(7.0), Verdict::Fail),
                (known().ulps(9.0), Verdict::Pass),
                (known().ulps(f64::NAN), Verdict::Fail),
            ] {
                let report = Gradcheck::new().expect(known).run(&double, x.clone());
                assert_eq!(verdict(&report), expected, "{dtype:?}: {report}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_the_function_is_no_pass() {
    for device in cpu() {
        let of = |data: &[f64]| -> Tensor<1> { tensor([data.len()], data, &device, DType::F64) };
        let double = Subject::new(|x: Tensor<1>| x * 2.0);
        let run = |known| verdict(&Gradcheck::new().expect(known).run(&double, of(&AT)));
        assert_eq!(run(Expected::new()), Verdict::Unchecked);
        assert_eq!(run(Expected::new().outputs(of(&[1.5]))), Verdict::Fail);
        assert_eq!(run(Expected::new().outputs((of(&[1.5]), of(&[1.5])))), Verdict::Fail);
        let gradients = || Expected::new().gradients(of(&[2.0, 2.0, 2.0]));
        assert_eq!(run(gradients()), Verdict::Pass);
        assert_eq!(run(gradients().cotangents(of(&[1.0]))), Verdict::Invalid);
        assert_eq!(run(Expected::new().outputs(of(&[1.5, -2.5, f64::NAN]))), Verdict::Fail);
        assert_eq!(run(gradients().at((of(&AT), of(&AT)))), Verdict::Invalid);
    }
}
