use std::ops::{Add, Div, Mul, Neg, Sub};

use burn::backend::tensor::{Device, FloatTensor};
use burn::backend::{Backend, TensorMetadata, get_device_settings};
use burn::tensor::{DType, Shape};

/// A float tensor of any rank on one backend, with operators.
///
/// A thin wrapper of the backend's primitive, for the bodies of [`Function`](crate::Function)s and
/// [`Rule`](crate::Rule)s. Every method is one or a few of Burn's operations, so it is
/// differentiable where Burn's are. Operators take values or references, and `f64` scalars on
/// either side; shapes broadcast as in Burn (equal ranks, sizes agree or are 1). A clone shares the
/// buffer.
#[derive(Debug, Clone)]
pub struct Var<B: Backend> {
    tensor: FloatTensor<B>,
    /// Which input of the function this is, as long as nothing was done to it.
    input: Option<usize>,
}

impl<B: Backend> Var<B> {
    /// Wraps a primitive.
    pub fn new(tensor: FloatTensor<B>) -> Self {
        Self { tensor, input: None }
    }

    pub(crate) fn input_of(tensor: FloatTensor<B>, index: usize) -> Self {
        Self { tensor, input: Some(index) }
    }

    pub(crate) fn inputs<const N: usize>(tensors: [FloatTensor<B>; N]) -> [Self; N] {
        let mut index = 0;
        tensors.map(|tensor| {
            let input = Self::input_of(tensor, index);
            index += 1;
            input
        })
    }

    pub(crate) fn input(&self) -> Option<usize> {
        self.input
    }

    /// The primitive.
    pub fn into_tensor(self) -> FloatTensor<B> {
        self.tensor
    }

    /// The primitive, borrowed.
    pub fn tensor(&self) -> &FloatTensor<B> {
        &self.tensor
    }

    /// The shape.
    pub fn shape(&self) -> Shape {
        self.tensor.shape()
    }

    /// The data type.
    pub fn dtype(&self) -> DType {
        self.tensor.dtype()
    }

    /// The device.
    pub fn device(&self) -> Device<B> {
        self.tensor.device()
    }

    fn map(self, operation: impl FnOnce(FloatTensor<B>) -> FloatTensor<B>) -> Self {
        Self::new(operation(self.tensor))
    }

    fn with(&self, operation: impl FnOnce(FloatTensor<B>) -> FloatTensor<B>) -> Self {
        Self::new(operation(self.tensor.clone()))
    }

    /// An operation that some devices have in fewer data types than the arithmetic ones.
    fn transcendental(
        &self,
        name: &str,
        operation: impl FnOnce(FloatTensor<B>) -> FloatTensor<B>,
    ) -> Self {
        crate::check::transcendental_on::<B>(name, "self", self.dtype(), &self.device())
            .unwrap_or_else(|error| panic!("{error}"));
        self.with(operation)
    }

    /// A tensor of ones with the same shape, data type and device.
    pub fn ones_like(&self) -> Self {
        Self::new(B::float_ones(self.shape(), &self.device(), self.dtype().into()))
    }

    /// A tensor of zeros with the same shape, data type and device.
    pub fn zeros_like(&self) -> Self {
        Self::new(B::float_zeros(self.shape(), &self.device(), self.dtype().into()))
    }

    /// xⁿ for an integer n, by repeated multiplication: exact in sign, and more accurate than a
    /// general power on devices whose `pow` goes through logarithms. x⁰ is 1.
    pub fn powi(&self, exponent: i32) -> Self {
        let mut power: Option<Self> = None;
        let mut square = self.clone();
        let mut rest = exponent.unsigned_abs();
        while rest > 0 {
            if rest & 1 == 1 {
                power = Some(match power {
                    Some(power) => power * square.clone(),
                    None => square.clone(),
                });
            }
            rest >>= 1;
            if rest > 0 {
                square = &square * &square;
            }
        }
        match power {
            // The first power of an input is a new value, not the input.
            Some(power) if exponent > 0 => Self::new(power.tensor),
            Some(power) => power.recip(),
            None => self.ones_like(),
        }
    }

    /// eˣ. Panics in `f64` on wgpu, whose adapters compute it wrongly.
    pub fn exp(&self) -> Self {
        self.transcendental("exp", B::float_exp)
    }

    /// ln x. Panics in `f64` on wgpu, whose adapters compute it wrongly.
    pub fn log(&self) -> Self {
        self.transcendental("log", B::float_log)
    }

    /// √x.
    pub fn sqrt(&self) -> Self {
        self.with(B::float_sqrt)
    }

    /// sin x. Panics in `f64` on wgpu, whose adapters compute it wrongly.
    pub fn sin(&self) -> Self {
        self.transcendental("sin", B::float_sin)
    }

    /// cos x. Panics in `f64` on wgpu, whose adapters compute it wrongly.
    pub fn cos(&self) -> Self {
        self.transcendental("cos", B::float_cos)
    }

    /// tanh x. Panics in `f64` on wgpu, whose adapters compute it wrongly.
    pub fn tanh(&self) -> Self {
        self.transcendental("tanh", B::float_tanh)
    }

    /// |x|.
    pub fn abs(&self) -> Self {
        self.with(B::float_abs)
    }

    /// 1/x.
    pub fn recip(&self) -> Self {
        self.with(B::float_recip)
    }

    /// `value` where `condition ≤ 0`, and this tensor elsewhere (also where the condition is NaN).
    pub fn fill_where_not_positive(&self, condition: &Self, value: f64) -> Self {
        let bools = get_device_settings::<B>(&self.device()).bool_dtype;
        let mask = B::float_lower_equal_elem(condition.tensor.clone(), 0.0f64.into(), bools);
        self.with(|tensor| B::float_mask_fill(tensor, mask, value.into()))
    }

    /// The matrix product over the last two dimensions.
    pub fn matmul(&self, rhs: &Self) -> Self {
        self.with(|lhs| B::float_matmul(lhs, rhs.tensor.clone()))
    }

    /// The last two dimensions exchanged.
    pub fn transpose(&self) -> Self {
        self.with(B::float_transpose)
    }

    /// The same elements in another shape.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Self {
        self.with(|tensor| B::float_reshape(tensor, shape.into()))
    }

    /// Repeats dimensions of size 1 to `shape`.
    pub fn expand(&self, shape: impl Into<Shape>) -> Self {
        self.with(|tensor| B::float_expand(tensor, shape.into()))
    }

    /// The sum of all elements, shape `[1]`.
    pub fn sum(&self) -> Self {
        self.with(B::float_sum)
    }

    /// The sum over a dimension, which stays with size 1.
    pub fn sum_dim(&self, dim: usize) -> Self {
        self.with(|tensor| B::float_sum_dim(tensor, dim))
    }

    /// Undoes a broadcast in a gradient: sums over every dimension in which `shape` has size 1 and
    /// this tensor has not.
    ///
    /// # Panics
    ///
    /// If this tensor's shape is not one that `shape` broadcasts to.
    pub fn reduce_to(self, shape: &Shape) -> Self {
        let from = self.shape();
        let fits = from.num_dims() == shape.num_dims()
            && from.iter().zip(shape.iter()).all(|(from, to)| from == to || *to == 1);
        assert!(
            fits,
            "reduce_to: argument `shape`: expected a shape that broadcasts to {:?}, got {:?}",
            from.to_vec(),
            shape.to_vec()
        );
        if from.num_elements() == 0 {
            // A sum over nothing, which Burn's reductions refuse on some backends (burn #5310).
            return Self::new(B::float_zeros(shape.clone(), &self.device(), self.dtype().into()));
        }
        let dims: Vec<_> = (0..from.num_dims()).filter(|&dim| from[dim] != shape[dim]).collect();
        dims.into_iter().fold(self, |sum, dim| sum.map(|tensor| B::float_sum_dim(tensor, dim)))
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $tensor:path, $scalar:path) => {
        impl<B: Backend> $trait for Var<B> {
            type Output = Self;
            fn $method(self, rhs: Self) -> Self {
                Self::new($tensor(self.tensor, rhs.tensor))
            }
        }
        impl<B: Backend> $trait<&Self> for Var<B> {
            type Output = Self;
            fn $method(self, rhs: &Self) -> Self {
                Self::new($tensor(self.tensor, rhs.tensor.clone()))
            }
        }
        impl<B: Backend> $trait<Var<B>> for &Var<B> {
            type Output = Var<B>;
            fn $method(self, rhs: Var<B>) -> Var<B> {
                Var::new($tensor(self.tensor.clone(), rhs.tensor))
            }
        }
        impl<B: Backend> $trait for &Var<B> {
            type Output = Var<B>;
            fn $method(self, rhs: Self) -> Var<B> {
                Var::new($tensor(self.tensor.clone(), rhs.tensor.clone()))
            }
        }
        impl<B: Backend> $trait<f64> for Var<B> {
            type Output = Self;
            fn $method(self, rhs: f64) -> Self {
                self.map(|tensor| $scalar(tensor, rhs.into()))
            }
        }
        impl<B: Backend> $trait<f64> for &Var<B> {
            type Output = Var<B>;
            fn $method(self, rhs: f64) -> Var<B> {
                self.with(|tensor| $scalar(tensor, rhs.into()))
            }
        }
        impl<B: Backend> $trait<&Var<B>> for f64 {
            type Output = Var<B>;
            fn $method(self, rhs: &Var<B>) -> Var<B> {
                $trait::$method(self, rhs.clone())
            }
        }
    };
}

operator!(Add, add, B::float_add, B::float_add_scalar);
operator!(Sub, sub, B::float_sub, B::float_sub_scalar);
operator!(Mul, mul, B::float_mul, B::float_mul_scalar);
operator!(Div, div, B::float_div, B::float_div_scalar);

impl<B: Backend> Add<Var<B>> for f64 {
    type Output = Var<B>;
    fn add(self, rhs: Var<B>) -> Var<B> {
        rhs + self
    }
}

impl<B: Backend> Sub<Var<B>> for f64 {
    type Output = Var<B>;
    fn sub(self, rhs: Var<B>) -> Var<B> {
        -rhs + self
    }
}

impl<B: Backend> Mul<Var<B>> for f64 {
    type Output = Var<B>;
    fn mul(self, rhs: Var<B>) -> Var<B> {
        rhs * self
    }
}

impl<B: Backend> Div<Var<B>> for f64 {
    type Output = Var<B>;
    #[expect(clippy::suspicious_arithmetic_impl, reason = "Burn has no scalar by tensor")]
    fn div(self, rhs: Var<B>) -> Var<B> {
        rhs.recip() * self
    }
}

impl<B: Backend> Neg for Var<B> {
    type Output = Self;
    fn neg(self) -> Self {
        self.map(B::float_neg)
    }
}

impl<B: Backend> Neg for &Var<B> {
    type Output = Var<B>;
    fn neg(self) -> Var<B> {
        self.with(B::float_neg)
    }
}
