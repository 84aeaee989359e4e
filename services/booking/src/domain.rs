//! The decisions about bookings. No async, no I/O, no clock, no randomness.
//!
//! An *attempt* is one reservation id that may become a booking. It ends once, for good:
//!
//! ```text
//!            ┌── create ───► booked ── cancel ──► cancelled
//! attempt ───┤
//!            └── resolve ──► aborted
//! ```
//!
//! A booking ends as cancelled or as completed; a completed one was vaccinated, also if it had been
//! cancelled. The first command decides: a `create` after `resolve` is refused, so the dose that `resolve`
//! gave back cannot be booked any more. `abort` is both: it resolves the attempt, and cancels its booking.
//! The decisions about queued requests are in [`tickets`].

use jiff::Timestamp;

mod bookings;
mod records;
pub mod tickets;

pub use {bookings::*, records::*};

use self::tickets::{EnqueueReply, EnqueueTicket, ServeReply, ServeTicket};

/// Every command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A dose is held for an attempt: create its booking.
    Create(CreateBooking),
    /// The citizen cancels a booking.
    Cancel(CancelBooking),
    /// Record for good how an attempt ended: with its booking if there is one, otherwise aborted.
    Resolve(ResolveAttempt),
    /// The response was that there is no booking: none of this attempt may stand.
    Abort(AbortAttempt),
    /// The citizen was vaccinated.
    Complete(CompleteBooking),
    /// A request joins the queue.
    Enqueue(EnqueueTicket),
    /// `vaccine` has answered for a ticket.
    Serve(ServeTicket),
}

impl Command {
    /// When it was given.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Create(create) => create.at,
            Self::Cancel(cancel) => cancel.at,
            Self::Resolve(resolve) => resolve.at,
            Self::Abort(abort) => abort.at,
            Self::Complete(complete) => complete.at,
            Self::Enqueue(enqueue) => enqueue.at,
            Self::Serve(serve) => serve.at,
        }
    }
}

/// Every reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Command::Create`].
    Create(CreateReply),
    /// To [`Command::Cancel`].
    Cancel(CancelReply),
    /// To [`Command::Resolve`].
    Resolve(ResolveReply),
    /// To [`Command::Abort`].
    Abort(AbortReply),
    /// To [`Command::Complete`].
    Complete(CompleteReply),
    /// To [`Command::Enqueue`].
    Enqueue(EnqueueReply),
    /// To [`Command::Serve`].
    Serve(ServeReply),
}

/// Decides one command; a refusal changes nothing.
pub fn decide(bookings: &mut Bookings, command: &Command) -> Reply {
    match command {
        Command::Create(create) => Reply::Create(bookings.create(create)),
        Command::Cancel(cancel) => Reply::Cancel(bookings.cancel(cancel)),
        Command::Resolve(resolve) => {
            Reply::Resolve(bookings.resolve(resolve.reservation, resolve.at))
        }
        Command::Abort(abort) => Reply::Abort(bookings.abort(*abort)),
        Command::Complete(complete) => Reply::Complete(bookings.complete(complete.reservation)),
        Command::Enqueue(enqueue) => Reply::Enqueue(bookings.enqueue(enqueue)),
        Command::Serve(serve) => Reply::Serve(bookings.serve(serve)),
    }
}
