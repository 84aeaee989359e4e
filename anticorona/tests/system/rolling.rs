//! Booking processes are replaced one by one while a hundred users book: every request is served.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use drill::{Balancer, Request, ServiceProcess, Siege};
use platform_service::DRAIN_MAX;

use crate::{
    environment,
    requests::{register_vaccine, send, wait_until_taken},
    siege::{again_if_siege_hung, assert_fully_available, bookings_of_siege},
    test_system::TestSystem,
};

/// As many as in the reference's smaller siege.
const USERS: u16 = 100;

/// The steps of a shutdown, as Kubernetes takes them, in a fortieth of the manifest's time: the Service still
/// forwards connections to the process for a moment, since each node removes it on its own; the preStop hook,
/// which delays SIGTERM, takes longer.
const REMOVED_AFTER: Duration = Duration::from_millis(400);
const SIGTERM_AFTER: Duration = Duration::from_millis(600);

/// Adds a process, which must be ready.
async fn add_ready(service: &Balancer, system: &TestSystem, process: ServiceProcess) {
    let target = system.target(process);
    let ready = send(&target, Request::get("/actuator/health/readiness")).await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    service.add(&target);
}

/// Adds the new process, then removes and terminates the old one.
async fn replace(
    system: &mut TestSystem,
    service: &Balancer,
    (old, new): (ServiceProcess, ServiceProcess),
) {
    add_ready(service, system, new).await;
    tokio::time::sleep(REMOVED_AFTER).await; // tidy: paced, nodes remove the endpoint one by one
    service.remove(&system.target(old));
    tokio::time::sleep(SIGTERM_AFTER).await; // tidy: paced, as the manifest's preStop hook is
    let terminated = Instant::now();
    assert_eq!(system.terminate(old).await, Some(0), "{}", system.log(old));
    let took = terminated.elapsed();
    assert!(took < DRAIN_MAX, "{old} took {took:?} to shut down");
    println!("{old} shut down within {took:?}");
}

#[tokio::test]
async fn a_rolling_restart_on_postgres_fails_no_request_of_siege_with_100_users() {
    again_if_siege_hung(a_rolling_restart_fails_no_request).await;
}

async fn a_rolling_restart_fails_no_request() -> Option<()> {
    let [first, second, third, spare] = [0, 1, 2, 3].map(ServiceProcess::booking);
    let mut system = TestSystem::in_processes_of(environment::postgres().await, 1, 4).await;
    let id = register_vaccine(&system.vaccine(), 1_000_000).await;
    let service = Balancer::start().await.unwrap();
    for booking in [first, second, third] {
        add_ready(&service, &system, booking).await;
    }
    let (siege, entry) = (Siege::reference(USERS, id), service.target().clone());
    let is_over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&is_over);
    // One siege after the other, until the restart is over, however long it takes.
    let sieges = tokio::spawn(async move {
        let (mut sieges, mut successful) = (0, 0);
        while !ends.load(Relaxed) {
            let summary = siege.run(&entry).await.unwrap()?;
            assert_fully_available(&summary);
            (sieges, successful) = (sieges + 1, successful + summary.successful);
        }
        Some((sieges, successful))
    });
    tokio::time::sleep(Duration::from_secs(1)).await; // tidy: paced, siege has started meanwhile

    // A process that has ended is started again to replace the next one.
    let mut new = spare;
    for old in [first, second, third] {
        replace(&mut system, &service, (old, new)).await;
        system.start_service(old).await;
        new = old;
    }
    is_over.store(true, Relaxed);
    let (sieges, successful) = sieges.await.unwrap()?;
    println!("{successful} bookings while three of three processes were replaced");
    let booked = bookings_of_siege(&system.target(spare), sieges * USERS, successful).await;
    wait_until_taken(&system.vaccine(), id, booked).await;
    Some(())
}
