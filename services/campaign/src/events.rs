//! Replies as events, and rows as others see them.

use contracts::{
    campaign::{
        Campaign, CampaignDetails, CampaignSite, CampaignStatus, Site, Slot, SlotDay, SlotDays,
    },
    event::{DomainEvent, PublishedSite},
    ids::{CampaignId, SiteId},
};
use jiff::{Timestamp, tz::TimeZoneDatabase};
use platform_events::{EventHandler, ReceivedEvent, outbox_event};
use platform_store::{Event, command_of};

use crate::domain::{
    CampaignRecord, Campaigns, ChangeCampaign, ChangeException, ChangeSite, ChangeStatus,
    ChangedCampaign, ChangedSite, Command, CreateCampaign, CreateSite, DayKey, ImportSite,
    ImportedSite, PlanSite, PlannedDays, Refusal, RemoveCampaign, RemoveSite, Reply, SiteRecord,
    SlotDayRecord, start_of,
};

/// The event that other services learn a reply by. They learn nothing of drafts, nor that a site was removed: one
/// that has slots cannot be.
pub(crate) fn event(command: &Command, reply: &Reply) -> serde_json::Result<Option<Event>> {
    match (command, reply) {
        (Command::CreateSite(_), Reply::SiteCreated(Ok(changed)))
        | (Command::ChangeSite(_), Reply::SiteChanged(Ok(changed)))
        | (
            Command::ImportSite(_),
            Reply::SiteImported(Ok(
                ImportedSite::Created(changed) | ImportedSite::Updated(changed),
            )),
        ) if changed.is_new_place => site_event(changed.id, &changed.record).map(Some),
        (Command::ChangeStatus(change), Reply::StatusChanged(Ok(changed))) => {
            changed_event(changed, change.change.at).map(Some)
        }
        (Command::ChangeCampaign(change), Reply::CampaignChanged(Ok(changed)))
            if changed.record.status != CampaignStatus::Draft =>
        {
            changed_event(changed, change.at).map(Some)
        }
        (Command::ChangeException(change), Reply::ExceptionChanged(Ok(changed))) => {
            planned_event(&changed.days, change.at)
        }
        (Command::PlanSite(plan), Reply::SitePlanned(planned)) => {
            planned_event(&planned.days, plan.at)
        }
        (
            Command::CreateSite(_)
            | Command::ChangeSite(_)
            | Command::ChangeException(_)
            | Command::RemoveSite(_)
            | Command::ImportSite(_)
            | Command::CreateCampaign(_)
            | Command::ChangeCampaign(_)
            | Command::ChangeStatus(_)
            | Command::RemoveCampaign(_)
            | Command::PlanSite(_),
            _,
        ) => Ok(None),
    }
}

/// A site, also in a snapshot.
pub(crate) fn site_event(site_id: SiteId, record: &SiteRecord) -> serde_json::Result<Event> {
    let site = PublishedSite { site_id, place: record.site.place() };
    outbox_event(&DomainEvent::SiteChanged(site), record.place_since)
}

fn changed_event(changed: &ChangedCampaign, at: Timestamp) -> serde_json::Result<Event> {
    let ChangedCampaign { id, record, sites } = changed;
    outbox_event(&DomainEvent::CampaignChanged(campaign(*id, record, sites.clone())), at)
}

fn planned_event(
    days: &[(DayKey, SlotDayRecord)],
    at: Timestamp,
) -> serde_json::Result<Option<Event>> {
    if days.is_empty() {
        return Ok(None);
    }
    let days = days.iter().map(|(key, day)| slot_day(key, day)).collect();
    outbox_event(&DomainEvent::SlotsPlanned(SlotDays { days }), at).map(Some)
}

/// A campaign in a snapshot.
pub(crate) fn campaign_event(campaign: &Campaign) -> serde_json::Result<Event> {
    outbox_event(&DomainEvent::CampaignChanged(campaign.clone()), Timestamp::UNIX_EPOCH)
}

/// Slots in a snapshot.
pub(crate) fn slots_event<'a>(
    days: impl IntoIterator<Item = &'a SlotDay>,
) -> serde_json::Result<Event> {
    let days = days.into_iter().cloned().collect();
    outbox_event(&DomainEvent::SlotsPlanned(SlotDays { days }), Timestamp::UNIX_EPOCH)
}

/// A site as others see it.
pub fn site(id: SiteId, record: &SiteRecord) -> Site {
    Site { site_id: id, details: record.site.details().clone() }
}

/// A campaign as others see it, without its history.
pub fn campaign(
    campaign_id: CampaignId,
    record: &CampaignRecord,
    sites: Vec<CampaignSite>,
) -> Campaign {
    Campaign {
        campaign_id,
        details: CampaignDetails { sites, ..record.details.clone() },
        status: record.status,
        changes: Vec::new(),
    }
}

/// The slots of a day as others see them.
pub fn slot_day(key: &DayKey, day: &SlotDayRecord) -> SlotDay {
    let DayKey { campaign, site, date } = *key;
    let zone = TimeZoneDatabase::bundled().get(&day.time_zone).ok();
    let slots = day.slots.iter().filter_map(|slot| {
        Some(Slot {
            slot_id: slot.id,
            starts_at: start_of(zone.as_ref()?, date, slot.from)?,
            from: slot.from,
            minutes: slot.minutes,
            capacity: slot.capacity,
            held_back: slot.held_back,
        })
    });
    let slots = slots.collect();
    SlotDay { campaign_id: campaign, site_id: site, date, time_zone: day.time_zone.clone(), slots }
}

/// It consumes no events.
impl EventHandler for Campaigns {
    fn command(_: ReceivedEvent) -> Option<Command> {
        None
    }

    fn ineffective(_: &Reply) -> Option<String> {
        None
    }
}

type SiteReply = Result<ChangedSite, Refusal>;
type CampaignReply = Result<ChangedCampaign, Refusal>;
type RemovedReply = Result<(), Refusal>;
type ImportReply = Result<ImportedSite, Refusal>;

command_of!(Campaigns: CreateSite => Command::CreateSite, Reply::SiteCreated(reply) -> SiteReply);
command_of!(Campaigns: ChangeSite => Command::ChangeSite, Reply::SiteChanged(reply) -> SiteReply);
command_of!(
    Campaigns: ChangeException => Command::ChangeException,
    Reply::ExceptionChanged(reply) -> SiteReply
);
command_of!(Campaigns: RemoveSite => Command::RemoveSite, Reply::SiteRemoved(reply) -> RemovedReply);
command_of!(Campaigns: ImportSite => Command::ImportSite, Reply::SiteImported(reply) -> ImportReply);
command_of!(
    Campaigns: CreateCampaign => Command::CreateCampaign,
    Reply::CampaignCreated(reply) -> CampaignReply
);
command_of!(
    Campaigns: ChangeCampaign => Command::ChangeCampaign,
    Reply::CampaignChanged(reply) -> CampaignReply
);
command_of!(
    Campaigns: ChangeStatus => Command::ChangeStatus, Reply::StatusChanged(reply) -> CampaignReply
);
command_of!(
    Campaigns: RemoveCampaign => Command::RemoveCampaign,
    Reply::CampaignRemoved(reply) -> RemovedReply
);
command_of!(Campaigns: PlanSite => Command::PlanSite, Reply::SitePlanned(reply) -> PlannedDays);
