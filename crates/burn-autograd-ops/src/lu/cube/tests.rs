//! The bounds are those of the theory, so that the tests need no other factorization.

use burn::backend::Dispatch;
use burn::tensor::{DType, Device, DeviceKind, DeviceType, Tensor, TensorData};

use crate::lu::LuOps;

/// The wgpu device, if there is an adapter.
fn device() -> Option<Device> {
    std::panic::catch_unwind(|| {
        let found = !Device::enumerate(DeviceType::Wgpu).into_vec().is_empty();
        found.then(|| Device::wgpu(DeviceKind::default()))
    })
    .ok()
    .flatten()
}

fn tensor(data: &[f64], shape: [usize; 3], dtype: DType, device: &Device) -> Tensor<3> {
    let data = TensorData::new(data.to_vec(), shape).convert_dtype(dtype);
    Tensor::from_data(data, (device, dtype))
}

fn numbers(tensor: Tensor<3>) -> Vec<f64> {
    let data = tensor.into_data().convert_dtype(DType::F64);
    data.as_slice::<f64>().expect("it was converted").to_vec()
}

fn factor(a: Tensor<3>) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as LuOps>::lu_factor(a.into_dispatch()))
}

fn solve(packed: Tensor<3>, b: Tensor<3>, transposed: bool) -> Tensor<3> {
    let (packed, b) = (packed.into_dispatch(), b.into_dispatch());
    Tensor::from_dispatch(<Dispatch as LuOps>::lu_solve(packed, b, transposed))
}

/// In [-1, 1), multiples of 2⁻¹⁰: exact in every data type.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 53) as f64) / 1024.0 - 1.0
    }

    fn numbers(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// The unit round-off with which a device computes, and that of what it stores.
fn rounding(dtype: DType) -> (f64, f64) {
    let single = f64::from(f32::EPSILON) / 2.0;
    match dtype {
        DType::F64 => (f64::EPSILON / 2.0, 0.0),
        DType::F16 => (single, 2f64.powi(-11)),
        _ => (single, 0.0),
    }
}

/// What Higham (2002), theorems 9.3 and 9.4, bounds the error of a factorization and of a solution
/// by: γₙ|L||U| and γ₃ₙ|L||U||x|, entry by entry.
struct Factors {
    n: usize,
    packed: Vec<f64>,
    /// |L||U|, in the order of A's rows.
    size: Vec<f64>,
    /// L·U, in the order of A's rows.
    product: Vec<f64>,
}

impl Factors {
    fn new(packed: &[f64], n: usize) -> Self {
        let order: Vec<usize> = packed[n * n..].iter().map(|&row| row as usize).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..n).collect::<Vec<_>>(), "a permutation");
        let (mut size, mut product) = (vec![0.0; n * n], vec![0.0; n * n]);
        for i in 0..n {
            for k in 0..=i {
                let l = if k == i { 1.0 } else { packed[i * n + k] };
                for j in k..n {
                    let term = l * packed[k * n + j];
                    size[order[i] * n + j] += term.abs();
                    product[order[i] * n + j] += term;
                }
            }
        }
        Self { n, packed: packed.to_vec(), size, product }
    }

    /// What the sums of the check itself may be off by, relative to the sum of magnitudes.
    fn host(&self) -> f64 {
        (self.n as f64 + 2.0) * f64::EPSILON / 2.0
    }

    /// A division may be 2.5 units in the last place off in WGSL, five round-offs and not one;
    /// what is stored is rounded once more, in both factors.
    fn check_factors(&self, a: &[f64], dtype: DType) {
        let (n, (unit, stored)) = (self.n, rounding(dtype));
        for i in 0..n {
            for j in 0..i {
                let l = self.packed[i * n + j].abs();
                assert!(l <= 1.0 + 5.0 * unit + stored, "{l} at {i}, {j} of {n}");
            }
        }
        let relative = 1.01 * ((n as f64 + 4.0) * unit + 2.0 * stored + self.host());
        #[allow(clippy::needless_range_loop, reason = "a place in two matrices")]
        for place in 0..n * n {
            let error = (a[place] - self.product[place]).abs();
            assert!(error <= relative * self.size[place], "{error} at {place} of {n}");
        }
    }

    fn check_solution(&self, a: &[f64], b: &[f64], x: &[f64], dtype: DType, transposed: bool) {
        let (n, k, (unit, stored)) = (self.n, b.len() / self.n, rounding(dtype));
        let relative = 1.01 * (3.0 * (n as f64 + 4.0) * unit + 3.0 * stored + 2.0 * self.host());
        for i in 0..n {
            for c in 0..k {
                let (mut residual, mut size) = (b[i * k + c], 0.0);
                for j in 0..n {
                    let place = if transposed { j * n + i } else { i * n + j };
                    residual -= a[place] * x[j * k + c];
                    size += self.size[place] * x[j * k + c].abs();
                }
                let bound = relative * size;
                assert!(residual.abs() <= bound, "{residual} > {bound} at {i}, {c} of {n}");
            }
        }
    }
}

fn check(n: usize, batch: usize, columns: &[usize], dtype: DType, device: &Device) {
    let mut random = Random((n * 1000 + batch) as u64);
    let a = random.numbers(batch * n * n);
    let packed = factor(tensor(&a, [batch, n, n], dtype, device));
    assert_eq!(packed.dims(), [batch, n + 1, n]);
    let found = numbers(packed.clone());
    let factors: Vec<Factors> =
        found.chunks(n * (n + 1)).map(|packed| Factors::new(packed, n)).collect();
    for (a, factors) in a.chunks(n * n).zip(&factors) {
        factors.check_factors(a, dtype);
    }
    for &k in columns {
        let b = random.numbers(batch * n * k);
        for transposed in [false, true] {
            let right = tensor(&b, [batch, n, k], dtype, device);
            let x = numbers(solve(packed.clone(), right, transposed));
            for (index, factors) in factors.iter().enumerate() {
                let part = |data: &[f64], size: usize| data[index * size..][..size].to_vec();
                factors.check_solution(
                    &part(&a, n * n),
                    &part(&b, n * k),
                    &part(&x, n * k),
                    dtype,
                    transposed,
                );
            }
        }
    }
}

/// On both sides of every size at which another kernel takes over.
#[test]
fn factors_and_solutions_are_within_the_bounds_of_the_theory() {
    let Some(device) = device() else { return };
    for n in [1, 2, 3, 4, 5, 8, 9, 16, 17, 31, 32, 33, 48, 64, 65, 96, 97, 100, 128, 130, 193] {
        let columns = [1, 2, 7, n];
        let batches: &[usize] = if n < 40 { &[1, 3, 7] } else { &[3] };
        for &batch in batches {
            check(n, batch, if batch == 3 { &columns } else { &columns[..1] }, DType::F32, &device);
        }
    }
}

#[test]
fn other_data_types_are_as_accurate_as_they_can_be() {
    let Some(device) = device() else { return };
    for dtype in [DType::F64, DType::F16] {
        if device.supports_dtype(dtype) {
            for n in [1, 5, 33, 100] {
                check(n, 2, &[1, n], dtype, &device);
            }
        }
    }
}

#[test]
fn many_matrices_and_many_columns() {
    let Some(device) = device() else { return };
    check(3, 70_000, &[1], DType::F32, &device);
    check(5, 2, &[1000], DType::F32, &device);
}

/// Exact: only rows are exchanged.
#[test]
fn permutations_are_their_own_factorization() {
    let Some(device) = device() else { return };
    for n in [2, 5, 33, 130] {
        // 7 and these n have no common factor.
        let order: Vec<usize> = (0..n).map(|i| (i * 7 + 1) % n).collect();
        let mut a = vec![0.0; n * n];
        for (i, &row) in order.iter().enumerate() {
            a[row * n + i] = 1.0;
        }
        let packed = factor(tensor(&a, [1, n, n], DType::F32, &device));
        let mut expected = vec![0.0; n * n];
        (0..n).for_each(|i| expected[i * n + i] = 1.0);
        expected.extend(order.iter().map(|&row| row as f64));
        assert_eq!(numbers(packed.clone()), expected);
        let b = Random(n as u64).numbers(n);
        let right = tensor(&b, [1, n, 1], DType::F32, &device);
        let x = numbers(solve(packed.clone(), right.clone(), false));
        assert_eq!(x, order.iter().map(|&row| b[row]).collect::<Vec<_>>());
        let x = numbers(solve(packed, right, true));
        assert_eq!(order.iter().map(|&row| x[row]).collect::<Vec<_>>(), b);
    }
}

/// As LAPACK: of equal magnitudes the first.
#[test]
fn the_first_of_equal_pivots_is_taken() {
    let Some(device) = device() else { return };
    for n in [3, 16, 40, 130] {
        // Lower triangular, ±1: every candidate of every column is as large as the diagonal.
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                a[i * n + j] = if (i + j) % 2 == 0 { 1.0 } else { -1.0 };
            }
        }
        let mut expected = a.clone();
        expected.extend((0..n).map(|row| row as f64));
        assert_eq!(numbers(factor(tensor(&a, [1, n, n], DType::F32, &device))), expected);
    }
}

#[test]
fn a_singular_matrix_and_one_with_nan_leave_the_others_alone() {
    let Some(device) = device() else { return };
    for n in [2, 3, 16, 34, 130] {
        let mut random = Random(n as u64);
        let good = random.numbers(n * n);
        let zero = vec![0.0; n * n];
        // A column of zeros stays one.
        let mut singular = good.clone();
        (0..n).for_each(|i| singular[i * n + n / 2] = 0.0);
        let mut nan = good.clone();
        nan[n * n - 2] = f64::NAN;
        let mut first = good.clone();
        first[0] = f64::NAN;
        let mut infinite = good.clone();
        infinite[n - 1] = f64::INFINITY;
        let all = [&good, &zero, &nan, &good, &first, &singular, &infinite, &good];
        let a: Vec<f64> = all.into_iter().flatten().copied().collect();
        let packed = factor(tensor(&a, [8, n, n], DType::F32, &device));
        let found = numbers(packed.clone());
        let matrices: Vec<&[f64]> = found.chunks(n * (n + 1)).collect();
        assert_eq!(matrices[0], matrices[3]);
        assert_eq!(matrices[0], matrices[7]);
        assert!(matrices[0].iter().all(|value| value.is_finite()));
        assert!(matrices[1][..n * n].iter().all(|&value| value == 0.0));
        for index in [2, 4, 6] {
            assert!(matrices[index][..n * n].iter().all(|value| value.is_nan()), "{index}");
        }
        for transposed in [false, true] {
            let b = random.numbers(n * 3).repeat(8);
            let right = tensor(&b, [8, n, 3], DType::F32, &device);
            let x = numbers(solve(packed.clone(), right, transposed));
            let x: Vec<&[f64]> = x.chunks(n * 3).collect();
            assert_eq!(x[0], x[3]);
            assert_eq!(x[0], x[7]);
            assert!(x[0].iter().all(|value| value.is_finite()));
            for index in [1, 2, 4, 5, 6] {
                assert!(x[index].iter().all(|value| value.is_nan()), "{index} of {n}");
            }
        }
    }
}

#[test]
fn views_are_read_as_what_they_are() {
    let Some(device) = device() else { return };
    for n in [5, 100] {
        let mut random = Random(9);
        let a = random.numbers(3 * n * n);
        let plain = tensor(&a, [3, n, n], DType::F32, &device);
        let copy = |tensor: Tensor<3>| {
            let shape = tensor.dims();
            self::tensor(&numbers(tensor), shape, DType::F32, &device)
        };
        let view = plain.clone().swap_dims(1, 2).slice([1..3, 0..n, 0..n]);
        let packed = factor(view.clone());
        assert_eq!(numbers(packed.clone()), numbers(factor(copy(view))));
        let b = tensor(&random.numbers(n * 2), [1, 2, n], DType::F32, &device);
        let b = b.swap_dims(1, 2).expand([2, n, 2]);
        let x = solve(packed.clone(), b.clone(), false);
        assert_eq!(numbers(x), numbers(solve(packed, copy(b), false)));
    }
}

#[test]
fn nothing_comes_of_nothing() {
    let Some(device) = device() else { return };
    let packed = factor(Tensor::<3>::zeros([2, 0, 0], &device));
    assert_eq!(packed.dims(), [2, 1, 0]);
    let packed = factor(Tensor::<3>::ones([1, 1, 1], &device));
    let x = solve(packed, Tensor::<3>::zeros([1, 1, 0], &device), true);
    assert_eq!(x.dims(), [1, 1, 0]);
}
