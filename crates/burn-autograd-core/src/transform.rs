//! Derivatives of functions of tensors.

use std::marker::PhantomData;

use burn::tensor::{Shape, Tensor, TensorData};

use crate::gradient::{check_like, independent};
use crate::tape::{Edge, Recording, older, sweep};
use crate::{Error, ErrorKind, Tensors, Var, Vars, check};

/// The transforms with errors instead of panics, and with a choice of strictness.
///
/// [`grad`], [`jacobian`] and the other free functions are the methods of the default one.
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
#[derive(Debug, Clone, Copy, Default)]
pub struct Transform {
    strict: bool,
}

/// A function that was run on new variables.
struct Run<I: Tensors> {
    leaves: Vec<Var>,
    edges: Vec<Edge<burn::backend::Dispatch>>,
    outputs: Vec<Var>,
    inputs: PhantomData<fn(I)>,
}

impl<I: Tensors> Run<I> {
    #[track_caller]
    fn new<V: Vars>(
        operation: &'static str,
        function: impl FnOnce(I::Vars) -> V,
        inputs: I,
    ) -> Result<Self, Error> {
        let tensors = inputs.into_dispatch();
        check::inputs(operation, &tensors)?;
        let _on = Recording::set(true);
        let leaves: Vec<_> =
            tensors.into_iter().map(|tensor| Var::leaf(Var::new(tensor))).collect();
        let edges: Vec<_> = leaves.iter().filter_map(|leaf| leaf.edge().cloned()).collect();
        let outputs = function(I::Vars::from_vec(leaves.clone())).into_vec();
        if let Some(outer) = older(&outputs, &edges) {
            return Err(Error::new(
                ErrorKind::Derivative,
                operation,
                "function",
                "a function of its arguments and of constants (within a function that is itself \
                 differentiated use Gradient; Var::constant() holds a variable constant)",
                format!("one of another variable that is being differentiated, made by `{outer}`"),
            ));
        }
        Ok(Self { leaves, edges, outputs, inputs: PhantomData })
    }

    fn scalar(&self, operation: &'static str) -> Result<&Var, Error> {
        let output = &self.outputs[0];
        if output.shape().num_elements() == 1 {
            return Ok(output);
        }
        Err(Error::new(
            ErrorKind::Shape,
            operation,
            "function",
            "a result of one element (sum it, or use vjp or jacobian)",
            format!("the shape {:?}", output.shape().to_vec()),
        ))
    }

    /// Gradients with respect to all inputs.
    fn pull(
        &self,
        operation: &'static str,
        outputs: &[Var],
        cotangents: Vec<Var>,
        record: bool,
        strict: bool,
    ) -> Result<Vec<Var>, Error> {
        let roots = outputs
            .iter()
            .zip(cotangents)
            .filter_map(|(output, cotangent)| Some((output.edge()?.clone(), cotangent)))
            .collect();
        let found = sweep(roots, &self.edges, record)?;
        let mut grads = Vec::with_capacity(found.len());
        for (index, (grad, leaf)) in found.into_iter().zip(&self.leaves).enumerate() {
            match grad {
                None if strict => return Err(independent(operation, index)),
                None => grads.push(leaf.zeros_like()),
                Some(grad) => grads.push(grad),
            }
        }
        Ok(grads)
    }
}

fn tensors<T: Tensors>(operation: &'static str, vars: Vec<Var>) -> Result<T, Error> {
    for (index, (var, rank)) in vars.iter().zip(T::ranks()).enumerate() {
        if var.rank() != rank {
            return Err(Error::new(
                ErrorKind::Shape,
                operation,
                format!("outputs[{index}]"),
                format!("rank {rank}, as it is asked for"),
                format!("the shape {:?}", var.shape().to_vec()),
            ));
        }
    }
    Ok(T::from_dispatch(vars.into_iter().map(Var::into_raw).collect()))
}

/// Vectors given by the caller, checked against what they belong to.
fn alike<T: Tensors>(
    operation: &'static str,
    (argument, model): (&str, &'static str),
    vectors: T,
    models: &[Var],
) -> Result<Vec<Var>, Error> {
    let vectors: Vec<_> = vectors.into_dispatch().into_iter().map(Var::new).collect();
    for (index, (vector, like)) in vectors.iter().zip(models).enumerate() {
        check_like(operation, (argument, index), model, vector, like)?;
    }
    Ok(vectors)
}

impl Transform {
    /// The default: zeros where a function does not depend on an input.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses a function that does not depend on one of its inputs.
    pub fn strict(self) -> Self {
        Self { strict: true }
    }

    /// See [`grad`].
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Shape`] if the function's result has not one element;
    /// - [`ErrorKind::DType`] for an input whose data type the device cannot compute with, and
    ///   [`ErrorKind::DType`] or [`ErrorKind::Device`] for one that does not go with the others;
    /// - [`ErrorKind::Derivative`] if [strict](Self::strict) and the result does not depend on an
    ///   input; if the function captured a variable that is being differentiated; and for a second derivative of a function that declares itself
    ///   [differentiable once](crate::Function::once_differentiable);
    /// - [`ErrorKind::Contract`] if a [`Function`](crate::Function)'s backward breaks its contract.
    #[track_caller]
    pub fn grad<I: Tensors>(
        self,
        function: impl FnOnce(I::Vars) -> Var,
        at: I,
    ) -> Result<I, Error> {
        Ok(self.value_and_grad_of("grad", function, at)?.1)
    }

    /// See [`value_and_grad`].
    ///
    /// # Errors
    ///
    /// As [`grad`](Self::grad).
    #[track_caller]
    pub fn value_and_grad<I: Tensors>(
        self,
        function: impl FnOnce(I::Vars) -> Var,
        at: I,
    ) -> Result<(Tensor<1>, I), Error> {
        self.value_and_grad_of("value_and_grad", function, at)
    }

    #[track_caller]
    fn value_and_grad_of<I: Tensors>(
        self,
        operation: &'static str,
        function: impl FnOnce(I::Vars) -> Var,
        at: I,
    ) -> Result<(Tensor<1>, I), Error> {
        let run = Run::<I>::new(operation, function, at)?;
        let value = run.scalar(operation)?;
        let grads =
            run.pull(operation, &run.outputs, vec![value.ones_like()], false, self.strict)?;
        let value = value.constant();
        let value = if value.rank() == 1 { value } else { value.reshape([1]) };
        Ok((tensors(operation, vec![value])?, tensors(operation, grads)?))
    }

    /// See [`evaluate`].
    ///
    /// # Errors
    ///
    /// As [`vjp`](Self::vjp).
    #[track_caller]
    pub fn evaluate<I: Tensors, O: Tensors>(
        self,
        function: impl FnOnce(I::Vars) -> O::Vars,
        at: I,
    ) -> Result<O, Error> {
        tensors("evaluate", Run::<I>::new("evaluate", function, at)?.outputs)
    }

    /// See [`vjp`].
    ///
    /// # Errors
    ///
    /// As [`grad`](Self::grad), but for the number of elements; and if an output has not the rank
    /// that is asked for.
    #[track_caller]
    pub fn vjp<I: Tensors, O: Tensors>(
        self,
        function: impl FnOnce(I::Vars) -> O::Vars,
        at: I,
    ) -> Result<(O, Pullback<I, O>), Error> {
        let run = Run::<I>::new("vjp", function, at)?;
        let outputs = tensors("vjp", run.outputs.clone())?;
        Ok((outputs, Pullback { run, strict: self.strict, outputs: PhantomData }))
    }

    /// See [`jvp`].
    ///
    /// # Errors
    ///
    /// As [`vjp`](Self::vjp); and if a tangent is not like its input.
    #[track_caller]
    pub fn jvp<I: Tensors, O: Tensors>(
        self,
        function: impl FnOnce(I::Vars) -> O::Vars,
        at: I,
        tangents: I,
    ) -> Result<(O, O), Error> {
        const OPERATION: &str = "jvp";
        let run = Run::<I>::new(OPERATION, function, at)?;
        let tangents = alike(OPERATION, ("tangents", "input"), tangents, &run.leaves)?;
        // J·v is the gradient, with respect to u, of ⟨Jᵀ·u, v⟩, which is linear in u.
        let dummies: Vec<_> =
            run.outputs.iter().map(|output| Var::leaf(output.zeros_like())).collect();
        let pulled = run.pull(OPERATION, &run.outputs, dummies.clone(), true, self.strict)?;
        let roots = pulled
            .iter()
            .zip(tangents)
            .filter_map(|(grad, tangent)| Some((grad.edge()?.clone(), tangent)))
            .collect();
        let wanted: Vec<_> = dummies.iter().filter_map(|dummy| dummy.edge().cloned()).collect();
        let pushed = sweep(roots, &wanted, false)?;
        let pushed = pushed
            .into_iter()
            .zip(&dummies)
            .map(|(pushed, dummy)| pushed.unwrap_or_else(|| dummy.zeros_like()))
            .collect();
        Ok((tensors(OPERATION, run.outputs)?, tensors(OPERATION, pushed)?))
    }

    /// See [`jacobian`].
    ///
    /// # Errors
    ///
    /// As [`grad`](Self::grad), but for the number of elements.
    #[track_caller]
    pub fn jacobian<I: Tensors, V: Vars>(
        self,
        function: impl FnOnce(I::Vars) -> V,
        at: I,
    ) -> Result<Jacobian, Error> {
        let run = Run::<I>::new("jacobian", function, at)?;
        Jacobian::of("jacobian", &run, &run.outputs, self.strict)
    }

    /// See [`hessian`].
    ///
    /// # Errors
    ///
    /// As [`grad`](Self::grad).
    #[track_caller]
    pub fn hessian<I: Tensors>(
        self,
        function: impl FnOnce(I::Vars) -> Var,
        at: I,
    ) -> Result<Jacobian, Error> {
        const OPERATION: &str = "hessian";
        let run = Run::<I>::new(OPERATION, function, at)?;
        let one = run.scalar(OPERATION)?.ones_like();
        let grads = run.pull(OPERATION, &run.outputs, vec![one], true, self.strict)?;
        Jacobian::of(OPERATION, &run, &grads, false)
    }

    /// See [`hvp`].
    ///
    /// # Errors
    ///
    /// As [`grad`](Self::grad); and if a vector is not like its input.
    #[track_caller]
    pub fn hvp<I: Tensors>(
        self,
        function: impl FnOnce(I::Vars) -> Var,
        at: I,
        vectors: I,
    ) -> Result<I, Error> {
        const OPERATION: &str = "hvp";
        let run = Run::<I>::new(OPERATION, function, at)?;
        let vectors = alike(OPERATION, ("vectors", "input"), vectors, &run.leaves)?;
        let one = run.scalar(OPERATION)?.ones_like();
        let grads = run.pull(OPERATION, &run.outputs, vec![one], true, self.strict)?;
        tensors(OPERATION, run.pull(OPERATION, &grads, vectors, false, false)?)
    }

    /// See [`nth_derivative`].
    ///
    /// # Errors
    ///
    /// As [`grad`](Self::grad), but for the number of elements; and if the result has another shape
    /// than the argument.
    #[track_caller]
    pub fn nth_derivative<const D: usize>(
        self,
        function: impl FnOnce(Var) -> Var,
        at: Tensor<D>,
        order: usize,
    ) -> Result<Tensor<D>, Error> {
        const OPERATION: &str = "nth_derivative";
        let run = Run::<Tensor<D>>::new(OPERATION, function, at)?;
        let mut derivative = run.outputs[0].clone();
        if derivative.shape() != run.leaves[0].shape() {
            return Err(Error::new(
                ErrorKind::Shape,
                OPERATION,
                "function",
                format!("a result of the argument's shape {:?}", run.leaves[0].shape().to_vec()),
                format!("{:?}", derivative.shape().to_vec()),
            ));
        }
        for step in 1..=order {
            let ones = vec![derivative.ones_like()];
            let outputs = [derivative];
            let found = run.pull(OPERATION, &outputs, ones, step < order, self.strict)?;
            let [next] = found.try_into().expect("there is one input");
            derivative = next;
        }
        tensors(OPERATION, vec![derivative])
    }
}

/// What [`vjp`] gives: cotangents of the outputs in, gradients of the inputs out, as often as one
/// likes. What `retain_graph` is for in PyTorch.
pub struct Pullback<I: Tensors, O: Tensors> {
    run: Run<I>,
    strict: bool,
    outputs: PhantomData<fn(O)>,
}

impl<I: Tensors, O: Tensors> std::fmt::Debug for Pullback<I, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shapes = |vars: &[Var]| vars.iter().map(|var| var.shape().to_vec()).collect::<Vec<_>>();
        f.debug_struct("Pullback")
            .field("inputs", &shapes(&self.run.leaves))
            .field("outputs", &shapes(&self.run.outputs))
            .finish()
    }
}

impl<I: Tensors, O: Tensors> Pullback<I, O> {
    /// The gradient of Σⱼ ⟨cotangentⱼ, outputⱼ⟩ for every input.
    ///
    /// # Panics
    ///
    /// If a cotangent is not like its output.
    #[track_caller]
    pub fn apply(&self, cotangents: O) -> I {
        self.try_apply(cotangents).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same with an error instead of a panic.
    ///
    /// # Errors
    ///
    /// If a cotangent has not the shape, data type and device of its output.
    pub fn try_apply(&self, cotangents: O) -> Result<I, Error> {
        let cotangents = alike("vjp", ("cotangents", "output"), cotangents, &self.run.outputs)?;
        let grads = self.run.pull("vjp", &self.run.outputs, cotangents, false, self.strict)?;
        tensors("vjp", grads)
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
    fn of<I: Tensors>(
        operation: &'static str,
        run: &Run<I>,
        outputs: &[Var],
        strict: bool,
    ) -> Result<Self, Error> {
        if strict {
            let ones = outputs.iter().map(Var::ones_like).collect();
            run.pull(operation, outputs, ones, false, true)?;
        }
        let _off = Recording::set(false);
        let mut blocks = Vec::with_capacity(outputs.len());
        for output in outputs {
            let count = output.shape().num_elements();
            let mut rows: Vec<Vec<Var>> = run.leaves.iter().map(|_| Vec::new()).collect();
            for position in 0..count {
                let mut unit = vec![0.0f64; count];
                unit[position] = 1.0;
                let unit = TensorData::new(unit, output.shape()).convert_dtype(output.dtype());
                let unit = Var::new(
                    <burn::backend::Dispatch as burn::backend::ops::FloatTensorOps<_>>::float_from_data(
                        unit,
                        &output.device(),
                    ),
                );
                let grads =
                    run.pull(operation, std::slice::from_ref(output), vec![unit], false, false)?;
                for (rows, grad) in rows.iter_mut().zip(grads) {
                    rows.push(grad.reshape([1, grad.shape().num_elements()]));
                }
            }
            let block = |(rows, leaf): (Vec<Var>, &Var)| {
                let shape = [output.shape().to_vec(), leaf.shape().to_vec()].concat();
                let whole = match rows.as_slice() {
                    [] => leaf.full(Shape::from(shape.clone()), 0.0),
                    rows => Var::cat(rows, 0),
                };
                whole.reshape(Shape::from(shape))
            };
            blocks.push(rows.into_iter().zip(&run.leaves).map(block).collect());
        }
        let counts = |vars: &[Var]| vars.iter().map(|var| var.shape().num_elements()).collect();
        Ok(Self { blocks, rows: counts(outputs), columns: counts(&run.leaves) })
    }

    /// The derivative of output `output` with respect to input `input`, in the output's shape
    /// followed by the input's.
    ///
    /// # Panics
    ///
    /// If there is no such output or input.
    pub fn block(&self, output: usize, input: usize) -> &Var {
        &self.blocks[output][input]
    }

    /// Everything as one matrix: a row for each element of the outputs in order, a column for each
    /// element of the inputs.
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
/// If the result has not one element; [`Transform::grad`] returns an error, and lists the others.
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
pub fn grad<I: Tensors>(function: impl FnOnce(I::Vars) -> Var, at: I) -> I {
    Transform::new().grad(function, at).unwrap_or_else(|error| panic!("{error}"))
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
pub fn value_and_grad<I: Tensors>(function: impl FnOnce(I::Vars) -> Var, at: I) -> (Tensor<1>, I) {
    Transform::new().value_and_grad(function, at).unwrap_or_else(|error| panic!("{error}"))
}

/// The outputs of a function that takes derivatives itself, with [`Gradient`](crate::Gradient).
///
/// Its arguments are variables that can be differentiated; its results are tensors again. Where Burn
/// tracks an argument or a tensor that the function uses, they are tracked.
///
/// # Panics
///
/// If an output has not the rank that is asked for; [`Transform::evaluate`] returns an error.
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
pub fn evaluate<I: Tensors, O: Tensors>(function: impl FnOnce(I::Vars) -> O::Vars, at: I) -> O {
    Transform::new().evaluate(function, at).unwrap_or_else(|error| panic!("{error}"))
}

/// [`evaluate`] of a function whose number of arguments and ranks are known at run time, as a checker
/// of gradients has them: the arguments become variables that [`Gradient`](crate::Gradient) can
/// differentiate with respect to.
///
/// # Errors
///
/// What the function's own operations return; and if an input is not a float tensor, or not on the
/// device and of the data type of the others.
pub fn evaluate_all(
    function: impl FnOnce(Vec<Var>) -> Vec<Var>,
    inputs: Vec<burn::backend::DispatchTensor>,
) -> Result<Vec<burn::backend::DispatchTensor>, Error> {
    check::inputs("evaluate_all", &inputs)?;
    let _on = Recording::set(true);
    let leaves = inputs.into_iter().map(|tensor| Var::leaf(Var::new(tensor))).collect();
    Ok(function(leaves).into_iter().map(Var::into_raw).collect())
}

/// The outputs of a function, and its vector-Jacobian product as a [`Pullback`].
///
/// # Panics
///
/// If an output has not the rank that is asked for; [`Transform::vjp`] returns an error.
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
pub fn vjp<I: Tensors, O: Tensors>(
    function: impl FnOnce(I::Vars) -> O::Vars,
    at: I,
) -> (O, Pullback<I, O>) {
    Transform::new().vjp(function, at).unwrap_or_else(|error| panic!("{error}"))
}

/// The outputs of a function, and the directional derivative J·v along `tangents`.
///
/// # Panics
///
/// If a tangent is not like its input, or an output has not the rank that is asked for;
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
pub fn jvp<I: Tensors, O: Tensors>(
    function: impl FnOnce(I::Vars) -> O::Vars,
    at: I,
    tangents: I,
) -> (O, O) {
    Transform::new().jvp(function, at, tangents).unwrap_or_else(|error| panic!("{error}"))
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
pub fn jacobian<I: Tensors, V: Vars>(function: impl FnOnce(I::Vars) -> V, at: I) -> Jacobian {
    Transform::new().jacobian(function, at).unwrap_or_else(|error| panic!("{error}"))
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
pub fn hessian<I: Tensors>(function: impl FnOnce(I::Vars) -> Var, at: I) -> Jacobian {
    Transform::new().hessian(function, at).unwrap_or_else(|error| panic!("{error}"))
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
pub fn hvp<I: Tensors>(function: impl FnOnce(I::Vars) -> Var, at: I, vectors: I) -> I {
    Transform::new().hvp(function, at, vectors).unwrap_or_else(|error| panic!("{error}"))
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
pub fn nth_derivative<const D: usize>(
    function: impl FnOnce(Var) -> Var,
    at: Tensor<D>,
    order: usize,
) -> Tensor<D> {
    Transform::new().nth_derivative(function, at, order).unwrap_or_else(|error| panic!("{error}"))
}
