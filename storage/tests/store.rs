//! Commands in batches, and what sources say: everything of a batch is kept or nothing, and what
//! was heard counts once, in its order.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::time::{Duration, Instant};

use proptest::{collection::vec, prelude::*, sample::Index, test_runner::TestRunner};
use storage::{
    database::{Readers, open_in_memory},
    inbox::{self, Parked},
    migrate::Migration,
    outbox::{self, Event},
    sql::{SqlError, Tx},
    store::{Desk, Input, Meaning, Model, Output, Stored},
    writer::{Failed, Store, StoreError, WriteError},
};
use uuid::Uuid;

#[path = "place/place.rs"]
mod place;

use place::{Place, on_both};

const TABLE: &str = "CREATE TABLE numbers (
    place  BIGINT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL CHECK (number <> 13)
)";

const MIGRATIONS: &[Migration] =
    &[Migration { name: "0001_numbers.sql", sqlite: TABLE, postgres: TABLE }];

/// The number that the table does not take.
const POISON: i64 = 13;

/// Writes numbers down, each at the next place, and tells of each. Takes no negative ones.
#[derive(Debug)]
struct List;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Negative;

/// The place at which it stands.
type Outcome = Result<i64, Negative>;

#[derive(Default)]
struct Numbers {
    last: i64,
    written: Vec<(i64, i64)>,
}

impl Model for List {
    type Command = i64;
    type Outcome = Outcome;
    type Rows = Numbers;

    fn load(tx: &Tx<'_>, _: &[&i64]) -> Result<Numbers, SqlError> {
        let last = tx.find("SELECT coalesce(max(place), 0) FROM numbers", &[], |row| row.int(0))?;
        Ok(Numbers { last: last.unwrap_or(0), written: Vec::new() })
    }

    fn decide(&self, rows: &mut Numbers, number: &i64) -> Outcome {
        if *number < 0 {
            return Err(Negative);
        }
        rows.last += 1;
        rows.written.push((rows.last, *number));
        Ok(rows.last)
    }

    fn save(tx: &Tx<'_>, rows: &Numbers) -> Result<(), SqlError> {
        let rows: Vec<_> = rows
            .written
            .iter()
            .map(|(place, number)| [(*place).into(), (*number).into()])
            .collect();
        tx.execute_each("INSERT INTO numbers (place, number) VALUES (?1, ?2)", &rows)
    }

    fn event(number: &i64, outcome: &Outcome) -> serde_json::Result<Option<Event>> {
        let event = |place| Event {
            r#type: "Written".to_owned(),
            at_ms: 0,
            data: format!("{number} at {place}"),
        };
        Ok(outcome.ok().map(event))
    }
}

/// A list that is kept somewhere, and a look at it.
struct Kept {
    place: Place,
    store: Stored<List>,
    readers: Readers,
}

/// All that can be seen of a store.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    numbers: Vec<i64>,
    told: Vec<(u64, String)>,
    heard: [u64; 2],
    parked: Vec<(Uuid, u64)>,
}

impl Kept {
    fn open(place: Place) -> Self {
        let (writable, readers) = place.open("list", MIGRATIONS).expect("opens");
        Self { place, store: Stored::new(writable, List), readers }
    }

    fn reopened(self) -> Self {
        let Self { place, store, readers } = self;
        drop((store, readers));
        Self::open(place)
    }

    fn apply(&mut self, batch: &[Input<i64>]) -> Vec<Output<Outcome>> {
        self.store.apply(batch).expect("keeps it")
    }

    fn seen(&self) -> Seen {
        let numbers = "SELECT number FROM numbers ORDER BY place";
        let seen = self.readers.read(move |tx| {
            let told = outbox::after(tx, 0, 1_000)?;
            let parked = inbox::parked(tx, 1_000)?;
            Ok(Seen {
                numbers: tx.all(numbers, &[], |row| row.int(0))?,
                told: told.into_iter().map(|entry| (entry.sequence, entry.data)).collect(),
                heard: [inbox::heard(tx, source(1))?, inbox::heard(tx, source(2))?],
                parked: parked.into_iter().map(|event| (event.source, event.sequence)).collect(),
            })
        });
        self.place.wait(seen).expect("reads")
    }

    fn numbers(&self) -> Vec<i64> {
        self.seen().numbers
    }
}

fn source(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn said_by(number: u128, sequence: u64, meaning: Meaning<i64>) -> Input<i64> {
    Input::Heard { source: source(number), sequence, meaning }
}

/// Source 1 says a number.
fn said(sequence: u64, number: i64) -> Input<i64> {
    said_by(1, sequence, Meaning::Command(number))
}

/// Source 1 says what nobody understands.
fn mumbled(sequence: u64) -> Input<i64> {
    let parked = Parked {
        source: source(1),
        sequence,
        r#type: "Mumbled".to_owned(),
        data: "{}".to_owned(),
        why: "no number".to_owned(),
        at_ms: 0,
    };
    said_by(1, sequence, Meaning::Park(parked))
}

fn heard(sequence: u64, outcome: Option<Outcome>) -> Output<Outcome> {
    Output::Heard { sequence, outcome }
}

on_both!(
    what_a_source_says_counts_once_and_in_its_order,
    every_source_has_its_own_count,
    a_source_is_heard_even_if_nothing_can_come_of_it,
    what_cannot_be_heard_is_put_aside_and_out_of_the_way,
    what_comes_after_a_gap_is_not_even_put_aside,
    what_is_told_stands_in_the_order_of_the_commands,
    a_batch_that_is_refused_leaves_nothing,
    what_was_heard_is_remembered_after_reopening,
    a_batch_decides_and_keeps_the_same_as_its_commands_one_by_one,
    whatever_arrives_again_and_in_any_order_counts_once_and_in_its_order,
    one_poisoned_command_fails_alone,
);

fn what_a_source_says_counts_once_and_in_its_order(new: fn() -> Place) {
    let mut list = Kept::open(new());
    for (event, answer, numbers) in [
        (said(2, 20), heard(0, None), vec![]),
        (said(1, 10), heard(1, Some(Ok(1))), vec![10]),
        (said(1, 10), heard(1, None), vec![10]),
        (said(0, 99), heard(1, None), vec![10]),
        (said(3, 30), heard(1, None), vec![10]),
        (said(2, 20), heard(2, Some(Ok(2))), vec![10, 20]),
        (said(3, 30), heard(3, Some(Ok(3))), vec![10, 20, 30]),
        (said(3, 30), heard(3, None), vec![10, 20, 30]),
        (said(2, 20), heard(3, None), vec![10, 20, 30]),
    ] {
        let shown = format!("{event:?}");
        assert_eq!(list.apply(&[event]), [answer], "{shown}");
        assert_eq!(list.numbers(), numbers, "{shown}");
    }
}

fn every_source_has_its_own_count(new: fn() -> Place) {
    let mut list = Kept::open(new());
    let other = |sequence, number| said_by(2, sequence, Meaning::Command(number));
    let answers = list.apply(&[said(1, 10), other(2, 99), other(1, 11)]);
    assert_eq!(answers, [heard(1, Some(Ok(1))), heard(0, None), heard(1, Some(Ok(2)))]);
    assert_eq!(list.numbers(), [10, 11]);
    assert_eq!(list.seen().heard, [1, 1]);
}

fn a_source_is_heard_even_if_nothing_can_come_of_it(new: fn() -> Place) {
    let mut list = Kept::open(new());
    let nothing = said_by(1, 2, Meaning::Nothing);
    let answers = list.apply(&[said(1, -5), nothing.clone(), said(3, 30), nothing]);
    assert_eq!(
        answers,
        [heard(1, Some(Err(Negative))), heard(2, None), heard(3, Some(Ok(1))), heard(3, None)]
    );
    assert_eq!((list.numbers(), list.seen().heard), (vec![30], [3, 0]));
}

fn what_cannot_be_heard_is_put_aside_and_out_of_the_way(new: fn() -> Place) {
    let mut list = Kept::open(new());
    let answers = list.apply(&[mumbled(1), said(2, 20), mumbled(1)]);
    assert_eq!(answers, [heard(1, None), heard(2, Some(Ok(1))), heard(2, None)]);
    let seen = list.seen();
    assert_eq!((seen.numbers, seen.parked), (vec![20], vec![(source(1), 1)]));
}

fn what_comes_after_a_gap_is_not_even_put_aside(new: fn() -> Place) {
    let mut list = Kept::open(new());
    assert_eq!(list.apply(&[mumbled(2)]), [heard(0, None)]);
    assert_eq!((list.seen().parked, list.seen().heard), (vec![], [0, 0]));
}

fn what_is_told_stands_in_the_order_of_the_commands(new: fn() -> Place) {
    let mut list = Kept::open(new());
    let batch = [Input::Asked(7), said(1, 5), Input::Asked(-1), mumbled(2), Input::Asked(6)];
    list.apply(&batch);
    let told: Vec<_> = list.seen().told;
    let expected = [(1, "7 at 1"), (2, "5 at 2"), (3, "6 at 3")];
    assert_eq!(told, expected.map(|(sequence, data)| (sequence, data.to_owned())));
}

fn a_batch_that_is_refused_leaves_nothing(new: fn() -> Place) {
    let mut list = Kept::open(new());
    list.apply(&[Input::Asked(1), said(1, 2)]);
    let before = list.seen();
    let batch = [said(2, 3), mumbled(3), Input::Asked(4), Input::Asked(POISON)];
    let refused = list.store.apply(&batch);
    assert!(matches!(refused, Err(StoreError::Rejected(_))), "{refused:?}");
    assert_eq!(list.seen(), before);
    // Not even a place is used up.
    let again = list.apply(&batch[..3]);
    assert_eq!(again, [heard(2, Some(Ok(3))), heard(3, None), Output::Answer(Ok(4))]);
}

fn what_was_heard_is_remembered_after_reopening(new: fn() -> Place) {
    let mut list = Kept::open(new());
    list.apply(&[said(1, 10), said(2, 20), mumbled(3)]);
    let before = list.seen();
    let mut list = list.reopened();
    assert_eq!(list.seen(), before);
    let answers = list.apply(&[said(2, 20), said(4, 40)]);
    assert_eq!(answers, [heard(3, None), heard(4, Some(Ok(3)))]);
}

/// Few sources and low numbers, so that they meet each other.
fn any_input() -> impl Strategy<Value = Input<i64>> {
    let meaning = prop_oneof![
        4 => (-2_i64..9).prop_map(Meaning::Command),
        1 => Just(Meaning::Nothing),
    ];
    prop_oneof![
        1 => (-2_i64..9).prop_map(Input::Asked),
        3 => (1_u128..3, 0_u64..6, meaning)
            .prop_map(|(source, sequence, meaning)| said_by(source, sequence, meaning)),
        1 => (0_u64..6).prop_map(mumbled),
    ]
}

fn for_all<S: Strategy>(any: &S, holds: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let settings = ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() };
    let held = TestRunner::new(settings).run(any, holds);
    held.unwrap_or_else(|failure| panic!("{failure}"));
}

fn a_batch_decides_and_keeps_the_same_as_its_commands_one_by_one(new: fn() -> Place) {
    for_all(&vec(vec(any_input(), 1..12), 1..6), |batches| {
        let (mut together, mut alone) = (Kept::open(new()), Kept::open(new()));
        let mut in_memory = Stored::new(open_in_memory(MIGRATIONS).expect("opens"), List);
        for batch in batches {
            let one_by_one: Vec<_> = batch.chunks(1).flat_map(|one| alone.apply(one)).collect();
            prop_assert_eq!(&together.apply(&batch), &one_by_one);
            prop_assert_eq!(in_memory.apply(&batch).expect("keeps it"), one_by_one);
        }
        prop_assert_eq!(together.seen(), alone.seen());
        Ok(())
    });
}

/// The source says everything in any order and as often as it likes, and at last goes on from
/// where it was heard.
fn whatever_arrives_again_and_in_any_order_counts_once_and_in_its_order(new: fn() -> Place) {
    let any_numbers = vec(-2_i64..9, 1..20);
    let any_deliveries = vec(any::<Index>(), 0..60);
    for_all(&(any_numbers, any_deliveries), |(numbers, deliveries)| {
        let mut list = Kept::open(new());
        let said: Vec<_> = (1..).zip(numbers.iter().copied()).map(|(at, n)| said(at, n)).collect();
        let mut position = 0;
        for delivery in deliveries {
            let answer = &list.apply(&[delivery.get(&said).clone()])[0];
            let Output::Heard { sequence, outcome } = answer else { panic!("{answer:?}") };
            prop_assert_eq!(*sequence, position + u64::from(outcome.is_some()));
            position = *sequence;
        }
        let position = usize::try_from(position).expect("a few");
        list.apply(&said[position..]);
        let in_order: Vec<_> = numbers.into_iter().filter(|number| *number >= 0).collect();
        prop_assert_eq!(list.numbers(), in_order);
        Ok(())
    });
}

fn later() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn one_poisoned_command_fails_alone(new: fn() -> Place) {
    let Kept { place, store, readers } = Kept::open(new());
    let (desk, ended) = Desk::<List>::start("list", store);
    place.wait(async {
        let asked = desk.ask_all(vec![1, POISON, -1, 3], later()).await;
        let expected = [Ok(Ok(1)), Err(Failed::Refused), Ok(Err(Negative)), Ok(Ok(2))];
        assert_eq!(asked, Ok(expected.to_vec()));
        // What follows it from the same source has to wait for it.
        let events = desk.hear(vec![said(1, 4), said(2, POISON), said(3, 5)], later()).await;
        let expected = [Ok(heard(1, Some(Ok(3)))), Err(Failed::Refused), Ok(heard(1, None))];
        assert_eq!(events, Ok(expected.to_vec()));
        assert_eq!(desk.ask(6, later()).await, Ok(Ok(Ok(4))));
        desk.clone().close().await;
        ended.await;
        assert_eq!(desk.ask(7, later()).await, Err(WriteError::Closed));
        let numbers = readers
            .read(|tx| tx.all("SELECT number FROM numbers ORDER BY place", &[], |row| row.int(0)));
        assert_eq!(numbers.await, Ok(vec![1, 3, 4, 6]));
    });
}
