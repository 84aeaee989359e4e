//! A running ledger.

use std::ops::Deref;

use platform_service::{Configured, Settings};
use tempfile::TempDir;
use testkit::{EventRecorder, TestApp};
use vaccine::SERVICE;

use crate::unguarded::Unguarded;

/// Two reservations, and two stores of booking.
pub(crate) const ANA: &str = "00000000-0000-0000-0000-00000000000a";
pub(crate) const BO: &str = "00000000-0000-0000-0000-00000000000b";
pub(crate) const NORTH: &str = "00000000-0000-0000-0000-000000000001";
pub(crate) const SOUTH: &str = "00000000-0000-0000-0000-000000000002";

pub(crate) struct VaccineApp(TestApp);

impl Deref for VaccineApp {
    type Target = TestApp;

    fn deref(&self) -> &TestApp {
        &self.0
    }
}

impl VaccineApp {
    /// Without vaccines.
    pub(crate) fn start() -> Self {
        Self(TestApp::start(&SERVICE, &[]))
    }

    /// Publishes to this consumer.
    pub(crate) fn start_publishing_to(consumer: &EventRecorder) -> Self {
        Self(TestApp::start(&SERVICE, &[("BOOKING_URL", consumer.url())]))
    }

    /// With fault injection.
    pub(crate) fn start_with_faults() -> Self {
        Self(TestApp::start_with_faults(&SERVICE, &[]))
    }

    /// With decisions that violate the constraints of the database.
    pub(crate) fn start_unguarded() -> Self {
        Self(TestApp::start_with(TempDir::new().unwrap(), &SERVICE, &[], false, unguarded))
    }

    /// With vaccine 1.
    pub(crate) async fn with_doses(stock: u32) -> Self {
        Self::start().register(stock).await
    }

    /// Registers a vaccine.
    pub(crate) async fn register(self, stock: u32) -> Self {
        let body = format!(r#"{{"vcName":"FIZER","stock":{stock}}}"#);
        assert_eq!(self.request("POST /vaccines", body).await.status, 201);
        self
    }

    /// Sends requests without a body; a line each with the reply in short.
    pub(crate) async fn replies(&self, lines: &[String]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| (line.as_str(), "")).collect();
        self.transcript(&lines).await
    }

    /// How many doses of vaccine 1 are held or booked.
    pub(crate) async fn taken(&self) -> i64 {
        self.request("GET /vaccines/1", "").await.json()["bookQty"].as_i64().unwrap()
    }

    /// How many vaccines there are.
    pub(crate) async fn vaccines(&self) -> usize {
        self.request("GET /vaccines?size=1000", "").await.numbers("vaccines", "vaccineId").len()
    }

    /// Another program changes the database.
    pub(crate) fn run_sql(&self, sql: &str) {
        rusqlite::Connection::open(self.database()).unwrap().execute_batch(sql).unwrap();
    }
}

fn unguarded(settings: &Settings<'_>) -> Configured {
    let config = settings.data().unwrap();
    Configured::new(Vec::new(), |runtime| vaccine::start_as::<Unguarded>(config, runtime))
}
