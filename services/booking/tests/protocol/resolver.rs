//! Orphaned holds are resolved for good.

use std::time::Duration;

use contracts::{ids::ReservationId, vaccine::OrphanedHolds};
use tokio::time;
use uuid::Uuid;

use crate::{
    app::BookingApp,
    book, summary,
    vaccine::{FakeReply, OLD_HOLDS},
};

/// Longer than the pause between two rounds.
const PAUSE: Duration = Duration::from_secs(6);

/// Advances tokio's clock until the next round has sent its query.
///
/// Deadlines are measured with the clock of the system: a test books before the first round.
async fn round(app: &BookingApp) {
    let before = app.vaccine.requests(OLD_HOLDS).len();
    while app.vaccine.requests(OLD_HOLDS).len() == before {
        app.request("GET /bookings", "").await; // By its reply all tasks wait for timers.
        time::pause();
        time::advance(PAUSE).await;
        time::resume();
        app.request("GET /bookings", "").await;
    }
}

fn old(reservations: &[ReservationId]) -> FakeReply {
    FakeReply::json(&OrphanedHolds { reservation_ids: reservations.to_vec(), aborted: Vec::new() })
}

async fn reservation(app: &BookingApp, batch: usize) -> ReservationId {
    app.vaccine.batches(batch + 1).await[batch].blocks[0].first
}

async fn events(app: &BookingApp, count: usize) -> Vec<(String, String)> {
    app.vaccine.events(count).await.iter().map(summary).collect()
}

fn event(r#type: &str, reservation: ReservationId) -> (String, String) {
    (r#type.to_owned(), reservation.to_string())
}

#[tokio::test]
async fn a_round_queries_its_own_old_holds() {
    let app = BookingApp::start();
    book(&app).await;
    round(&app).await;
    let owner = app.vaccine.batches(1).await[0].owner;
    let request = &app.vaccine.requests(OLD_HOLDS)[0].line;
    assert_eq!(request.trim_end(), format!("{OLD_HOLDS} owner={owner}&heldForMs=10000"));
}

#[tokio::test]
async fn an_orphaned_hold_is_released() {
    let app = BookingApp::start();
    let orphaned = ReservationId(Uuid::from_u128(1));
    app.vaccine.reply_next(OLD_HOLDS, old(&[orphaned]));
    round(&app).await;
    assert_eq!(events(&app, 1).await, [event("ReservationAborted", orphaned)]);
    // Its event is on the way: it is not published again.
    app.vaccine.reply_next(OLD_HOLDS, old(&[orphaned]));
    round(&app).await;
    book(&app).await;
    assert_eq!(summary(&app.vaccine.events(2).await[1]).0, "Booked");
}

#[tokio::test]
async fn what_was_aborted_at_the_ledger_is_recorded_also_after_a_restart() {
    let mut app = BookingApp::start();
    book(&app).await; // Written, although its citizen got a 503.
    let (written, unwritten) = (reservation(&app, 0).await, ReservationId(Uuid::from_u128(1)));
    app.restart().await;
    let aborted = vec![written, unwritten];
    let holds = OrphanedHolds { reservation_ids: Vec::new(), aborted };
    app.vaccine.reply_next(OLD_HOLDS, FakeReply::json(&holds));
    round(&app).await;
    let published = [
        event("Booked", written),
        event("BookingCancelled", written),
        event("ReservationAborted", unwritten),
    ];
    assert_eq!(events(&app, 3).await, published);
}

#[tokio::test]
async fn the_ends_of_very_old_holds_are_published_again() {
    let app = BookingApp::start();
    book(&app).await;
    book(&app).await;
    app.request("DELETE /bookings/2", "").await;
    let (booked, cancelled) = (reservation(&app, 0).await, reservation(&app, 1).await);
    let published = [event("Booked", booked), event("Booked", cancelled)];
    let published = [&published[..], &[event("BookingCancelled", cancelled)]].concat();
    // One of these queries is the one that is sent every ten minutes.
    for _ in 0..3 {
        app.vaccine.reply_next(OLD_HOLDS, old(&[booked, cancelled]));
    }
    round(&app).await;
    assert_eq!(events(&app, 3).await, published);
    time::pause();
    time::advance(Duration::from_mins(10)).await;
    time::resume();
    let events = events(&app, 5).await;
    assert_eq!(events[3..], [event("Booked", booked), event("BookingCancelled", cancelled)]);
    let requests = app.vaccine.requests(OLD_HOLDS);
    assert!(requests.iter().any(|request| request.line.contains("heldForMs=600000")));
}

#[tokio::test]
async fn a_round_that_fails_is_repeated_by_the_next() {
    let app = BookingApp::start();
    let orphaned = ReservationId(Uuid::from_u128(1));
    app.vaccine.reply_next(OLD_HOLDS, FakeReply::Disconnect);
    app.vaccine.reply_next(OLD_HOLDS, old(&[orphaned]));
    round(&app).await;
    round(&app).await;
    assert_eq!(events(&app, 1).await, [event("ReservationAborted", orphaned)]);
}
