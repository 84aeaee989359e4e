//! The queue: requests that wait until `vaccine` answers for them, instead of being refused.
//!
//! A ticket is committed before its client gets it, so it survives every crash. One task serves the queue
//! from its head: it takes doses in hand for the tickets that have waited longest, requests the others in one
//! request and in their order, and writes what came of all of them in one commit, in the same order. Those that
//! got no answer go on waiting. So for each choice the tickets that arrived first get the doses.
//! A ticket ends as sold out only when every dose of this store is booked, so that those of a process that has died are
//! for the tickets: in two rounds in a row the ledger has none that is free, and then none that is held without a
//! booking. In one round alone, a dose may have been released in between.
//!
//! Several processes may serve the same queue. Each serves its head, so a ticket is served only with those
//! before it; the process that commits second finds the tickets ended, and has its doses back in hand.

use std::{
    collections::BTreeSet,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use platform_rest::client::{CallError, CircuitState};
use platform_store::{Subscription, WriteError};
use platform_telemetry::clock;
use tokio::{select, time::sleep};
use tracing::warn;

use crate::{
    domain::{
        Choice,
        tickets::{Answer, QueuedTicket, ServeReply, ServeTicket},
    },
    holds::{Backlog, HeldOutcome, HoldClient, PROBE_MAX},
    protocol::{BookingProtocol, may_be_committed},
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

/// Choices of which a round checks whether every dose is booked.
const CHECKED_MAX: usize = 16;

/// How often an empty queue is read without a notification: another process may have added tickets.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Serves the queue until the service stops. Tickets that are left wait for the next start.
pub fn start(protocol: &Arc<BookingProtocol>, holds: Arc<HoldClient>) {
    // Until it is read: there may be tickets from before the start.
    holds.set_backlog(Backlog::Waiting);
    let enqueued = protocol.enqueued.subscribe();
    let worker =
        QueueWorker { protocol: Arc::clone(protocol), holds, enqueued, sold_out: BTreeSet::new() };
    protocol.runtime.spawn(worker.run());
}

struct QueueWorker {
    protocol: Arc<BookingProtocol>,
    holds: Arc<HoldClient>,
    enqueued: Subscription,
    /// The choices of which the last round has found every dose booked.
    sold_out: BTreeSet<Choice>,
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
    async fn round(&mut self) -> Round {
        let sold_out_before = mem::take(&mut self.sold_out);
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
        let (outcomes, error) = self.outcomes(&tickets).await;
        let no_answer = |(_, outcome): &_| matches!(outcome, HeldOutcome::Unknown);
        match error {
            // It recovers, and is called more often every moment.
            Some(CallError::CircuitOpen { retry_after }) if outcomes.iter().all(no_answer) => {
                return Round::NotCalled(retry_after.min(PAUSE.0));
            }
            Some(_) if outcomes.iter().all(no_answer) => return Round::Incomplete,
            // While they wait for their commit, others may request doses, unless more tickets wait for an answer.
            Some(_) | None => {
                let is_all = is_all && !outcomes.iter().any(no_answer);
                self.holds.set_backlog(if is_all { Backlog::Empty } else { Backlog::Waiting });
            }
        }
        drop(turn);
        let is_sold_out = |(_, outcome): &_| matches!(outcome, HeldOutcome::NotGranted(reason) if reason.is_sold_out());
        let (sold_out, answers): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(is_sold_out);
        let mut changed = self.write(answers).await;
        if !sold_out.is_empty() {
            let choices = sold_out.iter().map(|(ticket, _)| ticket.choice).collect();
            self.sold_out = self.all_booked(choices).await;
            let is_final =
                |choice| sold_out_before.contains(choice) && self.sold_out.contains(choice);
            let ended = sold_out.into_iter().filter(|(ticket, _)| is_final(&ticket.choice));
            changed += self.write(ended.collect()).await;
        }
        match tickets.len() {
            0 => Round::Empty,
            count if changed == count => Round::Complete,
            _ => Round::Incomplete,
        }
    }

    /// What comes of each of these tickets, in their order; and the error, if `vaccine` did not answer.
    async fn outcomes<'a>(
        &self,
        tickets: &'a [QueuedTicket],
    ) -> (Vec<(&'a QueuedTicket, HeldOutcome)>, Option<CallError>) {
        let (mut outcomes, mut others) = (Vec::new(), Vec::new());
        for ticket in tickets {
            match self.holds.hand.take(ticket.choice) {
                Some(dose) => outcomes.push((ticket, HeldOutcome::Held(dose))),
                None => others.push(ticket),
            }
        }
        if others.is_empty() {
            return (outcomes, None);
        }
        let wanted: Vec<_> = others.iter().map(|ticket| ticket.choice).collect();
        let (held, error) = self.holds.hold(&wanted, Instant::now() + HOLD_TIMEOUT).await;
        outcomes.extend(others.into_iter().zip(held));
        outcomes.sort_by_key(|(ticket, _)| ticket.number);
        (outcomes, error)
    }

    /// Those of these choices of which every dose of this store is booked; a few of them, since each is a request.
    async fn all_booked(&self, choices: BTreeSet<Choice>) -> BTreeSet<Choice> {
        let mut all_booked = BTreeSet::new();
        for choice in choices.into_iter().take(CHECKED_MAX) {
            if self.holds.are_booked(choice, &self.protocol.queries).await.unwrap_or(false) {
                all_booked.insert(choice);
            }
        }
        all_booked
    }

    /// Writes answers; how many tickets have changed.
    async fn write(&self, answers: Vec<(&QueuedTicket, HeldOutcome)>) -> usize {
        let at = clock::now();
        let (mut commands, mut doses) = (Vec::new(), Vec::new());
        for (ticket, outcome) in answers {
            let (answer, dose) = match outcome {
                HeldOutcome::Held(dose) => (Answer::Held(dose.held()), Some(dose)),
                HeldOutcome::NotGranted(reason) => (Answer::NotGranted(reason), None),
                HeldOutcome::Unknown => continue,
            };
            commands.push(ServeTicket { ticket: ticket.id, answer, at });
            doses.push(dose);
        }
        let deadline = Instant::now() + WRITE_TIMEOUT;
        let replies = match self.protocol.commands.submit_all(commands, deadline).await {
            Ok(replies) => {
                replies.into_iter().map(|reply| reply.map_err(WriteError::from)).collect()
            }
            Err(cause) => {
                warn!(%cause, tickets = doses.len(), "could not write what came of tickets");
                vec![Err(cause); doses.len()]
            }
        };
        let (mut changed, mut unknown) = (0, Vec::new());
        for (reply, dose) in replies.into_iter().zip(doses) {
            changed += usize::from(reply.as_ref().is_ok_and(has_changed));
            // Every other dose is back in hand.
            match (reply, dose) {
                (
                    Ok(ServeReply::Booked(_) | ServeReply::BookedBoth(_) | ServeReply::DoseTaken),
                    Some(dose),
                ) => dose.spend(),
                (Err(error), Some(dose)) if may_be_committed(error) => {
                    unknown.extend(dose.reservations());
                    dose.spend();
                }
                _ => {}
            }
        }
        if !unknown.is_empty() {
            self.protocol.resolve(&unknown).await;
        }
        changed
    }
}

fn has_changed(reply: &ServeReply) -> bool {
    match reply {
        ServeReply::Booked(_)
        | ServeReply::BookedBoth(_)
        | ServeReply::BookedBefore(_)
        | ServeReply::Ended(_) => true,
        ServeReply::Unchanged(_) | ServeReply::DoseTaken | ServeReply::NoSuchTicket => false,
    }
}
