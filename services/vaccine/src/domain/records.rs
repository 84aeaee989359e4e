//! Pools and reservations, the commands on them, and the replies.

use contracts::{
    ids::{LotId, ReservationId, StoreId, VaccineId},
    vaccine::{
        AHEAD_MAX, HOLDS_MAX,
        lots::LOTS_MAX,
        product::{DoseInterval, Product},
    },
};
use jiff::{Timestamp, civil::Date};
use thiserror::Error;

use super::{
    lot_records::{ChangeLot, LotRecord, ReceiveLot},
    places::{GrantedSlot, PlanSlots, RecordCampaign},
    values::{Doses, LotNumber, Name, PoolId},
};

/// Doses in one block.
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "a constant that fits")]
pub const BLOCK_MAX: u32 = HOLDS_MAX as u32 + AHEAD_MAX;

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: Name,
    /// Units that exist.
    pub stock: Doses,
    /// Units held or booked; at most `stock`, and what is overcommitted.
    pub taken: i64,
    /// Units that were used or booked although every unit was taken, until units are free again.
    pub overcommitted: i64,
}

impl Pool {
    /// Units that are neither held nor booked; below zero if it is overcommitted.
    pub fn free(&self) -> i64 {
        self.stock.count() - self.taken
    }

    /// What was taken was taken although there was no room for it.
    pub(super) fn overcommit(&mut self) {
        self.overcommitted = self.overcommitted.max(-self.free());
    }

    /// Takes a unit that was given back a moment ago.
    pub(super) fn take_again(&mut self) {
        self.taken += 1;
        self.overcommit();
    }

    /// Records that a unit was used that this pool does not count as taken.
    pub(super) fn use_one(&mut self) {
        if self.free() <= 0 {
            self.overcommitted += 1;
        }
        self.stock.take_one();
    }

    /// After units became free, they are those that were missing.
    pub(super) fn reduce_overcommitted(&mut self) {
        self.overcommitted = self.overcommitted.min(-self.free()).max(0);
    }
}

/// Every command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Registers a vaccine.
    Register(RegisterVaccine),
    /// Changes the name or the stock of a vaccine.
    Change(ChangeVaccine),
    /// Removes a vaccine.
    Remove(RemoveVaccine),
    /// Sets what is known of a vaccine as a product.
    SetProduct(SetProduct),
    /// Holds doses.
    Hold(HoldDoses),
    /// A booking was made for a hold.
    Confirm(ConfirmHold),
    /// Releases a reservation.
    Release(ReleaseReservation),
    /// Its owner says that there is no booking and will be none.
    Return(ReturnDose),
    /// Its owner wants to say so, and cannot record it now.
    Abort(AbortReservation),
    /// A booking was moved: it has another reservation.
    Move(MoveReservation),
    /// A dose was used.
    Administer(AdministerDose),
    /// Slots were planned.
    PlanSlots(PlanSlots),
    /// A campaign was changed.
    RecordCampaign(RecordCampaign),
    /// Doses of a new lot arrived at a site.
    ReceiveLot(ReceiveLot),
    /// The doses of a lot were changed.
    ChangeLot(ChangeLot),
}

/// Registers a vaccine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterVaccine {
    /// Its name.
    pub name: Name,
    /// Its stock.
    pub stock: Doses,
    /// When it was registered.
    pub at: Timestamp,
}

/// Changes the name or the stock of a vaccine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeVaccine {
    /// The vaccine.
    pub vaccine: VaccineId,
    /// The new name.
    pub name: Option<Name>,
    /// The new stock.
    pub stock: Option<Doses>,
    /// Only while it has this name and this stock.
    pub expected: Option<Pool>,
    /// When it was changed.
    pub at: Timestamp,
}

/// Removes a vaccine that has no doses held or booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveVaccine {
    /// The vaccine.
    pub vaccine: VaccineId,
    /// Only while it has this name and this stock.
    pub expected: Option<Pool>,
}

/// Sets the product rules of a vaccine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetProduct {
    /// The vaccine.
    pub vaccine: VaccineId,
    /// Its rules; none, to remove them.
    pub product: Option<Product>,
}

/// Holds doses for a block of reservations, as many of them as there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldDoses {
    /// The first reservation; a repeated command has the same reply.
    pub first: ReservationId,
    /// Doses that are wanted now.
    pub count: u32,
    /// Further doses, within the owner's share of what is free.
    pub ahead: u32,
    /// Doses that the owner has ahead of demand already.
    pub in_hand: u32,
    /// The store that will resolve them.
    pub owner: Option<StoreId>,
    /// One unit of each of these pools is a dose.
    pub claims: Vec<PoolId>,
    /// What the second dose of each of them claims: both doses or neither, and none ahead of demand. The second doses
    /// are numbered after `count` first ones.
    pub next: Option<Vec<PoolId>>,
    /// When they were requested.
    pub at: Timestamp,
}

impl HoldDoses {
    /// The last reservation that may be granted; none, if they are more than [`BLOCK_MAX`], or more than there are
    /// numbers left for them.
    pub fn last(&self) -> Option<ReservationId> {
        let second = if self.next.is_some() { self.count } else { 0 };
        let wanted = self.count.saturating_add(self.ahead).saturating_add(second);
        if wanted > BLOCK_MAX {
            return None;
        }
        self.first.nth(wanted.saturating_sub(1))
    }
}

/// A block of one.
impl From<HoldDose> for HoldDoses {
    fn from(HoldDose { reservation, owner, claims, at }: HoldDose) -> Self {
        Self { first: reservation, count: 1, ahead: 0, in_hand: 0, owner, claims, next: None, at }
    }
}

/// One unit of each pool, for one reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldDose {
    /// The id of the reservation.
    pub reservation: ReservationId,
    /// The store that resolves it.
    pub owner: Option<StoreId>,
    /// The pools.
    pub claims: Vec<PoolId>,
    /// When it was requested.
    pub at: Timestamp,
}

/// Marks a hold as booked. A ledger that was restored from a backup, and does not know the hold, takes it
/// over from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmHold(pub HoldDose);

/// Releases a reservation, or prevents one that has not arrived yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleaseReservation {
    /// The reservation.
    pub reservation: ReservationId,
    /// Only if it claims this pool.
    pub of: Option<PoolId>,
    /// When it was released.
    pub at: Timestamp,
}

/// Releases a reservation on behalf of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnDose {
    /// The reservation.
    pub reservation: ReservationId,
    /// Its owner.
    pub owner: StoreId,
    /// When it was returned.
    pub at: Timestamp,
}

/// Releases a hold for its owner, which cannot record now that there will be no booking, and does so later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortReservation {
    /// The reservation.
    pub reservation: ReservationId,
    /// Its owner.
    pub owner: StoreId,
    /// When it was aborted.
    pub at: Timestamp,
}

/// Marks the hold of a booking that was moved as booked, and releases the reservations that it had before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveReservation {
    /// Those that it had before; it may have one of them again.
    pub previous: Vec<ReservationId>,
    /// The one that it has now.
    pub reservation: ReservationId,
    /// The store of the booking.
    pub owner: StoreId,
    /// One unit of each of these pools is claimed by the one that it has now.
    pub claims: Vec<PoolId>,
    /// When it was moved.
    pub at: Timestamp,
    /// Whether the booking was cancelled after that: then it has none.
    pub is_cancelled: bool,
}

/// Records that the units were used: they leave the stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdministerDose {
    /// The reservation.
    pub reservation: ReservationId,
    /// The pools, for a reservation that is not known here.
    pub claims: Vec<PoolId>,
    /// The lot that the desk has recorded; none, if it has not.
    pub lot: Option<LotNumber>,
    /// When they were used.
    pub at: Timestamp,
}

/// Every reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Command::Register`]: the new vaccine.
    Registered(VaccineId, Pool),
    /// To [`Command::Change`].
    Changed(Result<ChangedPool, Refusal>),
    /// To [`Command::Remove`].
    Removed(Result<(), Refusal>),
    /// To [`Command::SetProduct`].
    ProductSet(Result<(), Refusal>),
    /// To [`Command::Hold`].
    Held(Result<HeldBlock, Refusal>),
    /// To [`Command::Confirm`].
    Confirmed(Result<(), Refusal>),
    /// To [`Command::Release`].
    Released(Result<(), Refusal>),
    /// To [`Command::Return`].
    Returned(Result<(), Refusal>),
    /// To [`Command::Abort`].
    Aborted(Result<(), Refusal>),
    /// To [`Command::Move`]: what of it had no effect.
    Moved(Result<(), Refusal>),
    /// To [`Command::Administer`].
    Administered(Result<(), Refusal>),
    /// To [`Command::PlanSlots`].
    SlotsPlanned,
    /// To [`Command::RecordCampaign`].
    CampaignChanged,
    /// To [`Command::ReceiveLot`]: the new lot.
    LotReceived(Result<(LotId, LotRecord), Refusal>),
    /// To [`Command::ChangeLot`]: the lot after the change.
    LotChanged(Result<(LotId, LotRecord), Refusal>),
}

impl Reply {
    /// Why the command changed nothing, if it was refused.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            // The other reservations of a booking that was moved have changed.
            Self::Moved(_) | Self::Registered(..) | Self::SlotsPlanned | Self::CampaignChanged => {
                None
            }
            Self::Changed(reply) => reply.as_ref().err().copied(),
            Self::Held(reply) => reply.as_ref().err().copied(),
            Self::LotReceived(reply) | Self::LotChanged(reply) => reply.as_ref().err().copied(),
            Self::Removed(reply)
            | Self::ProductSet(reply)
            | Self::Confirmed(reply)
            | Self::Released(reply)
            | Self::Returned(reply)
            | Self::Aborted(reply)
            | Self::Administered(reply) => reply.err(),
        }
    }
}

/// Doses that are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBlock {
    /// The name of the vaccine.
    pub name: Name,
    /// For so many reservations of the block, from its first one on.
    pub count: u32,
    /// The slot whose places are held too.
    pub slot: Option<GrantedSlot>,
    /// Where second doses are held too.
    pub next: Option<GrantedNext>,
}

/// Second doses that are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantedNext {
    /// The slot whose places are held.
    pub slot: GrantedSlot,
    /// How many days after the first dose the second may be.
    pub interval: DoseInterval,
}

/// A vaccine after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedPool {
    /// Its number.
    pub id: VaccineId,
    /// The vaccine after the change.
    pub pool: Pool,
    /// The stock before.
    pub stock_before: Doses,
}

impl Refusal {
    /// Whether it says that nothing is left of what a hold claims, or that it cannot be booked now.
    pub fn is_of_the_moment(self) -> bool {
        matches!(
            self,
            Self::SoldOut | Self::SlotFull | Self::NextSlotFull | Self::NotOpen | Self::NoSuchSlot
        )
    }
}

/// Why a command changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No pool has this number.
    #[error("there is no such vaccine")]
    NoSuchPool,
    /// The pool is not as expected.
    #[error("it was changed meanwhile")]
    Stale,
    /// Every unit is taken.
    #[error("every dose is held or booked")]
    SoldOut,
    /// Every place of the slot is taken.
    #[error("every place of the slot is held or booked")]
    SlotFull,
    /// No slot has this number, or it does not offer the vaccine.
    #[error("there is no such slot for this vaccine")]
    NoSuchSlot,
    /// The campaign of the slot is not open, or the slot has begun.
    #[error("the slot cannot be booked now")]
    NotOpen,
    /// The first dose has room, and the second has none at its time.
    #[error("every place or dose at the time of the second dose is held or booked")]
    NextSlotFull,
    /// The second slot is too early or too late.
    #[error("the second dose is due {} to {} days after the first", .0.min_days, .0.max_days)]
    OutsideInterval(DoseInterval),
    /// The vaccine has no second dose.
    #[error("one dose of this vaccine is enough")]
    SingleDose,
    /// The reservation was released before.
    #[error("the reservation was released before")]
    Released,
    /// The dose of the reservation was used.
    #[error("the dose was administered")]
    Administered,
    /// The id belongs to a reservation with other claims or another owner.
    #[error("the reservation id is taken by another one")]
    Conflict,
    /// No reservation of that pool has this id.
    #[error("there is no such reservation")]
    NoSuchReservation,
    /// The new stock would be less than what is taken.
    #[error("{taken} doses are held or booked")]
    StockBelowTaken {
        /// Doses held or booked.
        taken: i64,
    },
    /// No lot has this number.
    #[error("there is no such lot")]
    NoSuchLot,
    /// The site has a lot of this vaccine with this number.
    #[error("the site has this lot already: it is lot {0}")]
    LotExists(LotId),
    /// The site that doses are transferred to has a lot of this number with another expiry date.
    #[error("the lot of this number at the other site expires on {expires_on}")]
    OtherExpiry {
        /// The expiry date there.
        expires_on: Date,
    },
    /// The lot has fewer doses.
    #[error("the lot has {doses} doses")]
    NotEnoughDoses {
        /// Doses that it has.
        doses: i64,
    },
    /// Reservations would have no dose that is valid on their date.
    #[error("{short} bookings{} would have no dose", after.map(|date| format!(" after {date}")).unwrap_or_default())]
    DosesClaimed {
        /// How many.
        short: i64,
        /// They are after this date; none, if any may be one of them.
        after: Option<Date>,
    },
    /// The site has as many lots of the vaccine as it can have.
    #[error("a site has at most {LOTS_MAX} lots of a vaccine")]
    TooManyLots,
    /// Units are held or booked.
    #[error("{taken} doses are held or booked")]
    InUse {
        /// Doses held or booked.
        taken: i64,
    },
}
