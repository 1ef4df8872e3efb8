//! The operations as Burn modules: what they show, their configurations, their reductions.

use approx::assert_abs_diff_eq;
use burn::module::{DisplaySettings, Initializer, Module, ModuleDisplay, Param};
use burn::tensor::{DType, Int, Tensor, TensorData};
use burn_autograd::ErrorKind;
use burn_autograd::ops::cross_entropy::{CrossEntropyLossConfig, Reduction};
use burn_autograd::ops::polynomial::Polynomial3;
use burn_autograd::ops::polynomial::Polynomial3Config;

use crate::devices::{all, assert_close, autodiff, cpu, message, numbers, tensor};
use crate::reference::cases_of;

#[derive(Module, Debug)]
struct Model {
    outer: Polynomial3,
}

/// As short as the data type allows: neither 0.1 nor a third is a number of either type, and in the
/// other one both have other digits.
#[test]
fn a_cubic_polynomial_is_shown_as_its_formula() {
    for device in all() {
        let outer = Polynomial3::new([0.1, -0.7, 0.0, 1.0 / 3.0], &device);
        let text = "y = 0.1 + -0.7 x + 0 x^2 + 0.33333334 x^3";
        assert_eq!(outer.formula(), text);
        assert_eq!(format!("{outer}"), text);
        let fields = outer.format(DisplaySettings::new().with_show_all_attributes(true));
        assert!(fields.starts_with("Polynomial3 {") && !fields.contains("y ="), "{fields}");
        let model = Model { outer };
        assert_eq!(model.num_params(), 4);
        let shown = model.to_string();
        assert!(shown.contains(&format!("outer: {text}\n")), "{shown}");
    }
    for device in cpu() {
        let number = |value: f64| {
            let value: Tensor<1> = tensor([1], &[value], &device, DType::F64);
            Param::from_tensor(value)
        };
        let model =
            Polynomial3 { a: number(0.1), b: number(1.0 / 3.0), c: number(-2.0), d: number(1e-3) };
        let text = "y = 0.1 + 0.3333333333333333 x + -2 x^2 + 0.001 x^3";
        assert_eq!(model.to_string(), text);
    }
}

/// Of 800 numbers of mean 0 and variance 1 the mean is off by 0.035, the mean square by 0.05; six times
/// that hardly ever.
#[test]
fn a_cubic_polynomial_is_initialised_as_it_is_told() {
    for device in cpu() {
        let values: Vec<f64> = (0..200)
            .flat_map(|_| {
                let model = Polynomial3Config::new().init(&device);
                [model.a, model.b, model.c, model.d].map(|param| numbers(param.val())[0])
            })
            .collect();
        let mean = values.iter().sum::<f64>() / 800.0;
        let square = values.iter().map(|value| value * value).sum::<f64>() / 800.0;
        assert_abs_diff_eq!(mean, 0.0, epsilon = 0.21);
        assert_abs_diff_eq!(square, 1.0, epsilon = 0.3);
    }
    for device in all() {
        let constant = Initializer::Constant { value: 2.0 };
        let model = Polynomial3Config::new().with_initializer(constant).init(&device);
        let x: Tensor<2> = tensor([1, 2], &[1.0, 3.0], &device, DType::F32);
        assert_eq!(numbers(model.forward(x)), [8.0, 80.0]);
    }
}

/// PyTorch's numbers are of the mean: the mean of the losses, and the gradient through it.
#[test]
fn unreduced_losses_have_pytorchs_mean() {
    let loss = CrossEntropyLossConfig::new().with_reduction(Reduction::Sum);
    for device in autodiff(cpu()) {
        let loss = loss.init(&device);
        for case in cases_of("cross_entropy") {
            let logits: Tensor<2> = case.inputs[0].tensor(&device, DType::F64).require_grad();
            let targets = TensorData::new(case.ints.clone(), [case.ints.len()]);
            let targets = Tensor::<1, Int>::from_data(targets, &device);
            let losses = loss.forward_unreduced(logits.clone(), targets.clone());
            assert_eq!(losses.dims(), [case.ints.len()]);
            let same = loss.try_forward_unreduced(logits.clone(), targets).unwrap();
            assert_eq!(numbers(same), numbers(losses.clone()));
            let bound = 128.0 * f64::EPSILON;
            let mean = losses.mean();
            assert_close("mean", &numbers(mean.clone()), &case.outputs[0].data, bound);
            let dx = logits.grad(&(mean * case.cotangents[0].data[0]).backward()).unwrap();
            assert_close("gradient", &numbers(dx), &case.gradients[0].data, bound);
        }
    }
}

/// The weights have the device's default data type, the logits may have another. The softmax p of
/// 0, ln 2, ln 5 is ⅛, ¼, ⅝; with ε = ¼, the target 2 and its weight 2, the loss is −Σ sₖ·ln pₖ with
/// sₖ = ¼·wₖ⁄3 and ¾·2 more at the target. Over the weight 2, its mean has the gradient
/// ½·(pₖ·Σ s − sₖ).
#[test]
fn class_weights_take_the_data_type_of_the_logits() {
    let weight = [0.5, 1.25, 2.0];
    let p = [0.125f64, 0.25, 0.625];
    let share = [0.125 / 3.0, 0.3125 / 3.0, 0.5 / 3.0 + 1.5];
    let row: f64 = share.iter().zip(p).map(|(share, p)| -share * p.ln()).sum();
    let all_shares: f64 = share.iter().sum();
    let slope = |k: usize| 0.5 * (p[k] * all_shares - share[k]);
    for device in autodiff(all()) {
        let loss = CrossEntropyLossConfig::new()
            .with_weight(Some(weight.to_vec()))
            .with_ignore_index(Some(-1))
            .with_label_smoothing(0.25)
            .init(&device);
        // Of the numbers below 2 that are rounded here, in f16 ln 5 and the results by 2⁻¹¹ each.
        for (dtype, bound) in [(DType::F64, 1e-14), (DType::F32, 1e-5), (DType::F16, 4e-3)] {
            let on_cpu = cpu().contains(&device.clone().inner());
            if !device.supports_dtype(dtype) || (dtype == DType::F64 && !on_cpu) {
                continue;
            }
            let data = [0.0, 2f64.ln(), 5f64.ln(), 1.0, 2.0, 3.0];
            let logits: Tensor<2> = tensor([2, 3], &data, &device, dtype).require_grad();
            let targets = Tensor::<1, Int>::from_ints([2, -1], &device);
            let losses = loss.forward_unreduced(logits.clone(), targets.clone());
            assert_eq!(losses.dtype(), dtype);
            assert_close("losses", &numbers(losses), &[row, 0.0], bound);
            let mean = loss.forward(logits.clone(), targets.clone());
            assert_close("mean", &numbers(mean.clone()), &[row / 2.0], bound);
            let same = loss.try_forward(logits.clone(), targets).unwrap();
            assert_eq!(numbers(same), numbers(mean.clone()));
            let expected = [slope(0), slope(1), slope(2), 0.0, 0.0, 0.0];
            let dx = logits.grad(&mean.backward()).unwrap();
            assert_close("gradient", &numbers(dx), &expected, bound);
        }
    }
}

#[test]
fn what_the_loss_refuses_is_an_error_or_a_panic() {
    for device in cpu() {
        let loss = CrossEntropyLossConfig::new().init(&device);
        let logits = Tensor::<2>::zeros([2, 3], &device);
        let targets = Tensor::<1, Int>::from_ints([0, 3], &device);
        let text = "cross_entropy: argument `targets`: expected class indices from 0 to below 3, \
                    got 3 in row 1";
        let error = loss.try_forward(logits.clone(), targets.clone()).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Value, text));
        let error = loss.try_forward_unreduced(logits.clone(), targets.clone()).unwrap_err();
        assert_eq!(error.to_string(), text);
        assert_eq!(message(|| drop(loss.forward_unreduced(logits, targets))), text);
    }
    // A data type that the adapter lacks is refused before the weights are converted to it.
    let Some(device) = crate::devices::wgpu() else { return };
    let loss = CrossEntropyLossConfig::new().with_weight(Some(vec![1.0, 2.0])).init(&device);
    let logits: Tensor<2> = tensor([1, 2], &[0.0; 2], &device, DType::F64);
    let error = loss.try_forward(logits, Tensor::<1, Int>::from_ints([0], &device)).unwrap_err();
    assert_eq!((error.kind(), error.argument()), (ErrorKind::DType, "logits"));
}
