//! `kill -9` at any moment: no acknowledged booking is lost, nothing is oversold, no dose is leaked.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use drill::{Load, Reconnect, Request, Requests, Response, ServiceProcess, Stop};

use crate::{
    environment,
    requests::{
        active_bookings, book, bookings, cancel, register_vaccine, taken_and_stock,
        wait_until_taken,
    },
    test_system::{BOOKING, TestSystem, VACCINE},
};

/// More than the bookings of all rounds: a sold-out vaccine would hide leaked doses.
const DOSES: i64 = 1_000_000;

/// Clients that send without pause.
const CLIENTS: u16 = 40;

/// Kills per test: `CRASH_ROUNDS`, or few enough for every run of the tests.
fn rounds() -> usize {
    let rounds = std::env::var("CRASH_ROUNDS");
    rounds.map_or(4, |rounds| rounds.parse().expect("CRASH_ROUNDS must be a number"))
}

/// Bookings and, every tenth request, a cancellation of an early booking, until `stop` is set.
fn load(vaccine: i64, stop: Arc<AtomicBool>) -> Load {
    Load {
        users: CLIENTS,
        reconnect: Reconnect::Never,
        stop: Stop::after(Duration::from_mins(1)).or_when(move || stop.load(Relaxed)),
        request: Requests::made(move |n| -> Request {
            if n % 10 == 9 { cancel(i64::try_from(n / 10).unwrap()) } else { book(vaccine) }
        }),
    }
}

/// One system, and every booking that it acknowledged.
struct CrashTest {
    system: TestSystem,
    vaccine: i64,
    acknowledged: Arc<Mutex<BTreeSet<i64>>>,
}

impl CrashTest {
    async fn start(system: TestSystem) -> Self {
        let vaccine = register_vaccine(&system.vaccine(), DOSES).await;
        Self { system, vaccine, acknowledged: Arc::default() }
    }

    /// Loads the system, kills the victim after so many responses, restarts it, and checks.
    async fn round(&mut self, victim: ServiceProcess, responses: u64) {
        let stop = Arc::new(AtomicBool::new(false));
        let (enough, mut reached) = tokio::sync::mpsc::channel::<()>(1);
        let load = load(self.vaccine, Arc::clone(&stop));
        let (entry, acknowledged) = (self.system.booking(0), Arc::clone(&self.acknowledged));
        let count = AtomicU64::new(0);
        let load = tokio::spawn(async move {
            let record = move |response: &Response| {
                if response.status == 201 {
                    let booking = response.json().unwrap()["bookingId"].as_i64().unwrap();
                    acknowledged.lock().unwrap().insert(booking);
                }
                if count.fetch_add(1, Relaxed) >= responses {
                    let _ = enough.try_send(()); // Once is enough.
                }
            };
            load.run_watched(&entry, record).await
        });
        reached.recv().await.expect("the load has its responses");
        self.system.kill(victim);
        stop.store(true, Relaxed);
        load.await.unwrap();
        self.system.start_service(victim).await;
        self.assert_nothing_is_lost(victim).await;
    }

    async fn assert_nothing_is_lost(&self, victim: ServiceProcess) {
        let kept = bookings(&self.system.booking(0)).await;
        let kept: BTreeSet<_> = kept.into_iter().map(|(id, _)| id).collect();
        let lost: Vec<_> = self.acknowledged.lock().unwrap().difference(&kept).copied().collect();
        assert!(lost.is_empty(), "acknowledged, and lost after killing {victim}: {lost:?}");
        let (taken, stock) = taken_and_stock(&self.system.vaccine(), self.vaccine).await;
        assert!(taken <= stock, "oversold: {taken} of {stock}");
    }

    async fn assert_nothing_is_leaked(&self) {
        let active = active_bookings(&self.system.booking(0)).await;
        let within = wait_until_taken(&self.system.vaccine(), self.vaccine, active).await;
        println!("{active} active bookings; the ledgers converged within {within:?}");
    }
}

async fn survives(system: TestSystem, victims: &[ServiceProcess], seed: u64) {
    let mut test = CrashTest::start(system).await;
    let mut random = fastrand::Rng::with_seed(seed);
    for (n, victim) in victims.iter().cycle().take(rounds()).enumerate() {
        let responses = random.u64(1..=1_500);
        println!("round {n}: kill {victim} after {responses} responses");
        test.round(*victim, responses).await;
    }
    test.assert_nothing_is_leaked().await;
}

#[tokio::test]
async fn killing_the_whole_process_loses_and_leaks_nothing() {
    survives(TestSystem::in_one_process().await, &[ServiceProcess::ALL], 1).await;
}

#[tokio::test]
async fn killing_booking_or_vaccine_loses_and_leaks_nothing() {
    survives(TestSystem::in_processes(1).await, &[BOOKING, VACCINE], 2).await;
}

#[tokio::test]
async fn killing_on_postgres_and_nats_loses_and_leaks_nothing() {
    let environment = environment::postgres_and_nats().await;
    let system = TestSystem::in_processes_of(environment, 2, 3).await;
    survives(system, &[BOOKING, VACCINE, BOOKING, ServiceProcess::vaccine(1)], 3).await;
}
