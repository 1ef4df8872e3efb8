//! Forward and backward of each operation in `f32`: ours, the same composed from Burn's own
//! operations, and the memory floor, in one run, so that their ratios mean something.
//!
//! `cargo bench --bench operations [-- FILTER]`, where a workload's name, as
//! `legendre_p3/flex/100000`, contains the filter.
//!
//! The floor passes over preallocated buffers on all threads: x → y, then (x, ȳ) → x̄. Times are
//! medians; a device with a queue is synchronised inside the timed region.
#![allow(deprecated, clippy::print_stdout, reason = "a program; and NdArray")]

use std::time::{Duration, Instant};

use burn::tensor::{Device, Distribution, Tensor};
use burn_autograd::prelude::*;
use rayon::prelude::*;

/// With the system's allocator one measures page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Operation = fn([Tensor<1>; 3]) -> Tensor<1>;

struct Workload {
    name: &'static str,
    /// How many of the three tensors are tracked inputs.
    inputs: usize,
    ours: Operation,
    composed: Operation,
}

const WORKLOADS: [Workload; 4] = [
    Workload {
        name: "legendre_p3",
        inputs: 1,
        ours: |[x, ..]| legendre_p3(x),
        composed: |[x, ..]| (x.clone().powi_scalar(3) * 5.0 - x * 3.0) * 0.5,
    },
    Workload {
        name: "relu",
        inputs: 1,
        ours: |[x, ..]| relu(x),
        composed: |[x, ..]| burn::tensor::activation::relu(x),
    },
    Workload { name: "exp", inputs: 1, ours: |[x, ..]| exp(x), composed: |[x, ..]| x.exp() },
    Workload {
        name: "multiply_add",
        inputs: 3,
        ours: |[w, x, b]| multiply_add(w, x, b),
        composed: |[w, x, b]| w * x + b,
    },
];

fn main() {
    // Cargo passes `--bench`.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    println!(
        "{:<28} {:>10} {:>10} {:>10} {:>9} {:>7}",
        "forward + backward, f32", "ours µs", "Burn's µs", "floor µs", "of Burn's", "floors"
    );
    for workload in &WORKLOADS {
        for (backend, device) in devices() {
            for size in [2_000, 100_000, 10_000_000] {
                let name = format!("{}/{backend}/{size}", workload.name);
                if filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
                    continue;
                }
                let device = device.clone().autodiff();
                let ours = time(|| step(workload, workload.ours, size, &device));
                let composed = time(|| step(workload, workload.composed, size, &device));
                let floor = floor(size, workload.inputs);
                println!(
                    "{name:<28} {:>10.1} {:>10.1} {:>10.1} {:>9.2} {:>7.2}",
                    micros(ours),
                    micros(composed),
                    micros(floor),
                    ours.as_secs_f64() / composed.as_secs_f64(),
                    ours.as_secs_f64() / floor.as_secs_f64(),
                );
            }
        }
    }
    engine(filter.as_deref());
}

/// x ↦ eˣ as a [`Function`] without a kernel.
#[derive(Debug, Clone)]
struct Exponential;

impl Function<1> for Exponential {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        let y = x.exp();
        ctx.save([&y]);
        [y]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [y] = ctx.into_tensors();
        [Some(g * y)]
    }
}

/// x ↦ P₃(x) as a [`Function`] without a kernel.
#[derive(Debug, Clone)]
struct LegendreP3;

impl Function<1> for LegendreP3 {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        ctx.save([&x]);
        [0.5 * (5.0 * x.powi(3) - 3.0 * x)]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [x] = ctx.tensors();
        [Some(g * 1.5 * (5.0 * x.powi(2) - 1.0))]
    }
}

/// What the engine costs beside the arithmetic: a Function against Burn's own operation, and a
/// second derivative against a first.
fn engine(filter: Option<&str>) {
    println!("\n{:<60} {:>10} {:>10} {:>7}", "engine, f32", "µs", "against µs", "ratio");
    for (backend, device) in devices() {
        for size in [2_000, 100_000] {
            let device = device.clone().autodiff();
            let exp = |operation: Operation| {
                let workload =
                    Workload { name: "exp", inputs: 1, ours: operation, composed: operation };
                time(|| step(&workload, operation, size, &device))
            };
            let random = || {
                let x = Tensor::<1>::random([size], Distribution::Uniform(-2.0, 2.0), &device);
                wait(&device);
                x
            };
            let timed = |run: &dyn Fn(Tensor<1>) -> Tensor<1>, tracked: bool| {
                time(|| {
                    let x = if tracked { random().require_grad() } else { random() };
                    let started = Instant::now();
                    let result = run(x);
                    wait(&device);
                    let time = started.elapsed();
                    drop(result);
                    time
                })
            };
            let p3 = |x: Var| LegendreP3.call([x]);
            let first = |x: Tensor<1>| {
                x.grad(&LegendreP3.apply([x.clone()]).backward()).expect("x is tracked")
            };
            let second = |x: Tensor<1>| {
                let dx = grad(|x: Var| p3(x).sum(), x.clone());
                x.grad(&dx.backward()).expect("x is tracked")
            };
            type Row<'a> = (&'a str, Box<dyn Fn() -> (Duration, Duration) + 'a>);
            let rows: [Row<'_>; 3] = [
                (
                    "exp: Function, Burn's own",
                    Box::new(|| (exp(|[x, ..]| Exponential.apply([x])), exp(|[x, ..]| x.exp()))),
                ),
                (
                    "P3: second derivative, first",
                    Box::new(|| {
                        (
                            timed(&|x| nth_derivative(p3, x, 2), false),
                            timed(&|x| nth_derivative(p3, x, 1), false),
                        )
                    }),
                ),
                (
                    "P3: grad + backward, forward + backward",
                    Box::new(|| (timed(&second, true), timed(&first, true))),
                ),
            ];
            for (name, row) in rows {
                let name = format!("{name}/{backend}/{size}");
                if filter.is_some_and(|filter| !name.contains(filter)) {
                    continue;
                }
                let (ours, against) = row();
                println!(
                    "{name:<60} {:>10.1} {:>10.1} {:>7.2}",
                    micros(ours),
                    micros(against),
                    ours.as_secs_f64() / against.as_secs_f64(),
                );
            }
        }
    }
}

fn devices() -> Vec<(&'static str, Device)> {
    let mut devices = vec![("flex", Device::flex()), ("ndarray", Device::ndarray())];
    if std::env::var_os("BENCH_WGPU").is_some() {
        devices.push(("wgpu", Device::wgpu(Default::default())));
    }
    devices
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// One measurement: makes the inputs, and times what is done with them.
fn step(workload: &Workload, operation: Operation, size: usize, device: &Device) -> Duration {
    let inputs = [0, 1, 2].map(|index| {
        let size = if index < workload.inputs { size } else { 1 };
        Tensor::<1>::random([size], Distribution::Uniform(-2.0, 2.0), device).require_grad()
    });
    wait(device);
    let started = Instant::now();
    let output = operation(inputs.clone());
    let grads = output.backward();
    let gradients: Vec<_> =
        inputs[..workload.inputs].iter().map(|input| input.grad(&grads)).collect();
    wait(device);
    let time = started.elapsed();
    assert!(gradients.iter().all(Option::is_some));
    time
}

fn wait(device: &Device) {
    device.sync().expect("the device can be synchronised");
}

/// The median over enough repetitions.
fn time(mut once: impl FnMut() -> Duration) -> Duration {
    let started = Instant::now();
    once();
    let mut times = Vec::new();
    while times.len() < 5 || (started.elapsed() < Duration::from_secs(2) && times.len() < 1000) {
        times.push(once());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// As many bytes as the operation must read and write, over preallocated buffers.
fn floor(size: usize, inputs: usize) -> Duration {
    let input: Vec<Vec<f32>> = vec![vec![1.5; size]; inputs];
    let cotangent = vec![0.5f32; size];
    let mut output = vec![0.0f32; size];
    // The gradient of the addend is the cotangent itself.
    let mut gradients = vec![vec![0.0f32; size]; inputs.min(2)];
    const CHUNK: usize = 1 << 16;
    time(|| {
        let started = Instant::now();
        output.par_chunks_mut(CHUNK).enumerate().for_each(|(part, output)| {
            for (index, y) in output.iter_mut().enumerate() {
                *y = input.iter().map(|x| x[part * CHUNK + index]).sum();
            }
        });
        for (number, gradient) in gradients.iter_mut().enumerate() {
            gradient.par_chunks_mut(CHUNK).enumerate().for_each(|(part, gradient)| {
                let range = part * CHUNK..part * CHUNK + gradient.len();
                let (x, g) = (&input[number][range.clone()], &cotangent[range]);
                for ((d, x), g) in gradient.iter_mut().zip(x).zip(g) {
                    *d = x * g;
                }
            });
        }
        started.elapsed()
    })
}
