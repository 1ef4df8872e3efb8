//! PyTorch's tutorial: sin x on [−π, π] fitted by gradient descent, 2,000 steps, everything included.

use std::f32::consts::PI;

use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_autograd::ops::polynomial::{TensorPolynomial, polynomial};
use burn_autograd::ops::sum_squared_error::{TensorSumSquaredError, sum_squared_error};
use burn_autograd::prelude::*;

use super::{Contenders, Form, Workload};
use crate::floor;
use crate::measure::Step;

const POINTS: usize = 2_000;
const STEPS: usize = 2_000;

const CUBIC: ([f32; 4], f64) = ([0.0; 4], 1e-6);
const LEGENDRE: ([f32; 4], f64) = ([0.0, -1.0, 0.0, 0.3], 5e-6);

pub(super) fn workloads() -> [Workload; 2] {
    [
        Workload {
            name: format!("fit_cubic/{POINTS}"),
            dtype: DType::F32,
            contenders: Box::new(|device| Contenders {
                ours: both(
                    fit(device, data(), [CUBIC.0], CUBIC.1, |x, y, [c]| {
                        sum_squared_error(polynomial(x, c), y)
                    }),
                    fit_by_grad(device, [CUBIC.0], CUBIC.1, |x, y, [c]| {
                        x.polynomial(c).sum_squared_error(y)
                    }),
                ),
                burns: fit(
                    device,
                    data(),
                    CUBIC.0.map(|value| [value]),
                    CUBIC.1,
                    |x, y, [a, b, c, d]| {
                        let squared = x.clone().powi_scalar(2);
                        let cubed = x.clone().powi_scalar(3);
                        (a + b * x + c * squared + d * cubed - y).powi_scalar(2).sum()
                    },
                ),
                // `polynomial` and `sum_squared_error`.
                graphs: fit(device, one(), [[0.0]], CUBIC.1, |x, y, [c]| c + x + y),
                floors: floor::on(device, None, || {
                    floor::fit(data(), CUBIC.0, CUBIC.1 as f32, STEPS, |x, [a, b, c, d]| {
                        let (squared, cubed) = (x * x, x * x * x);
                        (a + b * x + c * squared + d * cubed, [1.0, x, squared, cubed])
                    })
                }),
            }),
        },
        Workload {
            name: format!("fit_legendre/{POINTS}"),
            dtype: DType::F32,
            contenders: Box::new(|device| {
                let (start, rate) = LEGENDRE;
                let [a, b, c, d] = start;
                Contenders {
                    ours: both(
                        fit(device, data(), [[a, b], [c, d]], rate, |x, y, [outer, inner]| {
                            let p = legendre_p3(polynomial(x, inner));
                            sum_squared_error(polynomial(p, outer), y)
                        }),
                        fit_by_grad(device, [[a, b], [c, d]], rate, |x, y, [outer, inner]| {
                            let p = x.polynomial(inner).legendre_p3();
                            p.polynomial(outer).sum_squared_error(y)
                        }),
                    ),
                    burns: fit(
                        device,
                        data(),
                        start.map(|value| [value]),
                        rate,
                        |x, y, [a, b, c, d]| {
                            let z = c + d * x;
                            let p = (z.clone().powi_scalar(3) * 5.0 - z * 3.0) * 0.5;
                            (a + b * p - y).powi_scalar(2).sum()
                        },
                    ),
                    // The inner `polynomial`, `legendre_p3`, the outer one, `sum_squared_error`.
                    graphs: fit(device, one(), [[0.0]; 2], rate, |x, y, [outer, inner]| {
                        let p = inner + x + 1.0;
                        outer + p + y
                    }),
                    floors: floor::on(device, None, || {
                        floor::fit(data(), start, rate as f32, STEPS, |x, [a, b, c, d]| {
                            let z = c + d * x;
                            let p = 0.5 * (5.0 * z * z - 3.0) * z;
                            let slope = b * 1.5 * (5.0 * z * z - 1.0);
                            (a + b * p, [1.0, p, slope, slope * x])
                        })
                    }),
                }
            }),
        },
    ]
}

/// x and sin x.
fn data() -> [Vec<f32>; 2] {
    let x: Vec<f32> =
        (0..POINTS).map(|i| PI * (2.0 * i as f32 / (POINTS - 1) as f32 - 1.0)).collect();
    let y = x.iter().map(|x| x.sin()).collect();
    [x, y]
}

/// One point.
fn one() -> [Vec<f32>; 2] {
    [vec![1.0], vec![1.0]]
}

/// `N` parameters of `K` numbers each.
fn fit<const N: usize, const K: usize>(
    device: &Device,
    points: [Vec<f32>; 2],
    start: [[f32; K]; N],
    rate: f64,
    loss: fn(Tensor<1>, Tensor<1>, [Tensor<1>; N]) -> Tensor<1>,
) -> Vec<Form> {
    let tensor = |values: &[f32]| {
        Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
    };
    let [x, y] = points.map(|values| tensor(&values));
    let start = start.map(|values| tensor(&values));
    let step = Step::new(move || {
        let mut parameters = start.clone().map(Tensor::require_grad);
        for _ in 0..STEPS {
            let mut grads = loss(x.clone(), y.clone(), parameters.clone()).backward();
            parameters = parameters.map(|parameter| {
                let gradient = parameter.grad_remove(&mut grads).expect("it is tracked");
                Tensor::from_inner(parameter.inner() - gradient * rate).require_grad()
            });
        }
        parameters
    });
    vec![("loop".to_owned(), step)]
}

/// The same loop with `grad` of a function of the parameters, which leaves Burn's graph aside.
fn fit_by_grad<const N: usize, const K: usize>(
    device: &Device,
    start: [[f32; K]; N],
    rate: f64,
    loss: fn(Var, Var, [Var; N]) -> Var,
) -> Vec<Form> {
    let device = device.clone().inner();
    let tensor = |values: &[f32]| {
        Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device)
    };
    let [x, y] = data().map(|values| Var::from(tensor(&values)));
    let start = start.map(|values| tensor(&values));
    let step = Step::new(move || {
        let mut parameters = start.clone();
        for _ in 0..STEPS {
            let function = |parameters| loss(x.clone(), y.clone(), parameters);
            let mut gradients = grad(function, parameters.clone()).into_iter();
            parameters = parameters.map(|parameter| {
                parameter - gradients.next().expect("there is one for each parameter") * rate
            });
        }
        parameters
    });
    vec![("grad".to_owned(), step)]
}

fn both(first: Vec<Form>, second: Vec<Form>) -> Vec<Form> {
    first.into_iter().chain(second).collect()
}
