use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Backend, BackendTensor, Dispatch, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind,
    ExtensionType, backend_extension,
};

use crate::{Context, Function, Var};

/// Float tensors of one backend, which cross Burn's run-time dispatch together.
#[derive(Debug)]
pub struct Floats<B: Backend>(pub Vec<FloatTensor<B>>);

impl<B: Backend> Floats<B> {
    /// The tensors, whose number is known.
    ///
    /// # Panics
    ///
    /// If there are not `N`.
    pub fn into_array<const N: usize>(self) -> [FloatTensor<B>; N] {
        let count = self.0.len();
        self.0.try_into().unwrap_or_else(|_| panic!("expected {N} tensors, got {count}"))
    }
}

impl<B: Backend> ExtensionType<B> for Floats<B> {
    type Target = Floats<Dispatch>;

    fn map_to_dispatch<F>(self, map_kind: F, autodiff: DispatchAutodiffContext) -> Self::Target
    where
        F: Fn(BackendTensor<B>) -> DispatchTensorKind,
    {
        let wrap =
            |tensor| DispatchTensor { kind: map_kind(BackendTensor::Float(tensor)), autodiff };
        Floats(self.0.into_iter().map(wrap).collect())
    }

    fn map_from_dispatch<F>(target: Self::Target, unwrap_kind: F) -> Self
    where
        F: Fn(DispatchTensor) -> BackendTensor<B>,
    {
        Self(target.0.into_iter().map(|tensor| unwrap_kind(tensor).float()).collect())
    }

    fn routing_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn routing_float_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn autodiff_context(target: &Self::Target) -> DispatchAutodiffContext {
        target.0.iter().fold(Default::default(), |context, tensor| context.merge(tensor.autodiff))
    }
}

/// A backend on which [`Function`]s run and are differentiated: every backend of this build.
///
/// Implemented for `Flex`, `NdArray`, the CubeCL backend (wgpu, cuda, rocm, metal), each with and
/// without fusion, and for `Autodiff` of them, nested as deep as needed. Users name it as the bound
/// of a function's body and call nothing of it.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Autodiff: cfg(feature = "autodiff"),
    Fusion: cfg(feature = "fusion")
)]
pub trait Differentiable: Backend {
    /// Applies a function.
    #[doc(hidden)]
    #[fusion(default)]
    fn apply_function<F: Function<N, M>, const N: usize, const M: usize>(
        function: F,
        #[extension_type] inputs: Floats<Self>,
    ) -> Floats<Self> {
        let mut context = Context::<Self>::new(vec![false; N]);
        let inputs = Var::<Self>::inputs::<N>(inputs.into_array());
        Floats(function.forward(&mut context, inputs).map(Var::into_tensor).into())
    }

    /// The vector-Jacobian product of a function, itself differentiable.
    #[doc(hidden)]
    #[cfg(feature = "autodiff")]
    #[fusion(default)]
    fn vjp_function<F: Function<N, M>, const N: usize, const M: usize>(
        function: F,
        #[extension_type] inputs: Floats<Self>,
        #[extension_type] cotangents: Floats<Self>,
    ) -> Floats<Self> {
        use burn::backend::Autodiff;
        let grads = crate::vector_jacobian_product::<Self, N, M>(
            |inputs| {
                let inputs = Floats(inputs.into());
                Autodiff::<Self>::apply_function::<F, N, M>(function, inputs).into_array()
            },
            inputs.into_array(),
            cotangents.into_array(),
        );
        Floats(grads.into())
    }
}

#[cfg(feature = "flex")]
impl Differentiable for burn::backend::Flex {}
#[cfg(feature = "ndarray")]
impl Differentiable for burn::backend::NdArray {}
#[cfg(feature = "cube")]
impl Differentiable for burn_cubecl::CubeBackend {}

#[cfg(feature = "autodiff")]
impl<B, C> Differentiable for burn::backend::Autodiff<B, C>
where
    B: Differentiable,
    C: burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy,
{
    fn apply_function<F: Function<N, M>, const N: usize, const M: usize>(
        function: F,
        inputs: Floats<Self>,
    ) -> Floats<Self> {
        Floats(crate::differentiate::<B, C, F, N, M>(function, inputs.into_array()).into())
    }
}
