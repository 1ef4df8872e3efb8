//! The Jacobian: numeric against analytic, entry by entry.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::DType;

use crate::Array;
use crate::diagnosis::Rejected;
use crate::draft::Draft;
use crate::evaluate::{Mode, Panicked, Pass, Place};
use crate::lower::{LOWER, Lower, remark};
use crate::numeric::{Estimate, Nature, Precision, Samples};
use crate::proven::{Evidence, Flat, Open, Proven, flatten};
use crate::record::{Record, Verdict, Worst};

/// What the checks of one function at one point are told.
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
    /// Whether the same function in double precision is the companion of one in single precision.
    pub(crate) companion: bool,
    /// Whether the record shows how the derivative of the entry that fits worst was found.
    pub(crate) steps: bool,
}

impl Settings {
    /// A bound, widened as far as the error asks for and the declared roundings allow: of terms as
    /// large as the entry itself, then of terms as large as the largest entry.
    pub(crate) fn widened(&self, error: f64, bound: f64, scale: f64, largest: f64) -> f64 {
        let roundings = self.roundings * self.precision.unit;
        [bound, bound + roundings * scale]
            .into_iter()
            .find(|&bound| error <= bound)
            .unwrap_or(bound + roundings * largest)
    }
}

/// Entries smaller than this part of the largest one of the same output element and input, or of the
/// slope nearby, are judged on that scale.
pub(crate) const NEGLIGIBLE: f64 = 1e-3;

/// An error that is larger than its bound by this factor needs no second ladder, whose own bound may be
/// too wide to say anything. In the experiment of [`numeric`](crate::numeric) no error was larger than 2.8
/// bounds in 900,000 trials; next to a singularity bounds may be short by a factor of 20.
pub(crate) const CERTAIN: f64 = 100.0;

/// The outputs, once they are known to be there and the same each time.
pub(crate) fn outputs(
    place: &Place<'_>,
    inputs: &[Array],
    draft: &mut Draft,
) -> Option<Vec<Array>> {
    let (outputs, again) = match (place.forward(inputs), place.forward(inputs)) {
        (Ok(outputs), Ok(again)) => (outputs, again),
        (Err(panicked), _) | (_, Err(panicked)) => {
            draft.lower(Verdict::Invalid, format!("it panicked: {}", panicked.0));
            return None;
        }
    };
    let same = |outputs: &[Array], again: &[Array]| {
        outputs.len() == again.len()
            && outputs.iter().zip(again).all(|(a, b)| {
                a.shape == b.shape
                    && a.data.iter().zip(&b.data).all(|(a, b)| a == b || a.is_nan() && b.is_nan())
            })
    };
    // Some functions draw only where gradients are asked for, as dropout does. A panic there is the
    // backward pass's to report.
    let tracked = || match (place.tracked(inputs), place.tracked(inputs)) {
        (Ok(tracked), Ok(again)) => same(&tracked, &again),
        _ => true,
    };
    if !same(&outputs, &again) || !tracked() {
        draft.lower(
            Verdict::Invalid,
            "stochastic: two evaluations at the same inputs differ; fix the seed or the mask inside \
             the function",
        );
        return None;
    }
    Some(outputs)
}

/// Compares the analytic Jacobian with the numeric one. Gives it back if nothing was found wrong, with what
/// could not be judged.
pub(crate) fn check(
    place: &Place<'_>,
    inputs: &[Array],
    settings: &Settings,
) -> (Record, Option<Proven>) {
    let mut draft = Draft::new("jacobian");
    let Some(outputs) = outputs(place, inputs, &mut draft) else { return (draft.finish(), None) };
    let differentiated = place.differentiated();
    let (flat_inputs, flat_outputs) = (Flat::new(inputs), Flat::new(&outputs));
    draft.record.coverage.1 = flat_inputs.len() * flat_outputs.len();

    let count = flat_outputs.len();
    let passes = match backward_passes(place, inputs, &outputs) {
        Ok(passes) => passes,
        Err(panicked) => return (draft.panicked(Verdict::Fail, panicked), None),
    };
    let analytic: Vec<Vec<f64>> = passes.iter().map(|pass| flat_gradient(pass, inputs)).collect();
    // The largest entry of the gradient of each output element, for each input.
    let ranges = flat_inputs.ranges();
    let size = |range: &Range<usize>, row: &[f64]| largest(row[range.clone()].iter().copied());
    let overall: Vec<Vec<f64>> =
        analytic.iter().map(|row| ranges.iter().map(|range| size(range, row)).collect()).collect();
    let numeric = columns(place.dtype, flat_inputs.len(), |column| {
        let (input, _) = flat_inputs.find(column);
        let due = |row: usize| (analytic[row][column], overall[row][input]);
        let glance = glance(&differentiated, &flat_inputs, column, settings, count, due)?;
        if let Some(confirmed) = glance.iter().copied().collect::<Option<Vec<_>>>() {
            return Ok(confirmed);
        }
        let samples = samples(&differentiated, &flat_inputs, column, settings, count)?;
        let searched = |row| samples.derivative(row, settings.precision);
        Ok((0..count)
            .zip(glance)
            .map(|(row, found)| found.unwrap_or_else(|| searched(row)))
            .collect())
    });
    let numeric = match numeric {
        Ok(numeric) => numeric,
        Err(panicked) => return (draft.panicked(Verdict::Invalid, panicked), None),
    };
    let evidence = Evidence::Jacobian(numeric);
    let proven = Proven { outputs, evidence, open: Open::default() };
    for pass in &passes {
        let _ = proven.present(pass, inputs, &mut draft);
    }
    if count == 0 {
        if analytic.iter().flatten().any(|&value| value != 0.0) {
            draft.lower(Verdict::Fail, "a gradient of an empty output is not zero");
        }
        draft.record.coverage = (flat_inputs.len(), flat_inputs.len());
    }
    let Evidence::Jacobian(numeric) = &proven.evidence else { unreachable!("made above") };
    let inputs_of: Vec<_> = (0..flat_inputs.len()).map(|c| flat_inputs.place(c)).collect();
    let outputs_of: Vec<_> = (0..flat_outputs.len()).map(|r| flat_outputs.place(r)).collect();
    let size =
        |estimate: &Estimate| if estimate.value.is_finite() { estimate.value.abs() } else { 0.0 };
    // The largest derivative of one output element with respect to one input.
    let largest = |row: usize, input: usize| {
        let columns = inputs_of.iter().zip(numeric).filter(|((of, _), _)| *of == input);
        columns.map(|(_, column)| size(&column[row])).fold(0.0, f64::max)
    };

    let values = flatten(&proven.outputs);
    let whole = numeric.iter().flatten().map(size).fold(0.0, f64::max);

    let mut failed = Vec::new();
    let mut open = HashSet::new();
    let mut second: HashMap<usize, Vec<Estimate>> = HashMap::new();
    let mut lower = Lower::new(&differentiated, &flat_inputs, settings, count);
    for (row, (output, output_index)) in outputs_of.iter().enumerate() {
        let overall: Vec<f64> = (0..inputs.len()).map(|input| largest(row, input)).collect();
        for (column, (input, index)) in inputs_of.iter().enumerate() {
            let mut found = numeric[column][row];
            let value = analytic[row][column];
            let rounding = |found: &Estimate| backward_rounding(size(found), settings);
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
                open.insert((row, column));
                continue;
            }
            // An output may be too large to show that it moves: 10¹⁷ + x. Only its own rounding counts here,
            // for what numbers of size one might hide is not asked of every zero.
            let lost = found.hidden * values[row].abs().min(1.0);
            if found.nature == Nature::Constant
                && value == 0.0
                && whole > 0.0
                && lost > settings.precision.detects * whole
            {
                draft.lower(
                    Verdict::Unchecked,
                    format!(
                        "lost in rounding: output {output} at {output_index:?} does not move with input \
                         {input} at {index:?}; its rounding would hide a derivative of up to {lost:.1e}"
                    ),
                );
                open.insert((row, column));
                continue;
            }
            let doubtful = !fits(error, bound) && (error.is_nan() || error <= CERTAIN * bound);
            if doubtful && found.nature != Nature::NonSmooth {
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
                    match estimate(
                        &differentiated,
                        &flat_inputs,
                        column,
                        &again,
                        flat_outputs.len(),
                    ) {
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
            if found.nature == Nature::NonSmooth {
                draft.lower(
                    Verdict::Unchecked,
                    format!("a kink or a jump in input {input} at {index:?}"),
                );
                open.insert((row, column));
                continue;
            }
            // A bound of double precision is none for a function that computes in less. Once something has
            // failed, it does not matter any more.
            let judged = draft.record.verdict == Verdict::Fail || fits(error, bound);
            let seen = if judged { None } else { lower.entry(column, row) };
            let seen = seen.filter(|seen| seen.unknown && seen.estimate.nature == Nature::Smooth);
            if let Some(seen) = &seen {
                found = seen.estimate;
                error = (value - found.value).abs();
                bound = found.bound + 8.0 * Precision::F32.unit * size(&found);
            }
            draft.look((value, found.value), bound, || Worst {
                output: *output,
                output_index: Some(output_index.clone()),
                input: *input,
                input_name: None,
                index: index.clone(),
                analytic: value,
                numeric: found.value,
                error,
                bound,
            });
            if !fits(error, bound) {
                failed.push((row, column));
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
            if let Some(seen) = seen {
                draft.lower(
                    Verdict::Invalid,
                    format!(
                        "precision: output {output} at {output_index:?} is {LOWER}: its values are off by \
                         about {:.0e} of the largest; the gradient of input {input} at {index:?} agrees \
                         with its derivative to {bound:.0e}, more cannot be said in f64",
                        seen.relative
                    ),
                );
                continue;
            }
            let scale = size(&found).max(NEGLIGIBLE * overall[*input].max(found.slope));
            let detects = match found.nature {
                // Relative to the output's own size: of the derivative nothing is seen.
                Nature::Constant => 4.0 * settings.precision.unit,
                _ => bound / scale,
            };
            if detects > settings.precision.detects {
                // The first reason is the one that is kept.
                let first = draft.record.verdict == Verdict::Pass;
                let why = remark(if first { lower.entry(column, row) } else { None });
                draft.lower(
                    Verdict::Unchecked,
                    format!(
                        "low power: in input {input} at {index:?} only a relative error above \
                         {detects:.1e} would be seen{why}"
                    ),
                );
                open.insert((row, column));
                continue;
            }
            draft.detects(detects);
            draft.record.coverage.0 += 1;
        }
    }
    if !failed.is_empty() {
        let numeric: Vec<Vec<f64>> = (0..flat_outputs.len())
            .map(|row| numeric.iter().map(|column| column[row].value).collect())
            .collect();
        let rejected = Rejected {
            inputs,
            outputs: &proven.outputs,
            analytic: &analytic,
            numeric: &numeric,
            failed: &failed,
        };
        rejected.causes().into_iter().for_each(|cause| draft.cause(cause));
    }
    if settings.steps
        && let Some(worst) = draft.worst()
        && let Some(column) =
            inputs_of.iter().position(|place| *place == (worst.input, worst.index.clone()))
        && let Some(row) = outputs_of.iter().position(|(output, index)| {
            *output == worst.output && Some(index) == worst.output_index.as_ref()
        })
        && let Ok(samples) = samples(&differentiated, &flat_inputs, column, settings, count)
    {
        draft.record.steps = Some(samples.table(row, settings.precision).to_string());
    }
    let record = draft.finish();
    let open = Open { entries: open, ..Open::default() };
    let proven = (record.verdict <= Verdict::Unchecked).then_some(Proven { open, ..proven });
    (record, proven)
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.filter(|value| value.is_finite()).fold(0.0, |most, value| most.max(value.abs()))
}

/// Rounding of a backward pass, relative to the entry: a handful of operations.
fn backward_rounding(size: f64, settings: &Settings) -> f64 {
    8.0 * settings.precision.unit * size
}

/// The entries of a column of the numeric Jacobian that a short ladder confirms; what it says against a
/// gradient counts for nothing. `due` is an entry of the gradient, and the largest of its row.
fn glance(
    place: &Place<'_>,
    inputs: &Flat,
    position: usize,
    settings: &Settings,
    outputs: usize,
    due: impl Fn(usize) -> (f64, f64),
) -> Result<Vec<Option<Estimate>>, Panicked> {
    let nothing = || Ok(vec![None; outputs]);
    let Some(precision) = settings.precision.short() else { return nothing() };
    let short = Settings { precision, ..settings.clone() };
    let samples = samples(place, inputs, position, &short, outputs)?;
    let Some(glance) = samples.glance(precision) else { return nothing() };
    // A hundredth of what may remain unseen, so that the power of the check does not suffer.
    let enough = settings.precision.detects / 100.0;
    let confirmed = |row: usize| {
        let found = glance.derivative(row)?;
        let ((value, overall), size) = (due(row), found.value.abs());
        let bound = found.bound + backward_rounding(size, settings);
        let agrees = match found.nature {
            Nature::Constant => value == 0.0,
            _ => {
                (value - found.value).abs() <= bound
                    && bound <= enough * size.max(NEGLIGIBLE * found.slope.max(overall))
            }
        };
        agrees.then_some(found)
    };
    Ok((0..outputs).map(confirmed).collect())
}

/// The numeric Jacobian, as a scale for what is judged otherwise.
pub(crate) fn scale(place: &Place<'_>, inputs: &[Array], settings: &Settings) -> Option<Proven> {
    let outputs = place.forward(inputs).ok()?;
    let (flat, count) = (Flat::new(inputs), Flat::new(&outputs).len());
    let place = place.differentiated();
    let column = |column| estimate(&place, &flat, column, settings, count);
    let numeric = columns(place.dtype, flat.len(), column).ok()?;
    let kinks = |(column, entries): (usize, &Vec<Estimate>)| -> Vec<(usize, usize)> {
        let rows = entries.iter().enumerate();
        let kinks = rows.filter(|(_, entry)| entry.nature == Nature::NonSmooth);
        kinks.map(|(row, _)| (row, column)).collect()
    };
    let entries = numeric.iter().enumerate().flat_map(kinks).collect();
    let open = Open { entries, ..Open::default() };
    Some(Proven { outputs, evidence: Evidence::Jacobian(numeric), open })
}

/// The columns of a numeric Jacobian, on as many threads as there are processors.
fn columns(
    dtype: DType,
    count: usize,
    column: impl Fn(usize) -> Result<Vec<Estimate>, Panicked> + Sync,
) -> Result<Vec<Vec<Estimate>>, Panicked> {
    // Double precision is computed by processors, of which there are several. A GPU has one queue.
    let threads = match dtype {
        DType::F64 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        _ => 1,
    };
    if threads == 1 || count < 2 * threads {
        return (0..count).map(column).collect();
    }
    let next = AtomicUsize::new(0);
    let mut found: Vec<(usize, _)> = std::thread::scope(|scope| {
        let work = || {
            let mut found = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return found;
                }
                found.push((number, column(number)));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
        // A panic of the function is caught where it is called.
        results.flat_map(|result| result.expect("panics are caught")).collect()
    });
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, column)| column).collect()
}

fn estimate(
    place: &Place<'_>,
    inputs: &Flat,
    position: usize,
    settings: &Settings,
    outputs: usize,
) -> Result<Vec<Estimate>, Panicked> {
    let samples = samples(place, inputs, position, settings, outputs)?;
    Ok((0..outputs).map(|row| samples.derivative(row, settings.precision)).collect())
}

/// The samples of all outputs along one input element: of a function of double precision also at the
/// steps of single precision, if the settings say so.
pub(crate) fn samples(
    place: &Place<'_>,
    inputs: &Flat,
    position: usize,
    settings: &Settings,
    outputs: usize,
) -> Result<Samples, Panicked> {
    let panicked = RefCell::new(None);
    let run = |(at, values): (f64, Result<Vec<f64>, Panicked>)| match values {
        // An output that changes its size under a step cannot be differentiated.
        Ok(values) if values.len() != outputs => (at, vec![f64::NAN; outputs]),
        Ok(values) => (at, values),
        Err(text) => {
            panicked.borrow_mut().get_or_insert(text);
            (at, vec![f64::NAN; outputs])
        }
    };
    let moving = place.moving(inputs, position)?;
    // What the function gets is rounded to its data type, and so is the width of the step.
    let function = |delta: f64| {
        let (at, values) = run(moving.at(delta));
        (if place.dtype == DType::F32 { f64::from(at as f32) } else { at }, values)
    };
    let samples = if settings.companion && place.dtype == DType::F32 {
        let double = Place { dtype: DType::F64, ..place.clone() };
        let double = double.moving(inputs, position)?;
        let companion = |delta: f64| run(double.at(delta)).1;
        Samples::take_with(settings.first_step, settings.precision, function, companion)
    } else if place.dtype == DType::F64 && settings.precision == Precision::F32 {
        Samples::take_coarse(inputs.element(position), settings.first_step, function)
    } else {
        Samples::take(inputs.element(position), settings.first_step, settings.precision, function)
    };
    panicked.into_inner().map_or(Ok(samples), Err)
}

/// One backward pass for each output element, whose cotangent is 1 there and 0 elsewhere. Where there is
/// no output element, one pass whose gradients must be zero.
fn backward_passes(
    place: &Place<'_>,
    inputs: &[Array],
    outputs: &[Array],
) -> Result<Vec<Pass>, Panicked> {
    let tracked = vec![true; inputs.len()];
    let mut cotangents: Vec<Array> =
        outputs.iter().map(|output| Array::from_fn(output.shape.clone(), || 0.0)).collect();
    let places: Vec<_> = (0..outputs.len())
        .flat_map(|output| (0..outputs[output].len()).map(move |element| (output, element)))
        .collect();
    let pass = |cotangents: &[Array]| place.gradient(inputs, cotangents, Mode::plain(&tracked));
    if places.is_empty() {
        return Ok(vec![pass(&cotangents)?]);
    }
    let of = |(output, element): (usize, usize)| {
        cotangents[output].data[element] = 1.0;
        let found = pass(&cotangents);
        cotangents[output].data[element] = 0.0;
        found
    };
    places.into_iter().map(of).collect()
}

/// The gradient of all inputs, with zeros where there is none.
fn flat_gradient(pass: &Pass, inputs: &[Array]) -> Vec<f64> {
    let mut flat = Vec::with_capacity(inputs.iter().map(Array::len).sum());
    for (input, gradient) in inputs.iter().zip(&pass.gradients) {
        match gradient {
            Some(gradient) => flat.extend_from_slice(&gradient.data),
            None => flat.resize(flat.len() + input.len(), 0.0),
        }
    }
    flat
}
