//! (A·B⁻¹)ᵀ + tr(A)·B for each matrix of a batch, then the norm of it all, with both gradients.

use burn::tensor::{DType, Device, Distribution, Tensor};
use burn_autograd::ops::trace_inverse::{TensorTraceInverse, trace_inverse};
use burn_autograd::{Var, value_and_grad};

use super::{Contenders, Form, Workload, gradients, graph};
use crate::floor;
use crate::measure::Step;

/// Matrices, and their rows.
const SIZES: [[usize; 2]; 5] = [[2, 3], [4096, 3], [256, 32], [64, 64], [4, 512]];

/// More rows are not composed from Burn's operations: each takes a step of its own on the graph, and on
/// Flex, whose slices hold on to the tensor that they are of, 512 steps keep 4 GB of `f32`.
const MOST_COMPOSED: usize = 64;

/// The operation, and the three of the norm.
const GRAPH: &[graph::Named<2>] = &[("add", |[a, b]| a + b + 1.0 + 1.0 + 1.0)];

pub(super) fn workloads() -> impl Iterator<Item = Workload> {
    let dtypes = [("f32", DType::F32), ("f64", DType::F64)];
    dtypes.into_iter().flat_map(|(name, dtype)| {
        SIZES.into_iter().map(move |[batch, n]| Workload {
            name: format!("trace_inverse/{name}/{batch}x{n}"),
            dtype,
            contenders: Box::new(move |device| {
                let inputs = inputs(batch, n, dtype, device);
                Contenders {
                    ours: form(&inputs, ours).into_iter().chain([by_grad(&inputs)]).collect(),
                    burns: burns(&inputs),
                    graphs: graph::forms(GRAPH, batch * n * n, (device, dtype)),
                    floors: floor::on(device, None, || floors(batch, n, dtype)),
                }
            }),
        })
    })
}

/// A and B. B is diagonally dominant, for the elimination without pivoting: beside n ± 1 a row has n − 1
/// entries, each of at most 1.
fn inputs(batch: usize, n: usize, dtype: DType, device: &Device) -> [Tensor<3>; 2] {
    let random = |distribution| Tensor::<3>::random([batch, n, n], distribution, (device, dtype));
    let a = random(Distribution::Normal(0.0, 1.0)).require_grad();
    let b = random(Distribution::Uniform(-1.0, 1.0)) + eye(n, dtype, device) * n as f64;
    [a, Tensor::from_inner(b.inner()).require_grad()]
}

fn eye(n: usize, dtype: DType, device: &Device) -> Tensor<3> {
    Tensor::<2>::eye(n, device).cast(dtype).unsqueeze::<3>()
}

fn ours([a, b]: [Tensor<3>; 2]) -> Tensor<3> {
    trace_inverse(a, b)
}

/// The same composed from Burn's operations.
///
/// Burn has no inverse. A·B⁻¹ is what stands below B once Gauss–Jordan elimination has made the columns of
/// B those of the identity, which is less work than an inverse and a product. There is no pivoting, for B is
/// diagonally dominant: no pivot gets small.
fn composed([a, b]: [Tensor<3>; 2], eye: &Tensor<3>) -> Tensor<3> {
    let [batch, n, _] = b.dims();
    let mut both = Tensor::cat(vec![b.clone(), a.clone()], 1);
    for k in 0..n {
        let column = both.clone().slice([0..batch, 0..2 * n, k..k + 1]);
        let pivot = column.clone().slice([0..batch, k..k + 1, 0..1]);
        let column = column / pivot;
        let row = both.clone().slice([0..batch, k..k + 1, 0..n]);
        both = (both - column.clone() * row).slice_assign([0..batch, 0..2 * n, k..k + 1], column);
    }
    let trace = (a * eye.clone()).sum_dim(2).sum_dim(1);
    both.slice([0..batch, n..2 * n, 0..n]).transpose() + trace * b
}

/// Burn's form, if it computes what ours does: on some devices Burn's own operations do not, and what is
/// wrong is not worth a time.
fn burns(inputs: &[Tensor<3>; 2]) -> Vec<Form> {
    let [batch, n, _] = inputs[0].dims();
    if n > MOST_COMPOSED {
        return Vec::new();
    }
    let dtype = inputs[0].dtype();
    let eye = eye(n, dtype, &inputs[0].device());
    // Where there are many rows tr(A)·B is nearly all of the result, and an error of the rest would not be
    // seen. Without the diagonal of A the rest is all that there is.
    let [a, b] = inputs.clone();
    let beside = eye.clone().inner() * -1.0 + 1.0;
    let a = Tensor::from_inner(a.inner() * beside).require_grad();
    let traceless = [a, b];
    let composed = move |inputs| composed(inputs, &eye);
    // Both are stable: their errors are a few n·ε times the condition of B, which was below 7 in 40,960 such
    // matrices of three rows, and is less for more. But without its diagonal tr(A) is 0, and ⟨G, B⟩, which
    // then is 0 too, a sum of large terms: beside small gradients it was off by 120·n·ε for 64 rows. A
    // mistake is as large as the numbers are.
    let epsilon = if dtype == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
    let tolerance = 1000.0 * n as f64 * epsilon;
    let distances = [inputs, &traceless]
        .map(|inputs| distance(results(inputs, &composed), results(inputs, ours)));
    let distance = most(distances.into_iter());
    if distance <= tolerance {
        form(inputs, composed)
    } else {
        eprintln!(
            "operations: trace_inverse of {batch}x{n} in {dtype:?}: Burn's operations are off by \
             {distance:.1e}, of which rounding explains {tolerance:.1e}: not timed"
        );
        Vec::new()
    }
}

fn norm(y: Tensor<3>) -> Tensor<1> {
    y.powi_scalar(2).sum().sqrt()
}

fn form(
    inputs: &[Tensor<3>; 2],
    operation: impl Fn([Tensor<3>; 2]) -> Tensor<3> + 'static,
) -> Vec<Form> {
    let inputs = inputs.clone();
    let step = Step::new(move || {
        let norm = norm(operation(inputs.clone()));
        let gradients = gradients(&inputs, &norm);
        (norm, gradients)
    });
    vec![("norm".to_owned(), step)]
}

/// The same with `grad` of the norm as a function of the two, which leaves Burn's graph aside.
fn by_grad(inputs: &[Tensor<3>; 2]) -> Form {
    let inputs = inputs.clone().map(Tensor::inner);
    let norm = |[a, b]: [Var; 2]| a.trace_inverse(b).powi(2).sum().sqrt();
    let step = Step::new(move || value_and_grad(norm, inputs.clone()));
    ("grad".to_owned(), step)
}

/// The operation's result, and the gradients of its norm.
fn results(
    inputs: &[Tensor<3>; 2],
    operation: impl Fn([Tensor<3>; 2]) -> Tensor<3>,
) -> [Tensor<3>; 3] {
    let y = operation(inputs.clone());
    let grads = norm(y.clone()).backward();
    let [da, db] = inputs.each_ref().map(|input| input.grad(&grads).expect("it is tracked"));
    [y.inner(), da, db]
}

/// The largest difference, as a part of the largest number.
fn distance(found: [Tensor<3>; 3], expected: [Tensor<3>; 3]) -> f64 {
    let numbers = |tensor: Tensor<3>| tensor.into_data().iter::<f64>().collect::<Vec<_>>();
    let distances = found.into_iter().zip(expected).map(|(found, expected)| {
        let (found, expected) = (numbers(found), numbers(expected));
        let difference =
            most(found.iter().zip(&expected).map(|(found, expected)| found - expected));
        difference / most(expected.iter().copied())
    });
    most(distances)
}

/// The largest without its sign; NaN is larger than any number.
fn most(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.map(f64::abs).max_by(f64::total_cmp).unwrap_or(0.0)
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
