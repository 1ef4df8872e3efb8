use burn::backend::DispatchTensor;
use burn::tensor::Tensor;

/// Float tensors of any ranks: one tensor, an array, or a tuple of up to eight.
///
/// What a [`Function`](crate::Function) is applied to and what it returns, and what a gradient
/// check runs on.
pub trait Tensors: Sized {
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

fn exactly<const N: usize>(tensors: Vec<DispatchTensor>) -> [DispatchTensor; N] {
    let got = tensors.len();
    tensors.try_into().unwrap_or_else(|_| panic!("expected {N} tensors, got {got}"))
}

macro_rules! tuples {
    ($count:literal: $($name:ident $rank:ident),+) => {
        impl<$(const $rank: usize),+> Tensors for ($(Tensor<$rank>,)+) {
            const COUNT: usize = $count;

            fn ranks() -> Vec<usize> {
                vec![$($rank),+]
            }

            fn into_dispatch(self) -> Vec<DispatchTensor> {
                let ($($name,)+) = self;
                vec![$($name.into_dispatch()),+]
            }

            fn from_dispatch(tensors: Vec<DispatchTensor>) -> Self {
                let [$($name),+] = exactly::<$count>(tensors);
                ($(Tensor::from_dispatch($name),)+)
            }
        }
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
