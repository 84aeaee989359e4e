//! Never more bookings than doses: shown, and shown that the check would notice.

use std::time::Duration;

use booking::Config as BookingConfig;
use chassis::{listen::Listener, process::Process};
use drill::{Load, Outcome, Reconnect, Reply, Stop, Target};
use eventing::EventsUrl;
use storage::database::{Database, open};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use vaccine::{
    Config as VaccineConfig,
    domain::{self, Command, Ledger, STOCK_MAX, Stock},
    store::{Book, MIGRATIONS},
};

use crate::town::{Ground, Town, book, bookings, register, settled};

const DOSES: i64 = 1_000;
const CLIENTS: u16 = 200;
const REQUESTS: u64 = 3_000;

/// 200 clients keep asking for 1,000 doses: exactly 1,000 get one, everybody else hears "sold out".
async fn exactly_all_doses(
    entries: &[Target],
    vaccine: &Target,
    booking_parts: &[Target],
) -> Result<(), String> {
    let id = register(vaccine, "FIZER", DOSES).await;
    let share = entries.len();
    let mut rushes = Vec::new();
    for entry in entries {
        let entry = entry.clone();
        let load = Load {
            users: CLIENTS / u16::try_from(share).unwrap(),
            reconnect: Reconnect::Never,
            stop: Stop::requests(REQUESTS / u64::try_from(share).unwrap())
                .or_after(Duration::from_mins(1)),
            request: book(id).into(),
        };
        let show = |reply: &Reply| {
            if !matches!(reply.status, 201 | 409) {
                println!("after {:?}: {} {}", reply.took, reply.status, reply.text());
            }
        };
        rushes.push(tokio::spawn(async move { load.run_watched(&entry, show).await }));
    }
    let (mut booked, mut sold_out, mut sent) = (0, 0, 0);
    for rush in rushes {
        let summary = rush.await.unwrap();
        booked += summary.count(201);
        sold_out += summary.count(409);
        sent += summary.sent;
        let other: Vec<&Outcome> = summary
            .by_outcome
            .keys()
            .filter(|outcome| !matches!(outcome, Outcome::Status(201 | 409)))
            .collect();
        if !other.is_empty() {
            return Err(format!("answers other than 201 and 409: {other:?}"));
        }
    }
    if i64::try_from(booked).unwrap() != DOSES {
        return Err(format!("{booked} bookings were answered 201 for {DOSES} doses"));
    }
    if booked + sold_out != sent {
        return Err(format!("{sent} sent, {booked} booked, {sold_out} sold out"));
    }
    let mut standing = 0;
    for part in booking_parts {
        standing += bookings(part).await.iter().filter(|(_, stands)| *stands).count();
    }
    if i64::try_from(standing).unwrap() != DOSES {
        return Err(format!("{standing} bookings are kept for {DOSES} doses"));
    }
    settled(vaccine, id, DOSES).await;
    Ok(())
}

#[tokio::test]
async fn a_thousand_doses_make_a_thousand_bookings() {
    let town = Town::together().await;
    let booking = [town.booking(0)];
    assert_eq!(exactly_all_doses(&booking, &town.vaccine(), &booking).await, Ok(()));
}

#[tokio::test]
async fn the_same_through_the_gateway() {
    let town = Town::together().await;
    let entries = [town.gateway()];
    assert_eq!(exactly_all_doses(&entries, &town.vaccine(), &[town.booking(0)]).await, Ok(()));
}

#[tokio::test]
async fn the_same_with_three_booking_processes() {
    let town = Town::apart(3).await;
    let bookings = [town.booking(0), town.booking(1), town.booking(2)];
    assert_eq!(exactly_all_doses(&bookings, &town.vaccine(), &bookings).await, Ok(()));
}

#[tokio::test]
async fn the_same_on_postgres_with_three_bookings_and_two_vaccines() {
    let town = Town::apart_on(Ground::postgres().await, 2, 3).await;
    let entries = [town.booking(0), town.booking(1), town.booking(2)];
    // They share one database: each knows all bookings.
    assert_eq!(exactly_all_doses(&entries, &town.vaccine(), &entries[..1]).await, Ok(()));
}

/// The decision with its guard taken out: every pool looks as if it had room.
fn unguarded(ledger: &mut Ledger, command: &Command) -> domain::Outcome {
    let Command::Hold(hold) = command else { return domain::decide(ledger, command) };
    let stocks: Vec<_> = hold
        .claims
        .iter()
        .filter_map(|id| {
            let pool = ledger.pools.get_mut(id)?;
            Some((*id, std::mem::replace(&mut pool.stock, Stock::parse(STOCK_MAX).unwrap())))
        })
        .collect();
    let outcome = domain::decide(ledger, command);
    for (id, stock) in stocks {
        ledger.pools.get_mut(&id).unwrap().stock = stock;
    }
    outcome
}

/// The same table without its check.
pub(crate) const UNCHECKED: &str = "
    ALTER TABLE pools RENAME TO checked;
    CREATE TABLE pools (
        id INTEGER PRIMARY KEY, name TEXT, stock INTEGER, taken INTEGER, place INTEGER
    );
    INSERT INTO pools SELECT id, name, stock, taken, place FROM checked;
    DROP TABLE checked;";

/// Vaccine without its guard, and booking as it is, on ports of their own.
pub(crate) struct Mutant {
    pub(crate) vaccine: Target,
    pub(crate) booking: Target,
    _folder: TempDir,
}

impl Mutant {
    pub(crate) async fn start(prepare: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = |name| Database::Sqlite(folder.path().join(name));
        let (mut writable, _) = open(&database("v.sqlite"), "vaccine", MIGRATIONS).await.unwrap();
        writable.transaction(|tx| tx.run(prepare)).unwrap();
        drop(writable);
        let listener = || Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (vaccine, booking) = (listener(), listener());
        let (vaccine_url, booking_url) =
            (format!("http://{}", vaccine.address()), format!("http://{}", booking.address()));
        let vaccine_config = VaccineConfig {
            listen: vaccine.address(),
            database: database("v.sqlite"),
            events: EventsUrl::Direct,
        };
        let booking_config = BookingConfig {
            listen: booking.address(),
            database: database("b.sqlite"),
            vaccine: vaccine_url.parse().unwrap(),
            events: EventsUrl::Direct,
            injection: None,
            mypage: None,
            breaker: booking::config::vaccine_breaker(),
        };
        let process = || Process::new(CancellationToken::new());
        let book = Book { decide: unguarded };
        tokio::spawn(vaccine::serve_book(vaccine, vaccine_config, book, process()));
        tokio::spawn(booking::serve_on(booking, booking_config, process()));
        Self {
            vaccine: Target::parse(&vaccine_url).unwrap(),
            booking: Target::parse(&booking_url).unwrap(),
            _folder: folder,
        }
    }

    async fn check(&self) -> Result<(), String> {
        let booking = [self.booking.clone()];
        exactly_all_doses(&booking, &self.vaccine, &booking).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_both_guards_the_check_finds_the_oversale() {
    let mutant = Mutant::start(UNCHECKED).await;
    let verdict = mutant.check().await;
    assert_eq!(verdict, Err(format!("{REQUESTS} bookings were answered 201 for {DOSES} doses")));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_guard_in_the_decision_the_database_still_refuses() {
    let mutant = Mutant::start("").await;
    let verdict = mutant.check().await.unwrap_err();
    assert!(verdict.starts_with("answers other than 201 and 409"), "{verdict}");
    let standing = bookings(&mutant.booking).await.len();
    assert!(standing <= usize::try_from(DOSES).unwrap(), "{standing} bookings");
}
