//! The fit of y = a + b·x + c·x² + d·x³ to the sine that several examples make in different ways:
//! 2,000 steps of gradient descent on the sum of the squared errors. Whatever the way, these numbers
//! have to come out.

use super::check::Checks;
use super::cli::Precision;
use super::fit::Losses;

/// Of the *sum* of the squared errors; their mean has a gradient 2,000 times smaller.
pub(crate) const LEARNING_RATE: f64 = 1e-6;

/// Where a fit starts, and what becomes of it.
#[derive(Debug)]
pub(crate) struct Known {
    /// a, b, c, d before the first step.
    pub(crate) start: [f64; 4],
    /// Losses and the steps at which they are measured.
    losses: [(usize, f64); 5],
    /// a, b, c, d after the last step.
    parameters: [f64; 4],
}

// Computed with 64-bit mantissas; they agree with every digit that NumPy and PyTorch print.

/// From a line that is zero everywhere.
pub(crate) const FROM_ZERO: Known = Known {
    start: [0.0; 4],
    losses: [
        (99, 517.694448557841),
        (499, 106.109196292063),
        (999, 21.1172337758704),
        (1499, 10.3721918642119),
        (1999, 9.01375840456208),
    ],
    parameters: [0.0, 0.843_111_067_627_083_9, 0.0, -0.09139167217243453],
};

/// From a curve that is not symmetric, so that all four parameters have something to do.
pub(crate) const FROM_A_CURVE: Known = Known {
    start: [0.5, -0.5, 0.25, 0.1],
    losses: [
        (99, 1421.33754098306),
        (499, 286.284401512341),
        (999, 45.487018350269),
        (1499, 13.7355149443336),
        (1999, 9.48907798557196),
    ],
    parameters: [
        0.013_972_401_007_099_46,
        0.835_055_173_058_335_2,
        -0.0024104716754809923,
        -0.090_245_791_321_377_13,
    ],
};

impl Known {
    /// Expects these numbers, as well as a precision can give them.
    ///
    /// Each step rounds sums of 2,000 terms and four parameters, and the descent contracts what the
    /// steps before were off by, in its slowest direction by a factor of e in some 350 steps. In f64
    /// that leaves differences of 10⁻¹⁵, in f32 of 10⁻⁶, in any order of the sums; a loss, 2,000
    /// squares, is off by about as many parts.
    pub(crate) fn expect(
        &self,
        checks: &mut Checks,
        losses: &Losses,
        parameters: [f64; 4],
        precision: Precision,
    ) {
        losses.expect(checks, &self.losses, precision.pick(1e-12, 2e-5));
        for (name, (found, expected)) in
            ["a", "b", "c", "d"].iter().zip(parameters.iter().zip(self.parameters))
        {
            checks.expect(name, *found, expected, precision.pick(1e-13, 1e-5));
        }
    }
}

/// The formula with numbers, as it is printed and written under a picture.
pub(crate) fn formula([a, b, c, d]: [f64; 4]) -> String {
    format!("y = {a} + {b} x + {c} x^2 + {d} x^3")
}

/// The curve at every point.
pub(crate) fn curve([a, b, c, d]: [f64; 4], x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| a + x * (b + x * (c + x * d))).collect()
}
