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

/// Tells a trace what a recorded operation computes.
#[cfg(all(feature = "capture", feature = "autodiff"))]
pub(crate) fn replay<const N: usize, const M: usize>(
    id: &'static str,
    run: fn([burn_autograd_core::Var; N], &[ScalarIr]) -> [burn_autograd_core::Var; M],
) {
    burn_autograd_core::trace_operation(id, move |inputs, scalars| {
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

/// Sends an operation, or records it; its results are known by their shapes alone.
pub(crate) fn send<C: RouterClient, const N: usize, const M: usize>(
    id: &'static str,
    inputs: [RouterTensor<C>; N],
    outputs: [Meta; M],
    scalars: Vec<ScalarIr>,
) -> [RouterTensor<C>; M] {
    let client = inputs[0].client.clone();
    let inputs = inputs.map(RouterTensor::into_ir);
    let outputs =
        outputs.map(|(shape, dtype)| TensorIr::uninit(client.create_empty_handle(), shape, dtype));
    let operation = CustomOpIr::with_scalars(id, &inputs, &outputs, scalars);
    let found = client.register(OperationIr::Custom(operation));
    found.try_into().unwrap_or_else(|_| panic!("{id}: as many results as were declared"))
}

/// Tells the other side how to run an operation.
pub(crate) fn serve<B: BackendIr, const N: usize, const M: usize>(
    registry: &mut CustomOpRegistry<B>,
    id: &'static str,
    run: impl Fn([FloatTensor<B>; N], &[ScalarIr]) -> [FloatTensor<B>; M] + Send + Sync + 'static,
) {
    registry.register(id, move |handles, operation, _device| {
        let (inputs, outputs) = operation.as_fixed::<N, M>();
        let inputs = inputs.each_ref().map(|input| handles.get_float_tensor::<B>(input));
        for (output, tensor) in outputs.iter().zip(run(inputs, &operation.scalars)) {
            handles.register_float_tensor::<B>(&output.id, tensor);
        }
    });
}
