//! A backward that was published with mistakes, and the checker that finds them:
//! Y = (A·B⁻¹)ᵀ + tr(A)·B for a batch of matrices, differentiated through the loss ‖Y‖.
//!
//! With G the gradient of Y, the gradients are
//!
//! - dA = Gᵀ·B⁻ᵀ + ⟨G, B⟩·I,
//! - dB = −B⁻ᵀ·Aᵀ·Gᵀ·B⁻ᵀ + tr(A)·G.
//!
//! The published backward has G·B⁻ᵀ + tr(G)·I and −B⁻ᵀ·Aᵀ·G·B⁻¹ + tr(G)·B. Its gradients have the
//! right shapes, which is all that its text looks at before it runs a check; PyTorch's `gradcheck`
//! rejects it, as the checker here does, which says which input is wrong and where. It needs neither a
//! step width nor a tolerance: the error of its numeric derivatives is computed. Then the library's
//! operation `trace_inverse` passes.
//!
//! Proofs need double precision. In single precision, and so on wgpu, the gradient is proven on a CPU in
//! `f64` first, and then the device's own gradient is compared with that.
//!
//! PyTorch's constructs: a `torch.autograd.Function` on batches of matrices, and
//! `torch.autograd.gradcheck(f, (A, B), eps=1e-6, atol=1e-4)`.
//!
//! `cargo run --example 20_trace_inverse -- --backend ndarray`
//!
//! Exit code: 0 if the published backward is rejected, ours passes and the numbers came out; 1 if not;
//! 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn::tensor::{Device, Tensor, TensorData};
use burn_autograd::gradcheck::{Gradcheck, Report, Subject, Verdict};
use burn_autograd::ops::prelude::*;
use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::{Place, Precision};
use shared::values::{number, numbers};

/// Checks two backwards of a function of matrices.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// Two matrices of three rows.
const SHAPE: [usize; 3] = [2, 3, 3];
type Numbers = [f64; 18];

const A: Numbers = [
    2.0, 1.0, -1.0, 0.5, -1.5, 2.0, -2.0, 1.0, 0.5, //
    -1.0, 0.5, 2.0, 1.5, 1.0, -0.5, 0.0, -2.0, 1.5,
];
const B: Numbers = [
    3.0, 0.5, -1.0, 1.0, 2.0, 0.5, -0.5, 1.0, 2.5, //
    2.0, -1.0, 0.5, 0.5, 3.0, 1.0, 1.0, -0.5, -2.0,
];

/// (A·B⁻¹)ᵀ + tr(A)·B with the backward that was published for it.
#[derive(Debug, Clone)]
struct Published;

impl Function<2> for Published {
    fn forward(&self, ctx: &mut Context, [a, b]: [Var; 2]) -> [Var; 1] {
        ctx.save([&a, &b]);
        [a.matmul(&b.clone().inverse()).transpose() + a.trace() * b]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 2] {
        let [a, b] = ctx.tensors();
        let inverse = b.clone().inverse();
        let transposed = inverse.transpose();
        let trace = g.clone().trace();
        let da = g.matmul(&transposed) + &trace * identity(&b);
        let db = trace * &b - transposed.matmul(&a.transpose()).matmul(&g).matmul(&inverse);
        [Some(da), Some(db)]
    }
}

/// The identity matrix for a batch of matrices.
fn identity(like: &Var) -> Var {
    let n = like.shape()[2];
    let device = Device::new(like.device()).inner();
    let identity = Tensor::<2>::eye(n, &device).cast(like.dtype());
    Var::from(identity).reshape([1, n, n])
}

fn matrices(numbers: &Numbers, device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(numbers.to_vec(), SHAPE), device)
}

/// These numbers on the device and in the precision of another tensor, as a constant.
fn matrices_like(numbers: &Numbers, like: &Tensor<3>) -> Tensor<3> {
    let data = TensorData::new(numbers.to_vec(), SHAPE);
    Tensor::from_data(data, (&like.device().inner(), like.dtype()))
}

/// ‖Y‖ and its gradients.
fn norm(f: impl Fn([Tensor<3>; 2]) -> Tensor<3>, device: &Device) -> (f64, [Tensor<3>; 2]) {
    let [a, b] = [&A, &B].map(|numbers| matrices(numbers, device).require_grad());
    let loss = f([a.clone(), b.clone()]).square().sum().sqrt();
    let gradients = loss.backward();
    let gradients = [a, b].map(|leaf| leaf.grad(&gradients).expect("Y depends on both matrices"));
    (number(&loss), gradients)
}

fn main() -> ExitCode {
    let (device, precision) = Arguments::parse().place.open();
    let mut checks = Checks::new();

    let (loss, ours) = norm(|[a, b]| trace_inverse(a, b), &device.clone().autodiff());
    let (_, published) = norm(|inputs| Published.apply(inputs), &device.clone().autodiff());
    println!("loss: {loss}");
    // Compared to 12 digits. In f32 some thirty roundings of numbers up to ten: a factorisation, two
    // solutions, and sums.
    let tolerance = precision.pick(1e-12, 2e-5);
    checks.expect("loss", loss, 9.438691052652835, tolerance);
    for (input, name) in ["A", "B"].into_iter().enumerate() {
        let (right, wrong) = (numbers(&ours[input]), numbers(&published[input]));
        println!("{name} gradient shape: {:?}", ours[input].dims());
        println!("{:<30}   as it was published", format!("{name} gradient"));
        for (right, wrong) in right.chunks(3).zip(wrong.chunks(3)) {
            println!("{}   {}", row(right), row(wrong));
        }
        checks.expect_equal("shape", ours[input].dims(), SHAPE);
        checks.expect_equal("shape as published", published[input].dims(), SHAPE);
        checks.expect_all(format!("{name} gradient"), &right, &RIGHT[input], tolerance);
        checks.expect_all(format!("{name} as published"), &wrong, &WRONG[input], tolerance);
    }

    let checker = checker(precision);
    let [a, b] = [&A, &B].map(|numbers| matrices(numbers, &device));
    println!("\nThe published backward:");
    let both = Subject::new(|inputs: [Tensor<3>; 2]| Published.apply(inputs));
    let report = checker.run(&both, [a.clone(), b.clone()]);
    print!("{report}");
    checks.expect_equal("the verdict on the published backward", report.verdict(), Verdict::Fail);
    checks.expect_that(
        "it names the first wrong entry",
        report.to_string().contains("the gradient of input 0 at [0, 0, 0] is"),
    );
    // One input at a time: is the other one's gradient right, at least?
    let by_a = Subject::new(|a: Tensor<3>| Published.apply([a.clone(), matrices_like(&B, &a)]));
    let by_b = Subject::new(|b: Tensor<3>| Published.apply([matrices_like(&A, &b), b]));
    for (name, subject, at, right) in [("A", by_a, &a, 224), ("B", by_b, &b, 162)] {
        let report = checker.run(&subject, at.clone());
        println!("{}", summary(name, &report));
        checks.expect_equal(format!("the verdict by {name}"), report.verdict(), Verdict::Fail);
        let coverage = report.records.first().map(|record| record.coverage);
        // 162 entries lie between different matrices of the batch and are 0.
        checks.expect_equal(format!("right entries by {name}"), coverage, Some((right, 324)));
    }

    println!("\nThe operation trace_inverse:");
    let operation = Subject::new(|[a, b]: [Tensor<3>; 2]| trace_inverse(a, b));
    let report = checker.run(&operation, [a, b]);
    print!("{report}");
    checks.expect_equal("the verdict on trace_inverse", report.verdict(), Verdict::Pass);

    checks
        .finish("The published backward is wrong for A and for B; that of trace_inverse is right.")
}

fn checker(precision: Precision) -> Gradcheck {
    match precision {
        Precision::F64 => Gradcheck::new(),
        Precision::F32 => Gradcheck::new().reference(&Device::flex()),
    }
}

/// Verdict, number of wrong entries of the Jacobian, and those that are most wrong.
fn summary(name: &str, report: &Report) -> String {
    let mut text = format!("by {name} alone: {}", report.verdict());
    if let Some(record) = report.records.first() {
        let (right, all) = record.coverage;
        text += &format!(", {} of {all} entries wrong, most of all", all - right);
        for entry in record.worst_entries.iter().take(3) {
            let (output, input) = (entry.output_index.as_deref().unwrap_or_default(), &entry.index);
            let (found, expected) = (entry.analytic, entry.numeric);
            text += &format!(
                "\n          ∂Y{output:?} ⁄ ∂{name}{input:?} = {found:.6}, expected {expected:.6}"
            );
        }
    }
    text
}

fn row(numbers: &[f64]) -> String {
    numbers.iter().map(|number| format!("{number:10.6}")).collect::<Vec<_>>().join("")
}

/// The gradients of ‖Y‖, from the formulas above in 40 digits, and confirmed by difference quotients.
const RIGHT: [Numbers; 2] = [
    [
        2.6469283670036368,
        0.03856137521065347,
        -0.030422793507902487,
        0.12731067092160467,
        2.447048675899169,
        0.1725573096738036,
        -0.08283913518871537,
        0.11297126506437676,
        2.569127401440434,
        3.597327175945304,
        -0.012677406113900572,
        0.04708750842305926,
        0.032212066084282155,
        3.635994038549118,
        -0.02072655285288506,
        -0.0022599527382533373,
        -0.04033860846498765,
        3.6723854692863345,
    ],
    [
        0.10016591726619911,
        0.36333402585126345,
        -0.3544499457584126,
        0.41563284612521345,
        -0.2811183820959048,
        0.4567303512381682,
        -0.2879588456633074,
        0.4828227948916638,
        -0.049591342366222625,
        0.46794572534157375,
        -0.22040223147128055,
        0.0911867926180599,
        0.100454556888484,
        0.6792490076515515,
        0.28458570949917733,
        0.19895027639009416,
        -0.18071238205050105,
        -0.3656793579791904,
    ],
];

/// What the published formulas give instead.
const WRONG: [Numbers; 2] = [
    [
        0.6815335516973346,
        0.06720789096597142,
        -0.09893867081895888,
        0.1036215848939545,
        0.5366054350660051,
        0.1105813640881721,
        -0.05130213109055531,
        0.1580079800821793,
        0.6196383460095478,
        0.5626314872729298,
        -0.06485367798011589,
        0.00674116039389951,
        0.12802787053488598,
        0.6024205866816983,
        -0.02399651871559751,
        -0.05329076910699779,
        -0.06170754514415705,
        0.633518155525198,
    ],
    [
        1.6081552562379104,
        0.47917360070629655,
        -0.6567444094812712,
        0.8079827976841562,
        0.8901260745681132,
        0.5231993724599738,
        -0.46104300809026955,
        0.8100076745789935,
        1.316691551416494,
        0.9250781549826639,
        -0.4955756056103062,
        0.09164988480978906,
        0.18793432979353172,
        1.2204173439352939,
        0.5361169311214938,
        0.5565093927876166,
        -0.31128214540865756,
        -0.7485400853695959,
    ],
];
