//! Points where a function has no derivative.

use super::search::{Ladder, Row};
use super::tableau::{Tableau, Term};

/// How far from zero, in bounds, a limit has to be.
const CERTAIN: f64 = 2.0;

/// Whether the slope or the value itself jumps in the point: whether the difference of the slopes
/// on both sides, or of the values, has a limit other than zero. In a smooth function both have the
/// limit zero; and this limit is found like the derivative's, with a bound on its error.
///
/// What the bound on the derivative covers is none: a kink whose slopes on both sides are within
/// it, or a jump that it explains over the smallest steps.
pub(super) fn is_non_smooth(ladder: &Ladder, noise: f64, bound: f64) -> bool {
    let terms = |value: fn(f64, f64) -> f64| -> Vec<Term> {
        let term = |row: &Row| {
            let (step, bend) = (row.width() / 2.0, row.bend(ladder.centre));
            // Three values, the middle one twice.
            Term { step, value: value(bend, step), noise: value(4.0 * noise / step, step) }
        };
        ladder.rows.iter().map(term).collect()
    };
    let (bends, jumps) = (terms(|bend, _| bend), terms(|bend, step| bend * step));
    // What the differences change by with the step, from large steps: the difference of the slopes
    // by the curvature, which shows in itself, and if it jumps nearby, in the central differences.
    let bent = |pair: &[Row]| {
        let (step, centre) = (pair[0].width() / 2.0, ladder.centre);
        let change = (pair[0].slope(centre) - pair[1].slope(centre)).abs();
        (8.0 * pair[0].bend(centre).abs() / step).max(32.0 * change / step)
    };
    let bent: Vec<f64> = ladder.rows.windows(2).map(bent).collect();
    let jumped: Vec<f64> = bends.iter().map(|bend| 8.0 * bend.value.abs()).collect();
    let smallest = bends.last().map_or(0.0, |bend| bend.step);
    stays(&bends, 2.0 * bound, &bent, ladder.tail())
        || stays(&jumps, 16.0 * bound * smallest, &jumped, ladder.tail())
}

/// Whether terms have a limit that is above `least`.
fn stays(terms: &[Term], least: f64, changes: &[f64], tail: usize) -> bool {
    // On both sides of a kink the second derivatives may differ too: a series in all powers.
    Tableau::new(terms, 1).entries().iter().any(|entry| {
        let size = entry.value.abs();
        if !(size > least && size > CERTAIN * entry.bound(1.0)) {
            return false;
        }
        let visible = terms.iter().filter(|term| term.noise <= size / 4.0);
        let Some(smallest) = visible.map(|term| term.step).reduce(f64::min) else { return false };
        let large = terms.iter().take_while(|term| term.step >= 16.0 * smallest).count();
        // The terms stay there, but for the smallest steps: the kink may lie beyond those.
        let rest = terms[..terms.len() - tail].iter().skip(entry.row + 1);
        rest.clone().all(|term| term.value * entry.value.signum() >= size / 2.0 - term.noise)
            // It is more than what the changes at large steps make of the smallest one.
            && large > 0
            && changes.iter().take(large).all(|change| size > change * smallest)
    })
}
