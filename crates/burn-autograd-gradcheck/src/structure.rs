//! What must hold of every gradient on every backend, whatever the function: no numeric derivative
//! is needed, only the scale on which rounding is judged.

use crate::draft::Draft;
use crate::evaluate::{Arrival, Layout, Mode, Panicked, Pass, Place, can_expand, first_slice};
use crate::proven::{
    Evidence, Flat, NOTHING_SETTLED, Proven, cotangents, flatten, rounding, worst_rounding,
};
use crate::record::{Record, Verdict};
use crate::{Array, SplitMix64, Subject};

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
    let mut bounds: Vec<f64> = proven
        .scales(&cotangents)
        .into_iter()
        // Two computations, each with its own rounding.
        .map(|scale| 2.0 * rounding(unit, scale))
        .collect();
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
    let unsettled = bounds.iter_mut().zip(&open).filter(|(_, open)| **open);
    unsettled.for_each(|(bound, _)| *bound = f64::INFINITY);
    let ground = Ground { place, inputs, proven, cotangents, base, bounds, unit, declared };
    let mut records = vec![
        ground.forward(),
        ground.repeat(),
        ground.cotangent(),
        ground.subsets("subsets", false),
        ground.subsets("checkpointing", true),
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

/// Compares a vector-Jacobian product with the gradient that the backward pass gives, at a random
/// cotangent, which is given back if both could be computed.
pub(crate) fn consistency(
    place: &Place<'_>,
    vjp: &Subject,
    inputs: &[Array],
    seed: u64,
) -> (Record, Option<Vec<Array>>) {
    let mut draft = Draft::new("consistency");
    let invalid = |mut draft: Draft, text: String| {
        draft.lower(Verdict::Invalid, format!("it panicked: {text}"));
        draft.finish()
    };
    let outputs = match place.forward(inputs) {
        Ok(outputs) => outputs,
        Err(Panicked(text)) => return (invalid(draft, text), None),
    };
    let cotangents = cotangents(&outputs, &mut SplitMix64::new(seed ^ 0x2_0DE2));
    let tracked = vec![true; inputs.len()];
    let pass = match place.gradient(inputs, &cotangents, Mode::plain(&tracked)) {
        Ok(pass) => pass,
        Err(Panicked(text)) => return (invalid(draft, text), None),
    };
    let arguments: Vec<Array> = inputs.iter().chain(&cotangents).cloned().collect();
    let products = match (Place { subject: vjp, ..place.clone() }).forward(&arguments) {
        Ok(products) => products,
        Err(Panicked(text)) => return (invalid(draft, text), None),
    };
    let unit = unit(place.dtype);
    for (input, (gradient, product)) in pass.gradients.iter().zip(&products).enumerate() {
        let zeros = Array::from_fn(inputs[input].shape.clone(), || 0.0);
        let gradient = gradient.as_ref().unwrap_or(&zeros);
        if gradient.shape != product.shape {
            draft.lower(
                Verdict::Fail,
                format!("input {input}: expected {:?}, got {:?}", gradient.shape, product.shape),
            );
            continue;
        }
        // Both come from the same backward; at most the order of a sum differs.
        let largest = gradient.data.iter().fold(0.0f64, |a, b| a.max(b.abs()));
        let terms = outputs.iter().map(Array::len).sum();
        for (position, (&expected, &value)) in gradient.data.iter().zip(&product.data).enumerate() {
            draft.gradient(
                "the product",
                input,
                || gradient.index(position),
                (value, expected),
                2.0 * rounding(unit, (largest, terms)),
            );
        }
    }
    (draft.finish(), Some(cotangents))
}

fn unit(dtype: burn::tensor::DType) -> f64 {
    match dtype {
        burn::tensor::DType::F64 => f64::EPSILON / 2.0,
        _ => f64::from(f32::EPSILON) / 2.0,
    }
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
    unit: f64,
    declared: &'a Declared,
}

impl Ground<'_> {
    /// Compares gradients with the expected ones. No gradient and one of zeros say the same of an
    /// input that is tracked.
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
                            if exact { 0.0 } else { bounds[position] },
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

    /// Tracking changes nothing in the outputs.
    fn forward(&self) -> Record {
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

    /// At a cotangent without zeros, the gradient is that combination of the proven Jacobian's rows:
    /// right rows alone would let pass a backward that is not additive.
    fn product(&self, numeric: &[Vec<crate::numeric::Estimate>]) -> Record {
        let mut draft = Draft::new("product");
        let weights = flatten(&self.cotangents);
        let mut column = 0;
        for (input, (array, gradient)) in self.inputs.iter().zip(&self.base.gradients).enumerate() {
            for position in 0..array.len() {
                let entries = numeric[column].iter().zip(&weights).filter(|(_, w)| **w != 0.0);
                let expected = entries.clone().fold(0.0, |sum, (e, w)| sum + e.value * w);
                let slack = entries.fold(0.0, |sum, (e, w)| sum + (e.bound * w).abs());
                let value = gradient.as_ref().map_or(0.0, |gradient| gradient.data[position]);
                draft.gradient(
                    "at a random cotangent",
                    input,
                    || array.index(position),
                    (value, expected),
                    slack + self.bounds[column],
                );
                column += 1;
            }
        }
        draft.finish()
    }

    /// The same gradient again, to the last bit: at once, after the same shapes with other values, and
    /// with another graph alive that is differentiated first.
    fn repeat(&self) -> Record {
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
        draft.finish()
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
                let ulp = 2.0 * self.unit * expected.abs().max(f64::MIN_POSITIVE);
                if expected != value && !(expected.is_nan() && value.is_nan()) {
                    spread = spread.max((expected - value).abs() / ulp);
                }
                let bound = self.declared.nondeterminism * ulp;
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

    /// The gradient is linear in the cotangent: 0 gives exactly 0, twice exactly twice.
    fn cotangent(&self) -> Record {
        let mut draft = Draft::new("cotangent");
        let all = vec![true; self.inputs.len()];
        for factor in [0.0, 2.0, -1.0] {
            let scale = |array: &Array| {
                let data: Vec<f64> = array.data.iter().map(|value| value * factor).collect();
                Array::new(array.shape.clone(), data)
            };
            let what = format!("a cotangent times {factor}");
            let cotangents: Vec<_> = self.cotangents.iter().map(scale).collect();
            let expected: Vec<_> =
                self.base.gradients.iter().map(|gradient| gradient.as_ref().map(scale)).collect();
            if let Some(pass) = self.run(&mut draft, &what, &cotangents, Mode::plain(&all)) {
                self.compare(&mut draft, &what, &expected, &pass.gradients, true);
            }
        }
        draft.finish()
    }

    /// Every subset of tracked inputs: the same gradients for these, none for the others.
    fn subsets(&self, name: &str, checkpointing: bool) -> Record {
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

    /// Inputs and cotangents that are views.
    fn layout(&self) -> Record {
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
        draft.finish()
    }

    /// Between elementwise operations, with nothing read on the way: what a backend that fuses kernels
    /// may join with its neighbours. The others read every output before they go on, and thereby fuse
    /// nothing across the function.
    fn fusion(&self) -> Record {
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
        draft.finish()
    }

    /// Inputs and outputs have, after the backward pass, the bits that they had before.
    fn untouched(&self) -> Record {
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
    fn threads(&self) -> Record {
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
        draft.finish()
    }

    /// The same tensor as two inputs: its gradient is the sum of theirs. For the first two inputs of
    /// one shape, where the function exists at such inputs.
    fn twice(&self) -> Option<Record> {
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
                4.0 * rounding(self.unit, (largest, terms)),
            );
        }
        Some(draft.finish())
    }

    /// Each entry of a batch by itself gives the same as within the batch.
    fn batch(&self) -> Option<Record> {
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

    /// Inputs that are one slice, repeated without a copy: the slice's gradient is the sum of those
    /// of its copies. Nothing where no input can be that, or where the function does not exist at
    /// such inputs (an inverse, for one).
    fn broadcast(&self) -> Option<Record> {
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
                    4.0 * worst_rounding(self.unit, (size, copies)),
                );
            }
        }
        Some(draft.finish())
    }

    /// An input that is used elsewhere too: its gradients add up.
    fn accumulation(&self, random: &mut SplitMix64) -> Record {
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
                    unit: self.unit,
                    declared: self.declared,
                };
                let what = "inputs that are used elsewhere";
                ground.compare(&mut draft, what, &expected, &pass.gradients, false);
            }
            Err(Panicked(text)) => draft.lower(Verdict::Fail, format!("it panicked: {text}")),
        }
        draft.finish()
    }
}
