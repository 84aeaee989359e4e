//! `kill -9` at any moment: no 201 is lost, nothing is oversold, no dose is leaked.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use drill::{Dice, Load, Reconnect, Reply, Request, Requests, Stop, Target};

use crate::town::{Ground, Part, Town, book, bookings, cancel, register, settled, taken_and_stock};

/// More than any round takes, so that what is leaked cannot hide behind "sold out".
const DOSES: i64 = 1_000_000;

/// Clients that ask without pause.
const CLIENTS: u16 = 40;

/// Kills per test: `CRASH_ROUNDS`, or few enough for every day.
fn rounds() -> u64 {
    let rounds = std::env::var("CRASH_ROUNDS");
    rounds.map_or(4, |rounds| rounds.parse().expect("CRASH_ROUNDS must be a number"))
}

/// Ids that were answered 201.
type Promised = Arc<Mutex<BTreeSet<i64>>>;

/// Bookings and, every tenth request, a cancellation of an early one, until somebody says stop.
fn rush(vaccine: i64, stop: &Arc<AtomicU64>) -> Load {
    let stop = Arc::clone(stop);
    Load {
        users: CLIENTS,
        reconnect: Reconnect::Never,
        stop: Stop::after(Duration::from_mins(1)).or_when(move || stop.load(Ordering::Relaxed) > 0),
        request: Requests::made(move |_, n| -> Request {
            if n % 10 == 9 { cancel(i64::try_from(n / 10).unwrap()) } else { book(vaccine) }
        }),
    }
}

/// One system, and everything it ever promised.
struct Ordeal {
    town: Town,
    entry: Target,
    vaccine: i64,
    promised: Promised,
}

impl Ordeal {
    async fn begin(town: Town) -> Self {
        let entry = town.booking(0);
        let vaccine = register(&town.vaccine(), "FIZER", DOSES).await;
        Self { town, entry, vaccine, promised: Promised::default() }
    }

    /// Loads the system, kills the victim after so many answers, starts it again, and looks.
    async fn round(&mut self, victim: Part, answers: u64) {
        let stop = Arc::new(AtomicU64::new(0));
        let (enough, mut reached) = tokio::sync::mpsc::channel::<()>(1);
        let load = rush(self.vaccine, &stop);
        let (target, promised) = (self.entry.clone(), Arc::clone(&self.promised));
        let seen = AtomicU64::new(0);
        let running = tokio::spawn(async move {
            let note = move |reply: &Reply| {
                if reply.status == 201 {
                    let booking = reply.json().unwrap()["bookingId"].as_i64().unwrap();
                    promised.lock().unwrap().insert(booking);
                }
                if seen.fetch_add(1, Ordering::Relaxed) >= answers {
                    let _ = enough.try_send(()); // Once is enough.
                }
            };
            load.run_watched(&target, note).await
        });
        reached.recv().await.expect("the load reaches its number of answers");
        self.town.kill(victim);
        stop.store(1, Ordering::Relaxed);
        running.await.unwrap();
        self.town.start(victim).await;
        self.nothing_is_lost(victim).await;
    }

    async fn nothing_is_lost(&self, victim: Part) {
        let kept: BTreeSet<i64> =
            bookings(&self.entry).await.into_iter().map(|(id, _)| id).collect();
        let lost: Vec<i64> = self.promised.lock().unwrap().difference(&kept).copied().collect();
        assert_eq!(lost, Vec::<i64>::new(), "answered 201 and lost after killing {victim:?}");
        let (taken, stock) = taken_and_stock(&self.town.vaccine(), self.vaccine).await;
        assert!(taken <= stock, "oversold: {taken} of {stock}");
    }

    async fn nothing_is_leaked(&self) {
        let standing = bookings(&self.entry).await.iter().filter(|(_, stands)| *stands).count();
        let booked = i64::try_from(standing).unwrap();
        let within = settled(&self.town.vaccine(), self.vaccine, booked).await;
        println!("{standing} bookings stand; the dust had settled after {within:?}");
    }
}

async fn survive(town: Town, victims: &[Part], seed: u64) {
    let mut ordeal = Ordeal::begin(town).await;
    let mut dice = Dice(seed);
    for (n, victim) in (0..rounds()).zip(victims.iter().cycle()) {
        let answers = 1 + dice.roll(1_500);
        println!("round {n}: kill {victim:?} after {answers} answers");
        ordeal.round(*victim, answers).await;
    }
    ordeal.nothing_is_leaked().await;
}

#[tokio::test]
async fn killing_the_whole_process_loses_and_leaks_nothing() {
    survive(Town::together().await, &[Part::Together], 1).await;
}

#[tokio::test]
async fn killing_booking_or_vaccine_loses_and_leaks_nothing() {
    survive(Town::apart(1).await, &[Part::Booking(0), Part::Vaccine(0)], 2).await;
}

#[tokio::test]
async fn killing_on_postgres_and_nats_loses_and_leaks_nothing() {
    let town = Town::apart_on(Ground::postgres_and_nats().await, 2, 3).await;
    let victims = [Part::Booking(0), Part::Vaccine(0), Part::Booking(0), Part::Vaccine(1)];
    survive(town, &victims, 3).await;
}
