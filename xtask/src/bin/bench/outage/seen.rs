//! What users saw, and what follows from it.

use std::time::Duration;

use drill::{Outcome, Reply, Summary};

/// An answer within this time was not waited for: somebody knew it before.
const AT_ONCE: Duration = Duration::from_millis(100);

/// So many refusals in a row that came at once say that the breaker is open.
const OPEN_ROW: usize = 20;

/// The rate is back when it holds for so long, looked at in steps.
const HOLDS: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(50);

/// What part of the earlier rate counts as back.
const BACK_SHARE: f64 = 0.95;

/// The first moments of a load, which are not like the rest.
const WARM_UP: Duration = Duration::from_secs(1);

/// An answer, and when it came after the beginning of the load.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) at: Duration,
    pub(super) took: Duration,
    pub(super) outcome: Outcome,
}

impl Answer {
    pub(super) fn of(reply: &Reply, at: Duration) -> Self {
        Self { at, took: reply.took, outcome: Outcome::of(reply) }
    }

    fn is_refusal(&self) -> bool {
        matches!(self.outcome, Outcome::Status(503) | Outcome::PromisedLater(503))
    }
}

/// A load with trouble in the middle of it.
pub(super) struct Seen {
    /// In the order they came.
    pub(super) answers: Vec<Answer>,
    pub(super) summary: Summary,
    /// When vaccine was in trouble.
    pub(super) from: Duration,
    pub(super) to: Duration,
}

impl Seen {
    /// Booked, promised later, answered in another way, not answered.
    pub(super) fn counts(&self) -> [u64; 4] {
        let booked = self.summary.count(201);
        let promised = self.summary.promised_later();
        let unanswered = self.summary.count(Outcome::Socket);
        [booked, promised, self.summary.sent - booked - promised - unanswered, unanswered]
    }

    pub(super) fn longest(&self) -> Duration {
        self.answers.iter().map(|answer| answer.took).max().unwrap_or_default()
    }

    /// How long after the trouble began people were told at once; none if they never were.
    pub(super) fn opened_after(&self) -> Option<Duration> {
        let mut row = 0;
        for answer in self.between(self.from, self.to) {
            row = if answer.is_refusal() && answer.took <= AT_ONCE { row + 1 } else { 0 };
            if row == OPEN_ROW {
                return Some(answer.at.saturating_sub(self.from));
            }
        }
        None
    }

    /// Of those who asked after it had opened.
    pub(super) fn p99_of_refusals(&self) -> Option<Duration> {
        let open = self.from + self.opened_after()?;
        let refused = self
            .between(open, self.to)
            .filter(|answer| answer.is_refusal() && answer.at.saturating_sub(answer.took) >= open);
        let mut took: Vec<_> = refused.map(|answer| answer.took).collect();
        took.sort_unstable();
        took.get(took.len() * 99 / 100).copied()
    }

    /// Bookings per second.
    pub(super) fn rate_before(&self) -> f64 {
        self.rate(WARM_UP, self.from)
    }

    /// How long after the end of the trouble bookings were made as before.
    pub(super) fn back_after(&self) -> Option<Duration> {
        let enough = self.rate_before() * BACK_SHARE;
        let last = self.answers.last()?.at.saturating_sub(HOLDS);
        let mut since = self.to;
        while since <= last {
            if self.rate(since, since + HOLDS) >= enough {
                return Some(since.saturating_sub(self.to));
            }
            since += STEP;
        }
        None
    }

    fn rate(&self, from: Duration, to: Duration) -> f64 {
        let booked =
            self.between(from, to).filter(|answer| answer.outcome == Outcome::Status(201)).count();
        let booked = u32::try_from(booked).unwrap_or(u32::MAX);
        f64::from(booked) / to.saturating_sub(from).as_secs_f64()
    }

    fn between(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Answer> {
        self.answers.iter().filter(move |answer| (from..to).contains(&answer.at))
    }
}
