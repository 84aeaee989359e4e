//! Old holds: what nobody said anything about is settled for good.

use std::time::Duration;

use contracts::{ids::ReservationId, vaccine::UnsettledHolds};
use tokio::time;
use uuid::Uuid;

use crate::{
    book, said,
    town::{
        Town,
        vaccine::{OLD_HOLDS, Reply},
    },
};

/// Longer than the pause between two rounds.
const PAUSE: Duration = Duration::from_secs(6);

/// Lets the clock jump until the next round has asked.
///
/// Only the clock of the timers jumps. A booking measures its own time with the other one, and
/// would believe itself late: who books does it before the first jump.
async fn round(town: &Town) {
    let before = town.vaccine.asked(OLD_HOLDS).len();
    while town.vaccine.asked(OLD_HOLDS).len() == before {
        town.ask("GET /bookings", "").await; // Meanwhile everybody has begun to wait.
        time::pause();
        time::advance(PAUSE).await;
        time::resume();
        town.ask("GET /bookings", "").await;
    }
}

fn old(reservations: &[ReservationId]) -> Reply {
    Reply::json(&UnsettledHolds { reservation_ids: reservations.to_vec() })
}

async fn reservation(town: &Town, batch: usize) -> ReservationId {
    town.vaccine.batches(batch + 1).await[batch].holds[0].reservation_id
}

async fn all_said(town: &Town, many: usize) -> Vec<(String, String)> {
    town.vaccine.told(many).await.iter().map(said).collect()
}

fn event(r#type: &str, reservation: ReservationId) -> (String, String) {
    (r#type.to_owned(), reservation.to_string())
}

#[tokio::test]
async fn a_round_asks_for_its_own_holds_that_are_old() {
    let town = Town::open();
    book(&town).await;
    round(&town).await;
    let holder = town.vaccine.batches(1).await[0].holder;
    let asked = &town.vaccine.asked(OLD_HOLDS)[0].line;
    assert_eq!(asked.trim_end(), format!("{OLD_HOLDS} holder={holder}&heldForMs=10000"));
}

#[tokio::test]
async fn a_hold_that_nobody_knows_is_given_back() {
    let town = Town::open();
    let lost = ReservationId(Uuid::from_u128(1));
    town.vaccine.will_answer(OLD_HOLDS, old(&[lost]));
    round(&town).await;
    assert_eq!(all_said(&town, 1).await, [event("ReservationAbandoned", lost)]);
    // It is on its way: nothing more is said of it.
    town.vaccine.will_answer(OLD_HOLDS, old(&[lost]));
    round(&town).await;
    book(&town).await;
    assert_eq!(said(&town.vaccine.told(2).await[1]).0, "Booked");
}

#[tokio::test]
async fn what_vaccine_still_asks_about_after_ten_minutes_is_told_again() {
    let town = Town::open();
    book(&town).await;
    book(&town).await;
    town.ask("DELETE /bookings/2", "").await;
    let (stands, cancelled) = (reservation(&town, 0).await, reservation(&town, 1).await);
    let told = [event("Booked", stands), event("Booked", cancelled)];
    let told = [&told[..], &[event("BookingCancelled", cancelled)]].concat();
    // One of these questions is the one that comes every ten minutes.
    for _ in 0..3 {
        town.vaccine.will_answer(OLD_HOLDS, old(&[stands, cancelled]));
    }
    round(&town).await;
    assert_eq!(all_said(&town, 3).await, told);
    time::pause();
    time::advance(Duration::from_mins(10)).await;
    time::resume();
    let said = all_said(&town, 5).await;
    assert_eq!(said[3..], [event("Booked", stands), event("BookingCancelled", cancelled)]);
    let asked = town.vaccine.asked(OLD_HOLDS);
    assert!(asked.iter().any(|asked| asked.line.contains("heldForMs=600000")));
}

#[tokio::test]
async fn a_round_that_fails_is_made_up_for_by_the_next() {
    let town = Town::open();
    let lost = ReservationId(Uuid::from_u128(1));
    town.vaccine.will_answer(OLD_HOLDS, Reply::Nothing);
    town.vaccine.will_answer(OLD_HOLDS, old(&[lost]));
    round(&town).await;
    round(&town).await;
    assert_eq!(all_said(&town, 1).await, [event("ReservationAbandoned", lost)]);
}
