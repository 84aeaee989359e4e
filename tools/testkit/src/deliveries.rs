//! Deliveries as a transport may make them: events arrive repeatedly, in any order, in batches of any
//! size, and must have the effect of one delivery in order.

use std::{collections::BTreeMap, fmt};

use contracts::{event::CloudEvent, ids::StoreId};
use platform_events::{ConsumeError, Consumer, EventHandler};
use platform_store::{
    AggregateStore, Commands, DeadLetter, Migration, Notifier, Offset, ReadPool, SqlError, Tx,
    consumer, dead_letter,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{database::TestDatabase, events::event};

/// What the id of a reservation differs by after its booking was moved.
const MOVED: u128 = 1 << 16;

/// More sources and dead letters than a test has.
const ROWS_MAX: u32 = 1_000;

/// Events, and how they are delivered.
#[derive(Clone, Debug)]
pub struct Deliveries {
    /// Every event once; those of one source in their order.
    published: Vec<CloudEvent>,
    /// Every event twice, in any order.
    shuffled: Vec<CloudEvent>,
    /// Events in one batch.
    batch: usize,
}

/// The name, the data and the second of an event without a sequence number.
pub type Unnumbered = (&'static str, Value, u8);

/// The events of a booking and of its injection, and two that a consumer cannot apply.
#[derive(Clone, Copy, Debug)]
pub enum EventKind {
    /// The booking was made.
    Booked,
    /// It was moved to another slot.
    Moved,
    /// It was cancelled.
    Cancelled,
    /// Its citizen was vaccinated.
    Completed,
    /// An event type that is not known yet.
    OfANewerVersion,
    /// A payload that cannot be decoded.
    Malformed,
}

impl EventKind {
    /// The event of that booking at that second.
    pub fn event(self, booking: u8, second: u8) -> Unnumbered {
        let (name, status) = match self {
            Self::Booked | Self::Malformed => ("Booked", "BOOKED"),
            Self::Moved => ("BookingMoved", "BOOKED"),
            Self::Cancelled => ("BookingCancelled", "BOOKING_CANCELLED"),
            Self::Completed => ("Completed", "INJECTION_COMPLETED"),
            Self::OfANewerVersion => ("Moved", "BOOKED"),
        };
        let mut data = json!({
            "reservationId": Uuid::from_u128(booking.into()), "bookingId": booking, "vaccineId": 1,
            "vcName": format!("FIZER {second}"), "userId": 5, "injectionId": booking,
            "status": status,
        });
        if matches!(self, Self::Moved) {
            data["previousReservationIds"] = json!([data["reservationId"]]);
            data["reservationId"] = json!(Uuid::from_u128(u128::from(booking) + MOVED));
        }
        if matches!(self, Self::Malformed) {
            data["bookingId"] = json!("seven");
        }
        (name, data, second)
    }
}

/// The events of one source, numbered in this order.
pub fn numbered(source: StoreId, events: Vec<Unnumbered>) -> impl Iterator<Item = CloudEvent> {
    (1..).zip(events).map(move |(sequence, (name, data, second))| {
        let mut event = event(&source.to_string(), sequence, name, &data);
        event["time"] = format!("2026-11-24T08:00:{second:02}Z").into();
        serde_json::from_value(event).expect("an envelope")
    })
}

/// Any deliveries of these events.
pub fn deliveries(
    published: impl Strategy<Value = Vec<CloudEvent>>,
) -> impl Strategy<Value = Deliveries> {
    let shuffled = published.prop_flat_map(|published| {
        let twice = [published.as_slice(), &published].concat();
        (Just(published), Just(twice).prop_shuffle(), 1..9_usize)
    });
    shuffled.prop_map(|(published, shuffled, batch)| Deliveries { published, shuffled, batch })
}

/// Delivers to two new stores of a service, to one in order and to the other one as shuffled, until
/// everything was consumed; both must then hold the same rows, offsets and dead letters.
pub fn assert_each_event_is_applied_once_in_order<A, T>(
    service: &'static str,
    migrations: &'static [Migration],
    rows: fn(&Tx<'_>) -> Result<Vec<T>, SqlError>,
    deliveries: &Deliveries,
) where
    A: EventHandler,
    T: fmt::Debug + PartialEq + Send + 'static,
{
    let Deliveries { published, shuffled, batch } = deliveries;
    let in_order = Replica::new::<A>(service, migrations);
    in_order.consume(published);
    let expected = in_order.contents(rows);
    assert_eq!(expected.offsets, heads(published));

    let replica = Replica::new::<A>(service, migrations);
    // An event behind a gap has no effect and is delivered again; each round closes a gap.
    for _ in 0..=published.len() {
        for events in shuffled.chunks(*batch) {
            replica.consume(events);
        }
        if replica.contents(rows).offsets == expected.offsets {
            break;
        }
    }
    assert_eq!(replica.contents(rows), expected);
}

/// The last sequence number of each source.
fn heads(published: &[CloudEvent]) -> BTreeMap<Uuid, u64> {
    published.iter().map(|event| (event.source.0, event.sequence)).collect()
}

/// A store that consumes.
struct Replica {
    consumer: Consumer,
    reads: ReadPool,
    database: TestDatabase,
}

/// Everything that a consumer stores.
#[derive(Debug, PartialEq)]
struct Contents<T> {
    rows: Vec<T>,
    offsets: BTreeMap<Uuid, u64>,
    dead_letters: Vec<DeadLetter>,
}

impl Replica {
    fn new<A: EventHandler>(service: &'static str, migrations: &'static [Migration]) -> Self {
        let database = TestDatabase::sqlite();
        let (connection, reads) = database.open(service, migrations).expect("opens");
        let store = AggregateStore::<A>::new(connection, Notifier::default());
        let (commands, _) = Commands::<A>::start(service, store);
        Self { consumer: Consumer::new(commands), reads, database }
    }

    /// Consumes one batch for each source in `events`.
    fn consume(&self, events: &[CloudEvent]) {
        for source in heads(events).into_keys() {
            let batch: Vec<_> =
                events.iter().filter(|event| event.source.0 == source).cloned().collect();
            let consumed: Result<Offset, ConsumeError> =
                self.database.block_on(self.consumer.consume(&batch));
            consumed.expect("commits");
        }
    }

    fn contents<T: Send + 'static>(
        &self,
        rows: fn(&Tx<'_>) -> Result<Vec<T>, SqlError>,
    ) -> Contents<T> {
        let read = self.reads.read(move |tx| {
            let mut dead_letters = dead_letter::open(tx, ROWS_MAX)?;
            for dead_letter in &mut dead_letters {
                dead_letter.dead_lettered_at_ms = 0; // By the clock.
            }
            dead_letters.sort_by_key(|dead_letter| dead_letter.id);
            let offsets = consumer::offsets(tx, ROWS_MAX)?.into_iter().collect();
            Ok(Contents { rows: rows(tx)?, offsets, dead_letters })
        });
        self.database.block_on(read).expect("reads")
    }
}
