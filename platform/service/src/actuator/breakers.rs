//! `/actuator/circuitbreakers` and `/actuator/circuitbreakerevents`, in the shapes of resilience4j's
//! Spring Boot starter, for people and tools that know those.
//!
//! Two differences: the ramp, in which a growing share of calls is let through again, is shown as
//! `HALF_OPEN`, and rejected calls are one event with their number, not one event each.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};
use jiff::{SignedDuration, Timestamp};
use platform_resilience::{
    breaker::{self, Breaker, Cause, Change, Mode},
    time::{Coarse, Moment},
};
use platform_rest::{
    breaker_registry::BreakerRegistry,
    json::{Id, Json, reply},
    problem::Problem,
};
use platform_telemetry::clock;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;
use tracing::warn;

use crate::health::MEDIA_TYPE;

/// Every route; with `read_only`, none that changes a breaker.
pub(super) fn router(breakers: BreakerRegistry, read_only: bool) -> Router {
    let one = if read_only { get(one) } else { get(one).post(update) };
    Router::new()
        .route("/actuator/circuitbreakers", get(all))
        .route("/actuator/circuitbreakers/{name}", one)
        .route("/actuator/circuitbreakerevents", get(events_of_all))
        .route("/actuator/circuitbreakerevents/{name}", get(events_of_one))
        .with_state(breakers)
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
    state: &'static str,
}

/// The states of resilience4j: ours, and the modes that an operator has set.
pub(super) const STATES: [&str; 6] =
    ["CLOSED", "OPEN", "HALF_OPEN", "FORCED_OPEN", "DISABLED", "METRICS_ONLY"];

/// One of [`STATES`].
pub(super) fn shown_state(mode: Mode, state: breaker::State) -> &'static str {
    match (mode, state) {
        (Mode::Auto, breaker::State::Closed) => "CLOSED",
        (Mode::Auto, breaker::State::Open) => "OPEN",
        (Mode::Auto, breaker::State::HalfOpen | breaker::State::Ramping) => "HALF_OPEN",
        (Mode::ForcedOpen, _) => "FORCED_OPEN",
        (Mode::ForcedClosed, _) => "DISABLED",
        (Mode::MetricsOnly, _) => "METRICS_ONLY",
    }
}

async fn all(State(breakers): State<BreakerRegistry>) -> Response {
    let breakers = breakers.breakers().into_iter();
    let details: BTreeMap<_, _> = breakers.map(|(name, it)| (name, details(&it))).collect();
    shown(&BTreeMap::from([("circuitBreakers", details)]))
}

async fn one(
    State(breakers): State<BreakerRegistry>,
    Id(name): Id<String>,
) -> Result<Response, Problem> {
    Ok(shown(&details(&*find(&breakers, &name)?)))
}

fn find(breakers: &BreakerRegistry, name: &str) -> Result<Arc<Breaker>, Problem> {
    let unknown = || Problem::not_found(format!("there is no circuit breaker {name:?}"));
    breakers.breakers().remove(name).ok_or_else(unknown)
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
        state: shown_state(now.mode, now.state),
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

async fn update(
    State(breakers): State<BreakerRegistry>,
    Id(name): Id<String>,
    Json(Update { update_state }): Json<Update>,
) -> Result<Response, Problem> {
    let (breaker, now) = (find(&breakers, &name)?, Coarse.now());
    let state = || {
        let now = breaker.snapshot(now);
        shown_state(now.mode, now.state)
    };
    let from = state();
    match update_state {
        UpdateState::Close => breaker.reset(now),
        UpdateState::ForceOpen => breaker.set_mode(Mode::ForcedOpen, now),
        UpdateState::Disable => breaker.set_mode(Mode::ForcedClosed, now),
        UpdateState::MetricsOnly => breaker.set_mode(Mode::MetricsOnly, now),
    }
    let to = state();
    let change = format!("from {from} to {to}").to_lowercase();
    warn!("an operator has set the circuit breaker {name} {change}");
    let message = format!("{name} state has been changed successfully");
    let body = json!({"circuitBreakerName": name, "currentState": to, "message": message});
    Ok(shown(&body))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    circuit_breaker_name: String,
    r#type: &'static str,
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

async fn events_of_all(State(breakers): State<BreakerRegistry>) -> Response {
    let breakers = breakers.breakers();
    let mut events: Vec<Event> =
        breakers.iter().flat_map(|(name, breaker)| events_of(name, breaker)).collect();
    events.sort_by_key(|event| event.creation_time); // Stable: those of one breaker keep their order.
    shown_events(events)
}

async fn events_of_one(
    State(breakers): State<BreakerRegistry>,
    Id(name): Id<String>,
) -> Result<Response, Problem> {
    let breaker = find(&breakers, &name)?;
    Ok(shown_events(events_of(&name, &breaker)))
}

fn shown_events(events: Vec<Event>) -> Response {
    shown(&BTreeMap::from([("circuitBreakerEvents", events)]))
}

fn events_of(name: &str, breaker: &Breaker) -> Vec<Event> {
    let (now, wall) = (Coarse.now(), clock::now());
    let mut events = Vec::new();
    let mut state = "CLOSED";
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
            events.push(event_of("NOT_PERMITTED", Some(refused), None));
        }
        let (from, to, why) = match event.change {
            Change::State { from, to, cause } => {
                let of = |state| shown_state(Mode::Auto, state);
                (of(from), of(to), reason(cause))
            }
            // An automatic breaker begins closed.
            Change::Mode { from, to } => {
                let closed = breaker::State::Closed;
                let from = if from == Mode::Auto { state } else { shown_state(from, closed) };
                (from, shown_state(to, closed), reason(Cause::Operator))
            }
        };
        state = to;
        let transition = format!("{from}_TO_{to}");
        events.push(event_of("STATE_TRANSITION", Some(why.to_owned()), Some(transition)));
    }
    events
}

fn shown(body: &impl Serialize) -> Response {
    reply(StatusCode::OK, MEDIA_TYPE, body)
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
