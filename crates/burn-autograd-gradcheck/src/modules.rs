use std::sync::Mutex;

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{DType, FloatDType, Tensor};
use burn_autograd_core::Tensors;

use crate::Subject;

/// The parameters of a module by their paths.
#[derive(Default)]
struct Parameters {
    path: Vec<String>,
    names: Vec<String>,
    values: Vec<DispatchTensor>,
}

impl ModuleVisitor for Parameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.names.push(self.path.join("."));
        self.values.push(param.val().into_dispatch());
    }

    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
}

/// Puts tensors in the place of the parameters, in the order in which they were visited.
struct Replace {
    values: std::vec::IntoIter<DispatchTensor>,
}

impl ModuleMapper for Replace {
    fn map_float<const D: usize>(&mut self, _: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let value = self.values.next().expect("as many as were visited");
        // As it is: a tracked tensor stays the caller's own, and is no new leaf.
        Param::initialized(ParamId::new(), Tensor::from_dispatch(value))
    }
}

/// The subject that a module's pass forward is, as a function of all its float parameters and of the
/// inputs, and the tensors it is to be checked at: the parameters, named by their paths, then the
/// inputs.
pub(crate) fn subject<M, I, O>(
    module: M,
    forward: impl Fn(&M, I) -> O + Send + Sync + 'static,
    inputs: I,
) -> (Subject, Vec<DispatchTensor>)
where
    M: Module + Send + 'static,
    I: Tensors,
    O: Tensors,
{
    let mut parameters = Parameters::default();
    module.visit(&mut parameters);
    let Parameters { mut names, mut values, .. } = parameters;
    let count = values.len();
    let inputs = inputs.into_dispatch();
    // The inputs say in which precision to check: layers are made in the device's own.
    let dtype = inputs.first().map(TensorMetadata::dtype).filter(DType::is_float);
    if let Some(dtype) = dtype.filter(|dtype| !matches!(dtype, DType::QFloat(_))) {
        let dtype = FloatDType::from(dtype);
        values = values.into_iter().map(|value| Dispatch::float_cast(value, dtype)).collect();
    }
    values.extend(inputs);
    names.extend((0..I::COUNT).map(|input| format!("argument {input}")));
    // A module need not be shareable between threads; a copy of it for each call is.
    let module = Mutex::new(module);
    let subject = Subject::from_parts(count + I::COUNT, move |mut tensors| {
        let inputs = tensors.split_off(count);
        let module = module.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let module = module.map(&mut Replace { values: tensors.into_iter() });
        forward(&module, I::from_dispatch(inputs)).into_dispatch()
    });
    (subject.names(names), values)
}
