//! The store holds what was decided, with the events of the same commit.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "fixture/commands.rs"]
mod commands;

use campaign::{
    domain::{
        Campaigns, ChangeSite, Command, ImportKey, ImportSite, NearOffers, PlanSite,
        RemoveCampaign, RemoveSite, Reply, Surroundings, Wanted,
    },
    store::{MIGRATIONS, alternatives, campaigns, near_offers, not_planned, sites, slots},
};
use contracts::{
    campaign::{
        Campaign, CampaignStatus, ExternalIdentifier, GeoPosition, Site, SlotDay, SlotDays,
    },
    event::PublishedSite,
    ids::{CampaignId, SiteId, SlotId, VaccineId},
};
use jiff::civil::date;
use platform_store::{PageRange, PageStart};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;
use testkit::{TestDatabase, TestStore, on_both_databases};

use CampaignStatus::{Closed, Open, Scheduled};
use commands::{
    change_campaign, change_exception, change_site, change_status, create_campaign, create_site,
    plan_site, site,
};

on_both_databases!(
    everything_is_still_there_after_reopening,
    a_closed_day_is_published_in_the_commit_that_closes_it,
    only_what_is_not_up_to_date_is_to_be_planned,
    a_snapshot_has_every_site_every_campaign_with_slots_and_every_day,
    a_new_place_is_published_without_its_hours,
    a_campaign_has_thousands_of_sites,
    nothing_is_published_of_a_draft,
    a_slot_is_found_by_its_number_after_its_day_was_planned_again,
    near_sites_have_the_slots_of_open_campaigns_of_the_vaccine,
);

const WHOLE_LIST: PageRange = PageRange { start: PageStart::Offset(0), size: 1_000 };

fn open(database: TestDatabase) -> TestStore<Campaigns> {
    TestStore::open(database, "campaign", MIGRATIONS)
}

/// A scheduled campaign at one site, with its slots.
fn open_scheduled(database: TestDatabase) -> TestStore<Campaigns> {
    let mut store = open(database);
    store.submit(&[create_site(json!({})), create_campaign(json!({}))]);
    store.submit(&[change_status(1, Scheduled)]);
    store.submit(&[plan_site(1, 1)]);
    store
}

type Everything = (Vec<(i64, Site)>, Vec<(i64, Campaign)>, Vec<SlotDay>, Vec<(CampaignId, SiteId)>);

/// What can be read; the slots of the first two campaigns at the first two sites.
fn everything(store: &TestStore<Campaigns>) -> Everything {
    store.read(|tx| {
        let mut days = Vec::new();
        let dates = [date(2026, 1, 1), date(2027, 12, 31)];
        for (campaign, site) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            days.extend(slots(tx, CampaignId(campaign), SiteId(site), dates)?);
        }
        let sites = sites(tx, WHOLE_LIST)?.rows.items;
        let campaigns = campaigns(tx, WHOLE_LIST)?.rows.items;
        Ok((sites, campaigns, days, not_planned(tx, 100)?))
    })
}

/// The slots of these days, as they are found by their numbers: campaign, site and number.
fn assert_found_by_number(store: &TestStore<Campaigns>, days: &[SlotDay]) {
    for day in days {
        for slot in &day.slots {
            let (id, at) = (slot.slot_id, commands::at());
            let found = store.read(move |tx| alternatives(tx, id, VaccineId(1), at)).unwrap();
            assert_eq!((found.slot.site, found.slot.starts_at), (day.site_id, slot.starts_at));
            let of: Vec<_> = found.offers[0].days.iter().map(|it| it.campaign_id).collect();
            assert!(of.iter().all(|campaign| *campaign == day.campaign_id), "{of:?}");
        }
    }
}

fn published(store: &TestStore<Campaigns>) -> Vec<(u64, String)> {
    let entries = store.outbox().into_iter();
    entries.map(|entry| (entry.sequence, entry.event.r#type)).collect()
}

/// Few sites and campaigns, so that the commands meet.
fn any_command() -> impl Strategy<Value = Command> {
    let ids = 1..=2_i64;
    let status = select(&CampaignStatus::ALL[..]);
    let identified = select(vec!["7", "8"]).prop_map(|value| {
        let identifier = ExternalIdentifier { system: "hira".to_owned(), value: value.to_owned() };
        (site(json!({"identifiers": [identifier]})), identifier)
    });
    prop_oneof![
        1 => (ids.clone(), identified.clone()).prop_map(|(id, (site, _))| {
            let at = commands::at();
            Command::ChangeSite(ChangeSite { id: SiteId(id), site, expected: None, at })
        }),
        2 => identified.prop_map(|(site, identifier)| {
            let key = ImportKey::Identifier(identifier);
            Command::ImportSite(ImportSite { key, site, at: commands::at() })
        }),
        2 => Just(create_site(json!({}))),
        2 => select(vec![json!([{"siteId": 1}]), json!([{"siteId": 1}, {"siteId": 2}])])
            .prop_map(|sites| create_campaign(json!({"sites": sites}))),
        4 => (ids.clone(), status).prop_map(|(id, status)| change_status(id, status)),
        4 => (ids.clone(), ids.clone()).prop_map(|(campaign, site)| plan_site(campaign, site)),
        2 => (ids.clone(), ids.clone(), 1..5_u32).prop_map(|(id, site, capacity)| {
            change_campaign(id, json!({"sites": [{"siteId": site, "capacity": capacity}]}))
        }),
        2 => (ids.clone(), select(vec![json!([]), json!([{"from": "09:20", "to": "11:00"}])]))
            .prop_map(|(id, hours)| change_exception(id, "2026-12-08", hours)),
        1 => (ids.clone(), select(vec!["MON", "TUE"])).prop_map(|(id, day)| {
            let hours = json!([{"day": day, "from": "09:00", "to": "09:40"}]);
            change_site(id, json!({"openingHours": hours}))
        }),
        1 => ids.clone().prop_map(|id| {
            Command::RemoveSite(RemoveSite { id: SiteId(id), expected: None })
        }),
        1 => ids.prop_map(|id| {
            Command::RemoveCampaign(RemoveCampaign { id: CampaignId(id), expected: None })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_batch_has_the_effect_of_its_commands_one_by_one(commands in vec(any_command(), 0..24)) {
        let mut commands = commands;
        commands.splice(0..0, [create_site(json!({})), create_campaign(json!({}))]);
        let (mut batched, mut single) =
            (open(TestDatabase::sqlite()), open(TestDatabase::sqlite()));
        let replies: Vec<Reply> = commands.chunks(6).flat_map(|chunk| batched.submit(chunk)).collect();
        let one_by_one: Vec<Reply> = commands
            .iter()
            .flat_map(|command| single.submit(std::slice::from_ref(command)))
            .collect();
        prop_assert_eq!(replies, one_by_one);
        prop_assert_eq!(everything(&batched), everything(&single));
        prop_assert_eq!(batched.outbox(), single.outbox());
        assert_found_by_number(&batched, &everything(&batched).2);
    }
}

fn everything_is_still_there_after_reopening(new: fn() -> TestDatabase) {
    let mut store = open_scheduled(new());
    let extra = json!({
        "position": {"latitude": 37.566_535, "longitude": 126.977_969},
        "identifiers": [{"system": "hira", "value": "7"}],
    });
    store.submit(&[create_site(extra), change_exception(1, "2026-12-08", json!([]))]);
    let before = (everything(&store), store.outbox());
    let mut store = open(store.close());
    assert_eq!((everything(&store), store.outbox()), before);
    assert_eq!(before.0.2.len(), 2);
    // Its slots, and no others, are planned on.
    let replies =
        store.submit(&[plan_site(1, 1), change_status(1, Open), change_status(1, Closed)]);
    assert!(matches!(&replies[0], Reply::SitePlanned(planned) if planned.days.is_empty()));
    let after = everything(&store);
    assert_eq!((&after.0, &after.2), (&before.0.0, &before.0.2));
    assert_eq!(after.1[0].1.status, Closed);
}

fn a_closed_day_is_published_in_the_commit_that_closes_it(new: fn() -> TestDatabase) {
    let mut store = open_scheduled(new());
    store.submit(&[create_campaign(json!({"capacity": 2})), change_status(2, Scheduled)]);
    store.submit(&[plan_site(2, 1)]);
    let before = store.outbox().len();
    store.submit(&[change_exception(1, "2026-12-01", json!([]))]);
    let published = store.outbox().split_off(before);
    let [closed] = &published[..] else { panic!("{published:?}") };
    assert_eq!(closed.event.r#type, "SlotsPlanned");
    let SlotDays { days } = serde_json::from_str(&closed.event.data).unwrap();
    let of: Vec<_> = days.iter().map(|day| (day.campaign_id.0, day.date)).collect();
    assert_eq!(of, [(1, date(2026, 12, 1)), (2, date(2026, 12, 1))]);
    assert!(days.iter().flat_map(|day| &day.slots).all(|slot| slot.capacity == 0));
    // The same again changes nothing.
    store.submit(&[change_exception(1, "2026-12-01", json!([]))]);
    assert_eq!(store.outbox().len(), before + 1);
    assert_eq!(everything(&store).3, [], "nothing is left to be planned");
}

fn only_what_is_not_up_to_date_is_to_be_planned(new: fn() -> TestDatabase) {
    let mut store = open_scheduled(new());
    let to_plan = |store: &TestStore<Campaigns>| store.read(|tx| not_planned(tx, 100));
    assert_eq!(to_plan(&store), []);
    store.submit(&[change_status(1, Open)]);
    assert_eq!(to_plan(&store), [], "a status needs no plan");
    store.submit(&[change_campaign(1, json!({"capacity": 20}))]);
    assert_eq!(to_plan(&store), [(CampaignId(1), SiteId(1))]);
    store.submit(&[plan_site(1, 1)]);
    assert_eq!(to_plan(&store), []);
    store.submit(&[change_site(1, json!({"openingHours": []}))]);
    assert_eq!(to_plan(&store), [(CampaignId(1), SiteId(1))]);
    store.submit(&[change_status(1, Closed)]);
    assert_eq!(to_plan(&store), [], "a closed campaign is left as it is");
}

fn a_snapshot_has_every_site_every_campaign_with_slots_and_every_day(new: fn() -> TestDatabase) {
    let mut store = open_scheduled(new());
    store.submit(&[create_site(json!({"phone": "112"})), create_campaign(json!({}))]);
    let snapshot = store.snapshot();
    let types: Vec<_> = snapshot.iter().map(|(_, event)| event.r#type.as_str()).collect();
    let expected =
        ["SiteChanged", "SiteChanged", "CampaignChanged", "SlotsPlanned", "SlotsPlanned"];
    assert_eq!(types, expected);
    let sites: Vec<_> = store.outbox().into_iter().map(|entry| entry.event).collect();
    let sites: Vec<_> = sites.iter().filter(|event| event.r#type == "SiteChanged").collect();
    assert_eq!(snapshot[..2].iter().map(|(_, event)| event).collect::<Vec<_>>(), sites);
    assert!(snapshot.windows(2).all(|pair| pair[0].0 < pair[1].0), "in the order of their keys");
    let mut one_by_one = Vec::new();
    let mut after = i64::MIN;
    loop {
        let next =
            store.read(move |tx| <Campaigns as platform_store::Aggregate>::snapshot(tx, after, 1));
        let Some((key, event)) = next.into_iter().next() else { break };
        assert!(key > after, "it goes on");
        after = key;
        one_by_one.push((key, event));
    }
    assert_eq!(one_by_one, snapshot);
    let days: Vec<SlotDay> = snapshot[3..]
        .iter()
        .flat_map(|(_, event)| serde_json::from_str::<SlotDays>(&event.data).unwrap().days)
        .collect();
    assert_eq!(days, everything(&store).2);
}

fn a_new_place_is_published_without_its_hours(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[create_site(json!({"accessibility": "step-free"}))]);
    store.submit(&[change_site(1, json!({"accessibility": "step-free", "openingHours": []}))]);
    store.submit(&[change_exception(1, "2026-12-08", json!([]))]);
    store.submit(&[change_site(1, json!({"phone": "112"}))]);
    let identifier = ExternalIdentifier { system: "hira".to_owned(), value: "7".to_owned() };
    let site = site(json!({"identifiers": [identifier]}));
    let key = ImportKey::Identifier(identifier);
    let import = Command::ImportSite(ImportSite { key, site, at: commands::at() });
    store.submit(&[import.clone(), import]);
    let published: Vec<PublishedSite> = store
        .outbox()
        .iter()
        .map(|entry| serde_json::from_str(&entry.event.data).unwrap())
        .collect();
    let phones: Vec<_> = published.iter().map(|it| (it.site_id.0, &*it.place.phone)).collect();
    assert_eq!(phones, [(1, "+82 2 123 4567"), (1, "112"), (2, "+82 2 123 4567")]);
    assert_eq!(published[0].place.accessibility.as_deref(), Some("step-free"));
    let data = &store.outbox()[0].event.data;
    assert!(!data.contains("openingHours") && !data.contains("exceptions"), "{data:?}");
}

fn a_campaign_has_thousands_of_sites(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&vec![create_site(json!({})); 1_000]);
    store.submit(&vec![create_site(json!({})); 1_000]);
    let sites: Vec<_> = (1..=2_000).map(|id| json!({"siteId": id})).collect();
    store.submit(&[create_campaign(json!({"sites": sites})), change_status(1, Scheduled)]);
    assert_eq!(store.read(|tx| not_planned(tx, 5_000)).len(), 2_000);
    let plan = |id| {
        let site = SiteId(id);
        Command::PlanSite(PlanSite { campaign: CampaignId(1), site, at: commands::at() })
    };
    store.submit(&(1..=64).map(plan).collect::<Vec<_>>());
    assert_eq!(store.read(|tx| not_planned(tx, 5_000)).len(), 2_000 - 64);
}

fn nothing_is_published_of_a_draft(new: fn() -> TestDatabase) {
    let mut store = open(new());
    let remove = RemoveCampaign { id: CampaignId(1), expected: None };
    store.submit(&[create_site(json!({})), create_campaign(json!({}))]);
    store.submit(&[change_campaign(1, json!({"capacity": 5})), plan_site(1, 1)]);
    store.submit(&[Command::RemoveCampaign(remove)]);
    assert_eq!(published(&store), [(1, "SiteChanged".to_owned())]);
}

fn a_slot_is_found_by_its_number_after_its_day_was_planned_again(new: fn() -> TestDatabase) {
    let mut store = open_scheduled(new());
    let hours = json!([{"from": "08:00", "to": "10:30"}]);
    store.submit(&[change_exception(1, "2026-12-01", hours)]);
    let days = everything(&store).2;
    let numbers = days.iter().flat_map(|day| &day.slots).map(|slot| slot.slot_id.0);
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    assert!(numbers.len() > 6 && numbers.iter().copied().eq(1..=numbers.last().copied().unwrap()));
    assert_ne!(days[0].slots[0].slot_id, SlotId(1), "a slot before the first one");
    assert_found_by_number(&store, &days);
    for unknown in [i64::MIN, 0, numbers.last().unwrap() + 1, i64::MAX] {
        let (id, at) = (SlotId(unknown), commands::at());
        assert_eq!(store.read(move |tx| alternatives(tx, id, VaccineId(1), at)), None);
    }
}

fn near_sites_have_the_slots_of_open_campaigns_of_the_vaccine(new: fn() -> TestDatabase) {
    let mut store = open(new());
    let position = |latitude: f64| json!({"latitude": latitude, "longitude": 127.0});
    let placed = [None, Some(0.03), Some(0.02), Some(0.5), Some(0.01)];
    let fields = |at: f64| json!({"position": position(at)});
    let sites = placed.map(|at| create_site(at.map_or(json!({}), fields)));
    store.submit(&sites);
    let campaigns = [(1, vec![1, 2, 3, 4]), (1, vec![2]), (2, vec![3, 5]), (1, vec![5])];
    let sites = |sites: &[i64]| sites.iter().map(|id| json!({"siteId": id})).collect::<Vec<_>>();
    for (id, (vaccine, of)) in (1..).zip(&campaigns) {
        let fields = json!({"vaccineIds": [vaccine], "sites": sites(of)});
        store.submit(&[create_campaign(fields), change_status(id, Scheduled)]);
        store.submit(&of.iter().map(|site| plan_site(id, *site)).collect::<Vec<_>>());
    }
    store.submit(&[1, 2, 3].map(|id| change_status(id, Open)));
    let near = |found: Vec<NearOffers>| {
        let days = |near: &NearOffers| near.offers.iter().flat_map(|it| it.days.clone()).collect();
        let found = found.into_iter().map(|near| (near.site.id.0, days(&near)));
        let campaigns = |days: Vec<SlotDay>| days.iter().map(|day| day.campaign_id.0).collect();
        found.map(|(site, days)| (site, campaigns(days))).collect::<Vec<(i64, Vec<i64>)>>()
    };
    let dates = [date(2026, 12, 1), date(2026, 12, 8)];
    let wanted = Wanted { vaccine: VaccineId(1), dates, at: commands::at() };
    let centre: GeoPosition = serde_json::from_value(position(0.0)).unwrap();
    let around = Surroundings { centre, metres_max: 20_000, sites_max: 9, without: None };
    let found = store.read(move |tx| near_offers(tx, &wanted, &around));
    assert_eq!(near(found), [(3, vec![1, 1]), (2, vec![1, 1, 2, 2])]);
    let first = store.read(move |tx| slots(tx, CampaignId(1), SiteId(3), dates))[0].slots[0];
    let found = store.read(move |tx| alternatives(tx, first.slot_id, VaccineId(1), wanted.at));
    assert_eq!(near(found.unwrap().others), [(2, vec![1, 1, 2, 2])]);
}
