//! However late a step is, the citizen gets a response in time, and a late booking does not stand.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use booking::domain::{Bookings, Command, Reply};
use platform_store::{AggregateStore, Input, Output, Store, StoreError};
use tokio::{select, sync::oneshot};

use crate::{
    app::BookingApp,
    book,
    fixture::{ProtocolFixture, without_key},
    summary,
    vaccine::{FakeReply, HOLDS, held},
};

/// The one test that takes time: the two seconds of a hold.
#[tokio::test]
async fn a_late_hold_means_a_response_within_three_seconds() {
    let start = Instant::now();
    let app = BookingApp::start();
    let decide = app.vaccine.delay_next(HOLDS);
    assert_eq!(book(&app).await.status, 503);
    assert!(start.elapsed() < Duration::from_secs(3), "after {:?}", start.elapsed());

    let reservation = app.vaccine.batches(1).await[0].blocks[0].first.to_string();
    let event = &app.vaccine.events(1).await[0];
    assert_eq!(summary(event), ("ReservationAborted".to_owned(), reservation));
    drop(decide.send(FakeReply::outcomes([held()])));
}

#[tokio::test]
async fn a_client_that_disconnects_before_the_hold_leaves_its_dose_to_the_next() {
    let app = BookingApp::start();
    let decide = app.vaccine.delay_next(HOLDS);
    select! {
        _ = book(&app) => panic!("it is not decided yet"),
        _ = app.vaccine.batches(1) => {} // From here on the connection is closed.
    }
    drop(decide.send(FakeReply::outcomes([held()])));
    assert_eq!(book(&app).await.status, 201);
    let reservation = app.vaccine.batches(1).await[0].blocks[0].first.to_string();
    let event = &app.vaccine.events(1).await[0];
    assert_eq!(summary(event), ("Booked".to_owned(), reservation));
}

#[tokio::test]
async fn a_booking_whose_client_disconnects_while_it_is_written_stands() {
    let ((proceed, proceeds), (writing, begun)) = (mpsc::channel(), oneshot::channel());
    let fixture =
        ProtocolFixture::with_store(|store| Slow { store, begun: Some(writing), proceeds });
    select! {
        _ = fixture.book(without_key()) => panic!("it is written already"),
        _ = begun => {}
    }
    drop(proceed);
    let events = fixture.wait_for_events(2).await;
    assert_eq!(events, ["Booked", "Booked"], "when it was created, and when it was resolved");
}

/// A store that commits when the test proceeds.
pub(crate) struct Slow {
    pub(crate) store: AggregateStore<Bookings>,
    /// Notified when the first commit has begun.
    pub(crate) begun: Option<oneshot::Sender<()>>,
    /// Every commit waits for a message, until the test drops its end.
    pub(crate) proceeds: mpsc::Receiver<()>,
}

impl Store for Slow {
    type Command = Input<Command>;
    type Reply = Output<Reply>;

    fn apply(&mut self, batch: &[Input<Command>]) -> Result<Vec<Output<Reply>>, StoreError> {
        if let Some(begun) = self.begun.take() {
            begun.send(()).ok();
        }
        self.proceeds.recv().ok(); // An error once the test has dropped its end.
        self.store.apply(batch)
    }
}
