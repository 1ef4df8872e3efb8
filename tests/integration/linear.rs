//! `linear`: PyTorch's values, exact values in every layout, bad arguments, the layer.

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::{DType, Device, Tensor};
use burn_autograd::ErrorKind;
use burn_autograd::gradcheck::SplitMix64;
use burn_autograd::ops::linear::{Linear, LinearConfig, TensorLinear, linear, try_linear};
use burn_autograd::prelude::*;

use crate::devices::{all, assert_close, autodiff, cpu, message, numbers, tensor};
use crate::pulls::linear_vjp;
use crate::reference::{Values, cases_of};

#[track_caller]
fn agree<const D: usize>(what: &str, found: Tensor<D>, expected: &Values, bound: f64) {
    assert_eq!(found.dims().to_vec(), expected.shape, "{what}");
    assert_close(what, &numbers(found), &expected.data, bound);
}

fn against_pytorch(devices: Vec<Device>, dtype: DType, unit: f64) {
    let cases = cases_of("linear");
    assert_eq!(cases.len(), 4, "two shapes, with and without a bias");
    for device in autodiff(devices) {
        for case in &cases {
            // A sum of at most eight products of numbers below 3, off by a unit for each operation;
            // three times, for a second derivative.
            let bound = 3.0 * 16.0 * 9.0 * unit;
            let x: Tensor<2> = case.inputs[0].tensor(&device, dtype).require_grad();
            let weight: Tensor<2> = case.inputs[1].tensor(&device, dtype).require_grad();
            let bias: Option<Tensor<1>> =
                case.inputs.get(2).map(|bias| bias.tensor(&device, dtype).require_grad());
            let y = linear(x.clone(), weight.clone(), bias.clone());
            agree("value", y.clone(), &case.outputs[0], bound);
            let g: Tensor<2> = case.cotangents[0].tensor(&device, dtype);
            let grads = (y * g.clone()).sum().backward();
            agree("dx", x.grad(&grads).unwrap(), &case.gradients[0], bound);
            agree("dw", weight.grad(&grads).unwrap(), &case.gradients[1], bound);
            if let Some(bias) = &bias {
                agree("db", bias.grad(&grads).unwrap(), &case.gradients[2], bound);
            }
            let (dx, dw, db) = linear_vjp(x.clone(), weight.clone(), bias.clone(), g);
            agree("dx of the product", dx.clone(), &case.gradients[0], bound);
            agree("dw of the product", dw.clone(), &case.gradients[1], bound);
            assert_eq!(db.is_some(), bias.is_some());
            if let Some(db) = db {
                agree("db of the product", db, &case.gradients[2], bound);
            }
            // The gradient of the bias does not depend on an input.
            let objective = (dx * case.tangents[0].tensor(&device, dtype)).sum()
                + (dw * case.tangents[1].tensor(&device, dtype)).sum();
            let grads = objective.backward();
            agree("second, x", x.grad(&grads).unwrap(), &case.second_order[0], bound);
            agree("second, weight", weight.grad(&grads).unwrap(), &case.second_order[1], bound);
            if let Some(bias) = bias {
                assert!(bias.grad(&grads).is_none());
                assert!(case.second_order[2].data.iter().all(|&value| value == 0.0));
            }
        }
    }
}

#[test]
fn it_agrees_with_pytorch() {
    against_pytorch(cpu(), DType::F64, f64::EPSILON);
    against_pytorch(all(), DType::F32, f64::from(f32::EPSILON));
}

/// On the tape, with the rule's own backward.
#[test]
fn the_tape_agrees_with_pytorch() {
    for device in cpu() {
        for case in cases_of("linear") {
            let bound = 3.0 * 16.0 * 9.0 * f64::EPSILON;
            let x: Tensor<2> = case.inputs[0].tensor(&device, DType::F64);
            let weight: Tensor<2> = case.inputs[1].tensor(&device, DType::F64);
            let (x, weight) = (Var::leaf(x), Var::leaf(weight));
            let bias =
                case.inputs.get(2).map(|bias| Var::leaf(bias.tensor::<1>(&device, DType::F64)));
            let y = x.clone().fused_linear(weight.clone(), bias.clone());
            assert_eq!(y.operation(), Some("linear"));
            let g = Var::from(case.cotangents[0].tensor::<2>(&device, DType::F64));
            let [dx, dw] = Gradient::of([&y]).cotangents([&g]).wrt([&x, &weight]);
            agree("dx", dx.detach().into_tensor::<2>(), &case.gradients[0], bound);
            agree("dw", dw.detach().into_tensor::<2>(), &case.gradients[1], bound);
            if let Some(bias) = &bias {
                let [db] = Gradient::of([&y]).cotangents([&g]).wrt([bias]);
                agree("db", db.detach().into_tensor::<1>(), &case.gradients[2], bound);
            }
            let tangents: [Var; 2] =
                [0, 1].map(|k| Var::from(case.tangents[k].tensor::<2>(&device, DType::F64)));
            let [ddx, ddw] =
                Gradient::of([&dx, &dw]).cotangents(tangents.each_ref()).wrt([&x, &weight]);
            agree("second, x", ddx.detach().into_tensor::<2>(), &case.second_order[0], bound);
            agree("second, weight", ddw.detach().into_tensor::<2>(), &case.second_order[1], bound);
        }
    }
}

/// How a matrix lies in memory.
#[derive(Debug, Clone, Copy)]
enum Layout {
    Contiguous,
    Transposed,
    /// A window into a larger matrix.
    Window,
    /// One row, repeated.
    Expanded,
}

const LAYOUTS: [Layout; 4] =
    [Layout::Contiguous, Layout::Transposed, Layout::Window, Layout::Expanded];

impl Layout {
    /// A matrix of small integers, and its elements on the host.
    fn matrix(
        self,
        [rows, columns]: [usize; 2],
        device: &Device,
        dtype: DType,
        random: &mut SplitMix64,
    ) -> (Tensor<2>, Vec<f64>) {
        let mut draw = |count: usize| -> Vec<f64> {
            (0..count).map(|_| (random.next_u64() % 7) as f64 - 3.0).collect()
        };
        let matrix: Tensor<2> = match self {
            Self::Contiguous => tensor([rows, columns], &draw(rows * columns), device, dtype),
            Self::Transposed => {
                tensor([columns, rows], &draw(rows * columns), device, dtype).transpose()
            }
            Self::Window => {
                tensor([rows + 2, columns + 3], &draw((rows + 2) * (columns + 3)), device, dtype)
                    .slice([1..rows + 1, 2..columns + 2])
            }
            Self::Expanded => {
                tensor([1, columns], &draw(columns), device, dtype).expand([rows, columns])
            }
        };
        let elements = numbers(matrix.clone());
        (matrix, elements)
    }
}

/// Below and above the size from which products run in parallel; every subset of tracked inputs.
/// Small integers, so that every product and sum is exact.
#[test]
fn it_is_exact_in_every_layout() {
    let mut random = SplitMix64::new(7);
    for device in autodiff(cpu()) {
        for (dtype, [rows, inputs, outputs]) in
            [(DType::F32, [5, 3, 4]), (DType::F64, [5, 3, 4]), (DType::F32, [151, 130, 129])]
        {
            for (index, layout) in LAYOUTS.into_iter().enumerate() {
                // Each argument in each layout, not in all combinations.
                let [of_weight, of_grad] = [1, 3].map(|k| LAYOUTS[(index + k) % 4]);
                let (x, xs) = layout.matrix([rows, inputs], &device, dtype, &mut random);
                let (w, ws) = of_weight.matrix([outputs, inputs], &device, dtype, &mut random);
                let (g, gs) = of_grad.matrix([rows, outputs], &device, dtype, &mut random);
                let bs: Vec<f64> =
                    (0..outputs).map(|_| (random.next_u64() % 7) as f64 - 3.0).collect();
                let mut y = vec![0.0; rows * outputs];
                let mut expected =
                    [vec![0.0; rows * inputs], vec![0.0; outputs * inputs], vec![0.0; outputs]];
                for r in 0..rows {
                    for o in 0..outputs {
                        let g = gs[r * outputs + o];
                        y[r * outputs + o] = bs[o];
                        expected[2][o] += g;
                        for i in 0..inputs {
                            y[r * outputs + o] += xs[r * inputs + i] * ws[o * inputs + i];
                            expected[0][r * inputs + i] += g * ws[o * inputs + i];
                            expected[1][o * inputs + i] += g * xs[r * inputs + i];
                        }
                    }
                }
                for subset in 0..8usize {
                    let track = |k: usize| subset & (1 << k) != 0;
                    // A view of a leaf is what is tracked here.
                    let x = if track(0) { x.clone().require_grad() } else { x.clone() };
                    let w = if track(1) { w.clone().require_grad() } else { w.clone() };
                    let b: Tensor<1> = tensor([outputs], &bs, &device, dtype);
                    let b = if track(2) { b.require_grad() } else { b };
                    let found = linear(x.clone(), w.clone(), Some(b.clone()));
                    assert!(numbers(found.clone()) == y, "{layout:?} on {device:?}");
                    let plain = linear(x.clone(), w.clone(), None);
                    let without: Vec<f64> =
                        y.iter().enumerate().map(|(p, y)| y - bs[p % outputs]).collect();
                    assert!(numbers(plain) == without, "{layout:?} on {device:?}");
                    if subset == 0 {
                        assert!(!found.is_tracked());
                        continue;
                    }
                    let grads = (found * g.clone()).sum().backward();
                    let gradients = [x.grad(&grads).map(numbers), w.grad(&grads).map(numbers)];
                    for (k, found) in gradients.into_iter().enumerate() {
                        let expected = track(k).then(|| expected[k].clone());
                        assert!(found == expected, "input {k}, {layout:?} on {device:?}");
                    }
                    let expected = track(2).then(|| expected[2].clone());
                    assert!(b.grad(&grads).map(numbers) == expected, "{layout:?} on {device:?}");
                }
            }
        }
    }
}

#[test]
fn rows_are_the_leading_dimensions_of_any_rank() {
    let mut random = SplitMix64::new(9);
    let xs: Vec<f64> = (0..24).map(|_| random.uniform(-2.0, 2.0)).collect();
    let ws: Vec<f64> = (0..8).map(|_| random.uniform(-2.0, 2.0)).collect();
    for device in autodiff(all()) {
        let w: Tensor<2> = tensor([2, 4], &ws, &device, DType::F32).require_grad();
        let flat: Tensor<2> = tensor([6, 4], &xs, &device, DType::F32).require_grad();
        let deep: Tensor<4> = tensor([2, 3, 1, 4], &xs, &device, DType::F32).require_grad();
        let (y, z) = (linear(flat.clone(), w.clone(), None), linear(deep.clone(), w.clone(), None));
        assert_eq!(z.dims(), [2, 3, 1, 2]);
        assert_eq!(numbers(y.clone()), numbers(z.clone()));
        let g: Vec<f64> = (0..12).map(|i| f64::from(i) - 5.0).collect();
        let grads = (y * tensor([6, 2], &g, &device, DType::F32)).sum().backward();
        let others = (z * tensor([2, 3, 1, 2], &g, &device, DType::F32)).sum().backward();
        assert_eq!(numbers(flat.grad(&grads).unwrap()), numbers(deep.grad(&others).unwrap()));
        assert_eq!(numbers(w.grad(&grads).unwrap()), numbers(w.grad(&others).unwrap()));
        // One row without a leading dimension.
        let row: Tensor<1> = tensor([4], &xs[..4], &device, DType::F32);
        assert_eq!(
            numbers(linear(row, w.clone(), None)),
            numbers(linear(flat.slice([0..1, 0..4]), w, None))
        );
    }
}

#[test]
fn half_precision_is_computed_where_the_backend_has_it() {
    for device in autodiff(all()) {
        for dtype in [DType::F16, DType::BF16] {
            if !device.supports_dtype(dtype) {
                continue;
            }
            // Exact in eight bits of mantissa.
            let x: Tensor<2> =
                tensor([2, 2], &[1.0, 2.0, -3.0, 0.5], &device, dtype).require_grad();
            let w: Tensor<2> = tensor([1, 2], &[2.0, 4.0], &device, dtype).require_grad();
            let b: Tensor<1> = tensor([1], &[0.5], &device, dtype).require_grad();
            let y = linear(x.clone(), w.clone(), Some(b.clone()));
            assert_eq!((y.dtype(), numbers(y.clone())), (dtype, vec![10.5, -3.5]));
            let grads = (y * tensor([2, 1], &[2.0, 3.0], &device, dtype)).sum().backward();
            assert_eq!(numbers(x.grad(&grads).unwrap()), [4.0, 8.0, 6.0, 12.0]);
            assert_eq!(numbers(w.grad(&grads).unwrap()), [-7.0, 5.5]);
            assert_eq!(numbers(b.grad(&grads).unwrap()), [5.0]);
        }
    }
}

#[test]
fn bad_arguments_are_refused_by_name() {
    for device in all() {
        let matrix = |shape: [usize; 2]| Tensor::<2>::zeros(shape, &device);
        let bias = |outputs: usize| Some(Tensor::<1>::zeros([outputs], &device));
        let error = try_linear(matrix([2, 3]), matrix([4, 2]), None).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Shape, "weight"));
        let text = "linear: argument `weight`: expected [outputs, 3], for `x` [2, 3], got [4, 2]";
        assert_eq!(error.to_string(), text);
        let panicked = message(|| {
            let _ = linear(matrix([2, 3]), matrix([4, 2]), None);
        });
        assert_eq!(panicked, text);
        let error = try_linear(matrix([2, 3]), matrix([4, 3]), bias(3)).unwrap_err();
        let text = "linear: argument `bias`: expected [4], one for each output, got [3]";
        assert_eq!(error.to_string(), text);
        let panicked = message(|| {
            let _ = linear_vjp(matrix([2, 3]), matrix([4, 3]), bias(4), matrix([2, 3]));
        });
        let text = "vjp: argument `cotangents[0]`: expected the output's shape [2, 4], got [2, 3]";
        assert_eq!(panicked, text);
        let panicked = message(|| {
            let _ = Var::from(matrix([2, 3])).fused_linear(matrix([4, 2]).into(), None);
        });
        assert!(panicked.starts_with("linear: argument `weight`"), "{panicked}");
    }
    for device in cpu() {
        let double: Tensor<2> = tensor([1, 1], &[1.0], &device, DType::F64);
        let single: Tensor<2> = tensor([1, 1], &[1.0], &device, DType::F32);
        let error = try_linear(single, double, None).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::DType, "weight"));
    }
}

#[test]
fn the_layer_is_initialised_as_it_is_told() {
    use burn::module::Initializer;
    for device in all() {
        let layer = LinearConfig::new(40, 30).init(&device);
        assert_eq!(layer.weight.dims(), [30, 40]);
        let bias = layer.bias.as_ref().expect("there is a bias by default");
        assert_eq!(bias.dims(), [30]);
        let values = [numbers(layer.weight.val()), numbers(bias.val())].concat();
        assert!(values.iter().all(|value| value.abs() <= 0.1));
        // Of 1230 uniform numbers some lie in the outer fifth, of both signs.
        assert!(values.iter().any(|value| *value > 0.08));
        assert!(values.iter().any(|value| *value < -0.08));
        let config = LinearConfig::new(2, 3)
            .with_bias(false)
            .with_initializer(Initializer::Constant { value: 2.0 });
        let layer = config.init(&device);
        assert!(layer.bias.is_none());
        let y = layer.forward(Tensor::<3>::ones([1, 2, 2], &device));
        assert_eq!((y.dims(), numbers(y)), ([1, 2, 3], vec![4.0; 6]));
    }
}

/// The gradient reaches the parameters, and one step of descent lowers the loss.
#[test]
fn the_layer_learns() {
    for device in all() {
        let device = device.autodiff();
        let layer = LinearConfig::new(3, 2).init(&device);
        let x: Tensor<2> = tensor([2, 3], &[1.0, 2.0, -1.0, 0.5, 0.25, 3.0], &device, DType::F32);
        let loss = |layer: &Linear| (layer.forward(x.clone()) - 1.0).powi_scalar(2).sum();
        let before = loss(&layer);
        let grads = before.clone().backward();
        let step = |parameter: &burn::module::Param<Tensor<2>>| {
            parameter.val().inner() - parameter.grad(&grads).expect("it is tracked") * 0.01
        };
        let weight = step(&layer.weight);
        let layer = Linear {
            weight: layer.weight.map(|_| Tensor::from_inner(weight).require_grad()),
            ..layer
        };
        let (before, after) = (numbers(before)[0], numbers(loss(&layer))[0]);
        assert!(after < before, "{after} {before}");
    }
}

#[test]
fn the_layer_is_saved_and_loaded() {
    for device in all() {
        let layer = LinearConfig::new(3, 2).init(&device);
        let bytes = layer.clone().into_record().into_bytes().expect("a record can be written");
        let record = ModuleRecord::from_bytes(bytes).expect("a record can be read");
        let other = LinearConfig::new(3, 2).init(&device);
        assert_ne!(numbers(other.weight.val()), numbers(layer.weight.val()));
        let loaded = other.load_record(record);
        assert_eq!(numbers(loaded.weight.val()), numbers(layer.weight.val()));
        let [found, expected] =
            [&loaded, &layer].map(|layer| numbers(layer.bias.as_ref().expect("a bias").val()));
        assert_eq!(found, expected);
        let x = Tensor::<2>::ones([1, 3], &device);
        assert_eq!(numbers(loaded.forward(x.clone())), numbers(layer.forward(x)));
    }
}
