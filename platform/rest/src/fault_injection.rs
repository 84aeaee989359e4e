//! Fault injection, for tests and drills: a service whose responses are late, fail or never come, or
//! do so in bursts, and whose store is slow.
//!
//! Only with `--faults` is it there, at `/actuator/faults`. Operators' paths, `/actuator/*`, never
//! fail, so that a drill can be ended. When the service drains, delayed responses are sent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{json::Json, problem::Problem};

/// The longest delay of a response: 30 s.
const DELAY_MAX_MS: u32 = 30_000;

/// The delay of a response that never comes: longer than any caller waits.
pub const SILENCE: Duration = Duration::from_mins(2);

/// The longest period of bursts.
const EVERY_MAX_MS: u32 = 60_000;

/// The longest delay of the store, per command.
const STORE_DELAY_MAX_US: u32 = 10_000;

const PATH: &str = "/actuator/faults";

/// The faults of one service. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct FaultInjection {
    active: Arc<Mutex<Active>>,
    /// By how many microseconds each command of a commit is delayed; for the store of this service.
    pub store_delay_us: Arc<AtomicU64>,
}

/// The active settings, and since when.
#[derive(Clone, Copy, Debug)]
struct Active {
    settings: Settings,
    since: Instant,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It is handled, and its response comes that much later.
    Delay(Duration),
    /// It gets a 500 and is not handled.
    Error,
}

/// The body of a request to [`PATH`], and of the response.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store_delay_us: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    None,
    /// Every response is late by `delayMs`.
    Slow,
    /// Every request fails.
    Errors,
    /// No response is sent.
    Silent,
    /// For `forMs` of `everyMs`, responses are late if there is a `delayMs`, else requests fail.
    Bursts,
}

impl FaultInjection {
    /// The route that shows and sets the faults.
    pub fn router(&self, service: &'static str) -> Router {
        warn!(
            "--faults: any client of {service} can make it fail, at {PATH}; for drills, never in \
             production"
        );
        Router::new().route(PATH, get(show).post(set)).with_state(self.clone())
    }

    /// Applies the active fault to a request to that path. A delayed response is sent once the
    /// service stops. Nothing outside of it may reject or time out a request.
    pub async fn apply(
        &self,
        path: &str,
        stop: &CancellationToken,
        response: impl Future<Output = Response>,
    ) -> Response {
        if path.starts_with("/actuator/") {
            return response.await;
        }
        let fault = self.active.lock().fault();
        match fault {
            None => response.await,
            Some(Fault::Error) => injected().into_response(),
            Some(Fault::Delay(delay)) => {
                let response = response.await;
                stop.run_until_cancelled(sleep(delay)).await;
                response
            }
        }
    }
}

async fn show(State(faults): State<FaultInjection>) -> Json<Settings> {
    let delay = faults.store_delay_us.load(Ordering::Relaxed);
    let store_delay_us = Some(u32::try_from(delay).unwrap_or(u32::MAX));
    Json(Settings { store_delay_us, ..faults.active.lock().settings })
}

async fn set(
    State(faults): State<FaultInjection>,
    Json(settings): Json<Settings>,
) -> Result<Json<Settings>, Problem> {
    settings.validate()?;
    if settings.mode.is_some() {
        *faults.active.lock() = Active { settings, since: Instant::now() };
    }
    if let Some(delay) = settings.store_delay_us {
        faults.store_delay_us.store(delay.into(), Ordering::Relaxed);
    }
    let active = show(State(faults)).await;
    warn!("faults: {}", serde_json::to_string(&active.0).unwrap_or_default());
    Ok(active)
}

fn injected() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "urn:anticorona:fault",
        "An injected fault: this is a drill",
    )
}

impl Default for Active {
    fn default() -> Self {
        let settings = Settings { mode: Some(Mode::None), ..Settings::default() };
        Self { settings, since: Instant::now() }
    }
}

impl Active {
    /// What happens to a request now.
    fn fault(&self) -> Option<Fault> {
        let Settings { mode, delay_ms, every_ms, for_ms, store_delay_us: _ } = self.settings;
        let delay = delay_ms.map(|ms| Fault::Delay(Duration::from_millis(ms.into())));
        match mode? {
            Mode::None => None,
            Mode::Slow => delay,
            Mode::Errors => Some(Fault::Error),
            Mode::Silent => Some(Fault::Delay(SILENCE)),
            Mode::Bursts => {
                let into_period = self.since.elapsed().as_millis() % u128::from(every_ms?.max(1));
                (into_period < u128::from(for_ms?)).then(|| delay.unwrap_or(Fault::Error))
            }
        }
    }
}

impl Settings {
    /// Each field is in its range, and there is none that the mode does not use.
    fn validate(&self) -> Result<(), Problem> {
        let used: &[&str] = match self.mode {
            None if self.store_delay_us.is_none() => {
                return Err(Problem::invalid("mode", "give mode, storeDelayUs or both"));
            }
            None | Some(Mode::None | Mode::Silent | Mode::Errors) => &[],
            Some(Mode::Slow) => &["delayMs"],
            Some(Mode::Bursts) if self.delay_ms.is_some() => &["everyMs", "forMs", "delayMs"],
            Some(Mode::Bursts) => &["everyMs", "forMs"],
        };
        for (field, value, max) in [
            ("everyMs", self.every_ms, EVERY_MAX_MS),
            ("forMs", self.for_ms, self.every_ms.unwrap_or(EVERY_MAX_MS)),
            ("delayMs", self.delay_ms, DELAY_MAX_MS),
        ] {
            let detail = match (used.contains(&field), value) {
                (false, None) => continue,
                (true, Some(value)) if (1..=max).contains(&value) => continue,
                (true, _) => format!("must be from 1 to {max}"),
                (false, Some(_)) => "is not used by this mode".to_owned(),
            };
            return Err(Problem::invalid(field, detail));
        }
        if self.store_delay_us.is_some_and(|delay| delay > STORE_DELAY_MAX_US) {
            let detail = format!("must be from 0 to {STORE_DELAY_MAX_US}");
            return Err(Problem::invalid("storeDelayUs", detail));
        }
        Ok(())
    }
}
