//! How long something takes, beside other things.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use serde_json::{Value, json};

/// One repetition of a workload. What it makes it also drops, as PyTorch's and JAX's steps do.
pub(crate) type Step = Box<dyn FnMut()>;

/// Seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    pub(crate) median: f64,
    least: f64,
    repetitions: usize,
}

impl Time {
    pub(crate) fn micros(self) -> f64 {
        self.median * 1e6
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.median.total_cmp(&other.median)
    }

    pub(crate) fn json(self) -> Value {
        json!({"median": self.median, "least": self.least, "repetitions": self.repetitions})
    }

    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self {
            median: times[times.len() / 2].as_secs_f64(),
            least: times[0].as_secs_f64(),
            repetitions: times.len(),
        }
    }
}

/// The contenders take turns, so that a machine that is faster in one second than in the next is so
/// for all of them.
const ROUNDS: usize = 10;
/// What a contender may repeat in one turn.
const TURN: Duration = Duration::from_millis(100);
const TURN_REPETITIONS: usize = 200;
/// A contender that has taken this long, and has been repeated this often, is left out of further
/// rounds.
const ENOUGH: Duration = Duration::from_secs(5);
const LEAST_REPETITIONS: usize = 3;

/// Times the steps on a device, whose queue is waited for inside the timed region.
pub(crate) fn race(steps: &mut [&mut Step], device: &Device) -> Vec<Time> {
    let once = |step: &mut Step| {
        let started = Instant::now();
        step();
        device.sync().expect("the device can be synchronised");
        started.elapsed()
    };
    for step in steps.iter_mut() {
        // Compiles shaders, starts threads, lets the allocator find its memory.
        for _ in 0..3 {
            once(step);
        }
    }
    let mut times: Vec<Vec<Duration>> = steps.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (step, times) in steps.iter_mut().zip(&mut times) {
            let total: Duration = times.iter().sum();
            if total > ENOUGH && times.len() >= LEAST_REPETITIONS {
                continue;
            }
            // The caches are another contender's.
            let first = once(step);
            if first > TURN {
                times.push(first);
                continue;
            }
            let started = Instant::now();
            for _ in 0..TURN_REPETITIONS {
                times.push(once(step));
                if started.elapsed() > TURN {
                    break;
                }
            }
        }
    }
    times.into_iter().map(Time::of).collect()
}
