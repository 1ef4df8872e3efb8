//! Whether Burn tracks a tensor, and the tensor without that.

use std::any::Any;

use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Backend, Dispatch, DispatchAutodiffContext, DispatchDevice, DispatchTensor, TensorMetadata as _,
};

pub(crate) fn without_autodiff(tensor: DispatchTensor) -> DispatchTensor {
    #[cfg(feature = "autodiff")]
    if tensor.autodiff != DispatchAutodiffContext::Disabled {
        return <Dispatch as burn::backend::AutodiffBackend>::inner(tensor);
    }
    tensor
}

pub(crate) fn is_tracked(tensor: &DispatchTensor) -> bool {
    #[cfg(feature = "autodiff")]
    return tensor.autodiff != DispatchAutodiffContext::Disabled && Dispatch::is_tracked(tensor);
    #[cfg(not(feature = "autodiff"))]
    {
        let _ = (tensor, std::marker::PhantomData::<Dispatch>);
        false
    }
}

/// The device without its autodiff decorator, which would be a new box.
pub(crate) fn under_autodiff(tensor: &DispatchTensor) -> DispatchDevice {
    #[cfg(feature = "autodiff")]
    if let burn::backend::DispatchTensorKind::Autodiff(inner) = &tensor.kind {
        return inner.device();
    }
    tensor.kind.device()
}

/// A tensor as a tape holds it.
pub(crate) struct Plain<B: Backend> {
    pub(crate) tensor: FloatTensor<B>,
    /// What its device differentiates with.
    pub(crate) autodiff: DispatchAutodiffContext,
    /// What it is on Burn's graph.
    pub(crate) tracked: Option<FloatTensor<B>>,
}

/// Takes the autodiff off a tensor whose backend Burn chooses at run time.
pub(crate) fn plain<B: Backend>(tensor: FloatTensor<B>) -> Plain<B> {
    let any: &dyn Any = &tensor;
    let disabled = DispatchAutodiffContext::Disabled;
    let Some(chosen) = any.downcast_ref::<DispatchTensor>().filter(|t| t.autodiff != disabled)
    else {
        return Plain { tensor, autodiff: disabled, tracked: None };
    };
    let (autodiff, tracked) = (chosen.autodiff, is_tracked(chosen));
    let inner = without_autodiff(chosen.clone());
    Plain {
        autodiff,
        tracked: tracked.then_some(tensor),
        tensor: same(inner).unwrap_or_else(|| unreachable!("`B` is Dispatch")),
    }
}

/// A value of a type that is known to be another one.
pub(crate) fn same<A: 'static, Z: 'static>(value: A) -> Option<Z> {
    let mut value = Some(value);
    let any: &mut dyn Any = &mut value;
    any.downcast_mut::<Option<Z>>()?.take()
}
