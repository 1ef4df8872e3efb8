//! The numbers that the functions are computed in.

use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;

/// A number of some precision: every operation on it is rounded to that.
pub(crate) trait Real:
    Copy
    + PartialOrd
    + From<f64>
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
{
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn tanh(self) -> Self;
    fn atan(self) -> Self;
    fn sqrt(self) -> Self;

    fn recip(self) -> Self {
        Self::from(1.0) / self
    }

    fn square(self) -> Self {
        self * self
    }

    fn abs(self) -> Self {
        if self < Self::from(0.0) { -self } else { self }
    }
}

/// Single precision, with constants rounded to it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Single(pub(crate) f32);

impl From<f64> for Single {
    fn from(value: f64) -> Self {
        Self(value as f32)
    }
}

type Big = FBig<HalfEven, 2>;

/// Bits of the closed forms. No formula cancels more than a third of them: what is left, 10⁻⁴⁰, is
/// nothing beside a bound in double precision.
const BITS: usize = 200;

thread_local! {
    static VALUES: RefCell<Vec<Big>> = const { RefCell::new(Vec::new()) };
}

/// A number with 200 bits: the place of one that is kept until [`clear`](Self::clear), so that it
/// can be copied like the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exact(usize);

impl Exact {
    fn keep(value: Big) -> Self {
        // Some results that are exact, as e⁰, have no precision of their own.
        let value = if value.precision() == 0 { value.with_precision(BITS).value() } else { value };
        VALUES.with_borrow_mut(|values| {
            values.push(value);
            Self(values.len() - 1)
        })
    }

    fn map(self, f: impl FnOnce(&Big) -> Big) -> Self {
        Self::keep(VALUES.with_borrow(|values| f(&values[self.0])))
    }

    fn combine(self, other: Self, f: impl FnOnce(&Big, &Big) -> Big) -> Self {
        Self::keep(VALUES.with_borrow(|values| f(&values[self.0], &values[other.0])))
    }

    pub(crate) fn to_f64(self) -> f64 {
        VALUES.with_borrow(|values| values[self.0].to_f64().value())
    }

    /// Forgets all numbers.
    pub(crate) fn clear() {
        VALUES.with_borrow_mut(Vec::clear);
    }
}

impl From<f64> for Exact {
    fn from(value: f64) -> Self {
        Self::keep(Big::try_from(value).expect("a finite number").with_precision(BITS).value())
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(std::cmp::Ordering::Equal)
    }
}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        VALUES.with_borrow(|values| values[self.0].partial_cmp(&values[other.0]))
    }
}

impl Neg for Single {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Neg for Exact {
    type Output = Self;

    fn neg(self) -> Self {
        self.map(|value| -value)
    }
}

macro_rules! operators {
    ($($operator:ident $method:ident),*) => {$(
        impl $operator for Single {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                Self(self.0.$method(other.0))
            }
        }

        impl $operator for Exact {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                self.combine(other, |a, b| a.$method(b))
            }
        }

        impl $operator<f64> for Single {
            type Output = Self;

            fn $method(self, other: f64) -> Self {
                self.$method(Self::from(other))
            }
        }

        impl $operator<f64> for Exact {
            type Output = Self;

            fn $method(self, other: f64) -> Self {
                self.$method(Self::from(other))
            }
        }
    )*};
}

operators!(Add add, Sub sub, Mul mul, Div div);

macro_rules! real {
    ($($method:ident),*) => {
        impl Real for Single {
            $(fn $method(self) -> Self { Self(self.0.$method()) })*
        }

        impl Real for f64 {
            $(fn $method(self) -> Self { Self::$method(self) })*
        }

        impl Real for Exact {
            $(fn $method(self) -> Self { self.map(Big::$method) })*
        }
    };
}

real!(exp, ln, sin, cos, tanh, atan, sqrt);
