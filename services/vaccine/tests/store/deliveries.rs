//! Repeated and shuffled events of bookings and injections result in the counts of one delivery in order.

use contracts::{
    event::{CloudEvent, DomainEvent},
    ids::StoreId,
};
use platform_events::{EventHandler, ReceivedEvent};
use platform_store::{Migration, SqlError, Tx};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;
use testkit::{
    TestDatabase, TestStore,
    deliveries::{Unnumbered, assert_each_event_is_applied_once_in_order, deliveries, numbered},
};
use uuid::Uuid;
use vaccine::{domain::Ledger, store::MIGRATIONS};

const BOOKING: StoreId = StoreId(Uuid::from_u128(1 << 100));
const INJECTION: StoreId = StoreId(Uuid::from_u128(2 << 100));

/// The schema with a vaccine of 100 doses.
const WITH_VACCINE: &[Migration] = &[
    MIGRATIONS[0],
    Migration {
        name: "0002_vaccine.sql",
        sqlite: "INSERT INTO pools (id, name, stock, taken) VALUES (1, 'FIZER', 100, 0)",
        postgres: "INSERT INTO pools (id, name, stock, taken) VALUES (1, 'FIZER', 100, 0)",
    },
];

const POOL: &str = "
    SELECT stock, taken
      FROM pools";

const STATES: &str = "
    SELECT id, states
      FROM reservations
  ORDER BY id";

/// Stock and doses taken.
fn counts(tx: &Tx<'_>) -> Result<Option<(i64, i64)>, SqlError> {
    tx.find(POOL, &[], |row| Ok((row.int(0)?, row.int(1)?)))
}

/// The counts, and the state of each reservation.
fn rows(tx: &Tx<'_>) -> Result<Vec<String>, SqlError> {
    let mut rows = vec![format!("{:?}", counts(tx)?)];
    rows.extend(tx.all(STATES, &[], |row| Ok(format!("{} {}", row.uuid(0)?, row.text(1)?)))?);
    Ok(rows)
}

/// What happens to one booking attempt.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    booked: bool,
    returned: bool,
    used: bool,
}

const ATTEMPTS: [Attempt; 5] = [
    Attempt { booked: true, returned: false, used: false },
    Attempt { booked: true, returned: true, used: false },
    Attempt { booked: false, returned: true, used: false },
    Attempt { booked: true, returned: false, used: true },
    Attempt { booked: true, returned: true, used: true }, // Cancelled and used at the same time.
];

fn event(name: &'static str, attempt: u128, status: &str) -> Unnumbered {
    let data = json!({
        "reservationId": Uuid::from_u128(attempt), "bookingId": 1, "vaccineId": 1,
        "vcName": "FIZER", "userId": 5, "injectionId": 1, "status": status,
    });
    (name, data, 0)
}

/// The events of both sources about these attempts.
fn published(attempts: &[Attempt]) -> Vec<CloudEvent> {
    let (mut bookings, mut injections) = (Vec::new(), Vec::new());
    for (id, attempt) in (1..).zip(attempts) {
        if attempt.booked {
            bookings.push(event("Booked", id, "BOOKED"));
        }
        if attempt.returned && attempt.booked {
            bookings.push(event("BookingCancelled", id, "BOOKING_CANCELLED"));
        } else if attempt.returned {
            bookings.push(event("ReservationAborted", id, ""));
        }
        if attempt.used {
            injections.push(event("Completed", id, "INJECTION_COMPLETED"));
        }
    }
    numbered(BOOKING, bookings).chain(numbered(INJECTION, injections)).collect()
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    vec(select(&ATTEMPTS), 0..8)
}

fn count(attempts: &[Attempt], which: impl Fn(&&Attempt) -> bool) -> i64 {
    attempts.iter().filter(which).count().try_into().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn events_count_every_dose_once(attempts in attempts()) {
        let mut ledger =
            TestStore::<Ledger>::open(TestDatabase::sqlite(), "vaccine", WITH_VACCINE);
        for envelope in published(&attempts) {
            let event = DomainEvent::decode(&envelope).unwrap().unwrap();
            let received = ReceivedEvent { source: envelope.source, at: envelope.time, event };
            let command = Ledger::command(received).unwrap();
            ledger.consume(envelope.source.0, envelope.sequence, command);
        }
        let used = count(&attempts, |attempt| attempt.used);
        let booked =
            count(&attempts, |attempt| attempt.booked && !attempt.returned && !attempt.used);
        prop_assert_eq!(ledger.read(counts), Some((100 - used, booked)));
    }

    #[test]
    fn repeated_and_shuffled_events_result_in_the_same_counts(
        deliveries in deliveries(attempts().prop_map(|attempts| published(&attempts))),
    ) {
        assert_each_event_is_applied_once_in_order::<Ledger, _>(
            "vaccine", WITH_VACCINE, rows, &deliveries,
        );
    }
}
