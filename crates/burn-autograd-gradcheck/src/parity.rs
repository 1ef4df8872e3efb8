//! A device's gradient against a proven one.

use crate::draft::Draft;
use crate::evaluate::{Mode, Place};
use crate::jacobian::Settings;
use crate::proven::{Evidence, Flat, NOTHING_SETTLED, Proven, cotangents, flatten, rounding};
use crate::record::{Record, Verdict, Worst};
use crate::{Array, SplitMix64};

/// The largest error, relative to the terms of an entry, that may remain unseen in it.
const DETECTS: f64 = 1e-2;

/// Compares values and gradients on a device of lower precision with the proven ones of a reference
/// in double precision, at the same inputs.
///
/// What they may differ by: the rounding of the sums; what the proven gradient and the outputs change by if
/// the inputs are rounded twice (their condition); what the device's built-in functions are off by; and the
/// roundings that a case declares of terms which cancel.
pub(crate) fn check(
    place: &Place<'_>,
    reference: &Place<'_>,
    inputs: &[Array],
    proven: &Proven,
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
        let cotangents = cotangents(&proven.outputs, &mut random);
        let Some((cotangents, open)) = proven.settled(cotangents) else {
            draft.lower(Verdict::Unchecked, NOTHING_SETTLED);
            return draft.finish();
        };
        let pass = match place.gradient(inputs, &cotangents, Mode::plain(&tracked)) {
            Ok(pass) => pass,
            Err(panicked) => return draft.panicked(Verdict::Fail, panicked),
        };
        let gradients = proven.present(&pass, inputs, &mut draft);

        // The values first: a kernel may be wrong forward and backward in the same way.
        let (mut value_condition, mut condition) =
            (vec![0.0f64; flatten(&proven.outputs).len()], vec![0.0f64; Flat::new(inputs).len()]);
        let Ok(exact) = reference.gradient(inputs, &cotangents, Mode::plain(&tracked)) else {
            draft.lower(Verdict::Invalid, "the reference panicked");
            return draft.finish();
        };
        let widen = |condition: &mut [f64], at: &[f64], moved: &[f64]| {
            for ((condition, at), moved) in condition.iter_mut().zip(at).zip(moved) {
                *condition = condition.max((at - moved).abs());
            }
        };
        let exact_gradient = flatten(&proven.present(&exact, inputs, &mut draft));
        for inputs in &nudged {
            let Ok(moved) = reference.gradient(inputs, &cotangents, Mode::plain(&tracked)) else {
                draft.lower(Verdict::Invalid, "the reference panicked");
                return draft.finish();
            };
            widen(&mut value_condition, &flatten(&exact.outputs), &flatten(&moved.outputs));
            let moved = proven.present(&moved, inputs, &mut draft);
            widen(&mut condition, &exact_gradient, &flatten(&moved));
        }

        let intrinsic = 2.0 * unit * settings.intrinsic_ulps;
        let outputs_of = Flat::new(&proven.outputs);
        let (values, expected) = (flatten(&pass.outputs), flatten(&exact.outputs));
        // By how much an output moves if each input is rounded twice, with the worst signs. The three points
        // above may have happened to move it little.
        let point = flatten(inputs);
        let worst_case = proven.condition(&point);
        let largest_value = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        for (row, (&value, &expected)) in values.iter().zip(&expected).enumerate() {
            let (output, index) = outputs_of.place(row);
            let condition = value_condition[row].max(2.0 * unit * worst_case(row, expected));
            let bound = (4.0 * unit + intrinsic) * expected.abs() + condition;
            let error = (value - expected).abs();
            let bound = settings.widened(error, bound, expected.abs(), largest_value);
            let fits = error <= bound;
            if !fits {
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
        let scales = proven.scales(&cotangents);
        let weights = flatten(&cotangents);
        let largest = scales.iter().fold(0.0f64, |largest, scale| largest.max(scale.0));
        for (column, &scale) in scales.iter().enumerate() {
            if open[column] {
                continue;
            }
            let (input, index) = inputs_of.place(column);
            let bound = rounding(unit, scale) + condition[column] + intrinsic * scale.0;
            let (value, expected) = (found[column], exact_gradient[column]);
            let error = (value - expected).abs();
            let bound = settings.widened(error, bound, scale.0, largest);
            let heaviest = match &proven.evidence {
                Evidence::Jacobian(columns) => (0..weights.len())
                    .max_by(|&a, &b| {
                        let weight = |row: usize| (columns[column][row].value * weights[row]).abs();
                        weight(a).total_cmp(&weight(b))
                    })
                    .map_or(0, |row| outputs_of.place(row).0),
                Evidence::Gradient(_) => 0,
            };
            let fits = error <= bound;
            draft.compare(Worst {
                output: heaviest,
                output_index: None,
                input,
                input_name: None,
                index: index.clone(),
                analytic: value,
                numeric: expected,
                error,
                bound,
            });
            let detects = if scale.0 > 0.0 { bound / scale.0 } else { 0.0 };
            let mut judged = false;
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
            } else if detects > DETECTS {
                // An ill-conditioned entry is not proven by agreeing within a wide bound.
                draft.lower(
                    Verdict::Unchecked,
                    format!(
                        "ill-conditioned: in input {input} at {index:?} only a relative error above \
                         {detects:.1e} would be seen"
                    ),
                );
            } else {
                judged = true;
                if scale.0 > 0.0 {
                    draft.detects(detects);
                }
            }
            draft.count(judged);
        }
    }
    draft.finish()
}
