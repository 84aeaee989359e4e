//! The decisions about bookings. No async, no I/O, no clock, no chance.
//!
//! An *attempt* is one reservation id's try to become a booking. It ends once, for ever:
//!
//! ```text
//!            ┌── book ────► booked ── cancel ──► cancelled
//! attempt ───┤
//!            └── settle ──► abandoned
//! ```
//!
//! A booking ends as cancelled or as completed; a dose that was used is used, whatever was said
//! before. Whoever comes first decides. A `book` that comes after `settle` is refused, so the dose that
//! `settle` gave back cannot be booked any more. `give up` is both: it settles, and cancels what
//! was booked. What is decided about requests that wait in line is in [`tickets`].

use std::collections::BTreeSet;

use contracts::{
    booking::{Booking, BookingStatus},
    ids::{BookingId, ReservationId, TicketId, UserId, VaccineId},
};
use jiff::Timestamp;
use storage::rows::Rows;
use thiserror::Error;

use self::tickets::{Enqueue, Serve, Ticket};

pub mod tickets;

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A dose is held for this attempt: make it a booking.
    Book(Book),
    /// The citizen does not want it any more.
    Cancel { booking: BookingId, at: Timestamp },
    /// Say for good what became of an attempt: a booking if there is one, otherwise nothing, ever.
    Settle { reservation: ReservationId, at: Timestamp },
    /// Nobody heard how an attempt ended, and nobody can ask: nothing of it may stand.
    GiveUp { reservation: ReservationId, at: Timestamp },
    /// The citizen was vaccinated.
    Complete { reservation: ReservationId },
    /// A place in the line, please.
    Enqueue(Enqueue),
    /// `vaccine` has answered for a ticket.
    Serve(Serve),
}

/// A booking that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// The attempt; asking again repeats the answer.
    pub reservation: ReservationId,
    /// The vaccine whose dose is held.
    pub vaccine: VaccineId,
    /// Its name.
    pub vaccine_name: String,
    /// Who books.
    pub user: UserId,
    /// What exactly was asked, where an `Idempotency-Key` came with it.
    pub asked: Option<Fingerprint>,
    /// When.
    pub at: Timestamp,
}

/// A short digest of a request, to tell whether the same key came with the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 16]);

/// What was done, or had been done before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// There is a new booking.
    Booked(Record),
    /// There was one already, from the same request.
    BookedBefore(Record),
    /// It is cancelled now.
    Cancelled(Record),
    /// It was cancelled before.
    CancelledBefore(Record),
    /// The attempt is over without a booking, and this is the first that says so.
    Abandoned(ReservationId),
    /// It was over before.
    AbandonedBefore(ReservationId),
    /// The attempt is over with this booking.
    Stands(Record),
    /// Its dose is used (now, or it was before).
    Completed(Record),
    /// There is a new ticket.
    Queued(Ticket),
    /// There was one already, from the same request.
    QueuedBefore(Ticket),
    /// The ticket has ended now, and not with a booking.
    Ended(Ticket),
    /// The ticket is at its next attempt now; the one before is over without a booking.
    GoesOn { ticket: Ticket, spent: ReservationId },
    /// Nothing new for the ticket.
    Unmoved(Ticket),
}

/// Why nothing was done. A healthy answer, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The attempt was given up before.
    #[error("the attempt was given up")]
    Abandoned,
    /// The key was used for another request.
    #[error("the Idempotency-Key came with another request before")]
    KeyReused,
    /// No booking of that id, or of that attempt.
    #[error("there is no such booking")]
    NoSuchBooking,
    /// The citizen was vaccinated.
    #[error("the injection is completed")]
    Completed,
    /// A ticket waits with this attempt, and will say itself what becomes of it.
    #[error("a ticket waits with this attempt")]
    Waiting,
    /// [`tickets::TICKETS_WAITING_MAX`] tickets are waiting.
    #[error("too many tickets are waiting")]
    LineFull,
    /// No ticket of that id.
    #[error("there is no such ticket")]
    NoSuchTicket,
}

/// The answer to a command.
pub type Outcome = Result<Done, Refusal>;

/// A booking as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The attempt that made it.
    pub reservation: ReservationId,
    /// What everybody may see.
    pub booking: Booking,
    /// What exactly was asked.
    pub asked: Option<Fingerprint>,
    /// When it was made.
    pub at: Timestamp,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// A booking.
    Booked(BookingId),
    /// Nothing, for ever.
    Abandoned,
}

/// The rows that a batch of commands is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register {
    /// Bookings.
    pub bookings: Rows<BookingId, Record>,
    /// Attempts.
    pub attempts: Rows<ReservationId, Attempt>,
    /// The highest booking id ever given.
    pub last_booking: i64,
    /// Tickets.
    pub tickets: Rows<TicketId, Ticket>,
    /// The attempts that waiting tickets are at.
    pub waited_for: BTreeSet<ReservationId>,
    /// The highest ticket number ever given.
    pub last_ticket: i64,
    /// How many tickets have ended.
    pub last_ended: i64,
}

/// Decides one command and changes the register accordingly; a refusal changes nothing.
pub fn decide(register: &mut Register, command: &Command) -> Outcome {
    match command {
        Command::Book(book) => register.book(book),
        Command::Cancel { booking, at: _ } => register.cancel(*booking),
        Command::Settle { reservation, at: _ } => register.settle(*reservation),
        Command::GiveUp { reservation, at: _ } => register.give_up(*reservation),
        Command::Complete { reservation } => register.complete(*reservation),
        Command::Enqueue(enqueue) => register.enqueue(enqueue),
        Command::Serve(serve) => register.serve(serve),
    }
}

impl Register {
    fn book(&mut self, book: &Book) -> Outcome {
        match self.attempt(book.reservation) {
            Some(Standing::Abandoned) => Err(Refusal::Abandoned),
            Some(Standing::Booked(record)) if record.asked == book.asked => {
                Ok(Done::BookedBefore(record.clone()))
            }
            Some(Standing::Booked(_)) => Err(Refusal::KeyReused),
            None => Ok(Done::Booked(self.add(book))),
        }
    }

    fn add(&mut self, book: &Book) -> Record {
        self.last_booking += 1;
        let id = BookingId(self.last_booking);
        let record = Record {
            reservation: book.reservation,
            booking: Booking {
                booking_id: id,
                vaccine_id: book.vaccine,
                vc_name: book.vaccine_name.clone(),
                user_id: book.user,
                status: BookingStatus::Booked,
            },
            asked: book.asked,
            at: book.at,
        };
        self.attempts.put(book.reservation, Attempt::Booked(id));
        self.bookings.put(id, record.clone());
        record
    }

    fn cancel(&mut self, id: BookingId) -> Outcome {
        let known = self.bookings.get(&id).ok_or(Refusal::NoSuchBooking)?;
        match known.booking.status {
            BookingStatus::BookingCancelled => return Ok(Done::CancelledBefore(known.clone())),
            BookingStatus::InjectionCompleted => return Err(Refusal::Completed),
            BookingStatus::Booked => {}
        }
        let record = self.bookings.get_mut(&id).ok_or(Refusal::NoSuchBooking)?;
        record.booking.status = BookingStatus::BookingCancelled;
        Ok(Done::Cancelled(record.clone()))
    }

    fn settle(&mut self, reservation: ReservationId) -> Outcome {
        match self.attempt(reservation) {
            Some(Standing::Booked(record)) => Ok(Done::Stands(record.clone())),
            Some(Standing::Abandoned) => Ok(Done::AbandonedBefore(reservation)),
            None if self.waited_for.contains(&reservation) => Err(Refusal::Waiting),
            None => {
                self.attempts.put(reservation, Attempt::Abandoned);
                Ok(Done::Abandoned(reservation))
            }
        }
    }

    fn give_up(&mut self, reservation: ReservationId) -> Outcome {
        match self.settle(reservation)? {
            Done::Stands(record) => self.cancel(record.booking.booking_id),
            over => Ok(over),
        }
    }

    fn complete(&mut self, reservation: ReservationId) -> Outcome {
        let Some(Attempt::Booked(id)) = self.attempts.get(&reservation).copied() else {
            return Err(Refusal::NoSuchBooking);
        };
        let record = self.bookings.get_mut(&id).ok_or(Refusal::NoSuchBooking)?;
        record.booking.status = BookingStatus::InjectionCompleted;
        Ok(Done::Completed(record.clone()))
    }

    fn attempt(&self, reservation: ReservationId) -> Option<Standing<'_>> {
        match self.attempts.get(&reservation)? {
            Attempt::Abandoned => Some(Standing::Abandoned),
            Attempt::Booked(id) => self.bookings.get(id).map(Standing::Booked),
        }
    }
}

/// An attempt that is over, with its booking.
enum Standing<'a> {
    Booked(&'a Record),
    Abandoned,
}
