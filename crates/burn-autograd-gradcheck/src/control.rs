//! Negative controls: the same function with a mistake planted in its gradient must be rejected.

use std::borrow::Cow;
use std::fmt;

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::{Shape, Tensor, TensorData};
use burn_autograd_core::{Context, Function, Saved, Var};

use crate::record::Verdict;
use crate::{Array, Subject};

/// The identity with a wrong backward: the gradient is multiplied by these numbers.
#[derive(Debug, Clone)]
struct Scaled {
    factors: Array,
}

impl Function<1> for Scaled {
    fn name(&self) -> Cow<'static, str> {
        "planted mistake".into()
    }

    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x]
    }

    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let first = self.factors.data.first().copied().unwrap_or(1.0);
        if self.factors.data.iter().all(|&factor| factor == first) {
            return [Some(g * first)];
        }
        // A part of the batch by itself.
        if g.shape().to_vec() != self.factors.shape {
            return [Some(g)];
        }
        let data =
            TensorData::new(self.factors.data.clone(), Shape::from(self.factors.shape.clone()));
        let factors = Dispatch::float_from_data(data.convert_dtype(g.dtype()), &g.device());
        [Some(g * Var::new(factors))]
    }
}

/// A mistake in the gradient of one input.
#[derive(Debug, Clone)]
pub(crate) struct Planted {
    pub(crate) name: String,
    input: usize,
    factors: Array,
}

/// The mistakes that are planted in a function's gradients, whose largest elements are known.
pub(crate) fn mistakes(subject: &Subject, gradients: &[Option<Array>]) -> Vec<Planted> {
    let mut planted = Vec::new();
    for (input, gradient) in gradients.iter().enumerate() {
        let Some(gradient) = gradient else { continue };
        // An input without an influence has no gradient that could be wrong.
        let Some(largest) = (0..gradient.len())
            .max_by(|&a, &b| gradient.data[a].abs().total_cmp(&gradient.data[b].abs()))
            .filter(|&element| gradient.data[element] != 0.0)
        else {
            continue;
        };
        let shape = &gradient.shape;
        let all = |factor: f64| Array::new(shape.clone(), vec![factor; gradient.len()]);
        let mut one = all(1.0);
        one.data[largest] = 1.5;
        let of = subject.name(input);
        planted.extend([
            Planted {
                name: format!("gradient of input {of} times 1.001"),
                input,
                factors: all(1.001),
            },
            Planted {
                name: format!("gradient of input {of} with the wrong sign"),
                input,
                factors: all(-1.0),
            },
            Planted { name: format!("gradient of input {of} zero"), input, factors: all(0.0) },
            Planted {
                name: format!("gradient of input {of} times 1.5 at {:?}", gradient.index(largest)),
                input,
                factors: one,
            },
        ]);
    }
    planted
}

impl Planted {
    /// The function with the mistake in it.
    pub(crate) fn subject(&self, of: &Subject) -> Subject {
        let (of, mistake) = (of.clone(), Scaled { factors: self.factors.clone() });
        let input = self.input;
        let differentiated = of.clone();
        Subject::from_parts(of.inputs(), move |mut inputs| {
            let right = inputs[input].clone();
            inputs[input] = mistaken(&mistake, right);
            differentiated.run(inputs)
        })
        .like(&of)
    }
}

fn mistaken(mistake: &Scaled, tensor: DispatchTensor) -> DispatchTensor {
    macro_rules! ranks {
        ($($rank:literal),+) => {
            match burn::backend::TensorMetadata::rank(&tensor) {
                $($rank => {
                    let [y] = mistake_of(mistake, Tensor::<$rank>::from_dispatch(tensor));
                    y.into_dispatch()
                })+
                rank => panic!("negative control: expected an input of rank 1 to 8, got rank {rank}"),
            }
        };
    }
    ranks!(1, 2, 3, 4, 5, 6, 7, 8)
}

fn mistake_of<const D: usize>(mistake: &Scaled, tensor: Tensor<D>) -> [Tensor<D>; 1] {
    [mistake.apply([tensor])]
}

/// What became of one planted mistake.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Mistake {
    /// What was planted, and in which input's gradient.
    pub name: String,
    /// The verdict on the function with the mistake in it; [`Verdict::Fail`] if it was caught.
    pub verdict: Verdict,
    /// The name of the check that caught it, if one did.
    pub caught_by: Option<String>,
}

/// What became of the planted mistakes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[must_use = "a control that nobody reads controls nothing; call `assert_caught`"]
pub struct Control {
    /// The mistakes, in the order in which they were planted.
    pub mistakes: Vec<Mistake>,
}

impl Control {
    /// Whether there were mistakes, and all were rejected.
    pub fn caught(&self) -> bool {
        let caught = |mistake: &Mistake| mistake.verdict == Verdict::Fail;
        !self.mistakes.is_empty() && self.mistakes.iter().all(caught)
    }

    /// Panics with the list unless all were rejected.
    ///
    /// # Panics
    ///
    /// If a planted mistake passed, or there was nothing to plant one in.
    #[track_caller]
    pub fn assert_caught(&self) {
        assert!(self.caught(), "a planted mistake was not caught\n{self}");
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mistakes.is_empty() {
            return f.write_str("no input has a gradient in which a mistake could be planted");
        }
        for Mistake { name, verdict, caught_by } in &self.mistakes {
            let by = caught_by.as_deref().unwrap_or("no check");
            writeln!(f, "{verdict:<9} {name}  ({by})")?;
        }
        Ok(())
    }
}
