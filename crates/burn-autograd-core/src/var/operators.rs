//! `+ − · ÷` between variables, with broadcasting, and with scalars.

use std::ops::{Add, Div, Mul, Neg, Sub};

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, Shape};

use super::Var;
use crate::{OrPanic as _, check};

impl<B: Backend> Var<B> {
    #[track_caller]
    fn check_operands(operation: &str, lhs: &Self, rhs: &Self) {
        lhs.check_alike(operation, "rhs", rhs);
        let (left, right) = (lhs.shape(), rhs.shape());
        if left != right {
            check::broadcast(operation, &[("self", &left), ("rhs", &right)]).or_panic();
        }
    }

    /// ∂(a + b) = (g, g).
    #[track_caller]
    fn add_var(self, rhs: Self) -> Self {
        Self::check_operands("add", &self, &rhs);
        Self::op(
            "add",
            [self, rhs],
            |[a, b]| [a.shape(), b.shape()],
            |[a, b]| B::float_add(a, b),
            |[a, b], g, [da, db]| [da.then(|| g.clone().reduce_to(a)), db.then(|| g.reduce_to(b))],
        )
    }

    /// ∂(a − b) = (g, −g).
    #[track_caller]
    fn sub_var(self, rhs: Self) -> Self {
        Self::check_operands("sub", &self, &rhs);
        Self::op(
            "sub",
            [self, rhs],
            |[a, b]| [a.shape(), b.shape()],
            |[a, b]| B::float_sub(a, b),
            |[a, b], g, [da, db]| {
                [da.then(|| g.clone().reduce_to(a)), db.then(|| (-g).reduce_to(b))]
            },
        )
    }

    /// ∂(a·b) = (g·b, g·a).
    #[track_caller]
    fn mul_var(self, rhs: Self) -> Self {
        Self::check_operands("mul", &self, &rhs);
        Self::op(
            "mul",
            [self, rhs],
            |[a, b]| [a.clone(), b.clone()],
            |[a, b]| B::float_mul(a, b),
            |[a, b], g, [da, db]| {
                [
                    da.then(|| (&g * b).reduce_to(&a.shape())),
                    db.then(|| (g * a).reduce_to(&b.shape())),
                ]
            },
        )
    }

    /// ∂(a ÷ b) = (g ÷ b, −(g ÷ b)·(a ÷ b)).
    #[track_caller]
    fn div_var(self, rhs: Self) -> Self {
        Self::check_operands("div", &self, &rhs);
        Self::op(
            "div",
            [self, rhs],
            |[a, b]| [a.clone(), b.clone()],
            |[a, b]| B::float_div(a, b),
            |[a, b], g, [da, db]| {
                let g = g / b;
                let db = db.then(|| (-(&g * (a / b))).reduce_to(&b.shape()));
                [da.then(|| g.reduce_to(&a.shape())), db]
            },
        )
    }

    #[track_caller]
    fn add_scalar(self, rhs: f64) -> Self {
        let add = |[x]: [_; 1]| B::float_add_scalar(x, rhs.into());
        Self::op("add_scalar", [self], |_| (), add, |(), g, _| [Some(g)])
    }

    #[track_caller]
    fn sub_scalar(self, rhs: f64) -> Self {
        let sub = |[x]: [_; 1]| B::float_sub_scalar(x, rhs.into());
        Self::op("sub_scalar", [self], |_| (), sub, |(), g, _| [Some(g)])
    }

    #[track_caller]
    fn mul_scalar(self, rhs: f64) -> Self {
        let mul = |[x]: [_; 1]| B::float_mul_scalar(x, rhs.into());
        Self::op("mul_scalar", [self], |_| (), mul, move |(), g, _| [Some(g * rhs)])
    }

    #[track_caller]
    fn div_scalar(self, rhs: f64) -> Self {
        let div = |[x]: [FloatTensor<B>; 1]| {
            // Burn differentiates a division by a scalar with a reciprocal in single precision.
            let lossy = x.dtype() == DType::F64 && f64::from((1.0 / rhs) as f32) != 1.0 / rhs;
            if !lossy || x.shape().num_elements() == 0 {
                return B::float_div_scalar(x, rhs.into());
            }
            let ones = Shape::from(vec![1; x.shape().num_dims()]);
            let divisor = B::float_full(ones, rhs.into(), &x.device(), x.dtype().into());
            B::float_div(x, divisor)
        };
        Self::op("div_scalar", [self], |_| (), div, move |(), g, _| [Some(g / rhs)])
    }

    #[track_caller]
    fn negative(self) -> Self {
        Self::op("neg", [self], |_| (), |[x]| B::float_neg(x), |(), g, _| [Some(-g)])
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $tensor:ident, $scalar:ident) => {
        impl<B: Backend> $trait for Var<B> {
            type Output = Self;
            #[track_caller]
            fn $method(self, rhs: Self) -> Self {
                self.$tensor(rhs)
            }
        }
        impl<B: Backend> $trait<&Self> for Var<B> {
            type Output = Self;
            #[track_caller]
            fn $method(self, rhs: &Self) -> Self {
                self.$tensor(rhs.clone())
            }
        }
        impl<B: Backend> $trait<Var<B>> for &Var<B> {
            type Output = Var<B>;
            #[track_caller]
            fn $method(self, rhs: Var<B>) -> Var<B> {
                self.clone().$tensor(rhs)
            }
        }
        impl<B: Backend> $trait for &Var<B> {
            type Output = Var<B>;
            #[track_caller]
            fn $method(self, rhs: Self) -> Var<B> {
                self.clone().$tensor(rhs.clone())
            }
        }
        impl<B: Backend> $trait<f64> for Var<B> {
            type Output = Self;
            #[track_caller]
            fn $method(self, rhs: f64) -> Self {
                self.$scalar(rhs)
            }
        }
        impl<B: Backend> $trait<f64> for &Var<B> {
            type Output = Var<B>;
            #[track_caller]
            fn $method(self, rhs: f64) -> Var<B> {
                self.clone().$scalar(rhs)
            }
        }
        impl<B: Backend> $trait<&Var<B>> for f64 {
            type Output = Var<B>;
            #[track_caller]
            fn $method(self, rhs: &Var<B>) -> Var<B> {
                $trait::$method(self, rhs.clone())
            }
        }
    };
}

operator!(Add, add, add_var, add_scalar);
operator!(Sub, sub, sub_var, sub_scalar);
operator!(Mul, mul, mul_var, mul_scalar);
operator!(Div, div, div_var, div_scalar);

impl<B: Backend> Add<Var<B>> for f64 {
    type Output = Var<B>;
    #[track_caller]
    fn add(self, rhs: Var<B>) -> Var<B> {
        rhs.add_scalar(self)
    }
}

impl<B: Backend> Sub<Var<B>> for f64 {
    type Output = Var<B>;
    #[track_caller]
    fn sub(self, rhs: Var<B>) -> Var<B> {
        rhs.negative().add_scalar(self)
    }
}

impl<B: Backend> Mul<Var<B>> for f64 {
    type Output = Var<B>;
    #[track_caller]
    fn mul(self, rhs: Var<B>) -> Var<B> {
        rhs.mul_scalar(self)
    }
}

impl<B: Backend> Div<Var<B>> for f64 {
    type Output = Var<B>;
    #[track_caller]
    fn div(self, rhs: Var<B>) -> Var<B> {
        rhs.recip().mul_scalar(self)
    }
}

impl<B: Backend> Neg for Var<B> {
    type Output = Self;
    #[track_caller]
    fn neg(self) -> Self {
        self.negative()
    }
}

impl<B: Backend> Neg for &Var<B> {
    type Output = Var<B>;
    #[track_caller]
    fn neg(self) -> Var<B> {
        self.clone().negative()
    }
}
