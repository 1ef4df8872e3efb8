//! Which inputs are tracked: the outputs and the other inputs' gradients do not depend on it.

use super::Ground;
use crate::draft::Draft;
use crate::evaluate::{Mode, Panicked};
use crate::record::{Record, Verdict};

impl Ground<'_> {
    /// Tracking changes nothing in the outputs.
    pub(super) fn forward(&self) -> Record {
        let exact = self.declared.exact_forward;
        let mut draft = Draft::new("forward");
        match self.place.forward(self.inputs) {
            Ok(plain) => {
                let what = "with tracked inputs";
                self.same_outputs(&mut draft, what, &plain, &self.base.outputs, exact);
            }
            Err(Panicked(text)) => draft.lower(Verdict::Invalid, format!("it panicked: {text}")),
        }
        draft.finish()
    }

    /// Every subset of tracked inputs: the same gradients for these, none for the others.
    pub(super) fn subsets(&self, name: &str, checkpointing: bool) -> Record {
        let mut draft = Draft::new(name);
        let count = self.inputs.len();
        // All of them up to four inputs; beyond that each alone, and each missing.
        let masks: Vec<u64> = if count <= 4 {
            (0..1 << count).collect()
        } else {
            let full = (1u64 << count) - 1;
            (0..count).flat_map(|i| [1 << i, full ^ (1 << i)]).chain([0, full]).collect()
        };
        for mask in masks {
            let tracked: Vec<bool> = (0..count).map(|i| mask >> i & 1 == 1).collect();
            let names: Vec<_> = (0..count).filter(|&i| tracked[i]).collect();
            let what = format!("tracked inputs {names:?}");
            let mode = Mode { checkpointing, ..Mode::plain(&tracked) };
            let Some(pass) = self.run(&mut draft, &what, &self.cotangents, mode) else { continue };
            if mask == 0 && pass.output_tracked.contains(&true) {
                draft.lower(Verdict::Fail, "no input is tracked, but an output is");
            }
            for (input, gradient) in pass.gradients.iter().enumerate() {
                if gradient.is_some() && !tracked[input] {
                    draft.lower(
                        Verdict::Fail,
                        format!("{what}: input {input} is not tracked, but has a gradient"),
                    );
                }
            }
            self.same_outputs(&mut draft, &what, &self.base.outputs, &pass.outputs, false);
            let expected: Vec<_> = self
                .base
                .gradients
                .iter()
                .zip(&tracked)
                .map(|(gradient, &tracked)| gradient.clone().filter(|_| tracked))
                .collect();
            self.compare(&mut draft, &what, &expected, &pass.gradients, false);
        }
        draft.finish()
    }
}
