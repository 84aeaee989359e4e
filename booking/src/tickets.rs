//! The line: requests that wait for `vaccine` to be asked, instead of being sent away.
//!
//! A ticket is written before its client hears of it, so it outlives every crash. One task serves
//! the line from its head: it asks for the doses of the tickets that have waited longest, in one
//! request and in their order, and writes what became of all of them in one commit, in the same
//! order. It goes on when that is written, and otherwise asks for the same again: a hold is repeated
//! without harm. So for each vaccine the tickets that came first are the ones that get a dose.
//!
//! Several processes may serve the same line. Each asks for a head of it, so nobody asks for a
//! ticket without those before it; and whoever writes second finds the tickets ended.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chassis::{client::Client, clock};
use contracts::{
    booking::Booking,
    ids::TicketId,
    vaccine::{HOLDS_MAX, Hold, HoldOutcome},
};
use eventing::bell::Ear;
use storage::database::Unreadable;
use tokio::{select, time::sleep};
use tracing::warn;

use crate::{
    attempts::{NotTried, NotWritten, hold_doses},
    bookings::{ATTEMPTS_MAX, Bookings, Key, NotBooked, Request, WRITE_BEFORE, before},
    domain::{
        Command, Done, Outcome, Refusal,
        tickets::{Enqueue, Serve, Ticket},
    },
    store::Ended,
};

/// How long `vaccine` may take to answer for the head of the line.
const HOLD_WITHIN: Duration = Duration::from_secs(2);

/// When the commit of its answer must have begun, counted from then.
const SERVE_WITHIN: Duration = Duration::from_secs(5);

/// The shortest and the longest pause after a try that brought nothing; it doubles in between.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// How often to look at a line of which nobody rings: another process may have left tickets.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a request for a ticket brings.
#[derive(Clone, Debug)]
pub enum Given {
    /// A ticket as it stands, with its place in the line while it waits.
    Ticket(Ticket, Option<i64>),
    /// The booking that the key stands for already.
    Booking(Booking),
}

impl Bookings {
    /// Puts a request in line, or finds what its key stands for.
    pub async fn queue(&self, request: &Request, key: &Key) -> Result<Given, NotBooked> {
        let id = key.ticket(self.holder);
        match self.reads.ticket(id).await {
            Ok(Some((ticket, _))) if ticket.asked != key.asked => return Err(NotBooked::KeyReused),
            Ok(Some((ticket, position))) => return Ok(Given::Ticket(ticket, position)),
            Ok(None) => {}
            Err(Unreadable) => return Err(NotBooked::ComeBack),
        }
        for attempt in 0..ATTEMPTS_MAX {
            let reservation = key.reservation(self.holder, attempt);
            match self.reads.attempt(reservation).await {
                Ok(Some(Ended::Booked(record))) => {
                    return key.same_request(record).map(Given::Booking);
                }
                Ok(Some(Ended::Abandoned)) => continue,
                Ok(None) => {}
                Err(Unreadable) => return Err(NotBooked::ComeBack),
            }
            let enqueue = Command::Enqueue(Enqueue {
                ticket: id,
                key: key.key.clone(),
                asked: key.asked,
                vaccine: request.vaccine,
                user: request.user,
                attempt,
                reservation,
                at: clock::now(),
            });
            match self.write(enqueue, before(request.due, WRITE_BEFORE)).await {
                Err(NotWritten::Nothing) => return Err(NotBooked::ComeBack),
                Ok(Ok(Done::BookedBefore(record))) => return Ok(Given::Booking(record.booking)),
                Ok(Ok(Done::Queued(_) | Done::QueuedBefore(_))) => {
                    self.queued.ring();
                    let (ticket, position) = self.ticket(id).await?;
                    return Ok(Given::Ticket(ticket, position));
                }
                Ok(Err(Refusal::Abandoned)) => {} // Just now: the next attempt.
                Ok(Err(Refusal::KeyReused)) => return Err(NotBooked::KeyReused),
                Ok(Err(Refusal::LineFull)) => return Err(NotBooked::LineFull),
                Ok(_) | Err(NotWritten::Unknown) => return Err(NotBooked::Unknown),
            }
        }
        warn!("an Idempotency-Key has used up its {ATTEMPTS_MAX} attempts");
        Err(NotBooked::ComeBack)
    }

    /// A ticket as it stands, with its place in the line while it waits.
    pub async fn ticket(&self, id: TicketId) -> Result<(Ticket, Option<i64>), NotBooked> {
        match self.reads.ticket(id).await {
            Ok(known) => known.ok_or(NotBooked::NoSuchTicket),
            Err(Unreadable) => Err(NotBooked::ComeBack),
        }
    }
}

/// Serves the line until the process stops. What is left waits for the next start.
pub fn start(bookings: &Arc<Bookings>, vaccine: Client) {
    let line = Line { bookings: Arc::clone(bookings), vaccine, queued: bookings.queued.ear() };
    bookings.process.spawn(line.serve());
}

/// What serving the line works with.
struct Line {
    bookings: Arc<Bookings>,
    vaccine: Client,
    queued: Ear,
}

/// How far the head of the line came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// Nobody is waiting.
    Empty,
    /// Every ticket that was asked about has moved.
    Moved,
    /// Not all of them, and there is no use in asking again at once. Another process may be serving
    /// the same tickets: then this leaves the line to it for a moment.
    Stuck,
}

impl Line {
    async fn serve(mut self) {
        let mut pause = PAUSE.0;
        let process = self.bookings.process.clone();
        loop {
            let head = self.serve_head().await;
            let rest = async {
                match head {
                    Head::Moved => pause = PAUSE.0,
                    Head::Stuck => {
                        sleep(pause).await;
                        pause = (pause * 2).min(PAUSE.1);
                    }
                    Head::Empty => select! {
                        () = self.queued.rung() => {}
                        () = sleep(LOOK_EVERY) => {}
                    },
                }
            };
            select! {
                biased;
                () = process.stopping() => return,
                () = rest => {}
            }
        }
    }

    /// Asks for as many doses as may be asked for at once, and writes down what came of it.
    async fn serve_head(&self) -> Head {
        let Ok(tickets) = self.bookings.reads.head_of_line(HOLDS_MAX).await else {
            return Head::Stuck; // The log says why.
        };
        if tickets.is_empty() {
            return Head::Empty;
        }
        let Ok(said) = self.ask(&tickets).await else { return Head::Stuck };
        let at = clock::now();
        let serve = |(ticket, said): (&Ticket, HoldOutcome)| {
            let (ticket, reservation, next) = (ticket.id, ticket.reservation, self.next(ticket));
            Command::Serve(Serve { ticket, reservation, next, said, at })
        };
        let commands: Vec<_> = tickets.iter().zip(said).map(serve).collect();
        let written = self.bookings.desk.ask_all(commands, Instant::now() + SERVE_WITHIN).await;
        self.bookings.told.ring();
        let Ok(outcomes) = written else {
            warn!(tickets = tickets.len(), "could not write what became of tickets");
            return Head::Stuck;
        };
        let moved = outcomes.iter().filter(|outcome| outcome.as_ref().is_ok_and(has_moved)).count();
        if moved == tickets.len() { Head::Moved } else { Head::Stuck }
    }

    async fn ask(&self, tickets: &[Ticket]) -> Result<Vec<HoldOutcome>, NotTried> {
        let hold = |ticket: &Ticket| Hold {
            reservation_id: ticket.reservation,
            vaccine_id: ticket.vaccine,
        };
        let holds = tickets.iter().map(hold).collect();
        let by = Instant::now() + HOLD_WITHIN;
        let reply = hold_doses(&self.vaccine, self.bookings.holder, holds, by).await?;
        Ok(reply.outcomes)
    }

    /// The attempt after the one that a ticket is at.
    fn next(&self, ticket: &Ticket) -> Option<contracts::ids::ReservationId> {
        let attempt = ticket.attempt + 1;
        let key = Key { key: ticket.key.clone(), asked: ticket.asked };
        (attempt < ATTEMPTS_MAX).then(|| key.reservation(self.bookings.holder, attempt))
    }
}

fn has_moved(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Ok(Done::Booked(_) | Done::BookedBefore(_) | Done::Ended(_) | Done::GoesOn { .. })
    )
}
