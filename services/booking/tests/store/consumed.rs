//! Events of vaccinations, repeated and in any order, end in the same bookings.

use booking::domain::Bookings;
use contracts::{
    booking::{Booking, BookingStatus},
    event::{DomainEvent, InjectionCompleted},
    ids::{BookingId, InjectionId, StoreId, UserId, VaccineId},
    injection::{Injection, InjectionStatus},
};
use platform_events::{EventHandler, ReceivedEvent};
use platform_store::{Advance, Disposition, Input, Store};
use proptest::{collection::vec, prelude::*};
use testkit::TestDatabase;
use uuid::Uuid;

use super::{BookingStore, at, cancel, create, reservation};

const INJECTION: StoreId = StoreId(Uuid::from_u128(2 << 100));

/// The event that a dose was used.
fn completed(dose: u8) -> DomainEvent {
    DomainEvent::Completed(InjectionCompleted {
        reservation_id: reservation(dose),
        first_reservation_id: None,
        injection: Injection {
            injection_id: InjectionId(1),
            booking_id: BookingId(dose.into()),
            vaccine_id: VaccineId(1),
            slot: None,
            user_id: UserId(5),
            status: InjectionStatus::InjectionCompleted,
            checked_in_at: None,
            record: None,
        },
    })
}

fn consume(store: &mut BookingStore, events: &[(u64, u8)]) {
    let input = |(sequence, dose): &(u64, u8)| {
        let event = ReceivedEvent { source: INJECTION, at: at(1), event: completed(*dose) };
        let command = Bookings::command(event).unwrap();
        let disposition = Disposition::Apply(command);
        Input::Event {
            source: INJECTION.0,
            sequence: *sequence,
            at_ms: 0,
            advance: Advance::Next,
            disposition,
        }
    };
    let batch: Vec<_> = events.iter().map(input).collect();
    store.store.apply(&batch).unwrap();
}

/// Creates a booking with each dose, cancels some, consumes events, and returns all bookings.
fn bookings(cancelled: &[bool], consume: impl FnOnce(&mut BookingStore)) -> Vec<Booking> {
    let mut store = BookingStore::new(TestDatabase::sqlite);
    for (dose, cancelled) in (1..).zip(cancelled) {
        store.apply(&[create(dose, None)]);
        if *cancelled {
            store.apply(&[cancel(dose.into())]);
        }
    }
    consume(&mut store);
    store.all().0
}

/// Which bookings are cancelled; whose doses were used (one is of another store); and the events of that,
/// twice and shuffled.
fn days() -> impl Strategy<Value = (Vec<bool>, Vec<u8>, Vec<(u64, u8)>)> {
    (vec(any::<bool>(), 1..8), vec(1..10_u8, 0..8)).prop_flat_map(|(cancelled, used)| {
        let events: Vec<_> = (1..).zip(used.iter().copied()).collect();
        let twice = [&events[..], &events].concat();
        (Just(cancelled), Just(used), Just(twice).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn repeated_and_shuffled_completions_end_in_the_same_bookings(
        (cancelled, used, shuffled) in days(),
        batch in 1..9_usize,
    ) {
        let stored = bookings(&cancelled, |store| {
            // An event behind a gap has no effect and is delivered again; each round closes a gap.
            for _ in 0..=used.len() {
                shuffled.chunks(batch).for_each(|events| consume(store, events));
            }
        });
        let expected = (1..).zip(&cancelled).map(|(dose, cancelled)| {
            match (used.contains(&dose), cancelled) {
                (true, _) => BookingStatus::InjectionCompleted,
                (false, true) => BookingStatus::BookingCancelled,
                (false, false) => BookingStatus::Booked,
            }
        });
        let statuses: Vec<_> = stored.iter().map(|booking| booking.status).collect();
        prop_assert_eq!(statuses, expected.collect::<Vec<_>>());
    }
}
