//! `/actuator/circuitbreakers` and `/actuator/circuitbreakerevents`, in the shapes of resilience4j's
//! Spring Boot starter, for people and tools that know those.
//!
//! Two differences: the ramp, in which a growing share of calls is let through again, is shown as
//! `HALF_OPEN`, and rejected calls are one event with their number, not one event each.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use jiff::{SignedDuration, Timestamp};
use platform_resilience::{
    breaker::{self, Breaker, Cause, Change, Mode},
    time::{Coarse, Moment},
};
use platform_rest::{
    breaker_registry::BreakerRegistry,
    json::{self, Id, Json},
    problem::Problem,
};
use platform_telemetry::clock;
use serde::{Deserialize, Serialize, Serializer};
use tracing::warn;

use crate::health::MEDIA_TYPE;

/// The routes that only read.
pub(super) fn read_routes(breakers: BreakerRegistry) -> Router {
    Router::new()
        .route("/actuator/circuitbreakers", get(all))
        .route("/actuator/circuitbreakers/{name}", get(one))
        .route("/actuator/circuitbreakerevents", get(events_of_all))
        .route("/actuator/circuitbreakerevents/{name}", get(events_of_one))
        .with_state(breakers)
}

/// The route that changes a breaker.
pub(super) fn write_routes(breakers: BreakerRegistry) -> Router {
    Router::new().route("/actuator/circuitbreakers/{name}", post(update)).with_state(breakers)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Breakers {
    circuit_breakers: BTreeMap<String, Details>,
}

/// A breaker; shares are text, `50.0%`, and `-1.0%` before there are enough calls.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    failure_rate: String,
    slow_call_rate: String,
    failure_rate_threshold: String,
    slow_call_rate_threshold: String,
    buffered_calls: u32,
    failed_calls: u32,
    slow_calls: u32,
    slow_failed_calls: u32,
    not_permitted_calls: u64,
    state: ShownState,
}

/// The states of resilience4j: ours, and the modes that an operator has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ShownState {
    Closed,
    Open,
    HalfOpen,
    ForcedOpen,
    Disabled,
    MetricsOnly,
}

impl ShownState {
    pub(super) const ALL: [Self; 6] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::ForcedOpen,
        Self::Disabled,
        Self::MetricsOnly,
    ];

    pub(super) fn of(mode: Mode, state: breaker::State) -> Self {
        match (mode, state) {
            (Mode::Auto, breaker::State::Closed) => Self::Closed,
            (Mode::Auto, breaker::State::Open) => Self::Open,
            (Mode::Auto, breaker::State::HalfOpen | breaker::State::Ramping) => Self::HalfOpen,
            (Mode::ForcedOpen, _) => Self::ForcedOpen,
            (Mode::ForcedClosed, _) => Self::Disabled,
            (Mode::MetricsOnly, _) => Self::MetricsOnly,
        }
    }

    /// As metrics name it; upper case everywhere else.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics_only",
        }
    }
}

async fn all(State(breakers): State<BreakerRegistry>) -> Response {
    let breakers = breakers.breakers().into_iter();
    let circuit_breakers = breakers.map(|(name, breaker)| (name, details(&breaker))).collect();
    shown(&Breakers { circuit_breakers })
}

async fn one(
    State(breakers): State<BreakerRegistry>,
    Id(name): Id<String>,
) -> Result<Response, Problem> {
    Ok(shown(&details(&*find(&breakers, &name)?)))
}

fn find(breakers: &BreakerRegistry, name: &str) -> Result<Arc<Breaker>, Problem> {
    let unknown = || Problem::not_found(format!("there is no circuit breaker {name:?}"));
    breakers.breaker(name).ok_or_else(unknown)
}

fn details(breaker: &Breaker) -> Details {
    let now = breaker.snapshot(Coarse.now());
    let config = breaker.config();
    let percent = |rate: Option<f64>| format!("{:.1}%", rate.unwrap_or(-1.0));
    Details {
        failure_rate: percent(now.failure_rate),
        slow_call_rate: percent(now.slow_call_rate),
        failure_rate_threshold: percent(Some(config.failure_rate_percent.into())),
        slow_call_rate_threshold: percent(Some(config.slow_call_rate_percent.into())),
        buffered_calls: now.buffered_calls,
        failed_calls: now.failed_calls,
        slow_calls: now.slow_calls,
        slow_failed_calls: now.slow_failed_calls,
        not_permitted_calls: now.totals.refused,
        state: ShownState::of(now.mode, now.state),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Update {
    update_state: UpdateState,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum UpdateState {
    /// Closes it, resets its counts, and lets it decide again.
    Close,
    /// Rejects every call.
    ForceOpen,
    /// Lets every call through.
    Disable,
    /// Lets every call through, and counts.
    MetricsOnly,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Updated {
    circuit_breaker_name: String,
    current_state: ShownState,
    message: String,
}

async fn update(
    State(breakers): State<BreakerRegistry>,
    Id(name): Id<String>,
    Json(Update { update_state }): Json<Update>,
) -> Result<Response, Problem> {
    let (breaker, now) = (find(&breakers, &name)?, Coarse.now());
    let state = || {
        let now = breaker.snapshot(now);
        ShownState::of(now.mode, now.state)
    };
    let before = state();
    match update_state {
        UpdateState::Close => breaker.reset(now),
        UpdateState::ForceOpen => breaker.set_mode(Mode::ForcedOpen, now),
        UpdateState::Disable => breaker.set_mode(Mode::ForcedClosed, now),
        UpdateState::MetricsOnly => breaker.set_mode(Mode::MetricsOnly, now),
    }
    let current_state = state();
    let (from, to) = (before.name(), current_state.name());
    warn!("an operator has set the circuit breaker {name} from {from} to {to}");
    let message = format!("{name} state has been changed successfully");
    Ok(shown(&Updated { circuit_breaker_name: name, current_state, message }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Events {
    circuit_breaker_events: Vec<Event>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    circuit_breaker_name: String,
    r#type: EventType,
    #[serde(serialize_with = "as_text")]
    creation_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_transition: Option<String>,
}

fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

#[derive(Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum EventType {
    NotPermitted,
    StateTransition,
}

async fn events_of_all(State(breakers): State<BreakerRegistry>) -> Response {
    let breakers = breakers.breakers();
    let mut events: Vec<Event> =
        breakers.iter().flat_map(|(name, breaker)| events_of(name, breaker)).collect();
    events.sort_by_key(|event| event.creation_time); // Stable: those of one breaker keep their order.
    shown(&Events { circuit_breaker_events: events })
}

async fn events_of_one(
    State(breakers): State<BreakerRegistry>,
    Id(name): Id<String>,
) -> Result<Response, Problem> {
    let breaker = find(&breakers, &name)?;
    Ok(shown(&Events { circuit_breaker_events: events_of(&name, &breaker) }))
}

fn events_of(name: &str, breaker: &Breaker) -> Vec<Event> {
    let (now, wall) = (Coarse.now(), clock::now());
    let mut events = Vec::new();
    let mut state = ShownState::Closed;
    for event in breaker.events() {
        let event_of = |r#type, error_message, state_transition| Event {
            circuit_breaker_name: name.to_owned(),
            r#type,
            creation_time: wall_time(event.at, now, wall),
            error_message,
            state_transition,
        };
        if event.refused > 0 {
            let refused = format!("{} calls were rejected", event.refused);
            events.push(event_of(EventType::NotPermitted, Some(refused), None));
        }
        let (from, to, why) = match event.change {
            Change::State { from, to, cause } => {
                let of = |state| ShownState::of(Mode::Auto, state);
                (of(from), of(to), reason(cause))
            }
            // An automatic breaker begins closed.
            Change::Mode { from, to } => {
                let closed = breaker::State::Closed;
                let from = if from == Mode::Auto { state } else { ShownState::of(from, closed) };
                (from, ShownState::of(to, closed), reason(Cause::Operator))
            }
        };
        state = to;
        let transition = format!("{}_TO_{}", from.name(), to.name()).to_uppercase();
        events.push(event_of(EventType::StateTransition, Some(why.to_owned()), Some(transition)));
    }
    events
}

fn shown(body: &impl Serialize) -> Response {
    json::reply(StatusCode::OK, MEDIA_TYPE, body)
}

/// The wall-clock time of a moment.
fn wall_time(at: Moment, now: Moment, wall: Timestamp) -> Timestamp {
    let ago = SignedDuration::try_from(now.since(at)).unwrap_or_default();
    wall.checked_sub(ago).unwrap_or(wall)
}

fn reason(cause: Cause) -> &'static str {
    match cause {
        Cause::FailuresInARow => "too many failures in a row",
        Cause::TimeoutsInARow => "too many timeouts in a row",
        Cause::FailureRate => "too many calls failed",
        Cause::SlowCallRate => "too many calls were slow",
        Cause::OpenEnded => "the open time is over",
        Cause::ProbeFailed => "a probe failed or was slow",
        Cause::ProbesLost => "probes did not end in time",
        Cause::NoProbes => "no probe was sent in time",
        Cause::ProbesSucceeded => "the probes succeeded",
        Cause::RampEnded => "the ramp is over",
        Cause::Operator => "set by an operator",
    }
}
