//! Reports backward bodies that do not come back: Burn holds its graph's lock while they run, so that
//! one that computes with the graph waits for ever.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) use patrol::watch;

/// How long a hook, or the backward of a [`Function`](crate::Function), may run on Burn's graph before
/// it is reported on standard error; 30 seconds if not set.
///
/// The report does not end it, for it may only be slow. Without threads and clocks (WebAssembly in a
/// browser) nothing is reported.
pub fn hook_time_limit(limit: Duration) {
    LIMIT.store(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// In milliseconds.
static LIMIT: AtomicU64 = AtomicU64::new(30_000);

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod patrol {
    use std::borrow::Cow;
    use std::marker::PhantomData;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
    use std::thread::Thread;
    use std::time::{Duration, Instant};

    struct Body {
        name: Cow<'static, str>,
        start: Instant,
        reported: bool,
    }

    /// The bodies that a thread runs, the innermost last. The lock is the thread's own: only the patrol
    /// takes it as well.
    #[derive(Default)]
    struct Running(Mutex<Vec<Body>>);

    impl Running {
        fn bodies(&self) -> MutexGuard<'_, Vec<Body>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    static THREADS: Mutex<Vec<Weak<Running>>> = Mutex::new(Vec::new());
    static PATROL: OnceLock<Option<Thread>> = OnceLock::new();
    /// Whether the patrol sleeps until it is woken. Who enters a body looks here after it has released
    /// the lock of its list; the patrol sets it before it looks at the lists a last time. So one of the
    /// two sees the other.
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

    /// A body that runs as long as this lives, on this thread.
    #[must_use]
    pub(crate) struct Watched(PhantomData<*const ()>);

    pub(crate) fn watch(name: Cow<'static, str>) -> Watched {
        let body = Body { name, start: Instant::now(), reported: false };
        RUNNING.with(|running| running.bodies().push(body));
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
            let _ = RUNNING.try_with(|running| running.bodies().pop());
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

    /// Reports what runs for longer; whether anything runs that has not been reported.
    #[expect(clippy::print_stderr, reason = "the thread that would tell its caller hangs")]
    fn report(limit: Duration) -> bool {
        let mut unreported = false;
        let mut late = Vec::new();
        threads().retain(|running| {
            let Some(running) = running.upgrade() else { return false };
            let mut bodies = running.bodies();
            // A body that hangs is the innermost one.
            if let Some(body) = bodies.last_mut()
                && !body.reported
                && body.start.elapsed() >= limit
            {
                body.reported = true;
                late.push((body.name.clone(), body.start.elapsed()));
            }
            unreported |= bodies.iter().any(|body| !body.reported);
            true
        });
        for (name, time) in late {
            eprintln!(
                "burn-autograd: the backward of `{name}` has been running for {:.1} s. If it computes \
                 with a tracked tensor of the graph that is being differentiated, it waits for a lock \
                 that its own backward pass holds, and will not return: let it have that tensor as an \
                 input, or `inner()` of it.",
                time.as_secs_f64()
            );
        }
        unreported
    }
}

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod patrol {
    use std::borrow::Cow;

    /// There is no clock: `Instant::now` panics.
    pub(crate) struct Watched;

    pub(crate) fn watch(_: Cow<'static, str>) -> Watched {
        Watched
    }
}
