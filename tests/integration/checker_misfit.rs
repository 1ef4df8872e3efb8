//! Gradients that have not their input's form, from an operation on Burn's graph itself: there nothing
//! stands before the checker that would refuse them.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::{
    BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, BackendTensor, DispatchAutodiffContext, DispatchKindConversion, DispatchTensor, Flex,
    TensorMetadata,
};
use burn::tensor::{DType, Device, FloatDType, GradientCheckpointingStrategy, Shape, Tensor};
use burn_autograd::gradcheck::{Gradcheck, Report, Subject, Verdict};

use crate::devices::tensor;

type OnGraph<C> = Autodiff<Flex, C>;
type Plain = FloatTensor<Flex>;
/// A tensor with its place on the graph; the same under each strategy.
type Placed = FloatTensor<OnGraph<NoCheckpointing>>;

/// The form of a gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Right,
    /// The right elements in another shape of the same size.
    Reshaped,
    /// The same, but only of one row.
    ReshapedAlone,
    /// Without the sum over the rows.
    NotSummed,
    /// In single precision.
    Single,
}

/// 2x, repeated for as many rows if x has one.
#[derive(Debug)]
struct Doubled {
    form: Form,
}

impl Doubled {
    fn forward(x: Plain, rows: usize) -> Plain {
        let shape = x.shape().to_vec();
        let x = match shape[0] {
            1 => Flex::float_expand(x, Shape::from([rows, shape[1]])),
            _ => x,
        };
        Flex::float_add(x.clone(), x)
    }
}

impl Backward<Flex, 1> for Doubled {
    /// How many rows the input has.
    type State = usize;

    fn backward(self, ops: Ops<usize, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let g = grads.consume::<Flex>(&ops.node);
        let [parent] = ops.parents;
        let Some(parent) = parent else { return };
        let g = Flex::float_add(g.clone(), g);
        let shape = g.shape().to_vec();
        let reshaped = |g: Plain| Flex::float_reshape(g, Shape::from([shape[1], shape[0]]));
        let gradient = match self.form {
            Form::Reshaped => reshaped(g),
            Form::ReshapedAlone if shape[0] == 1 => reshaped(g),
            Form::Single => Flex::float_cast(g, FloatDType::F32),
            Form::Right if shape[0] > ops.state => Flex::float_sum_dim(g, 0),
            Form::Right | Form::ReshapedAlone | Form::NotSummed => g,
        };
        grads.register::<Flex>(parent.id, gradient);
    }
}

fn doubled(form: Form, rows: usize, x: DispatchTensor) -> DispatchTensor {
    match x.autodiff {
        DispatchAutodiffContext::Disabled => {
            let x = <DispatchTensor as DispatchKindConversion<Flex>>::try_into_backend(x)
                .expect("a tensor of Flex")
                .float();
            let y = BackendTensor::Float(Doubled::forward(x, rows));
            <DispatchTensor as DispatchKindConversion<Flex>>::from_backend(y)
        }
        DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Balanced) => {
            on_graph::<BalancedCheckpointing>(form, rows, x)
        }
        DispatchAutodiffContext::Enabled(_) => on_graph::<NoCheckpointing>(form, rows, x),
    }
}

fn on_graph<C: CheckpointStrategy>(form: Form, rows: usize, x: DispatchTensor) -> DispatchTensor
where
    DispatchTensor: DispatchKindConversion<OnGraph<C>>,
{
    let x: Placed = <DispatchTensor as DispatchKindConversion<OnGraph<C>>>::try_into_backend(x)
        .expect("a tensor of Flex on an autodiff device")
        .float();
    let plain = x.primitive().clone();
    let state = plain.shape().to_vec()[0];
    let y = Doubled::forward(plain, rows);
    let prepared = Backward::<Flex, 1>::prepare::<C>(Doubled { form }, [x.node()]).compute_bound();
    let output = match prepared.stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, y),
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    };
    <DispatchTensor as DispatchKindConversion<OnGraph<C>>>::from_backend(BackendTensor::Float(
        output,
    ))
}

const DATA: [f64; 6] = [0.75, -1.25, 1.5, -0.625, 2.0, 1.125];

/// Checks the operation at x of this shape, with as many rows in its output.
fn check(form: Form, shape: [usize; 2], rows: usize) -> Report {
    let subject = Subject::new(move |x: Tensor<2>| {
        Tensor::<2>::from_dispatch(doubled(form, rows, x.into_dispatch()))
    });
    let data = &DATA[..shape[0] * shape[1]];
    let x = tensor(shape, data, &Device::flex(), DType::F64);
    // A row by itself is not repeated.
    Gradcheck::new().batch([rows == 1]).run(&subject, x)
}

#[track_caller]
fn rejected(report: &Report, check: &str, reason: &str) {
    let record = report.check(check).unwrap_or_else(|| panic!("no record `{check}`\n{report}"));
    assert_eq!(record.verdict, Verdict::Fail, "{report}");
    assert!(record.reason.contains(reason), "{report}");
}

#[test]
fn gradients_of_the_right_form_pass() {
    check(Form::Right, [2, 3], 1).assert_pass();
    check(Form::Right, [1, 3], 2).assert_pass();
}

#[test]
fn a_gradient_of_another_shape_is_named() {
    let report = check(Form::Reshaped, [2, 3], 1);
    rejected(&report, "jacobian", "gradient of input 0: expected [2, 3] of F64, got [3, 2] of F64");
    assert!(!report.to_string().contains("broadcast"), "{report}");
}

#[test]
fn a_sum_over_a_broadcast_dimension_that_is_missing_is_named() {
    let report = check(Form::NotSummed, [1, 3], 2);
    let expected = "gradient of input 0: expected [1, 3] of F64, got [2, 3] of F64; it has an \
                    output's shape: the sum over the broadcast dimensions is missing";
    rejected(&report, "jacobian", expected);
}

#[test]
fn a_gradient_of_another_data_type_is_named() {
    let report = check(Form::Single, [2, 3], 1);
    rejected(&report, "jacobian", "gradient of input 0: expected [2, 3] of F64, got [2, 3] of F32");
}

#[test]
fn a_gradient_of_another_shape_for_a_batch_of_one_is_seen() {
    let report = check(Form::ReshapedAlone, [2, 3], 1);
    let passed = report.check("jacobian").map(|record| record.verdict);
    assert_eq!(passed, Some(Verdict::Pass), "{report}");
    let expected =
        "row 0 by itself: gradient of input 0: expected [1, 3] of F64, got [3, 1] of F64";
    rejected(&report, "batch", expected);
}
