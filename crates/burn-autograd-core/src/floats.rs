use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Backend, BackendTensor, Dispatch, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind,
    ExtensionType,
};

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
