//! One contestant's turn: threads that call as often as they can.

use std::{
    hint::black_box,
    pin::pin,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use drill::Broken;
use rustix::{
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::{ClockId, clock_gettime},
};
use tokio::runtime::Handle;

/// Calls between two looks at whether the turn is over.
const CHUNK: u32 = 256;

/// Calls before a turn.
const WARM_UP: u32 = 4 * CHUNK;

/// A turn counts if the threads had this share of the processors: threads that take turns on one
/// do not get into each other's way.
const SHARE_MIN: f64 = 0.8;

/// After so many turns, the one with the largest share counts.
const TRIES_MAX: u32 = 5;

/// Makes so many calls, and says how many of them were let through. Made by the thread that uses
/// it.
pub(super) type Caller = Box<dyn FnMut(u32) -> u32>;

/// What happens to the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    LetThrough,
    Refused,
}

/// Something whose calls are measured.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    /// How it is called.
    pub(super) called: &'static str,
    /// What must happen to every call, or the figure would mean nothing.
    pub(super) fate: Fate,
    pub(super) caller: Box<dyn Fn() -> Caller + Send + Sync>,
}

/// Nanoseconds for each call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// Of the threads' processor time.
    pub(super) processor: f64,
    /// Of elapsed time, times the processors that the threads could use.
    pub(super) elapsed: f64,
}

impl Cost {
    /// Of the processors that the threads could use.
    fn share(self) -> f64 {
        self.processor / self.elapsed
    }
}

/// What one thread did.
struct Share {
    calls: f64,
    as_expected: bool,
    processor: Duration,
}

impl Contestant {
    /// Calls from so many threads for that long.
    pub(super) fn turn(
        &self,
        threads: u32,
        lasting: Duration,
        runtime: &Handle,
    ) -> Result<Cost, Broken> {
        let mut best = self.attempt(threads, lasting, runtime)?;
        for _ in 1..TRIES_MAX {
            if threads == 1 || best.share() >= SHARE_MIN {
                break;
            }
            let cost = self.attempt(threads, lasting, runtime)?;
            if cost.share() > best.share() {
                best = cost;
            }
        }
        Ok(best)
    }

    fn attempt(&self, threads: u32, lasting: Duration, runtime: &Handle) -> Result<Cost, Broken> {
        let allowed = sched_getaffinity(None)?;
        let allowed: Vec<usize> =
            (0..CpuSet::MAX_CPU).filter(|&processor| allowed.is_set(processor)).collect();
        let start = Barrier::new(usize::try_from(threads)? + 1);
        let over = AtomicBool::new(false);
        let (shares, elapsed) = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads)
                .zip(allowed.iter().cycle())
                .map(|(_, &processor)| {
                    let (start, over) = (&start, &over);
                    scope.spawn(move || self.call(processor, (start, over), runtime))
                })
                .collect();
            start.wait();
            let began = Instant::now();
            thread::sleep(lasting);
            over.store(true, Ordering::Relaxed);
            let shares: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
            (shares, began.elapsed())
        });
        let shares: Vec<Share> =
            shares.into_iter().collect::<Result<_, _>>().map_err(|_| "a caller panicked")?;
        if !shares.iter().all(|share| share.as_expected) {
            return Err(format!("{}: not every call was {:?}", self.name, self.fate).into());
        }
        let calls: f64 = shares.iter().map(|share| share.calls).sum();
        let processor: Duration = shares.iter().map(|share| share.processor).sum();
        let processors = u32::try_from(allowed.len())?.min(threads);
        let nanos = |time: Duration| time.as_secs_f64() * 1e9 / calls;
        Ok(Cost { processor: nanos(processor), elapsed: nanos(elapsed * processors) })
    }

    fn call(
        &self,
        processor: usize,
        (start, over): (&Barrier, &AtomicBool),
        runtime: &Handle,
    ) -> Share {
        let mut only = CpuSet::new();
        only.set(processor);
        // Where it may not be pinned, the share of the processors tells.
        let _ = sched_setaffinity(None, &only);
        let _entered = runtime.enter();
        let mut caller = (self.caller)();
        let expected = if self.fate == Fate::LetThrough { CHUNK } else { 0 };
        for _ in 0..WARM_UP / CHUNK {
            caller(CHUNK);
        }
        start.wait();
        let began = processor_time();
        let (mut chunks, mut as_expected) = (0, true);
        while !over.load(Ordering::Relaxed) {
            as_expected &= caller(CHUNK) == expected;
            chunks += 1;
        }
        let processor = processor_time().saturating_sub(began);
        Share { calls: f64::from(chunks) * f64::from(CHUNK), as_expected, processor }
    }
}

/// What this thread has used so far.
fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    let part = |number| u64::try_from(number).unwrap_or(0);
    Duration::from_secs(part(used.tv_sec)) + Duration::from_nanos(part(used.tv_nsec))
}

/// Calls one after the other; `call` says whether it was let through.
pub(super) fn one_by_one(mut call: impl FnMut(u32) -> bool + 'static) -> Caller {
    Box::new(move |calls| (0..calls).map(|number| u32::from(call(black_box(number)))).sum())
}

/// What is protected: an answer that is there at once, and that the compiler does not see through.
pub(super) fn work(number: u32) -> Result<u32, u32> {
    black_box(Ok(number))
}

/// What opens a circuit.
pub(super) fn failure() -> Result<u32, u32> {
    black_box(Err(0))
}

/// The answer of a future, without a runtime. One that has to wait for another thread lets this one
/// sleep until it is woken.
pub(super) fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return answer;
    }
    let waker = Waker::from(Arc::new(Sleeper(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return answer;
        }
        thread::park();
    }
}

/// A thread that waits.
struct Sleeper(Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
