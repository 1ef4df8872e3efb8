//! Runs a rule on variables that are being differentiated.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::DType;

use crate::rule::{Meta, Metas, check_gradient};
use crate::scope::{self, Scope};
use crate::tape::{self, Edge, Few};
use crate::var::{Origin, joint};
use crate::{Context, Error, ErrorKind, Rule, Saved, Var};

/// Applies a rule to variables, as any operation on [`Var`]s: recorded with the rule's own backward
/// where one of the variables is being differentiated, and otherwise only run.
///
/// This is how an operation with kernels is used inside the functions that are given to
/// [`grad`](crate::grad) and the other transforms.
#[track_caller]
pub fn apply_rule<B, R, const N: usize, const M: usize>(
    rule: &R,
    inputs: [Var<B>; N],
) -> [Var<B>; M]
where
    B: Backend,
    R: Rule<B, N, M>,
{
    let outputs = apply(Fixed(rule.clone()), inputs.into_iter().collect(), false);
    array(outputs)
}

pub(crate) fn array<T, const N: usize>(list: Few<T>) -> [T; N] {
    let mut list = list.into_iter();
    std::array::from_fn(|_| list.next().expect("a rule has as many as its type says"))
}

/// What is recorded on the tape: a rule, whatever the number of its inputs and outputs.
pub(crate) trait Recordable<B: Backend>: Debug + Send + Sync + 'static {
    fn name(&self) -> Cow<'static, str>;
    fn once_differentiable(&self) -> bool;
    fn differentiable(&self, output: usize) -> bool;
    fn forward(&self, ctx: &mut Context<B>, inputs: Few<Var<B>>) -> Few<Var<B>>;
    fn backward(&self, ctx: Saved<B>, grads: Few<Option<Var<B>>>) -> Few<Option<Var<B>>>;
    /// The same where nobody differentiates the gradients.
    fn backward_kernel(&self, ctx: Saved<B>, grads: Few<Option<Var<B>>>) -> Few<Option<Var<B>>>;
}

#[derive(Debug)]
pub(crate) struct Fixed<R, const N: usize, const M: usize>(pub(crate) R);

impl<B: Backend, R: Rule<B, N, M>, const N: usize, const M: usize> Recordable<B>
    for Fixed<R, N, M>
{
    fn name(&self) -> Cow<'static, str> {
        self.0.name()
    }

    fn once_differentiable(&self) -> bool {
        self.0.once_differentiable()
    }

    fn differentiable(&self, output: usize) -> bool {
        self.0.differentiable(output)
    }

    fn forward(&self, ctx: &mut Context<B>, inputs: Few<Var<B>>) -> Few<Var<B>> {
        self.0.forward(ctx, array(inputs)).into_iter().collect()
    }

    fn backward(&self, ctx: Saved<B>, grads: Few<Option<Var<B>>>) -> Few<Option<Var<B>>> {
        self.0.backward_partial(ctx, array(grads)).into_iter().collect()
    }

    fn backward_kernel(&self, ctx: Saved<B>, grads: Few<Option<Var<B>>>) -> Few<Option<Var<B>>> {
        self.0.backward_kernel(ctx, array(grads)).into_iter().collect()
    }
}

/// Applies what can be recorded. With `compare` a second run of the forward has to compute what the first
/// one did; a rule with kernels may compute it differently.
#[track_caller]
pub(crate) fn apply<B: Backend>(
    rule: impl Recordable<B>,
    inputs: Few<Var<B>>,
    compare: bool,
) -> Few<Var<B>> {
    let bare = inputs.iter().enumerate().map(|(index, input)| input.as_input(index)).collect();
    let needs: Few<bool> = inputs.iter().map(Var::is_recorded).collect();
    let recorded = needs.contains(&true);
    let autodiff = joint(&inputs);
    let mut context = Context::new(needs);
    let outputs = rule.forward(&mut context, bare);
    for output in &outputs {
        refuse_leak(&rule.name(), "forward", output);
    }
    if !recorded {
        let renewed = |output: Var<B>| Var::new(output.into_raw()).renewed(autodiff);
        return outputs.into_iter().map(renewed).collect();
    }

    let parents = inputs.iter().map(|input| input.edge().cloned()).collect();
    let differentiable: Few<bool> =
        (0..outputs.len()).map(|output| rule.differentiable(output)).collect();
    let name = rule.name();
    let recorded = Recorded::new(Box::new(rule), inputs, context, &outputs, compare);
    let count = outputs.len();
    let edge = Edge::operation(name, parents, count, move |arrived| recorded.backward(arrived));
    let place = |(index, output): (usize, Var<B>)| {
        let output = output.renewed(autodiff);
        if !differentiable[index] {
            return output;
        }
        output.at(Edge { node: edge.node.clone(), output: index })
    };
    outputs.into_iter().enumerate().map(place).collect()
}

/// A body gets constants, and gives constants: what it is, its rule says. Anything else comes from a
/// variable that it captured, whose derivative would be lost.
#[track_caller]
pub(crate) fn refuse_leak<B: Backend>(name: &str, part: &'static str, var: &Var<B>) {
    if var.edge().is_some() {
        Error::new(
            ErrorKind::Contract,
            name.to_owned(),
            part,
            "results computed from the arguments alone; a tensor that is tracked has to be an \
             argument, not a field",
            format!(
                "one computed, by {:?}, from another variable that is being differentiated",
                var.operation().unwrap_or_default()
            ),
        )
        .raise();
    }
}

/// What a tensor that a forward saved is to the rule.
#[derive(Debug, Clone)]
pub(crate) enum Kept<B: Backend> {
    Input(usize),
    /// One that has a derivative.
    Output(usize, Var<B>),
    Intermediate(Var<B>),
}

impl<B: Backend> Kept<B> {
    pub(crate) fn of(
        saved: Few<Var<B>>,
        outputs: &[Var<B>],
        differentiable: impl Fn(usize) -> bool,
    ) -> Few<Self> {
        let kind = |saved: Var<B>| match saved.origin() {
            Origin::Input(index) => Self::Input(index),
            // An output without derivative has no place on the tape. To a second derivative it is
            // an intermediate.
            origin => match (0..outputs.len())
                .find(|&output| outputs[output].origin() == origin && differentiable(output))
            {
                Some(output) => Self::Output(output, saved),
                None => Self::Intermediate(saved),
            },
        };
        // The tape must not hold itself.
        saved.into_iter().map(Var::unplaced).map(kind).collect()
    }
}

/// What the backward of a recorded rule needs.
#[derive(Debug)]
struct Recorded<B: Backend> {
    rule: Box<dyn Recordable<B>>,
    name: Cow<'static, str>,
    /// The inputs that are kept, or are needed to compute an intermediate again.
    inputs: Few<Option<Var<B>>>,
    needed: Few<bool>,
    kept: Few<Kept<B>>,
    slots: Few<bool>,
    for_kernel: Few<FloatTensor<B>>,
    metas: Arc<Metas<B>>,
    compare: bool,
    /// The kept tensors as functions of the inputs, once a second derivative has asked for them.
    again: OnceLock<Few<Var<B>>>,
}

impl<B: Backend> Recorded<B> {
    fn new(
        rule: Box<dyn Recordable<B>>,
        inputs: Few<Var<B>>,
        context: Context<B>,
        outputs: &[Var<B>],
        compare: bool,
    ) -> Self {
        let kept = Kept::of(context.kept, outputs, |output| rule.differentiable(output));
        let all = kept.iter().any(|kept| matches!(kept, Kept::Intermediate(_)));
        let holds =
            |index| all || kept.iter().any(|kept| matches!(kept, Kept::Input(i) if *i == index));
        Self {
            name: rule.name(),
            metas: Arc::new(Metas {
                inputs: inputs.iter().map(|input| Meta::of(input.raw())).collect(),
                outputs: outputs.iter().map(|output| Meta::of(output.raw())).collect(),
            }),
            inputs: inputs
                .into_iter()
                .enumerate()
                .map(|(index, input)| holds(index).then_some(input))
                .collect(),
            rule,
            needed: context.needs,
            kept,
            slots: context.slots,
            for_kernel: context.for_kernel,
            compare,
            again: OnceLock::new(),
        }
    }

    fn backward(&self, mut arrived: tape::Arrived<'_, B>) -> Result<Few<Option<Var<B>>>, Error> {
        let recording = scope::recording();
        let once = recording && self.rule.once_differentiable();
        let differentiated = recording && !once;
        let incoming_edges: Few<_> = match once {
            true => {
                arrived.grads.iter().flatten().filter_map(|grad| grad.edge().cloned()).collect()
            }
            false => Few::new(),
        };
        // Where no second derivative will be asked for, the rule gets constants, and its body may
        // record and differentiate on its own.
        let strip = |var: Var<B>| if differentiated { var } else { var.unplaced() };
        // A kept intermediate would silently be a constant to a second derivative, which would be
        // wrong.
        let intermediates = self.kept.iter().any(|kept| matches!(kept, Kept::Intermediate(_)));
        let again = match differentiated && intermediates {
            true => self.run_again()?,
            false => &[],
        };
        let tensor = |(position, kept): (usize, &Kept<B>)| match kept {
            Kept::Input(index) => {
                let input = self.inputs[*index].as_ref().expect("a kept input is held");
                input.as_placed_input(*index)
            }
            Kept::Output(index, kept) => arrived.output(*index, kept),
            Kept::Intermediate(kept) => match again.get(position) {
                Some(again) if again.edge().is_some() => again.clone(),
                _ => kept.clone(),
            },
        };
        let tensors: Few<_> = self.kept.iter().enumerate().map(tensor).map(strip).collect();
        // The body owns its gradients, and may write into them.
        let incoming: Few<_> =
            std::mem::take(&mut arrived.grads).into_iter().map(|grad| grad.map(strip)).collect();
        let placed = |var: &Var<B>| var.edge().is_some();
        let kernel = !tensors.iter().any(placed) && !incoming.iter().flatten().any(placed);
        let saved = Saved {
            name: self.name.clone(),
            needs: arrived.needs.iter().copied().collect(),
            needed: self.needed.clone(),
            tensors,
            slots: self.slots.clone(),
            for_kernel: if kernel { self.for_kernel.clone() } else { Few::new() },
            metas: self.metas.clone(),
        };
        let found = {
            let _body = Scope::body(self.name.clone(), "backward");
            let _on = Scope::recording(true);
            match kernel {
                true => self.rule.backward_kernel(saved, incoming),
                false => self.rule.backward(saved, incoming),
            }
        };
        if found.len() != self.inputs.len() {
            return Err(Error::new(
                ErrorKind::Contract,
                self.name.clone(),
                "gradients",
                format!("one for each of the {} inputs, or None", self.inputs.len()),
                format!("{}", found.len()),
            ));
        }
        if !differentiated {
            found.iter().flatten().for_each(|grad| refuse_leak(&self.name, "backward", grad));
        }

        let mut passed = Few::with_capacity(found.len());
        for (index, grad) in found.into_iter().enumerate() {
            let Some(grad) = grad.filter(|_| arrived.needs[index]) else {
                passed.push(None);
                continue;
            };
            check_gradient::<B>(&self.name, index, &self.metas.inputs[index], grad.raw())?;
            passed.push(Some(if once {
                self.refuse_second(grad, &incoming_edges, &arrived)
            } else {
                grad
            }));
        }
        Ok(passed)
    }

    /// The kept tensors as functions of the inputs, from another run of the forward.
    fn run_again(&self) -> Result<&[Var<B>], Error> {
        if let Some(known) = self.again.get() {
            return Ok(known);
        }
        let mut context = Context::new(self.needed.iter().copied());
        let held = |(index, input): (usize, &Option<Var<B>>)| {
            input.as_ref().expect("all inputs are held").as_placed_input(index)
        };
        let inputs = self.inputs.iter().enumerate().map(held).collect();
        let _body = Scope::body(self.name.clone(), "forward");
        self.rule.forward(&mut context, inputs);
        let tensors = context.kept;
        if tensors.len() != self.kept.len() {
            return Err(Error::new(
                ErrorKind::Contract,
                self.name.clone(),
                "forward",
                format!("the {} saved tensors of the first run", self.kept.len()),
                format!("{} in a second run with the same inputs", tensors.len()),
            ));
        }
        if self.compare {
            for (position, (kept, again)) in self.kept.iter().zip(&tensors).enumerate() {
                if let Kept::Intermediate(kept) = kept
                    && again.edge().is_some()
                {
                    self.check_again(position, kept.raw(), again)?;
                }
            }
        }
        Ok(self.again.get_or_init(|| tensors))
    }

    /// Refuses a tensor that came out as another one, as what is computed from random numbers does:
    /// its derivative would be that of another draw.
    ///
    /// One comparison on the device, of which two numbers are read.
    fn check_again(
        &self,
        position: usize,
        kept: &FloatTensor<B>,
        again: &Var<B>,
    ) -> Result<(), Error> {
        let refuse = |got: String| {
            Err(Error::new(
                ErrorKind::Contract,
                self.name.clone(),
                format!("saved tensor {position}"),
                "the value of the first run in a second one with the same inputs, which a second \
                 derivative needs (random numbers may be saved, but not what depends on them and on \
                 the inputs)",
                got,
            ))
        };
        let (shape, dtype) = (kept.shape(), kept.dtype());
        if again.shape() != shape {
            let shapes = (again.shape().to_vec(), shape.to_vec());
            return refuse(format!("the shape {:?}, at first {:?}", shapes.0, shapes.1));
        }
        if again.dtype() != dtype {
            return refuse(format!("the data type {:?}, at first {dtype:?}", again.dtype()));
        }
        if shape.num_elements() == 0 {
            return Ok(());
        }
        let (kept, again) = (kept.clone(), again.raw().clone());
        let largest = |tensor| B::float_max(B::float_abs(tensor));
        let difference = largest(B::float_sub(kept, again.clone()));
        let found = B::float_cat(vec![difference, largest(again)], 0);
        // A browser cannot wait for its device.
        let Some(Ok(found)) = burn::tensor::try_read_sync(B::float_into_data(found)) else {
            return Ok(());
        };
        let found: Vec<f64> = found.iter::<f64>().collect();
        let [difference, size] = found.as_slice() else { return Ok(()) };
        // NaN and infinity are let pass.
        let unit = match dtype {
            DType::F64 => f64::EPSILON,
            DType::F32 => f32::EPSILON.into(),
            DType::BF16 => 1.0 / 128.0,
            _ => 1.0 / 1024.0,
        };
        // The same operations on the same numbers. On a GPU they may be fused with other neighbours, and
        // rounded elsewhere, which a system with a condition of 10⁴ magnifies: the cube root leaves room
        // for that.
        let device = self.metas.inputs.first().map(|input| B::name(&input.device));
        let bound = match device.is_some_and(|name| name.contains("cubecl<")) {
            true => unit.cbrt(),
            false => 16.0 * unit,
        };
        if *difference > bound * size {
            return refuse(format!("one that is off by {difference:.1e}, of {size:.1e}"));
        }
        Ok(())
    }

    /// A gradient whose own derivative is an error that names the rule.
    fn refuse_second(
        &self,
        grad: Var<B>,
        incoming: &[Edge<B>],
        arrived: &tape::Arrived<'_, B>,
    ) -> Var<B> {
        let name = self.name.clone();
        let parents: Few<_> =
            incoming.iter().cloned().map(Some).chain(arrived.parents().iter().cloned()).collect();
        let label = format!("{}.once_differentiable", self.name);
        let edge = Edge::operation(label, parents, 1, move |_| {
            Err(Error::once_differentiable(name.clone()))
        });
        Var::placed(grad.into_raw(), edge)
    }
}
