//! What the examples that fit a curve to the sine share: its points, and the loop as it is watched.

use std::f64::consts::PI;

use indicatif::{ProgressBar, ProgressStyle};

use super::check::Checks;

/// The number of points.
pub(crate) const POINTS: usize = 2000;
/// The number of steps of gradient descent.
pub(crate) const STEPS: usize = 2000;

/// Points from −π to π at equal distances, both ends included.
pub(crate) fn grid() -> Vec<f64> {
    (0..POINTS).map(|i| -PI + 2.0 * PI * i as f64 / (POINTS - 1) as f64).collect()
}

/// The sine of every point.
pub(crate) fn sine(grid: &[f64]) -> Vec<f64> {
    grid.iter().map(|x| x.sin()).collect()
}

/// The losses of a fit, each with the step at which it was measured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Losses(Vec<(usize, f64)>);

impl Losses {
    /// The loss at a step; not a number if it was not measured there.
    pub(crate) fn at(&self, step: usize) -> f64 {
        self.0.iter().find(|(at, _)| *at == step).map_or(f64::NAN, |(_, loss)| *loss)
    }

    /// All of them, in order.
    pub(crate) fn points(&self) -> &[(usize, f64)] {
        &self.0
    }

    /// Expects these losses at these steps, up to a part of each.
    pub(crate) fn expect(
        &self,
        checks: &mut Checks,
        expected: &[(usize, f64)],
        relative_tolerance: f64,
    ) {
        for (step, loss) in expected {
            let tolerance = relative_tolerance * loss.abs();
            checks.expect(format!("loss at {step}"), self.at(*step), *loss, tolerance);
        }
    }
}

/// A training loop as it is watched: a bar on a terminal, and now and then a line.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    interval: usize,
    losses: Losses,
}

impl Progress {
    /// Of a loop of so many steps, with a line for every hundredth.
    pub(crate) fn new(steps: usize) -> Self {
        Self::every(100, steps)
    }

    /// The same with a line for every `interval` steps, and five losses for each line.
    pub(crate) fn every(interval: usize, steps: usize) -> Self {
        let style = ProgressStyle::with_template("{bar:40} step {pos} of {len}, {eta} left")
            .expect("the template is a constant");
        // It hides itself where standard error is not a terminal.
        let bar = ProgressBar::new(steps as u64).with_style(style);
        Self { bar, interval, losses: Losses::default() }
    }

    /// To be called once a step. The loss is read from the device only where it is shown.
    pub(crate) fn step(&mut self, step: usize, loss: impl FnOnce() -> f64) {
        self.bar.inc(1);
        if !(step + 1).is_multiple_of(self.interval / 5) {
            return;
        }
        let loss = loss();
        self.losses.0.push((step, loss));
        if (step + 1).is_multiple_of(self.interval) {
            self.bar.suspend(|| println!("{step} {loss}"));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) -> Losses {
        self.bar.finish_and_clear();
        self.losses
    }
}
