//! `cross_entropy`: PyTorch's values, the definition with every option, extreme and special logits,
//! targets that are no class, and how accurate it is.

use approx::relative_eq;
use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_autograd::ErrorKind;
use burn_autograd::gradcheck::SplitMix64;
use burn_autograd::ops::cross_entropy::{
    CrossEntropyLossConfig, CrossEntropyOptions, Reduction, TensorCrossEntropy, cross_entropy,
    cross_entropy_unreduced, cross_entropy_with, try_cross_entropy, try_cross_entropy_unreduced,
    try_cross_entropy_with,
};
use burn_autograd::prelude::*;

use crate::devices::{all, autodiff, cpu, message, numbers, tensor, wgpu};
use crate::pulls::{cross_entropy_unreduced_vjp, cross_entropy_vjp};
use crate::reference::cases_of;

fn indices<const D: usize>(shape: [usize; D], data: &[i64], device: &Device) -> Tensor<D, Int> {
    Tensor::from_data(TensorData::new(data.to_vec(), shape), &device.clone().inner())
}

/// NaN and the infinities are close to themselves.
#[track_caller]
fn close(what: &str, found: &[f64], expected: &[f64], bound: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
        let same = relative_eq!(*found, *expected, epsilon = bound, max_relative = 0.0)
            || (found.is_nan() && expected.is_nan());
        assert!(same, "{what} at {k}: {found:e}, expected {expected:e}");
    }
}

/// The numbers of a tutorial that everybody knows.
#[test]
fn two_rows_of_three_logits() {
    let expected = [-0.378_609_062_6, 0.134_157_733_7, 0.244_451_328_9];
    for device in autodiff(all()) {
        for (dtype, bound) in [(DType::F64, 1e-10), (DType::F32, 3e-7)] {
            if !cpu().contains(&device.clone().inner()) && dtype == DType::F64 {
                continue;
            }
            let data = [0.2, 0.3, 0.9, 0.2, 0.3, 0.9];
            let logits: Tensor<2> = tensor([2, 3], &data, &device, dtype).require_grad();
            let loss = cross_entropy(logits.clone(), indices([2], &[0, 0], &device));
            let value = 1.415_591_873_292_751;
            close(
                "loss",
                &numbers(loss.clone()),
                &[value],
                if bound < 1e-9 { 1e-15 } else { bound },
            );
            let gradient = numbers(logits.grad(&loss.backward()).unwrap());
            close("gradient", &gradient, &[expected, expected].concat(), bound);
        }
    }
}

#[test]
fn it_agrees_with_pytorch() {
    let cases = cases_of("cross_entropy");
    assert_eq!(cases.len(), 2);
    let sets = [(cpu(), DType::F64, f64::EPSILON), (all(), DType::F32, f64::from(f32::EPSILON))];
    for (devices, dtype, unit) in sets {
        for device in autodiff(devices) {
            for case in &cases {
                // Softmax of at most five logits below 4, whose exponentials WGSL bounds by 3 + 2·8
                // units, times cotangents and tangents below 4.
                let bound = 128.0 * unit;
                let logits: Tensor<2> = case.inputs[0].tensor(&device, dtype).require_grad();
                let targets = indices([case.ints.len()], &case.ints, &device);
                let loss = cross_entropy(logits.clone(), targets.clone());
                close("value", &numbers(loss.clone()), &case.outputs[0].data, bound);
                let g: Tensor<1> = tensor([1], &case.cotangents[0].data, &device, dtype);
                let dx = logits.grad(&(loss * g.clone()).backward()).unwrap();
                close("gradient", &numbers(dx), &case.gradients[0].data, bound);
                let dx = cross_entropy_vjp(logits.clone(), targets, &Default::default(), g);
                close("product", &numbers(dx.clone()), &case.gradients[0].data, bound);
                let tangent = case.tangents[0].tensor(&device, dtype);
                let second = logits.grad(&(dx * tangent).sum().backward()).unwrap();
                close("second derivative", &numbers(second), &case.second_order[0].data, bound);
            }
        }
    }
}

/// On the tape, with the rule's own backward, and differentiated again.
#[test]
fn the_tape_agrees_with_pytorch() {
    for device in cpu() {
        for case in cases_of("cross_entropy") {
            let bound = 128.0 * f64::EPSILON;
            let logits = Var::leaf(case.inputs[0].tensor::<2>(&device, DType::F64));
            let targets = indices([case.ints.len()], &case.ints, &device);
            let loss = logits.clone().cross_entropy(targets, &Default::default());
            assert_eq!(loss.operation(), Some("cross_entropy"));
            let var = |data: &[f64], shape: Vec<usize>| {
                let count = data.len();
                Var::from(tensor::<1>([count], data, &device, DType::F64)).reshape(shape)
            };
            let g = var(&case.cotangents[0].data, vec![1]);
            let [dx] = Gradient::of([&loss]).cotangents([&g]).wrt([&logits]);
            let found = |x: &Var| x.to_data().iter::<f64>().collect::<Vec<_>>();
            close("gradient", &found(&dx), &case.gradients[0].data, bound);
            let tangent = var(&case.tangents[0].data, case.tangents[0].shape.clone());
            let [second] = Gradient::of([&dx]).cotangents([&tangent]).wrt([&logits]);
            close("second derivative", &found(&second), &case.second_order[0].data, bound);
        }
    }
}

/// Logits, targets and options on the host.
#[derive(Debug, Clone)]
struct Problem {
    /// [n, c, more].
    shape: [usize; 3],
    logits: Vec<f64>,
    targets: Vec<i64>,
    weight: Option<Vec<f64>>,
    ignore_index: Option<i64>,
    label_smoothing: f64,
}

impl Problem {
    fn new(
        shape: [usize; 3],
        weighted: bool,
        ignored: bool,
        label_smoothing: f64,
        range: f64,
        random: &mut SplitMix64,
    ) -> Self {
        let [n, c, more] = shape;
        Self {
            shape,
            logits: (0..n * c * more).map(|_| random.uniform(-range, range)).collect(),
            targets: (0..n * more)
                .map(|row| match ignored && row % 3 == 1 {
                    true => -100,
                    false => (random.next_u64() % c as u64) as i64,
                })
                .collect(),
            weight: weighted.then(|| (0..c).map(|_| random.uniform(0.25, 2.0)).collect()),
            ignore_index: ignored.then_some(-100),
            label_smoothing,
        }
    }

    /// Every combination of options.
    fn all(shape: [usize; 3], random: &mut SplitMix64) -> Vec<Self> {
        let mut problems = Vec::new();
        for weighted in [false, true] {
            for ignored in [false, true] {
                for label_smoothing in [0.0, 0.125, 1.0] {
                    problems.push(Self::new(
                        shape,
                        weighted,
                        ignored,
                        label_smoothing,
                        4.0,
                        random,
                    ));
                }
            }
        }
        problems
    }

    fn options(&self, reduction: Reduction, device: &Device, dtype: DType) -> CrossEntropyOptions {
        let device = device.clone().inner();
        let weight = self.weight.as_ref();
        CrossEntropyOptions::default()
            .with_reduction(reduction)
            .with_weight(weight.map(|weight| tensor([weight.len()], weight, &device, dtype)))
            .with_ignore_index(self.ignore_index)
            .with_label_smoothing(self.label_smoothing)
    }

    /// PyTorch's definition, in double precision: the losses of the rows, what the mean divides by,
    /// and the gradient of ⟨g, losses⟩, through the logarithms of the probabilities, by the chain rule.
    fn expected(&self, g: &[f64]) -> (Vec<f64>, f64, Vec<f64>) {
        let [n, c, more] = self.shape;
        let (mut losses, mut total) = (vec![0.0; n * more], 0.0);
        let mut gradient = vec![0.0; self.logits.len()];
        let weight = |k: usize| self.weight.as_ref().map_or(1.0, |weight| weight[k]);
        let epsilon = self.label_smoothing;
        for row in 0..n * more {
            let Ok(target) = usize::try_from(self.targets[row]) else { continue };
            let place = |k: usize| (row / more * c + k) * more + row % more;
            let max = (0..c).map(|k| self.logits[place(k)]).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..c).map(|k| (self.logits[place(k)] - max).exp()).sum();
            let log_p: Vec<f64> = (0..c).map(|k| self.logits[place(k)] - max - sum.ln()).collect();
            // The loss is linear in the logarithms.
            let slopes: Vec<f64> = (0..c)
                .map(|k| {
                    let here = if k == target { (1.0 - epsilon) * weight(k) } else { 0.0 };
                    -(here + epsilon / c as f64 * weight(k))
                })
                .collect();
            total += weight(target);
            losses[row] = slopes.iter().zip(&log_p).map(|(s, p)| s * p).sum();
            let all: f64 = slopes.iter().sum();
            for k in 0..c {
                gradient[place(k)] = g[row] * (slopes[k] - log_p[k].exp() * all);
            }
        }
        (losses, total, gradient)
    }
}

fn against_the_definition(device: &Device, dtype: DType, problem: &Problem, bound: f64) {
    let [n, c, more] = problem.shape;
    let (shape, weighted) = (problem.shape, problem.weight.is_some());
    let (ignore, smoothing) = (problem.ignore_index, problem.label_smoothing);
    let options = format!("{shape:?} {weighted} {ignore:?} {smoothing} {dtype:?} on {device:?}");
    let what = |part: &str| format!("{part} of {options}");
    let mut random = SplitMix64::new(3);
    let g: Vec<f64> = (0..n * more).map(|_| random.cotangent()).collect();
    let (losses, total, gradient) = problem.expected(&g);
    let flat: Tensor<2> = tensor([n, c * more], &problem.logits, device, dtype);
    let leaf: Tensor<3> = flat.reshape([n, c, more]).detach().require_grad();
    let targets = indices([n, more], &problem.targets, device);
    let options = problem.options(Reduction::Mean, device, dtype);

    let found = cross_entropy_unreduced(leaf.clone(), targets.clone(), &options);
    close(&what("losses"), &numbers(found.clone()), &losses, bound);
    let cotangent: Tensor<2> = tensor([n, more], &g, device, dtype);
    let grads = (found * cotangent.clone()).sum().backward();
    close(&what("gradient"), &numbers(leaf.grad(&grads).unwrap()), &gradient, bound);
    let product = cross_entropy_unreduced_vjp(leaf.clone(), targets.clone(), &options, cotangent);
    assert_eq!(product.dims(), problem.shape);
    close(&what("product"), &numbers(product), &gradient, bound);

    for reduction in [Reduction::Mean, Reduction::Sum] {
        let divisor = if reduction == Reduction::Mean { total } else { 1.0 };
        let value = losses.iter().sum::<f64>() / divisor;
        let (_, _, ones) = problem.expected(&vec![2.5 / divisor; n * more]);
        let options = problem.options(reduction, device, dtype);
        let found = try_cross_entropy_with(leaf.clone(), targets.clone(), &options).unwrap();
        let size = if reduction == Reduction::Mean { 1.0 } else { (n * more) as f64 };
        close(&what("loss"), &numbers(found.clone()), &[value], bound * size);
        let dx = leaf.grad(&(found * 2.5).backward()).unwrap();
        close(&what("gradient"), &numbers(dx), &ones, bound);
        let grad = tensor([1], &[2.5], device, dtype);
        let product = cross_entropy_vjp(leaf.clone(), targets.clone(), &options, grad);
        close(&what("product"), &numbers(product), &ones, bound);
    }
    if more == 1 {
        // The same without the last dimension.
        let matrix = leaf.clone().reshape([n, c]);
        let found = cross_entropy_with(matrix, targets.reshape([n]), &options);
        close(&what("loss"), &numbers(found), &[losses.iter().sum::<f64>() / total], bound);
    }
}

/// Logits within ±4, losses below 18, weights below 2: 20 units of 32 for the exponentials and sums
/// in `f64`; on an adapter, whose functions are off by up to 3 + 2·8 units, in `f32`.
#[test]
fn it_is_its_definition_with_every_option() {
    let mut random = SplitMix64::new(21);
    for shape in [[5, 4, 1], [3, 1, 2], [1, 37, 1], [2, 3, 5]] {
        for problem in Problem::all(shape, &mut random) {
            for device in autodiff(cpu()) {
                against_the_definition(&device, DType::F64, &problem, 640.0 * f64::EPSILON);
            }
            for device in all() {
                let bound = 640.0 * f64::from(f32::EPSILON);
                against_the_definition(&device.autodiff(), DType::F32, &problem, bound);
            }
        }
    }
}

/// More rows, and more classes, than one task or one cube has.
#[test]
fn large_problems_are_right_in_every_element() {
    let mut random = SplitMix64::new(22);
    for (shape, weighted, epsilon) in
        [([300, 200, 1], false, 0.0), ([3, 20_011, 1], true, 0.125), ([70, 33, 30], false, 0.125)]
    {
        let problem = Problem::new(shape, weighted, true, epsilon, 4.0, &mut random);
        for device in cpu() {
            let bound = 640.0 * f64::EPSILON;
            against_the_definition(&device.autodiff(), DType::F64, &problem, bound);
        }
        for device in all() {
            let bound = 640.0 * f64::from(f32::EPSILON);
            against_the_definition(&device.autodiff(), DType::F32, &problem, bound);
        }
    }
}

/// Logits that somebody still holds are not overwritten; those that nobody holds may be, and the
/// gradient is the same.
#[test]
fn logits_are_overwritten_only_where_nobody_holds_them() {
    for device in autodiff(all()) {
        let data = [0.5, -1.0, 2.0, 0.25, 1.5, -0.75];
        let leaf: Tensor<2> = tensor([2, 3], &data, &device, DType::F32).require_grad();
        let loss = cross_entropy(leaf.clone(), indices([2], &[1, 2], &device));
        let direct = numbers(leaf.grad(&loss.backward()).unwrap());
        assert_eq!(numbers(leaf.clone()), data);
        // The logits are an intermediate: x = 2·(x/2), exactly.
        let half: Tensor<2> = (leaf.detach() * 0.5).detach().require_grad();
        let loss = cross_entropy(half.clone() * 2.0, indices([2], &[1, 2], &device));
        let through = numbers(half.grad(&loss.backward()).unwrap());
        let doubled: Vec<f64> = direct.iter().map(|x| 2.0 * x).collect();
        assert_eq!(through, doubled, "{device:?}");
        // Two losses of one intermediate.
        let half: Tensor<2> = half.detach().require_grad();
        let logits = half.clone() * 2.0;
        let both = cross_entropy(logits.clone(), indices([2], &[1, 2], &device))
            + cross_entropy(logits, indices([2], &[1, 2], &device));
        let twice = numbers(half.grad(&both.backward()).unwrap());
        let expected: Vec<f64> = direct.iter().map(|x| 4.0 * x).collect();
        assert_eq!(twice, expected, "{device:?}");
    }
}

#[test]
fn views_are_read_where_they_are() {
    let mut random = SplitMix64::new(23);
    let problem = Problem::new([4, 5, 1], true, true, 0.25, 3.0, &mut random);
    let g = [0.5, 1.0, -2.0, 1.5];
    let (losses, _, gradient) = problem.expected(&g);
    for device in autodiff(all()) {
        let bound = 640.0 * f64::from(f32::EPSILON);
        let dtype = DType::F32;
        let options = problem.options(Reduction::Sum, &device, dtype);
        let plain: Tensor<2> = tensor([4, 5], &problem.logits, &device, dtype);
        let targets = indices([4], &problem.targets, &device);
        // Logits in column-major order and as a window, targets as every second number, a cotangent
        // that is turned around twice.
        let columns = plain.clone().transpose().reshape([5, 4]).transpose();
        let border = Tensor::<2>::cat(vec![plain.clone(), plain.clone() * 7.0], 1);
        let window = Tensor::cat(vec![border.clone(), border], 0).slice([0..4, 0..5]);
        let doubled: Vec<i64> = problem.targets.iter().flat_map(|&target| [target, 0]).collect();
        let every: Tensor<1, Int> =
            indices([4, 2], &doubled, &device).slice([0..4, 0..1]).reshape([4]);
        let turned: Vec<f64> = g.iter().rev().copied().collect();
        let cotangent: Tensor<1> = tensor([4], &turned, &device, dtype).flip([0]);
        for logits in [plain, columns, window] {
            for targets in [targets.clone(), every.clone()] {
                let logits = logits.clone().detach().require_grad();
                let found = cross_entropy_unreduced(logits.clone(), targets, &options);
                close("losses", &numbers(found.clone()), &losses, bound);
                let grads = (found * cotangent.clone()).sum().backward();
                close("gradient", &numbers(logits.grad(&grads).unwrap()), &gradient, bound);
            }
        }
        // The cotangent of a sum is one number, repeated.
        let logits: Tensor<2> = tensor([1, 5], &problem.logits[..5], &device, dtype).require_grad();
        let losses = cross_entropy_unreduced(
            logits.clone().expand([4, 5]),
            indices([4], &[0, 0, 0, 0], &device),
            &Default::default(),
        );
        let repeated = numbers(logits.grad(&losses.sum().backward()).unwrap());
        let one = cross_entropy(logits.clone(), indices([1], &[0], &device));
        let expected: Vec<f64> =
            numbers(logits.grad(&one.backward()).unwrap()).iter().map(|x| 4.0 * x).collect();
        close("repeated", &repeated, &expected, bound);
    }
}

/// Exponentials of these overflow and underflow; the loss is exact all the same.
#[test]
fn it_is_stable() {
    let data = [1e4, -1e4, 0.0, 1e4, 1e4, -1e4, 3e38, 3e38, -3e38];
    for device in autodiff(all()) {
        for dtype in [DType::F32, DType::F64] {
            if dtype == DType::F64 && !cpu().contains(&device.clone().inner()) {
                continue;
            }
            let targets = indices([3], &[1, 0, 1], &device);
            let logits: Tensor<2> = tensor([3, 3], &data, &device, dtype).require_grad();
            let losses =
                cross_entropy_unreduced(logits.clone(), targets.clone(), &Default::default());
            let log2 = std::f64::consts::LN_2;
            // An adapter's logarithm of 2 may be off by 3 units.
            close("losses", &numbers(losses.clone()), &[2e4, log2, log2], 4e-7);
            let gradient = numbers(logits.grad(&losses.sum().backward()).unwrap());
            let expected = [1.0, -1.0, 0.0, -0.5, 0.5, 0.0, 0.5, -0.5, 0.0];
            close("gradient", &gradient, &expected, 4e-7);
            // Small differences of large logits: exact for these powers of two.
            let logits: Tensor<2> =
                tensor([1, 2], &[8192.0, 8192.5], &device, dtype).require_grad();
            let loss = cross_entropy(logits.clone(), indices([1], &[0], &device));
            let p = 1.0 / (1.0 + 0.5f64.exp());
            close("loss", &numbers(loss.clone()), &[-p.ln()], 4e-7);
            let gradient = numbers(logits.grad(&loss.backward()).unwrap());
            close("gradient", &gradient, &[p - 1.0, 1.0 - p], 4e-7);
        }
    }
}

/// The sums follow a maximum that may rise at any class: rows in ascending and in descending order, of
/// equal logits, and with jumps of 2·10⁴; with fewer classes than a cube has units, as many, and more.
/// The logits and their differences are exact, and steps of 2⁻¹⁰ leave the rescaled terms their weight.
#[test]
fn wherever_the_maximum_is() {
    for classes in [1, 5, 256, 257, 5000] {
        let half = classes / 2;
        let row = |logit: &dyn Fn(usize) -> f64| (0..classes).map(logit).collect::<Vec<f64>>();
        let mut rows = vec![
            row(&|k| if k % 2 == 0 { 1e4 } else { -1e4 }),
            row(&|k| if k < half { -1e4 } else { 1e4 }),
            row(&|k| if k < half { 1e4 } else { -1e4 }),
        ];
        for offset in [0.0, 1e4, -1e4] {
            rows.push(row(&|k| offset + k as f64 / 1024.0));
            rows.push(row(&|k| offset - k as f64 / 1024.0));
            rows.push(row(&|_| offset));
        }
        let n = rows.len();
        for (weighted, label_smoothing) in [(false, 0.0), (false, 0.25), (true, 0.25)] {
            let problem = Problem {
                shape: [n, classes, 1],
                logits: rows.concat(),
                targets: (0..n).map(|row| (row * 7_919 % classes) as i64).collect(),
                weight: weighted.then(|| (0..classes).map(|k| (k % 7 + 2) as f64 / 8.0).collect()),
                ignore_index: None,
                label_smoothing,
            };
            let (losses, _, gradient) = problem.expected(&vec![1.0; n]);
            for device in all() {
                let device = device.autodiff();
                let dtype = DType::F32;
                let leaf: Tensor<2> = tensor([n, classes], &problem.logits, &device, dtype);
                let leaf = leaf.require_grad();
                let targets = indices([n], &problem.targets, &device);
                let options = problem.options(Reduction::Sum, &device, dtype);
                let found = cross_entropy_unreduced(leaf.clone(), targets, &options);
                let dx = numbers(leaf.grad(&found.clone().sum().backward()).unwrap());
                let found = numbers(found);
                for (row, &loss) in losses.iter().enumerate() {
                    let what = |part: &str| {
                        let options = format!("{weighted} {label_smoothing} on {device:?}");
                        format!("{part} of row {row} of {classes} classes, {options}")
                    };
                    let bound = 640.0 * f64::from(f32::EPSILON);
                    close(&what("loss"), &[found[row]], &[loss], bound * (1.0 + loss.abs()));
                    let place = row * classes..(row + 1) * classes;
                    close(&what("gradient"), &dx[place.clone()], &gradient[place], bound);
                }
            }
        }
    }
}

/// A class of logit −∞ has the probability 0, so that the one that is left has 1, wherever it stands:
/// also where all others that a unit of an adapter reads are −∞.
#[test]
fn one_class_is_left() {
    for classes in [2, 5, 300, 1000] {
        for class in [0, classes / 2, classes - 1] {
            let mut data = Vec::new();
            for logit in [0.5, 1e4, -1e4] {
                let start = data.len();
                data.resize(start + classes, f64::NEG_INFINITY);
                data[start + class] = logit;
            }
            for device in all() {
                let device = device.autodiff();
                let logits: Tensor<2> = tensor([3, classes], &data, &device, DType::F32);
                let logits = logits.require_grad();
                let targets = indices([3], &[class as i64; 3], &device);
                let losses = cross_entropy_unreduced(logits.clone(), targets, &Default::default());
                let what = format!("class {class} of {classes} on {device:?}");
                close(&what, &numbers(losses.clone()), &[0.0; 3], 4e-7);
                let dx = numbers(logits.grad(&losses.sum().backward()).unwrap());
                close(&what, &dx, &vec![0.0; 3 * classes], 4e-7);
            }
        }
    }
}

/// On an adapter too, although its maximum is finite there.
#[test]
fn no_class_is_left_on_a_gpu() {
    let Some(device) = wgpu() else { return };
    let device = device.autodiff();
    for classes in [3, 300] {
        let mut data = vec![f64::NEG_INFINITY; 2 * classes];
        data[classes..].fill(-1e4);
        let logits: Tensor<2> = tensor([2, classes], &data, &device, DType::F32).require_grad();
        let targets = indices([2], &[1, 1], &device);
        let losses = cross_entropy_unreduced(logits.clone(), targets, &Default::default());
        let log = (classes as f64).ln();
        close("losses", &numbers(losses.clone()), &[f64::NAN, log], 4e-6);
        let dx = numbers(logits.grad(&losses.sum().backward()).unwrap());
        assert!(dx[..classes].iter().all(|dx| dx.is_nan()), "{dx:?}");
        assert!(dx[classes..].iter().all(|dx| dx.is_finite()), "{dx:?}");
    }
}

/// As PyTorch, on the CPU backends: adapters may assume that there is no NaN and no ∞.
#[test]
fn infinity_and_nan() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    for device in autodiff(cpu()) {
        for dtype in [DType::F32, DType::F64] {
            let rows: [([f64; 3], i64, f64, [f64; 3]); 6] = [
                ([0.0, -inf, 0.0], 0, std::f64::consts::LN_2, [-0.5, 0.0, 0.5]),
                ([0.0, -inf, 0.0], 1, inf, [0.5, -1.0, 0.5]),
                ([0.0, inf, 0.0], 1, nan, [nan; 3]),
                ([0.0, inf, 0.0], 0, nan, [nan; 3]),
                ([-inf; 3], 0, nan, [nan; 3]),
                ([0.0, nan, 0.0], 0, nan, [nan; 3]),
            ];
            for (row, target, loss, gradient) in rows {
                let logits: Tensor<2> = tensor([1, 3], &row, &device, dtype).require_grad();
                let found = cross_entropy(logits.clone(), indices([1], &[target], &device));
                close(&format!("{row:?}"), &numbers(found.clone()), &[loss], 1e-7);
                let dx = numbers(logits.grad(&found.backward()).unwrap());
                // The exponential of −∞ − (+∞) is 0, and 0 divided by NaN is NaN.
                close(&format!("{row:?}"), &dx, &gradient, 1e-7);
            }
            // A row that is ignored does not count, whatever stands in it.
            let data = [nan, inf, 1.0, 1.0];
            let logits: Tensor<2> = tensor([2, 2], &data, &device, dtype).require_grad();
            let options = CrossEntropyOptions::default().with_ignore_index(Some(7));
            let loss = cross_entropy_with(logits.clone(), indices([2], &[7, 0], &device), &options);
            close("ignored", &numbers(loss.clone()), &[std::f64::consts::LN_2], 1e-7);
            let dx = numbers(logits.grad(&loss.backward()).unwrap());
            assert_eq!(dx, [0.0, 0.0, -0.5, 0.5]);
        }
    }
}

/// Nothing counts: 0 ÷ 0, as PyTorch; and 0 for the sum.
#[test]
fn a_batch_that_is_ignored_as_a_whole() {
    for device in autodiff(all()) {
        let logits: Tensor<2> =
            tensor([2, 2], &[0.5, 1.0, -1.0, 2.0], &device, DType::F32).require_grad();
        for (reduction, expected) in [(Reduction::Mean, f64::NAN), (Reduction::Sum, 0.0)] {
            let options = CrossEntropyOptions::default()
                .with_reduction(reduction)
                .with_ignore_index(Some(-1));
            let targets = indices([2], &[-1, -1], &device);
            let loss = cross_entropy_with(logits.clone(), targets.clone(), &options);
            close("loss", &numbers(loss.clone()), &[expected], 0.0);
            assert_eq!(numbers(logits.grad(&loss.backward()).unwrap()), [0.0; 4]);
            let losses = cross_entropy_unreduced(logits.clone(), targets, &options);
            assert_eq!(numbers(losses), [0.0; 2]);
        }
    }
    for device in all() {
        let none: Tensor<2> = tensor([0, 3], &[], &device, DType::F32);
        let targets = indices([0], &[], &device);
        assert!(numbers(cross_entropy(none.clone(), targets.clone()))[0].is_nan());
        let options = CrossEntropyOptions::default().with_reduction(Reduction::Sum);
        assert_eq!(numbers(cross_entropy_with(none, targets, &options)), [0.0]);
    }
}

#[test]
fn a_target_that_is_no_class_is_an_error_with_its_row() {
    for device in all() {
        let logits = Tensor::<2>::zeros([3, 4], &device);
        for (target, ignore_index, text) in [
            (4, None, "class indices from 0 to below 4, got 4 in row 1"),
            (-1, None, "class indices from 0 to below 4, got -1 in row 1"),
            (
                -7,
                Some(-100),
                "class indices from 0 to below 4 or the ignored index -100, got -7 in row 1",
            ),
        ] {
            let targets = indices([3], &[3, target, 0], &device);
            let options = CrossEntropyOptions::default().with_ignore_index(ignore_index);
            let error = try_cross_entropy_with(logits.clone(), targets.clone(), &options);
            let error = error.unwrap_err();
            assert_eq!((error.kind(), error.argument()), (ErrorKind::Value, "targets"));
            let text = format!("cross_entropy: argument `targets`: expected {text}");
            assert_eq!(error.to_string(), text);
            let error =
                try_cross_entropy_unreduced(logits.clone(), targets.clone(), &options).unwrap_err();
            assert_eq!(error.to_string(), text);
            if cpu().contains(&device) {
                let panicked = message(|| {
                    let _ = cross_entropy_with(logits.clone(), targets.clone(), &options);
                });
                assert_eq!(panicked, text);
                let panicked = message(|| {
                    let _ = Var::from(&logits).cross_entropy(targets.clone(), &options);
                });
                assert_eq!(panicked, text);
            }
        }
        // Rows are counted over all dimensions of the targets.
        let logits = Tensor::<3>::zeros([2, 4, 3], &device);
        let targets = indices([2, 3], &[0, 1, 2, 3, 4, 0], &device);
        let error = try_cross_entropy(logits, targets).unwrap_err();
        assert_eq!(error.got(), "4 in row 4");
    }
}

/// Also where a gradient is to be differentiated, for which no kernel runs.
#[test]
fn a_target_that_is_no_class_is_an_error_for_second_derivatives_too() {
    for device in autodiff(cpu()) {
        let logits = Tensor::<2>::zeros([3, 4], &device);
        let ones = |count: usize| Tensor::<1>::ones([count], &device);
        for (target, ignore_index, got) in [
            (4, None, "below 4, got 4"),
            (-7, Some(-100), "below 4 or the ignored index -100, got -7"),
        ] {
            let targets = || indices([3], &[3, target, 0], &device);
            let options = CrossEntropyOptions::default().with_ignore_index(ignore_index);
            let text = format!(
                "cross_entropy: argument `targets`: expected class indices from 0 to {got} in row 1"
            );
            for logits in [logits.clone(), logits.clone().require_grad()] {
                let found = message(|| {
                    drop(cross_entropy_vjp(logits.clone(), targets(), &options, ones(1)));
                });
                assert_eq!(found, text, "{device:?}");
                let found = message(|| {
                    let grad = ones(3);
                    drop(cross_entropy_unreduced_vjp(logits.clone(), targets(), &options, grad));
                });
                assert_eq!(found, text, "{device:?}");
                let found = message(|| {
                    drop(Var::from(&logits).cross_entropy(targets(), &options));
                });
                assert_eq!(found, text, "{device:?}");
            }
        }
        // One that is ignored is none of these, and gives no NaN.
        let options = CrossEntropyOptions::default().with_ignore_index(Some(-100));
        let logits = logits.require_grad();
        let targets = indices([3], &[3, -100, 0], &device);
        let dx = numbers(cross_entropy_vjp(logits, targets, &options, ones(1)));
        // Half of ¼, less a half at the target.
        let (other, own, none) = (0.125, -0.375, 0.0);
        let expected = [other, other, other, own, none, none, none, none, own, other, other, other];
        close("gradient", &dx, &expected, 1e-7);
    }
}

/// 2⁶⁴ − 100 has the bits of −100, the ignored index, and is neither that nor a class.
#[test]
fn the_largest_unsigned_targets_are_no_class() {
    for device in cpu() {
        let logits = Tensor::<2>::zeros([3, 4], &device);
        let unsigned = |targets: Vec<u64>| -> Tensor<1, Int> {
            Tensor::from_data(TensorData::new(targets, [3]), (&device, DType::U64))
        };
        let options = |ignore_index| CrossEntropyOptions::default().with_ignore_index(ignore_index);
        let targets = unsigned(vec![3, u64::MAX - 99, 0]);
        let text = "cross_entropy: argument `targets`: expected class indices from 0 to below 4 or \
                    the ignored index -100, got 18446744073709551516 in row 1";
        let found = try_cross_entropy_with(logits.clone(), targets.clone(), &options(Some(-100)));
        assert_eq!(found.unwrap_err().to_string(), text);
        let panicked = message(|| {
            let _ = cross_entropy_with(logits.clone(), targets.clone(), &options(Some(-100)));
        });
        assert_eq!(panicked, text);
        // One that the type holds is ignored, and the loss is that of the two others.
        let targets = unsigned(vec![3, 7, 0]);
        let loss = try_cross_entropy_with(logits, targets, &options(Some(7))).unwrap();
        close("ignored", &numbers(loss), &[4f64.ln()], 1e-6);
    }
}

/// Where nobody waits for the device, the row and its gradient are NaN, and so are the mean and the
/// gradients of all of its rows.
#[test]
fn a_target_that_is_no_class_gives_nan_on_a_gpu() {
    let Some(device) = wgpu() else { return };
    let device = device.autodiff();
    let options = CrossEntropyOptions::default().with_ignore_index(Some(-1));
    for smoothing in [0.0, 0.125] {
        let options = options.clone().with_label_smoothing(smoothing);
        let logits: Tensor<2> = tensor([3, 2], &[0.0; 6], &device, DType::F32).require_grad();
        let targets = indices([3], &[1, 2, -1], &device);
        let losses = cross_entropy_unreduced(logits.clone(), targets.clone(), &options);
        let found = numbers(losses.clone());
        close("losses", &found, &[std::f64::consts::LN_2, f64::NAN, 0.0], 4e-7);
        let weights = tensor([3], &[1.0, 2.0, 3.0], &device, DType::F32);
        let dx = numbers(logits.grad(&(losses * weights).sum().backward()).unwrap());
        let p = 0.5 - 0.5 * smoothing;
        close("gradient", &dx, &[p, -p, f64::NAN, f64::NAN, 0.0, 0.0], 4e-7);
        let mean = cross_entropy_with(logits.clone(), targets, &options);
        assert!(numbers(mean.clone())[0].is_nan());
        // Every row is divided by the sum of the weights.
        let dx = numbers(logits.grad(&mean.backward()).unwrap());
        close(
            "gradient of the mean",
            &dx,
            &[f64::NAN, f64::NAN, f64::NAN, f64::NAN, 0.0, 0.0],
            0.0,
        );
    }
}

#[test]
fn bad_arguments_are_refused_by_name() {
    for device in all() {
        let logits = Tensor::<2>::zeros([2, 3], &device);
        let good = || indices([2], &[0, 1], &device);
        let refused = |options: CrossEntropyOptions| {
            try_cross_entropy_with(logits.clone(), good(), &options).unwrap_err()
        };
        let error = try_cross_entropy(logits.clone(), indices([3], &[0, 1, 2], &device));
        let text = "cross_entropy: argument `targets`: expected [2], one class for each row of \
                    `logits` [2, 3], got [3]";
        assert_eq!(error.unwrap_err().to_string(), text);
        let panicked = message(|| {
            let _ = cross_entropy(logits.clone(), indices([3], &[0, 1, 2], &device));
        });
        assert_eq!(panicked, text);
        let error = try_cross_entropy(logits.clone(), indices([2, 1], &[0, 1], &device));
        assert_eq!(error.unwrap_err().argument(), "targets");
        let error = try_cross_entropy(Tensor::<1>::zeros([2], &device), good()).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Shape, "logits"));

        let weight = Some(Tensor::<1>::zeros([2], &device));
        let error = refused(CrossEntropyOptions::default().with_weight(weight));
        let text = "cross_entropy: argument `weight`: expected [3], one for each class, got [2]";
        assert_eq!(error.to_string(), text);
        for label_smoothing in [-0.5, 1.5, f64::NAN] {
            let error =
                refused(CrossEntropyOptions::default().with_label_smoothing(label_smoothing));
            assert_eq!((error.kind(), error.argument()), (ErrorKind::Value, "label_smoothing"));
        }
        let panicked = message(|| {
            let grad = Tensor::<1>::zeros([2], &device);
            let _ = cross_entropy_vjp(logits.clone(), good(), &Default::default(), grad);
        });
        let text = "vjp: argument `cotangents[0]`: expected the output's shape [1], got [2]";
        assert_eq!(panicked, text);
    }
    let devices = all();
    for (first, second) in devices.iter().zip(devices.iter().skip(1)) {
        let targets = indices([1], &[0], second);
        let error = try_cross_entropy(Tensor::<2>::zeros([1, 2], first), targets).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Device, "targets"));
    }
    if let Some(device) = wgpu() {
        let logits: Tensor<2> = tensor([1, 2], &[0.0; 2], &device, DType::F64);
        let error = try_cross_entropy(logits, indices([1], &[0], &device)).unwrap_err();
        assert_eq!((error.kind(), error.got()), (ErrorKind::DType, "F64"), "{error}");
    }
}

/// Targets may come from an autodiff device, and in any integer type; weights may be tracked, and are
/// constants.
#[test]
fn what_is_not_differentiated_may_come_from_anywhere() {
    use burn::tensor::IntDType;
    for device in autodiff(all()) {
        let logits: Tensor<2> =
            tensor([2, 2], &[0.0, 1.0, 2.0, 0.5], &device, DType::F32).require_grad();
        let weight: Tensor<1> = tensor([2], &[1.0, 3.0], &device, DType::F32).require_grad();
        let options = CrossEntropyOptions::default().with_weight(Some(weight.clone()));
        let targets = Tensor::<1, Int>::from_data(TensorData::new(vec![1i64, 0], [2]), &device);
        let loss = cross_entropy_with(logits.clone(), targets.clone(), &options);
        let grads = loss.clone().backward();
        assert!(logits.grad(&grads).is_some());
        assert!(weight.grad(&grads).is_none());
        let dx = cross_entropy_vjp(logits.clone(), targets.clone(), &options, loss.ones_like());
        assert!(weight.grad(&dx.sum().backward()).is_none());
        if cpu().contains(&device.clone().inner()) {
            for dtype in [IntDType::I64, IntDType::I32, IntDType::U8, IntDType::U64] {
                let other =
                    cross_entropy_with(logits.clone(), targets.clone().cast(dtype), &options);
                assert_eq!(numbers(other), numbers(loss.clone()), "{dtype:?}");
            }
        }
        // Without anything tracked.
        assert!(!cross_entropy(logits.inner(), targets).is_tracked());
    }
}

/// Half precision is computed in `f32`, and rounded once.
#[test]
fn half_precision_is_rounded_once() {
    let mut random = SplitMix64::new(29);
    let problem = Problem::new([70, 90, 1], true, true, 0.125, 4.0, &mut random);
    for device in autodiff(all()) {
        for dtype in [DType::F16, DType::BF16] {
            if !device.supports_dtype(dtype) {
                continue;
            }
            let half: Tensor<2> = tensor([70, 90], &problem.logits, &device, dtype);
            let single: Tensor<2> = half.clone().cast(DType::F32);
            let (half, single) = (half.detach().require_grad(), single.detach().require_grad());
            let mut options = problem.options(Reduction::Sum, &device, dtype);
            let targets = indices([70], &problem.targets, &device);
            let loss = cross_entropy_with(half.clone(), targets.clone(), &options);
            assert_eq!(loss.dtype(), dtype);
            options.weight = options.weight.map(|weight| weight.cast(DType::F32));
            let exact = cross_entropy_with(single.clone(), targets, &options);
            assert_eq!(numbers(loss.clone()), numbers(exact.clone().cast(dtype)));
            // The cotangents, 1, are the same.
            let dx = half.grad(&loss.backward()).unwrap();
            assert_eq!(dx.dtype(), dtype);
            let expected = single.grad(&exact.backward()).unwrap();
            assert_eq!(numbers(dx), numbers(expected.cast(dtype)));
        }
    }
}

/// What the documentation promises in `f32`: the loss and the gradient in units in the last place, and the
/// gradient at the target, a difference, in shares of the cotangent. (In `accuracy` there is
/// `f64`, and a smaller problem in both against 77 digits.)
///
/// 22 units: with |x − m| ≤ 20, that difference is off by half a unit of 16, 2⁻²⁰, and so
/// is eˣ⁻ᵐ, relatively: 16 of the smallest units that a number can have. The exponential adds 2, the sum 2, two
/// products 1 each.
const PROMISED: [f64; 3] = [22.0, 22.0, 1e-7];

/// What the documentation says was measured; half a unit of the last digit more.
const MEASURED: [f64; 3] = [3.75, 18.25, 6.5e-8];

#[test]
fn how_accurate_it_is() {
    let ulp = |x: f64| {
        let x = (x.abs() as f32).max(f32::MIN_POSITIVE);
        f64::from(f32::from_bits(x.to_bits() + 1)) - f64::from(x)
    };
    for device in cpu() {
        let device = device.autodiff();
        let (mut loss, mut gradient, mut at_target) = (0.0f64, 0.0f64, 0.0f64);
        for (rows, classes) in [(1000, 7), (900, 130), (90, 1000), (10, 50_257)] {
            let mut random = SplitMix64::new(31);
            let mut problem =
                Problem::new([rows, classes, 1], false, false, 0.0, 10.0, &mut random);
            // The numbers that `f32` holds; `uniform` rounds to multiples of 2⁻¹², which would make
            // the differences of logits exact.
            for x in &mut problem.logits {
                *x = f64::from((*x * 1.000_1) as f32);
            }
            let g: Vec<f64> = (0..rows).map(|_| f64::from(random.cotangent() as f32)).collect();
            let (losses, _, expected) = problem.expected(&g);
            let leaf: Tensor<2> =
                tensor([rows, classes], &problem.logits, &device, DType::F32).require_grad();
            let targets = indices([rows], &problem.targets, &device);
            let found = cross_entropy_unreduced(leaf.clone(), targets, &Default::default());
            for (found, exact) in numbers(found.clone()).into_iter().zip(&losses) {
                loss = loss.max((found - exact).abs() / ulp(*exact));
            }
            let cotangent: Tensor<1> = tensor([rows], &g, &device, DType::F32);
            let dx = leaf.grad(&(found * cotangent).sum().backward()).unwrap();
            for (place, (found, exact)) in numbers(dx).into_iter().zip(&expected).enumerate() {
                let (row, class) = (place / classes, (place % classes) as i64);
                let error = (found - exact).abs();
                if class == problem.targets[row] {
                    at_target = at_target.max(error / g[row].abs());
                } else {
                    gradient = gradient.max(error / ulp(*exact));
                }
            }
        }
        if std::env::var("BURN_AUTOGRAD_SHOW").is_ok() {
            eprintln!("{device:?}: {loss} {gradient} {at_target:e}");
        }
        for limits in [PROMISED, MEASURED] {
            assert!(loss <= limits[0], "loss: {loss} units in the last place");
            assert!(gradient <= limits[1], "gradient: {gradient} units in the last place");
            assert!(at_target <= limits[2], "at the target: {at_target:e} of the cotangent");
        }
    }
}

/// The Hessian of one row: diag(p) − p·pᵀ.
#[test]
fn the_hessian_has_its_closed_form() {
    for device in cpu() {
        let x: Tensor<2> = tensor([1, 3], &[0.5, -1.0, 0.25], &device, DType::F64);
        let targets = indices([1], &[2], &device);
        let loss = |x: Var| x.cross_entropy(targets.clone(), &Default::default());
        let found = numbers(hessian(loss, x.clone()).matrix());
        let exps = [0.5f64, -1.0, 0.25].map(f64::exp);
        let p = exps.map(|e| e / exps.iter().sum::<f64>());
        let expected: Vec<f64> = (0..9)
            .map(|i| {
                let (a, b) = (i / 3, i % 3);
                if a == b { p[a] - p[a] * p[a] } else { -p[a] * p[b] }
            })
            .collect();
        close("Hessian", &found, &expected, 16.0 * f64::EPSILON);

        // Unreduced, in three dimensions, with options: the tape agrees with Burn's graph.
        let mut random = SplitMix64::new(33);
        let problem = Problem::new([2, 3, 4], true, true, 0.125, 3.0, &mut random);
        let ad = device.clone().autodiff();
        let leaf: Tensor<3> = tensor([2, 3, 4], &problem.logits, &ad, DType::F64).require_grad();
        let targets = indices([2, 4], &problem.targets, &device);
        let options = problem.options(Reduction::Mean, &device, DType::F64);
        let losses = leaf.clone().cross_entropy_unreduced(targets.clone(), &options);
        let g: Tensor<2> =
            tensor([2, 4], &[1.0, -0.5, 2.0, 1.5, 0.5, -1.0, 1.25, 0.75], &ad, DType::F64);
        let burns = numbers(leaf.grad(&(losses * g.clone()).sum().backward()).unwrap());
        let weights = Var::from(g.inner());
        let taped = grad(
            |x: Var| (x.cross_entropy_unreduced(targets, &options) * weights).sum(),
            leaf.inner(),
        );
        close("gradient", &numbers(taped), &burns, 0.0);
    }
}

#[test]
fn the_module_is_the_function() {
    for device in all() {
        let config = CrossEntropyLossConfig::new()
            .with_weight(Some(vec![1.0, 2.0, 0.5]))
            .with_ignore_index(Some(-1))
            .with_label_smoothing(0.25)
            .with_reduction(Reduction::Sum);
        let module = config.init(&device);
        let logits: Tensor<2> =
            tensor([3, 3], &[0.5, 1.0, -1.0, 2.0, 0.0, 0.25, 1.0, 1.0, 1.0], &device, DType::F32);
        let targets = indices([3], &[2, -1, 0], &device);
        let expected =
            numbers(cross_entropy_with(logits.clone(), targets.clone(), &module.options()));
        assert_eq!(numbers(module.forward(logits.clone(), targets.clone())), expected);
        // It has no parameters: a record neither holds nor changes anything.
        let bytes = module.clone().into_record().into_bytes().expect("a record can be written");
        let record = ModuleRecord::from_bytes(bytes).expect("a record can be read");
        let loaded = module.load_record(record);
        assert_eq!(numbers(loaded.forward(logits.clone(), targets.clone())), expected);
        let plain = CrossEntropyLossConfig::new().init(&device);
        let targets = indices([3], &[2, 1, 0], &device);
        assert_eq!(
            numbers(plain.forward(logits.clone(), targets.clone())),
            numbers(cross_entropy(logits, targets))
        );
    }
}
