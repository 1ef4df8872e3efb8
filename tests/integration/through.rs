//! A function whose gradient is whatever a test wants.

use burn_autograd::{Context, Function, Saved, Var};

/// The identity whose gradient goes through a closure.
#[derive(Clone)]
pub(crate) struct Through(pub(crate) fn(Var) -> Var);

impl std::fmt::Debug for Through {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Through")
    }
}

impl Function<1> for Through {
    fn forward(&self, _: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        [x]
    }

    fn backward(&self, _: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        [Some((self.0)(g))]
    }
}
