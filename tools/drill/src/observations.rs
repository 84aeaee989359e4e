//! How each request of a load ended, and what follows from that: when a breaker opened, when the rate
//! recovered.

use std::{ops::Range, sync::Arc, time::Duration};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    load::summary::{Outcome, latencies},
    response::{RESPONSE_TIMEOUT, RequestError, Response},
};

mod charts;

/// A refusal within this time did not wait for the upstream.
const IMMEDIATE: Duration = Duration::from_millis(100);

/// So many immediate refusals in a row mean that the breaker is open.
const OPEN_ROW: usize = 20;

/// The rate has recovered when it holds for so long, in windows that begin a step apart.
const HOLDS: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(50);

/// How long a connection takes at least if its first SYN got no answer: the kernel sends it again then
/// (RFC 6298).
const SYN_TIMEOUT: Duration = Duration::from_secs(1);

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Since the beginning of the load.
    pub ended_at: Duration,
    /// Zero where there was no response.
    pub took: Duration,
    /// The part of it until the connection was made; the time limit if none was made within that.
    pub connecting: Duration,
    /// Of the request.
    pub outcome: Outcome,
}

impl Outcome {
    /// Whether it is a 503, with or without `Retry-After`.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Status(503) | Self::RetryLater(503))
    }
}

/// Collects observations while a load runs. Clones share them.
#[derive(Clone, Debug)]
pub struct Recorder {
    began: Instant,
    recorded: Arc<Mutex<Vec<Observation>>>,
}

impl Recorder {
    /// The beginning of the load is now.
    pub fn start() -> Self {
        Self { began: Instant::now(), recorded: Arc::default() }
    }

    /// Since the beginning of the load.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// For [`crate::Load::run_observed`].
    pub fn record(&self, ended: Result<&Response, &RequestError>) {
        let (took, connecting, outcome) = match ended {
            Ok(response) => (response.took, response.connecting, Outcome::of(response)),
            Err(error) if error.is_connect_timeout() => {
                (Duration::ZERO, RESPONSE_TIMEOUT, Outcome::Socket)
            }
            Err(_) => (Duration::ZERO, Duration::ZERO, Outcome::Socket),
        };
        let ended_at = self.began.elapsed();
        self.recorded.lock().push(Observation { ended_at, took, connecting, outcome });
    }

    /// Takes everything recorded so far.
    pub fn take(&self) -> Observations {
        Observations(std::mem::take(&mut self.recorded.lock()))
    }
}

/// How many requests had no answer to their first SYN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LostSyns {
    /// They were connected later.
    pub(crate) connected: u64,
    /// They were not connected within the time limit.
    pub(crate) timed_out: u64,
}

/// In the order of their ends.
#[derive(Debug, Default)]
pub struct Observations(Vec<Observation>);

impl Observations {
    /// Every observation.
    pub fn all(&self) -> &[Observation] {
        &self.0
    }

    /// How many requests ended in one of these ways.
    pub fn count(&self, counts: impl Fn(Outcome) -> bool) -> u64 {
        let found = self.0.iter().filter(|it| counts(it.outcome)).count();
        u64::try_from(found).unwrap_or(u64::MAX)
    }

    /// How many requests had no answer to their first SYN.
    pub(crate) fn lost_syns(&self) -> LostSyns {
        let mut lost = LostSyns::default();
        for it in self.0.iter().filter(|it| it.connecting >= SYN_TIMEOUT) {
            match it.outcome {
                Outcome::Socket => lost.timed_out += 1,
                _ => lost.connected += 1,
            }
        }
        lost
    }

    /// What the system did once the network had connected a request to it: response times count from then, and
    /// requests that were never connected are left out.
    #[must_use]
    pub(crate) fn once_connected(&self) -> Self {
        let was_connected =
            |it: &&Observation| it.outcome != Outcome::Socket || it.connecting.is_zero();
        let connected = self.0.iter().filter(was_connected).map(|it| Observation {
            took: it.took.saturating_sub(it.connecting),
            connecting: Duration::ZERO,
            ..*it
        });
        Self(connected.collect())
    }

    /// The longest response time.
    pub fn longest(&self) -> Duration {
        self.0.iter().map(|it| it.took).max().unwrap_or_default()
    }

    /// How long after the beginning of an outage refusals were immediate; none if they never were.
    pub fn opened_after(&self, outage: &Range<Duration>) -> Option<Duration> {
        let mut row = 0;
        for it in self.between(outage.start, outage.end) {
            row = if it.outcome.is_refusal() && it.took <= IMMEDIATE { row + 1 } else { 0 };
            if row == OPEN_ROW {
                return Some(it.ended_at.saturating_sub(outage.start));
            }
        }
        None
    }

    /// Of refusals whose requests started once they were immediate.
    pub fn p99_of_refusals(&self, outage: &Range<Duration>) -> Option<Duration> {
        let open = outage.start + self.opened_after(outage)?;
        self.percentile(99, &(open..outage.end), Outcome::is_refusal)
    }

    /// When the last booking within a span was made.
    pub(crate) fn last_booked(&self, span: &Range<Duration>) -> Option<Duration> {
        let booked = self.between(span.start, span.end);
        booked.filter(|it| it.outcome == Outcome::Status(201)).map(|it| it.ended_at).max()
    }

    /// A percentile of the response times of requests that started and ended within a span, and ended in one of
    /// these ways.
    pub fn percentile(
        &self,
        percent: usize,
        span: &Range<Duration>,
        counts: impl Fn(Outcome) -> bool,
    ) -> Option<Duration> {
        let counted = self
            .between(span.start, span.end)
            .filter(|it| counts(it.outcome) && it.ended_at.saturating_sub(it.took) >= span.start);
        let mut took: Vec<_> = counted.map(|it| it.took).collect();
        took.sort_unstable();
        let longest = took.len().saturating_sub(1);
        took.get((took.len() * percent / 100).min(longest)).copied()
    }

    /// How long after `end` there were `enough` bookings per second again; none if not before
    /// `until`.
    pub fn recovered_after(&self, end: Duration, enough: f64, until: Duration) -> Option<Duration> {
        let last = self.0.last()?.ended_at.min(until).saturating_sub(HOLDS);
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
            .filter(|it| it.outcome == Outcome::Status(201))
            .count();
        let booked = u32::try_from(booked).unwrap_or(u32::MAX);
        f64::from(booked) / span.end.saturating_sub(span.start).as_secs_f64()
    }

    /// Of all responses within a part of the observations.
    pub(crate) fn latencies(observations: &[Observation]) -> Histogram<u64> {
        let responses = observations.iter().filter(|it| it.outcome != Outcome::Socket);
        latencies(responses.map(|it| it.took))
    }

    /// Recorded in order.
    fn between(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Observation> {
        let first = self.0.partition_point(|it| it.ended_at < from);
        self.0[first..].iter().take_while(move |it| it.ended_at < to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LATER: Outcome = Outcome::RetryLater(503);

    /// An observation every 10 ms of a span.
    fn every_10_ms(seconds: Range<u64>, outcome: Outcome, took_ms: u64) -> Vec<Observation> {
        let took = Duration::from_millis(took_ms);
        let times = (seconds.start * 1_000..seconds.end * 1_000).step_by(10);
        let connecting = Duration::ZERO;
        let ended_at = times.map(Duration::from_millis);
        ended_at.map(|ended_at| Observation { ended_at, took, connecting, outcome }).collect()
    }

    /// Available for 2 s, refused slowly for 1 s and immediately for 3 s, then available again.
    fn outage() -> Observations {
        let booked = Outcome::Status(201);
        let spans = [
            every_10_ms(0..2, booked, 5),
            every_10_ms(2..3, LATER, 900),
            every_10_ms(3..6, LATER, 1),
            every_10_ms(6..9, booked, 5),
        ];
        Observations(spans.concat())
    }

    #[test]
    fn a_breaker_is_open_once_refusals_are_immediate() {
        let outage_span = 2 * SECOND..5 * SECOND;
        let opened = outage().opened_after(&outage_span).expect("it opens");
        assert_eq!(opened, Duration::from_millis(1_190), "after 20 in a row");
        assert_eq!(outage().p99_of_refusals(&outage_span), Some(Duration::from_millis(1)));
        assert_eq!(outage().opened_after(&(2 * SECOND..3 * SECOND)), None);
    }

    #[test]
    fn the_rate_has_recovered_when_it_holds() {
        let observations = outage();
        assert!((observations.rate(Duration::ZERO..2 * SECOND) - 100.0).abs() < 1e-9);
        assert_eq!(observations.recovered_after(5 * SECOND, 95.0, 9 * SECOND), Some(SECOND));
        assert_eq!(observations.recovered_after(5 * SECOND, 95.0, 6 * SECOND), None);
        assert_eq!(observations.recovered_after(5 * SECOND, 200.0, 9 * SECOND), None);
    }

    #[test]
    fn a_request_without_a_response_has_no_latency() {
        let mut observations = outage();
        observations.0.push(Observation {
            ended_at: 9 * SECOND,
            took: Duration::ZERO,
            connecting: Duration::ZERO,
            outcome: Outcome::Socket,
        });
        assert_eq!(
            (observations.count(|outcome| outcome == Outcome::Socket), observations.0.len()),
            (1, 901)
        );
        assert_eq!(Observations::latencies(observations.all()).len(), 900);
        assert_eq!(observations.longest(), Duration::from_millis(900));
    }

    #[test]
    fn what_the_network_lost_is_not_counted_against_the_system() {
        let recorder = Recorder::start();
        let answered = |connecting: Duration| Response {
            status: 201,
            took: connecting + Duration::from_millis(5),
            connecting,
            ..Response::default()
        };
        let target = crate::target::Target::parse("http://127.0.0.1:1").expect("loopback");
        let source = std::io::ErrorKind::TimedOut.into();
        recorder.record(Ok(&answered(Duration::from_millis(1))));
        recorder.record(Ok(&answered(3 * SECOND)));
        recorder.record(Err(&RequestError::Connect { target, source }));
        recorder.record(Err(&RequestError::Closed));
        let observations = recorder.take();
        assert_eq!(observations.lost_syns(), LostSyns { connected: 1, timed_out: 1 });
        let of_the_system = observations.once_connected();
        assert_eq!(of_the_system.longest(), Duration::from_millis(5));
        assert_eq!(of_the_system.count(|outcome| outcome == Outcome::Socket), 1, "the closed one");
        assert_eq!(of_the_system.all().len(), 3);
    }
}
