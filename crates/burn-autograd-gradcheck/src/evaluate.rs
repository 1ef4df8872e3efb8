use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::backend::ops::FloatTensorOps;
use burn::backend::{AutodiffBackend, Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{DType, Device, Shape, Slice, TensorData};

use crate::proven::Flat;
use crate::{Array, Subject};

/// How an input's elements lie in memory when the function gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Contiguous,
    /// A transposed view of a contiguous tensor.
    Transposed,
    /// A window into a larger tensor. An empty tensor has none.
    Window,
    /// The result of elementwise operations that may not have run yet.
    Pending,
    /// One slice, repeated along the first dimension without a copy. The elements must be such
    /// repetitions; the gradient is that of the slice.
    Expanded,
}

/// Whether an input can be a repeated slice.
pub(crate) fn can_expand(input: &Array) -> bool {
    !input.is_empty() && input.shape.first().is_some_and(|&size| size > 1)
}

/// The first slice along the first dimension.
pub(crate) fn first_slice(input: &Array) -> Array {
    let mut shape = input.shape.clone();
    shape[0] = 1;
    let len = input.len() / input.shape[0];
    Array { shape, data: input.data[..len].to_vec() }
}

/// How a gradient is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode<'a> {
    /// Which inputs are tracked.
    pub(crate) tracked: &'a [bool],
    /// Whether the device checkpoints gradients.
    pub(crate) checkpointing: bool,
    pub(crate) layout: Layout,
    pub(crate) cotangent: Arrival,
}

/// How a cotangent's elements lie in memory when the backward pass gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    Contiguous,
    /// A transposed view.
    Transposed,
    /// A window into a larger tensor, behind other elements.
    Window,
    /// The result of elementwise operations that may not have run yet, as the outputs then have not.
    Pending,
}

impl<'a> Mode<'a> {
    pub(crate) fn plain(tracked: &'a [bool]) -> Self {
        Self {
            tracked,
            checkpointing: false,
            layout: Layout::Contiguous,
            cotangent: Arrival::Contiguous,
        }
    }
}

/// A subject on a device and data type.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) device: &'a Device,
    pub(crate) dtype: DType,
}

/// What a pass forward and backward gave.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pass {
    pub(crate) outputs: Vec<Array>,
    /// Whether each output is tracked.
    pub(crate) output_tracked: Vec<bool>,
    /// `None` where an input has no gradient.
    pub(crate) gradients: Vec<Option<Array>>,
    /// Gradients whose shape, data type or device is not their input's.
    pub(crate) misfits: Vec<String>,
}

/// A function by one element of its inputs: the other inputs stay the tensors that they are.
pub(crate) struct Moving<'a> {
    place: &'a Place<'a>,
    tensors: Vec<DispatchTensor>,
    input: usize,
    element: usize,
    array: Array,
}

impl Moving<'_> {
    /// The element when it has moved by `delta`, and all outputs then.
    pub(crate) fn at(&self, delta: f64) -> (f64, Result<Vec<f64>, Panicked>) {
        let mut array = self.array.clone();
        array.data[self.element] += delta;
        let at = array.data[self.element];
        let values = guard(|| {
            let mut tensors = self.tensors.clone();
            let device = self.place.device.clone().inner_or_self();
            tensors[self.input] = self.place.tensor_of(array, &device);
            let outputs = self.place.subject.run(tensors).into_iter().map(read);
            let mut values = Vec::new();
            for output in outputs {
                if values.is_empty() { values = output.data } else { values.extend(output.data) }
            }
            values
        });
        (at, values)
    }
}

/// A pass forward whose graph is alive.
struct Forward {
    leaves: Vec<DispatchTensor>,
    outputs: Vec<DispatchTensor>,
    tracked: Vec<bool>,
    /// Nothing, where the outputs are read only after the backward pass.
    values: Option<Vec<Array>>,
}

/// A panic of the function, with its message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Panicked(pub(crate) String);

pub(crate) fn guard<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()))
            .unwrap_or_else(|| "a panic without a message".to_owned());
        Panicked(text)
    })
}

impl Place<'_> {
    /// The outputs, without any gradient.
    pub(crate) fn forward(&self, inputs: &[Array]) -> Result<Vec<Array>, Panicked> {
        let device = self.device.clone().inner_or_self();
        guard(|| {
            let inputs = inputs.iter().map(|input| self.tensor(input, &device)).collect();
            self.subject.run(inputs).into_iter().map(read).collect()
        })
    }

    /// The outputs where all inputs are tracked.
    pub(crate) fn tracked(&self, inputs: &[Array]) -> Result<Vec<Array>, Panicked> {
        let tracked = vec![true; inputs.len()];
        guard(|| {
            let forward = self.track(inputs, Mode::plain(&tracked));
            forward.outputs.into_iter().map(read).collect()
        })
    }

    /// The function by one element of its inputs.
    pub(crate) fn moving<'a>(
        &'a self,
        inputs: &Flat,
        position: usize,
    ) -> Result<Moving<'a>, Panicked> {
        let (input, element) = inputs.find(position);
        let device = self.device.clone().inner_or_self();
        let arrays = inputs.arrays();
        let tensors = guard(|| arrays.iter().map(|input| self.tensor(input, &device)).collect())?;
        Ok(Moving { place: self, tensors, input, element, array: arrays[input].clone() })
    }

    /// The place of the function whose derivative the gradient should be.
    pub(crate) fn differentiated(&self) -> Self {
        Self { subject: self.subject.differentiated(), device: self.device, dtype: self.dtype }
    }

    /// The outputs, and the gradients of Σ ⟨cotangents, outputs⟩.
    pub(crate) fn gradient(
        &self,
        inputs: &[Array],
        cotangents: &[Array],
        mode: Mode<'_>,
    ) -> Result<Pass, Panicked> {
        guard(|| {
            let forward = self.track(inputs, mode);
            self.backward(forward, inputs, cotangents, mode)
        })
    }

    /// The gradients at two points whose graphs are alive at the same time: the backward pass of the
    /// one that was recorded last comes first.
    pub(crate) fn crossed(
        &self,
        [first, second]: [&[Array]; 2],
        cotangents: &[Array],
        mode: Mode<'_>,
    ) -> Result<[Pass; 2], Panicked> {
        guard(|| {
            let early = self.track(first, mode);
            let late = self.track(second, mode);
            let late = self.backward(late, second, cotangents, mode);
            [self.backward(early, first, cotangents, mode), late]
        })
    }

    /// Whether the inputs and the outputs have after the backward pass the values that they had
    /// before: which have not.
    pub(crate) fn overwritten(
        &self,
        inputs: &[Array],
        cotangents: &[Array],
        mode: Mode<'_>,
    ) -> Result<Vec<String>, Panicked> {
        guard(|| {
            let forward = self.track(inputs, mode);
            let (leaves, outputs) = (forward.leaves.clone(), forward.outputs.clone());
            let values: Vec<Array> = outputs.iter().cloned().map(read).collect();
            let _ = self.backward(forward, inputs, cotangents, mode);
            let differs = |tensor: DispatchTensor, array: &Array| {
                let after = read(tensor).data;
                after.iter().zip(&array.data).any(|(a, b)| a.to_bits() != b.to_bits())
            };
            let inputs: Vec<Array> = inputs
                .iter()
                .map(|input| read(self.tensor(input, &self.device.clone().inner_or_self())))
                .collect();
            let leaves = leaves.into_iter().zip(&inputs).enumerate();
            let outputs = outputs.into_iter().zip(&values).enumerate();
            leaves
                .filter(|(_, (leaf, input))| differs(leaf.clone(), input))
                .map(|(number, _)| format!("input {number}"))
                .chain(
                    outputs
                        .filter(|(_, (output, value))| differs(output.clone(), value))
                        .map(|(number, _)| format!("output {number}")),
                )
                .collect()
        })
    }

    fn track(&self, inputs: &[Array], mode: Mode<'_>) -> Forward {
        let mut device = self.device.clone().inner_or_self().autodiff();
        if mode.checkpointing {
            device = device.gradient_checkpointing();
        }
        let leaves: Vec<DispatchTensor> = inputs
            .iter()
            .zip(mode.tracked)
            .map(|(input, &tracked)| {
                let leaf = self.tensor(&stored(input, mode.layout), &device);
                if tracked { Dispatch::float_set_require_grad(leaf, true) } else { leaf }
            })
            .collect();
        let arguments = inputs
            .iter()
            .zip(&leaves)
            .map(|(input, leaf)| presented(leaf.clone(), input, mode.layout))
            .collect();
        let outputs = self.subject.run(arguments);
        let values = (mode.cotangent != Arrival::Pending)
            .then(|| outputs.iter().cloned().map(read).collect());
        let tracked = outputs.iter().map(Dispatch::is_tracked).collect();
        Forward { leaves, outputs, tracked, values }
    }

    fn backward(
        &self,
        forward: Forward,
        inputs: &[Array],
        cotangents: &[Array],
        mode: Mode<'_>,
    ) -> Pass {
        let plain = self.device.clone().inner_or_self();
        let Forward { leaves, outputs, tracked: output_tracked, values } = forward;
        let later = outputs.clone();
        let values = || values.unwrap_or_else(|| later.into_iter().map(read).collect());
        // Beside others, an output without elements adds nothing; and on wgpu, Burn's fusion loses results
        // that are queued together with an operation on an empty tensor (burn #5310).
        let filled = cotangents
            .iter()
            .zip(&output_tracked)
            .any(|(cotangent, tracked)| *tracked && !cotangent.is_empty());
        let objective = outputs
            .into_iter()
            .zip(cotangents)
            .zip(&output_tracked)
            .filter(|((_, cotangent), tracked)| **tracked && !(filled && cotangent.is_empty()))
            .map(|((output, cotangent), _)| {
                let (output, cotangent) = self.arriving(output, cotangent, mode.cotangent);
                let cotangent = self.tensor(&cotangent, &plain);
                Dispatch::float_sum(Dispatch::float_mul(output, cotangent))
            })
            .reduce(Dispatch::float_add);
        let Some(objective) = objective else {
            return Pass {
                outputs: values(),
                output_tracked,
                gradients: vec![None; inputs.len()],
                misfits: Vec::new(),
            };
        };
        let grads = Dispatch::backward(objective);
        let values = values();
        let mut misfits = Vec::new();
        let gradients = inputs
            .iter()
            .zip(&leaves)
            .zip(mode.tracked)
            .enumerate()
            .map(|(index, ((input, leaf), &tracked))| {
                // Also of one that is not tracked, which must have none.
                let gradient = Dispatch::grad(leaf, &grads)?;
                if !tracked {
                    return Some(restored(&read(gradient), input, mode.layout));
                }
                if let Some(misfit) = misfit(index, leaf, &gradient, &plain, &values) {
                    misfits.push(misfit);
                    return None;
                }
                Some(restored(&read(gradient), input, mode.layout))
            })
            .collect();
        Pass { outputs: values, output_tracked, gradients, misfits }
    }

    /// The output and the cotangent in a form in which the backward pass gets the cotangent as asked.
    fn arriving(
        &self,
        output: DispatchTensor,
        cotangent: &Array,
        arrival: Arrival,
    ) -> (DispatchTensor, Array) {
        let rank = cotangent.shape.len();
        match arrival {
            Arrival::Transposed if rank >= 2 => {
                (Dispatch::float_swap_dims(output, rank - 2, rank - 1), transpose(cotangent))
            }
            Arrival::Window if !cotangent.is_empty() => {
                let mut shape = cotangent.shape.clone();
                shape[0] = 1;
                let len = cotangent.len() / cotangent.shape[0];
                let device = self.device.clone().inner_or_self().autodiff();
                let edge = self.tensor(&Array::new(shape.clone(), vec![1.0; len]), &device);
                let joined = Dispatch::float_cat(vec![edge, output], 0);
                // Values that would be noticed if they were read.
                let mut data = vec![1e3; len];
                data.extend_from_slice(&cotangent.data);
                shape[0] = cotangent.shape[0] + 1;
                (joined, Array::new(shape, data))
            }
            Arrival::Pending if !cotangent.is_empty() => (negated_twice(output), cotangent.clone()),
            _ => (output, cotangent.clone()),
        }
    }

    pub(crate) fn tensor(&self, array: &Array, device: &Device) -> DispatchTensor {
        self.tensor_of(array.clone(), device)
    }

    fn tensor_of(&self, array: Array, device: &Device) -> DispatchTensor {
        let data = TensorData::new(array.data, Shape::from(array.shape));
        Dispatch::float_from_data(data.convert_dtype(self.dtype), device.as_dispatch())
    }
}

/// What is wrong with a gradient's form.
fn misfit(
    input: usize,
    leaf: &DispatchTensor,
    gradient: &DispatchTensor,
    plain: &Device,
    outputs: &[Array],
) -> Option<String> {
    if gradient.shape() != leaf.shape() || gradient.dtype() != leaf.dtype() {
        let (expected, got) = (leaf.shape().to_vec(), gradient.shape().to_vec());
        let hint = match outputs.iter().any(|output| output.shape == got) {
            true if got != expected => {
                "; it has an output's shape: the sum over the broadcast dimensions is missing"
            }
            _ => "",
        };
        return Some(format!(
            "gradient of input {input}: expected {expected:?} of {:?}, got {got:?} of {:?}{hint}",
            leaf.dtype(),
            gradient.dtype()
        ));
    }
    let device = Device::new(gradient.device());
    (device != *plain || device.is_autodiff()).then(|| {
        format!("gradient of input {input}: expected it on {plain:?}, got it on {device:?}")
    })
}

pub(crate) trait InnerOrSelf {
    fn inner_or_self(self) -> Self;
}

impl InnerOrSelf for Device {
    fn inner_or_self(self) -> Self {
        if self.is_autodiff() { self.inner() } else { self }
    }
}

/// The values of a check's inputs, and where they live.
///
/// # Panics
///
/// If there are no inputs, they live on different devices or have different data types, or these are
/// neither `f32` nor `f64`.
pub(crate) fn take(inputs: Vec<DispatchTensor>) -> (Vec<Array>, Device, DType) {
    let named: Vec<_> = inputs.iter().map(|input| ("inputs", input)).collect();
    burn_autograd_core::check::floats("gradcheck", &named)
        .unwrap_or_else(|error| panic!("{error}"));
    let first = inputs.first().expect("gradcheck: a function has at least one input");
    let device = Device::new(first.device()).inner_or_self();
    let dtype = first.dtype();
    assert!(
        matches!(dtype, DType::F32 | DType::F64),
        "gradcheck: argument `inputs`: expected F64 or F32, got {dtype:?}"
    );
    (inputs.into_iter().map(read).collect(), device, dtype)
}

pub(crate) fn read(tensor: DispatchTensor) -> Array {
    let shape = tensor.shape().to_vec();
    let data = burn::tensor::try_read_sync(Dispatch::float_into_data(tensor))
        .expect("gradient checks run where tensors can be read back at once")
        .unwrap_or_else(|error| panic!("reading a tensor back: {error}"));
    let data = data.convert_dtype(DType::F64).try_to_vec::<f64>().expect("it was converted");
    Array { shape, data }
}

/// The array with its last two dimensions exchanged.
fn transpose(array: &Array) -> Array {
    let rank = array.shape.len();
    let (rows, columns) = (array.shape[rank - 2], array.shape[rank - 1]);
    let mut shape = array.shape.clone();
    shape.swap(rank - 2, rank - 1);
    let data = array
        .data
        // An empty array has no matrices, whatever the length asked for.
        .chunks((rows * columns).max(1))
        .flat_map(|matrix| {
            (0..columns).flat_map(move |c| (0..rows).map(move |r| matrix[r * columns + c]))
        })
        .collect();
    Array { shape, data }
}

/// What the leaf holds so that its view is the input.
fn stored(input: &Array, layout: Layout) -> Array {
    match layout {
        Layout::Transposed if input.shape.len() >= 2 && !input.is_empty() => transpose(input),
        Layout::Window if !input.is_empty() => {
            // One more element before and after, in the last dimension.
            let width = *input.shape.last().expect("it has a dimension");
            let mut shape = input.shape.clone();
            *shape.last_mut().expect("it has a dimension") = width + 2;
            let rows = shape[..shape.len() - 1].iter().product();
            let mut data = Vec::with_capacity(rows * (width + 2));
            for row in 0..rows {
                // Values that would be noticed if they were read.
                data.push(1e3);
                data.extend_from_slice(&input.data[row * width..][..width]);
                data.push(-1e3);
            }
            Array { shape, data }
        }
        Layout::Expanded if can_expand(input) => first_slice(input),
        _ => input.clone(),
    }
}

/// The view of a leaf that is the input.
fn presented(leaf: DispatchTensor, input: &Array, layout: Layout) -> DispatchTensor {
    let rank = input.shape.len();
    match layout {
        Layout::Transposed if rank >= 2 && !input.is_empty() => {
            Dispatch::float_swap_dims(leaf, rank - 2, rank - 1)
        }
        Layout::Window if !input.is_empty() => {
            let mut slices = vec![Slice::full(); rank];
            slices[rank - 1] = Slice::from(1..1 + input.shape[rank - 1]);
            Dispatch::float_slice(leaf, &slices)
        }
        Layout::Expanded if can_expand(input) => {
            Dispatch::float_expand(leaf, Shape::from(input.shape.clone()))
        }
        Layout::Pending if !input.is_empty() => negated_twice(leaf),
        _ => leaf,
    }
}

/// The same tensor by way of elementwise operations that change no bit, forward and backward.
fn negated_twice(tensor: DispatchTensor) -> DispatchTensor {
    Dispatch::float_neg(Dispatch::float_neg(tensor))
}

/// The gradient of the input from that of its leaf.
fn restored(gradient: &Array, input: &Array, layout: Layout) -> Array {
    match layout {
        Layout::Transposed if input.shape.len() >= 2 && !input.is_empty() => transpose(gradient),
        Layout::Window if !input.is_empty() => {
            let width = *input.shape.last().expect("it has a dimension");
            let data = gradient
                .data
                .chunks(width + 2)
                .flat_map(|row| row[1..=width].iter().copied())
                .collect();
            Array { shape: input.shape.clone(), data }
        }
        _ => gradient.clone(),
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;

    /// The processor is one device, so that no operation can be made that gives such a gradient there.
    #[test]
    fn a_gradient_on_another_device_is_named() {
        let plain = Device::flex();
        let on = |device: &Device| {
            let data = TensorData::new(vec![1.0f64, 2.0], Shape::from([2]));
            Dispatch::float_from_data(data, device.as_dispatch())
        };
        let leaf = on(&plain);
        assert_eq!(misfit(0, &leaf, &on(&plain), &plain, &[]), None);
        let elsewhere = on(&plain.clone().autodiff());
        let text = misfit(0, &leaf, &elsewhere, &plain, &[]).expect("it is on another device");
        assert!(text.starts_with("gradient of input 0: expected it on"), "{text}");
    }
}
