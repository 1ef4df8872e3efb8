//! Exact integers: for functions that are polynomials of degree two at most in every single element of
//! their inputs (products, sums, gathers, squared errors).
//!
//! The central difference with step 1 of such a function has no error, and with small integers no
//! operation rounds, in any order and on any device: the gradient must be the difference to the last
//! bit. So it is checked without any tolerance, also in single precision, also on a GPU.

use std::collections::BTreeSet;

use crate::draft::Draft;
use crate::evaluate::{Mode, Panicked, Place};
use crate::proven::{Flat, flatten};
use crate::record::{Record, Verdict};
use crate::{Array, SplitMix64};

/// Input elements whose derivative is taken; more are chosen at random.
const ELEMENTS: usize = 48;

/// Largest sum of products that single precision holds exactly.
const EXACT: f64 = 16_777_216.0;

/// Compares the gradient at integers with differences, bit by bit.
pub(crate) fn check(place: &Place<'_>, inputs: &[Array], seed: u64) -> Record {
    let mut draft = Draft::new("integers");
    match run(place, inputs, seed, &mut draft) {
        Ok(()) => draft.finish(),
        Err(panicked) => draft.panicked(Verdict::Fail, panicked),
    }
}

fn run(place: &Place<'_>, inputs: &[Array], seed: u64, draft: &mut Draft) -> Result<(), Panicked> {
    let mut random = SplitMix64::new(seed ^ 0x1A7E_6E25);
    // From ±1, ±2, ±3: never 0, where a function may have a kink.
    let mut integer = || {
        let bits = random.next_u64();
        let size = 1.0 + ((bits >> 8) % 3) as f64;
        if bits & 1 == 0 { size } else { -size }
    };
    let inputs: Vec<Array> =
        inputs.iter().map(|input| Array::from_fn(input.shape.clone(), &mut integer)).collect();
    let outputs = place.forward(&inputs)?;
    let mut random = SplitMix64::new(seed ^ 0xE4AC7);
    // From ±1 to ±7, so that few of them add up to 0.
    let mut weight = || {
        let bits = random.next_u64();
        let size = 1.0 + ((bits >> 8) % 7) as f64;
        if bits & 1 == 0 { size } else { -size }
    };
    let cotangents: Vec<Array> =
        outputs.iter().map(|output| Array::from_fn(output.shape.clone(), &mut weight)).collect();
    let weights = flatten(&cotangents);
    let tracked = vec![true; inputs.len()];
    let pass = place.gradient(&inputs, &cotangents, Mode::plain(&tracked))?;
    for misfit in &pass.misfits {
        draft.lower(Verdict::Fail, misfit.clone());
    }
    let gradient: Vec<f64> = inputs
        .iter()
        .zip(&pass.gradients)
        .flat_map(|(input, gradient)| match gradient {
            Some(gradient) => gradient.data.clone(),
            None => vec![0.0; input.len()],
        })
        .collect();

    let flat = Flat::new(&inputs);
    let mut elements: BTreeSet<usize> = (0..flat.len().min(ELEMENTS)).collect();
    if flat.len() > ELEMENTS {
        elements.clear();
        while elements.len() < ELEMENTS {
            elements.insert((random.next_u64() % flat.len() as u64) as usize);
        }
    }
    for element in elements {
        let above = flatten(&place.forward(&flat.moved(element, 1.0).1)?);
        let below = flatten(&place.forward(&flat.moved(element, -1.0).1)?);
        let size: f64 = above.iter().chain(&below).map(|value| 8.0 * value.abs()).sum();
        if above.iter().chain(&below).any(|value| value.fract() != 0.0) || size >= EXACT {
            draft.lower(
                Verdict::Invalid,
                "the case is declared exact, but gives fractions or too large numbers at small \
                 integers",
            );
            return Ok(());
        }
        let terms = above.iter().zip(&below).zip(&weights);
        let derivative =
            terms.map(|((above, below), weight)| weight * (above - below)).sum::<f64>();
        draft.gradient(
            "at integers",
            flat.place(element).0,
            || flat.place(element).1,
            (gradient[element], derivative / 2.0),
            0.0,
        );
    }
    // Those that were not chosen were not compared.
    draft.record.coverage.1 = flat.len();
    draft.detects(0.0);
    Ok(())
}
