//! The gradient is linear in the cotangent.

use super::Ground;
use crate::Array;
use crate::draft::Draft;
use crate::evaluate::Mode;
use crate::proven::flatten;
use crate::record::Record;

impl Ground<'_> {
    /// At a cotangent without zeros, the gradient is that combination of the proven Jacobian's rows:
    /// right rows alone would let pass a backward that is not additive.
    pub(super) fn product(&self, numeric: &[Vec<crate::numeric::Estimate>]) -> Record {
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
        self.finish(draft)
    }

    /// The gradient is linear in the cotangent: 0 gives exactly 0, twice exactly twice.
    pub(super) fn cotangent(&self) -> Record {
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
}
