//! The line-integral oracle: for devices without double precision.
//!
//! Along a segment from x − d to x + d the weighted outputs change by the integral of the gradient,
//! ⟨w, f(x + d)⟩ − ⟨w, f(x − d)⟩ = ∫₋₁¹ ⟨∇⟨w, f⟩(x + t·d), d⟩ dt. The right side is computed from the
//! *analytic* gradient by Gauss-Legendre quadrature; nothing is divided by a small step, so that the
//! comparison is as accurate as the function itself: about 10⁻⁷ to 10⁻⁶ in single precision, where
//! difference quotients reach 10⁻⁴.
//!
//! The quadrature with eight points is compared with that of five: where they differ by more than
//! rounding the segment is halved, up to three times, and what then still differs is no smooth
//! function. A mistake whose integral along all segments is zero would not be seen; the segments are
//! random and do not lie symmetrically about anything.
//!
//! Where there are more elements than segments, the elements of a block move together, and what is seen is
//! an error of its typical entry. Wrong entries may then cancel, as in the sums of the
//! projections, and with the same probability; so that here too there are two cotangents and two
//! directions of each block, and the report states it.

use burn::tensor::DType;

use crate::draft::Draft;
use crate::evaluate::{Mode, Panicked, Place};
use crate::jacobian::{Settings, outputs};
use crate::projection::{COTANGENTS, missed, sees_enough};
use crate::proven::{Flat, cotangents, flatten, rounding};
use crate::record::{Record, Verdict, Worst};
use crate::{Array, SplitMix64};

/// Nodes and weights of Gauss-Legendre quadrature on [−1, 1] (Abramowitz and Stegun, table 25.4); the
/// negative nodes mirror these.
const FIVE: [(f64, f64); 3] = [
    (0.0, 0.568_888_888_888_888_9),
    (0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
    (0.906_179_845_938_664, 0.236_926_885_056_189_1),
];
const EIGHT: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_5),
    (OUTERMOST, 0.101_228_536_290_376_3),
];
const OUTERMOST: f64 = 0.960_289_856_497_536_2;

/// Directions in which only one input element moves, for that many elements; beyond them, random
/// directions of blocks.
const SEGMENTS: usize = 24;

/// What the check must be able to see, relative to the change along the segment of a single element. Most
/// see a hundred times less; where the derivative changes its sign on the way, little of the change is left.
/// Of a block's typical entry it sees less, because the noise is that of all outputs: there it is the
/// probability of missing wrong entries that must be small.
const DETECTS: f64 = 1e-3;

/// A part of a segment: f at its ends, and both quadratures of the gradient.
struct Piece {
    change: f64,
    /// Σ |w·f| at both ends: what the rounding of the outputs is relative to.
    size: f64,
    five: f64,
    eight: f64,
    /// Σ |∇·d|: what the rounding of the gradient is relative to.
    gradient: f64,
    /// How much the gradient changes along the piece.
    variation: f64,
    /// Each input element's part in the integral.
    parts: Vec<f64>,
}

/// A segment through the inputs.
struct Segment<'a> {
    place: &'a Place<'a>,
    inputs: Flat,
    direction: Vec<f64>,
    cotangents: Vec<Array>,
    tracked: Vec<bool>,
}

impl Segment<'_> {
    /// The point at `t`, as the data type holds it.
    fn at(&self, t: f64) -> Vec<Array> {
        let mut arrays = self.inputs.shifted(0..self.direction.len(), &self.direction, t);
        if self.place.dtype == DType::F32 {
            for array in &mut arrays {
                array.data.iter_mut().for_each(|value| *value = f64::from(*value as f32));
            }
        }
        arrays
    }

    fn value(&self, t: f64) -> Result<Vec<f64>, Panicked> {
        let outputs = self.place.differentiated().forward(&self.at(t))?;
        let weights = flatten(&self.cotangents);
        Ok(flatten(&outputs).iter().zip(&weights).map(|(value, weight)| value * weight).collect())
    }

    /// By how much the point at `t` is off, because the data type cannot hold it.
    fn off(&self, t: f64) -> Vec<f64> {
        let meant = self.inputs.shifted(0..self.direction.len(), &self.direction, t);
        flatten(&self.at(t)).iter().zip(flatten(&meant)).map(|(at, meant)| at - meant).collect()
    }

    /// The gradient of the weighted outputs, with zeros where there is none.
    fn gradient(&self, t: f64) -> Result<Vec<f64>, Panicked> {
        let inputs = self.at(t);
        let mode = Mode::plain(&self.tracked);
        let pass = self.place.gradient(&inputs, &self.cotangents, mode)?;
        let zeros = |input: &Array| Array::from_fn(input.shape.clone(), || 0.0);
        let gradients = inputs.iter().zip(pass.gradients);
        let gradients: Vec<Array> =
            gradients.map(|(input, gradient)| gradient.unwrap_or_else(|| zeros(input))).collect();
        Ok(flatten(&gradients))
    }

    /// How far rounding may move a point of a piece, as a part of the piece: much, where the inputs are
    /// large and the segment is short.
    fn displacement(&self, unit: f64, half: f64) -> f64 {
        let at = flatten(&self.at(0.0));
        let moved = at.iter().zip(&self.direction).filter(|(_, d)| **d != 0.0);
        moved.map(|(x, d)| unit * (x.abs() / (2.0 * half * d.abs())).max(1.0)).fold(0.0, f64::max)
    }

    fn piece(&self, from: f64, to: f64) -> Result<Piece, Panicked> {
        let (middle, half) = (f64::midpoint(from, to), (to - from) / 2.0);
        let (start, end) = (self.value(from)?, self.value(to)?);
        let change = start.iter().zip(&end).map(|(a, b)| b - a).sum();
        let size = start.iter().zip(&end).map(|(a, b)| a.abs().max(b.abs())).sum();
        let (mut gradient, mut low, mut high) = (0.0f64, f64::INFINITY, f64::NEG_INFINITY);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let off = [self.off(to), self.off(from)];
        let mut beyond = 0.0;
        let mut quadrature = |rule: &[(f64, f64)], parts: &mut [f64]| -> Result<f64, Panicked> {
            let mut sum = 0.0;
            for &(node, weight) in rule {
                let signs: &[f64] = if node == 0.0 { &[1.0] } else { &[1.0, -1.0] };
                for (sign, off) in signs.iter().zip(&off) {
                    let at = self.gradient(middle + sign * node * half)?;
                    let slope = dot(&at, &self.direction);
                    let size =
                        at.iter().zip(&self.direction).map(|(g, d)| (g * d).abs()).sum::<f64>();
                    sum += weight * slope;
                    for ((part, g), d) in parts.iter_mut().zip(&at).zip(&self.direction) {
                        *part += weight * g * d * half;
                    }
                    // The outputs were taken where the ends were rounded to.
                    if node == OUTERMOST {
                        beyond += sign * dot(&at, off);
                    }
                    gradient = gradient.max(size * 2.0 * half);
                    (low, high) = (low.min(slope), high.max(slope));
                }
            }
            Ok(sum * half)
        };
        let mut parts = vec![0.0f64; self.direction.len()];
        let five = quadrature(&FIVE, &mut parts)?;
        parts.fill(0.0);
        let eight = quadrature(&EIGHT, &mut parts)?;
        let (five, eight) = (five + beyond, eight + beyond);
        let variation = (high - low) * 2.0 * half;
        Ok(Piece { change, size, five, eight, gradient, variation, parts })
    }
}

/// Compares the gradient with the function's change along segments.
pub(crate) fn check(place: &Place<'_>, inputs: &[Array], settings: &Settings) -> Record {
    let mut draft = Draft::new("line");
    let Some(outputs) = outputs(place, inputs, &mut draft) else { return draft.finish() };
    let flat = Flat::new(inputs);
    let elements = flat.len();
    let terms: usize = outputs.iter().map(Array::len).sum();
    let mut random = SplitMix64::new(settings.seed ^ 0x11_4E5);
    let unit = settings.precision.unit;
    let segments = SEGMENTS.min(elements);
    for number in 0..segments * COTANGENTS as usize {
        let number = number % segments;
        let block = number * elements / segments..(number + 1) * elements / segments;
        let cotangents = cotangents(&outputs, &mut random);
        // Of the largest step's length, and not the same to both sides.
        let direction: Vec<f64> = (0..elements)
            .map(|element| match block.contains(&element) {
                true => settings.first_step * random.cotangent() / 2.0,
                false => 0.0,
            })
            .collect();
        let tracked = vec![true; inputs.len()];
        let segment = Segment { place, inputs: flat.clone(), direction, cotangents, tracked };
        let (input, index) = flat.place(block.start);
        let mut pieces = vec![(-0.75, 1.0)];
        let mut halvings = 0;
        let (mut change, mut integral, mut bound) = (0.0f64, 0.0f64, 0.0f64);
        let mut parts = vec![0.0f64; elements];
        let mut kink = false;
        while let Some((from, to)) = pieces.pop() {
            let piece = match segment.piece(from, to) {
                Ok(piece) => piece,
                Err(panicked) => return draft.panicked(Verdict::Fail, panicked),
            };
            if !(piece.change + piece.eight + piece.five).is_finite() {
                draft.lower(Verdict::Invalid, "not finite along the segment");
                return draft.finish();
            }
            // Outputs: a few roundings each, at both ends. Gradient: as everywhere. Inputs: rounded
            // to the data type at every node and at the ends, where the gradient is another.
            let roundings = (8.0 + settings.roundings + 2.0 * settings.intrinsic_ulps) * unit;
            let noise = roundings * piece.size
                + rounding(unit, (piece.gradient, terms))
                + (settings.roundings + 2.0 * settings.intrinsic_ulps) * unit * piece.gradient
                + 4.0 * segment.displacement(unit, (to - from) / 2.0) * piece.variation;
            let quadrature = (piece.five - piece.eight).abs();
            if quadrature > 2.0 * noise && halvings < 7 {
                halvings += 1;
                let middle = f64::midpoint(from, to);
                pieces.extend([(from, middle), (middle, to)]);
                continue;
            }
            // Five points are far less accurate than eight: where they agree to a percent, eight are
            // right to that percent of their difference.
            kink |= quadrature > 1e-2 * piece.gradient + 2.0 * noise;
            change += piece.change;
            integral += piece.eight;
            parts.iter_mut().zip(&piece.parts).for_each(|(sum, part)| *sum += part);
            bound += noise + quadrature;
        }
        let error = (integral - change).abs();
        draft.compare(Worst {
            output: 0,
            output_index: None,
            input,
            input_name: None,
            index: index.clone(),
            analytic: integral,
            numeric: change,
            error,
            bound,
        });
        draft.record.coverage.1 += block.len();
        if kink {
            draft.lower(Verdict::Unchecked, format!("a kink near input {input} at {index:?}"));
            continue;
        }
        let fits = error <= bound;
        if !fits {
            draft.lower(
                Verdict::Fail,
                format!(
                    "along a segment in input {input} from {index:?} on the integral of the gradient is \
                     {integral:.9e}, the outputs change by {change:.9e}"
                ),
            );
            continue;
        }
        // A wrong entry as large as the typical one of the block would have been seen if it changed the
        // integral by more than the bound.
        let entries = block.len() as f64;
        let typical = parts[block.clone()].iter().map(|part| part.abs()).sum::<f64>() / entries;
        let scale = typical.max(change.abs() / entries);
        if scale > 0.0 {
            let detects = bound / scale;
            let enough = match block.len() {
                1 => detects <= DETECTS,
                // Of a projection twice the bound is what is detected.
                _ => sees_enough(2.0 * detects),
            };
            if !enough {
                draft.lower(
                    Verdict::Unchecked,
                    format!(
                        "low power: in input {input} from {index:?} on only an error above {detects:.1e} \
                         of a typical entry would be seen"
                    ),
                );
                continue;
            }
            draft.detects(detects);
        }
        draft.record.coverage.0 += block.len();
    }
    let missed = missed(2.0 * draft.record.detects.unwrap_or(0.0));
    let mut record = draft.finish();
    if record.verdict == Verdict::Pass && elements > segments {
        record.reason = format!(
            "{elements} input elements in {segments} segments, {COTANGENTS} cotangents: wrong entries \
             that cancel are missed with a probability below {missed:.0e}"
        );
    }
    record
}
