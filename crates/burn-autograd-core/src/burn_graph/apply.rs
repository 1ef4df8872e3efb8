//! A function on Burn's graph: the backend of its tensors, which Burn chose at run time, and the
//! function as a rule of that backend.

use std::borrow::Cow;
use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, BackendTensor, Dispatch, DispatchAutodiffContext,
    DispatchKindConversion, DispatchTensor, TensorMetadata,
};
use burn::tensor::GradientCheckpointingStrategy;
use burn_autodiff::checkpoint::strategy::{
    BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
};

use super::{on_backend, watchdog};
use crate::call::Call;
use crate::rule::{Meta, Metas};
use crate::scope::Scope;
use crate::tape::Few;
use crate::{Context, Error, ErrorKind, Rule, Saved, Var};

/// Refuses a device whose backend is not among the features of this build.
pub(super) fn unknown_backend(name: Cow<'static, str>, tensor: &DispatchTensor) -> Error {
    Error::new(
        ErrorKind::Device,
        name,
        "inputs",
        "an autodiff device of a backend that burn-autograd is built with (features flex, \
         ndarray, wgpu, vulkan, metal, webgpu, cuda, rocm, remote)",
        format!("{:?}", tensor.device()),
    )
}

/// Runs a call on Burn's graph.
pub(crate) fn record<const N: usize, const M: usize>(
    call: Call<N, M>,
    inputs: [DispatchTensor; N],
    context: DispatchAutodiffContext,
) -> Result<[DispatchTensor; M], Error> {
    let disabled = DispatchAutodiffContext::Disabled;
    let device = inputs.iter().find(|input| input.autodiff != disabled).unwrap_or(&inputs[0]);
    on_backend!(
        device,
        B => Ok(match context {
            DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Balanced) => {
                with::<B, BalancedCheckpointing, N, M>(call, inputs)
            }
            _ => with::<B, NoCheckpointing, N, M>(call, inputs),
        }),
        else Err(unknown_backend(call.name, device))
    )
}

fn with<B, C, const N: usize, const M: usize>(
    call: Call<N, M>,
    inputs: [DispatchTensor; N],
) -> [DispatchTensor; M]
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
    let place = Some(call.place);
    let outputs = super::step::record::<B, C, Routed<N, M>, N, M>(Routed(call), inputs, place);
    outputs.map(from_backend::<Autodiff<B, C>>)
}

pub(super) fn from_backend<B: Backend>(tensor: FloatTensor<B>) -> DispatchTensor
where
    DispatchTensor: DispatchKindConversion<B>,
{
    <DispatchTensor as DispatchKindConversion<B>>::from_backend(BackendTensor::Float(tensor))
}

pub(super) fn into_backend<B: Backend>(tensor: DispatchTensor) -> Result<FloatTensor<B>, String>
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
        match into_backend::<B>(tensor) {
            Ok(tensor) => Var::with_origin(tensor, origin),
            Err(_) => panic!(
                "{}",
                Error::new(
                    ErrorKind::Contract,
                    self.0.name.clone(),
                    part,
                    format!("tensors of the inputs' device ({})", std::any::type_name::<B>()),
                    format!("{got:?}"),
                )
            ),
        }
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

    fn forward(&self, ctx: &mut Context<B>, inputs: [Var<B>; N]) -> [Var<B>; M] {
        let mut context = Context::new(ctx.needs.iter().copied());
        let inputs = Var::inputs(inputs.map(|input| from_backend::<B>(input.into_raw())));
        let outputs = {
            let _graph = Scope::on_graph();
            Rule::forward(&self.0, &mut context, inputs)
        };
        ctx.slots = context.slots;
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
        let device = from_backend::<B>(probe).device();
        let chosen = |metas: &Few<Meta<B>>| {
            let chosen = |meta: &Meta<B>| Meta::<Dispatch> {
                shape: meta.shape.clone(),
                dtype: meta.dtype,
                device: device.clone(),
            };
            metas.iter().map(chosen).collect()
        };
        let lift = |var: Var<B>| {
            let origin = var.origin();
            Var::with_origin(from_backend::<B>(var.into_raw()), origin)
        };
        let saved = Saved::<Dispatch> {
            name: ctx.name,
            needs: ctx.needs,
            needed: ctx.needed,
            metas: Arc::new(Metas {
                inputs: chosen(&ctx.metas.inputs),
                outputs: chosen(&ctx.metas.outputs),
            }),
            tensors: ctx.tensors.into_iter().map(lift).collect(),
            slots: ctx.slots,
            for_kernel: Few::new(),
        };
        let grads = grads.map(|grad| grad.map(lift));
        let _graph = Scope::on_graph();
        let _watched = watchdog::backward(saved.name.clone());
        let found = Rule::backward_partial(&self.0, saved, grads);
        found.map(|grad| grad.map(|grad| self.lower("gradients", grad)))
    }
}
