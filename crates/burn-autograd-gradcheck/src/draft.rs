use crate::evaluate::Panicked;
use crate::record::{Record, Verdict, Worst};

/// How many entries a record keeps for a look at them.
const WORST: usize = 5;
const POINTS: usize = 128;
/// How many reasons, beside the first, a record gives for what is unchecked.
const REASONS: usize = 3;

/// A record that is filled in while checking.
pub(crate) struct Draft {
    pub(crate) record: Record,
    started: std::time::Instant,
    /// The entries that fit worst, with their fit, worst first.
    worst: Vec<(f64, Worst)>,
    /// Every `stride`-th entry is kept as a point.
    stride: usize,
    seen: usize,
    /// Why else something is unchecked, and how much more there is.
    others: Vec<String>,
    more: usize,
}

impl Draft {
    pub(crate) fn new(check: &str) -> Self {
        Self {
            record: Record::new(check),
            started: std::time::Instant::now(),
            worst: Vec::new(),
            stride: 1,
            seen: 0,
            others: Vec::new(),
            more: 0,
        }
    }

    /// Lowers the verdict; the first reason of the worst verdict is kept, and of what is unchecked a few
    /// others: one may be met, and the next one stays.
    pub(crate) fn lower(&mut self, verdict: Verdict, reason: impl Into<String>) {
        if verdict > self.record.verdict {
            self.record.verdict = verdict;
            self.record.reason = reason.into();
            self.others.clear();
            self.more = 0;
        } else if verdict == self.record.verdict && verdict == Verdict::Unchecked {
            let reason = reason.into();
            if reason == self.record.reason || self.others.contains(&reason) {
                return;
            }
            if self.others.len() < REASONS { self.others.push(reason) } else { self.more += 1 }
        }
    }

    /// Looks at an entry: keeps it if it is among those that fit worst. Entries are many, and most of
    /// them are neither kept nor described.
    pub(crate) fn look(
        &mut self,
        (analytic, numeric): (f64, f64),
        bound: f64,
        worst: impl FnOnce() -> Worst,
    ) {
        if self.seen.is_multiple_of(self.stride) {
            if self.record.points.len() == POINTS {
                let mut kept = 0..;
                self.record.points.retain(|_| kept.next().is_some_and(|place| place % 2 == 0));
                self.stride *= 2;
            }
            if self.seen.is_multiple_of(self.stride) {
                self.record.points.push((numeric, analytic));
            }
        }
        self.seen += 1;
        let error = (analytic - numeric).abs();
        let fit = match error {
            error if error.is_nan() => f64::INFINITY,
            0.0 => 0.0,
            error => error / bound,
        };
        if self.worst.len() == WORST && self.worst.last().is_some_and(|(last, _)| *last >= fit) {
            return;
        }
        let place = self.worst.partition_point(|(other, _)| *other >= fit);
        self.worst.insert(place, (fit, worst()));
        self.worst.truncate(WORST);
    }

    /// The same of an entry that is described already.
    pub(crate) fn compare(&mut self, worst: Worst) {
        self.look((worst.analytic, worst.numeric), worst.bound, || worst.clone());
    }

    /// Counts one entry, which was judged and fits, or not.
    pub(crate) fn count(&mut self, fits: bool) {
        self.record.coverage.1 += 1;
        self.record.coverage.0 += usize::from(fits);
    }

    /// Compares an element of an input's gradient with what it should be. With an infinite bound nothing
    /// can be said of it, and it does not count.
    pub(crate) fn gradient(
        &mut self,
        what: &str,
        input: usize,
        index: impl Fn() -> Vec<usize>,
        (value, expected): (f64, f64),
        bound: f64,
    ) {
        let error = (value - expected).abs();
        if bound == f64::INFINITY && !error.is_nan() {
            return;
        }
        let fits = error <= bound;
        self.count(fits);
        self.look((value, expected), bound, || Worst {
            output: 0,
            output_index: None,
            input,
            input_name: None,
            index: index(),
            analytic: value,
            numeric: expected,
            error,
            bound,
        });
        if !fits {
            self.lower(
                Verdict::Fail,
                format!(
                    "{what}: the gradient of input {input} at {:?} is {value:.9e}, expected \
                     {expected:.9e}",
                    index()
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

    /// The entry that fits worst.
    pub(crate) fn worst(&self) -> Option<&Worst> {
        self.worst.first().map(|(_, worst)| worst)
    }

    pub(crate) fn finish(mut self) -> Record {
        self.record.seconds = self.started.elapsed().as_secs_f64();
        self.record.worst = self.worst().cloned();
        for other in &self.others {
            self.record.reason.push_str("; ");
            self.record.reason.push_str(other);
        }
        if self.more > 0 {
            self.record.reason.push_str(&format!("; and {} more like these", self.more));
        }
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
