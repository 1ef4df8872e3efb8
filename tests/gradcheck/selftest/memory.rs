//! Flex's memory under a variable: what a kernel sees, and what one can do wrong with it.

use burn::backend::tensor::FloatTensor;
use burn::backend::{BackendTensor, DispatchTensorKind, Flex};
use burn_autograd::Var;

fn primitive(var: &Var) -> &FloatTensor<Flex> {
    match &var.primitive().kind {
        DispatchTensorKind::Flex(BackendTensor::Float(tensor)) => tensor,
        other => panic!("expected a float tensor of Flex, got {other:?}"),
    }
}

/// As many numbers as the tensor has elements, from the beginning of its memory on: its elements, if
/// it is no view. What a kernel computes with that does not look at strides and offset.
pub(super) fn without_strides(var: &Var) -> Vec<f64> {
    let memory = primitive(var).storage::<f64>();
    (0..var.shape().num_elements()).map(|place| memory[place % memory.len()]).collect()
}

/// Whether two variables are in the same memory.
pub(super) fn shared(a: &Var, b: &Var) -> bool {
    std::ptr::eq(primitive(a).bytes(), primitive(b).bytes())
}

/// Writes into the tensor's memory, whoever else holds it: what a kernel does that works in place in
/// memory which is not its own. Burn's operations do not; only a kernel can.
pub(super) fn overwrite(var: &Var, values: &[f64]) {
    let memory = primitive(var).bytes();
    assert!(memory.len() == size_of_val(values), "a tensor that is no view");
    let start = memory.as_ptr().cast_mut().cast::<f64>();
    for (place, &value) in values.iter().enumerate() {
        // SAFETY: the memory is on the heap, is as long as `values` and aligned for any element,
        // and this thread alone has the graph whose tensors it belongs to: nobody reads it
        // meanwhile. That it is written at all behind a shared reference is the mistake that is
        // planted; the write is volatile, so that nothing is concluded from it.
        unsafe { start.add(place).write_volatile(value) };
    }
}
