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

#[cfg(test)]
mod tests {
    use super::{FlexTensor, Layout, from_vec, map};
    use crate::support::cpu::tests::Difference;

    fn run(a: &FlexTensor, b: FlexTensor) -> (*const u8, Vec<f32>) {
        let output = map(Difference, [a.clone(), b]).expect("f32 has a kernel");
        (output.bytes().as_ptr(), output.as_slice::<f32>().expect("contiguous").to_vec())
    }

    #[test]
    fn a_buffer_that_nobody_else_holds_is_reused_and_a_shared_one_is_not() {
        let a = from_vec(vec![5.0f32, 7.0, 9.0], [3].into());
        let b = from_vec(vec![1.0f32, 2.0, 3.0], [3].into());
        let shared = b.clone();
        let place = b.bytes().as_ptr();
        let (fresh, values) = run(&a, b);
        assert_eq!(values, [4.0, 5.0, 6.0]);
        assert_ne!(fresh, place);
        let (reused, values) = run(&a, shared);
        assert_eq!(values, [4.0, 5.0, 6.0]);
        assert_eq!(reused, place);
    }

    #[test]
    fn views_are_read_where_they_are() {
        // [[0, 1, 2], [3, 4, 5]] transposed, and a window of it.
        let matrix = from_vec((0..6).map(|i| i as f32).collect(), [2, 3].into());
        let transposed =
            matrix.clone().with_layout(Layout::contiguous([2, 3].into()).transpose(0, 1));
        let ones = from_vec(vec![1.0f32; 6], [3, 2].into());
        assert_eq!(run(&transposed, ones).1, [-1.0, 2.0, 0.0, 3.0, 1.0, 4.0]);
        let window = matrix.with_layout(Layout::new([2].into(), vec![1], 3));
        let ones = from_vec(vec![1.0f32; 2], [2].into());
        assert_eq!(run(&window, ones.clone()).1, [2.0, 3.0]);
        assert_eq!(run(&ones, window).1, [-2.0, -3.0]);
    }
}
