//! Lists grow at their end; each of their pages begins at a known place, and costs the same.

use contracts::ids::{BookingId, InjectionId, UserId};
use injection::{
    domain::Command,
    store::{MIGRATIONS, page, page_of_cancelled},
};
use storage::{sql::Value, writer::StoreError};

use super::{
    Booked, Place, ReservationId, Shelf, Uuid, booked, call_off, complete, expect, on_both,
    steps::steps,
};

on_both!(
    a_page_begins_after_the_appointments_before_it,
    cancellations_come_in_the_order_in_which_they_were_said,
    what_an_older_version_cancelled_is_listed_by_number,
);

/// Appointments in a long list; a page of it is one of hundreds.
const MANY: u32 = 4_000;

fn cancelled(file: &Shelf, offset: u64, limit: u32) -> (Vec<i64>, u64) {
    let (some, total) = file.place.wait(file.reads.cancellations(offset, limit)).unwrap();
    (some.iter().map(|(id, _)| id.0).collect(), total)
}

fn a_page_begins_after_the_appointments_before_it(new: fn() -> Place) {
    let mut file = Shelf::new(new());
    file.ask(&(1..=5).map(expect).collect::<Vec<_>>());
    for (offset, limit, expected) in [
        (0, 2, vec![1, 2]),
        (2, 2, vec![3, 4]),
        (4, 2, vec![5]),
        (5, 2, vec![]),
        (u64::MAX, u32::MAX, vec![]),
    ] {
        let (page, total) = file.place.wait(file.reads.injections(offset, limit)).unwrap();
        let ids: Vec<_> = page.iter().map(|one| one.injection_id.0).collect();
        assert_eq!((ids, total), (expected, 5), "{offset} {limit}");
    }
}

fn cancellations_come_in_the_order_in_which_they_were_said(new: fn() -> Place) {
    let mut file = Shelf::new(new());
    file.ask(&[expect(1), expect(2), expect(3), call_off(9), call_off(2), complete(3)]);
    file.ask(&[call_off(1), call_off(9), call_off(3)]);
    for (offset, limit, expected) in [
        (0, 9, vec![4, 2, 1]),
        (1, 9, vec![2, 1]),
        (0, 1, vec![4]),
        (3, 1, vec![]),
        (u64::MAX, u32::MAX, vec![]),
    ] {
        assert_eq!(cancelled(&file, offset, limit), (expected, 3), "{offset} {limit}");
    }
    let of_2 = file.place.wait(file.reads.cancellation(InjectionId(2))).unwrap().unwrap();
    assert_eq!((of_2.booking_id, of_2.user_id), (BookingId(2), UserId(102)));
    for other in [0, 3, 5] {
        assert_eq!(
            file.place.wait(file.reads.cancellation(InjectionId(other))),
            Ok(None),
            "{other}"
        );
    }
}

fn what_an_older_version_cancelled_is_listed_by_number(new: fn() -> Place) {
    let place = new();
    let (mut writable, _) = place.open("injection", &MIGRATIONS[..1]).unwrap();
    let kept: Result<(), StoreError> = writable.transaction(|tx| {
        for (booking, status) in (1..).zip([2, 0, 2, 1]) {
            let Booked { reservation, user, .. } = booked(booking);
            let booking = i64::from(booking);
            let row = [booking.into(), reservation.0.into(), user.0.into(), Value::Int(status)];
            tx.execute(
                "INSERT INTO appointments (id, reservation, booking, vaccine, user_id, status)
                      VALUES (?1, ?2, ?1, 1, ?3, ?4)",
                &row,
            )?;
        }
        Ok(())
    });
    kept.unwrap();
    drop(writable);

    let mut file = Shelf::new(place);
    assert_eq!((cancelled(&file, 0, 9), file.all().1), ((vec![1, 3], 2), 4));
    file.ask(&[call_off(3), call_off(2), call_off(4), call_off(5)]);
    assert_eq!((cancelled(&file, 0, 9), file.all().1), ((vec![1, 3, 2, 5], 4), 5));
}

/// A list of as many appointments, all cancelled.
fn list(many: u32) -> Place {
    let mut file = Shelf::new(Place::sqlite());
    let call_off = |number: u32| {
        let reservation = ReservationId(Uuid::from_u128(number.into()));
        Command::CallOff(Booked { reservation, ..booked(0) })
    };
    file.ask(&(0..many).map(call_off).collect::<Vec<_>>());
    file.close()
}

#[test]
fn a_page_costs_the_same_at_any_depth_of_a_list_of_any_length() {
    let (short, long) = (list(40), list(MANY));
    let of_all = |place, offset| steps(place, |tx| page(tx, offset, 20));
    let of_cancelled = |place, offset| steps(place, |tx| page_of_cancelled(tx, offset, 20));
    let limits = (of_all(&short, 0) + 20, of_cancelled(&short, 0) + 20);
    for offset in [0, MANY / 2, MANY - 20].map(u64::from) {
        let costs = (of_all(&long, offset), of_cancelled(&long, offset));
        assert!(costs.0 <= limits.0 && costs.1 <= limits.1, "from {offset}: {costs:?}, {limits:?}");
    }
}
