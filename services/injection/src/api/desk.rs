//! What the handlers share.

use std::time::Duration;

use contracts::{ids::InjectionId, injection::Injection};
use jiff::Timestamp;
use platform_rest::{
    hal::{Collection, Search},
    problem::Problem,
};
use platform_store::Commands;
use platform_telemetry::clock;

use super::problems::problem;
use crate::{
    domain::{Appointments, Refusal},
    store::Queries,
};

/// How long a write may wait for its commit.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_millis(2_500);

pub(super) const INJECTIONS: Collection = Collection {
    plural: "injections",
    singular: "injection",
    is_personal: true,
    searches: &[
        Search { name: "findByBookingId", parameter: "bookingId" },
        Search { name: "findBySite", parameter: "siteId,from,to,status" },
    ],
};

pub(super) const CANCELLATIONS: Collection = Collection {
    plural: "cancellations",
    singular: "cancellation",
    is_personal: true,
    searches: &[],
};

/// What the handlers work with.
#[derive(Clone, Debug)]
pub struct InjectionDesk {
    /// Submits commands.
    pub commands: Commands<Appointments>,
    /// Reads the last commit.
    pub queries: Queries,
}

pub(super) async fn find(desk: &InjectionDesk, id: i64) -> Result<Injection, Problem> {
    let known = desk.queries.injection(InjectionId(id)).await?;
    known.ok_or_else(|| problem(Refusal::NoSuchInjection))
}

/// The time now, in whole milliseconds: as it is stored, so that it is shown the same now and later.
pub(super) fn now() -> Timestamp {
    let now = clock::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
