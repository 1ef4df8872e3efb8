//! Numeric derivatives that know their own error.
//!
//! Central differences on a ladder of steps h₀, h₀/2, h₀/4, …, extrapolated to step zero (Richardson;
//! Ridders 1982). Each entry of the extrapolation tableau has a bound B = 2·t + R: t is the largest
//! difference from its neighbours, which measures the truncation; R is the noise of the function,
//! carried through the same linear combinations. The entry with the smallest bound is the answer.
//!
//! Two precautions make the bound hold (without them two noisy neighbours agree by accident, and the
//! bound collapses): an entry needs all its neighbours, and rows after the bound has risen twice
//! are not considered.
//!
//! The noise, a bound on |computed f − exact f|, is measured and not assumed. It is the largest of
//! 4u·max|f|; five standard deviations by difference tables of closely spaced values (Moré and Wild,
//! "Estimating computational noise", 2011); what the smallest steps of the ladder deviate from the
//! answer by; and, if some steps show no change while others do, the smallest change.

/// The precision that a function computes in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Precision {
    /// Unit round-off: half the distance from 1 to the next number.
    pub unit: f64,
    /// Rows of the ladder.
    pub rows: usize,
    /// Entries whose detectable relative error is above this are unchecked.
    pub detects: f64,
}

impl Precision {
    /// Double precision: 20 rows reach the step 2⁻²¹, where the noise dominates in every function
    /// that a step of ¼ resolves. A detectable error of 10⁻⁶ leaves six orders of magnitude between
    /// what rounding explains and what a wrong formula does.
    pub const F64: Self = Self { unit: f64::EPSILON / 2.0, rows: 20, detects: 1e-6 };

    /// Single precision: below step 2⁻¹⁰ there is only noise. An error of 10⁻³ is what extrapolated
    /// differences can promise with a few units of noise.
    pub const F32: Self = Self { unit: f32::EPSILON as f64 / 2.0, rows: 9, detects: 1e-3 };
}

/// The derivative of one output with respect to one input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The derivative.
    pub value: f64,
    /// A bound on its error.
    pub bound: f64,
    /// What was seen about the function on the way.
    pub nature: Nature,
    /// How large the derivative of an output that did not change may be and still be lost in the
    /// output's own rounding.
    pub hidden: f64,
    /// How steeply the output changes over the largest step: the size that its derivative has
    /// nearby, also where it is zero in the point itself.
    pub slope: f64,
}

/// What the samples say about a function near a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Nothing against a derivative.
    Smooth,
    /// The output is the same at every step, to the last bit: it does not depend on the input, or so
    /// little that its rounding hides it ([`Estimate::hidden`]).
    Constant,
    /// The slopes on both sides differ however small the step: a kink or a jump.
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
    /// The realised width (x + h) − (x − h), and both values, for each step from large to small.
    pub rows: Vec<(f64, Vec<f64>, Vec<f64>)>,
    /// Runs of seven values at equal spacing.
    pub noise: Vec<Vec<Vec<f64>>>,
}

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
        let (_, centre) = f(0.0);
        let rows = (0..precision.rows)
            .map(|row| {
                let step = first_step / 2f64.powi(row as i32);
                let (above, plus) = f(step);
                let (below, minus) = f(-step);
                (above - below, plus, minus)
            })
            .collect();
        // Three spacings, far below the ladder: there a smooth function is nearly a straight line,
        // and its fourth differences are noise.
        let scale = x.abs().max(first_step) * precision.unit;
        let noise = [64.0, 1024.0, 16384.0]
            .map(|factor| {
                let spacing = scale * factor;
                (0..NOISE_POINTS).map(|i| f(f64::from(i - NOISE_POINTS / 2) * spacing).1).collect()
            })
            .to_vec();
        Self { centre, rows, noise }
    }

    /// The derivative of one output.
    pub fn derivative(&self, output: usize, precision: Precision) -> Estimate {
        let centre = self.centre[output];
        let rows: Vec<(f64, f64, f64)> = self
            .rows
            .iter()
            .map(|(width, plus, minus)| (*width, plus[output], minus[output]))
            .collect();
        let runs: Vec<Vec<f64>> = self
            .noise
            .iter()
            .map(|run| run.iter().map(|values| values[output]).collect())
            .collect();
        derivative(centre, &rows, &runs, precision)
    }
}

/// The tableau's columns: beyond four, extrapolation gains nothing over the noise.
const COLUMNS: usize = 4;

/// The derivative from `rows` (width x₊ − x₋, f(x₊), f(x₋)), large steps first.
fn derivative(
    centre: f64,
    rows: &[(f64, f64, f64)],
    runs: &[Vec<f64>],
    precision: Precision,
) -> Estimate {
    let finite = |value: f64| value.is_finite();
    // Large steps may leave a function's range; the ladder begins where it is finite.
    let first = rows.iter().position(|row| finite(row.1) && finite(row.2)).unwrap_or(rows.len());
    let rows = &rows[first..];
    if !finite(centre) || rows.len() < 4 || rows.iter().any(|row| !finite(row.1 + row.2)) {
        return Estimate {
            value: f64::NAN,
            bound: f64::INFINITY,
            nature: Nature::NotFinite,
            hidden: f64::INFINITY,
            slope: 0.0,
        };
    }
    if rows.iter().all(|row| row.1 == centre && row.2 == centre) {
        let hidden = 4.0 * precision.unit * centre.abs() / rows[0].0;
        return Estimate { value: 0.0, bound: 0.0, nature: Nature::Constant, hidden, slope: 0.0 };
    }

    let largest = rows.iter().map(|row| row.1.abs().max(row.2.abs())).fold(centre.abs(), f64::max);
    let mut noise = 4.0 * precision.unit * largest;
    for run in runs {
        noise = noise.max(5.0 * noise_of_run(run).unwrap_or(0.0));
    }
    let changes = || rows.iter().map(|row| (row.1 - row.2).abs());
    if changes().any(|change| change == 0.0) {
        let smallest = changes().filter(|&change| change > 0.0).fold(f64::INFINITY, f64::min);
        if smallest.is_finite() {
            noise = noise.max(smallest);
        }
    }

    let slopes: Vec<f64> = rows.iter().map(|(width, plus, minus)| (plus - minus) / width).collect();
    let mut best = extrapolate(&slopes, rows, noise);
    for _ in 0..4 {
        // What the rows below the chosen one deviate by, beyond the truncation that the chosen one
        // shows, is noise.
        let chosen = &rows[best.row];
        let tail = (best.row + 1..rows.len())
            .map(|row| {
                let ratio = rows[row].0 / chosen.0;
                let truncation = 2.0 * (slopes[best.row] - best.value).abs() * ratio * ratio;
                ((slopes[row] - best.value).abs() - truncation).max(0.0) * rows[row].0 / 2.0
            })
            .fold(0.0, f64::max);
        if 2.0 * tail <= noise {
            break;
        }
        noise = 2.0 * tail;
        best = extrapolate(&slopes, rows, noise);
    }
    let nature =
        if is_non_smooth(centre, rows, noise) { Nature::NonSmooth } else { Nature::Smooth };
    let (width, plus, minus) = rows[0];
    let slope = 2.0 * (plus - centre).abs().max((minus - centre).abs()) / width;
    Estimate { value: best.value, bound: best.bound, nature, hidden: 0.0, slope }
}

struct Best {
    value: f64,
    bound: f64,
    row: usize,
}

fn extrapolate(slopes: &[f64], rows: &[(f64, f64, f64)], noise: f64) -> Best {
    let mut best = Best { value: slopes[0], bound: f64::INFINITY, row: 0 };
    let mut above: Vec<(f64, f64)> = Vec::new();
    let (mut last, mut rises) = (f64::INFINITY, 0);
    for (row, &slope) in slopes.iter().enumerate() {
        // Value and noise of each column; the width is twice the step, and two values are noisy.
        let mut entries = vec![(slope, 2.0 * noise / rows[row].0)];
        let mut smallest = f64::INFINITY;
        for column in 0..=row.min(COLUMNS) {
            if column > 0 {
                let factor = 4f64.powi(column as i32);
                let (left, left_noise) = entries[column - 1];
                let (diagonal, diagonal_noise) = above[column - 1];
                entries.push((
                    left + (left - diagonal) / (factor - 1.0),
                    (factor * left_noise + diagonal_noise) / (factor - 1.0),
                ));
            }
            let Some(&(over, _)) = above.get(column) else { continue };
            let (value, carried) = entries[column];
            let mut truncation = (value - over).abs();
            if column > 0 {
                truncation = truncation
                    .max((value - entries[column - 1].0).abs())
                    .max((value - above[column - 1].0).abs());
            }
            let bound = 2.0 * truncation + carried;
            smallest = smallest.min(bound);
            if bound < best.bound {
                best = Best { value, bound, row };
            }
        }
        if smallest > last {
            rises += 1;
            if rises == 2 {
                break;
            }
        }
        last = smallest;
        above = entries;
    }
    best
}

/// The standard deviation of the noise in equally spaced values, if their difference table shows
/// one: the first level from which three agree within a factor of four, with differences of both
/// signs.
fn noise_of_run(values: &[f64]) -> Option<f64> {
    if values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mut differences = values.to_vec();
    // (k!)²/(2k)!, the variance of the k-th difference of unit noise, inverted.
    let mut scale = 1.0;
    let mut levels = Vec::new();
    for k in 1..values.len() {
        differences = differences.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let k = k as f64;
        scale *= k * k / ((2.0 * k - 1.0) * (2.0 * k));
        let mean = differences.iter().map(|d| d * d).sum::<f64>() / differences.len() as f64;
        let alternates =
            differences.iter().any(|&d| d < 0.0) && differences.iter().any(|&d| d > 0.0);
        levels.push(((scale * mean).sqrt(), alternates));
    }
    levels.windows(3).find_map(|three| {
        let low = three.iter().map(|level| level.0).fold(f64::INFINITY, f64::min);
        let high = three.iter().map(|level| level.0).fold(0.0, f64::max);
        (three[0].1 && high <= 4.0 * low).then_some(three[0].0)
    })
}

/// Whether the second difference over h, (f(x+h) − 2f(x) + f(x−h))/h, stays (a kink) or grows (a
/// jump) as the step shrinks; in a smooth function it halves. Judged on the three smallest steps
/// that stand out of the noise.
fn is_non_smooth(centre: f64, rows: &[(f64, f64, f64)], noise: f64) -> bool {
    let visible: Vec<f64> = rows
        .iter()
        .rev()
        .map(|(width, plus, minus)| {
            let step = width / 2.0;
            ((plus - 2.0 * centre + minus) / step, 32.0 * noise / step)
        })
        .filter(|(bend, threshold)| bend.abs() > *threshold)
        .map(|(bend, _)| bend)
        .take(3)
        .collect();
    // From small to large steps a smooth function's bend doubles. Half way to that, in logarithm,
    // still lets |x|^1.5 count as a point without a second derivative.
    visible.len() == 3
        && visible.windows(2).all(|pair| (pair[1] / pair[0]) < std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::{Estimate, Nature, Precision, Samples};

    fn estimate(x: f64, first_step: f64, f: impl Fn(f64) -> f64) -> Estimate {
        let samples = Samples::take(x, first_step, Precision::F64, |d| (x + d, vec![f(x + d)]));
        samples.derivative(0, Precision::F64)
    }

    /// Functions with known derivatives, among them ones with large constants and cancellation. The
    /// true error, against a derivative in closed form, is below the bound, and the bound is useful.
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
        let mut random = crate::SplitMix64::new(7);
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
        // A jump in the point itself looks like noise of its own size: nothing is claimed either way.
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
}
