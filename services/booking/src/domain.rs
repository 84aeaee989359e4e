//! The decisions about bookings. No async, no I/O, no clock, no randomness.
//!
//! An *attempt* becomes a booking with a *dose* that is held for this store, at most once each:
//!
//! ```text
//! attempt ──┬── create ──► booked ──┬── cancel ──► cancelled
//!    dose ──┘                       └── move, with another dose ──► booked
//!           └── abort, resolve ──► aborted
//! ```
//!
//! A booking ends as cancelled or as completed; a completed one was vaccinated, also if it had been
//! cancelled. The first command decides: a `create` with an attempt or a dose that was aborted is refused, so the
//! dose that was released cannot be booked any more. `resolve` keeps the booking of a dose, if there is one; `abort`
//! cancels it.
//! `move` exchanges the dose of a booking for one with a place of another slot. The former dose cannot be booked any more,
//! but it may have been used for that booking.
//! The decisions about queued requests are in [`tickets`].

use jiff::Timestamp;

mod bookings;
mod live;
mod moves;
mod records;
mod series;
pub mod tickets;

pub(crate) use live::candidates;
pub use {bookings::*, moves::*, records::*};

use self::tickets::{EnqueueReply, EnqueueTicket, ServeReply, ServeTicket};

/// Every command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A dose is held, and an attempt wants it: create the booking.
    Create(CreateBooking),
    /// The citizen cancels a booking.
    Cancel(CancelBooking),
    /// The citizen wants another slot, of which a place is held.
    Move(MoveBooking),
    /// Record for good what became of a hold: its booking if there is one, otherwise aborted.
    Resolve(ResolveHold),
    /// The response was that there is no booking: none may stand.
    Abort(Abort),
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
            Self::Move(moved) => moved.at,
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
    /// To [`Command::Move`].
    Move(MoveReply),
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
        Command::Move(moved) => Reply::Move(bookings.move_booking(moved)),
        Command::Resolve(resolve) => Reply::Resolve(bookings.resolve(*resolve)),
        Command::Abort(abort) => Reply::Abort(bookings.abort(*abort)),
        Command::Complete(complete) => Reply::Complete(bookings.complete(*complete)),
        Command::Enqueue(enqueue) => Reply::Enqueue(bookings.enqueue(enqueue)),
        Command::Serve(serve) => Reply::Serve(bookings.serve(serve)),
    }
}
