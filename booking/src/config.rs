//! Settings of `booking`.

use std::{net::SocketAddr, time::Duration};

use chassis::{
    client::BaseUrl,
    config::{ConfigError, Env},
    process::PartArgs,
};
use eventing::{EventsUrl, relay::Pace};
use resilience::breaker::BreakerConfig;
use storage::database::Database;

/// The port of `booking`.
pub const PORT: u16 = 8082;

/// Names where `vaccine` listens; in a cluster a `ConfigMap` sets it.
pub const VACCINE_URL: &str = "VACCINE_URL";

/// Names where `injection` listens.
pub const INJECTION_URL: &str = "INJECTION_URL";

/// Names where `mypage` listens.
pub const MYPAGE_URL: &str = "MYPAGE_URL";

/// What `booking` needs to know to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where bookings are kept. `BOOKING_DATABASE_URL`, else `DATABASE_URL`, else the file
    /// `DIR/booking.sqlite`.
    pub database: Database,
    /// Where `vaccine` listens. `VACCINE_URL`, no default.
    pub vaccine: BaseUrl,
    /// When `vaccine` is left in peace. `BREAKER`, for instance `open-for-ms=500`; the default is
    /// [`vaccine_breaker`].
    pub breaker: BreakerConfig,
    /// How events travel. `EVENTS_URL`, default `in-process`.
    pub events: EventsUrl,
    /// Where `injection` listens, to be told what happens. `INJECTION_URL`; without it, and without
    /// NATS, it hears nothing.
    pub injection: Option<BaseUrl>,
    /// The same for `mypage`. `MYPAGE_URL`.
    pub mypage: Option<BaseUrl>,
}

impl Config {
    /// From the arguments and the environment.
    pub fn from_env(args: &PartArgs, env: &Env) -> Result<Self, ConfigError> {
        let file = Database::Sqlite(args.data.join("booking.sqlite"));
        Ok(Self {
            listen: args.net.listen(PORT),
            database: env.first(["BOOKING_DATABASE_URL", "DATABASE_URL"])?.unwrap_or(file),
            vaccine: env.required(VACCINE_URL, "where vaccine listens", "http://127.0.0.1:8081")?,
            breaker: env.breaker(vaccine_breaker())?,
            events: env.first(["EVENTS_URL"])?.unwrap_or_default(),
            injection: env.first([INJECTION_URL])?,
            mypage: env.first([MYPAGE_URL])?,
        })
    }

    /// Who has to be told what happens.
    pub fn listeners(&self) -> Vec<(&'static str, BaseUrl, Pace)> {
        let listeners = [
            ("vaccine", Some(&self.vaccine), Pace::Prompt),
            ("injection", self.injection.as_ref(), Pace::Patient),
            ("mypage", self.mypage.as_ref(), Pace::Patient),
        ];
        listeners
            .into_iter()
            .filter_map(|(name, url, pace)| Some((name, url?.clone(), pace)))
            .collect()
    }
}

/// How `vaccine` is left in peace.
///
/// It answers within milliseconds or it is in trouble, and then it is asked again every second on a
/// few people's behalf: longer pauses would spare it little and keep everybody waiting after it has
/// recovered.
pub fn vaccine_breaker() -> BreakerConfig {
    BreakerConfig {
        slow_after: Duration::from_millis(800),
        open_for: Duration::from_millis(500),
        open_max: Duration::from_secs(1),
        // Calls go one at a time: whoever joined while one is under way would wait for it.
        half_open_calls: 1,
        ramp: Duration::from_millis(200),
        ..BreakerConfig::default()
    }
}
