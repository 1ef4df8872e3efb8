//! throw-away
use burn::tensor::{DType, Device, Distribution, Tensor};
use burn_autograd::ops::trace_inverse::trace_inverse;
use std::time::Instant;
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn eye(batch: usize, n: usize, d: &Device, dtype: DType) -> Tensor<3> {
    Tensor::<2>::eye(n, d).cast(dtype).reshape([1, n, n]).expand([batch, n, n])
}
fn accuracy() {
    use burn_autograd::prelude::*;
    let base = Device::flex();
    for (batch, n) in [(4096usize, 3usize), (256, 32), (64, 64), (4, 512)] {
        for dominant in [true, false] {
            let r = |_: u8| -> Tensor<3> {
                Tensor::<3>::random(
                    [batch, n, n],
                    Distribution::Uniform(-1.0, 1.0),
                    (&base, DType::F32),
                )
                .cast(DType::F64)
            };
            let a = r(0);
            let b = r(1) + eye(batch, n, &base, DType::F64) * if dominant { n as f64 } else { 0.0 };
            let g = r(2);
            for dtype in [DType::F32, DType::F64] {
                let eps = if dtype == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
                let x = solve(b.clone().cast(dtype), a.clone().cast(dtype)).cast(DType::F64);
                let res = b.clone().matmul(x.clone()) - a.clone();
                // worst backward error of a matrix
                let num = res.abs().sum_dim(2).max_dim(1);
                let den = b.clone().abs().sum_dim(2).max_dim(1) * x.abs().sum_dim(2).max_dim(1);
                let eta = (num / den / eps).max().into_scalar::<f64>();
                let run = |dtype: DType| {
                    let a = Tensor::from_inner(a.clone().cast(dtype)).require_grad();
                    let b = Tensor::from_inner(b.clone().cast(dtype)).require_grad();
                    let y = trace_inverse(a.clone(), b.clone());
                    let gr =
                        (y.clone() * Tensor::from_inner(g.clone().cast(dtype))).sum().backward();
                    [y.inner(), a.grad(&gr).unwrap(), b.grad(&gr).unwrap()]
                        .map(|t| t.cast(DType::F64))
                };
                let cond = condition_estimate(b.clone()).max().into_scalar::<f64>();
                let mut rel = String::new();
                if dtype == DType::F32 {
                    for (f, e) in run(dtype).into_iter().zip(run(DType::F64)) {
                        let d = (f - e.clone()).abs().max_dim(2).max_dim(1)
                            / e.abs().max_dim(2).max_dim(1);
                        rel += &format!(" {:.1e}", d.max().into_scalar::<f64>());
                    }
                }
                println!(
                    "accuracy {dtype:?} {batch}x{n} dominant {dominant}: backward error {eta:.2} eps, cond {cond:.1e}, relative error of y, da, db against f64:{rel}"
                );
            }
        }
    }
}
fn main() {
    if std::env::args().nth(1).as_deref() == Some("accuracy") {
        return accuracy();
    }

    let filter = std::env::args().nth(1).unwrap_or_default();
    for dtype in [DType::F32, DType::F64] {
        for (batch, n) in [(2usize, 3usize), (4096, 3), (256, 32), (64, 64), (4, 512), (1, 512)] {
            let name = format!("{dtype:?} {batch}x{n}");
            if !name.contains(&filter) {
                continue;
            }
            let base = Device::flex();
            let device = base.clone().autodiff();
            let a: Tensor<3> =
                Tensor::random([batch, n, n], Distribution::Uniform(-1.0, 1.0), (&base, dtype));
            let b: Tensor<3> =
                Tensor::random([batch, n, n], Distribution::Uniform(-1.0, 1.0), (&base, dtype))
                    + eye(batch, n, &base, dtype) * n as f64;
            let mut times = Vec::new();
            let mut fwd = Vec::new();
            let total = Instant::now();
            while total.elapsed().as_secs_f64() < 1.0 || times.len() < 5 {
                let a = Tensor::from_inner(a.clone()).require_grad();
                let b = Tensor::from_inner(b.clone()).require_grad();
                let start = Instant::now();
                let y = trace_inverse(a.clone(), b.clone());
                fwd.push(start.elapsed().as_secs_f64() * 1e6);
                let loss = (y.clone() * y).sum().sqrt();
                let g = loss.backward();
                let _r = (a.grad(&g), b.grad(&g));
                times.push(start.elapsed().as_secs_f64() * 1e6);
            }
            let _ = &device;
            times.sort_by(f64::total_cmp);
            fwd.sort_by(f64::total_cmp);
            println!(
                "{name}: median {:.1} us, best {:.1} us (forward alone: median {:.1}, best {:.1})",
                times[times.len() / 2],
                times[0],
                fwd[fwd.len() / 2],
                fwd[0]
            );
        }
    }
}
