use burn::backend::DispatchTensor;
use burn::tensor::Tensor;

use crate::Var;

/// Float tensors of any ranks: one tensor, an array, or a tuple of up to twelve.
///
/// What a [`Function`](crate::Function) is applied to and what it returns, and what a gradient
/// check runs on.
pub trait Tensors: Sized {
    /// The same structure of variables: [`Var`] for one tensor, `[Var; N]`, `(Var, …)`.
    type Vars: Vars;

    /// How many tensors.
    const COUNT: usize;

    /// The rank of each.
    fn ranks() -> Vec<usize>;

    /// Gives up the ranks.
    fn into_dispatch(self) -> Vec<DispatchTensor>;

    /// Takes the ranks back. Panics if there are not exactly [`COUNT`](Self::COUNT) tensors.
    fn from_dispatch(tensors: Vec<DispatchTensor>) -> Self;
}

impl<const D: usize> Tensors for Tensor<D> {
    type Vars = Var;
    const COUNT: usize = 1;

    fn ranks() -> Vec<usize> {
        vec![D]
    }

    fn into_dispatch(self) -> Vec<DispatchTensor> {
        vec![Self::into_dispatch(self)]
    }

    fn from_dispatch(tensors: Vec<DispatchTensor>) -> Self {
        let [tensor] = exactly(tensors);
        Self::from_dispatch(tensor)
    }
}

impl<const D: usize, const N: usize> Tensors for [Tensor<D>; N] {
    type Vars = [Var; N];
    const COUNT: usize = N;

    fn ranks() -> Vec<usize> {
        vec![D; N]
    }

    fn into_dispatch(self) -> Vec<DispatchTensor> {
        self.into_iter().map(Tensor::into_dispatch).collect()
    }

    fn from_dispatch(tensors: Vec<DispatchTensor>) -> Self {
        exactly(tensors).map(Tensor::from_dispatch)
    }
}

/// Variables in the structure of [`Tensors`]: what a function that is differentiated takes and
/// gives.
pub trait Vars: Sized {
    /// In order.
    fn into_vec(self) -> Vec<Var>;

    /// From as many as there are.
    fn from_vec(vars: Vec<Var>) -> Self;
}

impl Vars for Var {
    fn into_vec(self) -> Vec<Var> {
        vec![self]
    }

    fn from_vec(vars: Vec<Var>) -> Self {
        let [var] = exactly(vars);
        var
    }
}

impl<const N: usize> Vars for [Var; N] {
    fn into_vec(self) -> Vec<Var> {
        self.into()
    }

    fn from_vec(vars: Vec<Var>) -> Self {
        exactly(vars)
    }
}

impl Vars for Vec<Var> {
    fn into_vec(self) -> Vec<Var> {
        self
    }

    fn from_vec(vars: Vec<Var>) -> Self {
        vars
    }
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

fn exactly<T, const N: usize>(tensors: Vec<T>) -> [T; N] {
    let got = tensors.len();
    tensors.try_into().unwrap_or_else(|_| panic!("expected {N} tensors, got {got}"))
}

macro_rules! tuples {
    ($count:literal: $($name:ident $rank:ident),+) => {
        impl<$(const $rank: usize),+> Tensors for ($(Tensor<$rank>,)+) {
            type Vars = ($(one!($name Var),)+);
            const COUNT: usize = $count;

            fn ranks() -> Vec<usize> {
                vec![$($rank),+]
            }

            fn into_dispatch(self) -> Vec<DispatchTensor> {
                let ($($name,)+) = self;
                vec![$($name.into_dispatch()),+]
            }

            fn from_dispatch(tensors: Vec<DispatchTensor>) -> Self {
                let [$($name),+] = exactly::<_, $count>(tensors);
                ($(Tensor::from_dispatch($name),)+)
            }
        }

        impl Vars for ($(one!($name Var),)+) {
            fn into_vec(self) -> Vec<Var> {
                let ($($name,)+) = self;
                vec![$($name),+]
            }

            fn from_vec(vars: Vec<Var>) -> Self {
                let [$($name),+] = exactly::<_, $count>(vars);
                ($($name,)+)
            }
        }

        #[expect(non_camel_case_types, reason = "one list of names serves types and values")]
        impl<$($name: Argument),+> Arguments for ($($name,)+) {
            const COUNT: usize = $count;

            fn into_arguments(self) -> Vec<Option<DispatchTensor>> {
                let ($($name,)+) = self;
                vec![$($name.into_argument()),+]
            }
        }
    };
}

macro_rules! one {
    ($name:ident $type:ty) => {
        $type
    };
}

tuples!(1: a A);
tuples!(2: a A, b B);
tuples!(3: a A, b B, c C);
tuples!(4: a A, b B, c C, d D);
tuples!(5: a A, b B, c C, d D, e E);
tuples!(6: a A, b B, c C, d D, e E, f F);
tuples!(7: a A, b B, c C, d D, e E, f F, g G);
tuples!(8: a A, b B, c C, d D, e E, f F, g G, h H);
tuples!(9: a A, b B, c C, d D, e E, f F, g G, h H, i I);
tuples!(10: a A, b B, c C, d D, e E, f F, g G, h H, i I, j J);
tuples!(11: a A, b B, c C, d D, e E, f F, g G, h H, i I, j J, k K);
tuples!(12: a A, b B, c C, d D, e E, f F, g G, h H, i I, j J, k K, l L);
