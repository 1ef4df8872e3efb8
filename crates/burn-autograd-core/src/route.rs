//! A call on Burn's graph: which backend a tensor that Burn chose at run time belongs to, and the
//! function as a rule of that backend.

use std::borrow::Cow;
use std::panic::Location;
use std::sync::{Arc, PoisonError};

use burn::backend::{
    Autodiff, AutodiffBackend, Backend, BackendTensor, Dispatch, DispatchAutodiffContext,
    DispatchKindConversion, DispatchTensor, DispatchTensorKind, TensorMetadata,
};
use burn::tensor::GradientCheckpointingStrategy;
use burn_autodiff::checkpoint::strategy::{
    BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
};

use crate::call::{Call, Kept, is_tracked, without_autodiff};
use crate::rule::{Meta, Metas};
use crate::tape::{Few, OnGraph};
use crate::var::Origin;
use crate::{Context, Error, ErrorKind, Rule, Saved, Var};

pub(crate) fn record<const N: usize, const M: usize>(
    call: Call<N, M>,
    inputs: [DispatchTensor; N],
    context: DispatchAutodiffContext,
) -> Result<[DispatchTensor; M], Error> {
    let inner = inputs.iter().find_map(|input| match &input.kind {
        DispatchTensorKind::Autodiff(inner) => Some(&**inner),
        _ => None,
    });
    match inner {
        #[cfg(feature = "flex")]
        Some(DispatchTensorKind::Flex(_)) => on::<burn::backend::Flex, N, M>(call, inputs, context),
        #[cfg(feature = "ndarray")]
        Some(DispatchTensorKind::NdArray(_)) => {
            on::<burn::backend::NdArray, N, M>(call, inputs, context)
        }
        #[cfg(feature = "cube")]
        Some(DispatchTensorKind::Cube(_)) => on::<burn::backend::Cube, N, M>(call, inputs, context),
        _ => Err(Error::new(
            ErrorKind::Device,
            call.name,
            "inputs",
            "an autodiff device of a backend that burn-autograd is built with (features flex, \
             ndarray, wgpu, vulkan, metal, webgpu, cuda, rocm)",
            format!("{:?}", inputs[0].device()),
        )),
    }
}

fn on<B, const N: usize, const M: usize>(
    call: Call<N, M>,
    inputs: [DispatchTensor; N],
    context: DispatchAutodiffContext,
) -> Result<[DispatchTensor; M], Error>
where
    B: Backend,
    DispatchTensor: DispatchKindConversion<B>
        + DispatchKindConversion<Autodiff<B, NoCheckpointing>>
        + DispatchKindConversion<Autodiff<B, BalancedCheckpointing>>,
{
    match context {
        DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Balanced) => {
            with::<B, BalancedCheckpointing, N, M>(call, inputs)
        }
        _ => with::<B, NoCheckpointing, N, M>(call, inputs),
    }
}

fn with<B, C, const N: usize, const M: usize>(
    call: Call<N, M>,
    inputs: [DispatchTensor; N],
) -> Result<[DispatchTensor; M], Error>
where
    B: Backend,
    C: CheckpointStrategy,
    DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B, C>>,
{
    let inputs = inputs.map(|input| {
        if input.autodiff == DispatchAutodiffContext::Disabled {
            let plain = into_backend::<B>(input).expect("the inputs are on one device");
            <Autodiff<B, C> as AutodiffBackend>::from_inner(plain)
        } else {
            into_backend::<Autodiff<B, C>>(input).expect("the inputs are on one device")
        }
    });
    let outputs = crate::differentiate::<B, C, Routed<N, M>, N, M>(Routed(call), inputs);
    Ok(outputs.map(|output| {
        <DispatchTensor as DispatchKindConversion<Autodiff<B, C>>>::from_backend(
            BackendTensor::Float(output),
        )
    }))
}

fn into_backend<B: Backend>(
    tensor: DispatchTensor,
) -> Result<burn::backend::tensor::FloatTensor<B>, String>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    <DispatchTensor as DispatchKindConversion<B>>::try_into_backend(tensor)
        .map(BackendTensor::float)
}

/// A call as a rule of one backend.
#[derive(Debug, Clone)]
struct Routed<const N: usize, const M: usize>(Call<N, M>);

impl<const N: usize, const M: usize> Routed<N, M> {
    /// A tensor that came out of the function's body.
    fn lower<B: Backend>(&self, part: &'static str, var: Var) -> Var<B>
    where
        DispatchTensor: DispatchKindConversion<B>,
    {
        crate::record::refuse_leak(&self.0.name, part, &var);
        let origin = var.origin();
        let tensor = var.into_raw();
        let got = tensor.device();
        // A constant of the autodiff device is a constant.
        let tensor = if is_tracked(&tensor) { tensor } else { without_autodiff(tensor) };
        match into_backend::<B>(tensor) {
            Ok(tensor) => Var::with_origin(tensor, origin),
            Err(_) => panic!(
                "{}",
                Error::new(
                    ErrorKind::Contract,
                    self.0.name.clone(),
                    part,
                    format!(
                        "tensors of the inputs' device without autodiff ({}); a tensor that is \
                         tracked has to be an input, not a field",
                        std::any::type_name::<B>()
                    ),
                    format!("{got:?}"),
                )
            ),
        }
    }

    fn lift<B: Backend>(tensor: burn::backend::tensor::FloatTensor<B>) -> DispatchTensor
    where
        DispatchTensor: DispatchKindConversion<B>,
    {
        <DispatchTensor as DispatchKindConversion<B>>::from_backend(BackendTensor::Float(tensor))
    }
}

impl<B, const N: usize, const M: usize> Rule<B, N, M> for Routed<N, M>
where
    B: Backend,
    DispatchTensor: DispatchKindConversion<B>,
{
    fn name(&self) -> Cow<'static, str> {
        self.0.name.clone()
    }

    fn recomputes(&self) -> bool {
        self.0.body.recomputes()
    }

    fn differentiable(&self, output: usize) -> bool {
        self.0.body.differentiable(output)
    }

    fn place(&self) -> Option<&'static Location<'static>> {
        Some(self.0.place)
    }

    fn forward(&self, ctx: &mut Context<B>, inputs: [Var<B>; N]) -> [Var<B>; M] {
        // Nothing is kept for a graph that needs nothing.
        let needs = self.0.needs.filter(|_| ctx.tracked());
        let mut context = match needs {
            Some(needs) => Context::new(needs),
            None => Context::new(ctx.needs.iter().copied()),
        };
        let inputs = Var::inputs(inputs.map(|input| Self::lift::<B>(input.into_raw())));
        let outputs = {
            let _graph = OnGraph::enter();
            self.0.body.forward(&mut context, self.0.given(inputs))
        };
        if let Some(report) = &self.0.kept {
            let kind = |kept: &Var| match kept.origin() {
                Origin::Input(index) => Kept::Input(index),
                // An output without derivative is a constant to Burn's graph, like an intermediate.
                origin => (0..M)
                    .find(|&output| {
                        outputs[output].origin() == origin && self.0.body.differentiable(output)
                    })
                    .map_or_else(|| Kept::Intermediate(Box::new(kept.raw().clone())), Kept::Output),
            };
            *report.lock().unwrap_or_else(PoisonError::into_inner) =
                context.kept.iter().map(kind).collect();
        }
        ctx.kept.extend(context.kept.into_iter().map(|kept| self.lower("saved tensors", kept)));
        outputs.map(|output| self.lower("outputs", output))
    }

    fn backward(&self, ctx: Saved<B>, grads: [Var<B>; M]) -> [Option<Var<B>>; N] {
        self.backward_partial(ctx, grads.map(Some))
    }

    fn backward_partial(&self, ctx: Saved<B>, grads: [Option<Var<B>>; M]) -> [Option<Var<B>>; N] {
        // The device of a plain tensor, under its run-time name. All tensors live on one.
        let first = &ctx.metas.inputs[0];
        let probe = B::float_empty([0].into(), &first.device, first.dtype.into());
        let device = Self::lift::<B>(probe).device();
        let chosen = |metas: &Few<Meta<B>>| {
            let chosen = |meta: &Meta<B>| Meta::<Dispatch> {
                shape: meta.shape.clone(),
                dtype: meta.dtype,
                device: device.clone(),
            };
            metas.iter().map(chosen).collect()
        };
        let saved = Saved::<Dispatch> {
            name: ctx.name,
            needs: self.0.needs.map_or(ctx.needs, |needs| needs.into_iter().collect()),
            metas: Arc::new(Metas {
                inputs: chosen(&ctx.metas.inputs),
                outputs: chosen(&ctx.metas.outputs),
            }),
            tensors: ctx
                .tensors
                .into_iter()
                .map(|var| {
                    let origin = var.origin();
                    Var::with_origin(Self::lift::<B>(var.into_raw()), origin)
                })
                .collect(),
        };
        let grads = grads.map(|grad| grad.map(|grad| Var::new(Self::lift::<B>(grad.into_raw()))));
        let _graph = OnGraph::enter();
        let _watched = crate::watchdog::backward(saved.name.clone());
        let found = self.0.body.backward(saved, grads);
        found.map(|grad| grad.map(|grad| self.lower("gradients", grad)))
    }
}
