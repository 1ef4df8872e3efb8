//! `Function` as a user writes it: this file is all that LegendreP3 takes.

use burn::tensor::{DType, Tensor};
use burn_autograd::gradcheck::{Verdict, gradcheck, gradgradcheck};
use burn_autograd::prelude::*;

use crate::devices::{all, autodiff, cpu, numbers, tensor};

#[derive(Debug, Clone)]
pub(crate) struct LegendreP3;

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

#[test]
fn legendre_p3_has_its_value_and_two_derivatives_on_every_backend() {
    for device in autodiff(all()) {
        let x = tensor([3], &[0.5, -1.0, 2.0], &device, DType::F32).require_grad();
        let y = LegendreP3.apply([x.clone()]);
        assert_eq!(numbers(y.clone()), [-0.4375, -1.0, 17.0], "{device:?}");
        let dx = x.grad(&y.sum().backward()).unwrap();
        assert_eq!(numbers(dx), [0.375, 6.0, 28.5], "{device:?}");
        // P₃″ = 15x.
        let dx = grad(|x: Var| LegendreP3.call([x]).sum(), x.clone());
        let ddx = x.grad(&dx.sum().backward()).unwrap();
        assert_eq!(numbers(ddx), [7.5, -15.0, 30.0], "{device:?}");
    }
}

#[test]
fn legendre_p3_is_proven_at_every_rank() {
    fn check<const D: usize>(shape: [usize; D]) {
        for device in cpu() {
            let count: usize = shape.iter().product();
            let data: Vec<f64> = (0..count).map(|i| (i as f64 - 2.5) / 4.0).collect();
            let x: Tensor<D> = tensor(shape, &data, &device, DType::F64);
            let apply = |x: Tensor<D>| LegendreP3.apply([x]);
            let second = gradgradcheck(
                apply,
                |x: Tensor<D>, g: Tensor<D>| vjp(|x: Var| LegendreP3.call([x]), x).1.apply(g),
                x.clone(),
            );
            for report in [gradcheck(apply, x), second] {
                if count > 0 {
                    report.assert_pass();
                }
                // Without an element nothing is proven, and nothing may be wrong either.
                let rest = report.records.iter().filter(|record| record.check != "dependence");
                assert!(rest.clone().all(|record| record.verdict == Verdict::Pass), "{report}");
                assert_eq!(count == 0, report.verdict() == Verdict::Unchecked, "{report}");
            }
        }
    }
    check([6]);
    check([2, 3]);
    check([1, 3, 2]);
    check([2, 1, 1, 3]);
    check([1, 2, 1, 2, 1]);
    check([0]);
}

#[test]
fn an_untracked_input_stays_untracked() {
    for device in all() {
        let x = tensor([2], &[0.5, 2.0], &device, DType::F32);
        let y = LegendreP3.apply([x.clone()]);
        assert!(!y.is_tracked());
        let y = LegendreP3.apply([tensor([2], &[0.5, 2.0], &device.autodiff(), DType::F32)]);
        assert!(!y.is_tracked());
    }
}

/// Two outputs of different ranks from inputs of different ranks: (x·m, Σm), with m [1] and x [n, 2].
#[derive(Debug, Clone)]
struct ScaleAndSum;

impl Function<2, 2> for ScaleAndSum {
    fn forward(&self, ctx: &mut Context, [x, m]: [Var; 2]) -> [Var; 2] {
        ctx.save([&x, &m]);
        [&x * m.reshape([1, 1]), x.sum() * m]
    }
    fn backward(&self, ctx: Saved, [scaled, sum]: [Var; 2]) -> [Option<Var>; 2] {
        let [x, m] = ctx.tensors();
        let dx = scaled.clone() * m.reshape([1, 1])
            + (&sum * &m).reshape([1, 1]).expand(ctx.input_shape(0).clone());
        let dm = (scaled * &x).sum() + sum * x.sum();
        [Some(dx), Some(dm)]
    }
}

#[test]
fn several_outputs_of_several_ranks_share_one_backward() {
    for device in cpu() {
        let x: Tensor<2> = tensor([3, 2], &[1.0, -2.0, 0.5, 3.0, -1.5, 0.25], &device, DType::F64);
        let m: Tensor<1> = tensor([1], &[0.75], &device, DType::F64);
        let apply = |inputs: (Tensor<2>, Tensor<1>)| -> (Tensor<2>, Tensor<1>) {
            ScaleAndSum.apply_all(inputs)
        };
        gradcheck(apply, (x.clone(), m.clone())).assert_pass();
        gradgradcheck(
            apply,
            |inputs: (Tensor<2>, Tensor<1>), grads: (Tensor<2>, Tensor<1>)| {
                let function = |(x, m): (Var, Var)| ScaleAndSum.call_all([x, m]).into();
                vjp(function, inputs).1.apply(grads)
            },
            (x, m),
        )
        .assert_pass();
    }
}

/// (x + 1, 2x), which says how many gradients reached it.
#[derive(Debug, Clone)]
struct AddOneAndDouble(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl Function<1, 2> for AddOneAndDouble {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 2] {
        [&x + 1.0, x * 2.0]
    }
    fn backward(&self, _: Saved, [a, b]: [Var; 2]) -> [Option<Var>; 1] {
        [Some(a + b * 2.0)]
    }
    fn backward_partial(&self, ctx: Saved, grads: [Option<Var>; 2]) -> [Option<Var>; 1] {
        let arrived = grads.iter().flatten().count();
        self.0.fetch_add(arrived, std::sync::atomic::Ordering::Relaxed);
        let grads = ctx.or_zeros(grads);
        self.backward(ctx, grads)
    }
}

#[test]
fn an_unused_output_arrives_as_none() {
    for device in autodiff(all()) {
        let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let function = AddOneAndDouble(count.clone());
        let x = tensor([2], &[1.0, 2.0], &device, DType::F32).require_grad();
        let arrived = || count.swap(0, std::sync::atomic::Ordering::Relaxed);

        let [_, double]: [Tensor<1>; 2] = function.apply_all([x.clone()]);
        assert_eq!(numbers(x.grad(&double.sum().backward()).unwrap()), [2.0, 2.0]);
        assert_eq!(arrived(), 1);

        let [plus, double]: [Tensor<1>; 2] = function.apply_all([x.clone()]);
        let grads = (plus.sum() + double.sum()).backward();
        assert_eq!(numbers(x.grad(&grads).unwrap()), [3.0, 3.0]);
        assert_eq!(arrived(), 2);
    }
}

/// The sum of the sums of eight inputs, each times its number.
#[derive(Debug, Clone)]
struct WeightedSums;

impl Function<8> for WeightedSums {
    fn forward(&self, _: &mut Context, inputs: [Var; 8]) -> [Var; 1] {
        let terms = inputs.iter().zip(1..).map(|(input, weight)| input.sum() * f64::from(weight));
        [terms.reduce(|sum, term| sum + term).unwrap()]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 8] {
        std::array::from_fn(|index| {
            let shape = ctx.input_shape(index);
            let ones = vec![1; shape.num_dims()];
            Some((&g * (index + 1) as f64).reshape(ones).expand(shape.clone()))
        })
    }
}

#[test]
fn eight_inputs_of_many_ranks_some_of_them_empty() {
    for device in autodiff(all()) {
        fn leaf<const D: usize>(
            shape: [usize; D],
            value: f64,
            device: &burn::tensor::Device,
        ) -> Tensor<D> {
            let data = vec![value; shape.iter().product()];
            tensor(shape, &data, device, DType::F32).require_grad()
        }
        let a = leaf([2], 1.0, &device);
        let b = leaf([1, 1], 2.0, &device);
        let c = leaf([0, 3], 3.0, &device);
        let d = leaf([1, 2, 1], 4.0, &device);
        let e = leaf([1], 5.0, &device);
        let f = leaf([1, 1, 1, 2], 6.0, &device);
        let g = leaf([0], 7.0, &device);
        let h = leaf([1, 1, 1, 1, 1], 8.0, &device);
        let inputs = (a.clone(), b, c.clone(), d.clone(), e, f, g, h.clone());
        let y: Tensor<1> = WeightedSums.apply_all(inputs);
        // 1·2 + 2·2 + 0 + 4·8 + 5·5 + 6·12 + 0 + 8·8.
        assert_eq!(numbers(y.clone()), [199.0], "{device:?}");
        let grads = (y * 0.5).backward();
        assert_eq!(numbers(a.grad(&grads).unwrap()), [0.5, 0.5]);
        assert_eq!(c.grad(&grads).unwrap().dims(), [0, 3]);
        assert_eq!(numbers(d.grad(&grads).unwrap()), [2.0, 2.0]);
        assert_eq!(numbers(h.grad(&grads).unwrap()), [4.0]);
    }
}

#[test]
fn inputs_that_are_checkpointed_differently_are_refused_by_name() {
    for device in cpu() {
        let plain: Tensor<1> = tensor([1], &[1.0], &device.clone().autodiff(), DType::F64);
        let other: Tensor<2> =
            tensor([1, 1], &[1.0], &device.autodiff().gradient_checkpointing(), DType::F64);
        let error = ScaleAndSum.try_apply::<_, (Tensor<2>, Tensor<1>)>((other, plain)).unwrap_err();
        assert_eq!(error.operation(), "ScaleAndSum");
        assert!(error.to_string().contains("checkpointing strategy of `inputs[0]`"), "{error}");
    }
}
