//! Extrapolation to step zero.

/// One value of a sequence in a step that shrinks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    pub(super) step: f64,
    pub(super) value: f64,
    /// What noise may have changed the value by.
    pub(super) noise: f64,
}

/// An extrapolated value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) value: f64,
    /// A bound on its error.
    pub(super) bound: f64,
    /// The row of the smallest step that it is made of.
    pub(super) row: usize,
}

/// Beyond four columns extrapolation gains nothing over the noise.
const COLUMNS: usize = 4;

/// The entries of each row, made of its term and those above, for values that differ from their
/// limit by a series in the `power`-th power of the step (Neville's scheme, with the steps as they
/// are). The bound of an entry is 2·t + R: t its largest difference from its neighbours to the
/// left, above and diagonally above, R the noise of the terms, carried through the same linear
/// combinations.
///
/// An entry needs all its neighbours. A term, which has only one, needs the difference of the two
/// terms before it as well, in the proportion in which it should have been larger: while the error
/// changes its sign, two terms may be equal.
pub(super) fn tableau(terms: &[Term], power: i32) -> Vec<Vec<Entry>> {
    let mut above: Vec<(f64, f64)> = Vec::new();
    let mut before = None;
    let mut rows = Vec::with_capacity(terms.len());
    for (row, term) in terms.iter().enumerate() {
        let mut values = vec![(term.value, term.noise)];
        let mut entries = Vec::new();
        for column in 0..=row.min(COLUMNS) {
            if column > 0 {
                let factor = (terms[row - column].step / term.step).powi(power);
                let (left, left_noise) = values[column - 1];
                let (diagonal, diagonal_noise) = above[column - 1];
                values.push((
                    left + (left - diagonal) / (factor - 1.0),
                    (factor * left_noise + diagonal_noise) / (factor - 1.0),
                ));
            }
            let Some(&(over, _)) = above.get(column) else { continue };
            let (value, carried) = values[column];
            let others = if column > 0 {
                let (left, diagonal) = (values[column - 1].0, above[column - 1].0);
                (value - left).abs().max((value - diagonal).abs())
            } else if let Some(before) = before {
                f64::abs(over - before) / 2f64.powi(power)
            } else {
                continue;
            };
            let truncation = (value - over).abs().max(others);
            entries.push(Entry { value, bound: 2.0 * truncation + carried, row });
        }
        rows.push(entries);
        before = above.first().map(|&(value, _)| value);
        above = values;
    }
    rows
}

/// What an entry must gain after the bounds have risen twice.
const MUCH: f64 = 16.0;

/// The entry with the smallest bound among those that no term of a smaller step contradicts, and
/// that at least `witnesses` such terms confirm.
///
/// Large steps may converge to a wrong value: to the mean of the slopes on both sides of a kink
/// that is nearer than they are, or to nothing in particular over many periods of a function.
/// Smaller steps tell. Conversely, once there is such an entry and the bounds have risen twice,
/// they rise because of noise, and what smaller steps gain a little they gain because noisy
/// neighbours agree by accident.
pub(super) fn best(terms: &[Term], power: i32, witnesses: usize) -> Option<Entry> {
    let stands = |entry: &Entry| {
        let own = &terms[entry.row];
        terms[entry.row + 1..].iter().all(|term| {
            let truncation = (own.value - entry.value).abs() * (term.step / own.step).powi(power);
            (term.value - entry.value).abs() <= entry.bound + term.noise + truncation
        })
    };
    let mut best: Option<Entry> = None;
    let (mut last, mut rises) = (f64::INFINITY, 0);
    let rows = tableau(terms, power);
    for entries in &rows[..terms.len().saturating_sub(witnesses)] {
        let smallest = entries.iter().map(|entry| entry.bound).fold(f64::INFINITY, f64::min);
        let gain = if rises < 2 { 1.0 } else { MUCH };
        for entry in entries {
            let better = best.is_none_or(|best| entry.bound < best.bound / gain);
            if better && entry.bound.is_finite() && stands(entry) {
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
