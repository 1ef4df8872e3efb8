//! From the samples of one output to its derivative.

use super::tableau::{Entry, Tableau, Term};
use super::{Estimate, Nature, Precision, kinks, noise};

/// The samples of one output.
#[derive(Debug, Clone)]
pub(super) struct Ladder {
    pub(super) centre: f64,
    pub(super) rows: Vec<Row>,
}

/// One step: how far the points are from x, and the values there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Row {
    pub(super) above: f64,
    pub(super) below: f64,
    pub(super) plus: f64,
    pub(super) minus: f64,
}

impl Row {
    /// Twice the step.
    pub(super) fn width(&self) -> f64 {
        self.above + self.below
    }

    /// The slope in x of the parabola through the three points: the central difference, and what
    /// the rounding of the points adds.
    pub(super) fn slope(&self, centre: f64) -> f64 {
        let central = (self.plus - self.minus) / self.width();
        central - self.bend(centre) * ((self.above - self.below) / self.width())
    }

    /// The difference of the slopes on both sides.
    pub(super) fn bend(&self, centre: f64) -> f64 {
        (self.plus - centre) / self.above - (centre - self.minus) / self.below
    }

    pub(super) fn is_finite(&self) -> bool {
        self.plus.is_finite() && self.minus.is_finite()
    }

    pub(super) fn is_still(&self, centre: f64) -> bool {
        self.plus == centre && self.minus == centre
    }

    /// The steeper slope to either side.
    pub(super) fn slope_nearby(&self, centre: f64) -> f64 {
        let rise = (self.plus - centre).abs().max((self.minus - centre).abs());
        2.0 * rise / self.width()
    }
}

impl Term {
    /// The slope over a step.
    pub(super) fn of(row: &Row, centre: f64) -> Self {
        // Two values are noisy.
        Self { step: row.width(), value: row.slope(centre), noise: 2.0 / row.width() }
    }
}

impl Ladder {
    /// The rows that can be used. Large steps may leave a function's range: the ladder begins where
    /// it is finite. Small ones may be lost in the rounding of the input: it ends where they are
    /// not half of the one before.
    pub(super) fn usable(&self) -> std::ops::Range<usize> {
        let first = self.rows.iter().position(Row::is_finite).unwrap_or(self.rows.len());
        let kept = self.rows[first..]
            .windows(2)
            .take_while(|pair| {
                is_halved(pair[0].above, pair[1].above) && is_halved(pair[0].below, pair[1].below)
            })
            .count();
        let realised = self.rows.get(first).is_some_and(|row| row.above > 0.0 && row.below > 0.0);
        first..(if realised { first + kept + 1 } else { first })
    }

    /// The largest value.
    pub(super) fn largest(&self) -> f64 {
        self.rows
            .iter()
            .map(|row| row.plus.abs().max(row.minus.abs()))
            .fold(self.centre.abs(), f64::max)
    }

    /// How many rows count as the smallest steps: an eighth of them.
    pub(super) fn tail(&self) -> usize {
        (self.rows.len() / 8).max(1)
    }

    /// How many smaller steps have to confirm an answer: a third of those after the fifth, which
    /// leaves the short ladder of single precision most of its rows.
    fn witnesses(&self) -> usize {
        (self.rows.len().saturating_sub(5) / 3).max(1)
    }

    fn slopes(&self) -> Vec<Term> {
        self.rows.iter().map(|row| Term::of(row, self.centre)).collect()
    }

    fn is_still(&self) -> bool {
        self.rows.iter().all(|row| row.is_still(self.centre))
    }
}

/// Whether a step is half of the one before, as far as the rounding of the input lets it.
pub(super) fn is_halved(large: f64, small: f64) -> bool {
    (0.375..=0.625).contains(&(small / large))
}

/// Where the noise comes from.
pub(super) enum Source<'a> {
    /// The same function in a higher precision.
    Companion(&'a Ladder),
    /// Runs of closely spaced values, which a constant does without.
    Blind(&'a dyn Fn() -> Vec<Vec<f64>>),
}

/// What was found, and how.
pub(super) struct Search {
    pub(super) estimate: Estimate,
    pub(super) noise: f64,
    pub(super) slopes: Vec<Term>,
    pub(super) chosen: Option<Entry>,
}

/// A central difference is off by a series in the square of the step.
pub(super) const SLOPES: i32 = 2;

/// Fewer rows tell nothing.
const FEWEST: usize = 4;

/// The derivative from the usable rows of a ladder.
pub(super) fn search(ladder: &Ladder, source: Source<'_>, precision: Precision) -> Search {
    let nothing = |value: f64, nature: Nature| Search {
        estimate: Estimate {
            value,
            bound: f64::INFINITY,
            nature,
            hidden: f64::INFINITY,
            slope: 0.0,
        },
        noise: f64::INFINITY,
        slopes: Vec::new(),
        chosen: None,
    };
    if !ladder.centre.is_finite()
        || ladder.rows.is_empty()
        || !ladder.rows.iter().all(Row::is_finite)
    {
        return nothing(f64::NAN, Nature::NotFinite);
    }
    if ladder.rows.len() < FEWEST {
        return nothing(ladder.rows[0].slope(ladder.centre), Nature::Smooth);
    }

    let (still, unit) = match &source {
        Source::Companion(companion) => (companion.is_still(), f64::EPSILON / 2.0),
        Source::Blind(_) => (true, precision.unit),
    };
    if still && ladder.is_still() {
        let estimate = Estimate::constant(ladder.centre, unit, ladder.rows[0].width());
        return Search { estimate, noise: 0.0, slopes: ladder.slopes(), chosen: None };
    }

    let slopes = ladder.slopes();
    let tableau = Tableau::new(&slopes, SLOPES);
    let (noise, chosen, least) = match source {
        Source::Companion(companion) => {
            let noise = noise::companion(ladder, companion);
            let confirmed = tableau.best(noise, ladder.witnesses());
            (noise, confirmed.or_else(|| tableau.best(noise, 0)), 0.0)
        }
        Source::Blind(runs) => {
            let runs = &runs();
            let measured = noise::measured(ladder, runs, precision.unit);
            let of_steps = noise::of_steps(ladder.centre, &ladder.rows, &runs.concat());
            let (noise, chosen) = with_more_noise(ladder, &tableau, measured.max(of_steps));
            let least = chosen.map_or(0.0, |entry| {
                let still = where_still(ladder, &entry, measured);
                still.max(where_rounded(ladder, &tableau, &entry, noise, precision.unit))
            });
            (noise, chosen, least)
        }
    };
    let (value, bound) = chosen.map_or((slopes[0].value, f64::INFINITY), |entry| {
        (entry.value, entry.bound(noise).max(least))
    });
    let kink = kinks::is_non_smooth(ladder, noise, bound);
    let nature = if kink { Nature::NonSmooth } else { Nature::Smooth };
    let slope = ladder.rows[0].slope_nearby(ladder.centre);
    let estimate = Estimate { value, bound, nature, hidden: 0.0, slope };
    Search { estimate, noise, slopes, chosen }
}

/// What the bound is at least, where some steps change nothing, though by the others they should change
/// more than the noise that was measured: either changes are lost, or there are none, and the
/// derivative is zero.
fn where_still(ladder: &Ladder, chosen: &Entry, measured: f64) -> f64 {
    let expected = |row: &Row| chosen.value.abs() * row.width();
    let lost = |row: &Row| row.is_still(ladder.centre) && expected(row) > 2.0 * measured;
    if ladder.rows.iter().any(lost) { chosen.value.abs() } else { 0.0 }
}

/// What the bound is at least, if numbers of size one may have been rounded on the way.
///
/// In x·(1 + tanh x), where tanh x is nearly −1, that makes a staircase times x: small steps agree with
/// each other on a stair, and not with the large ones. The noise of the function's own size does not
/// explain it, that of numbers of size one would. So both are included: what they agree on, and what
/// would then be the answer.
fn where_rounded(
    ladder: &Ladder,
    tableau: &Tableau<'_>,
    chosen: &Entry,
    noise: f64,
    unit: f64,
) -> f64 {
    let larger = 4.0 * unit * ladder.largest().max(1.0);
    if larger <= noise {
        return 0.0;
    }
    let Some(other) = tableau.best(larger, ladder.witnesses()) else { return 0.0 };
    // With the smaller noise.
    let bound = other.bound(noise);
    let difference = (other.value - chosen.value).abs();
    if difference > bound + chosen.bound(noise) { difference + bound } else { 0.0 }
}

/// By what factor a larger noise has to make the bound smaller: it must explain what a smaller one
/// does not, and not merely excuse it.
const GAIN: f64 = 4.0;

/// The best entry, with the noise as measured, or with more of it.
///
/// The measurement may have seen too little: the values it looked at were by chance alike. The
/// small steps then contradict every good entry, and all that is left are bad ones from among
/// themselves. So twice the noise is tried, and twice that, up to what the second differences at
/// the smallest steps allow: there the function is straight, and they are noise.
fn with_more_noise(ladder: &Ladder, tableau: &Tableau<'_>, measured: f64) -> (f64, Option<Entry>) {
    let second = |row: &Row| row.plus - 2.0 * ladder.centre + row.minus;
    let seen = ladder.rows[ladder.rows.len() - ladder.tail() - 1..]
        .windows(2)
        // A curvature's part in the one is four times that in the other. Of noise there are up to
        // 20.
        .map(|pair| (second(&pair[0]) - 4.0 * second(&pair[1])).abs() / 5.0)
        .fold(0.0, f64::max);
    let widest = ladder.rows[0].width();
    let mut best: Option<(f64, Entry)> = None;
    let mut noise = measured;
    while noise.is_finite()
        && noise <= measured.max(16.0 * seen)
        // No bound is smaller than the noise at the largest step.
        && best.is_none_or(|(with, entry)| 2.0 * noise / widest < entry.bound(with))
    {
        if let Some(entry) = tableau.best(noise, ladder.witnesses())
            && best.is_none_or(|(with, best)| entry.bound(noise) < best.bound(with) / GAIN)
        {
            best = Some((noise, entry));
        }
        noise *= 2.0;
    }
    match best {
        Some((noise, entry)) => (noise, Some(entry)),
        // Nothing is confirmed: the function is rough down to the smallest step.
        None => (measured, tableau.best(measured, 0)),
    }
}
