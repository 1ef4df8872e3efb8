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

/// What the kernels' tests need: with fusion, Burn's tensors do not reach the kernels.
#[cfg(all(test, feature = "wgpu"))]
pub(crate) mod tests {
    use burn::backend::Backend;
    use burn::backend::tensor::FloatTensor;
    use burn::tensor::{DType, Shape};
    use burn_cubecl::kernel::into_contiguous;
    use burn_cubecl::tensor::CubeTensor;
    use burn_cubecl::{CubeBackend, CubeDevice};

    /// The wgpu device, if there is an adapter.
    pub(crate) fn device() -> Option<CubeDevice> {
        let device = CubeDevice::wgpu(Default::default()).ok()?;
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| device.client())).ok()?;
        Some(device)
    }

    pub(crate) fn tensor(data: &[f32], shape: impl Into<Shape>, device: &CubeDevice) -> CubeTensor {
        let client = device.client();
        let handle = client.create_from_slice(bytemuck::cast_slice(data));
        CubeTensor::new_contiguous(client, device.clone(), shape.into(), handle, DType::F32)
    }

    pub(crate) fn numbers(tensor: CubeTensor) -> Vec<f32> {
        let tensor = into_contiguous(tensor);
        let bytes = tensor.client.clone().read_one_unchecked(tensor.handle);
        bytemuck::pod_collect_to_vec(&bytes)
    }

    /// Small odd multiples of 1/8, of both signs.
    pub(crate) fn ramp(len: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 37 % 64) as f32 - 31.5) / 4.0).collect()
    }

    fn swap_dims<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
        B::float_swap_dims(tensor, 0, 1)
    }

    /// Runs an operation of two tensors on lengths of every vector size, with nobody else holding
    /// them, with the first and the second held, and on views.
    pub(crate) fn check_binary(
        run: impl Fn(CubeTensor, CubeTensor) -> CubeTensor,
        formula: impl Fn(f32, f32) -> f32,
    ) {
        let Some(device) = device() else { return };
        for len in [1, 3, 4, 6, 64, 1000, 4099] {
            let a = ramp(len);
            let b: Vec<f32> = a.iter().rev().copied().collect();
            let expected: Vec<f32> = a.iter().zip(&b).map(|(&a, &b)| formula(a, b)).collect();
            for held in [[false, false], [true, false], [false, true], [true, true]] {
                let (first, second) = (tensor(&a, [len], &device), tensor(&b, [len], &device));
                let keep = [held[0].then(|| first.clone()), held[1].then(|| second.clone())];
                assert_eq!(numbers(run(first, second)), expected, "{len} {held:?}");
                for (kept, data) in keep.into_iter().zip([&a, &b]) {
                    assert!(kept.is_none_or(|kept| numbers(kept) == *data), "{len} {held:?}");
                }
            }
        }
        let (a, b) = (ramp(35), ramp(70)[35..].to_vec());
        let view = tensor(&a, [7, 5], &device);
        let view = swap_dims::<CubeBackend>(view);
        let expected: Vec<f32> =
            (0..35).map(|place| formula(a[place % 7 * 5 + place / 7], b[place])).collect();
        assert_eq!(numbers(run(view, tensor(&b, [5, 7], &device))), expected);
    }
}
