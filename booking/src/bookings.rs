//! The booking protocol: never more bookings than doses, whatever crashes.
//!
//! 1. An attempt gets a reservation id, from the client's `Idempotency-Key` if there is one.
//! 2. `vaccine` holds a dose for that id, or says why not.
//! 3. The booking and its event are written in one commit; then the citizen hears of it.
//!
//! Where the answer to step 2 or 3 got lost, the outcome is unknown and never assumed. The citizen
//! is told to come back. With a key, the next request continues the same attempt. Without one
//! nobody can, so the attempt is given up: written down as over, which its event tells `vaccine`.
//! So is an attempt whose citizen was sent away because it took too long: a booking that somebody
//! was told not to have would take a dose from whoever comes back.
//! Attempts whose process died are settled by [`crate::settle`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chassis::{clock, process::Process};
use contracts::{
    booking::Booking,
    ids::{BookingId, HolderId, ReservationId, TicketId, UserId, VaccineId},
    vaccine::HoldOutcome,
};
use eventing::Bell;
use scopeguard::{ScopeGuard, guard};
use sha2::{Digest, Sha256};
use storage::{database::Unreadable, store::Desk};
use thiserror::Error;
use tracing::warn;
use uuid::Uuid;

use crate::{
    attempts::{Attempt, Attempts, NotTried, NotWritten, Tried},
    domain::{Command, Done, Fingerprint, Outcome, Record, Refusal},
    store::{Book, Ended, Reads},
};

/// How long before the citizen must be answered the hold must be.
const HOLD_BEFORE: Duration = Duration::from_millis(900);

/// How long before the citizen must be answered the commit must have begun.
pub(crate) const WRITE_BEFORE: Duration = Duration::from_millis(500);

/// How long a cancellation may wait for its commit.
const CANCEL_WITHIN: Duration = Duration::from_millis(2_400);

/// How long it may take to settle what nobody waits for.
const SETTLE_WITHIN: Duration = Duration::from_secs(10);

/// Attempts of one key. A new one begins only after the one before was given up for good.
pub(crate) const ATTEMPTS_MAX: u32 = 16;

/// What the protocol works with.
#[derive(Debug)]
pub struct Bookings {
    /// Takes commands.
    pub desk: Desk<Book>,
    /// Shows the last commit.
    pub reads: Reads,
    /// Takes attempts.
    pub attempts: Attempts,
    /// This store, as `vaccine` knows it.
    pub holder: HolderId,
    /// Rings when there is something new in the outbox.
    pub told: Bell,
    /// Rings when a ticket was put in line.
    pub queued: Bell,
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
    /// When the citizen must be answered.
    pub due: Instant,
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
    /// No ticket of that id.
    #[error("there is no such ticket")]
    NoSuchTicket,
    /// The citizen was vaccinated: there is nothing to cancel any more.
    #[error("the injection is completed")]
    Completed,
    /// Not now; nothing has happened.
    #[error("bookings cannot be taken at this moment")]
    ComeBack,
    /// Not now: `vaccine` is in trouble and left in peace. Nothing was asked.
    #[error("the stock of doses cannot be asked at this moment")]
    Isolated {
        /// When it is asked again.
        after: Duration,
    },
    /// No ticket: as many as may wait are waiting.
    #[error("too many tickets are waiting")]
    LineFull,
    /// It may or may not have happened.
    #[error("the answer got lost on the way")]
    Unknown,
}

/// How far one attempt came.
enum Attempted {
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
    /// Dropped before it has answered, it leaves nothing half done. With a key, the next request
    /// goes on. Without one, the attempt is given up if its time was over and the citizen was told
    /// to come back; it is settled as it stands if the citizen hung up.
    pub async fn book(self: &Arc<Self>, request: Request) -> Result<Booking, NotBooked> {
        match &request.key {
            None => self.without_key(&request).await,
            // Apart, so that who has no key does not carry the room for it along.
            Some(key) => Box::pin(self.with_key(&request, key)).await,
        }
    }

    /// Cancels a booking. The dose goes back once, however often it is asked.
    pub async fn cancel(&self, booking: BookingId) -> Result<Booking, NotBooked> {
        let cancel = Command::Cancel { booking, at: clock::now() };
        match self.write(cancel, Instant::now() + CANCEL_WITHIN).await {
            Ok(Ok(Done::Cancelled(record) | Done::CancelledBefore(record))) => Ok(record.booking),
            Ok(Err(Refusal::NoSuchBooking)) => Err(NotBooked::NoSuchBooking),
            Ok(Err(Refusal::Completed)) => Err(NotBooked::Completed),
            Ok(_) | Err(NotWritten::Unknown) => Err(NotBooked::Unknown),
            Err(NotWritten::Nothing) => Err(NotBooked::ComeBack),
        }
    }

    /// Says for good what became of attempts, in one commit.
    pub async fn settle(&self, reservations: &[ReservationId]) {
        let at = clock::now();
        let settle = |reservation: &_| Command::Settle { reservation: *reservation, at };
        let commands = reservations.iter().map(settle).collect();
        if self.desk.ask_all(commands, Instant::now() + SETTLE_WITHIN).await.is_err() {
            warn!("could not settle; the next round will");
        }
        self.told.ring();
    }

    async fn give_up(&self, reservation: ReservationId) {
        let give_up = Command::GiveUp { reservation, at: clock::now() };
        if self.write(give_up, Instant::now() + SETTLE_WITHIN).await.is_err() {
            warn!("could not give an attempt up; its hold is settled in a later round");
        }
    }

    async fn without_key(self: &Arc<Self>, request: &Request) -> Result<Booking, NotBooked> {
        let reservation = ReservationId(Uuid::now_v7());
        let unheard = guard(Arc::clone(self), |bookings| {
            let late = request.due <= Instant::now();
            self.process.spawn(async move {
                if late {
                    bookings.give_up(reservation).await;
                } else {
                    bookings.settle(&[reservation]).await;
                }
            });
        });
        let attempted = self.attempt(reservation, request).await;
        let bookings = ScopeGuard::into_inner(unheard);
        match attempted {
            Attempted::Ended(ended) => ended,
            Attempted::GivenUp => Err(NotBooked::ComeBack),
            Attempted::Open(why) => {
                self.process.spawn(async move { bookings.give_up(reservation).await });
                Err(why)
            }
        }
    }

    async fn with_key(&self, request: &Request, key: &Key) -> Result<Booking, NotBooked> {
        match self.reads.ticket(key.ticket(self.holder)).await {
            Ok(Some((ticket, _))) if ticket.asked != key.asked => return Err(NotBooked::KeyReused),
            Ok(_) => {}
            Err(Unreadable) => return Err(NotBooked::ComeBack),
        }
        for attempt in 0..ATTEMPTS_MAX {
            let reservation = key.reservation(self.holder, attempt);
            match self.reads.attempt(reservation).await {
                Ok(Some(Ended::Booked(record))) => return key.same_request(record),
                Ok(Some(Ended::Abandoned)) => continue,
                Ok(None) => {}
                Err(Unreadable) => return Err(NotBooked::ComeBack),
            }
            match self.attempt(reservation, request).await {
                Attempted::Ended(ended) => return ended,
                Attempted::Open(why) => return Err(why),
                Attempted::GivenUp => {}
            }
        }
        warn!("an Idempotency-Key has used up its {ATTEMPTS_MAX} attempts");
        Err(NotBooked::ComeBack)
    }

    /// One reservation id's try to become a booking.
    async fn attempt(&self, reservation: ReservationId, request: &Request) -> Attempted {
        let ended = |why| Attempted::Ended(Err(why));
        let attempt = Attempt {
            reservation,
            vaccine: request.vaccine,
            user: request.user,
            asked: request.key.as_ref().map(|key| key.asked),
            hold_by: before(request.due, HOLD_BEFORE),
            write_by: before(request.due, WRITE_BEFORE),
        };
        match self.attempts.make(attempt).await {
            Ok(Tried::Written(outcome)) => self.written(outcome),
            Ok(Tried::Refused(HoldOutcome::SoldOut)) => ended(NotBooked::SoldOut),
            Ok(Tried::Refused(HoldOutcome::NoSuchVaccine)) => ended(NotBooked::NoSuchVaccine),
            Ok(Tried::Refused(HoldOutcome::Conflict)) => ended(NotBooked::KeyReused),
            Ok(Tried::Refused(HoldOutcome::Released)) => self.released(reservation, request).await,
            Ok(Tried::Refused(HoldOutcome::Failed | HoldOutcome::Held { .. }))
            | Err(NotTried::Unknown) => Attempted::Open(NotBooked::Unknown),
            Err(NotTried::Isolated { after }) => ended(NotBooked::Isolated { after }),
            Err(NotTried::Busy | NotTried::Unreachable) => ended(NotBooked::ComeBack),
        }
    }

    fn written(&self, outcome: Result<Outcome, NotWritten>) -> Attempted {
        self.told.ring();
        match outcome {
            Ok(Ok(Done::Booked(record) | Done::BookedBefore(record))) => {
                Attempted::Ended(Ok(record.booking))
            }
            Ok(Err(Refusal::KeyReused)) => Attempted::Ended(Err(NotBooked::KeyReused)),
            Ok(Err(Refusal::Abandoned)) => Attempted::GivenUp,
            Ok(_) | Err(NotWritten::Unknown) => Attempted::Open(NotBooked::Unknown),
            Err(NotWritten::Nothing) => Attempted::Open(NotBooked::ComeBack),
        }
    }

    /// The dose was given back, so it can never be held again; say so here too before going on.
    async fn released(&self, reservation: ReservationId, request: &Request) -> Attempted {
        let settle = Command::Settle { reservation, at: clock::now() };
        match (self.write(settle, before(request.due, WRITE_BEFORE)).await, &request.key) {
            (Ok(Ok(Done::Abandoned(_) | Done::AbandonedBefore(_))), _) => Attempted::GivenUp,
            (Ok(Ok(Done::Stands(record))), Some(key)) => {
                // The same key booked and cancelled while this request was on its way.
                Attempted::Ended(key.same_request(record))
            }
            _ => Attempted::Ended(Err(NotBooked::ComeBack)),
        }
    }

    pub(crate) async fn write(
        &self,
        command: Command,
        deadline: Instant,
    ) -> Result<Outcome, NotWritten> {
        let outcome = self.desk.ask(command, deadline).await??;
        self.told.ring();
        Ok(outcome)
    }
}

impl Key {
    /// The reservation id of this key's n-th attempt. With the holder in it, since two separate
    /// stores that hear the same key must not share one dose.
    pub(crate) fn reservation(&self, holder: HolderId, attempt: u32) -> ReservationId {
        let digest = Sha256::new()
            .chain_update(holder.0.as_bytes())
            .chain_update(attempt.to_be_bytes())
            .chain_update(&self.key)
            .finalize();
        ReservationId(Uuid::new_v8(first_16(&digest)))
    }

    /// The ticket of this key.
    pub(crate) fn ticket(&self, holder: HolderId) -> TicketId {
        TicketId(self.reservation(holder, 0).0)
    }

    pub(crate) fn same_request(&self, record: Record) -> Result<Booking, NotBooked> {
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

pub(crate) fn before(due: Instant, margin: Duration) -> Instant {
    due.checked_sub(margin).unwrap_or(due)
}

fn first_16(digest: &[u8]) -> [u8; 16] {
    let mut first = [0; 16];
    first.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    first
}
