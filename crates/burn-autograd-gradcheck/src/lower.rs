//! Functions of double precision that compute in less, and do not say so.
//!
//! Their differences are those of stairs, and no gradient fits them. So before a gradient is called wrong
//! in double precision, the function is looked at on a scale on which the stairs show.

use std::collections::HashMap;

use burn::tensor::DType;

use crate::evaluate::Place;
use crate::jacobian::{Settings, samples};
use crate::numeric::{Coarse, Precision, Samples};
use crate::proven::Flat;
use crate::record::Record;

/// What is said of such a function.
pub(crate) const LOWER: &str = "computed with about f32's precision";

/// Whether a record says so.
pub(crate) fn is_lower(record: &Record) -> bool {
    record.reason.contains(LOWER)
}

/// What is said where the precision leaves too little to judge by. Of what is off by less, `f32` is not
/// the reason.
pub(crate) fn remark(seen: Option<Coarse>) -> String {
    const SINGLE: f64 = 1.0 / (1u64 << 28) as f64;
    match seen.filter(|seen| seen.relative >= SINGLE) {
        Some(seen) => {
            let off = seen.relative;
            format!("; the output is {LOWER}: its values are off by about {off:.0e} of the largest")
        }
        None => String::new(),
    }
}

/// The outputs of a function along its input elements, sampled once more where that is asked for.
pub(crate) struct Lower<'a> {
    place: &'a Place<'a>,
    inputs: &'a Flat,
    settings: &'a Settings,
    outputs: usize,
    /// For steps of double precision, and of single precision.
    columns: HashMap<usize, Option<[Samples; 2]>>,
}

impl<'a> Lower<'a> {
    pub(crate) fn new(
        place: &'a Place<'a>,
        inputs: &'a Flat,
        settings: &'a Settings,
        outputs: usize,
    ) -> Self {
        Self { place, inputs, settings, outputs, columns: HashMap::new() }
    }

    /// Whether an output element is computed in less than double precision, as an input element shows.
    pub(crate) fn entry(&mut self, column: usize, row: usize) -> Option<Coarse> {
        if self.place.dtype != DType::F64 {
            return None;
        }
        let (place, inputs, settings) = (self.place, self.inputs, self.settings);
        let outputs = self.outputs;
        let taken = self.columns.entry(column).or_insert_with(|| {
            let single = Settings { precision: Precision::F32, ..settings.clone() };
            // What panics now has not panicked before; then nothing is known.
            let fine = samples(place, inputs, column, settings, outputs).ok()?;
            Some([fine, samples(place, inputs, column, &single, outputs).ok()?])
        });
        let [fine, coarse] = taken.as_ref()?;
        coarse.coarse(fine, row)
    }
}
