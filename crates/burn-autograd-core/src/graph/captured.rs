//! Ordinary tensor code as a function of variables: recorded, compared with itself, and computed
//! again wherever it is called.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::ir::{ActivationOperationIr as A, OperationIr as O};
use burn::backend::{AutodiffBackend, Dispatch, DispatchTensor, TensorMetadata};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};

use super::replay::{Constants, Replay, constant};
use super::{Graph, GraphTensor, Role};
use crate::tracking::{is_tracked, without_autodiff};
use crate::{Error, ErrorKind, OrPanic as _, Tensors, Var, Vars, check};

/// Ordinary tensor code as a function of variables, which the transforms differentiate to any order.
///
/// Made by [`capture`] and [`capture_module`]. What the code read beside its arguments is a constant;
/// everything is computed in the data type of the arguments, whatever the code was written for.
pub struct Captured<I, O> {
    graph: Graph,
    constants: Arc<Mutex<Vec<Arc<Constants>>>>,
    types: PhantomData<fn(I) -> O>,
}

impl<I, O> Clone for Captured<I, O> {
    fn clone(&self) -> Self {
        Self { graph: self.graph.clone(), constants: self.constants.clone(), types: PhantomData }
    }
}

impl<I, O> fmt::Debug for Captured<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Captured").field(&self.graph).finish()
    }
}

/// Turns a function of tensors into a function of variables: records it, and compares values and gradients of what was recorded
/// with those of the function itself, at `at` and at one point beside it, up to 1⁄16 or so away.
///
/// No recording sees a `detach()`. The comparison does, where the detached part's share of a gradient
/// is more than some 10⁻⁵ of the largest gradient; a function that uses gelu, whose gradient in Burn is
/// an approximation, is compared up to 10⁻³, and one that computes in half precision up to 6 % of the
/// largest gradient and 0.03 (`f16`) or 0.25 (`bf16`) beside that: capture it in `f32`, and call it with any
/// data type. A smaller share passes, as one that vanishes at both points does.
///
/// The function must do the same for all arguments of these shapes: it cannot look at a value. A
/// tensor that it captured has to follow its arguments:
/// `weight.clone().to_device(&x.device())`; for modules there is [`capture_module`].
///
/// # Errors
///
/// - [`ErrorKind::DType`], [`ErrorKind::Device`] if the arguments are not of one data type and
///   device;
/// - [`ErrorKind::Contract`] if the function cannot be recorded, or performs an operation that has
///   no counterpart on [`Var`]; the operation is named;
/// - [`ErrorKind::Derivative`] if the values or the gradient of what was recorded are not the
///   function's own: it detaches something, or draws random numbers.
///
/// # Panics
///
/// Where the function does.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor, activation};
/// use burn_autograd_core::{Var, nth_derivative, capture};
///
/// let x = Tensor::<1>::from_floats([0.0, 0.5], &Device::flex());
/// let softplus = capture(|x: Tensor<1>| activation::softplus(x, 1.0), x.clone()).unwrap();
/// // Its second derivative is σ(x)·(1 − σ(x)), which is a quarter at 0.
/// let second = nth_derivative(|x: Var| softplus.call(x), x, 2);
/// let at_zero = second.to_data().try_to_vec::<f32>().unwrap()[0];
/// assert!((at_zero - 0.25).abs() < 1e-6);
/// # }
/// ```
pub fn capture<In: Tensors, Out: Tensors>(
    function: impl Fn(In) -> Out,
    at: In,
) -> Result<Captured<In, Out>, Error> {
    let tensors: Vec<_> = at.into_dispatch().into_iter().map(without_autodiff).collect();
    check::alike_inputs("capture", &tensors)?;
    let graph = Graph::record(&function, In::from_dispatch(tensors.clone()))?;
    Captured::verified(graph, function, tensors)
}

/// Captures a function of a module and tensors; see [`capture`].
///
/// [`Captured::call_with`] computes with the parameters that a module has then, and Burn's `backward()`
/// reaches them: a loss with derivatives of the module trains it. [`Captured::call`] computes with the
/// parameters that were captured, as constants; it refuses those that require gradients.
///
/// # Errors
///
/// As [`capture`].
///
/// # Panics
///
/// Where the function does.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Var, hessian, capture_module};
///
/// let device = Device::flex();
/// let layer = LinearConfig::new(2, 1).init(&device);
/// let x = Tensor::<2>::from_floats([[1.0, 2.0]], &device);
/// let forward = |layer: &Linear, x: Tensor<2>| layer.forward(x).tanh();
/// let captured = capture_module(&layer, forward, x.clone()).unwrap();
/// assert_eq!(hessian(|x: Var| captured.call(x), x).matrix().dims(), [2, 2]);
/// # }
/// ```
pub fn capture_module<M: Module, In: Tensors, Out: Tensors>(
    module: &M,
    function: impl Fn(&M, In) -> Out,
    at: In,
) -> Result<Captured<In, Out>, Error> {
    let tensors: Vec<_> = at.into_dispatch().into_iter().map(without_autodiff).collect();
    check::alike_inputs("capture", &tensors)?;
    let graph = Graph::record_module(module, &function, In::from_dispatch(tensors.clone()))?;
    let device = burn::tensor::Device::new(tensors[0].device()).autodiff();
    let module = module.valid().to_device(&device);
    Captured::verified(graph, |inputs| function(&module, inputs), tensors)
}

impl<In: Tensors, Out: Tensors> Captured<In, Out> {
    /// What was recorded.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The function on variables.
    ///
    /// # Panics
    ///
    /// If an argument has not the shape of the recorded one, or not the data type and device of the
    /// others; or if an operation cannot compute in that data type.
    #[track_caller]
    pub fn call(&self, inputs: In::Vars) -> Out::Vars {
        let parameter = |tensor: &&GraphTensor| {
            tensor.is_tracked() && matches!(tensor.role(), Role::Parameter(_))
        };
        if let Some(tensor) = self.graph.tensors.iter().find(parameter) {
            Error::new(
                ErrorKind::Contract,
                "Captured::call",
                "self",
                "parameters that are constants (`call_with` takes the module, whose parameters train; \
                 or capture `module.valid()`)",
                format!("a parameter that requires a gradient, {:?}", tensor.role()),
            )
            .raise();
        }
        self.checked(inputs, HashMap::new())
    }

    /// The function on variables, with the parameters that a module has now. They are
    /// differentiated, too: Burn's `backward()` of a result reaches those that require gradients.
    ///
    /// # Panics
    ///
    /// As [`call`](Self::call); and if the module lacks a parameter of the captured one, or has it in a
    /// different shape or data type.
    ///
    /// ```
    /// # #[cfg(feature = "flex")] {
    /// use burn::nn::{Linear, LinearConfig};
    /// use burn::tensor::{Device, Tensor};
    /// use burn_autograd_core::{Gradient, Var, capture_module, evaluate};
    ///
    /// let device = Device::flex().autodiff();
    /// let layer = LinearConfig::new(1, 1).with_bias(false).init(&device);
    /// let x = Tensor::<2>::from_floats([[2.0]], &device);
    /// let forward = |layer: &Linear, x: Tensor<2>| layer.forward(x).powi_scalar(2);
    /// let captured = capture_module(&layer, forward, x.clone()).unwrap();
    /// // The derivative of (w·x)² with respect to x is 2w²x; that of the loss with respect to w, 4wx.
    /// let loss: Tensor<2> = evaluate(
    ///     |x: Var| {
    ///         let [y] = [captured.call_with(&layer, x.clone()).sum()];
    ///         let [dx] = Gradient::of([&y]).wrt([&x]);
    ///         dx
    ///     },
    ///     x,
    /// );
    /// let w = layer.weight.val();
    /// let found = w.grad(&loss.backward()).unwrap().into_scalar::<f32>();
    /// let expected = 8.0 * w.into_scalar::<f32>();
    /// assert!((found - expected).abs() <= 1e-5 * expected.abs());
    /// # }
    /// ```
    #[track_caller]
    pub fn call_with<M: Module>(&self, module: &M, inputs: In::Vars) -> Out::Vars {
        self.checked(inputs, parameters(module))
    }

    #[track_caller]
    fn checked(&self, inputs: In::Vars, parameters: HashMap<String, Var>) -> Out::Vars {
        let inputs = inputs.into_vec();
        let tensors: Vec<_> = inputs.iter().map(|input| input.raw().clone()).collect();
        check::alike_inputs("Captured::call", &tensors).or_panic();
        for (index, input) in inputs.iter().enumerate() {
            let expected = &self.graph.tensors[self.graph.inputs[index]].shape;
            if input.shape().to_vec() != *expected {
                Error::new(
                    ErrorKind::Shape,
                    "Captured::call",
                    format!("inputs[{index}]"),
                    format!("the recorded shape {expected:?}"),
                    format!("{:?}", input.shape().to_vec()),
                )
                .raise();
            }
        }
        Out::Vars::from_vec(self.run(inputs, parameters).or_panic())
    }

    fn run(&self, inputs: Vec<Var>, parameters: HashMap<String, Var>) -> Result<Vec<Var>, Error> {
        let source = self.graph.source.as_ref().expect("a recorded graph has its source");
        let Some(first) = inputs.first() else {
            return Err(Error::new(
                ErrorKind::Contract,
                "capture",
                "function",
                "at least one argument",
                "none",
            ));
        };
        let (dtype, device) = (first.dtype(), first.device());
        let constants = {
            let mut all = self.constants.lock().unwrap_or_else(PoisonError::into_inner);
            let known = |known: &&Arc<Constants>| known.dtype == dtype && known.device == device;
            match all.iter().find(known) {
                Some(known) => known.clone(),
                None => {
                    let new = Arc::new(Constants::new(source, dtype, device));
                    all.push(new.clone());
                    new
                }
            }
        };
        let mut given: Vec<(u64, Var)> = source.inputs.iter().copied().zip(inputs).collect();
        if !parameters.is_empty() {
            for (path, id) in &source.parameters {
                given.push((*id, self.parameter(path, &parameters, dtype)?));
            }
        }
        Replay::new(constants, given).run(source)
    }

    /// A parameter of another module, if it is like the captured one.
    fn parameter(
        &self,
        path: &str,
        parameters: &HashMap<String, Var>,
        dtype: DType,
    ) -> Result<Var, Error> {
        let error = |expected: String, got: String| {
            let argument = format!("parameter {path}");
            Error::new(ErrorKind::Shape, "Captured::call_with", argument, expected, got)
        };
        let Some(var) = parameters.get(path) else {
            return Err(error("the parameter in the module".into(), "none".into()));
        };
        let is_it = |tensor: &&GraphTensor| matches!(tensor.role(), Role::Parameter(known) if known == path);
        let known = self.graph.tensors.iter().find(is_it);
        if let Some(known) = known.filter(|known| known.shape() != var.shape().to_vec()) {
            let got = format!("{:?}", var.shape().to_vec());
            return Err(error(format!("the captured shape {:?}", known.shape()), got));
        }
        if var.dtype() != dtype {
            let expected = format!("the data type of the arguments, {dtype:?}");
            return Err(error(expected, format!("{:?}", var.dtype())));
        }
        Ok(var.clone())
    }

    /// Compares the replay with the function, at the given point and at one beside it: a part that is
    /// multiplied by 0 is not seen, and arguments often are zeros.
    fn verified(
        graph: Graph,
        function: impl Fn(In) -> Out,
        at: Vec<DispatchTensor>,
    ) -> Result<Self, Error> {
        let captured = Self { graph, constants: Arc::default(), types: PhantomData };
        captured.compared(&function, &at, Point::Given)?;
        let beside = |tensor: &DispatchTensor| {
            let x: Var = Var::new(tensor.clone());
            let step = uneven(&x) * 0.0625;
            (x + step).into_raw()
        };
        let beside: Vec<_> = at.iter().map(beside).collect();
        captured.compared(&function, &beside, Point::Beside)?;
        Ok(captured)
    }

    /// Compares values, and the gradient for uneven cotangents.
    fn compared(
        &self,
        function: &impl Fn(In) -> Out,
        at: &[DispatchTensor],
        point: Point,
    ) -> Result<(), Error> {
        let leaves: Vec<_> = at.iter().map(|tensor| Var::leaf(Var::new(tensor.clone()))).collect();
        let outputs = self.run(leaves.clone(), HashMap::new())?;
        let cotangents: Vec<Var> = outputs.iter().map(uneven).collect();
        let replayed = crate::Gradient::of(&outputs)
            .cotangents(&cotangents)
            .constant()
            .gradients(&leaves.iter().collect::<Vec<_>>())?;

        let tracked: Vec<_> = at
            .iter()
            .map(|tensor| {
                // The rank is no part of a tensor's data.
                let plain = Tensor::<1>::from_dispatch(tensor.clone());
                Tensor::<1>::from_inner(plain).require_grad().into_dispatch()
            })
            .collect();
        let own = function(In::from_dispatch(tracked.clone())).into_dispatch();
        let mut objective: Option<Var> = None;
        for ((own, output), cotangent) in own.into_iter().zip(&outputs).zip(&cotangents) {
            let own: Var = Var::new(own);
            compare(
                "value",
                &own,
                output,
                if matches!(output.dtype(), DType::F64 | DType::F32) { VALUES } else { HALF },
                point,
            )?;
            let term = (own * cotangent).sum();
            objective = Some(match objective {
                Some(sum) => sum + term,
                None => term,
            });
        }
        let objective =
            objective.map(|sum| sum.into_tensor::<1>().into_dispatch()).filter(is_tracked);
        let grads = objective.map(<Dispatch as AutodiffBackend>::backward);
        for (index, (input, found)) in tracked.iter().zip(replayed).enumerate() {
            let own = grads
                .as_ref()
                .and_then(|grads| <Dispatch as AutodiffBackend>::grad(input, grads))
                .map_or_else(|| leaves[index].zeros_like(), Var::new);
            let found = found.unwrap_or_else(|| leaves[index].zeros_like());
            compare("gradient", &own, &found, self.tolerance(found.dtype()), point)?;
        }
        Ok(())
    }

    /// What the two gradients may differ by, relative to the largest number.
    fn tolerance(&self, dtype: DType) -> f64 {
        let source = self.graph.source.as_ref().expect("a recorded graph has its source");
        let approximate =
            source.operations.iter().any(|known| matches!(known, O::Activation(A::Gelu(_))));
        match dtype {
            DType::F64 | DType::F32 if approximate => APPROXIMATE,
            // Both are rounded, in another order. In double precision Burn's gradient of a division by
            // a number is rounded to single precision; a long chain of these adds up.
            DType::F64 => 64.0 * f64::from(f32::EPSILON),
            DType::F32 => 256.0 * f64::from(f32::EPSILON),
            _ => HALF,
        }
    }
}

/// The float parameters of a module, by their paths.
#[track_caller]
fn parameters<M: Module>(module: &M) -> HashMap<String, Var> {
    #[derive(Default)]
    struct Parameters(Vec<String>, HashMap<String, Var>);

    impl ModuleVisitor for Parameters {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.1.insert(self.0.join("."), Var::from_tensor(parameter.val()));
        }

        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.to_owned());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
    }

    let mut found = Parameters::default();
    module.visit(&mut found);
    found.1
}

/// Where a replay is compared with its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    Given,
    /// Perhaps beyond the function's domain: what is not finite there says nothing.
    Beside,
}

/// Weights that no symmetry cancels: the fractional parts of the multiples of the golden ratio.
fn uneven(like: &Var) -> Var {
    let count = like.shape().num_elements();
    let data: Vec<f64> =
        (1..=count).map(|k| (k as f64 * 0.618_033_988_749_895).fract() + 0.25).collect();
    constant(TensorData::new(data, like.shape()), like.dtype(), &like.device())
}

/// A thousand roundings of single precision in the largest number: some of Burn's kernels compute in
/// it whatever the data type.
const VALUES: f64 = 1e3 * f32::EPSILON as f64;

/// The gradient of Burn's gelu is that of an approximation of it, which differs by 4·10⁻⁴.
const APPROXIMATE: f64 = 1e-3;

/// Of the largest number, in half precision: 64 roundings of `f16`, 8 of `bf16`. Burn rounds each step,
/// of ours some are not, and where terms cancel little is left but roundings: the gradient of softmax in
/// `f16` differs by 1 % of the largest. A part that is left out mostly is more.
const HALF: f64 = 1.0 / 16.0;

/// From 1 to the next number.
fn rounding(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::EPSILON,
        DType::F32 => f64::from(f32::EPSILON),
        DType::F16 => 2f64.powi(-10),
        _ => 2f64.powi(-7),
    }
}

/// Agreement relative to the largest number. A detached part or a random number usually is a difference
/// of another order.
fn compare(
    what: &'static str,
    own: &Var,
    replayed: &Var,
    tolerance: f64,
    point: Point,
) -> Result<(), Error> {
    // What is zero but for rounding has no scale of its own. Its terms, like the weights, are taken to
    // be of the size of one.
    let floor = match own.dtype() {
        full @ (DType::F64 | DType::F32) => 64.0 * rounding(full),
        half => 32.0 * rounding(half),
    };
    let numbers = |var: &Var| var.to_data().iter::<f64>().collect::<Vec<_>>();
    let (own, replayed) = (numbers(own), numbers(replayed));
    let scale =
        own.iter().chain(&replayed).filter(|x| x.is_finite()).fold(0.0, |m: f64, x| m.max(x.abs()));
    let bound = scale * tolerance + floor;
    let differ = |(own, replayed): (&f64, &f64)| {
        let both = own.is_finite() && replayed.is_finite();
        let same = own == replayed
            || (own.is_nan() && replayed.is_nan())
            || (point == Point::Beside && !both);
        !(same || (own - replayed).abs() <= bound)
    };
    let Some((own, replayed)) = own.iter().zip(&replayed).find(|pair| differ(*pair)) else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::Derivative,
        "capture",
        "function",
        format!(
            "a recording with the function's own {what}, {own} (a recording sees no detach(), and no random numbers)"
        ),
        format!("{replayed}"),
    ))
}
