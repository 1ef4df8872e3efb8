//! What must not pass although no formula is wrong: a check that is fed the wrong way.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{DType, Device, Tensor};
use burn_autograd::gradcheck::suite::{Backend, Case, Suite};
use burn_autograd::gradcheck::{Array, Gradcheck, Report, Subject, Verdict};

use super::Sham;
use super::formulas::slightly_wrong;
use super::state::atomic;
use super::tools::{Op, elementwise, tensor};

pub(super) fn run() -> Vec<Sham> {
    let f64s = || tensor::<1>([4], 3);
    let f32s = || f64s().cast(DType::F32);
    let wrong =
        |check: Gradcheck, x: Tensor<1>| slightly_wrong(true).check_with::<Tensor<1>>(&check, x);
    vec![
        sham("numeric side with the two inputs swapped: a²·b", swapped),
        sham("numeric side of another function", || {
            let op = elementwise(|x| x.sin(), |x, g| g * x.cos());
            let subject = op.subject::<Tensor<1>, Tensor<1>>();
            Gradcheck::new().run(&subject.surrogate(|x: Tensor<1>| x.cos()), tensor::<1>([4], 3))
        }),
        sham("roundings that are not a number, double precision, factor 1.001", || {
            wrong(Gradcheck::new().roundings(f64::NAN), f64s())
        }),
        sham("roundings that are not a number, single precision, factor 1.001", || {
            wrong(Gradcheck::new().roundings(f64::NAN), f32s())
        }),
        sham(
            "roundings that are not a number, against a reference, factor 1.001 in single precision",
            || {
                let check = Gradcheck::new().reference(&Device::flex()).roundings(f64::NAN);
                only_in_single_precision().check_with::<Tensor<1>>(&check, f32s())
            },
        ),
        sham("varying gradients, by a number of units that is not a number", || {
            let check = Gradcheck::new().nondeterministic(f64::NAN);
            atomic(true).check_with::<Tensor<1>>(&check, f64s())
        }),
        sham("first step that is not a number, factor 1.001", || {
            wrong(Gradcheck::new().first_step(f64::NAN), f64s())
        }),
        sham("coverage that is not a number", || {
            wrong(Gradcheck::new().coverage(f64::NAN), f64s())
        }),
        sham("a report without records", || Report::new(Vec::new())),
        sham("inputs without elements", || {
            elementwise(|x| x.sin(), |x, g| g * x.cos()).check::<Tensor<1>>(tensor::<1>([0], 3))
        }),
        sham("outputs without elements", || {
            elementwise(|x| x.slice(0..0), |x, _| x.zeros_like())
                .check::<Tensor<1>>(tensor::<1>([4], 3))
        }),
        sham("a function that is constant", || {
            elementwise(|x| x.zeros_like(), |x, _| x.zeros_like())
                .check::<Tensor<1>>(tensor::<1>([4], 3))
        }),
        sham("sizes none of which has elements", || {
            let sine = elementwise(|x| x.sin(), |x, g| g * x.cos());
            let subject = sine.subject::<Tensor<1>, Tensor<1>>();
            Gradcheck::new().run_sizes(&subject, |_| tensor::<1>([0], 3))
        }),
        sham("a suite of a function that is constant", || suite_of_a_constant(1)),
        sham("a suite of a second derivative that is zero", || suite_of_a_constant(2)),
        {
            let constant = elementwise(|x| x.zeros_like(), |x, _| x.zeros_like());
            let subject = constant.subject::<Tensor<1>, Tensor<1>>();
            let control = Gradcheck::new().control(&subject, f64s());
            Sham {
                name: "a negative control without a gradient to plant mistakes in",
                rejected: !control.caught(),
                verdict: control.to_string(),
            }
        },
    ]
}

fn sham(name: &'static str, run: impl FnOnce() -> Report) -> Sham {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(report) => {
            let worst = report.records.iter().max_by_key(|record| record.verdict);
            let verdict = match worst {
                Some(record) if !record.reason.is_empty() => {
                    format!("{} in {}: {}", record.verdict, record.check, record.reason)
                }
                _ => report.verdict().to_string(),
            };
            Sham { name, rejected: report.verdict() != Verdict::Pass, verdict }
        }
        Err(panic) => {
            Sham { name, rejected: true, verdict: format!("refused: {}", message(&*panic)) }
        }
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

fn swapped() -> Report {
    let op = Op::new(|[a, b]| a.square() * b, |[a, b], g| [2.0 * &g * &a * b, g * a.square()]);
    let subject = op
        .subject::<(Tensor<1>, Tensor<1>), Tensor<1>>()
        .surrogate(|(a, b): (Tensor<1>, Tensor<1>)| b.square() * a);
    Gradcheck::new().run(&subject, (tensor([3], 1), tensor([3], 2)))
}

/// A suite of one function that is constant, at an order.
fn suite_of_a_constant(order: u8) -> Report {
    let constant = elementwise(|x| x.zeros_like(), |x, _| x.zeros_like());
    let inputs = vec![Array::new([3], [0.5, -1.25, 0.75])];
    let case = Case::new("zero", "[3]", constant.subject::<Tensor<1>, Tensor<1>>(), inputs)
        .vjp(Subject::product(|x: Tensor<1>, _: Tensor<1>| x.zeros_like()));
    let suite = Suite::new(vec![case]).orders([order]);
    let flex = Backend::new("flex", Device::flex(), [DType::F64]);
    let mut records = Vec::new();
    suite.run(&[flex], |entry| records.push(entry.record));
    Report::new(records)
}

/// x², forward and backward too large by one in a thousand in single precision.
fn only_in_single_precision() -> Op<1> {
    let factor = |x: &burn_autograd::Var| if x.dtype() == DType::F32 { 1.001 } else { 1.0 };
    elementwise(move |x| x.square() * factor(&x), move |x, g| 2.0 * &x * g * factor(&x))
}
