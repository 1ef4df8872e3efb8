//! Reports what hangs on the locks of Burn's graph, one of which a backward pass holds: a body that
//! the pass runs, and that computes with the graph; an operation that waits to be recorded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) use patrol::{backward, recording};

/// How long a hook, or the backward of a [`Function`](crate::Function), may run on Burn's graph before
/// it is reported on standard error, and how long an operation of this library, or a function that is
/// applied, may wait for that graph; 30 seconds if not set.
///
/// A report ends nothing, for what is reported may only be slow. One of an operation that waits names
/// it, a function also with the file and line where it was applied, and the remedy:
/// [`share`](fn@crate::share) or [`share_module`](crate::share_module). Burn's own operations, and
/// its backward passes, wait without a word. Without threads and clocks (WebAssembly in a browser)
/// nothing is reported.
pub fn hook_time_limit(limit: Duration) {
    LIMIT.store(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// In milliseconds.
static LIMIT: AtomicU64 = AtomicU64::new(30_000);

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod patrol {
    use std::borrow::Cow;
    use std::marker::PhantomData;
    use std::panic::Location;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
    use std::thread::Thread;
    use std::time::{Duration, Instant};

    enum Kind {
        Backward,
        /// With the place where a function was applied.
        Recording(Option<&'static Location<'static>>),
    }

    struct Entry {
        name: Cow<'static, str>,
        kind: Kind,
        /// When the patrol saw it first. So entering reads no clock: it happens with each operation.
        seen: Option<Instant>,
        reported: bool,
    }

    impl Entry {
        fn report(&self, time: Duration) -> String {
            let (name, time) = (&self.name, time.as_secs_f64());
            let place = match self.kind {
                Kind::Backward => {
                    return format!(
                        "burn-autograd: the backward of `{name}` has been running for {time:.1} s. If \
                         it computes with a tracked tensor of the graph that is being differentiated, \
                         it waits for a lock that its own backward pass holds, and will not return: \
                         let it have that tensor as an input, or `inner()` of it."
                    );
                }
                Kind::Recording(Some(place)) => format!(", applied at {place},"),
                Kind::Recording(None) => String::new(),
            };
            format!(
                "burn-autograd: `{name}`{place} has been waiting for Burn's graph for {time:.1} s. \
                 Probably several threads compute with one tracked tensor, and one of them is in a \
                 backward pass: Burn's locks may make them wait for each other for ever. Let the \
                 threads compute with what `share` or `share_module` gives."
            )
        }
    }

    /// What a thread is in, the innermost last. The lock is the thread's own: only the patrol takes it
    /// as well.
    #[derive(Default)]
    struct Running(Mutex<Vec<Entry>>);

    impl Running {
        fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    static THREADS: Mutex<Vec<Weak<Running>>> = Mutex::new(Vec::new());
    static PATROL: OnceLock<Option<Thread>> = OnceLock::new();
    /// Whether the patrol sleeps until it is woken. Who enters something looks here after it has
    /// released the lock of its list; the patrol sets it before it looks at the lists a last time. So
    /// one of the two sees the other.
    static IDLE: AtomicBool = AtomicBool::new(false);

    thread_local! {
        static RUNNING: Arc<Running> = {
            let running = Arc::new(Running::default());
            threads().push(Arc::downgrade(&running));
            running
        };
    }

    fn threads() -> MutexGuard<'static, Vec<Weak<Running>>> {
        THREADS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This thread is in something as long as this lives.
    #[must_use]
    pub(crate) struct Watched(PhantomData<*const ()>);

    /// A backward body that runs on Burn's graph.
    pub(crate) fn backward(name: Cow<'static, str>) -> Watched {
        enter(name, Kind::Backward)
    }

    /// An operation that is recorded on Burn's graph. Nothing that may take long is in it but waiting.
    pub(crate) fn recording(
        name: Cow<'static, str>,
        place: Option<&'static Location<'static>>,
    ) -> Watched {
        enter(name, Kind::Recording(place))
    }

    fn enter(name: Cow<'static, str>, kind: Kind) -> Watched {
        let entry = Entry { name, kind, seen: None, reported: false };
        RUNNING.with(|running| running.entries().push(entry));
        let patrol = PATROL.get_or_init(|| {
            let thread = std::thread::Builder::new().name("burn-autograd watch".into());
            // Without threads nothing is reported.
            thread.spawn(patrol).ok().map(|patrol| patrol.thread().clone())
        });
        if IDLE.load(Ordering::Relaxed)
            && IDLE.swap(false, Ordering::Relaxed)
            && let Some(patrol) = patrol
        {
            patrol.unpark();
        }
        Watched(PhantomData)
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            let _ = RUNNING.try_with(|running| running.entries().pop());
        }
    }

    fn patrol() {
        loop {
            let limit = Duration::from_millis(super::LIMIT.load(Ordering::Relaxed));
            std::thread::sleep((limit / 4).clamp(Duration::from_millis(5), Duration::from_secs(1)));
            if report(limit) {
                continue;
            }
            IDLE.store(true, Ordering::Relaxed);
            if report(limit) {
                IDLE.store(false, Ordering::Relaxed);
                continue;
            }
            while IDLE.load(Ordering::Relaxed) {
                std::thread::park();
            }
        }
    }

    /// Reports what lasts for longer; whether there is anything that has not been reported.
    #[expect(clippy::print_stderr, reason = "the thread that would tell its caller hangs")]
    fn report(limit: Duration) -> bool {
        let now = Instant::now();
        let mut unreported = false;
        let mut late = Vec::new();
        threads().retain(|running| {
            let Some(running) = running.upgrade() else { return false };
            let mut entries = running.entries();
            for entry in entries.iter_mut() {
                entry.seen = entry.seen.or(Some(now));
            }
            // What hangs is the innermost. If a backward applies something that waits, it waits for
            // that backward's own pass.
            let hanging = entries
                .iter()
                .rposition(|entry| matches!(entry.kind, Kind::Backward))
                .or(entries.len().checked_sub(1));
            if let Some(index) = hanging {
                let entry = &mut entries[index];
                let time = entry.seen.map_or(Duration::ZERO, |seen| now.duration_since(seen));
                if !entry.reported && time >= limit {
                    entry.reported = true;
                    late.push(entry.report(time));
                }
            }
            unreported |= entries.iter().any(|entry| !entry.reported);
            true
        });
        for text in late {
            eprintln!("{text}");
        }
        unreported
    }
}

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod patrol {
    use std::borrow::Cow;
    use std::panic::Location;

    /// There is no clock: `Instant::now` panics.
    pub(crate) struct Watched;

    pub(crate) fn backward(_: Cow<'static, str>) -> Watched {
        Watched
    }

    pub(crate) fn recording(
        _: Cow<'static, str>,
        _: Option<&'static Location<'static>>,
    ) -> Watched {
        Watched
    }
}
