//! One pass forward, one backward.

use burn::tensor::{DType, Distribution, Tensor};
use burn_autograd::ops::exp::exp_vjp;
use burn_autograd::ops::legendre_p3::legendre_p3_vjp;
use burn_autograd::ops::multiply_add::multiply_add_vjp;
use burn_autograd::ops::prelude::*;
use burn_autograd::ops::relu::relu_vjp;

use super::{Contenders, Form, Workload, forward_backward, graph, product};
use crate::floor;

/// An operation on `N` tensors of one shape.
struct Elementwise<const N: usize> {
    name: &'static str,
    ours: fn([Tensor<1>; N]) -> Tensor<1>,
    product: fn([Tensor<1>; N], Tensor<1>) -> [Tensor<1>; N],
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
        product: |[x], g| [legendre_p3_vjp(x, g)],
        burns: |[x]| (x.clone().powi_scalar(3) * 5.0 - x * 3.0) * 0.5,
        graphs: graph::UNARY,
        floors: floor::unary,
        moved: 5,
    },
    Elementwise {
        name: "relu",
        ours: |[x]| relu(x),
        product: |[x], g| [relu_vjp(x, g)],
        burns: |[x]| burn::tensor::activation::relu(x),
        graphs: graph::UNARY,
        floors: floor::unary,
        moved: 5,
    },
    Elementwise {
        name: "exp",
        ours: |[x]| exp(x),
        product: |[x], g| [exp_vjp(x, g)],
        burns: |[x]| x.exp(),
        graphs: graph::UNARY,
        floors: floor::unary,
        moved: 5,
    },
];

const TERNARY: [Elementwise<3>; 1] = [Elementwise {
    name: "multiply_add",
    ours: |[w, x, b]| multiply_add(w, x, b),
    product: |[w, x, b], g| multiply_add_vjp(w, x, b, g).into(),
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
                ours.push(product(&inputs, &g, self.ours, self.product));
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
