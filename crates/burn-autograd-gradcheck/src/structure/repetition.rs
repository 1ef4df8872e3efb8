//! Nothing is left behind, and nothing is shared: the same gradient again, also beside others.

use super::{Ground, ulp};
use crate::Array;
use crate::draft::Draft;
use crate::evaluate::{Mode, Panicked, Pass};
use crate::record::{Record, Verdict};

impl Ground<'_> {
    /// The same gradient again, to the last bit: at once, after the same shapes with other values, and
    /// with another graph alive that is differentiated first.
    pub(super) fn repeat(&self) -> Record {
        let mut draft = Draft::new("repeat");
        let all = vec![true; self.inputs.len()];
        let mode = Mode::plain(&all);
        // Other values, as near as a function's domain asks for.
        let others: Vec<Array> = self
            .inputs
            .iter()
            .map(|input| {
                let data: Vec<f64> = input.data.iter().map(|x| x * (1.0 + 1.0 / 64.0)).collect();
                Array::new(input.shape.clone(), data)
            })
            .collect();
        if let Some(pass) = self.run(&mut draft, "again", &self.cotangents, mode) {
            self.reproduced(&mut draft, "again", &pass);
        }
        let _ = self.place.gradient(&others, &self.cotangents, mode);
        let what = "after the same shapes with other values";
        if let Some(pass) = self.run(&mut draft, what, &self.cotangents, mode) {
            self.reproduced(&mut draft, what, &pass);
        }
        // Other values may be out of the domain: then this says nothing.
        if let Ok([pass, _]) = self.place.crossed([self.inputs, &others], &self.cotangents, mode) {
            self.reproduced(&mut draft, "with another graph alive", &pass);
        }
        varied(draft.finish())
    }

    /// Compares a gradient with the base's: the same bits, or as near as is declared. The distance is
    /// reported in units in the last place.
    fn reproduced(&self, draft: &mut Draft, what: &str, pass: &Pass) {
        let mut spread = 0.0f64;
        for (input, (expected, found)) in
            self.base.gradients.iter().zip(&pass.gradients).enumerate()
        {
            let (Some(expected), Some(found)) = (expected, found) else {
                if expected.is_some() != found.is_some() {
                    let text = format!("{what}: input {input} has a gradient in one run only");
                    draft.lower(Verdict::Fail, text);
                }
                continue;
            };
            for (position, (&expected, &value)) in expected.data.iter().zip(&found.data).enumerate()
            {
                if expected != value && !(expected.is_nan() && value.is_nan()) {
                    spread = spread.max((expected - value).abs() / ulp(self.unit, expected));
                }
                let bound = self.variation(expected);
                draft.gradient(
                    what,
                    input,
                    || self.inputs[input].index(position),
                    (value, expected),
                    bound,
                );
            }
        }
        if spread > 0.0 {
            let text = format!(
                "nondeterministic: {what}, the gradient differs by up to {spread:.1} units in the \
                 last place"
            );
            draft.cause(text);
        }
    }

    /// Inputs and outputs have, after the backward pass, the bits that they had before.
    pub(super) fn untouched(&self) -> Record {
        let mut draft = Draft::new("untouched");
        let all = vec![true; self.inputs.len()];
        match self.place.overwritten(self.inputs, &self.cotangents, Mode::plain(&all)) {
            Ok(overwritten) => {
                draft.record.coverage = (1, 1);
                if !overwritten.is_empty() {
                    let text = format!("the backward pass changed {}", overwritten.join(", "));
                    draft.lower(Verdict::Fail, text);
                }
            }
            Err(Panicked(text)) => draft.lower(Verdict::Fail, format!("it panicked: {text}")),
        }
        draft.finish()
    }

    /// Backward passes on several threads at once, each of a graph of its own.
    pub(super) fn threads(&self) -> Record {
        const THREADS: usize = 4;
        let mut draft = Draft::new("threads");
        let all = vec![true; self.inputs.len()];
        let passes: Vec<_> = std::thread::scope(|scope| {
            let run = || self.place.gradient(self.inputs, &self.cotangents, Mode::plain(&all));
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        for pass in passes {
            match pass {
                Ok(Ok(pass)) => self.reproduced(&mut draft, "beside other threads", &pass),
                Ok(Err(Panicked(text))) => {
                    draft.lower(Verdict::Fail, format!("beside other threads it panicked: {text}"));
                }
                Err(_) => draft.lower(Verdict::Fail, "beside other threads it panicked"),
            }
        }
        varied(draft.finish())
    }
}

/// How far a gradient varies is also worth knowing where it is allowed to: then no mistake is its cause,
/// and it is said beside the pass.
fn varied(mut record: Record) -> Record {
    if record.verdict == Verdict::Pass {
        record.reason = std::mem::take(&mut record.causes).join("; ");
    }
    record
}
