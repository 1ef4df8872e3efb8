//! A small network that is trained with Burn and differentiated with respect to its input.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use burn_autograd::prelude::*;

/// Two hidden layers with tanh, which has all derivatives.
#[derive(Module, Debug)]
pub(crate) struct Network {
    first: Linear,
    second: Linear,
    last: Linear,
}

impl Network {
    pub(crate) fn new(inputs: usize, width: usize, device: &Device) -> Self {
        Self {
            first: LinearConfig::new(inputs, width).init(device),
            second: LinearConfig::new(width, width).init(device),
            last: LinearConfig::new(width, 1).init(device),
        }
    }

    /// The output [points, 1] for inputs [points, inputs].
    pub(crate) fn forward(&self, x: &Var) -> Var {
        let hidden = dense(&self.first, x).tanh();
        let hidden = dense(&self.second, &hidden).tanh();
        dense(&self.last, &hidden)
    }
}

/// A layer of Burn's: x·W + b. Burn's `backward()` of what is computed from it reaches its parameters.
fn dense(layer: &Linear, x: &Var) -> Var {
    let product = x.matmul(&Var::from(layer.weight.val()));
    match &layer.bias {
        Some(bias) => {
            let bias = Var::from(bias.val());
            product + bias.reshape([1, bias.shape()[0]])
        }
        None => product,
    }
}
