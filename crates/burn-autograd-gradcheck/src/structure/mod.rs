//! What must hold of every gradient on every backend, whatever the function: no numeric derivative
//! is needed, only the scale on which rounding is judged.

mod batch;
mod consistency;
mod linearity;
mod repetition;
mod reuse;
mod tracking;
mod views;

use crate::draft::Draft;
use crate::evaluate::{Mode, Panicked, Pass, Place};
use crate::jacobian::NEGLIGIBLE;
use crate::proven::{Evidence, Flat, NOTHING_SETTLED, Proven, cotangents, flatten, rounding};
use crate::record::{Record, Verdict};
use crate::{Array, SplitMix64};

pub(crate) use consistency::consistency;

/// Above this relative error of the largest gradient of an input the comparisons by bounds are no pass. What
/// they look for exchanges, drops, repeats or doubles elements: mistakes as large as the gradient. A tenth
/// is four times what `parity` asks for in its entries, rounded up: so much wider are these
/// bounds at the same condition.
const DETECTS: f64 = 0.1;

/// What a case declares that bears on these checks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Declared {
    /// Tracked and untracked forward are one kernel: the same outputs to the last bit.
    pub(crate) exact_forward: bool,
    /// How many roundings of terms as large as the largest result may be left where they cancel.
    pub(crate) roundings: f64,
    /// How many units in the last place a gradient may vary by from run to run.
    pub(crate) nondeterminism: f64,
    /// Which inputs have the batch as their first dimension; empty if there is no batch.
    pub(crate) batch: Vec<bool>,
}

/// Runs all structural checks of a subject in one place.
pub(crate) fn checks(
    place: &Place<'_>,
    inputs: &[Array],
    proven: &Proven,
    seed: u64,
    declared: &Declared,
) -> Vec<Record> {
    let mut random = SplitMix64::new(seed ^ 0x57_2C7);
    let cotangents = cotangents(&proven.outputs, &mut random);
    let Some((cotangents, open)) = proven.settled(cotangents) else {
        return vec![Record::unchecked("structure", NOTHING_SETTLED)];
    };
    let unit = unit(place.dtype);
    let scales = proven.scales(&cotangents);
    // Two computations, each with its own rounding.
    let mut bounds: Vec<f64> = scales.iter().map(|&scale| 2.0 * rounding(unit, scale)).collect();
    let all = vec![true; inputs.len()];
    let base = match place.gradient(inputs, &cotangents, Mode::plain(&all)) {
        Ok(base) => base,
        Err(Panicked(text)) => {
            let mut draft = Draft::new("subsets");
            draft.lower(Verdict::Fail, format!("it panicked: {text}"));
            return vec![draft.finish()];
        }
    };
    widen(&mut bounds, place, inputs, &cotangents, &base, &mut random);
    let detects = 0.0;
    let mut ground =
        Ground { place, inputs, proven, cotangents, base, bounds, detects, unit, declared };
    ground.allow_variation();
    ground.detects = ground.power(&scales);
    let unsettled = ground.bounds.iter_mut().zip(&open).filter(|(_, open)| **open);
    unsettled.for_each(|(bound, _)| *bound = f64::INFINITY);
    let subsets = tracking::subsets(inputs.len(), &mut SplitMix64::new(seed ^ 0x5B_5E7));
    let mut records = vec![
        ground.forward(),
        ground.repeat(),
        ground.cotangent(),
        ground.subsets("subsets", false, &subsets),
        ground.subsets("checkpointing", true, &subsets),
        ground.layout(),
        ground.fusion(),
        ground.untouched(),
        ground.accumulation(&mut random),
        ground.threads(),
    ];
    records.extend(ground.twice());
    records.extend(ground.broadcast());
    records.extend(ground.batch());
    if let (burn::tensor::DType::F64, Evidence::Jacobian(numeric)) = (place.dtype, &proven.evidence)
    {
        records.push(ground.product(numeric));
    }
    records
}

/// Widens the bounds by what the gradient changes by if its inputs are rounded twice: a computation in
/// another order may be off by as much, where terms within it cancel.
fn widen(
    bounds: &mut [f64],
    place: &Place<'_>,
    inputs: &[Array],
    cotangents: &[Array],
    base: &Pass,
    random: &mut SplitMix64,
) {
    let all = vec![true; inputs.len()];
    let unit = unit(place.dtype);
    for _ in 0..2 {
        let mut nudge = |array: &Array| {
            let data: Vec<f64> = array
                .data
                .iter()
                .map(|value| {
                    let sign = if random.next_u64() & 1 == 0 { 2.0 } else { -2.0 };
                    value * (1.0 + sign * unit)
                })
                .collect();
            Array::new(array.shape.clone(), data)
        };
        let nudged: Vec<Array> = inputs.iter().map(&mut nudge).collect();
        // The cotangents are inputs of the backward pass.
        let cotangents: Vec<Array> = cotangents.iter().map(&mut nudge).collect();
        let Ok(pass) = place.gradient(&nudged, &cotangents, Mode::plain(&all)) else { continue };
        let mut position = 0;
        for (input, (at, moved)) in base.gradients.iter().zip(&pass.gradients).enumerate() {
            if let (Some(at), Some(moved)) = (at, moved) {
                // One element's change may happen to be small: the input's largest stands for all.
                let moved = at.data.iter().zip(&moved.data).map(|(at, moved)| (at - moved).abs());
                let largest = moved.filter(|change| change.is_finite()).fold(0.0, f64::max);
                let bounds = &mut bounds[position..position + at.len()];
                bounds.iter_mut().for_each(|bound| *bound += 2.0 * largest);
            }
            position += inputs[input].len();
        }
    }
}

fn is_zero(array: &Array) -> bool {
    array.data.iter().all(|&value| value == 0.0)
}

fn unit(dtype: burn::tensor::DType) -> f64 {
    match dtype {
        burn::tensor::DType::F64 => f64::EPSILON / 2.0,
        _ => f64::from(f32::EPSILON) / 2.0,
    }
}

/// A unit in the last place of a value, by its relative size.
fn ulp(unit: f64, value: f64) -> f64 {
    2.0 * unit * value.abs().max(f64::MIN_POSITIVE)
}

/// A point, a cotangent, and the gradient there that others are compared with.
struct Ground<'a> {
    place: &'a Place<'a>,
    inputs: &'a [Array],
    proven: &'a Proven,
    cotangents: Vec<Array>,
    base: Pass,
    /// What each input element's gradient may differ by.
    bounds: Vec<f64>,
    /// The largest bound, relative to the gradients of its input.
    detects: f64,
    unit: f64,
    declared: &'a Declared,
}

impl Ground<'_> {
    /// What a gradient of this size may vary by from run to run, by declaration.
    fn variation(&self, value: f64) -> f64 {
        self.declared.nondeterminism * ulp(self.unit, value)
    }

    /// Widens the bounds by what each gradient may vary by from run to run.
    fn allow_variation(&mut self) {
        let mut position = 0;
        for (input, gradient) in self.inputs.iter().zip(&self.base.gradients) {
            for (element, value) in gradient.iter().flat_map(|g| g.data.iter()).enumerate() {
                let variation = self.declared.nondeterminism * ulp(self.unit, *value);
                self.bounds[position + element] += variation;
            }
            position += input.len();
        }
    }

    /// The largest bound in relation to the largest gradient of its input, as far as that is not negligible
    /// beside the others'.
    fn power(&self, scales: &[(f64, usize)]) -> f64 {
        let largest =
            |scales: &[(f64, usize)]| scales.iter().fold(0.0f64, |most, scale| most.max(scale.0));
        let overall = largest(scales);
        let (mut power, mut start) = (0.0f64, 0);
        for input in self.inputs {
            let end = start + input.len();
            let scale = largest(&scales[start..end]).max(NEGLIGIBLE * overall);
            let bound = self.bounds[start..end].iter().fold(0.0f64, |most, bound| most.max(*bound));
            if scale > 0.0 {
                power = power.max(bound / scale);
            }
            start = end;
        }
        power
    }

    /// The record of a check by these bounds: it says what they see, and is no pass if that is too little.
    fn finish(&self, mut draft: Draft) -> Record {
        if self.detects > 0.0 {
            draft.detects(self.detects);
        }
        if self.detects > DETECTS {
            let detects = self.detects;
            draft.lower(
                Verdict::Unchecked,
                format!("ill-conditioned: only a relative error above {detects:.1e} would be seen"),
            );
        }
        draft.finish()
    }

    /// Compares gradients with the expected ones. No gradient and one of zeros say the same of an
    /// input that is tracked. What is exact differs by what may vary from run to run, and no more.
    fn compare(
        &self,
        draft: &mut Draft,
        what: &str,
        expected: &[Option<Array>],
        found: &[Option<Array>],
        exact: bool,
    ) {
        let mut offset = 0;
        for (input, (expected, found)) in expected.iter().zip(found).enumerate() {
            let len = self.inputs[input].len();
            let bounds = &self.bounds[offset..offset + len];
            offset += len;
            match (expected, found) {
                (None, None) => {}
                (None, Some(found)) if !is_zero(found) => {
                    draft.lower(Verdict::Fail, format!("{what}: input {input} has a gradient"));
                }
                (Some(expected), None) if !is_zero(expected) => {
                    draft.lower(Verdict::Fail, format!("{what}: input {input} has no gradient"));
                }
                (None, Some(_)) | (Some(_), None) => {}
                (Some(expected), Some(found)) => {
                    for (position, (&expected, &value)) in
                        expected.data.iter().zip(&found.data).enumerate()
                    {
                        draft.gradient(
                            what,
                            input,
                            || self.inputs[input].index(position),
                            (value, expected),
                            if exact { self.variation(expected) } else { bounds[position] },
                        );
                    }
                }
            }
        }
    }

    fn run(
        &self,
        draft: &mut Draft,
        what: &str,
        cotangents: &[Array],
        mode: Mode<'_>,
    ) -> Option<Pass> {
        match self.place.gradient(self.inputs, cotangents, mode) {
            Ok(pass) => {
                for misfit in &pass.misfits {
                    draft.lower(Verdict::Fail, format!("{what}: {misfit}"));
                }
                Some(pass)
            }
            Err(Panicked(text)) => {
                draft.lower(Verdict::Fail, format!("{what}: it panicked: {text}"));
                None
            }
        }
    }

    /// Compares outputs: to the last bit if that is demanded, else within what a few roundings of the
    /// inputs and of the output do.
    fn same_outputs(
        &self,
        draft: &mut Draft,
        what: &str,
        expected: &[Array],
        found: &[Array],
        exact: bool,
    ) {
        let inputs = flatten(self.inputs);
        let outputs = Flat::new(expected);
        let (expected, found) = (flatten(expected), flatten(found));
        if expected.len() != found.len() {
            draft.lower(Verdict::Fail, format!("{what}: the outputs have other sizes"));
            return;
        }
        // Each of the two computations has its own, and they may add in another order.
        let condition = self.proven.condition(&inputs);
        let roundings = 8.0 + inputs.len() as f64;
        let left = 2.0 * self.declared.roundings * self.unit;
        let left = left * expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        for (row, (&expected, &found)) in expected.iter().zip(&found).enumerate() {
            let condition = condition(row, expected);
            let bound = match exact {
                true => 0.0,
                false => roundings * self.unit * (expected.abs() + condition) + left,
            };
            let same = (expected - found).abs() <= bound
                || expected == found
                || (expected.is_nan() && found.is_nan());
            if !same {
                let (output, index) = outputs.place(row);
                draft.lower(
                    Verdict::Fail,
                    format!(
                        "{what}: output {output} at {index:?} is {found:e}, expected {expected:e}, \
                         which may differ by {bound:.1e}"
                    ),
                );
            }
        }
    }
}
