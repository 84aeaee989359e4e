//! The booking protocol: never more bookings than doses, whatever crashes.
//!
//! 1. `vaccine` holds a dose for this store, or refuses: [`crate::doses`].
//! 2. The booking with this dose and its event are written in one commit; then the citizen gets the response.
//!
//! Where the answer to step 2 is lost, the outcome is unknown and never assumed. The citizen gets a 503. With a key,
//! the next request finds the booking of its attempt, or makes one. Without one no request can, so the dose is
//! aborted, and the event of that releases it. The dose of an attempt whose request timed out is aborted too: a
//! booking whose citizen got a 503 would take it from another citizen.
//! Doses whose process died are resolved by [`crate::resolver`].
//! A booking is moved in the same two steps: `moves.rs`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use contracts::{
    booking::Booking,
    ids::{BookingId, ReservationId, StoreId, TicketId, UserId},
};
use platform_rest::{headers::Attempt, runtime::Runtime};
use platform_store::{CommandError, CommandOf, Commands, Notifier, ReadError, WriteError};
use platform_telemetry::clock;
use scopeguard::{ScopeGuard, guard};
use thiserror::Error;
use tracing::warn;

use crate::{
    aborts::Aborts,
    alternatives::Alternatives,
    domain::{
        Abortable, AttemptId, BookingAttempt, Bookings, CancelBooking, CancelReply, Choice,
        CreateBooking, CreateReply, Fingerprint, MOVES_MAX, NotGranted, ResolveHold,
        tickets::{
            EnqueueReply, EnqueueTicket, QueuedTicket, TicketEnd, WAITING_PER_USER_MAX, ticket_of,
        },
    },
    doses::{DoseQueue, NoDose},
    hand::Dose,
    holds::HoldClient,
    store::Queries,
    under_way::UnderWay,
};

mod keys;
mod moves;
mod series;

pub use keys::IdempotencyKey;
use keys::attempt_id;

/// How long a cancellation may wait for its commit.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(2_400);

/// How long before the response is due a commit must have begun.
const WRITE_MARGIN: Duration = Duration::from_millis(500);

/// Holds in one commit: bookings that arrive meanwhile wait as long as for a batch of their own.
const RESOLVED_MAX: usize = 1_000;

/// How long a write may wait for its commit when no request waits for it.
const BACKGROUND_WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the protocol works with.
#[derive(Debug)]
pub struct BookingProtocol {
    /// Submits commands.
    pub commands: Commands<Bookings>,
    /// Reads the last commit.
    pub queries: Queries,
    /// Gets doses for citizens.
    pub doses: DoseQueue,
    /// Requests doses.
    pub holds: Arc<HoldClient>,
    /// Aborts doses and attempts.
    pub aborts: Aborts,
    /// Knows what is free instead.
    pub alternatives: Alternatives,
    /// This store: the owner of its holds.
    pub owner: StoreId,
    /// Requests with a key.
    pub under_way: UnderWay<(AttemptId, Fingerprint, bool), Result<Accepted, BookingError>>,
    /// Notified when a ticket joins the queue.
    pub enqueued: Notifier,
    /// Ends attempts whose caller is gone.
    pub runtime: Runtime,
}

/// A valid request for a booking.
#[derive(Clone, Debug)]
pub struct BookingRequest {
    /// What the citizen wants.
    pub choice: Choice,
    /// The citizen.
    pub user: UserId,
    /// The `Idempotency-Key`, if it has one.
    pub key: Option<IdempotencyKey>,
    /// The attempt that the edge has given it, if it came from there.
    pub attempt: Option<Attempt>,
    /// When its response is due.
    pub deadline: Instant,
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
    /// The ledger grants no dose.
    #[error(transparent)]
    NotGranted(#[from] NotGranted),
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
    /// The booking was cancelled.
    #[error("its dose may have been booked by another citizen; book again")]
    Cancelled,
    /// The booking was moved to another slot while this request was served.
    #[error("the booking was moved to another slot meanwhile")]
    MovedMeanwhile,
    /// The booking was moved as often as may be.
    #[error("a booking can be moved {MOVES_MAX} times; cancel and book again")]
    MovedTooOften,
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

impl From<NoDose> for BookingError {
    fn from(no_dose: NoDose) -> Self {
        match no_dose {
            NoDose::NotGranted(reason) => reason.into(),
            NoDose::RetryLater => Self::RetryLater,
            NoDose::CircuitOpen { retry_after } => Self::CircuitOpen { retry_after },
        }
    }
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
    /// Without one, the dose is aborted if the response was due, since the citizen got a 503; it is resolved as it is
    /// if the client has closed the connection.
    pub async fn book(self: &Arc<Self>, request: BookingRequest) -> Result<Accepted, BookingError> {
        match &request.key {
            None => self.book_without_key(&request).await.map(Accepted::Booking),
            // Boxed, so that requests without a key do not carry the space for it.
            Some(key) => {
                // Of requests that are sent twice at once, the second would take a dose from another citizen.
                let attempt = attempt_id(self.owner, request.user, &key.key);
                let same = (attempt, key.fingerprint, key.wants_ticket);
                let outcome = self.book_with_key(&request, key, attempt);
                Box::pin(self.under_way.share(same, outcome)).await
            }
        }
    }

    /// Cancels a booking. The dose is released once, however often this is repeated.
    pub async fn cancel(&self, booking: BookingId) -> Result<Booking, BookingError> {
        let cancel = CancelBooking { booking, at: clock::now() };
        match self.commands.submit(cancel, Instant::now() + CANCEL_TIMEOUT).await? {
            CancelReply::Cancelled(record) | CancelReply::CancelledBefore(record) => {
                Ok(record.booking)
            }
            CancelReply::CancelledBoth(both) => {
                let [first, _] = *both;
                Ok(first.booking)
            }
            CancelReply::NoSuchBooking => Err(BookingError::NoSuchBooking),
            CancelReply::Completed => Err(BookingError::Completed),
        }
    }

    /// A ticket, with its position in the queue while it waits.
    pub async fn ticket(&self, id: TicketId) -> Result<(QueuedTicket, Option<i64>), BookingError> {
        self.queries.ticket(id).await?.ok_or(BookingError::NoSuchTicket)
    }

    /// Resolves holds for good, at most 1,000 in a commit.
    pub async fn resolve(&self, reservations: &[ReservationId]) {
        for some in reservations.chunks(RESOLVED_MAX) {
            let at = clock::now();
            let resolve = |reservation: &_| ResolveHold { reservation: *reservation, at };
            let deadline = Instant::now() + BACKGROUND_WRITE_TIMEOUT;
            let commands = some.iter().map(resolve).collect();
            if let Err(cause) = self.commands.submit_all(commands, deadline).await {
                warn!(%cause, "could not resolve holds; the next round will");
            }
        }
    }

    async fn book_without_key(
        self: &Arc<Self>,
        request: &BookingRequest,
    ) -> Result<Booking, BookingError> {
        let attempt = request.attempt(request.attempt.map(|given| AttemptId(given.id)));
        let repeated = request.attempt.filter(|given| given.is_repeated).map(|it| AttemptId(it.id));
        if let Some(id) = repeated
            && let Some(booking) = self.known_attempt(id, &attempt).await?
        {
            return Ok(booking);
        }
        let booked = self.book_dose(attempt, request.deadline).await;
        if let (Some(id), Err(_)) = (repeated, &booked) {
            // The first request may still be under way; neither may stand.
            self.aborts.abort(Abortable::Attempt(id));
        }
        match booked {
            // Another request has the attempt: it went there first.
            Err(BookingError::KeyReused) => Err(BookingError::Unknown),
            booked => attempt.own(booked?.ok_or(BookingError::RetryLater)?),
        }
    }

    /// What came of an attempt that the edge has repeated; none, if it may still become a booking.
    async fn known_attempt(
        &self,
        id: AttemptId,
        attempt: &BookingAttempt,
    ) -> Result<Option<Booking>, BookingError> {
        if let Some(record) = self.queries.booking_of(id).await? {
            return attempt.own(record.booking).map(Some);
        }
        if self.queries.is_aborted(Abortable::Attempt(id)).await? {
            return Err(BookingError::RetryLater);
        }
        Ok(None)
    }

    async fn book_with_key(
        self: &Arc<Self>,
        request: &BookingRequest,
        key: &IdempotencyKey,
        id: AttemptId,
    ) -> Result<Accepted, BookingError> {
        let attempt = request.attempt(Some(id));
        // With a dose in hand the commit finds out what came of earlier requests, and nothing is read before it.
        let in_hand = if key.wants_ticket { None } else { self.doses.in_hand(request.choice) };
        let booked = if let Some(dose) = in_hand {
            self.book_with(dose, attempt, request.deadline).await?
        } else if let Some(accepted) = self.known(id, key).await? {
            return Ok(accepted);
        } else if key.wants_ticket {
            return self.enqueue(request, key, id).await;
        } else {
            self.book_dose(attempt, request.deadline).await?
        };
        match booked {
            Some(booking) => Ok(Accepted::Booking(booking)),
            // A ticket of the key has ended without one.
            None => self.known(id, key).await?.ok_or(BookingError::RetryLater),
        }
    }

    /// What came of earlier requests with a key; none, if it may still become a booking.
    async fn known(
        &self,
        id: AttemptId,
        key: &IdempotencyKey,
    ) -> Result<Option<Accepted>, BookingError> {
        let (ticket, record) = self.queries.of_key(id).await?;
        match ticket {
            Some((ticket, _)) if ticket.fingerprint != key.fingerprint => {
                return Err(BookingError::KeyReused);
            }
            Some((ticket, position)) if key.wants_ticket => {
                return Ok(Some(Accepted::Ticket(ticket, position)));
            }
            Some((QueuedTicket { end: Some(end), .. }, _)) => {
                end.refusal().map_or(Ok(()), Err)?;
            }
            Some(_) | None => {}
        }
        match record {
            Some(record) if record.fingerprint != Some(key.fingerprint) => {
                Err(BookingError::KeyReused)
            }
            record => Ok(record.map(|record| Accepted::Booking(record.booking))),
        }
    }

    /// Books a dose for an attempt; none, if it was aborted.
    async fn book_dose(
        self: &Arc<Self>,
        attempt: BookingAttempt,
        deadline: Instant,
    ) -> Result<Option<Booking>, BookingError> {
        let dose = self.doses.take(attempt.choice, deadline).await?;
        self.book_with(dose, attempt, deadline).await
    }

    /// Books this dose for an attempt; none, if it was aborted.
    async fn book_with(
        self: &Arc<Self>,
        dose: Dose,
        attempt: BookingAttempt,
        deadline: Instant,
    ) -> Result<Option<Booking>, BookingError> {
        let (reservation, held) = (dose.reservation(), dose.held());
        let create = CreateBooking { attempt, dose: held, at: clock::now() };
        // With a key, the next request continues.
        let is_continued = attempt.fingerprint.is_some();
        let (created, dose) = self.submit_with(dose, create, is_continued, deadline).await?;
        match created {
            CreateReply::Booked(record) => {
                dose.spend();
                Ok(Some(record.booking))
            }
            CreateReply::BookedBoth(both) => {
                dose.spend();
                let [first, _] = *both;
                Ok(Some(first.booking))
            }
            CreateReply::BookedBefore(record) => {
                if record.reservation == reservation {
                    dose.spend();
                }
                Ok(Some(record.booking))
            }
            CreateReply::Aborted => Ok(None),
            CreateReply::DoseTaken => {
                dose.spend();
                Err(BookingError::RetryLater)
            }
            CreateReply::KeyReused => Err(BookingError::KeyReused),
            CreateReply::AlreadyBooked => {
                self.give_back_series(dose);
                Err(NotGranted::AlreadyBooked.into())
            }
        }
    }

    /// Releases the doses of a series at once, since few want the same two slots. Others go back in hand.
    fn give_back_series(self: &Arc<Self>, dose: Dose) {
        if dose.is_of_series() {
            let reservations: Vec<_> = dose.reservations().collect();
            dose.spend();
            let protocol = Arc::clone(self);
            self.runtime.spawn(async move { protocol.resolve(&reservations).await });
        }
    }

    /// Submits a command that uses this dose, and returns the dose with the reply. If there is none, or the request is
    /// dropped, the dose is spent where it may be used, and resolved as it is, or aborted if the response was due and no
    /// other request continues.
    async fn submit_with<C: CommandOf<Bookings>>(
        self: &Arc<Self>,
        dose: Dose,
        command: C,
        is_continued: bool,
        deadline: Instant,
    ) -> Result<(C::Reply, Dose), WriteError> {
        let dropped = guard((Arc::clone(self), dose), |(protocol, dose)| {
            let reservations = dose.reservations();
            dose.spend();
            if deadline > Instant::now() {
                let runtime = protocol.runtime.clone();
                let reservations: Vec<_> = reservations.collect();
                runtime.spawn(async move { protocol.resolve(&reservations).await });
            } else if !is_continued {
                reservations.for_each(|it| protocol.aborts.abort(Abortable::Dose(it)));
            }
        });
        let replied = self.commands.submit(command, write_deadline(deadline)).await;
        let (_, dose) = ScopeGuard::into_inner(dropped);
        match replied {
            Ok(reply) => Ok((reply, dose)),
            Err(error) => {
                if may_be_committed(error) {
                    let reservations = dose.reservations();
                    dose.spend();
                    if !is_continued {
                        reservations.for_each(|it| self.aborts.abort(Abortable::Dose(it)));
                    }
                }
                Err(error)
            }
        }
    }

    /// Adds a request to the queue.
    async fn enqueue(
        &self,
        request: &BookingRequest,
        key: &IdempotencyKey,
        id: AttemptId,
    ) -> Result<Accepted, BookingError> {
        let enqueue = EnqueueTicket {
            ticket: ticket_of(id),
            choice: request.choice,
            user: request.user,
            fingerprint: key.fingerprint,
            at: clock::now(),
        };
        match self.commands.submit(enqueue, write_deadline(request.deadline)).await? {
            EnqueueReply::Queued(ticket) | EnqueueReply::QueuedBefore(ticket) => {
                self.holds.enqueued();
                self.enqueued.notify();
                let (ticket, position) = self.ticket(ticket.id).await?;
                Ok(Accepted::Ticket(ticket, position))
            }
            EnqueueReply::BookedBefore(record) => Ok(Accepted::Booking(record.booking)),
            EnqueueReply::Aborted => Err(BookingError::RetryLater),
            EnqueueReply::KeyReused => Err(BookingError::KeyReused),
            EnqueueReply::TooManyOfUser => Err(BookingError::TooManyTickets),
            EnqueueReply::QueueFull => Err(BookingError::QueueFull),
        }
    }
}

impl BookingRequest {
    fn attempt(&self, id: Option<AttemptId>) -> BookingAttempt {
        BookingAttempt {
            id,
            choice: self.choice,
            user: self.user,
            fingerprint: self.key.as_ref().map(|key| key.fingerprint),
        }
    }
}

/// Whether a write that failed may be committed: where the connection to the store was lost at the end of the commit,
/// too.
pub(crate) fn may_be_committed(error: WriteError) -> bool {
    error.outcome_is_unknown() || error == WriteError::Command(CommandError::Unavailable)
}

/// When the commit of a request must have begun.
fn write_deadline(response_deadline: Instant) -> Instant {
    response_deadline.checked_sub(WRITE_MARGIN).unwrap_or(response_deadline)
}

impl TicketEnd {
    /// What the same key gets without a ticket; none, if there is a booking.
    fn refusal(self) -> Option<BookingError> {
        match self {
            Self::Booked(_) => None,
            Self::NotGranted(reason) => Some(reason.into()),
            Self::KeyReused => Some(BookingError::KeyReused),
        }
    }
}

impl BookingAttempt {
    /// The booking, if it is of this request: an id that came from outside shows nobody another one's.
    fn own(&self, booking: Booking) -> Result<Booking, BookingError> {
        let is_own = (booking.user_id, Choice::of(&booking)) == (self.user, self.choice.first());
        if is_own { Ok(booking) } else { Err(BookingError::Unknown) }
    }
}
