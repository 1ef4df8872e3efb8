//! The CubeCL kernels: one launch forward for every broadcast, and one for both factors' gradients.
//! With Burn's fusion the specification takes their place: it is compiled into one kernel with the
//! operations before and after it, which saves passes over memory.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;
use cubecl::std::tensor::layout::linear::{LinearView, LinearViewMut};

use super::{MultiplyAddOps, common_shape};
use crate::support::cube;

#[cube(launch_unchecked, address_type = "dynamic")]
fn forward_kernel<F: Float, N: Size>(
    w: LinearView<'_, Vector<F, N>>,
    x: LinearView<'_, Vector<F, N>>,
    b: LinearView<'_, Vector<F, N>>,
    mut y: LinearViewMut<'_, Vector<F, N>>,
    #[define(F)] _dtype: ElemType,
) {
    if !y.is_in_bounds(ABSOLUTE_POS) {
        terminate!();
    }
    y.write(ABSOLUTE_POS, w.read(ABSOLUTE_POS) * x.read(ABSOLUTE_POS) + b.read(ABSOLUTE_POS));
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn products_kernel<F: Float, N: Size>(
    w: LinearView<'_, Vector<F, N>>,
    x: LinearView<'_, Vector<F, N>>,
    grad: LinearView<'_, Vector<F, N>>,
    mut dw: LinearViewMut<'_, Vector<F, N>>,
    mut dx: LinearViewMut<'_, Vector<F, N>>,
    #[define(F)] _dtype: ElemType,
) {
    if !dw.is_in_bounds(ABSOLUTE_POS) {
        terminate!();
    }
    let g = grad.read(ABSOLUTE_POS);
    dw.write(ABSOLUTE_POS, g * x.read(ABSOLUTE_POS));
    dx.write(ABSOLUTE_POS, g * w.read(ABSOLUTE_POS));
}

impl MultiplyAddOps for CubeBackend {
    fn multiply_add(
        w: FloatTensor<Self>,
        x: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let shape = common_shape(&w.shape(), &x.shape(), &b.shape());
        let y = cube::empty_like(&w, shape.clone());
        if shape.num_elements() == 0 {
            return y;
        }
        let client = y.client.clone();
        let dtype = dtype_to_storage_type(y.dtype);
        let geometry = cube::geometry(&[&w, &x, &b, &y], &shape);
        // SAFETY: the operands broadcast to the output's shape, which their views repeat, and the
        // kernel checks its position against it.
        unsafe {
            forward_kernel::launch_unchecked(
                &client,
                geometry.cube_count,
                geometry.cube_dim,
                geometry.address_type,
                geometry.vector_size,
                w.into_linear_view_like(&y),
                x.into_linear_view_like(&y),
                b.into_linear_view_like(&y),
                y.clone().into_linear_view(),
                dtype,
            );
        }
        y
    }

    fn multiply_add_products(
        w: FloatTensor<Self>,
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let shape = grad.shape();
        let (dw, dx) =
            (cube::empty_like(&grad, shape.clone()), cube::empty_like(&grad, shape.clone()));
        if shape.num_elements() == 0 {
            return (dw, dx);
        }
        let client = grad.client.clone();
        let dtype = dtype_to_storage_type(grad.dtype);
        let geometry = cube::geometry(&[&w, &x, &grad, &dw, &dx], &shape);
        // SAFETY: the factors broadcast to the gradient's shape, which their views repeat, and the
        // kernel checks its position against it.
        unsafe {
            products_kernel::launch_unchecked(
                &client,
                geometry.cube_count,
                geometry.cube_dim,
                geometry.address_type,
                geometry.vector_size,
                w.into_linear_view_like(&dw),
                x.into_linear_view_like(&dw),
                grad.into_linear_view_like(&dw),
                dw.clone().into_linear_view(),
                dx.clone().into_linear_view(),
                dtype,
            );
        }
        (dw, dx)
    }
}

#[cfg(all(test, feature = "wgpu"))]
mod tests {
    use super::{CubeBackend, MultiplyAddOps};
    use crate::support::cube::tests::{check_binary, device, numbers, ramp, tensor};

    /// Exact: the numbers have few bits.
    #[test]
    fn kernels_follow_the_formulas() {
        let add = |w: &_, x: &_, b: &_| {
            CubeBackend::multiply_add(Clone::clone(w), Clone::clone(x), Clone::clone(b))
        };
        check_binary(|w, x| add(&w, &x, &w), |w, x| w * x + w);
        check_binary(|w, x| add(&w, &w, &x), |w, x| w * w + x);
        check_binary(|w, x| CubeBackend::multiply_add_products(w.clone(), x, w).0, |w, x| w * x);
        check_binary(|w, x| CubeBackend::multiply_add_products(w, x.clone(), x).1, |w, x| w * x);
        let Some(device) = device() else { return };
        let (w, x, b) = (ramp(3), ramp(8), ramp(1));
        let tensors =
            (tensor(&w, [3, 1], &device), tensor(&x, [1, 8], &device), tensor(&b, [1, 1], &device));
        let expected: Vec<f32> = (0..24).map(|i| w[i / 8] * x[i % 8] + b[0]).collect();
        assert_eq!(numbers(add(&tensors.0, &tensors.1, &tensors.2)), expected);
    }
}
