use std::vec::IntoIter;

use burn::backend::DispatchTensor;
use burn::tensor::Tensor;

use crate::Var;

/// Tensors or variables in a structure: what the transforms differentiate with respect to, and what
/// they give. JAX calls it a pytree.
///
/// One [`Tensor`] or [`Var`], arrays, `Vec`s and tuples of such structures, nested in any way. A position
/// that is a tensor leaves the tape as a tensor; one that is a `Var` stays on it, so that an enclosing
/// transform differentiates through it.
pub trait Tree: Sized {
    /// The same structure of variables: what the function takes or gives.
    type Vars: Vars;

    /// What a single number beside this structure is: a tensor of rank 1, or a variable.
    type Scalar: Tree<Vars = Var>;

    /// The variables that carry the tensors, as they are.
    #[doc(hidden)]
    fn into_vars(self) -> Self::Vars;

    /// The structure that variables carry.
    #[doc(hidden)]
    fn from_vars(vars: Self::Vars) -> Self;

    /// What each position is.
    #[doc(hidden)]
    fn positions(vars: &Self::Vars, positions: &mut Vec<Position>);
}

/// What a position of a [`Tree`] is.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// A variable, of any rank.
    Variable,
    /// A tensor, of this rank if it is known.
    Tensor(Option<usize>),
}

/// Variables in the structure of a [`Tree`]: what a function that is differentiated takes and gives.
pub trait Vars: Clone {
    /// Visits them in order.
    fn each(&self, visit: &mut dyn FnMut(&Var));

    /// Replaces each of them, in order.
    #[must_use]
    fn map(self, change: &mut dyn FnMut(Var) -> Var) -> Self;

    /// Takes as many as the structure has; a `Vec` takes all.
    fn take(vars: &mut IntoIter<Var>) -> Self;

    /// In order.
    fn into_vec(self) -> Vec<Var> {
        let mut list = Vec::new();
        self.each(&mut |var| list.push(var.clone()));
        list
    }

    /// From as many as there are.
    ///
    /// # Panics
    ///
    /// If the structure has a different number.
    fn from_vec(vars: Vec<Var>) -> Self {
        let count = vars.len();
        let mut vars = vars.into_iter();
        let taken = Self::take(&mut vars);
        assert!(vars.as_slice().is_empty(), "expected {} tensors, got {count}", count - vars.len());
        taken
    }
}

impl Vars for Var {
    fn each(&self, visit: &mut dyn FnMut(&Var)) {
        visit(self);
    }

    fn map(self, change: &mut dyn FnMut(Var) -> Var) -> Self {
        change(self)
    }

    fn take(vars: &mut IntoIter<Var>) -> Self {
        vars.next().expect("there are fewer tensors than the structure has")
    }
}

impl<V: Vars, const N: usize> Vars for [V; N] {
    fn each(&self, visit: &mut dyn FnMut(&Var)) {
        self.iter().for_each(|vars| vars.each(visit));
    }

    fn map(self, change: &mut dyn FnMut(Var) -> Var) -> Self {
        <[V; N]>::map(self, |vars| vars.map(change))
    }

    fn take(vars: &mut IntoIter<Var>) -> Self {
        std::array::from_fn(|_| V::take(vars))
    }
}

impl<V: Vars> Vars for Vec<V> {
    fn each(&self, visit: &mut dyn FnMut(&Var)) {
        self.iter().for_each(|vars| vars.each(visit));
    }

    fn map(self, change: &mut dyn FnMut(Var) -> Var) -> Self {
        self.into_iter().map(|vars| vars.map(change)).collect()
    }

    fn take(vars: &mut IntoIter<Var>) -> Self {
        let mut list = Self::new();
        while !vars.as_slice().is_empty() {
            list.push(V::take(vars));
        }
        list
    }
}

impl Tree for Var {
    type Vars = Self;
    type Scalar = Self;

    fn into_vars(self) -> Self {
        self
    }

    fn from_vars(var: Self) -> Self {
        var
    }

    fn positions(_: &Self, positions: &mut Vec<Position>) {
        positions.push(Position::Variable);
    }
}

impl<const D: usize> Tree for Tensor<D> {
    type Vars = Var;
    type Scalar = Tensor<1>;

    fn into_vars(self) -> Var {
        Var::outside(Self::into_dispatch(self))
    }

    fn from_vars(var: Var) -> Self {
        Self::from_dispatch(var.into_raw())
    }

    fn positions(_: &Var, positions: &mut Vec<Position>) {
        positions.push(Position::Tensor(Some(D)));
    }
}

/// A tensor of a rank that is known at run time.
impl Tree for DispatchTensor {
    type Vars = Var;
    type Scalar = Self;

    fn into_vars(self) -> Var {
        Var::outside(self)
    }

    fn from_vars(var: Var) -> Self {
        var.into_raw()
    }

    fn positions(_: &Var, positions: &mut Vec<Position>) {
        positions.push(Position::Tensor(None));
    }
}

impl<T: Tree, const N: usize> Tree for [T; N] {
    type Vars = [T::Vars; N];
    type Scalar = T::Scalar;

    fn into_vars(self) -> Self::Vars {
        self.map(T::into_vars)
    }

    fn from_vars(vars: Self::Vars) -> Self {
        <[T::Vars; N]>::map(vars, T::from_vars)
    }

    fn positions(vars: &Self::Vars, positions: &mut Vec<Position>) {
        vars.iter().for_each(|vars| T::positions(vars, positions));
    }
}

impl<T: Tree> Tree for Vec<T> {
    type Vars = Vec<T::Vars>;
    type Scalar = T::Scalar;

    fn into_vars(self) -> Self::Vars {
        self.into_iter().map(T::into_vars).collect()
    }

    fn from_vars(vars: Self::Vars) -> Self {
        vars.into_iter().map(T::from_vars).collect()
    }

    fn positions(vars: &Self::Vars, positions: &mut Vec<Position>) {
        vars.iter().for_each(|vars| T::positions(vars, positions));
    }
}

/// Nothing: the auxiliary results of a function that has none.
impl Vars for () {
    fn each(&self, _: &mut dyn FnMut(&Var)) {}

    fn map(self, _: &mut dyn FnMut(Var) -> Var) -> Self {}

    fn take(_: &mut IntoIter<Var>) -> Self {}
}

impl Tree for () {
    type Vars = ();
    type Scalar = Var;

    fn into_vars(self) {}

    fn from_vars((): ()) {}

    fn positions((): &(), _: &mut Vec<Position>) {}
}

/// Float tensors whose number is known: one tensor, an array, or a tuple, nested in any way.
///
/// What a [`Function`](crate::Function) is applied to and what it returns, and what a gradient
/// check runs on.
pub trait Tensors: Tree {
    /// How many tensors.
    const COUNT: usize;

    /// Gives up the ranks.
    fn into_dispatch(self) -> Vec<DispatchTensor> {
        self.into_vars().into_vec().into_iter().map(Var::into_raw).collect()
    }

    /// Takes the ranks back.
    ///
    /// # Panics
    ///
    /// If there are not exactly [`COUNT`](Self::COUNT) tensors of the ranks that are asked for.
    fn from_dispatch(tensors: Vec<DispatchTensor>) -> Self {
        Self::from_vars(Vars::from_vec(tensors.into_iter().map(Var::outside).collect()))
    }
}

impl<const D: usize> Tensors for Tensor<D> {
    const COUNT: usize = 1;
}

impl<T: Tensors, const N: usize> Tensors for [T; N] {
    const COUNT: usize = N * T::COUNT;
}

/// An input of a [`Function`](crate::Function): a tensor, or an `Option` of one where the input is
/// [optional](crate::Function::optional).
pub trait Argument {
    /// Gives up the rank.
    fn into_argument(self) -> Option<DispatchTensor>;
}

impl<const D: usize> Argument for Tensor<D> {
    fn into_argument(self) -> Option<DispatchTensor> {
        Some(Self::into_dispatch(self))
    }
}

impl<const D: usize> Argument for Option<Tensor<D>> {
    fn into_argument(self) -> Option<DispatchTensor> {
        self.map(Tensor::into_dispatch)
    }
}

/// What a [`Function`](crate::Function) is applied to: one tensor, an array, or a tuple of up to
/// twelve, of any ranks; some may be `Option`s.
pub trait Arguments {
    /// How many inputs.
    const COUNT: usize;

    /// Gives up the ranks.
    fn into_arguments(self) -> Vec<Option<DispatchTensor>>;
}

impl<const D: usize> Arguments for Tensor<D> {
    const COUNT: usize = 1;

    fn into_arguments(self) -> Vec<Option<DispatchTensor>> {
        vec![self.into_argument()]
    }
}

impl<A: Argument, const N: usize> Arguments for [A; N] {
    const COUNT: usize = N;

    fn into_arguments(self) -> Vec<Option<DispatchTensor>> {
        self.into_iter().map(Argument::into_argument).collect()
    }
}

macro_rules! tuples {
    ($($name:ident $tree:ident),+) => {
        impl<$($tree: Vars),+> Vars for ($($tree,)+) {
            fn each(&self, visit: &mut dyn FnMut(&Var)) {
                let ($($name,)+) = self;
                $($name.each(visit);)+
            }

            fn map(self, change: &mut dyn FnMut(Var) -> Var) -> Self {
                let ($($name,)+) = self;
                ($($name.map(change),)+)
            }

            fn take(vars: &mut IntoIter<Var>) -> Self {
                ($($tree::take(vars),)+)
            }
        }

        impl<$($tree: Tree),+> Tree for ($($tree,)+) {
            type Vars = ($($tree::Vars,)+);
            type Scalar = <A as Tree>::Scalar;

            fn into_vars(self) -> Self::Vars {
                let ($($name,)+) = self;
                ($($name.into_vars(),)+)
            }

            fn from_vars(($($name,)+): Self::Vars) -> Self {
                ($($tree::from_vars($name),)+)
            }

            fn positions(($($name,)+): &Self::Vars, positions: &mut Vec<Position>) {
                $($tree::positions($name, positions);)+
            }
        }

        impl<$($tree: Tensors),+> Tensors for ($($tree,)+) {
            const COUNT: usize = 0 $(+ $tree::COUNT)+;
        }

        impl<$($tree: Argument),+> Arguments for ($($tree,)+) {
            const COUNT: usize = [$(stringify!($name)),+].len();

            fn into_arguments(self) -> Vec<Option<DispatchTensor>> {
                let ($($name,)+) = self;
                vec![$($name.into_argument()),+]
            }
        }
    };
}

tuples!(a A);
tuples!(a A, b B);
tuples!(a A, b B, c C);
tuples!(a A, b B, c C, d D);
tuples!(a A, b B, c C, d D, e E);
tuples!(a A, b B, c C, d D, e E, f F);
tuples!(a A, b B, c C, d D, e E, f F, g G);
tuples!(a A, b B, c C, d D, e E, f F, g G, h H);
tuples!(a A, b B, c C, d D, e E, f F, g G, h H, i I);
tuples!(a A, b B, c C, d D, e E, f F, g G, h H, i I, j J);
tuples!(a A, b B, c C, d D, e E, f F, g G, h H, i I, j J, k K);
tuples!(a A, b B, c C, d D, e E, f F, g G, h H, i I, j J, k K, l L);
