//! Never more bookings than doses; and a system without the guards fails this check.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use drill::{Load, Reconnect, Response, Stop, Target};
use platform_service::{Configured, Settings};
use platform_store::{Aggregate, Database, Event, SqlError, Tx, database};
use tempfile::TempDir;
use testkit::TestApp;
use vaccine::{
    domain::{Command, Doses, Ledger, Reply, STOCK_MAX},
    store::MIGRATIONS,
};

use crate::{
    environment,
    requests::{active_bookings, book, bookings, register_vaccine, wait_until_taken},
    test_system::TestSystem,
};

const DOSES: i64 = 1_000;
const CLIENTS: u16 = 200;
const REQUESTS: u64 = 3_000;

/// Clients that do not wait before they retry send many requests to a machine that is busy.
const RETRIES_MAX: u64 = 100_000;

/// How the gateway, or booking, says that a request may be booked.
const UNKNOWN: [&str; 2] = ["it may or may not have happened", "the outcome is unknown"];

/// 200 clients request one of 1,000 doses until 3,000 requests were answered: exactly 1,000 are booked, the others
/// are sold out. Each of `databases` is a booking process with bookings of its own.
async fn exactly_all_doses_are_booked(
    entries: &[Target],
    vaccine: &Target,
    databases: &[Target],
    retries_max: u64,
) -> Result<(), String> {
    let id = register_vaccine(vaccine, DOSES).await;
    let share = u16::try_from(entries.len()).unwrap();
    let [answered, unknown] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    let mut loads = Vec::new();
    for entry in entries {
        let (entry, enough) = (entry.clone(), Arc::clone(&answered));
        let load = Load {
            users: CLIENTS / share,
            reconnect: Reconnect::Never,
            stop: Stop::after(Duration::from_mins(1))
                .or_requests(REQUESTS + retries_max)
                .or_when(move || enough.load(Relaxed) >= REQUESTS),
            request: book(id).into(),
        };
        let (answered, unknown) = (Arc::clone(&answered), Arc::clone(&unknown));
        let count = move |response: &Response| {
            if matches!(response.status, 201 | 409) {
                answered.fetch_add(1, Relaxed);
            } else if UNKNOWN.iter().any(|why| response.text().contains(why)) {
                unknown.fetch_add(1, Relaxed);
            }
        };
        loads.push(tokio::spawn(async move { load.run_watched(&entry, count).await }));
    }
    let (mut booked, mut sold_out, mut retry_later, mut sent) = (0, 0, 0, 0);
    for load in loads {
        let summary = load.await.unwrap();
        booked += summary.count(201);
        sold_out += summary.count(409);
        retry_later += summary.retry_later();
        sent += summary.sent;
    }
    let unknown = unknown.load(Relaxed);
    let counts = format!(
        "{sent} sent, {booked} booked, {sold_out} sold out, {retry_later} to retry later, {unknown} of them unknown"
    );
    if booked + sold_out + retry_later != sent || booked + sold_out < REQUESTS {
        return Err(counts);
    }
    // What is unknown may be booked.
    let doses = u64::try_from(DOSES).unwrap();
    if booked > doses || booked + unknown < doses {
        return Err(format!("{booked} bookings were acknowledged for {DOSES} doses: {counts}"));
    }
    let mut kept = 0;
    for booking in databases {
        kept += active_bookings(booking).await;
    }
    if kept != DOSES {
        return Err(format!("{kept} bookings are kept for {DOSES} doses"));
    }
    wait_until_taken(vaccine, id, DOSES).await;
    Ok(())
}

#[tokio::test]
async fn a_thousand_doses_make_a_thousand_bookings() {
    let system = TestSystem::in_one_process().await;
    let (vaccine, booking) = (system.vaccine(), [system.booking(0)]);
    assert_eq!(
        exactly_all_doses_are_booked(&booking, &vaccine, &booking, RETRIES_MAX).await,
        Ok(())
    );
}

#[tokio::test]
async fn through_the_gateway_a_thousand_doses_make_exactly_a_thousand_bookings() {
    let system = TestSystem::in_one_process().await;
    let (vaccine, gateway, booking) = (system.vaccine(), [system.gateway()], [system.booking(0)]);
    assert_eq!(
        exactly_all_doses_are_booked(&gateway, &vaccine, &booking, RETRIES_MAX).await,
        Ok(())
    );
}

#[tokio::test]
async fn three_booking_processes_make_exactly_a_thousand_bookings_of_a_thousand_doses() {
    let system = TestSystem::in_processes(3).await;
    let (vaccine, bookings) = (system.vaccine(), [0, 1, 2].map(|n| system.booking(n)));
    assert_eq!(
        exactly_all_doses_are_booked(&bookings, &vaccine, &bookings, RETRIES_MAX).await,
        Ok(())
    );
}

#[tokio::test]
async fn three_bookings_and_two_vaccines_on_postgres_make_exactly_a_thousand_bookings() {
    let system = TestSystem::in_processes_of(environment::postgres().await, 2, 3).await;
    let (vaccine, bookings) = (system.vaccine(), [0, 1, 2].map(|n| system.booking(n)));
    // They share one database: each lists all bookings.
    assert_eq!(
        exactly_all_doses_are_booked(&bookings, &vaccine, &bookings[..1], RETRIES_MAX).await,
        Ok(())
    );
}

/// The ledger without the guard in its decision: no vaccine is sold out.
struct UnguardedLedger(Ledger);

impl Aggregate for UnguardedLedger {
    type Command = Command;
    type Reply = Reply;

    fn load(tx: &Tx<'_>, commands: &[&Command]) -> Result<Self, SqlError> {
        Ledger::load(tx, commands).map(Self)
    }

    fn decide(&mut self, command: &Command) -> Reply {
        let Self(ledger) = self;
        let Command::Hold(hold) = command else { return ledger.decide(command) };
        let mut stocks = Vec::new();
        for id in &hold.claims {
            if let Some(pool) = ledger.pools.get_mut(id) {
                stocks.push((*id, pool.stock));
                pool.stock = Doses::parse(STOCK_MAX).unwrap();
            }
        }
        let reply = ledger.decide(command);
        for (id, stock) in stocks {
            ledger.pools.get_mut(&id).unwrap().stock = stock;
        }
        reply
    }

    fn save(&self, tx: &Tx<'_>) -> Result<(), SqlError> {
        self.0.save(tx)
    }

    fn events(
        command: &Command,
        reply: &Reply,
    ) -> serde_json::Result<impl IntoIterator<Item = Event>> {
        Ledger::events(command, reply)
    }

    fn snapshot(tx: &Tx<'_>, after: i64, limit: u32) -> Result<Vec<(i64, Event)>, SqlError> {
        Ledger::snapshot(tx, after, limit)
    }
}

fn unguarded(settings: &Settings<'_>) -> Configured {
    let config = settings.data().unwrap();
    Configured::new(Vec::new(), |runtime| vaccine::start_as::<UnguardedLedger>(config, runtime))
}

/// The same table without its checks.
pub(crate) const UNCHECKED: &str = "
    ALTER TABLE pools RENAME TO checked;
    CREATE TABLE pools (
        id INTEGER PRIMARY KEY, name TEXT, stock INTEGER, taken INTEGER, overcommitted INTEGER
    );
    INSERT INTO pools SELECT id, name, stock, taken, overcommitted FROM checked;
    DROP TABLE checked;";

/// Vaccine without the guard in its decision, and booking as it is.
pub(crate) struct Mutant {
    vaccine: TestApp,
    booking: TestApp,
}

impl Mutant {
    /// With this change of vaccine's schema.
    pub(crate) async fn start(schema_change: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let file = Database::Sqlite(folder.path().join("vaccine.sqlite"));
        let name = vaccine::SERVICE.name;
        let (mut connection, _) = database::open(&file, name, MIGRATIONS).await.unwrap();
        connection.transaction(|tx| tx.run_script(schema_change)).unwrap();
        drop(connection);
        let vaccine = TestApp::start_with(folder, &vaccine::SERVICE, &[], false, unguarded);
        let booking = TestApp::start(&booking::SERVICE, &[("VACCINE_URL", &vaccine.url())]);
        Self { vaccine, booking }
    }

    pub(crate) fn vaccine(&self) -> Target {
        Target::parse(&self.vaccine.url()).unwrap()
    }

    pub(crate) fn booking(&self) -> Target {
        Target::parse(&self.booking.url()).unwrap()
    }

    async fn check(&self) -> Result<(), String> {
        let booking = [self.booking()];
        exactly_all_doses_are_booked(&booking, &self.vaccine(), &booking, 0).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_both_guards_the_check_finds_the_oversold_doses() {
    let verdict = Mutant::start(UNCHECKED).await.check().await.unwrap_err();
    let oversold = format!("{REQUESTS} bookings were acknowledged for {DOSES} doses");
    assert!(verdict.starts_with(&oversold), "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_guard_in_the_decision_the_database_still_prevents_overselling() {
    let mutant = Mutant::start("").await;
    let verdict = mutant.check().await.unwrap_err();
    assert!(verdict.contains(", 0 sold out"), "{verdict}");
    let kept = bookings(&mutant.booking()).await.len();
    assert!(kept <= usize::try_from(DOSES).unwrap(), "{kept} bookings");
}
