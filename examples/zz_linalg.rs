//! throw-away
use burn::tensor::{DType, Device, Distribution, Tensor};
use burn_autograd::ops::trace_inverse::trace_inverse;
use std::time::Instant;
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn eye(batch: usize, n: usize, d: &Device, dtype: DType) -> Tensor<3> {
    Tensor::<2>::eye(n, d).cast(dtype).reshape([1, n, n]).expand([batch, n, n])
}
fn main() {
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
