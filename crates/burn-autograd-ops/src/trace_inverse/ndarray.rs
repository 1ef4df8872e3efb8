use burn::backend::tensor::FloatTensor;
use burn::backend::{NdArray, TensorMetadata};
use burn::tensor::DType;
use burn_autograd_core::Floats;

use super::{Needs, TraceInverseOps, kernel, spec};
use crate::support::lanes::Lanes;
use crate::support::ndarray::{Stored, contiguous, from_vec, matrices};

type Parts = (FloatTensor<NdArray>, FloatTensor<NdArray>, FloatTensor<NdArray>);

impl TraceInverseOps for NdArray {
    fn trace_inverse_parts(a: FloatTensor<Self>, b: FloatTensor<Self>) -> Parts {
        match a.dtype() {
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
            _ if operands.0[..2].iter().any(|operand| operand.shape() != shape) => {
                spec::backward::<Self>(operands, needs)
            }
            DType::F32 => backward::<f32>(operands, needs),
            DType::F64 => backward::<f64>(operands, needs),
            _ => spec::backward::<Self>(operands, needs),
        }
    }
}

fn parts<T: Lanes + Stored>(a: FloatTensor<NdArray>, b: FloatTensor<NdArray>) -> Parts {
    let shape = a.shape();
    let (a, b) = (contiguous(a), contiguous(b));
    let [y, packed, first] = kernel::forward::<T>(&matrices(&a), &matrices(&b));
    let factors = crate::lu::packed_shape(&shape);
    (
        T::wrap(from_vec(y, &shape[..])),
        T::wrap(from_vec(packed, &factors[..])),
        T::wrap(from_vec(first, &shape[..])),
    )
}

fn backward<T: Lanes + Stored>(operands: Floats<NdArray>, needs: Needs) -> Floats<NdArray> {
    let operands: [FloatTensor<NdArray>; 5] = operands.into_array();
    let shape = operands[4].shape();
    let operands = operands.map(contiguous::<T>);
    let operands = operands.each_ref().map(matrices);
    let gradients = kernel::backward::<T>(operands.each_ref(), needs);
    let wrap = |data| T::wrap(from_vec(data, &shape[..]));
    Floats(gradients.into_iter().flatten().map(wrap).collect())
}
