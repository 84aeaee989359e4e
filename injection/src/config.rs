//! Settings of `injection`.

use std::net::SocketAddr;

use chassis::{
    client::BaseUrl,
    config::{ConfigError, Env},
    process::PartArgs,
};
use eventing::{EventsUrl, relay::Pace};
use storage::database::Database;

/// The port of `injection`.
pub const PORT: u16 = 8084;

/// Names where `vaccine` listens.
pub const VACCINE_URL: &str = "VACCINE_URL";

/// Names where `booking` listens.
pub const BOOKING_URL: &str = "BOOKING_URL";

/// Names where `mypage` listens.
pub const MYPAGE_URL: &str = "MYPAGE_URL";

/// What `injection` needs to know to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where appointments are kept. `INJECTION_DATABASE_URL`, else `DATABASE_URL`, else the file
    /// `DIR/injection.sqlite`.
    pub database: Database,
    /// How events travel. `EVENTS_URL`, default `in-process`.
    pub events: EventsUrl,
    /// Where `vaccine` listens, to be told what happens. `VACCINE_URL`; without it, and without
    /// NATS, it hears nothing.
    pub vaccine: Option<BaseUrl>,
    /// The same for `booking`. `BOOKING_URL`.
    pub booking: Option<BaseUrl>,
    /// The same for `mypage`. `MYPAGE_URL`.
    pub mypage: Option<BaseUrl>,
}

impl Config {
    /// From the arguments and the environment.
    pub fn from_env(args: &PartArgs, env: &Env) -> Result<Self, ConfigError> {
        let file = Database::Sqlite(args.data.join("injection.sqlite"));
        Ok(Self {
            listen: args.net.listen(PORT),
            database: env.first(["INJECTION_DATABASE_URL", "DATABASE_URL"])?.unwrap_or(file),
            events: env.first(["EVENTS_URL"])?.unwrap_or_default(),
            vaccine: env.first([VACCINE_URL])?,
            booking: env.first([BOOKING_URL])?,
            mypage: env.first([MYPAGE_URL])?,
        })
    }

    /// Who has to be told what happens.
    pub fn listeners(&self) -> Vec<(&'static str, BaseUrl, Pace)> {
        let listeners =
            [("vaccine", &self.vaccine), ("booking", &self.booking), ("mypage", &self.mypage)];
        listeners
            .into_iter()
            .filter_map(|(name, url)| Some((name, url.clone()?, Pace::Prompt)))
            .collect()
    }
}
