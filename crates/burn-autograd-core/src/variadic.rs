use std::borrow::Cow;
use std::fmt::Debug;

use crate::record::{self, Recordable};
use crate::rule::short_type_name;
use crate::scope::Scope;
use crate::tape::Few;
use crate::{Context, OrPanic as _, Saved, Transform, Tree, Var, Vars};

/// A [`Function`](crate::Function) whose numbers of inputs and outputs are known at run time: a sum of any
/// number of tensors, a mixture of experts.
///
/// The contract is that of [`Rule`](crate::Rule).
///
/// ```
/// # #[cfg(all(feature = "flex", feature = "autodiff"))] {
/// use burn::tensor::{Device, Tensor};
/// use burn_autograd_core::{Context, Saved, Var, VariadicFunction};
///
/// /// The product of all inputs. The gradient of one is the product of the others.
/// #[derive(Debug, Clone)]
/// struct Product;
///
/// impl VariadicFunction for Product {
///     fn forward(&self, ctx: &mut Context, inputs: Vec<Var>) -> Vec<Var> {
///         inputs.iter().for_each(|input| ctx.save([input]));
///         vec![inputs.into_iter().reduce(|a, b| a * b).expect("at least one factor")]
///     }
///     fn backward(&self, ctx: Saved, grads: Vec<Option<Var>>) -> Vec<Option<Var>> {
///         let inputs = ctx.into_all_tensors();
///         let others = |index: usize| {
///             let factors = inputs.iter().enumerate().filter(|(other, _)| *other != index);
///             factors.fold(grads[0].clone(), |product, (_, x)| Some(product? * x))
///         };
///         (0..inputs.len()).map(others).collect()
///     }
/// }
///
/// let device = Device::flex().autodiff();
/// let factors: Vec<_> = [2.0, 3.0, 5.0]
///     .map(|x| Tensor::<1>::from_floats([x], &device).require_grad())
///     .into();
/// let product: Vec<Tensor<1>> = Product.apply(factors.clone());
/// let grads = product[0].backward();
/// let found = factors.iter().map(|x| x.grad(&grads).unwrap().into_scalar::<f32>());
/// assert_eq!(found.collect::<Vec<_>>(), [15.0, 10.0, 6.0]);
/// # }
/// ```
pub trait VariadicFunction: Debug + Clone + Send + Sync + 'static {
    /// The name that errors and graphs use; by default that of the type.
    fn name(&self) -> Cow<'static, str> {
        short_type_name::<Self>().into()
    }

    /// See [`Function::once_differentiable`](crate::Function::once_differentiable).
    fn once_differentiable(&self) -> bool {
        false
    }

    /// See [`Rule::differentiable`](crate::Rule::differentiable).
    fn differentiable(&self, output: usize) -> bool {
        let _ = output;
        true
    }

    /// The outputs. What the backward needs is given to [`Context::save`].
    fn forward(&self, ctx: &mut Context, inputs: Vec<Var>) -> Vec<Var>;

    /// The gradient of every input, from the gradient of every output; that of an unused output is
    /// `None`.
    fn backward(&self, ctx: Saved, grads: Vec<Option<Var>>) -> Vec<Option<Var>>;

    /// Applies the function to tensors, as [`Function::apply_all`](crate::Function::apply_all). Burn's
    /// gradient checkpointing has no effect on it.
    ///
    /// # Panics
    ///
    /// If the inputs live on different devices or have a data type that the device cannot compute with;
    /// if there are more or fewer outputs than are asked for, or one has a different rank.
    #[track_caller]
    fn apply<I: Tree, O: Tree>(&self, inputs: I) -> O {
        let body = |vars: I::Vars| O::Vars::from_vec(self.call(vars.into_vec()));
        Transform::new().evaluate(body, inputs).or_panic()
    }

    /// Applies the function to variables.
    ///
    /// # Panics
    ///
    /// Where its body does.
    #[track_caller]
    fn call(&self, inputs: Vec<Var>) -> Vec<Var> {
        record::apply(Variadic(self.clone()), inputs.into_iter().collect(), true).into_vec()
    }
}

#[derive(Debug)]
struct Variadic<F>(F);

impl<F: VariadicFunction> Recordable<burn::backend::Dispatch> for Variadic<F> {
    fn name(&self) -> Cow<'static, str> {
        self.0.name()
    }

    fn once_differentiable(&self) -> bool {
        self.0.once_differentiable()
    }

    fn differentiable(&self, output: usize) -> bool {
        self.0.differentiable(output)
    }

    fn forward(&self, ctx: &mut Context, inputs: Few<Var>) -> Few<Var> {
        let _body = Scope::body(self.0.name(), "forward");
        #[cfg(feature = "capture")]
        let _noted = crate::graph::Applied::begin(|| self.0.name());
        self.0.forward(ctx, inputs.into_vec()).into()
    }

    fn backward(&self, ctx: Saved, grads: Few<Option<Var>>) -> Few<Option<Var>> {
        let _body = Scope::body(self.0.name(), "backward");
        self.0.backward(ctx, grads.into_vec()).into()
    }

    fn backward_kernel(&self, ctx: Saved, grads: Few<Option<Var>>) -> Few<Option<Var>> {
        Recordable::backward(self, ctx, grads)
    }
}
