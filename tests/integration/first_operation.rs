//! Chapter 1 of the guide shows whole files, to be copied. They are these, letter by letter.

use burn::tensor::{DType, Device, Tensor};
use burn_autograd::gradcheck::{Verdict, gradcheck};
use burn_autograd::{Context, Function, Saved, Var};

/// The chapter's `tests/usage.rs`, beside its `src/lib.rs`.
mod usage {
    #[allow(unreachable_pub, reason = "in the chapter it is a crate")]
    mod bell {
        include!("first_operation/bell.rs");
    }
    include!("first_operation/usage.rs");
}

/// The chapter's `tests/gradcheck.rs`.
mod proof {
    #[allow(unreachable_pub, reason = "in the chapter it is a crate")]
    mod bell {
        include!("first_operation/bell.rs");
    }
    include!("first_operation/gradcheck.rs");
}

const CHAPTER: &str = include_str!("../../docs/01-first-operation.md");

#[test]
fn the_chapter_shows_the_files_that_are_compiled() {
    let files = [
        ("src/lib.rs", include_str!("first_operation/bell.rs")),
        ("tests/usage.rs", include_str!("first_operation/usage.rs")),
        ("tests/gradcheck.rs", include_str!("first_operation/gradcheck.rs")),
    ];
    for (name, file) in files {
        assert!(CHAPTER.contains(&format!("\n{file}```\n")), "{name} is another in the chapter");
    }
}

/// The chapter's mistake: a factor 2 is forgotten.
#[derive(Debug, Clone, Copy)]
struct HalfOfTheGradient;

impl Function<1> for HalfOfTheGradient {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        let y = (1.0 + &x * &x).recip();
        ctx.save([&x, &y]);
        [y]
    }

    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [x, y] = ctx.tensors();
        [Some(-(g * x * y.square()))]
    }
}

#[test]
fn the_chapter_shows_what_is_reported_of_its_mistake() {
    assert!(CHAPTER.contains("[Some(-(g * x * y.square()))]"));
    let x = Tensor::<1>::from_data([0.5, -1.25, 2.0], (&Device::flex(), DType::F64));
    let report = gradcheck(|x: Tensor<1>| HalfOfTheGradient.apply([x]), x);
    assert_eq!(report.verdict(), Verdict::Fail);
    let text = report.to_string();
    for part in [
        "FAIL      jacobian  6/9 entries",
        "the gradient of input 0 at [0] is -3.200000000e-1, the derivative of output 0 at [0] is \
         -6.400000000e-1",
        "likely cause: input 0: all 3 failing entries are 0.500000 times what they should be",
        "worst entry: output 0 at [2], input 0 at [2]: analytic -8.000000000e-2, expected \
         -1.600000000e-1, error 8.000e-2 above the bound",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
        assert!(CHAPTER.contains(part), "{part} is not in the chapter");
    }
    assert!(
        text.contains("repeat: Gradcheck::new().seed(42).run(&subject, inputs) at the same inputs"),
        "{text}"
    );
}
