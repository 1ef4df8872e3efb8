//! Runs a rule on variables that are being differentiated.

use std::borrow::Cow;
use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::DType;

use crate::rule::{Meta, Metas, check_gradient};
use crate::tape::{self, Edge, Few, Recording};
use crate::var::Origin;
use crate::{Context, Error, ErrorKind, Rule, Saved, Var};

/// Applies a rule to variables, as any operation on [`Var`]s: recorded with the rule's own backward
/// where one of the variables is being differentiated, and otherwise only run.
///
/// This is how an operation with kernels is used inside the functions that are given to
/// [`grad`](crate::grad) and the other transforms.
///
/// A second derivative goes through the body of the rule's backward: what that hands to a kernel has
/// to be a rule too, or be written in `Var` operations when
/// [`is_recorded`](Var::is_recorded) says so.
#[track_caller]
pub fn apply_rule<B, R, const N: usize, const M: usize>(
    rule: &R,
    inputs: [Var<B>; N],
) -> [Var<B>; M]
where
    B: Backend,
    R: Rule<B, N, M>,
{
    let mut index = 0;
    let bare = inputs.each_ref().map(|input| {
        index += 1;
        input.as_input(index - 1)
    });
    let needs = inputs.each_ref().map(Var::is_recorded);
    let mut context = Context::new(needs);
    let outputs = rule.forward(&mut context, bare);
    outputs.iter().for_each(|output| refuse_leak(&rule.name(), "forward", output));
    if !needs.contains(&true) {
        return outputs.map(|output| Var::new(output.into_raw()));
    }

    let recorded = Recorded::<B, R, N, M>::new(rule.clone(), &inputs, context, &outputs);
    let parents = inputs.iter().map(|input| input.edge().cloned()).collect();
    let edge = Edge::operation(rule.name(), parents, M, move |arrived| recorded.backward(arrived));
    let mut index = 0;
    outputs.map(|output| {
        index += 1;
        if !rule.differentiable(index - 1) {
            return output.constant();
        }
        output.at(Edge { node: edge.node.clone(), output: index - 1 })
    })
}

/// A body gets constants, and gives constants: what it is, its rule says. Anything else comes from a
/// variable that it captured, whose derivative would be lost.
pub(crate) fn refuse_leak<B: Backend>(name: &str, part: &'static str, var: &Var<B>) {
    if var.edge().is_some() {
        Error::new(
            ErrorKind::Contract,
            name.to_owned(),
            part,
            "results computed from the arguments alone",
            format!(
                "one computed, by {:?}, from another variable that is being differentiated",
                var.operation().unwrap_or_default()
            ),
        )
        .raise();
    }
}

/// One kept tensor, as the tape knows it.
#[derive(Debug)]
enum Stored<B: Backend> {
    Input(usize),
    /// One that has a derivative.
    Output(usize, Var<B>),
    /// With whether it has to be computed again in any case.
    Intermediate(Var<B>, bool),
}

/// What the backward of a recorded rule needs.
#[derive(Debug)]
struct Recorded<B: Backend, R, const N: usize, const M: usize> {
    rule: R,
    name: Cow<'static, str>,
    /// The inputs that are kept, or are needed to compute an intermediate again.
    inputs: [Option<Var<B>>; N],
    /// What the forward was told: what it kept may depend on it, so the backward is told the same.
    needs: Few<bool>,
    stored: Few<Stored<B>>,
    metas: Arc<Metas<B>>,
}

impl<B: Backend, R: Rule<B, N, M>, const N: usize, const M: usize> Recorded<B, R, N, M> {
    fn new(rule: R, inputs: &[Var<B>; N], context: Context<B>, outputs: &[Var<B>; M]) -> Self {
        let stored: Few<_> = context
            .kept
            .into_iter()
            // The tape must not hold itself.
            .map(Var::constant_like)
            .map(|kept| match kept.origin() {
                Origin::Input(index) => Stored::Input(index),
                Origin::Again => Stored::Intermediate(kept, true),
                // An output without derivative has no place on the tape. To a second derivative it is
                // an intermediate.
                origin => match (0..M).find(|&output| {
                    outputs[output].origin() == origin && rule.differentiable(output)
                }) {
                    Some(output) => Stored::Output(output, kept),
                    None => Stored::Intermediate(kept, false),
                },
            })
            .collect();
        let all = stored.iter().any(|stored| matches!(stored, Stored::Intermediate(..)));
        let kept = |index| {
            all || stored.iter().any(|stored| matches!(stored, Stored::Input(i) if *i == index))
        };
        Self {
            name: rule.name(),
            inputs: std::array::from_fn(|index| kept(index).then(|| inputs[index].clone())),
            metas: Arc::new(Metas {
                inputs: inputs.iter().map(|input| Meta::of(input.raw())).collect(),
                outputs: outputs.iter().map(|output| Meta::of(output.raw())).collect(),
            }),
            rule,
            needs: context.needs,
            stored,
        }
    }

    fn backward(&self, mut arrived: tape::Arrived<'_, B>) -> Result<Few<Option<Var<B>>>, Error> {
        let again = tape::recording();
        let once = again && self.rule.once_differentiable();
        let incoming_edges: Few<_> = match once {
            true => {
                arrived.grads.iter().flatten().filter_map(|grad| grad.edge().cloned()).collect()
            }
            false => Few::new(),
        };
        // Where no second derivative will be asked for, the rule gets constants, and its body may
        // record and differentiate on its own.
        let strip = |var: Var<B>| if again && !once { var } else { var.constant_like() };
        // A kept intermediate would be a constant to a second derivative, which would be wrong
        // without a word.
        let stale = |stored: &Stored<B>| match stored {
            Stored::Intermediate(_, always) => *always || (again && !once),
            _ => false,
        };
        let fresh = match self.stored.iter().any(stale) {
            true => self.run_again()?,
            false => Few::new(),
        };
        let tensor = |(position, stored): (usize, &Stored<B>)| match stored {
            Stored::Input(index) => {
                let input = self.inputs[*index].as_ref().expect("a kept input is held");
                input.as_placed_input(*index)
            }
            Stored::Output(index, kept) => arrived.output(*index, kept),
            Stored::Intermediate(kept, _) => match fresh.get(position) {
                Some(again) if self.depends(again) => again.clone(),
                _ => kept.constant(),
            },
        };
        let tensors = self.stored.iter().enumerate().map(tensor).map(strip).collect();
        let saved = Saved {
            name: self.name.clone(),
            needs: self.needs.clone(),
            tensors,
            metas: self.metas.clone(),
        };
        // The body owns its gradients, and may write into them.
        let mut incoming = std::mem::take(&mut arrived.grads).into_iter();
        let incoming = std::array::from_fn(|_| incoming.next().flatten().map(strip));
        let found = {
            let _name = tape::Within::enter(self.name.clone(), "backward");
            let _on = Recording::set(true);
            self.rule.backward_partial(saved, incoming)
        };
        if !again || once {
            found.iter().flatten().for_each(|grad| refuse_leak(&self.name, "backward", grad));
        }

        let mut passed = Few::with_capacity(N);
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
    fn run_again(&self) -> Result<Few<Var<B>>, Error> {
        let mut context = Context::new(self.needs.iter().copied());
        let mut index = 0;
        let inputs = self.inputs.each_ref().map(|input| {
            index += 1;
            input.as_ref().expect("all inputs are held").as_placed_input(index - 1)
        });
        let _name = tape::Within::enter(self.name.clone(), "forward");
        self.rule.forward_again(&mut context, inputs);
        let tensors = context.kept;
        if tensors.len() != self.stored.len() {
            return Err(Error::new(
                ErrorKind::Contract,
                self.name.clone(),
                "forward",
                format!("the {} saved tensors of the first run", self.stored.len()),
                format!("{} in a second run with the same inputs", tensors.len()),
            ));
        }
        if self.rule.repeats() {
            for (position, (stored, again)) in self.stored.iter().zip(&tensors).enumerate() {
                if let Stored::Intermediate(kept, _) = stored
                    && self.depends(again)
                {
                    self.check_again(position, kept.raw(), again)?;
                }
            }
        }
        Ok(tensors)
    }

    /// Whether something differentiates a kept tensor of the second run.
    fn depends(&self, again: &Var<B>) -> bool {
        again.edge().is_some() || self.rule.is_tracked_elsewhere(again.raw())
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
        let kept = Var::<B>::new(kept.clone()).detach().into_raw();
        let again = again.detach().into_raw();
        let largest = |tensor| B::float_max(B::float_abs(tensor));
        let difference = largest(B::float_sub(kept, again.clone()));
        let found = B::float_cat(vec![difference, largest(again)], 0);
        // A browser cannot wait for its device.
        let Some(Ok(found)) = burn::tensor::try_read_sync(B::float_into_data(found)) else {
            return Ok(());
        };
        let found: Vec<f64> = found.iter::<f64>().collect();
        let [difference, size] = found.as_slice() else { return Ok(()) };
        // The same kernel may sum in another order, or fuse with another one. The cube root of the
        // unit leaves room for that where it is magnified, as by a system with a condition of 10⁴ in
        // single precision; another draw is far beyond it. NaN and infinity are let pass.
        let unit = match dtype {
            DType::F64 => f64::EPSILON,
            DType::F32 => f32::EPSILON.into(),
            DType::BF16 => 1.0 / 128.0,
            _ => 1.0 / 1024.0,
        };
        if *difference > unit.cbrt() * size {
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
