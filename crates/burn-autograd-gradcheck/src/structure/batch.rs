//! Batches: each entry by itself gives the same.

use super::Ground;
use crate::Array;
use crate::draft::Draft;
use crate::evaluate::{Mode, Panicked};
use crate::record::{Record, Verdict};

impl Ground<'_> {
    /// Each entry of a batch by itself gives the same as within the batch.
    pub(super) fn batch(&self) -> Option<Record> {
        let batched = &self.declared.batch;
        let rows = self
            .inputs
            .iter()
            .zip(batched)
            .filter(|(_, batched)| **batched)
            .map(|(input, _)| input.shape[0])
            .max()?;
        if rows < 2 {
            return None;
        }
        let mut draft = Draft::new("batch");
        let row_of = |array: &Array, row: usize| {
            let len = array.len() / array.shape[0];
            let mut shape = array.shape.clone();
            shape[0] = 1;
            Array::new(shape, array.data[row * len..][..len].to_vec())
        };
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
            for (output, (whole, alone)) in self.base.outputs.iter().zip(&pass.outputs).enumerate()
            {
                let whole = row_of(whole, row);
                let largest = whole.data.iter().fold(0.0f64, |largest, v| largest.max(v.abs()));
                let bound = (8.0 + 2.0 * self.declared.roundings) * self.unit * largest;
                if !whole.data.iter().zip(&alone.data).all(|(a, b)| (a - b).abs() <= bound) {
                    draft.lower(Verdict::Fail, format!("{what}: output {output} is another"));
                }
            }
            let mut offset = 0;
            for (input, gradient) in pass.gradients.iter().enumerate() {
                let len = self.inputs[input].len();
                let bounds = &self.bounds[offset..offset + len];
                offset += len;
                if !batched[input] {
                    continue;
                }
                let (Some(whole), Some(alone)) = (&self.base.gradients[input], gradient) else {
                    continue;
                };
                let start = row * alone.len();
                for (position, &value) in alone.data.iter().enumerate() {
                    let expected = whole.data[start + position];
                    draft.gradient(
                        &what,
                        input,
                        || self.inputs[input].index(start + position),
                        (value, expected),
                        bounds[start + position],
                    );
                }
            }
        }
        Some(draft.finish())
    }
}
