//! The queue: requests that wait until `vaccine` answers for them, instead of being refused.
//!
//! A ticket is committed before its client gets it, so it survives every crash. One task serves the queue
//! from its head: it requests the doses of the tickets that have waited longest, in one request and in
//! their order, and writes what came of all of them in one commit, in the same order. It continues when that
//! is committed, and otherwise repeats the same request, which is safe. So for each vaccine the tickets that
//! arrived first get the doses.
//!
//! Several processes may serve the same queue. Each serves its head, so a ticket is served only with those
//! before it; the process that commits second finds the tickets ended.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use contracts::{ids::ReservationId, vaccine::HoldOutcome};
use platform_rest::client::{CallError, CircuitState};
use platform_store::Subscription;
use platform_telemetry::clock;
use tokio::{select, time::sleep};
use tracing::warn;

use crate::{
    domain::tickets::{QueuedTicket, ServeReply, ServeTicket},
    holds::{Backlog, HoldClient, PROBE_MAX},
    protocol::{ATTEMPTS_MAX, BookingProtocol, reservation_id},
};

/// How long `vaccine` may take to answer for the head of the queue.
const HOLD_TIMEOUT: Duration = Duration::from_secs(2);

/// How long its answer may wait for the commit.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause after an incomplete round, times their number in a row, and its limit.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// After so many incomplete rounds in a row, others may request doses in the pauses: what keeps these tickets
/// from being served may concern only them.
const STALLED_AFTER: u32 = 4;

/// How often an empty queue is read without a notification: another process may have added tickets.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Serves the queue until the service stops. Tickets that are left wait for the next start.
pub fn start(protocol: &Arc<BookingProtocol>, holds: Arc<HoldClient>) {
    // Until it is read: there may be tickets from before the start.
    holds.set_backlog(Backlog::Waiting);
    let enqueued = protocol.enqueued.subscribe();
    let worker = QueueWorker { protocol: Arc::clone(protocol), holds, enqueued };
    protocol.runtime.spawn(worker.run());
}

struct QueueWorker {
    protocol: Arc<BookingProtocol>,
    holds: Arc<HoldClient>,
    enqueued: Subscription,
}

/// What a round has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// No ticket waits.
    Empty,
    /// Every ticket of the round has changed.
    Complete,
    /// Some have not, and repeating the request at once would not help. Another process may be serving the
    /// same tickets.
    Incomplete,
    /// Nothing: `vaccine` is not called for so long, or nothing can be written. The next round is the probe.
    NotCalled(Duration),
}

impl QueueWorker {
    async fn run(mut self) {
        let mut incomplete = 0;
        let runtime = self.protocol.runtime.clone();
        loop {
            self.enqueued.mark_seen();
            let round = self.round().await;
            match round {
                Round::Complete | Round::Empty => incomplete = 0,
                Round::Incomplete => incomplete += 1,
                Round::NotCalled(_) => self.holds.set_backlog(Backlog::Waiting),
            }
            if incomplete >= STALLED_AFTER {
                self.holds.set_backlog(Backlog::Stalled);
            }
            let wait = async {
                match round {
                    Round::Complete => {}
                    Round::Incomplete => sleep(PAUSE.1.min(PAUSE.0 * incomplete)).await,
                    Round::NotCalled(retry_after) => sleep(retry_after).await,
                    Round::Empty => select! {
                        () = self.enqueued.changed() => {}
                        () = sleep(POLL_INTERVAL) => {}
                    },
                }
            };
            select! {
                biased;
                () = runtime.stop.cancelled() => return self.holds.set_backlog(Backlog::Ended),
                () = wait => {}
            }
        }
    }

    /// Requests doses for the head of the queue, and writes what came of it.
    async fn round(&self) -> Round {
        let turn = self.holds.ticket_turn().await;
        let limit = match self.holds.circuit_state() {
            _ if !self.protocol.commands.health().can_write() => return Round::NotCalled(PAUSE.0),
            CircuitState::Open { retry_after } => return Round::NotCalled(retry_after),
            CircuitState::HalfOpen => PROBE_MAX,
            CircuitState::Closed => self.holds.limit(),
        };
        // The errors are logged where they occur.
        let Ok(tickets) = self.protocol.queries.queue_head(limit).await else {
            return Round::Incomplete;
        };
        let is_all = tickets.len() < limit;
        let outcomes = if tickets.is_empty() { Ok(Vec::new()) } else { self.hold(&tickets).await };
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            // It recovers, and is called more often every moment.
            Err(CallError::CircuitOpen { retry_after }) => {
                return Round::NotCalled(retry_after.min(PAUSE.0));
            }
            Err(_) => return Round::Incomplete,
        };
        // While they wait for their commit, others may request doses, unless more tickets wait.
        self.holds.set_backlog(if is_all { Backlog::Empty } else { Backlog::Waiting });
        drop(turn);
        if tickets.is_empty() { Round::Empty } else { self.write(&tickets, outcomes).await }
    }

    async fn write(&self, tickets: &[QueuedTicket], outcomes: Vec<HoldOutcome>) -> Round {
        let at = clock::now();
        let serve = |(ticket, outcome): (&QueuedTicket, HoldOutcome)| ServeTicket {
            ticket: ticket.id,
            reservation: ticket.attempt.reservation,
            next: self.next_attempt(ticket),
            outcome,
            at,
        };
        let commands = tickets.iter().zip(outcomes).map(serve).collect();
        let deadline = Instant::now() + WRITE_TIMEOUT;
        match self.protocol.commands.submit_all(commands, deadline).await {
            Ok(replies) => {
                let changed = replies.iter().filter(|reply| reply.as_ref().is_ok_and(has_changed));
                if changed.count() == tickets.len() { Round::Complete } else { Round::Incomplete }
            }
            Err(cause) => {
                warn!(%cause, tickets = tickets.len(), "could not write what came of tickets");
                Round::Incomplete
            }
        }
    }

    async fn hold(&self, tickets: &[QueuedTicket]) -> Result<Vec<HoldOutcome>, CallError> {
        let attempts = tickets.iter().map(|ticket| &ticket.attempt);
        self.holds.hold(attempts, Instant::now() + HOLD_TIMEOUT).await
    }

    fn next_attempt(&self, ticket: &QueuedTicket) -> Option<ReservationId> {
        let next = ticket.attempt_number + 1;
        (next < ATTEMPTS_MAX)
            .then(|| reservation_id(self.protocol.owner, ticket.attempt.user, &ticket.key, next))
    }
}

fn has_changed(reply: &ServeReply) -> bool {
    match reply {
        ServeReply::Booked(_)
        | ServeReply::BookedBefore(_)
        | ServeReply::Ended(_)
        | ServeReply::NextAttempt { .. } => true,
        ServeReply::Unchanged(_) | ServeReply::NoSuchTicket => false,
    }
}
