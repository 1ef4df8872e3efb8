use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use super::{InverseOps, with_identity};
use crate::support::flex::in_single;

impl InverseOps for Flex {
    fn inverse(a: FloatTensor<Self>) -> FloatTensor<Self> {
        match a.dtype() {
            // The factors are not rounded on the way.
            DType::F16 | DType::BF16 => in_single([a], |[a]| with_identity::<Self>(a)),
            _ => with_identity::<Self>(a),
        }
    }
}
