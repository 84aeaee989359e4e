//! A calendar is read back as a calendar program reads it: unfolded, split into properties, unescaped.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::collections::BTreeMap;

use contracts::{
    booking::{
        BookedSlot,
        BookingStatus::{self, Booked, BookingCancelled, InjectionCompleted},
    },
    campaign::{Address, GeoPosition, LocalizedName, Microdegrees, SitePlace},
    ids::{BookingId, SiteId, SlotId, UserId, VaccineId},
};
use insta::assert_snapshot;
use jiff::Timestamp;
use mypage::{
    calendar::{LINE_MAX, calendar},
    domain::{KnownSite, PlacedView, View},
};
use proptest::prelude::*;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn site(ko: &str) -> KnownSite {
    let degrees = |degrees: f64| Microdegrees::from_degrees(degrees).unwrap();
    let place = SitePlace {
        name: LocalizedName { ko: ko.to_owned(), en: Some("Gangnam Health Centre".to_owned()) },
        address: Address {
            line: "1 Teheran-ro; 2F".to_owned(),
            city: "Seoul".to_owned(),
            region: "KR-11".to_owned(),
            postal_code: Some("06236".to_owned()),
        },
        phone: "+82 2 123 4567".to_owned(),
        time_zone: "Asia/Seoul".to_owned(),
        position: Some(GeoPosition { latitude: degrees(37.5), longitude: degrees(-127.000_001) }),
        accessibility: Some("엘리베이터, 휠체어".to_owned()),
    };
    KnownSite { place, since: time("2026-11-01T00:00:00Z") }
}

/// Booking 7 of a slot, made on 24 November.
fn booking(site: Option<KnownSite>) -> PlacedView {
    let as_of = time("2026-11-24T08:00:01Z");
    let starts_at = time("2026-12-01T00:30:00Z");
    let slot = BookedSlot { slot_id: SlotId(3), site_id: SiteId(1), starts_at };
    let view = View {
        book_id: BookingId(7),
        vaccine_id: VaccineId(1),
        vc_name: "FIZER".to_owned(),
        user_id: UserId(5),
        status: Booked,
        as_of,
        moves: 0,
        slot: Some(slot),
        slot_as_of: as_of,
        dose: None,
    };
    PlacedView { view, site }
}

/// The properties of its entry.
fn read(booking: &PlacedView) -> BTreeMap<String, String> {
    let text = calendar(booking, "ko").unwrap();
    let unfolded = text.replace("\r\n ", "");
    let lines = unfolded.strip_suffix("\r\n").unwrap().split("\r\n");
    let event = lines.skip_while(|line| *line != "BEGIN:VEVENT").skip(1);
    let event = event.take_while(|line| *line != "END:VEVENT");
    event
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), unescape(value))
        })
        .collect()
}

fn unescape(value: &str) -> String {
    let (mut text, mut chars) = (String::new(), value.chars());
    while let Some(char) = chars.next() {
        text.push(match char {
            '\\' => match chars.next().unwrap() {
                'n' | 'N' => '\n',
                escaped => escaped,
            },
            _ => char,
        });
    }
    text
}

fn assert_lines_fit(text: &str) {
    assert!(text.ends_with("\r\n"));
    for line in text.split_terminator("\r\n") {
        assert!(line.len() <= LINE_MAX, "{} octets: {line}", line.len());
        assert!(!line.contains(['\r', '\n']), "{line:?}");
    }
}

#[test]
fn a_booking_of_a_slot_is_an_entry_with_its_time_and_its_place() {
    let text = calendar(&booking(Some(site("강남구 보건소"))), "ko").unwrap();
    assert_lines_fit(&text);
    assert_snapshot!(text.replace("\r\n ", "").replace("\r\n", "\n"), @r"
    BEGIN:VCALENDAR
    VERSION:2.0
    PRODID:-//anticorona//mypage//EN
    BEGIN:VEVENT
    UID:7@bookings.anticorona
    DTSTAMP:20261124T080001Z
    SEQUENCE:0
    DTSTART:20261201T003000Z
    DTEND:20261201T010000Z
    SUMMARY:백신 접종: FIZER
    STATUS:CONFIRMED
    CLASS:PRIVATE
    LOCATION:강남구 보건소\, 1 Teheran-ro\; 2F\, Seoul 06236
    GEO:37.500000;-127.000001
    DESCRIPTION:시간: 2026-12-01 09:30 (Asia/Seoul\, UTC+09:00)\n전화: +82 2 123 4567\n접근성: 엘리베이터\, 휠체어
    END:VEVENT
    END:VCALENDAR
    ");
}

#[test]
fn a_long_korean_name_is_folded_between_characters_and_read_back() {
    let name = "서울특별시 강남구 보건소 및 예방접종센터, 본관 \\ 별관; 이층 대강당 앞 접수처";
    assert!(name.len() > LINE_MAX);
    let booking = booking(Some(site(name)));
    assert_lines_fit(&calendar(&booking, "ko").unwrap());
    let expected = format!("{name}, 1 Teheran-ro; 2F, Seoul 06236");
    assert_eq!(read(&booking)["LOCATION"], expected);
}

proptest! {
    #[test]
    fn any_text_is_read_back(name in "[ -~가-힣🚑,;\\\\:]{1,100}", accessibility in "\\PC{0,200}") {
        let mut site = site(&name);
        site.place.accessibility = Some(accessibility.clone());
        let booking = booking(Some(site));
        assert_lines_fit(&calendar(&booking, "ko").unwrap());
        let event = read(&booking);
        let expected = format!("{name}, 1 Teheran-ro; 2F, Seoul 06236");
        prop_assert_eq!(&event["LOCATION"], &expected);
        let notes = event["DESCRIPTION"].lines().last().unwrap();
        prop_assert_eq!(notes, format!("접근성: {accessibility}"));
    }
}

#[test]
fn an_entry_at_an_unknown_site_has_a_time_and_no_place() {
    let event = read(&booking(None));
    assert_eq!(event["DTSTART"], "20261201T003000Z");
    for name in ["LOCATION", "GEO", "DESCRIPTION"] {
        assert!(!event.contains_key(name), "{name}");
    }
}

#[test]
fn a_site_without_a_position_has_no_geo() {
    let mut site = site("강남구 보건소");
    site.place.position = None;
    assert!(!read(&booking(Some(site))).contains_key("GEO"));
}

#[test]
fn a_booking_without_a_slot_has_no_calendar() {
    let mut booking = booking(None);
    booking.view.slot = None;
    assert_eq!(calendar(&booking, "ko"), None);
}

#[test]
fn only_a_cancelled_booking_is_a_cancelled_entry() {
    let status = |status: BookingStatus| {
        let mut booking = booking(None);
        booking.view.status = status;
        read(&booking)["STATUS"].clone()
    };
    let statuses = [Booked, BookingCancelled, InjectionCompleted].map(status);
    assert_eq!(statuses, ["CONFIRMED", "CANCELLED", "CONFIRMED"]);
}

#[test]
fn a_move_and_a_cancellation_have_a_higher_sequence_under_the_same_uid() {
    let mut booking = booking(None);
    let mut entries = vec![read(&booking)];
    let slot = booking.view.slot.unwrap();
    booking.view.slot = Some(BookedSlot { slot_id: SlotId(4), ..slot });
    booking.view.moves = 1;
    entries.push(read(&booking));
    for status in [BookingCancelled, InjectionCompleted] {
        booking.view.status = status;
        entries.push(read(&booking));
    }
    let sequences: Vec<_> = entries.iter().map(|entry| entry["SEQUENCE"].as_str()).collect();
    assert_eq!(sequences, ["0", "1", "2", "3"]);
    assert!(entries.iter().all(|entry| entry["UID"] == "7@bookings.anticorona"));
}

#[test]
fn a_change_of_the_site_has_a_later_stamp() {
    let mut booking = booking(Some(site("강남구 보건소")));
    assert_eq!(read(&booking)["DTSTAMP"], "20261124T080001Z");
    let since = time("2026-11-25T00:00:00Z");
    booking.site = booking.site.map(|site| KnownSite { since, ..site });
    assert_eq!(read(&booking)["DTSTAMP"], "20261125T000000Z");
}

#[test]
fn an_english_entry_has_the_english_name_if_there_is_one() {
    let mut booking = booking(Some(site("강남구 보건소")));
    let english = |booking: &PlacedView| calendar(booking, "en").unwrap().replace("\r\n ", "");
    let text = english(&booking);
    for line in [
        "SUMMARY:Vaccination: FIZER",
        "LOCATION:Gangnam Health Centre\\, 1 Teheran-ro\\; 2F\\, Seoul 06236",
        "DESCRIPTION:Time: 2026-12-01 09:30 (Asia/Seoul\\, UTC+09:00)\\nPhone: +82 2 123 4567\\nAccessibility: 엘리베이터\\, 휠체어",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    booking.site.as_mut().unwrap().place.name.en = None;
    assert!(english(&booking).contains("LOCATION:강남구 보건소"));
}

#[test]
fn a_booking_whose_vaccine_is_not_known_yet_is_a_vaccination() {
    let mut booking = booking(None);
    booking.view.vc_name.clear();
    assert_eq!(read(&booking)["SUMMARY"], "백신 접종");
}
