//! A tensor that is used more than once: its gradients add up.

use super::Ground;
use crate::draft::Draft;
use crate::evaluate::{Mode, Panicked, Pass, Place};
use crate::proven::{cotangents, rounding};
use crate::record::{Record, Verdict};
use crate::{Array, SplitMix64};

impl Ground<'_> {
    /// The same tensor as two inputs: its gradient is the sum of theirs. For the first two inputs of
    /// one shape, where the function exists at such inputs.
    pub(super) fn twice(&self) -> Option<Record> {
        let count = self.inputs.len();
        let pairs = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
        let (first, second) = pairs.into_iter().find(|&(a, b)| {
            self.inputs[a].shape == self.inputs[b].shape && !self.inputs[a].is_empty()
        })?;
        // The second one's values: that is the one that more often has a domain (a divisor, an
        // invertible matrix).
        let mut equal = self.inputs.to_vec();
        equal[first] = equal[second].clone();
        let all = vec![true; count];
        let apart = self.place.gradient(&equal, &self.cotangents, Mode::plain(&all)).ok()?;
        let finite = |pass: &Pass| {
            let gradients = pass.gradients.iter().flatten();
            pass.outputs.iter().chain(gradients).flat_map(|a| &a.data).all(|v| v.is_finite())
        };
        if !finite(&apart) {
            return None;
        }
        let mut draft = Draft::new("twice");
        let shared = self.place.subject.clone().shared(first, second);
        let place = Place { subject: &shared, ..self.place.clone() };
        let mut fewer = equal.clone();
        fewer.remove(second);
        let once = match place.gradient(&fewer, &self.cotangents, Mode::plain(&all[1..])) {
            Ok(once) => once,
            Err(Panicked(text)) => {
                draft.lower(Verdict::Fail, format!("it panicked: {text}"));
                return Some(draft.finish());
            }
        };
        let zeros = vec![0.0; self.inputs[first].len()];
        let data = |gradient: &Option<Array>| {
            gradient.as_ref().map_or_else(|| zeros.clone(), |gradient| gradient.data.clone())
        };
        let (a, b) = (data(&apart.gradients[first]), data(&apart.gradients[second]));
        let found = data(&once.gradients[first]);
        let largest = a.iter().chain(&b).fold(0.0f64, |largest, g| largest.max(g.abs()));
        let terms = self.proven.outputs.iter().map(Array::len).sum();
        for (position, &value) in found.iter().enumerate() {
            draft.gradient(
                "the same tensor twice",
                first,
                || self.inputs[first].index(position),
                (value, a[position] + b[position]),
                // Gradients elsewhere than at the proven point: their largest is the scale.
                4.0 * rounding(self.unit, (largest, terms)) + 3.0 * self.variation(largest),
            );
        }
        Some(draft.finish())
    }

    /// An input that is used elsewhere too: its gradients add up.
    pub(super) fn accumulation(&self, random: &mut SplitMix64) -> Record {
        let mut draft = Draft::new("accumulation");
        let call = self.place.subject.clone();
        let both = call.beside_itself();
        let place = Place { subject: &both, ..self.place.clone() };
        let others = cotangents(self.inputs, random);
        let mut cotangents = self.cotangents.clone();
        cotangents.extend(others.iter().cloned());
        let all = vec![true; self.inputs.len()];
        let expected: Vec<_> = self
            .base
            .gradients
            .iter()
            .zip(&others)
            .map(|(gradient, other)| {
                let sum = match gradient {
                    Some(gradient) => {
                        gradient.data.iter().zip(&other.data).map(|(a, b)| a + b).collect()
                    }
                    None => other.data.clone(),
                };
                Some(Array::new(other.shape.clone(), sum))
            })
            .collect();
        match place.gradient(self.inputs, &cotangents, Mode::plain(&all)) {
            Ok(pass) => {
                let mut wider = Vec::new();
                let sums = expected.iter().flatten().flat_map(|array| array.data.iter());
                for (bound, sum) in self.bounds.iter().zip(sums) {
                    // One more addition, rounded in the data type.
                    wider.push(bound + 2.0 * self.unit * (sum.abs() + 2.0));
                }
                let ground = Ground {
                    place: self.place,
                    inputs: self.inputs,
                    proven: self.proven,
                    cotangents: Vec::new(),
                    base: self.base.clone(),
                    bounds: wider,
                    detects: self.detects,
                    unit: self.unit,
                    declared: self.declared,
                };
                let what = "inputs that are used elsewhere";
                ground.compare(&mut draft, what, &expected, &pass.gradients, false);
            }
            Err(Panicked(text)) => draft.lower(Verdict::Fail, format!("it panicked: {text}")),
        }
        self.finish(draft)
    }
}
