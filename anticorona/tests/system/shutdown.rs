//! SIGTERM: the process accepts nothing more, completes what it accepted, commits, and exits with 0.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use drill::{Load, Reconnect, Response, ServiceProcess, Stop, Target};

use crate::{
    requests::{book, bookings, register_vaccine, wait_until_taken},
    test_system::TestSystem,
};

/// How many responses come before SIGTERM.
const RESPONSES: u64 = 500;

/// Terminates the system under load: each response that began is complete.
async fn drains(entry: fn(&TestSystem) -> Target, reconnect: Reconnect) {
    let mut system = TestSystem::in_one_process().await;
    let id = register_vaccine(&system.vaccine(), 1_000_000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let load = Load {
        users: 50,
        reconnect,
        stop: Stop::after(Duration::from_mins(1)).or_when(move || stopped.load(Relaxed)),
        request: book(id).into(),
    };
    let (enough, mut reached) = tokio::sync::mpsc::channel::<()>(1);
    let target = entry(&system);
    let responses = AtomicU64::new(0);
    let load = tokio::spawn(async move {
        let count = move |_: &Response| {
            if responses.fetch_add(1, Relaxed) >= RESPONSES {
                let _ = enough.try_send(()); // Once is enough.
            }
        };
        load.run_watched(&target, count).await
    });
    reached.recv().await.expect("the load has its responses");
    assert_eq!(
        system.terminate(ServiceProcess::ALL).await,
        Some(0),
        "{}",
        system.log(ServiceProcess::ALL)
    );
    stop.store(true, Relaxed);
    let summary = load.await.unwrap();

    system.start_service(ServiceProcess::ALL).await;
    let kept = bookings(&system.booking(0)).await.len();
    let what = "each booking that was answered 201 is kept, and each that is kept was answered";
    assert_eq!(u64::try_from(kept).unwrap(), summary.count(201), "{what}");
    wait_until_taken(&system.vaccine(), id, i64::try_from(kept).unwrap()).await;
}

#[tokio::test]
async fn clients_that_reconnect_for_each_request_receive_every_response_that_began() {
    drains(|system| system.booking(0), Reconnect::EachRequest).await;
}

#[tokio::test]
async fn clients_that_keep_their_connection_receive_every_response_that_began() {
    drains(|system| system.booking(0), Reconnect::Never).await;
}

#[tokio::test]
async fn clients_of_the_gateway_receive_every_response_that_began() {
    drains(TestSystem::gateway, Reconnect::EachRequest).await;
}
