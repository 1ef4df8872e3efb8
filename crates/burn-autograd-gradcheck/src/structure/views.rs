//! How inputs and cotangents lie in memory, and what stands beside the function.

use super::{Ground, is_zero};
use crate::Array;
use crate::draft::Draft;
use crate::evaluate::{Arrival, Layout, Mode, Panicked, can_expand, first_slice};
use crate::proven::worst_rounding;
use crate::record::{Record, Verdict};

impl Ground<'_> {
    /// Inputs and cotangents that are views.
    pub(super) fn layout(&self) -> Record {
        let mut draft = Draft::new("layout");
        let all = vec![true; self.inputs.len()];
        for (what, layout, cotangent) in [
            ("transposed inputs", Layout::Transposed, Arrival::Contiguous),
            ("inputs that are windows", Layout::Window, Arrival::Contiguous),
            ("a transposed cotangent", Layout::Contiguous, Arrival::Transposed),
            ("a cotangent that is a window", Layout::Contiguous, Arrival::Window),
            ("transposed inputs and cotangent", Layout::Transposed, Arrival::Transposed),
        ] {
            let mode = Mode { layout, cotangent, ..Mode::plain(&all) };
            if let Some(pass) = self.run(&mut draft, what, &self.cotangents, mode) {
                self.same_outputs(&mut draft, what, &self.base.outputs, &pass.outputs, false);
                self.compare(&mut draft, what, &self.base.gradients, &pass.gradients, false);
            }
        }
        self.finish(draft)
    }

    /// Between elementwise operations, with nothing read on the way: what a backend that fuses kernels
    /// may join with its neighbours. The others read every output before they go on, and thereby fuse
    /// nothing across the function.
    pub(super) fn fusion(&self) -> Record {
        let mut draft = Draft::new("fusion");
        let all = vec![true; self.inputs.len()];
        for (what, layout, cotangent) in [
            ("elementwise operations before it", Layout::Pending, Arrival::Contiguous),
            ("elementwise operations behind it", Layout::Contiguous, Arrival::Pending),
            ("elementwise operations on both sides", Layout::Pending, Arrival::Pending),
        ] {
            let mode = Mode { layout, cotangent, ..Mode::plain(&all) };
            if let Some(pass) = self.run(&mut draft, what, &self.cotangents, mode) {
                self.same_outputs(&mut draft, what, &self.base.outputs, &pass.outputs, false);
                self.compare(&mut draft, what, &self.base.gradients, &pass.gradients, false);
            }
        }
        self.finish(draft)
    }

    /// Inputs that are one slice, repeated without a copy: the slice's gradient is the sum of those
    /// of its copies. Nothing where no input can be that, or where the function does not exist at
    /// such inputs (an inverse, for one).
    pub(super) fn broadcast(&self) -> Option<Record> {
        let mut draft = Draft::new("broadcast");
        if !self.inputs.iter().any(can_expand) {
            return None;
        }
        let repeated: Vec<Array> = self
            .inputs
            .iter()
            .map(|input| match can_expand(input) {
                true => {
                    let slice = first_slice(input);
                    Array::new(input.shape.clone(), slice.data.repeat(input.shape[0]))
                }
                false => input.clone(),
            })
            .collect();
        let all = vec![true; self.inputs.len()];
        let run = |layout| {
            self.place.gradient(&repeated, &self.cotangents, Mode { layout, ..Mode::plain(&all) })
        };
        let copied = run(Layout::Contiguous).ok()?;
        let gradients = copied.gradients.iter().flatten();
        if !copied.outputs.iter().chain(gradients).flat_map(|a| &a.data).all(|v| v.is_finite()) {
            return None;
        }
        let expanded = match run(Layout::Expanded) {
            Ok(expanded) => expanded,
            Err(Panicked(text)) => {
                draft.lower(Verdict::Fail, format!("it panicked: {text}"));
                return Some(draft.finish());
            }
        };
        let what = "as an expanded view";
        self.same_outputs(&mut draft, what, &copied.outputs, &expanded.outputs, false);
        for (input, (copied, expanded)) in
            copied.gradients.iter().zip(&expanded.gradients).enumerate()
        {
            let (Some(copied), Some(expanded)) = (copied, expanded) else {
                if ![copied, expanded].into_iter().flatten().all(is_zero) {
                    draft.lower(
                        Verdict::Fail,
                        format!("input {input} has a gradient as a copy or as a view, not as both"),
                    );
                }
                continue;
            };
            let copies = copied.len() / expanded.len().max(1);
            for (position, &value) in expanded.data.iter().enumerate() {
                let terms = (0..copies).map(|copy| copied.data[copy * expanded.len() + position]);
                let size = terms.clone().fold(0.0, |sum: f64, term| sum + term.abs());
                let expected = terms.fold(0.0, |sum, term| sum + term);
                // The terms were computed twice, and added in another order.
                draft.gradient(
                    what,
                    input,
                    || expanded.index(position),
                    (value, expected),
                    4.0 * worst_rounding(self.unit, (size, copies)) + 2.0 * self.variation(size),
                );
            }
        }
        Some(draft.finish())
    }
}
