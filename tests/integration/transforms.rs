//! The transforms, and what they are composed of: closed forms, uneven cotangents, nesting, Burn's
//! own backward after ours, functions with an explicit backward in the middle.
#![allow(
    clippy::single_range_in_vec_init,
    reason = "a slice takes a range for each of the first dimensions, often for one"
)]

use approx::abs_diff_eq;
use burn::tensor::{DType, Device, Tensor};
use burn_autograd::gradcheck::gradgradcheck;
use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;
use burn_autograd::{ErrorKind, Transform, evaluate};

use crate::devices::{all, assert_close, autodiff, cpu, numbers, tensor};

fn vector(data: &[f64], device: &Device, dtype: DType) -> Tensor<1> {
    tensor([data.len()], data, device, dtype)
}

fn double(data: &[f64], device: &Device) -> Tensor<1> {
    vector(data, device, DType::F64)
}

/// The precision that every backend has transcendental functions of.
fn precision(device: &Device) -> (DType, f64) {
    let double = cpu().contains(&device.clone().inner());
    if double { (DType::F64, f64::EPSILON) } else { (DType::F32, f64::from(f32::EPSILON)) }
}

/// Every expectation here is a sum of at most some ten products of numbers up to `size`: 16 units
/// in the last place of it for each, rounded and built-in functions among them.
#[track_caller]
fn close(what: &str, found: &[f64], expected: &[f64], epsilon: f64) {
    let size = expected.iter().fold(1.0f64, |a, b| a.max(b.abs()));
    assert_close(what, found, expected, 160.0 * epsilon * size);
}

fn values(var: &Var) -> Vec<f64> {
    let data = var.to_data().convert_dtype(DType::F64);
    data.as_slice::<f64>().expect("it was converted").to_vec()
}

fn refusal(run: impl FnOnce()) -> String {
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}

#[test]
fn grad_and_value_and_grad_of_several_arguments_of_several_ranks() {
    for device in cpu() {
        let m: Tensor<2> = tensor([2, 2], &[1.0, -2.0, 0.5, 3.0], &device, DType::F64);
        let x = double(&[2.0, -1.0], &device);
        // xᵀ·m·x, with gradients x·xᵀ and (m + mᵀ)·x.
        let form = |(m, x): (Var, Var)| {
            let column = x.reshape([2, 1]);
            column.transpose().matmul(&m).matmul(&column)
        };
        let (dm, dx) = grad(form, (m.clone(), x.clone()));
        assert_eq!(numbers(dm), [4.0, -2.0, -2.0, 1.0], "{device:?}");
        assert_eq!(numbers(dx), [5.5, -9.0], "{device:?}");
        let (value, (_, dx)) = value_and_grad(form, (m, x));
        assert_eq!((numbers(value), numbers(dx)), (vec![10.0], vec![5.5, -9.0]), "{device:?}");
    }
}

#[test]
fn a_pullback_serves_several_cotangents_of_several_outputs() {
    for device in cpu() {
        let a = double(&[1.0, 2.0], &device);
        let b: Tensor<2> = tensor([1, 2], &[3.0, -1.0], &device, DType::F64);
        // (aᵢ·bⱼ, Σ aᵢ²·b₀ᵢ) of ranks 2 and 1.
        let function = |(a, b): (Var, Var)| {
            let outer = a.reshape([2, 1]) * &b;
            (outer, (a.square() * b.reshape([2])).sum())
        };
        let ((outer, sum), pullback): ((Tensor<2>, Tensor<1>), _) = vjp(function, (a, b));
        assert_eq!(numbers(outer), [3.0, -1.0, 6.0, -2.0]);
        assert_eq!(numbers(sum), [-1.0]);
        // ā = C·b + 2s·a·b, b̄ = aᵀ·C + s·a².
        let rows = [
            ([1.0, 0.0, 0.0, 0.0], 0.0, [3.0, 0.0], [1.0, 0.0]),
            ([0.0, 0.0, 0.0, 0.0], 2.0, [12.0, -8.0], [2.0, 8.0]),
            ([1.0, -1.0, 0.5, 2.0], -1.0, [4.0 - 6.0, -0.5 + 4.0], [2.0 - 1.0, 3.0 - 4.0]),
        ];
        for (c, s, da, db) in rows.iter().chain(&rows) {
            let cotangents = (tensor([2, 2], c, &device, DType::F64), double(&[*s], &device));
            let found = pullback.apply(cotangents);
            assert_eq!(numbers(found.0), da, "{device:?}");
            assert_eq!(numbers(found.1), db, "{device:?}");
        }
        let wrong = (tensor([2, 2], &[0.0; 4], &device, DType::F64), double(&[0.0, 0.0], &device));
        let error = pullback.try_apply(wrong).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Shape, "cotangents[1]"));
        let wrong = (tensor([2, 2], &[0.0; 4], &device, DType::F32), double(&[0.0], &device));
        let error = pullback.try_apply(wrong).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::DType, "cotangents[0]"));
    }
}

#[test]
fn jvp_pushes_tangents_of_several_arguments() {
    for device in cpu() {
        let inputs = [double(&[0.5, 2.0], &device), double(&[3.0, -1.0], &device)];
        let tangents = [double(&[1.0, -2.0], &device), double(&[0.25, 4.0], &device)];
        // (a·b, a², 7) along (u, v): (u·b + a·v, 2a·u, 0).
        let function = |[a, b]: [Var; 2]| [&a * b, a.square(), a.ones_like() * 7.0];
        let (value, pushed): ([Tensor<1>; 3], _) = jvp(function, inputs.clone(), tangents);
        assert_eq!(value.map(numbers), [vec![1.5, -2.0], vec![0.25, 4.0], vec![7.0, 7.0]]);
        assert_eq!(pushed.map(numbers), [vec![3.125, 10.0], vec![1.0, -8.0], vec![0.0, 0.0]]);
        let wrong = [double(&[1.0], &device), double(&[0.25, 4.0], &device)];
        let run: Result<([Tensor<1>; 3], _), _> = Transform::new().jvp(function, inputs, wrong);
        assert_eq!(run.unwrap_err().kind(), ErrorKind::Shape);
    }
}

#[test]
fn a_jacobian_has_a_block_for_each_output_and_input() {
    for device in cpu() {
        let a = double(&[2.0, 3.0], &device);
        let b: Tensor<2> = tensor([2, 1], &[-1.0, 5.0], &device, DType::F64);
        // y = a ⊙ b [2, 1] and z = a₀²·b₁ [1].
        let function = |(a, b): (Var, Var)| {
            let y = a.reshape([2, 1]) * &b;
            (y, a.slice(0..1).square() * b.slice(1..2).reshape([1]))
        };
        let jacobian = jacobian(function, (a, b));
        let shapes = [[vec![2, 1, 2], vec![2, 1, 2, 1]], [vec![1, 2], vec![1, 2, 1]]];
        for (output, row) in shapes.iter().enumerate() {
            for (input, shape) in row.iter().enumerate() {
                assert_eq!(jacobian.block(output, input).shape().to_vec(), *shape);
            }
        }
        assert_eq!(values(jacobian.block(0, 1)), [2.0, 0.0, 0.0, 3.0]);
        let matrix = [-1.0, 0.0, 2.0, 0.0, 0.0, 5.0, 0.0, 3.0, 20.0, 0.0, 0.0, 4.0];
        assert_eq!(jacobian.matrix().dims(), [3, 4]);
        assert_eq!(numbers(jacobian.matrix()), matrix, "{device:?}");
    }
}

#[test]
fn hessian_and_its_product_of_several_arguments() {
    for device in cpu() {
        let inputs = [double(&[0.5, -1.0], &device), double(&[2.0], &device)];
        // x₀²·x₁ + x₁·y³: second derivatives 2x₁, 2x₀; 3y² between x₁ and y; 6x₁·y.
        let function = |[x, y]: [Var; 2]| {
            let (first, second) = (x.slice(0..1), x.slice(1..2));
            first.square() * &second + second * y.powi(3)
        };
        let hessian = hessian(function, inputs.clone());
        let expected = [-2.0, 1.0, 0.0, 1.0, 0.0, 12.0, 0.0, 12.0, -12.0];
        assert_eq!(numbers(hessian.matrix()), expected, "{device:?}");
        let vectors = [double(&[1.0, 0.5], &device), double(&[-2.0], &device)];
        let [x, y] = hvp(function, inputs.clone(), vectors);
        assert_eq!(numbers(x), [-1.5, -23.0], "{device:?}");
        assert_eq!(numbers(y), [30.0], "{device:?}");
        let error = Transform::new().hessian(|[x, _]: [Var; 2]| x, inputs).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Shape, "hessian"));
    }
}

#[test]
fn derivatives_of_orders_zero_to_eight_have_their_closed_forms() {
    let at = [0.5, -0.75, 1.25];
    for device in cpu() {
        for order in 0..=8 {
            let n = order as i32;
            let check = |name: &str, function: fn(Var) -> Var, expected: [f64; 3]| {
                let found = numbers(nth_derivative(function, double(&at, &device), order));
                close(
                    &format!("{name}, order {order}, {device:?}"),
                    &found,
                    &expected,
                    f64::EPSILON,
                );
            };
            let turned = f64::from(n) * std::f64::consts::FRAC_PI_2;
            check("sin", |x| x.sin(), at.map(|x| (x + turned).sin()));
            check("e^(2x)", |x| (x * 2.0).exp(), at.map(|x| 2f64.powi(n) * (2.0 * x).exp()));
            let factor: f64 = (0..n).map(|k| f64::from(6 - k)).product();
            let power = |x: f64| if n > 6 { 0.0 } else { factor * x.powi(6 - n) };
            check("x⁶", |x| x.powi(6), at.map(power));
            let factorial: f64 = (1..=n).map(f64::from).product();
            let inverse = |x: f64| (-1f64).powi(n) * factorial / x.powi(n + 1);
            check("1/x", |x| 1.0 / x, at.map(inverse));
            check("x⁻¹", |x| x.powi(-1), at.map(inverse));
            // Each derivative of tanh is a polynomial p(t) of t = tanh x, and the next one is
            // p′(t)·(1 − t²).
            let mut polynomial = vec![0.0, 1.0];
            for _ in 0..order {
                let mut next = vec![0.0; polynomial.len() + 1];
                for (k, c) in polynomial.iter().enumerate().skip(1) {
                    next[k - 1] += k as f64 * c;
                    next[k + 1] -= k as f64 * c;
                }
                polynomial = next;
            }
            let value = |x: f64| polynomial.iter().rev().fold(0.0, |sum, c| sum * x.tanh() + c);
            // The coefficients alternate and are up to 10⁵ in the eighth derivative: what cancels
            // is their rounding.
            let size = polynomial.iter().fold(1.0f64, |a, b| a.max(b.abs()));
            let found = numbers(nth_derivative(|x| x.tanh(), double(&at, &device), order));
            let bound = 64.0 * f64::EPSILON * size;
            assert_close(&format!("tanh, order {order}"), &found, &at.map(value), bound);
        }
        let error =
            Transform::new().nth_derivative(|x| x.sum(), double(&at, &device), 1).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Shape, "function"));
    }
}

#[test]
fn gradient_takes_several_outputs_inputs_and_intermediates() {
    for device in cpu() {
        let x = Var::leaf(double(&[2.0, -3.0], &device));
        let y = Var::leaf(double(&[0.5, 1.0], &device));
        let product = &x * &y;
        let outputs = [product.square(), &product + &x];
        let cotangents =
            [Var::from(double(&[1.0, 10.0], &device)), Var::from(double(&[-1.0, 100.0], &device))];
        // c·2xy² + d·(y + 1), c·2x²y + d·x, c·2xy + d.
        let gradient = Gradient::of(&outputs).cotangents(&cotangents);
        let [dx, dproduct, dy] = gradient.clone().wrt([&x, &product, &y]);
        assert_eq!(values(&dx), [-0.5, 140.0], "{device:?}");
        assert_eq!(values(&dproduct), [1.0, 40.0], "{device:?}");
        assert_eq!(values(&dy), [2.0, -120.0], "{device:?}");
        assert!(dx.is_recorded());
        let [dx] = gradient.constant().wrt([&x]);
        assert_eq!(values(&dx), [-0.5, 140.0], "{device:?}");
        assert!(!dx.is_recorded());

        // An output with respect to itself; the same input twice.
        let sum = product.sum();
        let [itself, dx, again] = Gradient::of([&sum]).wrt([&sum, &x, &x]);
        assert_eq!(values(&itself), [1.0]);
        assert_eq!((values(&dx), values(&again)), (vec![0.5, 1.0], vec![0.5, 1.0]));
        // The same output twice counts twice.
        let [dx] = Gradient::of([&sum, &sum]).wrt([&x]);
        assert_eq!(values(&dx), [1.0, 2.0]);
    }
}

#[test]
fn gradient_refuses_what_has_no_derivative() {
    for device in cpu() {
        let x = Var::leaf(double(&[2.0, -3.0], &device));
        let unused = Var::leaf(double(&[1.0], &device));
        let y = x.square().sum();
        let [dx, zeros] = Gradient::of([&y]).wrt([&x, &unused]);
        assert_eq!((values(&dx), values(&zeros)), (vec![4.0, -6.0], vec![0.0]));
        let [dx, none] = Gradient::of([&y]).wrt_optional([&x, &unused]).unwrap();
        assert!(dx.is_some() && none.is_none());
        let error = Gradient::of([&y]).strict().try_wrt([&x, &unused]).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Derivative, "inputs[1]"));
        // A constant input, and a constant output.
        let error = Gradient::of([&y]).try_wrt([&x, &x.detach()]).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Derivative, "inputs[1]"));
        let [zeros] = Gradient::of([&y.detach()]).wrt([&x]);
        assert_eq!(values(&zeros), [0.0, 0.0]);
        assert!(Gradient::of([&y.detach()]).strict().try_wrt([&x]).is_err());
        // Several elements, and cotangents that do not fit.
        let error = Gradient::of([&x.square()]).try_wrt([&x]).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Shape, "outputs[0]"));
        let fit = |cotangents: &[&Var]| {
            let gradient = Gradient::of([&y]).cotangents(cotangents.iter().copied());
            let error = gradient.try_wrt([&x]).unwrap_err();
            (error.kind(), error.argument().to_owned())
        };
        assert_eq!(fit(&[]), (ErrorKind::Shape, "cotangents".into()));
        assert_eq!(fit(&[&x]), (ErrorKind::Shape, "cotangents[0]".into()));
        let single = Var::from(vector(&[1.0], &device, DType::F32));
        assert_eq!(fit(&[&single]), (ErrorKind::DType, "cotangents[0]".into()));
        // A tensor does not leave a function that is being differentiated unnoticed.
        let text = refusal(|| {
            drop(grad(|x: Var| Var::from(x.into_tensor::<1>().sum()), double(&[1.0], &device)));
        });
        assert!(text.contains("being differentiated") && text.contains("detach"), "{text}");
        let error = Transform::new().grad(|x: Var| x, double(&[1.0, 2.0], &device)).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Shape, "grad"));
    }
}

#[test]
fn nested_derivatives_do_not_confuse_their_variables() {
    for device in cpu() {
        // d/dx (x·d/dy (x + y)) = 1.
        let function = |x: Var| {
            let y = Var::leaf(x.detach());
            let [inner] = Gradient::of([&(&x + &y)]).wrt([&y]);
            x * inner
        };
        assert_eq!(numbers(grad(function, double(&[3.0], &device))), [1.0], "{device:?}");
        // d/dx (x·d/dy (x·y)) = d/dx x² = 2x.
        let function = |x: Var| {
            let y = Var::leaf(x.detach());
            let [inner] = Gradient::of([&(&x * &y)]).wrt([&y]);
            x * inner
        };
        assert_eq!(numbers(grad(function, double(&[3.0], &device))), [6.0], "{device:?}");
        // ∂²/∂x∂y of x³·y² + sin(x·y) = 6x²y + cos(xy) − xy·sin(xy), both ways round.
        let mixed = |[x, y]: [Var; 2], x_first: bool| {
            let f = x.powi(3) * y.square() + (&x * &y).sin();
            let (first, second) = if x_first { (&x, &y) } else { (&y, &x) };
            let [d] = Gradient::of([&f]).wrt([first]);
            let [dd] = Gradient::of([&d]).wrt([second]);
            dd
        };
        for x_first in [true, false] {
            let inputs = [double(&[0.75], &device), double(&[-1.5], &device)];
            let found: Tensor<1> = evaluate(|inputs| mixed(inputs, x_first), inputs);
            let (x, y) = (0.75f64, -1.5f64);
            let expected = 6.0 * x * x * y + (x * y).cos() - x * y * (x * y).sin();
            close("mixed partial", &numbers(found), &[expected], f64::EPSILON);
        }
        // A transform within a function that is differentiated: what it gives are constants of the
        // outer tape, and it takes none of its variables by mistake.
        let inner = grad(|x: Var| x.powi(3).sum(), double(&[2.0], &device));
        let function = |x: Var| x * Var::from(&inner);
        assert_eq!(numbers(grad(function, double(&[5.0], &device))), [12.0], "{device:?}");
    }
}

/// Losses made of gradients, through Burn's own backward.
#[test]
fn burn_differentiates_a_gradient_for_the_input_and_captured_parameters() {
    for device in autodiff(all()) {
        let (dtype, epsilon) = precision(&device);
        let at = [0.5, -1.25];
        let x = vector(&at, &device, dtype).require_grad();
        let a = vector(&[2.0, 3.0], &device, dtype).require_grad();
        // f = Σ a·x³, ∂f⁄∂x = 3a·x², loss = Σ c·(3a·x²)², so that
        // ∂loss⁄∂x = 36c·a²·x³ and ∂loss⁄∂a = 18c·a·x⁴.
        let dx = grad(|x: Var| (Var::from(&a) * x.powi(3)).sum(), x.clone());
        let c = vector(&[0.5, -0.25], &device, dtype);
        let grads = (dx.clone() * dx * c).sum().backward();
        let what = format!("{device:?}");
        let expected = [36.0 * 0.5 * 4.0 * 0.125, -36.0 * 0.25 * 9.0 * (-1.25f64).powi(3)];
        close(&what, &numbers(x.grad(&grads).unwrap()), &expected, epsilon);
        let expected = [18.0 * 0.5 * 2.0 * 0.0625, -18.0 * 0.25 * 3.0 * 1.25f64.powi(4)];
        close(&what, &numbers(a.grad(&grads).unwrap()), &expected, epsilon);

        // The value enters a loss as well: e^x·cos x, with ∂/∂x (f + f′) = f′ + f″, where
        // f′ = e^x·(cos x − sin x) and f″ = −2e^x·sin x.
        let (value, dx) = value_and_grad(|x: Var| (x.exp() * x.cos()).sum(), x.clone());
        let grads = (value + dx.sum()).backward();
        let expected = at.map(|x: f64| x.exp() * (x.cos() - x.sin()) - 2.0 * x.exp() * x.sin());
        // WGSL allows sin and cos an error of 2⁻¹¹.
        let epsilon = if dtype == DType::F64 { epsilon } else { 2f64.powi(-11) / 16.0 };
        close(&what, &numbers(x.grad(&grads).unwrap()), &expected, epsilon);
    }
}

/// A network of two hidden layers of tanh.
fn network(x: &Var, parameters: &[Var; 6]) -> Var {
    let [w1, b1, w2, b2, w3, b3] = parameters;
    x.linear(w1, Some(b1)).tanh().linear(w2, Some(b2)).tanh().linear(w3, Some(b3))
}

#[test]
fn the_hessian_of_a_network_is_the_numeric_one() {
    let fill = |count: usize, seed: usize| -> Vec<f64> {
        (0..count).map(|i| ((7 * i + 5 * seed) % 13) as f64 / 8.0 - 0.7).collect()
    };
    for device in cpu() {
        let weight = |shape: [usize; 2], seed: usize| {
            Var::from(tensor(shape, &fill(shape[0] * shape[1], seed), &device, DType::F64))
        };
        let bias = |count: usize, seed: usize| Var::from(double(&fill(count, seed), &device));
        let parameters = [
            weight([4, 3], 1),
            bias(4, 2),
            weight([3, 4], 3),
            bias(3, 4),
            weight([1, 3], 5),
            bias(1, 6),
        ];
        let at = [0.3, -0.6, 0.9];
        let point = |at: &[f64]| -> Tensor<2> { tensor([1, 3], at, &device, DType::F64) };
        let function = |x: Var| network(&x, &parameters);
        let gradient = |at: &[f64]| numbers(grad(function, point(at)));
        let matrix = numbers(hessian(function, point(&at)).matrix());
        for column in 0..3 {
            // Central differences of the gradient, extrapolated once: with h = 2⁻⁸ the error is of
            // the order of h⁴ ≈ 2·10⁻¹⁰ times a fifth derivative, and rounding of 10⁻¹⁶⁄h.
            let slope = |h: f64| -> Vec<f64> {
                let moved = |step: f64| {
                    let mut moved = at;
                    moved[column] += step;
                    gradient(&moved)
                };
                let (above, below) = (moved(h), moved(-h));
                above.iter().zip(below).map(|(a, b)| (a - b) / (2.0 * h)).collect()
            };
            let (coarse, fine) = (slope(2f64.powi(-7)), slope(2f64.powi(-8)));
            for row in 0..3 {
                let numeric = fine[row] + (fine[row] - coarse[row]) / 3.0;
                let found = matrix[row * 3 + column];
                assert!(
                    abs_diff_eq!(found, numeric, epsilon = 1e-7),
                    "{device:?} at {row}, {column}: {found:e}, expected {numeric:e}"
                );
            }
            // Symmetric.
            for row in 0..column {
                let (found, other) = (matrix[row * 3 + column], matrix[column * 3 + row]);
                assert!(
                    abs_diff_eq!(found, other, epsilon = 64.0 * f64::EPSILON),
                    "{device:?} at {row}, {column}: {found:e}, the other way round {other:e}"
                );
            }
        }
    }
}

/// 4·sign x, a step, with a backward of 3·x²·g: not the derivative of its forward.
#[derive(Debug, Clone)]
struct StraightThrough;

impl Function<1> for StraightThrough {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        ctx.save([&x]);
        [x.sign() * 4.0]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [x] = ctx.tensors();
        [Some(g * x.square() * 3.0)]
    }
}

#[test]
fn an_explicit_backward_is_what_is_differentiated() {
    for device in autodiff(all()) {
        let (dtype, epsilon) = precision(&device);
        let what = format!("{device:?}");
        let at = [0.5, -2.0];
        let x = vector(&at, &device, dtype).require_grad();
        let c = vector(&[1.0, -0.5], &device, dtype);
        // s(2x)² with s = ±4 and ∂s⁄∂u = 3u²: the gradient is c·2s·3u²·2 = 12c·s·u² at u = 2x.
        let function = |x: Var| (StraightThrough.call([x * 2.0]).square() * Var::from(&c)).sum();
        let dx = grad(function, x.clone());
        let first = [12.0 * 4.0 * 1.0, 12.0 * -0.5 * -4.0 * 16.0];
        close(&what, &numbers(dx.clone()), &first, epsilon);
        // Its derivative, with the same rule for s: c·(12·3u²·u² + 24·s·u)·2.
        let second = |u: f64, s: f64, c: f64| c * (36.0 * u.powi(4) + 24.0 * s * u) * 2.0;
        let second = [second(1.0, 4.0, 1.0), second(-4.0, -4.0, -0.5)];
        let ones = vector(&[1.0, 1.0], &device, dtype);
        close(&what, &numbers(hvp(function, x.clone(), ones)), &second, epsilon);
        let ddx = x.grad(&dx.sum().backward()).unwrap();
        close(&what, &numbers(ddx), &second, epsilon);
    }
}

#[derive(Debug, Clone, Copy)]
enum Keeps {
    Input,
    Output,
    Intermediate,
    Nothing,
}

/// e^(x²), which keeps one thing or another, or 3x, which keeps nothing.
impl Function<1> for Keeps {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        let square = &x * &x;
        let y = square.exp();
        match self {
            Self::Input => ctx.save([&x]),
            Self::Output => ctx.save([&x, &y]),
            Self::Intermediate => ctx.save([&square, &x]),
            Self::Nothing => return [x * 3.0],
        }
        [y]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        match self {
            Self::Input => {
                let [x] = ctx.tensors();
                [Some(g * 2.0 * &x * (&x * &x).exp())]
            }
            Self::Output => {
                let [x, y] = ctx.tensors();
                [Some(g * 2.0 * x * y)]
            }
            Self::Intermediate => {
                let [square, x] = ctx.tensors();
                [Some(g * 2.0 * x * square.exp())]
            }
            Self::Nothing => [Some(g * 3.0)],
        }
    }
}

#[test]
fn whatever_a_function_keeps_its_second_and_third_derivatives_are_right() {
    for device in autodiff(all()) {
        let (dtype, epsilon) = precision(&device);
        // WGSL allows e^u an error of 3 + 2|u| units.
        let epsilon = if dtype == DType::F64 { epsilon } else { 4.0 * epsilon };
        let at = [0.5, -1.25];
        for keeps in [Keeps::Input, Keeps::Output, Keeps::Intermediate, Keeps::Nothing] {
            let what = format!("{keeps:?} on {device:?}");
            // f = y²⁄2 of y = e^(x²): f = e^(2x²)⁄2; f′ = 2x·E, f″ = (2 + 8x²)·E,
            // f‴ = (24x + 32x³)·E with E = e^(2x²). Of y = 3x: f = 9x²⁄2.
            let e = |x: f64| (2.0 * x * x).exp();
            let expected = match keeps {
                Keeps::Nothing => [at.map(|x| 9.0 * x), [9.0; 2], [0.0; 2]],
                _ => [
                    at.map(|x| 2.0 * x * e(x)),
                    at.map(|x| (2.0 + 8.0 * x * x) * e(x)),
                    at.map(|x| (24.0 * x + 32.0 * x.powi(3)) * e(x)),
                ],
            };
            let function = |x: Var| keeps.call([x]).square() / 2.0;
            let x = vector(&at, &device, dtype).require_grad();
            for order in 1..=3 {
                let found = nth_derivative(function, x.clone(), order);
                let what = format!("{what}, order {order}");
                close(&what, &numbers(found.clone()), &expected[order - 1], epsilon);
                if order < 3 {
                    let next = found.sum();
                    if !next.is_tracked() {
                        assert_eq!(expected[order], [0.0; 2], "{what}: untracked");
                        continue;
                    }
                    // Of a constant Burn's graph may have no gradient.
                    let next = x.grad(&next.backward()).map_or(vec![0.0; 2], numbers);
                    close(&format!("{what}, then Burn"), &next, &expected[order], epsilon);
                }
            }
        }
    }
}

#[test]
fn kernels_within_a_function_are_differentiated_twice() {
    for device in autodiff(all()) {
        let (dtype, epsilon) = precision(&device);
        // WGSL allows e^u an error of 3 + 2|u| units.
        let epsilon = if dtype == DType::F64 { epsilon } else { 4.0 * epsilon };
        let at = [0.5, -0.75];
        let c = [1.0, -2.0];
        type Row = (&'static str, fn(Var) -> Var, fn(f64) -> f64, fn(f64) -> f64);
        let rows: [Row; 4] = [
            // P₃(x²): with u = x², 2x·P₃′(u), and 2P₃′(u) + 4x²·15u.
            (
                "legendre_p3",
                |x| x.square().legendre_p3(),
                |x| 3.0 * x * (5.0 * x.powi(4) - 1.0),
                |x| 75.0 * x.powi(4) - 3.0,
            ),
            // relu(x)·x².
            (
                "relu",
                |x| x.clone().relu() * x.square(),
                |x| if x > 0.0 { 3.0 * x * x } else { 0.0 },
                |x| if x > 0.0 { 6.0 * x } else { 0.0 },
            ),
            // e^(x²).
            (
                "fused_exp",
                |x| x.square().fused_exp(),
                |x| 2.0 * x * (x * x).exp(),
                |x| (2.0 + 4.0 * x * x) * (x * x).exp(),
            ),
            // x²·x + x³ = 2x³.
            (
                "multiply_add",
                |x| x.square().multiply_add(x.clone(), x.powi(3)),
                |x| 6.0 * x * x,
                |x| 12.0 * x,
            ),
        ];
        for (name, function, first, second) in rows {
            let what = format!("{name} on {device:?}");
            let x = vector(&at, &device, dtype).require_grad();
            let weights = vector(&c, &device, dtype);
            let objective = |x: Var| (function(x) * Var::from(&weights)).sum();
            let dx = grad(objective, x.clone());
            let expected = [c[0] * first(at[0]), c[1] * first(at[1])];
            close(&what, &numbers(dx.clone()), &expected, epsilon);
            let expected = [c[0] * second(at[0]), c[1] * second(at[1])];
            let ones = vector(&[1.0, 1.0], &device, dtype);
            close(&what, &numbers(hvp(objective, x.clone(), ones)), &expected, epsilon);
            close(&what, &numbers(x.grad(&dx.sum().backward()).unwrap()), &expected, epsilon);
        }
        // Broadcast, w and b [1] against x [2]: f = Σ c·(w·x + b)², ∂f⁄∂w = Σ 2c·x·(w·x + b), ∂²f⁄∂w² = Σ 2c·x².
        let (w, b) = (vector(&[1.5], &device, dtype), vector(&[0.25], &device, dtype));
        let x = vector(&at, &device, dtype);
        let weights = vector(&c, &device, dtype);
        let function = |[w, b]: [Var; 2]| {
            (w.multiply_add(Var::from(&x), b).square() * Var::from(&weights)).sum()
        };
        let matrix = numbers(hessian(function, [w, b]).matrix());
        let sum = |f: fn(f64) -> f64| (0..2).map(|i| 2.0 * c[i] * f(at[i])).sum::<f64>();
        let expected = [sum(|x| x * x), sum(|x| x), sum(|x| x), sum(|_| 1.0)];
        close(&format!("multiply_add on {device:?}"), &matrix, &expected, epsilon);
    }
}

/// x², whose backward says that it cannot be differentiated.
#[derive(Debug, Clone)]
struct Once;

impl Function<1> for Once {
    fn once_differentiable(&self) -> bool {
        true
    }
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        ctx.save([&x]);
        [&x * &x]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [x] = ctx.tensors();
        [Some(g * x * 2.0)]
    }
}

#[test]
fn a_function_that_is_differentiable_once_refuses_the_second_by_name() {
    for device in autodiff(cpu()) {
        let x = double(&[1.5, -2.0], &device).require_grad();
        let function = |x: Var| Once.call([x * 2.0]).sum();
        let dx = grad(function, x.clone());
        assert_eq!(numbers(dx.clone()), [12.0, -16.0], "{device:?}");
        let error = Transform::new().hessian(function, x.clone()).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Derivative, "Once"));
        let error = Transform::new().hvp(function, x.clone(), x.ones_like()).unwrap_err();
        assert_eq!(error.operation(), "Once");
        let leaf = Var::leaf(&x);
        let [first] = Gradient::of([&function(leaf.clone())]).wrt([&leaf]);
        let error = Gradient::of([&first.sum()]).try_wrt([&leaf]).unwrap_err();
        assert_eq!(error.operation(), "Once");
        // On Burn's graph too, where silence would be a zero.
        let text = refusal(|| drop(dx.sum().backward()));
        assert!(
            text.contains("Once") && text.contains("once_differentiable"),
            "{device:?}: {text}"
        );
        // An ordinary backward of Burn's is the first derivative, and is there.
        let y = Once.apply([x.clone() * 2.0]).sum();
        assert_eq!(numbers(x.grad(&y.backward()).unwrap()), [12.0, -16.0], "{device:?}");
        // The second derivative of another part is not harmed.
        let [_, dw] = grad(
            |[x, w]: [Var; 2]| (Once.call([x]) * w.powi(3)).sum(),
            [x.clone(), double(&[1.0, 2.0], &device)],
        );
        assert_eq!(numbers(dw), [6.75, 48.0], "{device:?}");
    }
}

/// The gradient of a function of a matrix and a vector, checked like a function of its own: its
/// derivative is the second one, and that of its product the third.
#[test]
fn the_gradient_function_passes_the_second_order_check() {
    for device in cpu() {
        let gradient = |(m, x): (Var, Var)| {
            let hidden = x.linear(&m, None).tanh();
            let objective = (hidden.log_sum_exp(0) * x.square().sum()).sigmoid();
            let [dm, dx] = Gradient::of([&objective]).wrt([&m, &x]);
            (dm, dx)
        };
        let m: Tensor<2> = tensor([2, 2], &[0.5, -1.0, 0.75, 0.25], &device, DType::F64);
        let x = double(&[0.25, -0.5], &device);
        type Pair = (Tensor<2>, Tensor<1>);
        gradgradcheck(
            move |inputs: Pair| -> Pair { evaluate(gradient, inputs) },
            move |inputs: Pair, cotangents: Pair| -> Pair {
                vjp::<Pair, Pair>(gradient, inputs).1.apply(cotangents)
            },
            (m, x),
        )
        .assert_pass();
    }
}
