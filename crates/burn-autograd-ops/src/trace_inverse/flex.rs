use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::DType;
use burn_autograd_core::Floats;

use super::{Needs, TraceInverseOps, kernel, spec};
use crate::support::flex::{forwards, from_vec, matrices, rounded, rows_together, single};
use crate::support::lanes::Lanes;

type Parts = (FloatTensor<Flex>, FloatTensor<Flex>, FloatTensor<Flex>);

impl TraceInverseOps for Flex {
    fn trace_inverse_parts(a: FloatTensor<Self>, b: FloatTensor<Self>) -> Parts {
        match a.dtype() {
            half @ (DType::F16 | DType::BF16) => {
                let (y, packed, first) = Self::trace_inverse_parts(single(a), single(b));
                (rounded(y, half), rounded(packed, half), rounded(first, half))
            }
            // Matrices that are broadcast are factored once, which the parts do.
            _ if a.shape() != b.shape() => spec::parts::<Self>(a, b),
            DType::F32 => parts::<f32>(a, b),
            DType::F64 => parts::<f64>(a, b),
            _ => spec::parts::<Self>(a, b),
        }
    }

    fn trace_inverse_backward(operands: Floats<Self>, needs: Needs) -> Floats<Self> {
        let shape = operands.0[4].shape();
        match operands.0[4].dtype() {
            half @ (DType::F16 | DType::BF16) => {
                let operands: Vec<_> = operands.0.into_iter().map(single).collect();
                let Floats(gradients) = Self::trace_inverse_backward(Floats(operands), needs);
                Floats(gradients.into_iter().map(|found| rounded(found, half)).collect())
            }
            _ if operands.0[..2].iter().any(|operand| operand.shape() != shape) => {
                spec::backward::<Self>(operands, needs)
            }
            DType::F32 => backward::<f32>(operands, needs),
            DType::F64 => backward::<f64>(operands, needs),
            _ => spec::backward::<Self>(operands, needs),
        }
    }
}

fn parts<T: Lanes>(a: FloatTensor<Flex>, b: FloatTensor<Flex>) -> Parts {
    let (a, b) = (forwards(a), forwards(b));
    let [y, packed, first] = kernel::forward::<T>(&matrices(&a), &matrices(&b));
    let shape = a.shape();
    (
        from_vec(y, shape.clone()),
        from_vec(packed, crate::lu::packed_shape(&shape)),
        from_vec(first, shape),
    )
}

fn backward<T: Lanes>(operands: Floats<Flex>, needs: Needs) -> Floats<Flex> {
    let [a, b, packed, first, grad] = operands.into_array();
    let shape = grad.shape();
    let [a, b, grad] = [a, b, grad].map(forwards);
    let [packed, first] = [packed, first].map(rows_together);
    let operands = [&a, &b, &packed, &first, &grad].map(matrices);
    let gradients = kernel::backward::<T>(operands.each_ref(), needs);
    Floats(gradients.into_iter().flatten().map(|data| from_vec(data, shape.clone())).collect())
}
