//! Each event is applied once, in the order of its source; one that cannot be applied does not block the
//! others.

use std::{sync::atomic::Ordering, time::Duration};

use contracts::event::{DomainEvent, InjectionCompleted, full_type};
use platform_events::{ConsumeError, DELIVERIES_MAX, GAP_TOLERATED};

use crate::notes::{NoteStore, event, event_of, event_with, source};

#[tokio::test]
async fn events_are_applied_once_and_in_order() {
    let store = NoteStore::open();
    let batch = [event(1, "a"), event(2, "b"), event(2, "b"), event(4, "d")];
    assert_eq!(store.consumer.consume(&batch).await, Ok(2));
    assert_eq!(store.consumer.consume(&batch).await, Ok(2));
    assert_eq!(store.consumer.consume(&[event(4, "d")]).await, Ok(2));
    assert_eq!(store.consumer.consume(&[event(3, "c"), event(4, "d")]).await, Ok(4));
    assert_eq!(store.notes().await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_gap_that_nothing_fills_is_counted() {
    let store = NoteStore::open();
    assert_eq!(store.consumer.consume(&[event(2, "b")]).await, Ok(0));
    assert_eq!(store.consumer.stalled_sources(Duration::ZERO), 1);
    assert_eq!(store.consumer.stalled_sources(GAP_TOLERATED), 0, "it is still being filled");
    assert_eq!(store.consumer.consume(&[event(1, "a"), event(2, "b")]).await, Ok(2));
    assert_eq!(store.consumer.stalled_sources(Duration::ZERO), 0);
}

#[tokio::test]
async fn an_event_that_the_store_rejects_is_dead_lettered_after_some_deliveries() {
    let store = NoteStore::open();
    let batch = [event(1, "a"), event(2, "poison"), event(3, "c"), event(4, "d")];
    for _ in 0..DELIVERIES_MAX {
        assert_eq!(store.dead_letters().await, []);
        assert_eq!(store.consumer.consume(&batch).await, Ok(1));
    }
    assert_eq!(store.consumer.consume(&batch).await, Ok(4));
    assert_eq!(store.notes().await, ["a", "c", "d"]);
    let [dead_letter] = &store.dead_letters().await[..] else { panic!("not one dead letter") };
    assert_eq!((dead_letter.source, dead_letter.sequence), (source(1).0, 2));
    assert_eq!(dead_letter.r#type, "Registered");
    assert_eq!(dead_letter.data, batch[1].data.get());
    assert_eq!(dead_letter.reason, "the store rejected it 5 times");

    assert_eq!(store.consumer.consume(&batch).await, Ok(4));
    assert_eq!((store.notes().await.len(), store.dead_letters().await.len()), (3, 1));
}

#[tokio::test]
async fn deliveries_are_counted_for_each_event() {
    let store = NoteStore::open();
    let batch = [event(1, "poison"), event(2, "poison"), event(3, "c")];
    for dead_lettered in 0..2 {
        for _ in 0..DELIVERIES_MAX {
            assert_eq!(store.consumer.consume(&batch).await, Ok(dead_lettered));
        }
    }
    assert_eq!(store.consumer.consume(&batch).await, Ok(3));
    assert_eq!((store.notes().await, store.dead_letters().await.len()), (vec!["c".to_owned()], 2));
}

/// Rejected alternately: neither resets the count of the other.
#[tokio::test]
async fn deliveries_are_counted_for_each_source() {
    let store = NoteStore::open();
    let poison = |number| event_of(source(number), 1, "poison");
    for _ in 0..DELIVERIES_MAX {
        for number in [1, 2] {
            assert_eq!(store.consumer.consume(&[poison(number)]).await, Ok(0));
        }
    }
    for number in [1, 2] {
        assert_eq!(store.consumer.consume(&[poison(number)]).await, Ok(1));
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_decoded_is_dead_lettered_at_once() {
    let store = NoteStore::open();
    let batch = [event(1, "a"), event_with(2, r#"{"not":"a vaccine"}"#), event(3, "c")];
    assert_eq!(store.consumer.consume(&batch).await, Ok(3));
    assert_eq!(store.notes().await, ["a", "c"]);
    let [dead_letter] = &store.dead_letters().await[..] else { panic!("not one dead letter") };
    assert_eq!((dead_letter.sequence, &*dead_letter.data), (2, r#"{"not":"a vaccine"}"#));
    assert!(dead_letter.reason.contains("missing field"), "{}", dead_letter.reason);
    assert_eq!(store.consumer.consume(&batch).await, Ok(3));
    assert_eq!((store.notes().await.len(), store.dead_letters().await.len()), (2, 1));
}

#[tokio::test]
async fn an_event_behind_a_gap_is_not_dead_lettered() {
    let store = NoteStore::open();
    assert_eq!(store.consumer.consume(&[event_with(2, "7")]).await, Ok(0));
    assert_eq!(store.dead_letters().await, []);
}

#[tokio::test]
async fn an_event_of_a_newer_version_or_for_other_services_is_skipped() {
    let store = NoteStore::open();
    let mut newer = event(2, "b");
    newer.r#type = "anticorona.Moved.v1".to_owned();
    let mut for_others = event_with(3, INJECTION);
    for_others.r#type = full_type("Completed");
    assert!(matches!(
        DomainEvent::decode(&for_others),
        Ok(Some(DomainEvent::Completed(InjectionCompleted { .. })))
    ));
    let batch = [event(1, "a"), newer, for_others, event(4, "d")];
    assert_eq!(store.consumer.consume(&batch).await, Ok(4));
    assert_eq!(store.notes().await, ["a", "d"]);
    assert_eq!(store.dead_letters().await, []);
}

const INJECTION: &str = r#"{"reservationId":"00000000-0000-0000-0000-000000000000",
    "injectionId":1,"bookingId":1,"vaccineId":1,"userId":5,"status":"INJECTION_COMPLETED"}"#;

#[tokio::test]
async fn nothing_is_dead_lettered_while_the_store_is_down() {
    let store = NoteStore::open();
    store.is_down.store(true, Ordering::SeqCst);
    for _ in 0..3 * DELIVERIES_MAX {
        let consumed = store.consumer.consume(&[event(1, "a")]).await;
        assert_eq!(consumed, Err(ConsumeError::NotCommitted));
    }
    store.is_down.store(false, Ordering::SeqCst);
    assert_eq!(store.consumer.consume(&[event(1, "a")]).await, Ok(1));
    assert_eq!(store.notes().await, ["a"]);
    assert_eq!(store.dead_letters().await, []);
}

#[tokio::test]
async fn a_source_does_not_wait_for_another_one() {
    let store = NoteStore::open();
    let (first, second) = (source(1), source(2));
    assert_eq!(store.consumer.consume(&[event_of(first, 1, "poison")]).await, Ok(0));
    assert_eq!(store.consumer.consume(&[event_of(second, 1, "s1")]).await, Ok(1));
    assert_eq!(store.consumer.consume(&[event_of(first, 2, "f2")]).await, Ok(0));
    assert_eq!(store.consumer.consume(&[event_of(second, 2, "s2")]).await, Ok(2));
    assert_eq!(store.notes().await, ["s1", "s2"]);
    assert_eq!((store.offset(first).await, store.offset(second).await), (0, 2));
}
