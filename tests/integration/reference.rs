//! Values, gradients and second derivatives against PyTorch's, in `f64`.

use approx::abs_diff_eq;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_autograd::ops::exp::exp;
use burn_autograd::ops::legendre_p3::legendre_p3;
use burn_autograd::ops::multiply_add::multiply_add;
use burn_autograd::ops::relu::relu;
use burn_autograd::prelude::*;
use serde::Deserialize;

use crate::devices::{all, autodiff, cpu, numbers, tensor};
use crate::pulls::{exp_vjp, legendre_p3_vjp, multiply_add_vjp, relu_vjp};

#[derive(Debug, Deserialize)]
struct File {
    cases: Vec<Case>,
}

/// `gradients` = Jᵀ·cotangents; `second_order` = the gradient of Σ ⟨gradients, tangents⟩ with
/// respect to the inputs.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    op: String,
    pub(crate) inputs: Vec<Values>,
    pub(crate) outputs: Vec<Values>,
    pub(crate) cotangents: Vec<Values>,
    pub(crate) gradients: Vec<Values>,
    pub(crate) tangents: Vec<Values>,
    pub(crate) second_order: Vec<Values>,
    /// The targets of a classification.
    #[serde(default)]
    pub(crate) ints: Vec<i64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Values {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f64>,
}

/// The cases of one operation whose inputs have different ranks.
pub(crate) fn cases_of(op: &str) -> Vec<Case> {
    let file: File = serde_json::from_str(include_str!("../data/torch-f64-tape.json"))
        .expect("the file has this form");
    file.cases.into_iter().filter(|case| case.op == op).collect()
}

impl Values {
    pub(crate) fn tensor<const D: usize>(&self, device: &Device, dtype: DType) -> Tensor<D> {
        let shape = self.shape.clone().try_into().expect("the rank was matched");
        tensor(shape, &self.data, device, dtype)
    }
}

fn cases() -> Vec<Case> {
    let file: File = serde_json::from_str(include_str!("../data/torch-f64.json"))
        .expect("the file has this form");
    assert_eq!(file.cases.len(), 15, "three cases of each operation, and three with broadcasting");
    file.cases
}

/// The cases of linear algebra.
pub(crate) fn linear_algebra() -> Vec<Case> {
    let file: File = serde_json::from_str(include_str!("../data/torch-f64-linalg.json"))
        .expect("the file has this form");
    file.cases
}

fn forward<const D: usize>(op: &str, inputs: &[Tensor<D>]) -> Tensor<D> {
    let input = |index: usize| inputs[index].clone();
    match op {
        "legendre_p3" => legendre_p3(input(0)),
        "relu" => relu(input(0)),
        "exp" => exp(input(0)),
        "multiply_add" => multiply_add(input(0), input(1), input(2)),
        other => panic!("no such operation: {other}"),
    }
}

fn vjp<const D: usize>(op: &str, inputs: &[Tensor<D>], cotangent: Tensor<D>) -> Vec<Tensor<D>> {
    let input = |index: usize| inputs[index].clone();
    match op {
        "legendre_p3" => vec![legendre_p3_vjp(input(0), cotangent)],
        "relu" => vec![relu_vjp(input(0), cotangent)],
        "exp" => vec![exp_vjp(input(0), cotangent)],
        "multiply_add" => {
            let (w, x, b) = multiply_add_vjp(input(0), input(1), input(2), cotangent);
            vec![w, x, b]
        }
        other => panic!("no such operation: {other}"),
    }
}

/// Compares with PyTorch's numbers: each may be off by what `tolerance` allows for it.
#[track_caller]
fn agree<const D: usize>(
    what: &str,
    found: Tensor<D>,
    expected: &Values,
    tolerance: &dyn Fn(f64) -> f64,
) {
    assert_eq!(found.dims().to_vec(), expected.shape, "{what}");
    for (index, (found, expected)) in numbers(found).into_iter().zip(&expected.data).enumerate() {
        let bound = tolerance(*expected);
        assert!(
            abs_diff_eq!(found, *expected, epsilon = bound),
            "{what} at {index}: {found:e}, expected {expected:e} ± {bound:e}"
        );
    }
}

fn run<const D: usize>(case: &Case, device: &Device, dtype: DType, tolerance: &dyn Fn(f64) -> f64) {
    let what = |part: &str| format!("{part} of {} on {device:?} in {dtype:?}", case.op);
    let leaves: Vec<Tensor<D>> =
        case.inputs.iter().map(|input| input.tensor(device, dtype).require_grad()).collect();
    let output = forward(&case.op, &leaves);
    agree(&what("value"), output.clone(), &case.outputs[0], tolerance);

    let cotangent: Tensor<D> = case.cotangents[0].tensor(device, dtype);
    let grads = (output * cotangent.clone()).sum().backward();
    for (leaf, expected) in leaves.iter().zip(&case.gradients) {
        let gradient = leaf.grad(&grads).expect("every input has a gradient");
        agree(&what("gradient"), gradient, expected, tolerance);
    }

    let products = vjp(&case.op, &leaves, cotangent);
    let mut objective: Option<Tensor<1>> = None;
    for ((product, expected), tangent) in
        products.into_iter().zip(&case.gradients).zip(&case.tangents)
    {
        agree(&what("product"), product.clone(), expected, tolerance);
        let term = (product * tangent.tensor(device, dtype)).sum();
        objective = Some(match objective {
            Some(sum) => sum + term,
            None => term,
        });
    }
    let objective = objective.expect("there is an input");
    // Where the gradient does not depend on any input there is nothing to differentiate.
    let grads = objective.is_tracked().then(|| objective.backward());
    for (leaf, expected) in leaves.iter().zip(&case.second_order) {
        match grads.as_ref().and_then(|grads| leaf.grad(grads)) {
            Some(second) => agree(&what("second derivative"), second, expected, tolerance),
            None => assert!(expected.data.iter().all(|&value| value == 0.0), "{}", what("second")),
        }
    }
}

fn run_any_rank(case: &Case, device: &Device, dtype: DType, tolerance: &dyn Fn(f64) -> f64) {
    match case.outputs[0].shape.len() {
        1 => run::<1>(case, device, dtype, tolerance),
        2 => run::<2>(case, device, dtype, tolerance),
        3 => run::<3>(case, device, dtype, tolerance),
        rank => panic!("no case has rank {rank}"),
    }
}

#[test]
fn f64_agrees_with_pytorch_to_twelve_digits() {
    for device in autodiff(cpu()) {
        for case in cases() {
            run_any_rank(&case, &device, DType::F64, &|expected| 1e-12 * expected.abs());
        }
    }
}

/// In `f32` the inputs are rounded too, by half a unit, and so are the intermediate results. Every
/// number here is a polynomial, or an exponential, of inputs below 3: its relative change is at most
/// its degree (5, for the products that make the second derivatives) times that of the inputs, plus
/// one rounding for each of at most 12 operations, WGSL's 3 + 2|x| ≤ 8 units for `exp` among them,
/// over at most six terms that are summed. (5 + 12 + 8)·½ ≤ 13 units, or 26 of round-off, of each
/// term; terms cancel only around P₃′ = 0, where they are 1.5·g·t ≤ 6, and in sums of six terms of up
/// to 4. We allow 128 units of round-off of the result, or of 6.
#[test]
fn f32_agrees_with_pytorch_within_rounding() {
    let unit = f64::from(f32::EPSILON) / 2.0;
    for device in autodiff(all()) {
        for case in cases() {
            run_any_rank(&case, &device, DType::F32, &|expected| {
                128.0 * unit * expected.abs().max(6.0)
            });
        }
    }
}

/// The same on the tape: compositions of variables, a function with two outputs among them, with
/// gradients and second derivatives taken there and nowhere else.
fn on_tape(case: &Case, inputs: &[Var]) -> Vec<Var> {
    match case.op.as_str() {
        "legendre_p3" => vec![0.5 * (5.0 * inputs[0].powi(3) - 3.0 * &inputs[0])],
        "relu" => vec![inputs[0].relu()],
        "exp" => vec![inputs[0].exp()],
        "multiply_add" => vec![&inputs[0] * &inputs[1] + &inputs[2]],
        "add_one_and_double" => AddOneAndDouble.call_all([inputs[0].clone()]).into(),
        "linear" => vec![inputs[0].linear(&inputs[1], inputs.get(2))],
        "cross_entropy" => {
            let rows = case.ints.len();
            let device = Device::new(inputs[0].device()).inner();
            let targets = TensorData::new(case.ints.clone(), [rows, 1]);
            let picked =
                inputs[0].log_softmax(1).gather(1, Tensor::<2, Int>::from_data(targets, &device));
            vec![-picked.mean()]
        }
        other => panic!("no such operation: {other}"),
    }
}

/// (x + 1, 2x).
#[derive(Debug, Clone)]
struct AddOneAndDouble;

impl Function<1, 2> for AddOneAndDouble {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 2] {
        [&x + 1.0, x * 2.0]
    }
    fn backward(&self, _: Saved, [a, b]: [Var; 2]) -> [Option<Var>; 1] {
        [Some(a + b * 2.0)]
    }
}

#[test]
fn the_tape_agrees_with_pytorch_to_twelve_digits() {
    let more: File = serde_json::from_str(include_str!("../data/torch-f64-tape.json"))
        .expect("the file has this form");
    assert_eq!(more.cases.len(), 9);
    for device in cpu() {
        for case in cases().iter().chain(&more.cases) {
            // PyTorch's scalar has rank 0, Burn's has one element.
            let var = |values: &Values| {
                let count = values.data.len();
                let flat: Tensor<1> = tensor([count], &values.data, &device, DType::F64);
                let shape = if values.shape.is_empty() { vec![1] } else { values.shape.clone() };
                Var::from(flat).reshape(shape)
            };
            let agree = |part: &str, found: &Var, expected: &Values| {
                assert_eq!(found.shape(), var(expected).shape(), "{part} of {}", case.op);
                let found: Vec<f64> = found.to_data().iter().collect();
                let scale = expected.data.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
                for (found, expected) in found.iter().zip(&expected.data) {
                    // The differences of logits lose digits relative to the largest of them.
                    let bound =
                        1e-12 * if case.op == "cross_entropy" { scale } else { expected.abs() };
                    assert!(
                        abs_diff_eq!(*found, *expected, epsilon = bound),
                        "{part} of {}: {found:e}, expected {expected:e} ± {bound:e}",
                        case.op
                    );
                }
            };
            let inputs: Vec<Var> = case.inputs.iter().map(|input| Var::leaf(var(input))).collect();
            let outputs = on_tape(case, &inputs);
            for (output, expected) in outputs.iter().zip(&case.outputs) {
                agree("value", output, expected);
            }
            let cotangents: Vec<Var> = case.cotangents.iter().map(var).collect();
            let gradient = |input: &Var| {
                let [grad] = Gradient::of(&outputs).cotangents(&cotangents).wrt([input]);
                grad
            };
            let grads: Vec<Var> = inputs.iter().map(gradient).collect();
            for (grad, expected) in grads.iter().zip(&case.gradients) {
                agree("gradient", grad, expected);
            }
            let tangents: Vec<Var> = case.tangents.iter().map(var).collect();
            for (input, expected) in inputs.iter().zip(&case.second_order) {
                let [second] = Gradient::of(&grads).cotangents(&tangents).wrt([input]);
                agree("second derivative", &second, expected);
            }
        }
    }
}
