//! Second derivatives where they are easily lost: saved outputs without derivative, second runs that
//! are not the first, powers at 0.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{DType, Tensor};
use burn_autograd::prelude::*;
use burn_autograd::{ErrorKind, Rule, Transform, apply_rule};

use crate::devices::{all, assert_close, autodiff, cpu, numbers, tensor};
use crate::pulls::pulled;

/// x²·y and x + y.
#[derive(Debug, Clone)]
struct ProductAndSum {
    /// What is wrong with the gradient of y.
    broken: bool,
}

impl<B: burn::backend::Backend> Rule<B, 2, 2> for ProductAndSum {
    fn forward(&self, ctx: &mut Context<B>, [x, y]: [Var<B>; 2]) -> [Var<B>; 2] {
        ctx.save([&x, &y]);
        [x.powi(2) * &y, x + y]
    }

    fn backward(&self, ctx: Saved<B>, [g, h]: [Var<B>; 2]) -> [Option<Var<B>>; 2] {
        let [x, y] = ctx.tensors();
        let dy = &g * x.powi(2) + &h;
        let dy = if self.broken { dy.reshape([1, 2]) } else { dy };
        [Some(g * 2.0 * x * y + h), Some(dy)]
    }
}

#[test]
fn a_product_of_a_rule_is_its_backward_and_differentiates() {
    let rule = ProductAndSum { broken: false };
    let product =
        |rule: &ProductAndSum, inputs: [&Tensor<1>; 2], cotangents: [Option<&Tensor<1>>; 2]| {
            let cotangents =
                cotangents.map(|tensor| tensor.cloned().unwrap_or_else(|| inputs[0].zeros_like()));
            let applied = |inputs: [Var; 2]| apply_rule(rule, inputs);
            pulled(applied, inputs.map(Tensor::clone), cotangents)
        };
    for device in all() {
        let vector = |values: [f64; 2]| tensor([2], &values, &device, DType::F32);
        let (x, y) = (vector([3.0, -1.0]), vector([0.5, 2.0]));
        let (g, h) = (vector([1.0, 10.0]), vector([-2.0, 4.0]));
        // 2xy·g + h and x²·g + h.
        let [dx, dy] = product(&rule, [&x, &y], [Some(&g), Some(&h)]);
        assert_eq!(numbers(dx), [1.0, -36.0]);
        assert_eq!(numbers(dy), [7.0, 14.0]);
        let [dx, dy] = product(&rule, [&x, &y], [None, Some(&h)]);
        assert_eq!(numbers(dx), [-2.0, 4.0]);
        assert_eq!(numbers(dy), [-2.0, 4.0]);
        let [dx, _] = product(&rule, [&x, &y], [Some(&g), None]);
        assert_eq!(numbers(dx), [3.0, -40.0]);

        let text = crate::devices::message(|| {
            drop(product(&rule, [&x, &y], [Some(&g), Some(&vector([1.0, 1.0]).narrow(0, 0, 1))]));
        });
        assert_eq!(text, "vjp: argument `cotangents[1]`: expected the output's shape [2], got [1]");
        let text = crate::devices::message(|| {
            drop(product(&ProductAndSum { broken: true }, [&x, &y], [Some(&g), Some(&h)]));
        });
        assert_eq!(
            text,
            "ProductAndSum: argument `gradient of input 1`: expected the input's shape [2], got [1, 2]"
        );
    }
    for device in autodiff(cpu()) {
        let vector = |values: [f64; 2]| tensor([2], &values, &device, DType::F64);
        let (x, y) = (vector([3.0, -1.0]).require_grad(), vector([0.5, 2.0]).require_grad());
        let (g, h) = (vector([1.0, 10.0]).require_grad(), vector([-2.0, 4.0]));
        let [dx, _] = product(&rule, [&x, &y], [Some(&g), Some(&h)]);
        let grads = dx.sum().backward();
        // Of 2xy·g + h: 2y·g, 2x·g and 2xy.
        assert_eq!(numbers(x.grad(&grads).unwrap()), [1.0, 40.0]);
        assert_eq!(numbers(y.grad(&grads).unwrap()), [6.0, -20.0]);
        assert_eq!(numbers(g.grad(&grads).unwrap()), [3.0, -4.0]);
    }
}

/// x² and the sign of x, which has no derivative; the backward takes what it gets.
#[derive(Debug, Clone)]
struct SquareAndSign;

impl<B: burn::backend::Backend> Rule<B, 1, 2> for SquareAndSign {
    fn differentiable(&self, output: usize) -> bool {
        output == 0
    }

    fn forward(&self, ctx: &mut Context<B>, [x]: [Var<B>; 1]) -> [Var<B>; 2] {
        ctx.save([&x]);
        [x.powi(2), x.sign()]
    }

    fn backward(&self, ctx: Saved<B>, [g, h]: [Var<B>; 2]) -> [Option<Var<B>>; 1] {
        let [x] = ctx.tensors();
        [Some(g * 2.0 * x + h)]
    }
}

#[test]
fn a_product_of_a_rule_has_no_share_of_an_output_without_derivative() {
    for device in all() {
        let vector = |values: [f64; 2]| -> Tensor<1> { tensor([2], &values, &device, DType::F32) };
        let (x, g, h) = (vector([3.0, -1.0]), vector([1.0, 10.0]), vector([5.0, 7.0]));
        let product = |cotangents: [Option<&Tensor<1>>; 2]| {
            let cotangents =
                cotangents.map(|tensor| tensor.cloned().unwrap_or_else(|| x.zeros_like()));
            let applied = |x: Var| apply_rule(&SquareAndSign, [x]);
            numbers(pulled(applied, x.clone(), cotangents))
        };
        assert_eq!(product([Some(&g), None]), [6.0, -20.0]);
        assert_eq!(product([Some(&g), Some(&h)]), [6.0, -20.0]);
        assert_eq!(product([None, Some(&h)]), [0.0, 0.0]);
    }
}

const ROWS: usize = 2;
const COLUMNS: usize = 3;
const EPSILON: f64 = 0.25;

/// 1⁄√(mean x² + ε) of each row.
fn scale(x: &Var) -> Var {
    (x.powi(2).mean_dim(1) + EPSILON).sqrt().recip()
}

/// x·r and r = 1⁄√(mean x² + ε). The latter has no derivative outside, and is kept.
#[derive(Debug, Clone)]
struct RmsNorm;

impl Function<1, 2> for RmsNorm {
    fn differentiable(&self, output: usize) -> bool {
        output == 0
    }
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 2] {
        let r = scale(&x);
        ctx.save([&x, &r]);
        [x * &r, r]
    }
    fn backward(&self, ctx: Saved, [g, _]: [Var; 2]) -> [Option<Var>; 1] {
        let [x, r] = ctx.tensors();
        let along = (&g * &x).mean_dim(1);
        [Some(g * &r - x * r.powi(3) * along)]
    }
}

const AT: [f64; ROWS * COLUMNS] = [0.5, -1.25, 2.0, -0.75, 0.25, 1.5];
const WEIGHTS: [f64; ROWS * COLUMNS] = [1.0, -0.5, 0.75, 2.0, 1.25, -1.0];

/// The second derivatives of ⟨c, x·r⟩: within a row of n elements
/// −(cⱼ·xₖ + cₖ·xⱼ + ⟨c, x⟩·δⱼₖ)·r³⁄n + 3·⟨c, x⟩·xⱼ·xₖ·r⁵⁄n².
fn closed_form() -> Vec<f64> {
    let n = COLUMNS as f64;
    let size = ROWS * COLUMNS;
    let mut hessian = vec![0.0; size * size];
    for row in 0..ROWS {
        let part = row * COLUMNS..(row + 1) * COLUMNS;
        let (x, c) = (&AT[part.clone()], &WEIGHTS[part.clone()]);
        let r = 1.0 / (x.iter().map(|x| x * x).sum::<f64>() / n + EPSILON).sqrt();
        let inner: f64 = x.iter().zip(c).map(|(x, c)| x * c).sum();
        for j in 0..COLUMNS {
            for k in 0..COLUMNS {
                let same = if j == k { inner } else { 0.0 };
                hessian[(part.start + j) * size + part.start + k] =
                    3.0 * inner * x[j] * x[k] * r.powi(5) / (n * n)
                        - (c[j] * x[k] + c[k] * x[j] + same) * r.powi(3) / n;
            }
        }
    }
    hessian
}

/// Some hundred roundings of numbers below 4.
const BOUND: f64 = 1e-13;

#[test]
fn a_kept_output_without_derivative_is_a_function_of_the_inputs() {
    let expected = closed_form();
    for device in autodiff(cpu()) {
        let shape = [ROWS, COLUMNS];
        let c: Tensor<2> = tensor(shape, &WEIGHTS, &device.clone().inner(), DType::F64);
        let normalized = |x: Var| {
            let [y, r] = RmsNorm.call_all([x]);
            assert!(!r.is_recorded());
            (y * Var::from(&c)).sum()
        };
        let x: Tensor<2> = tensor(shape, &AT, &device, DType::F64);
        for x in [x.clone().inner(), x.clone(), x.clone().require_grad()] {
            let found = hessian(normalized, x.clone()).matrix();
            assert_close(&format!("{device:?}"), &numbers(found), &expected, BOUND);
            // The same, written in operations of the tape alone.
            let plain = |x: Var| (scale(&x) * x * Var::from(&c)).sum();
            let found = hessian(plain, x).matrix();
            assert_close(&format!("{device:?}, plain"), &numbers(found), &expected, BOUND);
        }

        // A first derivative here, the second by Burn: a row of the matrix for each unit vector.
        let size = ROWS * COLUMNS;
        for row in 0..size {
            let x = x.clone().require_grad();
            let mut unit = vec![0.0; size];
            unit[row] = 1.0;
            let unit: Tensor<2> = tensor(shape, &unit, &device, DType::F64);
            let slope = grad(normalized, x.clone());
            let found = x.grad(&(slope * unit).sum().backward()).unwrap();
            let what = format!("{device:?}, then Burn, row {row}");
            let expected = &expected[row * size..(row + 1) * size];
            assert_close(&what, &numbers(found), expected, BOUND);
        }
    }
}

/// eˣ twice, of which only the second has a derivative; counts its runs.
#[derive(Debug, Clone)]
struct Twice(Arc<AtomicUsize>);

impl Function<1, 2> for Twice {
    fn differentiable(&self, output: usize) -> bool {
        output == 1
    }
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 2] {
        self.0.fetch_add(1, Ordering::Relaxed);
        let y = x.exp();
        ctx.save([&y]);
        [y.clone(), y]
    }
    fn backward(&self, ctx: Saved, [_, g]: [Var; 2]) -> [Option<Var>; 1] {
        let [y] = ctx.tensors();
        [Some(g * y)]
    }
}

#[test]
fn of_equal_outputs_the_one_with_a_derivative_is_kept() {
    for device in autodiff(cpu()) {
        let x: Tensor<1> = tensor([1], &[0.5], &device, DType::F64);
        for x in [x.clone(), x.require_grad()] {
            for order in 1..=3 {
                let twice = Twice(Arc::default());
                let through = |x: Var| {
                    let [_, y] = twice.call_all([x]);
                    y
                };
                let found = numbers(nth_derivative(through, x.clone(), order));
                let what = format!("{device:?}, order {order}");
                assert_close(&what, &found, &[0.5f64.exp()], BOUND);
                assert_eq!(twice.0.load(Ordering::Relaxed), 1, "{device:?}");
            }
        }
    }
}

/// (m·x)², with a factor m that is another one in every run: 1, 1 + step, 1 + 2·step, …
#[derive(Debug, Clone)]
struct Noisy {
    runs: Arc<AtomicUsize>,
    step: f64,
    /// Keeps m·x, and not x.
    product: bool,
}

impl Noisy {
    fn new(step: f64, product: bool) -> Self {
        Self { runs: Arc::default(), step, product }
    }
}

impl Function<1> for Noisy {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        let m = 1.0 + self.step * self.runs.fetch_add(1, Ordering::Relaxed) as f64;
        let m = x.full(x.shape(), m);
        let product = &x * &m;
        ctx.save([if self.product { &product } else { &x }, &m]);
        [product.powi(2)]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [kept, m] = ctx.tensors();
        let product = if self.product { kept } else { kept * &m };
        [Some(2.0 * g * product * m)]
    }
}

#[test]
fn a_second_run_that_draws_other_numbers_is_refused_by_name() {
    for device in autodiff(all()) {
        let x: Tensor<1> = tensor([2], &[2.0, -3.0], &device, DType::F32);
        let plain = x.clone().inner();
        let tracked = x.require_grad();
        for product in [false, true] {
            // A first derivative is that of the run that there was, with m = 1.
            let noisy = Noisy::new(1.0, product);
            let slope = grad(|x: Var| noisy.call([x]).sum(), plain.clone());
            assert_eq!(numbers(slope), [4.0, -6.0], "{device:?}");
            let noisy = Noisy::new(1.0, product);
            let y = noisy.apply([tracked.clone()]);
            assert_eq!(numbers(tracked.grad(&y.sum().backward()).unwrap()), [4.0, -6.0]);
        }

        // The second one follows the factor that was kept.
        let noisy = Noisy::new(1.0, false);
        let found = hessian(|x: Var| noisy.call([x]).sum(), plain.clone()).matrix();
        assert_eq!(numbers(found), [2.0, 0.0, 0.0, 2.0], "{device:?}");

        // What depends on the factor and on x would be that of another run.
        let noisy = Noisy::new(1.0, true);
        let through = |x: Var| noisy.call([x]).sum();
        let errors = [
            Transform::new().hessian(through, plain).unwrap_err(),
            Transform::new().grad(through, tracked).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(
                (error.kind(), error.operation()),
                (ErrorKind::Contract, "Noisy"),
                "{error}"
            );
            assert_eq!(error.argument(), "saved tensor 0");
        }
    }
}

/// A device may sum in another order the second time: some units in the last place are let pass.
#[test]
fn a_second_run_may_round_differently() {
    for device in autodiff(cpu()) {
        let x: Tensor<1> = tensor([2], &[2.0, -3.0], &device, DType::F64);
        for x in [x.clone(), x.require_grad()] {
            let noisy = Noisy::new(1e-15, true);
            let found = numbers(hessian(|x: Var| noisy.call([x]).sum(), x).matrix());
            assert_close(&format!("{device:?}"), &found, &[2.0, 0.0, 0.0, 2.0], 1e-10);
        }
    }
}

/// xʸ at x = 0 for y = 0, 1, 2, 3 has the derivatives that PyTorch gives it: those of the polynomial in
/// x, and none in y.
#[test]
fn powers_of_zero_have_the_derivatives_of_the_polynomial() {
    for device in cpu() {
        let read = |var: &Var| var.to_data().iter::<f64>().collect::<Vec<_>>();
        let new = |data: &[f64]| tensor::<1>([data.len()], data, &device, DType::F64);
        let (x, y) = (Var::leaf(new(&[0.0; 4])), Var::leaf(new(&[0.0, 1.0, 2.0, 3.0])));
        let power = x.pow(&y);
        assert_eq!(read(&power), [1.0, 0.0, 0.0, 0.0], "{device:?}");
        let [dx, dy] = Gradient::of([&power.sum()]).wrt([&x, &y]);
        assert_eq!(read(&dx), [0.0, 1.0, 0.0, 0.0], "{device:?}");
        assert_eq!(read(&dy), [0.0; 4], "{device:?}");
        let [dxx, dxy] = Gradient::of([&dx.sum()]).wrt([&x, &y]);
        assert_eq!(read(&dxx), [0.0, 0.0, 2.0, 0.0], "{device:?}");
        assert_eq!(read(&dxy), [0.0, 1.0, 0.0, 0.0], "{device:?}");
        let [dyx, dyy] = Gradient::of([&dy.sum()]).wrt([&x, &y]);
        assert_eq!((read(&dyx), read(&dyy)), (vec![0.0; 4], vec![0.0; 4]), "{device:?}");
        let exponents = y.detach();
        let third = nth_derivative(|x: Var| x.pow(&exponents), new(&[0.0; 4]), 3);
        assert_eq!(numbers(third), [0.0, 0.0, 0.0, 6.0], "{device:?}");

        // Away from 0 the exponent 0 is like any other: ∂²xʸ⁄∂x∂y = 1⁄x at y = 0.
        let (x, y) = (Var::leaf(new(&[2.0])), Var::leaf(new(&[0.0])));
        let [dx, dy] = Gradient::of([&x.pow(&y)]).wrt([&x, &y]);
        let [dxx, dxy] = Gradient::of([&dx]).wrt([&x, &y]);
        let [dyx] = Gradient::of([&dy]).wrt([&x]);
        assert_eq!(read(&dx), [0.0], "{device:?}");
        assert_eq!((read(&dxx), read(&dxy), read(&dyx)), (vec![0.0], vec![0.5], vec![0.5]));

        // A number as the exponent.
        let expected = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0; 3]];
        for (exponent, expected) in expected.into_iter().enumerate() {
            for (order, expected) in expected.into_iter().enumerate() {
                let zero = new(&[0.0]);
                let of_integer =
                    nth_derivative(|x: Var| x.powi(exponent as i32), zero.clone(), order);
                let of_real = nth_derivative(|x: Var| x.powf(exponent as f64), zero, order);
                let what = format!("x^{exponent}, order {order}, {device:?}");
                assert_eq!(numbers(of_integer), [expected], "{what}");
                assert_eq!(numbers(of_real), [expected], "{what}");
            }
        }
    }
}
