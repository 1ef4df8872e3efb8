//! Batches: each entry by itself gives the same.

use super::Ground;
use crate::Array;
use crate::draft::Draft;
use crate::evaluate::{Mode, Panicked, Pass};
use crate::record::{Record, Verdict};

impl Ground<'_> {
    /// Each entry of a batch by itself gives the same as within the batch. Nothing where no batch is
    /// declared, or it has one entry.
    pub(super) fn batch(&self) -> Option<Record> {
        let batched = &self.declared.batch;
        if !batched.contains(&true) {
            return None;
        }
        let mut draft = Draft::new("batch");
        let rows = match self.batch_size() {
            Ok(rows) => rows,
            Err(text) => {
                draft.lower(Verdict::Invalid, text);
                return Some(draft.finish());
            }
        };
        if rows < 2 {
            return None;
        }
        let all = vec![true; self.inputs.len()];
        for row in 0..rows {
            let inputs: Vec<Array> = self
                .inputs
                .iter()
                .zip(batched)
                .map(|(input, &batched)| if batched { row_of(input, row) } else { input.clone() })
                .collect();
            let cotangents: Vec<_> = self.cotangents.iter().map(|c| row_of(c, row)).collect();
            let what = format!("row {row} by itself");
            let pass = match self.place.gradient(&inputs, &cotangents, Mode::plain(&all)) {
                Ok(pass) => pass,
                Err(Panicked(text)) => {
                    draft.lower(Verdict::Fail, format!("{what}: it panicked: {text}"));
                    continue;
                }
            };
            for misfit in &pass.misfits {
                draft.lower(Verdict::Fail, format!("{what}: {misfit}"));
            }
            self.row_outputs(&mut draft, &what, row, &pass);
            if pass.misfits.is_empty() {
                self.row_gradients(&mut draft, &what, row, &pass);
            }
        }
        Some(self.finish(draft))
    }

    /// How many entries the batch has; or what is not as it was declared.
    fn batch_size(&self) -> Result<usize, String> {
        let batched = &self.declared.batch;
        if batched.len() != self.inputs.len() {
            return Err(format!(
                "batch: expected for each of the {} inputs whether it has a batch, got {} of them",
                self.inputs.len(),
                batched.len()
            ));
        }
        let inputs = self.inputs.iter().zip(batched).enumerate();
        let inputs = inputs
            .filter(|(_, (_, batched))| **batched)
            .map(|(number, (input, _))| ("input", number, input));
        let outputs = self.base.outputs.iter().enumerate();
        let outputs = outputs.map(|(number, output)| ("output", number, output));
        let mut rows = None;
        for (what, number, array) in inputs.chain(outputs) {
            let size = array.shape.first().copied().unwrap_or(0);
            let expected = *rows.get_or_insert(size);
            if size != expected {
                return Err(format!(
                    "batch: expected {what} {number} to have the batch of {expected} as its first \
                     dimension, got {:?}",
                    array.shape
                ));
            }
        }
        Ok(rows.unwrap_or(0))
    }

    /// The outputs of a row by itself.
    fn row_outputs(&self, draft: &mut Draft, what: &str, row: usize, pass: &Pass) {
        let (expected, got) = (self.base.outputs.len(), pass.outputs.len());
        if expected != got {
            let text = format!("{what}: expected {expected} outputs, got {got}");
            draft.lower(Verdict::Fail, text);
            return;
        }
        for (output, (whole, alone)) in self.base.outputs.iter().zip(&pass.outputs).enumerate() {
            let whole = row_of(whole, row);
            if alone.shape != whole.shape {
                let text = format!(
                    "{what}: output {output}: expected {:?}, got {:?}",
                    whole.shape, alone.shape
                );
                draft.lower(Verdict::Fail, text);
                continue;
            }
            let largest = whole.data.iter().fold(0.0f64, |largest, v| largest.max(v.abs()));
            let bound = (8.0 + 2.0 * self.declared.roundings) * self.unit * largest;
            if !whole.data.iter().zip(&alone.data).all(|(a, b)| (a - b).abs() <= bound) {
                draft.lower(Verdict::Fail, format!("{what}: output {output} is another"));
            }
        }
    }

    /// The gradients of a row by itself, of the inputs that have a batch. No gradient and one of zeros
    /// say the same.
    fn row_gradients(&self, draft: &mut Draft, what: &str, row: usize, pass: &Pass) {
        let mut offset = 0;
        for (input, array) in self.inputs.iter().enumerate() {
            let bounds = &self.bounds[offset..offset + array.len()];
            offset += array.len();
            if !self.declared.batch[input] {
                continue;
            }
            let len = array.len() / array.shape[0];
            let start = row * len;
            let (whole, alone) = (&self.base.gradients[input], &pass.gradients[input]);
            let at = |gradient: &Option<Array>, position: usize| {
                gradient.as_ref().map_or(0.0, |gradient| gradient.data[position])
            };
            for position in 0..len {
                draft.gradient(
                    what,
                    input,
                    || array.index(start + position),
                    (at(alone, position), at(whole, start + position)),
                    bounds[start + position],
                );
            }
        }
    }
}

/// One entry of a batch, as a batch of one.
fn row_of(array: &Array, row: usize) -> Array {
    let len = array.len() / array.shape[0];
    let mut shape = array.shape.clone();
    shape[0] = 1;
    Array::new(shape, array.data[row * len..][..len].to_vec())
}
