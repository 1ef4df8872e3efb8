//! The `try_` forms of the gradients that can be differentiated again: what they give, and what they
//! refuse.

use burn::tensor::{DType, Device, Int, Tensor};
use burn_autograd::ops::cross_entropy::{
    CrossEntropyOptions, cross_entropy_unreduced_vjp, cross_entropy_vjp,
    try_cross_entropy_unreduced_vjp, try_cross_entropy_vjp,
};
use burn_autograd::ops::det::{det_vjp, log_abs_det_vjp, try_det_vjp, try_log_abs_det_vjp};
use burn_autograd::ops::exp::{exp_vjp, try_exp_vjp};
use burn_autograd::ops::inverse::{inverse_vjp, try_inverse_vjp};
use burn_autograd::ops::legendre_p3::{legendre_p3_vjp, try_legendre_p3_vjp};
use burn_autograd::ops::linear::{linear_vjp, try_linear_vjp};
use burn_autograd::ops::multiply_add::{multiply_add_vjp, try_multiply_add_vjp};
use burn_autograd::ops::polynomial::{polynomial_vjp, try_polynomial_vjp};
use burn_autograd::ops::relu::{relu_vjp, try_relu_vjp};
use burn_autograd::ops::solve::{
    solve_right_vjp, solve_vector_vjp, solve_vjp, try_solve_right_vjp, try_solve_vector_vjp,
    try_solve_vjp,
};
use burn_autograd::ops::sum_squared_error::{sum_squared_error_vjp, try_sum_squared_error_vjp};
use burn_autograd::ops::trace::{trace_vjp, try_trace_vjp};
use burn_autograd::ops::trace_inverse::{trace_inverse_vjp, try_trace_inverse_vjp};
use burn_autograd::{Error, ErrorKind};

use crate::devices::{all, autodiff, cpu, message, numbers, tensor};

/// The rows and columns of an argument.
type Size = [usize; 2];

type Product = fn(&[Tensor<2>], Tensor<2>) -> Vec<Tensor<2>>;

type TryProduct = fn(&[Tensor<2>], Tensor<2>) -> Result<Vec<Tensor<2>>, Error>;

/// A product in both forms, with the names and shapes of what it takes.
struct Row {
    /// As errors call it.
    name: &'static str,
    inputs: Vec<(&'static str, Size)>,
    grad: Size,
    product: Product,
    try_product: TryProduct,
}

/// The name in errors, the two functions, the tensors, the arguments made of them, and the gradients as
/// matrices.
macro_rules! row {
    ($name:literal, $product:ident, $try_product:ident, [$($input:ident: $size:expr),+],
        $grad:ident: $grad_size:expr, ($($argument:expr),+), $gradients:pat_param => $list:expr) => {
        Row {
            name: $name,
            inputs: vec![$((stringify!($input), $size)),+],
            grad: $grad_size,
            product: |inputs, $grad| {
                let [$($input),+] = inputs else { unreachable!("there is a tensor for each shape") };
                let $gradients = $product($($argument),+);
                Vec::from($list)
            },
            try_product: |inputs, $grad| {
                let [$($input),+] = inputs else { unreachable!("there is a tensor for each shape") };
                $try_product($($argument),+).map(|$gradients| Vec::from($list))
            },
        }
    };
}

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    vec![
        row!("legendre_p3_vjp", legendre_p3_vjp, try_legendre_p3_vjp, [x: [2, 3]], grad: [2, 3],
            (x.clone(), grad), dx => [dx]),
        row!("relu_vjp", relu_vjp, try_relu_vjp, [x: [2, 3]], grad: [2, 3],
            (x.clone(), grad), dx => [dx]),
        row!("exp_vjp", exp_vjp, try_exp_vjp, [x: [2, 3]], grad: [2, 3],
            (x.clone(), grad), dx => [dx]),
        row!("multiply_add_vjp", multiply_add_vjp, try_multiply_add_vjp,
            [w: [2, 1], x: [2, 3], b: [1, 3]], grad: [2, 3],
            (w.clone(), x.clone(), b.clone(), grad), (dw, dx, db) => [dw, dx, db]),
        row!("polynomial_vjp", polynomial_vjp, try_polynomial_vjp,
            [x: [2, 3], coefficients: [4, 1]], grad: [2, 3],
            (x.clone(), vector(coefficients.clone()), grad), (dx, dc) => [dx, dc.reshape([4, 1])]),
        row!("sum_squared_error_vjp", sum_squared_error_vjp, try_sum_squared_error_vjp,
            [prediction: [2, 3], target: [2, 3]], grad: [1, 1],
            (prediction.clone(), target.clone() * 0.5, vector(grad)), (dp, dt) => [dp, dt]),
        row!("linear_vjp", linear_vjp, try_linear_vjp,
            [x: [2, 3], weight: [2, 3], bias: [2, 1]], grad: [2, 2],
            (x.clone(), weight.clone(), Some(vector(bias.clone())), grad),
            (dx, dw, db) => [dx, dw, db.expect("there is a bias").reshape([2, 1])]),
        row!("cross_entropy_vjp", cross_entropy_vjp, try_cross_entropy_vjp,
            [logits: [2, 3]], grad: [1, 1],
            (logits.clone(), targets(logits), &CrossEntropyOptions::default(), vector(grad)),
            dx => [dx]),
        row!("cross_entropy_vjp", cross_entropy_unreduced_vjp, try_cross_entropy_unreduced_vjp,
            [logits: [2, 3]], grad: [2, 1],
            (logits.clone(), targets(logits), &CrossEntropyOptions::default(), vector(grad)),
            dx => [dx]),
        row!("solve_vjp", solve_vjp, try_solve_vjp, [a: [2, 2], b: [2, 3]], grad: [2, 3],
            (a.clone(), b.clone(), grad), (da, db) => [da, db]),
        row!("solve_right_vjp", solve_right_vjp, try_solve_right_vjp,
            [a: [2, 2], b: [3, 2]], grad: [3, 2],
            (a.clone(), b.clone(), grad), (da, db) => [da, db]),
        row!("solve_vector_vjp", solve_vector_vjp, try_solve_vector_vjp,
            [a: [2, 2], b: [2, 1]], grad: [2, 1],
            (a.clone(), vector(b.clone()), vector(grad)), (da, db) => [da, db.reshape([2, 1])]),
        row!("inverse_vjp", inverse_vjp, try_inverse_vjp, [a: [2, 2]], grad: [2, 2],
            (a.clone(), grad), da => [da]),
        row!("det_vjp", det_vjp, try_det_vjp, [a: [2, 2]], grad: [1, 1],
            (a.clone(), grad), da => [da]),
        row!("det_vjp", det_vjp, try_det_vjp, [a: [4, 4]], grad: [1, 1],
            (a.clone(), grad), da => [da]),
        row!("log_abs_det_vjp", log_abs_det_vjp, try_log_abs_det_vjp, [a: [2, 2]], grad: [1, 1],
            (a.clone(), grad), da => [da]),
        row!("trace_vjp", trace_vjp, try_trace_vjp, [a: [2, 2]], grad: [1, 1],
            (a.clone(), grad), da => [da]),
        row!("trace_inverse_vjp", trace_inverse_vjp, try_trace_inverse_vjp,
            [a: [2, 2], b: [2, 2]], grad: [2, 2],
            (a.clone(), b.clone(), grad), (da, db) => [da, db]),
    ]
}

impl Row {
    fn inputs(&self, device: &Device) -> Vec<Tensor<2>> {
        self.inputs.iter().map(|(_, size)| argument(*size, device, DType::F32)).collect()
    }

    /// The error, which is what the other form panics with.
    #[track_caller]
    fn refused(&self, inputs: &[Tensor<2>], grad: Tensor<2>) -> Error {
        let error = (self.try_product)(inputs, grad.clone()).expect_err(self.name);
        assert_eq!(error.operation(), self.name, "{error}");
        assert_eq!(message(|| drop((self.product)(inputs, grad))), error.to_string());
        error
    }
}

/// Square ones up to 4×4 are regular.
fn argument(size: Size, device: &Device, dtype: DType) -> Tensor<2> {
    const NUMBERS: [f64; 7] = [0.5, -1.25, 2.0, -0.75, 1.5, 0.25, -1.75];
    let data: Vec<f64> = NUMBERS.into_iter().cycle().take(size[0] * size[1]).collect();
    tensor(size, &data, device, dtype)
}

fn vector(matrix: Tensor<2>) -> Tensor<1> {
    let count = matrix.shape().num_elements();
    matrix.reshape([count])
}

fn targets(logits: &Tensor<2>) -> Tensor<1, Int> {
    Tensor::from_ints([2, 0], &logits.device())
}

fn bits(tensor: &Tensor<2>) -> (Size, Vec<u64>) {
    (tensor.dims(), numbers(tensor.clone()).into_iter().map(f64::to_bits).collect())
}

/// The gradients, and the derivative of their sum with respect to the cotangent.
#[test]
fn right_arguments_give_what_the_other_form_gives() {
    for device in autodiff(cpu()) {
        for row in rows() {
            for dtype in [DType::F32, DType::F64] {
                let inputs: Vec<Tensor<2>> =
                    row.inputs.iter().map(|(_, size)| argument(*size, &device, dtype)).collect();
                let derivatives = |product: &dyn Fn(Tensor<2>) -> Vec<Tensor<2>>| {
                    let grad = argument(row.grad, &device, dtype).require_grad();
                    let gradients = product(grad.clone());
                    let mut found: Vec<_> = gradients.iter().map(bits).collect();
                    let sums = gradients.into_iter().map(|gradient| gradient.sum());
                    let sum = sums.reduce(|a, b| a + b).expect("there is a gradient");
                    let second = grad.grad(&sum.backward()).expect("it depends on the cotangent");
                    found.push(bits(&second));
                    found
                };
                let expected = derivatives(&|grad| (row.product)(&inputs, grad));
                let found = derivatives(&|grad| (row.try_product)(&inputs, grad).expect(row.name));
                assert_eq!(found, expected, "{} in {dtype:?} on {device:?}", row.name);
            }
        }
    }
}

#[test]
fn shapes_that_do_not_fit() {
    for device in all() {
        for row in rows() {
            let mut inputs = row.inputs(&device);
            let [height, width] = row.grad;
            let long = argument([height + 1, width], &device, DType::F32);
            let error = row.refused(&inputs, long);
            assert_eq!((error.kind(), error.argument()), (ErrorKind::Shape, "grad"), "{error}");
            inputs[0] = argument([5, 7], &device, DType::F32);
            let error = row.refused(&inputs, argument(row.grad, &device, DType::F32));
            assert_eq!(error.kind(), ErrorKind::Shape, "{error}");
        }
    }
}

/// Each argument is compared with the first, and `grad` with all of them.
#[test]
fn data_types_and_devices_that_differ() {
    for device in cpu() {
        let other = cpu().into_iter().find(|other| *other != device);
        let tracking = device.clone().autodiff();
        for row in rows() {
            let inputs = row.inputs(&device);
            let grad = |device: &Device, dtype| argument(row.grad, device, dtype);
            let before: Vec<_> =
                (row.product)(&inputs, grad(&device, DType::F32)).iter().map(bits).collect();

            let error = row.refused(&inputs, grad(&device, DType::F64));
            assert_eq!((error.kind(), error.argument()), (ErrorKind::DType, "grad"), "{error}");
            assert_eq!(error.got(), "F64");
            for (index, (name, size)) in row.inputs.iter().enumerate().skip(1) {
                let mut inputs = inputs.clone();
                inputs[index] = argument(*size, &device, DType::F64);
                let error = row.refused(&inputs, grad(&device, DType::F32));
                assert_eq!((error.kind(), error.argument()), (ErrorKind::DType, *name), "{error}");
            }
            if let Some(other) = &other {
                let error = row.refused(&inputs, grad(other, DType::F32));
                assert_eq!(
                    (error.kind(), error.argument()),
                    (ErrorKind::Device, "grad"),
                    "{error}"
                );
            }

            // The last argument alone is on an autodiff device, which checkpoints otherwise than that of
            // the cotangent.
            let mut mixed = inputs.clone();
            let last = mixed.len() - 1;
            mixed[last] = argument(row.inputs[last].1, &tracking, DType::F32);
            let checkpointing = tracking.clone().gradient_checkpointing();
            let error = row.refused(&mixed, grad(&checkpointing, DType::F32));
            assert_eq!((error.kind(), error.argument()), (ErrorKind::Device, "grad"), "{error}");
            assert!(error.expected().contains("the checkpointing strategy of"), "{error}");

            // Nothing of a refused call is left in the tensors.
            let after = (row.try_product)(&inputs, grad(&device, DType::F32)).expect(row.name);
            assert_eq!(after.iter().map(bits).collect::<Vec<_>>(), before, "{}", row.name);
        }
    }
}

#[cfg(feature = "flex")]
#[test]
fn a_quantized_cotangent() {
    use burn::tensor::quantization::QuantScheme;
    let device = Device::flex();
    for row in rows() {
        let grad = argument(row.grad, &device, DType::F32);
        let quantized = grad.quantize_dynamic(&QuantScheme::default());
        let error = row.refused(&row.inputs(&device), quantized);
        assert_eq!((error.kind(), error.argument()), (ErrorKind::DType, "grad"), "{error}");
        assert_eq!(error.expected(), "a float tensor");
        assert!(error.got().starts_with("QFloat"), "{error}");
    }
}

const REGULAR: [f64; 4] = [2.0, 1.0, 1.0, 3.0];

const SINGULAR: [f64; 4] = [1.0, 2.0, 2.0, 4.0];

/// As by the `try_` forms of the operations.
#[test]
fn a_singular_matrix_is_named() {
    for device in all() {
        let data = [REGULAR, REGULAR, SINGULAR, [0.0; 4]].concat();
        let a: Tensor<4> = tensor([2, 2, 2, 2], &data, &device, DType::F32);
        let ones: Tensor<4> = tensor([2, 2, 2, 2], &[1.0; 16], &device, DType::F32);
        let vectors: Tensor<3> = tensor([2, 2, 2], &[1.0; 8], &device, DType::F32);
        let scalars: Tensor<4> = tensor([2, 2, 1, 1], &[1.0; 4], &device, DType::F32);
        let pair = || (a.clone(), ones.clone());
        let solved = |(a, b): (Tensor<4>, Tensor<4>)| try_solve_vjp(a, b.clone(), b).unwrap_err();
        let right =
            |(a, b): (Tensor<4>, Tensor<4>)| try_solve_right_vjp(a, b.clone(), b).unwrap_err();
        for (operation, argument, error) in [
            ("solve_vjp", "a", solved(pair())),
            ("solve_right_vjp", "a", right(pair())),
            (
                "solve_vector_vjp",
                "a",
                try_solve_vector_vjp(a.clone(), vectors.clone(), vectors).unwrap_err(),
            ),
            ("inverse_vjp", "a", try_inverse_vjp(a.clone(), ones.clone()).unwrap_err()),
            ("log_abs_det_vjp", "a", try_log_abs_det_vjp(a.clone(), scalars).unwrap_err()),
            (
                "trace_inverse_vjp",
                "b",
                try_trace_inverse_vjp(ones.clone(), a.clone(), ones.clone()).unwrap_err(),
            ),
        ] {
            let text = format!(
                "{operation}: argument `{argument}`: expected matrices that are not singular, and \
                 finite, got a singular one at batch index [1, 0] (2 of 4 are)"
            );
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Value, text), "{device:?}");
        }
        // One that is broadcast, and one beside a right-hand side that is.
        let one: Tensor<3> = tensor([1, 2, 2], &SINGULAR, &device, DType::F32);
        let three: Tensor<3> = tensor([3, 2, 1], &[1.0; 6], &device, DType::F32);
        let error = try_solve_vjp(one, three.clone(), three).unwrap_err();
        assert_eq!(error.got(), "a singular one at batch index [0] (1 of 1 are)");
        let two: Tensor<3> = tensor([2, 2, 2], &[REGULAR, SINGULAR].concat(), &device, DType::F32);
        let side: Tensor<3> = tensor([1, 2, 1], &[1.0; 2], &device, DType::F32);
        let grad: Tensor<3> = tensor([2, 2, 1], &[1.0; 4], &device, DType::F32);
        let error = try_solve_vjp(two, side, grad).unwrap_err();
        assert_eq!(error.got(), "a singular one at batch index [1] (1 of 2 are)");
    }
}

#[test]
fn a_gradient_that_no_singular_matrix_spoils_is_no_error() {
    for device in all() {
        let new = |shape: [usize; 2], data: &[f64]| -> Tensor<2> {
            tensor(shape, data, &device, DType::F32)
        };
        // The cofactors, up to n = 3.
        let two = new([1, 1], &[2.0]);
        let da = try_det_vjp(new([2, 2], &SINGULAR), two.clone()).unwrap();
        assert_eq!(numbers(da), [8.0, -4.0, -4.0, 2.0], "{device:?}");
        let error = try_det_vjp(new([4, 4], &[0.0; 16]), two.clone()).unwrap_err();
        let text = "det_vjp: argument `a`: expected matrices that are not singular, and finite, got a \
                    singular matrix";
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Value, text));
        // Nothing is solved for.
        let none = new([2, 0], &[]);
        let (da, db) = try_solve_vjp(new([2, 2], &SINGULAR), none.clone(), none).unwrap();
        assert_eq!((numbers(da), db.dims()), (vec![0.0; 4], [2, 0]), "{device:?}");
        // The NaN is that of the right-hand side.
        let spoilt = new([2, 1], &[f64::NAN, 1.0]);
        let (da, _) = try_solve_vjp(new([2, 2], &REGULAR), spoilt, new([2, 1], &[1.0; 2])).unwrap();
        assert!(numbers(da).iter().any(|x| x.is_nan()), "{device:?}");
    }
}

#[test]
fn a_target_that_is_no_class() {
    for device in all() {
        let logits: Tensor<2> = tensor([3, 4], &[0.0; 12], &device, DType::F32);
        let targets = Tensor::<1, Int>::from_ints([3, 4, 0], &device);
        let grad =
            |count: usize| -> Tensor<1> { tensor([count], &vec![1.0; count], &device, DType::F32) };
        let text = "cross_entropy_vjp: argument `targets`: expected class indices from 0 to below 4, got \
                    4 in row 1";
        let options = CrossEntropyOptions::default();
        let error = try_cross_entropy_vjp(logits.clone(), targets.clone(), &options, grad(1));
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Value, text));
        let error =
            try_cross_entropy_unreduced_vjp(logits.clone(), targets.clone(), &options, grad(3));
        assert_eq!(error.unwrap_err().to_string(), text);
        let ignoring = CrossEntropyOptions::default().with_ignore_index(Some(4));
        assert!(try_cross_entropy_vjp(logits, targets, &ignoring, grad(1)).is_ok());
    }
}
