//! The derivative of a solution is another solution with the same factors: X̄ ↦ B̄ = A⁻ᵀ X̄ and
//! Ā = −B̄·Xᵀ, or, for Aᵀ·X = B, B̄ = A⁻¹ X̄ and Ā = −X·B̄ᵀ. The factors themselves are constants: what
//! depends on A is told by A, at every order.

use burn_autograd_core::{Context, Rule, Saved, Var, apply_rule, empty};

use super::LuOps;

/// The rule of [`LuOps::lu_solve_with`]: the inputs are A, its factorisation and B.
#[derive(Debug, Clone, Copy)]
pub struct LuSolve {
    /// Whether Aᵀ·X = B is solved.
    pub transposed: bool,
}

impl LuSolve {
    /// X, recorded where A or B is being differentiated.
    #[track_caller]
    pub(crate) fn apply<B: LuOps>(
        transposed: bool,
        a: &Var<B>,
        packed: &Var<B>,
        b: Var<B>,
    ) -> Var<B> {
        let [x] = apply_rule(&Self { transposed }, [a.clone(), packed.clone(), b]);
        x
    }
}

impl<B: LuOps> Rule<B, 3> for LuSolve {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "lu_solve".into()
    }

    fn forward(&self, ctx: &mut Context<B>, [a, packed, b]: [Var<B>; 3]) -> [Var<B>; 1] {
        // Both derivatives solve again; that of A is a product with the solution, too.
        ctx.save([&a, &packed]);
        let x = Var::new(B::lu_solve_with(
            a.into_primitive(),
            packed.into_primitive(),
            b.into_primitive(),
            self.transposed,
        ));
        if ctx.needs(0) {
            ctx.save([&x]);
        }
        [x]
    }

    fn backward(&self, ctx: Saved<B>, [grad]: [Var<B>; 1]) -> [Option<Var<B>>; 3] {
        let (needs_a, needs_b) = (ctx.needs(0), ctx.needs(2));
        let (a_shape, b_shape) = (ctx.input_shape(0).clone(), ctx.input_shape(2).clone());
        if grad.shape().num_elements() == 0 {
            let zeros = |shape| Var::new(empty::zeros::<B>(shape, grad.detach().primitive()));
            return [needs_a.then(|| zeros(a_shape)), None, needs_b.then(|| zeros(b_shape))];
        }
        let mut saved = ctx.into_all_tensors().into_iter();
        let (Some(a), Some(packed), x) = (saved.next(), saved.next(), saved.next()) else {
            panic!("lu_solve: the forward saved no factorisation")
        };
        let db = Self::apply(!self.transposed, &a, &packed, grad);
        let da = x.filter(|_| needs_a).map(|x| {
            let da =
                if self.transposed { x.matmul(&db.transpose()) } else { db.matmul(&x.transpose()) };
            (-da).reduce_to(&a_shape)
        });
        [da, None, needs_b.then(|| db.reduce_to(&b_shape))]
    }
}

#[cfg(feature = "autodiff")]
mod autodiff {
    use burn::backend::AutodiffBackend;
    use burn::backend::tensor::FloatTensor;
    use burn_autodiff::Autodiff;
    use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn_autograd_core::differentiate;

    use super::{LuOps, LuSolve};

    impl<B: LuOps, C: CheckpointStrategy> LuOps for Autodiff<B, C> {
        fn lu_factor(a: FloatTensor<Self>) -> FloatTensor<Self> {
            Self::from_inner(B::lu_factor(Self::inner(a)))
        }

        fn lu_solve(
            packed: FloatTensor<Self>,
            b: FloatTensor<Self>,
            transposed: bool,
        ) -> FloatTensor<Self> {
            // The factors are constants, so that nobody asks for A.
            let packed = Self::from_inner(Self::inner(packed));
            Self::lu_solve_with(packed.clone(), packed, b, transposed)
        }

        fn lu_solve_with(
            a: FloatTensor<Self>,
            packed: FloatTensor<Self>,
            b: FloatTensor<Self>,
            transposed: bool,
        ) -> FloatTensor<Self> {
            let [x] = differentiate::<B, C, _, 3, 1>(LuSolve { transposed }, [a, packed, b]);
            x
        }
    }
}
