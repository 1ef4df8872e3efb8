//! Extrapolation to step zero.

/// One value of a sequence in a step that shrinks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    pub(super) step: f64,
    pub(super) value: f64,
    /// What noise of size one may have changed the value by.
    pub(super) noise: f64,
}

/// An extrapolated value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) value: f64,
    /// The largest difference from its neighbours.
    truncation: f64,
    /// What noise of size one may have changed the value by.
    noise: f64,
    /// The row of the smallest step that it is made of.
    pub(super) row: usize,
}

impl Entry {
    /// A bound on its error, for so much noise.
    pub(super) fn bound(&self, noise: f64) -> f64 {
        2.0 * self.truncation + noise * self.noise
    }
}

/// The first or second power; others are not needed, and a call costs more than the product.
fn raised(ratio: f64, power: i32) -> f64 {
    if power == 2 { ratio * ratio } else { ratio.powi(power) }
}

/// Beyond four columns extrapolation gains nothing over the noise.
const COLUMNS: usize = 4;

/// The entries made of the terms, row by row.
#[derive(Debug)]
pub(super) struct Tableau<'a> {
    terms: &'a [Term],
    power: i32,
    entries: Vec<Entry>,
}

impl<'a> Tableau<'a> {
    /// The entries of each row, made of its term and those above, for values that differ from their
    /// limit by a series in the `power`-th power of the step (Neville's scheme, with the steps as
    /// they are). The bound of an entry is 2·t + R: t its largest difference from its neighbours to
    /// the left, above and diagonally above, R the noise of the terms, carried through the same
    /// linear combinations.
    ///
    /// An entry needs all its neighbours. A term, which has only one, needs the difference of the
    /// two terms before it as well, in the proportion in which it should have been larger: while
    /// the error changes its sign, two terms may be equal.
    pub(super) fn new(terms: &'a [Term], power: i32) -> Self {
        // Values with their noise: those of the row above, and of this one.
        let (mut above, mut values) = ([(0.0, 0.0); COLUMNS + 1], [(0.0, 0.0); COLUMNS + 1]);
        let mut before = 0.0;
        let mut entries = Vec::with_capacity(terms.len() * (COLUMNS + 1));
        for (row, term) in terms.iter().enumerate() {
            values[0] = (term.value, term.noise);
            for column in 0..=row.min(COLUMNS) {
                if column > 0 {
                    let factor = raised(terms[row - column].step / term.step, power);
                    let (left, left_noise) = values[column - 1];
                    let (diagonal, diagonal_noise) = above[column - 1];
                    values[column] = (
                        left + (left - diagonal) / (factor - 1.0),
                        (factor * left_noise + diagonal_noise) / (factor - 1.0),
                    );
                }
                // The row above is shorter by one, until all columns are there.
                if column >= row {
                    continue;
                }
                let over = above[column].0;
                let (value, noise) = values[column];
                let others = if column > 0 {
                    let (left, diagonal) = (values[column - 1].0, above[column - 1].0);
                    (value - left).abs().max((value - diagonal).abs())
                } else if row > 1 {
                    f64::abs(over - before) / 2f64.powi(power)
                } else {
                    continue;
                };
                let truncation = (value - over).abs().max(others);
                entries.push(Entry { value, truncation, noise, row });
            }
            before = above[0].0;
            above = values;
        }
        Self { terms, power, entries }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry with the smallest bound among those that no term of a smaller step contradicts, and
    /// that at least `witnesses` such terms confirm.
    ///
    /// Large steps may converge to a wrong value: to the mean of the slopes on both sides of a kink
    /// that is nearer than they are, or to nothing in particular over many periods of a function.
    /// Smaller steps tell. Conversely, once there is such an entry and the bounds have risen twice,
    /// they rise because of noise, and what smaller steps gain a little they gain because noisy
    /// neighbours agree by accident.
    pub(super) fn best(&self, noise: f64, witnesses: usize) -> Option<Entry> {
        let stands = |entry: &Entry| {
            let own = &self.terms[entry.row];
            let off = (own.value - entry.value).abs();
            self.terms[entry.row + 1..].iter().all(|term| {
                let truncation = off * raised(term.step / own.step, self.power);
                (term.value - entry.value).abs()
                    <= entry.bound(noise) + noise * term.noise + truncation
            })
        };
        let end = self.terms.len().saturating_sub(witnesses);
        let mut best: Option<Entry> = None;
        let (mut last, mut rises) = (f64::INFINITY, 0);
        let rows = self.entries.chunk_by(|a, b| a.row == b.row);
        for entries in rows.take_while(|entries| entries[0].row < end) {
            let smallest =
                entries.iter().map(|entry| entry.bound(noise)).fold(f64::INFINITY, f64::min);
            let gain = if rises < 2 { 1.0 } else { MUCH };
            for entry in entries {
                let bound = entry.bound(noise);
                let better = best.is_none_or(|best| bound < best.bound(noise) / gain);
                if better && bound.is_finite() && stands(entry) {
                    (best, rises) = (Some(*entry), 0);
                }
            }
            if best.is_some() && smallest > last {
                rises += 1;
            }
            last = smallest;
        }
        best
    }
}

/// What an entry must gain after the bounds have risen twice.
const MUCH: f64 = 16.0;
