//! What the users of a load saw, answer by answer, and what follows from it.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::{
    client::{Error, reply::Reply},
    load::summary::{Outcome, latencies, micros},
};

mod charts;

/// An answer within this time was not waited for: somebody knew it before.
const AT_ONCE: Duration = Duration::from_millis(100);

/// So many refusals in a row that came at once say that the breaker is open.
const OPEN_ROW: usize = 20;

/// The rate is back when it holds for so long, looked at in steps.
const HOLDS: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(50);

/// How a request ended, and when, after the beginning of the load.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// When.
    pub at: Duration,
    /// How long it took; nothing where there was no answer.
    pub took: Duration,
    /// How.
    pub outcome: Outcome,
}

impl Answer {
    fn is_refusal(&self) -> bool {
        matches!(self.outcome, Outcome::Status(503) | Outcome::PromisedLater(503))
    }
}

/// Collects answers while a load runs. Clones collect together.
#[derive(Clone, Debug)]
pub struct Answers {
    began: Instant,
    kept: Arc<Mutex<Vec<Answer>>>,
}

impl Answers {
    /// From now on.
    pub fn begin() -> Self {
        Self { began: Instant::now(), kept: Arc::default() }
    }

    /// How long ago that was.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Notes how a request ended; for [`crate::Load::run_observed`].
    pub fn note(&self, ended: Result<&Reply, &Error>) {
        let at = self.began.elapsed();
        let answer = match ended {
            Ok(reply) => Answer { at, took: reply.took, outcome: Outcome::of(reply) },
            Err(_) => Answer { at, took: Duration::ZERO, outcome: Outcome::Socket },
        };
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
    }

    /// Everything noted so far.
    pub fn seen(&self) -> Seen {
        let answers =
            std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        Seen { answers }
    }
}

/// What was seen, in the order of time.
#[derive(Debug, Default)]
pub struct Seen {
    answers: Vec<Answer>,
}

impl Seen {
    /// Every answer.
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// How many requests ended in one of these ways.
    pub fn count(&self, counts: impl Fn(Outcome) -> bool) -> u64 {
        let found = self.answers.iter().filter(|answer| counts(answer.outcome)).count();
        u64::try_from(found).unwrap_or(u64::MAX)
    }

    /// The longest that anybody waited for one answer.
    pub fn longest(&self) -> Duration {
        self.answers.iter().map(|answer| answer.took).max().unwrap_or_default()
    }

    /// How long after the trouble began people were told at once; none if they never were.
    pub fn opened_after(&self, trouble: &Range<Duration>) -> Option<Duration> {
        let mut row = 0;
        for answer in self.between(trouble.start, trouble.end) {
            row = if answer.is_refusal() && answer.took <= AT_ONCE { row + 1 } else { 0 };
            if row == OPEN_ROW {
                return Some(answer.at.saturating_sub(trouble.start));
            }
        }
        None
    }

    /// Of those who asked after it had opened.
    pub fn p99_of_refusals(&self, trouble: &Range<Duration>) -> Option<Duration> {
        let open = trouble.start + self.opened_after(trouble)?;
        let refused = self
            .between(open, trouble.end)
            .filter(|answer| answer.is_refusal() && answer.at.saturating_sub(answer.took) >= open);
        let mut took: Vec<_> = refused.map(|answer| answer.took).collect();
        took.sort_unstable();
        took.get(took.len() * 99 / 100).copied()
    }

    /// How long after `end` there were `enough` bookings per second again; none if not before
    /// `until`.
    pub fn back_after(&self, end: Duration, enough: f64, until: Duration) -> Option<Duration> {
        let last = self.answers.last()?.at.min(until).saturating_sub(HOLDS);
        let mut since = end;
        while since <= last {
            if self.rate(since..since + HOLDS) >= enough {
                return Some(since.saturating_sub(end));
            }
            since += STEP;
        }
        None
    }

    /// Bookings per second.
    pub fn rate(&self, span: Range<Duration>) -> f64 {
        let booked = self
            .between(span.start, span.end)
            .filter(|answer| answer.outcome == Outcome::Status(201))
            .count();
        let booked = u32::try_from(booked).unwrap_or(u32::MAX);
        f64::from(booked) / span.end.saturating_sub(span.start).as_secs_f64()
    }

    /// Of everything that was answered.
    pub fn latencies(&self) -> Histogram<u64> {
        let mut latency = latencies();
        for answer in self.answers.iter().filter(|answer| answer.outcome != Outcome::Socket) {
            latency.saturating_record(micros(answer.took));
        }
        latency
    }

    /// Noted as they came, so that they are in order.
    fn between(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Answer> {
        let first = self.answers.partition_point(|answer| answer.at < from);
        self.answers[first..].iter().take_while(move |answer| answer.at < to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LATER: Outcome = Outcome::PromisedLater(503);

    /// An answer every 10 ms of a span: how it ended, and how long it took.
    fn every_10_ms(seconds: Range<u64>, outcome: Outcome, took_ms: u64) -> Vec<Answer> {
        let took = Duration::from_millis(took_ms);
        let times = (seconds.start * 1_000..seconds.end * 1_000).step_by(10);
        times.map(|ms| Answer { at: Duration::from_millis(ms), took, outcome }).collect()
    }

    /// Well for 2 s, refused slowly for 1 s and promptly for 2 s, well again after 1 s more.
    fn outage() -> Seen {
        let booked = Outcome::Status(201);
        let parts = [
            every_10_ms(0..2, booked, 5),
            every_10_ms(2..3, LATER, 900),
            every_10_ms(3..6, LATER, 1),
            every_10_ms(6..9, booked, 5),
        ];
        Seen { answers: parts.concat() }
    }

    #[test]
    fn a_breaker_is_open_once_refusals_come_at_once() {
        let trouble = 2 * SECOND..5 * SECOND;
        let opened = outage().opened_after(&trouble).expect("it opens");
        assert_eq!(opened, Duration::from_millis(1_190), "after 20 in a row");
        assert_eq!(outage().p99_of_refusals(&trouble), Some(Duration::from_millis(1)));
        assert_eq!(outage().opened_after(&(2 * SECOND..3 * SECOND)), None);
    }

    #[test]
    fn the_rate_is_back_when_it_holds() {
        let seen = outage();
        assert!((seen.rate(Duration::ZERO..2 * SECOND) - 100.0).abs() < 1e-9);
        assert_eq!(seen.back_after(5 * SECOND, 95.0, 9 * SECOND), Some(SECOND));
        assert_eq!(seen.back_after(5 * SECOND, 95.0, 6 * SECOND), None);
        assert_eq!(seen.back_after(5 * SECOND, 200.0, 9 * SECOND), None);
    }

    #[test]
    fn what_was_not_answered_has_no_latency() {
        let mut seen = outage();
        let outcome = Outcome::Socket;
        seen.answers.push(Answer { at: 9 * SECOND, took: Duration::ZERO, outcome });
        assert_eq!(
            (seen.count(|outcome| outcome == Outcome::Socket), seen.answers.len()),
            (1, 901)
        );
        assert_eq!(seen.latencies().len(), 900);
        assert_eq!(seen.longest(), Duration::from_millis(900));
    }
}
