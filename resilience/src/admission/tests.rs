//! What admission promises those who come to it.

use std::task::Waker;

use tokio::time::{advance, timeout};

use super::*;
use crate::{limiter::LimiterConfig, time::Tokio};

const SOON: Duration = Duration::from_millis(1);

fn admission(limit: u32, waiting_max: usize) -> Admission<Tokio> {
    let limiter = LimiterConfig { min: limit, initial: limit, ..LimiterConfig::default() };
    let config = AdmissionConfig { limiter, waiting_max, ..AdmissionConfig::default() };
    Admission::new(config, Tokio::default()).unwrap()
}

fn settle(admission: &Admission<Tokio>, items: u32) -> Admit<Tokio> {
    let deadline = Deadline::within(Duration::from_secs(3), admission.clock().now());
    admission.admit(Priority::Settle, items, deadline)
}

#[track_caller]
fn pending<C: Clock>(admit: &mut Pin<Box<Admit<C>>>) {
    assert!(admit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[tokio::test(start_paused = true)]
async fn who_finds_room_is_in_at_once() {
    let admission = admission(2, 0);
    let (one, two) = (settle(&admission, 1).await.unwrap(), settle(&admission, 1).await.unwrap());
    assert_eq!(settle(&admission, 1).await.unwrap_err().reason, Reason::Full);
    one.finish(Sample::Answered);
    drop(two);
    assert_eq!(admission.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_is_told_to_come_back_after_those_refused_before() {
    let admission = admission(1, 0);
    for _ in 0..20 {
        let served = settle(&admission, 1).await.unwrap();
        advance(Duration::from_millis(100)).await;
        served.finish(Sample::Answered); // Ten a second.
    }
    let (mut inside, mut told) = (Vec::new(), Vec::new());
    while told.len() < 100 {
        match settle(&admission, 1).await {
            Ok(admitted) => inside.push(admitted),
            Err(shed) => told.push(shed.retry_after),
        }
    }
    assert!(told[0] <= Duration::from_secs(2), "{told:?}");
    assert_eq!(told[99], Duration::from_secs(10), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_called_when_somebody_leaves() {
    let admission = admission(1, 8);
    let first = settle(&admission, 1).await.unwrap();
    let mut waits = Box::pin(settle(&admission, 1));
    pending(&mut waits);
    first.finish(Sample::Answered);
    let second = timeout(SOON, waits).await.unwrap().unwrap();
    assert_eq!(admission.snapshot().in_flight, 1);
    drop(second);
    assert_eq!(admission.snapshot().admitted[Priority::Settle.index()], 2);
}

#[tokio::test(start_paused = true)]
async fn dropping_somebody_who_waits_or_was_called_frees_the_place() {
    let admission = admission(1, 8);
    let first = settle(&admission, 1).await.unwrap();
    let (mut called, mut waits) =
        (Box::pin(settle(&admission, 1)), Box::pin(settle(&admission, 1)));
    pending(&mut called);
    pending(&mut waits);
    first.finish(Sample::Answered);
    drop(called); // It was in flight already, and did not know.
    let third = timeout(SOON, &mut waits).await.unwrap().unwrap();
    drop(third);
    let snapshot = admission.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.waiting), (0, [0; 4]));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_line_is_patient() {
    let admission = admission(1, 8);
    let _first = settle(&admission, 1).await.unwrap();
    let began = admission.clock().now();
    let shed = settle(&admission, 1).await.unwrap_err();
    assert_eq!(shed.reason, Reason::Codel);
    let waited = admission.clock().now().since(began);
    assert!(waited <= codel::INTERVAL + SOON, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn who_has_no_time_left_is_refused_and_who_runs_out_of_it_while_waiting_too() {
    let admission = admission(1, 8);
    let now = admission.clock().now();
    let past = admission.admit(Priority::Book, 1, Deadline::at(now));
    assert_eq!(past.await.unwrap_err().reason, Reason::Expired);
    let _first = settle(&admission, 1).await.unwrap();
    let soon = Deadline::within(Duration::from_millis(60), now);
    assert_eq!(admission.admit(Priority::Book, 1, soon).await.unwrap_err().reason, Reason::Expired);
    assert_eq!(admission.clock().now().since(now), Duration::from_millis(60));
}

#[tokio::test(start_paused = true)]
async fn operators_always_pass_and_teach_nothing() {
    let admission = admission(1, 0);
    let _first = settle(&admission, 1).await.unwrap();
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
        stuck.push(settle(&admission, 1).await.unwrap());
    }
    advance(Duration::from_millis(501)).await;
    let began = admission.clock().now();
    let mut probe = Box::pin(settle(&admission, 1)); // One in 100 ms still finds out.
    pending(&mut probe);
    assert_eq!(settle(&admission, 1).await.unwrap_err().reason, Reason::Wait);
    assert_eq!(admission.clock().now(), began);
    stuck.pop().unwrap().finish(Sample::Answered);
    drop(probe.await.unwrap());
    drop(settle(&admission, 1).await.unwrap());
}

/// An admission behind which everything takes 600 ms, however much there is.
async fn with_slow_answers() -> Admission<Tokio> {
    slowed(admission(64, 8)).await
}

async fn slowed(admission: Admission<Tokio>) -> Admission<Tokio> {
    for _ in 0..3 {
        let mut served = Vec::new();
        for _ in 0..10 {
            served.push(settle(&admission, 1).await.unwrap());
        }
        advance(Duration::from_millis(600)).await;
        for one in served {
            one.finish(Sample::Answered);
        }
    }
    admission
}

#[tokio::test(start_paused = true)]
async fn a_few_are_let_in_however_long_answers_take() {
    let admission = with_slow_answers().await;
    let mut served = Vec::new();
    for _ in 0..64 {
        served.push(settle(&admission, 1).await.unwrap());
    }
    assert!(admission.snapshot().expected_wait > Duration::from_millis(500));
    assert_eq!(settle(&admission, 1).await.unwrap_err().reason, Reason::Wait);
}

#[tokio::test(start_paused = true)]
async fn who_would_be_served_too_late_is_refused_at_once() {
    // Nobody minds waiting, and a few are few indeed.
    let target = Duration::from_secs(10);
    let limiter = LimiterConfig { min: 8, initial: 64, target, ..LimiterConfig::default() };
    let config = AdmissionConfig { limiter, wait_max: deadline::CAP, ..AdmissionConfig::default() };
    let admission = slowed(Admission::new(config, Tokio::default()).unwrap()).await;
    let mut served = Vec::new();
    for _ in 0..20 {
        served.push(settle(&admission, 1).await.unwrap());
    }
    let expected = admission.snapshot().expected_wait;
    let now = admission.clock().now();
    let admit = |left| admission.admit(Priority::Settle, 1, Deadline::within(left, now));
    let enough = expected + deadline::MARGIN;
    assert_eq!(admit(enough.saturating_sub(SOON)).await.unwrap_err().reason, Reason::Wait);
    assert_eq!(admission.clock().now(), now);
    admit(enough).await.unwrap().finish(Sample::Answered);
}

#[tokio::test(start_paused = true)]
async fn those_who_look_and_those_who_book_leave_room_for_whoever_settles() {
    let admission = admission(160, 0);
    let deadline = Deadline::within(Duration::from_secs(3), admission.clock().now());
    let mut served = Vec::new();
    for (priority, room) in [(Priority::Read, 140), (Priority::Book, 10), (Priority::Settle, 10)] {
        for _ in 0..room {
            served.push(admission.admit(priority, 1, deadline).await.unwrap());
        }
        assert_eq!(admission.admit(priority, 1, deadline).await.unwrap_err().reason, Reason::Full);
    }
}

#[test]
fn a_line_that_cannot_be_is_refused() {
    let with = |config| Admission::new(config, Monotonic::default()).unwrap_err();
    let config = AdmissionConfig { waiting_max: 40_000, ..AdmissionConfig::default() };
    assert_eq!(with(config), InvalidAdmission::WaitingMax(40_000));
    let codel_target = Duration::from_secs(1);
    assert_eq!(
        with(AdmissionConfig { codel_target, ..AdmissionConfig::default() }),
        InvalidAdmission::Codel
    );
}
