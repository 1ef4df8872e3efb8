//! The Jacobian: numeric against analytic, entry by entry; and a device's gradient against a proven
//! one.

use std::collections::HashMap;

use burn::tensor::DType;

use crate::evaluate::{Mode, Panicked, Pass, Place};
use crate::numeric::{Estimate, Nature, Precision, Samples};
use crate::record::{Record, Verdict, Worst};
use crate::{Array, SplitMix64};

/// What the checks of one function at one point share.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) precision: Precision,
    /// The largest step, which must keep the function in its domain and away from kinks.
    pub(crate) first_step: f64,
    pub(crate) seed: u64,
    /// Units in the last place by which a device's built-in functions may be off.
    pub(crate) intrinsic_ulps: f64,
    /// How many roundings, of terms as large as the largest result, may be left where they cancel.
    pub(crate) roundings: f64,
}

impl Settings {
    /// A bound, widened as far as the error asks for and the declared roundings allow: of terms as
    /// large as the entry itself, then of terms as large as the largest entry.
    fn widened(&self, error: f64, bound: f64, scale: f64, largest: f64) -> f64 {
        let roundings = self.roundings * self.precision.unit;
        [bound, bound + roundings * scale]
            .into_iter()
            .find(|&bound| error <= bound)
            .unwrap_or(bound + roundings * largest)
    }
}

/// Entries smaller than this part of the largest one of the same output element and input, or of the
/// slope nearby, are judged on that scale.
const NEGLIGIBLE: f64 = 1e-3;

/// A Jacobian with proven entries.
#[derive(Debug, Clone)]
pub(crate) struct Jacobian {
    pub(crate) outputs: Vec<Array>,
    /// For each element of all inputs, for each element of all outputs.
    pub(crate) numeric: Vec<Vec<Estimate>>,
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

    /// The arrays with one element moved by `delta`, and that element.
    fn moved(&self, mut position: usize, delta: f64) -> (f64, Vec<Array>) {
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

    fn element(&self, position: usize) -> f64 {
        self.moved(position, 0.0).0
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

/// A record that is filled in while checking.
pub(crate) struct Draft {
    record: Record,
    started: std::time::Instant,
    fit: f64,
}

impl Draft {
    pub(crate) fn new(check: &str) -> Self {
        let record = Record {
            check: check.to_owned(),
            verdict: Verdict::Pass,
            reason: String::new(),
            worst: None,
            detects: None,
            coverage: (0, 0),
            seconds: 0.0,
        };
        Self { record, started: std::time::Instant::now(), fit: -1.0 }
    }

    /// Lowers the verdict; the first reason of the worst verdict is kept.
    pub(crate) fn lower(&mut self, verdict: Verdict, reason: impl Into<String>) {
        if verdict > self.record.verdict {
            self.record.verdict = verdict;
            self.record.reason = reason.into();
        }
    }

    /// Keeps the entry that fits worst.
    pub(crate) fn compare(&mut self, worst: Worst) {
        let fit = match (worst.error, worst.bound) {
            (error, _) if error.is_nan() => f64::INFINITY,
            (0.0, _) => 0.0,
            (error, bound) => error / bound,
        };
        if fit > self.fit {
            self.fit = fit;
            self.record.worst = Some(worst);
        }
    }

    /// Compares one entry; gives whether it fits.
    pub(crate) fn entry(&mut self, worst: Worst) -> bool {
        let fits = worst.error <= worst.bound;
        self.record.coverage.1 += 1;
        if fits {
            self.record.coverage.0 += 1;
        }
        self.compare(worst);
        fits
    }

    /// Compares an element of an input's gradient with what it should be.
    pub(crate) fn gradient(
        &mut self,
        what: &str,
        (input, index): (usize, Vec<usize>),
        (value, expected): (f64, f64),
        bound: f64,
    ) {
        let text = format!(
            "{what}: the gradient of input {input} at {index:?} is {value:.9e}, expected {expected:.9e}"
        );
        let error = (value - expected).abs();
        let worst = Worst {
            output: 0,
            output_index: None,
            input,
            index,
            analytic: value,
            numeric: expected,
            error,
            bound,
        };
        if !self.entry(worst) {
            self.lower(Verdict::Fail, text);
        }
    }

    pub(crate) fn detects(&mut self, detects: f64) {
        self.record.detects = Some(self.record.detects.unwrap_or(0.0).max(detects));
    }

    pub(crate) fn finish(mut self) -> Record {
        self.record.seconds = self.started.elapsed().as_secs_f64();
        self.record
    }

    fn panicked(mut self, verdict: Verdict, panicked: Panicked) -> Record {
        self.lower(verdict, format!("it panicked: {}", panicked.0));
        self.finish()
    }
}

/// Compares the analytic Jacobian with the numeric one. Gives it back if everything passed.
pub(crate) fn check(
    place: &Place<'_>,
    inputs: &[Array],
    settings: &Settings,
) -> (Record, Option<Jacobian>) {
    let mut draft = Draft::new("jacobian");
    let outputs = match place.forward(inputs) {
        Ok(outputs) => outputs,
        Err(panicked) => return (draft.panicked(Verdict::Invalid, panicked), None),
    };
    let (flat_inputs, flat_outputs) = (Flat::new(inputs), Flat::new(&outputs));
    draft.record.coverage.1 = flat_inputs.len() * flat_outputs.len();

    let mut numeric = Vec::with_capacity(flat_inputs.len());
    for position in 0..flat_inputs.len() {
        match estimate(place, &flat_inputs, position, settings, flat_outputs.len()) {
            Ok(column) => numeric.push(column),
            Err(panicked) => return (draft.panicked(Verdict::Invalid, panicked), None),
        }
    }
    let analytic = match analytic(place, inputs, &outputs, &mut draft, &numeric) {
        Ok(analytic) => analytic,
        Err(panicked) => return (draft.panicked(Verdict::Fail, panicked), None),
    };

    let inputs_of: Vec<_> = (0..flat_inputs.len()).map(|c| flat_inputs.place(c)).collect();
    let outputs_of: Vec<_> = (0..flat_outputs.len()).map(|r| flat_outputs.place(r)).collect();
    let size =
        |estimate: &Estimate| if estimate.value.is_finite() { estimate.value.abs() } else { 0.0 };
    // The largest derivative of one output element with respect to one input.
    let largest = |row: usize, input: usize| {
        let columns = inputs_of.iter().zip(&numeric).filter(|((of, _), _)| *of == input);
        columns.map(|(_, column)| size(&column[row])).fold(0.0, f64::max)
    };

    let mut failed = Vec::new();
    let mut second: HashMap<usize, Vec<Estimate>> = HashMap::new();
    for (row, (output, output_index)) in outputs_of.iter().enumerate() {
        let overall: Vec<f64> = (0..inputs.len()).map(|input| largest(row, input)).collect();
        for (column, (input, index)) in inputs_of.iter().enumerate() {
            let mut found = numeric[column][row];
            let value = analytic[row][column];
            // Rounding of a backward pass, relative to the entry: a handful of operations.
            let rounding = |found: &Estimate| 8.0 * settings.precision.unit * size(found);
            let mut error = (value - found.value).abs();
            let mut bound = found.bound + rounding(&found);
            let fits = |error: f64, bound: f64| error <= bound;

            if found.nature == Nature::NotFinite {
                draft.lower(
                    Verdict::Invalid,
                    format!("output {output} at {output_index:?} is not finite near this point"),
                );
                continue;
            }
            // What is left of terms that cancel, where a case declares such.
            let left = settings.roundings * settings.precision.unit * overall[*input];
            if found.nature == Nature::Constant && value.abs() <= left {
                bound = bound.max(left);
            } else if found.nature == Nature::Constant
                && value != 0.0
                && value.abs() <= found.hidden
            {
                draft.lower(
                    Verdict::Unchecked,
                    format!(
                        "saturated: output {output} at {output_index:?} does not move with input \
                         {input} at {index:?}, whose gradient {value:.1e} its rounding would hide"
                    ),
                );
                continue;
            }
            if !fits(error, bound) && found.nature != Nature::NonSmooth {
                // Twice is needed for a failure: on other steps, and more of them.
                if let std::collections::hash_map::Entry::Vacant(entry) = second.entry(column) {
                    let again = Settings {
                        first_step: 0.7 * settings.first_step,
                        precision: Precision {
                            rows: settings.precision.rows + settings.precision.rows / 2,
                            ..settings.precision
                        },
                        ..settings.clone()
                    };
                    match estimate(place, &flat_inputs, column, &again, flat_outputs.len()) {
                        Ok(estimates) => entry.insert(estimates),
                        Err(panicked) => return (draft.panicked(Verdict::Invalid, panicked), None),
                    };
                }
                let other = second[&column][row];
                let wider = other.bound + rounding(&other);
                if fits((value - other.value).abs(), wider) {
                    (found, error, bound) = (other, (value - other.value).abs(), wider);
                }
            }
            let worst = Worst {
                output: *output,
                output_index: Some(output_index.clone()),
                input: *input,
                index: index.clone(),
                analytic: value,
                numeric: found.value,
                error,
                bound,
            };
            if found.nature == Nature::NonSmooth {
                draft.lower(
                    Verdict::Unchecked,
                    format!("a kink or a jump in input {input} at {index:?}"),
                );
                continue;
            }
            draft.compare(worst);
            if !fits(error, bound) {
                failed.push((value, found.value));
                draft.lower(
                    Verdict::Fail,
                    format!(
                        "the gradient of input {input} at {index:?} is {value:.9e}, the derivative \
                         of output {output} at {output_index:?} is {:.9e}",
                        found.value
                    ),
                );
                continue;
            }
            let scale = size(&found).max(NEGLIGIBLE * overall[*input].max(found.slope));
            let detects = match found.nature {
                // Relative to the output's own size: of the derivative nothing is seen.
                Nature::Constant if found.hidden > 0.0 => 4.0 * settings.precision.unit,
                Nature::Constant => 0.0,
                _ => bound / scale,
            };
            if detects > settings.precision.detects {
                draft.lower(
                    Verdict::Unchecked,
                    format!(
                        "low power: in input {input} at {index:?} only a relative error above \
                         {detects:.1e} would be seen"
                    ),
                );
                continue;
            }
            draft.detects(detects);
            draft.record.coverage.0 += 1;
        }
    }
    if let Some(pattern) = pattern(&failed) {
        draft.record.reason = format!("{}; {pattern}", draft.record.reason);
    }
    let proven = draft.record.verdict == Verdict::Pass;
    (draft.finish(), proven.then_some(Jacobian { outputs, numeric }))
}

/// What all failing entries have in common.
fn pattern(failed: &[(f64, f64)]) -> Option<String> {
    let (analytic, numeric) = failed.iter().copied().find(|(_, numeric)| *numeric != 0.0)?;
    let ratio = analytic / numeric;
    let constant = failed.len() > 1
        && failed.iter().all(|(a, n)| (a - ratio * n).abs() <= 1e-6 * (ratio * n).abs());
    let count = failed.len();
    constant.then(|| match ratio {
        r if (r + 1.0).abs() < 1e-6 => format!("all {count} failing entries have the wrong sign"),
        0.0 => format!("all {count} failing entries are zero"),
        r => format!("all {count} failing entries are {r:.6} times what they should be"),
    })
}

fn estimate(
    place: &Place<'_>,
    inputs: &Flat,
    position: usize,
    settings: &Settings,
    outputs: usize,
) -> Result<Vec<Estimate>, Panicked> {
    let mut panicked = None;
    let samples =
        Samples::take(inputs.element(position), settings.first_step, settings.precision, |delta| {
            let (at, moved) = inputs.moved(position, delta);
            // What the function gets is rounded to its data type, and so is the width of the step.
            let at = if place.dtype == DType::F32 { f64::from(at as f32) } else { at };
            match place.forward(&moved) {
                Ok(values) => {
                    let values = flatten(&values);
                    // An output that changes its size under a step cannot be differentiated.
                    if values.len() == outputs {
                        (at, values)
                    } else {
                        (at, vec![f64::NAN; outputs])
                    }
                }
                Err(text) => {
                    panicked.get_or_insert(text);
                    (at, vec![f64::NAN; outputs])
                }
            }
        });
    match panicked {
        Some(panicked) => Err(panicked),
        None => Ok((0..outputs).map(|row| samples.derivative(row, settings.precision)).collect()),
    }
}

/// The Jacobian that the backward pass gives: one pass for each output element, whose cotangent is 1
/// there and 0 elsewhere. Where there is no output element, one pass whose gradients must be zero.
fn analytic(
    place: &Place<'_>,
    inputs: &[Array],
    outputs: &[Array],
    draft: &mut Draft,
    numeric: &[Vec<Estimate>],
) -> Result<Vec<Vec<f64>>, Panicked> {
    let tracked = vec![true; inputs.len()];
    let zeros: Vec<Array> =
        outputs.iter().map(|output| Array::from_fn(output.shape.clone(), || 0.0)).collect();
    let mut rows = Vec::new();
    let count = Flat::new(outputs).len();
    for row in 0..count.max(1) {
        let mut cotangents = zeros.clone();
        let mut rest = row;
        for cotangent in &mut cotangents {
            if rest < cotangent.len() {
                cotangent.data[rest] = 1.0;
                break;
            }
            rest -= cotangent.len();
        }
        let pass = place.gradient(inputs, &cotangents, Mode::plain(&tracked))?;
        let gradients = present(&pass, inputs, draft, numeric);
        if count == 0 {
            if flatten(&gradients).iter().any(|&value| value != 0.0) {
                draft.lower(Verdict::Fail, "a gradient of an empty output is not zero");
            }
            draft.record.coverage = (Flat::new(inputs).len(), Flat::new(inputs).len());
        } else {
            rows.push(flatten(&gradients));
        }
    }
    Ok(rows)
}

/// The gradients, with zeros where there rightly is none.
fn present(
    pass: &Pass,
    inputs: &[Array],
    draft: &mut Draft,
    numeric: &[Vec<Estimate>],
) -> Vec<Array> {
    for misfit in &pass.misfits {
        draft.lower(Verdict::Fail, misfit.clone());
    }
    let mut position = 0;
    inputs
        .iter()
        .zip(&pass.gradients)
        .enumerate()
        .map(|(number, (input, gradient))| {
            let columns = &numeric[position..position + input.len()];
            position += input.len();
            gradient.clone().unwrap_or_else(|| {
                // A derivative that is zero here may change further away, where a step of the
                // ladder reaches: none is then as right as zeros, and is compared like them.
                let depends = columns.iter().flatten().any(|e| {
                    e.nature != Nature::Constant && (e.value.abs() > e.bound || e.value.is_nan())
                });
                if depends {
                    let reason = if pass.output_tracked.contains(&true) {
                        format!("input {number} has no gradient, but an output depends on it")
                    } else {
                        "the output is detached: it is not tracked, though inputs are".to_owned()
                    };
                    draft.lower(Verdict::Fail, reason);
                }
                Array::from_fn(input.shape.clone(), || 0.0)
            })
        })
        .collect()
}

/// How much a rounding error of each input element's gradient may weigh: Σ |cotangent|·|derivative|,
/// and over how many terms.
pub(crate) fn scales(jacobian: &Jacobian, cotangents: &[Array]) -> Vec<(f64, usize)> {
    let weights = flatten(cotangents);
    jacobian
        .numeric
        .iter()
        .map(|column| {
            let terms =
                column.iter().zip(&weights).map(|(entry, weight)| (entry.value * weight).abs());
            (
                terms.clone().fold(0.0, |sum, term| sum + term),
                terms.filter(|&term| term > 0.0).count(),
            )
        })
        .collect()
}

/// The error that a sum of `terms` terms of total size `scale` may have, when it is computed in
/// pairs, with four more roundings in each term.
pub(crate) fn rounding(unit: f64, (scale, terms): (f64, usize)) -> f64 {
    (4.0 + (terms.max(1) as f64).log2()) * unit * scale
}

/// Compares values and gradients on a device of lower precision with the proven ones of a reference
/// in double precision, at the same inputs.
///
/// What they may differ by: the rounding of the sums; what the proven gradient changes by if the
/// inputs are rounded twice (its condition); what the device's built-in functions are off by; and the
/// roundings that a case declares of terms which cancel.
pub(crate) fn parity(
    place: &Place<'_>,
    reference: &Place<'_>,
    inputs: &[Array],
    jacobian: &Jacobian,
    settings: &Settings,
) -> Record {
    let mut draft = Draft::new("parity");
    let unit = settings.precision.unit;
    let mut random = SplitMix64::new(settings.seed ^ 0xA11C_E5ED);
    let tracked = vec![true; inputs.len()];

    // The same function at inputs that are off by two roundings, three times.
    let nudged: Vec<Vec<Array>> = (0..3)
        .map(|_| {
            inputs
                .iter()
                .map(|input| {
                    let mut input = input.clone();
                    for value in &mut input.data {
                        let sign = if random.next_u64() & 1 == 0 { 1.0 } else { -1.0 };
                        *value *= 1.0 + 2.0 * sign * unit;
                    }
                    input
                })
                .collect()
        })
        .collect();

    for _ in 0..2 {
        let cotangents = cotangents(&jacobian.outputs, &mut random);
        let pass = match place.gradient(inputs, &cotangents, Mode::plain(&tracked)) {
            Ok(pass) => pass,
            Err(panicked) => return draft.panicked(Verdict::Fail, panicked),
        };
        let gradients = present(&pass, inputs, &mut draft, &jacobian.numeric);

        // The values first: a kernel may be wrong forward and backward in the same way.
        let (mut value_condition, mut condition) =
            (vec![0.0f64; flatten(&jacobian.outputs).len()], vec![0.0f64; jacobian.numeric.len()]);
        let Ok(exact) = reference.gradient(inputs, &cotangents, Mode::plain(&tracked)) else {
            draft.lower(Verdict::Invalid, "the reference panicked");
            return draft.finish();
        };
        let widen = |condition: &mut [f64], at: &[f64], moved: &[f64]| {
            for ((condition, at), moved) in condition.iter_mut().zip(at).zip(moved) {
                *condition = condition.max((at - moved).abs());
            }
        };
        let proven = flatten(&present(&exact, inputs, &mut draft, &jacobian.numeric));
        for inputs in &nudged {
            let Ok(moved) = reference.gradient(inputs, &cotangents, Mode::plain(&tracked)) else {
                draft.lower(Verdict::Invalid, "the reference panicked");
                return draft.finish();
            };
            widen(&mut value_condition, &flatten(&exact.outputs), &flatten(&moved.outputs));
            let moved = present(&moved, inputs, &mut draft, &jacobian.numeric);
            widen(&mut condition, &proven, &flatten(&moved));
        }

        let intrinsic = 2.0 * unit * settings.intrinsic_ulps;
        let outputs_of = Flat::new(&jacobian.outputs);
        let (values, expected) = (flatten(&pass.outputs), flatten(&exact.outputs));
        let largest_value = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        for (row, (&value, &expected)) in values.iter().zip(&expected).enumerate() {
            let (output, index) = outputs_of.place(row);
            let bound = (4.0 * unit + intrinsic) * expected.abs() + value_condition[row];
            let error = (value - expected).abs();
            let bound = settings.widened(error, bound, expected.abs(), largest_value);
            if error.is_nan() || error > bound {
                draft.lower(
                    Verdict::Fail,
                    format!(
                        "output {output} at {index:?} is {value:.9e}, the proven value is \
                         {expected:.9e}, the bound {bound:.1e}"
                    ),
                );
            }
        }

        let inputs_of = Flat::new(inputs);
        let found = flatten(&gradients);
        let scales = scales(jacobian, &cotangents);
        let weights = flatten(&cotangents);
        let largest = scales.iter().fold(0.0f64, |largest, scale| largest.max(scale.0));
        for (column, &scale) in scales.iter().enumerate() {
            let (input, index) = inputs_of.place(column);
            let bound = rounding(unit, scale) + condition[column] + intrinsic * scale.0;
            let (value, expected) = (found[column], proven[column]);
            let error = (value - expected).abs();
            let bound = settings.widened(error, bound, scale.0, largest);
            let heaviest = (0..weights.len())
                .max_by(|&a, &b| {
                    let weight = |r: usize| (jacobian.numeric[column][r].value * weights[r]).abs();
                    weight(a).total_cmp(&weight(b))
                })
                .map_or(0, |row| outputs_of.place(row).0);
            let fits = draft.entry(Worst {
                output: heaviest,
                output_index: None,
                input,
                index: index.clone(),
                analytic: value,
                numeric: expected,
                error,
                bound,
            });
            if !fits && error <= bound + 8.0 * unit * largest {
                // Terms of the size of the largest gradient may have cancelled in the backward.
                draft.lower(
                    Verdict::Unchecked,
                    format!(
                        "cancellation: the gradient of input {input} at {index:?} is {value:.9e}, \
                         the proven one is {expected:.9e}, and rounding may explain that"
                    ),
                );
            } else if !fits {
                draft.lower(
                    Verdict::Fail,
                    format!(
                        "the gradient of input {input} at {index:?} is {value:.9e}, the proven one \
                         is {expected:.9e}"
                    ),
                );
            } else if scale.0 > 0.0 {
                let detects = bound / scale.0;
                // An ill-conditioned entry is not proven by agreeing within a wide bound.
                if detects > 1e-2 {
                    draft.lower(
                        Verdict::Unchecked,
                        format!(
                            "ill-conditioned: in input {input} at {index:?} only a relative \
                                 error above {detects:.1e} would be seen"
                        ),
                    );
                }
                draft.detects(detects);
            }
        }
    }
    draft.finish()
}
