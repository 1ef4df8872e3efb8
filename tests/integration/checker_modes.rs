//! The checker's ways of looking: projections for large functions, line integrals in single
//! precision, exact integers, modules, higher orders, negative controls; and its traps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_autograd::gradcheck::{
    Calibration, Gradcheck, Intrinsic, Report, Subject, Verdict, gradcheck, gradcheck_module,
    gradcheck_order,
};
use burn_autograd::{Context, Function, Saved, Var};

use crate::devices::{all, cpu, tensor};
use crate::through::Through;

fn grid(len: usize, device: &Device, dtype: DType) -> Tensor<1> {
    let data: Vec<f64> = (0..len).map(|i| ((i * 37) % 101) as f64 / 64.0 + 0.25).collect();
    Tensor::from_data(TensorData::new(data, [len]), (device, dtype))
}

fn identity(backward: fn(Var) -> Var) -> Subject {
    Subject::new(move |x: Tensor<1>| {
        let [y] = [Through(backward).apply([x])];
        y
    })
}

/// What PyTorch's fast mode lets pass. Each rejection may evaluate so many elements, of inputs and outputs
/// together: 2²⁶ for the blocks, and some more to find the entry.
#[test]
fn wrong_gradients_of_large_functions_are_rejected() {
    let device = cpu().remove(0);
    let one_entry: fn(Var) -> Var = |g| {
        let last = g.shape()[0] - 1;
        Var::cat(&[g.slice(0..last), g.slice(last..last + 1) * 1.5], 0)
    };
    let reversed: fn(Var) -> Var = |g| g.flip(&[0]);
    let zero: fn(Var) -> Var = |g| g.zeros_like();
    for (name, size, backward) in
        [("one entry", 1_000, one_entry), ("reversed", 10_000, reversed), ("zero", 200_000, zero)]
    {
        let x = grid(size, &device, DType::F64);
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let wrong = Subject::new(move |x: Tensor<1>| {
            counted.fetch_add(1, Ordering::Relaxed);
            Through(backward).apply([x])
        });
        let report = Gradcheck::new().run(&wrong, x.clone());
        assert_eq!(report.verdict(), Verdict::Fail, "{name}: {report}");
        let evaluated = 2 * size * calls.load(Ordering::Relaxed);
        assert!(evaluated <= 1 << 28, "{name}, {size} elements: {evaluated} were evaluated");
        let report = Gradcheck::new().run(&identity(|g| g), x);
        report.assert_pass();
    }
}

#[test]
fn a_projection_names_the_wrong_entry() {
    let device = cpu().remove(0);
    let subject = identity(|g| {
        Var::cat(&[g.slice(0..4321), g.slice(4321..4322) * 1.001, g.slice(4322..5000)], 0)
    });
    let report = Gradcheck::new().run(&subject, grid(5_000, &device, DType::F64));
    let record = report.check("projection").expect("5,000 elements are projected");
    assert_eq!(record.verdict, Verdict::Fail, "{report}");
    assert!(record.causes.iter().any(|cause| cause.contains("[4321]")), "{report}");
}

/// x², eˣ, sin x, 5x and x³ pass in single precision without anything being set.
#[test]
fn right_gradients_pass_in_single_precision() {
    for device in cpu() {
        let x: Tensor<2> =
            tensor([2, 3], &[0.75, -1.25, 1.5, -0.625, 2.0, 1.125], &device, DType::F32);
        let functions: [fn(Tensor<2>) -> Tensor<2>; 5] =
            [|x| x.clone() * x, |x| x.exp(), |x| x.sin(), |x| x * 5.0, |x| x.powi_scalar(3)];
        for function in functions {
            let report = gradcheck(function, x.clone());
            report.assert_pass();
            let detects = report.check("line").and_then(|line| line.detects);
            assert!(detects.is_some_and(|detects| detects < 1e-3), "{report}");
        }
    }
}

/// An error of a hundred-thousandth in a gradient of single precision, without a reference.
#[test]
fn small_mistakes_are_seen_in_single_precision() {
    for device in cpu() {
        let x = grid(6, &device, DType::F32);
        let wrong = Subject::new(|x: Tensor<1>| Through(|g| g * 1.00001).apply([x]).exp());
        let report = Gradcheck::new().run(&wrong, x);
        assert_eq!(report.verdict(), Verdict::Fail, "{report}");
    }
}

/// Products and sums at integers, bit by bit, on every device in single precision.
#[test]
fn integers_have_no_tolerance() {
    let reference = cpu().remove(0);
    for device in all() {
        let a: Tensor<2> = tensor([2, 3], &[1.0, 2.0, 3.0, 0.5, 1.5, 2.5], &device, DType::F32);
        let b: Tensor<2> = tensor([3, 2], &[1.0, 0.5, 2.0, 1.0, 3.0, 1.5], &device, DType::F32);
        let check = Gradcheck::new().reference(&reference).exact();
        let product = Subject::new(|(a, b): (Tensor<2>, Tensor<2>)| a.matmul(b));
        let report = check.run(&product, (a.clone(), b.clone()));
        let record = report.check("integers").expect("declared");
        assert_eq!((record.verdict, record.detects), (Verdict::Pass, Some(0.0)), "{report}");
    }
    // One unit in the last place is wrong enough.
    let device = cpu().remove(0);
    let wrong = identity(|g| g * (1.0 + 2f64.powi(-23)));
    let report = Gradcheck::new().exact().run(&wrong, grid(3, &device, DType::F32));
    let record = report.check("integers").expect("declared");
    assert_eq!(record.verdict, Verdict::Fail, "{report}");
}

#[test]
fn a_module_is_checked_with_its_parameters_by_path() {
    #[derive(burn::module::Module, Debug)]
    struct Network {
        first: Linear,
        norm: LayerNorm,
        last: Linear,
    }
    for device in cpu() {
        let network = Network {
            first: LinearConfig::new(3, 4).init(&device),
            norm: LayerNormConfig::new(4).init(&device),
            last: LinearConfig::new(4, 1).init(&device),
        };
        let x: Tensor<2> =
            tensor([2, 3], &[0.75, -1.25, 1.5, -0.625, 2.0, 1.125], &device, DType::F64);
        let forward = |network: &Network, x: Tensor<2>| {
            network.last.forward(network.norm.forward(network.first.forward(x)).tanh())
        };
        gradcheck_module(network.clone(), forward, x.clone()).assert_pass();
        // The last layer's weights are cut off from the graph: what is detached is another leaf.
        let cut = |network: &Network, x: Tensor<2>| {
            let hidden = network.norm.forward(network.first.forward(x)).tanh();
            hidden.matmul(network.last.weight.val().detach())
        };
        let report = gradcheck_module(network, cut, x);
        assert_eq!(report.verdict(), Verdict::Fail, "{report}");
        let text = report.to_string();
        assert!(text.contains("input 4 (last.weight) has no gradient"), "{text}");
    }
}

#[test]
fn a_stochastic_function_is_named() {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let device = cpu().remove(0);
    let noisy = |x: Tensor<1>| x * (1.0 + CALLS.fetch_add(1, Ordering::Relaxed) as f64);
    let report = gradcheck(noisy, grid(3, &device, DType::F64));
    assert_eq!(report.verdict(), Verdict::Invalid, "{report}");
    assert!(report.to_string().contains("stochastic"), "{report}");
    // Burn's dropout draws where gradients are asked for, and is the identity elsewhere.
    let dropout: Dropout = DropoutConfig::new(0.5).init();
    let report = gradcheck(move |x: Tensor<1>| dropout.forward(x), grid(16, &device, DType::F64));
    assert_eq!(report.verdict(), Verdict::Invalid, "{report}");
    assert!(report.to_string().contains("stochastic"), "{report}");
}

/// A straight-through estimator: rounds forward, is the identity backward.
#[test]
fn a_surrogate_gradient_is_checked_against_what_it_is_declared_to_be() {
    #[derive(Debug, Clone)]
    struct Round;
    impl Function<1> for Round {
        fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
            [Var::from(x.into_tensor::<1>().round())]
        }
        fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
            [Some(g)]
        }
    }
    for device in cpu() {
        let x: Tensor<1> = tensor([3], &[0.25, 1.75, -0.75], &device, DType::F64);
        let bare = Subject::new(|x: Tensor<1>| Round.apply([x]));
        let check = Gradcheck::new().first_step(0.125);
        assert_eq!(check.run(&bare, x.clone()).verdict(), Verdict::Fail);
        let declared = bare.clone().surrogate(|x: Tensor<1>| x);
        check.run(&declared, x.clone()).assert_pass();
        let otherwise = bare.surrogate(|x: Tensor<1>| x * 2.0);
        assert_eq!(check.run(&otherwise, x).verdict(), Verdict::Fail);
    }
}

#[test]
fn derivatives_of_any_order_are_checked() {
    for device in cpu() {
        let x: Tensor<1> = tensor([2], &[0.75, -1.25], &device, DType::F64);
        let report = gradcheck_order::<Tensor<1>, Tensor<1>>(|x: Var| x.sin().exp(), 3, x.clone());
        report.assert_pass();
        assert!(report.check("order 3: jacobian").is_some(), "{report}");

        /// x², whose second derivative is lost: the backward takes its input out of the graph.
        #[derive(Debug, Clone)]
        struct Square;
        impl Function<1> for Square {
            fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
                ctx.save([&x]);
                [&x * &x]
            }
            fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
                let [x] = ctx.tensors();
                let copy = Dispatch::float_from_data(x.to_data(), &x.device());
                [Some(2.0 * Var::new(copy) * g)]
            }
        }
        let wrong = |x: Var| Square.call([x]);
        let report = gradcheck_order::<Tensor<1>, Tensor<1>>(wrong, 2, x);
        let first = report.check("order 1: jacobian").map(|record| record.verdict);
        let second = report.check("order 2: jacobian").map(|record| record.verdict);
        assert_eq!((first, second), (Some(Verdict::Pass), Some(Verdict::Fail)), "{report}");
    }
}

#[test]
fn a_control_catches_what_is_planted() {
    for device in cpu() {
        let a: Tensor<2> = tensor([2, 2], &[0.75, -1.25, 1.5, 2.0], &device, DType::F64);
        let b: Tensor<2> = tensor([2, 2], &[1.0, 0.5, -2.0, 1.0], &device, DType::F64);
        let product = Subject::new(|(a, b): (Tensor<2>, Tensor<2>)| a.matmul(b)).names(["a", "b"]);
        let control = Gradcheck::new().control(&product, (a.clone(), b));
        control.assert_caught();
        assert_eq!(control.mistakes.len(), 8, "{control}");
        // In a function that does not depend on its input nothing can be planted.
        let constant = Subject::new(|x: Tensor<2>| x.zeros_like());
        assert!(!Gradcheck::new().control(&constant, a).caught());
    }
}

#[test]
fn a_function_without_any_gradient_does_not_pass() {
    for device in cpu() {
        let x = grid(3, &device, DType::F64);
        let report = gradcheck(|x: Tensor<1>| x.zeros_like(), x);
        assert_eq!(report.verdict(), Verdict::Unchecked, "{report}");
        let empty = Tensor::<1>::zeros([0], (&device, DType::F64));
        let report = gradcheck(|x: Tensor<1>| x.exp(), empty);
        assert_eq!(report.verdict(), Verdict::Unchecked, "{report}");
    }
}

#[test]
fn what_is_left_open_passes_only_if_that_is_declared() {
    for device in cpu() {
        let x: Tensor<1> = tensor([4], &[-1.0, 0.0, 2.0, 3.0], &device, DType::F64);
        let relu = Subject::new(|x: Tensor<1>| x.clamp_min(0.0));
        assert_eq!(Gradcheck::new().run(&relu, x.clone()).verdict(), Verdict::Unchecked);
        // 15 of 16 entries.
        let report = Gradcheck::new().coverage(0.9).run(&relu, x.clone());
        let reason = report.check("jacobian").map(|record| record.reason.clone());
        assert!(reason.is_some_and(|reason| reason.contains("15 of 16")), "{report}");
        let report = Gradcheck::new().coverage(0.99).run(&relu, x);
        assert_eq!(report.verdict(), Verdict::Unchecked, "{report}");
    }
}

/// Kinks and jumps are never called a wrong gradient.
#[test]
fn kinks_are_no_mistakes() {
    type F = fn(Tensor<1>) -> Tensor<1>;
    let functions: [(&str, F, [f64; 3]); 6] = [
        ("relu", |x| x.clamp_min(0.0), [0.0, 1.0, -1.0]),
        ("abs", |x| x.abs(), [0.0, 1.0, -1.0]),
        ("clamp", |x| x.clamp(-1.0, 1.0), [1.0, 0.5, -2.0]),
        ("floor", |x| x.floor(), [1.0, 0.5, 2.0]),
        ("sign", |x| x.sign(), [0.0, 1.0, -1.0]),
        ("max of ties", |x| x.clone().max_dim(0) + x.sum() * 0.0, [1.0, 1.0, 0.25]),
    ];
    for device in cpu() {
        for (name, function, at) in functions {
            let x: Tensor<1> = tensor([3], &at, &device, DType::F64);
            let report = gradcheck(function, x);
            assert_eq!(report.verdict(), Verdict::Unchecked, "{name}: {report}");
        }
    }
}

/// Near the end of a domain no step leaves it, if the first one is as short as it has to be.
#[test]
fn domains_are_respected() {
    type F = fn(Tensor<1>) -> Tensor<1>;
    let functions: [(&str, F, f64); 3] = [
        ("log", |x| x.log(), 0.0625),
        ("sqrt", |x| x.sqrt(), 0.0625),
        ("acos", |x| x.acos(), 0.9375),
    ];
    for device in cpu() {
        for (name, function, at) in functions {
            let x: Tensor<1> = tensor([1], &[at], &device, DType::F64);
            let subject = Subject::new(function);
            let report = Gradcheck::new().first_step(0.03125).run(&subject, x.clone());
            assert_eq!(report.verdict(), Verdict::Pass, "{name}: {report}");
            // Larger steps are dropped where the function is not finite.
            assert_eq!(Gradcheck::new().run(&subject, x).verdict(), Verdict::Pass, "{name}");
        }
    }
}

/// A function of symmetric matrices that reads one triangle is checked composed with what makes its
/// argument symmetric.
#[test]
fn symmetric_inputs_are_composed_with_a_symmetrisation() {
    let lower = |s: Tensor<2>| {
        // s₀₀·s₁₁ − s₁₀²: the determinant of a symmetric matrix, of its lower triangle.
        let entry = |i: usize, j: usize| s.clone().slice([i..i + 1, j..j + 1]);
        entry(0, 0) * entry(1, 1) - entry(1, 0).powi_scalar(2)
    };
    for device in cpu() {
        let a: Tensor<2> = tensor([2, 2], &[2.0, 0.5, 0.5, 1.0], &device, DType::F64);
        let composed = move |a: Tensor<2>| lower((a.clone() + a.transpose()) * 0.5);
        gradcheck(composed, a).assert_pass();
    }
}

#[test]
fn an_ill_conditioned_inverse_is_not_called_wrong() {
    for device in cpu() {
        let a: Tensor<2> = tensor([2, 2], &[1.0, 1.0, 1.0, 1.0 + 1e-9], &device, DType::F64);
        let inverse = Subject::new(burn_autograd::ops::inverse::inverse::<2>);
        let report = Gradcheck::new().first_step(2f64.powi(-34)).run(&inverse, a);
        assert!(report.verdict() != Verdict::Fail, "{report}");
    }
}

#[test]
fn not_a_number_agrees_with_nothing() {
    for device in cpu() {
        let x = grid(3, &device, DType::F64);
        let wrong = Subject::new(|x: Tensor<1>| Through(|g| g * f64::NAN).apply([x]).exp());
        assert_eq!(Gradcheck::new().run(&wrong, x.clone()).verdict(), Verdict::Fail);
        let infinite = Subject::new(|x: Tensor<1>| Through(|g| g * f64::INFINITY).apply([x]).exp());
        assert_eq!(Gradcheck::new().run(&infinite, x).verdict(), Verdict::Fail);
    }
}

#[test]
fn sizes_are_swept() {
    for device in cpu() {
        let inputs = |size: usize| grid(size, &device, DType::F64);
        Gradcheck::new().run_sizes(&Subject::new(|x: Tensor<1>| x.sin()), inputs).assert_pass();
        // Wrong in the element after a workgroup of 32.
        let wrong = Subject::new(|x: Tensor<1>| {
            let tail = x.dims()[0].saturating_sub(1);
            if tail != 32 {
                return x.sin();
            }
            Tensor::cat(vec![x.clone().slice(0..32).sin(), x.slice(32..33).detach().sin()], 0)
        });
        let report: Report = Gradcheck::new().run_sizes(&wrong, inputs);
        let failed: Vec<_> = report
            .records
            .iter()
            .filter(|record| record.verdict == Verdict::Fail)
            .map(|record| record.check.clone())
            .collect();
        assert!(!failed.is_empty() && failed.iter().all(|check| check.starts_with("size 33")));
    }
}

#[test]
fn a_leak_between_the_rows_of_a_batch_is_seen() {
    for device in cpu() {
        let x: Tensor<2> =
            tensor([3, 2], &[0.75, -1.25, 1.5, -0.625, 2.0, 1.125], &device, DType::F64);
        let check = Gradcheck::new().batch([true]);
        check.run(&Subject::new(|x: Tensor<2>| x.sin()), x.clone()).assert_pass();
        // The mean over the batch, where each row's own was meant.
        let leak = Subject::new(|x: Tensor<2>| x.clone() - x.mean_dim(0));
        let report = check.run(&leak, x);
        let record = report.check("batch").expect("declared");
        assert_eq!(record.verdict, Verdict::Fail, "{report}");
    }
}

#[test]
fn devices_are_calibrated() {
    for device in all() {
        let calibration = Calibration::of(&device);
        let exp = calibration.worst(Intrinsic::Exp);
        assert!(exp.is_finite() && exp < 64.0, "{calibration}");
        println!("{calibration}");
    }
}
