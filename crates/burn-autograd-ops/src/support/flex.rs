//! The CPU kernels on the Flex backend's tensors.

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, FloatDType};
use burn_flex::{FlexTensor, Layout};

use super::Real;
use super::cpu::{self, Map};
use super::matrices::Matrices;

/// Runs `map` over tensors of one shape, of a smaller type in `f32`; gives the tensors back if they
/// are no floats that there is a kernel for. A contiguous operand that nobody else holds is overwritten.
pub(crate) fn map<M: Map<K>, const K: usize>(
    map: M,
    inputs: [FlexTensor; K],
) -> Result<FlexTensor, [FlexTensor; K]> {
    match inputs[0].dtype() {
        DType::F32 => Ok(map_as::<f32, M, K>(map, inputs)),
        DType::F64 => Ok(map_as::<f64, M, K>(map, inputs)),
        DType::F16 | DType::BF16 => {
            Ok(in_single(inputs, |inputs| map_as::<f32, M, K>(map, inputs)))
        }
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

/// The same tensor with its elements in order: copied only if they are not.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// The elements of a contiguous tensor.
pub(crate) fn slice<T: Real>(tensor: &FlexTensor) -> &[T] {
    tensor.as_slice::<T>().expect("the tensor was made contiguous, and its data type was matched")
}

pub(crate) fn from_vec<T: Real>(data: Vec<T>, shape: burn::tensor::Shape) -> FlexTensor {
    FlexTensor::new(burn::tensor::Bytes::from_elems(data), Layout::contiguous(shape), T::dtype())
}

/// The matrices of a tensor, which may be a view whose strides are not negative.
pub(crate) fn matrices<T: Real>(tensor: &FlexTensor) -> Matrices<'_, T> {
    let layout = tensor.layout();
    let stride = |dim: usize| layout.strides()[dim].unsigned_abs();
    Matrices::new(tensor.storage::<T>(), layout.start_offset(), &layout.shape()[..], stride)
}

/// The same tensor, without negative strides: copied only if it has some.
pub(crate) fn forwards(tensor: FlexTensor) -> FlexTensor {
    if tensor.layout().strides().iter().all(|&stride| stride >= 0) {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// The same tensor, each of whose matrices is row-major: copied only if one is not.
pub(crate) fn rows_together(tensor: FlexTensor) -> FlexTensor {
    let layout = tensor.layout();
    let rank = layout.num_dims();
    let columns = layout.shape()[rank - 1] as isize;
    let strides = layout.strides();
    let together = strides[rank - 2..] == [columns, 1] && strides.iter().all(|&stride| stride >= 0);
    if together { tensor } else { tensor.to_contiguous() }
}

/// Runs a function in `f32` on tensors of a smaller type, and rounds its result to that.
pub(crate) fn in_single<const K: usize>(
    tensors: [FlexTensor; K],
    function: impl FnOnce([FlexTensor; K]) -> FlexTensor,
) -> FlexTensor {
    let dtype = tensors[0].dtype();
    rounded(function(tensors.map(single)), dtype)
}

/// The same numbers in `f32`.
pub(crate) fn single(tensor: FlexTensor) -> FlexTensor {
    Flex::float_cast(tensor, FloatDType::F32)
}

/// The numbers rounded to a smaller type.
pub(crate) fn rounded(tensor: FlexTensor, dtype: DType) -> FlexTensor {
    Flex::float_cast(tensor, dtype.into())
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
