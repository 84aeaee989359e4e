//! The relay: vaccine hears everything, in order, however often it fails.

use booking::{
    domain::{Book as NewBooking, Command},
    store::{Book, MIGRATIONS},
};
use contracts::{
    event::{BATCH_MEDIA_TYPE, CloudEvent, EVENTS_MAX, Heard},
    ids::{ReservationId, UserId, VaccineId},
};
use jiff::Timestamp;
use storage::{
    database::open_blocking,
    store::{Input, Stored},
    writer::Store,
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    book,
    town::{
        Town, database,
        vaccine::{EVENTS, HEARD, Reply, Vaccine},
    },
};

/// A folder in which so many bookings wait to be told.
fn with_bookings(many: usize) -> TempDir {
    let folder = TempDir::new().unwrap();
    let (writable, _) = open_blocking(&database(&folder), "booking", MIGRATIONS).unwrap();
    let book = |_| {
        Input::Asked(Command::Book(NewBooking {
            reservation: ReservationId(Uuid::now_v7()),
            vaccine: VaccineId(1),
            vaccine_name: "FIZER".to_owned(),
            user: UserId(5),
            asked: None,
            at: Timestamp::UNIX_EPOCH,
        }))
    };
    Stored::new(writable, Book).apply(&(0..many).map(book).collect::<Vec<_>>()).unwrap();
    folder
}

fn sequences(events: &[CloudEvent]) -> Vec<u64> {
    events.iter().map(|event| event.sequence).collect()
}

/// The sequences of each request that told events.
fn requests(town: &Town) -> Vec<Vec<u64>> {
    let asked = town.vaccine.asked(EVENTS);
    asked
        .iter()
        .map(|asked| sequences(&serde_json::from_slice::<Vec<CloudEvent>>(&asked.body).unwrap()))
        .collect()
}

#[tokio::test]
async fn what_happened_is_told_in_order_and_as_cloud_events() {
    let town = Town::open();
    book(&town).await;
    book(&town).await;
    town.ask("DELETE /bookings/1", "").await;
    let told = town.vaccine.told(3).await;
    let types: Vec<_> = told.iter().map(|event| format!("{:?}", event.r#type)).collect();
    assert_eq!(types, ["Booked", "Booked", "BookingCancelled"]);
    assert_eq!(sequences(&told), [1, 2, 3]);
    let holder = town.vaccine.batches(1).await[0].holder;
    assert!(told.iter().all(|event| event.source == holder));
    assert_eq!(told[2].id, format!("{holder}/3"));
    assert!(town.vaccine.asked(EVENTS)[0].line.ends_with(BATCH_MEDIA_TYPE));
    assert_eq!(town.vaccine.asked(HEARD)[0].line.trim_end(), format!("{HEARD} source={holder}"));
}

#[tokio::test]
async fn an_event_that_vaccine_did_not_take_is_told_again() {
    let town = Town::open();
    town.vaccine.will_answer(EVENTS, Reply::Nothing);
    town.vaccine.will_answer(EVENTS, Reply::Answer(500, String::new()));
    book(&town).await;
    assert_eq!(sequences(&town.vaccine.told(1).await), [1]);
    assert_eq!(requests(&town), [[1], [1], [1]]);
}

#[tokio::test]
async fn a_vaccine_that_lost_its_memory_is_told_everything_again() {
    let town = Town::open();
    book(&town).await;
    town.vaccine.told(1).await;
    town.vaccine.will_answer(EVENTS, Reply::json(&Heard { sequence: 0 }));
    book(&town).await;
    town.vaccine.told(2).await;
    assert_eq!(requests(&town), [vec![1], vec![2], vec![1, 2]]);
}

#[tokio::test]
async fn after_a_restart_the_rest_is_told_from_where_vaccine_stands() {
    let mut town = Town::open();
    book(&town).await;
    town.vaccine.told(1).await;
    town.reopen().await;
    book(&town).await;
    assert_eq!(sequences(&town.vaccine.told(2).await), [1, 2]);
    assert_eq!(requests(&town), [[1], [2]]);
}

#[tokio::test]
async fn what_happened_while_vaccine_was_down_is_told_when_it_returns() {
    let mut town = Town::resumed(with_bookings(2), Vaccine::closed());
    assert_eq!(town.ask("DELETE /bookings/1", "").await.status, 204);
    town.vaccine.listen();
    assert_eq!(sequences(&town.vaccine.told(3).await), [1, 2, 3]);
}

#[tokio::test]
async fn a_long_story_is_told_in_pieces() {
    let long = EVENTS_MAX + 1;
    let town = Town::resumed(with_bookings(long), Vaccine::open());
    town.vaccine.told(long).await;
    let lengths: Vec<_> = requests(&town).iter().map(Vec::len).collect();
    assert_eq!(lengths, [EVENTS_MAX, 1]);
}
