//! Which requests are admitted, which wait, and which are rejected.

use std::{
    pin::Pin,
    task::{Context, Waker},
};

use tokio::time::{advance, timeout};

use super::*;
use crate::{codel, deadline, limiter::LimiterConfig};

const SOON: Duration = Duration::from_millis(1);

fn admission(limit: u32, waiting_max: usize) -> Admission {
    let limiter = LimiterConfig { min: limit, initial: limit, ..LimiterConfig::default() };
    let config = AdmissionConfig { limiter, waiting_max, ..AdmissionConfig::default() };
    Admission::new(config).unwrap()
}

async fn cancel(admission: &Admission, items: u32) -> Result<Admitted, ShedError> {
    let deadline = Deadline::within(Duration::from_secs(3), admission.clock().now());
    admission.admit(Priority::Cancel, items, deadline).await
}

#[track_caller]
fn pending(admit: &mut Pin<Box<impl Future>>) {
    assert!(admit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_finds_room_is_admitted_at_once() {
    let admission = admission(2, 0);
    let (one, two) = (cancel(&admission, 1).await.unwrap(), cancel(&admission, 1).await.unwrap());
    assert_eq!(cancel(&admission, 1).await.unwrap_err().reason, ShedReason::Full);
    one.finish(Sample::Answered);
    drop(two);
    assert_eq!(admission.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_client_retries_after_those_rejected_before() {
    let admission = admission(1, 0);
    for _ in 0..20 {
        let served = cancel(&admission, 1).await.unwrap();
        advance(Duration::from_millis(100)).await;
        served.finish(Sample::Answered); // Ten a second.
    }
    let (mut inside, mut waits) = (Vec::new(), Vec::new());
    while waits.len() < 100 {
        match cancel(&admission, 1).await {
            Ok(admitted) => inside.push(admitted),
            Err(shed) => waits.push(shed.retry_after),
        }
    }
    assert!(waits[0] <= Duration::from_secs(2), "{waits:?}");
    assert_eq!(waits[99], Duration::from_secs(10), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_waiting_request_is_admitted_when_another_ends() {
    let admission = admission(1, 8);
    let first = cancel(&admission, 1).await.unwrap();
    let mut waits = Box::pin(cancel(&admission, 1));
    pending(&mut waits);
    first.finish(Sample::Answered);
    let second = timeout(SOON, waits).await.unwrap().unwrap();
    assert_eq!(admission.snapshot().in_flight, 1);
    drop(second);
    assert_eq!(admission.snapshot().admitted[Priority::Cancel.index()], 2);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_request_that_waits_or_was_admitted_unnoticed_releases_its_items() {
    let admission = admission(1, 8);
    let first = cancel(&admission, 1).await.unwrap();
    let (mut admitted, mut waits) =
        (Box::pin(cancel(&admission, 1)), Box::pin(cancel(&admission, 1)));
    pending(&mut admitted);
    pending(&mut waits);
    first.finish(Sample::Answered);
    drop(admitted); // It was in flight already, and had not been polled since.
    let third = timeout(SOON, &mut waits).await.unwrap().unwrap();
    drop(third);
    let snapshot = admission.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.waiting), (0, [0; 4]));
}

#[tokio::test(start_paused = true)]
async fn no_request_waits_longer_than_the_interval() {
    let admission = admission(1, 8);
    let _first = cancel(&admission, 1).await.unwrap();
    let began = admission.clock().now();
    let shed = cancel(&admission, 1).await.unwrap_err();
    assert_eq!(shed.reason, ShedReason::Codel);
    let waited = admission.clock().now().since(began);
    assert!(waited <= codel::INTERVAL + SOON, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_time_left_is_rejected_also_while_it_waits() {
    let admission = admission(1, 8);
    let now = admission.clock().now();
    let past = admission.admit(Priority::Book, 1, Deadline::at(now));
    assert_eq!(past.await.unwrap_err().reason, ShedReason::Expired);
    let _first = cancel(&admission, 1).await.unwrap();
    let soon = Deadline::within(Duration::from_millis(60), now);
    assert_eq!(
        admission.admit(Priority::Book, 1, soon).await.unwrap_err().reason,
        ShedReason::Expired
    );
    assert_eq!(admission.clock().now().since(now), Duration::from_millis(60));
}

#[tokio::test(start_paused = true)]
async fn operators_are_always_admitted_and_nothing_is_learned_from_them() {
    let admission = admission(1, 0);
    let _first = cancel(&admission, 1).await.unwrap();
    let past = Deadline::at(admission.clock().now());
    let operator = admission.admit(Priority::Operator, 5, past).await.unwrap();
    assert_eq!(admission.snapshot().in_flight, 1);
    advance(Duration::from_secs(9)).await;
    operator.finish(Sample::Overloaded);
    assert_eq!(admission.snapshot().limit, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_noticed_without_a_single_answer() {
    let admission = admission(64, 8);
    let mut stuck = Vec::new();
    for _ in 0..64 {
        stuck.push(cancel(&admission, 1).await.unwrap());
    }
    advance(Duration::from_millis(501)).await;
    let began = admission.clock().now();
    let mut probe = Box::pin(cancel(&admission, 1)); // One in 100 ms is a probe.
    pending(&mut probe);
    assert_eq!(cancel(&admission, 1).await.unwrap_err().reason, ShedReason::Wait);
    assert_eq!(admission.clock().now(), began);
    stuck.pop().unwrap().finish(Sample::Answered);
    drop(probe.await.unwrap());
    drop(cancel(&admission, 1).await.unwrap());
}

/// An admission behind which everything takes 600 ms, however much there is.
async fn with_slow_answers() -> Admission {
    slowed(admission(64, 8)).await
}

async fn slowed(admission: Admission) -> Admission {
    for _ in 0..3 {
        let mut served = Vec::new();
        for _ in 0..10 {
            served.push(cancel(&admission, 1).await.unwrap());
        }
        advance(Duration::from_millis(600)).await;
        for one in served {
            one.finish(Sample::Answered);
        }
    }
    admission
}

#[tokio::test(start_paused = true)]
async fn a_few_requests_are_admitted_however_long_answers_take() {
    let admission = with_slow_answers().await;
    let mut served = Vec::new();
    for _ in 0..64 {
        served.push(cancel(&admission, 1).await.unwrap());
    }
    assert!(admission.snapshot().expected_wait > Duration::from_millis(500));
    assert_eq!(cancel(&admission, 1).await.unwrap_err().reason, ShedReason::Wait);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_would_be_served_too_late_is_rejected_at_once() {
    // Neither the wait nor the minimum of the limit decides.
    let target = Duration::from_secs(10);
    let limiter = LimiterConfig { min: 8, initial: 64, target, ..LimiterConfig::default() };
    let config = AdmissionConfig { limiter, wait_max: deadline::CAP, ..AdmissionConfig::default() };
    let admission = slowed(Admission::new(config).unwrap()).await;
    let mut served = Vec::new();
    for _ in 0..20 {
        served.push(cancel(&admission, 1).await.unwrap());
    }
    let expected = admission.snapshot().expected_wait;
    let now = admission.clock().now();
    let admit = |left| admission.admit(Priority::Cancel, 1, Deadline::within(left, now));
    let enough = expected + deadline::MARGIN;
    assert_eq!(admit(enough.saturating_sub(SOON)).await.unwrap_err().reason, ShedReason::Wait);
    assert_eq!(admission.clock().now(), now);
    admit(enough).await.unwrap().finish(Sample::Answered);
}

#[tokio::test(start_paused = true)]
async fn reads_leave_room_for_bookings_and_both_for_cancels() {
    let admission = admission(160, 0);
    let deadline = Deadline::within(Duration::from_secs(3), admission.clock().now());
    let mut served = Vec::new();
    for (priority, room) in [(Priority::Read, 140), (Priority::Book, 10), (Priority::Cancel, 10)] {
        for _ in 0..room {
            served.push(admission.admit(priority, 1, deadline).await.unwrap());
        }
        assert_eq!(
            admission.admit(priority, 1, deadline).await.unwrap_err().reason,
            ShedReason::Full
        );
    }
}

#[test]
fn an_invalid_queue_is_refused() {
    let with = |config| Admission::new(config).unwrap_err();
    let config = AdmissionConfig { waiting_max: 40_000, ..AdmissionConfig::default() };
    assert_eq!(with(config).to_string(), "waiting_max: must be 0 to 32767, not 40000");
    let codel_target = Duration::from_secs(1);
    let config = AdmissionConfig { codel_target, ..AdmissionConfig::default() };
    assert_eq!(with(config).to_string(), "codel_target: must be 0ns to 100ms, not 1s");
}

#[tokio::test(start_paused = true)]
async fn clones_share_one_limit() {
    let admission = admission(1, 0);
    let clone = admission.clone();
    let first = cancel(&admission, 1).await.unwrap();
    assert_eq!(cancel(&clone, 1).await.unwrap_err().reason, ShedReason::Full);
    drop(first);
    drop(cancel(&clone, 1).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_polled_holds_nothing() {
    let admission = admission(1, 8);
    let unpolled = cancel(&admission, 1);
    drop(cancel(&admission, 1).await.unwrap());
    drop(unpolled);
    assert_eq!(admission.snapshot().admitted[Priority::Cancel.index()], 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_dropped_late_counts_as_overloaded_and_one_dropped_early_not_at_all() {
    let limiter = LimiterConfig { min: 1, initial: 32, ..LimiterConfig::default() };
    let config = AdmissionConfig { limiter, ..AdmissionConfig::default() };
    for (after, limit) in [(200, 32), (300, 26)] {
        let admission = Admission::new(config).unwrap();
        let mut in_flight = Vec::new();
        for _ in 0..32 {
            in_flight.push(cancel(&admission, 1).await.unwrap());
        }
        advance(Duration::from_millis(after)).await;
        drop(in_flight);
        assert_eq!(admission.snapshot().limit, limit, "dropped after {after} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_at_least_what_the_caller_asks_for() {
    let admission = admission(1, 0);
    let wait = admission.retry_after(Duration::from_secs(9), admission.clock().now());
    assert!((9..=18).contains(&wait.as_secs()), "{wait:?}");
}
