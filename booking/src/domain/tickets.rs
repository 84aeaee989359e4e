//! The decisions about tickets: requests that wait in line for `vaccine` to be asked.
//!
//! ```text
//! enqueue ──► waiting ── serve ──► booked, sold out, no such vaccine, key reused, given up
//! ```
//!
//! A ticket is at one attempt at a time. It goes on with the next attempt when the dose of this one
//! was given back, and ends once: whatever is said of an attempt that it is not at any more, or
//! after it has ended, changes nothing. So two processes may serve the same ticket.
//! Nobody but `serve` ends the attempt of a waiting ticket as abandoned: the dose that is held for
//! it would go to whoever comes later.

use contracts::{
    ids::{BookingId, ReservationId, TicketId, UserId, VaccineId},
    vaccine::HoldOutcome,
};
use jiff::Timestamp;

use super::{Attempt, Book, Done, Fingerprint, Outcome, Refusal, Register, Standing};

/// Tickets that may wait at one time; one more is refused with [`Refusal::LineFull`].
pub const TICKETS_WAITING_MAX: i64 = 100_000;

/// A request that wants a place in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueue {
    /// The ticket of its key; asking again repeats the answer.
    pub ticket: TicketId,
    /// The client's key.
    pub key: String,
    /// What exactly was asked.
    pub asked: Fingerprint,
    /// The vaccine wanted.
    pub vaccine: VaccineId,
    /// Who books.
    pub user: UserId,
    /// The first attempt of the key that is not over, counted from 0.
    pub attempt: u32,
    /// Its id.
    pub reservation: ReservationId,
    /// When.
    pub at: Timestamp,
}

/// What `vaccine` said about the attempt that a ticket is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serve {
    /// The ticket.
    pub ticket: TicketId,
    /// The attempt that was asked about.
    pub reservation: ReservationId,
    /// The attempt after it; nothing, if the key has used up its attempts.
    pub next: Option<ReservationId>,
    /// The answer.
    pub said: HoldOutcome,
    /// When.
    pub at: Timestamp,
}

/// A place in the line, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Which.
    pub id: TicketId,
    /// Its place in the order of arrival, from 1, without gaps.
    pub number: i64,
    /// The client's key.
    pub key: String,
    /// What exactly was asked.
    pub asked: Fingerprint,
    /// The vaccine wanted.
    pub vaccine: VaccineId,
    /// Who books.
    pub user: UserId,
    /// When it came.
    pub at: Timestamp,
    /// Which attempt of its key it is at, counted from 0.
    pub attempt: u32,
    /// The id of that attempt.
    pub reservation: ReservationId,
    /// How it ended; nothing while it waits.
    pub ended: Option<Ended>,
}

/// The end of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its place in the order of ends, from 1, without gaps.
    pub place: i64,
    /// With what.
    pub with: End,
}

/// What a ticket turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// This booking.
    Booked(BookingId),
    /// Nothing: every dose was taken.
    SoldOut,
    /// Nothing: no vaccine of that id.
    NoSuchVaccine,
    /// Nothing: another request with the same key came at the same time and was faster.
    KeyReused,
    /// Nothing: what was held for it was given back as often as a key may try.
    GivenUp,
}

impl Register {
    pub(super) fn enqueue(&mut self, enqueue: &Enqueue) -> Outcome {
        match self.tickets.get(&enqueue.ticket) {
            Some(known) if known.asked == enqueue.asked => {
                return Ok(Done::QueuedBefore(known.clone()));
            }
            Some(_) => return Err(Refusal::KeyReused),
            None => {}
        }
        match self.attempt(enqueue.reservation) {
            Some(Standing::Abandoned) => return Err(Refusal::Abandoned),
            Some(Standing::Booked(record)) if record.asked == Some(enqueue.asked) => {
                return Ok(Done::BookedBefore(record.clone()));
            }
            Some(Standing::Booked(_)) => return Err(Refusal::KeyReused),
            None => {}
        }
        if self.last_ticket - self.last_ended >= TICKETS_WAITING_MAX {
            return Err(Refusal::LineFull);
        }
        self.last_ticket += 1;
        let ticket = Ticket {
            id: enqueue.ticket,
            number: self.last_ticket,
            key: enqueue.key.clone(),
            asked: enqueue.asked,
            vaccine: enqueue.vaccine,
            user: enqueue.user,
            at: enqueue.at,
            attempt: enqueue.attempt,
            reservation: enqueue.reservation,
            ended: None,
        };
        self.tickets.put(ticket.id, ticket.clone());
        self.waited_for.insert(ticket.reservation);
        Ok(Done::Queued(ticket))
    }

    pub(super) fn serve(&mut self, serve: &Serve) -> Outcome {
        let ticket = self.tickets.get(&serve.ticket).ok_or(Refusal::NoSuchTicket)?.clone();
        if ticket.ended.is_some() || ticket.reservation != serve.reservation {
            return Ok(Done::Unmoved(ticket));
        }
        match self.attempt(ticket.reservation) {
            Some(Standing::Booked(record)) if record.asked == Some(ticket.asked) => {
                // A request that did not wait in line had the same key.
                let record = record.clone();
                self.end(ticket, End::Booked(record.booking.booking_id));
                Ok(Done::BookedBefore(record))
            }
            Some(Standing::Booked(_)) => Ok(Done::Ended(self.end(ticket, End::KeyReused))),
            Some(Standing::Abandoned) => Ok(self.go_on(ticket, serve.next)),
            None => Ok(self.answered(ticket, serve)),
        }
    }

    fn answered(&mut self, ticket: Ticket, serve: &Serve) -> Done {
        match &serve.said {
            HoldOutcome::Held { vc_name } => {
                let record = self.add(&Book {
                    reservation: ticket.reservation,
                    vaccine: ticket.vaccine,
                    vaccine_name: vc_name.clone(),
                    user: ticket.user,
                    asked: Some(ticket.asked),
                    at: serve.at,
                });
                self.end(ticket, End::Booked(record.booking.booking_id));
                Done::Booked(record)
            }
            HoldOutcome::SoldOut => self.end_without(ticket, End::SoldOut),
            HoldOutcome::NoSuchVaccine => self.end_without(ticket, End::NoSuchVaccine),
            // What becomes of the attempt is that other request's affair.
            HoldOutcome::Conflict => Done::Ended(self.end(ticket, End::KeyReused)),
            HoldOutcome::Released => {
                self.attempts.put(ticket.reservation, Attempt::Abandoned);
                self.go_on(ticket, serve.next)
            }
            HoldOutcome::Failed => Done::Unmoved(ticket),
        }
    }

    /// The attempt is over too: a hold that comes late must not take a dose.
    fn end_without(&mut self, ticket: Ticket, with: End) -> Done {
        self.attempts.put(ticket.reservation, Attempt::Abandoned);
        Done::Ended(self.end(ticket, with))
    }

    fn go_on(&mut self, ticket: Ticket, next: Option<ReservationId>) -> Done {
        let Some(next) = next else { return Done::Ended(self.end(ticket, End::GivenUp)) };
        let spent = ticket.reservation;
        let ticket = Ticket { attempt: ticket.attempt + 1, reservation: next, ..ticket };
        self.waited_for.remove(&spent);
        self.waited_for.insert(next);
        self.tickets.put(ticket.id, ticket.clone());
        Done::GoesOn { ticket, spent }
    }

    fn end(&mut self, ticket: Ticket, with: End) -> Ticket {
        self.last_ended += 1;
        let ticket = Ticket { ended: Some(Ended { place: self.last_ended, with }), ..ticket };
        self.waited_for.remove(&ticket.reservation);
        self.tickets.put(ticket.id, ticket.clone());
        ticket
    }
}
