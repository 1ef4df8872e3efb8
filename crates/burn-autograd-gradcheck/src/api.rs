use std::sync::OnceLock;

use burn::backend::DispatchTensor;
use burn::module::Module;
use burn::tensor::{DType, Device};
use burn_autograd_core::Tensors;

use crate::calibrate::{Calibration, Intrinsic};
use crate::control::{self, Control, Mistake};
use crate::evaluate::{Mode, Place};
use crate::jacobian::{self, Settings};
use crate::numeric::{Nature, Precision};
use crate::proven::{Evidence, Proven, cotangents};
use crate::record::{Record, Report, Verdict};
use crate::structure::Declared;
use crate::{
    Array, Expected, SplitMix64, Subject, integers, line, modules, parity, projection, structure,
};

/// Checks a function's gradient at `inputs`: every entry of its Jacobian against a numeric
/// derivative, and what must hold of every gradient: subsets of tracked inputs (all of
/// them, up to four inputs), both checkpointing strategies, views, linearity in the cotangent,
/// accumulation, repetition, threads.
///
/// `function` takes a tensor, an array or a tuple of tensors and gives the same; it must run on any
/// tensors of these ranks that live on the inputs' device. The inputs' device may be an autodiff
/// device or not. Give `f64` inputs: see the [crate's documentation](crate).
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{DType, Device, Tensor};
/// use burn_autograd_gradcheck::gradcheck;
///
/// let device = Device::flex();
/// let a = Tensor::<2>::from_data([[0.5, -1.25], [2.0, 0.75]], (&device, DType::F64));
/// let b = Tensor::<2>::from_data([[1.5], [-0.5]], (&device, DType::F64));
/// gradcheck(|(a, b): (Tensor<2>, Tensor<2>)| a.matmul(b), (a, b)).assert_pass();
/// # }
/// ```
///
/// # Panics
///
/// If there is no input, the inputs live on different devices or have different data types, or these are
/// neither `f64` nor `f32`.
pub fn gradcheck<I: Tensors, O: Tensors>(
    function: impl Fn(I) -> O + Send + Sync + 'static,
    inputs: I,
) -> Report {
    Gradcheck::new().run(&Subject::new(function), inputs)
}

/// Checks a function's second derivative at `inputs`: its vector-Jacobian product is compared with
/// the gradient that Burn's backward pass gives, and then itself checked like any function, with
/// respect to the inputs and the cotangents.
///
/// `vjp` takes the inputs and one cotangent for each output, and gives the gradient of each input;
/// for a [`Function`](burn_autograd_core::Function) it is [`vjp`](burn_autograd_core::vjp).
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{DType, Device, Tensor};
/// use burn_autograd_core::{Context, Function, Saved, Var, vjp};
/// use burn_autograd_gradcheck::gradgradcheck;
///
/// /// x², with derivative 2x.
/// #[derive(Debug, Clone)]
/// struct Square;
///
/// impl Function<1> for Square {
///     fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
///         ctx.save([&x]);
///         [&x * &x]
///     }
///     fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
///         let [x] = ctx.tensors();
///         [Some(2.0 * x * g)]
///     }
/// }
///
/// let x = Tensor::<1>::from_data([0.5, -1.25], (&Device::flex(), DType::F64));
/// gradgradcheck(
///     |x: Tensor<1>| Square.apply([x]),
///     |x: Tensor<1>, g: Tensor<1>| vjp(|x: Var| Square.call([x]), x).1.apply(g),
///     x,
/// )
/// .assert_pass();
/// # }
/// ```
///
/// # Panics
///
/// If there is no input, the inputs live on different devices or have different data types, or these are
/// neither `f64` nor `f32`.
pub fn gradgradcheck<I: Tensors, O: Tensors>(
    function: impl Fn(I) -> O + Send + Sync + 'static,
    vjp: impl Fn(I, O) -> I + Send + Sync + 'static,
    inputs: I,
) -> Report {
    Gradcheck::new().run_second(&Subject::new(function), &Subject::product(vjp), inputs)
}

/// Checks the derivatives of a function of [`Var`](burn_autograd_core::Var)s up to an order: for order
/// 1 the gradient, for order 2 that of its vector-Jacobian product with respect to inputs and
/// cotangents, for order 3 that one's, and so on. The inputs of order n are 2ⁿ⁻¹ times as many; give
/// small ones.
///
/// # Panics
///
/// If `order` is 0; if there is no input, the inputs live on different devices or have different data
/// types, or these are neither `f64` nor `f32`.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{DType, Device, Tensor};
/// use burn_autograd_core::Var;
/// use burn_autograd_gradcheck::gradcheck_order;
///
/// let x = Tensor::<1>::from_data([0.5, -1.25], (&Device::flex(), DType::F64));
/// gradcheck_order::<Tensor<1>, Tensor<1>>(|x: Var| x.sin() * &x, 3, x).assert_pass();
/// # }
/// ```
pub fn gradcheck_order<I: Tensors + Clone, O: Tensors>(
    function: impl Fn(I::Vars) -> O::Vars + Send + Sync + Clone + 'static,
    order: usize,
    inputs: I,
) -> Report {
    Gradcheck::new().run_order::<I, O>(function, order, inputs)
}

/// Checks the gradient of a module's pass forward with respect to all its float parameters, which the
/// report calls by their paths, and to its inputs.
///
/// Give inputs in `f64`, on the module's device: the parameters are converted to the inputs' data type.
/// What a module draws at random (dropout) is no function, and is rejected as such.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{DType, Device, Tensor};
/// use burn_autograd_gradcheck::gradcheck_module;
///
/// let device = Device::flex();
/// let layer = LinearConfig::new(3, 2).init(&device);
/// let x = Tensor::<2>::from_data([[0.5, -1.25, 1.0]], (&device, DType::F64));
/// gradcheck_module(layer, |layer: &Linear, x: Tensor<2>| layer.forward(x).tanh(), x).assert_pass();
/// # }
/// ```
///
/// # Panics
///
/// If there is no tensor, parameters and inputs live on different devices or have different data types,
/// or these are neither `f64` nor `f32`.
pub fn gradcheck_module<M, I, O>(
    module: M,
    forward: impl Fn(&M, I) -> O + Send + Sync + 'static,
    inputs: I,
) -> Report
where
    M: Module + Send + 'static,
    I: Tensors,
    O: Tensors,
{
    Gradcheck::new().run_module(module, forward, inputs)
}

/// A gradient check with options.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{DType, Device, Tensor};
/// use burn_autograd_gradcheck::{Gradcheck, Subject};
///
/// // √x is not defined below 0: no step may be longer than the distance to it.
/// let x = Tensor::<1>::from_data([0.0625, 4.0], (&Device::flex(), DType::F64));
/// let root = Subject::new(|x: Tensor<1>| x.sqrt());
/// Gradcheck::new().first_step(0.03125).run(&root, x.clone()).assert_pass();
///
/// // Would a mistake have been seen?
/// Gradcheck::new().first_step(0.03125).control(&root, x).assert_caught();
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Gradcheck {
    first_step: f64,
    seed: u64,
    reference: Option<Device>,
    intrinsics: Vec<Intrinsic>,
    calibration: OnceLock<Calibration>,
    roundings: f64,
    coverage: f64,
    exact: bool,
    entries: usize,
    companion: bool,
    steps: bool,
    declared: Declared,
    pub(crate) expected: Vec<Expected>,
}

impl Default for Gradcheck {
    fn default() -> Self {
        Self::new()
    }
}

impl Gradcheck {
    /// Steps from ¼, seed 42, no reference; everything must be covered.
    pub fn new() -> Self {
        Self {
            first_step: 0.25,
            seed: 42,
            reference: None,
            intrinsics: Vec::new(),
            calibration: OnceLock::new(),
            roundings: 0.0,
            coverage: 1.0,
            exact: false,
            entries: projection::ENTRIES,
            companion: false,
            steps: false,
            declared: Declared::default(),
            expected: Vec::new(),
        }
    }

    /// The largest step: less than the distance to a kink or to the end of the domain. Smaller steps
    /// are taken too, so that it need not fit the function's scale.
    ///
    /// # Panics
    ///
    /// If it is not a finite number above 0.
    pub fn first_step(mut self, step: f64) -> Self {
        assert_step(step);
        self.first_step = step;
        self
    }

    /// The seed of the random cotangents.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Proves the gradient on this device in `f64`, at the same inputs, and compares the gradient on
    /// the inputs' own device and data type with that, under a derived bound.
    pub fn reference(mut self, device: &Device) -> Self {
        self.reference = Some(device.clone());
        self
    }

    /// Which of a device's built-in functions the function uses. How accurate they are on the inputs'
    /// device is [measured](Calibration) and allowed for, in single precision.
    pub fn intrinsics(mut self, functions: impl Into<Vec<Intrinsic>>) -> Self {
        self.intrinsics = functions.into();
        self
    }

    /// How many roundings of terms as large as the largest result stand between the inputs and a
    /// result, where such terms cancel; 0 by default. For single precision.
    pub fn roundings(mut self, roundings: f64) -> Self {
        self.roundings = roundings;
        self
    }

    /// Which part of the entries must be checked for a pass, where some cannot be: at a kink, or in
    /// saturation. All of them by default. The report says what was covered and what is declared. All
    /// other checks are made on what was covered.
    ///
    /// # Panics
    ///
    /// If it is not above 0 and at most 1.
    pub fn coverage(mut self, part: f64) -> Self {
        assert_coverage(part);
        self.coverage = part;
        self
    }

    /// Declares that the function is a polynomial of degree two at most in each element of its inputs:
    /// it is then also checked at small integers, without any tolerance.
    pub fn exact(mut self) -> Self {
        self.exact = true;
        self
    }

    /// Declares that gradients may vary from run to run by so many units in the last place, as those
    /// of a reduction with atomic additions do.
    pub fn nondeterministic(mut self, ulps: f64) -> Self {
        self.declared.nondeterminism = ulps;
        self
    }

    /// Declares which inputs have a batch as their first dimension; all outputs then have it too. Each
    /// entry of the batch must give the same alone. Said of the function, not of its derivatives: of higher
    /// orders no batch is taken apart.
    pub fn batch(mut self, inputs: impl Into<Vec<bool>>) -> Self {
        self.declared.batch = inputs.into();
        self
    }

    /// Up to how many entries the full Jacobian is checked; 262,144 if this is not called. Above it, the
    /// outputs are weighted and the inputs taken in blocks. So they are if an input element has less than
    /// a sixteenth of an output element for each: above 2,048 input elements, if this is not called.
    pub fn full_jacobian(mut self, entries: usize) -> Self {
        self.entries = entries;
        self
    }

    /// Declares that the function computes in its inputs' data type from beginning to end. In single
    /// precision, how far its values are off is then measured: by the same function in `f64`, on the same
    /// device if that has `f64`. Otherwise it is estimated from the values alone, which may see too little
    /// of it where the function is a small difference of large numbers, and must suppose more than there
    /// is.
    ///
    /// A function that computes in `f32` whatever it gets must not declare this: it would seem to be
    /// exact, and right gradients would fail.
    ///
    /// ```
    /// # #[cfg(feature = "flex")] {
    /// use burn::tensor::{Device, Tensor};
    /// use burn_autograd_gradcheck::{Gradcheck, Subject, Verdict};
    ///
    /// let x = Tensor::<1>::from_floats([0.75, -1.5], &Device::flex());
    /// let f = Subject::new(|x: Tensor<1>| x.clone().exp() * x.sin());
    /// let report = Gradcheck::new().companion().run(&f, x);
    /// assert_eq!(report.check("jacobian").unwrap().verdict, Verdict::Pass);
    /// # }
    /// ```
    pub fn companion(mut self) -> Self {
        self.companion = true;
        self
    }

    /// Shows in the record how the numeric derivative of the entry that fits worst was found: every step
    /// with its difference, what was extrapolated from it, and the bound on its error.
    ///
    /// ```
    /// # #[cfg(feature = "flex")] {
    /// use burn::tensor::{DType, Device, Tensor};
    /// use burn_autograd_gradcheck::{Gradcheck, Subject};
    ///
    /// let x = Tensor::<1>::from_data([0.75, -1.5], (&Device::flex(), DType::F64));
    /// let report = Gradcheck::new().steps().run(&Subject::new(|x: Tensor<1>| x.exp()), x);
    /// let steps = report.check("jacobian").unwrap().steps.as_ref().unwrap();
    /// assert!(steps.contains("central difference"));
    /// # }
    /// ```
    pub fn steps(mut self) -> Self {
        self.steps = true;
        self
    }

    /// Checks a function's gradient.
    ///
    /// # Panics
    ///
    /// If the inputs are none that can be checked; see [`gradcheck`].
    pub fn run(&self, subject: &Subject, inputs: impl Tensors) -> Report {
        let report = self.run_on(subject, inputs.into_dispatch());
        self.repeatable("run(&subject, inputs)", report)
    }

    fn run_on(&self, subject: &Subject, inputs: Vec<DispatchTensor>) -> Report {
        let (arrays, device, dtype) = crate::evaluate::take(inputs);
        let mut report = self.run_at(subject, &arrays, &device, dtype);
        report.records.extend(self.values(&Place { subject, device: &device, dtype }, &arrays));
        report
    }

    /// Checks a function's second derivative.
    ///
    /// # Panics
    ///
    /// If the inputs are none that can be checked; see [`gradcheck`].
    pub fn run_second(&self, function: &Subject, vjp: &Subject, inputs: impl Tensors) -> Report {
        let (mut arrays, device, dtype) = crate::evaluate::take(inputs.into_dispatch());
        let place = Place { subject: function, device: &device, dtype };
        let (record, cotangents) = structure::consistency(&place, vjp, &arrays, self.seed);
        let mut records = vec![record];
        if let Some(cotangents) = cotangents {
            arrays.extend(cotangents);
            let check = self.clone().batch([false; 0]);
            records.extend(check.run_at(vjp, &arrays, &device, dtype).records);
        }
        self.repeatable("run_second(&function, &vjp, inputs)", Report { records })
    }

    /// Checks a function's derivatives up to an order; see [`gradcheck_order`].
    ///
    /// # Panics
    ///
    /// If `order` is 0, or the inputs are none that can be checked.
    pub fn run_order<I: Tensors + Clone, O: Tensors>(
        &self,
        function: impl Fn(I::Vars) -> O::Vars + Send + Sync + Clone + 'static,
        order: usize,
        inputs: I,
    ) -> Report {
        assert!(order >= 1, "gradcheck: argument `order`: expected at least 1, got 0");
        let (mut arrays, device, dtype) = crate::evaluate::take(inputs.into_dispatch());
        let mut random = SplitMix64::new(self.seed ^ 0x0D_E2);
        let later = self.clone().batch([false; 0]);
        let mut records = Vec::new();
        for of in 1..=order {
            let subject = Subject::derivative::<I, O>(function.clone(), of);
            let check = if of == 1 { self } else { &later };
            let report = check.run_at(&subject, &arrays, &device, dtype);
            records.extend(report.records.into_iter().map(|record| {
                let check = format!("order {of}: {}", record.check);
                Record { check, ..record }
            }));
            if of < order {
                // The next order is a function of these inputs and of a cotangent for each output.
                let place = Place { subject: &subject, device: &device, dtype };
                match place.forward(&arrays) {
                    Ok(outputs) => arrays.extend(cotangents(&outputs, &mut random)),
                    Err(_) => break,
                }
            }
        }
        let method = format!("run_order::<I, O>(function, {order}, inputs)");
        self.repeatable(&method, Report { records })
    }

    /// Checks a module's gradient; see [`gradcheck_module`].
    ///
    /// # Panics
    ///
    /// If the inputs are none that can be checked; see [`gradcheck_module`].
    pub fn run_module<M, I, O>(
        &self,
        module: M,
        forward: impl Fn(&M, I) -> O + Send + Sync + 'static,
        inputs: I,
    ) -> Report
    where
        M: Module + Send + 'static,
        I: Tensors,
        O: Tensors,
    {
        let (subject, tensors) = modules::subject(module, forward, inputs);
        let report = self.run_on(&subject, tensors);
        self.repeatable("run_module(module, forward, inputs)", report)
    }

    /// Checks a function's gradient for inputs of many sizes: 0, 1, 2, 3, a prime, and those around
    /// the width of a workgroup. `inputs` gives the inputs of a size.
    ///
    /// ```
    /// # #[cfg(feature = "flex")] {
    /// use burn::tensor::{DType, Device, Tensor};
    /// use burn_autograd_gradcheck::{Gradcheck, Subject};
    ///
    /// let device = Device::flex();
    /// let sine = Subject::new(|x: Tensor<1>| x.sin());
    /// let inputs = |size: usize| {
    ///     let data: Vec<f64> = (0..size).map(|i| i as f64 / 8.0).collect();
    ///     Tensor::<1>::from_data(burn::tensor::TensorData::new(data, [size]), (&device, DType::F64))
    /// };
    /// Gradcheck::new().run_sizes(&sine, inputs).assert_pass();
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If the inputs are none that can be checked; see [`gradcheck`].
    pub fn run_sizes<I: Tensors>(&self, subject: &Subject, inputs: impl Fn(usize) -> I) -> Report {
        let mut records = Vec::new();
        // Sizes without an element are among those at which kernels go wrong; alone they prove nothing.
        let (mut empty, mut proves) = (None, false);
        for size in SIZES {
            let (arrays, device, dtype) = crate::evaluate::take(inputs(size).into_dispatch());
            let (mut found, idle) = self.check(subject, &arrays, &device, dtype);
            match idle {
                Some(idle) if idle.is_empty() => empty = Some(idle),
                Some(idle) => {
                    proves = true;
                    found.insert(0, idle.record());
                }
                None => proves = true,
            }
            records.extend(found.into_iter().map(|record| {
                let record = record.named(|input| subject.name_of(input));
                let check = format!("size {size}: {}", record.check);
                Record { check, ..record }
            }));
        }
        if let Some(idle) = empty.filter(|_| !proves) {
            records.insert(0, idle.record());
        }
        self.repeatable("run_sizes(&subject, inputs_of_size)", Report { records })
    }

    /// Plants mistakes in the function's gradient, one after the other, and tells which of them this
    /// check catches: in each input the gradient times 1.001, with the wrong sign, zero, and its
    /// largest element times 1.5. A check that lets one pass proves nothing of the function.
    ///
    /// # Panics
    ///
    /// If the inputs are none that can be checked; see [`gradcheck`].
    pub fn control(&self, subject: &Subject, inputs: impl Tensors) -> Control {
        let (arrays, device, dtype) = crate::evaluate::take(inputs.into_dispatch());
        let place = Place { subject, device: &device, dtype };
        let tracked = vec![true; arrays.len()];
        let gradients = place.forward(&arrays).ok().and_then(|outputs| {
            let cotangents = cotangents(&outputs, &mut SplitMix64::new(self.seed));
            place.gradient(&arrays, &cotangents, Mode::plain(&tracked)).ok()
        });
        let gradients = gradients.map_or_else(Vec::new, |pass| pass.gradients);
        let mistakes = control::mistakes(subject, &gradients)
            .into_iter()
            .map(|planted| {
                let report = self.run_at(&planted.subject(subject), &arrays, &device, dtype);
                let verdict = report.verdict();
                let by = report.records.into_iter().find(|record| record.verdict == Verdict::Fail);
                Mistake { name: planted.name, verdict, caught_by: by.map(|record| record.check) }
            })
            .collect();
        Control { mistakes }
    }

    fn settings(&self, dtype: DType, device: &Device) -> Settings {
        let intrinsic_ulps = match (dtype, self.intrinsics.as_slice()) {
            (DType::F64, _) | (_, []) => 0.0,
            (_, functions) => {
                self.calibration.get_or_init(|| Calibration::of(device)).allowance(functions)
            }
        };
        Settings {
            precision: if dtype == DType::F64 { Precision::F64 } else { Precision::F32 },
            first_step: self.first_step,
            seed: self.seed,
            intrinsic_ulps,
            roundings: self.roundings,
            companion: self.companion && device.supports_dtype(DType::F64),
            steps: self.steps,
        }
    }

    fn run_at(&self, subject: &Subject, inputs: &[Array], device: &Device, dtype: DType) -> Report {
        let (mut records, idle) = self.check(subject, inputs, device, dtype);
        // Without an entry nothing was compared; a pass would say the opposite.
        if let Some(idle) = idle {
            records.insert(0, idle.record());
        }
        let named = records.into_iter().map(|record| record.named(|input| subject.name_of(input)));
        Report { records: named.collect() }
    }

    /// Every check at one point, and why a pass of them would say nothing, if it would.
    fn check(
        &self,
        subject: &Subject,
        inputs: &[Array],
        device: &Device,
        dtype: DType,
    ) -> (Vec<Record>, Option<Idle>) {
        let place = Place { subject, device, dtype };
        let settings = self.settings(dtype, device);
        let mut records = Vec::new();
        let proven;
        if let Some(reference) = &self.reference {
            let reference = Place { subject, device: reference, dtype: DType::F64 };
            let settings_there = self.settings(DType::F64, reference.device);
            let (record, found) = prove(&reference, inputs, &settings_there, self.entries);
            let record = covered(Record { check: "reference".to_owned(), ..record }, self.coverage);
            proven = found.filter(|_| record.verdict == Verdict::Pass);
            records.push(record);
            if let Some(proven) = &proven {
                let parity = parity::check(&place, &reference, inputs, proven, &settings);
                records.push(covered(parity, self.coverage));
            }
        } else {
            let (record, found) = prove(&place, inputs, &settings, self.entries);
            let (open, large) = (record.verdict <= Verdict::Unchecked, record.check != "jacobian");
            // With a companion they see enough.
            let open = open && !(settings.companion && record.verdict == Verdict::Pass);
            if dtype != DType::F64 && open && !large {
                // Differences in single precision see little: the line integral sees what they do
                // not. They have found nothing wrong, and are the scale of the rest.
                let line = covered(line::check(&place, inputs, &settings), self.coverage);
                let passed = line.verdict == Verdict::Pass;
                records.push(line);
                proven = if passed { jacobian::scale(&place, inputs, &settings) } else { None };
            } else {
                let record = covered(record, self.coverage);
                proven = found.filter(|_| record.verdict == Verdict::Pass);
                records.push(record);
            }
        }
        let mut idle = None;
        if let Some(proven) = &proven {
            idle = Idle::of(subject, inputs, proven);
            let declared = Declared { roundings: self.roundings, ..self.declared.clone() };
            records.extend(structure::checks(&place, inputs, proven, self.seed, &declared));
        } else if records.iter().all(|record| record.verdict == Verdict::Pass) {
            let reason =
                "the numeric derivative, on whose scale rounding is judged, cannot be computed";
            records.push(Record::unchecked("structure", reason));
        }
        if self.exact {
            records.push(integers::check(&place, inputs, self.seed));
        }
        (records, idle)
    }

    /// The report with a line on how to make the check again, where it found a mistake.
    fn repeatable(&self, method: &str, mut report: Report) -> Report {
        let repeat = format!("{}.{method} at the same inputs", self.text());
        for record in &mut report.records {
            if record.verdict == Verdict::Fail {
                record.repeat = Some(repeat.clone());
            }
        }
        report
    }

    /// The check with its options, as it is written.
    fn text(&self) -> String {
        let default = Self::new();
        let Declared { nondeterminism, batch, .. } = &self.declared;
        let given = |is: bool, option: String| if is { option } else { String::new() };
        [
            "Gradcheck::new()".to_owned(),
            given(
                self.first_step != default.first_step,
                format!(".first_step({:?})", self.first_step),
            ),
            format!(".seed({})", self.seed),
            self.reference.as_ref().map_or_else(String::new, |at| format!(".reference(&{at:?})")),
            given(!self.intrinsics.is_empty(), format!(".intrinsics({:?})", self.intrinsics)),
            given(self.roundings != default.roundings, format!(".roundings({:?})", self.roundings)),
            given(self.coverage != default.coverage, format!(".coverage({:?})", self.coverage)),
            given(self.exact, ".exact()".to_owned()),
            given(*nondeterminism != 0.0, format!(".nondeterministic({nondeterminism:?})")),
            given(!batch.is_empty(), format!(".batch({batch:?})")),
            given(self.entries != default.entries, format!(".full_jacobian({})", self.entries)),
            given(self.companion, ".companion()".to_owned()),
            given(self.steps, ".steps()".to_owned()),
        ]
        .concat()
    }
}

/// The record; if it leaves no more open than is declared it is a pass, and says so.
pub(crate) fn covered(mut record: Record, part: f64) -> Record {
    let (covered, of) = record.coverage;
    if record.verdict == Verdict::Unchecked
        && part < 1.0
        && covered as f64 >= part * of as f64
        && covered > 0
    {
        record.verdict = Verdict::Pass;
        record.reason = format!(
            "{covered} of {of} entries were checked, at least {part} of them are declared; else: {}",
            record.reason
        );
    }
    record
}

/// Panics unless a part of the entries is above 0 and at most 1.
#[track_caller]
pub(crate) fn assert_coverage(part: f64) {
    assert!(
        part > 0.0 && part <= 1.0,
        "gradcheck: argument `coverage`: expected above 0 and at most 1, got {part}"
    );
}

/// Panics unless a largest step is above 0.
#[track_caller]
pub(crate) fn assert_step(step: f64) {
    assert!(
        step > 0.0 && step.is_finite(),
        "gradcheck: argument `first_step`: expected a finite number above 0, got {step}"
    );
}

/// Why a pass would say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idle {
    NoInput,
    NoOutput,
    Constant,
}

impl Idle {
    /// What a proof leaves without a meaning, if anything does.
    pub(crate) fn of(subject: &Subject, inputs: &[Array], proven: &Proven) -> Option<Self> {
        if inputs.iter().all(Array::is_empty) {
            Some(Self::NoInput)
        } else if proven.outputs.iter().all(Array::is_empty) {
            Some(Self::NoOutput)
        } else if constant(proven) && !subject.has_surrogate() {
            Some(Self::Constant)
        } else {
            None
        }
    }

    /// Whether there is nothing to compare.
    fn is_empty(self) -> bool {
        matches!(self, Self::NoInput | Self::NoOutput)
    }

    pub(crate) fn record(self) -> Record {
        let reason = match self {
            Self::NoInput => "no input has an element",
            Self::NoOutput => "no output has an element",
            Self::Constant => "no output depends on any input: nothing is proven",
        };
        Record::unchecked("dependence", reason)
    }
}

/// Empty, the smallest ones, a prime, and a workgroup's width with its neighbours.
const SIZES: [usize; 10] = [0, 1, 2, 3, 7, 31, 32, 33, 64, 257];

/// The full Jacobian, or projections where it is too large.
pub(crate) fn prove(
    place: &Place<'_>,
    inputs: &[Array],
    settings: &Settings,
    entries: usize,
) -> (Record, Option<Proven>) {
    match place.forward(inputs) {
        Ok(outputs) if projection::is_large(inputs, &outputs, entries) => {
            projection::check(place, inputs, settings)
        }
        _ => jacobian::check(place, inputs, settings),
    }
}

/// Whether no output moves with any input, as far as that could be judged.
fn constant(proven: &Proven) -> bool {
    match &proven.evidence {
        Evidence::Jacobian(columns) => {
            let judged = columns.iter().enumerate().flat_map(|(column, entries)| {
                let entries = entries.iter().enumerate();
                let open = &proven.open.entries;
                entries.filter(move |(row, _)| !open.contains(&(*row, column)))
            });
            let mut judged = judged.peekable();
            judged.peek().is_some() && judged.all(|(_, entry)| entry.nature == Nature::Constant)
        }
        Evidence::Gradient(gradient) => gradient.iter().all(|&g| g == 0.0),
    }
}

/// A report in which nothing was checked is not a pass.
#[cfg(test)]
#[test]
fn an_empty_report_does_not_pass() {
    assert_eq!(Report { records: Vec::new() }.verdict(), Verdict::Invalid);
}
