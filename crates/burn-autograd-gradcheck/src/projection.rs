//! Large functions: the gradient at random cotangents, against differences along blocks of elements.
//!
//! The full Jacobian of n inputs and m outputs costs n times the function and m backward passes. Here
//! the outputs are weighted with a random cotangent, so that one backward pass gives the gradient of
//! all inputs; the inputs stay apart, in blocks: along a random direction within a block, the
//! difference quotient of the weighted outputs must be the sum of gradient times direction. A block
//! that fails is halved until the entry is found.
//!
//! Weights and directions are signed and of sizes in [½, 2), with a density of at most L = ⅓. A single
//! wrong entry e of the Jacobian changes a block's sum by at least e⁄4, so it is seen if that is above
//! the block's bound τ. Several may cancel: with q = 4L²·τ⁄e, for the largest e, the probability of that
//! is at most q·(1 + ln 1⁄q), once over the directions and the cotangent; there are two of each, drawn
//! anew, so it is squared. The report states it for e as large as a typical entry; above one in a thousand
//! nothing passes.
//!
//! Projecting outputs and inputs both onto one number, with weights of one sign and a tolerance that
//! grows with the size, is what lets wrong gradients of large functions pass elsewhere: a difference
//! here is taken for every output element before it is weighted, and judged on its own noise.

use std::ops::Range;

use burn::tensor::DType;

use crate::draft::Draft;
use crate::evaluate::{Mode, Panicked, Place};
use crate::jacobian::{CERTAIN, Settings, outputs};
use crate::lower::LOWER;
use crate::numeric::{Coarse, Estimate, Nature, Precision, Samples};
use crate::proven::{Evidence, Flat, Open, Proven, cotangents, flatten, missing, rounding};
use crate::record::{Record, Verdict, Worst};
use crate::{Array, SplitMix64};

/// Above this many Jacobian entries projections are checked instead, unless more are asked for.
pub(crate) const ENTRIES: usize = 1 << 18;

/// How many evaluated elements, of inputs and outputs together, the numeric side may cost.
const BUDGET: usize = 1 << 26;

/// How many blocks at most, however cheap the function.
const BLOCKS: usize = 32;

/// Failing blocks that are followed to the entry; more of them tell no more.
const FOLLOWED: usize = 3;

/// How many cotangents.
pub(crate) const COTANGENTS: i32 = 2;

/// With what probability at most wrong entries as large as the typical one may cancel, for a pass: a check
/// that misses more says too little, and what it saw is unchecked. In double precision the noise allows for
/// a hundred times less.
const MISSED: f64 = 1e-3;

/// Whether a function is too large for its full Jacobian. A function of many inputs is evaluated, all of
/// them, many times for each: it is too large even with one output.
pub(crate) fn is_large(inputs: &[Array], outputs: &[Array], entries: usize) -> bool {
    let (inputs, outputs) = (Flat::new(inputs).len(), Flat::new(outputs).len());
    inputs.saturating_mul(outputs.max(inputs / 16)) > entries
}

/// Differences along a block, of weighted outputs.
struct Along<'a> {
    place: Place<'a>,
    inputs: Flat,
    centre: Vec<f64>,
    settings: &'a Settings,
}

impl Along<'_> {
    /// The weighted outputs at a distance, less those at the point. The difference of each output
    /// element comes first: what does not depend on the block then adds nothing, not even noise.
    fn change(
        &self,
        block: Range<usize>,
        direction: &[f64],
        weights: &[f64],
        delta: f64,
    ) -> Result<f64, Panicked> {
        let values = self.place.forward(&self.inputs.shifted(block, direction, delta))?;
        let mut sum = 0.0;
        let mut position = 0;
        for array in &values {
            for value in &array.data {
                match self.centre.get(position) {
                    Some(centre) => sum += (value - centre) * weights[position],
                    None => return Ok(f64::NAN),
                }
                position += 1;
            }
        }
        Ok(if position == self.centre.len() { sum } else { f64::NAN })
    }

    /// A plain central difference quotient.
    fn quotient(
        &self,
        block: Range<usize>,
        direction: &[f64],
        weights: &[f64],
        step: f64,
    ) -> Result<f64, Panicked> {
        let above = self.change(block.clone(), direction, weights, step)?;
        let below = self.change(block, direction, weights, -step)?;
        Ok((above - below) / (2.0 * step))
    }

    /// The derivative of ⟨weights, outputs⟩ along a direction within a block.
    fn derivative(
        &self,
        block: Range<usize>,
        direction: &[f64],
        weights: &[f64],
        first_step: f64,
    ) -> Result<Estimate, Panicked> {
        let samples = self.samples(block, direction, weights, first_step, false)?;
        Ok(samples.derivative(0, self.settings.precision))
    }

    /// The samples of ⟨weights, outputs⟩ along a direction within a block; of a function of double
    /// precision also at the steps of single precision.
    fn samples(
        &self,
        block: Range<usize>,
        direction: &[f64],
        weights: &[f64],
        first_step: f64,
        coarse: bool,
    ) -> Result<Samples, Panicked> {
        let mut panicked = None;
        let function = |delta: f64| {
            let change = self.change(block.clone(), direction, weights, delta);
            let value = change.unwrap_or_else(|text| {
                panicked.get_or_insert(text);
                f64::NAN
            });
            (delta, vec![value])
        };
        // A point of the scale of 1: where the noise is sampled, steps are multiples of its rounding.
        let samples = match coarse {
            true => Samples::take_coarse(1.0, first_step, function),
            false => Samples::take(1.0, first_step, self.settings.precision, function),
        };
        panicked.map_or(Ok(samples), Err)
    }

    /// Whether the outputs are computed in less than double precision, though a bound supposes that.
    fn lower(&self, block: Range<usize>, direction: &[f64], weights: &[f64]) -> Option<Coarse> {
        if self.place.dtype != DType::F64 {
            return None;
        }
        let step = self.settings.first_step;
        let fine = self.samples(block.clone(), direction, weights, step, false).ok()?;
        let coarse = self.samples(block, direction, weights, step, true).ok()?;
        let seen = coarse.coarse(&fine, 0)?;
        (seen.unknown && seen.estimate.nature == Nature::Smooth).then_some(seen)
    }
}

/// Compares the gradient at random cotangents with differences along blocks. Gives what is proven if
/// nothing was found wrong, with what could not be judged.
pub(crate) fn check(
    place: &Place<'_>,
    inputs: &[Array],
    settings: &Settings,
) -> (Record, Option<Proven>) {
    let mut draft = Draft::new("projection");
    let Some(outputs) = outputs(place, inputs, &mut draft) else { return (draft.finish(), None) };
    let mut random = SplitMix64::new(settings.seed ^ 0x0B10_C5ED);
    let elements = Flat::new(inputs).len();
    let along = Along {
        place: place.differentiated(),
        inputs: Flat::new(inputs),
        centre: match place.differentiated().forward(inputs) {
            Ok(values) => flatten(&values),
            Err(panicked) => return (draft.panicked(Verdict::Invalid, panicked), None),
        },
        settings,
    };
    // The samples of a derivative: both sides of each row, the point, and three runs of noise.
    let samples = 2 * settings.precision.rows + 22;
    let cost = samples * (elements + along.centre.len()).max(1) * COTANGENTS as usize;
    let blocks = (BUDGET / cost).clamp(1, BLOCKS.min(elements.max(1)));

    let mut proven = None;
    let mut open = Open::default();
    for _ in 0..COTANGENTS {
        let direction: Vec<f64> = (0..elements).map(|_| random.cotangent()).collect();
        let cotangents = cotangents(&outputs, &mut random);
        let tracked = vec![true; inputs.len()];
        let pass = match place.gradient(inputs, &cotangents, Mode::plain(&tracked)) {
            Ok(pass) => pass,
            Err(panicked) => return (draft.panicked(Verdict::Fail, panicked), None),
        };
        for misfit in &pass.misfits {
            draft.lower(Verdict::Fail, misfit.clone());
        }
        let gradient: Vec<f64> = inputs
            .iter()
            .zip(&pass.gradients)
            .flat_map(|(input, gradient)| match gradient {
                Some(gradient) => gradient.data.clone(),
                None => vec![0.0; input.len()],
            })
            .collect();
        let weights = flatten(&cotangents);
        let mut followed = 0;
        for number in 0..blocks {
            let block = number * elements / blocks..(number + 1) * elements / blocks;
            let outcome = judge(&along, block.clone(), &direction, &weights, &gradient, &mut draft);
            match outcome {
                Ok(Judged::Wrong) if followed < FOLLOWED => {
                    followed += 1;
                    // Without a gradient at all there is no entry to look for.
                    let of = along.inputs.place(block.start).0;
                    if pass.gradients.get(of).is_some_and(Option::is_none) {
                        missing(&pass, of, &mut draft);
                    }
                    if let Err(panicked) =
                        follow(&along, block, &direction, &weights, &gradient, &mut draft)
                    {
                        return (draft.panicked(Verdict::Invalid, panicked), None);
                    }
                }
                Ok(Judged::Open) => open.elements.extend(block),
                Ok(_) => {}
                Err(panicked) => return (draft.panicked(Verdict::Invalid, panicked), None),
            }
        }
        proven = Some(gradient);
        if draft.record.verdict == Verdict::Fail {
            break;
        }
    }
    let passed = draft.record.verdict == Verdict::Pass;
    let evidence = Evidence::Gradient(proven.unwrap_or_default());
    let reason = format!(
        "{elements} input elements in {blocks} blocks, {COTANGENTS} cotangents: wrong entries that cancel \
         are missed with a probability below {:.0e}",
        missed(draft.record.detects.unwrap_or(0.0))
    );
    let mut record = draft.finish();
    if passed {
        record.reason = reason;
    }
    let settled = record.verdict <= Verdict::Unchecked;
    (record, settled.then_some(Proven { outputs, evidence, open }))
}

/// The probability that wrong entries cancel in the sums of all cotangents, where errors above `detects`
/// are seen.
pub(crate) fn missed(detects: f64) -> f64 {
    // What is detected is twice the bound; L is a third.
    let q = 4.0 / 9.0 * detects / 2.0;
    let once = match q {
        q if q >= 1.0 => 1.0,
        q if q > 0.0 => q * (1.0 + (1.0 / q).ln()),
        _ => 0.0,
    };
    once.powi(COTANGENTS)
}

/// Whether enough is seen where errors above `detects` are.
pub(crate) fn sees_enough(detects: f64) -> bool {
    detects.is_finite() && missed(detects) <= MISSED
}

enum Judged {
    Right,
    Wrong,
    /// Nothing can be said.
    Open,
}

/// Judges one block.
fn judge(
    along: &Along<'_>,
    block: Range<usize>,
    direction: &[f64],
    weights: &[f64],
    gradient: &[f64],
    draft: &mut Draft,
) -> Result<Judged, Panicked> {
    let settings = along.settings;
    let unit = settings.precision.unit;
    let terms = || block.clone().map(|element| gradient[element] * direction[element]);
    let value: f64 = terms().sum();
    let size: f64 = terms().map(f64::abs).sum();
    let slack = rounding(unit, (size, along.centre.len() + block.len()));
    let mut found = along.derivative(block.clone(), direction, weights, settings.first_step)?;
    let error = (value - found.value).abs();
    let doubtful = error > found.bound + slack && error < CERTAIN * (found.bound + slack);
    if doubtful && found.nature == Nature::Smooth {
        // Twice is needed for a failure: on other steps.
        let again =
            along.derivative(block.clone(), direction, weights, 0.7 * settings.first_step)?;
        if (value - again.value).abs() <= again.bound + slack {
            found = again;
        }
    }
    let place = along.inputs.place(block.start);
    let entries = block.len();
    draft.record.coverage.1 += entries;
    match found.nature {
        Nature::NotFinite => {
            draft.lower(Verdict::Invalid, "the outputs are not finite near this point");
            return Ok(Judged::Open);
        }
        Nature::NonSmooth => {
            let text = format!("a kink or a jump in input {} from {:?} on", place.0, place.1);
            draft.lower(Verdict::Unchecked, text);
            return Ok(Judged::Open);
        }
        _ => {}
    }
    let (mut error, mut bound) = ((value - found.value).abs(), found.bound + slack);
    // A bound of double precision is none for a function that computes in less.
    let judged = draft.record.verdict == Verdict::Fail || error <= bound;
    let seen = if judged { None } else { along.lower(block.clone(), direction, weights) };
    if let Some(seen) = &seen {
        found = seen.estimate;
        let unit = Precision::F32.unit;
        error = (value - found.value).abs();
        bound = found.bound + rounding(unit, (size, along.centre.len() + block.len()));
    }
    draft.compare(Worst {
        output: 0,
        output_index: None,
        input: place.0,
        input_name: None,
        index: place.1.clone(),
        analytic: value,
        numeric: found.value,
        error,
        bound,
    });
    let fits = error <= bound;
    if !fits {
        draft.lower(
            Verdict::Fail,
            format!(
                "along {entries} elements of input {} from {:?} on the gradient changes the weighted \
                 outputs by {value:.9e}, the derivative is {:.9e}",
                place.0, place.1, found.value
            ),
        );
        return Ok(Judged::Wrong);
    }
    if let Some(seen) = seen {
        draft.lower(
            Verdict::Invalid,
            format!(
                "precision: the function is {LOWER}: from {:?} of input {} on the weighted outputs are off \
                 by about {:.0e} of their change; the gradient agrees with it to {bound:.0e}, more \
                 cannot be said in f64",
                place.1, place.0, seen.relative
            ),
        );
        return Ok(Judged::Open);
    }
    // A wrong entry as large as the typical one of the block would have been seen if it changed the
    // sum by more than the bound.
    let typical = size / entries.max(1) as f64;
    if found.nature != Nature::Constant || typical > 0.0 {
        let scale = typical.max(found.value.abs() / entries.max(1) as f64);
        let detects = if scale > 0.0 { 2.0 * bound / scale } else { 0.0 };
        // Relative to a typical entry: of a thousand times what is asked of a single one, because
        // the noise is that of the whole block; and of no more than lets wrong entries cancel unseen.
        let enough = detects <= 1e3 * settings.precision.detects && sees_enough(detects);
        if !enough {
            draft.lower(
                Verdict::Unchecked,
                format!(
                    "low power: from {:?} of input {} on only errors above {detects:.1e} of a typical \
                     entry would be seen",
                    place.1, place.0
                ),
            );
            return Ok(Judged::Open);
        }
        draft.detects(detects);
    }
    draft.record.coverage.0 += entries;
    Ok(Judged::Right)
}

/// Halves a failing block until one entry is left, and names it if its gradient is wrong.
fn follow(
    along: &Along<'_>,
    mut block: Range<usize>,
    direction: &[f64],
    weights: &[f64],
    gradient: &[f64],
    draft: &mut Draft,
) -> Result<(), Panicked> {
    // Where to look next needs no bound: the half whose error is larger, by one difference each. The
    // halves' errors add up to that of the block. Curvature may lead it astray, as it may where several
    // entries are wrong by little; so that what it ends at is judged like every other derivative.
    let start = along.inputs.place(block.start);
    let entries = block.len();
    let step = along.settings.first_step / 64.0;
    let error = |block: Range<usize>| -> Result<f64, Panicked> {
        let value: f64 = block.clone().map(|element| gradient[element] * direction[element]).sum();
        Ok(value - along.quotient(block, direction, weights, step)?)
    };
    let mut whole = error(block.clone())?;
    while block.len() > 1 {
        let middle = block.start + block.len() / 2;
        let left = error(block.start..middle)?;
        let right = whole - left;
        (block, whole) = if left.abs() >= right.abs() {
            (block.start..middle, left)
        } else {
            (middle..block.end, right)
        };
    }
    let element = block.start;
    let found = along.derivative(block, direction, weights, along.settings.first_step)?;
    let (input, index) = along.inputs.place(element);
    let (analytic, numeric) = (gradient[element], found.value / direction[element]);
    let unit = along.settings.precision.unit;
    let slack = rounding(unit, (analytic * direction[element], along.centre.len() + 1));
    let bound = (found.bound + slack.abs()) / direction[element].abs();
    let error = (analytic - numeric).abs();
    let unclear = matches!(found.nature, Nature::NotFinite | Nature::NonSmooth);
    if unclear || error <= bound {
        draft.cause(format!(
            "no single entry stands out: bisection of {entries} elements of input {} from {:?} on \
             ended at one whose gradient fits",
            start.0, start.1
        ));
        return Ok(());
    }
    draft.compare(Worst {
        output: 0,
        output_index: None,
        input,
        input_name: None,
        index: index.clone(),
        analytic,
        numeric,
        error,
        bound,
    });
    draft.cause(format!(
        "the gradient of input {input} at {index:?} is {analytic:.9e}, the derivative of the weighted \
         outputs {numeric:.9e} (found by bisection)"
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{MISSED, missed, sees_enough};

    #[test]
    fn what_sees_enough_misses_little() {
        // q = 2⁄9·d with d = 0.02: (q·(1 + ln 1⁄q))² = 8.13·10⁻⁴.
        assert!((missed(0.02) - 8.13e-4).abs() < 1e-6, "{}", missed(0.02));
        assert!(sees_enough(0.0) && sees_enough(1e-3) && sees_enough(0.02));
        for detects in [0.025, 0.1, 1.0, 4.5, 100.0, f64::INFINITY, f64::NAN] {
            assert!(!sees_enough(detects), "{detects}");
        }
        let mut detects = 1e-6;
        while detects < 1e3 {
            assert!(!sees_enough(detects) || missed(detects) <= MISSED);
            assert!(missed(detects) <= missed(1.1 * detects), "{detects}");
            detects *= 1.1;
        }
    }
}
