//! Faults on purpose, for tests and rehearsals: a part that answers late, with errors, not at all,
//! or so in bursts, and a store that is slow.
//!
//! Only with `--faults` is there a switch, at `/actuator/faults`; without it nothing of this runs.
//! Operators' own addresses, `/actuator/*`, never fail: somebody must be able to end a rehearsal.
//! When the process drains, whatever was kept back is answered.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
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
use serde::{Deserialize, Serialize};
use tokio::{
    select,
    time::{Instant, sleep},
};
use tracing::warn;

use crate::{json::Json, problem::Problem, process::Process};

/// The latest that an answer can be made: 30 s.
pub const DELAY_MAX_MS: u32 = 30_000;

/// How long an answer is kept back that never comes: longer than any caller waits.
pub const SILENCE: Duration = Duration::from_mins(2);

/// The longest time from one burst to the next.
pub const EVERY_MAX_MS: u32 = 60_000;

/// The slowest that a store can be made, per command: a hundred commands a second.
pub const STORE_DELAY_MAX_US: u32 = 10_000;

/// Where the switch is.
const SWITCH: &str = "/actuator/faults";

/// The switch of one part. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    set: Mutex<Set>,
    store_delay_us: Arc<AtomicU64>,
}

/// What is set, since when, and how many requests came since then.
#[derive(Clone, Copy, Debug)]
struct Set {
    mode: Mode,
    since: Instant,
    requests: u64,
}

impl Default for Set {
    fn default() -> Self {
        Self { mode: Mode::None, since: Instant::now(), requests: 0 }
    }
}

/// How a part fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// It does not.
    None,
    /// All the time.
    Always(Fault),
    /// At the beginning of each period, and not for the rest of it.
    Bursts { every: Duration, lasting: Duration, fault: Fault },
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It is done, and its answer comes that much later.
    Slow(Duration),
    /// So many of a hundred, evenly spread, are not done and get 500.
    Errors(u32),
    /// It is done, and its answer never comes.
    Silent,
}

impl Faults {
    /// Microseconds that each command of a commit takes longer; for the store of this part.
    pub fn store_delay_us(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.store_delay_us)
    }

    /// The switch itself, to be merged with what a part answers. Says in the log that it is there.
    pub fn router(&self, part: &'static str) -> Router {
        warn!(
            "--faults: whoever reaches {part} can make it fail, at {SWITCH}; for rehearsals, \
             never in production"
        );
        Router::new().route(SWITCH, get(show).post(set)).with_state(self.clone())
    }

    /// Answers a request to that path, or fails as it is set. An answer that is kept back is given
    /// when the process drains. Belongs around everything else that may refuse or end a request.
    pub async fn around(
        &self,
        path: &str,
        process: &Process,
        answer: impl Future<Output = Response>,
    ) -> Response {
        if path.starts_with("/actuator/") {
            return answer.await;
        }
        let delay = match self.fault() {
            None => return answer.await,
            Some(Fault::Errors(_)) => return on_purpose().into_response(),
            Some(Fault::Slow(delay)) => delay,
            Some(Fault::Silent) => SILENCE,
        };
        let answer = answer.await;
        select! {
            () = sleep(delay) => {}
            () = process.stopping() => {}
        }
        answer
    }

    /// What happens to the request that comes now.
    fn fault(&self) -> Option<Fault> {
        let mut set = self.0.set.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = match set.mode {
            Mode::None => return None,
            Mode::Always(fault) => fault,
            Mode::Bursts { every, lasting, fault } => {
                let into_period = set.since.elapsed().as_nanos() % every.as_nanos().max(1);
                if into_period >= lasting.as_nanos() {
                    return None;
                }
                fault
            }
        };
        if let Fault::Errors(percent) = fault {
            let failed = |requests: u64| requests.saturating_mul(percent.into()) / 100;
            set.requests += 1;
            if failed(set.requests) == failed(set.requests - 1) {
                return None;
            }
        }
        Some(fault)
    }

    fn set(&self, wanted: &Wanted) -> Result<(), Problem> {
        let store_delay_us = wanted.store_delay_us()?;
        if let Some(mode) = wanted.mode()? {
            *self.0.set.lock().unwrap_or_else(PoisonError::into_inner) =
                Set { mode, ..Set::default() };
        }
        if let Some(delay) = store_delay_us {
            self.0.store_delay_us.store(delay.into(), Ordering::Relaxed);
        }
        Ok(())
    }

    fn shown(&self) -> Json<Wanted> {
        let mode = self.0.set.lock().unwrap_or_else(PoisonError::into_inner).mode;
        let delay = self.0.store_delay_us.load(Ordering::Relaxed);
        let store_delay_us = Some(u32::try_from(delay).unwrap_or(u32::MAX));
        Json(Wanted { store_delay_us, ..Wanted::showing(mode) })
    }
}

async fn show(State(faults): State<Faults>) -> Json<Wanted> {
    faults.shown()
}

async fn set(
    State(faults): State<Faults>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Wanted>, Problem> {
    faults.set(&wanted)?;
    let shown = faults.shown();
    warn!("faults: {}", serde_json::to_string(&shown.0).unwrap_or_default());
    Ok(shown)
}

fn on_purpose() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "urn:anticorona:fault",
        "A fault on purpose: this is a rehearsal",
    )
}

/// What is asked of the switch, and what it shows.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store_delay_us: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Name {
    None,
    Slow,
    Errors,
    Silent,
    Bursts,
}

impl Wanted {
    /// The mode; none, if it is to stay as it is.
    fn mode(&self) -> Result<Option<Mode>, Problem> {
        let Some(name) = self.mode else {
            self.only(&[])?;
            return match self.store_delay_us {
                Some(_) => Ok(None),
                None => Err(Problem::invalid("mode", "give mode, storeDelayUs or both")),
            };
        };
        Ok(Some(match name {
            Name::None => {
                self.only(&[])?;
                Mode::None
            }
            Name::Slow => {
                self.only(&["delayMs"])?;
                Mode::Always(Fault::Slow(self.delay()?))
            }
            Name::Errors => {
                self.only(&["percent"])?;
                Mode::Always(Fault::Errors(self.percent()?))
            }
            Name::Silent => {
                self.only(&[])?;
                Mode::Always(Fault::Silent)
            }
            Name::Bursts => self.bursts()?,
        }))
    }

    /// Late answers if they are told how late, else errors.
    fn bursts(&self) -> Result<Mode, Problem> {
        let every_ms = from_to("everyMs", self.every_ms, 1, EVERY_MAX_MS)?;
        let for_ms = from_to("forMs", self.for_ms, 1, every_ms)?;
        let fault = if self.delay_ms.is_some() {
            self.only(&["everyMs", "forMs", "delayMs"])?;
            Fault::Slow(self.delay()?)
        } else {
            Fault::Errors(self.percent()?)
        };
        let [every, lasting] = [every_ms, for_ms].map(|ms| Duration::from_millis(ms.into()));
        Ok(Mode::Bursts { every, lasting, fault })
    }

    fn delay(&self) -> Result<Duration, Problem> {
        let ms = from_to("delayMs", self.delay_ms, 1, DELAY_MAX_MS)?;
        Ok(Duration::from_millis(ms.into()))
    }

    fn percent(&self) -> Result<u32, Problem> {
        from_to("percent", self.percent.or(Some(100)), 1, 100)
    }

    fn store_delay_us(&self) -> Result<Option<u32>, Problem> {
        let Some(delay) = self.store_delay_us else { return Ok(None) };
        from_to("storeDelayUs", Some(delay), 0, STORE_DELAY_MAX_US).map(Some)
    }

    /// Refuses what has no meaning beside the mode: whoever sends it expects something else.
    fn only(&self, allowed: &[&str]) -> Result<(), Problem> {
        let given = [
            ("delayMs", self.delay_ms),
            ("percent", self.percent),
            ("everyMs", self.every_ms),
            ("forMs", self.for_ms),
        ];
        let stray =
            |(name, value): &(&str, Option<u32>)| value.is_some() && !allowed.contains(name);
        match given.into_iter().find(stray) {
            Some((name, _)) => Err(Problem::invalid(name, "has no meaning beside this mode")),
            None => Ok(()),
        }
    }

    fn showing(mode: Mode) -> Self {
        let ms = |duration: Duration| u32::try_from(duration.as_millis()).ok();
        match mode {
            Mode::None => Self { mode: Some(Name::None), ..Self::default() },
            Mode::Always(fault) => Self::failing(fault),
            Mode::Bursts { every, lasting, fault } => Self {
                mode: Some(Name::Bursts),
                every_ms: ms(every),
                for_ms: ms(lasting),
                ..Self::failing(fault)
            },
        }
    }

    fn failing(fault: Fault) -> Self {
        let nothing = Self::default();
        match fault {
            Fault::Slow(delay) => {
                let delay_ms = u32::try_from(delay.as_millis()).ok();
                Self { mode: Some(Name::Slow), delay_ms, ..nothing }
            }
            Fault::Errors(percent) => {
                Self { mode: Some(Name::Errors), percent: Some(percent), ..nothing }
            }
            Fault::Silent => Self { mode: Some(Name::Silent), ..nothing },
        }
    }
}

fn from_to(field: &'static str, value: Option<u32>, min: u32, max: u32) -> Result<u32, Problem> {
    value
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| Problem::invalid(field, format!("must be from {min} to {max}")))
}
