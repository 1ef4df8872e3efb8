use burn::backend::tensor::FloatTensor;
use burn::backend::{NdArray, TensorMetadata};
use burn::tensor::{DType, Shape};
use burn_autograd_core::Floats;
use burn_ndarray::NdArrayTensor;

use super::kernel::{self, Forward};
use super::{Gradients, MultiplyAddOps, Needs, common_shape, spec};
use crate::support::broadcast::Broadcast;
use crate::support::ndarray::{self, Stored};

impl MultiplyAddOps for NdArray {
    fn multiply_add(
        w: FloatTensor<Self>,
        x: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let shapes = [w.shape(), x.shape(), b.shape()];
        if shapes.iter().all(|shape| *shape == shapes[0]) {
            return ndarray::map(Forward, [w, x, b])
                .unwrap_or_else(|[w, x, b]| spec::forward::<Self>(w, x, b));
        }
        match w.dtype() {
            DType::F32 => forward::<f32>([w, x, b], shapes),
            DType::F64 => forward::<f64>([w, x, b], shapes),
            _ => spec::forward::<Self>(w, x, b),
        }
    }

    fn multiply_add_backward(
        operands: Floats<Self>,
        shapes: [Shape; 3],
        needs: Needs,
    ) -> Floats<Self> {
        let (grad, w, x) = needs.operands(operands);
        needs.gradients(match grad.dtype() {
            DType::F32 => backward::<f32>(grad, w, x, shapes, needs),
            DType::F64 => backward::<f64>(grad, w, x, shapes, needs),
            _ => spec::backward::<Self>(grad, w, x, shapes, needs),
        })
    }
}

fn forward<T: Stored>(tensors: [NdArrayTensor; 3], shapes: [Shape; 3]) -> NdArrayTensor {
    let plan = Broadcast::new(shapes.each_ref().map(|shape| &shape[..]));
    let tensors = tensors.map(ndarray::contiguous::<T>);
    let [w, x, b] = tensors.each_ref().map(ndarray::slice::<T>);
    let output = kernel::forward(&plan, w, x, b);
    let common = common_shape(&shapes[0], &shapes[1], &shapes[2]);
    T::wrap(ndarray::from_vec(output, &common[..]))
}

fn backward<T: Stored>(
    grad: NdArrayTensor,
    w: Option<NdArrayTensor>,
    x: Option<NdArrayTensor>,
    shapes: [Shape; 3],
    mut needs: Needs,
) -> Gradients<NdArrayTensor> {
    let plan = Broadcast::new(shapes.each_ref().map(|shape| &shape[..]));
    let (mut grad, unique) = ndarray::row_major::<T>(grad);
    // Where `b` was not broadcast its gradient is the cotangent itself: no pass, no copy.
    let shared = (needs.b && !plan.broadcast[2]).then(|| T::wrap(grad.clone()));
    needs.b &= shared.is_none();
    let [w, x] = [w, x].map(|factor| factor.map(ndarray::contiguous::<T>));
    if let (Some(w), Some(x), [false, false, _], false) = (&w, &x, plan.broadcast, needs.b) {
        let [w, x] = [w, x].map(ndarray::slice::<T>);
        if unique
            && shared.is_none()
            && let Some(storage) = grad.as_slice_mut()
        {
            // Nobody else holds the cotangent: the gradient of `x` is written over it.
            let dw = kernel::products_into(storage, w, x);
            let dw = ndarray::from_vec(dw, &shapes[0][..]);
            return [Some(T::wrap(dw)), Some(T::wrap(grad)), None];
        }
        let (dw, dx) = kernel::products(ndarray::slice::<T>(&grad), w, x);
        let wrap = |data, shape: &Shape| T::wrap(ndarray::from_vec(data, &shape[..]));
        return [Some(wrap(dw, &shapes[0])), Some(wrap(dx, &shapes[1])), shared];
    }
    let [dw, dx, db] = kernel::backward(
        &plan,
        ndarray::slice::<T>(&grad),
        w.as_ref().map_or(&[], ndarray::slice::<T>),
        x.as_ref().map_or(&[], ndarray::slice::<T>),
        needs,
    );
    let wrap = |data, shape: &Shape| T::wrap(ndarray::from_vec(data, &shape[..]));
    [
        dw.map(|dw| wrap(dw, &shapes[0])),
        dx.map(|dx| wrap(dx, &shapes[1])),
        shared.or(db.map(|db| wrap(db, &shapes[2]))),
    ]
}
