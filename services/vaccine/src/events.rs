//! Replies as events, and events of booking and injection as commands.

use contracts::{
    booking::BookingStatus,
    campaign::{Campaign, CampaignDetails, Slot, SlotDay, SlotDays},
    event::{BookingChanged, DomainEvent, StockChanged},
    ids::{LotId, StoreId, VaccineId},
    injection::Injection,
    vaccine::{Vaccine, lots::Lot},
};
use jiff::Timestamp;
use platform_events::{EventHandler, ReceivedEvent, outbox_event};
use platform_store::{Event, command_of};

use crate::domain::{
    AbortReservation, AdministerDose, ChangeLot, ChangeVaccine, ChangedPool, Command, ConfirmHold,
    Doses, HeldBlock, HoldDose, HoldDoses, Ledger, LotNumber, LotRecord, MoveReservation,
    PlanSlots, Pool, PoolId, ReceiveLot, RecordCampaign, Refusal, RegisterVaccine,
    ReleaseReservation, RemoveVaccine, Reply, ReturnDose, SetProduct, SlotCampaign, SlotCapacity,
    SlotPlace, claims,
};

/// The event that other services learn a reply by.
pub(crate) fn event(command: &Command, reply: &Reply) -> serde_json::Result<Option<Event>> {
    let (event, at) = match (command, reply) {
        (Command::Register(RegisterVaccine { at, .. }), Reply::Registered(id, pool)) => {
            (DomainEvent::Registered(vaccine(*id, pool)), at)
        }
        (Command::Change(ChangeVaccine { at, .. }), Reply::Changed(Ok(changed))) => {
            (stock_changed(changed), at)
        }
        // Booking and injection publish what happens to a single dose.
        (
            Command::Register(_)
            | Command::Change(_)
            | Command::Remove(_)
            | Command::SetProduct(_)
            | Command::Hold(_)
            | Command::Confirm(_)
            | Command::Release(_)
            | Command::Return(_)
            | Command::Abort(_)
            | Command::Move(_)
            | Command::Administer(_)
            | Command::PlanSlots(_)
            | Command::RecordCampaign(_)
            | Command::ReceiveLot(_)
            | Command::ChangeLot(_),
            _,
        ) => return Ok(None),
    };
    outbox_event(&event, *at).map(Some)
}

fn stock_changed(changed: &ChangedPool) -> DomainEvent {
    let ChangedPool { id, pool, stock_before } = changed;
    let event = StockChanged { stock_before: stock_before.count(), vaccine: vaccine(*id, pool) };
    if pool.stock > *stock_before {
        DomainEvent::StockAdded(event)
    } else {
        DomainEvent::StockModified(event)
    }
}

/// A pool as others see it.
pub fn vaccine(vaccine_id: VaccineId, pool: &Pool) -> Vaccine {
    Vaccine {
        vaccine_id,
        vc_name: pool.name.as_str().to_owned(),
        stock: pool.stock.count(),
        book_qty: pool.taken,
        overcommitted: pool.overcommitted,
    }
}

/// A lot as others see it, without its changes.
pub(crate) fn lot(id: LotId, record: &LotRecord) -> Lot {
    Lot {
        lot_id: id,
        site_id: record.stock.site,
        vaccine_id: record.stock.vaccine,
        number: record.number.as_str().to_owned(),
        expires_on: record.expires_on,
        doses: record.doses,
        received: record.received,
        used: record.used,
        wasted: record.wasted,
        transferred: record.transferred,
        change_count: record.changes,
        changes: Vec::new(),
    }
}

impl EventHandler for Ledger {
    fn command(ReceivedEvent { source, at, event }: ReceivedEvent) -> Option<Command> {
        let return_dose =
            |reservation| Command::Return(ReturnDose { reservation, owner: source, at });
        match event {
            DomainEvent::Booked(changed) => Some(Command::Confirm(ConfirmHold(HoldDose {
                reservation: changed.reservation_id,
                owner: Some(source),
                claims: claims_of(&changed),
                at,
            }))),
            DomainEvent::BookingCancelled(changed)
                if changed.previous_reservation_ids.is_empty() =>
            {
                Some(return_dose(changed.reservation_id))
            }
            DomainEvent::BookingMoved(changed) | DomainEvent::BookingCancelled(changed) => {
                Some(move_reservation(changed, source, at))
            }
            DomainEvent::ReservationAborted(aborted) => Some(return_dose(aborted.reservation_id)),
            DomainEvent::Completed(completed) => Some(Command::Administer(AdministerDose {
                reservation: completed.reservation_id,
                claims: vec![completed.injection.vaccine_id.into()],
                lot: lot_of(&completed.injection),
                at,
            })),
            DomainEvent::SlotsPlanned(planned) => Some(Command::PlanSlots(plan_slots(&planned))),
            DomainEvent::CampaignChanged(campaign) => {
                Some(Command::RecordCampaign(change_campaign(campaign)))
            }
            DomainEvent::Registered(_)
            | DomainEvent::SiteChanged(_)
            | DomainEvent::StockAdded(_)
            | DomainEvent::StockModified(_) => None,
        }
    }

    fn ineffective(reply: &Reply) -> Option<String> {
        let moved = if let Reply::Moved(Err(refusal)) = reply { Some(*refusal) } else { None };
        moved.or_else(|| reply.refusal()).map(|refusal| refusal.to_string())
    }
}

/// The lot that the desk has recorded; none, if it cannot be the number of one here.
fn lot_of(injection: &Injection) -> Option<LotNumber> {
    LotNumber::parse(injection.record.as_ref()?.lot_number.as_deref()?)
}

fn claims_of(BookingChanged { booking, .. }: &BookingChanged) -> Vec<PoolId> {
    claims(booking.vaccine_id, booking.slot.map(|slot| slot.slot_id))
}

fn move_reservation(changed: BookingChanged, owner: StoreId, at: Timestamp) -> Command {
    Command::Move(MoveReservation {
        reservation: changed.reservation_id,
        owner,
        claims: claims_of(&changed),
        at,
        is_cancelled: changed.booking.status == BookingStatus::BookingCancelled,
        previous: changed.previous_reservation_ids,
    })
}

/// None with a capacity that is out of range: `campaign` publishes none.
fn plan_slots(SlotDays { days }: &SlotDays) -> PlanSlots {
    let slots = days.iter().flat_map(|day| day.slots.iter().map(move |slot| (day, slot)));
    let planned = slots.filter_map(|(day, slot)| {
        let SlotDay { campaign_id: campaign, site_id: site, date, .. } = *day;
        let Slot { slot_id: slot, starts_at, capacity, .. } = *slot;
        let place = SlotPlace { campaign, site, date, starts_at };
        Some(SlotCapacity { slot, place, capacity: Doses::parse(capacity.into())? })
    });
    PlanSlots(planned.collect())
}

fn change_campaign(Campaign { campaign_id: id, details, status, .. }: Campaign) -> RecordCampaign {
    let CampaignDetails { vaccine_ids: vaccines, doses, book_from, book_until, .. } = details;
    let bookings_per_person = details.bookings_per_person;
    let campaign =
        SlotCampaign { status, vaccines, doses, book_from, book_until, bookings_per_person };
    RecordCampaign { id, campaign }
}

command_of!(
    Ledger: RegisterVaccine => Command::Register, Reply::Registered(id, pool) -> (VaccineId, Pool)
);
command_of!(
    Ledger: ChangeVaccine => Command::Change, Reply::Changed(reply) -> Result<ChangedPool, Refusal>
);
command_of!(Ledger: RemoveVaccine => Command::Remove, Reply::Removed(reply) -> Result<(), Refusal>);
command_of!(
    Ledger: SetProduct => Command::SetProduct, Reply::ProductSet(reply) -> Result<(), Refusal>
);
command_of!(Ledger: HoldDoses => Command::Hold, Reply::Held(reply) -> Result<HeldBlock, Refusal>);
command_of!(Ledger: ConfirmHold => Command::Confirm, Reply::Confirmed(reply) -> Result<(), Refusal>);
command_of!(
    Ledger: ReleaseReservation => Command::Release, Reply::Released(reply) -> Result<(), Refusal>
);
command_of!(
    Ledger: AbortReservation => Command::Abort, Reply::Aborted(reply) -> Result<(), Refusal>
);
command_of!(
    Ledger: ReceiveLot => Command::ReceiveLot,
    Reply::LotReceived(reply) -> Result<(LotId, LotRecord), Refusal>
);
command_of!(
    Ledger: ChangeLot => Command::ChangeLot,
    Reply::LotChanged(reply) -> Result<(LotId, LotRecord), Refusal>
);
