//! Each row's function of plain numbers, with the backward that is to be checked.
//!
//! Single precision computes in double precision and rounds inputs, outputs and gradients: kinder than
//! arithmetic in single precision.

use std::rc::Rc;

type Numbers = Vec<f64>;
type Forward = dyn Fn(u64, &[Numbers]) -> Numbers;
type Backward = dyn Fn(u64, &[Numbers], &[f64]) -> Vec<Numbers>;

/// Forward and backward; both are told the number of the call.
pub struct Function {
    pub forward: Rc<Forward>,
    pub backward: Option<Rc<Backward>>,
}

impl Function {
    fn new(
        forward: impl Fn(&[Numbers]) -> Numbers + 'static,
        backward: impl Fn(&[Numbers], &[f64]) -> Vec<Numbers> + 'static,
    ) -> Self {
        Self {
            forward: Rc::new(move |_, inputs| forward(inputs)),
            backward: Some(Rc::new(move |_, inputs, g| backward(inputs, g))),
        }
    }
}

/// One input, and an output for each element.
fn elementwise(f: impl Fn(f64) -> f64 + 'static, slope: impl Fn(f64) -> f64 + 'static) -> Function {
    Function::new(
        move |inputs| inputs[0].iter().map(|&x| f(x)).collect(),
        move |inputs, g| vec![inputs[0].iter().zip(g).map(|(&x, g)| g * slope(x)).collect()],
    )
}

/// The identity.
fn identity(backward: impl Fn(&[f64]) -> Numbers + 'static) -> Function {
    Function::new(|inputs| inputs[0].clone(), move |_, g| vec![backward(g)])
}

const SCALES: [f64; 3] = [1e6, 1.0, 1e-3];
const TARGETS: [usize; 3] = [1, 3, 0];

pub fn function(id: &str) -> Function {
    match id {
        "square-f32" | "square-large-f32" => elementwise(|x| x * x, |x| 2.0 * x),
        "exp-f32" | "exp-large-f32" => elementwise(f64::exp, f64::exp),
        "sin-f32" | "sin-large-f32" => elementwise(f64::sin, f64::cos),
        "linear-f32" | "linear-large-f32" => elementwise(|x| 5.0 * x, |_| 5.0),
        "cube-f32" | "cube-large-f32" => elementwise(|x| x.powi(3), |x| 3.0 * x * x),
        "relu" | "relu-near-kink" => {
            elementwise(|x| x.max(0.0), |x| if x > 0.0 { 1.0 } else { 0.0 })
        }
        "abs" | "abs-near-kink" => elementwise(f64::abs, f64::signum),
        "sqrt-near-zero" | "nan" => elementwise(f64::sqrt, |x| 0.5 / x.sqrt()),
        "log-near-zero" => elementwise(f64::ln, f64::recip),
        "max-tie-shared" => max_tie(true),
        "max-tie-first" => max_tie(false),
        "steep" => elementwise(|x| (10.0 * x).exp(), |x| 10.0 * (10.0 * x).exp()),
        "steeper" => elementwise(|x| (1e3 * x).exp(), |x| 1e3 * (1e3 * x).exp()),
        "scaled-small" => elementwise(|x| 1e-8 * x * x, |x| 2e-8 * x),
        "scaled-large" => elementwise(|x| 1e8 * x * x, |x| 2e8 * x),
        "mixed-scales" => scaled_sum(1.0),
        "inverse-ill-conditioned" => Function::new(
            |inputs| inverse(5, &inputs[0]),
            |inputs, g| {
                let y = transposed(5, &inverse(5, &inputs[0]));
                let product = matmul(5, &matmul(5, &y, g), &y);
                vec![product.into_iter().map(|x| -x).collect()]
            },
        ),
        "multiply-add-f32" => Function::new(
            |inputs| (0..6).map(|i| inputs[0][i % 3] * inputs[1][i] + inputs[2][i % 3]).collect(),
            |inputs, g| {
                let (w, x) = (&inputs[0], &inputs[1]);
                vec![
                    (0..3).map(|i| g[i] * x[i] + g[i + 3] * x[i + 3]).collect(),
                    (0..6).map(|i| g[i] * w[i % 3]).collect(),
                    (0..3).map(|i| g[i] + g[i + 3]).collect(),
                ]
            },
        ),
        "matmul-f32" => matmul_3_4_2(),
        "cross-entropy-f32" => cross_entropy(),
        "trace-inverse" => Function::new(trace_inverse, trace_inverse_right),
        "trace-inverse-published" => Function::new(trace_inverse, trace_inverse_published),
        "sum-10000-f32" => Function::new(
            |inputs| vec![inputs[0].iter().sum()],
            |inputs, g| vec![vec![g[0]; inputs[0].len()]],
        ),
        "softmax" => softmax(1.0),
        "softmax-half" => softmax(0.5),
        "complex-product" => complex_product(),
        "independent-input" => Function::new(
            |inputs| inputs[0].iter().map(|x| x * x).collect(),
            |inputs, g| {
                let dx = inputs[0].iter().zip(g).map(|(x, g)| g * 2.0 * x).collect();
                vec![dx, vec![0.0; inputs[1].len()]]
            },
        ),
        "identity-10000" => identity(<[f64]>::to_vec),
        "identity-1000-one-entry" => identity(|g| {
            let mut gradient = g.to_vec();
            gradient[500] *= 1.5;
            gradient
        }),
        "identity-10000-reversed" => identity(|g| g.iter().rev().copied().collect()),
        "identity-200000-zero" => identity(|g| vec![0.0; g.len()]),
        "factor-1.001" => elementwise(f64::exp, |x| 1.001 * x.exp()),
        "factor-1.0001" => elementwise(f64::exp, |x| 1.0001 * x.exp()),
        "factor-1.01-f32" => elementwise(f64::exp, |x| 1.01 * x.exp()),
        "sign" => elementwise(f64::cos, f64::sin),
        "transpose" => Function::new(|inputs| transposed(3, &inputs[0]), |_, g| vec![g.to_vec()]),
        "swapped-inputs" => Function::new(
            |inputs| inputs[0].iter().zip(&inputs[1]).map(|(a, b)| a * a * b).collect(),
            |inputs, g| {
                let (a, b) = (&inputs[0], &inputs[1]);
                let da = (0..g.len()).map(|i| g[i] * 2.0 * a[i] * b[i]).collect();
                let db = (0..g.len()).map(|i| g[i] * a[i] * a[i]).collect();
                vec![db, da]
            },
        ),
        "missing-term" => elementwise(|x| x * x.exp(), |x| x * x.exp()),
        "cotangent-ignored" => Function::new(
            |inputs| inputs[0].iter().map(|x| x.exp()).collect(),
            |inputs, _| vec![inputs[0].iter().map(|x| x.exp()).collect()],
        ),
        "broadcast-sliced" => Function::new(
            |inputs| (0..6).map(|i| inputs[0][i] + inputs[1][i % 3]).collect(),
            |_, g| vec![g.to_vec(), g[..3].to_vec()],
        ),
        "shifted-index" => Function::new(
            |inputs| inputs[0].iter().map(|x| x.exp()).collect(),
            |inputs, g| {
                let mut slopes: Numbers = inputs[0].iter().map(|x| x.exp()).collect();
                slopes.rotate_right(1);
                vec![slopes.iter().zip(g).map(|(slope, g)| slope * g).collect()]
            },
        ),
        "scaled-small-doubled" => elementwise(|x| 1e-8 * x * x, |x| 4e-8 * x),
        "mixed-scales-one-entry" => scaled_sum(1.01),
        "relu-leak" => elementwise(|x| x.max(0.0), |x| if x > 0.0 { 1.0 } else { 1e-4 }),
        "half-precision-f32" => elementwise(f64::exp, |x| half(x.exp() as f32)),
        "single-precision" => elementwise(f64::exp, |x| f64::from(x.exp() as f32)),
        "floor" => elementwise(f64::floor, |_| 1.0),
        "detached" => Function { backward: None, ..elementwise(f64::exp, f64::exp) },
        "random" => dropped(),
        other => panic!("no function for the row {other:?}"),
    }
}

/// Rounded to the eleven bits of half precision, for numbers in its range.
fn half(x: f32) -> f64 {
    f64::from(f32::from_bits((x.to_bits() + 0x1000) & !0x1fff))
}

fn max_tie(shared: bool) -> Function {
    Function::new(
        |inputs| vec![inputs[0].iter().copied().fold(f64::NEG_INFINITY, f64::max)],
        move |inputs, g| {
            let x = &inputs[0];
            let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let ties: Vec<usize> = (0..x.len()).filter(|&i| x[i] == most).collect();
            let ties = if shared { &ties[..] } else { &ties[..1] };
            let mut gradient = vec![0.0; x.len()];
            for &i in ties {
                gradient[i] = g[0] / ties.len() as f64;
            }
            vec![gradient]
        },
    )
}

fn scaled_sum(last: f64) -> Function {
    Function::new(
        |inputs| vec![inputs[0].iter().zip(SCALES).map(|(x, s)| x * x * s).sum()],
        move |inputs, g| {
            let mut gradient: Numbers =
                inputs[0].iter().zip(SCALES).map(|(x, s)| g[0] * 2.0 * x * s).collect();
            gradient[2] *= last;
            vec![gradient]
        },
    )
}

fn softmax_rows(x: &[f64]) -> Numbers {
    let rows = x.chunks(4).flat_map(|row| {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exps = row.iter().map(|x| (x - most).exp()).collect::<Numbers>();
        let sum: f64 = exps.iter().sum();
        exps.into_iter().map(move |exp| exp / sum)
    });
    rows.collect()
}

fn softmax(factor: f64) -> Function {
    Function::new(
        |inputs| softmax_rows(&inputs[0]),
        move |inputs, g| {
            let s = softmax_rows(&inputs[0]);
            let rows = s.chunks(4).zip(g.chunks(4)).flat_map(|(s, g)| {
                let inner: f64 = s.iter().zip(g).map(|(s, g)| s * g).sum();
                s.iter().zip(g).map(move |(s, g)| factor * s * (g - inner))
            });
            vec![rows.collect()]
        },
    )
}

fn cross_entropy() -> Function {
    Function::new(
        |inputs| {
            let s = softmax_rows(&inputs[0]);
            let loss: f64 = s.chunks(4).zip(TARGETS).map(|(s, target)| -s[target].ln()).sum();
            vec![loss / 3.0]
        },
        |inputs, g| {
            let mut gradient = softmax_rows(&inputs[0]);
            for (row, target) in gradient.chunks_mut(4).zip(TARGETS) {
                row[target] -= 1.0;
                row.iter_mut().for_each(|x| *x *= g[0] / 3.0);
            }
            vec![gradient]
        },
    )
}

fn complex(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
}

fn product_but(z: &[f64], left_out: Option<usize>) -> [f64; 2] {
    let factors = z.chunks(2).enumerate().filter(|(k, _)| Some(*k) != left_out);
    factors.fold([1.0, 0.0], |product, (_, z)| complex(product, [z[0], z[1]]))
}

fn complex_product() -> Function {
    Function::new(
        |inputs| product_but(&inputs[0], None).to_vec(),
        |inputs, g| {
            let z = &inputs[0];
            let rows = (0..z.len() / 2).flat_map(|k| {
                let [re, im] = product_but(z, Some(k));
                complex([g[0], g[1]], [re, -im])
            });
            vec![rows.collect()]
        },
    )
}

/// Half of the elements, other ones in each call.
fn kept(call: u64, len: usize) -> Vec<f64> {
    let mut state = call as u32;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if state >> 31 == 0 { 2.0 } else { 0.0 }
    };
    (0..len).map(|_| draw()).collect()
}

fn dropped() -> Function {
    Function {
        forward: Rc::new(|call, inputs| {
            let x = &inputs[0];
            x.iter().zip(kept(call, x.len())).map(|(x, kept)| kept * x * x).collect()
        }),
        backward: Some(Rc::new(|call, inputs, g| {
            let x = &inputs[0];
            let kept = kept(call, x.len());
            vec![(0..x.len()).map(|i| g[i] * kept[i] * 2.0 * x[i]).collect()]
        })),
    }
}

fn transposed(n: usize, a: &[f64]) -> Numbers {
    (0..n * n).map(|i| a[i % n * n + i / n]).collect()
}

fn matmul(n: usize, a: &[f64], b: &[f64]) -> Numbers {
    product(n, n, n, a, b)
}

/// Rows × inner by inner × columns.
fn product(rows: usize, inner: usize, columns: usize, a: &[f64], b: &[f64]) -> Numbers {
    let entry =
        |i: usize, j: usize| (0..inner).map(|k| a[i * inner + k] * b[k * columns + j]).sum();
    (0..rows * columns).map(|i| entry(i / columns, i % columns)).collect()
}

fn matmul_3_4_2() -> Function {
    Function::new(
        |inputs| product(3, 4, 2, &inputs[0], &inputs[1]),
        |inputs, g| {
            let (a, b) = (&inputs[0], &inputs[1]);
            let da = (0..12).map(|i| (0..2).map(|j| g[i / 4 * 2 + j] * b[i % 4 * 2 + j]).sum());
            let db = (0..8).map(|i| (0..3).map(|j| a[j * 4 + i / 2] * g[j * 2 + i % 2]).sum());
            vec![da.collect(), db.collect()]
        },
    )
}

/// By elimination, with the largest pivot of each column.
fn inverse(n: usize, a: &[f64]) -> Numbers {
    let mut rows: Vec<Numbers> = (0..n)
        .map(|i| {
            let unit = (0..n).map(|j| if i == j { 1.0 } else { 0.0 });
            a[i * n..(i + 1) * n].iter().copied().chain(unit).collect()
        })
        .collect();
    for column in 0..n {
        let largest =
            (column..n).max_by(|&i, &j| rows[i][column].abs().total_cmp(&rows[j][column].abs()));
        rows.swap(column, largest.expect("there is a row left"));
        let pivot: Numbers = rows[column].iter().map(|x| x / rows[column][column]).collect();
        for (i, row) in rows.iter_mut().enumerate() {
            if i != column {
                let factor = row[column];
                row.iter_mut().zip(&pivot).for_each(|(x, p)| *x -= factor * p);
            }
        }
        rows[column] = pivot;
    }
    rows.into_iter().flat_map(|row| row[n..].to_vec()).collect()
}

/// The sum of the diagonal of a 3×3 matrix.
fn trace(a: &[f64]) -> f64 {
    a[0] + a[4] + a[8]
}

/// Matrix by matrix.
fn batches(
    inputs: &[Numbers],
    g: Option<&[f64]>,
    each: impl Fn(&[f64], &[f64], &[f64]) -> Vec<Numbers>,
) -> Vec<Numbers> {
    let mut outputs: Vec<Numbers> = Vec::new();
    for (k, (a, b)) in inputs[0].chunks(9).zip(inputs[1].chunks(9)).enumerate() {
        let g = g.map_or(&[][..], |g| &g[9 * k..9 * k + 9]);
        let parts = each(a, b, g);
        outputs.resize(parts.len(), Vec::new());
        outputs.iter_mut().zip(parts).for_each(|(output, part)| output.extend(part));
    }
    outputs
}

fn sum(a: Numbers, factor: f64, b: &[f64]) -> Numbers {
    a.into_iter().zip(b).map(|(a, b)| a + factor * b).collect()
}

const IDENTITY: [f64; 9] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];

fn trace_inverse(inputs: &[Numbers]) -> Numbers {
    let mut outputs = batches(inputs, None, |a, b, _| {
        vec![sum(transposed(3, &matmul(3, a, &inverse(3, b))), trace(a), b)]
    });
    outputs.swap_remove(0)
}

fn trace_inverse_right(inputs: &[Numbers], g: &[f64]) -> Vec<Numbers> {
    batches(inputs, Some(g), |a, b, g| {
        let inverse = transposed(3, &inverse(3, b));
        let inner: f64 = g.iter().zip(b).map(|(g, b)| g * b).sum();
        let first = matmul(3, &transposed(3, g), &inverse);
        let second = matmul(3, &inverse, &matmul(3, &transposed(3, a), &first));
        let scaled = g.iter().map(|g| trace(a) * g).collect();
        vec![sum(first, inner, &IDENTITY), sum(scaled, -1.0, &second)]
    })
}

fn trace_inverse_published(inputs: &[Numbers], g: &[f64]) -> Vec<Numbers> {
    batches(inputs, Some(g), |a, b, g| {
        let inverse = inverse(3, b);
        let turned = transposed(3, &inverse);
        let first = matmul(3, g, &turned);
        let second = matmul(3, &turned, &matmul(3, &transposed(3, a), &matmul(3, g, &inverse)));
        let scaled = b.iter().map(|b| trace(g) * b).collect();
        vec![sum(first, trace(g), &IDENTITY), sum(scaled, -1.0, &second)]
    })
}
