//! Each event is applied once, in the order of its source; one that cannot be applied does not block the
//! others.

use std::{sync::atomic::Ordering, time::Duration};

use contracts::event::{DomainEvent, InjectionCompleted, full_type};
use platform_events::{ConsumeError, DELIVERIES_MAX, DeadLetterError, GAP_TOLERATED};
use platform_store::{CommandError, DeadLetter, Dismissal, Event};

use crate::notes::{NoteStore, event, event_of, event_with, source};

#[tokio::test]
async fn events_are_applied_once_and_in_order() {
    let store = NoteStore::open();
    let batch = [event(1, "a"), event(2, "b"), event(2, "b"), event(4, "d")];
    assert_eq!(store.consumer.consume(&batch).await, Ok(2.into()));
    assert_eq!(store.consumer.consume(&batch).await, Ok(2.into()));
    assert_eq!(store.consumer.consume(&[event(4, "d")]).await, Ok(2.into()));
    assert_eq!(store.consumer.consume(&[event(3, "c"), event(4, "d")]).await, Ok(4.into()));
    assert_eq!(store.notes().await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_gap_that_nothing_fills_is_counted() {
    let store = NoteStore::open();
    assert_eq!(store.consumer.consume(&[event(2, "b")]).await, Ok(0.into()));
    assert_eq!(store.consumer.stalled_sources(Duration::ZERO), 1);
    assert_eq!(store.consumer.stalled_sources(GAP_TOLERATED), 0, "it is still being filled");
    assert_eq!(store.consumer.consume(&[event(1, "a"), event(2, "b")]).await, Ok(2.into()));
    assert_eq!(store.consumer.stalled_sources(Duration::ZERO), 0);
}

#[tokio::test]
async fn an_event_that_the_store_rejects_is_dead_lettered_after_some_deliveries() {
    let store = NoteStore::open();
    let batch = [event(1, "a"), event(2, "poison"), event(3, "c"), event(4, "d")];
    for _ in 0..DELIVERIES_MAX {
        assert_eq!(store.dead_letters().await, []);
        assert_eq!(store.consumer.consume(&batch).await, Ok(1.into()));
    }
    assert_eq!(store.consumer.consume(&batch).await, Ok(4.into()));
    assert_eq!(store.notes().await, ["a", "c", "d"]);
    let [dead_letter] = &store.dead_letters().await[..] else { panic!("not one dead letter") };
    assert_eq!((dead_letter.id.source, dead_letter.id.sequence), (source(1).0, 2));
    assert_eq!(dead_letter.event.r#type, "Registered");
    assert_eq!(&*dead_letter.event.data, batch[1].data.get());
    assert_eq!(dead_letter.reason, "the store rejected it 5 times");

    assert_eq!(store.consumer.consume(&batch).await, Ok(4.into()));
    assert_eq!((store.notes().await.len(), store.dead_letters().await.len()), (3, 1));
}

#[tokio::test]
async fn deliveries_are_counted_for_each_event() {
    let store = NoteStore::open();
    let batch = [event(1, "poison"), event(2, "poison"), event(3, "c")];
    for dead_lettered in 0..2 {
        for _ in 0..DELIVERIES_MAX {
            assert_eq!(store.consumer.consume(&batch).await, Ok(dead_lettered.into()));
        }
    }
    assert_eq!(store.consumer.consume(&batch).await, Ok(3.into()));
    assert_eq!((store.notes().await, store.dead_letters().await.len()), (vec!["c".to_owned()], 2));
}

/// Rejected alternately: neither resets the count of the other.
#[tokio::test]
async fn deliveries_are_counted_for_each_source() {
    let store = NoteStore::open();
    let poison = |number| event_of(source(number), 1, "poison");
    for _ in 0..DELIVERIES_MAX {
        for number in [1, 2] {
            assert_eq!(store.consumer.consume(&[poison(number)]).await, Ok(0.into()));
        }
    }
    for number in [1, 2] {
        assert_eq!(store.consumer.consume(&[poison(number)]).await, Ok(1.into()));
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_decoded_is_dead_lettered_at_once() {
    let store = NoteStore::open();
    let batch = [event(1, "a"), event_with(2, r#"{"not":"a vaccine"}"#), event(3, "c")];
    assert_eq!(store.consumer.consume(&batch).await, Ok(3.into()));
    assert_eq!(store.notes().await, ["a", "c"]);
    let [dead_letter] = &store.dead_letters().await[..] else { panic!("not one dead letter") };
    assert_eq!((dead_letter.id.sequence, &*dead_letter.event.data), (2, r#"{"not":"a vaccine"}"#));
    assert!(dead_letter.reason.contains("missing field"), "{}", dead_letter.reason);
    assert_eq!(store.consumer.consume(&batch).await, Ok(3.into()));
    assert_eq!((store.notes().await.len(), store.dead_letters().await.len()), (2, 1));
}

/// Applied late: after the later events of its source.
#[tokio::test]
async fn a_rejected_event_is_retried_once_the_store_accepts_it() {
    let store = NoteStore::open();
    let batch = [event(1, "a"), event(2, "poison"), event(3, "c")];
    for _ in 0..=DELIVERIES_MAX {
        store.consumer.consume(&batch).await.unwrap();
    }
    let letter = store.dead_letters().await.remove(0);
    let still = "the store rejected it when it was retried".to_owned();
    let kept = store.consumer.retry(letter.clone()).await;
    assert_eq!(kept, Err(DeadLetterError::Kept(still.clone())));
    let expected = [DeadLetter { reason: still, ..letter.clone() }];
    assert_eq!(store.dead_letters().await, expected);
    assert_eq!((store.consumer.retried(), store.notes().await.len()), (0, 2));

    store.mend();
    assert_eq!(store.consumer.retry(letter.clone()).await, Ok(()));
    assert_eq!(store.notes().await, ["a", "c", "poison"]);
    assert_eq!((store.dead_letters().await, store.consumer.retried()), (vec![], 1));
    assert_eq!(store.consumer.retry(letter).await, Err(DeadLetterError::Absent));
    assert_eq!((store.notes().await.len(), store.consumer.retried()), (3, 1));
    assert_eq!(store.offset(source(1)).await, 3);
}

#[tokio::test]
async fn a_retried_event_that_still_cannot_be_decoded_stays() {
    let store = NoteStore::open();
    store.consumer.consume(&[event_with(1, "1")]).await.unwrap();
    let letter = store.dead_letters().await.remove(0);
    let kept = store.consumer.retry(letter.clone()).await;
    assert_eq!(kept, Err(DeadLetterError::Kept(letter.reason.clone())));
    assert_eq!(store.dead_letters().await[0], letter);

    let newer = Event { r#type: "Moved".to_owned(), ..letter.event.clone() };
    let kept = store.consumer.retry(DeadLetter { event: newer, ..letter }).await;
    let reason = "its event type is unknown to this version".to_owned();
    assert_eq!(kept, Err(DeadLetterError::Kept(reason.clone())));
    assert_eq!(store.dead_letters().await[0].reason, reason);
}

#[tokio::test]
async fn a_dead_letter_is_not_changed_while_the_store_is_down() {
    let store = NoteStore::open();
    store.consumer.consume(&[event_with(1, "1")]).await.unwrap();
    let letters = store.dead_letters().await;
    store.is_down.store(true, Ordering::SeqCst);
    let failed = Err(DeadLetterError::Write(CommandError::Unavailable.into()));
    assert_eq!(store.consumer.retry(letters[0].clone()).await, failed);
    let dismissal = Dismissal { at_ms: 0, reason: "a test".to_owned() };
    assert_eq!(store.consumer.dismiss(letters[0].id, dismissal).await, failed);
    assert_eq!(store.dead_letters().await, letters);
    assert_eq!(store.consumer.dismissed(), 0);
}

#[tokio::test]
async fn an_event_behind_a_gap_is_not_dead_lettered() {
    let store = NoteStore::open();
    assert_eq!(store.consumer.consume(&[event_with(2, "7")]).await, Ok(0.into()));
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
    assert_eq!(store.consumer.consume(&batch).await, Ok(4.into()));
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
    assert_eq!(store.consumer.consume(&[event(1, "a")]).await, Ok(1.into()));
    assert_eq!(store.notes().await, ["a"]);
    assert_eq!(store.dead_letters().await, []);
}

#[tokio::test]
async fn a_source_does_not_wait_for_another_one() {
    let store = NoteStore::open();
    let (first, second) = (source(1), source(2));
    assert_eq!(store.consumer.consume(&[event_of(first, 1, "poison")]).await, Ok(0.into()));
    assert_eq!(store.consumer.consume(&[event_of(second, 1, "s1")]).await, Ok(1.into()));
    assert_eq!(store.consumer.consume(&[event_of(first, 2, "f2")]).await, Ok(0.into()));
    assert_eq!(store.consumer.consume(&[event_of(second, 2, "s2")]).await, Ok(2.into()));
    assert_eq!(store.notes().await, ["s1", "s2"]);
    assert_eq!((store.offset(first).await, store.offset(second).await), (0, 2));
}
