//! The CPU kernels on the Flex backend's tensors.

use burn::tensor::DType;
use burn_flex::{FlexTensor, Layout};

use super::Real;
use super::cpu::{self, Map};

/// Runs `map` over tensors of one shape, in `f32` or `f64`; gives the tensors back if they have
/// another data type. A contiguous operand that nobody else holds is overwritten.
pub(crate) fn map<M: Map<K>, const K: usize>(
    map: M,
    inputs: [FlexTensor; K],
) -> Result<FlexTensor, [FlexTensor; K]> {
    match inputs[0].dtype() {
        DType::F32 => Ok(map_as::<f32, M, K>(map, inputs)),
        DType::F64 => Ok(map_as::<f64, M, K>(map, inputs)),
        _ => Err(inputs),
    }
}

fn map_as<T: Real, M: Map<K>, const K: usize>(map: M, mut inputs: [FlexTensor; K]) -> FlexTensor {
    for input in &mut inputs {
        if !input.is_contiguous() {
            *input = input.to_contiguous();
        }
    }
    // The cotangent is the last operand and the likeliest to be free.
    macro_rules! reuse {
        ($($index:literal)+) => {$(
            if K > $index && inputs[$index].is_unique() {
                let mut output = std::mem::replace(
                    &mut inputs[$index],
                    FlexTensor::empty([0].into(), T::dtype()),
                );
                let range = output.layout().contiguous_offsets();
                if let (Some((start, end)), Some(storage)) = (range, output.try_storage_mut::<T>()) {
                    let operands = std::array::from_fn(|k| {
                        if k == $index { None } else { Some(slice::<T>(&inputs[k])) }
                    });
                    cpu::map_into::<T, M, K, $index>(map, operands, &mut storage[start..end]);
                    return output;
                }
                inputs[$index] = output;
            }
        )+};
    }
    reuse!(2 1 0);
    let shape = inputs[0].layout().shape().clone();
    from_vec(cpu::map(map, inputs.each_ref().map(slice::<T>)), shape)
}

/// The elements of a contiguous tensor.
pub(crate) fn slice<T: Real>(tensor: &FlexTensor) -> &[T] {
    tensor.as_slice::<T>().expect("the tensor was made contiguous, and its data type was matched")
}

pub(crate) fn from_vec<T: Real>(data: Vec<T>, shape: burn::tensor::Shape) -> FlexTensor {
    FlexTensor::new(burn::tensor::Bytes::from_elems(data), Layout::contiguous(shape), T::dtype())
}
