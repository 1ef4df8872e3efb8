//! Comparisons, and choosing between values.

use std::ops::{BitAnd, BitOr, Not};

use burn::backend::tensor::BoolTensor;
use burn::backend::{
    Backend, Dispatch, DispatchAutodiffContext, TensorMetadata, get_device_settings,
};
use burn::tensor::{Bool, Shape, Tensor};

use super::Var;
use crate::{Error, ErrorKind, OrPanic as _, check};

/// A boolean tensor of any rank: what comparisons give, and what chooses between values.
#[derive(Debug, Clone)]
pub struct Mask<B: Backend = Dispatch>(BoolTensor<B>);

impl<B: Backend> Mask<B> {
    /// Wraps a primitive.
    pub fn new(mask: BoolTensor<B>) -> Self {
        Self(mask)
    }

    /// The primitive.
    pub fn into_primitive(self) -> BoolTensor<B> {
        self.0
    }

    /// The shape.
    pub fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn expand(&self, shape: &Shape) -> BoolTensor<B> {
        if self.shape() == *shape {
            self.0.clone()
        } else {
            B::bool_expand(self.0.clone(), shape.clone())
        }
    }
}

impl<const D: usize> From<Tensor<D, Bool>> for Mask {
    fn from(mask: Tensor<D, Bool>) -> Self {
        let mut mask = mask.into_dispatch();
        // What a constant is combined with decides whether the result is tracked.
        mask.autodiff = DispatchAutodiffContext::Disabled;
        Self(mask)
    }
}

impl<const D: usize> From<&Tensor<D, Bool>> for Mask {
    fn from(mask: &Tensor<D, Bool>) -> Self {
        mask.clone().into()
    }
}

impl<B: Backend> Not for Mask<B> {
    type Output = Self;
    fn not(self) -> Self {
        Self(B::bool_not(self.0))
    }
}

impl<B: Backend> BitAnd for Mask<B> {
    type Output = Self;
    fn bitand(self, rhs: Self) -> Self {
        Self(B::bool_and(self.0, rhs.0))
    }
}

impl<B: Backend> BitOr for Mask<B> {
    type Output = Self;
    fn bitor(self, rhs: Self) -> Self {
        Self(B::bool_or(self.0, rhs.0))
    }
}

macro_rules! comparisons {
    ($($symbol:literal $method:ident $elem:ident $burn:ident $burn_elem:ident;)+) => {
        impl<B: Backend> Var<B> {
            $(
                #[doc = concat!("Where self ", $symbol, " rhs, with broadcasting.")]
                ///
                /// # Panics
                ///
                /// If the shapes do not broadcast.
                #[track_caller]
                pub fn $method(&self, rhs: &Self) -> Mask<B> {
                    self.check_alike(stringify!($method), "rhs", rhs);
                    let shape = check::broadcast(
                        stringify!($method),
                        &[("self", &self.shape()), ("rhs", &rhs.shape())],
                    )
                    .or_panic();
                    let bools = get_device_settings::<B>(&self.device()).bool_dtype;
                    let expand = |var: &Self| {
                        let tensor = var.raw().clone();
                        if var.shape() == shape { tensor } else { B::float_expand(tensor, shape.clone()) }
                    };
                    Mask(B::$burn(expand(self), expand(rhs), bools))
                }

                #[doc = concat!("Where self ", $symbol, " a number.")]
                pub fn $elem(&self, rhs: f64) -> Mask<B> {
                    let bools = get_device_settings::<B>(&self.device()).bool_dtype;
                    Mask(B::$burn_elem(self.raw().clone(), rhs.into(), bools))
                }
            )+
        }
    };
}

comparisons! {
    ">" greater greater_elem float_greater float_greater_elem;
    "≥" greater_equal greater_equal_elem float_greater_equal float_greater_equal_elem;
    "<" lower lower_elem float_lower float_lower_elem;
    "≤" lower_equal lower_equal_elem float_lower_equal float_lower_equal_elem;
    "=" equal equal_elem float_equal float_equal_elem;
    "≠" not_equal not_equal_elem float_not_equal float_not_equal_elem;
}

impl<B: Backend> Var<B> {
    #[track_caller]
    fn check_broadcasts_to(
        operation: &'static str,
        argument: &'static str,
        from: &Shape,
        to: &Shape,
    ) {
        let fits = from.num_dims() == to.num_dims()
            && from.iter().zip(to.iter()).all(|(from, to)| from == to || *from == 1);
        if !fits {
            let expected = format!("a shape that broadcasts to {:?}", to.to_vec());
            let got = format!("{:?}", from.to_vec());
            Error::new(ErrorKind::Shape, operation, argument, expected, got).raise();
        }
    }

    /// `value` where the mask is true, this tensor elsewhere. The mask and the value may be
    /// broadcast to this tensor's shape.
    ///
    /// Derivatives: the gradient where the mask is false, and where it is true.
    ///
    /// # Panics
    ///
    /// If the mask or the value does not broadcast to this tensor's shape.
    #[must_use]
    #[track_caller]
    pub fn mask_where(&self, mask: &Mask<B>, value: &Self) -> Self {
        self.check_alike("mask_where", "value", value);
        let shape = self.shape();
        Self::check_broadcasts_to("mask_where", "mask", &mask.shape(), &shape);
        Self::check_broadcasts_to("mask_where", "value", &value.shape(), &shape);
        let expanded = mask.expand(&shape);
        let value = if value.shape() == shape { value.clone() } else { value.expand(shape) };
        let chosen = Mask::<B>(expanded.clone());
        Self::op(
            "mask_where",
            [self.clone(), value],
            |_| chosen,
            |[x, value]| B::float_mask_where(x, expanded, value),
            |chosen, g, [dx, dvalue]| {
                [
                    dx.then(|| g.mask_fill(chosen, 0.0)),
                    dvalue.then(|| g.mask_fill(&!chosen.clone(), 0.0)),
                ]
            },
        )
    }

    /// A number where the mask is true, this tensor elsewhere. The mask may be broadcast.
    ///
    /// Derivative: the gradient where the mask is false.
    ///
    /// # Panics
    ///
    /// If the mask does not broadcast to this tensor's shape.
    #[must_use]
    #[track_caller]
    pub fn mask_fill(&self, mask: &Mask<B>, value: f64) -> Self {
        Self::check_broadcasts_to("mask_fill", "mask", &mask.shape(), &self.shape());
        let expanded = mask.expand(&self.shape());
        let chosen = Mask::<B>(expanded.clone());
        Self::op(
            "mask_fill",
            [self.clone()],
            |_| chosen,
            |[x]| B::float_mask_fill(x, expanded, value.into()),
            |chosen, g, _| [Some(g.mask_fill(chosen, 0.0))],
        )
    }

    /// `value` where `condition ≤ 0`, and this tensor elsewhere (also where the condition is NaN).
    #[must_use]
    #[track_caller]
    pub fn fill_where_not_positive(&self, condition: &Self, value: f64) -> Self {
        let shapes = (condition.shape(), self.shape());
        Self::check_broadcasts_to("fill_where_not_positive", "condition", &shapes.0, &shapes.1);
        self.mask_fill(&condition.lower_equal_elem(0.0), value)
    }

    /// Where there is no number.
    pub fn is_nan(&self) -> Mask<B> {
        let bools = get_device_settings::<B>(&self.device()).bool_dtype;
        Mask(B::float_is_nan(self.raw().clone(), bools))
    }

    /// The larger of two, elementwise with broadcasting; NaN if one is. The gradient goes to the larger one, on
    /// ties to this one.
    #[must_use]
    #[track_caller]
    pub fn maximum(&self, rhs: &Self) -> Self {
        self.check_alike("maximum", "rhs", rhs);
        let shape = check::broadcast("maximum", &[("self", &self.shape()), ("rhs", &rhs.shape())])
            .or_panic();
        let (lhs, rhs) = (self.expand(shape.clone()), rhs.expand(shape));
        lhs.mask_where(&(rhs.greater(&lhs) | rhs.is_nan()), &rhs)
    }

    /// The smaller of two, elementwise with broadcasting; NaN if one is. The gradient goes to the smaller one, on
    /// ties to this one.
    #[must_use]
    #[track_caller]
    pub fn minimum(&self, rhs: &Self) -> Self {
        self.check_alike("minimum", "rhs", rhs);
        let shape = check::broadcast("minimum", &[("self", &self.shape()), ("rhs", &rhs.shape())])
            .or_panic();
        let (lhs, rhs) = (self.expand(shape.clone()), rhs.expand(shape));
        lhs.mask_where(&(rhs.lower(&lhs) | rhs.is_nan()), &rhs)
    }

    /// Bounded by two numbers. Derivative: 1 within the bounds and on them, 0 outside.
    #[must_use]
    #[track_caller]
    pub fn clamp(&self, least: f64, most: f64) -> Self {
        self.mask_fill(&self.lower_elem(least), least).mask_fill(&self.greater_elem(most), most)
    }
}
