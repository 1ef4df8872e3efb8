//! PyTorch's tutorial: sin x on [−π, π] fitted by gradient descent, 2,000 steps, everything included.

use std::f32::consts::PI;

use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_autograd::ops::polynomial::{TensorPolynomial, polynomial};
use burn_autograd::ops::prelude::*;
use burn_autograd::ops::sum_squared_error::{TensorSumSquaredError, sum_squared_error};
use burn_autograd::prelude::*;

use super::{Contenders, Form, Workload};
use crate::floor;
use crate::measure::Step;

/// A loop, and the parameters that it ends with.
struct Fit {
    name: &'static str,
    run: Box<dyn Fn() -> Vec<Tensor<1>>>,
}

impl Fit {
    fn numbers(&self) -> Vec<f32> {
        (self.run)()
            .into_iter()
            .flat_map(|tensor| tensor.into_data().iter().collect::<Vec<_>>())
            .collect()
    }

    fn form(self) -> Form {
        (self.name.to_owned(), Step::new(self.run))
    }
}

const POINTS: usize = 2_000;
const STEPS: usize = 2_000;

const CUBIC: ([f32; 4], f64) = ([0.0; 4], 1e-6);
const LEGENDRE: ([f32; 4], f64) = ([0.0, -1.0, 0.0, 0.3], 5e-6);

pub(super) fn workloads() -> [Workload; 2] {
    [
        Workload {
            name: format!("fit_cubic/{POINTS}"),
            dtype: DType::F32,
            contenders: Box::new(|device| {
                let (start, rate) = CUBIC;
                let ours = [
                    fit(device, data(), [start], rate, |x, y, [c]| {
                        sum_squared_error(polynomial(x, c), y)
                    }),
                    fit_by_grad(device, [start], rate, |x, y, [c]| {
                        x.polynomial(c).sum_squared_error(y)
                    }),
                ];
                let singles = start.map(|value| [value]);
                let burns = fit(device, data(), singles, rate, |x, y, [a, b, c, d]| {
                    let squared = x.clone().powi_scalar(2);
                    let cubed = x.clone().powi_scalar(3);
                    (a + b * x + c * squared + d * cubed - y).powi_scalar(2).sum()
                });
                let [ours, burns] = forms(ours, burns);
                Contenders {
                    ours,
                    burns,
                    // `polynomial` and `sum_squared_error`.
                    graphs: vec![fit(device, one(), [[0.0]], rate, |x, y, [c]| c + x + y).form()],
                    floors: floor::on(device, None, || {
                        floor::fit(data(), start, rate as f32, STEPS, |x, [a, b, c, d]| {
                            let (squared, cubed) = (x * x, x * x * x);
                            (a + b * x + c * squared + d * cubed, [1.0, x, squared, cubed])
                        })
                    }),
                }
            }),
        },
        Workload {
            name: format!("fit_legendre/{POINTS}"),
            dtype: DType::F32,
            contenders: Box::new(|device| {
                let (start, rate) = LEGENDRE;
                let [a, b, c, d] = start;
                let ours = [
                    fit(device, data(), [[a, b], [c, d]], rate, |x, y, [outer, inner]| {
                        let p = legendre_p3(polynomial(x, inner));
                        sum_squared_error(polynomial(p, outer), y)
                    }),
                    fit_by_grad(device, [[a, b], [c, d]], rate, |x, y, [outer, inner]| {
                        let p = x.polynomial(inner).legendre_p3();
                        p.polynomial(outer).sum_squared_error(y)
                    }),
                ];
                let singles = start.map(|value| [value]);
                let burns = fit(device, data(), singles, rate, |x, y, [a, b, c, d]| {
                    let z = c + d * x;
                    let p = (z.clone().powi_scalar(3) * 5.0 - z * 3.0) * 0.5;
                    (a + b * p - y).powi_scalar(2).sum()
                });
                let [ours, burns] = forms(ours, burns);
                Contenders {
                    ours,
                    burns,
                    // The inner `polynomial`, `legendre_p3`, the outer one, `sum_squared_error`.
                    graphs: vec![
                        fit(device, one(), [[0.0]; 2], rate, |x, y, [outer, inner]| {
                            let p = inner + x + 1.0;
                            outer + p + y
                        })
                        .form(),
                    ],
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
) -> Fit {
    let tensor = |values: &[f32]| {
        Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
    };
    let [x, y] = points.map(|values| tensor(&values));
    let start = start.map(|values| tensor(&values));
    let run = move || {
        let mut parameters = start.clone().map(Tensor::require_grad);
        for _ in 0..STEPS {
            let mut grads = loss(x.clone(), y.clone(), parameters.clone()).backward();
            parameters = parameters.map(|parameter| {
                let gradient = parameter.grad_remove(&mut grads).expect("it is tracked");
                Tensor::from_inner(parameter.inner() - gradient * rate).require_grad()
            });
        }
        parameters.into()
    };
    Fit { name: "loop", run: Box::new(run) }
}

/// The same loop with `grad` of a function of the parameters, which leaves Burn's graph aside.
fn fit_by_grad<const N: usize, const K: usize>(
    device: &Device,
    start: [[f32; K]; N],
    rate: f64,
    loss: fn(Var, Var, [Var; N]) -> Var,
) -> Fit {
    let device = device.clone().inner();
    let tensor = |values: &[f32]| {
        Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device)
    };
    let [x, y] = data().map(|values| Var::from(tensor(&values)));
    let start = start.map(|values| tensor(&values));
    let run = move || {
        let mut parameters = start.clone();
        for _ in 0..STEPS {
            let function = |parameters| loss(x.clone(), y.clone(), parameters);
            let mut gradients = grad(function, parameters.clone()).into_iter();
            parameters = parameters.map(|parameter| {
                parameter - gradients.next().expect("there is one for each parameter") * rate
            });
        }
        parameters.into()
    };
    Fit { name: "grad", run: Box::new(run) }
}

/// What the parameters of two fits may differ by: some hundred roundings of `f32`. A wrong gradient leads
/// elsewhere.
const SAME: f32 = 1e-4;

/// The forms of ours and of Burn's, which have to arrive at the same parameters.
fn forms<const N: usize>(ours: [Fit; N], burns: Fit) -> [Vec<Form>; 2] {
    let expected = burns.numbers();
    for fit in &ours {
        for (found, expected) in fit.numbers().into_iter().zip(&expected) {
            let name = fit.name;
            assert!((found - expected).abs() <= SAME, "{name}: {found}, Burn's: {expected}");
        }
    }
    [ours.into_iter().map(Fit::form).collect(), vec![burns.form()]]
}
