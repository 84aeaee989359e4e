//! However late it gets, the citizen hears in time, and of what comes after that nothing is left.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use booking::{
    bookings::NotBooked,
    domain::{Command, Outcome},
    store::Sqlite,
};
use storage::writer::{Store, StoreError};
use tokio::join;

use crate::{
    book,
    desk::{Desk, without_key},
    said,
    town::{
        Town,
        vaccine::{HOLDS, Reply, held},
    },
};

/// The one test that waits: for the two seconds that a hold may take, and for the 2.7 seconds
/// after which everybody is answered.
#[tokio::test]
async fn whatever_is_late_the_citizen_hears_within_three_seconds() {
    let start = Instant::now();
    join!(late_hold(start), late_commit(start));
}

fn in_time(start: Instant) {
    assert!(start.elapsed() < Duration::from_secs(3), "after {:?}", start.elapsed());
}

/// The hold is not answered before it is settled.
async fn late_hold(start: Instant) {
    let town = Town::open();
    let decide = town.vaccine.will_wait(HOLDS);
    assert_eq!(book(&town).await.status, 503);
    in_time(start);

    let reservation = town.vaccine.batches(1).await[0].holds[0].reservation_id.to_string();
    let event = &town.vaccine.told(1).await[0];
    assert_eq!(said(event), ("ReservationAbandoned".to_owned(), reservation));
    drop(decide.send(Reply::outcomes([held()])));
}

/// The booking is written when its citizen has been sent away: it is cancelled.
async fn late_commit(start: Instant) {
    let (go_on, told) = mpsc::channel();
    let desk = Desk::with(|store| Slow { store, told });
    assert_eq!(desk.bookings.book(without_key()).await, Err(NotBooked::Unknown));
    in_time(start);

    drop(go_on);
    assert_eq!(desk.said_at_last(2).await, ["Booked", "BookingCancelled"]);
}

/// A store whose disk takes its time.
struct Slow {
    store: Sqlite,
    told: mpsc::Receiver<()>,
}

impl Store for Slow {
    type Command = Command;
    type Outcome = Outcome;

    fn apply(&mut self, batch: &[Command]) -> Result<Vec<Outcome>, StoreError> {
        self.told.recv().ok(); // Until the test goes on.
        self.store.apply(batch)
    }
}
