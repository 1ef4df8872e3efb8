//! The CPU kernels on the NdArray backend's tensors.

use burn::tensor::{DType, Element};
use burn_ndarray::{NdArrayTensor, SharedArray};
use ndarray::{ArrayD, IxDyn};

use super::Real;
use super::cpu::{self, Map};
use super::matrices::Matrices;

/// A float type that NdArray stores.
pub(crate) trait Stored: Real {
    fn wrap(array: SharedArray<Self>) -> NdArrayTensor;

    /// The array, and whether nobody else holds it.
    fn unwrap(tensor: NdArrayTensor) -> (SharedArray<Self>, bool);
}

macro_rules! stored {
    ($float:ty, $variant:ident) => {
        impl Stored for $float {
            fn wrap(array: SharedArray<Self>) -> NdArrayTensor {
                array.into()
            }

            fn unwrap(tensor: NdArrayTensor) -> (SharedArray<Self>, bool) {
                match tensor {
                    NdArrayTensor::$variant(storage) => {
                        let unique = storage.is_unique();
                        (storage.into_shared(), unique)
                    }
                    other => {
                        let expected: DType = <$float as Element>::dtype();
                        let got = burn::backend::TensorMetadata::dtype(&other);
                        panic!("expected operands of one data type, {expected:?}, got {got:?}")
                    }
                }
            }
        }
    };
}

stored!(f32, F32);
stored!(f64, F64);

/// Runs `map` over tensors of one shape, in `f32` or `f64`; gives the tensors back if they have
/// another data type. A contiguous operand that nobody else holds is overwritten.
pub(crate) fn map<M: Map<K>, const K: usize>(
    map: M,
    inputs: [NdArrayTensor; K],
) -> Result<NdArrayTensor, [NdArrayTensor; K]> {
    match inputs[0] {
        NdArrayTensor::F32(_) => Ok(map_as::<f32, M, K>(map, inputs)),
        NdArrayTensor::F64(_) => Ok(map_as::<f64, M, K>(map, inputs)),
        _ => Err(inputs),
    }
}

fn map_as<T: Stored, M: Map<K>, const K: usize>(
    map: M,
    inputs: [NdArrayTensor; K],
) -> NdArrayTensor {
    let mut inputs = inputs.map(|input| row_major::<T>(input));
    // The cotangent is the last operand and the likeliest to be free.
    macro_rules! reuse {
        ($($index:literal)+) => {$(
            if K > $index && inputs[$index].1 {
                let mut output = std::mem::replace(&mut inputs[$index].0, from_vec(Vec::new(), &[0]));
                // Nobody else holds it, so that nothing is copied.
                if let Some(storage) = output.as_slice_mut() {
                    let operands = std::array::from_fn(|k| {
                        if k == $index { None } else { Some(slice(&inputs[k].0)) }
                    });
                    cpu::map_into::<T, M, K, $index>(map, operands, storage);
                    return T::wrap(output);
                }
                inputs[$index].0 = output;
            }
        )+};
    }
    reuse!(2 1 0);
    let output = cpu::map(map, inputs.each_ref().map(|input| slice(&input.0)));
    T::wrap(from_vec(output, inputs[0].0.shape()))
}

/// The same tensor in row-major order, copied only if it is not; and whether nobody else holds it.
pub(crate) fn row_major<T: Stored>(tensor: NdArrayTensor) -> (SharedArray<T>, bool) {
    let (array, unique) = T::unwrap(tensor);
    if array.is_standard_layout() {
        (array, unique)
    } else {
        (array.as_standard_layout().into_owned().into_shared(), true)
    }
}

/// The same tensor in row-major order, copied only if it is not.
pub(crate) fn contiguous<T: Stored>(tensor: NdArrayTensor) -> SharedArray<T> {
    row_major(tensor).0
}

/// The elements of a tensor in row-major order.
pub(crate) fn slice<T: Stored>(array: &SharedArray<T>) -> &[T] {
    array.as_slice().expect("the tensor was put in row-major order")
}

/// The matrices of a tensor in row-major order.
pub(crate) fn matrices<T: Stored>(array: &SharedArray<T>) -> Matrices<'_, T> {
    Matrices::contiguous(slice(array), array.shape())
}

pub(crate) fn from_vec<T: Stored>(data: Vec<T>, shape: &[usize]) -> SharedArray<T> {
    let array = ArrayD::from_shape_vec(IxDyn(shape), data).expect("one element for each place");
    array.into_shared()
}

#[cfg(test)]
mod tests {
    use burn_ndarray::{NdArrayTensor, SharedArray};

    use super::{from_vec, map};
    use crate::support::cpu::tests::Difference;

    fn run(a: SharedArray<f32>, b: SharedArray<f32>) -> SharedArray<f32> {
        match map(Difference, [a.into(), b.into()]).expect("f32 has a kernel") {
            NdArrayTensor::F32(storage) => storage.into_shared(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_buffer_that_nobody_else_holds_is_reused_and_a_shared_one_is_not() {
        let a = from_vec(vec![5.0f32, 7.0, 9.0], &[3]);
        let b = from_vec(vec![1.0f32, 2.0, 3.0], &[3]);
        let place = b.as_ptr();
        let fresh = run(a.clone(), b.clone());
        assert_eq!(fresh.as_slice(), Some(&[4.0, 5.0, 6.0][..]));
        assert_ne!(fresh.as_ptr(), place);
        let reused = run(a.clone(), b);
        assert_eq!(reused.as_slice(), Some(&[4.0, 5.0, 6.0][..]));
        assert_eq!(reused.as_ptr(), place);
    }

    #[test]
    fn views_are_read_where_they_are() {
        let matrix = from_vec((0..6).map(|i| i as f32).collect(), &[2, 3]);
        let ones = from_vec(vec![1.0f32; 6], &[3, 2]);
        let difference = run(matrix.reversed_axes(), ones);
        assert_eq!(difference.as_slice(), Some(&[-1.0, 2.0, 0.0, 3.0, 1.0, 4.0][..]));
    }
}
