//! Operations as nodes of a graph that something else runs: Burn's remote server, or whoever reads a
//! captured graph.

use burn::backend::TensorMetadata;
use burn::backend::ir::{BackendIr, CustomOpIr, OperationIr, ScalarIr, TensorIr};
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};
use burn_router::{CustomOpRegistry, RouterClient, RouterTensor};

/// Shape and data type of a result.
pub(crate) type Meta = (Shape, DType);

/// A result like this tensor.
pub(crate) fn like<C: RouterClient>(tensor: &RouterTensor<C>) -> Meta {
    (tensor.shape(), tensor.dtype())
}

/// Tells captured code what a recorded operation computes.
#[cfg(all(feature = "capture", feature = "autodiff"))]
pub(crate) fn replay<const N: usize, const M: usize>(
    id: &'static str,
    run: fn([burn_autograd_core::Var; N], &[ScalarIr]) -> [burn_autograd_core::Var; M],
) {
    burn_autograd_core::capture_operation(id, move |inputs, _, scalars| {
        Some(run(inputs.try_into().ok()?, scalars).into())
    });
}

/// Without graphs that are computed again there is nobody to tell.
#[cfg(not(all(feature = "capture", feature = "autodiff")))]
pub(crate) fn replay<const N: usize, const M: usize>(
    _: &'static str,
    _: fn([burn_autograd_core::Var; N], &[ScalarIr]) -> [burn_autograd_core::Var; M],
) {
}

/// Sends an operation, or records it; its results are known by their shapes alone. There is an input.
pub(crate) fn send<C: RouterClient, const M: usize>(
    id: &'static str,
    inputs: impl IntoIterator<Item = RouterTensor<C>>,
    outputs: [Meta; M],
    scalars: Vec<ScalarIr>,
) -> [RouterTensor<C>; M] {
    let inputs: Vec<_> = inputs.into_iter().collect();
    let client = inputs[0].client.clone();
    let inputs: Vec<_> = inputs.into_iter().map(RouterTensor::into_ir).collect();
    let outputs =
        outputs.map(|(shape, dtype)| TensorIr::uninit(client.create_empty_handle(), shape, dtype));
    let operation = CustomOpIr::with_scalars(id, &inputs, &outputs, scalars);
    let found = client.register(OperationIr::Custom(operation));
    found.try_into().unwrap_or_else(|_| panic!("{id}: as many results as were declared"))
}

/// Tells the other side how to run an operation on as many tensors as were sent.
pub(crate) fn serve_all<B: BackendIr, const M: usize>(
    registry: &mut CustomOpRegistry<B>,
    id: &'static str,
    run: impl Fn(Vec<FloatTensor<B>>, &[ScalarIr]) -> [FloatTensor<B>; M] + Send + Sync + 'static,
) {
    registry.register(id, move |handles, operation, _device| {
        let inputs = operation.inputs.iter().map(|input| handles.get_float_tensor::<B>(input));
        let found = run(inputs.collect(), &operation.scalars);
        for (output, tensor) in operation.outputs.iter().zip(found) {
            handles.register_float_tensor::<B>(&output.id, tensor);
        }
    });
}

/// Tells the other side how to run an operation.
pub(crate) fn serve<B: BackendIr, const N: usize, const M: usize>(
    registry: &mut CustomOpRegistry<B>,
    id: &'static str,
    run: impl Fn([FloatTensor<B>; N], &[ScalarIr]) -> [FloatTensor<B>; M] + Send + Sync + 'static,
) {
    serve_all(registry, id, move |inputs, scalars| {
        let inputs = inputs.try_into().unwrap_or_else(|_| panic!("{id}: {N} tensors"));
        run(inputs, scalars)
    });
}
