//! Second order: the product that is given is what the backward pass gives.

use super::unit;
use crate::draft::Draft;
use crate::evaluate::{Mode, Panicked, Place};
use crate::proven::{cotangents, rounding};
use crate::record::{Record, Verdict};
use crate::{Array, SplitMix64, Subject};

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
