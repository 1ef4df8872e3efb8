use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata};

use crate::tape::Few;
use crate::{Error, ErrorKind, Var};

/// A differentiable operation on one backend: `N` tensors in, `M` tensors out.
///
/// A [`Function`](crate::Function) is a rule for every backend. Implement `Rule` itself where the
/// bodies need more of the backend than Burn's own operations, for example kernels behind an
/// extension trait: `impl<B: MyOps> Rule<B, 1> for MyOp`. Parameters that are not tensors are
/// fields of the implementing type.
///
/// # Contract
///
/// - `backward` returns, for each input, the gradient of `Σᵢ ⟨grads[i], outputs[i]⟩`, with exactly
///   the input's shape and data type. A gradient of another shape is an error, never summed
///   silently; [`Var::reduce_to`] undoes a broadcast. `None` says that no output depends on the
///   input.
/// - The gradient of an input for which [`Saved::needs`] is false is dropped; don't compute it.
/// - `backward` is made of differentiable operations, so that it can be differentiated again. Where
///   no derivative of the gradient is wanted, `backward_kernel` runs in its place.
pub trait Rule<B: Backend, const N: usize, const M: usize = 1>:
    Debug + Clone + Send + Sync + 'static
{
    /// The name that errors use; by default that of the type.
    fn name(&self) -> Cow<'static, str> {
        short_type_name::<Self>().into()
    }

    /// Whether `forward` is cheap enough to be run again instead of keeping its output, where the
    /// device checkpoints gradients. False by default. Has an effect on rules with one output.
    fn recomputes(&self) -> bool {
        false
    }

    /// Whether the backward has no derivative of its own; false by default. A second derivative is
    /// then an error that names the rule. The counterpart of
    /// `torch.autograd.function.once_differentiable`.
    fn once_differentiable(&self) -> bool {
        false
    }

    /// Whether this output has a derivative; true by default. For an output that has none (a count,
    /// an index, a mask) no gradient arrives: `None`, or zeros.
    fn differentiable(&self, output: usize) -> bool {
        let _ = output;
        true
    }

    /// The outputs. What the backward needs is given to [`Context::save`].
    fn forward(&self, ctx: &mut Context<B>, inputs: [Var<B>; N]) -> [Var<B>; M];

    /// The gradient of every input, from the gradient of every output.
    fn backward(&self, ctx: Saved<B>, grads: [Var<B>; M]) -> [Option<Var<B>>; N];

    /// The same where some outputs were not used: their gradient is `None`.
    ///
    /// By default these become zeros and [`backward`](Self::backward) is called. Override it to
    /// save the work.
    fn backward_partial(&self, ctx: Saved<B>, grads: [Option<Var<B>>; M]) -> [Option<Var<B>>; N] {
        let grads = ctx.or_zeros(grads);
        self.backward(ctx, grads)
    }

    /// The same values where nobody asks for their derivative: kernels may compute them. The
    /// saved tensors and the gradients are constants here.
    ///
    /// By default [`backward_partial`](Self::backward_partial) is called.
    fn backward_kernel(&self, ctx: Saved<B>, grads: [Option<Var<B>>; M]) -> [Option<Var<B>>; N] {
        self.backward_partial(ctx, grads)
    }
}

pub(crate) fn short_type_name<T: ?Sized>() -> &'static str {
    let name = std::any::type_name::<T>();
    let base = name.split('<').next().unwrap_or(name);
    // A search for one character: this runs whenever a function is applied.
    base.rsplit(':').next().unwrap_or(base)
}

/// What the forward of a [`Rule`] is told, and where it leaves what its backward needs.
#[derive(Debug)]
pub struct Context<B: Backend = Dispatch> {
    pub(crate) needs: Few<bool>,
    /// Inputs, outputs and intermediates, told apart by their origin.
    pub(crate) kept: Few<Var<B>>,
    /// For each tensor that was handed over, whether it is there.
    pub(crate) slots: Few<bool>,
    pub(crate) for_kernel: Few<FloatTensor<B>>,
}

impl<B: Backend> Context<B> {
    pub(crate) fn new(needs: impl IntoIterator<Item = bool>) -> Self {
        let needs = needs.into_iter().collect();
        Self { needs, kept: Few::new(), slots: Few::new(), for_kernel: Few::new() }
    }

    /// Keeps tensors for the backward, which finds them in this order in [`Saved::tensors`]; a
    /// second call adds to them.
    ///
    /// Inputs, outputs and intermediates may be kept. Where the device checkpoints gradients, an input
    /// goes through Burn's checkpointer, so it may be recomputed instead of being held; anything else is
    /// held. Nothing is kept when no gradient will be computed.
    ///
    /// A second derivative sees through all of them. Where one is asked for, the forward runs a second
    /// time, once, to find an intermediate as a function of the inputs; so it does for an output
    /// without derivative. An intermediate that does not depend on the inputs, like a random mask, stays
    /// what was kept. One that does has to come out the same, or the derivative would be that of a
    /// different draw: in a [`Function`](crate::Function) the two are compared, up to roundings, and a
    /// difference is an error. The comparison waits for the device.
    pub fn save<const K: usize>(&mut self, tensors: [&Var<B>; K]) {
        self.save_optional(tensors.map(Some));
    }

    /// [`save`](Self::save) of tensors some of which are not needed, like a factor whose partner needs
    /// no gradient. The backward finds them at the same places with [`Saved::optional_tensors`].
    pub fn save_optional<const K: usize>(&mut self, tensors: [Option<&Var<B>>; K]) {
        if self.tracked() {
            self.slots.extend(tensors.iter().map(Option::is_some));
            self.kept.extend(tensors.into_iter().flatten().cloned());
        }
    }

    /// Keeps tensors for [`Rule::backward_kernel`] alone, which finds them with
    /// [`Saved::for_kernel`]: results of the kernel that `backward` does without.
    pub fn save_for_kernel<const K: usize>(&mut self, tensors: [&FloatTensor<B>; K]) {
        if self.tracked() {
            self.for_kernel.extend(tensors.into_iter().cloned());
        }
    }

    /// Whether the gradient of input `index` will be needed.
    pub fn needs(&self, index: usize) -> bool {
        self.needs[index]
    }

    /// Whether any gradient will be needed.
    pub fn tracked(&self) -> bool {
        self.needs.contains(&true)
    }
}

/// Shape, data type and device of a tensor.
#[derive(Debug)]
pub(crate) struct Meta<B: Backend> {
    pub(crate) shape: burn::tensor::Shape,
    pub(crate) dtype: burn::tensor::DType,
    pub(crate) device: burn::backend::tensor::Device<B>,
}

/// Of the inputs and the outputs of one application.
#[derive(Debug)]
pub(crate) struct Metas<B: Backend> {
    pub(crate) inputs: Few<Meta<B>>,
    pub(crate) outputs: Few<Meta<B>>,
}

impl<B: Backend> Meta<B> {
    pub(crate) fn of(tensor: &FloatTensor<B>) -> Self {
        Self { shape: tensor.shape(), dtype: tensor.dtype(), device: tensor.device() }
    }
}

/// What the backward of a [`Rule`] finds: the saved tensors, and which gradients are needed.
#[derive(Debug)]
pub struct Saved<B: Backend = Dispatch> {
    pub(crate) name: Cow<'static, str>,
    /// What this pass wants.
    pub(crate) needs: Few<bool>,
    /// What the forward was told.
    pub(crate) needed: Few<bool>,
    pub(crate) tensors: Few<Var<B>>,
    pub(crate) slots: Few<bool>,
    pub(crate) for_kernel: Few<FloatTensor<B>>,
    pub(crate) metas: Arc<Metas<B>>,
}

impl<B: Backend> Saved<B> {
    /// The tensors given to [`Context::save`], in that order.
    ///
    /// # Panics
    ///
    /// If the number asked for is not the number saved.
    pub fn tensors<const K: usize>(&self) -> [Var<B>; K] {
        if self.tensors.len() != K {
            self.refuse_number(K);
        }
        std::array::from_fn(|index| self.tensors[index].clone())
    }

    /// The same as [`tensors`](Self::tensors), giving up the context's hold on them, so that a
    /// kernel may write into a buffer that nobody else uses.
    ///
    /// # Panics
    ///
    /// If the number asked for is not the number saved.
    pub fn into_tensors<const K: usize>(self) -> [Var<B>; K] {
        if self.tensors.len() != K {
            self.refuse_number(K);
        }
        let mut tensors = self.tensors.into_iter();
        std::array::from_fn(|_| tensors.next().expect("they were counted"))
    }

    /// The tensors given to [`Context::save_optional`], each at its place.
    ///
    /// # Panics
    ///
    /// If the number asked for is not the number of places.
    pub fn optional_tensors<const K: usize>(self) -> [Option<Var<B>>; K] {
        if self.slots.len() != K {
            self.refuse_number(K);
        }
        let mut tensors = self.tensors.into_iter();
        std::array::from_fn(|index| if self.slots[index] { tensors.next() } else { None })
    }

    /// All saved tensors, for a forward that saves a different number from case to case. What it saved
    /// may depend on [`needed`](Self::needed), not on what this pass [needs](Self::needs).
    pub fn into_all_tensors(self) -> Vec<Var<B>> {
        self.tensors.into_vec()
    }

    fn refuse_number(&self, asked: usize) -> ! {
        panic!(
            "{}: the backward asks for {asked} saved tensors, the forward saved {}",
            self.name,
            self.tensors.len()
        )
    }

    /// The tensors given to [`Context::save_for_kernel`], in that order.
    ///
    /// # Panics
    ///
    /// If the number asked for is not the number saved; and in `backward`, where there are none.
    pub fn for_kernel<const K: usize>(&mut self) -> [FloatTensor<B>; K] {
        let mut tensors = std::mem::take(&mut self.for_kernel).into_iter();
        std::array::from_fn(|_| {
            tensors.next().unwrap_or_else(|| {
                panic!("{}: fewer than {K} tensors are saved for the kernel", self.name)
            })
        })
    }

    /// Whether this pass wants the gradient of input `index`. It may want fewer than the forward was
    /// told of: see [`needed`](Self::needed).
    pub fn needs(&self, index: usize) -> bool {
        self.needs[index]
    }

    /// What [`Context::needs`] was when the forward ran: what the forward saved may depend on it.
    pub fn needed(&self, index: usize) -> bool {
        self.needed[index]
    }

    /// The shape of input `index`, saved or not: the shape that its gradient must have.
    pub fn input_shape(&self, index: usize) -> &burn::tensor::Shape {
        &self.metas.inputs[index].shape
    }

    /// Puts zeros, like the output, in the place of a gradient that is not there.
    pub fn or_zeros<const M: usize>(&self, grads: [Option<Var<B>>; M]) -> [Var<B>; M] {
        let mut outputs = self.metas.outputs.iter();
        grads.map(|grad| {
            let output = outputs.next();
            grad.or_else(|| {
                let Meta { shape, dtype, device } = output?;
                Some(Var::new(B::float_zeros(shape.clone(), device, (*dtype).into())))
            })
            .unwrap_or_else(|| panic!("{}: there are fewer outputs than gradients", self.name))
        })
    }
}

/// Checks a gradient against its input.
pub(crate) fn check_gradient<B: Backend>(
    name: &str,
    index: usize,
    input: &Meta<B>,
    grad: &FloatTensor<B>,
) -> Result<(), Error> {
    let error = |kind, expected, got| {
        let argument = format!("gradient of input {index}");
        Err(Error::new(kind, name.to_owned(), argument, expected, got))
    };
    if grad.shape() != input.shape {
        let expected = format!("the input's shape {:?}", input.shape.to_vec());
        return error(ErrorKind::Shape, expected, format!("{:?}", grad.shape().to_vec()));
    }
    if grad.dtype() != input.dtype {
        let expected = format!("the input's data type {:?}", input.dtype);
        return error(ErrorKind::DType, expected, format!("{:?}", grad.dtype()));
    }
    if grad.device() != input.device {
        let expected = format!("the input's device {:?}", input.device);
        return error(ErrorKind::Device, expected, format!("{:?}", grad.device()));
    }
    Ok(())
}
