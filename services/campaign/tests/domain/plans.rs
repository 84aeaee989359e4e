//! Plans of days.

use campaign::domain::{CheckedSite, NumberedSlot, PlannedSlot, plan, renumber};
use contracts::campaign::CampaignDetails;
use jiff::{Timestamp, ToSpan, civil::Date};
use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::commands::{campaign_details, campaign_json, site, with};

/// A site in Berlin with these hours on a date.
fn berlin(date: &str, hours: &serde_json::Value) -> CheckedSite {
    let exceptions = json!([{"date": date, "hours": hours}]);
    site(json!({"timeZone": "Europe/Berlin", "exceptions": exceptions}))
}

fn campaign(slot_minutes: u16, held_back_percent: u8) -> CampaignDetails {
    let fields = json!({"slotMinutes": slot_minutes, "heldBackPercent": held_back_percent});
    campaign_details(with(campaign_json(), fields))
}

fn planned(date: &str, from: &str, to: &str, slot_minutes: u16) -> Vec<(String, String)> {
    let site = berlin(date, &json!([{"from": from, "to": to}]));
    let slots = plan(&site, &campaign(slot_minutes, 0), 10, date.parse().unwrap());
    slots.iter().map(|slot| (slot.from.to_string(), slot.starts_at.to_string())).collect()
}

fn pairs(slots: &[(&str, &str)]) -> Vec<(String, String)> {
    slots.iter().map(|(from, at)| ((*from).to_owned(), (*at).to_owned())).collect()
}

#[test]
fn the_hour_that_a_clock_change_skips_has_no_slots() {
    let expected = [
        ("01:00", "2027-03-28T00:00:00Z"),
        ("01:30", "2027-03-28T00:30:00Z"),
        ("03:00", "2027-03-28T01:00:00Z"),
        ("03:30", "2027-03-28T01:30:00Z"),
    ];
    assert_eq!(planned("2027-03-28", "01:00", "04:00", 30), pairs(&expected));
    // The slot at 1:40 would end at 3:20, within the next one.
    let expected = [("01:00", "2027-03-28T00:00:00Z"), ("03:00", "2027-03-28T01:00:00Z")];
    assert_eq!(planned("2027-03-28", "01:00", "04:00", 40), pairs(&expected));
}

#[test]
fn the_hour_that_a_clock_change_repeats_has_slots_once() {
    let expected = [
        ("02:00", "2026-10-25T00:00:00Z"),
        ("02:30", "2026-10-25T00:30:00Z"),
        ("03:00", "2026-10-25T02:00:00Z"),
    ];
    assert_eq!(planned("2026-10-25", "02:00", "03:30", 30), pairs(&expected));
}

#[test]
fn a_slot_ends_within_its_hours_which_may_end_at_midnight() {
    let expected = [("23:00", "2026-12-01T22:00:00Z"), ("23:30", "2026-12-01T22:30:00Z")];
    assert_eq!(planned("2026-12-01", "23:00", "24:00", 30), pairs(&expected));
    assert_eq!(planned("2026-12-01", "09:00", "09:29", 30), []);
}

#[test]
fn an_exception_replaces_the_hours_of_the_week_and_may_be_an_extra_day() {
    let date = |date: &str| date.parse::<Date>().unwrap();
    let closed = site(json!({"exceptions": [{"date": "2026-12-01", "hours": []}]}));
    assert_eq!(plan(&closed, &campaign(30, 0), 10, date("2026-12-01")), []);
    assert_eq!(plan(&closed, &campaign(30, 0), 10, date("2026-12-08")).len(), 2);
    let extra = json!([{"date": "2026-12-05", "hours": [{"from": "10:00", "to": "11:00"}]}]);
    let extra = site(json!({"exceptions": extra}));
    assert_eq!(plan(&extra, &campaign(30, 0), 10, date("2026-12-05")).len(), 2);
    assert_eq!(plan(&extra, &campaign(30, 0), 10, date("2026-12-06")), []);
}

/// Intervals of a day, in order, without overlaps.
fn hours() -> impl Strategy<Value = Vec<(u16, u16)>> {
    vec(0..=1440_u16, 0..10).prop_map(|mut times| {
        times.sort_unstable();
        times.dedup();
        times.chunks_exact(2).map(|pair| (pair[0], pair[1])).take(5).collect()
    })
}

fn time(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

proptest! {
    #[test]
    fn slots_lie_within_the_hours_and_cover_them(
        hours in hours(), minutes in 5..=240_u16, percent in 0..=90_u8, capacity in 1..=10_000_u32,
    ) {
        let json: Vec<_> =
            hours.iter().map(|(from, to)| json!({"from": time(*from), "to": time(*to)})).collect();
        let date: Date = "2026-12-01".parse().unwrap();
        let site = berlin("2026-12-01", &json!(json));
        let slots = plan(&site, &campaign(minutes, percent), capacity, date);
        let full: u16 = hours.iter().map(|(from, to)| (to - from) / minutes).sum();
        prop_assert_eq!(slots.len(), usize::from(full));
        for slot in &slots {
            let (from, to) = (slot.from.minutes(), slot.from.minutes() + minutes);
            prop_assert!(hours.iter().any(|(opens, closes)| *opens <= from && to <= *closes));
            prop_assert_eq!(slot.capacity + slot.held_back, capacity);
            prop_assert!(slot.held_back * 100 >= capacity * u32::from(percent));
            prop_assert!(slot.held_back == 0 || (slot.held_back - 1) * 100 < capacity * u32::from(percent));
        }
    }

    /// Also on the two days of a clock change.
    #[test]
    fn slots_never_overlap(
        hours in hours(), minutes in 5..=240_u16,
        date in prop::sample::select(vec!["2027-03-28", "2026-10-25", "2026-12-01"]),
    ) {
        let json: Vec<_> =
            hours.iter().map(|(from, to)| json!({"from": time(*from), "to": time(*to)})).collect();
        let slots = plan(&berlin(date, &json!(json)), &campaign(minutes, 0), 1, date.parse().unwrap());
        for pair in slots.windows(2) {
            let ends_at = pair[0].starts_at + i64::from(minutes).minutes();
            prop_assert!(ends_at <= pair[1].starts_at, "{:?}", pair);
        }
    }

    #[test]
    fn a_slot_keeps_its_number_whatever_is_planned(plans in vec(vec(0..12_u16, 0..8), 1..8)) {
        let (mut known, mut last) = (Vec::<NumberedSlot>::new(), 0);
        for plan in plans {
            let planned = planned_at(plan);
            let before = known.clone();
            if let Some(slots) = renumber(&known, &planned, &mut last) {
                known = slots;
            }
            prop_assert_eq!(renumber(&known, &planned, &mut last), None, "the same plan again");
            for slot in &before {
                let same = known.iter().find(|it| it.id == slot.id).unwrap();
                prop_assert_eq!(same.from, slot.from);
                let is_planned = planned.iter().any(|it| it.from == slot.from);
                prop_assert_eq!(same.capacity > 0, is_planned);
            }
            prop_assert!(planned.iter().all(|it| known.iter().any(|slot| slot.from == it.from)));
            prop_assert!(known.windows(2).all(|pair| pair[0].from < pair[1].from));
        }
    }
}

fn planned_at(mut hours: Vec<u16>) -> Vec<PlannedSlot> {
    hours.sort_unstable();
    hours.dedup();
    let slot = |hour: u16| PlannedSlot {
        from: contracts::campaign::MinuteOfDay::new(hour * 60).unwrap(),
        starts_at: Timestamp::UNIX_EPOCH,
        minutes: 60,
        capacity: 1,
        held_back: 0,
    };
    hours.into_iter().map(slot).collect()
}
