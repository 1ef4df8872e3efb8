//! Functions of double precision that compute in less.
//!
//! A function that casts to single precision on the way has values that lie on stairs, each a rounding of
//! single precision high. Points that are roundings of double precision apart lie on one stair: no noise
//! is seen there, and where a smooth factor hides that the values stand still, the slope of a stair is
//! taken for that of the function. Points further apart lie on different stairs, and show what the values
//! are off by. They are looked at before a gradient is called wrong.

use super::{Estimate, NOISE_POINTS, Precision, Samples, noise};

/// Spacings of the runs, in roundings of single precision. No multiples of each other or of a power of
/// two: such points would be rounded alike.
const SPACINGS: [f64; 9] = [33.37, 70.71, 149.13, 311.7, 655.3, 1377.9, 2893.1, 6077.3, 12763.9];

/// How many of the runs have to show the same noise, and within what factor. That of a kink, or of an
/// oscillation, grows with the spacing, and four of the spacings are further apart than that.
const AGREEING: usize = 4;
const ALIKE: f64 = 4.0;

/// Standard deviations that count as the bound of a noise, as for closely spaced values.
const DEVIATIONS: f64 = 5.0;

/// How large the noise is at least, relative to the largest value: 2⁻³⁴, a thousandth of a rounding of
/// single precision and half a million roundings of double precision.
const VISIBLE: f64 = 1.0 / (1u64 << 34) as f64;

/// By what factor it has to be above what was supposed: seven values do not say more.
const ABOVE: f64 = 4.0;

/// What the values of a function are off by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Coarse {
    /// The noise, as a part of the largest value.
    pub(crate) relative: f64,
    /// Whether it is more than the derivative in double precision supposed, whose bound is then none.
    pub(crate) unknown: bool,
    /// The derivative, with a bound that knows of this noise.
    pub(crate) estimate: Estimate,
}

impl Samples {
    /// Takes the samples that [`coarse`](Self::coarse) looks at, of a function of double precision: a
    /// ladder as for single precision, and runs at spacings that it resolves.
    pub(crate) fn take_coarse(
        x: f64,
        first_step: f64,
        mut f: impl FnMut(f64) -> (f64, Vec<f64>),
    ) -> Self {
        let precision = Precision::F32;
        let mut samples = Self::ladder(first_step, precision, &mut f);
        let scale = (x.abs().max(first_step) * precision.unit).log2().ceil().exp2();
        let run = |spacing: f64| -> Vec<Vec<f64>> {
            let at = |i: i32| f64::from(i - NOISE_POINTS / 2) * scale * spacing;
            let value = |delta: f64| match delta {
                0.0 => samples.centre.clone(),
                delta => f(delta).1,
            };
            (0..NOISE_POINTS).map(at).map(value).collect()
        };
        let noise = Vec::from(SPACINGS.map(run));
        samples.noise = noise;
        samples
    }

    /// Whether an output is computed in less than double precision. `fine` are the samples of the same
    /// function for that precision.
    pub(crate) fn coarse(&self, fine: &Self, output: usize) -> Option<Coarse> {
        let sigma = |run: &Vec<Vec<f64>>| {
            let values: Vec<f64> = run.iter().map(|values| values[output]).collect();
            noise::of_run(&values)
        };
        let mut sigmas: Vec<f64> = self.noise.iter().filter_map(sigma).collect();
        sigmas.sort_by(f64::total_cmp);
        let alike = |group: &&[f64]| group[AGREEING - 1] <= ALIKE * group[0];
        let noise = DEVIATIONS * sigmas.windows(AGREEING).find(alike)?[0];
        let relative = noise / self.of(output).largest();
        if relative < VISIBLE {
            return None;
        }
        let supposed = fine.search(output, Precision::F64).noise;
        let estimate = self.derivative(output, Precision::F32);
        Some(Coarse { relative, unknown: noise >= ABOVE * supposed, estimate })
    }
}

#[cfg(test)]
mod tests {
    use super::{Coarse, Samples};
    use crate::SplitMix64;
    use crate::numeric::{Estimate, Nature, Precision};

    fn samples(x: f64, f: impl Fn(f64) -> f64) -> [Samples; 2] {
        let at = |delta: f64| (x + delta, vec![f(x + delta)]);
        [Samples::take(x, 0.25, Precision::F64, at), Samples::take_coarse(x, 0.25, at)]
    }

    fn look(x: f64, f: impl Fn(f64) -> f64) -> (Estimate, Option<Coarse>) {
        let [fine, coarse] = samples(x, f);
        (fine.derivative(0, Precision::F64), coarse.coarse(&fine, 0))
    }

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// The logistic function in single precision.
    fn single(x: f64) -> f64 {
        f64::from(1.0 / (1.0 + (-(x as f32)).exp()))
    }

    /// x over the root mean square of (x, y, ½), which is computed in single precision.
    fn rms(x: f64, y: f64) -> f64 {
        let (a, b) = (x as f32, y as f32);
        x / f64::from(((a * a + b * b + 0.25) / 3.0).sqrt())
    }

    fn rms_slope(x: f64, y: f64) -> f64 {
        let square = (x * x + y * y + 0.25) / 3.0;
        1.0 / square.sqrt() - x * x / (3.0 * square * square.sqrt())
    }

    /// What is computed in single precision is seen, whatever the derivative in double precision makes of
    /// it; and the derivative that knows of it is right within its bound.
    #[test]
    fn what_is_computed_in_single_precision_is_seen() {
        let mut random = SplitMix64::new(29);
        let (mut wrong, mut unseen) = (0, 0);
        for _ in 0..300 {
            let (x, y) = (random.uniform(-4.0, 4.0), random.uniform(-1.5, 1.5));
            let s = sigmoid(x);
            let cases = [
                (look(x, |x| x * single(x)), s + x * s * (1.0 - s)),
                (look(x, single), s * (1.0 - s)),
                (look(x / 4.0, |x| rms(x, y)), rms_slope(x / 4.0, y)),
            ];
            for ((fine, coarse), exact) in cases {
                let missed = (fine.value - exact).abs() > fine.bound + 1e-7 * exact.abs();
                wrong += usize::from(missed && fine.nature == Nature::Smooth);
                let Some(Coarse { relative, unknown, estimate }) = coarse else {
                    unseen += 1;
                    continue;
                };
                assert!((1e-10..1e-5).contains(&relative), "{x}, {y}: {relative:e}");
                assert!(unknown || !missed || fine.nature != Nature::Smooth, "{x}, {y}: {fine:?}");
                let error = (estimate.value - exact).abs();
                assert!(error <= estimate.bound, "{x}, {y}: {error:e} > {:e}", estimate.bound);
                assert!(estimate.bound < 1e-3, "{x}, {y}: {:e}", estimate.bound);
            }
        }
        // It is what this is for: some derivatives in double precision are wrong by more than their bound.
        assert!(wrong > 0, "the stairs show in none of 900");
        assert!(unseen <= 9, "{unseen} of 900 were not seen");
    }

    /// What computes in double precision is never taken for less where a gradient is called wrong by its
    /// bound: with curvature, cancellation, oscillation, large constants, or a kink nearby.
    #[test]
    fn double_precision_is_not_taken_for_less() {
        type Double = fn(f64) -> f64;
        let functions: [(&str, Double); 12] = [
            ("exp", f64::exp),
            ("tanh", f64::tanh),
            ("x/3", |x| x / 3.0),
            ("x^10", |x| x.powi(10)),
            ("cos 20x", |x| (20.0 * x).cos()),
            ("cos 100x", |x| (100.0 * x).cos()),
            ("1/(x^2 + 0.01)", |x| 1.0 / (x * x + 0.01)),
            ("1000 + sin", |x| 1000.0 + x.sin()),
            ("exp(x) - 1 - x", |x| x.exp() - 1.0 - x),
            ("1 - tanh", |x| 1.0 - x.tanh()),
            ("1e5 + x^2 - 1e5", |x| (1e5 + x * x) - 1e5),
            ("x sigmoid", |x| x * sigmoid(x)),
        ];
        let mut random = SplitMix64::new(31);
        for (name, f) in functions {
            for _ in 0..200 {
                let x = random.uniform(-3.0, 3.0);
                let (_, coarse) = look(x, f);
                let taken = coarse.is_some_and(|coarse| coarse.unknown);
                assert!(!taken, "{name} at {x}: {coarse:?}");
            }
        }
        for _ in 0..200 {
            let x = 2e-5 * random.uniform(-1.0, 1.0);
            let (_, coarse) = look(x, |x| x.max(0.0) + x);
            assert_eq!(coarse, None, "a kink {x:e} away");
        }
    }
}
