//! The noise of a function: a bound on |computed f − exact f|.

use super::NOISE_POINTS;
use super::search::{Ladder, Row};

/// How far the companion is from the function, at all points of the ladder.
///
/// One and a half times that, for what the companion is off by itself. The tableau is computed in
/// double precision, whose own rounding remains where the two agree to the last bit.
pub(super) fn companion(function: &Ladder, companion: &Ladder) -> f64 {
    let mut noise = (function.centre - companion.centre).abs();
    for (row, other) in function.rows.iter().zip(&companion.rows) {
        for difference in [row.plus - other.plus, row.minus - other.minus] {
            // Not a number is no agreement.
            noise = if difference.is_nan() { f64::INFINITY } else { noise.max(difference.abs()) };
        }
    }
    (1.5 * noise).max(4.0 * (f64::EPSILON / 2.0) * function.largest())
}

/// The noise from the function alone: 4u·max|f|, or five standard deviations of a run.
pub(super) fn measured(ladder: &Ladder, runs: &[Vec<f64>], unit: f64) -> f64 {
    // Of values near the end of the range nothing is left of a unit.
    let noise = (4.0 * unit * ladder.largest()).max(f64::MIN_POSITIVE);
    runs.iter().filter_map(|run| of_run(run)).fold(noise, |noise, sigma| noise.max(5.0 * sigma))
}

/// The noise if the function moves in steps: twice the grid on which all values lie, or the smallest
/// change between the two points of a row, if in others there is none.
pub(super) fn of_steps(centre: f64, rows: &[Row], run: &[f64]) -> f64 {
    let values = rows.iter().flat_map(|row| [row.plus, row.minus]).chain([centre]);
    let grid = 2.0 * grid(values.chain(run.iter().copied()));
    let changes = || rows.iter().map(|row| (row.plus - row.minus).abs());
    if changes().all(|change| change > 0.0) {
        return grid;
    }
    changes().filter(|&change| change > 0.0).reduce(f64::min).map_or(grid, |least| grid.max(least))
}

/// The largest power of two that all values are multiples of. That of a function which computes in
/// numbers of its own size is a unit in the last place; (10⁵ + x²) − 10⁵ moves in steps of one of
/// 10⁵.
fn grid(values: impl Iterator<Item = f64>) -> f64 {
    let lowest = |value: f64| {
        let bits = value.to_bits();
        let (exponent, fraction) = ((bits >> 52) & 0x7FF, bits & ((1 << 52) - 1));
        let significand = if exponent == 0 { fraction } else { fraction | 1 << 52 };
        let lowest = exponent.max(1) as i32 - 1075 + significand.trailing_zeros() as i32;
        (significand != 0 && value.is_finite()).then_some(lowest)
    };
    values.filter_map(lowest).min().map_or(0.0, |lowest| 2f64.powi(lowest))
}

/// The standard deviation of the noise in equally spaced values, if their difference table shows
/// one: the first level from which three agree within a factor of four, with differences of both
/// signs.
pub(super) fn of_run(values: &[f64]) -> Option<f64> {
    const POINTS: usize = NOISE_POINTS as usize;
    let mut differences: [f64; POINTS] = values.try_into().ok()?;
    if differences.iter().any(|value| !value.is_finite()) {
        return None;
    }
    // (k!)²/(2k)!, the variance of the k-th difference of unit noise, inverted.
    let mut scale = 1.0;
    let mut levels = [(0.0f64, false); POINTS - 1];
    for (k, level) in (1..).zip(&mut levels) {
        let count = POINTS - k;
        for i in 0..count {
            differences[i] = differences[i + 1] - differences[i];
        }
        let differences = &differences[..count];
        let k = k as f64;
        scale *= k * k / ((2.0 * k - 1.0) * (2.0 * k));
        let mean = differences.iter().map(|d| d * d).sum::<f64>() / count as f64;
        let alternates =
            differences.iter().any(|&d| d < 0.0) && differences.iter().any(|&d| d > 0.0);
        *level = ((scale * mean).sqrt(), alternates);
    }
    levels.windows(3).find_map(|three| {
        let low = three.iter().map(|level| level.0).fold(f64::INFINITY, f64::min);
        let high = three.iter().map(|level| level.0).fold(0.0, f64::max);
        (three[0].1 && high <= 4.0 * low).then_some(three[0].0)
    })
}
