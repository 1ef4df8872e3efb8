//! What is known not to pass in Burn 0.22.1, and why. `docs/burn-operations.md` says more of each.

use std::fmt;

use burn_autograd::gradcheck::Verdict;

use super::{Finding, PREFIX, Spot};

/// How large the errors of a failing check are: what is larger is another mistake.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Size {
    /// At most this, or no entry is compared.
    UpTo(f64),
    /// One is infinite, or not a number.
    Infinite,
}

impl Size {
    fn covers(self, error: Option<f64>) -> bool {
        match self {
            Self::UpTo(most) => error.is_none_or(|error| error <= most),
            Self::Infinite => error.is_some_and(f64::is_infinite),
        }
    }
}

/// A check that does not pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// The operation, without its prefix.
    op: &'static str,
    /// What the case's name begins with.
    case: &'static str,
    backends: &'static [&'static str],
    dtypes: &'static [&'static str],
    pub(super) check: &'static str,
    /// What the check says. What is drowned in noise says now this, now that.
    verdicts: &'static [Verdict],
    /// The errors, where it fails.
    size: Size,
    /// What is wrong, or why nothing can be said.
    pub(super) what: &'static str,
}

impl Known {
    /// Something is wrong with the gradient, or with what is made of it.
    const fn wrong(op: &'static str, case: &'static str, size: Size, what: &'static str) -> Self {
        Self {
            op,
            case,
            backends: BOTH,
            dtypes: &["f64"],
            check: "jacobian",
            verdicts: &[Verdict::Fail],
            size,
            what,
        }
    }

    /// The function is evaluated in single precision, and the differences show that instead of its
    /// derivative. They say so, or that they see too little; and nothing fails.
    const fn noisy(
        op: &'static str,
        backends: &'static [&'static str],
        what: &'static str,
    ) -> Self {
        let verdicts = &[Verdict::Unchecked, Verdict::Invalid];
        Self { backends, verdicts, ..Self::wrong(op, "", ROUNDING, what) }
    }

    /// The backward pass panics.
    const fn missing(
        case: &'static str,
        check: &'static str,
        dtypes: &'static [&'static str],
    ) -> Self {
        let what = "there is no backward pass: it panics";
        let wrong = Self::wrong("interpolate", case, ROUNDING, what);
        Self { backends: NDARRAY, dtypes, check, ..wrong }
    }

    const fn on(self, backends: &'static [&'static str]) -> Self {
        Self { backends, ..self }
    }

    const fn in_f32(self) -> Self {
        Self { dtypes: &["f32"], check: "parity", ..self }
    }

    pub(super) fn is(&self, found: Finding<'_>) -> bool {
        self.check == found.check
            && self.verdicts.contains(&found.verdict)
            && (found.verdict != Verdict::Fail || self.size.covers(found.error))
    }

    fn fails(&self) -> bool {
        self.verdicts.contains(&Verdict::Fail)
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdicts: Vec<_> = self.verdicts.iter().map(ToString::to_string).collect();
        write!(f, "{} {}", self.check, verdicts.join(" or "))?;
        match self.size {
            _ if !self.fails() => Ok(()),
            Size::UpTo(most) => write!(f, " with an error of at most {most:e}"),
            Size::Infinite => f.write_str(" with an error that is not finite"),
        }
    }
}

/// What is left where nothing but rounding, also that of `f32`, differs: where it panics, for instance.
const ROUNDING: Size = Size::UpTo(1e-5);
/// A rounding of `f32` in numbers of size one.
const SINGLES: Size = Size::UpTo(1e-6);
/// An entry is missing, or in another place.
const ENTRY: Size = Size::UpTo(2.0);

const BOTH: &[&str] = &["flex", "ndarray"];
const FLEX: &[&str] = &["flex"];
const NDARRAY: &[&str] = &["ndarray"];
const ANY: &[&str] = &["f64", "f32"];

const RECIPROCAL: &str = "the gradient of a division by a number is multiplied with its reciprocal \
                          in f32";
const APPROXIMATE: &str = "the gradient is that of an approximation of the function, with constants \
                           of six digits";
const OVERFLOW: &str = "NaN where the exponential of the branch that is not taken overflows";
const SINGLE: &str = "computed in f32 whatever the data type: nothing can be said of f64";
const SIGMOID_SINGLE: &str =
    "its sigmoid is computed in f32 whatever the data type: nothing can be said of f64";
const MEAN_SINGLE: &str =
    "the root mean square is computed in f32 whatever the data type: nothing can be said of f64";
const TRACKED_SINGLE: &str =
    "the hard sigmoid is computed in f32 on an autodiff device, whatever the data type";
const BOUNDARY: &str = "forward and backward round the border between two pixels differently";
const CONTIGUOUS: &str = "it panics for a tensor that is a view, forward and backward";
const ZERO_BASE: &str = "NaN at base 0: of the base for exponent 0, and of the exponent";
const INTEGERS: &str =
    "integer targets become the device's default float type, f32: it cannot be evaluated in f64";

const KNOWN: &[Known] = &[
    Known::wrong("div_scalar", "3", SINGLES, RECIPROCAL),
    Known::wrong("celu", "3×5", SINGLES, RECIPROCAL),
    Known::wrong("softplus", "3×5", SINGLES, RECIPROCAL),
    Known::wrong("var", "unbiased, the middle", SINGLES, RECIPROCAL),
    Known::wrong("cov", "unbiased, of four", SINGLES, RECIPROCAL),
    Known::wrong("gelu", "", Size::UpTo(1e-3), APPROXIMATE).on(NDARRAY),
    // Of outputs with weights of up to 2.
    Known::wrong("gelu", "", Size::UpTo(2e-3), APPROXIMATE).on(NDARRAY).in_f32(),
    Known::wrong("elu", "at 800", Size::Infinite, OVERFLOW),
    Known::wrong("celu", "at 800", Size::Infinite, OVERFLOW),
    Known::wrong("selu", "at 800", Size::Infinite, OVERFLOW),
    Known::wrong("powf", "base 0", Size::Infinite, ZERO_BASE),
    Known::wrong("powf", "given bases", Size::Infinite, ZERO_BASE),
    Known::wrong(
        "cross",
        "one of two, broadcast",
        ENTRY,
        "the gradient is not summed over the dimension that was broadcast",
    ),
    Known::wrong("interpolate", "nearest, 1×2 to 1×98", ENTRY, BOUNDARY).on(NDARRAY),
    Known::wrong("interpolate", "nearest, 1×2 to 1×98", ENTRY, BOUNDARY).on(NDARRAY).in_f32(),
    Known::missing("bilinear", "jacobian", &["f64"]),
    Known::missing("bilinear", "parity", &["f32"]),
    Known::missing("bilinear", "subsets", &["f32"]),
    Known::missing("bicubic", "jacobian", &["f64"]),
    Known::missing("bicubic", "parity", &["f32"]),
    Known::missing("bicubic", "subsets", &["f32"]),
    Known::missing("lanczos3", "jacobian", &["f64"]).on(BOTH),
    Known { check: "layout", dtypes: ANY, ..Known::wrong("gather_nd", "", ROUNDING, CONTIGUOUS).on(NDARRAY) },
    Known {
        check: "layout",
        dtypes: ANY,
        ..Known::wrong("scatter_nd", "", ROUNDING, CONTIGUOUS).on(NDARRAY)
    },
    Known::wrong("deform_conv2d", "", ROUNDING, "the gradient is computed in f32 whatever the data type")
        .on(FLEX),
    Known::wrong(
        "deform_conv2d",
        "",
        ROUNDING,
        "the gradient of the input is summed in f32 whatever the data type, and positions are rounded to f32",
    )
    .on(NDARRAY),
    Known::wrong("hard_sigmoid", "", SINGLES, TRACKED_SINGLE).on(FLEX),
    Known::wrong("hard_swish", "", SINGLES, TRACKED_SINGLE).on(FLEX),
    Known::noisy("hard_sigmoid", NDARRAY, SINGLE),
    Known::noisy("hard_swish", NDARRAY, SIGMOID_SINGLE),
    Known::noisy("sigmoid", NDARRAY, SINGLE),
    Known::noisy("glu", NDARRAY, SIGMOID_SINGLE),
    Known::noisy("silu", NDARRAY, SIGMOID_SINGLE),
    Known::noisy("rms_norm", BOTH, MEAN_SINGLE),
    Known {
        verdicts: &[Verdict::Invalid],
        ..Known::wrong("binary_cross_entropy_loss", "", ROUNDING, INTEGERS)
    },
    Known::wrong(
        "batch_norm_train",
        "the statistics",
        ENTRY,
        "mean and variance are detached, as is documented",
    ),
];

/// What is known of a case on a backend, in a data type.
pub(super) fn at((op, case, backend, dtype): Spot<'_>) -> Vec<&'static Known> {
    KNOWN
        .iter()
        .filter(|known| {
            op.strip_prefix(PREFIX) == Some(known.op)
                && case.starts_with(known.case)
                && known.backends.contains(&backend)
                && known.dtypes.contains(&dtype)
        })
        .collect()
}

/// Whether a finding in `f32` only says that the `f64` gradient it is compared with, flex's, did not
/// pass; or that, checked without it for the reason that flex computes in `f32` too, it sees too little.
pub(super) fn follows((op, case, _, dtype): Spot<'_>, found: Finding<'_>) -> bool {
    let known = at((op, case, "flex", "f64"));
    let mut unproven = known.iter().filter(|known| known.check == "jacobian");
    dtype == "f32"
        && found.verdict == Verdict::Unchecked
        && match found.check {
            "parity" => unproven.next().is_some(),
            "line" => unproven.any(|known| !known.fails()),
            _ => false,
        }
}
