//! Batches of commands and events: a batch is committed as a whole or not at all, each event of a
//! source is applied once and in order, and the notifier is notified of new events.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{
    slice,
    time::{Duration, Instant},
};

use platform_store::{
    Advance, Aggregate, AggregateStore, CommandError, CommandOf, Commands, DeadLetter,
    DeadLetterChange, DeadLetterId, DeadLetterState, Dismissal, Disposition, Event, Input,
    Migration, Notifier, Output, Prune, ReadPool, SqlError, Store, StoreError, Tx, WriteError,
    consumer, database::open_in_memory, dead_letter, outbox,
};
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::TestRunner};
use testkit::{TestDatabase, on_both_databases};
use uuid::Uuid;

const TABLE: &str = "CREATE TABLE numbers (
    position BIGINT NOT NULL PRIMARY KEY,
    number   BIGINT NOT NULL CHECK (number <> 13)
)";

const MIGRATIONS: &[Migration] =
    &[Migration { name: "0001_numbers.sql", sqlite: TABLE, postgres: TABLE }];

/// The number that the table rejects.
const POISON: i64 = 13;

/// The number that is old at once.
const OLD: i64 = 5;

/// Appends numbers, with an event for each. Refuses negative ones.
#[derive(Default)]
struct Numbers {
    last: i64,
    appended: Vec<(i64, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Negative;

/// The position of the number.
type Reply = Result<i64, Negative>;

impl Aggregate for Numbers {
    type Command = i64;
    type Reply = Reply;

    fn load(tx: &Tx<'_>, _: &[&i64]) -> Result<Self, SqlError> {
        let last = "SELECT coalesce(max(position), 0) FROM numbers";
        let last = tx.find(last, &[], |row| row.int(0))?;
        Ok(Self { last: last.unwrap_or(0), appended: Vec::new() })
    }

    fn decide(&mut self, number: &i64) -> Reply {
        if *number < 0 {
            return Err(Negative);
        }
        self.last += 1;
        self.appended.push((self.last, *number));
        Ok(self.last)
    }

    fn save(&self, tx: &Tx<'_>) -> Result<(), SqlError> {
        let row = |(position, number): &(i64, i64)| [(*position).into(), (*number).into()];
        let rows: Vec<_> = self.appended.iter().map(row).collect();
        tx.execute_each("INSERT INTO numbers (position, number) VALUES (?1, ?2)", &rows)
    }

    fn events(number: &i64, reply: &Reply) -> serde_json::Result<impl IntoIterator<Item = Event>> {
        let data = |position| format!("{number} at {position}");
        let event = |position| Event::of("Appended", *number, &data(position));
        reply.ok().map(event).transpose()
    }

    fn snapshot(_: &Tx<'_>, _: i64, _: u32) -> Result<Vec<(i64, Event)>, SqlError> {
        Ok(Vec::new())
    }

    fn prune(tx: &Tx<'_>, _: i64) -> Result<usize, SqlError> {
        let count = "SELECT count(*) FROM numbers WHERE number = ?1";
        let count = tx.find(count, &[OLD.into()], |row| row.int(0))?.unwrap_or(0);
        tx.execute("DELETE FROM numbers WHERE number = ?1", &[OLD.into()])?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }
}

impl CommandOf<Numbers> for i64 {
    type Reply = Reply;

    fn reply(reply: Reply) -> Option<Reply> {
        Some(reply)
    }
}

/// A command that expects to be refused.
struct AppendNegative(i64);

impl From<AppendNegative> for i64 {
    fn from(AppendNegative(number): AppendNegative) -> Self {
        number
    }
}

impl CommandOf<Numbers> for AppendNegative {
    type Reply = Negative;

    fn reply(reply: Reply) -> Option<Negative> {
        reply.err()
    }
}

/// The store of [`Numbers`] in a database.
struct Fixture {
    database: TestDatabase,
    store: AggregateStore<Numbers>,
    notifier: Notifier,
    reads: ReadPool,
}

/// Everything that is stored.
#[derive(Debug, PartialEq, Eq)]
struct Stored {
    numbers: Vec<i64>,
    events: Vec<(u64, String)>,
    offsets: [u64; 2],
    dead_letters: Vec<(Uuid, u64)>,
}

impl Fixture {
    fn open(database: TestDatabase) -> Self {
        let (connection, reads) = database.open("numbers", MIGRATIONS).expect("opens");
        let notifier = Notifier::default();
        let store = AggregateStore::new(connection, notifier.clone());
        Self { database, store, notifier, reads }
    }

    fn reopen(self) -> Self {
        let Self { database, store, notifier: _, reads } = self;
        drop((store, reads));
        Self::open(database)
    }

    fn apply(&mut self, batch: &[Input<i64>]) -> Vec<Output<Reply>> {
        self.store.apply(batch).expect("commits")
    }

    fn stored(&self) -> Stored {
        let stored = self.reads.read(|tx| {
            let events = outbox::after(tx, 0, 1_000)?;
            let dead_letters = dead_letter::open(tx, 1_000)?;
            Ok(Stored {
                numbers: numbers(tx)?,
                events: events
                    .into_iter()
                    .map(|it| (it.sequence, it.event.data.to_string()))
                    .collect(),
                offsets: [
                    consumer::offset(tx, source(1))?.sequence,
                    consumer::offset(tx, source(2))?.sequence,
                ],
                dead_letters: dead_letters
                    .into_iter()
                    .map(|it| (it.id.source, it.id.sequence))
                    .collect(),
            })
        });
        self.database.block_on(stored).expect("reads")
    }

    fn numbers(&self) -> Vec<i64> {
        self.stored().numbers
    }
}

fn numbers(tx: &Tx<'_>) -> Result<Vec<i64>, SqlError> {
    tx.all("SELECT number FROM numbers ORDER BY position", &[], |row| row.int(0))
}

fn source(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn event_of(number: u128, sequence: u64, disposition: Disposition<i64>) -> Input<i64> {
    Input::Event { source: source(number), sequence, at_ms: 0, advance: Advance::Next, disposition }
}

/// An event of source 1 that appends a number.
fn event(sequence: u64, number: i64) -> Input<i64> {
    event_of(1, sequence, Disposition::Apply(number))
}

/// The dead letter of an event of source 1.
fn letter(sequence: u64) -> DeadLetterId {
    DeadLetterId { source: source(1), sequence }
}

/// An operator handles the dead letter of an event of source 1.
fn handled(sequence: u64, change: DeadLetterChange<i64>) -> Input<i64> {
    Input::DeadLetter { id: letter(sequence), change }
}

fn dismissal(at_ms: i64, reason: &str) -> Dismissal {
    Dismissal { at_ms, reason: reason.to_owned() }
}

/// An event of source 1 that cannot be applied.
fn invalid_event(sequence: u64) -> Input<i64> {
    let dead_letter = DeadLetter {
        id: letter(sequence),
        event: Event::of("Invalid", 0, &()).expect("it is JSON"),
        reason: "no number".to_owned(),
        dead_lettered_at_ms: 0,
        dismissal: None,
    };
    event_of(1, sequence, Disposition::DeadLetter(dead_letter))
}

fn consumed(offset: u64, reply: Option<Reply>) -> Output<Reply> {
    Output::Consumed { offset: offset.into(), reply }
}

on_both_databases!(
    events_of_a_source_are_applied_once_and_in_order,
    each_source_has_an_offset_of_its_own,
    an_event_that_is_skipped_or_whose_command_is_refused_moves_the_offset,
    an_event_that_cannot_be_applied_becomes_a_dead_letter_and_does_not_block_later_ones,
    an_event_after_a_gap_does_not_become_a_dead_letter,
    a_dead_letter_is_applied_and_deleted_in_one_commit,
    a_dead_letter_whose_event_means_nothing_is_deleted,
    a_dead_letter_that_is_rejected_stays_and_gets_a_new_reason,
    a_dismissed_dead_letter_is_kept_and_never_applied,
    a_snapshot_is_applied_and_moves_the_offset_at_its_end,
    old_events_that_every_consumer_has_are_deleted_but_never_the_last,
    rows_are_deleted_after_a_batch_is_saved_and_not_while_a_dead_letter_is_open,
    the_events_of_a_commit_are_deleted_once_all_are_consumed_and_old,
    the_outbox_is_in_the_order_of_the_commands,
    nothing_of_a_rejected_batch_is_committed,
    the_offset_survives_reopening,
    a_batch_has_the_same_result_as_its_commands_one_by_one,
    events_delivered_repeatedly_and_in_any_order_are_applied_once_and_in_order,
    one_poison_command_fails_alone,
    a_commit_with_an_event_is_notified_and_the_event_can_then_be_read,
    a_commit_without_an_event_and_a_failed_one_are_not_notified,
    a_reply_of_another_kind_of_command_is_rejected,
);

fn events_of_a_source_are_applied_once_and_in_order(new: fn() -> TestDatabase) {
    let mut fixture = Fixture::open(new());
    for (event, output, numbers) in [
        (event(2, 20), consumed(0, None), vec![]),
        (event(1, 10), consumed(1, Some(Ok(1))), vec![10]),
        (event(1, 10), consumed(1, None), vec![10]),
        (event(0, 99), consumed(1, None), vec![10]),
        (event(3, 30), consumed(1, None), vec![10]),
        (event(2, 20), consumed(2, Some(Ok(2))), vec![10, 20]),
        (event(3, 30), consumed(3, Some(Ok(3))), vec![10, 20, 30]),
        (event(3, 30), consumed(3, None), vec![10, 20, 30]),
        (event(2, 20), consumed(3, None), vec![10, 20, 30]),
    ] {
        let description = format!("{event:?}");
        assert_eq!(fixture.apply(&[event]), [output], "{description}");
        assert_eq!(fixture.numbers(), numbers, "{description}");
    }
}

fn a_snapshot_is_applied_and_moves_the_offset_at_its_end(new: fn() -> TestDatabase) {
    let part = |sequence, advance, disposition| Input::Event {
        source: source(1),
        sequence,
        at_ms: 0,
        advance,
        disposition,
    };
    // The number of a row is its key.
    let row = |after, key| part(7, Advance::Row { after, key }, Disposition::Apply(key));
    let end = |after| part(7, Advance::End { after }, Disposition::Skip);
    let mut fixture = Fixture::open(new());
    let mut applied = |batch: &[Input<i64>]| {
        fixture.apply(batch);
        (fixture.numbers(), fixture.stored().offsets[0])
    };
    assert_eq!(applied(&[event(1, 1), row(None, 20)]), (vec![1, 20], 1));
    // A row that comes again, one after a gap, and an end that comes too early.
    assert_eq!(applied(&[row(Some(21), 22), end(None), end(Some(22))]), (vec![1, 20], 1));
    assert_eq!(applied(&[row(Some(20), 21), event(8, 8)]), (vec![1, 20, 21], 1));
    assert_eq!(applied(&[row(Some(20), 21), end(Some(20))]), (vec![1, 20, 21], 1));
    // It may begin again.
    assert_eq!(applied(&[row(None, 20), row(Some(20), 21)]), (vec![1, 20, 21, 20, 21], 1));
    let all = vec![1, 20, 21, 20, 21, 8];
    assert_eq!(
        applied(&[end(Some(21)), row(None, 20), event(7, 7), event(8, 8)]),
        (all.clone(), 8)
    );
    assert_eq!(applied(&[end(Some(21)), row(Some(21), 22)]), (all, 8));
}

fn old_events_that_every_consumer_has_are_deleted_but_never_the_last(new: fn() -> TestDatabase) {
    let mut fixture = Fixture::open(new());
    // Of the times 1, 2, 9, 3, 4.
    for at_ms in [1, 2, 9, 3, 4] {
        fixture.apply(&[Input::Command(at_ms)]);
    }
    let mut prune = |before_ms, events_up_to| {
        let pruned = fixture.apply(&[Input::Prune(Prune { before_ms, events_up_to })]);
        let left: Vec<_> = fixture.stored().events.into_iter().map(|(number, _)| number).collect();
        (pruned, left)
    };
    assert_eq!(prune(5, 0), (vec![Output::Pruned(0)], vec![1, 2, 3, 4, 5]));
    assert_eq!(prune(5, 1), (vec![Output::Pruned(1)], vec![2, 3, 4, 5]));
    // The third is not old enough, so that no gap is left before it.
    assert_eq!(prune(5, 5), (vec![Output::Pruned(1)], vec![3, 4, 5]));
    assert_eq!(prune(10, 5), (vec![Output::Pruned(2)], vec![5]));
    fixture.apply(&[Input::Command(6)]);
    let numbers: Vec<_> = fixture.stored().events.into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [5, 6]);
}

fn the_events_of_a_commit_are_deleted_once_all_are_consumed_and_old(new: fn() -> TestDatabase) {
    let mut fixture = Fixture::open(new());
    fixture.apply(&[1, 9, 2].map(Input::Command));
    fixture.apply(&[Input::Command(3)]);
    let mut prune = |before_ms, events_up_to| {
        fixture.apply(&[Input::Prune(Prune { before_ms, events_up_to })]);
        fixture.stored().events.len()
    };
    assert_eq!([prune(10, 2), prune(9, 3), prune(10, 3)], [4, 4, 1]);
    let next =
        fixture.database.block_on(fixture.reads.read(|tx| outbox::after(tx, 0, 1))).expect("reads");
    assert_eq!(next[0].sequence, 4, "the first that is left");
}

fn rows_are_deleted_after_a_batch_is_saved_and_not_while_a_dead_letter_is_open(
    new: fn() -> TestDatabase,
) {
    let prune = Input::Prune(Prune { before_ms: i64::MAX, events_up_to: 0 });
    let mut fixture = Fixture::open(new());
    fixture.apply(&[prune.clone(), Input::Command(OLD)]);
    assert_eq!(fixture.numbers(), [0; 0]);
    fixture.apply(&[Input::Command(OLD), invalid_event(1)]);
    assert_eq!(fixture.apply(slice::from_ref(&prune)), [Output::Pruned(0)]);
    assert_eq!(fixture.numbers(), [OLD]);
    let dismiss = DeadLetterChange::Dismiss(dismissal(0, "a test"));
    fixture.apply(&[Input::DeadLetter { id: letter(1), change: dismiss }]);
    assert_eq!(fixture.apply(&[prune]), [Output::Pruned(1)]);
}

fn each_source_has_an_offset_of_its_own(new: fn() -> TestDatabase) {
    let mut fixture = Fixture::open(new());
    let other = |sequence, number| event_of(2, sequence, Disposition::Apply(number));
    let outputs = fixture.apply(&[event(1, 10), other(2, 99), other(1, 11)]);
    assert_eq!(outputs, [consumed(1, Some(Ok(1))), consumed(0, None), consumed(1, Some(Ok(2)))]);
    assert_eq!(fixture.numbers(), [10, 11]);
    assert_eq!(fixture.stored().offsets, [1, 1]);
}

fn an_event_that_is_skipped_or_whose_command_is_refused_moves_the_offset(
    new: fn() -> TestDatabase,
) {
    let mut fixture = Fixture::open(new());
    let skipped = event_of(1, 2, Disposition::Skip);
    let outputs = fixture.apply(&[event(1, -5), skipped.clone(), event(3, 30), skipped]);
    assert_eq!(
        outputs,
        [
            consumed(1, Some(Err(Negative))),
            consumed(2, None),
            consumed(3, Some(Ok(1))),
            consumed(3, None)
        ]
    );
    assert_eq!((fixture.numbers(), fixture.stored().offsets), (vec![30], [3, 0]));
}

fn an_event_that_cannot_be_applied_becomes_a_dead_letter_and_does_not_block_later_ones(
    new: fn() -> TestDatabase,
) {
    let mut fixture = Fixture::open(new());
    let outputs = fixture.apply(&[invalid_event(1), event(2, 20), invalid_event(1)]);
    assert_eq!(outputs, [consumed(1, None), consumed(2, Some(Ok(1))), consumed(2, None)]);
    let stored = fixture.stored();
    assert_eq!((stored.numbers, stored.dead_letters), (vec![20], vec![(source(1), 1)]));
}

fn an_event_after_a_gap_does_not_become_a_dead_letter(new: fn() -> TestDatabase) {
    let mut fixture = Fixture::open(new());
    assert_eq!(fixture.apply(&[invalid_event(2)]), [consumed(0, None)]);
    assert_eq!((fixture.stored().dead_letters, fixture.stored().offsets), (vec![], [0, 0]));
}

fn a_dead_letter_is_applied_and_deleted_in_one_commit(new: fn() -> TestDatabase) {
    let mut fixture = Fixture::open(new());
    fixture.apply(&[invalid_event(1), event(2, 20)]);
    let apply = || handled(1, DeadLetterChange::Apply(Some(10)));
    let changed = |state, reply| Output::DeadLetter { state, reply };
    let outputs = fixture.apply(&[apply(), apply()]);
    let applied = changed(DeadLetterState::Open, Some(Ok(2)));
    assert_eq!(outputs, [applied, changed(DeadLetterState::Absent, None)]);
    assert_eq!(fixture.apply(&[apply()]), [changed(DeadLetterState::Absent, None)]);
    let stored = fixture.stored();
    assert_eq!((stored.numbers, stored.dead_letters), (vec![20, 10], vec![]));
    assert_eq!(stored.events[1], (2, r#""10 at 2""#.to_owned()));
    assert_eq!(stored.offsets, [2, 0]);
}

fn a_dead_letter_whose_event_means_nothing_is_deleted(new: fn() -> TestDatabase) {
    let mut fixture = Fixture::open(new());
    fixture.apply(&[invalid_event(1)]);
    let outputs = fixture.apply(&[handled(1, DeadLetterChange::Apply(None))]);
    assert_eq!(outputs, [Output::DeadLetter { state: DeadLetterState::Open, reply: None }]);
    let stored = fixture.stored();
    assert_eq!((stored.numbers, stored.dead_letters), (vec![], vec![]));
}

fn a_dead_letter_that_is_rejected_stays_and_gets_a_new_reason(new: fn() -> TestDatabase) {
    let mut fixture = Fixture::open(new());
    fixture.apply(&[invalid_event(1)]);
    let before = fixture.stored();
    let rejected = fixture.store.apply(&[handled(1, DeadLetterChange::Apply(Some(POISON)))]);
    assert!(matches!(rejected, Err(StoreError::Rejected(_))), "{rejected:?}");
    assert_eq!(fixture.stored(), before);
    let outputs = fixture.apply(&[handled(1, DeadLetterChange::Keep("poison".to_owned()))]);
    assert_eq!(outputs, [Output::DeadLetter { state: DeadLetterState::Open, reply: None }]);
    assert_eq!(fixture.stored(), before);
    let kept = fixture.reads.read(|tx| dead_letter::find(tx, letter(1)));
    let kept = fixture.database.block_on(kept).expect("reads").expect("it stays");
    assert_eq!((&*kept.reason, kept.dismissal), ("poison", None));
}

fn a_dismissed_dead_letter_is_kept_and_never_applied(new: fn() -> TestDatabase) {
    let mut fixture = Fixture::open(new());
    fixture.apply(&[invalid_event(1), invalid_event(2), invalid_event(3)]);
    let dismiss = |sequence, at_ms, reason| {
        handled(sequence, DeadLetterChange::Dismiss(dismissal(at_ms, reason)))
    };
    let outputs = fixture.apply(&[
        dismiss(1, 70, "a test"),
        dismiss(3, 80, "another"),
        dismiss(1, 90, "again"),
        handled(1, DeadLetterChange::Apply(Some(10))),
        handled(1, DeadLetterChange::Keep("poison".to_owned())),
        dismiss(4, 90, "nothing"),
    ]);
    let states = outputs.iter().map(|output| match output {
        Output::DeadLetter { state, reply: None } => *state,
        other => panic!("{other:?}"),
    });
    let [open, dismissed] = [DeadLetterState::Open, DeadLetterState::Dismissed];
    assert_eq!(
        states.collect::<Vec<_>>(),
        [open, open, dismissed, dismissed, dismissed, DeadLetterState::Absent]
    );
    let stored = fixture.stored();
    assert_eq!((stored.numbers, stored.dead_letters), (vec![], vec![(source(1), 2)]));
    let read = |limit| {
        let read = fixture.reads.read(move |tx| {
            Ok((dead_letter::dismissed(tx, limit)?, dead_letter::count_dismissed(tx)?))
        });
        let (letters, count) = fixture.database.block_on(read).expect("reads");
        let kept = letters.into_iter().map(|it| (it.id.sequence, it.dismissal));
        (kept.collect::<Vec<_>>(), count)
    };
    let [first, last] = [(1, Some(dismissal(70, "a test"))), (3, Some(dismissal(80, "another")))];
    assert_eq!(read(9), (vec![last.clone(), first], 2));
    assert_eq!(read(1), (vec![last], 2));
}

fn the_outbox_is_in_the_order_of_the_commands(new: fn() -> TestDatabase) {
    let mut fixture = Fixture::open(new());
    fixture.apply(&[
        Input::Command(7),
        event(1, 5),
        Input::Command(-1),
        invalid_event(2),
        Input::Command(6),
    ]);
    let expected = [(1, r#""7 at 1""#), (2, r#""5 at 2""#), (3, r#""6 at 3""#)];
    let expected = expected.map(|(sequence, data)| (sequence, data.to_owned()));
    assert_eq!(fixture.stored().events, expected);
}

fn nothing_of_a_rejected_batch_is_committed(new: fn() -> TestDatabase) {
    let mut fixture = Fixture::open(new());
    fixture.apply(&[Input::Command(1), event(1, 2)]);
    let before = fixture.stored();
    let batch = [event(2, 3), invalid_event(3), Input::Command(4), Input::Command(POISON)];
    let rejected = fixture.store.apply(&batch);
    assert!(matches!(rejected, Err(StoreError::Rejected(_))), "{rejected:?}");
    assert_eq!(fixture.stored(), before);
    // Not even a position is used up.
    let outputs = fixture.apply(&batch[..3]);
    assert_eq!(outputs, [consumed(2, Some(Ok(3))), consumed(3, None), Output::Reply(Ok(4))]);
}

fn the_offset_survives_reopening(new: fn() -> TestDatabase) {
    let mut fixture = Fixture::open(new());
    fixture.apply(&[event(1, 10), event(2, 20), invalid_event(3)]);
    let before = fixture.stored();
    let mut fixture = fixture.reopen();
    assert_eq!(fixture.stored(), before);
    let outputs = fixture.apply(&[event(2, 20), event(4, 40)]);
    assert_eq!(outputs, [consumed(3, None), consumed(4, Some(Ok(3)))]);
}

/// Few sources and low numbers, so that repeats and gaps are frequent.
fn any_input() -> impl Strategy<Value = Input<i64>> {
    let disposition = prop_oneof![
        4 => (-2_i64..9).prop_map(Disposition::Apply),
        1 => Just(Disposition::Skip),
    ];
    prop_oneof![
        1 => (-2_i64..9).prop_map(Input::Command),
        3 => (1_u128..3, 0_u64..6, disposition)
            .prop_map(|(source, sequence, disposition)| event_of(source, sequence, disposition)),
        1 => (0_u64..6).prop_map(invalid_event),
        1 => (0_u64..6, any_change()).prop_map(|(sequence, change)| handled(sequence, change)),
    ]
}

fn any_change() -> impl Strategy<Value = DeadLetterChange<i64>> {
    prop_oneof![
        2 => (-2_i64..9).prop_map(|number| DeadLetterChange::Apply(Some(number))),
        1 => Just(DeadLetterChange::Keep("again".to_owned())),
        1 => Just(DeadLetterChange::Dismiss(dismissal(70, "a test"))),
    ]
}

fn for_all<S: Strategy>(any: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() };
    TestRunner::new(config).run(any, test).unwrap_or_else(|failure| panic!("{failure}"));
}

fn a_batch_has_the_same_result_as_its_commands_one_by_one(new: fn() -> TestDatabase) {
    for_all(&vec(vec(any_input(), 1..12), 1..6), |batches| {
        let (mut batched, mut single) = (Fixture::open(new()), Fixture::open(new()));
        let connection = open_in_memory(MIGRATIONS).expect("opens");
        let mut in_memory = AggregateStore::<Numbers>::new(connection, Notifier::default());
        for batch in batches {
            let one_by_one: Vec<_> = batch.chunks(1).flat_map(|one| single.apply(one)).collect();
            prop_assert_eq!(&batched.apply(&batch), &one_by_one);
            prop_assert_eq!(in_memory.apply(&batch).expect("commits"), one_by_one);
        }
        prop_assert_eq!(batched.stored(), single.stored());
        Ok(())
    });
}

/// At last the source sends everything after the offset.
fn events_delivered_repeatedly_and_in_any_order_are_applied_once_and_in_order(
    new: fn() -> TestDatabase,
) {
    let any_numbers = vec(-2_i64..9, 1..20);
    let any_deliveries = vec(any::<Index>(), 0..60);
    for_all(&(any_numbers, any_deliveries), |(numbers, deliveries)| {
        let mut fixture = Fixture::open(new());
        let events = (1..).zip(&numbers).map(|(sequence, number)| event(sequence, *number));
        let events: Vec<_> = events.collect();
        let mut last = 0;
        for delivery in deliveries {
            let output = &fixture.apply(&[delivery.get(&events).clone()])[0];
            let Output::Consumed { offset, reply } = output else { panic!("{output:?}") };
            prop_assert_eq!(offset.sequence, last + u64::from(reply.is_some()));
            last = offset.sequence;
        }
        fixture.apply(&events[usize::try_from(last).expect("a small number")..]);
        let in_order: Vec<_> = numbers.into_iter().filter(|number| *number >= 0).collect();
        prop_assert_eq!(fixture.numbers(), in_order);
        Ok(())
    });
}

fn later() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn one_poison_command_fails_alone(new: fn() -> TestDatabase) {
    let Fixture { database, store, notifier: _, reads } = Fixture::open(new());
    let (commands, ended) = Commands::start("numbers", store);
    database.block_on(async {
        let replies = commands.submit_all(vec![1, POISON, -1, 3], later()).await;
        let expected = [Ok(Ok(1)), Err(CommandError::Rejected), Ok(Err(Negative)), Ok(Ok(2))];
        assert_eq!(replies, Ok(expected.to_vec()));
        // A later event of the same source waits for the rejected one.
        let events = vec![event(1, 4), event(2, POISON), event(3, 5)];
        let outputs = commands.consume(events, later()).await;
        let expected =
            [Ok(consumed(1, Some(Ok(3)))), Err(CommandError::Rejected), Ok(consumed(1, None))];
        assert_eq!(outputs, Ok(expected.to_vec()));
        assert_eq!(commands.submit(6, later()).await, Ok(Ok(4)));
        commands.clone().close();
        ended.await;
        assert_eq!(commands.submit(7, later()).await, Err(WriteError::Closed));
        assert_eq!(reads.read(numbers).await, Ok(vec![1, 3, 4, 6]));
    });
}

fn a_commit_with_an_event_is_notified_and_the_event_can_then_be_read(new: fn() -> TestDatabase) {
    let Fixture { database, store, notifier, reads } = Fixture::open(new());
    let (commands, _ended) = Commands::start("numbers", store);
    let mut subscription = notifier.subscribe();
    database.block_on(async {
        let (reply, head) = tokio::join!(commands.submit(7, later()), async {
            subscription.changed().await;
            reads.read(outbox::head).await
        });
        assert_eq!((reply, head), (Ok(Ok(1)), Ok(1)));
        let (outputs, head) = tokio::join!(commands.consume(vec![event(1, 5)], later()), async {
            subscription.changed().await;
            reads.read(outbox::head).await
        });
        assert_eq!((outputs, head), (Ok(vec![Ok(consumed(1, Some(Ok(2))))]), Ok(2)));
    });
    assert!(!subscription.has_changed());
}

fn a_commit_without_an_event_and_a_failed_one_are_not_notified(new: fn() -> TestDatabase) {
    let mut fixture = Fixture::open(new());
    let mut subscription = fixture.notifier.subscribe();
    fixture.apply(&[Input::Command(-1), event_of(1, 1, Disposition::Skip), invalid_event(2)]);
    fixture.store.apply(&[Input::Command(1), Input::Command(POISON)]).expect_err("it commits");
    assert!(!subscription.has_changed());
    fixture.apply(&[Input::Command(1)]);
    assert!(subscription.has_changed());
    subscription.mark_seen();
    assert!(!subscription.has_changed());
}

/// A bug of the aggregate: the caller gets no reply of the wrong type.
fn a_reply_of_another_kind_of_command_is_rejected(new: fn() -> TestDatabase) {
    let Fixture { database, store, notifier: _, reads: _reads } = Fixture::open(new());
    let (commands, _ended) = Commands::start("numbers", store);
    database.block_on(async {
        assert_eq!(commands.submit(AppendNegative(-1), later()).await, Ok(Negative));
        let rejected = commands.submit(AppendNegative(1), later()).await;
        assert_eq!(rejected, Err(WriteError::Command(CommandError::Rejected)));
        let both = vec![AppendNegative(1), AppendNegative(-1)];
        let replies = commands.submit_all(both, later()).await;
        assert_eq!(replies, Ok(vec![Err(CommandError::Rejected), Ok(Negative)]));
    });
}
