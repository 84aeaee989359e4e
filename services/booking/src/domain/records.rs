//! Bookings, attempts and tickets as they are stored.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    booking::Booking,
    ids::{BookingId, ReservationId, TicketId, UserId, VaccineId},
};
use jiff::Timestamp;
use platform_store::ChangeSet;
use uuid::Version;

/// An attempt to book a dose: waits for a hold, then becomes a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookingAttempt {
    /// Its id, for `vaccine` too; a repeated attempt gets the same reply.
    pub reservation: ReservationId,
    /// The vaccine.
    pub vaccine: VaccineId,
    /// The citizen.
    pub user: UserId,
    /// The fingerprint of the request, where it had an `Idempotency-Key`.
    pub fingerprint: Option<Fingerprint>,
}

/// Whether an attempt is one of an `Idempotency-Key`: its id is derived from that, and of UUID version 8.
pub fn is_of_key(reservation: ReservationId) -> bool {
    reservation.0.get_version() == Some(Version::Custom)
}

/// A short digest of a request: shows whether a key came with the same request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 16]);

/// A booking as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The attempt that it was created by.
    pub reservation: ReservationId,
    /// What its citizen may see.
    pub booking: Booking,
    /// The fingerprint of the request, where it had an `Idempotency-Key`.
    pub fingerprint: Option<Fingerprint>,
    /// When it was created.
    pub booked_at: Timestamp,
    /// When it was cancelled, even if its dose was used afterwards.
    pub cancelled_at: Option<Timestamp>,
}

/// How an attempt ended; `B` names or holds the booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd<B> {
    /// With this booking.
    Booked(B),
    /// Without a booking, for good, at this time.
    Aborted(Timestamp),
}

/// A request in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedTicket {
    /// Its id.
    pub id: TicketId,
    /// Its number in the order of arrival, from 1, without gaps.
    pub number: i64,
    /// The client's key.
    pub key: String,
    /// Its current attempt.
    pub attempt: BookingAttempt,
    /// The number of that attempt among the attempts of the key, from 0.
    pub attempt_number: u32,
    /// When it joined the queue.
    pub queued_at: Timestamp,
    /// How it ended; `None` while it waits.
    pub end: Option<TicketEnd>,
}

/// How a ticket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketEnd {
    /// With this booking.
    Booked(BookingId),
    /// Every dose was taken.
    SoldOut,
    /// There is no such vaccine.
    NoSuchVaccine,
    /// Another request with the same key was booked first.
    KeyReused,
    /// Its doses were released as often as a key has attempts.
    Aborted,
}

/// The bookings, attempts and tickets that a batch of commands names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bookings {
    /// Bookings by id.
    pub bookings: ChangeSet<BookingId, Record>,
    /// Attempts that have ended.
    pub attempts: ChangeSet<ReservationId, AttemptEnd<BookingId>>,
    /// The highest booking id ever given.
    pub last_booking: i64,
    /// Tickets by id.
    pub tickets: ChangeSet<TicketId, QueuedTicket>,
    /// The current attempts of waiting tickets.
    pub waiting_attempts: BTreeSet<ReservationId>,
    /// The waiting tickets of each citizen that requests one.
    pub waiting_of_user: BTreeMap<UserId, i64>,
    /// The highest ticket number ever given.
    pub last_ticket: i64,
    /// Every ticket up to this number has ended.
    pub ended_up_to: i64,
}
