//! The mean cross entropy of logits, with their gradient.

use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Distribution, Int, Tensor};
use burn_autograd::ops::cross_entropy::cross_entropy;

use super::{Contenders, Form, Workload};
use crate::floor;
use crate::measure::Step;

/// Rows, classes.
const SIZES: [[usize; 2]; 2] = [[4096, 1000], [256, 50257]];

pub(super) fn workloads() -> impl Iterator<Item = Workload> {
    SIZES.into_iter().map(|[rows, classes]| Workload {
        name: format!("cross_entropy/f32/{rows}x{classes}"),
        dtype: DType::F32,
        contenders: Box::new(move |device| {
            let normal = Distribution::Normal(0.0, 1.0);
            let logits = Tensor::<2>::random([rows, classes], normal, device).require_grad();
            // Spread over all classes, without a pattern.
            let targets: Vec<i64> = (0..rows).map(|row| (row * 7_919 % classes) as i64).collect();
            let targets = Tensor::<1, Int>::from_data(targets.as_slice(), device);
            type Loss = fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>;
            let form = |loss: Loss| -> Vec<Form> {
                let (logits, targets) = (logits.clone(), targets.clone());
                let step = Step::new(move || {
                    let loss = loss(logits.clone(), targets.clone());
                    let mut grads = loss.backward();
                    (loss, logits.grad_remove(&mut grads).expect("the logits are tracked"))
                });
                vec![("loss".to_owned(), step)]
            };
            Contenders {
                ours: form(cross_entropy),
                burns: form(|logits, targets| {
                    log_softmax(logits, 1).gather(1, targets.unsqueeze_dim(1)).mean().neg()
                }),
                graphs: Vec::new(),
                floors: floor::on(device, Some(3 * rows * classes), || {
                    floor::row_reduction(rows * classes)
                }),
            }
        }),
    })
}
