//! How long something takes, beside other things.

use std::hint::black_box;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use serde_json::{Value, json};

use crate::workloads::Form;

/// One repetition of a workload, with the release of what it makes.
pub(crate) struct Step(Box<dyn FnMut(&Device)>);

impl Step {
    /// `make` gives all that the peers' steps give. It is kept until the device has been waited for: kernel
    /// fusion does not compute what is dropped before.
    pub(crate) fn new<T>(mut make: impl FnMut() -> T + 'static) -> Self {
        Self(Box::new(move |device| {
            let made = black_box(make());
            device.sync().expect("the device can be synchronised");
            drop(made);
        }))
    }

    fn time(&mut self, device: &Device) -> Duration {
        let started = Instant::now();
        (self.0)(device);
        started.elapsed()
    }
}

/// Seconds, of the form that they are of: the fastest of several.
#[derive(Debug, Clone)]
pub(crate) struct Time {
    form: String,
    pub(crate) median: f64,
    least: f64,
    repetitions: usize,
    /// The medians of all forms, this one too.
    forms: Vec<(String, f64)>,
}

impl Time {
    pub(crate) fn micros(&self) -> f64 {
        self.median * 1e6
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "form": self.form,
            "median": self.median,
            "least": self.least,
            "repetitions": self.repetitions,
            "forms": self.forms.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        })
    }

    fn of(form: String, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self {
            form,
            median: times[times.len() / 2].as_secs_f64(),
            least: times[0].as_secs_f64(),
            repetitions: times.len(),
            forms: Vec::new(),
        }
    }
}

/// The contenders take turns, so that a machine that is faster in one second than in the next is so
/// for all of them.
const ROUNDS: usize = 10;
/// What a form may repeat in one turn.
const TURN: Duration = Duration::from_millis(60);
const TURN_REPETITIONS: usize = 200;
/// A form that has taken this long, and has been repeated this often, is left out of further rounds.
const ENOUGH: Duration = Duration::from_secs(5);
const LEAST_REPETITIONS: usize = 3;

/// Times contenders on a device, whose queue is waited for inside the timed region, and gives the
/// fastest form of each.
pub(crate) fn race<const N: usize>(
    contenders: [Vec<Form>; N],
    device: &Device,
) -> [Option<Time>; N] {
    let mut forms: Vec<_> = contenders
        .into_iter()
        .enumerate()
        .flat_map(|(index, forms)| {
            forms.into_iter().map(move |(name, step)| (index, name, step, Vec::new()))
        })
        .collect();
    for (_, _, step, _) in &mut forms {
        // Compiles shaders, starts threads, lets the allocator find its memory.
        for _ in 0..3 {
            step.time(device);
        }
    }
    for _ in 0..ROUNDS {
        for (_, _, step, times) in &mut forms {
            let total: Duration = times.iter().sum();
            if total > ENOUGH && times.len() >= LEAST_REPETITIONS {
                continue;
            }
            // The caches are another form's.
            let first = step.time(device);
            if first > TURN {
                times.push(first);
                continue;
            }
            let started = Instant::now();
            for _ in 0..TURN_REPETITIONS {
                times.push(step.time(device));
                if started.elapsed() > TURN {
                    break;
                }
            }
        }
    }
    let mut all = [const { Vec::<Time>::new() }; N];
    for (index, name, _, times) in forms {
        all[index].push(Time::of(name, times));
    }
    all.map(|times| {
        let forms = times.iter().map(|time| (time.form.clone(), time.median)).collect();
        let fastest = times.into_iter().min_by(|a, b| a.median.total_cmp(&b.median))?;
        Some(Time { forms, ..fastest })
    })
}
