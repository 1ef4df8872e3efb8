//! What is saved for a backward is freed with the graph.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use burn::tensor::{DType, Device, Tensor};
use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;

use crate::concurrency::{End, alone};
use crate::devices::{all, autodiff, cpu, tensor};

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

/// Counts this thread's live allocations of the size of a tensor's buffer.
struct Counting;

/// 64 × 64 numbers in double precision.
const SIDE: usize = 64;
const BUFFER: usize = SIDE * SIDE * 8;

fn count(layout: Layout, change: isize) {
    if layout.size() >= BUFFER {
        let _ = LIVE.try_with(|live| live.set(live.get() + change));
    }
}

// SAFETY: every call is passed on to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout, 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout, -1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// x·eˣ, which keeps an input, an output and an intermediate, and holds a token that dies with its
/// last node.
#[derive(Debug, Clone)]
struct Keeper {
    token: Arc<()>,
    recomputes: bool,
}

impl Function<1> for Keeper {
    fn recomputes(&self) -> bool {
        self.recomputes
    }
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        let exp = x.exp();
        let y = &x * &exp;
        ctx.save([&x, &exp, &y]);
        [y]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [_, exp, y] = ctx.tensors();
        [Some(g * (exp + y))]
    }
}

/// (x, 2x) with the second output unused, and a hook between.
#[derive(Debug, Clone)]
struct Twice;

impl Function<1, 2> for Twice {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 2] {
        ctx.save([&x]);
        [x.clone(), x * 2.0]
    }
    fn backward(&self, _: Saved, [a, b]: [Var; 2]) -> [Option<Var>; 1] {
        [Some(a + b * 2.0)]
    }
}

type Step = fn(&Keeper, Tensor<2>);

/// Through Burn's graph, forward and backward.
fn trained(keeper: &Keeper, x: Tensor<2>) {
    let x = x.require_grad();
    let y = keeper.apply([keeper.apply([x.clone() * 0.1])]);
    let y = with_hook(y, |grad| grad * 0.5);
    let [y, _]: [Tensor<2>; 2] = Twice.apply_all([y]);
    assert!(x.grad(&y.sum().backward()).is_some());
}

/// On the tape, to second order, and abandoned there.
fn transformed(keeper: &Keeper, x: Tensor<2>) {
    let _ = nth_derivative(|x: Var| keeper.call([x * 0.1]), x.clone(), 2);
    let _: (Tensor<2>, _) = vjp(|x: Var| keeper.call([x]), x);
}

/// Not here: a step that is abandoned before its backward. Burn keeps such a graph, also one of its
/// own operations alone.
const STEPS: [(&str, Step); 2] = [("trained", trained), ("transformed", transformed)];

/// 10,000 in all, over two backends, two strategies of checkpointing and two kinds of steps.
const STEPS_OF_EACH: usize = 10_000 / 8;

fn square(device: &Device) -> Tensor<2> {
    tensor([SIDE, SIDE], &[0.25; SIDE * SIDE], device, DType::F64)
}

#[test]
fn ten_thousand_steps_leave_no_buffer_behind() {
    // Alone, or this thread would free and count what other tests have abandoned.
    let name = "lifetime::ten_thousand_steps_leave_no_buffer_behind";
    assert_eq!(alone(name, Duration::from_secs(600), ten_thousand_steps), End::Returned);
}

fn ten_thousand_steps() {
    for device in cpu() {
        for device in [device.clone().autodiff(), device.autodiff().gradient_checkpointing()] {
            let x = square(&device);
            for (name, step) in STEPS {
                let keeper = Keeper { token: Arc::new(()), recomputes: true };
                let run = |count: usize| {
                    for _ in 0..count {
                        step(&keeper, x.clone());
                    }
                    LIVE.get()
                };
                let before = run(10);
                let after = run(STEPS_OF_EACH);
                assert_eq!(before, after, "{name} on {device:?}");
            }
        }
    }
}

/// Neither A nor (A·B⁻¹)ᵀ is in the gradient of A.
#[test]
fn what_no_gradient_needs_is_not_kept() {
    let name = "lifetime::what_no_gradient_needs_is_not_kept";
    assert_eq!(alone(name, Duration::from_secs(600), what_is_kept), End::Returned);
}

fn what_is_kept() {
    let mut regular = vec![0.25; SIDE * SIDE];
    regular.iter_mut().step_by(SIDE + 1).for_each(|entry| *entry = SIDE as f64);
    for device in autodiff(cpu()) {
        let held = |tracked: [bool; 2]| {
            let before = LIVE.get();
            let [a, b] = tracked.map(|tracked| {
                let x: Tensor<2> = tensor([SIDE, SIDE], &regular, &device, DType::F64);
                if tracked { x.require_grad() } else { x }
            });
            let y = trace_inverse(a, b);
            let held = LIVE.get() - before;
            drop(y.sum().backward());
            held
        };
        // Kept for good, for its next product: a buffer of faer's.
        held([true, true]);
        let warm = held([true, true]);
        assert_eq!(held([true, true]), warm, "{device:?}");
        assert_eq!(held([true, false]), warm - 2, "{device:?}");
        assert_eq!(held([false, true]), warm, "{device:?}");
    }
}

#[test]
fn nodes_die_with_their_graph_on_every_device() {
    for device in autodiff(all()) {
        for recomputes in [false, true] {
            for (name, step) in STEPS {
                let keeper = Keeper { token: Arc::new(()), recomputes };
                let x: Tensor<2> = tensor([2, 2], &[0.25; 4], &device, DType::F32);
                for _ in 0..20 {
                    step(&keeper, x.clone());
                }
                assert_eq!(Arc::strong_count(&keeper.token), 1, "{name} on {device:?}");
            }
        }
    }
}

/// A tape of 150,000 operations is freed without recursion; so is one of functions.
#[test]
fn a_long_tape_does_not_overflow_the_stack() {
    for device in cpu() {
        let x: Tensor<1> = tensor([1], &[1.0], &device, DType::F64);
        let dx = grad(|x: Var| (0..150_000).fold(x, |y, _| y + 1e-6), x.clone());
        assert_eq!(crate::devices::numbers(dx), [1.0]);
        let dx = grad(
            |x: Var| {
                (0..20_000).fold(x, |y, _| {
                    let [y, _] = Twice.call_all([y]);
                    y
                })
            },
            x,
        );
        assert_eq!(crate::devices::numbers(dx), [1.0]);
    }
}
