//! The decisions about sites, campaigns and slots.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "fixture/commands.rs"]
mod commands;
#[path = "domain/free.rs"]
mod free;
#[path = "domain/plans.rs"]
mod plans;
#[path = "domain/values.rs"]
mod values;

use campaign::domain::{
    ACTIVE_CAMPAIGNS_MAX, Campaigns, ChangeSite, ChangedCampaign, Command, DayKey, ImportKey,
    ImportSite, ImportedSite, PlannedDays, Refusal, RemoveCampaign, RemoveSite, Reply,
    SLOTS_PLANNED_MAX, SlotDayRecord, decide,
};
use contracts::{
    campaign::{CampaignStatus, ExternalIdentifier},
    ids::{CampaignId, SiteId},
};
use serde_json::json;

use CampaignStatus::{Closed, Draft, Open, Paused, Scheduled};
use commands::{
    at, change_campaign, change_exception, change_site, change_status, create_campaign,
    create_site, plan_site, site,
};

/// Decides one after the other.
fn decide_all(campaigns: &mut Campaigns, commands: &[Command]) -> Vec<Reply> {
    commands.iter().map(|command| decide(campaigns, command)).collect()
}

fn decided(commands: &[Command]) -> (Campaigns, Vec<Reply>) {
    let mut campaigns = Campaigns::default();
    let replies = decide_all(&mut campaigns, commands);
    (campaigns, replies)
}

/// A scheduled campaign at one site, with its slots.
fn scheduled() -> Campaigns {
    let (campaigns, _) = decided(&[
        create_site(json!({})),
        create_campaign(json!({})),
        change_status(1, Scheduled),
        plan_site(1, 1),
    ]);
    campaigns
}

fn planned(reply: Reply) -> PlannedDays {
    match reply {
        Reply::SitePlanned(planned) => planned,
        other => panic!("{other:?}"),
    }
}

/// A date, and the number, the start and the places of each slot.
type ShownDay = (String, Vec<(i64, String, u32)>);

fn slots(days: &[(DayKey, SlotDayRecord)]) -> Vec<ShownDay> {
    let slots = |day: &SlotDayRecord| {
        let slots = day.slots.iter();
        slots.map(|slot| (slot.id.0, slot.from.to_string(), slot.capacity)).collect()
    };
    days.iter().map(|(key, day)| (key.date.to_string(), slots(day))).collect()
}

fn day(date: &str, slots: &[(i64, &str, u32)]) -> ShownDay {
    let slots = slots.iter().map(|(id, from, capacity)| (*id, (*from).to_owned(), *capacity));
    (date.to_owned(), slots.collect())
}

#[test]
fn a_scheduled_campaign_is_planned_once() {
    let mut campaigns = scheduled();
    let days: Vec<_> = campaigns.days.iter().map(|(key, day)| (*key, day.clone())).collect();
    assert_eq!(
        slots(&days),
        [
            day("2026-12-01", &[(1, "09:00", 9), (2, "09:20", 9), (3, "09:40", 9)]),
            day("2026-12-08", &[(4, "09:00", 9), (5, "09:20", 9), (6, "09:40", 9)]),
        ]
    );
    let again = planned(decide(&mut campaigns, &plan_site(1, 1)));
    assert_eq!(again, PlannedDays::default());
}

#[test]
fn a_draft_and_a_closed_campaign_are_not_planned() {
    let (mut campaigns, _) = decided(&[create_site(json!({})), create_campaign(json!({}))]);
    let draft = planned(decide(&mut campaigns, &plan_site(1, 1)));
    assert_eq!(draft, PlannedDays::default());
    decide_all(&mut campaigns, &[change_status(1, Scheduled), change_status(1, Closed)]);
    let closed = planned(decide(&mut campaigns, &plan_site(1, 1)));
    assert_eq!(closed, PlannedDays::default());
}

#[test]
fn a_site_that_closes_for_a_day_loses_its_places_at_once_and_gets_the_same_slots_again() {
    let mut campaigns = scheduled();
    let closed = decide(&mut campaigns, &change_exception(1, "2026-12-08", json!([])));
    let Reply::ExceptionChanged(Ok(closed)) = closed else { panic!("{closed:?}") };
    let without = day("2026-12-08", &[(4, "09:00", 0), (5, "09:20", 0), (6, "09:40", 0)]);
    assert_eq!(slots(&closed.days), [without]);
    let hours = json!([{"from": "09:20", "to": "10:20"}]);
    let opened = decide(&mut campaigns, &change_exception(1, "2026-12-08", hours));
    let Reply::ExceptionChanged(Ok(opened)) = opened else { panic!("{opened:?}") };
    let again =
        day("2026-12-08", &[(4, "09:00", 0), (5, "09:20", 9), (6, "09:40", 9), (7, "10:00", 9)]);
    assert_eq!(slots(&opened.days), [again]);
    let rest = planned(decide(&mut campaigns, &plan_site(1, 1)));
    assert_eq!(rest, PlannedDays::default(), "the rest is still planned");
}

#[test]
fn a_day_that_is_over_is_not_planned_again() {
    let mut campaigns = scheduled();
    let late = "2026-12-02T00:00:00Z".parse().unwrap();
    let Command::ChangeException(change) = change_exception(1, "2026-12-01", json!([])) else {
        panic!("it changes an exception")
    };
    let change = campaign::domain::ChangeException { at: late, ..change };
    let reply = decide(&mut campaigns, &Command::ChangeException(change));
    assert!(matches!(&reply, Reply::ExceptionChanged(Ok(changed)) if changed.days.is_empty()));
}

#[test]
fn a_change_of_the_site_or_of_the_campaign_is_planned_afterwards() {
    let mut campaigns = scheduled();
    let without_hours = site(json!({"openingHours": []}));
    let change = ChangeSite { id: SiteId(1), site: without_hours, expected: Some(1), at: at() };
    decide(&mut campaigns, &Command::ChangeSite(change));
    let closed = planned(decide(&mut campaigns, &plan_site(1, 1)));
    assert_eq!(closed.days.len(), 2);
    assert!(closed.days.iter().flat_map(|(_, day)| &day.slots).all(|slot| slot.capacity == 0));

    let mut campaigns = scheduled();
    decide(&mut campaigns, &change_campaign(1, json!({"capacity": 20, "heldBackPercent": 11})));
    let larger = planned(decide(&mut campaigns, &plan_site(1, 1)));
    let places: Vec<_> =
        larger.days[0].1.slots.iter().map(|it| (it.capacity, it.held_back)).collect();
    assert_eq!(places, [(17, 3); 3]);
}

#[test]
fn a_site_that_leaves_a_campaign_keeps_its_slots_without_places() {
    let mut campaigns = scheduled();
    let create = create_site(json!({}));
    let leave = change_campaign(1, json!({"sites": [{"siteId": 2, "capacity": 3}]}));
    let replies = decide_all(&mut campaigns, &[create, leave, plan_site(1, 1), plan_site(1, 2)]);
    let [_, _, of_1, of_2] = &replies[..] else { panic!("{replies:?}") };
    let capacities = |reply: &Reply| -> Vec<_> {
        planned(reply.clone()).days[0].1.slots.iter().map(|slot| slot.capacity).collect()
    };
    assert_eq!((capacities(of_1), capacities(of_2)), (vec![0; 3], vec![2; 3]));
    let removed = decide(&mut campaigns, &remove_site(1));
    assert_eq!(removed, Reply::SiteRemoved(Err(Refusal::InCampaigns(vec![CampaignId(1)]))));
}

#[test]
fn a_plan_of_many_slots_is_made_by_several_commands() {
    let hours = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
    let hours = hours.map(|day| json!({"day": day, "from": "00:00", "to": "24:00"}));
    let (mut campaigns, _) = decided(&[
        create_site(json!({"openingHours": hours})),
        create_campaign(json!({"slotMinutes": 5})),
        change_status(1, Scheduled),
    ]);
    let first = planned(decide(&mut campaigns, &plan_site(1, 1)));
    assert!(first.goes_on);
    assert_eq!(first.days.len(), SLOTS_PLANNED_MAX.div_ceil(288));
    let second = planned(decide(&mut campaigns, &plan_site(1, 1)));
    assert!(!second.goes_on);
    assert_eq!(first.days.len() + second.days.len(), 14);
}

fn remove_site(id: i64) -> Command {
    Command::RemoveSite(RemoveSite { id: SiteId(id), expected: None })
}

fn remove_campaign(id: i64) -> Command {
    Command::RemoveCampaign(RemoveCampaign { id: CampaignId(id), expected: None })
}

#[test]
fn a_status_follows_only_where_it_can() {
    for (path, can_follow) in [
        (vec![], vec![Scheduled]),
        (vec![Scheduled], vec![Open, Closed]),
        (vec![Scheduled, Open], vec![Paused, Closed]),
        (vec![Scheduled, Open, Paused], vec![Open, Closed]),
        (vec![Scheduled, Closed], vec![]),
    ] {
        for to in [Draft, Scheduled, Open, Paused, Closed] {
            let (mut campaigns, _) = decided(&[create_site(json!({})), create_campaign(json!({}))]);
            let path: Vec<_> = path.iter().map(|status| change_status(1, *status)).collect();
            decide_all(&mut campaigns, &path);
            let before = campaigns.clone();
            let reply = decide(&mut campaigns, &change_status(1, to));
            let Reply::StatusChanged(reply) = reply else { panic!("{reply:?}") };
            assert_eq!(reply.is_ok(), can_follow.contains(&to), "{path:?} {to}");
            assert_eq!(campaigns == before, reply.is_err(), "a refusal changes nothing");
        }
    }
}

#[test]
fn only_a_draft_changes_what_bookings_rely_on() {
    let fixed = [
        ("vaccineIds", json!({"vaccineIds": [2]})),
        ("from", json!({"from": "2026-12-02"})),
        ("to", json!({"to": "2026-12-15"})),
        ("slotMinutes", json!({"slotMinutes": 30})),
        ("doses", json!({"doses": "SITE_LOTS"})),
    ];
    let changed = |reply: Reply| match reply {
        Reply::CampaignChanged(reply) => reply.map(|ChangedCampaign { id, .. }| id),
        other => panic!("{other:?}"),
    };
    for (field, fields) in fixed {
        let mut campaigns = scheduled();
        let reply = changed(decide(&mut campaigns, &change_campaign(1, fields.clone())));
        assert_eq!(reply, Err(Refusal::Fixed(field)));
        let (mut draft, _) = decided(&[create_site(json!({})), create_campaign(json!({}))]);
        assert_eq!(changed(decide(&mut draft, &change_campaign(1, fields))), Ok(CampaignId(1)));
    }
    let mut campaigns = scheduled();
    decide(&mut campaigns, &change_status(1, Closed));
    let reply = changed(decide(&mut campaigns, &change_campaign(1, json!({"capacity": 9}))));
    assert_eq!(reply, Err(Refusal::Closed));
}

#[test]
fn only_a_draft_is_deleted_and_then_its_sites_are_free() {
    let (mut campaigns, _) = decided(&[create_site(json!({})), create_campaign(json!({}))]);
    let in_campaign = Reply::SiteRemoved(Err(Refusal::InCampaigns(vec![CampaignId(1)])));
    assert_eq!(decide(&mut campaigns, &remove_site(1)), in_campaign);
    assert_eq!(decide(&mut campaigns, &remove_campaign(1)), Reply::CampaignRemoved(Ok(())));
    assert_eq!(decide(&mut campaigns, &remove_site(1)), Reply::SiteRemoved(Ok(())));
    let gone = Reply::SiteRemoved(Err(Refusal::NoSuchSite));
    assert_eq!(decide(&mut campaigns, &remove_site(1)), gone);
    let not_draft = Reply::CampaignRemoved(Err(Refusal::NotDraft(Scheduled)));
    assert_eq!(decide(&mut scheduled(), &remove_campaign(1)), not_draft);
}

#[test]
fn a_campaign_has_only_sites_that_exist_and_is_scheduled_only_with_one() {
    let (_, replies) = decided(&[
        create_campaign(json!({})),
        create_campaign(json!({"sites": []})),
        change_status(1, Scheduled),
    ]);
    assert_eq!(replies[0], Reply::CampaignCreated(Err(Refusal::UnknownSite(SiteId(1)))));
    assert_eq!(replies[2], Reply::StatusChanged(Err(Refusal::NoSites)));
}

#[test]
fn a_site_is_in_a_limited_number_of_campaigns_with_slots() {
    let (mut campaigns, _) = decided(&[create_site(json!({}))]);
    let last = i64::try_from(ACTIVE_CAMPAIGNS_MAX).unwrap() + 1;
    for id in 1..=last {
        decide(&mut campaigns, &create_campaign(json!({})));
        let reply = decide(&mut campaigns, &change_status(id, Scheduled));
        let Reply::StatusChanged(reply) = reply else { panic!("{reply:?}") };
        assert_eq!(reply.is_ok(), id < last, "{id}");
    }
    decide(&mut campaigns, &change_status(1, Closed));
    let reply = decide(&mut campaigns, &change_status(last, Scheduled));
    assert!(matches!(reply, Reply::StatusChanged(Ok(_))), "{reply:?}");
}

#[test]
fn the_time_zone_of_a_site_with_slots_stays() {
    let change = change_site(1, json!({"timeZone": "Asia/Tokyo"}));
    let refused = Reply::SiteChanged(Err(Refusal::ZoneInUse(vec![CampaignId(1)])));
    assert_eq!(decide(&mut scheduled(), &change), refused);
    let (mut campaigns, _) = decided(&[create_site(json!({}))]);
    assert!(matches!(decide(&mut campaigns, &change), Reply::SiteChanged(Ok(_))));
}

#[test]
fn a_site_is_a_new_place_only_if_its_visitors_have_to_know() {
    let (mut campaigns, _) = decided(&[create_site(json!({}))]);
    let mut is_new_place = |change: &Command| match decide(&mut campaigns, change) {
        Reply::SiteChanged(Ok(changed)) | Reply::ExceptionChanged(Ok(changed)) => {
            changed.is_new_place
        }
        reply => panic!("{reply:?}"),
    };
    assert!(!is_new_place(&change_site(1, json!({}))), "the same");
    assert!(!is_new_place(&change_site(1, json!({"openingHours": []}))));
    assert!(!is_new_place(&change_exception(1, "2026-12-08", json!([]))));
    for fields in [
        json!({"name": {"ko": "서초구 보건소"}}),
        json!({"address": {"line": "2 Teheran-ro", "city": "Seoul", "region": "KR-11"}}),
        json!({"phone": "112"}),
        json!({"timeZone": "Asia/Tokyo"}),
        json!({"position": {"latitude": 37.5, "longitude": 127.0}}),
        json!({"accessibility": "step-free"}),
    ] {
        assert!(is_new_place(&change_site(1, fields.clone())), "{fields}");
    }
}

/// A clock that was set back makes no place older than the one before.
#[test]
fn a_new_place_is_never_older_than_the_one_before() {
    let (mut campaigns, _) = decided(&[create_site(json!({}))]);
    let earlier = at() - jiff::SignedDuration::from_hours(1);
    let site = site(json!({"phone": "112"}));
    let change = ChangeSite { id: SiteId(1), site, expected: None, at: earlier };
    decide(&mut campaigns, &Command::ChangeSite(change));
    let record = campaigns.sites.get(&SiteId(1)).unwrap();
    assert_eq!((record.site.details().phone.as_str(), record.place_since), ("112", at()));
}

#[test]
fn a_change_of_a_site_that_was_changed_meanwhile_is_refused() {
    let change = |expected| {
        let site = site(json!({"phone": "112"}));
        Command::ChangeSite(ChangeSite { id: SiteId(1), site, expected: Some(expected), at: at() })
    };
    let (mut campaigns, _) = decided(&[create_site(json!({}))]);
    assert!(matches!(decide(&mut campaigns, &change(1)), Reply::SiteChanged(Ok(_))));
    assert_eq!(decide(&mut campaigns, &change(1)), Reply::SiteChanged(Err(Refusal::Stale)));
}

#[test]
fn a_site_is_imported_by_its_identifier() {
    let identifier = ExternalIdentifier { system: "hira".to_owned(), value: "7".to_owned() };
    let import = |phone: &str| {
        let site = site(json!({"phone": phone, "identifiers": [identifier]}));
        let key = ImportKey::Identifier(identifier.clone());
        Command::ImportSite(ImportSite { key, site, at: at() })
    };
    let (mut campaigns, replies) = decided(&[import("112"), import("112"), import("119")]);
    let [
        Reply::SiteImported(Ok(ImportedSite::Created(created))),
        Reply::SiteImported(Ok(ImportedSite::Unchanged(SiteId(1)))),
        Reply::SiteImported(Ok(ImportedSite::Updated(updated))),
    ] = &replies[..]
    else {
        panic!("{replies:?}")
    };
    assert_eq!((created.id, updated.id), (SiteId(1), SiteId(1)));
    decide(&mut campaigns, &change_exception(1, "2026-12-08", json!([])));
    decide(&mut campaigns, &import("110"));
    let record = campaigns.sites.get(&SiteId(1)).unwrap();
    assert_eq!(record.site.details().exceptions.len(), 1, "its exceptions stay");
    let taken = Refusal::IdentifierTaken { identifier: identifier.clone(), site: SiteId(1) };
    let other = create_site(json!({"identifiers": [identifier]}));
    assert_eq!(decide(&mut campaigns, &other), Reply::SiteCreated(Err(taken)));
}
