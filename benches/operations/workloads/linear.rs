//! x·wᵀ + b, with the gradients of all three.

use burn::tensor::{DType, Device, Distribution, Tensor};
use burn_autograd::Function;
use burn_autograd::ops::linear::linear;

use super::{Contenders, Form, Given, Workload, graph};
use crate::floor;
use crate::measure::Step;

/// Batch, inputs, outputs.
const SIZES: [[usize; 3]; 2] = [[64, 3, 1], [256, 1024, 1024]];

pub(super) fn workloads() -> impl Iterator<Item = Workload> {
    SIZES.into_iter().map(|[batch, inputs, outputs]| Workload {
        name: format!("linear/f32/{batch}x{inputs}x{outputs}"),
        dtype: DType::F32,
        contenders: Box::new(move |device| Contenders {
            ours: forms(batch, inputs, outputs, device, |x, w, b| linear(x, w, Some(b))),
            burns: forms(batch, inputs, outputs, device, |x, w, b| {
                x.matmul(w.transpose()) + b.unsqueeze()
            }),
            graphs: graph::forms(graph::TERNARY, batch * inputs, (device, DType::F32)),
            // Forward, x̄ and w̄ are each a product of this many multiplications.
            floors: floor::on(device, None, || {
                floor::arithmetic::<f32>(3 * batch * inputs * outputs)
            }),
        }),
    })
}

fn forms(
    batch: usize,
    inputs: usize,
    outputs: usize,
    device: &Device,
    operation: fn(Tensor<2>, Tensor<2>, Tensor<1>) -> Tensor<2>,
) -> Vec<Form> {
    let random = |shape| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device);
    let x = random([batch, inputs]).require_grad();
    let w = random([outputs, inputs]).require_grad();
    let b = Tensor::<1>::random([outputs], Distribution::Normal(0.0, 1.0), device).require_grad();
    let g = random([batch, outputs]);
    [("ones", None), ("given", Some(g))]
        .map(|(name, g)| {
            let (x, w, b) = (x.clone(), w.clone(), b.clone());
            let step: Step = Box::new(move || {
                let y = operation(x.clone(), w.clone(), b.clone());
                // Held, for the product is to be measured: with fusion, Burn 0.22.1 panics on its
                // own thread over a fused product that was dropped unread, and does not compute it.
                let kept = y.clone();
                let mut grads = match &g {
                    Some(g) => Given.apply([y, g.clone()]).backward(),
                    None => y.backward(),
                };
                let gradients = (
                    x.grad_remove(&mut grads),
                    w.grad_remove(&mut grads),
                    b.grad_remove(&mut grads),
                );
                assert!(gradients.0.is_some() && gradients.1.is_some() && gradients.2.is_some());
                drop(kept);
            });
            (name.to_owned(), step)
        })
        .into()
}
