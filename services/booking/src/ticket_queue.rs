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

/// The shortest and the longest pause after an incomplete round; it doubles in between.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

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
    /// Nothing: `vaccine` is not called for so long. The next round is the probe.
    CircuitOpen(Duration),
}

impl QueueWorker {
    async fn run(mut self) {
        let mut pause = PAUSE.0;
        let runtime = self.protocol.runtime.clone();
        loop {
            let round = self.round().await;
            let wait = async {
                match round {
                    Round::Complete => pause = PAUSE.0,
                    Round::Incomplete => {
                        sleep(pause).await;
                        pause = (pause * 2).min(PAUSE.1);
                    }
                    Round::CircuitOpen(retry_after) => sleep(retry_after).await,
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

    async fn round(&mut self) -> Round {
        self.enqueued.mark_seen();
        let round = match self.holds.circuit_state() {
            _ if !self.protocol.commands.health().can_write() => Round::Incomplete,
            CircuitState::Open { retry_after } => Round::CircuitOpen(retry_after),
            CircuitState::HalfOpen => self.serve_head(PROBE_MAX).await,
            CircuitState::Closed => self.serve_head(self.holds.limit()).await,
        };
        match round {
            // While they wait for their commit, others may request doses, unless more tickets wait.
            Round::Complete | Round::Empty => {}
            Round::Incomplete | Round::CircuitOpen(_) => self.holds.set_backlog(Backlog::Stalled),
        }
        round
    }

    /// Requests doses for so many tickets, and writes what came of it.
    async fn serve_head(&self, limit: usize) -> Round {
        let turn = self.holds.ticket_turn().await;
        // The errors are logged where they occur.
        let Ok(tickets) = self.protocol.queries.queue_head(limit).await else {
            return Round::Incomplete;
        };
        let is_all = tickets.len() < limit;
        let outcomes = if tickets.is_empty() { Ok(Vec::new()) } else { self.hold(&tickets).await };
        let Ok(outcomes) = outcomes else { return Round::Incomplete };
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
