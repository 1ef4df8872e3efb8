//! What the planted mistakes are made of: a function from two bodies, its inputs, checks of it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, Device, Shape, Tensor, TensorData};
use burn_autograd::gradcheck::{Expected, Gradcheck, Report, SplitMix64, Subject};
use burn_autograd::{Arguments, Context, Function, Saved, Tensors, Var};

type Forward<const N: usize> = dyn Fn(&mut Context, [Var; N]) -> Var + Send + Sync;
type Backward<const N: usize> = dyn Fn(Saved, Var) -> [Option<Var>; N] + Send + Sync;

/// A function whose bodies are given.
#[derive(Clone)]
pub(super) struct Op<const N: usize> {
    differentiable: bool,
    forward: Arc<Forward<N>>,
    backward: Arc<Backward<N>>,
}

impl<const N: usize> fmt::Debug for Op<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Op")
    }
}

impl<const N: usize> Function<N> for Op<N> {
    fn name(&self) -> Cow<'static, str> {
        "planted".into()
    }

    fn differentiable(&self, _: usize) -> bool {
        self.differentiable
    }

    fn forward(&self, ctx: &mut Context, inputs: [Var; N]) -> [Var; 1] {
        [(self.forward)(ctx, inputs)]
    }

    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; N] {
        (self.backward)(ctx, g)
    }
}

impl<const N: usize> Op<N> {
    /// One that keeps its inputs.
    pub(super) fn new(
        forward: impl Fn([Var; N]) -> Var + Send + Sync + 'static,
        backward: impl Fn([Var; N], Var) -> [Var; N] + Send + Sync + 'static,
    ) -> Self {
        Self::with_context(
            move |ctx, inputs| {
                ctx.save(inputs.each_ref());
                forward(inputs)
            },
            move |ctx, g| backward(ctx.tensors(), g).map(Some),
        )
    }

    /// One that says what it keeps.
    pub(super) fn with_context(
        forward: impl Fn(&mut Context, [Var; N]) -> Var + Send + Sync + 'static,
        backward: impl Fn(Saved, Var) -> [Option<Var>; N] + Send + Sync + 'static,
    ) -> Self {
        Self { differentiable: true, forward: Arc::new(forward), backward: Arc::new(backward) }
    }

    /// One whose output is declared to have no derivative.
    pub(super) fn constant(self) -> Self {
        Self { differentiable: false, ..self }
    }

    /// What the checker is given.
    pub(super) fn subject<I: Tensors + Arguments, O: Tensors>(&self) -> Subject {
        let op = self.clone();
        Subject::new(move |inputs: I| -> O { Function::<N, 1>::apply_all(&op, inputs) })
    }

    /// The check without options.
    pub(super) fn check<O: Tensors>(&self, inputs: impl Tensors + Arguments) -> Report {
        self.check_with::<O>(&Gradcheck::new(), inputs)
    }

    /// The check with options.
    pub(super) fn check_with<O: Tensors>(
        &self,
        check: &Gradcheck,
        inputs: impl Tensors + Arguments,
    ) -> Report {
        fn run<const N: usize, I: Tensors + Arguments, O: Tensors>(
            op: &Op<N>,
            check: &Gradcheck,
            inputs: I,
        ) -> Report {
            check.run(&op.subject::<I, O>(), inputs)
        }
        run::<N, _, O>(self, check, inputs)
    }
}

/// A function of one input and its derivative, times the cotangent.
pub(super) fn elementwise(
    forward: impl Fn(Var) -> Var + Send + Sync + 'static,
    backward: impl Fn(Var, Var) -> Var + Send + Sync + 'static,
) -> Op<1> {
    Op::new(move |[x]| forward(x), move |[x], g| [backward(x, g)])
}

/// A tensor of numbers on a grid of 1⁄64 between ½ and 2, of both signs; other ones for another seed.
pub(super) fn tensor<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let mut random = SplitMix64::new(seed);
    let data: Vec<f64> =
        (0..shape.iter().product()).map(|_| (64.0 * random.cotangent()).round() / 64.0).collect();
    of(shape, &data)
}

/// The same without signs.
pub(super) fn positive<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    tensor(shape, seed).abs()
}

/// A tensor of these numbers.
pub(super) fn of<const D: usize>(shape: [usize; D], data: &[f64]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(data.to_vec(), shape), (&Device::flex(), DType::F64))
}

/// A constant beside a variable.
pub(super) fn constant(like: &Var, shape: &[usize], data: Vec<f64>) -> Var {
    let data = TensorData::new(data, Shape::from(shape.to_vec())).convert_dtype(like.dtype());
    Var::new(Dispatch::float_from_data(data, &like.device()))
}

/// A variable's values.
pub(super) fn host(var: &Var) -> Vec<f64> {
    let data = var.to_data().convert_dtype(DType::F64);
    data.try_to_vec::<f64>().expect("it was converted")
}

/// Several checks as one report: each record says which of them it is of.
pub(super) fn sweep(reports: impl IntoIterator<Item = (String, Report)>) -> Report {
    let records = reports.into_iter().flat_map(|(label, report)| {
        report.records.into_iter().map(move |mut record| {
            record.check = format!("{label}: {}", record.check);
            record
        })
    });
    Report::new(records.collect())
}

/// The check of a known point of a function of one input too, whose gradient is that of its outputs' sum:
/// what neither a numeric derivative nor another backend replaces, where a convention decides (a kink,
/// ties) or the forward may be wrong.
pub(super) fn known(x: &[f64], y: &[f64], gradient: &[f64]) -> Gradcheck {
    let expected = Expected::new().at(of([x.len()], x));
    Gradcheck::new()
        .expect(expected.outputs(of([y.len()], y)).gradients(of([gradient.len()], gradient)))
}
