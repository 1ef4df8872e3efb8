//! What is known not to pass in Burn 0.22.1, and why. `docs/burn-operations.md` says more of each.

use burn_autograd::gradcheck::Verdict;

use super::{Finding, PREFIX, Spot};

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
    /// What is wrong, or why nothing can be said.
    pub(super) what: &'static str,
}

impl Known {
    /// Something is wrong with the gradient, or with what is made of it.
    const fn wrong(op: &'static str, case: &'static str, what: &'static str) -> Self {
        Self {
            op,
            case,
            backends: BOTH,
            dtypes: &["f64"],
            check: "jacobian",
            verdicts: &[Verdict::Fail],
            what,
        }
    }

    /// The function is evaluated in single precision, and the differences show that instead of its
    /// derivative.
    const fn noisy(
        op: &'static str,
        backends: &'static [&'static str],
        what: &'static str,
    ) -> Self {
        let verdicts = &[Verdict::Unchecked, Verdict::Fail];
        Self { backends, verdicts, ..Self::wrong(op, "", what) }
    }

    /// The backward pass panics.
    const fn missing(
        case: &'static str,
        check: &'static str,
        dtypes: &'static [&'static str],
    ) -> Self {
        let what = "there is no backward pass: it panics";
        let wrong = Self::wrong("interpolate", case, what);
        Self { backends: NDARRAY, dtypes, check, ..wrong }
    }

    const fn on(self, backends: &'static [&'static str]) -> Self {
        Self { backends, ..self }
    }

    const fn in_f32(self) -> Self {
        Self { dtypes: &["f32"], check: "parity", ..self }
    }

    pub(super) fn is(&self, (check, verdict): Finding<'_>) -> bool {
        self.check == check && self.verdicts.contains(&verdict)
    }
}

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
    Known::wrong("div_scalar", "3", RECIPROCAL),
    Known::wrong("celu", "3×5", RECIPROCAL),
    Known::wrong("softplus", "3×5", RECIPROCAL),
    Known::wrong("var", "unbiased, the middle", RECIPROCAL),
    Known::wrong("cov", "unbiased, of four", RECIPROCAL),
    Known::wrong("gelu", "", APPROXIMATE).on(NDARRAY),
    Known::wrong("gelu", "", APPROXIMATE).on(NDARRAY).in_f32(),
    Known::wrong("elu", "at 800", OVERFLOW),
    Known::wrong("celu", "at 800", OVERFLOW),
    Known::wrong("selu", "at 800", OVERFLOW),
    Known::wrong("powf", "base 0", ZERO_BASE),
    Known::wrong("powf", "given bases", ZERO_BASE),
    Known::wrong(
        "cross",
        "one of two, broadcast",
        "the gradient is not summed over the dimension that was broadcast",
    ),
    Known::wrong("interpolate", "nearest, 1×2 to 1×98", BOUNDARY).on(NDARRAY),
    Known::wrong("interpolate", "nearest, 1×2 to 1×98", BOUNDARY).on(NDARRAY).in_f32(),
    Known::missing("bilinear", "jacobian", &["f64"]),
    Known::missing("bilinear", "parity", &["f32"]),
    Known::missing("bilinear", "subsets", &["f32"]),
    Known::missing("bicubic", "jacobian", &["f64"]),
    Known::missing("bicubic", "parity", &["f32"]),
    Known::missing("bicubic", "subsets", &["f32"]),
    Known::missing("lanczos3", "jacobian", &["f64"]).on(BOTH),
    Known { check: "layout", dtypes: ANY, ..Known::wrong("gather_nd", "", CONTIGUOUS).on(NDARRAY) },
    Known {
        check: "layout",
        dtypes: ANY,
        ..Known::wrong("scatter_nd", "", CONTIGUOUS).on(NDARRAY)
    },
    Known::wrong("deform_conv2d", "", "the gradient is computed in f32 whatever the data type").on(FLEX),
    Known::wrong(
        "deform_conv2d",
        "",
        "the gradient of the input is summed in f32 whatever the data type, and positions are rounded to f32",
    )
    .on(NDARRAY),
    Known::wrong("hard_sigmoid", "", TRACKED_SINGLE).on(FLEX),
    Known::wrong("hard_swish", "", TRACKED_SINGLE).on(FLEX),
    Known::noisy("hard_sigmoid", NDARRAY, SINGLE),
    Known::noisy("hard_swish", NDARRAY, SIGMOID_SINGLE),
    Known::noisy("sigmoid", NDARRAY, SINGLE),
    Known::noisy("glu", NDARRAY, SIGMOID_SINGLE),
    Known::noisy("silu", NDARRAY, SIGMOID_SINGLE),
    Known::noisy("rms_norm", BOTH, MEAN_SINGLE),
    Known {
        verdicts: &[Verdict::Invalid],
        ..Known::wrong("binary_cross_entropy_loss", "", INTEGERS)
    },
    Known::wrong(
        "batch_norm_train",
        "the statistics",
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
/// pass.
pub(super) fn follows((op, case, _, dtype): Spot<'_>, finding: Finding<'_>) -> bool {
    dtype == "f32"
        && finding == ("parity", Verdict::Unchecked)
        && at((op, case, "flex", "f64")).iter().any(|known| known.check == "jacobian")
}
