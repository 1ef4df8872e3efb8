use std::fmt;
use std::sync::Arc;

use burn::backend::DispatchTensor;
use burn_autograd_core::{Gradient, OrPanic as _, Tensors, Var, Vars};

type Erased = dyn Fn(Vec<DispatchTensor>) -> Vec<DispatchTensor> + Send + Sync;

/// A function of tensors with its ranks forgotten: what is checked.
#[derive(Clone)]
pub struct Subject {
    inputs: usize,
    call: Arc<Erased>,
    names: Vec<String>,
    surrogate: Option<Arc<Self>>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("inputs", &self.inputs)
            .field("names", &self.names)
            .field("surrogate", &self.surrogate.is_some())
            .finish_non_exhaustive()
    }
}

impl Subject {
    /// The subject that a function of one tensor, an array or a tuple of tensors is.
    pub fn new<I: Tensors, O: Tensors>(function: impl Fn(I) -> O + Send + Sync + 'static) -> Self {
        Self::from_parts(I::COUNT, move |inputs| function(I::from_dispatch(inputs)).into_dispatch())
    }

    /// The subject that a vector-Jacobian product is: a function of the inputs and the cotangents.
    pub fn product<I: Tensors, O: Tensors>(
        vjp: impl Fn(I, O) -> I + Send + Sync + 'static,
    ) -> Self {
        Self::from_parts(I::COUNT + O::COUNT, move |mut inputs| {
            let cotangents = inputs.split_off(I::COUNT);
            vjp(I::from_dispatch(inputs), O::from_dispatch(cotangents)).into_dispatch()
        })
    }

    /// The subject that the derivative of order `order` − 1 of a function of [`Var`]s is: for order 1
    /// the function itself; for order 2 its vector-Jacobian product, a function of the inputs and the
    /// cotangents; for order 3 that one's, and so on.
    ///
    /// # Panics
    ///
    /// If `order` is 0.
    pub fn derivative<I: Tensors, O: Tensors>(
        function: impl Fn(I::Vars) -> O::Vars + Send + Sync + 'static,
        order: usize,
    ) -> Self {
        assert!(order >= 1, "gradcheck: argument `order`: expected at least 1, got 0");
        type Body = Box<dyn Fn(Vec<Var>) -> Vec<Var> + Send + Sync>;
        let mut inputs = I::COUNT;
        let mut outputs = O::COUNT;
        let mut body: Body = Box::new(move |vars| function(I::Vars::from_vec(vars)).into_vec());
        for _ in 1..order {
            let (count, below) = (inputs, body);
            body = Box::new(move |vars| {
                let (inputs, cotangents) = vars.split_at(count);
                let outputs = below(inputs.to_vec());
                let inputs: Vec<&Var> = inputs.iter().collect();
                let gradients = Gradient::of(&outputs).cotangents(cotangents).wrt_all(&inputs);
                let gradients = gradients.or_panic();
                let zeros = inputs.iter().map(|input| input.zeros_like());
                gradients.into_iter().zip(zeros).map(|(g, zero)| g.unwrap_or(zero)).collect()
            });
            (inputs, outputs) = (inputs + outputs, inputs);
        }
        let body = Arc::new(body);
        Self::from_parts(inputs, move |inputs| {
            let body = body.clone();
            burn_autograd_core::evaluate(move |vars| body(vars), inputs)
        })
    }

    pub(crate) fn from_parts(
        inputs: usize,
        call: impl Fn(Vec<DispatchTensor>) -> Vec<DispatchTensor> + Send + Sync + 'static,
    ) -> Self {
        Self { inputs, call: Arc::new(call), names: Vec::new(), surrogate: None }
    }

    /// Names for the inputs, as a report calls them; without, they are numbered.
    #[must_use]
    pub fn names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Declares that the gradient is meant to be that of another function, as a straight-through
    /// estimator's is: the numeric derivative is taken of that one.
    #[must_use]
    pub fn surrogate<I: Tensors, O: Tensors>(
        mut self,
        function: impl Fn(I) -> O + Send + Sync + 'static,
    ) -> Self {
        self.surrogate = Some(Arc::new(Self::new(function)));
        self
    }

    /// With the names of another, and its derivative declared to be that one's.
    pub(crate) fn like(mut self, other: &Self) -> Self {
        self.names = other.names.clone();
        self.surrogate = Some(Arc::new(other.differentiated().clone()));
        self
    }

    /// The function whose derivative the gradient should be.
    pub(crate) fn differentiated(&self) -> &Self {
        self.surrogate.as_deref().unwrap_or(self)
    }

    /// Whether the gradient is declared to be another function's.
    pub(crate) fn has_surrogate(&self) -> bool {
        self.surrogate.is_some()
    }

    pub(crate) fn run(&self, inputs: Vec<DispatchTensor>) -> Vec<DispatchTensor> {
        (self.call)(inputs)
    }

    /// How many tensors it takes.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// What a report calls an input.
    pub(crate) fn name(&self, input: usize) -> String {
        match self.name_of(input) {
            Some(name) => format!("{input} ({name})"),
            None => input.to_string(),
        }
    }

    /// An input's name, if it has one.
    pub(crate) fn name_of(&self, input: usize) -> Option<String> {
        self.names.get(input).cloned()
    }

    /// The function whose outputs are this one's and its inputs.
    pub(crate) fn beside_itself(self) -> Self {
        let inputs = self.inputs();
        Self::from_parts(inputs, move |arguments| {
            let mut outputs = self.run(arguments.clone());
            outputs.extend(arguments);
            outputs
        })
    }

    /// The function of one input less that has the same tensor in two places.
    pub(crate) fn shared(self, first: usize, second: usize) -> Self {
        let inputs = self.inputs() - 1;
        Self::from_parts(inputs, move |mut arguments| {
            arguments.insert(second, arguments[first].clone());
            self.run(arguments)
        })
    }
}
