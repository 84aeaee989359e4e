//! What the drills share: the system under test, its load, and the audit at the end.

use std::time::Duration;

use crate::{
    audit::{Acknowledged, Audit},
    error::DrillError,
    ledgers::{CONVERGE_WITHIN, Ledgers},
    load::{Load, stop::Stop, summary::Summary},
    observations::Recorder,
    progress::Progress,
    reference::{booking_request, register_vaccine},
    request::Reconnect,
    response::{RequestError, Response},
    service::{ServiceProcess, TestEnvironment},
    system::System,
    target::Target,
};

/// More than any load books.
const UNLIMITED: i64 = 1_000_000_000;

pub(super) struct Context {
    /// For a system of the drill's own.
    pub(super) environment: TestEnvironment,
    /// The system of `--target`.
    pub(super) external: Option<Entries>,
    /// Whether the drill's own system lacks what the drill tests.
    pub(super) without_protection: bool,
    pub(super) progress: Progress,
}

/// Where a running system takes requests.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    /// Registers vaccines.
    pub(super) vaccine: Target,
    /// Take bookings.
    pub(super) bookings: Vec<Target>,
}

/// A system under load: one vaccine, the booking processes, and every response so far.
pub(super) struct Trial<'a> {
    context: &'a Context,
    pub(super) vaccine: Target,
    pub(super) bookings: Vec<Target>,
    /// Of the vaccine that is booked.
    pub(super) vaccine_id: i64,
    pub(super) recorder: Recorder,
}

impl Context {
    pub(super) fn show(&self, step: impl Into<String>) {
        self.progress.show(step);
    }

    /// Refuses an external system, since the drill ends processes.
    pub(super) fn require_own_system(&self, instead: &str) -> Result<(), DrillError> {
        match &self.external {
            None => Ok(()),
            Some(_) => Err(format!(
                "this drill starts and ends processes, so it needs a system of its own; {instead}"
            )
            .into()),
        }
    }

    /// Starts vaccine and so many booking processes.
    pub(super) async fn start(
        &self,
        environment: TestEnvironment,
        replicas: u16,
    ) -> Result<System, DrillError> {
        self.show(format!("starting vaccine and {replicas} booking processes"));
        let bookings = (0..replicas).map(ServiceProcess::booking);
        let services: Vec<_> = [ServiceProcess::vaccine(0)].into_iter().chain(bookings).collect();
        System::start(environment, &services).await
    }
}

impl Entries {
    /// Of a system with so many booking processes.
    pub(super) fn of(system: &System, replicas: u16) -> Result<Self, DrillError> {
        let bookings = (0..replicas).map(|n| system.target(ServiceProcess::booking(n)));
        let vaccine = system.target(ServiceProcess::vaccine(0))?;
        Ok(Self { vaccine, bookings: bookings.collect::<Result<_, _>>()? })
    }
}

impl<'a> Trial<'a> {
    /// With more doses than any load books.
    pub(super) async fn unlimited(
        context: &'a Context,
        entries: Entries,
    ) -> Result<Self, DrillError> {
        Self::new(context, entries, UNLIMITED).await
    }

    /// Registers the vaccine.
    pub(super) async fn new(
        context: &'a Context,
        Entries { vaccine, bookings }: Entries,
        doses: i64,
    ) -> Result<Self, DrillError> {
        let vaccine_id = register_vaccine(&vaccine, doses).await?;
        Ok(Self { context, vaccine, bookings, vaccine_id, recorder: Recorder::start() })
    }

    /// The first booking process.
    pub(super) fn entry(&self) -> &Target {
        &self.bookings[0]
    }

    /// Users who book without pause, each time on a connection of its own, as siege's do.
    pub(super) async fn book(&self, entry: &Target, users: u16, duration: Duration) -> Summary {
        self.book_on(entry, users, duration, Reconnect::EachRequest).await
    }

    pub(super) async fn book_on(
        &self,
        entry: &Target,
        users: u16,
        duration: Duration,
        reconnect: Reconnect,
    ) -> Summary {
        let request = booking_request(self.vaccine_id).into();
        let load = Load { users, reconnect, stop: Stop::after(duration), request };
        load.run_observed(entry, self.observer()).await
    }

    /// Records and counts responses.
    pub(super) fn observer(
        &self,
    ) -> impl Fn(Result<&Response, &RequestError>) + Send + Sync + use<> {
        let (recorder, progress) = (self.recorder.clone(), self.context.progress.clone());
        move |ended| {
            recorder.record(ended);
            progress.count_response();
        }
    }

    /// Compares the ledgers of vaccine and of every booking process.
    pub(super) async fn audit(&self, acknowledged: &Acknowledged) -> Result<Audit, DrillError> {
        self.context.show("comparing the ledgers");
        let ledgers = Ledgers::of_vaccine(&self.vaccine, &self.bookings, self.vaccine_id);
        ledgers.audit(acknowledged, CONVERGE_WITHIN).await
    }
}
