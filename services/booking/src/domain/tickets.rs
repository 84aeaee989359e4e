//! The decisions about tickets: requests that wait in the queue until `vaccine` answers for them.
//!
//! ```text
//! enqueue ──► waiting ── serve ──► booked, sold out, no such vaccine, key reused, aborted
//! ```
//!
//! A ticket has one current attempt. It continues with the next attempt when the dose of this one was
//! released, and ends once: a reply for an attempt that is not the current one, or for a ticket that has
//! ended, changes nothing. So two processes may serve the same ticket.
//! Only `serve` aborts the attempt of a waiting ticket: otherwise the dose that is held for it would go to
//! a later request.

use contracts::{
    ids::{ReservationId, TicketId},
    vaccine::HoldOutcome,
};
use jiff::Timestamp;

use super::{
    bookings::CreateBooking,
    records::{AttemptEnd, BookingAttempt, Bookings, Record},
};

pub use super::records::{QueuedTicket, TicketEnd};

/// Positions of the queue; one more is refused with [`EnqueueReply::QueueFull`].
pub const QUEUE_LENGTH_MAX: i64 = 100_000;

/// Tickets of one citizen that wait; one more is refused with [`EnqueueReply::TooManyOfUser`]. Enough for
/// a household that uses one account.
pub const WAITING_PER_USER_MAX: i64 = 8;

/// Adds a request to the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnqueueTicket {
    /// The ticket of its key; a repeated request gets the same ticket.
    pub ticket: TicketId,
    /// The client's key.
    pub key: String,
    /// The first attempt of the key that has not ended.
    pub attempt: BookingAttempt,
    /// Its number among the attempts of the key, from 0.
    pub attempt_number: u32,
    /// When it joins the queue.
    pub at: Timestamp,
}

/// Records the answer of `vaccine` for the current attempt of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeTicket {
    /// The ticket.
    pub ticket: TicketId,
    /// The attempt that the dose was requested for.
    pub reservation: ReservationId,
    /// The attempt after it; `None` if the key has used up its attempts.
    pub next: Option<ReservationId>,
    /// The answer.
    pub outcome: HoldOutcome,
    /// When it was answered.
    pub at: Timestamp,
}

/// The reply to [`EnqueueTicket`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnqueueReply {
    /// A new ticket.
    Queued(QueuedTicket),
    /// The same request has this ticket already.
    QueuedBefore(QueuedTicket),
    /// The same request is booked already.
    BookedBefore(Record),
    /// Refused: the attempt was aborted.
    Aborted,
    /// Refused: the key belongs to another request.
    KeyReused,
    /// Refused: [`WAITING_PER_USER_MAX`] tickets of the citizen wait.
    TooManyOfUser,
    /// Refused: [`QUEUE_LENGTH_MAX`] positions are taken.
    QueueFull,
}

/// The reply to [`ServeTicket`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServeReply {
    /// The ticket has ended with a new booking.
    Booked(Record),
    /// The ticket has ended with a booking that the same key had already.
    BookedBefore(Record),
    /// The ticket has ended without a booking.
    Ended(QueuedTicket),
    /// The ticket continues with its next attempt.
    NextAttempt {
        /// The ticket with its new attempt.
        ticket: QueuedTicket,
        /// The attempt before, which ended without a booking.
        aborted: ReservationId,
    },
    /// Nothing has changed.
    Unchanged(QueuedTicket),
    /// Refused: no ticket has this id.
    NoSuchTicket,
}

impl Bookings {
    pub(super) fn enqueue(&mut self, enqueue: &EnqueueTicket) -> EnqueueReply {
        match self.tickets.get(&enqueue.ticket) {
            Some(known) if known.attempt.fingerprint == enqueue.attempt.fingerprint => {
                return EnqueueReply::QueuedBefore(known.clone());
            }
            Some(_) => return EnqueueReply::KeyReused,
            None => {}
        }
        match self.end_of(enqueue.attempt.reservation) {
            Some(AttemptEnd::Aborted(_)) => return EnqueueReply::Aborted,
            Some(AttemptEnd::Booked(record))
                if record.fingerprint == enqueue.attempt.fingerprint =>
            {
                return EnqueueReply::BookedBefore(record.clone());
            }
            Some(AttemptEnd::Booked(_)) => return EnqueueReply::KeyReused,
            None => {}
        }
        let waiting = self.waiting_of_user.entry(enqueue.attempt.user).or_default();
        if *waiting >= WAITING_PER_USER_MAX {
            return EnqueueReply::TooManyOfUser;
        }
        if self.last_ticket - self.ended_up_to >= QUEUE_LENGTH_MAX {
            return EnqueueReply::QueueFull;
        }
        *waiting += 1;
        self.last_ticket += 1;
        let ticket = QueuedTicket {
            id: enqueue.ticket,
            number: self.last_ticket,
            key: enqueue.key.clone(),
            attempt: enqueue.attempt,
            attempt_number: enqueue.attempt_number,
            queued_at: enqueue.at,
            end: None,
        };
        self.tickets.insert(ticket.id, ticket.clone());
        self.waiting_attempts.insert(ticket.attempt.reservation);
        EnqueueReply::Queued(ticket)
    }

    pub(super) fn serve(&mut self, serve: &ServeTicket) -> ServeReply {
        let Some(ticket) = self.tickets.get(&serve.ticket).cloned() else {
            return ServeReply::NoSuchTicket;
        };
        if ticket.end.is_some() || ticket.attempt.reservation != serve.reservation {
            return ServeReply::Unchanged(ticket);
        }
        match self.end_of(ticket.attempt.reservation) {
            Some(AttemptEnd::Booked(record))
                if record.fingerprint == ticket.attempt.fingerprint =>
            {
                // The same request without a ticket was faster.
                let record = record.clone();
                self.end(ticket, TicketEnd::Booked(record.booking.booking_id));
                ServeReply::BookedBefore(record)
            }
            Some(AttemptEnd::Booked(_)) => {
                ServeReply::Ended(self.end(ticket, TicketEnd::KeyReused))
            }
            Some(AttemptEnd::Aborted(_)) => self.next_attempt(ticket, serve.next),
            None => self.answered(ticket, serve),
        }
    }

    fn answered(&mut self, ticket: QueuedTicket, serve: &ServeTicket) -> ServeReply {
        match &serve.outcome {
            HoldOutcome::Held { vc_name } => {
                let record = self.add(&CreateBooking {
                    attempt: ticket.attempt,
                    vaccine_name: vc_name.clone(),
                    at: serve.at,
                });
                self.end(ticket, TicketEnd::Booked(record.booking.booking_id));
                ServeReply::Booked(record)
            }
            HoldOutcome::SoldOut => self.end_without_dose(ticket, TicketEnd::SoldOut, serve.at),
            HoldOutcome::NoSuchVaccine => {
                self.end_without_dose(ticket, TicketEnd::NoSuchVaccine, serve.at)
            }
            // The other request with this key ends the attempt.
            HoldOutcome::Conflict => ServeReply::Ended(self.end(ticket, TicketEnd::KeyReused)),
            HoldOutcome::Released => {
                self.attempts.insert(ticket.attempt.reservation, AttemptEnd::Aborted(serve.at));
                self.next_attempt(ticket, serve.next)
            }
            HoldOutcome::Failed => ServeReply::Unchanged(ticket),
        }
    }

    /// The attempt ends too: a late hold must not take a dose.
    fn end_without_dose(
        &mut self,
        ticket: QueuedTicket,
        end: TicketEnd,
        at: Timestamp,
    ) -> ServeReply {
        self.attempts.insert(ticket.attempt.reservation, AttemptEnd::Aborted(at));
        ServeReply::Ended(self.end(ticket, end))
    }

    fn next_attempt(&mut self, ticket: QueuedTicket, next: Option<ReservationId>) -> ServeReply {
        let Some(next) = next else {
            return ServeReply::Ended(self.end(ticket, TicketEnd::Aborted));
        };
        let aborted = ticket.attempt.reservation;
        let ticket = QueuedTicket {
            attempt: BookingAttempt { reservation: next, ..ticket.attempt },
            attempt_number: ticket.attempt_number + 1,
            ..ticket
        };
        self.waiting_attempts.remove(&aborted);
        self.waiting_attempts.insert(next);
        self.tickets.insert(ticket.id, ticket.clone());
        ServeReply::NextAttempt { ticket, aborted }
    }

    fn end(&mut self, ticket: QueuedTicket, end: TicketEnd) -> QueuedTicket {
        let ticket = QueuedTicket { end: Some(end), ..ticket };
        if ticket.number == self.ended_up_to + 1 {
            self.ended_up_to = ticket.number;
        }
        self.waiting_attempts.remove(&ticket.attempt.reservation);
        if let Some(waiting) = self.waiting_of_user.get_mut(&ticket.attempt.user) {
            *waiting -= 1;
        }
        self.tickets.insert(ticket.id, ticket.clone());
        ticket
    }
}
