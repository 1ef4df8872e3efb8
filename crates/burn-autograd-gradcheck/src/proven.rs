//! What the checks of one function at one point share: what was proven, and its scale.

use std::collections::HashSet;

use crate::draft::Draft;
use crate::evaluate::Pass;
use crate::numeric::{Estimate, Nature};
use crate::record::Verdict;
use crate::{Array, SplitMix64};

/// A function's derivative at a point, proven by numeric differences.
#[derive(Debug, Clone)]
pub(crate) struct Proven {
    pub(crate) outputs: Vec<Array>,
    pub(crate) evidence: Evidence,
    /// What of it could not be judged.
    pub(crate) open: Open,
}

/// The parts of a derivative that could not be judged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Open {
    /// Entries of the Jacobian: an element of the outputs and one of the inputs each.
    pub(crate) entries: HashSet<(usize, usize)>,
    /// Elements of the inputs, where only a gradient is known.
    pub(crate) elements: HashSet<usize>,
}

/// Why nothing is left for the checks that build on a derivative.
pub(crate) const NOTHING_SETTLED: &str =
    "each element of the outputs and of the inputs has an entry that could not be judged";

/// How much of the derivative is known.
#[derive(Debug, Clone)]
pub(crate) enum Evidence {
    /// Every entry: for each element of all inputs, for each element of all outputs.
    Jacobian(Vec<Vec<Estimate>>),
    /// The gradient at one random cotangent, for each element of all inputs.
    Gradient(Vec<f64>),
}

/// Positions of flattened elements.
#[derive(Debug, Clone)]
pub(crate) struct Flat(Vec<Array>);

impl Flat {
    pub(crate) fn new(arrays: &[Array]) -> Self {
        Self(arrays.to_vec())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(Array::len).sum()
    }

    /// Which array, and which place in it.
    pub(crate) fn place(&self, mut position: usize) -> (usize, Vec<usize>) {
        for (number, array) in self.0.iter().enumerate() {
            if position < array.len() {
                return (number, array.index(position));
            }
            position -= array.len();
        }
        (self.0.len(), Vec::new())
    }

    pub(crate) fn arrays(&self) -> &[Array] {
        &self.0
    }

    /// The positions of each array's elements.
    pub(crate) fn ranges(&self) -> Vec<std::ops::Range<usize>> {
        let mut start = 0;
        let range = |array: &Array| {
            let range = start..start + array.len();
            start = range.end;
            range
        };
        self.0.iter().map(range).collect()
    }

    /// Which array, and which element of its data.
    ///
    /// # Panics
    ///
    /// If there are fewer elements.
    pub(crate) fn find(&self, mut position: usize) -> (usize, usize) {
        for (number, array) in self.0.iter().enumerate() {
            if position < array.len() {
                return (number, position);
            }
            position -= array.len();
        }
        panic!("an element that is there")
    }

    /// The arrays with one element moved by `delta`, and that element.
    pub(crate) fn moved(&self, mut position: usize, delta: f64) -> (f64, Vec<Array>) {
        let mut arrays = self.0.clone();
        for array in &mut arrays {
            if position < array.len() {
                array.data[position] += delta;
                return (array.data[position], arrays);
            }
            position -= array.len();
        }
        (f64::NAN, arrays)
    }

    /// The arrays with the elements of a range moved along a direction, which has an entry for each.
    pub(crate) fn shifted(
        &self,
        range: std::ops::Range<usize>,
        direction: &[f64],
        delta: f64,
    ) -> Vec<Array> {
        let mut arrays = self.0.clone();
        let mut start = 0;
        for array in &mut arrays {
            let end = start + array.len();
            let (from, to) = (range.start.clamp(start, end), range.end.clamp(start, end));
            let elements = array.data[from - start..to - start].iter_mut();
            elements.zip(&direction[from..to]).for_each(|(value, d)| *value += delta * d);
            start = end;
        }
        arrays
    }

    pub(crate) fn element(&self, mut position: usize) -> f64 {
        for array in &self.0 {
            if position < array.len() {
                return array.data[position];
            }
            position -= array.len();
        }
        f64::NAN
    }
}

pub(crate) fn flatten(arrays: &[Array]) -> Vec<f64> {
    arrays.iter().flat_map(|array| array.data.iter().copied()).collect()
}

/// Random cotangents for outputs like these.
pub(crate) fn cotangents(outputs: &[Array], random: &mut SplitMix64) -> Vec<Array> {
    outputs
        .iter()
        .map(|output| Array::from_fn(output.shape.clone(), || random.cotangent()))
        .collect()
}

impl Proven {
    /// Cotangents under which what could not be judged plays no part, and the input elements in which it
    /// still does: of those nothing can be said. Nothing if that are all.
    ///
    /// At a kink two computations may take different sides, and both be right. So either the outputs
    /// concerned have a cotangent of zero, or the inputs concerned are left out: whichever leaves more of
    /// the Jacobian.
    pub(crate) fn settled(&self, mut cotangents: Vec<Array>) -> Option<(Vec<Array>, Vec<bool>)> {
        let rows: usize = self.outputs.iter().map(Array::len).sum();
        let columns = match &self.evidence {
            Evidence::Jacobian(columns) => columns.len(),
            Evidence::Gradient(gradient) => gradient.len(),
        };
        let (mut open_rows, mut open_columns) = (vec![false; rows], vec![false; columns]);
        for &(row, column) in &self.open.entries {
            open_rows[row] = true;
            open_columns[column] = true;
        }
        for &element in &self.open.elements {
            open_columns[element] = true;
        }
        if !open_columns.contains(&true) {
            return Some((cotangents, open_columns));
        }
        let left = |open: &[bool]| open.iter().filter(|open| !**open).count();
        // Where only a gradient is known, it is not known which outputs are concerned.
        let by_rows = match &self.evidence {
            Evidence::Jacobian(_) => left(&open_rows) * columns,
            Evidence::Gradient(_) => 0,
        };
        let by_columns = left(&open_columns) * rows;
        if by_rows > 0 && by_rows >= by_columns {
            let elements = cotangents.iter_mut().flat_map(|array| array.data.iter_mut());
            let concerned = elements.zip(&open_rows).filter(|(_, open)| **open);
            concerned.for_each(|(cotangent, _)| *cotangent = 0.0);
            return Some((cotangents, vec![false; columns]));
        }
        (by_columns > 0).then_some((cotangents, open_columns))
    }

    /// How much a rounding error of each input element's gradient may weigh: Σ |cotangent|·|derivative|,
    /// and over how many terms. Where only a gradient is known, its largest element stands for each.
    pub(crate) fn scales(&self, cotangents: &[Array]) -> Vec<(f64, usize)> {
        match &self.evidence {
            Evidence::Jacobian(columns) => {
                let weights = flatten(cotangents);
                columns
                    .iter()
                    .map(|column| {
                        let terms = column
                            .iter()
                            .zip(&weights)
                            .map(|(entry, weight)| (entry.value * weight).abs());
                        (
                            terms.clone().fold(0.0, |sum, term| sum + term),
                            terms.filter(|&term| term > 0.0).count(),
                        )
                    })
                    .collect()
            }
            Evidence::Gradient(gradient) => {
                let terms = self.outputs.iter().map(Array::len).sum();
                let largest = gradient.iter().fold(0.0f64, |largest, g| largest.max(g.abs()));
                gradient.iter().map(|_| (largest, terms)).collect()
            }
        }
    }

    /// By how much, relative to a rounding of all inputs, an output element moves, given its value.
    pub(crate) fn condition(&self, inputs: &[f64]) -> impl Fn(usize, f64) -> f64 {
        let moved = match &self.evidence {
            Evidence::Jacobian(_) => 0.0,
            Evidence::Gradient(gradient) => {
                gradient.iter().zip(inputs).map(|(g, x)| (g * x).abs()).fold(0.0, f64::max)
            }
        };
        move |row, output| match &self.evidence {
            Evidence::Jacobian(columns) => columns
                .iter()
                .zip(inputs)
                .map(|(column, input)| (column[row].value * input).abs())
                .sum(),
            Evidence::Gradient(_) => output.abs() + moved,
        }
    }

    /// Whether an output certainly depends on one of these elements of the inputs.
    fn depends(&self, elements: std::ops::Range<usize>) -> bool {
        match &self.evidence {
            // A derivative that is zero here may change further away, where a step of the ladder
            // reaches: no gradient is then as right as zeros, and is compared like them.
            Evidence::Jacobian(columns) => columns[elements].iter().flatten().any(|entry| {
                entry.nature != Nature::Constant
                    && (entry.value.abs() > entry.bound || entry.value.is_nan())
            }),
            Evidence::Gradient(gradient) => gradient[elements].iter().any(|&g| g != 0.0),
        }
    }

    /// The gradients, with zeros where there rightly is none.
    pub(crate) fn present(&self, pass: &Pass, inputs: &[Array], draft: &mut Draft) -> Vec<Array> {
        for misfit in &pass.misfits {
            draft.lower(Verdict::Fail, misfit.clone());
        }
        let mut position = 0;
        inputs
            .iter()
            .zip(&pass.gradients)
            .enumerate()
            .map(|(number, (input, gradient))| {
                let elements = position..position + input.len();
                position += input.len();
                gradient.clone().unwrap_or_else(|| {
                    if self.depends(elements) {
                        missing(pass, number, draft);
                    }
                    Array::from_fn(input.shape.clone(), || 0.0)
                })
            })
            .collect()
    }
}

/// An input that an output depends on has no gradient.
pub(crate) fn missing(pass: &Pass, input: usize, draft: &mut Draft) {
    let reason = if pass.output_tracked.contains(&true) {
        format!("input {input} has no gradient, but an output depends on it")
    } else {
        "the output is detached: it is not tracked, though inputs are".to_owned()
    };
    draft.lower(Verdict::Fail, reason);
}

/// The error that a sum of `terms` terms of total size `scale` may have, with four more roundings in each
/// term: if it is computed in pairs, or one after the other with rounding errors that are independent
/// (Higham and Mary, "A new approach to probabilistic rounding error analysis", 2019).
pub(crate) fn rounding(unit: f64, (scale, terms): (f64, usize)) -> f64 {
    let terms = terms.max(1) as f64;
    (4.0 + terms.log2()).max(terms.sqrt()) * unit * scale
}

/// The same if the terms are added in any order and their errors are not independent, as those of equal
/// terms are not.
pub(crate) fn worst_rounding(unit: f64, (scale, terms): (f64, usize)) -> f64 {
    (4.0 + terms as f64) * unit * scale
}
