//! A service as a value: everything that lists services reads it from one array of these.

use std::{fmt, pin::Pin};

use platform_events::RelayPriority;
use platform_rest::{hal::Collection, runtime::Runtime};
use platform_store::Migration;
use platform_telemetry::BoxError;
use utoipa::openapi::OpenApi;

use crate::{
    app::App,
    args::ServiceArgs,
    config::{ConfigError, Env},
};

/// A service.
#[derive(Debug)]
pub struct Service {
    /// Its name: in the log, as PostgreSQL schema, as NATS subject, and in `NAME_URL`.
    pub name: &'static str,
    /// What it does, for help texts.
    pub summary: &'static str,
    /// The port that it listens on.
    pub port: u16,
    /// The services whose events it consumes.
    pub consumes: &'static [Consumes],
    /// The collections that the gateway forwards to it, with their lists, searches and items.
    pub collections: &'static [Collection],
    /// What it forwards besides, as patterns of paths: `/tickets/{id}`.
    pub routes: &'static [&'static str],
    /// Whether it recognises a `POST` that is repeated with the same [`platform_rest::headers::ATTEMPT`].
    pub recognises_attempts: bool,
    /// The migrations of its store; none if it owns no data.
    pub migrations: &'static [Migration],
    /// Its OpenAPI document, if it has one.
    pub openapi: Option<fn() -> OpenApi>,
    /// Reads its settings.
    pub configure: fn(&Settings<'_>) -> Result<Configured, ConfigError>,
}

/// A service whose events are consumed.
#[derive(Clone, Copy, Debug)]
pub struct Consumes {
    /// The name of the publishing service.
    pub publisher: &'static str,
    /// Whether requests depend on these events.
    pub priority: RelayPriority,
}

/// The arguments and the environment of one service, and the services that it is wired to.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// The service.
    pub service: &'a Service,
    /// All services.
    pub services: &'static [&'static Service],
    /// Its arguments.
    pub args: &'a ServiceArgs,
    /// Its environment.
    pub env: &'a Env,
}

/// A service with valid settings.
pub struct Configured {
    /// What it does with its settings, line by line, without secrets.
    pub summary: Vec<(&'static str, String)>,
    start: Start,
}

type Start = Box<dyn FnOnce(Runtime) -> Starting + Send>;

type Starting = Pin<Box<dyn Future<Output = Result<App, BoxError>> + Send>>;

impl fmt::Debug for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured").field("summary", &self.summary).finish_non_exhaustive()
    }
}

impl Configured {
    /// A service that starts with this function.
    pub fn new<F>(
        summary: Vec<(&'static str, String)>,
        start: impl FnOnce(Runtime) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<App, BoxError>> + Send + 'static,
    {
        Self { summary, start: Box::new(move |runtime| Box::pin(start(runtime))) }
    }

    /// Starts it: opens its store, starts its tasks, and returns what is to be served.
    pub async fn start(self, runtime: Runtime) -> Result<App, BoxError> {
        (self.start)(runtime).await
    }
}

impl Service {
    /// Whether it owns data: a store with an outbox and consumer offsets.
    pub const fn owns_data(&self) -> bool {
        !self.migrations.is_empty()
    }

    /// The variable with the URL of this service: `BOOKING_URL`.
    pub fn url_variable(&self) -> String {
        format!("{}_URL", self.name.to_uppercase())
    }
}
