use crate::evaluate::Panicked;
use crate::record::{Record, Verdict, Worst};

/// How many entries a record keeps for a look at them.
const WORST: usize = 5;
const POINTS: usize = 128;

/// A record that is filled in while checking.
pub(crate) struct Draft {
    pub(crate) record: Record,
    started: std::time::Instant,
    /// The entries that fit worst, with their fit, worst first.
    worst: Vec<(f64, Worst)>,
    /// Every `stride`-th entry is kept as a point.
    stride: usize,
    seen: usize,
}

impl Draft {
    pub(crate) fn new(check: &str) -> Self {
        Self {
            record: Record::new(check),
            started: std::time::Instant::now(),
            worst: Vec::new(),
            stride: 1,
            seen: 0,
        }
    }

    /// Lowers the verdict; the first reason of the worst verdict is kept.
    pub(crate) fn lower(&mut self, verdict: Verdict, reason: impl Into<String>) {
        if verdict > self.record.verdict {
            self.record.verdict = verdict;
            self.record.reason = reason.into();
        }
    }

    /// Looks at an entry: keeps it if it is among those that fit worst.
    pub(crate) fn compare(&mut self, worst: Worst) {
        if self.seen.is_multiple_of(self.stride) {
            if self.record.points.len() == POINTS {
                let mut kept = 0..;
                self.record.points.retain(|_| kept.next().is_some_and(|place| place % 2 == 0));
                self.stride *= 2;
            }
            if self.seen.is_multiple_of(self.stride) {
                self.record.points.push((worst.numeric, worst.analytic));
            }
        }
        self.seen += 1;
        let fit = match (worst.error, worst.bound) {
            (error, _) if error.is_nan() => f64::INFINITY,
            (0.0, _) => 0.0,
            (error, bound) => error / bound,
        };
        let place = self.worst.partition_point(|(other, _)| *other >= fit);
        if place < WORST {
            self.worst.insert(place, (fit, worst));
            self.worst.truncate(WORST);
        }
    }

    /// Compares one entry; gives whether it fits.
    pub(crate) fn entry(&mut self, worst: Worst) -> bool {
        let fits = worst.error <= worst.bound;
        self.record.coverage.1 += 1;
        if fits {
            self.record.coverage.0 += 1;
        }
        self.compare(worst);
        fits
    }

    /// Compares an element of an input's gradient with what it should be.
    pub(crate) fn gradient(
        &mut self,
        what: &str,
        (input, index): (usize, Vec<usize>),
        (value, expected): (f64, f64),
        bound: f64,
    ) {
        let error = (value - expected).abs();
        let worst = Worst {
            output: 0,
            output_index: None,
            input,
            index: index.clone(),
            analytic: value,
            numeric: expected,
            error,
            bound,
        };
        if !self.entry(worst) {
            self.lower(
                Verdict::Fail,
                format!(
                    "{what}: the gradient of input {input} at {index:?} is {value:.9e}, expected \
                     {expected:.9e}"
                ),
            );
        }
    }

    pub(crate) fn detects(&mut self, detects: f64) {
        self.record.detects = Some(self.record.detects.unwrap_or(0.0).max(detects));
    }

    pub(crate) fn cause(&mut self, cause: impl Into<String>) {
        let cause = cause.into();
        if !self.record.causes.contains(&cause) {
            self.record.causes.push(cause);
        }
    }

    pub(crate) fn finish(mut self) -> Record {
        self.record.seconds = self.started.elapsed().as_secs_f64();
        self.record.worst = self.worst.first().map(|(_, worst)| worst.clone());
        // A pass needs no more than the one that fits worst; thousands of them are kept.
        if self.record.verdict != Verdict::Pass {
            self.record.worst_entries = self.worst.into_iter().map(|(_, worst)| worst).collect();
        }
        self.record
    }

    pub(crate) fn panicked(mut self, verdict: Verdict, panicked: Panicked) -> Record {
        self.lower(verdict, format!("it panicked: {}", panicked.0));
        self.finish()
    }
}
