//! The booking protocol: never more bookings than doses, whatever crashes.
//!
//! 1. An attempt gets a reservation id, derived from the client's `Idempotency-Key` if there is one.
//! 2. `vaccine` holds a dose for that id, or refuses.
//! 3. The booking and its event are written in one commit; then the citizen gets the response.
//!
//! Where the answer to step 2 or 3 is lost, the outcome is unknown and never assumed. The citizen gets a
//! 503. With a key, the next request continues the same attempt. Without one no request can, so the attempt
//! is aborted, and the event of that releases the dose. An attempt whose request timed out is aborted too: a
//! booking whose citizen got a 503 would take a dose from another citizen.
//! Attempts whose process died are resolved by [`crate::resolver`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use contracts::{
    booking::Booking,
    ids::{BookingId, ReservationId, StoreId, TicketId, UserId, VaccineId},
};
use platform_rest::{headers::Attempt, runtime::Runtime};
use platform_store::{Commands, Notifier, ReadError, WriteError};
use platform_telemetry::clock;
use scopeguard::{ScopeGuard, guard};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tracing::warn;
use uuid::Uuid;

use crate::{
    aborts::Aborts,
    attempts::{AttemptOutcome, Attempts, write_deadline},
    domain::{
        AttemptEnd, BookingAttempt, Bookings, CancelBooking, CancelReply, Fingerprint, Record,
        ResolveAttempt, ResolveReply,
        tickets::{EnqueueReply, EnqueueTicket, QueuedTicket, TicketEnd, WAITING_PER_USER_MAX},
    },
    holds::HoldClient,
    store::Queries,
};

/// How long a cancellation may wait for its commit.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(2_400);

/// How long a write may wait for its commit when no request waits for it.
const BACKGROUND_WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Attempts of one key. Each begins only after the one before was aborted.
pub(crate) const ATTEMPTS_MAX: u32 = 16;

/// What the protocol works with.
#[derive(Debug)]
pub struct BookingProtocol {
    /// Submits commands.
    pub commands: Commands<Bookings>,
    /// Reads the last commit.
    pub queries: Queries,
    /// Holds doses and books them.
    pub attempts: Attempts,
    /// Requests doses.
    pub holds: Arc<HoldClient>,
    /// Aborts attempts.
    pub aborts: Aborts,
    /// This store: the owner of its holds.
    pub owner: StoreId,
    /// Notified when a ticket joins the queue.
    pub enqueued: Notifier,
    /// Ends attempts whose caller is gone.
    pub runtime: Runtime,
}

/// A valid request for a booking.
#[derive(Clone, Debug)]
pub struct BookingRequest {
    /// The vaccine.
    pub vaccine: VaccineId,
    /// The citizen.
    pub user: UserId,
    /// The `Idempotency-Key`, if it has one.
    pub key: Option<IdempotencyKey>,
    /// The attempt that the edge has given it, if it came from there.
    pub attempt: Option<Attempt>,
    /// When its response is due.
    pub deadline: Instant,
}

/// An `Idempotency-Key` and the request that it came with.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// The key.
    pub key: String,
    /// The fingerprint of the request.
    pub fingerprint: Fingerprint,
    /// Whether the client prefers a ticket to waiting for the booking.
    pub wants_ticket: bool,
}

/// What an accepted request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A booking.
    Booking(Booking),
    /// A ticket, with its position in the queue while it waits.
    Ticket(QueuedTicket, Option<i64>),
}

/// Why a request was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BookingError {
    /// Every dose is held or booked.
    #[error("every dose is taken")]
    SoldOut,
    /// No vaccine has this id.
    #[error("there is no such vaccine")]
    NoSuchVaccine,
    /// The key came with another request before.
    #[error("the Idempotency-Key came with another request before")]
    KeyReused,
    /// No booking has this id.
    #[error("there is no such booking")]
    NoSuchBooking,
    /// No ticket has this id.
    #[error("there is no such ticket")]
    NoSuchTicket,
    /// The citizen was vaccinated.
    #[error("the injection is completed")]
    Completed,
    /// Nothing has happened.
    #[error("bookings cannot be taken at this moment")]
    RetryLater,
    /// The circuit to `vaccine` is open. Nothing has happened.
    #[error("the stock service is unavailable")]
    CircuitOpen {
        /// When to retry.
        retry_after: Duration,
    },
    /// As many tickets of the citizen wait as may.
    #[error("{WAITING_PER_USER_MAX} tickets of this user are waiting; retry when one has ended")]
    TooManyTickets,
    /// As many tickets wait as may.
    #[error("too many tickets are waiting")]
    QueueFull,
    /// It may or may not have happened.
    #[error("the outcome is unknown: a response was lost")]
    Unknown,
}

impl From<ReadError> for BookingError {
    fn from(ReadError: ReadError) -> Self {
        Self::RetryLater
    }
}

impl From<WriteError> for BookingError {
    fn from(error: WriteError) -> Self {
        if error.outcome_is_unknown() { Self::Unknown } else { Self::RetryLater }
    }
}

impl BookingProtocol {
    /// Serves a request for a booking.
    ///
    /// Dropped before it has returned, it leaves nothing half done. With a key, the next request continues.
    /// Without one, the attempt is aborted if the response was due, since the citizen got a 503; it is
    /// resolved as it is if the client has closed the connection.
    pub async fn book(self: &Arc<Self>, request: BookingRequest) -> Result<Accepted, BookingError> {
        match &request.key {
            None => self.book_without_key(&request).await.map(Accepted::Booking),
            // Boxed, so that requests without a key do not carry the space for it.
            Some(key) => Box::pin(self.book_with_key(&request, key)).await,
        }
    }

    /// Cancels a booking. The dose is released once, however often this is repeated.
    pub async fn cancel(&self, booking: BookingId) -> Result<Booking, BookingError> {
        let cancel = CancelBooking { booking, at: clock::now() };
        match self.commands.submit(cancel, Instant::now() + CANCEL_TIMEOUT).await? {
            CancelReply::Cancelled(record) | CancelReply::CancelledBefore(record) => {
                Ok(record.booking)
            }
            CancelReply::NoSuchBooking => Err(BookingError::NoSuchBooking),
            CancelReply::Completed => Err(BookingError::Completed),
        }
    }

    /// A ticket, with its position in the queue while it waits.
    pub async fn ticket(&self, id: TicketId) -> Result<(QueuedTicket, Option<i64>), BookingError> {
        self.queries.ticket(id).await?.ok_or(BookingError::NoSuchTicket)
    }

    /// Resolves attempts for good, in one commit.
    pub async fn resolve(&self, reservations: &[ReservationId]) {
        let at = clock::now();
        let resolve = |reservation: &_| ResolveAttempt { reservation: *reservation, at };
        let commands = reservations.iter().map(resolve).collect();
        let deadline = Instant::now() + BACKGROUND_WRITE_TIMEOUT;
        if let Err(cause) = self.commands.submit_all(commands, deadline).await {
            warn!(%cause, "could not resolve attempts; the next round will");
        }
    }

    async fn book_without_key(
        self: &Arc<Self>,
        request: &BookingRequest,
    ) -> Result<Booking, BookingError> {
        let given = request.attempt.unwrap_or_else(Attempt::first);
        let (reservation, deadline) = (ReservationId(given.id), request.deadline);
        if given.is_repeated
            && let Some(end) = self.queries.attempt(reservation).await?
        {
            return request.attempt(reservation).ended(end);
        }
        let dropped = guard(Arc::clone(self), move |protocol| {
            if deadline <= Instant::now() {
                protocol.aborts.abort(reservation);
            } else {
                let runtime = protocol.runtime.clone();
                runtime.spawn(async move { protocol.resolve(&[reservation]).await });
            }
        });
        let attempt = request.attempt(reservation);
        let outcome = self.attempt(attempt, deadline).await;
        ScopeGuard::into_inner(dropped);
        // The first request of a repeated attempt may have held a dose.
        let is_booked = matches!(outcome, AttemptOutcome::Booked(_));
        if outcome.is_open() || (given.is_repeated && !is_booked) {
            self.aborts.abort(reservation);
        }
        match outcome {
            // Another store has the attempt: it went there first.
            AttemptOutcome::KeyReused => Err(BookingError::Unknown),
            AttemptOutcome::Booked(booking) => attempt.own(booking),
            outcome => outcome.into_booking()?.ok_or(BookingError::RetryLater),
        }
    }

    /// Continues with the first attempt of the key that was not aborted.
    async fn book_with_key(
        &self,
        request: &BookingRequest,
        key: &IdempotencyKey,
    ) -> Result<Accepted, BookingError> {
        for number in 0..ATTEMPTS_MAX {
            // Also before a further attempt: a ticket may have ended the one before.
            match self.queries.ticket(request.ticket(key, self.owner)).await? {
                Some((ticket, _)) if ticket.attempt.fingerprint != Some(key.fingerprint) => {
                    return Err(BookingError::KeyReused);
                }
                Some((ticket, position)) if key.wants_ticket => {
                    return Ok(Accepted::Ticket(ticket, position));
                }
                Some((QueuedTicket { end: Some(end), .. }, _)) => {
                    end.refusal().map_or(Ok(()), Err)?;
                }
                Some(_) | None => {}
            }
            let attempt =
                request.attempt(reservation_id(self.owner, request.user, &key.key, number));
            match self.queries.attempt(attempt.reservation).await? {
                Some(AttemptEnd::Aborted(_)) => continue,
                Some(AttemptEnd::Booked(record)) => {
                    return attempt.same_request(record).map(Accepted::Booking);
                }
                None => {}
            }
            let accepted = if key.wants_ticket {
                self.enqueue(request, key, attempt, number).await?
            } else {
                let outcome = self.attempt(attempt, request.deadline).await;
                outcome.into_booking()?.map(Accepted::Booking)
            };
            if let Some(accepted) = accepted {
                return Ok(accepted);
            }
        }
        warn!("an Idempotency-Key has used up its {ATTEMPTS_MAX} attempts");
        Err(BookingError::RetryLater)
    }

    async fn attempt(&self, attempt: BookingAttempt, deadline: Instant) -> AttemptOutcome {
        match self.attempts.submit(attempt, deadline).await {
            AttemptOutcome::Released => self.resolve_released(attempt, deadline).await,
            outcome => outcome,
        }
    }

    /// The dose was released, so it is never held again: the attempt ends here too before the next begins.
    async fn resolve_released(&self, attempt: BookingAttempt, deadline: Instant) -> AttemptOutcome {
        let resolve = ResolveAttempt { reservation: attempt.reservation, at: clock::now() };
        match self.commands.submit(resolve, write_deadline(deadline)).await {
            Ok(ResolveReply::Aborted(_)) => AttemptOutcome::Aborted,
            // Another request with the same key booked and cancelled while this one was under way.
            Ok(ResolveReply::Booked(record)) => match attempt.same_request(record) {
                Ok(booking) => AttemptOutcome::Booked(booking),
                Err(_) => AttemptOutcome::KeyReused,
            },
            Ok(ResolveReply::Waiting) | Err(_) => AttemptOutcome::RetryLater,
        }
    }

    /// Adds a request to the queue; `None` if its attempt was aborted.
    async fn enqueue(
        &self,
        request: &BookingRequest,
        key: &IdempotencyKey,
        attempt: BookingAttempt,
        attempt_number: u32,
    ) -> Result<Option<Accepted>, BookingError> {
        let enqueue = EnqueueTicket {
            ticket: request.ticket(key, self.owner),
            key: key.key.clone(),
            attempt,
            attempt_number,
            at: clock::now(),
        };
        match self.commands.submit(enqueue, write_deadline(request.deadline)).await? {
            EnqueueReply::Queued(ticket) | EnqueueReply::QueuedBefore(ticket) => {
                self.holds.enqueued();
                self.enqueued.notify();
                let (ticket, position) = self.ticket(ticket.id).await?;
                Ok(Some(Accepted::Ticket(ticket, position)))
            }
            EnqueueReply::BookedBefore(record) => Ok(Some(Accepted::Booking(record.booking))),
            EnqueueReply::Aborted => Ok(None),
            EnqueueReply::KeyReused => Err(BookingError::KeyReused),
            EnqueueReply::TooManyOfUser => Err(BookingError::TooManyTickets),
            EnqueueReply::QueueFull => Err(BookingError::QueueFull),
        }
    }
}

impl BookingRequest {
    fn ticket(&self, key: &IdempotencyKey, owner: StoreId) -> TicketId {
        TicketId(reservation_id(owner, self.user, &key.key, 0).0)
    }

    fn attempt(&self, reservation: ReservationId) -> BookingAttempt {
        BookingAttempt {
            reservation,
            vaccine: self.vaccine,
            user: self.user,
            fingerprint: self.key.as_ref().map(|key| key.fingerprint),
        }
    }
}

impl TicketEnd {
    /// What the same key gets without a ticket; none, if there is a booking.
    fn refusal(self) -> Option<BookingError> {
        match self {
            Self::Booked(_) => None,
            Self::SoldOut => Some(BookingError::SoldOut),
            Self::NoSuchVaccine => Some(BookingError::NoSuchVaccine),
            Self::KeyReused => Some(BookingError::KeyReused),
            Self::Aborted => Some(BookingError::RetryLater),
        }
    }
}

impl BookingAttempt {
    /// What a repeated request gets.
    fn ended(&self, end: AttemptEnd<Record>) -> Result<Booking, BookingError> {
        match end {
            AttemptEnd::Aborted(_) => Err(BookingError::RetryLater),
            AttemptEnd::Booked(record) => self.own(record.booking),
        }
    }

    /// The booking, if it is of this request: an id that came from outside shows nobody another one's.
    fn own(&self, booking: Booking) -> Result<Booking, BookingError> {
        let is_own = (booking.user_id, booking.vaccine_id) == (self.user, self.vaccine);
        if is_own { Ok(booking) } else { Err(BookingError::Unknown) }
    }

    fn same_request(&self, record: Record) -> Result<Booking, BookingError> {
        if record.fingerprint == self.fingerprint {
            Ok(record.booking)
        } else {
            Err(BookingError::KeyReused)
        }
    }
}

impl AttemptOutcome {
    /// The booking; `None` if the next attempt of the same key may begin.
    fn into_booking(self) -> Result<Option<Booking>, BookingError> {
        match self {
            Self::Booked(booking) => Ok(Some(booking)),
            Self::Aborted | Self::Released => Ok(None),
            Self::SoldOut => Err(BookingError::SoldOut),
            Self::NoSuchVaccine => Err(BookingError::NoSuchVaccine),
            Self::KeyReused => Err(BookingError::KeyReused),
            Self::CircuitOpen { retry_after } => Err(BookingError::CircuitOpen { retry_after }),
            Self::RetryLater | Self::NotWritten => Err(BookingError::RetryLater),
            Self::Unknown => Err(BookingError::Unknown),
        }
    }
}

/// The reservation id of the n-th attempt of a key ([`is_of_key`](crate::domain::is_of_key)). It depends on the
/// owner, since two booking stores that receive the same key must not share one dose, and on the user: the same key
/// of another user is another request.
pub(crate) fn reservation_id(
    owner: StoreId,
    user: UserId,
    key: &str,
    attempt: u32,
) -> ReservationId {
    let digest = Sha256::new()
        .chain_update(owner.0.as_bytes())
        .chain_update(user.0.to_be_bytes())
        .chain_update(attempt.to_be_bytes())
        .chain_update(key)
        .finalize();
    ReservationId(Uuid::new_v8(first_16(&digest)))
}

impl Fingerprint {
    /// The fingerprint of a request, given as bytes that differ when the request does.
    pub fn of(request: &[u8]) -> Self {
        Self(first_16(&Sha256::digest(request)))
    }
}

fn first_16(digest: &[u8]) -> [u8; 16] {
    let mut first = [0; 16];
    first.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    first
}
