//! Bookings of which nothing happens by itself: no server, no relay, no rounds.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use booking::{
    ANSWER_WITHIN,
    attempts::{Attempts, Batches},
    bookings::{Bookings, Key, Request},
    domain::{Command, Fingerprint, Outcome},
    store::{Book, MIGRATIONS, Reads},
};
use chassis::{client::Client, process::Process};
use contracts::ids::{HolderId, ReservationId, UserId, VaccineId};
use eventing::{Bell, bell::Ear};
use storage::{
    database::open_blocking,
    outbox,
    store::{self, Input, Output, Stored},
    writer::Store,
};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::town::{database, vaccine::Vaccine};

pub(crate) struct Desk {
    pub(crate) vaccine: Vaccine,
    pub(crate) bookings: Arc<Bookings>,
    told: Ear,
    _folder: TempDir,
}

impl Desk {
    pub(crate) fn open() -> Self {
        Self::with(|store| store)
    }

    /// With something between the bookings and their store.
    pub(crate) fn with<S>(between: impl FnOnce(Stored<Book>) -> S) -> Self
    where
        S: Store<Command = Input<Command>, Outcome = Output<Outcome>>,
    {
        let (vaccine, folder) = (Vaccine::open(), TempDir::new().unwrap());
        let opened = open_blocking(&database(&folder), "booking", MIGRATIONS);
        let (writable, readers) = opened.unwrap();
        let holder = HolderId(writable.store_id);
        let client = Client::new(vaccine.url().parse().unwrap());
        let process = Process::new(CancellationToken::new());
        let desk = store::Desk::start("booking", between(Stored::new(writable, Book))).0;
        let batches =
            Batches { vaccine: client, holder, desk: desk.clone(), process: process.clone() };
        let (attempts, making) = Attempts::new(batches);
        process.spawn(making);
        let bell = Bell::default();
        let told = bell.ear();
        let bookings = Bookings {
            desk,
            reads: Reads(readers),
            attempts,
            holder,
            told: bell,
            queued: Bell::default(),
            process,
        };
        Self { vaccine, bookings: Arc::new(bookings), told, _folder: folder }
    }

    /// The reservation that vaccine was asked to hold in that request, counted from 0.
    pub(crate) async fn reservation(&self, batch: usize) -> ReservationId {
        self.vaccine.batches(batch + 1).await[batch].holds[0].reservation_id
    }

    /// What is in the outbox.
    pub(crate) async fn said(&self) -> Vec<String> {
        let entries = self.bookings.reads.0.read(|tx| outbox::after(tx, 0, 100)).await;
        entries.unwrap().into_iter().map(|entry| entry.r#type).collect()
    }

    /// The same, as soon as there is so much.
    pub(crate) async fn said_at_last(&self, many: usize) -> Vec<String> {
        let mut told = self.told.clone();
        let waiting = async {
            while self.said().await.len() < many {
                told.rung().await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("it is not said");
        self.said().await
    }
}

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn without_key() -> Request {
    Request {
        vaccine: VaccineId(1),
        user: UserId(5),
        key: None,
        due: Instant::now() + ANSWER_WITHIN,
    }
}

pub(crate) fn with_key() -> Request {
    let key = Key { key: "a".to_owned(), asked: Fingerprint::of(b"1 5") };
    Request { key: Some(key), ..without_key() }
}
