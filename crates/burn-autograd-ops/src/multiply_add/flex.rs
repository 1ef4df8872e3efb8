use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, Shape};
use burn_autograd_core::Floats;
use burn_flex::FlexTensor;

use super::kernel::{self, Forward};
use super::{Gradients, MultiplyAddOps, Needs, common_shape, spec};
use crate::support::broadcast::Broadcast;
use crate::support::{Real, flex};

impl MultiplyAddOps for Flex {
    fn multiply_add(
        w: FloatTensor<Self>,
        x: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let shapes = [w.shape(), x.shape(), b.shape()];
        if shapes.iter().all(|shape| *shape == shapes[0]) {
            return flex::map(Forward, [w, x, b])
                .unwrap_or_else(|[w, x, b]| spec::forward::<Self>(w, x, b));
        }
        match w.dtype() {
            DType::F32 => forward::<f32>([w, x, b], shapes),
            DType::F64 => forward::<f64>([w, x, b], shapes),
            DType::F16 | DType::BF16 => {
                flex::in_single([w, x, b], |operands| forward::<f32>(operands, shapes))
            }
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
            half @ (DType::F16 | DType::BF16) => {
                let [w, x] = [w, x].map(|factor| factor.map(flex::single));
                backward::<f32>(flex::single(grad), w, x, shapes, needs)
                    .map(|found| found.map(|found| flex::rounded(found, half)))
            }
            _ => spec::backward::<Self>(grad, w, x, shapes, needs),
        })
    }
}

fn forward<T: Real>(tensors: [FlexTensor; 3], shapes: [Shape; 3]) -> FlexTensor {
    let plan = Broadcast::new(shapes.each_ref().map(|shape| &shape[..]));
    let tensors = tensors.map(flex::contiguous);
    let [w, x, b] = tensors.each_ref().map(flex::slice::<T>);
    let output = kernel::forward(&plan, w, x, b);
    flex::from_vec(output, common_shape(&shapes[0], &shapes[1], &shapes[2]))
}

fn backward<T: Real>(
    grad: FlexTensor,
    w: Option<FlexTensor>,
    x: Option<FlexTensor>,
    shapes: [Shape; 3],
    mut needs: Needs,
) -> Gradients<FlexTensor> {
    let plan = Broadcast::new(shapes.each_ref().map(|shape| &shape[..]));
    let mut grad = flex::contiguous(grad);
    // Where `b` was not broadcast its gradient is the cotangent itself: no pass, no copy.
    let shared = (needs.b && !plan.broadcast[2]).then(|| grad.clone());
    needs.b &= shared.is_none();
    let [w, x] = [w, x].map(|factor| factor.map(flex::contiguous));
    if let (Some(w), Some(x), [false, false, _], false) = (&w, &x, plan.broadcast, needs.b) {
        let [w, x] = [w, x].map(flex::slice::<T>);
        let range = grad.layout().contiguous_offsets();
        if let (Some((start, end)), Some(storage)) = (range, grad.try_storage_mut::<T>()) {
            // Nobody else holds the cotangent: the gradient of `x` is written over it.
            let dw = kernel::products_into(&mut storage[start..end], w, x);
            return [Some(flex::from_vec(dw, shapes[0].clone())), Some(grad), shared];
        }
        let (dw, dx) = kernel::products(flex::slice::<T>(&grad), w, x);
        let [w_shape, x_shape, _] = shapes;
        return [Some(flex::from_vec(dw, w_shape)), Some(flex::from_vec(dx, x_shape)), shared];
    }
    let [dw, dx, db] = kernel::backward(
        &plan,
        flex::slice::<T>(&grad),
        w.as_ref().map_or(&[], flex::slice::<T>),
        x.as_ref().map_or(&[], flex::slice::<T>),
        needs,
    );
    let [w_shape, x_shape, b_shape] = shapes;
    [
        dw.map(|dw| flex::from_vec(dw, w_shape)),
        dx.map(|dx| flex::from_vec(dx, x_shape)),
        shared.or(db.map(|db| flex::from_vec(db, b_shape))),
    ]
}
