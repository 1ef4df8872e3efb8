//! Many threads at once.

use std::sync::mpsc;
use std::time::Duration;

use burn::tensor::{DType, Device, Tensor};
use burn_autograd::prelude::*;

use crate::devices::{cpu, numbers, tensor, wgpu};

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

/// A tracked leaf belongs to one thread's graph. Each thread takes its own leaf of the value, and the
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
