//! Many threads at once.

use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use approx::assert_abs_diff_eq;
use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor};
use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;
use burn_autograd::{ErrorKind, hook_time_limit, share, share_module, try_share};

use crate::devices::{autodiff, cpu, numbers, tensor, wgpu};
use crate::hooks::first_line_of;

/// (sin x·y, x²), which keeps inputs and an intermediate.
#[derive(Debug, Clone)]
struct Pair;

impl Function<2, 2> for Pair {
    fn forward(&self, ctx: &mut Context, [x, y]: [Var; 2]) -> [Var; 2] {
        let sine = x.sin();
        ctx.save([&x, &y, &sine]);
        [sine * y, x.powi(2)]
    }
    fn backward(&self, ctx: Saved, [a, b]: [Var; 2]) -> [Option<Var>; 2] {
        let [x, y, sine] = ctx.tensors();
        [Some(&a * (x.cos() * y) + b * (2.0 * x)), Some(a * sine)]
    }
}

/// What one step computes: gradients through Burn's graph with an operation that has a kernel, a
/// hook and a function of two outputs; and a second derivative on the tape that Burn tracks.
fn step(number: usize, device: &Device) -> Vec<f64> {
    let data = |shift: f64| [0.1, -0.4, 0.7].map(|x| x + shift + number as f64 / 1000.0);
    let x: Tensor<1> = tensor([3], &data(0.0), device, DType::F32).require_grad();
    let y: Tensor<1> = tensor([3], &data(0.5), device, DType::F32).require_grad();
    let p = with_hook(legendre_p3(x.clone()), |grad| grad * 0.5);
    let [a, b]: [Tensor<1>; 2] = Pair.apply_all([p, y.clone()]);
    let dx = grad(|x: Var| (Pair.call_all([x.clone(), x])[0].clone() * 0.3).sum(), x.clone());
    let weight: Tensor<1> = tensor([3], &[1.0, -2.0, 0.5], device, DType::F32);
    let grads = ((a + b) * weight + dx).sum().backward();
    [x.grad(&grads), y.grad(&grads)].into_iter().flat_map(|grad| numbers(grad.unwrap())).collect()
}

/// Fails if the work does not end: a deadlock would otherwise hang the tests.
fn within(limit: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    match wait.recv_timeout(limit) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("deadlock: no end after {limit:?}"),
        _ => worker.join().unwrap(),
    }
}

const THREADS: usize = 8;

fn threads_agree_with_one(device: Device, steps: usize) {
    let serial: Vec<Vec<f64>> = (0..steps).map(|number| step(number, &device)).collect();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (device, serial) = (&device, &serial);
            scope.spawn(move || {
                for number in 0..steps {
                    // Each thread is somewhere else.
                    let number = (number + thread * steps / THREADS) % steps;
                    let bits =
                        |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&step(number, device)), bits(&serial[number]), "step {number}");
                }
            });
        }
    });
}

#[test]
fn eight_threads_compute_what_one_does_bit_by_bit() {
    for device in cpu() {
        for device in [device.clone().autodiff(), device.autodiff().gradient_checkpointing()] {
            within(Duration::from_secs(300), move || threads_agree_with_one(device, 1000));
        }
    }
}

#[test]
fn eight_threads_on_wgpu() {
    let Some(device) = wgpu() else { return };
    within(Duration::from_secs(300), move || threads_agree_with_one(device.autodiff(), 8));
}

/// A plain tensor, and a tape, may be shared: nothing on them changes.
#[test]
fn threads_share_a_tensor_and_a_pullback() {
    for device in cpu() {
        let x: Tensor<1> = tensor([2], &[0.5, -1.5], &device, DType::F64);
        let expected = numbers(nth_derivative(|x: Var| x.powi(4), x.clone(), 2));
        assert_eq!(expected, [3.0, 27.0]);
        let (_, pullback): (Tensor<1>, _) = vjp(|x: Var| x.powi(3), x.clone());
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let found = nth_derivative(|x: Var| x.powi(4), x.clone(), 2);
                        assert_eq!(numbers(found), expected);
                        assert_eq!(numbers(pullback.apply(x.ones_like())), [0.75, 6.75]);
                    }
                });
            }
        });
    }
}

/// A leaf belongs to a graph, unless it is `share`d. Without that, each thread takes its own leaf of the value, and the
/// gradients are added by whoever collects them.
#[test]
fn threads_take_their_own_leaf_of_a_shared_value() {
    for device in cpu() {
        let shared: Tensor<1> =
            tensor([2], &[0.5, -1.5], &device.autodiff(), DType::F64).require_grad();
        within(Duration::from_secs(120), move || {
            let sums: Vec<Vec<f64>> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS)
                    .map(|_| {
                        let value = shared.clone().inner();
                        scope.spawn(move || {
                            let mut last = Vec::new();
                            for _ in 0..100 {
                                let leaf = Tensor::from_inner(value.clone()).require_grad();
                                let loss = legendre_p3(leaf.clone()).sum();
                                last = numbers(leaf.grad(&loss.backward()).unwrap());
                            }
                            last
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            // P₃′ = 15⁄2·x² − 3⁄2.
            assert!(sums.iter().all(|grad| grad == &[0.375, 15.375]), "{sums:?}");
        });
    }
}

/// How the body of a test ended in a process of its own.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    Returned,
    Stuck,
    Failed,
}

/// Runs the body of a test, named with its module, in a process of its own. Burn's locks are the
/// process's, so that a deadlock would stop the other tests as well; and a backward pass frees what
/// other threads have abandoned.
pub(crate) fn alone(test: &str, limit: Duration, body: impl FnOnce()) -> End {
    const ALONE: &str = "BURN_AUTOGRAD_TEST_ALONE";
    const RETURNED: i32 = 42;
    const STUCK: i32 = 43;
    if std::env::var_os(ALONE).is_some() {
        std::thread::spawn(move || {
            std::thread::sleep(limit);
            std::process::exit(STUCK);
        });
        body();
        std::process::exit(RETURNED);
    }
    let program = std::env::current_exe().unwrap();
    let status = std::process::Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "")
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    // A test that is not found ends with 0, which is neither.
    match status.code() {
        Some(RETURNED) => End::Returned,
        Some(STUCK) => End::Stuck,
        _ => End::Failed,
    }
}

/// One thread is in a backward pass while another joins the leaf's graph to one of its own.
fn one_differentiates_while_another_joins(leaf: &Tensor<1>, device: &Device) {
    let both = Arc::new(Barrier::new(2));
    let here = both.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let y = with_hook(leaf.clone() * 2.0, move |grad| {
                here.wait();
                // Soon the other thread waits for the graph, if this pass has locked it.
                std::thread::sleep(Duration::from_millis(500));
                grad
            });
            assert_eq!(numbers(leaf.grad(&y.sum().backward()).unwrap()), [2.0, 2.0]);
        });
        scope.spawn(move || {
            let own: Tensor<1> = tensor([2], &[3.0, 4.0], device, DType::F64).require_grad();
            both.wait();
            let y = own * leaf.clone();
            assert_eq!(numbers(leaf.grad(&y.sum().backward()).unwrap()), [3.0, 4.0]);
        });
    });
}

/// Why `share` is there. If this fails because the threads come through, Burn has mended its locks.
#[test]
fn a_leaf_of_a_graph_stops_two_threads() {
    let end =
        alone("concurrency::a_leaf_of_a_graph_stops_two_threads", Duration::from_secs(5), || {
            let device = Device::flex().autodiff();
            let leaf: Tensor<1> = tensor([2], &[0.5, -1.5], &device, DType::F64).require_grad();
            one_differentiates_while_another_joins(&leaf, &device);
        });
    assert_eq!(end, End::Stuck);
}

/// x, whose backward does not return: the pass keeps its graph locked.
#[derive(Debug, Clone)]
struct Stay(Arc<Barrier>);

impl Function<1> for Stay {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x]
    }
    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        self.0.wait();
        // Nobody else waits a second time.
        self.0.wait();
        [Some(g)]
    }
}

/// A function of two tensors, and the line where it was applied.
fn apply_pair(x: Tensor<1>, y: Tensor<1>) -> ([Tensor<1>; 2], u32) {
    (Pair.apply_all([x, y]), line!())
}

/// Ours do not hang without a word.
#[test]
fn a_function_that_waits_for_a_graph_is_reported() {
    let x: Tensor<1> = tensor([1], &[0.5], &Device::flex(), DType::F64);
    let (_, line) = apply_pair(x.clone(), x);
    let waiting = "concurrency::a_function_that_waits_for_a_graph";
    let report = first_line_of(waiting, "burn-autograd: `Pair`");
    let report = report.expect("the report came before the program ended");
    assert!(report.contains(&format!("applied at {}:{line}:", file!())), "{report}");
    for part in ["waiting for Burn's graph", "several threads", "`share`", "`share_module`"] {
        assert!(report.contains(part), "{report}");
    }
}

#[test]
#[ignore = "it hangs on purpose; `a_function_that_waits_for_a_graph_is_reported` runs and ends it"]
fn a_function_that_waits_for_a_graph() {
    hook_time_limit(Duration::from_millis(200));
    let device = Device::flex().autodiff();
    let new =
        |value: f64| -> Tensor<1> { tensor([1], &[value], &device, DType::F64).require_grad() };
    let (leaf, own) = (new(0.5), new(2.0));
    let both = Arc::new(Barrier::new(2));
    let y = Stay(both.clone()).apply([leaf.clone()]);
    std::thread::spawn(move || drop(y.backward()));
    both.wait();
    // The other thread is in the backward, and this joins its graph to another one.
    drop(apply_pair(own, leaf));
    // Without the wait the program ends: then the other test fails, for want of a report.
    std::process::exit(0);
}

#[test]
fn a_shared_leaf_does_not() {
    let end = alone("concurrency::a_shared_leaf_does_not", Duration::from_secs(60), || {
        for device in autodiff(cpu()) {
            let leaf: Tensor<1> = tensor([2], &[0.5, -1.5], &device, DType::F64).require_grad();
            one_differentiates_while_another_joins(&share(leaf), &device);
        }
    });
    assert_eq!(end, End::Returned);
}

#[derive(Module, Debug)]
struct Small {
    first: Linear,
    norm: LayerNorm,
    last: Linear,
}

impl Small {
    fn new(device: &Device) -> Self {
        Self {
            first: LinearConfig::new(3, 4).init(device),
            norm: LayerNormConfig::new(4).init(device),
            last: LinearConfig::new(4, 2).init(device),
        }
    }

    fn gradients(&self, x: Tensor<2>) -> Vec<f64> {
        let hidden = self.norm.forward(self.first.forward(x).tanh());
        let grads = self.last.forward(hidden).powi_scalar(2).sum().backward();
        let [first, last] = [&self.first, &self.last].map(|linear| linear.weight.val());
        let norm = self.norm.gamma.val();
        [
            numbers(first.grad(&grads).unwrap()),
            numbers(last.grad(&grads).unwrap()),
            numbers(norm.grad(&grads).unwrap()),
        ]
        .concat()
    }
}

/// Burn's operations and ours, on leaves and on a module that all threads share.
#[test]
fn eight_threads_share_leaves_and_a_module() {
    const STEPS: usize = 200;
    let work = |device: Device| {
        let x: Tensor<1> = tensor([3], &[0.1, -0.4, 0.7], &device, DType::F32).require_grad();
        let w: Tensor<1> = tensor([3], &[1.5, 0.25, -2.0], &device, DType::F32).require_grad();
        let module = Small::new(&device);
        let step = |number: usize, x: &Tensor<1>, w: &Tensor<1>, module: &Small| {
            let scale = 1.0 + number as f64 / 100.0;
            let y = (x.clone() * w.clone() * scale).tanh();
            let y = y + legendre_p3(x.clone()) + w.clone().powi_scalar(2);
            let grads = y.sum().backward();
            let own = [x, w].map(|leaf| numbers(leaf.grad(&grads).unwrap())).concat();
            let data = [0.5, -1.0, 2.0].map(|value| value * scale);
            let input: Tensor<2> = tensor([1, 3], &data, &device, DType::F32);
            [own, module.gradients(input)].concat()
        };
        let serial: Vec<_> = (0..STEPS).map(|number| step(number, &x, &w, &module)).collect();
        // d tanh(xw)⁄dx = w·(1 − tanh²(xw)), and P₃′ = 15⁄2·x² − 3⁄2.
        let expected = 1.5 * (1.0 - 0.15f64.tanh().powi(2)) + 7.5 * 0.01 - 1.5;
        // Below 1 in `f32`: some sixteen roundings.
        assert_abs_diff_eq!(serial[0][0], expected, epsilon = 1e-6);

        let (x, w, module) = (share(x), share(w), share_module(module));
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (step, serial, x, w) = (&step, &serial, &x, &w);
                // A module may be sent, but not lent, to a thread.
                let module = module.clone();
                scope.spawn(move || {
                    for number in 0..STEPS {
                        let number = (number + thread * STEPS / THREADS) % STEPS;
                        let found = step(number, x, w, &module);
                        let bits =
                            |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                        assert_eq!(bits(&found), bits(&serial[number]), "step {number}");
                    }
                });
            }
        });
    };
    let limit = Duration::from_secs(300);
    let end = alone("concurrency::eight_threads_share_leaves_and_a_module", limit, || {
        autodiff(cpu()).into_iter().for_each(work);
    });
    assert_eq!(end, End::Returned);
}

#[test]
fn a_shared_leaf_is_like_the_leaf() {
    for device in autodiff(cpu()) {
        let x: Tensor<2> = tensor([1, 2], &[0.5, -1.5], &device, DType::F64).require_grad();
        // Twice: it may be a leaf that was shared before, and one whose step was consumed.
        let _ = x.clone().sum().backward();
        let shared = share(share(x.clone()));
        assert!(shared.is_require_grad());
        assert_eq!(shared.device(), x.device());
        let strategy = Tensor::gradient_checkpointing_strategy;
        assert_eq!(strategy(&shared), strategy(&x));
        // As often as one likes, and with Burn's checkpoints.
        for _ in 0..2 {
            let loss = ((shared.clone() * 2.0).exp() * shared.clone()).sum();
            let dx = numbers(shared.grad(&loss.backward()).unwrap());
            for (dx, x) in dx.iter().zip([0.5, -1.5f64]) {
                // Some roundings of a number below 7; a wrong term is off by far more.
                assert_abs_diff_eq!(*dx, (2.0 * x).exp() * (2.0 * x + 1.0), epsilon = 1e-12);
            }
        }

        let module = LinearConfig::new(2, 2).init(&device);
        let module =
            Linear { bias: module.bias.map(|bias| bias.set_require_grad(false)), ..module };
        let shared = share_module(module.clone());
        assert_eq!(shared.weight.id, module.weight.id);
        assert_eq!(numbers(shared.weight.val()), numbers(module.weight.val()));
        assert!(shared.weight.val().is_require_grad());
        assert!(!shared.bias.unwrap().val().is_require_grad());

        let error = try_share(x.clone() * 2.0).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Derivative, "share"));
        assert!(error.to_string().contains("computed from tracked tensors"), "{error}");
        let error = try_share(Tensor::<1>::ones([2], &device)).unwrap_err();
        assert!(error.to_string().contains("an untracked one"), "{error}");
    }
}
