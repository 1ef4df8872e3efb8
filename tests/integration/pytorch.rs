//! The table of docs/pytorch.md, row by row: what a reader who comes from PyTorch may rely on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use approx::assert_abs_diff_eq;
use burn::tensor::{DType, Device, Int, Tensor};
use burn_autograd::prelude::*;
use burn_autograd::{
    AnomalyMode, ErrorKind, Transform, evaluate, gradients, try_backward, watch, without_recording,
};

use crate::devices::{all, autodiff, cpu, message, numbers, tensor};

/// A function made of two plain ones.
#[derive(Debug, Clone, Copy)]
struct Custom<const N: usize, const M: usize> {
    forward: fn(&mut Context, [Var; N]) -> [Var; M],
    backward: fn(Saved, [Var; M]) -> [Option<Var>; N],
}

impl<const N: usize, const M: usize> Function<N, M> for Custom<N, M> {
    fn forward(&self, ctx: &mut Context, inputs: [Var; N]) -> [Var; M] {
        (self.forward)(ctx, inputs)
    }
    fn backward(&self, ctx: Saved, grads: [Var; M]) -> [Option<Var>; N] {
        (self.backward)(ctx, grads)
    }
}

fn custom<const N: usize, const M: usize>(
    forward: fn(&mut Context, [Var; N]) -> [Var; M],
    backward: fn(Saved, [Var; M]) -> [Option<Var>; N],
) -> Custom<N, M> {
    Custom { forward, backward }
}

/// x³ with derivative 3x².
fn cube() -> Custom<1, 1> {
    custom(
        |ctx, [x]| {
            ctx.save([&x]);
            [x.powi(3)]
        },
        |ctx, [g]| {
            let [x] = ctx.tensors();
            [Some(g * 3.0 * x.powi(2))]
        },
    )
}

/// a·b.
fn product() -> Custom<2, 1> {
    custom(
        |ctx, [a, b]| {
            ctx.save([&a, &b]);
            [a * b]
        },
        |ctx, [g]| {
            let [a, b] = ctx.tensors();
            [ctx.needs(0).then(|| &g * b), ctx.needs(1).then(|| &g * a)]
        },
    )
}

fn vector(data: &[f64], device: &Device) -> Tensor<1> {
    tensor([data.len()], data, device, DType::F32)
}

fn leaf(data: &[f64], device: &Device) -> Tensor<1> {
    vector(data, device).require_grad()
}

/// The gradient of Σ weights·y with respect to a leaf, on Burn's graph.
fn pulled(x: &Tensor<1>, y: Tensor<1>, weights: &[f64]) -> Option<Vec<f64>> {
    let weights = vector(weights, &y.device());
    x.grad(&(y * weights).sum().backward()).map(numbers)
}

fn assert_names(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

// The definition of a function.

/// w·x, with the weight as a field.
#[derive(Debug, Clone)]
struct WeightAsField(Tensor<1>);

impl Function<1> for WeightAsField {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x * Var::from(&self.0)]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        [Some(g * Var::from(&self.0))]
    }
}

#[test]
fn a_tracked_tensor_has_to_be_an_input() {
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        let constant = vector(&[5.0, 0.5], &device).inner();
        let y = WeightAsField(constant).apply([x.clone()]);
        assert_eq!(pulled(&x, y, &[1.0, 4.0]).unwrap(), [5.0, 2.0]);
        let tracked = leaf(&[5.0, 0.5], &device);
        let text = message(|| {
            let _ = WeightAsField(tracked).apply([x.clone()]);
        });
        assert_names(&text, &["WeightAsField", "has to be an input"]);
    }
}

#[test]
fn one_forward_serves_tensors_and_transforms() {
    let identity = custom(
        |ctx, [x]| {
            ctx.save([&x]);
            [x]
        },
        |ctx, [g]| {
            let [x] = ctx.tensors();
            [Some(g * x)]
        },
    );
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        let y = identity.apply([x.clone()]);
        assert_eq!(pulled(&x, y, &[10.0, 0.5]).unwrap(), [20.0, -1.5]);
        let weights = Var::from(vector(&[10.0, 0.5], &device));
        let dx = grad(|x: Var| (identity.call([x]) * &weights).sum(), x.clone());
        assert_eq!(numbers(dx.clone()), [20.0, -1.5]);
        // The saved input is still the input: d(w·x)/dx = w.
        assert_eq!(pulled(&x, dx, &[1.0, 3.0]).unwrap(), [10.0, 1.5]);
    }
}

#[test]
fn a_backward_takes_a_permuted_gradient() {
    for device in autodiff(all()) {
        let x: Tensor<2> =
            tensor([2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &device, DType::F32).require_grad();
        let w: Tensor<2> = tensor([3, 2], &[1.0, 10.0, 2.0, 20.0, 3.0, 30.0], &device, DType::F32);
        let y = cube().apply([x.clone()]);
        let dx = x.grad(&(y.transpose() * w).sum().backward()).unwrap();
        // 3x² times the transposed weights.
        assert_eq!(numbers(dx), [3.0, 24.0, 81.0, 480.0, 1500.0, 3240.0]);
    }
}

#[test]
fn a_derivative_along_a_direction_needs_no_rule_of_its_own() {
    for device in all() {
        let (x, v) = (vector(&[2.0, -1.0], &device), vector(&[0.5, 10.0], &device));
        let (y, pushed): (Tensor<1>, Tensor<1>) = jvp(|x: Var| cube().call([x]), x, v);
        assert_eq!(numbers(y), [8.0, -1.0]);
        assert_eq!(numbers(pushed), [6.0, 30.0]);
    }
}

#[test]
fn a_jacobian_of_the_samples_losses_has_a_gradient_per_sample() {
    for device in all() {
        let x = Var::from(tensor::<2>([3, 2], &[1., 2., 3., 4., -5., 6.], &device, DType::F32));
        let w = tensor::<2>([2, 1], &[2.0, -1.0], &device, DType::F32);
        // lossᵢ = (w·xᵢ)³, with gradient 3(w·xᵢ)²·xᵢ; w·x = (0, 2, −16).
        let rows = jacobian(|w: Var| cube().call([x.matmul(&w)]), w).matrix();
        assert_eq!(numbers(rows), [0.0, 0.0, 36.0, 48.0, -3840.0, 4608.0]);
    }
}

/// a·b, or a alone.
#[derive(Debug, Clone)]
struct MaybeTimes;

impl Function<2> for MaybeTimes {
    fn optional(&self, input: usize) -> bool {
        input == 1
    }
    fn forward(&self, ctx: &mut Context, [a, b]: [Var; 2]) -> [Var; 1] {
        ctx.save([&a, &b]);
        [a * b]
    }
    fn forward_partial(&self, ctx: &mut Context, [a, b]: [Option<Var>; 2]) -> [Var; 1] {
        match (a, b) {
            (Some(a), Some(b)) => self.forward(ctx, [a, b]),
            (a, _) => [a.expect("it is not optional")],
        }
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 2] {
        match ctx.into_all_tensors().as_slice() {
            [a, b] => [Some(&g * b), Some(&g * a)],
            _ => [Some(g), None],
        }
    }
}

#[test]
fn an_argument_is_left_out_only_where_the_function_says_so() {
    for device in autodiff(all()) {
        let (a, b) = (leaf(&[2.0], &device), leaf(&[7.0], &device));
        let y: Tensor<1> = MaybeTimes.apply_all((a.clone(), Some(b.clone())));
        assert_eq!(pulled(&a, y, &[3.0]).unwrap(), [21.0]);
        let y: Tensor<1> = MaybeTimes.apply_all((a.clone(), None::<Tensor<1>>));
        assert_eq!(pulled(&a, y, &[3.0]).unwrap(), [3.0]);
        let error = MaybeTimes.try_apply::<_, Tensor<1>>((None::<Tensor<1>>, b)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Contract);
        assert_eq!((error.operation(), error.argument()), ("MaybeTimes", "inputs[0]"));
    }
}

/// 2x, which records whether it was asked to save.
#[derive(Debug, Clone)]
struct Double(Arc<Mutex<Vec<bool>>>);

impl Function<1> for Double {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        self.0.lock().unwrap().push(ctx.tracked());
        [x * 2.0]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        [Some(g * 2.0)]
    }
}

#[test]
fn a_node_bears_the_functions_name_and_exists_only_if_an_input_is_tracked() {
    for device in all() {
        let double = Double(Arc::default());
        let tracked = || std::mem::take(&mut *double.0.lock().unwrap());
        let x = vector(&[1.0], &device);
        assert!(!double.apply([x.clone()]).is_tracked());
        assert!(!double.apply([vector(&[1.0], &device.clone().autodiff())]).is_tracked());
        assert_eq!(tracked(), [false, false]);
        assert!(double.apply([leaf(&[1.0], &device.autodiff())]).is_tracked());
        assert_eq!(tracked(), [true]);
        let x = Var::leaf(x);
        assert_eq!(double.call([x.clone()]).operation(), Some("Double"));
        assert_eq!(without_recording(|| double.call([x])).operation(), None);
        assert_eq!(tracked(), [true, false]);
    }
}

// What the context offers.

#[test]
fn inputs_outputs_and_intermediates_are_saved_in_order() {
    // y = x³ by s = x²; its derivative is x² + 2s, or y⁄x + 2s.
    let function = custom(
        |ctx, [x]| {
            let s = &x * &x;
            let y = &s * &x;
            ctx.save([&x]);
            ctx.save([&s, &y]);
            [y]
        },
        |ctx, [g]| {
            let [x, s, y] = ctx.tensors();
            [Some(g * (y / x + s * 2.0))]
        },
    );
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -4.0], &device);
        let y = function.apply([x.clone()]);
        assert_eq!(pulled(&x, y, &[1.0, 0.5]).unwrap(), [12.0, 24.0]);
    }
}

#[test]
fn a_second_derivative_goes_through_saved_inputs_and_outputs() {
    // 1⁄x by its saved output, x³ by its saved input.
    let recip = custom(
        |ctx, [x]| {
            let y = x.recip();
            ctx.save([&y]);
            [y]
        },
        |ctx, [g]| {
            let [y] = ctx.tensors();
            [Some(-(g * y.powi(2)))]
        },
    );
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -0.5], &device);
        let dx = grad(|x: Var| (recip.call([x.clone()]) + cube().call([x])).sum(), x.clone());
        // 2⁄x³ + 6x.
        assert_eq!(pulled(&x, dx, &[1.0, 10.0]).unwrap(), [12.25, -190.0]);
    }
}

#[test]
fn a_saved_tensor_does_not_change_with_its_copies() {
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        let y = cube().apply([x.clone()]);
        let mut copy = x.clone().detach();
        copy.inplace(|copy| copy.mul_scalar(100.0));
        let other = x.clone().slice_assign(0..1, vector(&[50.0], &device));
        assert_eq!(numbers(copy), [200.0, -300.0]);
        assert_eq!(numbers(other), [50.0, -3.0]);
        assert_eq!(numbers(x.clone()), [2.0, -3.0]);
        assert_eq!(pulled(&x, y, &[1.0, 10.0]).unwrap(), [12.0, 270.0]);
    }
}

#[test]
fn a_second_derivative_goes_through_a_saved_intermediate() {
    let by_square = custom(
        |ctx, [x]| {
            let square = &x * &x;
            ctx.save([&square]);
            [square * x]
        },
        |ctx, [g]| {
            let [square] = ctx.tensors();
            [Some(g * 3.0 * square)]
        },
    );
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -1.5], &device);
        let dx = grad(|x: Var| by_square.call([x]).sum(), x.clone());
        assert_eq!(numbers(dx.clone()), [12.0, 6.75]);
        assert_eq!(pulled(&x, dx, &[1.0, 10.0]).unwrap(), [12.0, -90.0]);
        let third = nth_derivative(|x: Var| by_square.call([x]), x.inner(), 3);
        assert_eq!(numbers(third), [6.0, 6.0]);
    }
}

/// The elements of x that `index` names, times a factor.
#[derive(Debug, Clone)]
struct Pick {
    index: Tensor<1, Int>,
    factor: f64,
}

impl Function<1> for Pick {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x.select(0, &self.index) * self.factor]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let zeros = g.full(ctx.input_shape(0).clone(), 0.0);
        [Some(zeros.select_add(0, &self.index, &(g * self.factor)))]
    }
}

#[test]
fn what_is_not_differentiated_is_a_field() {
    for device in autodiff(all()) {
        let x = leaf(&[1.0, 2.0, 3.0], &device);
        let index = Tensor::<1, Int>::from_data([2, 0, 2], &device.clone().inner());
        let y = Pick { index, factor: 10.0 }.apply([x.clone()]);
        assert_eq!(numbers(y.clone()), [30.0, 10.0, 30.0]);
        assert_eq!(pulled(&x, y, &[1.0, 5.0, 0.5]).unwrap(), [50.0, 0.0, 15.0]);
    }
}

/// a·b, which records which gradients its backward is asked for.
#[derive(Debug, Clone)]
struct AskedFor(Arc<Mutex<Vec<[bool; 2]>>>);

impl Function<2> for AskedFor {
    fn forward(&self, ctx: &mut Context, inputs: [Var; 2]) -> [Var; 1] {
        (product().forward)(ctx, inputs)
    }
    fn backward(&self, ctx: Saved, grads: [Var; 1]) -> [Option<Var>; 2] {
        self.0.lock().unwrap().push([ctx.needs(0), ctx.needs(1)]);
        (product().backward)(ctx, grads)
    }
}

#[test]
fn a_backward_knows_which_gradients_are_asked_for() {
    for device in autodiff(all()) {
        let function = AskedFor(Arc::default());
        let asked = || std::mem::take(&mut *function.0.lock().unwrap());
        let (a, b) = (leaf(&[2.0], &device), vector(&[7.0], &device));
        assert_eq!(pulled(&a, function.apply([a.clone(), b.clone()]), &[3.0]).unwrap(), [21.0]);
        assert_eq!(asked(), [[true, false]]);
        // Both could be differentiated; this pass wants one.
        let (a, b) = (Var::leaf(a.inner()), Var::leaf(b.inner()));
        let y = function.call([a.clone(), b.clone()]);
        let [db] = Gradient::of([&y]).wrt([&b]);
        assert_eq!(numbers(db.detach().into_tensor::<1>()), [2.0]);
        assert_eq!(asked(), [[false, true]]);
        let [db] = Gradient::of([&function.call([a.detach(), b.clone()])]).wrt([&b]);
        assert_eq!(numbers(db.detach().into_tensor::<1>()), [2.0]);
        assert_eq!(asked(), [[false, true]]);
    }
}

#[test]
fn a_forward_does_not_modify_its_input() {
    let overwriting = custom(
        |_, [x]| {
            let mut x = x.into_tensor::<1>();
            x.inplace(|x| x.mul_scalar(3.0));
            [x.into()]
        },
        |_, [g]| [Some(g * 3.0)],
    );
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        let y = overwriting.apply([x.clone()]);
        assert_eq!(numbers(x.clone()), [2.0, -3.0]);
        assert_eq!(numbers(y.clone()), [6.0, -9.0]);
        // The leaf is used after the function, with its own value.
        let z = y * x.clone();
        assert_eq!(pulled(&x, z, &[1.0, 10.0]).unwrap(), [12.0, -180.0]);
    }
}

/// (x², sign x); the sign has no derivative.
#[derive(Debug, Clone)]
struct SquareAndSign(Arc<Mutex<Vec<[bool; 2]>>>);

impl Function<1, 2> for SquareAndSign {
    fn differentiable(&self, output: usize) -> bool {
        output == 0
    }
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 2] {
        ctx.save([&x]);
        [x.powi(2), x.sign()]
    }
    fn backward(&self, ctx: Saved, [g, _]: [Var; 2]) -> [Option<Var>; 1] {
        let [x] = ctx.tensors();
        [Some(g * 2.0 * x)]
    }
    fn backward_partial(&self, ctx: Saved, grads: [Option<Var>; 2]) -> [Option<Var>; 1] {
        self.0.lock().unwrap().push(grads.each_ref().map(Option::is_some));
        let grads = ctx.or_zeros(grads);
        self.backward(ctx, grads)
    }
}

#[test]
fn an_output_without_derivative_is_untracked() {
    for device in autodiff(all()) {
        let function = SquareAndSign(Arc::default());
        let x = leaf(&[3.0, -2.0], &device);
        let [square, sign]: [Tensor<1>; 2] = function.apply_all([x.clone()]);
        assert!(square.is_tracked() && !sign.is_tracked());
        let y = square * sign;
        assert_eq!(pulled(&x, y, &[1.0, 10.0]).unwrap(), [6.0, 40.0]);
        assert_eq!(*function.0.lock().unwrap(), [[true, false]]);
    }
}

#[test]
fn an_unused_output_has_gradient_zero_or_none() {
    // The default asks for zeros.
    let sum_and_product = custom(
        |ctx, [a, b]| {
            ctx.save([&a, &b]);
            [&a + &b, a * b]
        },
        |ctx, [sum, product]| {
            let [a, b] = ctx.tensors();
            [Some(&sum + &product * b), Some(sum + product * a)]
        },
    );
    for device in autodiff(all()) {
        let (a, b) = (leaf(&[2.0, 3.0], &device), leaf(&[5.0, -7.0], &device));
        let [_, p]: [Tensor<1>; 2] = sum_and_product.apply_all([a.clone(), b.clone()]);
        assert_eq!(pulled(&a, p, &[1.0, 10.0]).unwrap(), [5.0, -70.0]);
        // With `backward_partial` it is `None`.
        let function = SquareAndSign(Arc::default());
        let y = Var::leaf(a.clone().inner());
        let [square, _] = function.call_all([y.clone()]);
        let _ = Gradient::of([&square.sum()]).wrt([&y]);
        assert_eq!(*function.0.lock().unwrap(), [[true, false]]);
    }
}

#[test]
fn a_gradient_has_its_outputs_data_type() {
    let widen = custom(
        |_, [x]| [x.into_tensor::<1>().cast(DType::F64).into()],
        |_, [g]| {
            assert_eq!(g.dtype(), DType::F64);
            [Some(g.into_tensor::<1>().cast(DType::F32).into())]
        },
    );
    for device in autodiff(cpu()) {
        let x = leaf(&[2.0, -3.0], &device);
        let y = widen.apply([x.clone()]);
        assert_eq!(y.dtype(), DType::F64);
        let w: Tensor<1> = tensor([2], &[0.5, 4.0], &device, DType::F64);
        let dx = x.grad(&(y * w).sum().backward()).unwrap();
        assert_eq!(dx.dtype(), DType::F32);
        assert_eq!(numbers(dx), [0.5, 4.0]);
    }
}

#[test]
fn the_engine_adds_up_the_gradients_of_all_uses() {
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        // x·x + 5x·x³, with derivative 2x + 20x³.
        let y = product().apply([x.clone(), x.clone()])
            + product().apply([x.clone() * 5.0, cube().apply([x.clone()])]);
        assert_eq!(pulled(&x, y, &[1.0, 0.5]).unwrap(), [164.0, -273.0]);
    }
}

#[test]
fn a_derivative_along_a_direction_reads_what_was_saved_for_the_backward() {
    let recip = custom(
        |ctx, [x]| {
            let y = x.recip();
            ctx.save([&y]);
            [y]
        },
        |ctx, [g]| {
            let [y] = ctx.tensors();
            [Some(-(g * y.powi(2)))]
        },
    );
    for device in all() {
        let (x, v) = (vector(&[2.0, -4.0], &device), vector(&[3.0, 32.0], &device));
        let (_, pushed): (Tensor<1>, Tensor<1>) = jvp(|x: Var| recip.call([x]), x, v);
        assert_eq!(numbers(pushed), [-0.75, -2.0]);
    }
}

#[test]
fn a_backward_may_take_the_saved_tensors_out_of_its_context() {
    let square = custom(
        |ctx, [x]| {
            ctx.save([&x]);
            [x.powi(2)]
        },
        |ctx, [g]| {
            let [x] = ctx.into_tensors();
            [Some(g * x * 2.0)]
        },
    );
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        assert_eq!(pulled(&x, square.apply([x.clone()]), &[1.0, 10.0]).unwrap(), [4.0, -60.0]);
        // The graph keeps its own hold where it is used again.
        let (_, pullback): (Tensor<1>, _) = vjp(|x: Var| square.call([x]), x.clone().inner());
        for _ in 0..2 {
            let dx = pullback.apply(vector(&[0.5, 1.0], &device.clone().inner()));
            assert_eq!(numbers(dx), [2.0, -6.0]);
        }
    }
}

#[test]
fn a_backward_owns_its_gradients() {
    let function = custom(
        |_, [x]| [&x * 2.0, x * 3.0],
        |_, [double, triple]| {
            let sum = double * 2.0;
            [Some(sum + triple * 3.0)]
        },
    );
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        let [a, b]: [Tensor<1>; 2] = function.apply_all([x.clone()]);
        let y = a * vector(&[1.0, 10.0], &device) + b;
        assert_eq!(pulled(&x, y, &[1.0, 0.5]).unwrap(), [5.0, 11.5]);
    }
}

/// x³, whose backward leaves the tape.
#[derive(Debug, Clone)]
struct CubeOnTheHost;

impl Function<1> for CubeOnTheHost {
    fn once_differentiable(&self) -> bool {
        true
    }
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        ctx.save([&x]);
        [x.powi(3)]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [x] = ctx.tensors();
        let device = g.clone().detach().into_tensor::<1>().device();
        let data: Vec<f64> = numbers(g.detach().into_tensor::<1>())
            .iter()
            .zip(numbers(x.detach().into_tensor::<1>()))
            .map(|(g, x)| g * 3.0 * x * x)
            .collect();
        [Some(vector(&data, &device).into())]
    }
}

#[test]
fn a_second_derivative_of_a_function_that_has_one_is_an_error_with_its_name() {
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        let y = CubeOnTheHost.apply([x.clone()]);
        assert_eq!(pulled(&x, y, &[1.0, 10.0]).unwrap(), [12.0, 270.0]);
        // The incoming gradient is constant here; the saved input is what depends on x.
        let f = |x: Var| CubeOnTheHost.call([x]).sum();
        let error = Transform::new().hessian(f, x.clone().inner()).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Derivative, "CubeOnTheHost"));
        let dx = grad(f, x);
        assert_eq!(numbers(dx.clone()), [12.0, 27.0]);
        let text = message(|| {
            let _ = dx.sum().backward();
        });
        assert_names(&text, &["CubeOnTheHost", "once_differentiable"]);
    }
}

#[test]
fn an_output_that_views_its_input_is_a_value_like_any_other() {
    let transpose = custom(|_, [x]| [x.transpose()], |_, [g]| [Some(g.transpose())]);
    for device in autodiff(all()) {
        let x: Tensor<2> = tensor([2, 2], &[1., 2., 3., 4.], &device, DType::F32).require_grad();
        let w: Tensor<2> = tensor([2, 2], &[10., 20., 30., 40.], &device, DType::F32);
        let y = transpose.apply([x.clone()]);
        let dx = x.grad(&(y * w).sum().backward()).unwrap();
        assert_eq!(numbers(dx), [10.0, 30.0, 20.0, 40.0]);
    }
}

// What goes out and what comes back.

#[test]
fn the_number_of_gradients_is_part_of_the_type() {
    // Two inputs, three outputs: three gradients in, two out; anything else does not compile.
    type Function = Custom<2, 3>;
    let backward: fn(&Function, Saved, [Var; 3]) -> [Option<Var>; 2] =
        <Function as burn_autograd::Function<2, 3>>::backward;
    let function = custom(
        |_, [a, b]| [&a * 2.0, &b * 3.0, a + b],
        |_, [x, y, z]| [Some(x * 2.0 + &z), Some(y * 3.0 + z)],
    );
    let _ = backward;
    for device in autodiff(all()) {
        let (a, b) = (leaf(&[1.0], &device), leaf(&[1.0], &device));
        let [x, y, z]: [Tensor<1>; 3] = function.apply_all([a.clone(), b.clone()]);
        let grads = (x + y * 10.0 + z * 100.0).backward();
        assert_eq!(a.grad(&grads).map(numbers).unwrap(), [102.0]);
        assert_eq!(b.grad(&grads).map(numbers).unwrap(), [130.0]);
    }
}

#[test]
fn a_parameter_has_no_gradient() {
    // One tensor and two parameters: the backward returns one gradient.
    let backward: fn(&Pick, Saved, [Var; 1]) -> [Option<Var>; 1] = <Pick as Function<1>>::backward;
    let _ = backward;
    for device in all() {
        let index = Tensor::<1, Int>::from_data([1, 1], &device);
        let pick = Pick { index, factor: -2.0 };
        let weights = Var::from(vector(&[3.0, 0.25], &device));
        let x = vector(&[1.0, 2.0], &device);
        let dx = grad(|x: Var| (pick.call([x]) * weights).sum(), x);
        assert_eq!(numbers(dx), [0.0, -6.5]);
    }
}

/// 2x, whose backward is given.
#[derive(Debug, Clone)]
struct Returns(fn(Var) -> Option<Var>);

impl Function<1> for Returns {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x * 2.0]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        [(self.0)(g)]
    }
}

/// What a backward is refused with, on Burn's graph and on the tape.
fn refusals(device: &Device, backward: fn(Var) -> Option<Var>) -> [String; 2] {
    let x = leaf(&[1.0, 2.0, 3.0], device);
    let on_graph = message(|| {
        let _ = Returns(backward).apply([x.clone()]).sum().backward();
    });
    let f = |x: Var| Returns(backward).call([x]).sum();
    let on_tape = Transform::new().grad(f, x.clone().inner()).unwrap_err();
    assert_eq!(on_tape.operation(), "Returns");
    [on_graph, on_tape.to_string()]
}

#[test]
fn a_gradient_of_another_shape_is_refused() {
    for device in autodiff(all()) {
        for text in refusals(&device, |g| Some(g.slice(0..2))) {
            assert_names(&text, &["Returns", "gradient of input 0", "[3]", "[2]"]);
        }
    }
}

#[test]
fn a_gradient_is_summed_over_a_broadcast_only_on_demand() {
    let reduced =
        custom(|_, [x]| [x.expand([4, 3])], |ctx, [g]| [Some(g.reduce_to(ctx.input_shape(0)))]);
    for device in autodiff(all()) {
        // Neither a broadcast gradient nor one that would have to be.
        for text in refusals(&device, |g| Some(g.unsqueeze_dim(0).expand([4, 3]))) {
            assert_names(&text, &["Returns", "gradient of input 0", "[3]", "[4, 3]"]);
        }
        for text in refusals(&device, |g| Some(g.sum())) {
            assert_names(&text, &["gradient of input 0", "[3]", "[1]"]);
        }
        let x: Tensor<2> = tensor([1, 3], &[1.0, 2.0, 3.0], &device, DType::F32).require_grad();
        let weights: Vec<f64> = (0..12).map(f64::from).collect();
        let w: Tensor<2> = tensor([4, 3], &weights, &device, DType::F32);
        let dx = x.grad(&(reduced.apply([x.clone()]) * w).sum().backward()).unwrap();
        assert_eq!(numbers(dx), [18.0, 22.0, 26.0]);
    }
}

#[test]
fn a_gradient_of_another_data_type_is_refused() {
    for device in autodiff(cpu()) {
        for text in refusals(&device, |g| Some(g.into_tensor::<1>().cast(DType::F64).into())) {
            assert_names(&text, &["Returns", "gradient of input 0", "F32", "F64"]);
        }
    }
}

#[test]
fn a_gradient_on_another_device_is_refused() {
    let [first, second] = match cpu().as_slice() {
        [first, second, ..] => [first.clone(), second.clone()],
        _ => return,
    };
    assert_ne!(first, second);
    // The function runs on the first backend, and answers from the second.
    #[derive(Debug, Clone)]
    struct Elsewhere(Device);
    impl Function<1> for Elsewhere {
        fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
            [x * 2.0]
        }
        fn backward(&self, _: Saved, _: [Var; 1]) -> [Option<Var>; 1] {
            [Some(vector(&[1.0], &self.0).into())]
        }
    }
    let x = leaf(&[1.0], &first.clone().autodiff());
    let text = message(|| {
        let _ = Elsewhere(second.clone()).apply([x.clone()]).backward();
    });
    assert_names(&text, &["Elsewhere", "gradient", "device"]);
    let f = |x: Var| Elsewhere(second.clone()).call([x]).sum();
    let error = Transform::new().grad(f, x.inner()).unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Device, "Elsewhere"));
}

#[test]
fn none_leaves_a_leaf_without_gradient() {
    for device in autodiff(all()) {
        let x = leaf(&[1.0, 2.0], &device);
        let y = Returns(|_| None).apply([x.clone()]);
        assert_eq!(pulled(&x, y, &[1.0, 10.0]), None);
        // What comes before on Burn's graph gets zeros.
        let y = Returns(|_| None).apply([x.clone() * 3.0]);
        assert_eq!(pulled(&x, y, &[1.0, 10.0]).unwrap(), [0.0, 0.0]);
        // A transform gives zeros, or says that there is nothing.
        let f = |x: Var| Returns(|_| None).call([x]).sum();
        assert_eq!(numbers(grad(f, x.clone().inner())), [0.0, 0.0]);
        let error = Transform::new().strict().grad(f, x.clone().inner()).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Derivative, "inputs[0]"));
        let x = Var::leaf(x.inner());
        let [none] = Gradient::of([&f(x.clone())]).wrt_optional([&x]).unwrap();
        assert!(none.is_none());
    }
}

/// 2x, which counts its backward passes.
#[derive(Debug, Clone)]
struct Counted(Arc<AtomicUsize>);

impl Function<1> for Counted {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x * 2.0]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        self.0.fetch_add(1, Ordering::Relaxed);
        [Some(g * 2.0)]
    }
}

#[test]
fn a_backward_runs_only_if_a_gradient_arrives() {
    for device in autodiff(all()) {
        let counted = Counted(Arc::default());
        let runs = || counted.0.swap(0, Ordering::Relaxed);
        let x = leaf(&[1.0, 2.0], &device);
        let unused = counted.apply([x.clone()]);
        assert_eq!(pulled(&x, x.clone() * 3.0, &[1.0, 10.0]).unwrap(), [3.0, 30.0]);
        drop(unused);
        assert_eq!(runs(), 0);
        // Behind a `None`, the tape has nothing to run; Burn's graph runs on with zeros.
        let f = |x: Var| Returns(|_| None).call([counted.call([x])]).sum();
        assert_eq!(numbers(grad(f, x.clone().inner())), [0.0, 0.0]);
        assert_eq!(runs(), 0);
        let y = Returns(|_| None).apply([counted.apply([x.clone()])]);
        assert_eq!(pulled(&x, y, &[1.0, 10.0]).unwrap(), [0.0, 0.0]);
        assert_eq!(runs(), 1);
    }
}

#[test]
fn an_input_that_is_returned_as_it_is_has_the_functions_gradient() {
    let flip = custom(|_, [x]| [x], |_, [g]| [Some(-g)]);
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        // Only the path through the function is turned round: −w·y + 5w.
        let y = flip.apply([x.clone()]) + x.clone() * 5.0;
        assert_eq!(numbers(y.clone()), [12.0, -18.0]);
        assert_eq!(pulled(&x, y, &[1.0, 10.0]).unwrap(), [4.0, 40.0]);
        let f = |x: Var| (flip.call([x.clone()]) + x * 5.0).sum();
        assert_eq!(numbers(grad(f, x)), [4.0, 4.0]);
    }
}

#[test]
fn a_tensor_that_is_returned_twice_has_two_gradients() {
    let twice = custom(
        |_, [x]| {
            let y = x * 2.0;
            [y.clone(), y]
        },
        |_, [first, second]| [Some(first * 2.0 + second * 200.0)],
    );
    for device in autodiff(all()) {
        let x = leaf(&[1.0, 3.0], &device);
        let [first, second]: [Tensor<1>; 2] = twice.apply_all([x.clone()]);
        let y = first * vector(&[1.0, 3.0], &device) + second * vector(&[5.0, 7.0], &device);
        assert_eq!(pulled(&x, y, &[1.0, 0.5]).unwrap(), [1002.0, 703.0]);
    }
}

#[test]
fn what_is_not_a_tensor_is_returned_beside_the_function() {
    /// The largest element, and where it is.
    fn largest(x: Tensor<1>) -> (Tensor<1>, Tensor<1, Int>) {
        let index = x.clone().inner().argmax(0);
        (Pick { index: index.clone(), factor: 1.0 }.apply([x]), index)
    }
    for device in autodiff(all()) {
        let x = leaf(&[1.0, 9.0, 4.0], &device);
        let (value, index) = largest(x.clone());
        assert_eq!(index.into_scalar::<i64>(), 1);
        assert_eq!(pulled(&x, value, &[5.0]).unwrap(), [0.0, 5.0, 0.0]);
    }
}

#[test]
fn writing_to_a_view_changes_neither_its_base_nor_the_graph() {
    let slice = custom(
        |_, [x]| [x.slice(1..3)],
        |ctx, [g]| {
            let zero = g.full([1], 0.0);
            assert_eq!(ctx.input_shape(0).to_vec(), [3]);
            [Some(Var::cat(&[zero, g * 2.0], 0))]
        },
    );
    for device in autodiff(all()) {
        let x = leaf(&[1.0, 2.0, 3.0], &device);
        let mut view = slice.apply([x.clone()]);
        let before = view.clone();
        view.inplace(|view| view.mul_scalar(10.0));
        assert_eq!(numbers(x.clone()), [1.0, 2.0, 3.0]);
        assert_eq!(numbers(before.clone()), [2.0, 3.0]);
        assert_eq!(numbers(view.clone()), [20.0, 30.0]);
        // The function's backward (twice the true one) is used for both.
        assert_eq!(pulled(&x, view + before, &[1.0, 0.5]).unwrap(), [0.0, 22.0, 11.0]);
    }
}

#[test]
fn a_backward_cannot_change_its_callers_gradient() {
    let scribbles = custom(
        |_, [x]| [x * 2.0],
        |_, [g]| {
            let mut g = g.into_tensor::<1>();
            g.inplace(|g| g.mul_scalar(2.0));
            [Some(g.into())]
        },
    );
    for device in all() {
        let x = vector(&[1.0, 2.0], &device);
        let (_, pullback): (Tensor<1>, _) = vjp(|x: Var| scribbles.call([x]), x);
        let cotangent = vector(&[3.0, 5.0], &device);
        for _ in 0..2 {
            assert_eq!(numbers(pullback.apply(cotangent.clone())), [6.0, 10.0]);
        }
        assert_eq!(numbers(cotangent), [3.0, 5.0]);
    }
    // One gradient for two functions.
    for device in autodiff(all()) {
        let (a, b) = (leaf(&[1.0, 2.0], &device), leaf(&[1.0, 2.0], &device));
        let y = scribbles.apply([a.clone()]) + scribbles.apply([b.clone()]);
        let grads = (y * vector(&[3.0, 5.0], &device)).sum().backward();
        assert_eq!(a.grad(&grads).map(numbers).unwrap(), [6.0, 10.0]);
        assert_eq!(b.grad(&grads).map(numbers).unwrap(), [6.0, 10.0]);
    }
}

/// x, whose backward differentiates x³ itself, `depth` backward passes deep.
#[derive(Debug, Clone)]
struct Nested {
    depth: usize,
    on_burns_graph: bool,
}

impl Function<1> for Nested {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        ctx.save([&x]);
        [x.clone()]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [x] = ctx.tensors();
        let x: Tensor<1> = x.into_tensor();
        let next = Self { depth: self.depth.saturating_sub(1), ..self.clone() };
        let inner = match (self.depth, self.on_burns_graph) {
            (0, _) => grad(|x: Var| x.powi(3).sum(), x),
            (_, false) => grad(|x: Var| next.call([x]).sum(), x),
            (_, true) => {
                let x = x.autodiff().require_grad();
                x.grad(&next.apply([x.clone()]).sum().backward()).unwrap()
            }
        };
        [Some(g * Var::from(inner))]
    }
}

#[test]
fn a_backward_may_differentiate() {
    for device in autodiff(cpu()) {
        for on_burns_graph in [false, true] {
            let x = leaf(&[2.0, -1.0], &device);
            let y = Nested { depth: 8, on_burns_graph }.apply([x.clone()]);
            assert_eq!(pulled(&x, y, &[1.0, 10.0]).unwrap(), [12.0, 30.0]);
        }
    }
}

#[test]
fn a_panic_in_a_backward_reaches_the_caller() {
    for device in autodiff(all()) {
        let x = leaf(&[1.0], &device);
        let y = Returns(|_| panic!("the reason")).apply([x.clone()]);
        let text = message(|| {
            let _ = y.backward();
        });
        assert_eq!(text, "the reason");
        let f = |x: Var| Returns(|_| panic!("the reason")).call([x]).sum();
        let text = message(|| {
            let _ = grad(f, x.clone().inner());
        });
        assert_eq!(text, "the reason");
        // What comes after is not harmed.
        assert_eq!(pulled(&x, cube().apply([x.clone()]), &[2.0]).unwrap(), [6.0]);
        assert_eq!(numbers(grad(|x: Var| cube().call([x]).sum(), x.inner())), [3.0]);
    }
}

#[test]
fn a_long_chain_is_differentiated_and_freed_without_recursion() {
    let half = custom(|_, [x]| [x * 0.5], |_, [g]| [Some(g * 0.5)]);
    let device = cpu().remove(0);
    let x = vector(&[3.0], &device);
    // 2⁻¹ and 2 in turn, 150 000 operations.
    let chain = |x: Var| (0..75_000).fold(x, |y, _| half.call([y]) * 2.0);
    assert_eq!(numbers(grad(|x: Var| chain(x).sum() * 5.0, x.clone())), [5.0]);
    drop(chain(Var::leaf(x)));
    // On Burn's graph.
    let x = leaf(&[3.0], &device.autodiff());
    let y = (0..2_000).fold(x.clone(), |y, _| half.apply([y]) * 2.0);
    assert_eq!(pulled(&x, y, &[5.0]).unwrap(), [5.0]);
}

#[test]
fn a_gradient_is_taken_again_and_again_from_one_computation() {
    let recip = custom(
        |ctx, [x]| {
            let y = x.recip();
            ctx.save([&y]);
            [y]
        },
        |ctx, [g]| {
            let [y] = ctx.tensors();
            [Some(-(g * y.powi(2)))]
        },
    );
    for device in all() {
        let x = Var::leaf(vector(&[2.0], &device));
        let y = recip.call([x.clone()]);
        for _ in 0..2 {
            let [first] = Gradient::of([&y]).wrt([&x]);
            assert_eq!(numbers(first.detach().into_tensor::<1>()), [-0.25]);
            for _ in 0..2 {
                let [second] = Gradient::of([&first]).wrt([&x]);
                assert_eq!(numbers(second.detach().into_tensor::<1>()), [0.25]);
            }
        }
    }
}

// The rest of the autograd package.

#[test]
fn a_leaf_retains_its_gradient_and_what_is_computed_does_not() {
    for device in autodiff(all()) {
        let x = leaf(&[2.0], &device);
        let y = x.clone() * 3.0;
        let constant = vector(&[1.0], &device);
        let kinds = [&x, &y, &constant].map(|x| (x.is_tracked(), x.is_require_grad()));
        assert_eq!(kinds, [(true, true), (true, false), (false, false)]);
        let grads = y.clone().sum().backward();
        assert_eq!(x.grad(&grads).map(numbers).unwrap(), [3.0]);
        assert!(y.grad(&grads).is_none());
    }
}

#[test]
fn a_variable_names_its_operation_and_operands() {
    for device in all() {
        let x = Var::leaf(vector(&[2.0], &device));
        let constant = Var::from(vector(&[5.0], &device));
        let y = MaybeTimes.call([x.powi(3), constant.clone()]);
        assert_eq!(y.operation(), Some("MaybeTimes"));
        assert_eq!(y.operands(), [Some("powi"), None]);
        assert_eq!(x.powi(3).operands(), [Some("leaf")]);
        assert_eq!(x.operands(), []);
        assert_eq!((constant.operation(), constant.is_recorded()), (None, false));
        assert!(y.is_recorded());
    }
}

#[test]
fn require_grad_is_for_leaves() {
    for device in autodiff(all()) {
        let x = vector(&[2.0], &device);
        assert!(x.clone().require_grad().is_tracked());
        assert!(!x.clone().require_grad().set_require_grad(false).is_tracked());
        let y = x.require_grad() * 2.0;
        // Where PyTorch refuses, this is a detach.
        assert!(!y.clone().set_require_grad(false).is_tracked());
        let text = message(|| {
            let _ = y.require_grad();
        });
        assert_names(&text, &["non leaf"]);
    }
}

#[test]
fn gradients_are_values_that_do_not_accumulate() {
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        let first = (x.clone() * 5.0).sum().backward();
        let second = cube().apply([x.clone()]).sum().backward();
        let (first, second) = (x.grad(&first).unwrap(), x.grad(&second).unwrap());
        assert_eq!(numbers(first.clone()), [5.0, 5.0]);
        assert_eq!(numbers(second.clone()), [12.0, 27.0]);
        assert_eq!(numbers(first + second), [17.0, 32.0]);
    }
}

#[test]
fn a_gradient_has_its_tensors_data_type() {
    for device in autodiff(cpu()) {
        for dtype in [DType::F64, DType::F32] {
            let x: Tensor<1> = tensor([2], &[2.0, -3.0], &device, dtype).require_grad();
            let dx = x.grad(&cube().apply([x.clone()]).sum().backward()).unwrap();
            assert_eq!(dx.dtype(), dtype);
            assert_eq!(numbers(dx), [12.0, 27.0]);
        }
    }
}

#[test]
fn the_gradient_between_two_operations_is_retained() {
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        let (y, retained) = retain_grad(x.clone() * 3.0);
        assert!(retained.get().is_none());
        assert_eq!(pulled(&x, cube().apply([y]), &[1.0, 0.5]).unwrap(), [324.0, 364.5]);
        assert_eq!(numbers(retained.get().unwrap()), [108.0, 121.5]);
        let error = burn_autograd::try_retain_grad(vector(&[1.0], &device)).unwrap_err();
        assert_names(&error.to_string(), &["retain_grad", "untracked"]);
    }
}

#[test]
fn detach_cuts_one_path() {
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        let y = product().apply([x.clone(), x.clone().detach()]);
        assert_eq!(pulled(&x, y, &[1.0, 10.0]).unwrap(), [2.0, -30.0]);
        let f = |x: Var| product().call([x.clone(), x.detach()]).sum();
        let dx = grad(f, x.clone());
        assert_eq!(numbers(dx.clone()), [2.0, -3.0]);
        // Cut on Burn's graph as well: nothing of dx depends on x.
        assert_eq!(pulled(&x, dx + x.clone() * 2.0, &[1.0, 10.0]).unwrap(), [2.0, 20.0]);
    }
}

#[test]
fn what_is_not_recorded_is_constant() {
    for device in all() {
        let x = vector(&[2.0, -3.0], &device);
        let f = |x: Var| {
            let constant = without_recording(|| cube().call([x.clone()]));
            assert!(!constant.is_recorded());
            (constant * x).sum()
        };
        assert_eq!(numbers(grad(f, x.clone())), [8.0, -27.0]);
        // A transform inside records for itself, and its result is constant outside.
        let f = |x: Var| {
            let slope = without_recording(|| {
                let x = x.detach().into_tensor::<1>();
                Var::from(grad(|x: Var| cube().call([x]).sum(), x))
            });
            (slope * x).sum()
        };
        assert_eq!(numbers(grad(f, x)), [12.0, 27.0]);
    }
}

#[test]
fn a_tensor_of_a_plain_device_is_a_constant_that_may_be_saved() {
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        let plain = cube().apply([x.clone().inner()]);
        assert!(!plain.is_autodiff() && !plain.is_tracked());
        let y = product().apply([x.clone(), plain]);
        assert!(y.is_tracked());
        assert_eq!(pulled(&x, y, &[1.0, 10.0]).unwrap(), [8.0, -270.0]);
    }
}

#[test]
fn a_graph_is_consumed_by_its_backward_pass() {
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        let loss = cube().apply([x.clone()]).sum();
        assert_eq!(x.grad(&loss.backward()).map(numbers).unwrap(), [12.0, 27.0]);
        let text = message(|| {
            let _ = loss.backward();
        });
        // Burn's words: `try_backward` knows them, and docs/pytorch.md and docs/10 quote them.
        let words = "Cannot run backward: graph tape has already been consumed at ";
        assert!(text.starts_with(words), "{text}");
        let error = try_backward(&loss).err().unwrap();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Derivative, "try_backward"));
        assert_names(&error.to_string(), &["consumed", "vjp"]);
        // An error leaves nothing behind: what is computed anew has its gradient.
        let again = cube().apply([x.clone()]).sum();
        let found = try_backward(&again).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(x.grad(&found).map(numbers).unwrap(), [12.0, 27.0]);
        let error = try_backward(&vector(&[1.0], &device)).err().unwrap();
        assert_names(&error.to_string(), &["loss", "an untracked one"]);
        // The strict form.
        let error = gradients(loss, x.clone()).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Derivative, "loss"));
        assert_names(&error.to_string(), &["consumed", "vjp"]);
        let y = cube().apply([x.clone()]);
        let error = gradients(y.clone(), x.clone()).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Shape, "loss"));
        let error = gradients(vector(&[1.0], &device), x.clone()).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Derivative, "loss"));
        let unused = leaf(&[1.0], &device);
        let inputs = (x.clone(), unused);
        let error = gradients(y.sum(), inputs).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Derivative, "inputs[1]"));
        let error = gradients(x.clone().sum(), x * 2.0).unwrap_err();
        assert_names(&error.to_string(), &["inputs[0]", "require_grad"]);
    }
}

#[test]
fn gradients_are_taken_between_any_two_places() {
    for device in all() {
        let x = Var::leaf(vector(&[2.0, -3.0], &device));
        let unused = Var::leaf(vector(&[1.0], &device));
        let y = cube().call([x.clone()]);
        let z = &y * &y;
        let w = Var::from(vector(&[1.0, 0.5], &device));
        let [dy, dx] = Gradient::of([&z]).cotangents([&w]).wrt([&y, &x]);
        // 2y and 6x⁵.
        assert_eq!(numbers(dy.detach().into_tensor::<1>()), [16.0, -27.0]);
        assert_eq!(numbers(dx.detach().into_tensor::<1>()), [192.0, -729.0]);
        // Outputs together: z and y.
        let [dx] = Gradient::of([&z, &y]).cotangents([&w, &w]).wrt([&x]);
        assert_eq!(numbers(dx.detach().into_tensor::<1>()), [204.0, -715.5]);

        let of = || Gradient::of([&z]).cotangents([&w]);
        let [none] = of().wrt_optional([&unused]).unwrap();
        assert!(none.is_none());
        let [zero] = of().wrt([&unused]);
        assert_eq!(numbers(zero.detach().into_tensor::<1>()), [0.0]);
        let error = of().strict().try_wrt([&x, &unused]).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Derivative, "inputs[1]"));
        let error = of().try_wrt([&w]).unwrap_err();
        assert_names(&error.to_string(), &["inputs[0]", "a constant"]);
        let error = Gradient::of([&z]).try_wrt([&x]).unwrap_err();
        assert_names(&error.to_string(), &["outputs[0]", "one element", "[2]"]);
        let error = Gradient::of([&z]).cotangents([&unused]).try_wrt([&x]).unwrap_err();
        assert_names(&error.to_string(), &["cotangents[0]", "[2]", "[1]"]);
        assert!(of().constant().wrt([&x]).iter().all(|dx| !dx.is_recorded()));
    }
}

#[test]
fn hooks_see_the_gradient_on_its_way_and_replace_it() {
    for device in autodiff(all()) {
        let log = Arc::new(Mutex::new(Vec::new()));
        let scale = |name: &'static str, factor: f64| {
            let log = log.clone();
            move |grad: Tensor<1>| {
                log.lock().unwrap().push((name, numbers(grad.clone())));
                grad.mul_scalar(factor)
            }
        };
        let x = leaf(&[2.0], &device);
        let y = with_hook(x.clone() * 3.0, scale("first", 10.0));
        let y = with_hook(y, scale("second", 7.0));
        assert_eq!(pulled(&x, y, &[2.0]).unwrap(), [420.0]);
        // The gradient comes from the end.
        let seen = std::mem::take(&mut *log.lock().unwrap());
        assert_eq!(seen, [("second", vec![2.0]), ("first", vec![14.0])]);

        let error = burn_autograd::try_with_hook(vector(&[1.0], &device), |g| g).unwrap_err();
        assert_names(&error.to_string(), &["hook", "untracked"]);
        let y = with_hook(leaf(&[1.0, 2.0], &device), |g| g.slice(0..1));
        let text = message(|| {
            let _ = y.sum().backward();
        });
        assert_names(&text, &["hook at ", "pytorch.rs", "[2]", "[1]"]);
    }
}

#[test]
fn a_leaf_is_updated_after_the_backward_pass() {
    for device in autodiff(all()) {
        let mut x = leaf(&[2.0, -4.0], &device);
        for _ in 0..2 {
            let mut grads = x.clone().square().sum().backward();
            let dx = x.grad_remove(&mut grads).unwrap();
            assert!(x.grad(&grads).is_none());
            // x − 2x⁄4.
            x = (x.inner() - dx * 0.25).autodiff().require_grad();
        }
        assert_eq!(numbers(x), [0.5, -1.0]);
    }
}

#[test]
fn hooks_around_a_function_see_what_enters_and_leaves_its_backward() {
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        let (input, left) = retain_grad(x.clone() * 1.0);
        let (output, entered) = retain_grad(cube().apply([input]));
        let _ = pulled(&x, output * 4.0, &[1.0, 0.5]);
        assert_eq!(numbers(entered.get().unwrap()), [4.0, 2.0]);
        assert_eq!(numbers(left.get().unwrap()), [48.0, 54.0]);
    }
}

/// Hands on two tensors, and sees both gradients at once.
#[derive(Debug, Clone)]
struct Both(Arc<Mutex<Vec<[bool; 2]>>>);

impl Function<2, 2> for Both {
    fn forward(&self, _: &mut Context, inputs: [Var; 2]) -> [Var; 2] {
        inputs
    }
    fn backward(&self, _: Saved, [a, b]: [Var; 2]) -> [Option<Var>; 2] {
        // Something that takes both: scale by the larger of the two norms.
        let norm = a.powi(2).sum().maximum(&b.powi(2).sum()).sqrt();
        [Some(&a / &norm), Some(&b / &norm)]
    }
    fn backward_partial(&self, ctx: Saved, grads: [Option<Var>; 2]) -> [Option<Var>; 2] {
        self.0.lock().unwrap().push(grads.each_ref().map(Option::is_some));
        let grads = ctx.or_zeros(grads);
        self.backward(ctx, grads)
    }
}

#[test]
fn a_function_sees_the_gradients_of_several_tensors_together() {
    for device in autodiff(all()) {
        let both = Both(Arc::default());
        let (x, y) = (leaf(&[1.0, 1.0], &device), leaf(&[1.0], &device));
        let (a, b): (Tensor<1>, Tensor<1>) = both.apply_all((x.clone(), y.clone()));
        // Gradients (3, 4) and 2: the norms are 5 and 2.
        let loss = (a * vector(&[3.0, 4.0], &device)).sum() + b * 2.0;
        let grads = loss.backward();
        let found = [x.grad(&grads), y.grad(&grads)].map(|grad| numbers(grad.unwrap())).concat();
        assert_abs_diff_eq!(found[..], [0.6, 0.8, 0.4][..], epsilon = 1e-6);
        assert_eq!(*both.0.lock().unwrap(), [[true, true]]);
    }
}

/// 3x, which counts how often it runs.
#[derive(Debug, Clone)]
struct Triple(Arc<AtomicUsize>);

impl Function<1> for Triple {
    fn recomputes(&self) -> bool {
        true
    }
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        self.0.fetch_add(1, Ordering::Relaxed);
        [x * 3.0]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        [Some(g * 3.0)]
    }
}

#[test]
fn a_saved_input_is_computed_again_instead_of_held() {
    for device in all() {
        for (device, runs) in
            [(device.clone().autodiff(), 1), (device.autodiff().gradient_checkpointing(), 2)]
        {
            let triple = Triple(Arc::default());
            let x = leaf(&[2.0, -1.0], &device);
            // (3x)³ saves 3x.
            let y = cube().apply([triple.apply([x.clone()])]);
            assert_eq!(pulled(&x, y, &[1.0, 10.0]).unwrap(), [324.0, 810.0]);
            assert_eq!(triple.0.load(Ordering::Relaxed), runs, "{device:?}");
        }
    }
}

#[test]
fn the_first_gradient_that_is_not_finite_is_blamed_on_its_operation() {
    // A shader compiler may assume that there are no infinities: not on wgpu.
    for device in autodiff(cpu()) {
        let _mode = AnomalyMode::enable();
        let x = leaf(&[2.0], &device);
        let y = Returns(|g| Some(&g / (&g - &g))).apply([x.clone() * 3.0]);
        let text = message(|| {
            let _ = (y * 5.0).sum().backward();
        });
        assert_names(&text, &["Returns", "gradient of input 0", "pytorch.rs", "NaN or infinity"]);
        // The same in a transform.
        let f = |x: Var| (x.powi(2) * 0.0).sqrt().sum();
        let error = Transform::new().grad(f, x.clone().inner()).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Derivative, "sqrt"));
        // Burn's own operations lie between two points.
        let y = watch((watch(x) * 0.0).sqrt());
        let text = message(|| {
            let _ = y.sum().backward();
        });
        assert_names(&text, &["watch", "pytorch.rs"]);
    }
}

#[test]
fn products_with_jacobian_and_hessian_have_their_closed_forms() {
    for device in all() {
        // f(x, y) = Σ x³·y with ∂x = 3x²y, ∂y = x³; ∂x∂x = 6xy, ∂x∂y = 3x².
        let x = vector(&[2.0, -1.0], &device);
        let y = vector(&[5.0, 4.0], &device);
        let f = |(x, y): (Var, Var)| product().call([cube().call([x]), y]);
        let sum = |inputs: (Var, Var)| f(inputs).sum();
        let at = || (x.clone(), y.clone());
        let (v, w) = (vector(&[1.0, 10.0], &device), vector(&[-1.0, 0.5], &device));

        let (value, pullback): (Tensor<1>, _) = vjp(f, at());
        assert_eq!(numbers(value), [40.0, -4.0]);
        let (dx, dy) = pullback.apply(v.clone());
        assert_eq!((numbers(dx), numbers(dy)), (vec![60.0, 120.0], vec![8.0, -10.0]));
        let (_, pushed): (Tensor<1>, Tensor<1>) = jvp(f, at(), (v.clone(), w.clone()));
        assert_eq!(numbers(pushed), [52.0, 119.5]);
        let rows = jacobian(f, at()).matrix();
        assert_eq!(numbers(rows), [60.0, 0.0, 8.0, 0.0, 0.0, 12.0, 0.0, -1.0]);
        let second = hessian(sum, at()).matrix();
        #[rustfmt::skip]
        let expected = [
            60.0, 0.0, 12.0, 0.0,
            0.0, -24.0, 0.0, 3.0,
            12.0, 0.0, 0.0, 0.0,
            0.0, 3.0, 0.0, 0.0,
        ];
        assert_eq!(numbers(second), expected);
        let (hx, hy) = hvp(sum, at(), (v, w));
        assert_eq!((numbers(hx), numbers(hy)), (vec![48.0, -238.5], vec![12.0, 30.0]));

        // Zeros where nothing depends, or an error.
        let first = |(x, _): (Var, Var)| cube().call([x]);
        let zeros = jacobian(first, at()).block(0, 1).to_data();
        assert!(zeros.iter::<f64>().all(|zero| zero == 0.0));
        let error = Transform::new().strict().jacobian(first, at()).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (ErrorKind::Derivative, "inputs[1]"));
    }
}

#[test]
fn a_closure_chooses_what_is_differentiated_and_hands_out_more() {
    for device in all() {
        let (x, y) = (vector(&[2.0, -1.0], &device), vector(&[5.0, 4.0], &device));
        let mut between = None;
        let loss = |x: Var| {
            let product = cube().call([x]) * Var::from(&y);
            between = Some(product.detach().into_tensor::<1>());
            product.sum()
        };
        let (value, dx) = value_and_grad(loss, x.clone());
        assert_eq!((numbers(value), numbers(dx)), (vec![36.0], vec![60.0, 12.0]));
        assert_eq!(between.map(numbers).unwrap(), [40.0, -4.0]);
        let error = Transform::new().grad(|x: Var| cube().call([x]), x).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shape);
        assert_names(&error.to_string(), &["grad", "one element", "vjp or jacobian", "[2]"]);
    }
}

#[test]
fn transforms_take_tensors_of_different_ranks_together() {
    for device in all() {
        // y = A·x for a matrix and a column; z = Σ x.
        let a: Tensor<2> = tensor([2, 2], &[1.0, 2.0, 3.0, 4.0], &device, DType::F32);
        let x = vector(&[5.0, -6.0], &device);
        let f = |(a, x): (Var, Var)| (a.matmul(&x.reshape([2, 1])), x.sum());
        let ((y, z), pullback): ((Tensor<2>, Tensor<1>), _) = vjp(f, (a.clone(), x.clone()));
        assert_eq!((numbers(y), numbers(z)), (vec![-7.0, -9.0], vec![-1.0]));
        let u = tensor([2, 1], &[1.0, 10.0], &device, DType::F32);
        let (da, dx) = pullback.apply((u, vector(&[100.0], &device)));
        assert_eq!(numbers(da), [5.0, -6.0, 50.0, -60.0]);
        assert_eq!(numbers(dx), [131.0, 142.0]);
        let tangents = (a.zeros_like(), vector(&[1.0, 0.5], &device));
        let (_, (pushed, sum)): (_, (Tensor<2>, Tensor<1>)) =
            jvp(f, (a.clone(), x.clone()), tangents);
        assert_eq!((numbers(pushed), numbers(sum)), (vec![2.0, 5.0], vec![1.5]));
        let error = Transform::new()
            .jvp::<_, (Tensor<2>, Tensor<1>)>(f, (a.clone(), x), (a, vector(&[1.0; 3], &device)))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shape);
        assert_names(&error.to_string(), &["jvp", "[2]", "[3]"]);
    }
}

#[test]
fn one_pullback_serves_many_cotangents() {
    for device in all() {
        let x = vector(&[2.0, -1.0, 3.0], &device);
        // Each row of the Jacobian of (x₀³·x₁, x₁³·x₂).
        let f = |x: Var| cube().call([x.slice(0..2)]) * x.slice(1..3);
        let (_, pullback): (Tensor<1>, _) = vjp(f, x);
        for (cotangent, row) in [([1.0, 0.0], [-12.0, 8.0, 0.0]), ([0.0, 2.0], [0.0, 18.0, -2.0])] {
            assert_eq!(numbers(pullback.apply(vector(&cotangent, &device))), row);
        }
    }
}

#[test]
fn a_derivative_along_a_direction_of_a_gradient_is_a_second_derivative() {
    for device in all() {
        let (x, v) = (vector(&[2.0, -1.0], &device), vector(&[0.5, 10.0], &device));
        let slope = |x: Var| {
            let y = cube().call([x.clone()]).sum();
            let [slope] = Gradient::of([&y]).wrt([&x]);
            slope
        };
        let (slope, curvature): (Tensor<1>, Tensor<1>) = jvp(slope, x, v);
        // 3x² and 6x·v.
        assert_eq!(numbers(slope), [12.0, 3.0]);
        assert_eq!(numbers(curvature), [6.0, -60.0]);
    }
}

#[test]
fn a_tracked_tensor_is_read_and_copied() {
    for device in autodiff(all()) {
        let x = leaf(&[2.0, -3.0], &device);
        let y = cube().apply([x.clone()]);
        assert_eq!(y.to_data().iter::<f64>().collect::<Vec<_>>(), [8.0, -27.0]);
        // A clone is the same leaf; what is detached is another one.
        let (same, other) = (x.clone(), x.clone().detach().require_grad());
        let loss = (y * other.clone()).sum() + same.clone().sum();
        let grads = loss.backward();
        assert_eq!(same.grad(&grads).map(numbers).unwrap(), [25.0, -80.0]);
        assert_eq!(x.grad(&grads).map(numbers).unwrap(), [25.0, -80.0]);
        assert_eq!(other.grad(&grads).map(numbers).unwrap(), [8.0, -27.0]);
        // A variable does not give its tensor out by accident.
        let text = message(|| {
            let _: Tensor<1> = evaluate(|x: Var| Var::from(x.into_tensor::<1>()) * 2.0, x.clone());
        });
        assert_names(&text, &["into_tensor", "detach"]);
    }
}

// The table itself.

#[test]
fn every_row_has_its_test() {
    let table = include_str!("../../docs/pytorch.md");
    let source = include_str!("pytorch.rs");
    let mut lines = source.lines();
    let mut tests = Vec::new();
    while let Some(line) = lines.next() {
        if line == "#[test]" {
            let name = lines.next().and_then(|line| line.strip_prefix("fn ")).unwrap();
            tests.push(name.split('(').next().unwrap());
        }
    }
    let mut named = vec!["every_row_has_its_test"];
    let mut rows = 0;
    for line in table.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if line.starts_with("|---") || cells[0] == "PyTorch" {
            continue;
        }
        rows += 1;
        assert_eq!(cells.len(), 4, "{line}");
        let test = cells[3].strip_prefix('`').and_then(|cell| cell.strip_suffix('`'));
        let test = test.unwrap_or_else(|| panic!("no test in {line}"));
        assert!(tests.contains(&test), "there is no {test}, of {line}");
        named.push(test);
    }
    assert_eq!(rows, ROWS);
    for test in tests {
        assert!(named.contains(&test), "{test} is in no row");
    }
}

/// How many rows there are, so that none gets lost.
const ROWS: usize = 66;
