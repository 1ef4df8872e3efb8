//! Hooks, kept gradients, anomaly mode.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use approx::assert_abs_diff_eq;
use burn::tensor::{DType, Device, Tensor};
use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;
use burn_autograd::{
    AnomalyMode, ErrorKind, Transform, hook_time_limit, try_retain_grad, try_with_hook, watch,
};

use crate::devices::{all, autodiff, cpu, message, numbers, tensor};

#[test]
fn a_hook_sees_and_replaces_the_gradient_between_burns_own_operations() {
    for device in autodiff(all()) {
        let x: Tensor<2> = tensor([1, 3], &[1.0, -2.0, 0.5], &device, DType::F32).require_grad();
        let w: Tensor<2> = tensor([1, 3], &[3.0, -1.0, 2.0], &device, DType::F32);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sight = seen.clone();
        let y = with_hook(x.clone() * 2.0, move |grad| {
            sight.lock().unwrap().push(numbers(grad.clone()));
            grad * 10.0
        });
        let dx = x.grad(&(y.powi_scalar(2) * w).sum().backward()).unwrap();
        // d(y²·w)⁄dy = 2yw, with y = 2x; then ten times that, then times 2.
        assert_eq!(*seen.lock().unwrap(), [[12.0, 8.0, 4.0]]);
        assert_eq!(numbers(dx), [240.0, 160.0, 80.0], "{device:?}");
    }
}

#[test]
fn hooks_run_in_the_order_of_the_backward_pass_once_for_the_whole_gradient() {
    for device in autodiff(cpu()) {
        let x: Tensor<1> = tensor([1], &[3.0], &device, DType::F64).require_grad();
        let order = Arc::new(Mutex::new(Vec::new()));
        let log = |name: &'static str| {
            let order = order.clone();
            move |grad: Tensor<1>| {
                order.lock().unwrap().push((name, numbers(grad.clone())[0]));
                grad
            }
        };
        let y = with_hook(with_hook(x.clone(), log("first")), log("second"));
        // Used twice: the hooks see the sum of both gradients, not each.
        let loss = y.clone() * 2.0 + y * 5.0;
        let _ = loss.backward();
        assert_eq!(*order.lock().unwrap(), [("second", 7.0), ("first", 7.0)]);
    }
}

#[test]
fn a_gradient_in_the_middle_is_kept() {
    for device in autodiff(all()) {
        let x: Tensor<1> = tensor([2], &[1.0, -2.0], &device, DType::F32).require_grad();
        let (y, retained) = retain_grad(x.clone().powi_scalar(3));
        assert!(retained.get().is_none());
        let w: Tensor<1> = tensor([2], &[0.5, 4.0], &device, DType::F32);
        let dx = x.grad(&(y * w).sum().backward()).unwrap();
        assert_eq!(numbers(retained.get().unwrap()), [0.5, 4.0]);
        assert_eq!(numbers(dx), [1.5, 48.0], "{device:?}");
        // The next pass replaces it.
        let y = retain_grad(x.clone() * 2.0).0;
        let _ = y.sum().backward();
        assert_eq!(numbers(retained.get().unwrap()), [0.5, 4.0]);
    }
}

#[test]
fn an_untracked_tensor_has_no_gradient_to_hook() {
    for device in all() {
        let x: Tensor<1> = tensor([1], &[1.0], &device, DType::F32);
        let error = try_with_hook(x.clone(), |grad| grad).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Derivative, "hook"));
        let error = try_retain_grad(x).unwrap_err();
        assert_eq!(error.operation(), "retain_grad");
    }
}

#[test]
fn a_hook_that_changes_the_shape_or_gives_a_tracked_tensor_is_refused_where_it_stands() {
    for device in autodiff(cpu()) {
        let x: Tensor<1> = tensor([2], &[1.0, 2.0], &device, DType::F64).require_grad();
        let (y, line) = (with_hook(x.clone() * 2.0, |grad| grad.sum()), line!());
        let text = message(|| drop(y.sum().backward()));
        let place = format!("hook at {}:{line}", file!());
        assert!(text.starts_with(&place) && text.contains("[2], got [1]"), "{text}");

        let other = tensor::<1>([2], &[1.0, 2.0], &device, DType::F64).require_grad();
        let y = with_hook(x.clone() * 2.0, move |_| other.clone());
        let text = message(|| drop(y.sum().backward()));
        assert!(text.contains("hook at") && text.contains("a tracked one"), "{text}");
    }
}

/// Runs an ignored test, which hangs, until it says that line on standard error.
pub(crate) fn first_line_of(hanging: &str, wanted: &str) -> Option<String> {
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new(program)
        .args(["--exact", hanging, "--ignored", "--nocapture"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = std::io::BufReader::new(child.stderr.take().unwrap());
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        while std::io::BufRead::read_line(&mut errors, &mut line).is_ok_and(|length| length > 0) {
            let _ = sender.send(std::mem::take(&mut line));
        }
    });
    let end = Instant::now() + Duration::from_secs(60);
    let next = || lines.recv_timeout(end.saturating_duration_since(Instant::now())).ok();
    let found = std::iter::from_fn(next).find(|line: &String| line.contains(wanted));
    child.kill().unwrap();
    child.wait().unwrap();
    found
}

/// A hook that computes with the graph that is being differentiated waits for ever, in Burn. The
/// program says so, with file and line.
#[test]
fn a_hook_that_hangs_is_reported() {
    let report = first_line_of("hooks::a_hanging_hook", "burn-autograd: the backward of `hook at");
    let report = report.expect("the report came before the program ended");
    assert!(report.contains("hooks.rs:") && report.contains("inner()"), "{report}");
}

/// So does the backward of a function; the program names it.
#[test]
fn a_backward_that_hangs_is_reported() {
    let wanted = "burn-autograd: the backward of `Entangled`";
    // Also where it applies a function to such a tensor: threads have nothing to do with that.
    for hanging in ["hooks::a_hanging_backward", "hooks::a_hanging_backward_of_a_function"] {
        let report = first_line_of(hanging, "burn-autograd: ");
        let report = report.expect("the report came before the program ended");
        assert!(report.starts_with(wanted), "{report}");
        assert!(report.contains("as an input") && report.contains("inner()"), "{report}");
    }
}

#[test]
#[ignore = "it hangs on purpose; `a_hook_that_hangs_is_reported` runs it and ends it"]
fn a_hanging_hook() {
    hook_time_limit(Duration::from_millis(200));
    // Without the hang the program would end: then the other test fails, for want of a report.
    let device = Device::flex().autodiff();
    let x: Tensor<1> = tensor([1], &[1.0], &device, DType::F64).require_grad();
    let y = x.clone() * 2.0;
    let captured = y.clone();
    let z = with_hook(y, move |grad| {
        grad * captured.clone().inner() + (captured.clone() * 0.0).inner()
    });
    let _ = z.sum().backward();
}

/// x, whose backward computes with a tensor of the graph that is being differentiated.
#[derive(Debug, Clone)]
struct Entangled {
    weight: Tensor<1>,
    double: fn(Tensor<1>) -> Tensor<1>,
}

impl Function<1> for Entangled {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        // On Burn's graph: no `Var` sees the tensor.
        let doubled = (self.double)(self.weight.clone());
        [Some(g * Var::from(doubled.inner()))]
    }
}

#[derive(Debug, Clone)]
struct Double;

impl Function<1> for Double {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x * 2.0]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        [Some(g * 2.0)]
    }
}

fn hang_in_a_backward(double: fn(Tensor<1>) -> Tensor<1>) {
    hook_time_limit(Duration::from_millis(200));
    let device = Device::flex().autodiff();
    let weight: Tensor<1> = tensor([1], &[3.0], &device, DType::F64).require_grad();
    let x: Tensor<1> = tensor([1], &[1.0], &device, DType::F64).require_grad();
    let y = Entangled { weight: weight.clone(), double }.apply([x]);
    let _ = (y * weight).sum().backward();
}

#[test]
#[ignore = "it hangs on purpose; `a_backward_that_hangs_is_reported` runs it and ends it"]
fn a_hanging_backward() {
    hang_in_a_backward(|weight| weight * 2.0);
}

#[test]
#[ignore = "it hangs on purpose; `a_backward_that_hangs_is_reported` runs it and ends it"]
fn a_hanging_backward_of_a_function() {
    hang_in_a_backward(|weight| Double.apply([weight]));
}

#[derive(Debug, Clone)]
struct Holder {
    weight: Tensor<1>,
    in_forward: bool,
}

impl Function<1> for Holder {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [if self.in_forward { x * Var::from(&self.weight) } else { x * 2.0 }]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        [Some(g * Var::from(&self.weight))]
    }
}

/// Computing with it would hang in the backward, and lose its gradient in the forward.
#[test]
fn a_tracked_tensor_in_a_field_is_refused_by_name() {
    for device in autodiff(all()) {
        let x: Tensor<1> = tensor([1], &[1.0], &device, DType::F32).require_grad();
        let weight = x.clone() * 3.0;
        let text = message(|| {
            let holder = Holder { weight: weight.clone(), in_forward: true };
            let _ = holder.apply([x.clone()]);
        });
        assert!(text.contains("in the forward of Holder") && text.contains("an input"), "{text}");
        let y = Holder { weight: weight.clone(), in_forward: false }.apply([x.clone()]);
        let text = message(|| drop((y * weight.clone()).sum().backward()));
        assert!(text.contains("in the backward of Holder") && text.contains("an input"), "{text}");
        // Untracked, it is a parameter like any other.
        let holder = Holder { weight: Tensor::from_inner(weight.inner()), in_forward: true };
        let y = holder.apply([x.clone()]);
        assert_eq!(numbers(x.grad(&y.sum().backward()).unwrap()), [3.0]);
    }
}

/// √x, whose gradient at 0 is infinite.
#[derive(Debug, Clone)]
struct Root(Arc<AtomicUsize>);

impl Function<1> for Root {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        let y = x.sqrt();
        ctx.save([&y]);
        [y]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        self.0.fetch_add(1, Ordering::Relaxed);
        let [y] = ctx.tensors();
        [Some(g * 0.5 / y)]
    }
}

#[test]
fn anomaly_mode_names_the_function_and_where_it_was_applied() {
    for device in autodiff(all()) {
        let x: Tensor<1> = tensor([2], &[4.0, 0.0], &device, DType::F32).require_grad();
        let root = Root(Arc::default());
        let run = |x: &Tensor<1>| (root.apply([x.clone() * 1.0]) * 2.0, line!());
        // Without the mode nothing is said.
        let dx = x.grad(&run(&x).0.sum().backward()).unwrap();
        assert_eq!(numbers(dx), [0.5, f64::INFINITY]);

        let mode = AnomalyMode::enable();
        let (y, line) = run(&x);
        let text = message(|| drop(y.sum().backward()));
        let place = format!("{}:{line}", file!());
        assert!(text.starts_with("Root: argument `gradient of input 0`"), "{text}");
        assert!(text.contains(&place), "{text}");
        // Finite gradients pass.
        let fine: Tensor<1> = tensor([1], &[4.0], &device, DType::F32).require_grad();
        assert_eq!(numbers(fine.grad(&run(&fine).0.backward()).unwrap()), [0.5]);
        drop(mode);
        assert_eq!(numbers(fine.grad(&run(&fine).0.backward()).unwrap()), [0.5]);
    }
}

#[test]
fn anomaly_mode_locates_burns_own_operations_between_watch_points() {
    for device in autodiff(all()) {
        let _mode = AnomalyMode::enable();
        let x: Tensor<1> = tensor([2], &[1.0, 0.0], &device, DType::F32).require_grad();
        let (a, first) = (watch(x.clone() * 3.0), line!());
        let (b, second) = (watch(a.log()), line!());
        let y = watch(b * 2.0) + 1.0;
        let text = message(|| drop(y.sum().backward()));
        for place in [format!("{}:{first}", file!()), format!("{}:{second}", file!())] {
            assert!(text.contains(&place), "{place} in {text}");
        }
    }
}

/// The operations of the library go through Burn's dispatch, which hides where they were applied.
#[test]
fn anomaly_mode_names_the_operations_with_kernels() {
    for device in autodiff(cpu()) {
        let large: Tensor<2> = tensor([1, 2], &[1.0, 800.0], &device, DType::F64).require_grad();
        let two = [1.0, 2.0, 2.0, 4.0];
        let singular: Tensor<2> = tensor([2, 2], &two, &device, DType::F64).require_grad();
        let overflow = |x: &Tensor<2>| burn_autograd::ops::exp::exp(x.clone() * 1.0).sum();
        // Two outputs, of which one has no derivative.
        let logarithm = |x: &Tensor<2>| log_abs_det(x.clone() * 1.0).1.sum();
        // Without the mode nothing is said.
        let dx = numbers(large.grad(&overflow(&large).backward()).unwrap());
        // Some roundings of a number below 7; a wrong term is off by far more.
        assert_abs_diff_eq!(dx[0], 1f64.exp(), epsilon = 1e-12);
        assert_eq!(dx[1], f64::INFINITY);

        let mode = AnomalyMode::enable();
        let (overflows, divides) = (overflow(&large), logarithm(&singular));
        // What makes the gradient infinite before is not this operation's fault.
        let spoiled = overflow(&singular) * f64::INFINITY;
        let fine = logarithm(&large.clone().slice([0..1, 0..1]));
        // Products run the backward at once.
        let x = large.clone().inner();
        let product = |cotangent: f64| {
            message(|| {
                drop(crate::pulls::exp_vjp(x.clone(), x.ones_like() * cotangent));
            })
        };
        let overflow_at_once = product(1.0);
        let kept = message(|| {
            let y = Tensor::<2>::ones([1, 1], (&x.device(), DType::F64));
            drop(crate::pulls::log_abs_det_vjp(singular.clone().inner(), y));
        });
        let spoiled_product = x.clone() * f64::INFINITY;
        let spoiled_product = crate::pulls::exp_vjp(x.clone(), spoiled_product);
        drop(mode);
        for (text, name) in [(overflow_at_once, "exp"), (kept, "log_abs_det")] {
            let start = format!("{name}: argument `gradient of input 0`: expected finite numbers");
            assert!(text.starts_with(&start), "{text}");
        }
        assert_eq!(numbers(spoiled_product), [f64::INFINITY; 2]);
        let text = message(|| drop(overflows.backward()));
        assert!(text.starts_with("exp: argument `gradient of input 0`"), "{text}");
        assert!(text.contains("NaN or infinity"), "{text}");
        let text = message(|| drop(divides.backward()));
        assert!(text.starts_with("log_abs_det: argument `gradient of input 0`"), "{text}");
        assert!(singular.grad(&spoiled.backward()).is_some());
        assert_eq!(numbers(large.grad(&fine.backward()).unwrap()), [1.0, 0.0]);
    }
}

#[test]
fn anomaly_mode_names_the_operation_on_the_tape() {
    for device in cpu() {
        let x: Tensor<1> = tensor([1], &[0.0], &device, DType::F64);
        let _mode = AnomalyMode::enable();
        let (function, line) = (|x: Var| (x.powi(2).sqrt() * 3.0).sum(), line!());
        let error = Transform::new().grad(function, x).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Derivative, "sqrt"));
        assert!(error.to_string().contains(&format!("{}:{line}", file!())), "{error}");
    }
}
