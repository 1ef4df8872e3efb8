//! One pass forward, one backward.

use burn::tensor::{DType, Distribution, Tensor};
use burn_autograd::ops::prelude::*;
use burn_autograd::ops::relu::SelfDefinedRelu;
use burn_autograd::{Var, apply_rule};

use super::{Contenders, Form, Workload, forward_backward, graph, pullback};
use crate::floor;

/// An operation on `N` tensors of one shape.
struct Elementwise<const N: usize> {
    name: &'static str,
    ours: fn([Tensor<1>; N]) -> Tensor<1>,
    on_variables: fn([Var; N]) -> Var,
    burns: fn([Tensor<1>; N]) -> Tensor<1>,
    graphs: &'static [graph::Named<N>],
    floors: fn(usize) -> Vec<Form>,
    /// How many tensors are read and written, forward and backward.
    moved: usize,
}

const UNARY: [Elementwise<1>; 3] = [
    Elementwise {
        name: "legendre_p3",
        ours: |[x]| legendre_p3(x),
        on_variables: |[x]| x.legendre_p3(),
        burns: |[x]| (x.clone().powi_scalar(3) * 5.0 - x * 3.0) * 0.5,
        graphs: graph::UNARY,
        floors: floor::unary,
        moved: 5,
    },
    Elementwise {
        name: "relu",
        ours: |[x]| relu(x),
        on_variables: |[x]| {
            let [y] = apply_rule(&SelfDefinedRelu, [x]);
            y
        },
        burns: |[x]| burn::tensor::activation::relu(x),
        graphs: graph::UNARY,
        floors: floor::unary,
        moved: 5,
    },
    Elementwise {
        name: "exp",
        ours: |[x]| exp(x),
        on_variables: |[x]| x.fused_exp(),
        burns: |[x]| x.exp(),
        graphs: graph::UNARY,
        floors: floor::unary,
        moved: 5,
    },
];

const TERNARY: [Elementwise<3>; 1] = [Elementwise {
    name: "multiply_add",
    ours: |[w, x, b]| multiply_add(w, x, b),
    on_variables: |[w, x, b]| w.multiply_add(x, b),
    burns: |[w, x, b]| w * x + b,
    graphs: graph::TERNARY,
    floors: floor::multiply_add,
    // The gradient of `b` is that of the output.
    moved: 9,
}];

const SIZES: [usize; 3] = [2_000, 100_000, 10_000_000];

/// 400 MB for each tensor: measured where it is asked for.
const LARGE: usize = 100_000_000;

pub(super) fn workloads(large: bool) -> Vec<Workload> {
    let unary = UNARY.iter().flat_map(|operation| operation.workloads(large));
    unary.chain(TERNARY.iter().flat_map(|operation| operation.workloads(large))).collect()
}

impl<const N: usize> Elementwise<N> {
    fn workloads(&'static self, large: bool) -> impl Iterator<Item = Workload> {
        SIZES.into_iter().chain(large.then_some(LARGE)).map(move |size| Workload {
            name: format!("{}/f32/{size}", self.name),
            dtype: DType::F32,
            contenders: Box::new(move |device| {
                let random = || Tensor::<1>::random([size], Distribution::Normal(0.0, 1.0), device);
                let inputs = std::array::from_fn(|_| random().require_grad());
                let g = random();
                let mut ours = forward_backward(&inputs, &g, self.ours);
                ours.push(pullback(&inputs, &g, self.on_variables));
                Contenders {
                    ours,
                    burns: forward_backward(&inputs, &g, self.burns),
                    graphs: graph::forms(self.graphs, size, (device, DType::F32)),
                    floors: floor::on(device, Some(self.moved * size), || (self.floors)(size)),
                }
            }),
        })
    }
}
