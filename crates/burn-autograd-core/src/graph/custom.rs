//! Operations of other crates, which captured code knows by their names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::ir::ScalarIr;

use crate::{Index, Var};

type Run = Arc<dyn Fn(Vec<Var>, Vec<Index>, &[ScalarIr]) -> Option<Vec<Var>> + Send + Sync>;

static OPERATIONS: Mutex<Option<HashMap<&'static str, Run>>> = Mutex::new(None);

/// Tells [`capture`](crate::capture) what a custom operation computes: the results, from the float tensors,
/// the integer tensors and the numbers it was recorded with, each in their order. `None` refuses it by
/// name. An operation with other tensors is refused.
///
/// A backend extension that records itself as a custom operation calls this where it does so, so that
/// every operation that can stand in a graph can be computed again. A second call with the same name
/// replaces the first.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn_autograd_core::capture_operation;
///
/// // y = x³, which `my_crate::cube` records under this name.
/// capture_operation("my_crate::cube", |floats, _ints, _numbers| Some(vec![floats[0].powi(3)]));
/// # }
/// ```
pub fn capture_operation(
    name: &'static str,
    run: impl Fn(Vec<Var>, Vec<Index>, &[ScalarIr]) -> Option<Vec<Var>> + Send + Sync + 'static,
) {
    let mut operations = OPERATIONS.lock().unwrap_or_else(PoisonError::into_inner);
    operations.get_or_insert_default().insert(name, Arc::new(run));
}

pub(super) fn run(
    name: &str,
    floats: Vec<Var>,
    ints: Vec<Index>,
    numbers: &[ScalarIr],
) -> Option<Vec<Var>> {
    let operations = OPERATIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let run = operations.as_ref()?.get(name)?.clone();
    // The operation may trace something itself.
    drop(operations);
    run(floats, ints, numbers)
}
