//! The engine's contract: which gradients are computed, what a wrong one does, what is saved.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{DType, Tensor};
use burn_autograd::prelude::*;

use crate::devices::{all, autodiff, message, numbers, tensor};

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
    for device in autodiff(crate::devices::cpu()) {
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
