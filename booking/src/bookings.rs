//! The booking protocol: never more bookings than doses, whatever crashes.
//!
//! 1. An attempt gets a reservation id, from the client's `Idempotency-Key` if there is one.
//! 2. `vaccine` holds a dose for that id, or says why not.
//! 3. The booking and its event are written in one commit; then the citizen hears of it.
//!
//! Where the answer to step 2 or 3 got lost, the outcome is unknown and never assumed. The citizen
//! is told to come back. With a key, the next request continues the same attempt. Without one
//! nobody can, so the attempt is given up: written down as over, which its event tells `vaccine`.
//! So is an attempt whose caller is gone before the answer, or was sent away because it took too
//! long: a booking that nobody heard of would take a dose from somebody who comes back.
//! Attempts whose process died are settled by [`crate::settle`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chassis::{clock, process::Process};
use contracts::{
    booking::Booking,
    ids::{BookingId, HolderId, ReservationId, UserId, VaccineId},
    vaccine::{Hold, HoldOutcome},
};
use scopeguard::{ScopeGuard, guard};
use sha2::{Digest, Sha256};
use storage::{
    sqlite::Unreadable,
    writer::{Failed, WriteError, Writer},
};
use thiserror::Error;
use tokio::sync::Notify;
use tracing::warn;
use uuid::Uuid;

use crate::{
    domain::{Book, Command, Done, Fingerprint, Outcome, Record, Refusal},
    holds::{HoldError, Holds},
    store::{Reads, sqlite::Ended},
};

/// How long the hold may take.
const HOLD_WITHIN: Duration = Duration::from_secs(2);

/// When the commit must have begun.
const WRITE_WITHIN: Duration = Duration::from_millis(2_400);

/// How long it may take to settle what nobody waits for.
const SETTLE_WITHIN: Duration = Duration::from_secs(10);

/// Attempts of one key. A new one begins only after the one before was given up for good.
const ATTEMPTS_MAX: u32 = 16;

/// What the protocol works with.
#[derive(Debug)]
pub struct Bookings {
    /// Takes commands.
    pub writer: Writer<Command, Outcome>,
    /// Shows the last commit.
    pub reads: Reads,
    /// Asks `vaccine`.
    pub holds: Holds,
    /// This store, as `vaccine` knows it.
    pub holder: HolderId,
    /// Rings when there is something new in the outbox.
    pub told: Arc<Notify>,
    /// Gives attempts up though their caller is gone.
    pub process: Process,
}

/// A booking that is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The vaccine wanted.
    pub vaccine: VaccineId,
    /// Who books.
    pub user: UserId,
    /// The client's key, and what exactly came with it.
    pub key: Option<Key>,
}

/// An `Idempotency-Key` with the fingerprint of its request.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key.
    pub key: String,
    /// The request.
    pub asked: Fingerprint,
}

/// Why there is no booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotBooked {
    /// Every dose is held or booked.
    #[error("every dose is taken")]
    SoldOut,
    /// No vaccine of that id.
    #[error("there is no such vaccine")]
    NoSuchVaccine,
    /// The key came with another request before.
    #[error("the Idempotency-Key came with another request before")]
    KeyReused,
    /// No booking of that id.
    #[error("there is no such booking")]
    NoSuchBooking,
    /// Not now; nothing has happened.
    #[error("bookings cannot be taken at this moment")]
    ComeBack,
    /// It may or may not have happened.
    #[error("the answer got lost on the way")]
    Unknown,
}

/// How far one attempt came.
enum Tried {
    /// To its end.
    Ended(Result<Booking, NotBooked>),
    /// To no end that we know: a dose may be held for it.
    Open(NotBooked),
    /// It was given up: the next one of the same key may begin.
    GivenUp,
}

impl Bookings {
    /// Takes a booking, or says why not.
    ///
    /// Dropped before it has answered, it leaves nothing behind: without a key, the attempt is
    /// given up; with one, the next request goes on.
    pub async fn book(self: &Arc<Self>, request: Request) -> Result<Booking, NotBooked> {
        let start = Instant::now();
        match &request.key {
            None => self.without_key(&request, start).await,
            Some(key) => self.with_key(&request, key, start).await,
        }
    }

    /// Cancels a booking. The dose goes back once, however often it is asked.
    pub async fn cancel(&self, booking: BookingId) -> Result<Booking, NotBooked> {
        let cancel = Command::Cancel { booking, at: clock::now() };
        match self.write(cancel, Instant::now() + WRITE_WITHIN).await {
            Ok(Ok(Done::Cancelled(record) | Done::CancelledBefore(record))) => Ok(record.booking),
            Ok(Err(Refusal::NoSuchBooking)) => Err(NotBooked::NoSuchBooking),
            Ok(_) | Err(NotWritten::Unknown) => Err(NotBooked::Unknown),
            Err(NotWritten::Nothing) => Err(NotBooked::ComeBack),
        }
    }

    /// Says for good what became of attempts, in one commit.
    pub async fn settle(&self, reservations: &[ReservationId]) {
        let at = clock::now();
        let settle = |reservation: &_| Command::Settle { reservation: *reservation, at };
        let commands = reservations.iter().map(settle).collect();
        if self.writer.submit(commands, Instant::now() + SETTLE_WITHIN).await.is_err() {
            warn!("could not settle; the next round will");
        }
        self.told.notify_one();
    }

    async fn give_up(self: Arc<Self>, reservation: ReservationId) {
        let give_up = Command::GiveUp { reservation, at: clock::now() };
        if self.write(give_up, Instant::now() + SETTLE_WITHIN).await.is_err() {
            warn!("could not give an attempt up; its hold is settled in a later round");
        }
    }

    async fn without_key(
        self: &Arc<Self>,
        request: &Request,
        start: Instant,
    ) -> Result<Booking, NotBooked> {
        let reservation = ReservationId(Uuid::now_v7());
        let unheard = guard((), |()| {
            self.process.spawn(Arc::clone(self).give_up(reservation));
        });
        match self.attempt(reservation, request, start).await {
            Tried::Open(why) => Err(why),
            Tried::Ended(ended) => {
                ScopeGuard::into_inner(unheard);
                ended
            }
            Tried::GivenUp => {
                ScopeGuard::into_inner(unheard);
                Err(NotBooked::ComeBack)
            }
        }
    }

    async fn with_key(
        &self,
        request: &Request,
        key: &Key,
        start: Instant,
    ) -> Result<Booking, NotBooked> {
        for attempt in 0..ATTEMPTS_MAX {
            let reservation = key.reservation(self.holder, attempt);
            match self.reads.attempt(reservation).await {
                Ok(Some(Ended::Booked(record))) => return key.same_request(record),
                Ok(Some(Ended::Abandoned)) => continue,
                Ok(None) => {}
                Err(Unreadable) => return Err(NotBooked::ComeBack),
            }
            match self.attempt(reservation, request, start).await {
                Tried::Ended(ended) => return ended,
                Tried::Open(why) => return Err(why),
                Tried::GivenUp => {}
            }
        }
        warn!("an Idempotency-Key has used up its {ATTEMPTS_MAX} attempts");
        Err(NotBooked::ComeBack)
    }

    /// One reservation id's try to become a booking.
    async fn attempt(
        &self,
        reservation: ReservationId,
        request: &Request,
        start: Instant,
    ) -> Tried {
        let hold = Hold { reservation_id: reservation, vaccine_id: request.vaccine };
        let refused = |why| Tried::Ended(Err(why));
        match self.holds.hold(hold, start + HOLD_WITHIN).await {
            Ok(HoldOutcome::Held { vc_name }) => {
                self.write_down(reservation, request, vc_name, start).await
            }
            Ok(HoldOutcome::SoldOut) => refused(NotBooked::SoldOut),
            Ok(HoldOutcome::NoSuchVaccine) => refused(NotBooked::NoSuchVaccine),
            Ok(HoldOutcome::Conflict) => refused(NotBooked::KeyReused),
            Ok(HoldOutcome::Released) => {
                // Given back, so it can never be held again; say so here too before going on.
                let settle = Command::Settle { reservation, at: clock::now() };
                match (self.write(settle, start + WRITE_WITHIN).await, &request.key) {
                    (Ok(Ok(Done::Abandoned(_) | Done::AbandonedBefore(_))), _) => Tried::GivenUp,
                    (Ok(Ok(Done::Stands(record))), Some(key)) => {
                        // The same key booked and cancelled while this request was on its way.
                        Tried::Ended(key.same_request(record))
                    }
                    _ => refused(NotBooked::ComeBack),
                }
            }
            Ok(HoldOutcome::Failed) | Err(HoldError::Unknown) => Tried::Open(NotBooked::Unknown),
            Err(HoldError::Busy | HoldError::Unreachable) => refused(NotBooked::ComeBack),
        }
    }

    /// A dose is held: write the booking down.
    async fn write_down(
        &self,
        reservation: ReservationId,
        request: &Request,
        vaccine_name: String,
        start: Instant,
    ) -> Tried {
        let book = Command::Book(Book {
            reservation,
            vaccine: request.vaccine,
            vaccine_name,
            user: request.user,
            asked: request.key.as_ref().map(|key| key.asked),
            at: clock::now(),
        });
        match self.write(book, start + WRITE_WITHIN).await {
            Ok(Ok(Done::Booked(record) | Done::BookedBefore(record))) => {
                Tried::Ended(Ok(record.booking))
            }
            Ok(Err(Refusal::KeyReused)) => Tried::Ended(Err(NotBooked::KeyReused)),
            Ok(Err(Refusal::Abandoned)) => Tried::GivenUp,
            Ok(_) | Err(NotWritten::Unknown) => Tried::Open(NotBooked::Unknown),
            Err(NotWritten::Nothing) => Tried::Open(NotBooked::ComeBack),
        }
    }

    async fn write(&self, command: Command, deadline: Instant) -> Result<Outcome, NotWritten> {
        let outcome = self.writer.submit_one(command, deadline).await??;
        self.told.notify_one();
        Ok(outcome)
    }
}

enum NotWritten {
    Nothing,
    Unknown,
}

impl From<WriteError> for NotWritten {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Busy | WriteError::Expired | WriteError::Closed => Self::Nothing,
            WriteError::Stopped => Self::Unknown,
        }
    }
}

impl From<Failed> for NotWritten {
    fn from(_: Failed) -> Self {
        Self::Nothing
    }
}

impl Key {
    /// The reservation id of this key's n-th attempt. With the holder in it, since two separate
    /// stores that hear the same key must not share one dose.
    fn reservation(&self, holder: HolderId, attempt: u32) -> ReservationId {
        let digest = Sha256::new()
            .chain_update(holder.0.as_bytes())
            .chain_update(attempt.to_be_bytes())
            .chain_update(&self.key)
            .finalize();
        ReservationId(Uuid::new_v8(first_16(&digest)))
    }

    fn same_request(&self, record: Record) -> Result<Booking, NotBooked> {
        if record.asked == Some(self.asked) {
            Ok(record.booking)
        } else {
            Err(NotBooked::KeyReused)
        }
    }
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
