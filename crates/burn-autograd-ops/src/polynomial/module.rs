//! A cubic [`polynomial`](fn@super::polynomial) as a module with four parameters.

use burn::config::Config;
use burn::module::{Content, Initializer, Module, ModuleDisplay, Param};
use burn::tensor::{DType, Device, Distribution, Tensor};

use super::polynomial;

/// The configuration of [`Polynomial3`].
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::module::Initializer;
/// use burn::tensor::Device;
/// use burn_autograd_ops::polynomial::Polynomial3Config;
///
/// let constant = Initializer::Constant { value: 0.5 };
/// let model = Polynomial3Config::new().with_initializer(constant).init(&Device::flex());
/// assert_eq!(model.to_string(), "y = 0.5 + 0.5 x + 0.5 x^2 + 0.5 x^3");
/// # }
/// ```
#[derive(Config, Debug)]
#[non_exhaustive]
pub struct Polynomial3Config {
    /// What the coefficients are filled with: standard normal numbers, unless it is said. One that
    /// needs the sizes of a layer, as Kaiming's, does not fit.
    #[config(default = "Initializer::Normal { mean: 0.0, std: 1.0 }")]
    pub initializer: Initializer,
}

impl Polynomial3Config {
    /// The module, with new parameters on a device.
    pub fn init(&self, device: &Device) -> Polynomial3 {
        let next = || self.initializer.init([1usize], device);
        Polynomial3 { a: next(), b: next(), c: next(), d: next() }
    }
}

/// y = a + b·x + c·x² + d·x³ with four parameters of one element each, shown as that formula.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_ops::polynomial::Polynomial3;
///
/// let device = Device::flex();
/// let model = Polynomial3::new([1.0, -2.0, 0.1, 0.5], &device);
/// assert_eq!(format!("{model}"), "y = 1 + -2 x + 0.1 x^2 + 0.5 x^3");
/// let y = model.forward(Tensor::<1>::from_floats([-1.0], &device));
/// assert!((y.into_scalar::<f32>() - 2.6).abs() < 1e-6);
/// # }
/// ```
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct Polynomial3 {
    /// The constant, `[1]`.
    pub a: Param<Tensor<1>>,
    /// The coefficient of x, `[1]`.
    pub b: Param<Tensor<1>>,
    /// The coefficient of x², `[1]`.
    pub c: Param<Tensor<1>>,
    /// The coefficient of x³, `[1]`.
    pub d: Param<Tensor<1>>,
}

impl Polynomial3 {
    /// With these coefficients a, b, c, d.
    #[must_use]
    pub fn new(coefficients: [f64; 4], device: &Device) -> Self {
        let [a, b, c, d] =
            coefficients.map(|value| Param::from_tensor(Tensor::<1>::from_data([value], device)));
        Self { a, b, c, d }
    }

    /// With random coefficients.
    #[must_use]
    pub fn random(distribution: Distribution, device: &Device) -> Self {
        let next = || Param::from_tensor(Tensor::<1>::random([1], distribution, device));
        Self { a: next(), b: next(), c: next(), d: next() }
    }

    /// a + b·x + c·x² + d·x³ for every element; the output is like `x`.
    ///
    /// # Panics
    ///
    /// As [`polynomial`](fn@super::polynomial).
    #[track_caller]
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let coefficients = [&self.a, &self.b, &self.c, &self.d].map(|param| param.val()).to_vec();
        polynomial(x, Tensor::cat(coefficients, 0))
    }

    /// The formula with the parameters' values, which are read from the device; what `{}` prints.
    ///
    /// A number is as short as it can be for its data type: 0.1 in `f32` is 0.1. Those of `f16` and
    /// `bf16` are shown as the `f32` of the same value.
    #[must_use]
    pub fn formula(&self) -> String {
        let [a, b, c, d] = [&self.a, &self.b, &self.c, &self.d].map(|param| number(param.val()));
        format!("y = {a} + {b} x + {c} x^2 + {d} x^3")
    }
}

impl ModuleDisplay for Polynomial3 {
    fn custom_content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&self.formula()).optional()
    }
}

/// The first element, in the precision of the tensor: in another it has other digits.
fn number(coefficient: Tensor<1>) -> String {
    let dtype = coefficient.dtype();
    let data = coefficient.into_data();
    if dtype == DType::F64 {
        data.iter::<f64>().next().unwrap_or(f64::NAN).to_string()
    } else {
        data.iter::<f32>().next().unwrap_or(f32::NAN).to_string()
    }
}
