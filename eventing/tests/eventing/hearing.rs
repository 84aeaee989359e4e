//! Each event counts once, in the order of its source; what cannot be heard does not block the rest.

use std::sync::atomic::Ordering;

use contracts::event::EventType;
use eventing::hearing::{NotHeard, TRIES_MAX};

use crate::toy::{Part, said, said_by, source};

#[tokio::test]
async fn events_are_heard_in_order_and_once() {
    let part = Part::open();
    let batch = [said(1, r#""a""#), said(2, r#""b""#), said(2, r#""b""#), said(4, r#""d""#)];
    assert_eq!(part.hearing.hear(&batch).await, Ok(2));
    assert_eq!(part.hearing.hear(&batch).await, Ok(2));
    assert_eq!(part.hearing.hear(&[said(4, r#""d""#)]).await, Ok(2));
    assert_eq!(part.hearing.hear(&[said(3, r#""c""#), said(4, r#""d""#)]).await, Ok(4));
    assert_eq!(part.notes().await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn an_event_that_the_store_refuses_is_put_aside_after_some_tries() {
    let part = Part::open();
    let batch = [said(1, r#""a""#), said(2, r#""poison""#), said(3, r#""c""#), said(4, r#""d""#)];
    for _ in 0..TRIES_MAX {
        assert_eq!(part.parked().await, []);
        assert_eq!(part.hearing.hear(&batch).await, Ok(1));
    }
    assert_eq!(part.hearing.hear(&batch).await, Ok(4));
    assert_eq!(part.notes().await, ["a", "c", "d"]);
    let [parked] = &part.parked().await[..] else { panic!("one is put aside") };
    assert_eq!((parked.source, parked.sequence), (source(1).0, 2));
    assert_eq!((parked.r#type.as_str(), parked.data.as_str()), ("Booked", r#""poison""#));

    assert_eq!(part.hearing.hear(&batch).await, Ok(4));
    assert_eq!((part.notes().await.len(), part.parked().await.len()), (3, 1));
}

#[tokio::test]
async fn every_refused_event_has_its_own_tries() {
    let part = Part::open();
    let batch = [said(1, r#""poison""#), said(2, r#""poison""#), said(3, r#""c""#)];
    for parked in 0..2 {
        for _ in 0..TRIES_MAX {
            assert_eq!(part.hearing.hear(&batch).await, Ok(parked));
        }
    }
    assert_eq!(part.hearing.hear(&batch).await, Ok(3));
    assert_eq!((part.notes().await, part.parked().await.len()), (vec!["c".to_owned()], 2));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_put_aside_at_once() {
    let part = Part::open();
    let batch = [said(1, r#""a""#), said(2, r#"{"not":"text"}"#), said(3, r#""c""#)];
    assert_eq!(part.hearing.hear(&batch).await, Ok(3));
    assert_eq!(part.notes().await, ["a", "c"]);
    let [parked] = &part.parked().await[..] else { panic!("one is put aside") };
    assert_eq!((parked.sequence, parked.data.as_str()), (2, r#"{"not":"text"}"#));
    assert!(parked.why.contains("expected a string"), "{}", parked.why);
    assert_eq!(part.hearing.hear(&batch).await, Ok(3));
    assert_eq!((part.notes().await.len(), part.parked().await.len()), (2, 1));
}

#[tokio::test]
async fn an_unreadable_event_that_comes_too_early_is_not_put_aside_yet() {
    let part = Part::open();
    assert_eq!(part.hearing.hear(&[said(2, "7")]).await, Ok(0));
    assert_eq!(part.parked().await, []);
}

#[tokio::test]
async fn an_event_of_a_newer_version_means_nothing_but_has_its_place() {
    let part = Part::open();
    let mut newer = said(2, r#""b""#);
    newer.r#type = EventType::Other("anticorona.Moved.v1".to_owned());
    let batch = [said(1, r#""a""#), newer, said(3, r#""c""#)];
    assert_eq!(part.hearing.hear(&batch).await, Ok(3));
    assert_eq!((part.notes().await.len(), part.parked().await), (2, vec![]));
}

/// A full disk is not the event's fault.
#[tokio::test]
async fn nothing_is_put_aside_while_the_store_cannot_keep_anything() {
    let part = Part::open();
    part.is_down.store(true, Ordering::SeqCst);
    for _ in 0..3 * TRIES_MAX {
        assert_eq!(part.hearing.hear(&[said(1, r#""a""#)]).await, Err(NotHeard::NotKept));
    }
    part.is_down.store(false, Ordering::SeqCst);
    assert_eq!(part.hearing.hear(&[said(1, r#""a""#)]).await, Ok(1));
    assert_eq!((part.notes().await, part.parked().await), (vec!["a".to_owned()], vec![]));
}

#[tokio::test]
async fn sources_do_not_wait_for_each_other() {
    let part = Part::open();
    let (north, south) = (source(1), source(2));
    assert_eq!(part.hearing.hear(&[said_by(north, 1, r#""poison""#)]).await, Ok(0));
    assert_eq!(part.hearing.hear(&[said_by(south, 1, r#""s1""#)]).await, Ok(1));
    assert_eq!(part.hearing.hear(&[said_by(north, 2, r#""n2""#)]).await, Ok(0));
    assert_eq!(part.hearing.hear(&[said_by(south, 2, r#""s2""#)]).await, Ok(2));
    assert_eq!(part.notes().await, ["s1", "s2"]);
    assert_eq!((part.position(north).await, part.position(south).await), (0, 2));
}

/// Both are refused again and again, in turns: neither may reset the other's count.
#[tokio::test]
async fn sources_have_their_own_tries() {
    let part = Part::open();
    for _ in 0..TRIES_MAX {
        for number in [1, 2] {
            let refused = said_by(source(number), 1, r#""poison""#);
            assert_eq!(part.hearing.hear(&[refused]).await, Ok(0));
        }
    }
    for number in [1, 2] {
        let refused = said_by(source(number), 1, r#""poison""#);
        assert_eq!(part.hearing.hear(&[refused]).await, Ok(1));
    }
}
