//! What no derivative shows: values, and the gradient where a convention decides.

use approx::abs_diff_eq;
use burn::tensor::DType;
use burn_autograd_core::Tensors;

use crate::draft::Draft;
use crate::evaluate::{Mode, Place, read};
use crate::record::{Record, Verdict, Worst};
use crate::{Array, Gradcheck, Subject};

/// What a function, and its gradient, are known to be at a point: for [`Gradcheck::expect`].
///
/// A gradient check compares a function with its own differences. It passes a function that is wrong
/// together with its gradient, and says nothing at a kink, where a convention chooses the gradient. Both
/// are decided by values from elsewhere: of another implementation, or stored ones.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{DType, Device, Tensor};
/// use burn_autograd_gradcheck::{Expected, Gradcheck, Subject};
///
/// let device = Device::flex();
/// let tensor = |data: [f64; 3]| Tensor::<1>::from_data(data, (&device, DType::F64));
/// let relu = Subject::new(|x: Tensor<1>| x.clamp_min(0.0));
/// Gradcheck::new()
///     // Another implementation, at the inputs of the check.
///     .expect(Expected::new().function(|x: Tensor<1>| (x.clone() + x.abs()) * 0.5))
///     // Stored values at a point of their own.
///     .expect(Expected::new().at(tensor([-1.0, 2.0, 3.0])).outputs(tensor([0.0, 2.0, 3.0])))
///     .run(&relu, tensor([-1.0, 0.5, 2.0]))
///     .assert_pass();
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Expected {
    at: Option<Vec<Array>>,
    function: Option<Subject>,
    outputs: Option<Vec<Array>>,
    cotangents: Option<Vec<Array>>,
    gradients: Option<Vec<Array>>,
    ulps: f64,
}

impl Default for Expected {
    fn default() -> Self {
        Self::new()
    }
}

fn arrays(tensors: impl Tensors) -> Vec<Array> {
    tensors.into_dispatch().into_iter().map(read).collect()
}

impl Expected {
    /// Nothing is known yet: at the inputs of the check, up to 4 units in the last place.
    pub fn new() -> Self {
        Self {
            at: None,
            function: None,
            outputs: None,
            cotangents: None,
            gradients: None,
            ulps: 4.0,
        }
    }

    /// The inputs at which the values are known, if they are not those of the check: a kink, say. They
    /// are put on the device and into the data type of the check's inputs.
    pub fn at(mut self, inputs: impl Tensors) -> Self {
        self.at = Some(arrays(inputs));
        self
    }

    /// The outputs.
    pub fn outputs(mut self, outputs: impl Tensors) -> Self {
        self.outputs = Some(arrays(outputs));
        self
    }

    /// Another implementation of the function, whose outputs the outputs should be.
    pub fn function<I: Tensors, O: Tensors>(
        mut self,
        function: impl Fn(I) -> O + Send + Sync + 'static,
    ) -> Self {
        self.function = Some(Subject::new(function));
        self
    }

    /// The gradient of each input: of the sum of all outputs, or, with
    /// [`cotangents`](Self::cotangents), of the outputs weighted with those.
    pub fn gradients(mut self, gradients: impl Tensors) -> Self {
        self.gradients = Some(arrays(gradients));
        self
    }

    /// The cotangent of each output for which the gradients are given; ones, if this is not called.
    pub fn cotangents(mut self, cotangents: impl Tensors) -> Self {
        self.cotangents = Some(arrays(cotangents));
        self
    }

    /// By how many units in the last place of what is expected a number may be off, in the data type of
    /// the check's inputs; 4 by default. Where zero is expected, nothing may be off.
    pub fn ulps(mut self, ulps: f64) -> Self {
        self.ulps = ulps;
        self
    }

    /// Compares the function with what is known of it.
    fn check(&self, place: &Place<'_>, inputs: &[Array]) -> Record {
        let mut draft = Draft::new("values");
        let inputs = self.at.as_deref().unwrap_or(inputs);
        let unit = if place.dtype == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
        let tolerance = self.ulps * unit;
        let outputs = match place.forward(inputs) {
            Ok(outputs) => outputs,
            Err(panicked) => return draft.panicked(Verdict::Invalid, panicked),
        };
        if let Some(function) = &self.function {
            let other = Place { subject: function, device: place.device, dtype: place.dtype };
            match other.forward(inputs) {
                Ok(expected) => compare(&mut draft, "output", &outputs, &expected, tolerance),
                Err(panicked) => return draft.panicked(Verdict::Invalid, panicked),
            }
        }
        if let Some(expected) = &self.outputs {
            compare(&mut draft, "output", &outputs, expected, tolerance);
        }
        if let Some(expected) = &self.gradients {
            let ones = || -> Vec<Array> {
                outputs.iter().map(|output| Array::from_fn(output.shape.clone(), || 1.0)).collect()
            };
            let cotangents = self.cotangents.clone().unwrap_or_else(ones);
            let alike = cotangents.len() == outputs.len()
                && cotangents.iter().zip(&outputs).all(|(a, b)| a.shape == b.shape);
            if !alike {
                draft.lower(Verdict::Invalid, "expected a cotangent of each output's shape");
                return draft.finish();
            }
            let tracked = vec![true; inputs.len()];
            let pass = match place.gradient(inputs, &cotangents, Mode::plain(&tracked)) {
                Ok(pass) => pass,
                Err(panicked) => return draft.panicked(Verdict::Fail, panicked),
            };
            for misfit in pass.misfits {
                draft.lower(Verdict::Fail, misfit);
            }
            let zeros = |input: &Array| Array::from_fn(input.shape.clone(), || 0.0);
            let found: Vec<Array> = inputs
                .iter()
                .zip(pass.gradients)
                .map(|(input, gradient)| gradient.unwrap_or_else(|| zeros(input)))
                .collect();
            compare(&mut draft, GRADIENT, &found, expected, tolerance);
        }
        if draft.record.coverage.1 == 0 {
            draft.lower(Verdict::Unchecked, "no number is expected");
        } else {
            draft.detects(tolerance);
        }
        draft.finish()
    }
}

const GRADIENT: &str = "the gradient of input";

/// Compares numbers one by one.
fn compare(draft: &mut Draft, what: &str, found: &[Array], expected: &[Array], tolerance: f64) {
    if found.len() != expected.len() {
        let (found, expected) = (found.len(), expected.len());
        draft.lower(Verdict::Fail, format!("{what}s: expected {expected} tensors, got {found}"));
        return;
    }
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        if found.shape != expected.shape {
            let (found, expected) = (&found.shape, &expected.shape);
            draft.lower(
                Verdict::Fail,
                format!("{what} {number}: expected the shape {expected:?}, got {found:?}"),
            );
            continue;
        }
        for (position, (&value, &known)) in found.data.iter().zip(&expected.data).enumerate() {
            // Also where both are infinite, or no number.
            let same = value == known || value.is_nan() && known.is_nan();
            let error = if same { 0.0 } else { (value - known).abs() };
            let bound = tolerance * known.abs();
            let fits = same || abs_diff_eq!(value, known, epsilon = bound);
            draft.record.coverage.0 += usize::from(fits);
            draft.record.coverage.1 += 1;
            let index = || found.index(position);
            if what == GRADIENT && !same {
                draft.look((value, known), bound, || Worst {
                    output: 0,
                    output_index: None,
                    input: number,
                    input_name: None,
                    index: index(),
                    analytic: value,
                    numeric: known,
                    error,
                    bound,
                });
            }
            if !fits {
                draft.lower(
                    Verdict::Fail,
                    format!("{what} {number} at {:?} is {value:e}, expected {known:e}", index()),
                );
            }
        }
    }
}

impl Gradcheck {
    /// Also compares the function, or its gradient, with what is known of it. May be called several
    /// times; each adds a record `values` to the report of [`run`](Self::run).
    pub fn expect(mut self, expected: Expected) -> Self {
        self.expected.push(expected);
        self
    }

    /// The records of what is expected.
    pub(crate) fn values(&self, place: &Place<'_>, inputs: &[Array]) -> Vec<Record> {
        self.expected.iter().map(|expected| expected.check(place, inputs)).collect()
    }
}
