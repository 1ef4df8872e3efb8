//! What the gradient checks and PyTorch's numbers do not say about the operations: conventions at
//! special points, large tensors, buffers that are shared.

use approx::{abs_diff_eq, assert_relative_eq, relative_eq};
use burn::tensor::{DType, Tensor};
use burn_autograd::gradcheck::SplitMix64;
use burn_autograd::ops::prelude::*;
use burn_autograd::ops::relu::Relu;

use crate::devices::{all, autodiff, cpu, numbers, tensor};

#[test]
fn relu_is_zero_at_zero_and_so_is_its_gradient() {
    for device in autodiff(all()) {
        let x: Tensor<1> = tensor([4], &[-1.0, -0.0, 0.0, 2.0], &device, DType::F32).require_grad();
        let y = Relu::new().forward(x.clone());
        let bits: Vec<u64> = numbers(y.clone()).into_iter().map(f64::to_bits).collect();
        assert_eq!(bits, [0.0f64, 0.0, 0.0, 2.0].map(f64::to_bits), "{device:?}");
        let weights = tensor([4], &[3.0, 5.0, 7.0, 11.0], &device, DType::F32);
        let dx = x.grad(&(y * weights).sum().backward()).unwrap();
        assert_eq!(numbers(dx), [0.0, 0.0, 0.0, 11.0], "{device:?}");
    }
}

/// As PyTorch: NaN is passed on, and so is its gradient. Adapters may assume that there is no NaN.
#[test]
fn nan_and_infinity_are_passed_on() {
    for device in autodiff(cpu()) {
        for dtype in [DType::F32, DType::F64] {
            let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
            let x: Tensor<1> = tensor([3], &special, &device, dtype).require_grad();
            let y = relu(x.clone());
            let found = numbers(y.clone());
            assert!(found[0].is_nan() && found[1] == f64::INFINITY && found[2] == 0.0);
            let dx = numbers(x.grad(&y.sum().backward()).unwrap());
            assert_eq!(dx, [1.0, 1.0, 0.0]);
            let found = numbers(exp(x.clone()));
            assert!(found[0].is_nan() && found[1] == f64::INFINITY && found[2] == 0.0);
            let found = numbers(legendre_p3(x));
            assert!(found[0].is_nan());
            assert_eq!(found[1..], [f64::INFINITY, f64::NEG_INFINITY]);
        }
    }
}

/// Above the size from which the CPU kernels run in parallel, and not a multiple of anything: every
/// element forward and backward against the formula on the host.
#[test]
fn large_tensors_are_right_in_every_element() {
    const N: usize = 3 * 65_536 + 17;
    let mut random = SplitMix64::new(3);
    let x: Vec<f64> = (0..N).map(|_| random.uniform(-2.0, 2.0)).collect();
    let g: Vec<f64> = (0..N).map(|_| random.cotangent()).collect();
    type Pair = (fn(Tensor<1>) -> Tensor<1>, fn(f64) -> (f64, f64));
    let operations: [Pair; 3] = [
        (legendre_p3, |x| (0.5 * (5.0 * x * x * x - 3.0 * x), 1.5 * (5.0 * x * x - 1.0))),
        (relu, |x| (x.max(0.0), if x > 0.0 { 1.0 } else { 0.0 })),
        (exp, |x| (x.exp(), x.exp())),
    ];
    for device in all() {
        // The values are at most e² and 17, the gradients at most 28.5·2; WGSL allows exp 7 units.
        let unit = f64::from(f32::EPSILON) / 2.0;
        let bound = 20.0 * unit;
        let device = device.autodiff();
        for (operation, formula) in operations {
            let leaf: Tensor<1> = tensor([N], &x, &device, DType::F32).require_grad();
            let y = operation(leaf.clone());
            let values = numbers(y.clone());
            let grads = (y * tensor([N], &g, &device, DType::F32)).sum().backward();
            let gradients = numbers(leaf.grad(&grads).unwrap());
            for i in 0..N {
                let (value, derivative) = formula(x[i]);
                for (found, expected) in [(values[i], value), (gradients[i], g[i] * derivative)] {
                    assert!(
                        relative_eq!(found, expected, epsilon = 8.0 * bound, max_relative = bound),
                        "{device:?} {i}: {found} {expected}"
                    );
                }
            }
        }
    }
}

/// A bias over many rows: its gradient is a sum of 100,000 terms, in `f32` tensors, and loses
/// nothing on the CPU backends.
#[test]
fn broadcast_gradients_of_large_tensors_are_sums_in_double_precision() {
    const ROWS: usize = 100_003;
    let mut random = SplitMix64::new(5);
    let x: Vec<f64> = (0..ROWS * 3).map(|_| random.uniform(-2.0, 2.0)).collect();
    let g: Vec<f64> = (0..ROWS * 3).map(|_| random.cotangent()).collect();
    let (mut dw, mut db) = (0.0, [0.0; 3]);
    for (i, (x, g)) in x.iter().zip(&g).enumerate() {
        dw += x * g;
        db[i % 3] += g;
    }
    for device in cpu() {
        let device = device.autodiff();
        let w: Tensor<2> = tensor([1, 1], &[1.5], &device, DType::F32).require_grad();
        let b: Tensor<2> = tensor([1, 3], &[0.5, -1.0, 2.0], &device, DType::F32).require_grad();
        let x: Tensor<2> = tensor([ROWS, 3], &x, &device, DType::F32);
        let y = multiply_add(w.clone(), x, b.clone());
        let grads = (y * tensor([ROWS, 3], &g, &device, DType::F32)).sum().backward();
        // Each product, at most 4, is rounded to f32 before it is added: at most one round-off, and
        // uniform within, so that the sum is off by less than six standard deviations, √(n/3)·4u. The
        // result is rounded once. A sum in f32 would be off by more: it has the size of 10³.
        let unit = f64::from(f32::EPSILON) / 2.0;
        let bound = unit * (6.0 * 4.0 * (ROWS as f64).sqrt() + dw.abs());
        let found = numbers(w.grad(&grads).unwrap())[0];
        assert!(abs_diff_eq!(found, dw, epsilon = bound), "{device:?}: {found} {dw}");
        let found = numbers(b.grad(&grads).unwrap());
        assert_relative_eq!(found[..], db[..], epsilon = 0.0, max_relative = unit);
    }
}

/// The parallel paths of multiply_add: equal shapes with and without a gradient for the addend (in
/// the latter the cotangent's buffer is reused), and all three broadcast. Small integers, so that
/// every product and sum is exact.
#[test]
fn multiply_add_is_exact_in_every_element_of_large_tensors() {
    fn check<const D: usize>(shapes: [[usize; D]; 3], common: [usize; D], track: [bool; 3]) {
        let mut random = SplitMix64::new(11);
        let mut integers = |count: usize| -> Vec<f64> {
            (0..count).map(|_| (random.next_u64() % 7) as f64 - 3.0).collect()
        };
        let data = shapes.map(|shape| integers(shape.iter().product()));
        let len = common.iter().product();
        let g = integers(len);
        // The place of an element of the common shape in an argument.
        let place = |linear: usize, shape: &[usize; D]| {
            let (mut rest, mut place, mut stride) = (linear, 0, 1);
            for dim in (0..D).rev() {
                let index = rest % common[dim];
                rest /= common[dim];
                place += if shape[dim] == 1 { 0 } else { index * stride };
                stride *= shape[dim];
            }
            place
        };
        let mut values = vec![0.0; len];
        let mut gradients = shapes.map(|shape| vec![0.0; shape.iter().product()]);
        for i in 0..len {
            let [w, x, b] = [0, 1, 2].map(|k| place(i, &shapes[k]));
            values[i] = data[0][w] * data[1][x] + data[2][b];
            gradients[0][w] += g[i] * data[1][x];
            gradients[1][x] += g[i] * data[0][w];
            gradients[2][b] += g[i];
        }
        for device in cpu() {
            let device = device.autodiff();
            for dtype in [DType::F32, DType::F64] {
                let leaves: [Tensor<D>; 3] = std::array::from_fn(|k| {
                    let leaf = tensor(shapes[k], &data[k], &device, dtype);
                    if track[k] { leaf.require_grad() } else { leaf }
                });
                let [w, x, b] = leaves.clone();
                let y = multiply_add(w, x, b);
                assert!(numbers(y.clone()) == values, "{device:?} {shapes:?}");
                let grads = (y * tensor(common, &g, &device, dtype)).sum().backward();
                for k in 0..3 {
                    let found = leaves[k].grad(&grads).map(numbers);
                    let expected = track[k].then(|| gradients[k].clone());
                    assert!(found == expected, "input {k} on {device:?} {shapes:?}");
                }
            }
        }
    }
    const N: usize = 3 * 65_536 + 17;
    check([[N]; 3], [N], [true, true, true]);
    check([[N]; 3], [N], [true, true, false]);
    check([[N]; 3], [N], [false, true, true]);
    check([[4001, 1], [4001, 53], [1, 53]], [4001, 53], [true, true, true]);
    check([[1, 53], [4001, 1], [1, 1]], [4001, 53], [true, true, true]);
}

/// Kernels overwrite buffers that nobody else holds, and only these.
#[test]
fn shared_buffers_are_not_overwritten() {
    for device in all() {
        let data = [0.5, -1.0, 2.0];
        let x: Tensor<1> = tensor([3], &data, &device, DType::F32);
        let copy = x.clone();
        let _ = (legendre_p3(x.clone()), relu(x.clone()), exp(x.clone()));
        let _ = multiply_add(x.clone(), x.clone(), x);
        assert_eq!(numbers(copy), data, "{device:?}");

        // Two users of one cotangent: the gradient of a sum of two operations.
        let device = device.autodiff();
        let x: Tensor<1> = tensor([3], &data, &device, DType::F32).require_grad();
        let y = legendre_p3(x.clone()) + relu(x.clone());
        let weights = tensor([3], &[1.0, 2.0, 4.0], &device, DType::F32);
        let dx = x.grad(&(y * weights).sum().backward()).unwrap();
        assert_eq!(numbers(dx), [0.375 + 1.0, 12.0, 114.0 + 4.0], "{device:?}");
    }
}

#[test]
fn the_methods_are_the_functions() {
    for device in all() {
        let x: Tensor<1> = tensor([3], &[0.5, -1.0, 2.0], &device, DType::F32);
        assert_eq!(numbers(x.clone().legendre_p3()), numbers(legendre_p3(x.clone())));
        assert_eq!(numbers(x.clone().relu()), numbers(relu(x.clone())));
        assert_eq!(numbers(x.clone().fused_exp()), numbers(exp(x.clone())));
        let (w, b) = (x.clone() * 2.0, x.clone() + 1.0);
        assert_eq!(
            numbers(w.clone().multiply_add(x.clone(), b.clone())),
            numbers(multiply_add(w, x, b))
        );
    }
}
