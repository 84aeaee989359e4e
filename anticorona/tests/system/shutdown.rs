//! SIGTERM: stop accepting, finish what was accepted, commit, exit 0.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use drill::{Load, Reconnect, Reply, Stop, Target};

use crate::town::{Part, Town, book, bookings, register, settled};

/// Clients that come and go while the system is asked to stop: every answer that began arrives.
async fn drains(entry: fn(&Town) -> Target, reconnect: Reconnect) {
    let mut town = Town::together().await;
    let id = register(&town.vaccine(), "FIZER", 1_000_000).await;
    let stop = Arc::new(AtomicU64::new(0));
    let stopped = Arc::clone(&stop);
    let load = Load {
        users: 50,
        reconnect,
        stop: Stop::after(Duration::from_mins(1))
            .or_when(move || stopped.load(Ordering::Relaxed) > 0),
        request: book(id).into(),
    };
    let (enough, mut reached) = tokio::sync::mpsc::channel::<()>(1);
    let target = entry(&town);
    let seen = AtomicU64::new(0);
    let running = tokio::spawn(async move {
        let note = move |_: &Reply| {
            if seen.fetch_add(1, Ordering::Relaxed) >= 500 {
                let _ = enough.try_send(()); // Once is enough.
            }
        };
        load.run_watched(&target, note).await
    });
    reached.recv().await.expect("the load gets its answers");
    assert_eq!(town.terminate(Part::Together).await, Some(0), "{}", town.log(Part::Together));
    stop.store(1, Ordering::Relaxed);
    let summary = running.await.unwrap();

    town.start(Part::Together).await;
    let kept = bookings(&town.booking(0)).await.len();
    assert_eq!(
        u64::try_from(kept).unwrap(),
        summary.count(201),
        "each 201 is kept, each kept was answered"
    );
    settled(&town.vaccine(), id, i64::try_from(kept).unwrap()).await;
}

#[tokio::test]
async fn whoever_reconnects_for_each_request_gets_every_answer_that_began() {
    drains(|town| town.booking(0), Reconnect::EachRequest).await;
}

#[tokio::test]
async fn whoever_keeps_the_connection_gets_every_answer_that_began() {
    drains(|town| town.booking(0), Reconnect::Never).await;
}

#[tokio::test]
async fn whoever_comes_through_the_gateway_gets_every_answer_that_began() {
    drains(Town::gateway, Reconnect::EachRequest).await;
}
