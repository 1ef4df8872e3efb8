use burn::tensor::{DType, Device};
use burn_autograd_core::Tensors;

use crate::evaluate::Place;
use crate::jacobian::{self, Settings};
use crate::numeric::Precision;
use crate::record::{Record, Report};
use crate::{Array, Subject, structure};

/// Checks a function's gradient at `inputs`: every entry of its Jacobian against a numeric
/// derivative, and what must hold of every gradient: all subsets of tracked inputs, both
/// checkpointing strategies, views, linearity in the cotangent, accumulation, repetition.
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
pub fn gradgradcheck<I: Tensors, O: Tensors>(
    function: impl Fn(I) -> O + Send + Sync + 'static,
    vjp: impl Fn(I, O) -> I + Send + Sync + 'static,
    inputs: I,
) -> Report {
    Gradcheck::new().run_second(&Subject::new(function), &Subject::product(vjp), inputs)
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
/// Gradcheck::new().first_step(0.03125).run(&root, x).assert_pass();
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Gradcheck {
    first_step: f64,
    seed: u64,
    reference: Option<Device>,
    intrinsic_ulps: f64,
}

impl Default for Gradcheck {
    fn default() -> Self {
        Self::new()
    }
}

impl Gradcheck {
    /// Steps from ¼, seed 42, no reference.
    pub fn new() -> Self {
        Self { first_step: 0.25, seed: 42, reference: None, intrinsic_ulps: 0.0 }
    }

    /// The largest step: less than the distance to a kink or to the end of the domain. Smaller steps
    /// are taken too, so that it need not fit the function's scale.
    pub fn first_step(mut self, step: f64) -> Self {
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

    /// By how many units in the last place the device's built-in functions (`exp`, `sin`, …) may be
    /// off. For the comparison with a [`reference`](Self::reference).
    pub fn intrinsic_ulps(mut self, ulps: f64) -> Self {
        self.intrinsic_ulps = ulps;
        self
    }

    /// Checks a function's gradient.
    pub fn run(&self, subject: &Subject, inputs: impl Tensors) -> Report {
        let (arrays, device, dtype) = crate::evaluate::take(inputs);
        self.run_at(subject, &arrays, &device, dtype)
    }

    /// Checks a function's second derivative.
    pub fn run_second(&self, function: &Subject, vjp: &Subject, inputs: impl Tensors) -> Report {
        let (mut arrays, device, dtype) = crate::evaluate::take(inputs);
        let place = Place { subject: function, device: &device, dtype };
        let (record, cotangents) = structure::consistency(&place, vjp, &arrays, self.seed);
        let mut records = vec![record];
        if let Some(cotangents) = cotangents {
            arrays.extend(cotangents);
            records.extend(self.run_at(vjp, &arrays, &device, dtype).records);
        }
        Report { records }
    }

    fn settings(&self, dtype: DType) -> Settings {
        Settings {
            precision: if dtype == DType::F64 { Precision::F64 } else { Precision::F32 },
            first_step: self.first_step,
            seed: self.seed,
            intrinsic_ulps: self.intrinsic_ulps,
            roundings: 0.0,
        }
    }

    fn run_at(&self, subject: &Subject, inputs: &[Array], device: &Device, dtype: DType) -> Report {
        let place = Place { subject, device, dtype };
        let settings = self.settings(dtype);
        let Some(reference) = &self.reference else {
            let (record, jacobian) = jacobian::check(&place, inputs, &settings);
            let mut records = vec![record];
            if let Some(jacobian) = jacobian {
                records.extend(structure::checks(&place, inputs, &jacobian, self.seed, false, 0.0));
            }
            return Report { records };
        };
        let reference = Place { subject, device: reference, dtype: DType::F64 };
        let (record, jacobian) = jacobian::check(&reference, inputs, &self.settings(DType::F64));
        let mut records = vec![Record { check: "reference".to_owned(), ..record }];
        if let Some(jacobian) = jacobian {
            records.push(jacobian::parity(&place, &reference, inputs, &jacobian, &settings));
            records.extend(structure::checks(&place, inputs, &jacobian, self.seed, false, 0.0));
        }
        Report { records }
    }
}

/// A report in which nothing was checked is not a pass.
#[cfg(test)]
#[test]
fn an_empty_report_does_not_pass() {
    assert_eq!(Report { records: Vec::new() }.verdict(), crate::Verdict::Invalid);
}
