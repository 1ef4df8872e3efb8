//! The tape and its bridge to Burn's graph: how often a body runs, what it is asked for, what is held;
//! transforms of transforms; where errors point.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use burn::tensor::{DType, Device, Tensor};
use burn_autograd::prelude::*;
use burn_autograd::{ErrorKind, Mode, Transform, without_recording};

use crate::devices::{all, assert_close, autodiff, cpu, numbers, tensor};

/// x³ by a saved intermediate. Counts what it does.
#[derive(Debug, Clone, Default)]
struct Cube {
    forwards: Arc<AtomicUsize>,
    backwards: Arc<AtomicUsize>,
}

impl Function<1> for Cube {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        self.forwards.fetch_add(1, Ordering::Relaxed);
        let square = x.square();
        ctx.save([&square]);
        [square * x]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        self.backwards.fetch_add(1, Ordering::Relaxed);
        let [square] = ctx.tensors();
        [Some(g * 3.0 * square)]
    }
}

impl Cube {
    fn counts(&self) -> [usize; 2] {
        [&self.forwards, &self.backwards].map(|count| count.swap(0, Ordering::Relaxed))
    }
}

#[test]
fn a_saved_intermediate_costs_one_more_run_and_only_for_second_derivatives() {
    for device in autodiff(all()) {
        let cube = Cube::default();
        let x = tensor([2], &[0.5, -2.0], &device, DType::F32).require_grad();
        // A loss with first derivatives alone, of what Burn tracks.
        let y: Tensor<1> = evaluate(|x: Var| cube.call([x]).sum(), x.clone());
        assert_eq!(cube.counts(), [1, 0], "{device:?}");
        let dx = x.grad(&y.backward()).unwrap();
        assert_eq!(numbers(dx), [0.75, 12.0], "{device:?}");
        assert_eq!(cube.counts(), [0, 1], "the bridge computes constants: {device:?}");
        // Σ (3x²)²: the derivative is 36x³, through three sweeps.
        let y: Tensor<1> = evaluate(
            |x: Var| {
                let y = cube.call([x.clone()]).sum();
                let [first] = Gradient::of([&y]).wrt([&x]);
                let [again] = Gradient::of([&y]).wrt([&x]);
                (first * again).sum()
            },
            x.clone(),
        );
        assert_eq!(cube.counts(), [2, 2], "{device:?}");
        let dx = x.grad(&y.backward()).unwrap();
        assert_close(&format!("{device:?}"), &numbers(dx), &[4.5, -288.0], 1e-3);
        assert_eq!(cube.counts()[0], 0, "{device:?}");
    }
}

/// w·x, which notes the gradients that each pass asks for.
#[derive(Debug, Clone, Default)]
struct Noting(Arc<Mutex<Vec<[bool; 2]>>>);

impl Function<2> for Noting {
    fn forward(&self, ctx: &mut Context, [w, x]: [Var; 2]) -> [Var; 1] {
        ctx.save([&w, &x]);
        [w * x]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 2] {
        assert!(ctx.needed(0) && ctx.needed(1));
        let needs = [ctx.needs(0), ctx.needs(1)];
        self.0.lock().unwrap().push(needs);
        let [w, x] = ctx.tensors();
        [needs[0].then(|| &g * x), needs[1].then(|| &g * w)]
    }
}

#[test]
fn a_pass_asks_for_what_it_wants_and_for_nothing_else() {
    for device in autodiff(all()) {
        let product = Noting::default();
        let w = tensor([2], &[3.0, -1.0], &device, DType::F32).require_grad();
        let x = tensor([2], &[2.0, 5.0], &device, DType::F32);
        let loss: Tensor<1> = evaluate(
            |x: Var| {
                let y = product.call([Var::from(&w), x.clone()]).sum();
                let [dx] = Gradient::of([&y]).wrt([&x]);
                (dx.square()).sum()
            },
            x,
        );
        assert_eq!(*product.0.lock().unwrap(), [[false, true]], "{device:?}");
        assert_eq!(numbers(w.grad(&loss.backward()).unwrap()), [6.0, -2.0], "{device:?}");
    }
}

/// The identity. Its clones tell how many tapes are alive.
#[derive(Debug, Clone, Default)]
struct Probe(Arc<()>);

impl Function<1> for Probe {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x * 1.0]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        [Some(g)]
    }
}

#[test]
fn results_that_are_dropped_hold_nothing_or_a_bounded_number_of_tapes() {
    for device in autodiff(cpu()) {
        let cube = |probe: &Probe, x: Var| probe.call([x]).powi(3).sum();
        // Untracked: nothing.
        let probe = Probe::default();
        let x: Tensor<1> = tensor([1], &[2.0], &device, DType::F32);
        for _ in 0..100 {
            drop(grad(|x: Var| cube(&probe, x), x.clone()));
        }
        assert_eq!(Arc::strong_count(&probe.0), 1, "{device:?}");
        // Tracked, and never a backward pass: the tapes of dropped results are reclaimed. Tests that run
        // beside this one raise the limit; 6,000 is what would be held.
        let x = x.require_grad();
        for _ in 0..3000 {
            drop(grad(|x: Var| cube(&probe, x), x.clone()));
            drop(hvp(|x: Var| cube(&probe, x), x.clone(), x.clone().detach()));
        }
        let held = Arc::strong_count(&probe.0);
        assert!(held < 2000, "{held} tapes on {device:?}");
        // What was kept is as it was.
        let kept = grad(|x: Var| cube(&probe, x), x.clone());
        for _ in 0..200 {
            drop(grad(|x: Var| cube(&probe, x), x.clone()));
        }
        assert_eq!(numbers(x.grad(&kept.sum().backward()).unwrap()), [12.0], "{device:?}");
    }
}

#[test]
fn a_long_chain_on_a_tracked_tensor_needs_no_stack() {
    let run = || {
        let device = cpu().remove(0).autodiff();
        let x = tensor([1], &[1.0], &device, DType::F32).require_grad();
        let chain = |x: Var| (0..20_000).fold(x, |y, _| y + 1e-6);
        drop(grad(chain, x.clone()));
        let y: Tensor<1> = evaluate(chain, x.clone());
        assert_eq!(numbers(x.grad(&y.backward()).unwrap()), [1.0]);
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn any_number_of_tracked_tensors_are_reached() {
    for device in autodiff(cpu()) {
        for count in [1, 7, 8, 9, 63, 64, 65, 600] {
            let leaves: Vec<Tensor<1>> = (0..count)
                .map(|k| tensor([1], &[f64::from(k)], &device, DType::F64).require_grad())
                .collect();
            // One is in the middle of Burn's graph.
            let mut given = leaves.clone();
            given[0] = given[0].clone() * 5.0;
            let sum = |vars: Vec<Var>| {
                let terms = vars.iter().zip(1..).map(|(var, k)| var * f64::from(k));
                let sum = terms.fold(vars[0].zeros_like(), |sum, term| sum + term);
                (sum.clone(), sum * 2.0)
            };
            let (y, twice): (Tensor<1>, Tensor<1>) = evaluate(sum, given);
            let grads = (y + twice).backward();
            for (k, leaf) in (1..).zip(&leaves) {
                let expected = f64::from(3 * k) * if k == 1 { 5.0 } else { 1.0 };
                assert_eq!(numbers(leaf.grad(&grads).unwrap()), [expected], "{k} of {count}");
            }
        }
    }
}

#[test]
fn an_unused_tracked_tensor_has_no_gradient_and_an_unused_result_no_share() {
    for device in autodiff(cpu()) {
        let [a, b, c] =
            [1.0, 2.0, 3.0].map(|x| tensor([1], &[x], &device, DType::F64).require_grad());
        let inner = b.clone() * 2.0;
        let f = |(a, b, c): (Var, Var, Var)| (a.square(), b * c);
        let (y, unused): (Tensor<1>, Tensor<1>) = evaluate(f, (a.clone(), inner, c.clone()));
        assert!(unused.is_tracked());
        let grads = y.backward();
        assert_eq!(numbers(a.grad(&grads).unwrap()), [2.0]);
        assert!(c.grad(&grads).is_none(), "{device:?}");
    }
}

#[test]
fn transforms_compose() {
    for device in cpu().into_iter().chain(autodiff(cpu())) {
        let x: Tensor<1> = tensor([2], &[0.5, -2.0], &device, DType::F64);
        let cube = |x: Var| x.powi(3).sum();
        // grad of grad: Σ 6x is the derivative of Σ 3x².
        let second = grad(|x: Var| grad(cube, x).sum(), x.clone());
        assert_eq!(numbers(second), [3.0, -12.0]);
        // Three deep.
        let third = grad(|x: Var| grad(|x: Var| grad(cube, x).sum(), x).sum(), x.clone());
        assert_eq!(numbers(third), [6.0, 6.0]);
        // jvp of grad is a product with the Hessian.
        let v: Tensor<1> = tensor([2], &[1.0, 10.0], &device, DType::F64);
        let (first, product): (Tensor<1>, Tensor<1>) =
            jvp(|x: Var| grad(cube, x), x.clone(), v.clone());
        assert_eq!(numbers(first), [0.75, 12.0]);
        assert_eq!(numbers(product), [3.0, -120.0]);
        assert_eq!(numbers(hvp(cube, x.clone(), v.clone())), [3.0, -120.0]);
        // hessian of something that uses vjp: Σ (3x²)², with second derivative 108x².
        let pulled = |x: Var| {
            let (_, pullback): (Var, _) = vjp(cube, x.clone());
            pullback.apply(x.full([1], 1.0)).square().sum()
        };
        let expected = [27.0, 0.0, 0.0, 432.0];
        assert_close(
            "hessian of vjp",
            &numbers(hessian(pulled, x.clone()).matrix()),
            &expected,
            1e-12,
        );
        // grad of a jacobian's block, of nth_derivative and of value_and_grad.
        let block = |x: Var| jacobian(|x: Var| x.square(), x).block(0, 0).square().sum();
        assert_eq!(numbers(grad(block, x.clone())), [4.0, -16.0]);
        let nth = |x: Var| nth_derivative(|x: Var| x.powi(4), x, 2).sum();
        assert_eq!(numbers(grad(nth, x.clone())), [12.0, -48.0]);
        let both = |x: Var| {
            let (value, gradient) = value_and_grad(cube, x);
            value + gradient.sum()
        };
        // 3x² + 6x.
        assert_eq!(numbers(grad(both, x)), [3.75, 0.0]);
    }
}

#[test]
fn variables_that_a_function_captures_are_differentiated() {
    for device in cpu().into_iter().chain(autodiff(cpu())) {
        let [x, y] = [2.0, 5.0].map(|x| tensor([1], &[x], &device, DType::F64));
        // d/dy of d/dx of x²y³ is 2x·3y²; the outer variable is captured by the inner function.
        let outer = |(x, y): (Var, Var)| grad(|x: Var| (x.square() * y.powi(3)).sum(), x).sum();
        let (dx, dy) = grad(outer, (x.clone(), y.clone()));
        assert_eq!((numbers(dx), numbers(dy)), (vec![250.0], vec![300.0]));
        // With tensors as arguments the result would have to leave, and the derivative with it.
        let lost = |y: Var| {
            let error =
                Transform::new().grad(|x: Var| (x.square() * &y).sum(), x.clone()).unwrap_err();
            assert_eq!((error.kind(), error.argument()), (ErrorKind::Derivative, "function"));
            y.sum()
        };
        assert_eq!(numbers(grad(lost, y)), [1.0]);
    }
}

#[test]
fn transforms_of_tracked_tensors_reach_them_in_one_step_each() {
    for device in autodiff(all()) {
        let w = tensor([2], &[3.0, -1.0], &device, DType::F32).require_grad();
        let x = tensor([2], &[0.5, 2.0], &device, DType::F32).require_grad();
        let f = |x: Var| (x.powi(3) * Var::from(&w)).sum();
        // The gradient 3x²·w, with derivatives 6x·w and 3x².
        let dx = grad(f, x.clone());
        let grads = dx.sum().backward();
        assert_eq!(numbers(x.grad(&grads).unwrap()), [9.0, -12.0], "{device:?}");
        assert_eq!(numbers(w.grad(&grads).unwrap()), [0.75, 12.0], "{device:?}");
        // A pullback twice, each time with a graph of its own.
        let (_, pullback): (Tensor<1>, _) = vjp(f, x.clone());
        for scale in [1.0, 2.0] {
            let one = tensor([1], &[scale], &device, DType::F32);
            let grads = pullback.apply(one).sum().backward();
            let expected = [9.0, -12.0].map(|x| x * scale);
            assert_eq!(numbers(x.grad(&grads).unwrap()), expected, "{device:?}");
        }
        // A cotangent that is tracked: Jᵀ·u is linear in u.
        let u = tensor([1], &[2.0], &device, DType::F32).require_grad();
        let grads = pullback.apply(u.clone()).sum().backward();
        assert_eq!(numbers(u.grad(&grads).unwrap()), [2.25 - 12.0], "{device:?}");
        // Without recording nothing is tracked.
        let plain = without_recording(|| grad(f, x.clone()));
        assert!(!plain.is_tracked(), "{device:?}");
        assert_eq!(numbers(plain), [2.25, -12.0], "{device:?}");
    }
}

#[test]
fn results_go_back_to_the_device_that_they_came_from() {
    for plain in cpu() {
        let on = |device: &Device| tensor::<1>([1], &[2.0], device, DType::F32);
        for device in [
            plain.clone(),
            plain.clone().autodiff(),
            plain.clone().autodiff().gradient_checkpointing(),
        ] {
            let x = on(&device);
            let dx = grad(|x: Var| x.square().sum(), x.clone());
            assert_eq!(dx.device(), device);
            let y: Tensor<1> = evaluate(|x: Var| x.square(), x);
            assert_eq!(y.device(), device);
            // It computes with other tensors of that device.
            assert_eq!(numbers(y + on(&device)), [6.0]);
        }
    }
}

#[test]
fn a_worker_takes_over_the_mode() {
    let device = cpu().remove(0);
    let x = Var::leaf(tensor::<1>([1], &[2.0], &device, DType::F32));
    let y = without_recording(|| {
        let mode = Mode::current();
        std::thread::scope(|scope| scope.spawn(|| mode.run(|| &x * 2.0)).join().unwrap())
    });
    assert!(!y.is_recorded());
    assert!((&x * 2.0).is_recorded());
}

#[test]
fn chosen_arguments_and_structures() {
    let device = cpu().remove(0);
    let x = |data: &[f64]| tensor::<1>([data.len()], data, &device, DType::F64);
    // Nested tuples, arrays and lists.
    let f = |(a, ([b, c], list)): (Var, ([Var; 2], Vec<Var>))| {
        (a * b + c.square() + &list[0] * &list[1]).sum()
    };
    let at = (x(&[2.0]), ([x(&[3.0]), x(&[5.0])], vec![x(&[7.0]), x(&[11.0])]));
    let (da, ([db, dc], list)) = grad(f, at.clone());
    let found: Vec<f64> = [da, db, dc].into_iter().chain(list).flat_map(numbers).collect();
    assert_eq!(found, [3.0, 2.0, 10.0, 11.0, 7.0]);
    let (da, ([db, _], list)) = Transform::new().argnums([1, 4]).grad(f, at).unwrap();
    let found: Vec<f64> = [da, db].into_iter().chain(list).flat_map(numbers).collect();
    assert_eq!(found, [0.0, 2.0, 0.0, 7.0]);
    // Auxiliary results.
    let f = |x: Var| (x.square().sum(), (x.clone(), x * 2.0));
    let (value, dx, (same, double)): (_, _, (Tensor<1>, Tensor<1>)) =
        value_and_grad_aux(f, x(&[1.0, 2.0]));
    assert_eq!(numbers(value), [5.0]);
    assert_eq!(
        [numbers(dx), numbers(same), numbers(double)].concat(),
        [2.0, 4.0, 1.0, 2.0, 2.0, 4.0]
    );
}

#[test]
fn only_elementwise_functions_have_an_nth_derivative() {
    for device in all() {
        let x = tensor::<1>([3], &[0.1, -0.4, 0.3], &device, DType::F32);
        let error =
            Transform::new().nth_derivative(|x: Var| x.softmax(0), x.clone(), 1).unwrap_err();
        assert!(error.expected().starts_with("an elementwise function"), "{error}");
        let y = nth_derivative(|x: Var| x.sin() * x.exp(), x, 2);
        let expected: Vec<f64> =
            [0.1f64, -0.4, 0.3].iter().map(|x| 2.0 * x.cos() * x.exp()).collect();
        assert_close(&format!("{device:?}"), &numbers(y), &expected, 1e-5);
    }
}

/// Adds its argument's own noise to what it saves.
#[derive(Debug, Clone)]
struct Noisy(f64, Arc<AtomicUsize>);

impl Function<1> for Noisy {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        let run = self.1.fetch_add(1, Ordering::Relaxed) as f64;
        let saved = &x * (1.0 + self.0 * run);
        ctx.save([&saved]);
        [x.square()]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [saved] = ctx.tensors();
        [Some(g * saved * 2.0)]
    }
}

#[test]
fn a_small_noise_in_what_is_saved_is_refused() {
    for device in cpu() {
        let x = tensor::<1>([2], &[0.5, -2.0], &device, DType::F32);
        for (noise, refused) in [(0.0, false), (1e-3, true), (1e-5, true)] {
            let noisy = Noisy(noise, Arc::default());
            let found = Transform::new().hvp(|x: Var| noisy.call([x]).sum(), x.clone(), x.clone());
            assert_eq!(found.is_err(), refused, "{noise} on {device:?}");
        }
    }
}

/// A forward whose shapes do not fit.
#[derive(Debug, Clone)]
struct Misfit;

impl Function<1> for Misfit {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x.reshape([2, 2])]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        [Some(g)]
    }
}

#[test]
fn a_mistake_in_a_body_is_an_error_of_the_try_forms() {
    for device in cpu().into_iter().chain(autodiff(cpu())) {
        let x = tensor::<1>([3], &[1.0, 2.0, 3.0], &device, DType::F32);
        let error = Misfit.try_apply::<_, Tensor<2>>([x.clone()]).unwrap_err();
        assert_eq!(error.operation(), "reshape (in the forward of Misfit)");
        let error = Transform::new().grad(|x: Var| x.reshape([2, 2]).sum(), x.clone()).unwrap_err();
        assert_eq!((error.operation(), error.argument()), ("reshape", "shape"));
        let error = Transform::new().grad(|x: Var| Misfit.call([x]).sum(), x.clone()).unwrap_err();
        assert_eq!(error.operation(), "reshape (in the forward of Misfit)");
        // Nothing is half-done: the next call is as the first.
        assert_eq!(numbers(grad(|x: Var| x.square().sum(), x)), [2.0, 4.0, 6.0]);
    }
}

/// Where a panic comes from.
fn location(run: impl FnOnce()) -> String {
    static LOCATION: Mutex<Option<String>> = Mutex::new(None);
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let thread = std::thread::current().id();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == thread {
            let file = info.location().map(|location| location.file().to_owned());
            *LOCATION.lock().unwrap() = file;
        }
    }));
    let outcome = catch_unwind(AssertUnwindSafe(run));
    std::panic::set_hook(before);
    assert!(outcome.is_err(), "it does not panic");
    LOCATION.lock().unwrap().take().unwrap_or_default()
}

#[test]
fn a_panic_points_at_the_caller() {
    let device = cpu().remove(0);
    let x = || tensor::<1>([3], &[1.0, 2.0, 3.0], &device, DType::F32);
    let wide = || tensor::<1>([3], &[1.0, 2.0, 3.0], &device, DType::F64);
    let var = || Var::from(x());
    type Call<'a> = Box<dyn FnOnce() + 'a>;
    let calls: Vec<(&str, Call<'_>)> = vec![
        ("grad", Box::new(|| drop(grad(|x: Var| x, x())))),
        ("value_and_grad", Box::new(|| drop(value_and_grad(|x: Var| x, x())))),
        ("hessian", Box::new(|| drop(hessian(|x: Var| x, x())))),
        ("hvp", Box::new(|| drop(hvp(|x: Var| x.sum(), x(), wide())))),
        ("nth_derivative", Box::new(|| drop(nth_derivative(|x: Var| x.sum(), x(), 1)))),
        ("evaluate", Box::new(|| drop(evaluate::<_, Tensor<2>>(|x: Var| x, x())))),
        ("apply", Box::new(|| drop(Noting::default().apply([x(), wide()])))),
        ("apply_all", Box::new(|| drop(Misfit.apply_all::<_, Tensor<1>>([x()])))),
        ("wrt", Box::new(|| drop(Gradient::of([&var()]).wrt([&var()])))),
        ("add", Box::new(|| drop(var() + Var::from(wide())))),
        ("matmul", Box::new(|| drop(var().matmul(&var())))),
        ("maximum", Box::new(|| drop(var().maximum(&Var::from(wide()))))),
        ("pow", Box::new(|| drop(var().pow(&Var::from(wide()))))),
        ("greater", Box::new(|| drop(var().greater(&Var::from(wide()))))),
        ("cat", Box::new(|| drop(Var::cat(&[var(), Var::from(wide())], 0)))),
        ("into_tensor", Box::new(|| drop(var().into_tensor::<2>()))),
        ("with_hook", Box::new(|| drop(burn_autograd::with_hook(x(), |g| g)))),
        ("share", Box::new(|| drop(burn_autograd::share(x())))),
    ];
    let wrong: Vec<_> = calls
        .into_iter()
        .map(|(name, call)| (name, location(call)))
        .filter(|(_, file)| {
            // The bodies of functions are of this file, too.
            !file.ends_with("one_tape.rs")
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
