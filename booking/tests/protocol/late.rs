//! However late it gets, the citizen hears in time, and of what comes after that nothing is left.

use std::{
    future::{pending, ready},
    sync::mpsc,
    time::{Duration, Instant},
};

use booking::{
    bookings::Request,
    domain::{Command, Outcome},
    store::Book,
};
use storage::{
    store::{Input, Output, Stored},
    writer::{Store, StoreError},
};
use tokio::{join, select, sync::oneshot, time::timeout_at};

use crate::{
    book,
    desk::{Desk, without_key},
    said,
    town::{
        Town,
        vaccine::{HOLDS, Reply, held},
    },
};

/// The one test that waits: for the two seconds that a hold may take.
#[tokio::test]
async fn when_the_hold_is_late_the_citizen_hears_within_three_seconds() {
    let start = Instant::now();
    let town = Town::open();
    let decide = town.vaccine.will_wait(HOLDS);
    assert_eq!(book(&town).await.status, 503);
    assert!(start.elapsed() < Duration::from_secs(3), "after {:?}", start.elapsed());

    let reservation = town.vaccine.batches(1).await[0].holds[0].reservation_id.to_string();
    let event = &town.vaccine.told(1).await[0];
    assert_eq!(said(event), ("ReservationAbandoned".to_owned(), reservation));
    drop(decide.send(Reply::outcomes([held()])));
}

#[tokio::test]
async fn a_citizen_who_hangs_up_before_the_answer_leaves_no_dose_taken() {
    let town = Town::open();
    let decide = town.vaccine.will_wait(HOLDS);
    select! {
        _ = book(&town) => panic!("it is not decided yet"),
        _ = town.vaccine.batches(1) => {} // From here on the connection is closed.
    }
    let reservation = town.vaccine.batches(1).await[0].holds[0].reservation_id.to_string();
    let event = &town.vaccine.told(1).await[0];
    assert_eq!(said(event), ("ReservationAbandoned".to_owned(), reservation));
    drop(decide.send(Reply::outcomes([held()])));
}

/// Asks, and leaves while the booking is being written, but not before that moment.
async fn leave(request: Request, not_before: impl Future) -> Vec<String> {
    let ((go_on, told), (writing, begun)) = (mpsc::channel(), oneshot::channel());
    let desk = Desk::with(|store| Slow { store, begun: Some(writing), told });
    select! {
        _ = desk.bookings.book(request) => panic!("it is written already"),
        _ = async { join!(begun, not_before) } => {}
    }
    drop(go_on);
    desk.said_at_last(2).await
}

#[tokio::test]
async fn a_booking_that_is_written_after_its_citizen_was_sent_away_is_cancelled() {
    let due = Instant::now() + Duration::from_secs(2);
    let sent_away = timeout_at(due.into(), pending::<()>());
    let said = leave(Request { due, ..without_key() }, sent_away).await;
    assert_eq!(said, ["Booked", "BookingCancelled"]);
}

#[tokio::test]
async fn a_booking_whose_citizen_hangs_up_while_it_is_written_stands() {
    let said = leave(without_key(), ready(())).await;
    assert_eq!(said, ["Booked", "Booked"], "told when it was made, and when it was settled");
}

/// A store whose disk takes its time.
struct Slow {
    store: Stored<Book>,
    begun: Option<oneshot::Sender<()>>,
    told: mpsc::Receiver<()>,
}

impl Store for Slow {
    type Command = Input<Command>;
    type Outcome = Output<Outcome>;

    fn apply(&mut self, batch: &[Input<Command>]) -> Result<Vec<Output<Outcome>>, StoreError> {
        if let Some(begun) = self.begun.take() {
            begun.send(()).ok();
        }
        self.told.recv().ok(); // Until the test goes on.
        self.store.apply(batch)
    }
}
