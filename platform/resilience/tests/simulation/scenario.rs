//! A scenario, which a seed decides: a server, a load, and a fault.

use std::time::Duration;

use fastrand::Rng;

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const OPEN_MAX: Duration = ms(2_000);

/// A fault of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It refuses connections, and closed the existing ones.
    Dead,
    /// It takes requests and never answers.
    Silent,
    /// Every answer takes so much longer.
    Slow(Duration),
    /// So many of a hundred answers are errors.
    Errors(u64),
    /// Dead and healthy in turns of that length.
    Flapping(Duration),
    /// Nothing is done until the fault ends.
    Stalled,
}

/// The server commits what has come in batches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    pub(crate) batch_max: u64,
    pub(crate) per_batch: Duration,
    pub(crate) per_item: Duration,
}

impl Server {
    pub(crate) fn batch(self, items: u64) -> Duration {
        self.per_batch + self.per_item * u32::try_from(items).unwrap()
    }

    /// The time per item when it is busy.
    pub(crate) fn pace(self) -> Duration {
        self.batch(self.batch_max) / u32::try_from(self.batch_max).unwrap()
    }
}

/// How calls are retried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    pub(crate) max: u32,
    pub(crate) within_budget: bool,
    pub(crate) attempt_timeout: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) server: Server,
    pub(crate) retries: Retries,
    /// The load between onset and end, in percent of what the server can serve.
    pub(crate) load_percent: u32,
    pub(crate) fault: Option<Fault>,
    /// How far the clock jumps between onset and end.
    pub(crate) jump: Duration,
    /// When the load spike or the fault begins.
    pub(crate) onset: Duration,
    /// When it ends.
    pub(crate) end: Duration,
    /// When the last request arrives.
    pub(crate) last: Duration,
}

/// The load before and after, in percent.
pub(crate) const NORMAL_PERCENT: u32 = 50;

impl Scenario {
    pub(crate) fn of(rng: &mut Rng) -> Self {
        let batch_max = choose(rng, &[1, 4, 16]);
        let per_item = ms(rng.u64(4..=10));
        let per_batch = ms(if batch_max == 1 { 1 } else { rng.u64(2..=20) });
        let mut scenario = Self {
            server: Server { batch_max, per_batch, per_item },
            retries: Retries { max: 1, within_budget: true, attempt_timeout: ms(3_000) },
            load_percent: NORMAL_PERCENT,
            fault: None,
            jump: Duration::ZERO,
            onset: ms(1_500),
            end: ms(1_500 + rng.u64(1_000..=5_000)),
            last: Duration::ZERO,
        };
        match rng.u64(0..=5) {
            0 => {
                scenario.load_percent = u32::try_from(rng.u64(100..=2_000)).unwrap();
                scenario.end = ms(1_500 + rng.u64(2_500..=3_500));
            }
            1 => scenario.fault = Some(Fault::Slow(ms(rng.u64(200..=5_000)))),
            2 => scenario.fault = Some(choose(rng, &[Fault::Dead, Fault::Silent, Fault::Stalled])),
            3 => {
                let turn = ms(rng.u64(50..=1_500));
                let errors = rng.u64(10..=100);
                scenario.fault = Some(choose(rng, &[Fault::Flapping(turn), Fault::Errors(errors)]));
            }
            4 => {
                scenario.jump = ms(choose(rng, &[100, 5_000, 60_000, 3_600_000_000]));
                scenario.fault = choose(rng, &[None, Some(Fault::Dead), Some(Fault::Silent)]);
            }
            _ => {
                scenario.fault =
                    Some(choose(rng, &[Fault::Stalled, Fault::Slow(ms(900)), Fault::Errors(60)]));
                scenario.load_percent = u32::try_from(rng.u64(60..=200)).unwrap();
                let within_budget = rng.bool();
                let max = if within_budget { 1 } else { 3 };
                let attempt_timeout = ms(rng.u64(300..=800));
                scenario.retries = Retries { max, within_budget, attempt_timeout };
            }
        }
        scenario.last = scenario.end + ms(3_000);
        if scenario.fault.is_some() {
            // The open time doubles: until the breaker has closed, and some time after.
            scenario.last += OPEN_MAX * 12 / 10 + ms(2_000);
        }
        scenario
    }

    /// The fault at that time.
    pub(crate) fn fault(&self, at: Duration) -> Option<Fault> {
        let since = at.checked_sub(self.onset)?;
        match self.fault {
            _ if at >= self.end => None,
            Some(Fault::Flapping(turn)) => {
                let healthy = (since.as_millis() / turn.as_millis()) % 2 == 1;
                (!healthy).then_some(Fault::Dead)
            }
            fault => fault,
        }
    }

    pub(crate) fn percent(&self, at: Duration) -> u32 {
        if (self.onset..self.end).contains(&at) { self.load_percent } else { NORMAL_PERCENT }
    }

    /// A higher load than normal, and no fault.
    pub(crate) const fn is_overload(&self) -> bool {
        self.fault.is_none() && self.load_percent > NORMAL_PERCENT
    }
}

fn choose<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    all[rng.usize(..all.len())]
}
