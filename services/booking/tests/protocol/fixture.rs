//! The booking protocol on its own: no listener, no relay, no background tasks.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use booking::{
    RESPONSE_TIMEOUT,
    aborts::Aborts,
    alternatives::Alternatives,
    domain::{Bookings, Command, Fingerprint, Reply},
    doses::DoseQueue,
    hand::KEPT_FOR,
    holds::HoldClient,
    protocol::{Accepted, BookingError, BookingProtocol, BookingRequest, IdempotencyKey},
    store::{MIGRATIONS, Queries},
    under_way::UnderWay,
};
use contracts::{
    event::{CloudEvent, ConsumerOffset},
    ids::{ReservationId, StoreId, UserId, VaccineId},
    vaccine::AbortBatch,
};
use platform_rest::{client::Client, runtime::Runtime};
use platform_store::{
    AggregateStore, Commands, Database, Input, Notifier, Output, Store, Subscription,
    database::open_blocking, outbox,
};
use tempfile::TempDir;
use testkit::TEST_TIMEOUT;
use tokio::time::{self, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    app::BookingApp,
    summary,
    vaccine::{ABORTS, EVENTS, FakeReply, FakeVaccine, OFFSET},
};

pub(crate) struct ProtocolFixture {
    pub(crate) vaccine: FakeVaccine,
    pub(crate) protocol: Arc<BookingProtocol>,
    /// Notified after each commit with events.
    pub(crate) new_events: Subscription,
    _folder: TempDir,
}

impl ProtocolFixture {
    pub(crate) fn start() -> Self {
        Self::with_store(|store| store)
    }

    /// With another store around that of the bookings.
    pub(crate) fn with_store<S>(wrap: impl FnOnce(AggregateStore<Bookings>) -> S) -> Self
    where
        S: Store<Command = Input<Command>, Reply = Output<Reply>>,
    {
        let (vaccine, folder) = (FakeVaccine::start(), TempDir::new().unwrap());
        // There is no relay.
        for _ in 0..1_000 {
            let consumed =
                ConsumerOffset { sequence: u64::MAX, last_event_at: None, snapshot: None };
            vaccine.reply_next(OFFSET, FakeReply::json(&consumed));
        }
        let database = database(&folder);
        let (connection, reads) = open_blocking(&database, "booking", MIGRATIONS).unwrap();
        let owner = StoreId(connection.store_id);
        let notifier = Notifier::default();
        let new_events = notifier.subscribe();
        let store = wrap(AggregateStore::new(connection, notifier));
        let commands = Commands::<Bookings>::start("booking", store).0;
        let runtime = Runtime::new("booking", CancellationToken::new());
        let client = Client::new(vaccine.url().parse().unwrap());
        let aborts = Aborts::start(client.clone(), owner, commands.clone(), &runtime);
        let holds = Arc::new(HoldClient::new(
            client,
            owner,
            reads.clone(),
            aborts.clone(),
            runtime.stop.clone(),
        ));
        let doses = DoseQueue::start(Arc::clone(&holds), commands.health().clone(), &runtime);
        let (queries, enqueued) = (Queries(reads), Notifier::default());
        let under_way = UnderWay::default();
        let protocol = BookingProtocol {
            commands,
            queries,
            doses,
            holds,
            aborts,
            alternatives: Alternatives::default(),
            owner,
            under_way,
            enqueued,
            runtime,
        };
        Self { vaccine, protocol: Arc::new(protocol), new_events, _folder: folder }
    }

    /// Books; the number of the booking.
    pub(crate) async fn book(&self, request: BookingRequest) -> Result<i64, BookingError> {
        match self.protocol.book(request).await? {
            Accepted::Booking(booking) => Ok(booking.booking_id.0),
            Accepted::Ticket(ticket, _) => panic!("{ticket:?} instead of a booking"),
        }
    }

    /// The first reservation of a batch of holds, counted from 0.
    pub(crate) async fn reservation(&self, batch: usize) -> ReservationId {
        self.vaccine.batches(batch + 1).await[batch].blocks[0].first
    }

    /// The types of the events in the outbox.
    pub(crate) async fn events(&self) -> Vec<String> {
        let entries = self.protocol.queries.0.read(|tx| outbox::after(tx, 0, 100)).await;
        entries.unwrap().into_iter().map(|entry| entry.event.r#type).collect()
    }

    /// The same, as soon as there are so many.
    pub(crate) async fn wait_for_events(&self, count: usize) -> Vec<String> {
        let mut new_events = self.new_events.clone();
        let waiting = async {
            while self.events().await.len() < count {
                new_events.changed().await;
            }
        };
        timeout(TEST_TIMEOUT, waiting).await.expect("the events are written in time");
        self.events().await
    }
}

/// Longer than a dose is kept in hand, by tokio's clock.
pub(crate) async fn lull() {
    time::pause();
    time::advance(KEPT_FOR + Duration::from_secs(1)).await;
    time::resume();
}

/// The same; the doses that are released then, as soon as there are so many: by their events, or at the ledger, since
/// the time jumps while they are written.
pub(crate) async fn released_after_lull(app: &BookingApp, count: usize) -> BTreeSet<ReservationId> {
    app.request("GET /bookings", "").await; // By its reply all tasks wait for timers.
    lull().await;
    let all = async {
        loop {
            let released = released(&app.vaccine);
            if released.len() >= count {
                return released;
            }
            app.request("GET /bookings", "").await;
        }
    };
    timeout(TEST_TIMEOUT, all).await.expect("they are released in time")
}

fn released(vaccine: &FakeVaccine) -> BTreeSet<ReservationId> {
    let at_the_ledger = vaccine.requests(ABORTS).into_iter().flat_map(|request| {
        let batch: AbortBatch = serde_json::from_slice(&request.body).unwrap();
        batch.reservation_ids
    });
    let by_event = vaccine.requests(EVENTS).into_iter().flat_map(|request| {
        let events: Vec<CloudEvent> = serde_json::from_slice(&request.body).unwrap();
        let aborted = events.into_iter().map(|event| summary(&event));
        aborted.filter(|(r#type, _)| r#type == "ReservationAborted").collect::<Vec<_>>()
    });
    let by_event = by_event.map(|(_, id)| ReservationId(id.parse().unwrap()));
    at_the_ledger.chain(by_event).collect()
}

/// The store of booking in a folder.
pub(crate) fn database(folder: &TempDir) -> Database {
    Database::Sqlite(folder.path().join("booking.sqlite"))
}

pub(crate) fn without_key() -> BookingRequest {
    BookingRequest {
        choice: VaccineId(1).into(),
        user: UserId(5),
        key: None,
        attempt: None,
        deadline: Instant::now() + RESPONSE_TIMEOUT,
    }
}

pub(crate) fn with_key() -> BookingRequest {
    with_key_of("a", false)
}

pub(crate) fn with_key_of(key: &str, wants_ticket: bool) -> BookingRequest {
    let fingerprint = Fingerprint::of(b"1 5");
    let key = IdempotencyKey { key: key.to_owned(), fingerprint, wants_ticket };
    BookingRequest { key: Some(key), ..without_key() }
}
