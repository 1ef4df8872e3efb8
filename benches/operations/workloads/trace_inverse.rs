//! (A·B⁻¹)ᵀ + tr(A)·B for each matrix of a batch, then the norm of it all, with both gradients. Burn
//! has no inverse to compose it from.

use burn::tensor::{DType, Device, Distribution, Tensor};
use burn_autograd::ops::trace_inverse::trace_inverse;

use super::{Contenders, Form, Workload, graph};
use crate::floor;
use crate::measure::Step;

/// Matrices, and their rows.
const SIZES: [[usize; 2]; 5] = [[2, 3], [4096, 3], [256, 32], [64, 64], [4, 512]];

/// The operation, and the three of the norm.
const GRAPH: &[graph::Named<2>] = &[("add", |[a, b]| a + b + 1.0 + 1.0 + 1.0)];

pub(super) fn workloads() -> impl Iterator<Item = Workload> {
    let dtypes = [("f32", DType::F32), ("f64", DType::F64)];
    dtypes.into_iter().flat_map(|(name, dtype)| {
        SIZES.into_iter().map(move |[batch, n]| Workload {
            name: format!("trace_inverse/{name}/{batch}x{n}"),
            dtype,
            contenders: Box::new(move |device| Contenders {
                ours: ours(batch, n, dtype, device),
                burns: Vec::new(),
                graphs: graph::forms(GRAPH, batch * n * n, (device, dtype)),
                floors: floor::on(device, None, || floors(batch, n, dtype)),
            }),
        })
    })
}

fn ours(batch: usize, n: usize, dtype: DType, device: &Device) -> Vec<Form> {
    let random =
        || Tensor::<3>::random([batch, n, n], Distribution::Normal(0.0, 1.0), (device, dtype));
    let a = random().require_grad();
    // Far from singular.
    let eye = Tensor::<2>::eye(n, device).cast(dtype).unsqueeze::<3>();
    let b = Tensor::from_inner((random() + eye * n as f64).inner()).require_grad();
    let step: Step = Box::new(move || {
        let y = trace_inverse(a.clone(), b.clone());
        let norm = y.powi_scalar(2).sum().sqrt();
        let mut grads = norm.backward();
        let gradients = (a.grad_remove(&mut grads), b.grad_remove(&mut grads));
        assert!(gradients.0.is_some() && gradients.1.is_some());
    });
    vec![("norm".to_owned(), step)]
}

/// LU and inverse are n³ multiplications, A·B⁻¹, Ā and B̄ as many each. Matrices of a few rows are a
/// matter of memory.
fn floors(batch: usize, n: usize, dtype: DType) -> Vec<Form> {
    match (n > 4, dtype) {
        (true, DType::F64) => floor::arithmetic::<f64>(4 * batch * n * n * n),
        (true, _) => floor::arithmetic::<f32>(4 * batch * n * n * n),
        (false, DType::F64) => floor::binary::<f64>(batch * n * n),
        (false, _) => floor::binary::<f32>(batch * n * n),
    }
}
