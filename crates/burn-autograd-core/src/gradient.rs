use crate::scope::recording;
use crate::tape::{not_on_tape, sweep};
use crate::{Error, ErrorKind, OrPanic as _, Var};

/// Gradients of variables with respect to variables, anywhere in a computation: the counterpart of
/// `torch.autograd.grad`, with `create_graph=True` and `retain_graph=True`.
///
/// Several outputs and several inputs at once: the result for input *i* is
/// Σⱼ ⟨cotangentⱼ, ∂outputⱼ⁄∂inputᵢ⟩. It is itself on the tape, so it can enter a loss and be
/// differentiated again, any number of times; nothing is used up.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Gradient, Var};
///
/// let device = Device::flex();
/// let x = Var::leaf(Tensor::<1>::from_floats([2.0], &device));
/// let y = Var::leaf(Tensor::<1>::from_floats([3.0], &device));
/// let z = x.powi(3) * &y;
/// let [dx, dy] = Gradient::of([&z]).wrt([&x, &y]); // 3x²y and x³
/// assert_eq!(dx.to_data().try_to_vec::<f32>().unwrap(), [36.0]);
/// assert_eq!(dy.to_data().try_to_vec::<f32>().unwrap(), [8.0]);
/// let [dxdy] = Gradient::of([&dx]).wrt([&y]); // 3x²
/// assert_eq!(dxdy.to_data().try_to_vec::<f32>().unwrap(), [12.0]);
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is computed until wrt() is called"]
pub struct Gradient<'a> {
    outputs: Vec<&'a Var>,
    cotangents: Option<Vec<&'a Var>>,
    strict: bool,
    constant: bool,
}

impl<'a> Gradient<'a> {
    /// Of the sum of these outputs. Without [cotangents](Self::cotangents) each has one element.
    pub fn of(outputs: impl IntoIterator<Item = &'a Var>) -> Self {
        let outputs = outputs.into_iter().collect();
        Self { outputs, cotangents: None, strict: false, constant: false }
    }

    /// The weight of each element of each output, in the outputs' shapes. `grad_outputs` in PyTorch.
    pub fn cotangents(mut self, cotangents: impl IntoIterator<Item = &'a Var>) -> Self {
        self.cotangents = Some(cotangents.into_iter().collect());
        self
    }

    /// Refuses an input that no output depends on, instead of giving zeros.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Gives constants, which saves the work of recording the derivative. `create_graph=False` in
    /// PyTorch.
    pub fn constant(mut self) -> Self {
        self.constant = true;
        self
    }

    /// With respect to these variables; zeros where no output depends on one.
    ///
    /// # Panics
    ///
    /// Where [`try_wrt`](Self::try_wrt) returns an error.
    #[track_caller]
    pub fn wrt<const N: usize>(self, inputs: [&Var; N]) -> [Var; N] {
        self.try_wrt(inputs).or_panic()
    }

    /// With respect to these variables; zeros where no output depends on one.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Shape`] for an output of several elements without cotangents, for a cotangent
    ///   whose shape differs from its output's, and for a number of cotangents that differs from that of the outputs;
    /// - [`ErrorKind::Derivative`] for an input that is a constant, and, if [strict](Self::strict),
    ///   for one that no output depends on; and for the second derivative of a function that declares
    ///   itself [differentiable once](crate::Function::once_differentiable);
    /// - [`ErrorKind::Contract`] if a function's backward gives a gradient that is not like its
    ///   input.
    pub fn try_wrt<const N: usize>(self, inputs: [&Var; N]) -> Result<[Var; N], Error> {
        let found = self.wrt_optional(inputs)?;
        let mut inputs = inputs.into_iter();
        Ok(found.map(|grad| {
            let input = inputs.next().expect("there is a result for each input");
            grad.unwrap_or_else(|| input.zeros_like())
        }))
    }

    /// The same with `None` where no output depends on an input.
    ///
    /// # Errors
    ///
    /// As [`try_wrt`](Self::try_wrt).
    pub fn wrt_optional<const N: usize>(
        self,
        inputs: [&Var; N],
    ) -> Result<[Option<Var>; N], Error> {
        let mut found = self.gradients(&inputs)?.into_iter();
        Ok(std::array::from_fn(|_| found.next().flatten()))
    }

    /// The same for a number of variables that is known at run time, as the parameters of a model.
    ///
    /// # Errors
    ///
    /// As [`try_wrt`](Self::try_wrt).
    pub fn wrt_all(self, inputs: &[&Var]) -> Result<Vec<Option<Var>>, Error> {
        self.gradients(inputs)
    }

    pub(crate) fn gradients(&self, inputs: &[&Var]) -> Result<Vec<Option<Var>>, Error> {
        const OPERATION: &str = "Gradient";
        if !recording() {
            return Err(Error::new(
                ErrorKind::Derivative,
                OPERATION,
                "outputs",
                "outputs that were recorded",
                "a place where nothing is (without_recording)",
            ));
        }
        let mut wanted = Vec::with_capacity(inputs.len());
        for (index, input) in inputs.iter().enumerate() {
            let edge = input.edge();
            wanted.push(
                edge.cloned().ok_or_else(|| not_on_tape(OPERATION, format!("inputs[{index}]")))?,
            );
        }
        if let Some(cotangents) = &self.cotangents
            && cotangents.len() != self.outputs.len()
        {
            return Err(Error::new(
                ErrorKind::Shape,
                OPERATION,
                "cotangents",
                format!("one for each of the {} outputs", self.outputs.len()),
                format!("{}", cotangents.len()),
            ));
        }
        let mut roots = Vec::with_capacity(self.outputs.len());
        for (index, output) in self.outputs.iter().enumerate() {
            let cotangent = match &self.cotangents {
                Some(cotangents) => {
                    let cotangent = cotangents[index];
                    check_cotangent(OPERATION, index, cotangent, output)?;
                    match self.constant {
                        true => cotangent.clone().renewed_constant(),
                        false => cotangent.clone(),
                    }
                }
                None if output.shape().num_elements() == 1 => output.ones_like(),
                None => {
                    return Err(Error::new(
                        ErrorKind::Shape,
                        OPERATION,
                        format!("outputs[{index}]"),
                        "one element, or cotangents",
                        format!("the shape {:?}", output.shape().to_vec()),
                    ));
                }
            };
            if let Some(edge) = output.edge() {
                roots.push((edge.clone(), cotangent));
            }
        }
        let found = sweep(roots, &wanted, !self.constant)?;
        if self.strict
            && let Some(index) = found.iter().position(Option::is_none)
        {
            return Err(independent(OPERATION, index));
        }
        Ok(found)
    }
}

pub(crate) fn independent(operation: &'static str, input: usize) -> Error {
    Error::new(
        ErrorKind::Derivative,
        operation,
        format!("inputs[{input}]"),
        "an input that an output depends on (strict)",
        "one that no output depends on",
    )
}

pub(crate) fn check_cotangent(
    operation: &'static str,
    index: usize,
    cotangent: &Var,
    output: &Var,
) -> Result<(), Error> {
    check_like(operation, ("cotangents", index), "output", cotangent, output)
}

/// Checks a vector against what it belongs to.
pub(crate) fn check_like(
    operation: &'static str,
    (argument, index): (&str, usize),
    model: &'static str,
    cotangent: &Var,
    output: &Var,
) -> Result<(), Error> {
    let error = |kind, expected, got| {
        Err(Error::new(kind, operation, format!("{argument}[{index}]"), expected, got))
    };
    if cotangent.shape() != output.shape() {
        let expected = format!("the {model}'s shape {:?}", output.shape().to_vec());
        return error(ErrorKind::Shape, expected, format!("{:?}", cotangent.shape().to_vec()));
    }
    if cotangent.dtype() != output.dtype() {
        let expected = format!("the {model}'s data type {:?}", output.dtype());
        return error(ErrorKind::DType, expected, format!("{:?}", cotangent.dtype()));
    }
    let place = |var: &Var| var.device();
    if place(cotangent) != place(output) {
        let expected = format!("the {model}'s device {:?}", place(output));
        return error(ErrorKind::Device, expected, format!("{:?}", place(cotangent)));
    }
    Ok(())
}
