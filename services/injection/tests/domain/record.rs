//! The record of an injection.

use contracts::{
    ids::InjectionId,
    injection::{
        BodySite,
        InjectionStatus::{InjectionReady, NoShow},
    },
};
use injection::domain::{
    Appointments, CheckedRecord, Command, CompleteInjection, Completion, GivenRecord, LATE_MAX,
    OCCURRED_AGO_MAX, Refusal, Reply, decide,
};
use jiff::{SignedDuration, Timestamp};

use super::{AT, booked, decide_with, expect};

fn given() -> GivenRecord {
    GivenRecord {
        lot_number: Some("EW 0150".to_owned()),
        body_site: Some(BodySite::LeftDeltoid),
        dose_number: Some(2),
        performer: Some("김간호".to_owned()),
        occurred_at: None,
    }
}

fn complete(given: GivenRecord, at: Timestamp) -> Command {
    let record = CheckedRecord::parse(given).unwrap();
    Command::Complete(CompleteInjection { injection: InjectionId(1), record, at })
}

fn wrong_field(given: GivenRecord) -> Option<&'static str> {
    CheckedRecord::parse(given).err().map(|wrong| wrong.field)
}

fn later(at: Timestamp, ms: i64) -> Timestamp {
    at + SignedDuration::from_millis(ms)
}

/// Completes an appointment, and completes it again a second later.
fn twice(first: GivenRecord, second: GivenRecord) -> Result<Completion, Refusal> {
    let mut appointments = Appointments::default();
    decide(&mut appointments, &expect(7));
    decide(&mut appointments, &complete(first, AT));
    let before = appointments.clone();
    let reply = decide(&mut appointments, &complete(second, later(AT, 1_000)));
    assert_eq!(appointments, before, "it is completed once");
    match reply {
        Reply::Completed(reply) => reply,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_is_stored_with_its_time_or_that_of_the_completion() {
    let record = |given| decide_with(InjectionReady, &complete(given, AT)).0.unwrap().record;
    let stored = record(given()).unwrap();
    assert_eq!(stored.lot_number.as_deref(), Some("EW 0150"));
    assert_eq!((stored.body_site, stored.dose_number), (given().body_site, Some(2)));
    assert_eq!((stored.performer, stored.occurred_at), (given().performer, AT));
    let earlier = AT - SignedDuration::from_mins(5);
    let stored = record(GivenRecord { occurred_at: Some(earlier), ..given() });
    assert_eq!(stored.unwrap().occurred_at, earlier);
    assert_eq!(record(GivenRecord::default()), None);
}

#[test]
fn the_same_record_again_changes_nothing_and_another_is_refused() {
    let at = |occurred_at| GivenRecord { occurred_at: Some(occurred_at), ..given() };
    let is_repeated = |first, second| match twice(first, second) {
        Ok(Completion::Repeated(_)) => true,
        Err(Refusal::AlreadyCompleted) => false,
        other => panic!("{other:?}"),
    };
    assert!(is_repeated(given(), given()));
    assert!(is_repeated(given(), at(AT)), "as it is shown");
    assert!(is_repeated(at(later(AT, -5)), at(later(AT, -5))));
    for other in [
        at(later(AT, -5)),
        GivenRecord::default(),
        GivenRecord { lot_number: None, ..given() },
        GivenRecord { body_site: Some(BodySite::RightThigh), ..given() },
        GivenRecord { dose_number: Some(1), ..given() },
        GivenRecord { performer: Some("x".to_owned()), ..given() },
    ] {
        assert!(!is_repeated(given(), other.clone()), "{other:?}");
    }
    assert!(!is_repeated(at(later(AT, -5)), given()));
    assert!(!is_repeated(GivenRecord::default(), given()));
    assert!(!is_repeated(GivenRecord::default(), GivenRecord::default()));
}

#[test]
fn an_injection_was_at_most_seven_days_ago_and_not_later_than_now() {
    let occurred = |at| complete(GivenRecord { occurred_at: Some(at), ..given() }, AT);
    for at in [AT, AT - OCCURRED_AGO_MAX] {
        assert!(decide_with(InjectionReady, &occurred(at)).0.is_ok());
    }
    for (at, refusal) in [
        (later(AT, 1), Refusal::OccurredLater),
        (later(AT - OCCURRED_AGO_MAX, -1), Refusal::OccurredTooEarly),
    ] {
        assert_eq!(decide_with(InjectionReady, &occurred(at)), (Err(refusal), false));
    }
}

/// A sheet of the day may be uploaded after it.
#[test]
fn a_no_show_is_completed_if_the_injection_was_on_the_same_day() {
    let starts_at = booked(7).slot.unwrap().starts_at;
    let now = starts_at + SignedDuration::from_hours(72);
    let occurred = |at| complete(GivenRecord { occurred_at: Some(at), ..given() }, now);
    assert!(decide_with(NoShow, &occurred(starts_at + LATE_MAX)).0.is_ok());
    let after = occurred(later(starts_at + LATE_MAX, 1));
    assert_eq!(decide_with(NoShow, &after), (Err(Refusal::DayOver), false));
}

#[test]
fn a_wrong_field_is_named() {
    let lot = |text: &str| GivenRecord { lot_number: Some(text.to_owned()), ..given() };
    for text in ["", "  ", "a\tb", "로트", &"x".repeat(33)] {
        assert_eq!(wrong_field(lot(text)), Some("lotNumber"), "{text:?}");
    }
    assert_eq!(wrong_field(lot(&"x".repeat(32))), None);
    let performer = |text: &str| GivenRecord { performer: Some(text.to_owned()), ..given() };
    for text in ["", " ", "a\u{0}b", "a\u{85}b", &"간".repeat(101)] {
        assert_eq!(wrong_field(performer(text)), Some("performer"), "{text:?}");
    }
    assert_eq!(wrong_field(performer(&"간".repeat(100))), None);
    let dose = |number| GivenRecord { dose_number: Some(number), ..given() };
    assert_eq!(
        [0, 1, 9, 10].map(|number| wrong_field(dose(number)).is_some()),
        [true, false, false, true]
    );
    assert_eq!(CheckedRecord::parse(lot(" EW 0150 ")), CheckedRecord::parse(given()));
}
