//! Derivatives of functions of tensors.

use std::marker::PhantomData;
use std::panic::Location;

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchAutodiffContext};
use burn::tensor::{DType, Shape, Tensor, TensorData};

#[cfg(feature = "autodiff")]
use crate::burn_graph::leave;
use crate::gradient::{check_like, independent};
use crate::scope::{self, Scope};
use crate::tape::{self, Edge, Few, Sources, Sweep};
use crate::tensors::Position;
use crate::var::{Origin, joint};
use crate::{Error, ErrorKind, OrPanic as _, Tree, Var, Vars, check};

/// The transforms with errors instead of panics, and with options.
///
/// [`grad`], [`jacobian`] and the other free functions are the methods of the default one, which
/// panic with the error. A mistake in the function, like shapes that do not fit, is an error too.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Transform, Var};
///
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &Device::flex());
/// let f = |(x, _unused): (Var, Var)| x.powi(2).sum();
/// let error = Transform::new().strict().grad(f, (x.clone(), x.clone())).unwrap_err();
/// assert_eq!(error.argument(), "inputs[1]");
/// let (_, zeros) = Transform::new().grad(f, (x.clone(), x)).unwrap();
/// assert_eq!(zeros.to_data().try_to_vec::<f32>().unwrap(), [0.0, 0.0]);
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Transform {
    strict: bool,
    argnums: Option<Vec<usize>>,
    /// Mistakes in the function panic where they are made.
    panics: bool,
}

/// What a transform is called by, and where.
type Caller = (&'static str, &'static Location<'static>);

/// A function that was run on new variables.
struct Run<I: Tree> {
    operation: &'static str,
    strict: bool,
    leaves: I::Vars,
    list: Vec<Var>,
    /// The variables that derivatives are taken with respect to: their positions, and places.
    positions: Vec<usize>,
    wanted: Vec<Edge<Dispatch>>,
    autodiff: DispatchAutodiffContext,
    /// What is older than this was made outside of the function.
    mark: u64,
    /// Whether the function depends on what somebody outside may differentiate with respect to.
    captures: bool,
}

impl<I: Tree> Run<I> {
    fn new<V: Vars>(
        transform: &Transform,
        (operation, place): Caller,
        function: impl FnOnce(I::Vars) -> V,
        at: I,
    ) -> Result<(Self, V), Error> {
        let given = at.into_vars();
        let mut list = Vec::new();
        given.each(&mut |var| list.push(var.clone()));
        check::inputs(operation, list.iter().map(Var::raw).enumerate())?;
        let recording = scope::recording();
        let enter = |var: Var| match var.origin() {
            Origin::Value(0) => Var::new(var.into_raw()),
            _ if recording => var,
            _ => var.renewed_constant(),
        };
        let list: Vec<Var> = list.into_iter().map(enter).collect();
        let autodiff = joint(&list);
        let mark = tape::fresh();
        let (mut positions, mut wanted) = (Vec::new(), Vec::new());
        let mut leaf = |(position, var): (usize, Var)| {
            let chosen = transform.argnums.as_ref();
            if chosen.is_some_and(|chosen| !chosen.contains(&position)) {
                return var;
            }
            let edge = Edge::leaf_at(var.edge().cloned(), place);
            positions.push(position);
            wanted.push(edge.clone());
            var.at(edge)
        };
        let list: Vec<Var> = list.into_iter().enumerate().map(&mut leaf).collect();
        let mut vars = list.iter().cloned();
        let leaves = given.map(&mut |_| vars.next().expect("there is a variable for each input"));
        let argument = leaves.clone();
        let body = move || {
            let _on = Scope::recording(true);
            Ok(function(argument))
        };
        let found = if transform.panics { body() } else { scope::catching(body) };
        wanted.iter().for_each(Edge::close);
        let found = found?;
        let outputs = found.clone().into_vec();
        let captures = recording && Sources::of(&outputs).matter(mark);
        let strict = transform.strict;
        let run =
            Self { operation, strict, leaves, list, positions, wanted, autodiff, mark, captures };
        Ok((run, found))
    }

    fn refuse_many(&self, output: &Var) -> Result<(), Error> {
        if output.shape().num_elements() == 1 {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Shape,
            self.operation,
            "function",
            "a result of one element (sum it, or use vjp or jacobian)",
            format!("the shape {:?}", output.shape().to_vec()),
        ))
    }

    /// Gradients with respect to all inputs.
    fn pull(
        &self,
        outputs: &[Var],
        cotangents: Vec<Var>,
        record: bool,
        strict: bool,
    ) -> Result<Vec<Var>, Error> {
        let placed = outputs.iter().zip(cotangents);
        let placed = placed.filter_map(|(output, given)| Some((output.edge()?.clone(), given)));
        let (edges, cotangents): (Few<_>, Few<_>) = placed.unzip();
        self.pull_along(&Sweep::new(&edges, &self.wanted), cotangents, record, strict)
    }

    fn pull_along(
        &self,
        way: &Sweep<'_, Dispatch>,
        cotangents: Few<Var>,
        record: bool,
        strict: bool,
    ) -> Result<Vec<Var>, Error> {
        let found = way.run(cotangents, record)?;
        let mut grads: Vec<Option<Var>> = self.list.iter().map(|_| None).collect();
        for (position, grad) in self.positions.iter().zip(found) {
            if strict && grad.is_none() {
                return Err(independent(self.operation, *position));
            }
            grads[*position] = grad;
        }
        let filled = grads.into_iter().zip(&self.list);
        Ok(filled.map(|(grad, leaf)| grad.unwrap_or_else(|| leaf.zeros_like())).collect())
    }

    /// The gradients in the structure of the inputs.
    fn structure(&self, grads: Vec<Var>) -> I::Vars {
        let mut grads = grads.into_iter();
        self.leaves.clone().map(&mut |_| grads.next().expect("there is one for each input"))
    }

    /// Whether what is computed with these vectors has to stay on a tape.
    fn records(&self, vectors: &[Var]) -> bool {
        scope::recording() && (self.captures || vectors.iter().any(|vector| vector.is_recorded()))
    }

    /// Results in their structure, with the tensors among them as tensors.
    #[track_caller]
    fn leave<T: Tree>(&self, vars: T::Vars, record: bool) -> Result<T, Error> {
        let mut positions = Vec::new();
        T::positions(&vars, &mut positions);
        let list = vars.clone().into_vec();
        let mut tensors = Vec::new();
        for (index, (var, position)) in list.into_iter().zip(&positions).enumerate() {
            let Position::Tensor(rank) = position else { continue };
            if rank.is_some_and(|rank| rank != var.rank()) {
                return Err(Error::new(
                    ErrorKind::Shape,
                    self.operation,
                    format!("outputs[{index}]"),
                    format!("rank {}, as it is asked for", rank.unwrap_or_default()),
                    format!("the shape {:?}", var.shape().to_vec()),
                ));
            }
            tensors.push(if record { var } else { var.renewed_constant() });
        }
        if let Some(place) = Sources::of(&tensors).opened_before(self.mark) {
            return Err(Error::new(
                ErrorKind::Derivative,
                self.operation,
                "function",
                "a function of its arguments, of constants and of tracked tensors, or `Var`s as \
                 arguments, so that the results are `Var`s (Var::constant() holds a variable constant)",
                format!("one of another variable that is being differentiated, of {place}"),
            ));
        }
        let mut tensors = leave(self.operation, tensors, self.autodiff)?.into_iter();
        let mut positions = positions.into_iter();
        Ok(T::from_vars(vars.map(&mut |var| match positions.next() {
            Some(Position::Tensor(_)) => {
                Var::outside(tensors.next().expect("there is one for each tensor"))
            }
            _ if record => var,
            _ => var.renewed_constant(),
        })))
    }

    /// Vectors given by the caller, checked against what they belong to.
    fn alike<T: Tree>(
        &self,
        (argument, model): (&str, &'static str),
        vectors: T,
        models: &[Var],
    ) -> Result<Vec<Var>, Error> {
        let enter = |var: Var| match var.origin() {
            Origin::Value(0) => Var::new(var.into_raw()),
            _ => var,
        };
        let vectors: Vec<_> = vectors.into_vars().into_vec().into_iter().map(enter).collect();
        if vectors.len() != models.len() {
            return Err(Error::new(
                ErrorKind::Shape,
                self.operation,
                argument.to_owned(),
                format!("one for each {model}: {}", models.len()),
                format!("{}", vectors.len()),
            ));
        }
        for (index, (vector, like)) in vectors.iter().zip(models).enumerate() {
            check_like(self.operation, (argument, index), model, vector, like)?;
        }
        Ok(vectors)
    }
}

#[cfg(not(feature = "autodiff"))]
fn leave(
    _: &'static str,
    results: Vec<Var>,
    _: DispatchAutodiffContext,
) -> Result<Vec<burn::backend::DispatchTensor>, Error> {
    Ok(results.into_iter().map(Var::into_raw).collect())
}

impl Transform {
    /// The default: zeros where a function does not depend on an input.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses a function that does not depend on one of its inputs.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Differentiates with respect to the inputs at these positions alone, counted through the whole
    /// structure. The others are constants; zeros stand in their places.
    ///
    /// ```
    /// # #[cfg(feature = "flex")] {
    /// use burn::tensor::{Device, Tensor};
    /// use burn_autograd_core::{Transform, Var};
    ///
    /// let x = Tensor::<1>::from_floats([3.0], &Device::flex());
    /// let product = |(a, b): (Var, Var)| a * b;
    /// let (da, db) = Transform::new().argnums([1]).grad(product, (x.clone(), x)).unwrap();
    /// assert_eq!((da.into_scalar::<f32>(), db.into_scalar::<f32>()), (0.0, 3.0));
    /// # }
    /// ```
    #[must_use]
    pub fn argnums(self, positions: impl IntoIterator<Item = usize>) -> Self {
        Self { argnums: Some(positions.into_iter().collect()), ..self }
    }

    /// That of the free functions.
    fn panicking() -> Self {
        Self { panics: true, ..Self::default() }
    }

    /// See [`grad`].
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Shape`] if the function's result does not have exactly one element;
    /// - [`ErrorKind::DType`] for an input whose data type the device cannot compute with, and
    ///   [`ErrorKind::Device`] for one on a different device than the others;
    /// - [`ErrorKind::Derivative`] if [strict](Self::strict) and the result does not depend on an
    ///   input; if the function captured a variable that is being differentiated, and the arguments are
    ///   tensors; and for a second derivative of a function that declares itself
    ///   [differentiable once](crate::Function::once_differentiable);
    /// - [`ErrorKind::Contract`] if a [`Function`](crate::Function)'s backward breaks its contract;
    /// - the error of an operation in the function.
    #[track_caller]
    pub fn grad<I: Tree>(self, function: impl FnOnce(I::Vars) -> Var, at: I) -> Result<I, Error> {
        let (_, grads, ()) = self.scalar(caller("grad"), |vars| (function(vars), ()), at)?;
        Ok(grads)
    }

    /// See [`value_and_grad`].
    ///
    /// # Errors
    ///
    /// As [`grad`](Self::grad).
    #[track_caller]
    pub fn value_and_grad<I: Tree>(
        self,
        function: impl FnOnce(I::Vars) -> Var,
        at: I,
    ) -> Result<(I::Scalar, I), Error> {
        let caller = caller("value_and_grad");
        let (value, grads, ()) = self.scalar(caller, |vars| (function(vars), ()), at)?;
        Ok((value, grads))
    }

    /// See [`value_and_grad_aux`].
    ///
    /// # Errors
    ///
    /// As [`grad`](Self::grad).
    #[track_caller]
    pub fn value_and_grad_aux<I: Tree, A: Tree>(
        self,
        function: impl FnOnce(I::Vars) -> (Var, A::Vars),
        at: I,
    ) -> Result<(I::Scalar, I, A), Error> {
        self.scalar(caller("value_and_grad_aux"), function, at)
    }

    #[track_caller]
    fn scalar<I: Tree, A: Tree>(
        self,
        caller: Caller,
        function: impl FnOnce(I::Vars) -> (Var, A::Vars),
        at: I,
    ) -> Result<(I::Scalar, I, A), Error> {
        let (run, (value, aux)) = Run::<I>::new(&self, caller, function, at)?;
        run.refuse_many(&value)?;
        let one = vec![value.ones_like()];
        let outputs = [value];
        let grads = run.pull(&outputs, one, run.captures, self.strict)?;
        let [value] = outputs;
        let value = if value.rank() == 1 { value } else { value.reshape([1]) };
        run.leave::<(I::Scalar, I, A)>((value, run.structure(grads), aux), run.captures)
    }

    /// See [`evaluate`].
    ///
    /// # Errors
    ///
    /// As [`vjp`](Self::vjp).
    #[track_caller]
    pub fn evaluate<I: Tree, O: Tree>(
        self,
        function: impl FnOnce(I::Vars) -> O::Vars,
        at: I,
    ) -> Result<O, Error> {
        let (run, outputs) = Run::<I>::new(&self, caller("evaluate"), function, at)?;
        run.leave::<O>(outputs, run.captures)
    }

    /// See [`vjp`].
    ///
    /// # Errors
    ///
    /// As [`grad`](Self::grad), but for the number of elements; and if an output does not have the rank
    /// that is asked for.
    #[track_caller]
    pub fn vjp<I: Tree, O: Tree>(
        self,
        function: impl FnOnce(I::Vars) -> O::Vars,
        at: I,
    ) -> Result<(O, Pullback<I, O>), Error> {
        let (run, outputs) = Run::<I>::new(&self, caller("vjp"), function, at)?;
        let list = outputs.clone().into_vec();
        let left = run.leave::<O>(outputs, run.captures)?;
        Ok((left, Pullback { run, list, outputs: PhantomData }))
    }

    /// See [`jvp`].
    ///
    /// # Errors
    ///
    /// As [`vjp`](Self::vjp); and if a tangent is not like its input.
    #[track_caller]
    pub fn jvp<I: Tree, O: Tree>(
        self,
        function: impl FnOnce(I::Vars) -> O::Vars,
        at: I,
        tangents: I,
    ) -> Result<(O, O), Error> {
        let (run, outputs) = Run::<I>::new(&self, caller("jvp"), function, at)?;
        let tangents = run.alike(("tangents", "input"), tangents, &run.list)?;
        let record = run.records(&tangents);
        let list = outputs.clone().into_vec();
        // J·v is the gradient, with respect to u, of ⟨Jᵀ·u, v⟩, which is linear in u.
        let dummies: Vec<_> = list.iter().map(|output| Var::leaf(output.zeros_like())).collect();
        let wanted: Vec<_> = dummies.iter().filter_map(|dummy| dummy.edge().cloned()).collect();
        wanted.iter().for_each(Edge::close);
        let pulled = run.pull(&list, dummies.clone(), true, self.strict)?;
        let roots = pulled
            .iter()
            .zip(tangents)
            .filter_map(|(grad, tangent)| Some((grad.edge()?.clone(), tangent)));
        let mut pushed = tape::sweep(roots, &wanted, record)?.into_iter().zip(&dummies);
        let pushed = outputs.clone().map(&mut |_| {
            let (pushed, dummy) = pushed.next().expect("there is one for each output");
            pushed.unwrap_or_else(|| dummy.zeros_like())
        });
        run.leave::<(O, O)>((outputs, pushed), record)
    }

    /// See [`jacobian`].
    ///
    /// # Errors
    ///
    /// As [`grad`](Self::grad), but for the number of elements.
    #[track_caller]
    pub fn jacobian<I: Tree, V: Vars>(
        self,
        function: impl FnOnce(I::Vars) -> V,
        at: I,
    ) -> Result<Jacobian, Error> {
        let (run, outputs) = Run::<I>::new(&self, caller("jacobian"), function, at)?;
        Jacobian::of(&run, &outputs.into_vec(), self.strict)
    }

    /// See [`hessian`].
    ///
    /// # Errors
    ///
    /// As [`grad`](Self::grad).
    #[track_caller]
    pub fn hessian<I: Tree>(
        self,
        function: impl FnOnce(I::Vars) -> Var,
        at: I,
    ) -> Result<Jacobian, Error> {
        let (run, output) = Run::<I>::new(&self, caller("hessian"), function, at)?;
        run.refuse_many(&output)?;
        let one = vec![output.ones_like()];
        let grads = run.pull(&[output], one, true, self.strict)?;
        let chosen: Vec<_> = run.positions.iter().map(|index| grads[*index].clone()).collect();
        Jacobian::of(&run, &chosen, false)
    }

    /// See [`hvp`].
    ///
    /// # Errors
    ///
    /// As [`grad`](Self::grad); and if a vector is not like its input.
    #[track_caller]
    pub fn hvp<I: Tree>(
        self,
        function: impl FnOnce(I::Vars) -> Var,
        at: I,
        vectors: I,
    ) -> Result<I, Error> {
        let (run, output) = Run::<I>::new(&self, caller("hvp"), function, at)?;
        run.refuse_many(&output)?;
        let vectors = run.alike(("vectors", "input"), vectors, &run.list)?;
        let record = run.records(&vectors);
        let one = vec![output.ones_like()];
        let grads = run.pull(&[output], one, true, self.strict)?;
        let products = run.pull(&grads, vectors, record, false)?;
        run.leave::<I>(run.structure(products), record)
    }

    /// See [`nth_derivative`].
    ///
    /// # Errors
    ///
    /// As [`grad`](Self::grad), but for the number of elements; and if the function is not elementwise.
    #[track_caller]
    pub fn nth_derivative<T: Tree<Vars = Var>>(
        self,
        function: impl FnOnce(Var) -> Var,
        at: T,
        order: usize,
    ) -> Result<T, Error> {
        let caller = caller("nth_derivative");
        let (run, output) = Run::<T>::new(&self, caller, function, at)?;
        let elementwise = |got: String| {
            let expected = "an elementwise function: each element of the result depends on its own \
                            element of the argument alone";
            Error::new(ErrorKind::Derivative, run.operation, "function", expected, got)
        };
        if output.shape() != run.leaves.shape() {
            let shape = |var: &Var| var.shape().to_vec();
            return Err(Error::new(
                ErrorKind::Shape,
                run.operation,
                "function",
                format!("a result of the argument's shape {:?}", shape(&run.leaves)),
                format!("{:?}", shape(&output)),
            ));
        }
        let mut derivative = output;
        for step in 1..=order {
            let ones = derivative.ones_like();
            let outputs = [derivative];
            let record = step < order || run.captures;
            let [next] = only(run.pull(&outputs, vec![ones], record, self.strict)?);
            if step == 1 && order > 0 && next.shape().num_elements() > 1 {
                // Of an elementwise function, a cotangent weights each derivative by itself.
                let weights = weights(&next);
                let [weighted] = only(run.pull(&outputs, vec![weights.clone()], false, false)?);
                if differ(&(next.clone().renewed_constant() * weights), &weighted) {
                    return Err(elementwise("one that mixes elements".into()));
                }
            }
            derivative = next;
        }
        run.leave::<T>(derivative, run.captures)
    }
}

#[track_caller]
fn caller(operation: &'static str) -> Caller {
    (operation, Location::caller())
}

fn only(vars: Vec<Var>) -> [Var; 1] {
    vars.try_into().unwrap_or_else(|_| unreachable!("there is one input"))
}

/// A cotangent of different powers of two, with which a sweep rounds as without.
fn weights(like: &Var) -> Var {
    let _off = Scope::recording(false);
    let count = like.shape().num_elements();
    let power =
        |index: usize| f64::from(1u32 << (((index + 1) as f64 * 4.944).fract() * 8.0) as u32);
    let data = TensorData::new((0..count).map(power).collect(), like.shape());
    let data = data.convert_dtype(like.dtype());
    Var::new(<Dispatch as FloatTensorOps<_>>::float_from_data(data, &like.device()))
}

/// Whether two results differ by more than roundings of the largest number.
fn differ(a: &Var, b: &Var) -> bool {
    let unit = match a.dtype() {
        DType::F64 => f64::EPSILON,
        DType::F32 => f32::EPSILON.into(),
        _ => 1.0 / 128.0,
    };
    let numbers = |var: &Var| var.to_data().iter::<f64>().collect::<Vec<_>>();
    let (a, b) = (numbers(a), numbers(b));
    let finite = a.iter().chain(&b).filter(|x| x.is_finite());
    let largest = finite.fold(0.0, |largest: f64, x| largest.max(x.abs()));
    a.iter().zip(&b).any(|(a, b)| (a - b).abs() > 16.0 * unit * largest)
}

/// What [`vjp`] gives: cotangents of the outputs in, gradients of the inputs out, any number of times.
/// What `retain_graph` is for in PyTorch.
pub struct Pullback<I: Tree, O: Tree> {
    run: Run<I>,
    list: Vec<Var>,
    outputs: PhantomData<fn(O)>,
}

impl<I: Tree, O: Tree> std::fmt::Debug for Pullback<I, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shapes = |vars: &[Var]| vars.iter().map(|var| var.shape().to_vec()).collect::<Vec<_>>();
        f.debug_struct("Pullback")
            .field("inputs", &shapes(&self.run.list))
            .field("outputs", &shapes(&self.list))
            .finish()
    }
}

impl<I: Tree, O: Tree> Pullback<I, O> {
    /// The gradient of Σⱼ ⟨cotangentⱼ, outputⱼ⟩ for every input.
    ///
    /// # Panics
    ///
    /// If a cotangent is not like its output.
    #[track_caller]
    pub fn apply(&self, cotangents: O) -> I {
        self.try_apply(cotangents).or_panic()
    }

    /// The same with an error instead of a panic.
    ///
    /// # Errors
    ///
    /// If a cotangent does not have the shape, data type and device of its output.
    #[track_caller]
    pub fn try_apply(&self, cotangents: O) -> Result<I, Error> {
        let run = &self.run;
        let cotangents = run.alike(("cotangents", "output"), cotangents, &self.list)?;
        let record = run.records(&cotangents);
        let grads = run.pull(&self.list, cotangents, record, run.strict)?;
        run.leave::<I>(run.structure(grads), record)
    }
}

/// All derivatives of some outputs with respect to some inputs.
#[derive(Debug, Clone)]
pub struct Jacobian {
    blocks: Vec<Vec<Var>>,
    /// The number of elements of each output, and of each input.
    rows: Vec<usize>,
    columns: Vec<usize>,
}

impl Jacobian {
    fn of<I: Tree>(run: &Run<I>, outputs: &[Var], strict: bool) -> Result<Self, Error> {
        if strict {
            let ones = outputs.iter().map(Var::ones_like).collect();
            run.pull(outputs, ones, false, true)?;
        }
        let inputs: Vec<&Var> = run.positions.iter().map(|position| &run.list[*position]).collect();
        let _scope = Scope::recording(run.captures);
        let mut blocks = Vec::with_capacity(outputs.len());
        for output in outputs {
            let count = output.shape().num_elements();
            let edges: Few<_> = output.edge().cloned().into_iter().collect();
            let way = Sweep::new(&edges, &run.wanted);
            let one = output.full([1], 1.0);
            let mut rows: Vec<Vec<Var>> = inputs.iter().map(|_| Vec::new()).collect();
            for position in 0..count {
                let unit = one
                    .embed(&Shape::new([count]), std::slice::from_ref(&(position..position + 1)));
                let unit = unit.reshape(output.shape());
                let found = way.run(edges.first().map(|_| unit), run.captures)?;
                for ((rows, grad), input) in rows.iter_mut().zip(found).zip(&inputs) {
                    let size = input.shape().num_elements();
                    rows.push(grad.unwrap_or_else(|| input.zeros_like()).reshape([1, size]));
                }
            }
            let block = |(rows, input): (Vec<Var>, &&Var)| {
                let shape = [output.shape().to_vec(), input.shape().to_vec()].concat();
                let whole = match rows.as_slice() {
                    [] => input.full(Shape::from(shape.clone()), 0.0),
                    rows => Var::cat(rows, 0),
                };
                whole.reshape(Shape::from(shape))
            };
            blocks.push(rows.into_iter().zip(&inputs).map(block).collect());
        }
        let count = |var: &Var| var.shape().num_elements();
        Ok(Self {
            blocks,
            rows: outputs.iter().map(count).collect(),
            columns: inputs.into_iter().map(count).collect(),
        })
    }

    /// The derivative of output `output` with respect to input `input`: its shape is the output's
    /// followed by the input's.
    ///
    /// # Panics
    ///
    /// If there is no such output or input.
    #[track_caller]
    pub fn block(&self, output: usize, input: usize) -> &Var {
        &self.blocks[output][input]
    }

    /// Everything as one matrix: a row for each element of the outputs in order, a column for each
    /// element of the inputs.
    #[track_caller]
    pub fn matrix(&self) -> Tensor<2> {
        let row = |(blocks, height): (&Vec<Var>, &usize)| {
            let flat: Vec<_> = blocks
                .iter()
                .zip(&self.columns)
                .map(|(block, width)| block.reshape([*height, *width]))
                .collect();
            Var::cat(&flat, 1)
        };
        let rows: Vec<_> = self.blocks.iter().zip(&self.rows).map(row).collect();
        Var::cat(&rows, 0).into_tensor()
    }
}

/// The gradient of a function whose result has one element, with respect to every argument.
///
/// The counterpart of `torch.func.grad`. Where Burn tracks an argument or a tensor that the function
/// uses, the gradient is tracked too: it may enter a loss, and Burn's ordinary `backward()`
/// differentiates it (`create_graph=True` in PyTorch).
///
/// Arguments that the result does not depend on have gradient zero; [`Transform::strict`] refuses
/// them.
///
/// # Panics
///
/// If the result does not have exactly one element; [`Transform::grad`] returns an error, and lists the others.
///
/// ```
/// # #[cfg(all(feature = "flex", feature = "autodiff"))] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Var, grad};
///
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &Device::flex().autodiff()).require_grad();
/// let dx = grad(|x: Var| x.powi(3).sum(), x.clone()); // 3x²
/// assert_eq!(dx.to_data().try_to_vec::<f32>().unwrap(), [3.0, 12.0]);
/// let ddx = x.grad(&dx.sum().backward()).unwrap(); // 6x
/// assert_eq!(ddx.to_data().try_to_vec::<f32>().unwrap(), [6.0, 12.0]);
/// # }
/// ```
#[track_caller]
pub fn grad<I: Tree>(function: impl FnOnce(I::Vars) -> Var, at: I) -> I {
    Transform::panicking().grad(function, at).or_panic()
}

/// The value of a function whose result has one element, and its [gradient](grad).
///
/// # Panics
///
/// As [`grad`].
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Var, value_and_grad};
///
/// let x = Tensor::<1>::from_floats([3.0, 4.0], &Device::flex());
/// let (length, direction) = value_and_grad(|x: Var| x.powi(2).sum().sqrt(), x);
/// assert_eq!(length.into_scalar::<f32>(), 5.0);
/// assert_eq!(direction.to_data().try_to_vec::<f32>().unwrap(), [0.6, 0.8]);
/// # }
/// ```
#[track_caller]
pub fn value_and_grad<I: Tree>(function: impl FnOnce(I::Vars) -> Var, at: I) -> (I::Scalar, I) {
    Transform::panicking().value_and_grad(function, at).or_panic()
}

/// [`value_and_grad`] of a function that gives more than what is differentiated: its first result is
/// differentiated, the auxiliary ones are handed out. `has_aux` in JAX.
///
/// # Panics
///
/// As [`grad`].
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Var, value_and_grad_aux};
///
/// let x = Tensor::<1>::from_floats([3.0, 4.0], &Device::flex());
/// let f = |x: Var| {
///     let squares = x.square();
///     (squares.sum(), squares)
/// };
/// let (sum, gradient, squares): (_, _, Tensor<1>) = value_and_grad_aux(f, x);
/// assert_eq!(sum.into_scalar::<f32>(), 25.0);
/// assert_eq!(gradient.to_data().try_to_vec::<f32>().unwrap(), [6.0, 8.0]);
/// assert_eq!(squares.to_data().try_to_vec::<f32>().unwrap(), [9.0, 16.0]);
/// # }
/// ```
#[track_caller]
pub fn value_and_grad_aux<I: Tree, A: Tree>(
    function: impl FnOnce(I::Vars) -> (Var, A::Vars),
    at: I,
) -> (I::Scalar, I, A) {
    Transform::panicking().value_and_grad_aux(function, at).or_panic()
}

/// The outputs of a function that takes derivatives itself, with [`Gradient`](crate::Gradient).
///
/// Its arguments are variables that can be differentiated; its results are tensors again. Where Burn
/// tracks an argument or a tensor that the function uses, they are tracked.
///
/// # Panics
///
/// If an output does not have the requested rank; [`Transform::evaluate`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Gradient, Var, evaluate};
///
/// // u″ + u for u = x³.
/// let residual = |x: Var| {
///     let u = x.powi(3);
///     let [du] = Gradient::of([&u.sum()]).wrt([&x]);
///     let [ddu] = Gradient::of([&du.sum()]).wrt([&x]);
///     ddu + u
/// };
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &Device::flex());
/// let y: Tensor<1> = evaluate(residual, x);
/// assert_eq!(y.to_data().try_to_vec::<f32>().unwrap(), [7.0, 20.0]);
/// # }
/// ```
#[track_caller]
pub fn evaluate<I: Tree, O: Tree>(function: impl FnOnce(I::Vars) -> O::Vars, at: I) -> O {
    Transform::panicking().evaluate(function, at).or_panic()
}

/// The outputs of a function, and its vector-Jacobian product as a [`Pullback`].
///
/// # Panics
///
/// If an output does not have the requested rank; [`Transform::vjp`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Var, vjp};
///
/// let device = Device::flex();
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &device);
/// let (y, pullback): (Tensor<1>, _) = vjp(|x: Var| x.powi(2), x);
/// assert_eq!(y.to_data().try_to_vec::<f32>().unwrap(), [1.0, 4.0]);
/// for (cotangent, product) in [([1.0, 0.0], [2.0, 0.0]), ([0.0, 1.0], [0.0, 4.0])] {
///     let dx = pullback.apply(Tensor::from_floats(cotangent, &device));
///     assert_eq!(dx.to_data().try_to_vec::<f32>().unwrap(), product);
/// }
/// # }
/// ```
#[track_caller]
pub fn vjp<I: Tree, O: Tree>(
    function: impl FnOnce(I::Vars) -> O::Vars,
    at: I,
) -> (O, Pullback<I, O>) {
    Transform::panicking().vjp(function, at).or_panic()
}

/// The outputs of a function, and the directional derivative J·v along `tangents`.
///
/// # Panics
///
/// If a tangent is not like its input, or an output does not have the requested rank;
/// [`Transform::jvp`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Var, jvp};
///
/// let device = Device::flex();
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &device);
/// let v = Tensor::<1>::from_floats([10.0, 100.0], &device);
/// // Each element of x, times the other.
/// let (_, pushed): (Tensor<1>, Tensor<1>) = jvp(|x: Var| x.slice(0..1) * x.slice(1..2), x, v);
/// assert_eq!(pushed.into_scalar::<f32>(), 120.0);
/// # }
/// ```
#[track_caller]
pub fn jvp<I: Tree, O: Tree>(
    function: impl FnOnce(I::Vars) -> O::Vars,
    at: I,
    tangents: I,
) -> (O, O) {
    Transform::panicking().jvp(function, at, tangents).or_panic()
}

/// All derivatives of all outputs with respect to all inputs: one backward sweep for each element
/// of the outputs.
///
/// # Panics
///
/// Where [`Transform::jacobian`] returns an error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Var, jacobian};
///
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &Device::flex());
/// let matrix = jacobian(|x: Var| x.powi(2), x).matrix();
/// assert_eq!(matrix.to_data().try_to_vec::<f32>().unwrap(), [2.0, 0.0, 0.0, 4.0]);
/// # }
/// ```
#[track_caller]
pub fn jacobian<I: Tree, V: Vars>(function: impl FnOnce(I::Vars) -> V, at: I) -> Jacobian {
    Transform::panicking().jacobian(function, at).or_panic()
}

/// All second derivatives of a function whose result has one element.
///
/// # Panics
///
/// As [`grad`].
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Var, hessian};
///
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &Device::flex());
/// // x₀²·x₁, with second derivatives [[2x₁, 2x₀], [2x₀, 0]].
/// let f = |x: Var| x.slice(0..1).powi(2) * x.slice(1..2);
/// let matrix = hessian(f, x).matrix();
/// assert_eq!(matrix.to_data().try_to_vec::<f32>().unwrap(), [4.0, 2.0, 2.0, 0.0]);
/// # }
/// ```
#[track_caller]
pub fn hessian<I: Tree>(function: impl FnOnce(I::Vars) -> Var, at: I) -> Jacobian {
    Transform::panicking().hessian(function, at).or_panic()
}

/// The product of the matrix of second derivatives with vectors, without that matrix.
///
/// # Panics
///
/// As [`grad`]; and if a vector is not like its input.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Var, hvp};
///
/// let device = Device::flex();
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &device);
/// let v = Tensor::<1>::from_floats([1.0, -1.0], &device);
/// let product = hvp(|x: Var| x.powi(3).sum(), x, v); // 6x·v
/// assert_eq!(product.to_data().try_to_vec::<f32>().unwrap(), [6.0, -12.0]);
/// # }
/// ```
#[track_caller]
pub fn hvp<I: Tree>(function: impl FnOnce(I::Vars) -> Var, at: I, vectors: I) -> I {
    Transform::panicking().hvp(function, at, vectors).or_panic()
}

/// The derivative of order `order` of a function of one element, for every element of `at`; order 0
/// is the function itself.
///
/// What it differentiates is the sum of the result; so each element of the result has to depend on
/// its own element of the argument only.
///
/// # Panics
///
/// If the result has another shape than the argument; [`Transform::nth_derivative`] returns an
/// error.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Var, nth_derivative};
///
/// let x = Tensor::<1>::from_floats([0.0, 1.0], &Device::flex());
/// let fifth = nth_derivative(|x: Var| x.powi(6), x, 5); // 720x
/// assert_eq!(fifth.to_data().try_to_vec::<f32>().unwrap(), [0.0, 720.0]);
/// # }
/// ```
#[track_caller]
pub fn nth_derivative<T: Tree<Vars = Var>>(
    function: impl FnOnce(Var) -> Var,
    at: T,
    order: usize,
) -> T {
    Transform::panicking().nth_derivative(function, at, order).or_panic()
}
