//! Numeric derivatives that know their own error.
//!
//! Central differences on a ladder of steps h₀, h₀/2, h₀/4, …, extrapolated to step zero
//! (Richardson; Ridders 1982). Each entry of the extrapolation tableau has a bound B = 2·t + R: t
//! is the largest difference from its neighbours, which measures the truncation; R is the noise of
//! the function, carried through the same linear combinations. The answer is the entry with the
//! smallest bound among those that no smaller step contradicts.
//!
//! Every output element is differentiated by itself, before anything is summed. The steps are those
//! that were realised: the differences are divided by what the rounded points are apart, and where
//! they are not symmetric the parabola through the three points is differentiated.
//!
//! # The noise
//!
//! A bound on |computed f − exact f| is measured and not assumed.
//!
//! - With a companion, the same function in a higher precision ([`Samples::take_with`],
//!   [`Samples::companion`]), it is 1.5 times the largest difference between the two at the points
//!   of the ladder.
//! - Otherwise it is the largest of 4u·max|f|; five standard deviations by difference tables of
//!   closely spaced values (Moré and Wild, "Estimating computational noise", 2011); twice the grid
//!   on which all values lie; and, if some steps show no change while others do, the smallest
//!   change. If small steps contradict everything that large ones agree on, and their second
//!   differences allow it, there is more noise than that, and as much is supposed. What numbers of
//!   size one, rounded on the way, may have hidden from all this is added to the bound.
//!
//! # Kinks
//!
//! In a kink the central difference is the mean of two slopes, with a tiny bound. So the difference
//! of the slopes on both sides is extrapolated too: a limit other than zero, by its own bound, is a
//! kink ([`Nature::NonSmooth`]). A kink near the point, but not in it, is one that the large steps
//! contain: the small ones contradict them, and the answer comes from below. A jump of the
//! curvature (Huber's function, x·|x|) is not a kink.
//!
//! # A glance first
//!
//! All this is needed to say that a gradient is wrong, or that nothing can be said. To confirm one that
//! is right, less is enough: six steps, one run for the noise, and no search for more of it
//! ([`Precision::short`], [`Samples::glance`]). A glance that is unclear gives no answer; and one that
//! does not agree with the gradient, to a hundredth of what may remain unseen, counts for nothing: the
//! long ladder is taken. So a glance never rejects, and to accept wrongly it would have to be wrong by
//! what the gradient is wrong by.
//!
//! # Less than double precision
//!
//! A function of `f64` that casts to `f32` on the way has stairs for values, which points that are
//! roundings of `f64` apart do not see. So before a gradient is called wrong in double precision, runs at
//! spacings that single precision resolves are looked at. If they show a noise that was not supposed, the
//! derivative is that of a ladder for single precision, with this noise in its bound.
#![doc = include_str!("bound.md")]

mod coarse;
mod glance;
mod kinks;
mod noise;
mod search;
mod table;
mod tableau;

use std::fmt;

pub(crate) use coarse::Coarse;
pub use glance::Glance;
use search::{Ladder, Row, Search, Source};
pub use table::{StepRow, StepTable};
use tableau::{Entry, Tableau};

/// The precision that a function computes in.
///
/// Another one is a changed copy of [`F64`](Self::F64) or [`F32`](Self::F32):
///
/// ```
/// use burn_autograd_gradcheck::numeric::Precision;
///
/// let mut precision = Precision::F64;
/// precision.rows = 12;
/// assert_eq!(precision.unit, Precision::F64.unit);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Precision {
    /// Unit round-off: half the distance from 1 to the next number.
    pub unit: f64,
    /// Rows of the ladder.
    pub rows: usize,
    /// Runs of closely spaced values for the noise, three at most.
    pub runs: usize,
    /// Entries whose detectable relative error is above this are unchecked.
    pub detects: f64,
}

impl Precision {
    /// Double precision: 20 rows reach the step 2⁻²¹, where the noise dominates in every function
    /// that a step of ¼ resolves. A detectable error of 10⁻⁶ leaves six orders of magnitude between
    /// what rounding explains and what a wrong formula does.
    pub const F64: Self = Self { unit: f64::EPSILON / 2.0, rows: 20, runs: 3, detects: 1e-6 };

    /// Single precision: below step 2⁻¹⁰ there is only noise. An error of 10⁻³ is what extrapolated
    /// differences can promise with a few units of noise.
    pub const F32: Self = Self { unit: f32::EPSILON as f64 / 2.0, rows: 9, runs: 3, detects: 1e-3 };

    /// A short ladder, where this one is long: for derivatives that are only to be confirmed. It takes a
    /// third of the evaluations, and is made for those who take the long one where it does not confirm.
    pub fn short(self) -> Option<Self> {
        (self.rows > 2 * glance::ROWS).then_some(Self { rows: glance::ROWS, runs: 1, ..self })
    }
}

/// The derivative of one output with respect to one input.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// The derivative.
    pub value: f64,
    /// A bound on its error.
    pub bound: f64,
    /// What was seen about the function on the way.
    pub nature: Nature,
    /// How large the derivative of an output that did not change may be and still be lost in
    /// rounding: in the output's own, or in that of numbers of size one which it is the difference
    /// of.
    pub hidden: f64,
    /// How steeply the output changes over the largest step: the size that its derivative has
    /// nearby, also where it is zero in the point itself.
    pub slope: f64,
}

impl Estimate {
    /// That of an output that is the same at every step.
    fn constant(centre: f64, unit: f64, width: f64) -> Self {
        // An output of zero may be the difference of two numbers of size one, as 1 − tanh(20) is.
        let hidden = 4.0 * unit * centre.abs().max(1.0) / width;
        Self { value: 0.0, bound: 0.0, nature: Nature::Constant, hidden, slope: 0.0 }
    }
}

/// What the samples say about a function near a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nature {
    /// Nothing against a derivative.
    Smooth,
    /// The output is the same at every step, to the last bit: it does not depend on the input, or
    /// so little that its rounding hides it ([`Estimate::hidden`]).
    Constant,
    /// The slopes on both sides, or the values, differ however small the step: a kink or a jump.
    NonSmooth,
    /// A value is infinite or not a number.
    NotFinite,
}

/// The samples of all outputs along one input: f(x ± hₖ) for each step, and f at closely spaced
/// points, for the noise.
#[derive(Debug, Clone)]
pub struct Samples {
    /// f(x).
    pub centre: Vec<f64>,
    /// Both values for each step, from large to small.
    pub rows: Vec<Pair>,
    /// Runs of seven values at equal spacing.
    pub noise: Vec<Vec<Vec<f64>>>,
    /// The same function at the same points in a higher precision.
    companion: Option<Box<Self>>,
}

/// The values on both sides of the point.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Pair {
    /// By how much the upper point is above x, as it was realised.
    pub above: f64,
    /// By how much the lower point is below x, as it was realised.
    pub below: f64,
    /// The values at the upper point.
    pub plus: Vec<f64>,
    /// The values at the lower point.
    pub minus: Vec<f64>,
}

/// A companion's samples were not taken at the points of the function, or not of as many outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct CompanionMismatch(String);

impl fmt::Display for CompanionMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Samples::companion: {}", self.0)
    }
}

impl std::error::Error for CompanionMismatch {}

/// Points of a run for the noise.
const NOISE_POINTS: i32 = 7;

impl Samples {
    /// Takes the samples: `f(δ)` evaluates all outputs with `x + δ` in place of the input `x`, and
    /// gives them with the realised `x + δ`.
    pub fn take(
        x: f64,
        first_step: f64,
        precision: Precision,
        mut f: impl FnMut(f64) -> (f64, Vec<f64>),
    ) -> Self {
        let mut samples = Self::ladder(first_step, precision, &mut f);
        // Spacings far below the ladder: there a smooth function is nearly a straight line,
        // and its fourth differences are noise. Multiples of a power of two, so that the spacing is
        // exactly equal; odd ones, so that the values don't lie on a grid because the points do.
        let scale = (x.abs().max(first_step) * precision.unit).log2().ceil().exp2();
        let noise = [1025.0, 65.0, 16385.0]
            .into_iter()
            .take(precision.runs)
            .map(|factor| {
                let at = |i: i32| f64::from(i - NOISE_POINTS / 2) * scale * factor;
                let value = |delta: f64| match delta {
                    0.0 => samples.centre.clone(),
                    delta => f(delta).1,
                };
                (0..NOISE_POINTS).map(at).map(value).collect()
            })
            .collect();
        samples.noise = noise;
        samples
    }

    /// Takes the samples of a function and of its companion: the same function computed in a higher
    /// precision, at the same points. `f` as in [`take`](Self::take); `companion(δ)` evaluates all
    /// outputs with `x + δ` in place of `x`, where δ is what `f` realised.
    ///
    /// ```
    /// use burn_autograd_gradcheck::numeric::{Precision, Samples};
    ///
    /// let x = 0.75_f32;
    /// let samples = Samples::take_with(
    ///     0.25,
    ///     Precision::F32,
    ///     |delta| {
    ///         let at = x + delta as f32;
    ///         (f64::from(at), vec![f64::from(at.exp())])
    ///     },
    ///     |delta| vec![(f64::from(x) + delta).exp()],
    /// );
    /// let found = samples.derivative(0, Precision::F32);
    /// assert!((found.value - 0.75_f64.exp()).abs() <= found.bound && found.bound < 1e-4);
    /// ```
    pub fn take_with(
        first_step: f64,
        precision: Precision,
        mut f: impl FnMut(f64) -> (f64, Vec<f64>),
        mut companion: impl FnMut(f64) -> Vec<f64>,
    ) -> Self {
        let samples = Self::ladder(first_step, precision, &mut f);
        let centre = companion(0.0);
        let rows = samples.rows.iter().map(|pair| Pair {
            above: pair.above,
            below: pair.below,
            plus: companion(pair.above),
            minus: companion(-pair.below),
        });
        let rows = rows.collect();
        let companion = Self { centre, rows, noise: Vec::new(), companion: None };
        Self { companion: Some(Box::new(companion)), ..samples }
    }

    /// Gives the samples a companion: those of the same function computed in a higher precision, at
    /// the same points. The noise is then how far they are apart, and not estimated.
    ///
    /// # Errors
    ///
    /// If the points or the number of outputs are not the same.
    pub fn companion(&mut self, other: Self) -> Result<(), CompanionMismatch> {
        let mismatch = |text: String| Err(CompanionMismatch(text));
        if other.rows.len() != self.rows.len() {
            let (ours, theirs) = (self.rows.len(), other.rows.len());
            return mismatch(format!("expected {ours} steps as in the function, got {theirs}"));
        }
        let outputs = self.centre.len();
        for (row, (pair, theirs)) in self.rows.iter().zip(&other.rows).enumerate() {
            if (pair.above, pair.below) != (theirs.above, theirs.below) {
                return mismatch(format!(
                    "expected step {row} to reach {:e} below and {:e} above as in the function, got \
                     {:e} and {:e}",
                    pair.below, pair.above, theirs.below, theirs.above
                ));
            }
            if let Some(count) = [other.centre.len(), theirs.plus.len(), theirs.minus.len()]
                .into_iter()
                .find(|&count| count != outputs)
            {
                return mismatch(format!("expected {outputs} outputs, got {count}"));
            }
        }
        self.companion = Some(Box::new(other));
        Ok(())
    }

    fn ladder(
        first_step: f64,
        precision: Precision,
        f: &mut impl FnMut(f64) -> (f64, Vec<f64>),
    ) -> Self {
        let (x, centre) = f(0.0);
        let mut rows: Vec<Pair> = Vec::new();
        // Where the largest steps leave the domain, as many smaller ones take their place.
        let inside = centre.iter().all(|value| value.is_finite());
        let mut outside = 0;
        while rows.len() < precision.rows + outside {
            let step = first_step / 2f64.powi(rows.len() as i32);
            let (above, plus) = f(step);
            let (below, minus) = f(-step);
            let is_finite = plus.iter().chain(&minus).all(|value| value.is_finite());
            if inside && !is_finite && outside == rows.len() && outside < precision.rows {
                outside += 1;
            }
            rows.push(Pair { above: above - x, below: x - below, plus, minus });
        }
        Self { centre, rows, noise: Vec::new(), companion: None }
    }

    /// The derivative of one output.
    ///
    /// If the rounding of the input swallows the steps, as near 10⁶ in `f32`, the bound is
    /// infinite.
    pub fn derivative(&self, output: usize, precision: Precision) -> Estimate {
        self.search(output, precision).estimate
    }

    /// How the derivative of one output was found: what each step of the ladder said.
    pub fn table(&self, output: usize, precision: Precision) -> StepTable {
        let Search { estimate, noise, slopes, chosen } = self.search(output, precision);
        let tableau = Tableau::new(&slopes, search::SLOPES);
        let bound = |entry: Entry| entry.bound(noise);
        let rows = slopes.iter().enumerate().map(|(row, slope)| {
            let chosen = chosen.filter(|entry| entry.row == row);
            let entries = tableau.entries().iter().copied().filter(|entry| entry.row == row);
            let smallest = || entries.min_by(|a, b| bound(*a).total_cmp(&bound(*b)));
            let entry = chosen.or_else(smallest);
            StepRow {
                step: slope.step / 2.0,
                slope: slope.value,
                value: entry.map_or(slope.value, |entry| entry.value),
                bound: entry.map_or(f64::INFINITY, bound),
                chosen: chosen.is_some(),
            }
        });
        StepTable { rows: rows.collect(), noise, estimate }
    }

    fn of(&self, output: usize) -> Ladder {
        let rows = self.rows.iter().map(|pair| Row {
            above: pair.above,
            below: pair.below,
            plus: pair.plus[output],
            minus: pair.minus[output],
        });
        Ladder { centre: self.centre[output], rows: rows.collect() }
    }

    fn search(&self, output: usize, precision: Precision) -> Search {
        let mut ladder = self.of(output);
        let usable = ladder.usable();
        ladder.rows = ladder.rows[usable.clone()].to_vec();
        if let Some(companion) = &self.companion {
            let mut companion = companion.of(output);
            companion.rows = companion.rows[usable].to_vec();
            return search::search(&ladder, Source::Companion(&companion), precision);
        }
        let values = |run: &Vec<Vec<f64>>| run.iter().map(|values| values[output]).collect();
        let runs = || self.noise.iter().map(values).collect();
        search::search(&ladder, Source::Blind(&runs), precision)
    }
}

#[cfg(test)]
mod tests {
    use super::{Estimate, Nature, Precision, Samples};
    use crate::SplitMix64;

    type Single = fn(f32) -> f32;
    type Double = fn(f64) -> f64;

    fn single(x: f32, f: impl Fn(f32) -> f32) -> Samples {
        Samples::take(f64::from(x), 0.25, Precision::F32, |delta| {
            let at = (f64::from(x) + delta) as f32;
            (f64::from(at), vec![f64::from(f(at))])
        })
    }

    fn with_companion(x: f32, f: Single, companion: Double) -> Samples {
        Samples::take_with(
            0.25,
            Precision::F32,
            |delta| {
                let at = (f64::from(x) + delta) as f32;
                (f64::from(at), vec![f64::from(f(at))])
            },
            |delta| vec![companion(f64::from(x) + delta)],
        )
    }

    fn estimate(x: f64, first_step: f64, f: impl Fn(f64) -> f64) -> Estimate {
        let samples = Samples::take(x, first_step, Precision::F64, |d| (x + d, vec![f(x + d)]));
        samples.derivative(0, Precision::F64)
    }

    /// Functions with known derivatives, among them ones with large constants and cancellation. The
    /// true error, against a derivative in closed form, is below the bound, and the bound is
    /// useful.
    #[test]
    fn the_bound_covers_the_true_error() {
        type F = fn(f64) -> f64;
        let functions: [(&str, F, F, f64); 9] = [
            ("exp", f64::exp, f64::exp, 1e-10),
            ("sin", f64::sin, f64::cos, 1e-10),
            ("cube", |x| x * x * x, |x| 3.0 * x * x, 1e-11),
            ("tanh", f64::tanh, |x| 1.0 - x.tanh() * x.tanh(), 1e-9),
            ("1000 + sin", |x| 1000.0 + x.sin(), f64::cos, 1e-7),
            ("exp(x) - 1 - x", |x| x.exp() - 1.0 - x, |x| x.exp_m1(), 1e-9),
            ("cos(20x)", |x| (20.0 * x).cos(), |x| -20.0 * (20.0 * x).sin(), 1e-7),
            (
                "logistic",
                |x| 1.0 / (1.0 + (-x).exp()),
                |x| {
                    let s = 1.0 / (1.0 + (-x).exp());
                    s * (1.0 - s)
                },
                1e-10,
            ),
            ("x^10", |x| x.powi(10), |x| 10.0 * x.powi(9), 1e-5),
        ];
        let mut random = SplitMix64::new(7);
        for (name, f, derivative, useful) in functions {
            for _ in 0..200 {
                let x = random.uniform(-3.0, 3.0);
                let found = estimate(x, 0.25, f);
                let error = (found.value - derivative(x)).abs();
                assert_eq!(found.nature, Nature::Smooth, "{name} at {x}");
                assert!(error <= found.bound, "{name} at {x}: {error:e} > {:e}", found.bound);
                let scale = derivative(x).abs().max(1.0);
                assert!(found.bound <= useful * scale, "{name} at {x}: bound {:e}", found.bound);
            }
        }
    }

    #[test]
    fn kinks_and_jumps_are_seen_and_constants_are_certain() {
        assert_eq!(estimate(0.0, 0.25, f64::abs).nature, Nature::NonSmooth);
        assert_eq!(estimate(0.0, 0.25, |x| x.max(0.0)).nature, Nature::NonSmooth);
        // A jump in the point itself looks like noise of its own size: nothing is claimed either
        // way.
        let jump = estimate(1.0, 0.25, f64::floor);
        assert!(jump.nature == Nature::NonSmooth || jump.bound > jump.value.abs().max(1.0));
        let constant = estimate(-1.0, 0.25, |x| x.max(0.0));
        assert_eq!((constant.nature, constant.value, constant.bound), (Nature::Constant, 0.0, 0.0));
        // Saturated, but not constant: the large steps move it.
        assert_ne!(estimate(19.0, 0.25, f64::tanh).nature, Nature::Constant);
        assert_eq!(estimate(0.0, 0.25, f64::ln).nature, Nature::NotFinite);
        // Even about the point, but not constant.
        let even = estimate(0.0, 0.25, |x| x * x);
        assert_eq!((even.nature, even.value), (Nature::Smooth, 0.0));
    }

    /// Functions with a kink at zero and their derivatives.
    const KINKS: [(&str, Double, Double); 5] = [
        ("abs", f64::abs, f64::signum),
        ("max of two", |x| x.max(x * x - x), |x| if x > 0.0 { 1.0 } else { 2.0 * x - 1.0 }),
        ("clamp", |x| x.clamp(0.0, 8.0) + x.sin(), |x| f64::from(x > 0.0) + x.cos()),
        ("leaky", |x| x.max(0.01 * x), |x| if x > 0.0 { 1.0 } else { 0.01 }),
        ("small", |x| 1e-4 * x.abs() + x.exp(), |x| 1e-4 * x.signum() + x.exp()),
    ];

    #[test]
    fn kinks_in_the_point_are_seen() {
        for (name, f, _) in KINKS {
            assert_eq!(estimate(0.0, 0.25, f).nature, Nature::NonSmooth, "{name}");
        }
        // Kinks that the noise of a large constant nearly hides.
        assert_eq!(estimate(0.0, 0.25, |x| 1e6 + x.abs()).nature, Nature::NonSmooth);
        let in_single = single(0.0, |x| 100.0 + x.abs()).derivative(0, Precision::F32);
        assert_eq!(in_single.nature, Nature::NonSmooth);
        // Flat on one side, at the edge of it.
        assert_eq!(estimate(1.0, 0.25, |x| x.min(1.0)).nature, Nature::NonSmooth);
    }

    /// A kink nearer than the largest step does not spoil the answer: it comes from steps below.
    /// Only near the smallest step is it taken for one in the point.
    #[test]
    fn kinks_near_the_point_are_avoided() {
        let mut random = SplitMix64::new(3);
        for (name, f, derivative) in KINKS {
            for _ in 0..500 {
                let x = random.uniform(-0.3, 0.3);
                if x == 0.0 {
                    continue;
                }
                let found = estimate(x, 0.25, f);
                let error = (found.value - derivative(x)).abs();
                assert_eq!(found.nature, Nature::Smooth, "{name} at {x}");
                assert!(error <= found.bound, "{name} at {x}: {error:e} > {:e}", found.bound);
                assert!(found.bound <= 1e-7, "{name} at {x}: bound {:e}", found.bound);
            }
            for exponent in 16..40 {
                let x = 2f64.powi(-exponent) * 1.1;
                let found = estimate(x, 0.25, f);
                let error = (found.value - derivative(x)).abs();
                let fine = error <= found.bound || found.nature == Nature::NonSmooth;
                assert!(fine, "{name} at {x:e}: {error:e} > {:e}", found.bound);
            }
        }
    }

    #[test]
    fn a_jump_of_the_curvature_is_no_kink() {
        let huber: Double = |x| if x.abs() < 1.0 { x * x / 2.0 } else { x.abs() - 0.5 };
        let smooth_step: Double = |x| {
            let x = x.clamp(0.0, 1.0);
            x * x * (3.0 - 2.0 * x)
        };
        let cases: [(&str, Double, Double, f64); 4] = [
            ("x|x|", |x| x * x.abs(), |x| 2.0 * x.abs(), 0.0),
            ("Huber", huber, |x| x.clamp(-1.0, 1.0), 1.0),
            ("smooth step", smooth_step, |_| 0.0, 0.0),
            ("softsign", |x| x / (1.0 + x.abs()), |x| (1.0 + x.abs()).powi(-2), 0.0),
        ];
        for (name, f, derivative, centre) in cases {
            for offset in [0.0, 1e-3, -1e-2, 0.1] {
                let x = centre + offset;
                let found = estimate(x, 0.25, f);
                assert_eq!(found.nature, Nature::Smooth, "{name} at {x}");
                for steps in [1.0, 2.0, 3.0, 5.0] {
                    let near = (centre - steps * 2f64.powi(-10) * 1.125) as f32;
                    let near = single(near, |x| f(f64::from(x)) as f32);
                    let nature = near.derivative(0, Precision::F32).nature;
                    assert_eq!(nature, Nature::Smooth, "{name}, {steps} steps from {centre}");
                }
                if offset == 0.0 {
                    let error = (found.value - derivative(x)).abs();
                    assert!(error <= found.bound, "{name}: {error:e} > {:e}", found.bound);
                    assert!(found.bound < 1e-4, "{name}: bound {:e}", found.bound);
                }
            }
        }
    }

    /// Where large steps agree with each other on a wrong value: many periods of an oscillation,
    /// and a crossing of the error's sign.
    #[test]
    fn small_steps_contradict_large_ones() {
        let mut random = SplitMix64::new(5);
        for _ in 0..200 {
            let x = random.uniform(-3.0, 3.0);
            let found = estimate(x, 0.25, |x| (100.0 * x).cos());
            let error = (found.value + 100.0 * (100.0 * x).sin()).abs();
            assert!(error <= found.bound, "{x}: {error:e} > {:e}", found.bound);
            assert!(found.bound < 1e-8, "{x}: {:e}", found.bound);
        }
        // What the central difference is off by, h² − 51.2 h⁴, is the same at the steps ⅛ and 1/16.
        let cross: Single = |x| 1.0 + x / 2.0 + 2e-3 * (x.powi(3) - 51.2 * x.powi(5));
        let found = single(0.0, cross).derivative(0, Precision::F32);
        let error = (found.value - 0.5).abs();
        assert!(error <= found.bound, "{error:e} > {:e}", found.bound);
    }

    /// Functions whose own value says nothing of their noise: what they are the difference of does.
    #[test]
    fn noise_of_larger_numbers_is_seen() {
        let mut random = SplitMix64::new(11);
        for _ in 0..200 {
            let x = random.uniform(2.0, 14.0);
            let found = estimate(x, 0.25, |x| 1.0 - x.tanh());
            let error = (found.value + x.cosh().powi(-2)).abs();
            assert!(error <= found.bound + found.hidden, "{x}: {error:e} > {:e}", found.bound);

            let x = random.uniform(-3.0, 3.0) as f32;
            let found = single(x, |x| (1e5 + x * x) - 1e5).derivative(0, Precision::F32);
            let error = (found.value - 2.0 * f64::from(x)).abs();
            assert!(error <= found.bound, "{x}: {error:e} > {:e}", found.bound);
        }
        // Saturated at every step: the derivative is not zero, but below what rounding hides.
        let found = single(10.0, |x| 1.0 - x.tanh()).derivative(0, Precision::F32);
        assert_eq!((found.nature, found.value), (Nature::Constant, 0.0));
        assert!(10.0f64.cosh().powi(-2) <= found.hidden && found.hidden < 1e-6);
        // Noise that the closely spaced values do not show, for they are alike; the ladder does.
        let mut narrow = 0;
        for _ in 0..200 {
            let x = random.uniform(-14.0, -9.0);
            let found = estimate(x, 0.25, |x| (1.0 + x.exp()).ln());
            let error = (found.value - 1.0 / (1.0 + (-x).exp())).abs();
            assert_eq!(found.nature, Nature::Smooth, "{x}");
            assert!(error <= found.bound, "{x}: {error:e} > {:e}", found.bound);
            narrow += usize::from(found.bound < 2e-13);
        }
        assert!(narrow > 160, "the bound is narrow in {narrow} of 200");
        // By chance small steps agree here.
        let gelu: Double =
            |x| x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)).tanh()) / 2.0;
        let found = estimate(-3.914_794_921_875, 0.25, gelu);
        let error = (found.value + 4.842_832_452_065_613e-4).abs();
        assert!(error <= found.bound, "{error:e} > {:e}", found.bound);
        // A staircase times x.
        let gelu: Single = |x| x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh()) / 2.0;
        let found = single(-4.966_308_6, gelu).derivative(0, Precision::F32);
        let error = (found.value + 1.917_621e-6).abs();
        assert!(error <= found.bound, "{error:e} > {:e}", found.bound);
    }

    #[test]
    fn a_companion_gives_the_noise() {
        let cases: [(&str, Single, Double, Double); 4] = [
            ("exp", f32::exp, f64::exp, f64::exp),
            ("1000 + sin", |x| 1000.0 + x.sin(), |x| 1000.0 + x.sin(), f64::cos),
            ("1 - tanh", |x| 1.0 - x.tanh(), |x| 1.0 - x.tanh(), |x| -x.cosh().powi(-2)),
            // Exact in both: all that is left is the rounding of the tableau.
            ("square", |x| x * x, |x| x * x, |x| 2.0 * x),
        ];
        let mut random = SplitMix64::new(13);
        let mut narrower = 0;
        for (name, f, companion, derivative) in cases {
            for _ in 0..100 {
                let x = random.uniform(-3.0, 12.0) as f32;
                let found = with_companion(x, f, companion).derivative(0, Precision::F32);
                let error = (found.value - derivative(f64::from(x))).abs();
                assert_eq!(found.nature, Nature::Smooth, "{name} at {x}");
                assert!(error <= found.bound, "{name} at {x}: {error:e} > {:e}", found.bound);
                let blind = single(x, f).derivative(0, Precision::F32);
                narrower += usize::from(found.bound < blind.bound || blind.hidden > 0.0);
            }
        }
        assert!(narrower > 300, "the bound is narrower in {narrower} of 400");
    }

    #[test]
    fn a_companion_must_be_at_the_same_points() {
        let take = |x: f64, step: f64, precision, outputs| {
            Samples::take(x, step, precision, |d| (x + d, vec![(x + d).exp(); outputs]))
        };
        let of =
            |other| take(0.5, 0.25, Precision::F32, 2).companion(other).unwrap_err().to_string();
        let message = of(take(0.5, 0.25, Precision::F64, 2));
        assert_eq!(message, "Samples::companion: expected 9 steps as in the function, got 20");
        assert!(of(take(0.5, 0.125, Precision::F32, 2)).contains("expected step 0 to reach"));
        assert!(of(take(0.5, 0.25, Precision::F32, 1)).contains("expected 2 outputs, got 1"));

        let mut samples = take(0.5, 0.25, Precision::F32, 2);
        assert_eq!(samples.companion(take(0.5, 0.25, Precision::F32, 2)), Ok(()));
        assert!(samples.derivative(1, Precision::F32).bound < 1e-9);
        // A companion that cannot be computed says nothing.
        let nothing = Samples::take(0.5, 0.25, Precision::F32, |d| (0.5 + d, vec![f64::NAN; 2]));
        assert_eq!(samples.companion(nothing), Ok(()));
        assert_eq!(samples.derivative(1, Precision::F32).bound, f64::INFINITY);
    }

    /// Points that are no multiples of the steps, so that x + h and x − h are rounded differently;
    /// and some at which the steps are lost altogether.
    #[test]
    fn steps_are_those_that_were_realised() {
        let mut state = SplitMix64::new(17);
        for _ in 0..500 {
            let x = (state.next_u64() >> 40) as f32 / (1 << 24) as f32 * 40.0;
            let found = single(x, |x| x * x).derivative(0, Precision::F32);
            let error = (found.value - 2.0 * f64::from(x)).abs();
            assert!(error <= found.bound, "{x}: {error:e} > {:e}", found.bound);
        }
        // Only the points are rounded here, and nothing else hides that they are not symmetric.
        for x in [0.1f32, 0.7, 3.3] {
            let square = |delta: f64| {
                let at = f64::from((f64::from(x) + delta) as f32);
                (at, vec![at * at])
            };
            let exactly = |delta: f64| vec![(f64::from(x) + delta).powi(2)];
            let samples = Samples::take_with(0.25, Precision::F32, square, exactly);
            let found = samples.derivative(0, Precision::F32);
            let error = (found.value - 2.0 * f64::from(x)).abs();
            assert!(error <= found.bound && found.bound < 1e-9, "{x}: {error:e}, {found:?}");
            for row in samples.table(0, Precision::F32).rows {
                assert!((row.slope - 2.0 * f64::from(x)).abs() < 1e-12, "{x}: {row:?}");
            }
        }
        let found = single(1e6, |x| x / 2.0).derivative(0, Precision::F32);
        assert_eq!((found.nature, found.bound), (Nature::Smooth, f64::INFINITY));
        assert!(found.value.is_finite());
    }

    /// Where an output is large for other reasons, the smallest steps change nothing; the large ones
    /// tell enough.
    #[test]
    fn stillness_that_the_noise_explains_costs_nothing() {
        let longer = Precision { rows: 30, ..Precision::F64 };
        for first_step in [0.25, 0.175] {
            let samples = Samples::take(0.75, first_step, longer, |delta| {
                (0.75 + delta, vec![3e5 + 1e-3 * (0.75f64 + delta).powi(2)])
            });
            assert!(samples.rows.iter().any(|pair| pair.plus == pair.minus));
            let found = samples.derivative(0, longer);
            assert!((found.value - 1.5e-3).abs() <= found.bound, "{found:?}");
            assert!(found.bound <= 1e-8, "{found:?}");
        }
    }

    /// Values at both ends of the range of numbers.
    #[test]
    fn the_search_ends() {
        assert!(estimate(0.5, 0.25, |x| 1e-310 * x).bound < 1e-290);
        let found = estimate(0.5, 0.25, |x| 1e308 * x.sin());
        assert!((found.value - 1e308 * 0.5f64.cos()).abs() <= found.bound);
    }

    #[test]
    fn the_table_shows_the_search() {
        let samples =
            Samples::take(0.5, 0.25, Precision::F64, |d| (0.5 + d, vec![(0.5 + d).exp()]));
        let table = samples.table(0, Precision::F64);
        assert_eq!(table.rows.len(), 20);
        assert_eq!(table.estimate, samples.derivative(0, Precision::F64));
        let chosen: Vec<_> = table.rows.iter().filter(|row| row.chosen).collect();
        assert_eq!(chosen.len(), 1);
        assert_eq!(
            (chosen[0].value, chosen[0].bound),
            (table.estimate.value, table.estimate.bound)
        );
        assert_eq!((table.rows[1].step, table.rows[1].bound), (0.125, f64::INFINITY));
        let text = table.to_string();
        assert_eq!(text.lines().count(), 22, "{text}");
        assert_eq!(text.lines().filter(|line| line.ends_with('*')).count(), 1, "{text}");
    }
}
