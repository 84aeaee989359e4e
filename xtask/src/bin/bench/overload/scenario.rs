//! Half of what can be done, then several times as much, then half again.

use std::time::Duration;

use drill::{Broken, Measured, Open, Schedule};

use super::Contestant;
use crate::{machine, server::Server};

/// What is offered before and after: this share of what can be done.
const CALM_SHARE: f64 = 0.5;

/// How long it is calm before and after, in seconds.
const BEFORE: u64 = 3;
const AFTER: u64 = 6;

/// How long a citizen waits; an answer that comes later is of no use, and soon nobody is there.
const USEFUL_WITHIN: Duration = Duration::from_secs(3);
const ANSWERED_WITHIN: Duration = Duration::from_millis(3_200);

/// How often memory is read.
const MEMORY_EVERY: Duration = Duration::from_millis(250);

/// When the load rises and falls, in seconds.
#[derive(Clone, Copy)]
pub(super) struct Phases {
    pub(super) rise: u64,
    pub(super) fall: u64,
    pub(super) end: u64,
}

impl Phases {
    pub(super) fn around(overload_seconds: u64) -> Self {
        let fall = BEFORE + overload_seconds;
        Self { rise: BEFORE, fall, end: fall + AFTER }
    }
}

/// One contestant, offered so many times what it can do.
pub(super) struct Scenario {
    pub(super) contestant: Contestant,
    pub(super) factor: u32,
    /// Bookings per second that it can do.
    pub(super) peak: f64,
    pub(super) phases: Phases,
}

/// What came of it.
pub(super) struct Trial {
    pub(super) scenario: Scenario,
    pub(super) measured: Measured,
    pub(super) memory: Memory,
}

/// Resident memory of the front, in MiB.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) before: f64,
    pub(super) highest: f64,
    pub(super) after: f64,
}

impl Scenario {
    pub(super) async fn run(self, front: &Server, vaccine: i64) -> Result<Trial, Broken> {
        let load = Open {
            answered_within: ANSWERED_WITHIN,
            useful_within: USEFUL_WITHIN,
            ..Open::new(self.schedule(), drill::book(vaccine))
        };
        let before = front.memory_mib()?;
        let running = load.run(&front.entry);
        let (measured, highest) =
            machine::highest_while(running, MEMORY_EVERY, || front.memory_mib()).await?;
        let after = front.memory_mib()?;
        Ok(Trial { scenario: self, measured, memory: Memory { before, highest, after } })
    }

    fn schedule(&self) -> Schedule {
        let Phases { rise, fall, end } = self.phases;
        let calm = self.peak * CALM_SHARE;
        let seconds = Duration::from_secs;
        Schedule::constant(calm, seconds(rise))
            .then(Schedule::constant(self.peak * f64::from(self.factor), seconds(fall - rise)))
            .then(Schedule::constant(calm, seconds(end - fall)))
    }
}

impl Trial {
    /// How long after the load fell requests were still turned away, by intended start; none if
    /// they still were in the last second.
    pub(super) fn accepted_again_after(&self) -> Option<Duration> {
        let Phases { fall, end, .. } = self.scenario.phases;
        let last = self.span(fall, end).last_turned_away.unwrap_or_default();
        let [fall, end] = [fall, end].map(Duration::from_secs);
        (last < end.saturating_sub(Duration::from_secs(1))).then(|| last.saturating_sub(fall))
    }

    /// The seconds of the overload.
    pub(super) fn overload(&self) -> drill::Span {
        self.span(self.scenario.phases.rise, self.scenario.phases.fall)
    }

    fn span(&self, from: u64, to: u64) -> drill::Span {
        let [from, to] = [from, to].map(|second| usize::try_from(second).unwrap_or(usize::MAX));
        self.measured.during(from..to)
    }
}
