//! The relay: `vaccine` consumes all events, in order, however often it fails.

use booking::{
    domain::{BookingAttempt, Bookings, CreateBooking, HeldDose},
    store::MIGRATIONS,
};
use contracts::{
    event::{BATCH_MEDIA_TYPE, CloudEvent, ConsumerOffset, EVENTS_MAX, short_name},
    ids::{ReservationId, UserId, VaccineId},
};
use jiff::Timestamp;
use platform_store::{AggregateStore, Input, Notifier, Store, database::open_blocking};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    app::BookingApp,
    book,
    fixture::database,
    vaccine::{EVENTS, FakeReply, FakeVaccine, HOLDS, OFFSET},
};

/// The folder of a store with so many bookings that are not published yet.
fn with_bookings(count: usize) -> TempDir {
    let folder = TempDir::new().unwrap();
    let (connection, _) = open_blocking(&database(&folder), "booking", MIGRATIONS).unwrap();
    let create = |_| {
        let attempt = BookingAttempt {
            id: None,
            choice: VaccineId(1).into(),
            user: UserId(5),
            fingerprint: None,
        };
        let reservation = ReservationId(Uuid::now_v7());
        let dose =
            HeldDose { reservation, vaccine_name: "FIZER".to_owned(), slot: None, next: None };
        Input::Command(CreateBooking { attempt, dose, at: Timestamp::UNIX_EPOCH }.into())
    };
    let mut store = AggregateStore::<Bookings>::new(connection, Notifier::default());
    store.apply(&(0..count).map(create).collect::<Vec<_>>()).unwrap();
    folder
}

fn sequences(events: &[CloudEvent]) -> Vec<u64> {
    events.iter().map(|event| event.sequence).collect()
}

/// The sequence numbers of each request with events.
fn requests(app: &BookingApp) -> Vec<Vec<u64>> {
    let requests = app.vaccine.requests(EVENTS);
    requests
        .iter()
        .map(|request| sequences(&serde_json::from_slice::<Vec<_>>(&request.body).unwrap()))
        .collect()
}

#[tokio::test]
async fn events_are_published_in_order_as_cloud_events() {
    let app = BookingApp::start();
    book(&app).await;
    book(&app).await;
    app.request("DELETE /bookings/1", "").await;
    let events = app.vaccine.events(3).await;
    let types: Vec<_> = events.iter().map(|event| short_name(&event.r#type).unwrap()).collect();
    assert_eq!(types, ["Booked", "Booked", "BookingCancelled"]);
    assert_eq!(sequences(&events), [1, 2, 3]);
    let owner = app.vaccine.batches(1).await[0].owner;
    assert!(events.iter().all(|event| event.source == owner));
    assert_eq!(events[2].id, format!("{owner}/3"));
    assert!(app.vaccine.requests(EVENTS)[0].line.ends_with(BATCH_MEDIA_TYPE));
    assert_eq!(app.vaccine.requests(OFFSET)[0].line.trim_end(), format!("{OFFSET} source={owner}"));
}

#[tokio::test]
async fn an_event_that_vaccine_did_not_consume_is_published_again() {
    let app = BookingApp::start();
    app.vaccine.reply_next(EVENTS, FakeReply::Disconnect);
    app.vaccine.reply_next(EVENTS, FakeReply::Response(500, String::new()));
    book(&app).await;
    assert_eq!(sequences(&app.vaccine.events(1).await), [1]);
    assert_eq!(requests(&app), [[1], [1], [1]]);
}

#[tokio::test]
async fn all_events_are_published_again_to_a_vaccine_that_lost_its_data() {
    let app = BookingApp::start();
    book(&app).await;
    app.vaccine.events(1).await;
    app.vaccine.reply_next(
        EVENTS,
        FakeReply::json(&ConsumerOffset { sequence: 0, last_event_at: None, snapshot: None }),
    );
    book(&app).await;
    app.vaccine.events(2).await;
    assert_eq!(requests(&app), [vec![1], vec![2], vec![1, 2]]);
}

#[tokio::test]
async fn after_a_restart_events_are_published_from_the_offset_of_vaccine() {
    let mut app = BookingApp::start();
    book(&app).await;
    app.vaccine.events(1).await;
    app.restart().await;
    book(&app).await;
    assert_eq!(sequences(&app.vaccine.events(2).await), [1, 2]);
    assert_eq!(requests(&app), [[1], [2]]);
}

/// The ledger may have been restored from a backup, and would hold the dose of another booking.
#[tokio::test]
async fn nothing_is_held_before_vaccine_has_consumed_the_events_of_all_bookings() {
    let app = BookingApp::start_in(with_bookings(2), FakeVaccine::start());
    app.vaccine.reply_next(EVENTS, FakeReply::Disconnect);
    app.vaccine.reply_next(EVENTS, FakeReply::Disconnect);
    assert_eq!(book(&app).await.status, 201);
    let posted = app.vaccine.requests("POST");
    let held = posted.iter().position(|request| request.line.starts_with(HOLDS)).unwrap();
    assert_eq!(held, 3, "after the third delivery: {posted:?}");
}

#[tokio::test]
async fn events_are_published_when_vaccine_is_up_again() {
    let mut app = BookingApp::start_in(with_bookings(2), FakeVaccine::unreachable());
    assert_eq!(app.request("DELETE /bookings/1", "").await.status, 204);
    app.vaccine.listen();
    assert_eq!(sequences(&app.vaccine.events(3).await), [1, 2, 3]);
}

#[tokio::test]
async fn many_events_are_published_in_several_requests() {
    let count = EVENTS_MAX + 1;
    let app = BookingApp::start_in(with_bookings(count), FakeVaccine::start());
    app.vaccine.events(count).await;
    let lengths: Vec<_> = requests(&app).iter().map(Vec::len).collect();
    assert_eq!(lengths, [EVENTS_MAX, 1]);
}
