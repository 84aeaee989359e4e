//! Doses in hand: used without a request, refilled before they run out, and given back.

use std::time::Instant;

use booking::{
    RESPONSE_TIMEOUT,
    domain::{Fingerprint, NotGranted},
    protocol::{BookingError, BookingRequest, IdempotencyKey},
};
use contracts::{ids::VaccineId, vaccine::HoldBlock};
use tokio::{join, select};

use crate::{
    app::BookingApp,
    book,
    fixture::{ProtocolFixture, lull, released_after_lull, with_key_of, without_key},
    summary,
    tickets::{end_as_sold_out, enqueue},
    vaccine::{FakeReply, HOLDS, held, held_many},
};

fn holds(fixture: &ProtocolFixture, held: u32) {
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([held_many(held)]));
}

async fn blocks(fixture: &ProtocolFixture, count: usize) -> Vec<HoldBlock> {
    let batches = fixture.vaccine.batches(count).await;
    batches.into_iter().flat_map(|batch| batch.blocks).collect()
}

#[tokio::test]
async fn doses_in_hand_are_booked_without_a_request() {
    let fixture = ProtocolFixture::start();
    holds(&fixture, 10);
    for id in 1..=5 {
        assert_eq!(fixture.book(without_key()).await, Ok(id));
    }
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 1);
    assert_eq!(fixture.events().await, ["Booked"; 5]);
}

/// The commit knows what came of earlier requests.
#[tokio::test]
async fn a_repeated_request_uses_no_dose_in_hand() {
    let fixture = ProtocolFixture::start();
    holds(&fixture, 10);
    for (key, booking) in [("a", 1), ("b", 2), ("a", 1), ("b", 2), ("c", 3)] {
        assert_eq!(fixture.book(with_key_of(key, false)).await, Ok(booking), "{key}");
    }
    assert_eq!(fixture.book(another_request()).await, Err(BookingError::KeyReused));
    assert_eq!(fixture.book(without_key()).await, Ok(4));
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 1);
    assert_eq!(fixture.events().await, ["Booked"; 4]);
}

/// With the key of another request.
fn another_request() -> BookingRequest {
    let fingerprint = Fingerprint::of(b"another");
    let key = IdempotencyKey { key: "a".to_owned(), fingerprint, wants_ticket: false };
    BookingRequest { key: Some(key), ..without_key() }
}

#[tokio::test]
async fn with_a_dose_in_hand_a_key_that_has_a_ticket_belongs_to_its_request_too() {
    let fixture = ProtocolFixture::start();
    let ticket = enqueue(&fixture, "a").await;
    holds(&fixture, 10);
    assert_eq!(fixture.book(without_key()).await, Ok(1));
    assert_eq!(fixture.book(another_request()).await, Err(BookingError::KeyReused));
    end_as_sold_out(&fixture, &ticket).await;
    assert_eq!(fixture.book(another_request()).await, Err(BookingError::KeyReused));
    assert_eq!(
        fixture.book(with_key_of("a", false)).await,
        Err(BookingError::NotGranted(NotGranted::SoldOut))
    );
    assert_eq!(fixture.book(without_key()).await, Ok(2));
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 1);
}

#[tokio::test]
async fn the_blocks_of_one_request_follow_each_other() {
    let fixture = ProtocolFixture::start();
    let of = |vaccine| BookingRequest { choice: VaccineId(vaccine).into(), ..without_key() };
    let book = |vaccine| fixture.book(of(vaccine));
    let booked = join!(book(7), book(8), book(9), book(9));
    assert!(booked.0.is_ok() && booked.3.is_ok(), "{booked:?}");
    let blocks = blocks(&fixture, 1).await;
    assert_eq!(blocks.len(), 3);
    for pair in blocks.windows(2) {
        let offset = pair[1].first.offset_from(pair[0].first);
        assert_eq!(offset, Some(pair[0].count + pair[0].ahead), "{blocks:?}");
    }
}

#[tokio::test]
async fn more_are_requested_before_they_run_out() {
    let fixture = ProtocolFixture::start();
    holds(&fixture, 1 + 8);
    for id in 1..=5 {
        assert_eq!(fixture.book(without_key()).await, Ok(id));
    }
    let [first, refill] = blocks(&fixture, 2).await[..] else { panic!("two blocks") };
    assert_eq!(
        (first.count, first.ahead, first.in_hand),
        (1, 0, 0),
        "one citizen may be the only one"
    );
    assert_eq!((refill.count, refill.in_hand), (0, 4), "at half of eight, and nobody waits for it");
    assert!(refill.ahead > 0, "{refill:?}");
}

#[tokio::test]
async fn citizens_who_come_at_once_are_expected_to_be_followed_by_as_many() {
    let fixture = ProtocolFixture::start();
    let book = || fixture.book(without_key());
    let booked = join!(book(), book(), book());
    assert!(booked.0.is_ok() && booked.1.is_ok() && booked.2.is_ok(), "{booked:?}");
    let block = blocks(&fixture, 1).await[0];
    assert_eq!((block.count, block.ahead, block.in_hand), (3, 2, 0));
}

#[tokio::test]
async fn a_dose_that_is_not_booked_is_back_in_hand() {
    let fixture = ProtocolFixture::start();
    let take =
        || fixture.protocol.doses.take(VaccineId(1).into(), Instant::now() + RESPONSE_TIMEOUT);
    let dose = take().await.unwrap();
    let first = dose.reservation();
    drop(dose);
    assert_eq!(take().await.unwrap().reservation(), first);
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 1);
}

#[tokio::test]
async fn the_dose_of_a_caller_that_is_gone_is_for_the_next() {
    let fixture = ProtocolFixture::start();
    let decide = fixture.vaccine.delay_next(HOLDS);
    select! {
        _ = fixture.book(without_key()) => panic!("it is not decided yet"),
        _ = fixture.reservation(0) => {} // From here on no caller waits for the dose.
    }
    drop(decide.send(FakeReply::outcomes([held()])));
    assert_eq!(fixture.book(without_key()).await, Ok(1));
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 1);
}

/// The circuit need not be closed for them.
#[tokio::test]
async fn doses_in_hand_are_booked_while_vaccine_is_down() {
    let fixture = ProtocolFixture::start();
    holds(&fixture, 3);
    for _ in 0..10 {
        fixture.vaccine.reply_next(HOLDS, FakeReply::Disconnect);
    }
    for id in 1..=3 {
        assert_eq!(fixture.book(without_key()).await, Ok(id));
    }
    assert!(fixture.book(without_key()).await.is_err());
}

#[tokio::test]
async fn doses_that_nobody_wants_are_given_back() {
    let app = BookingApp::start();
    app.vaccine.reply_next(HOLDS, FakeReply::outcomes([held_many(3)]));
    book(&app).await;
    let first = app.vaccine.batches(1).await[0].blocks[0].first;
    let released = released_after_lull(&app, 2).await;
    assert_eq!(released, [1, 2].map(|n| first.nth(n).unwrap()).into());

    assert_eq!(book(&app).await.status, 201);
    assert_ne!(app.vaccine.batches(2).await[1].blocks[0].first, first);
}

#[tokio::test]
async fn an_old_dose_in_hand_is_not_used() {
    let fixture = ProtocolFixture::start();
    holds(&fixture, 3);
    assert_eq!(fixture.book(without_key()).await, Ok(1));
    lull().await;
    assert_eq!(fixture.book(without_key()).await, Ok(2));
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 2);
}

#[tokio::test]
async fn none_is_requested_ahead_once_the_service_stops() {
    let fixture = ProtocolFixture::start();
    fixture.protocol.runtime.stop.cancel();
    let book = || fixture.book(without_key());
    let booked = join!(book(), book(), book());
    assert!(booked.0.is_ok() && booked.1.is_ok() && booked.2.is_ok(), "{booked:?}");
    let block = blocks(&fixture, 1).await[0];
    assert_eq!((block.count, block.ahead), (3, 0));
}

#[tokio::test]
async fn doses_in_hand_are_given_back_when_the_service_stops() {
    let mut app = BookingApp::start();
    app.vaccine.reply_next(HOLDS, FakeReply::outcomes([held_many(3)]));
    book(&app).await;
    app.restart().await;
    let events: Vec<_> = app.vaccine.events(3).await.iter().map(|it| summary(it).0).collect();
    assert_eq!(events, ["Booked", "ReservationAborted", "ReservationAborted"]);
}

/// A block that was requested again may have been granted when less was free.
#[tokio::test]
async fn nobody_learns_from_a_repeated_block_that_a_vaccine_is_sold_out() {
    let fixture = ProtocolFixture::start();
    let (first, second) = (fixture.vaccine.delay_next(HOLDS), fixture.vaccine.delay_next(HOLDS));
    let book = || fixture.book(without_key());
    let lost = async {
        fixture.vaccine.batches(1).await;
        drop(first.send(FakeReply::Disconnect));
    };
    let (a, b, ()) = join!(book(), book(), lost);
    assert!(a.is_err() && b.is_err(), "{a:?} {b:?}");
    let repeated = async {
        let blocks = blocks(&fixture, 2).await;
        assert_eq!((blocks[0].first, blocks[0].count), (blocks[1].first, 2));
        drop(second.send(FakeReply::outcomes([held_many(1)])));
    };
    let (a, b, ()) = join!(book(), book(), repeated);
    assert_eq!([a, b], [Ok(1), Err(BookingError::RetryLater)]);
}
