//! Changes of data type within a computation that may be differentiated.

use burn::backend::Backend;
use burn::tensor::DType;
use burn_autograd_core::{Context, Rule, Saved, Var, apply_rule};

/// What is computed with: `f32` at least.
pub(crate) fn wide(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        other => other,
    }
}

/// A change of data type, and back for the gradient.
#[derive(Debug, Clone, Copy)]
struct Cast {
    from: DType,
    to: DType,
}

impl<B: Backend> Rule<B, 1> for Cast {
    fn forward(&self, _: &mut Context<B>, [x]: [Var<B>; 1]) -> [Var<B>; 1] {
        [Var::new(B::float_cast(x.into_primitive(), self.to.into()))]
    }

    fn backward(&self, _: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 1] {
        [Some(cast(&grad, self.from))]
    }
}

/// The same numbers in another data type, rounded where it is smaller.
pub(crate) fn cast<B: Backend>(x: &Var<B>, to: DType) -> Var<B> {
    let from = x.dtype();
    if from == to {
        return x.clone();
    }
    let [y] = apply_rule(&Cast { from, to }, [x.clone()]);
    y
}
