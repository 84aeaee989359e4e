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

use contracts::{
    ids::ReservationId,
    vaccine::{HOLDS_MAX, HoldOutcome},
};
use platform_rest::client::{CallError, Client};
use platform_store::Subscription;
use platform_telemetry::clock;
use tokio::{select, time::sleep};
use tracing::warn;

use crate::{
    attempts::{hold_doses, hold_of},
    domain::tickets::{QueuedTicket, ServeReply, ServeTicket},
    protocol::{ATTEMPTS_MAX, BookingProtocol, reservation_id},
};

/// How long `vaccine` may take to answer for the head of the queue.
const HOLD_TIMEOUT: Duration = Duration::from_secs(2);

/// How long its answer may wait for the commit.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The shortest and the longest pause after an incomplete round; it doubles in between.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// How often an empty queue is read without a notification: another process may have added tickets.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Serves the queue until the service stops. Tickets that are left wait for the next start.
pub fn start(protocol: &Arc<BookingProtocol>, vaccine: Client) {
    let enqueued = protocol.enqueued.subscribe();
    let worker = QueueWorker { protocol: Arc::clone(protocol), vaccine, enqueued };
    protocol.runtime.spawn(worker.run());
}

struct QueueWorker {
    protocol: Arc<BookingProtocol>,
    vaccine: Client,
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
}

impl QueueWorker {
    async fn run(mut self) {
        let mut pause = PAUSE.0;
        let runtime = self.protocol.runtime.clone();
        loop {
            let round = self.serve_head().await;
            let wait = async {
                match round {
                    Round::Complete => pause = PAUSE.0,
                    Round::Incomplete => {
                        sleep(pause).await;
                        pause = (pause * 2).min(PAUSE.1);
                    }
                    Round::Empty => select! {
                        () = self.enqueued.changed() => {}
                        () = sleep(POLL_INTERVAL) => {}
                    },
                }
            };
            select! {
                biased;
                () = runtime.stop.cancelled() => return,
                () = wait => {}
            }
        }
    }

    /// Requests as many doses as one request may, and writes what came of it.
    async fn serve_head(&self) -> Round {
        if !self.protocol.commands.health().can_write() {
            return Round::Incomplete;
        }
        // The errors are logged where they occur.
        let Ok(tickets) = self.protocol.queries.queue_head(HOLDS_MAX).await else {
            return Round::Incomplete;
        };
        if tickets.is_empty() {
            return Round::Empty;
        }
        let Ok(outcomes) = self.hold(&tickets).await else { return Round::Incomplete };
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
        let holds = tickets.iter().map(|ticket| hold_of(&ticket.attempt)).collect();
        hold_doses(&self.vaccine, self.protocol.owner, holds, Instant::now() + HOLD_TIMEOUT).await
    }

    fn next_attempt(&self, ticket: &QueuedTicket) -> Option<ReservationId> {
        let next = ticket.attempt_number + 1;
        (next < ATTEMPTS_MAX).then(|| reservation_id(self.protocol.owner, &ticket.key, next))
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
