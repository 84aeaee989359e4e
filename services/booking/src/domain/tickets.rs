//! The decisions about tickets: requests that wait in the queue until `vaccine` answers for them.
//!
//! ```text
//! enqueue ──► waiting ── serve ──► booked, sold out, no such vaccine, key reused
//! ```
//!
//! A ticket ends once: a reply for one that has ended changes nothing, and its dose is free for another. So two
//! processes may serve the same ticket.
//! One that ends without a booking ends the attempt of its key too, which has no other outcome then.

use contracts::ids::{TicketId, UserId};
use jiff::Timestamp;

use super::{
    bookings::CreateReply,
    records::{
        Abortable, BookingAttempt, Bookings, Choice, Fingerprint, HeldDose, NotGranted, Record,
    },
};

pub use super::records::{QueuedTicket, TicketEnd};
pub(crate) use super::records::{attempt_of, ticket_of};

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
    /// What the citizen wants.
    pub choice: Choice,
    /// The citizen.
    pub user: UserId,
    /// The fingerprint of the request.
    pub fingerprint: Fingerprint,
    /// When it joins the queue.
    pub at: Timestamp,
}

/// Records the answer of `vaccine` for a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeTicket {
    /// The ticket.
    pub ticket: TicketId,
    /// The answer.
    pub answer: Answer,
    /// When it was answered.
    pub at: Timestamp,
}

/// What `vaccine` has answered for a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With a dose.
    Held(HeldDose),
    /// With none.
    NotGranted(NotGranted),
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
    /// Refused: the attempt of the key was aborted.
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
    /// The ticket has ended with a new booking for each dose of a series.
    BookedBoth(Box<[Record; 2]>),
    /// The ticket has ended with a booking that the same key had already.
    BookedBefore(Record),
    /// The ticket has ended without a booking.
    Ended(QueuedTicket),
    /// Nothing has changed: it has ended before.
    Unchanged(QueuedTicket),
    /// Nothing has changed: the dose was aborted, or is booked for another attempt.
    DoseTaken,
    /// Refused: no ticket has this id.
    NoSuchTicket,
}

impl Bookings {
    pub(super) fn enqueue(&mut self, enqueue: &EnqueueTicket) -> EnqueueReply {
        let EnqueueTicket { ticket: id, choice, user, fingerprint, at } = *enqueue;
        match self.tickets.get(&id) {
            Some(known) if known.fingerprint == fingerprint => {
                return EnqueueReply::QueuedBefore(known.clone());
            }
            Some(_) => return EnqueueReply::KeyReused,
            None => {}
        }
        let attempt = Abortable::Attempt(attempt_of(id));
        match self.booking_of(attempt) {
            Some(record) if record.fingerprint == Some(fingerprint) => {
                return EnqueueReply::BookedBefore(record.clone());
            }
            Some(_) => return EnqueueReply::KeyReused,
            None if self.is_aborted(attempt) => return EnqueueReply::Aborted,
            None => {}
        }
        let waiting = self.waiting_of_user.entry(user).or_default();
        if *waiting >= WAITING_PER_USER_MAX {
            return EnqueueReply::TooManyOfUser;
        }
        if self.last_ticket - self.ended_up_to >= QUEUE_LENGTH_MAX {
            return EnqueueReply::QueueFull;
        }
        *waiting += 1;
        self.last_ticket += 1;
        let number = self.last_ticket;
        let ticket =
            QueuedTicket { id, number, choice, user, fingerprint, queued_at: at, end: None };
        self.tickets.insert(id, ticket.clone());
        EnqueueReply::Queued(ticket)
    }

    pub(super) fn serve(&mut self, serve: &ServeTicket) -> ServeReply {
        let Some(ticket) = self.tickets.get(&serve.ticket).cloned() else {
            return ServeReply::NoSuchTicket;
        };
        if ticket.end.is_some() {
            return ServeReply::Unchanged(ticket);
        }
        // The same request without a ticket may have been faster, or another one with the same key.
        let attempt = attempt_of(ticket.id);
        if let Some(record) = self.booking_of(Abortable::Attempt(attempt)).cloned() {
            if record.fingerprint != Some(ticket.fingerprint) {
                return ServeReply::Ended(self.end(ticket, TicketEnd::KeyReused));
            }
            self.end(ticket, TicketEnd::Booked(record.booking.booking_id));
            return ServeReply::BookedBefore(record);
        }
        if self.is_aborted(Abortable::Attempt(attempt)) {
            return ServeReply::Ended(self.end(ticket, TicketEnd::KeyReused));
        }
        let end = match &serve.answer {
            Answer::Held(dose) => {
                let attempt = BookingAttempt {
                    id: Some(attempt),
                    choice: ticket.choice,
                    user: ticket.user,
                    fingerprint: Some(ticket.fingerprint),
                };
                match self.create_new(attempt, dose, serve.at) {
                    CreateReply::Booked(record) => {
                        self.end(ticket, TicketEnd::Booked(record.booking.booking_id));
                        return ServeReply::Booked(record);
                    }
                    CreateReply::BookedBoth(both) => {
                        self.end(ticket, TicketEnd::Booked(both[0].booking.booking_id));
                        return ServeReply::BookedBoth(both);
                    }
                    CreateReply::AlreadyBooked => TicketEnd::NotGranted(NotGranted::AlreadyBooked),
                    CreateReply::DoseTaken
                    | CreateReply::BookedBefore(_)
                    | CreateReply::Aborted
                    | CreateReply::KeyReused => return ServeReply::DoseTaken,
                }
            }
            Answer::NotGranted(reason) => TicketEnd::NotGranted(*reason),
        };
        self.fence(Abortable::Attempt(attempt_of(ticket.id)), serve.at);
        ServeReply::Ended(self.end(ticket, end))
    }

    fn end(&mut self, mut ticket: QueuedTicket, end: TicketEnd) -> QueuedTicket {
        ticket.end = Some(end);
        if ticket.number == self.ended_up_to + 1 {
            self.ended_up_to = ticket.number;
        }
        if let Some(waiting) = self.waiting_of_user.get_mut(&ticket.user) {
            *waiting -= 1;
        }
        self.tickets.insert(ticket.id, ticket.clone());
        ticket
    }
}
