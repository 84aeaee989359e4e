//! However events arrive, doubled and in any order, they end in the rows of a quiet day.

use contracts::{
    event::{CloudEvent, EventType},
    ids::HolderId,
};
use eventing::Hears;
use injection::{domain::Command, store::Book};
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*};
use serde_json::value::to_raw_value;
use storage::{
    inbox::{self, Parked},
    sql::{SqlError, Tx},
    store::{Input, Meaning},
    writer::Store,
};
use uuid::Uuid;

use super::{Place, Shelf};

/// Who speaks: bookings, and the desk itself, whose events mean nothing to it.
const SOURCES: [HolderId; 2] =
    [HolderId(Uuid::from_u128(1 << 100)), HolderId(Uuid::from_u128(2 << 100))];

const ROWS: &str = "
    SELECT id, reservation, booking, vaccine, user_id, status
      FROM injections
  ORDER BY id";

/// A row, without the names.
type Appointment = (i64, Uuid, [i64; 4]);

/// Everything that is kept: appointments, how far the sources were heard, what is parked.
#[derive(Debug, PartialEq)]
struct Kept {
    appointments: Vec<Appointment>,
    heard: [u64; 2],
    parked: Vec<Parked>,
}

impl Kept {
    fn load(tx: &Tx<'_>) -> Result<Self, SqlError> {
        let [bookings, desk] = SOURCES.map(|source| inbox::heard(tx, source.0));
        let appointments = tx.all(ROWS, &[], |row| {
            let numbers = [row.int(2)?, row.int(3)?, row.int(4)?, row.int(5)?];
            Ok((row.int(0)?, row.uuid(1)?, numbers))
        })?;
        Ok(Self { appointments, heard: [bookings?, desk?], parked: inbox::parked(tx, 1_000)? })
    }
}

/// What is said about a booking, before it has its place.
#[derive(Clone, Copy, Debug)]
struct Said {
    booking: u8,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Booked,
    Cancelled,
    Completed,
    OfANewerVersion,
    Unreadable,
}

fn event(source: HolderId, sequence: u64, Said { booking, kind }: Said) -> CloudEvent {
    let (r#type, status) = match kind {
        Kind::Booked | Kind::Unreadable => (EventType::Booked, "BOOKED"),
        Kind::Cancelled => (EventType::BookingCancelled, "BOOKING_CANCELLED"),
        Kind::Completed => (EventType::Completed, "INJECTION_COMPLETED"),
        Kind::OfANewerVersion => (EventType::Other("anticorona.Moved.v1".to_owned()), "BOOKED"),
    };
    let mut data = serde_json::json!({
        "reservationId": Uuid::from_u128(booking.into()), "bookingId": booking, "vaccineId": 1,
        "vcName": "FIZER", "userId": 5, "injectionId": booking, "status": status,
    });
    if matches!(kind, Kind::Unreadable) {
        data["bookingId"] = "seven".into();
    }
    CloudEvent {
        specversion: "1.0".to_owned(),
        id: format!("{source}/{sequence}"),
        source,
        sequence,
        r#type,
        time: Timestamp::UNIX_EPOCH,
        data: to_raw_value(&data).unwrap(),
    }
}

fn input(event: &CloudEvent) -> Input<Command> {
    let (source, sequence) = (event.source.0, event.sequence);
    let meaning = match Book::command(event) {
        Ok(Some(command)) => Meaning::Command(command),
        Ok(None) => Meaning::Nothing,
        Err(cause) => Meaning::Park(Parked {
            source,
            sequence,
            r#type: event.r#type.name().to_owned(),
            data: event.data.get().to_owned(),
            why: cause.to_string(),
            at_ms: 0,
        }),
    };
    Input::Heard { source, sequence, meaning }
}

fn hear<'a>(file: &mut Shelf, events: impl IntoIterator<Item = &'a CloudEvent>) {
    let batch: Vec<_> = events.into_iter().map(input).collect();
    file.store.apply(&batch).unwrap();
}

fn kept(file: &Shelf) -> Kept {
    file.place.wait(file.readers.read(Kept::load)).unwrap()
}

/// Few bookings, so that the events meet.
fn said(kinds: &'static [Kind]) -> impl Strategy<Value = Vec<Said>> {
    let one = (0..5_u8, proptest::sample::select(kinds))
        .prop_map(|(booking, kind)| Said { booking, kind });
    vec(one, 0..10)
}

/// What both sources say, each in its order.
fn told() -> impl Strategy<Value = Vec<CloudEvent>> {
    let bookings = said(&[
        Kind::Booked,
        Kind::Booked,
        Kind::Cancelled,
        Kind::OfANewerVersion,
        Kind::Unreadable,
    ]);
    let desk = said(&[Kind::Completed]);
    (bookings, desk).prop_map(|of_sources| {
        let numbered = |source, said: Vec<Said>| {
            (1..).zip(said).map(move |(sequence, said)| event(source, sequence, said))
        };
        let [bookings, desk] = SOURCES;
        numbered(bookings, of_sources.0).chain(numbered(desk, of_sources.1)).collect()
    })
}

/// The same, and any order of it with everything twice.
fn told_and_shuffled() -> impl Strategy<Value = (Vec<CloudEvent>, Vec<CloudEvent>)> {
    told().prop_flat_map(|told| {
        let twice: Vec<_> = told.iter().chain(&told).cloned().collect();
        (Just(told), Just(twice).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn doubled_and_shuffled_events_end_in_the_same_rows(
        (told, shuffled) in told_and_shuffled(),
        batch in 1..9_usize,
    ) {
        let (mut quiet, mut rough) = (Shelf::new(Place::sqlite()), Shelf::new(Place::sqlite()));
        hear(&mut quiet, &told);
        let expected = kept(&quiet);
        let last = |source| {
            let of_source = told.iter().filter(|event| event.source == source);
            of_source.map(|event| event.sequence).max().unwrap_or(0)
        };
        prop_assert_eq!(expected.heard, SOURCES.map(last));
        // What comes after a gap has no effect and comes again; each round closes a gap.
        for _ in 0..=told.len() {
            for events in shuffled.chunks(batch) {
                hear(&mut rough, events);
            }
            if kept(&rough).heard == expected.heard {
                break;
            }
        }
        prop_assert_eq!(kept(&rough), expected);
    }
}
