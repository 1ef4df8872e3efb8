//! What a wrong gradient looks like: the pattern of the entries that do not fit often names the
//! mistake.

use crate::Array;

/// Two numbers that agree, as far as a pattern is concerned.
fn alike(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-6 * scale
}

/// A Jacobian that was rejected: for each output element, for each input element, what the backward
/// pass gave and what it should be.
pub(crate) struct Rejected<'a> {
    pub(crate) inputs: &'a [Array],
    pub(crate) outputs: &'a [Array],
    pub(crate) analytic: &'a [Vec<f64>],
    pub(crate) numeric: &'a [Vec<f64>],
    /// The entries that do not fit, as (row, column).
    pub(crate) failed: &'a [(usize, usize)],
}

impl Rejected<'_> {
    /// The likely causes, the most specific first.
    pub(crate) fn causes(&self) -> Vec<String> {
        let scale = self
            .numeric
            .iter()
            .flatten()
            .filter(|value| value.is_finite())
            .fold(0.0f64, |largest, value| largest.max(value.abs()));
        if scale == 0.0 || self.failed.is_empty() {
            return Vec::new();
        }
        if self.failed.iter().any(|&(row, column)| !self.analytic[row][column].is_finite()) {
            return vec!["the gradient is not finite where the derivative is".to_owned()];
        }
        let mut causes = Vec::new();
        causes.extend(self.ignored_cotangent(scale));
        causes.extend(self.swapped(scale));
        for input in 0..self.inputs.len() {
            if self.failed_in(input).next().is_some() {
                let found = self
                    .factor(input)
                    .or_else(|| self.rearranged(input, scale))
                    .or_else(|| self.term(input, scale));
                causes.extend(found);
            }
        }
        causes
    }

    /// The columns of an input.
    fn columns(&self, input: usize) -> std::ops::Range<usize> {
        let start = self.inputs[..input].iter().map(Array::len).sum();
        start..start + self.inputs[input].len()
    }

    fn failed_in(&self, input: usize) -> impl Iterator<Item = (usize, usize)> {
        let columns = self.columns(input);
        self.failed.iter().copied().filter(move |(_, column)| columns.contains(column))
    }

    /// Whether the backward pass gave, in all entries of an input, what `expected` says.
    fn explains(
        &self,
        columns: std::ops::Range<usize>,
        scale: f64,
        expected: impl Fn(usize, usize) -> f64,
    ) -> bool {
        (0..self.analytic.len()).all(|row| {
            columns
                .clone()
                .all(|column| alike(self.analytic[row][column], expected(row, column), scale))
        })
    }

    /// Every output element has the same gradient: the sum of all.
    fn ignored_cotangent(&self, scale: f64) -> Option<String> {
        let rows = self.numeric.len();
        let sum = |column: usize| self.numeric.iter().map(|row| row[column]).sum::<f64>();
        let columns = self.numeric.first().map_or(0, Vec::len);
        (rows > 1 && self.explains(0..columns, scale, |_, column| sum(column))).then(|| {
            "the cotangent is ignored: every output element has the gradient of their sum"
                .to_owned()
        })
    }

    /// Two inputs have each other's gradient.
    fn swapped(&self, scale: f64) -> Option<String> {
        for a in 0..self.inputs.len() {
            for b in a + 1..self.inputs.len() {
                let (of_a, of_b) = (self.columns(a), self.columns(b));
                let exchanged = self.inputs[a].shape == self.inputs[b].shape
                    && (self.failed_in(a).next().is_some() || self.failed_in(b).next().is_some())
                    && self.explains(of_a.clone(), scale, |row, column| {
                        self.numeric[row][column - of_a.start + of_b.start]
                    })
                    && self.explains(of_b.clone(), scale, |row, column| {
                        self.numeric[row][column - of_b.start + of_a.start]
                    });
                if exchanged {
                    return Some(format!("inputs {a} and {b} have each other's gradient"));
                }
            }
        }
        None
    }

    /// All failing entries of an input are off by one factor.
    fn factor(&self, input: usize) -> Option<String> {
        let pair =
            |(row, column): (usize, usize)| (self.analytic[row][column], self.numeric[row][column]);
        let (analytic, numeric) = self.failed_in(input).map(pair).find(|(_, n)| *n != 0.0)?;
        let ratio = analytic / numeric;
        let count = self.failed_in(input).count();
        let constant = count > 1
            && self.failed_in(input).map(pair).all(|(a, n)| alike(a, ratio * n, (ratio * n).abs()));
        constant.then(|| match ratio {
            0.0 => format!("input {input}: all {count} failing entries are zero"),
            r if alike(r, -1.0, 1.0) => {
                format!("input {input}: all {count} failing entries have the wrong sign")
            }
            r => format!(
                "input {input}: all {count} failing entries are {r:.6} times what they should be"
            ),
        })
    }

    /// The right numbers in the wrong places.
    fn rearranged(&self, input: usize, scale: f64) -> Option<String> {
        let shape = &self.inputs[input].shape;
        let columns = self.columns(input);
        let start = columns.start;
        let strides: Vec<usize> =
            (0..shape.len()).map(|dim| shape[dim + 1..].iter().product()).collect();
        let from = |map: &dyn Fn(&mut Vec<usize>)| {
            self.explains(columns.clone(), scale, |row, column| {
                let mut index = self.inputs[input].index(column - start);
                map(&mut index);
                let place: usize = index.iter().zip(&strides).map(|(i, stride)| i * stride).sum();
                self.numeric[row][start + place]
            })
        };
        for a in 0..shape.len() {
            for b in a + 1..shape.len() {
                if shape[a] == shape[b] && from(&|index| index.swap(a, b)) {
                    return Some(format!(
                        "input {input}: the gradient is transposed in dimensions {a} and {b}"
                    ));
                }
            }
        }
        for (dim, &size) in shape.iter().enumerate() {
            if size > 1 && from(&|index| index[dim] = size - 1 - index[dim]) {
                return Some(format!("input {input}: the gradient is mirrored in dimension {dim}"));
            }
            for shift in 1..size.min(9) {
                if from(&|index| index[dim] = (index[dim] + shift) % size) {
                    return Some(format!(
                        "input {input}: the gradient is shifted by {shift} in dimension {dim}"
                    ));
                }
            }
        }
        None
    }

    /// The difference is a multiple of something known, in every failing entry.
    fn term(&self, input: usize, scale: f64) -> Option<String> {
        let start = self.columns(input).start;
        let outputs: Vec<f64> = self.outputs.iter().flat_map(|o| o.data.iter().copied()).collect();
        let x = |column: usize| self.inputs[input].data[column - start];
        type Term<'t> = (&'static str, Box<dyn Fn(usize, usize) -> f64 + 't>);
        let mut terms: Vec<Term<'_>> = vec![
            ("1", Box::new(|_, _| 1.0)),
            ("the input's element", Box::new(move |_, column| x(column))),
            ("the square of the input's element", Box::new(move |_, column| x(column).powi(2))),
            ("the output's element", Box::new(|row, _| outputs[row])),
            (
                "the derivative's own square",
                Box::new(|row, column| self.numeric[row][column].powi(2)),
            ),
        ];
        let others: Vec<_> = (0..self.inputs.len())
            .filter(|&other| other != input && self.inputs[other].shape == self.inputs[input].shape)
            .collect();
        for other in others {
            let data = &self.inputs[other].data;
            let name = if other < input {
                "an earlier input's element"
            } else {
                "a later input's element"
            };
            terms.push((name, Box::new(move |_, column| data[column - start])));
        }
        let failed: Vec<_> = self.failed_in(input).collect();
        if failed.len() < 3 {
            return None;
        }
        terms.into_iter().find_map(|(name, term)| {
            let (row, column) = failed.iter().copied().find(|&(r, c)| term(r, c).abs() > 1e-3)?;
            let difference = |r: usize, c: usize| self.analytic[r][c] - self.numeric[r][c];
            let factor = difference(row, column) / term(row, column);
            let first = term(failed[0].0, failed[0].1);
            // Numbers that are all the same are explained by a constant.
            let varies =
                name == "1" || failed.iter().any(|&(r, c)| !alike(term(r, c), first, first.abs()));
            let fits = varies
                && failed.iter().all(|&(r, c)| alike(difference(r, c), factor * term(r, c), scale));
            fits.then(|| {
                format!(
                    "input {input}: a term is missing or too many: the gradient is off by \
                     {factor:+.6} times {name} in all {} failing entries",
                    failed.len()
                )
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Rejected;
    use crate::Array;

    fn causes(inputs: &[Array], analytic: &[Vec<f64>], numeric: &[Vec<f64>]) -> String {
        let failed: Vec<_> = (0..numeric.len())
            .flat_map(|row| (0..numeric[row].len()).map(move |column| (row, column)))
            .filter(|&(row, column)| analytic[row][column] != numeric[row][column])
            .collect();
        let outputs = [Array::new([numeric.len()], vec![0.25; numeric.len()])];
        Rejected { inputs, outputs: &outputs, analytic, numeric, failed: &failed }
            .causes()
            .join("; ")
    }

    fn matrix() -> Array {
        Array::new([2, 2], [0.5, -1.0, 2.0, 3.0])
    }

    #[test]
    fn patterns_are_named() {
        let numeric = [vec![1.0, 2.0, 3.0, 5.0], vec![-2.0, 0.5, 7.0, 1.5]];
        let map = |f: &dyn Fn(usize, usize) -> f64| -> Vec<Vec<f64>> {
            (0..2).map(|row| (0..4).map(|column| f(row, column)).collect()).collect()
        };
        let one = [matrix()];
        let found = |f: &dyn Fn(usize, usize) -> f64| causes(&one, &map(f), &numeric);
        assert!(found(&|r, c| 2.0 * numeric[r][c]).contains("2.000000 times"));
        assert!(found(&|r, c| -numeric[r][c]).contains("the wrong sign"));
        assert!(found(&|_, _| 0.0).contains("are zero"));
        assert!(found(&|r, c| numeric[r][[0, 2, 1, 3][c]]).contains("transposed"));
        assert!(found(&|r, c| numeric[r][[1, 0, 3, 2][c]]).contains("mirrored in dimension 1"));
        assert!(found(&|_, c| numeric[0][c] + numeric[1][c]).contains("the cotangent is ignored"));
        let x = matrix();
        let extra = found(&|r, c| numeric[r][c] - 1.5 * x.data[c]);
        assert!(extra.contains("-1.500000 times the input's element"), "{extra}");
        assert!(found(&|r, c| numeric[r][c] + 0.25).contains("+0.250000 times 1"));
    }

    #[test]
    fn swapped_inputs_are_named() {
        let inputs = [Array::new([2], [1.0, 2.0]), Array::new([2], [3.0, 4.0])];
        let numeric = [vec![1.0, 2.0, 3.0, 5.0]];
        let analytic = [vec![3.0, 5.0, 1.0, 2.0]];
        assert!(causes(&inputs, &analytic, &numeric).contains("inputs 0 and 1 have each other's"));
    }

    #[test]
    fn a_pattern_that_does_not_hold_is_not_claimed() {
        let numeric = [vec![1.0, 2.0, 3.0, 5.0]];
        let analytic = [vec![1.5, 2.0, 3.5, 4.0]];
        assert_eq!(causes(&[matrix()], &analytic, &numeric), "");
    }
}
