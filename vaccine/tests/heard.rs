//! However news of doses arrives, doubled and in any order, it ends in the counts of a quiet day.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use contracts::{
    event::{CloudEvent, EventType},
    ids::HolderId,
};
use eventing::Hears;
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{json, value::to_raw_value};
use storage::{
    database::{Database, Readers, open_blocking},
    inbox,
    sql::{SqlError, Tx},
    store::{Input, Meaning, Stored},
    writer::Store,
};
use tempfile::TempDir;
use uuid::Uuid;
use vaccine::{
    domain::{Command, Name, Stock},
    store::{Book, MIGRATIONS},
};

/// Who speaks: bookings and the injection desk.
const SOURCES: [HolderId; 2] =
    [HolderId(Uuid::from_u128(1 << 100)), HolderId(Uuid::from_u128(2 << 100))];

const POOL: &str = "
    SELECT stock, taken
      FROM pools";

const STATES: &str = "
    SELECT id, state
      FROM reservations
  ORDER BY id";

/// What becomes of one attempt.
#[derive(Clone, Copy, Debug)]
struct Story {
    booked: bool,
    given_back: bool,
    used: bool,
}

const STORIES: [Story; 5] = [
    Story { booked: true, given_back: false, used: false },
    Story { booked: true, given_back: true, used: false },
    Story { booked: false, given_back: true, used: false },
    Story { booked: true, given_back: false, used: true },
    Story { booked: true, given_back: true, used: true }, // The two crossed on their way.
];

fn event(source: HolderId, sequence: u64, r#type: EventType, attempt: u128) -> CloudEvent {
    let data = json!({"reservationId": Uuid::from_u128(attempt), "vaccineId": 1});
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

/// What both sources say of these stories, each in its order.
fn told(stories: &[Story]) -> Vec<CloudEvent> {
    let (mut bookings, mut desk) = (Vec::new(), Vec::new());
    for (attempt, story) in (1..).zip(stories) {
        if story.booked {
            bookings.push((EventType::Booked, attempt));
        }
        if story.given_back && story.booked {
            bookings.push((EventType::BookingCancelled, attempt));
        } else if story.given_back {
            bookings.push((EventType::ReservationAbandoned, attempt));
        }
        if story.used {
            desk.push((EventType::Completed, attempt));
        }
    }
    let numbered = |source, said: Vec<(EventType, u128)>| {
        let said = (1..).zip(said);
        said.map(move |(sequence, (r#type, attempt))| event(source, sequence, r#type, attempt))
    };
    numbered(SOURCES[0], bookings).chain(numbered(SOURCES[1], desk)).collect()
}

struct Ledger {
    store: Stored<Book>,
    readers: Readers,
    _folder: TempDir,
}

/// Stock and what is taken, where each attempt stands, and how far the sources were heard.
type Kept = ((i64, i64), Vec<(Uuid, i64)>, [u64; 2]);

impl Ledger {
    /// Of one vaccine with 100 doses.
    fn open() -> Self {
        let folder = TempDir::new().unwrap();
        let file = Database::Sqlite(folder.path().join("vaccine.sqlite"));
        let (writable, readers) = open_blocking(&file, "vaccine", MIGRATIONS).unwrap();
        let mut store = Stored::new(writable, Book::default());
        let (name, stock) = (Name::parse("FIZER").unwrap(), Stock::parse(100).unwrap());
        store.apply(&[Input::Asked(Command::Register { name, stock })]).unwrap();
        Self { store, readers, _folder: folder }
    }

    fn hear(&mut self, events: &[CloudEvent]) {
        let input = |event: &CloudEvent| Input::Heard {
            source: event.source.0,
            sequence: event.sequence,
            meaning: Meaning::Command(Book::command(event).unwrap().unwrap()),
        };
        let batch: Vec<_> = events.iter().map(input).collect();
        self.store.apply(&batch).unwrap();
    }

    fn kept(&self) -> Kept {
        let load = |tx: &Tx<'_>| -> Result<Kept, SqlError> {
            let pool = tx.find(POOL, &[], |row| Ok((row.int(0)?, row.int(1)?)))?.unwrap();
            let states = tx.all(STATES, &[], |row| Ok((row.uuid(0)?, row.int(1)?)))?;
            let [bookings, desk] = SOURCES.map(|source| inbox::heard(tx, source.0));
            Ok((pool, states, [bookings?, desk?]))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.readers.read(load)).unwrap()
    }
}

fn stories_and_shuffled() -> impl Strategy<Value = (Vec<Story>, Vec<CloudEvent>)> {
    vec(select(&STORIES), 0..8).prop_flat_map(|stories| {
        let told = told(&stories);
        let twice: Vec<_> = told.iter().chain(&told).cloned().collect();
        (Just(stories), Just(twice).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn doubled_and_shuffled_news_ends_in_the_same_counts(
        (stories, shuffled) in stories_and_shuffled(),
        batch in 1..9_usize,
    ) {
        let (mut quiet, mut rough) = (Ledger::open(), Ledger::open());
        let told = told(&stories);
        quiet.hear(&told);
        let expected = quiet.kept();
        let used = i64::try_from(stories.iter().filter(|story| story.used).count()).unwrap();
        let standing = stories.iter().filter(|story| story.booked && !story.given_back && !story.used);
        let standing = i64::try_from(standing.count()).unwrap();
        prop_assert_eq!(expected.0, (100 - used, standing));
        // What comes after a gap has no effect and comes again; each round closes a gap.
        for _ in 0..=told.len() {
            for events in shuffled.chunks(batch) {
                rough.hear(events);
            }
            if rough.kept().2 == expected.2 {
                break;
            }
        }
        prop_assert_eq!(rough.kept(), expected);
    }
}
