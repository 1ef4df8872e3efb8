//! A derivative at a glance: from a short ladder, for entries that are many.
//!
//! What is looked at is not searched. The noise is that of numbers of size one at least, a kink or a
//! slow convergence is no reason to look closer, and whatever is unclear gives no answer: the long
//! ladder then decides. An answer is only good for confirming a gradient that agrees with it.

use super::search::{Row, SLOPES, is_halved};
use super::tableau::{Tableau, Term};
use super::{Estimate, Nature, Precision, Samples, noise};

/// Steps of the short ladder: they reach 2⁻⁷, enough for functions that the largest ones already
/// resolve.
pub(super) const ROWS: usize = 6;

/// Over how many halvings of the step the slopes on both sides have to approach each other, and to what
/// part of their difference: for a smooth function it falls to an eighth.
const HALVINGS: usize = 3;
const APPROACH: f64 = 0.25;

/// Samples whose steps are fit for a glance.
#[derive(Debug)]
pub struct Glance<'a> {
    samples: &'a Samples,
    precision: Precision,
}

impl Samples {
    /// The samples for a glance, if they are those of a [short](Precision::short) ladder, and their steps
    /// are as they were meant to be.
    ///
    /// ```
    /// use burn_autograd_gradcheck::numeric::{Precision, Samples};
    ///
    /// let short = Precision::F64.short().unwrap();
    /// let samples = Samples::take(0.5, 0.25, short, |d| (0.5 + d, vec![(0.5 + d).exp(), d.abs()]));
    /// let glance = samples.glance(short).unwrap();
    /// let found = glance.derivative(0).unwrap();
    /// assert!((found.value - 0.5_f64.exp()).abs() <= found.bound && found.bound < 1e-10);
    /// // A kink is not for a glance.
    /// assert_eq!(glance.derivative(1), None);
    /// ```
    pub fn glance(&self, precision: Precision) -> Option<Glance<'_>> {
        let halved = self.rows.windows(2).all(|pair| {
            is_halved(pair[0].above, pair[1].above) && is_halved(pair[0].below, pair[1].below)
        });
        let fits = self.rows.len() == ROWS && self.companion.is_none() && halved;
        fits.then_some(Glance { samples: self, precision })
    }
}

impl Glance<'_> {
    /// The derivative of one output, if it is clear.
    pub fn derivative(&self, output: usize) -> Option<Estimate> {
        let centre = self.samples.centre[output];
        let mut rows = [Row::default(); ROWS];
        for (row, pair) in rows.iter_mut().zip(&self.samples.rows) {
            let (plus, minus) = (pair.plus[output], pair.minus[output]);
            *row = Row { above: pair.above, below: pair.below, plus, minus };
        }
        let unit = self.precision.unit;
        if rows.iter().all(|row| row.is_still(centre)) {
            // All the steps may be periods of the function; those of the noise are not.
            let mut runs = self.samples.noise.iter().flatten();
            let still = runs.all(|values| values[output] == centre);
            return still.then(|| Estimate::constant(centre, unit, rows[0].width()));
        }
        if !(centre.is_finite() && rows.iter().all(Row::is_finite)) {
            return None;
        }
        let largest = |most: f64, row: &Row| most.max(row.plus.abs()).max(row.minus.abs());
        let largest = rows.iter().fold(centre.abs().max(1.0), largest);
        let mut noise = 4.0 * unit * largest;
        let mut run = [0.0; super::NOISE_POINTS as usize];
        for points in &self.samples.noise {
            run.iter_mut().zip(points).for_each(|(value, values)| *value = values[output]);
            noise = noise.max(5.0 * noise::of_run(&run).unwrap_or(0.0));
            noise = noise.max(noise::of_steps(centre, &rows, &run));
        }

        let terms = rows.map(|row| Term::of(&row, centre));
        let entry = Tableau::new(&terms, SLOPES).best(noise, 1)?;
        let bound = entry.bound(noise);
        let change = |row: &Row| entry.value.abs() * row.width();
        if rows.iter().any(|row| row.is_still(centre) && change(row) > 2.0 * noise) {
            return None;
        }
        let [large, small] = [&rows[ROWS - 1 - HALVINGS], &rows[ROWS - 1]];
        let apart = 16.0 * noise / small.width();
        if small.bend(centre).abs() > APPROACH * large.bend(centre).abs() + apart {
            return None;
        }
        let slope = rows[0].slope_nearby(centre);
        Some(Estimate { value: entry.value, bound, nature: Nature::Smooth, hidden: 0.0, slope })
    }
}
