//! Polynomials and the sum of squared errors beyond what the gradient check covers: lengths that run
//! in parallel, the tutorials' fits, the module.

use approx::{abs_diff_eq, assert_abs_diff_eq, assert_relative_eq};
use burn::module::Module;
use burn::tensor::{DType, Device, Distribution, Tensor};
use burn_autograd::ErrorKind;
use burn_autograd::ops::polynomial::Polynomial3;
use burn_autograd::ops::polynomial::try_polynomial;
use burn_autograd::ops::prelude::*;
use burn_autograd::ops::sum_squared_error::try_sum_squared_error;
use burn_autograd::prelude::*;

use crate::devices::{all, autodiff, cpu, message, numbers, tensor};

/// Above the length from which several threads work, and not a multiple of anything.
const LONG: usize = 2 * 65_536 + 77;

/// Every element and every sum, against sums in another order. The terms are below 4 and random in
/// sign; 131,149 of them in f64 lose at most 1e5 · 2⁻⁵³ · their sum.
#[test]
fn long_inputs_are_covered_once() {
    for device in cpu() {
        let device = device.autodiff();
        let data: Vec<f64> = (0..LONG).map(|i| ((i * 7919) % 2003) as f64 / 1000.0 - 1.0).collect();
        let weight: Vec<f64> =
            (0..LONG).map(|i| ((i * 104_729) % 997) as f64 / 500.0 - 1.0).collect();
        let c = [0.5, -1.0, 0.25, 2.0, -0.75];
        let x: Tensor<1> = tensor([LONG], &data, &device, DType::F64).require_grad();
        let coefficients: Tensor<1> = tensor([5], &c, &device, DType::F64).require_grad();
        let g: Tensor<1> = tensor([LONG], &weight, &device, DType::F64);
        let y = polynomial(x.clone(), coefficients.clone());
        for (y, x) in numbers(y.clone()).into_iter().zip(&data) {
            let exact: f64 = c.iter().enumerate().map(|(k, c)| c * x.powi(k as i32)).sum();
            assert_abs_diff_eq!(y, exact, epsilon = 1e-13);
        }
        let grads = (y * g).sum().backward();
        let dx = numbers(x.grad(&grads).unwrap());
        for ((dx, x), g) in dx.into_iter().zip(&data).zip(&weight) {
            let slope: f64 = (1..5).map(|k| k as f64 * c[k] * x.powi(k as i32 - 1)).sum();
            assert_abs_diff_eq!(dx, g * slope, epsilon = 1e-13);
        }
        for (k, dc) in numbers(coefficients.grad(&grads).unwrap()).into_iter().enumerate() {
            let terms = data.iter().zip(&weight).rev().map(|(x, g)| g * x.powi(k as i32));
            let exact: f64 = terms.sum();
            assert!(abs_diff_eq!(dc, exact, epsilon = 1e-6), "{k}: {dc} {exact}");
        }

        let t: Tensor<1> = tensor([LONG], &weight, &device, DType::F64).require_grad();
        let loss = sum_squared_error(x.clone(), t.clone());
        let exact: f64 = data.iter().zip(&weight).rev().map(|(p, t)| (p - t).powi(2)).sum();
        let found = numbers(loss.clone())[0];
        assert_relative_eq!(found, exact, epsilon = 0.0, max_relative = 1e-10);
        let grads = (loss * 3.0).backward();
        let (dp, dt) = (numbers(x.grad(&grads).unwrap()), numbers(t.grad(&grads).unwrap()));
        for (((dp, dt), p), t) in dp.into_iter().zip(dt).zip(&data).zip(&weight) {
            let exact = 6.0 * (p - t);
            assert_abs_diff_eq!(dp, exact, epsilon = 1e-14);
            assert_eq!(dt, -dp);
        }
    }
}

/// Only what is tracked gets a gradient, under both checkpointing strategies, on every device.
#[test]
fn every_subset_of_tracked_arguments() {
    for device in autodiff(all()) {
        for tracked in [[true, false], [false, true], [true, true]] {
            let leaf = |data: &[f64], tracked: bool| -> Tensor<1> {
                tensor([3], data, &device, DType::F32).set_require_grad(tracked)
            };
            let x = leaf(&[1.0, 2.0, -1.0], tracked[0]);
            let c = leaf(&[3.0, -2.0, 0.5], tracked[1]);
            let g: Tensor<1> = tensor([3], &[1.0, -2.0, 4.0], &device, DType::F32);
            let grads = (polynomial(x.clone(), c.clone()) * g).sum().backward();
            let gradient = |leaf: &Tensor<1>| leaf.grad(&grads).map(numbers);
            // p′ = x − 2 at 1, 2, −1; Σ g, Σ g·x, Σ g·x².
            assert_eq!(gradient(&x), tracked[0].then(|| vec![-1.0, 0.0, -12.0]));
            assert_eq!(gradient(&c), tracked[1].then(|| vec![3.0, -7.0, -3.0]));

            let p = leaf(&[1.0, 2.0, -1.0], tracked[0]);
            let t = leaf(&[0.5, 4.0, -1.0], tracked[1]);
            let grads = (sum_squared_error(p.clone(), t.clone()) * 0.5).backward();
            let gradient = |leaf: &Tensor<1>| leaf.grad(&grads).map(numbers);
            assert_eq!(gradient(&p), tracked[0].then(|| vec![0.5, -2.0, 0.0]));
            assert_eq!(gradient(&t), tracked[1].then(|| vec![-0.5, 2.0, 0.0]));
        }
    }
}

/// As functions of variables, to any order: p‴ = 6·c₃, (Σ (p − t)²)″ = 2.
#[test]
fn on_the_tape() {
    for device in cpu() {
        let x: Tensor<1> = tensor([2], &[0.5, -2.0], &device, DType::F64);
        let c: Tensor<1> = tensor([4], &[1.0, -1.0, 2.0, 0.25], &device, DType::F64);
        let p = |x: Var| x.polynomial(Var::from(&c));
        assert_eq!(numbers(nth_derivative(p, x.clone(), 3)), [1.5, 1.5]);
        let square = |x: Var| {
            let target = x.zeros_like();
            x.sum_squared_error(target)
        };
        assert_eq!(numbers(hvp(square, x.clone(), x.clone())), [1.0, -4.0]);
    }
}

/// 2,000 steps of the tutorials' fits in f64; the losses before the steps 100, 500, 1,000 and 2,000
/// are PyTorch's, to six decimals.
#[test]
fn the_tutorial_fits_have_pytorchs_losses() {
    let fit = |device: &Device, start: &[f64], rate: f64, legendre: bool| {
        let device = device.clone().autodiff();
        let step = 2.0 * std::f64::consts::PI / 1999.0;
        let data: Vec<f64> =
            (0..2000).map(|i| -std::f64::consts::PI + step * f64::from(i)).collect();
        let target: Vec<f64> = data.iter().map(|x| x.sin()).collect();
        let x: Tensor<1> = tensor([2000], &data, &device, DType::F64);
        let t: Tensor<1> = tensor([2000], &target, &device, DType::F64);
        let mut parameters: Tensor<1> = tensor([4], start, &device, DType::F64);
        let mut losses = Vec::new();
        for step in 0..2000 {
            let p = parameters.require_grad();
            let y = if legendre {
                let inner = polynomial(x.clone(), p.clone().slice(2..4));
                polynomial(legendre_p3(inner), p.clone().slice(0..2))
            } else {
                polynomial(x.clone(), p.clone())
            };
            let loss = sum_squared_error(y, t.clone());
            if [99, 499, 999, 1999].contains(&step) {
                losses.push(numbers(loss.clone())[0]);
            }
            let grad = p.grad(&loss.backward()).unwrap();
            parameters = Tensor::from_inner(p.inner() - grad * rate);
        }
        (losses, numbers(parameters))
    };
    for device in cpu() {
        let (losses, p) = fit(&device, &[0.0; 4], 1e-6, false);
        assert_abs_diff_eq!(losses[0], 517.694_449, epsilon = 5e-7);
        assert_abs_diff_eq!(losses[3], 9.013_758, epsilon = 5e-7);
        assert_abs_diff_eq!(p[1], 0.843_111_067_6, epsilon = 5e-11);
        assert_abs_diff_eq!(p[3], -0.091_391_672_2, epsilon = 5e-11);
        // Symmetry: zero up to what rounding leaves of sums of 2,000 terms.
        assert_abs_diff_eq!(p[0], 0.0, epsilon = 1e-14);
        assert_abs_diff_eq!(p[2], 0.0, epsilon = 1e-14);
        let (losses, p) = fit(&device, &[0.0, -1.0, 0.0, 0.3], 5e-6, true);
        let expected = [209.958_385, 50.978_558, 14.877_818, 8.943_643];
        assert_abs_diff_eq!(losses[..], expected[..], epsilon = 5e-7);
        assert_abs_diff_eq!(p[1], -2.208_526_415_2, epsilon = 5e-11);
        assert_abs_diff_eq!(p[3], 0.255_486_112_5, epsilon = 5e-11);
    }
}

#[test]
fn the_module_is_saved_loaded_and_shown_as_a_formula() {
    for device in cpu() {
        let model = Polynomial3::new([0.5, -0.5, 0.25, 0.125], &device);
        assert_eq!(model.formula(), "y = 0.5 + -0.5 x + 0.25 x^2 + 0.125 x^3");
        let other = Polynomial3::random(Distribution::Uniform(-1.0, 1.0), &device);
        assert_ne!(other.formula(), model.formula());
        let loaded = other.load_record(model.into_record());
        assert_eq!(loaded.formula(), "y = 0.5 + -0.5 x + 0.25 x^2 + 0.125 x^3");

        let model = Polynomial3::new([1.0, 2.0, 3.0, 4.0], &device.autodiff());
        let x: Tensor<2> = tensor([1, 2], &[2.0, -1.0], &model.a.val().device(), DType::F32);
        let y = model.forward(x);
        assert_eq!(numbers(y.clone()), [49.0, -2.0]);
        let grads = y.sum().backward();
        let gradient = |p: &burn::module::Param<Tensor<1>>| numbers(p.val().grad(&grads).unwrap());
        let found = [&model.a, &model.b, &model.c, &model.d].map(gradient);
        assert_eq!(found, [vec![2.0], vec![1.0], vec![5.0], vec![7.0]]);
    }
}

#[test]
fn misuse_is_named() {
    for device in all() {
        let three: Tensor<1> = tensor([3], &[1.0, 2.0, 3.0], &device, DType::F32);
        let two: Tensor<1> = tensor([2], &[1.0, 2.0], &device, DType::F32);
        let none: Tensor<1> = tensor([0], &[], &device, DType::F32);
        let error = try_polynomial(three.clone(), none.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shape);
        let text = error.to_string();
        assert!(text.contains("polynomial") && text.contains("coefficients"), "{text}");
        assert!(message(|| drop(polynomial(three.clone(), none))).contains("[degree + 1]"));
        let error = try_sum_squared_error(three.clone(), two.clone()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("sum_squared_error") && text.contains("target"), "{text}");
        assert!(text.contains("[3]") && text.contains("[2]"), "{text}");
        assert!(message(|| drop(sum_squared_error(three, two))).contains("`target`"));
    }
}
