//! Elementwise kernels on the CubeCL backend (wgpu, vulkan, metal, webgpu, cuda, rocm).

use burn::backend::TensorMetadata;
use burn::tensor::Shape;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use cubecl::std::tensor::layout::linear::{LinearView, LinearViewMut};
use cubecl::{calculate_cube_count_elemwise, tensor_vector_size_parallel};

/// y = f(x) for every element.
pub(crate) trait Unary: 'static + Send + Sync {
    type Formula<F: Float, N: Size>: UnaryFormula<F, N>;
}

#[cube]
pub(crate) trait UnaryFormula<F: Float, N: Size>: 'static + Send + Sync {
    fn execute(x: Vector<F, N>) -> Vector<F, N>;
}

/// y = f(a, b) for every element.
pub(crate) trait Binary: 'static + Send + Sync {
    type Formula<F: Float, N: Size>: BinaryFormula<F, N>;
}

#[cube]
pub(crate) trait BinaryFormula<F: Float, N: Size>: 'static + Send + Sync {
    fn execute(a: Vector<F, N>, b: Vector<F, N>) -> Vector<F, N>;
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn unary_kernel<F: Float, N: Size, O: Unary>(
    x: LinearView<'_, Vector<F, N>>,
    mut y: LinearViewMut<'_, Vector<F, N>>,
    #[define(F)] _dtype: ElemType,
) {
    if !y.is_in_bounds(ABSOLUTE_POS) {
        terminate!();
    }
    y.write(ABSOLUTE_POS, O::Formula::<F, N>::execute(x.read(ABSOLUTE_POS)));
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn binary_kernel<F: Float, N: Size, O: Binary>(
    a: LinearView<'_, Vector<F, N>>,
    b: LinearView<'_, Vector<F, N>>,
    mut y: LinearViewMut<'_, Vector<F, N>>,
    #[define(F)] _dtype: ElemType,
) {
    if !y.is_in_bounds(ABSOLUTE_POS) {
        terminate!();
    }
    let value = O::Formula::<F, N>::execute(a.read(ABSOLUTE_POS), b.read(ABSOLUTE_POS));
    y.write(ABSOLUTE_POS, value);
}

/// The geometry of a launch over `shape`: how many elements a unit handles, and the units.
pub(crate) struct Geometry {
    pub(crate) vector_size: usize,
    pub(crate) cube_dim: CubeDim,
    pub(crate) cube_count: CubeCount,
    pub(crate) address_type: AddressType,
}

/// The widest vectors that every operand allows along its last dimension.
pub(crate) fn geometry(tensors: &[&CubeTensor], shape: &Shape) -> Geometry {
    let client = &tensors[0].client;
    let vector_size = tensors
        .iter()
        .map(|tensor| {
            tensor_vector_size_parallel(
                client.io_optimized_vector_sizes(tensor.dtype.size()),
                tensor.meta.shape(),
                tensor.meta.strides(),
                tensor.meta.num_dims() - 1,
            )
        })
        .min()
        .unwrap_or(1);
    let units = shape.num_elements() / vector_size;
    let cube_dim = CubeDim::new(client, units);
    Geometry {
        vector_size,
        cube_dim,
        cube_count: calculate_cube_count_elemwise(client, units, cube_dim),
        address_type: tensors
            .iter()
            .map(|tensor| tensor.required_address_type())
            .max()
            .unwrap_or_default(),
    }
}

pub(crate) fn empty_like(tensor: &CubeTensor, shape: Shape) -> CubeTensor {
    empty_device_dtype(tensor.client.clone(), tensor.device.clone(), shape, tensor.dtype)
}

/// Whether a kernel may write into this tensor's buffer.
pub(crate) fn is_free(tensor: &CubeTensor) -> bool {
    tensor.can_mut() && tensor.is_nonoverlapping()
}

/// Launches `O` over a tensor; overwrites it if nobody else holds it.
pub(crate) fn unary<O: Unary>(x: CubeTensor) -> CubeTensor {
    let shape = x.shape();
    if shape.num_elements() == 0 {
        return x;
    }
    let client = x.client.clone();
    let dtype = burn::backend::cubecl::dtype_to_storage_type(x.dtype);
    let reuse = is_free(&x);
    let y = if reuse { x.clone() } else { empty_like(&x, shape.clone()) };
    let geometry = geometry(&[&x, &y], &shape);
    let output = if reuse { y.as_linear_view_alias(0) } else { y.clone().into_linear_view() };
    // SAFETY: input and output have the same shape, and the kernel checks its position against it.
    unsafe {
        unary_kernel::launch_unchecked::<O>(
            &client,
            geometry.cube_count,
            geometry.cube_dim,
            geometry.address_type,
            geometry.vector_size,
            x.into_linear_view(),
            output,
            dtype,
        );
    }
    y
}

/// Launches `O` over two tensors of one shape; overwrites the second, or else the first, if nobody
/// else holds it.
pub(crate) fn binary<O: Binary>(a: CubeTensor, b: CubeTensor) -> CubeTensor {
    let shape = a.shape();
    if shape.num_elements() == 0 {
        return a;
    }
    let client = a.client.clone();
    let dtype = burn::backend::cubecl::dtype_to_storage_type(a.dtype);
    let (y, alias) = if is_free(&b) {
        (b.clone(), Some(1))
    } else if is_free(&a) {
        (a.clone(), Some(0))
    } else {
        (empty_like(&a, shape.clone()), None)
    };
    let geometry = geometry(&[&a, &b, &y], &shape);
    let output = match alias {
        Some(position) => y.as_linear_view_alias(position),
        None => y.clone().into_linear_view(),
    };
    // SAFETY: the operands have the output's shape, and the kernel checks its position against it.
    unsafe {
        binary_kernel::launch_unchecked::<O>(
            &client,
            geometry.cube_count,
            geometry.cube_dim,
            geometry.address_type,
            geometry.vector_size,
            a.into_linear_view_like(&y),
            b.into_linear_view_like(&y),
            output,
            dtype,
        );
    }
    y
}
