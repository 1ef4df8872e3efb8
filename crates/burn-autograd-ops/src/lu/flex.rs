use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::DType;

use super::{LuOps, kernel, packed_shape, spec};
use crate::support::flex::{forwards, from_vec, in_single, matrices, rows_together};
use crate::support::lanes::Lanes;

impl LuOps for Flex {
    fn lu_factor(a: FloatTensor<Self>) -> FloatTensor<Self> {
        match a.dtype() {
            DType::F32 => factor::<f32>(a),
            DType::F64 => factor::<f64>(a),
            DType::F16 | DType::BF16 => in_single([a], |[a]| factor::<f32>(a)),
            _ => spec::factor::<Self>(a),
        }
    }

    fn lu_solve(
        packed: FloatTensor<Self>,
        b: FloatTensor<Self>,
        transposed: bool,
    ) -> FloatTensor<Self> {
        match b.dtype() {
            DType::F32 => solve::<f32>(packed, b, transposed),
            DType::F64 => solve::<f64>(packed, b, transposed),
            DType::F16 | DType::BF16 => {
                in_single([packed, b], |[packed, b]| solve::<f32>(packed, b, transposed))
            }
            _ => spec::solve::<Self>(packed, b, transposed),
        }
    }
}

fn factor<T: Lanes>(a: FloatTensor<Flex>) -> FloatTensor<Flex> {
    let a = forwards(a);
    from_vec(kernel::factor::<T>(&matrices(&a)), packed_shape(&a.shape()))
}

fn solve<T: Lanes>(
    packed: FloatTensor<Flex>,
    b: FloatTensor<Flex>,
    transposed: bool,
) -> FloatTensor<Flex> {
    let (packed, b) = (rows_together(packed), forwards(b));
    from_vec(kernel::solve::<T>(&matrices(&packed), &matrices(&b), transposed), b.shape())
}
