//! What can be booked of slots, and how far it is.

use campaign::domain::{
    CampaignRecord, FreeAtSite, Offer, Surroundings, Wanted, dates_around, distance_metres,
};
use contracts::{
    campaign::{CampaignStatus, DoseSource, GeoPosition, Microdegrees, MinuteOfDay, Slot, SlotDay},
    ids::{CampaignId, SiteId, SlotId, VaccineId},
    vaccine::availability::{DoseAvailability, SiteAvailability, SlotAvailability},
};
use jiff::{Timestamp, ToSpan, civil::Date};
use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::commands::{campaign_details, campaign_json, with};

fn day(number: i64) -> Date {
    jiff::civil::date(2026, 12, 1) + number.days()
}

fn starts_at(number: i64) -> Timestamp {
    Timestamp::from_second(number * 86_400).unwrap()
}

/// A slot of ten on each day, of an open campaign of vaccine 1.
fn offer(days: i64, doses: DoseSource) -> Offer {
    let details = campaign_details(with(campaign_json(), json!({"doses": doses})));
    let campaign =
        CampaignRecord { details, status: CampaignStatus::Open, revision: 1, changes: 1 };
    let slot = |number| Slot {
        slot_id: SlotId(number),
        starts_at: starts_at(number + 1),
        from: MinuteOfDay::default(),
        minutes: 10,
        capacity: 10,
        held_back: 0,
    };
    let day = |number| SlotDay {
        campaign_id: CampaignId(1),
        site_id: SiteId(1),
        date: day(number),
        time_zone: "UTC".to_owned(),
        slots: vec![slot(number)],
    };
    Offer { campaign, days: (0..days).map(day).collect() }
}

fn wanted(days: i64) -> Wanted {
    Wanted { vaccine: VaccineId(1), dates: [day(0), day(days - 1)], at: starts_at(0) }
}

fn free(places: &[i64], doses: impl Iterator<Item = (Option<Date>, i64)>) -> FreeAtSite {
    let slots = (0..).zip(places).map(|(number, free)| SlotAvailability {
        slot_id: SlotId(number),
        campaign_id: CampaignId(1),
        starts_at: starts_at(number),
        date: day(number),
        free: *free,
    });
    let doses = doses.map(|(date, free)| DoseAvailability { vaccine_id: VaccineId(1), date, free });
    let (slots, doses) = (slots.collect(), doses.collect());
    SiteAvailability { as_of: starts_at(0), slots, doses }.into()
}

/// Doses of lots by the last day on which they are valid, given to those who book, the last day first.
fn assigned(places: &[i64], lots: &[i64]) -> i64 {
    let mut lots = lots.to_vec();
    let mut total = 0;
    for (day, places) in places.iter().enumerate().rev() {
        for _ in 0..*places {
            let Some(lot) = lots[day..].iter_mut().find(|lot| **lot > 0) else { break };
            *lot -= 1;
            total += 1;
        }
    }
    total
}

proptest! {
    #[test]
    fn as_many_can_book_in_a_range_as_doses_of_lots_can_be_assigned(
        counts in vec((0..4_i64, 0..4_i64), 1..7)
    ) {
        let (places, lots): (Vec<_>, Vec<_>) = counts.into_iter().unzip();
        let days = i64::try_from(places.len()).unwrap();
        let valid = (0..days).zip((0..lots.len()).map(|first| lots[first..].iter().sum()));
        let doses = valid.map(|(number, doses)| (Some(day(number)), doses));
        let offers = [offer(days, DoseSource::SiteLots)];
        let total = free(&places, doses).total(&offers, &wanted(days));
        prop_assert_eq!(total, assigned(&places, &lots));
    }
}

#[test]
fn central_doses_are_counted_once_and_slots_that_have_begun_not_at_all() {
    let offers = [offer(3, DoseSource::Central), offer(3, DoseSource::Central)];
    let doses = |count| [(None, count)].into_iter();
    let all = wanted(3);
    assert_eq!(free(&[5, 5, 5], doses(7)).total(&offers[..1], &all), 7);
    assert_eq!(free(&[5, 5, 5], doses(99)).total(&offers[..1], &all), 15);
    let later = Wanted { at: starts_at(2), ..all };
    assert_eq!(free(&[5, 5, 5], doses(99)).total(&offers[..1], &later), 5);
    let first = free(&[0, 5, 5], doses(1)).first(&offers, &all).unwrap();
    assert_eq!((first.slot_id, first.free), (SlotId(1), Some(1)));
    assert_eq!(free(&[5, 5, 5], doses(0)).first(&offers, &all), None);
    let closed = CampaignRecord { status: CampaignStatus::Paused, ..offers[0].campaign.clone() };
    let paused = [Offer { campaign: closed, ..offers[0].clone() }];
    assert_eq!(free(&[5, 5, 5], doses(9)).total(&paused, &all), 0);
}

#[test]
fn slots_are_looked_for_on_31_days_around_one_that_is_wanted_but_not_in_the_past() {
    let days = [(40, 0, 25, 55), (3, 0, 0, 30), (0, 3, 3, 33)];
    for (date, today, first, last) in days {
        assert_eq!(dates_around(day(date), day(today)), [day(first), day(last)]);
    }
    assert_eq!(dates_around(Date::MAX, Date::MAX), [Date::MAX; 2]);
}

#[test]
fn the_nearest_sites_are_looked_at_up_to_a_distance() {
    let position = |degrees| GeoPosition {
        latitude: Microdegrees::from_degrees(degrees).unwrap(),
        longitude: Microdegrees::from_degrees(0.0).unwrap(),
    };
    let positions = [(1, 0.0), (2, 0.02), (3, -0.01), (4, 0.01), (5, 9.0)];
    let positions = positions.map(|(id, degrees)| (SiteId(id), position(degrees))).into();
    let nearest = |metres_max, sites_max, without| {
        let centre = position(0.0);
        let surroundings = Surroundings { centre, metres_max, sites_max, without };
        let sites = surroundings.nearest(&positions).into_iter();
        sites.map(|site| (site.id.0, site.metres)).collect::<Vec<_>>()
    };
    let all = nearest(u32::MAX, 9, None);
    assert_eq!(all, [(1, 0), (3, 1_112), (4, 1_112), (2, 2_224), (5, 1_000_756)]);
    assert_eq!(nearest(1_112, 9, None), all[..3]);
    assert_eq!(nearest(u32::MAX, 2, Some(SiteId(1))), all[1..3]);
}

#[test]
fn distances_are_those_of_great_circles() {
    let position = |latitude, longitude| GeoPosition {
        latitude: Microdegrees::from_degrees(latitude).unwrap(),
        longitude: Microdegrees::from_degrees(longitude).unwrap(),
    };
    let seoul = position(37.5665, 126.978);
    let busan = position(35.1796, 129.0756);
    assert_eq!(distance_metres(seoul, seoul), 0);
    assert_eq!(distance_metres(seoul, busan), distance_metres(busan, seoul));
    assert!((324_000..326_000).contains(&distance_metres(seoul, busan)));
    let half = distance_metres(position(0.0, 0.0), position(0.0, 180.0));
    assert!((20_015_000..20_016_000).contains(&half), "{half}");
    let across = distance_metres(position(0.0, 179.9), position(0.0, -179.9));
    assert!((22_200..22_300).contains(&across), "{across}");
}
