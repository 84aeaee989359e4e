//! Admission under real threads: nobody is forgotten in the line, nothing stays in flight.

#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "whoever is not let in fails the test")]

use std::{
    hint,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use resilience::{
    admission::{Admission, AdmissionConfig},
    deadline::Deadline,
    limiter::{LimiterConfig, Sample},
    line::Priority,
    time::{Clock, Monotonic},
};
use tokio::{
    task::{JoinSet, yield_now},
    time::timeout,
};

/// So patient that whoever is not called has been forgotten.
const PATIENT: Duration = Duration::from_mins(1);

fn admission() -> Admission {
    let limiter = LimiterConfig { min: 2, initial: 2, max: 2, ..LimiterConfig::default() };
    let config = AdmissionConfig {
        limiter,
        waiting_max: 1_000,
        wait_max: PATIENT,
        codel_target: PATIENT,
        codel_interval: PATIENT,
        ..AdmissionConfig::default()
    };
    Admission::new(config, Monotonic::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_in_the_line_gets_a_turn() {
    for round in 0_u32..20 {
        let admission = admission();
        let deadline = Deadline::at(admission.clock().now().after(PATIENT * 2));
        let mut requests = JoinSet::new();
        for request in 0_u32..500 {
            let admission = admission.clone();
            let class = if request % 3 == 0 { Priority::Settle } else { Priority::Read };
            requests.spawn(async move {
                if request % 7 == 0 {
                    // Loses patience at any time, also just when it is called.
                    let patience = Duration::from_micros(u64::from(request * round));
                    drop(timeout(patience, admission.admit(class, 1, deadline)).await);
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
        timeout(PATIENT / 2, requests.join_all()).await.unwrap();
        let left = admission.snapshot();
        assert_eq!((left.in_flight, left.waiting, left.shed), (0, [0; 4], [0; 4]));
    }
}

/// Between finding no room and joining the line, somebody may leave who sees nobody waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_joins_just_when_the_last_one_leaves_is_called() {
    let admission = admission();
    let deadline = Deadline::at(admission.clock().now().after(PATIENT * 2));
    for round in 0_u32..20_000 {
        let first = admission.admit(Priority::Settle, 2, deadline).await.unwrap();
        let begun = Arc::new(AtomicBool::new(false));
        let mut leaves = JoinSet::new();
        let begins = Arc::clone(&begun);
        leaves.spawn(async move {
            begins.store(true, Ordering::SeqCst);
            (0..round % 512).for_each(|_| hint::spin_loop());
            first.finish(Sample::Answered);
        });
        while !begun.load(Ordering::SeqCst) {
            hint::spin_loop();
        }
        let second = admission.admit(Priority::Settle, 2, deadline);
        drop(timeout(PATIENT / 10, second).await.unwrap().unwrap());
        leaves.join_all().await;
    }
}
