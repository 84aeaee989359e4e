//! Bookings and tickets as they are stored.

use std::collections::BTreeMap;

use contracts::{
    booking::{BookedSlot, Booking},
    ids::{BookingId, CampaignId, ReservationId, SlotId, TicketId, UserId, VaccineId},
    vaccine::product::DoseInterval,
};
use jiff::Timestamp;
use platform_store::ChangeSet;
use thiserror::Error;
use uuid::Uuid;

/// The number of the first dose of a series, and of a single one.
pub const FIRST_DOSE: u8 = 1;

/// The number of the second dose of a series.
pub const SECOND_DOSE: u8 = 2;

/// An attempt to get a booking. It becomes one with any dose that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookingAttempt {
    /// Its id, where its request may be repeated; a repeated attempt gets the same booking.
    pub id: Option<AttemptId>,
    /// What the citizen wants.
    pub choice: Choice,
    /// The citizen.
    pub user: UserId,
    /// The fingerprint of the request, where it had an `Idempotency-Key`.
    pub fingerprint: Option<Fingerprint>,
}

/// What a citizen wants: a dose of a vaccine, a place of a slot if they have chosen one, and of another one for a second
/// dose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    /// The vaccine.
    pub vaccine: VaccineId,
    /// The slot.
    pub slot: Option<SlotId>,
    /// The slot of the second dose of a series.
    pub next: Option<SlotId>,
}

impl Choice {
    /// What the citizen of a booking has chosen, for this dose.
    pub fn of(booking: &Booking) -> Self {
        let slot = booking.slot.map(|slot| slot.slot_id);
        Self { vaccine: booking.vaccine_id, slot, next: None }
    }

    /// Without a second dose.
    #[must_use]
    pub fn first(self) -> Self {
        Self { next: None, ..self }
    }
}

/// A dose without a time.
impl From<VaccineId> for Choice {
    fn from(vaccine: VaccineId) -> Self {
        Self { vaccine, slot: None, next: None }
    }
}

/// Why a citizen gets no dose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum NotGranted {
    /// Every dose is held or booked.
    #[error("every dose is taken")]
    SoldOut,
    /// Every place of the slot is held or booked.
    #[error("every place of the slot is taken")]
    SlotFull,
    /// There is no such vaccine.
    #[error("there is no such vaccine")]
    NoSuchVaccine,
    /// There is no such slot, or it does not offer the vaccine.
    #[error("there is no such slot for this vaccine")]
    NoSuchSlot,
    /// Its campaign is not open, or the slot has begun.
    #[error("the slot cannot be booked now")]
    NotOpen,
    /// Every place or dose at the time of the second dose is held or booked.
    #[error("every place or dose at the time of the second dose is taken")]
    NextSlotFull,
    /// The second slot is too early or too late after the first.
    #[error("the second dose would be too early or too late after the first")]
    OutsideInterval,
    /// The vaccine has no second dose.
    #[error("one dose of this vaccine is enough")]
    SingleDose,
    /// The citizen has as many live bookings of this campaign as a person can have; decided here, not by the ledger.
    #[error("this person has a booking of this campaign; move it, or cancel it first")]
    AlreadyBooked,
}

impl NotGranted {
    /// Whether there may be doses and places again in a moment.
    pub fn is_sold_out(self) -> bool {
        matches!(self, Self::SoldOut | Self::SlotFull | Self::NextSlotFull)
    }
}

/// What a repeated request is recognised by: derived from its `Idempotency-Key`, or given by the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttemptId(pub Uuid);

/// The ticket of the key of an attempt.
pub(crate) fn ticket_of(AttemptId(id): AttemptId) -> TicketId {
    TicketId(id)
}

/// The attempt of the key of a ticket.
pub(crate) fn attempt_of(TicketId(id): TicketId) -> AttemptId {
    AttemptId(id)
}

/// A dose that is held for this store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldDose {
    /// Its reservation.
    pub reservation: ReservationId,
    /// The name of the vaccine.
    pub vaccine_name: String,
    /// The slot of which a place is held too.
    pub slot: Option<HeldSlot>,
    /// The second dose of a series, which is held too.
    pub next: Option<Box<NextDose>>,
}

/// A second dose that is held for this store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextDose {
    /// Its reservation.
    pub reservation: ReservationId,
    /// The slot of which a place is held.
    pub slot: HeldSlot,
    /// How many days after the first it may be.
    pub interval: DoseInterval,
}

/// A slot of which a place is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldSlot {
    /// The slot.
    pub booked: BookedSlot,
    /// Its campaign.
    pub campaign: CampaignId,
    /// Live bookings of each dose that a person can have in this campaign.
    pub bookings_per_person: u8,
}

/// What a booking counts as for its person: no two live bookings of a person are the same of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CampaignDose {
    /// The campaign.
    pub campaign: CampaignId,
    /// Which dose of it, from 1.
    pub dose: u8,
    /// Which of the bookings that the person can have of this dose, from 0.
    pub nth: u8,
}

/// A short digest of a request: shows whether a key came with the same request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 16]);

/// A booking as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The attempt that it was created by, where that has an id.
    pub attempt: Option<AttemptId>,
    /// The reservation of its dose.
    pub reservation: ReservationId,
    /// Those that it had before it was moved, in their order.
    pub previous: Vec<ReservationId>,
    /// What its citizen may see.
    pub booking: Booking,
    /// What it counts as for its person; none without a slot.
    pub campaign_dose: Option<CampaignDose>,
    /// Of a dose of a series: how many days after the first the second may be.
    pub interval: Option<DoseInterval>,
    /// The fingerprint of the request, where it had an `Idempotency-Key`.
    pub fingerprint: Option<Fingerprint>,
    /// When it was created.
    pub booked_at: Timestamp,
    /// When it was cancelled, even if its dose was used afterwards.
    pub cancelled_at: Option<Timestamp>,
}

impl Record {
    /// Whether it was created by this attempt, which may have no id.
    pub(super) fn is_of(&self, attempt: &BookingAttempt) -> bool {
        self.attempt == attempt.id
            && (self.booking.user_id, self.choice()) == (attempt.user, attempt.choice.first())
    }

    /// Which dose of a campaign it is, from 1.
    pub fn dose_number(&self) -> u8 {
        self.campaign_dose.map_or(FIRST_DOSE, |counts_as| counts_as.dose)
    }

    /// The booking of the second dose of a series, if this is the first.
    pub fn second(&self) -> Option<BookingId> {
        let series = self.booking.series.filter(|series| series.dose_number == FIRST_DOSE)?;
        Some(series.other_dose_booking_id)
    }

    /// What its citizen has chosen, for this dose.
    pub fn choice(&self) -> Choice {
        Choice::of(&self.booking)
    }
}

/// What can never become a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Abortable {
    /// An attempt, whatever dose it got.
    Attempt(AttemptId),
    /// A dose, whatever attempt it was for; it is released.
    Dose(ReservationId),
}

impl Abortable {
    /// Its id; those of attempts and of reservations are never the same.
    pub fn id(self) -> Uuid {
        match self {
            Self::Attempt(AttemptId(id)) | Self::Dose(ReservationId(id)) => id,
        }
    }
}

/// Why something can never become a booking: it was aborted, or a booking had this dose before it was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookingFence {
    /// Since when.
    pub at: Timestamp,
    /// Of which booking it is a former dose.
    pub former: Option<FormerDose>,
}

/// A dose that a booking had before it was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormerDose {
    /// The booking.
    pub booking: BookingId,
    /// The slot that it had with this dose.
    pub slot: Option<BookedSlot>,
}

/// A request in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedTicket {
    /// Its id: that of the attempt of its key.
    pub id: TicketId,
    /// Its number in the order of arrival, from 1, without gaps.
    pub number: i64,
    /// What the citizen wants.
    pub choice: Choice,
    /// The citizen.
    pub user: UserId,
    /// The fingerprint of the request.
    pub fingerprint: Fingerprint,
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
    /// Without one: the ledger has granted no dose.
    NotGranted(NotGranted),
    /// The attempt of its key was aborted.
    KeyReused,
}

/// The bookings and tickets that a batch of commands names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bookings {
    /// Bookings by id.
    pub bookings: ChangeSet<BookingId, Record>,
    /// The bookings of attempts.
    pub of_attempt: BTreeMap<AttemptId, BookingId>,
    /// The bookings of doses.
    pub of_dose: BTreeMap<ReservationId, BookingId>,
    /// The fence: ids of [`Abortable`]s that can never become a booking.
    pub aborted: ChangeSet<Uuid, BookingFence>,
    /// The live bookings of persons, by campaign.
    pub live: ChangeSet<(UserId, CampaignDose), BookingId>,
    /// The highest booking id ever given.
    pub last_booking: i64,
    /// Tickets by id.
    pub tickets: ChangeSet<TicketId, QueuedTicket>,
    /// The waiting tickets of each citizen that requests one.
    pub waiting_of_user: BTreeMap<UserId, i64>,
    /// The highest ticket number ever given.
    pub last_ticket: i64,
    /// Every ticket up to this number has ended.
    pub ended_up_to: i64,
}

impl Bookings {
    /// Adds a booking as it is in the database.
    pub fn load(&mut self, record: Record) {
        let id = record.booking.booking_id;
        self.index(&record);
        self.bookings.load(id, record);
    }

    pub(super) fn index(&mut self, record: &Record) {
        let id = record.booking.booking_id;
        self.of_dose.insert(record.reservation, id);
        if let Some(attempt) = record.attempt {
            self.of_attempt.insert(attempt, id);
        }
    }
}
