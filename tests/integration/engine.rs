//! The engine's contract: which gradients are computed, what a wrong one does, what is saved.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use approx::assert_abs_diff_eq;
use burn::tensor::{DType, Tensor};
use burn_autograd::ErrorKind;
use burn_autograd::prelude::*;

use crate::devices::{all, assert_close, autodiff, cpu, message, numbers, tensor};

/// a·b, which counts the gradients that it computes.
#[derive(Debug, Clone)]
struct CountingProduct(Arc<AtomicUsize>);

impl Function<2> for CountingProduct {
    fn forward(&self, ctx: &mut Context, [a, b]: [Var; 2]) -> [Var; 1] {
        ctx.save([&a, &b]);
        [a * b]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 2] {
        let [a, b] = ctx.tensors();
        let compute = |needed: bool, factor: Var| {
            needed.then(|| {
                self.0.fetch_add(1, Ordering::Relaxed);
                &g * factor
            })
        };
        [compute(ctx.needs(0), b), compute(ctx.needs(1), a)]
    }
}

#[test]
fn only_needed_gradients_are_computed_for_every_subset() {
    for device in autodiff(all()) {
        for (track_a, track_b) in [(true, true), (true, false), (false, true)] {
            let count = Arc::new(AtomicUsize::new(0));
            let leaf = |data: &[f64], tracked: bool| {
                let leaf: Tensor<1> = tensor([2], data, &device, DType::F32);
                if tracked { leaf.require_grad() } else { leaf }
            };
            let a = leaf(&[2.0, 3.0], track_a);
            let b = leaf(&[5.0, 7.0], track_b);
            let y = CountingProduct(count.clone()).apply([a.clone(), b.clone()]);
            let grads = (y * tensor([2], &[1.0, -1.0], &device, DType::F32)).sum().backward();
            assert_eq!(a.grad(&grads).map(numbers), track_a.then(|| vec![5.0, -7.0]));
            assert_eq!(b.grad(&grads).map(numbers), track_b.then(|| vec![2.0, -3.0]));
            let wanted = usize::from(track_a) + usize::from(track_b);
            assert_eq!(count.load(Ordering::Relaxed), wanted, "{device:?}");
        }
    }
}

#[test]
fn the_same_tensor_twice_and_deep_chains_add_up() {
    for device in autodiff(all()) {
        let x = tensor([2], &[1.5, -2.0], &device, DType::F32).require_grad();
        let product = CountingProduct(Arc::default());
        let square = product.apply([x.clone(), x.clone()]);
        // x² · x = x³, with derivative 3x².
        let cube = product.apply([square, x.clone()]);
        let dx = x.grad(&cube.sum().backward()).unwrap();
        assert_eq!(numbers(dx), [6.75, 12.0], "{device:?}");
    }
}

/// 3x, which can be recomputed instead of kept.
#[derive(Debug, Clone)]
struct Recomputed(Arc<AtomicUsize>);

impl Function<1> for Recomputed {
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
fn a_recomputing_function_runs_again_only_under_checkpointing() {
    for device in all() {
        for (device, runs) in
            [(device.clone().autodiff(), 1), (device.autodiff().gradient_checkpointing(), 2)]
        {
            let count = Arc::new(AtomicUsize::new(0));
            let x = tensor([1], &[2.0], &device, DType::F32).require_grad();
            let y = Recomputed(count.clone()).apply([x.clone()]);
            // (3x)² asks for its input, 3x, in the backward pass.
            let z = CountingProduct(Arc::default()).apply([y.clone(), y]);
            assert_eq!(numbers(x.grad(&z.sum().backward()).unwrap()), [36.0]);
            assert_eq!(count.load(Ordering::Relaxed), runs, "{device:?}");
        }
    }
}

/// What a broken function's backward gives.
#[derive(Debug, Clone, Copy)]
enum Broken {
    Shape,
    DType,
    Nothing,
    SavedCount,
}

impl Function<1> for Broken {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        ctx.save([&x]);
        [x * 2.0]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        match self {
            Self::Shape => [Some(g.sum())],
            Self::DType => [Some(g.into_tensor::<1>().cast(DType::F32).into())],
            Self::Nothing => [None],
            Self::SavedCount => {
                let [x, _] = ctx.tensors();
                [Some(x)]
            }
        }
    }
}

#[test]
fn a_broken_backward_is_refused_by_name() {
    for device in autodiff(cpu()) {
        let x: Tensor<1> = tensor([2], &[1.0, 2.0], &device, DType::F64).require_grad();
        let run = |function: Broken| {
            message(|| {
                let _ = function.apply([x.clone()]).sum().backward();
            })
        };
        assert_eq!(
            run(Broken::Shape),
            "Broken: argument `gradient of input 0`: expected the input's shape [2], got [1]"
        );
        assert_eq!(
            run(Broken::DType),
            "Broken: argument `gradient of input 0`: expected the input's data type F64, got F32"
        );
        assert_eq!(
            run(Broken::SavedCount),
            "Broken: the backward asks for 2 saved tensors, the forward saved 1"
        );
        // The graph of another computation is not harmed.
        let y: Tensor<1> = tensor([1], &[3.0], &device, DType::F64).require_grad();
        let dy = y.grad(&y.clone().square().sum().backward()).unwrap();
        assert_eq!(numbers(dy), [6.0]);
    }
}

/// x², which keeps its input twice.
#[derive(Debug, Clone)]
struct KeptTwice;

impl Function<1> for KeptTwice {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        ctx.save([&x, &x]);
        [x.powi(2)]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [x, again] = ctx.tensors();
        [Some(g * (x + again))]
    }
}

/// Burn's checkpointer gives a tensor as often as it was told of it, and then panics without a word.
#[test]
fn an_input_may_be_kept_twice() {
    for device in autodiff(cpu()) {
        let x: Tensor<1> = tensor([2], &[0.5, -2.0], &device, DType::F64).require_grad();
        // A leaf, and a tensor that Burn may compute again.
        let loss = (KeptTwice.apply([x.clone()]) + KeptTwice.apply([x.clone().exp()])).sum();
        let dx = numbers(x.grad(&loss.backward()).unwrap());
        for (dx, x) in dx.iter().zip([0.5, -2.0f64]) {
            // Some roundings of a number below 7; a wrong term is off by far more.
            assert_abs_diff_eq!(*dx, 2.0 * x + 2.0 * (2.0 * x).exp(), epsilon = 1e-12);
        }
    }
}

#[test]
fn none_is_no_gradient_for_a_leaf_and_zero_for_what_comes_before() {
    for device in autodiff(all()) {
        let x: Tensor<1> = tensor([2], &[1.0, 2.0], &device, DType::F32).require_grad();
        let grads = Broken::Nothing.apply([x.clone()]).sum().backward();
        assert!(x.grad(&grads).is_none());
        // Between two operations Burn needs a gradient to pass on.
        let grads = Broken::Nothing.apply([x.clone() * 3.0]).sum().backward();
        assert_eq!(x.grad(&grads).map(numbers), Some(vec![0.0, 0.0]));
    }
}

/// a·b, which keeps of each factor only what the other one's gradient needs.
#[derive(Debug, Clone)]
struct ByNeed;

impl Function<2> for ByNeed {
    fn forward(&self, ctx: &mut Context, [a, b]: [Var; 2]) -> [Var; 1] {
        // An intermediate, so that a second run has to keep the same.
        let shifted = &b + 0.0;
        ctx.save_optional([ctx.needs(0).then_some(&shifted), ctx.needs(1).then_some(&a)]);
        [a * shifted]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 2] {
        let needs = [ctx.needs(0), ctx.needs(1)];
        let [b, a] = ctx.optional_tensors();
        [b.filter(|_| needs[0]).map(|b| &g * b), a.filter(|_| needs[1]).map(|a| g * a)]
    }
}

/// What was kept for a gradient that a pass does not want is not mistaken for another.
#[test]
fn what_is_kept_may_depend_on_what_is_needed() {
    for device in autodiff(all()) {
        let plain = |x: f64| tensor::<1>([1], &[x], &device, DType::F32);
        let (a, b) = (plain(2.0), plain(5.0));
        let product = |a: Var, b: Var| ByNeed.call([a, b]);

        // Burn tracks one factor, the tape the other.
        let tracked = b.clone().require_grad();
        let da = grad(|a: Var| product(a, Var::from(&tracked)), a.clone());
        assert_eq!(numbers(da.clone()), [5.0], "{device:?}");
        assert_eq!(numbers(tracked.grad(&(da * 3.0).backward()).unwrap()), [3.0]);
        let db = grad(|b: Var| product(Var::from(&a.clone().require_grad()), b), b.clone());
        assert_eq!(numbers(db), [2.0]);

        // Both are on the tape, and one is asked for.
        let (x, y) = (Var::leaf(&a), Var::leaf(&b));
        let z = product(x.clone(), y.clone());
        let [dx] = Gradient::of([&z]).wrt([&x]);
        let [dy] = Gradient::of([&z]).wrt([&y]);
        let read = |var: &Var| var.to_data().iter::<f64>().collect::<Vec<_>>();
        assert_eq!((read(&dx), read(&dy)), (vec![5.0], vec![2.0]));
        let [dxdy] = Gradient::of([&dx]).wrt([&y]);
        assert_eq!(read(&dxdy), [1.0]);
        let second = hessian(|a: Var| product(&a * 1.0, a), a.clone()).matrix();
        assert_eq!(numbers(second), [2.0]);
    }
}

/// x⁴, whose backward differentiates x³ on the tape: 4x³ = x·3x² + x³.
#[derive(Debug, Clone)]
struct Inside {
    in_forward: bool,
}

impl Function<1> for Inside {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        ctx.save([&x]);
        if self.in_forward {
            let leaf = Var::leaf(x.detach());
            let [cube] = Gradient::of([&(leaf.powi(4) * 0.25)]).cotangents([&x]).wrt([&leaf]);
            return [cube.constant()];
        }
        [x.powi(4)]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [x] = ctx.tensors();
        let leaf = Var::leaf(x.detach());
        let cube = leaf.powi(3);
        let [slope] = Gradient::of([&cube]).cotangents([&g]).wrt([&leaf]);
        [Some(x * slope.constant() + g * cube.constant())]
    }
}

#[test]
fn bodies_may_differentiate_on_a_tape_of_their_own() {
    for device in autodiff(all()) {
        for in_forward in [false, true] {
            let x: Tensor<1> = tensor([1], &[2.0], &device, DType::F32).require_grad();
            let function = Inside { in_forward };
            let y = function.apply([x.clone()]);
            assert_eq!(numbers(y.clone()), [16.0]);
            assert_eq!(numbers(x.grad(&y.backward()).unwrap()), [32.0], "{device:?}");
            let plain = x.inner();
            assert_eq!(numbers(grad(|x: Var| function.call([x]), plain.clone())), [32.0]);
        }
    }
    // Where nothing is recorded there is nothing to differentiate; it is not zero.
    let leaf = Var::leaf(tensor::<1>([1], &[2.0], &cpu()[0], DType::F64));
    let error = burn_autograd::without_recording(|| {
        Gradient::of([&leaf.powi(2)]).try_wrt([&leaf]).unwrap_err()
    });
    assert!(error.to_string().contains("without_recording"), "{error}");
}

/// A variable that a body captured would be a constant to the derivative.
#[derive(Debug, Clone)]
struct Captures(Var, bool);

impl Function<1> for Captures {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [if self.1 { x * &self.0 } else { x * 2.0 }]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        [Some(g * &self.0)]
    }
}

#[test]
fn a_captured_variable_is_refused_by_name() {
    for device in autodiff(all()) {
        let x: Tensor<1> = tensor([1], &[2.0], &device, DType::F32);
        let leaf = Var::leaf(&x);
        for (in_forward, part) in [(true, "forward"), (false, "backward")] {
            let function = Captures(leaf.clone(), in_forward);
            let text = message(|| {
                let _ = grad(|x: Var| function.call([x]), x.clone());
            });
            assert!(text.contains("Captures") && text.contains(part), "{text}");
            let tracked = x.clone().require_grad();
            let text = message(|| drop(function.apply([tracked.clone()]).backward()));
            assert!(text.contains("Captures") && text.contains("arguments alone"), "{text}");
        }
    }
}

/// A tracked tensor among the fields, where the inputs are plain.
#[derive(Debug, Clone)]
struct Scaled(Tensor<1>);

impl Function<1> for Scaled {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x * Var::from(&self.0)]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        [Some(g * Var::from(&self.0))]
    }
}

#[test]
fn a_tracked_field_is_refused_for_plain_inputs_too() {
    for device in all() {
        let x: Tensor<1> = tensor([1], &[2.0], &device, DType::F32);
        let w: Tensor<1> = tensor([1], &[3.0], &device.autodiff(), DType::F32).require_grad();
        let error = Scaled(w).try_apply::<_, Tensor<1>>(x).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Contract, "Scaled"), "{error}");
    }
}

#[test]
fn a_detached_leaf_is_a_constant() {
    for device in autodiff(all()) {
        let x: Tensor<1> = tensor([1], &[3.0], &device, DType::F32).require_grad();
        let detached = Var::from(&x).detach().into_tensor::<1>();
        assert!(!detached.is_tracked(), "{device:?}");
        // d(x·c)⁄dx with c = x held constant.
        let y = x.clone() * detached;
        assert_eq!(numbers(x.grad(&y.backward()).unwrap()), [3.0]);
    }
}

#[test]
fn vectors_that_do_not_fit_are_named_as_what_they_are() {
    let device = &cpu()[0];
    let new = |count: usize| tensor::<1>([count], &vec![1.0; count], device, DType::F64);
    let transform = burn_autograd::Transform::new;
    let error = transform()
        .jvp::<Tensor<1>, Tensor<1>>(|x: Var| x.powi(2), new(2), new(3))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("jvp: argument `tangents[0]`: expected the input's shape [2]"),
        "{error}"
    );
    let error = transform().hvp(|x: Var| x.powi(2).sum(), new(2), new(3)).unwrap_err().to_string();
    assert!(
        error.starts_with("hvp: argument `vectors[0]`: expected the input's shape [2]"),
        "{error}"
    );
    let (_, pullback): (Tensor<1>, _) = vjp(|x: Var| x.powi(2), new(2));
    let error = pullback.try_apply(new(3)).unwrap_err().to_string();
    assert!(
        error.starts_with("vjp: argument `cotangents[0]`: expected the output's shape"),
        "{error}"
    );
}

/// x times a mask that is drawn anew in every forward, and kept.
#[derive(Debug, Clone)]
struct Dropout(Arc<AtomicUsize>);

impl Function<1> for Dropout {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        // As good as random: another value in every run.
        let mask = x.full(x.shape(), 1.0 + self.0.fetch_add(1, Ordering::Relaxed) as f64);
        ctx.save([&mask]);
        [x.powi(2) * mask]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [mask] = ctx.tensors();
        // Wrong but for x = 1, where it is asked: what counts is which mask it finds.
        [Some(g * (mask * 2.0))]
    }
}

#[test]
fn a_kept_value_that_does_not_depend_on_the_inputs_stays_what_it_was() {
    for device in autodiff(all()) {
        for tracked in [false, true] {
            let x: Tensor<1> = tensor([1], &[1.0], &device, DType::F32);
            let x = if tracked { x.require_grad() } else { x };
            let dropout = Dropout(Arc::new(AtomicUsize::new(3)));
            let (y, pullback): (Tensor<1>, _) = vjp(|x: Var| dropout.call([x]), x.clone());
            assert_eq!(numbers(y.clone()), [4.0], "{device:?}");
            assert_eq!(numbers(pullback.apply(y.ones_like())), [8.0], "{device:?}, {tracked}");
            // The derivative of what the backward computes, where the forward runs again.
            let leaf = Var::leaf(&x);
            let y = dropout.call([leaf.clone()]);
            let weight = y.to_data().iter::<f64>().next().unwrap();
            let [slope] = Gradient::of([&y]).wrt([&leaf]);
            assert_eq!(slope.to_data().iter::<f64>().next().unwrap(), 2.0 * weight);
        }
    }
}

/// (x², sign of x): the second output has no derivative, and is kept.
#[derive(Debug, Clone)]
struct SquareAndSign(Arc<AtomicUsize>);

impl Function<1, 2> for SquareAndSign {
    fn differentiable(&self, output: usize) -> bool {
        output == 0
    }
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 2] {
        let sign = x.sign();
        ctx.save([&x, &sign]);
        [x.powi(2), sign]
    }
    fn backward(&self, ctx: Saved, grads: [Var; 2]) -> [Option<Var>; 1] {
        self.backward_partial(ctx, grads.map(Some))
    }
    fn backward_partial(&self, ctx: Saved, [g, none]: [Option<Var>; 2]) -> [Option<Var>; 1] {
        self.0.fetch_add(usize::from(none.is_some()), Ordering::Relaxed);
        let [x, sign] = ctx.tensors();
        // 2x, written with the sign: |x|·sign.
        [g.map(|g| g * (x.abs() * sign * 2.0))]
    }
}

#[test]
fn an_output_without_derivative_gets_no_gradient_at_any_order() {
    for device in cpu() {
        let x: Tensor<1> = tensor([2], &[1.5, -2.0], &device, DType::F64);
        let arrived = Arc::new(AtomicUsize::new(0));
        let f = SquareAndSign(arrived.clone());
        let square = |x: Var| {
            let [y, sign] = f.call_all([x]);
            assert!(!sign.is_recorded());
            y * sign
        };
        // x²·s, with derivatives 2x·s and 2s.
        assert_eq!(numbers(nth_derivative(square, x.clone(), 1)), [3.0, 4.0]);
        assert_eq!(numbers(nth_derivative(square, x.clone(), 2)), [2.0, -2.0]);
        assert_eq!(arrived.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn a_transform_within_a_differentiated_function_refuses_what_it_would_lose() {
    for device in cpu() {
        let x: Tensor<1> = tensor([1], &[3.0], &device, DType::F64);
        let one = x.ones_like();
        let lost = |x: Var| {
            let inner: Tensor<1> = grad(|y: Var| (y.powi(2) * &x).sum(), one.clone());
            Var::from(inner)
        };
        let text = message(|| {
            let _ = grad(lost, x.clone());
        });
        assert!(
            text.contains("another variable") && text.contains("`Var`s as arguments"),
            "{text}"
        );
        // As a constant it may enter; and Gradient loses nothing: d(2y·x)⁄dx = 2.
        let held = |x: Var| {
            let inner: Tensor<1> = grad(|y: Var| (y.powi(2) * x.constant()).sum(), one.clone());
            Var::from(inner) * x
        };
        assert_eq!(numbers(grad(held, x.clone())), [6.0]);
        let kept = |x: Var| {
            let y = Var::leaf(&one);
            let [inner] = Gradient::of([&(y.powi(2) * x).sum()]).wrt([&y]);
            inner
        };
        assert_eq!(numbers(grad(kept, x.clone())), [2.0]);
    }
}

/// Burn's `backward()` of these: nothing overflows, and the value at 0 is right.
#[test]
fn sigmoid_and_softplus_have_their_derivatives_on_burns_graph() {
    for device in autodiff(all()) {
        let data = [-200.0, -90.0, 0.0, 90.0];
        let x: Tensor<1> = tensor([4], &data, &device, DType::F32).require_grad();
        let through = |f: fn(Var) -> Var| {
            let y: Tensor<1> = evaluate(f, x.clone());
            numbers(x.grad(&y.sum().backward()).unwrap())
        };
        let close = |found: Vec<f64>, expected: [f64; 4]| {
            assert_close(&format!("{device:?}"), &found, &expected, 1e-6);
        };
        close(through(|x| x.sigmoid()), [0.0, 0.0, 0.25, 0.0]);
        close(through(|x| x.softplus()), [0.0, 0.0, 0.5, 1.0]);
        // The second derivative of softplus is that of σ.
        let slope = grad(|x: Var| x.softplus().sum(), x.clone());
        close(numbers(x.grad(&slope.sum().backward()).unwrap()), [0.0, 0.0, 0.25, 0.0]);
    }
}

#[test]
fn powers_maxima_and_constant_gradients() {
    for device in cpu() {
        let new = |data: &[f64]| tensor::<1>([data.len()], data, &device, DType::F64);
        let read = |var: &Var| var.to_data().iter::<f64>().collect::<Vec<_>>();
        // (−2)³ = −8 with derivative 12; 0² = 0 with derivative 0; ∂2³⁄∂3 = 8·ln 2, and 0 at 0.
        let (x, y) = (Var::leaf(new(&[-2.0, 0.0, 2.0])), new(&[3.0, 2.0, 3.0]));
        let power = x.pow(&Var::from(&y));
        assert_eq!(read(&power), [-8.0, 0.0, 8.0]);
        let [dx] = Gradient::of([&power.sum()]).wrt([&x]);
        assert_eq!(read(&dx), [12.0, 0.0, 12.0]);
        let exponent = Var::leaf(&y);
        let [dy] = Gradient::of([&x.detach().pow(&exponent).slice(1..3).sum()]).wrt([&exponent]);
        let found = read(&dy);
        assert_eq!(found[1], 0.0);
        // Eleven units in the last place, for a power, a logarithm and a product.
        assert_abs_diff_eq!(found[2], 8.0 * 2f64.ln(), epsilon = 1e-14);

        let nan = Var::from(new(&[f64::NAN]));
        let one = Var::from(new(&[1.0]));
        for found in [nan.maximum(&one), one.maximum(&nan), nan.minimum(&one), one.minimum(&nan)] {
            assert!(read(&found)[0].is_nan());
        }

        // A constant gradient has no place on the tape, also where it is the cotangent itself.
        let (a, weight) = (Var::leaf(new(&[1.0])), Var::leaf(new(&[5.0])));
        let sum = &a + 2.0;
        let [da] = Gradient::of([&sum]).cotangents([&weight]).constant().wrt([&a]);
        assert!(!da.is_recorded());
        assert_eq!(numbers(da.into_tensor::<1>()), [5.0]);
        // As many as there are at run time.
        let parameters = [a.clone(), weight.clone(), Var::leaf(new(&[9.0]))];
        let all: Vec<&Var> = parameters.iter().collect();
        let found = Gradient::of([&(a * weight)]).wrt_all(&all).unwrap();
        let found: Vec<_> = found.iter().map(|grad| grad.as_ref().map(read)).collect();
        assert_eq!(found, [Some(vec![5.0]), Some(vec![1.0]), None]);
    }
}
