//! Admission with several threads: every waiting request is admitted, and nothing stays in flight.

#![expect(clippy::unwrap_used, reason = "a request that is not admitted fails the test")]

use std::{
    hint,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use platform_resilience::{
    admission::{Admission, AdmissionConfig},
    deadline::Deadline,
    limiter::{LimiterConfig, Sample},
    wait_queue::Priority,
};
use tokio::{
    task::{JoinSet, yield_now},
    time::timeout,
};

/// So long that a request that waits for it was never woken.
const LONG: Duration = Duration::from_mins(1);

fn admission() -> Admission {
    let limiter = LimiterConfig { min: 2, initial: 2, max: 2, ..LimiterConfig::default() };
    let config = AdmissionConfig {
        limiter,
        waiting_max: 1_000,
        wait_max: LONG,
        codel_target: LONG,
        codel_interval: LONG,
    };
    Admission::new(config).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_waiting_request_is_admitted() {
    for round in 0_u32..20 {
        let admission = admission();
        let deadline = Deadline::at(admission.clock().now().after(LONG * 2));
        let mut requests = JoinSet::new();
        for request in 0_u32..500 {
            let admission = admission.clone();
            let class = if request % 3 == 0 { Priority::Cancel } else { Priority::Read };
            requests.spawn(async move {
                if request % 7 == 0 {
                    // Is cancelled at any time, also just when it is admitted.
                    let after = Duration::from_micros(u64::from(request * round));
                    drop(timeout(after, admission.admit(class, 1, deadline)).await);
                    return;
                }
                let admitted = admission.admit(class, 1 + request % 2, deadline).await.unwrap();
                yield_now().await;
                match request % 5 {
                    0 => drop(admitted),
                    _ => admitted.finish(Sample::Answered),
                }
            });
        }
        timeout(LONG / 2, requests.join_all()).await.unwrap();
        let left = admission.snapshot();
        assert_eq!((left.in_flight, left.waiting, left.shed), (0, [0; 4], [0; 4]));
    }
}

/// A request ends while another is being queued.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_queued_just_when_the_last_one_ends_is_admitted() {
    let admission = admission();
    let deadline = Deadline::at(admission.clock().now().after(LONG * 2));
    for round in 0_u32..20_000 {
        let first = admission.admit(Priority::Cancel, 2, deadline).await.unwrap();
        let started = Arc::new(AtomicBool::new(false));
        let mut ends = JoinSet::new();
        let starts = Arc::clone(&started);
        ends.spawn(async move {
            starts.store(true, Ordering::SeqCst);
            (0..round % 512).for_each(|_| hint::spin_loop());
            first.finish(Sample::Answered);
        });
        while !started.load(Ordering::SeqCst) {
            hint::spin_loop();
        }
        let second = admission.admit(Priority::Cancel, 2, deadline);
        drop(timeout(LONG / 10, second).await.unwrap().unwrap());
        ends.join_all().await;
    }
}
