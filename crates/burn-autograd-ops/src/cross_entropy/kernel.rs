//! The CPU kernels: the loss in one pass over the logits, and the gradient in another. A row's two
//! sub-passes (its maximum, then the sum) find it in the cache.

use burn_autograd_core::OrPanic as _;
use std::mem::MaybeUninit;
use std::ops::Add;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::arguments::check_targets;
use super::{OPERATION, Reduction, Settings};
use crate::support::Real;

/// What the rows are compared with.
#[derive(Clone, Copy)]
pub(super) struct Problem<'a, T> {
    pub(super) classes: usize,
    pub(super) targets: &'a [i64],
    /// One for each class, or none.
    pub(super) weight: Option<&'a [T]>,
    pub(super) settings: Settings,
}

/// Logits below which one thread does it all: some fifty microseconds.
const PARALLEL: usize = 1 << 15;

/// Logits per task, at least.
const GRAIN: usize = 1 << 14;

/// Running values side by side, so that they are vector registers.
const LANES: usize = 32;

/// Elements that are summed in their own precision before the sum goes on in `f64`.
const BLOCK: usize = 16 * LANES;

impl<T: Real> Problem<'_, T> {
    /// Panics with the error about a target that is no class.
    fn check(&self) {
        check_targets(OPERATION, self.targets, self.classes, self.settings.ignore_index).or_panic();
    }

    /// The class of a row; none if it is ignored.
    #[inline(always)]
    fn class(&self, row: usize) -> Option<usize> {
        let target = self.targets[row];
        if Some(target) == self.settings.ignore_index { None } else { usize::try_from(target).ok() }
    }

    #[inline(always)]
    fn weight(&self, class: usize) -> f64 {
        self.weight.map_or(1.0, |weight| weight[class].to_f64())
    }

    fn sum_of_weights(&self) -> f64 {
        match self.weight {
            Some(weight) => weight.iter().map(|weight| weight.to_f64()).sum(),
            None => self.classes as f64,
        }
    }

    /// Rows per task, and whether there is more than one task.
    fn tasks(&self) -> (usize, bool) {
        let rows = (GRAIN / self.classes.max(1)).max(1);
        (rows, self.targets.len() * self.classes >= PARALLEL && self.targets.len() > rows)
    }
}

/// The loss, one number or one for each row; the maximum m of each row, then its Σ eˣ⁻ᵐ; and what the
/// sum of the losses was divided by.
pub(super) fn forward<T: Real>(logits: &[T], problem: Problem<'_, T>) -> (Vec<T>, Vec<T>, T) {
    problem.check();
    let rows = problem.targets.len();
    assert_eq!(logits.len(), rows * problem.classes, "there is a row for every target");
    let mut losses = vec![0.0; rows];
    let mut sums = vec![T::ZERO; 2 * rows];
    // Without classes, every row is ignored.
    if problem.classes > 0 {
        let (maxima, sums) = sums.split_at_mut(rows);
        let (size, parallel) = problem.tasks();
        let arch = Arch::new();
        let total = problem.sum_of_weights();
        let run = |(task, (((logits, maxima), sums), losses)): (usize, Block<'_, T>)| {
            let first = task * size;
            arch.dispatch(Rows { logits, maxima, sums, losses, problem, first, total });
        };
        let logits = logits.par_chunks(size * problem.classes);
        let tasks = logits
            .zip(maxima.par_chunks_mut(size))
            .zip(sums.par_chunks_mut(size))
            .zip(losses.par_chunks_mut(size))
            .enumerate();
        if parallel {
            tasks.for_each(run);
        } else {
            tasks.with_min_len(usize::MAX).for_each(run);
        }
    }
    let total = match problem.settings.reduction {
        Some(Reduction::Mean) => {
            (0..rows).filter_map(|row| problem.class(row)).map(|class| problem.weight(class)).sum()
        }
        _ => 1.0,
    };
    // In the order of the rows, so that the sum is the same on every number of threads.
    let loss = match problem.settings.reduction {
        None => losses.into_iter().map(T::from_f64).collect(),
        Some(_) => vec![T::from_f64(losses.iter().sum::<f64>() / total)],
    };
    (loss, sums, T::from_f64(total))
}

/// Logits, maxima, sums and losses of some rows.
type Block<'a, T> = (((&'a [T], &'a mut [T]), &'a mut [T]), &'a mut [f64]);

/// The forward of some rows. (A closure would do, but its call is not always inlined to where there
/// are vector instructions.)
struct Rows<'a, T> {
    logits: &'a [T],
    maxima: &'a mut [T],
    sums: &'a mut [T],
    losses: &'a mut [f64],
    problem: Problem<'a, T>,
    /// Which row is the first.
    first: usize,
    total: f64,
}

impl<T: Real> WithSimd for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { logits, maxima, sums, losses, problem, first, total } = self;
        for (index, row) in logits.chunks_exact(problem.classes).enumerate() {
            let found = Sums::of(row);
            maxima[index] = found.max;
            sums[index] = T::from_f64(found.sum());
            losses[index] = loss(row, first + index, problem, found, total);
        }
    }
}

/// A row's maximum m; how many of its elements are that, for which eˣ⁻ᵐ is 1; and Σ eˣ⁻ᵐ over the others.
#[derive(Clone, Copy)]
struct Sums<T> {
    max: T,
    ones: f64,
    rest: f64,
}

#[inline(always)]
fn larger<T: Real>(a: T, b: T) -> T {
    if b > a { b } else { a }
}

/// The largest lane, or the sum of the lanes: half of them with the other half, as long as there are two.
#[inline(always)]
fn fold<T: Copy>(mut lanes: [T; LANES], f: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = f(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// The end of a row, and behind it −∞, which counts for nothing.
#[inline(always)]
fn filled<T: Real>(rest: &[T]) -> [T; LANES] {
    let mut chunk = [T::from_f64(f64::NEG_INFINITY); LANES];
    chunk[..rest.len()].copy_from_slice(rest);
    chunk
}

/// Adds how many elements are the maximum, and the raised exponentials of the others.
#[inline(always)]
fn add<T: Real>(sums: &mut [[f64; LANES]; 2], max: T, chunks: &[[T; LANES]]) {
    let one = T::from_f64(1.0);
    let mut ones = [T::ZERO; LANES];
    let mut others = [T::ZERO; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            let shifted = chunk[lane] - max;
            let is_max = shifted == T::ZERO;
            ones[lane] += if is_max { one } else { T::ZERO };
            others[lane] += if is_max { T::ZERO } else { shifted.raised_exp() };
        }
    }
    for lane in 0..LANES {
        sums[0][lane] += ones[lane].to_f64();
        sums[1][lane] += others[lane].to_f64();
    }
}

impl<T: Real> Sums<T> {
    /// Two sub-passes, of which the second finds the row in the cache.
    #[inline(always)]
    fn of(row: &[T]) -> Self {
        let mut lanes = [row[0]; LANES];
        let (chunks, rest) = row.as_chunks::<LANES>();
        let rest = filled(rest);
        for chunk in chunks {
            for lane in 0..LANES {
                lanes[lane] = larger(lanes[lane], chunk[lane]);
            }
        }
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], rest[lane]);
        }
        // A NaN may get lost here. It is found below, where its exponential is NaN.
        let max = fold(lanes, larger);

        let mut sums = [[0.0f64; LANES]; 2];
        for block in chunks.chunks(BLOCK / LANES) {
            add(&mut sums, max, block);
        }
        add(&mut sums, max, &[rest]);
        let [ones, rest] = [fold(sums[0], Add::add), fold(sums[1], Add::add)];
        Self { max, ones, rest: rest * T::LOWER.to_f64() }
    }

    #[inline(always)]
    fn sum(self) -> f64 {
        self.ones + self.rest
    }

    /// ln Σ eˣ⁻ᵐ, exact also where the sum is hardly more than 1.
    #[inline(always)]
    fn log(self) -> f64 {
        self.ones.ln() + (self.rest / self.ones).ln_1p()
    }
}

#[inline(always)]
fn loss<T: Real>(
    row: &[T],
    index: usize,
    problem: Problem<'_, T>,
    sums: Sums<T>,
    weights: f64,
) -> f64 {
    let Some(class) = problem.class(index) else { return 0.0 };
    let (log, max) = (sums.log(), sums.max.to_f64());
    let epsilon = problem.settings.label_smoothing;
    // −ln p, without the difference of two large numbers where logits are large.
    let at_target = log - (row[class].to_f64() - max);
    let loss = (1.0 - epsilon) * problem.weight(class) * at_target;
    if epsilon == 0.0 {
        return loss;
    }
    let smooth = match problem.weight {
        Some(weight) => dot(row, |k| weight[k].to_f64(), max),
        None => dot(row, |_| 1.0, max),
    };
    loss + epsilon / problem.classes as f64 * (weights * log - smooth)
}

/// Σₖ wₖ·(xₖ − m).
#[inline(always)]
fn dot<T: Real>(row: &[T], weight: impl Fn(usize) -> f64, max: f64) -> f64 {
    let mut lanes = [0.0; LANES];
    for (start, chunk) in row.chunks(LANES).enumerate() {
        for (lane, x) in chunk.iter().enumerate() {
            lanes[lane] += weight(start * LANES + lane) * (x.to_f64() - max);
        }
    }
    lanes.iter().sum()
}

/// The gradient of the logits, written into `output`, which holds the logits themselves where these
/// are `None`. `sums` is what [`forward`] gave, `grad` the gradient of each row's loss.
fn gradient<T: Real>(
    logits: Option<&[T]>,
    output: &mut [MaybeUninit<T>],
    sums: &[T],
    grad: &[T],
    problem: Problem<'_, T>,
) {
    problem.check();
    let rows = problem.targets.len();
    assert!(
        output.len() == rows * problem.classes
            && logits.is_none_or(|logits| logits.len() == output.len())
            && sums.len() == 2 * rows
            && grad.len() == rows,
        "there is a row for every target"
    );
    if output.is_empty() {
        return;
    }
    let classes = problem.classes;
    let (maxima, sums) = sums.split_at(rows);
    let (size, parallel) = problem.tasks();
    let total = problem.sum_of_weights();
    let arch = Arch::new();
    let run = |(task, output): (usize, &mut [MaybeUninit<T>])| {
        let first = task * size;
        arch.dispatch(Gradients { logits, output, maxima, sums, grad, problem, first, total });
    };
    let tasks = output.par_chunks_mut(size * classes).enumerate();
    if parallel {
        tasks.for_each(run);
    } else {
        tasks.with_min_len(usize::MAX).for_each(run);
    }
}

/// The gradient of some rows; of which `output` are the places.
struct Gradients<'a, 'b, T> {
    logits: Option<&'a [T]>,
    output: &'b mut [MaybeUninit<T>],
    maxima: &'a [T],
    sums: &'a [T],
    grad: &'a [T],
    problem: Problem<'a, T>,
    first: usize,
    total: f64,
}

impl<T: Real> WithSimd for Gradients<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { logits, output, maxima, sums, grad, problem, first, total } = self;
        let classes = problem.classes;
        for (index, output) in output.chunks_exact_mut(classes).enumerate() {
            let row = first + index;
            let logits = logits.map(|logits| &logits[row * classes..][..classes]);
            let sums = (maxima[row], sums[row].to_f64());
            gradient_row(logits, output, row, problem, sums, grad[row].to_f64(), total);
        }
    }
}

#[inline(always)]
fn gradient_row<T: Real>(
    logits: Option<&[T]>,
    output: &mut [MaybeUninit<T>],
    row: usize,
    problem: Problem<'_, T>,
    (max, sum): (T, f64),
    grad: f64,
    weights: f64,
) {
    let Some(class) = problem.class(row) else {
        output.iter_mut().for_each(|place| {
            place.write(T::ZERO);
        });
        return;
    };
    let logit = match logits {
        Some(logits) => logits[class],
        // SAFETY: the output holds the logits.
        None => unsafe { output[class].assume_init() },
    };
    let epsilon = problem.settings.label_smoothing;
    let each = epsilon / problem.classes as f64;
    let at_target = (1.0 - epsilon) * problem.weight(class);
    let scale = grad * (at_target + each * weights) / sum;
    let factor = T::from_f64(scale);
    let lowered = factor * T::LOWER;
    // Where the product is exact, one multiplication does both.
    let exact = lowered * (T::from_f64(1.0 / T::LOWER.to_f64())) == factor;
    if epsilon == 0.0 && exact {
        write(
            logits,
            output,
            #[inline(always)]
            |_, x| (x - max).raised_exp() * lowered,
        );
    } else if epsilon == 0.0 {
        write(
            logits,
            output,
            #[inline(always)]
            |_, x| (x - max).exp() * factor,
        );
    } else if let Some(weight) = problem.weight {
        let weight = &weight[..output.len()];
        let each = T::from_f64(grad * each);
        write(
            logits,
            output,
            #[inline(always)]
            |k, x| (x - max).exp() * factor - each * weight[k],
        );
    } else {
        let each = T::from_f64(grad * each);
        write(
            logits,
            output,
            #[inline(always)]
            |_, x| (x - max).exp() * factor - each,
        );
    }
    // A difference, in double precision.
    let probability = (logit.to_f64() - max.to_f64()).exp();
    let smooth = if epsilon == 0.0 { 0.0 } else { each * problem.weight(class) };
    output[class].write(T::from_f64(probability * scale - grad * (at_target + smooth)));
}

/// Writes f(k, xₖ), where x is the output itself if there are no logits.
#[inline(always)]
fn write<T: Real>(logits: Option<&[T]>, output: &mut [MaybeUninit<T>], f: impl Fn(usize, T) -> T) {
    match logits {
        Some(logits) => {
            for (k, (place, &x)) in output.iter_mut().zip(logits).enumerate() {
                place.write(f(k, x));
            }
        }
        None => {
            for (k, place) in output.iter_mut().enumerate() {
                // SAFETY: the output holds the logits.
                let x = unsafe { place.assume_init() };
                place.write(f(k, x));
            }
        }
    }
}

/// The gradient of the logits in a new buffer.
pub(super) fn backward<T: Real>(
    logits: &[T],
    sums: &[T],
    grad: &[T],
    problem: Problem<'_, T>,
) -> Vec<T> {
    let mut output = Vec::with_capacity(logits.len());
    let spare = &mut output.spare_capacity_mut()[..logits.len()];
    gradient(Some(logits), spare, sums, grad, problem);
    // SAFETY: every row has been written.
    unsafe { output.set_len(logits.len()) };
    output
}

/// The gradient of the logits, in their place.
pub(super) fn backward_into<T: Real>(
    logits: &mut [T],
    sums: &[T],
    grad: &[T],
    problem: Problem<'_, T>,
) {
    // SAFETY: `MaybeUninit<T>` has the layout of `T`, and only whole elements are written.
    let output = unsafe { &mut *(std::ptr::from_mut(logits) as *mut [MaybeUninit<T>]) };
    gradient(None, output, sums, grad, problem);
}

#[cfg(test)]
mod tests {
    use super::{Problem, Reduction, Settings, backward, backward_into, forward};

    fn problem(targets: &[i64], classes: usize) -> Problem<'_, f32> {
        let settings = Settings {
            reduction: Some(Reduction::Mean),
            weighted: false,
            ignore_index: Some(-1),
            label_smoothing: 0.25,
        };
        Problem { classes, targets, weight: None, settings }
    }

    /// Terms that are subnormal, and gradients whose products with them are; the maximum in the last
    /// place and several times.
    #[test]
    fn small_terms_and_small_gradients_keep_their_digits() {
        let settings = Settings { reduction: Some(Reduction::Sum), ..problem(&[], 0).settings };
        let settings = Settings { label_smoothing: 0.0, ..settings };
        for classes in [2, 31, 32, 33, 70, 1000] {
            for grad in [1.0f32, 1e-30, 1e-38] {
                let mut logits: Vec<f32> =
                    (0..classes).map(|k| -((k * 37 % 101) as f32) - 0.25).collect();
                logits[classes - 1] = 0.5;
                logits[classes / 2] = 0.5;
                let targets = [0];
                let problem = Problem { classes, targets: &targets, weight: None, settings };
                let (loss, sums, _) = forward(&logits, problem);
                let found = backward(&logits, &sums, &[grad], problem);
                let terms = logits.iter().map(|x| (f64::from(*x) - 0.5).exp());
                let sum: f64 = terms.clone().sum();
                let expected = sum.ln() - (f64::from(logits[0]) - 0.5);
                assert!((f64::from(loss[0]) - expected).abs() <= 1e-6 * expected.abs());
                for (k, term) in terms.enumerate() {
                    let expected = (term / sum - if k == 0 { 1.0 } else { 0.0 }) * f64::from(grad);
                    let error = (f64::from(found[k]) - expected).abs();
                    // A unit of the subnormal numbers, or a few of the normal ones.
                    assert!(error <= 1.5e-45 + 1e-6 * expected.abs(), "{classes} {grad} {k}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_is_found_and_what_is_infinitely_small_counts_for_nothing() {
        let targets = [1];
        for classes in [3, 32, 40, 700] {
            let settings = Settings { label_smoothing: 0.0, ..problem(&[], 0).settings };
            let problem = Problem { classes, targets: &targets, weight: None, settings };
            for place in [0, classes / 2, classes - 1] {
                for spoilt in [f32::NAN, f32::INFINITY] {
                    let mut logits = vec![0.5f32; classes];
                    logits[place] = spoilt;
                    assert!(forward(&logits, problem).0[0].is_nan(), "{classes} {place}");
                }
                if place != 1 {
                    let mut logits = vec![0.5f32; classes];
                    logits[place] = f32::NEG_INFINITY;
                    let (loss, sums, _) = forward(&logits, problem);
                    let expected = ((classes - 1) as f64).ln();
                    assert!((f64::from(loss[0]) - expected).abs() <= 1e-6 * expected);
                    assert_eq!(backward(&logits, &sums, &[1.0], problem)[place], 0.0);
                }
            }
        }
        // A class that is certain costs nothing at all.
        for others in 0..70 {
            let mut logits = vec![-500.0f32; others + 1];
            logits[others] = 0.5;
            let targets = [others as i64];
            let settings = Settings { label_smoothing: 0.0, ..problem(&[], 0).settings };
            let problem =
                Problem { classes: others + 1, targets: &targets, weight: None, settings };
            let (loss, sums, _) = forward(&logits, problem);
            assert_eq!((loss[0], &sums[..]), (0.0, &[0.5, 1.0][..]));
            assert!(backward(&logits, &sums, &[1.0], problem).iter().all(|dx| *dx == 0.0));
        }
    }

    /// Below and above the size from which rows are computed in parallel.
    #[test]
    fn results_do_not_depend_on_the_number_of_threads_nor_on_the_place() {
        for (rows, classes) in [(3, 5), (97, 1001), (5, 20_011)] {
            let logits: Vec<f32> = (0..rows * classes).map(|i| 9.0 * (i as f32).sin()).collect();
            let targets: Vec<i64> =
                (0..rows as i64).map(|row| if row % 5 == 2 { -1 } else { row % 7 % 5 }).collect();
            let grad: Vec<f32> = (0..rows).map(|row| (row as f32).cos()).collect();
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.expect("threads can be made").install(|| {
                    let problem = problem(&targets, classes);
                    let (loss, sums, total) = forward(&logits, problem);
                    let fresh = backward(&logits, &sums, &grad, problem);
                    let mut reused = logits.clone();
                    backward_into(&mut reused, &sums, &grad, problem);
                    assert!(fresh == reused);
                    (loss, sums, total, fresh)
                })
            };
            let alone = run(1);
            for threads in [2, 3, 8] {
                assert!(run(threads) == alone, "{threads} threads");
            }
        }
    }
}
