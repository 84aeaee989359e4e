//! The actuator endpoints: circuit breakers as operators see and set them, and metrics.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::Request, routing::get};
use insta::assert_snapshot;
use platform_resilience::{
    breaker::{Breaker, BreakerConfig, CallOutcome},
    time::Coarse,
};
use platform_rest::{
    client::{Call, Client},
    listener::Listener,
    runtime::Runtime,
};
use platform_service::actuator;
use platform_telemetry::clock;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const TIMEOUT: Duration = Duration::from_secs(5);

const CHANGEABLE: bool = false;

const READ_ONLY: bool = true;

/// A service that calls two others.
struct TestService {
    client: Client,
    runtime: Runtime,
    vaccine: Arc<Breaker>,
    _serving: JoinSet<io::Result<()>>,
}

impl TestService {
    fn start(read_only: bool) -> Self {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let client = Client::new(format!("http://{}", listener.address()).parse().unwrap());
        let runtime = Runtime::new("test", CancellationToken::new());
        for service in ["vaccine", "mypage"] {
            let base = "http://127.0.0.1:1".parse().unwrap();
            Client::guarded(service, base, &BreakerConfig::default(), &runtime).unwrap();
        }
        let vaccine = runtime.breakers.breakers().remove("vaccine").unwrap();
        let actuator = actuator::router("test", &runtime, None, read_only);
        let router = Router::new().route("/", get(async || "hello")).merge(actuator);
        let (mut serving, served) = (JoinSet::new(), runtime.clone());
        serving.spawn(async move { listener.serve("test", router, TIMEOUT, &served).await });
        Self { client, runtime, vaccine, _serving: serving }
    }

    async fn request(&self, line: &str, body: &str) -> (u16, String) {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json");
        let call = Call::of(request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap());
        let response = self.client.send(call, Instant::now() + TIMEOUT).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    async fn json(&self, line: &str, body: &str) -> Value {
        let (status, text) = self.request(line, body).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn update(&self, state: &str) -> Value {
        let body = json!({"updateState": state}).to_string();
        self.json("POST /actuator/circuitbreakers/vaccine", &body).await
    }

    async fn state(&self) -> Value {
        self.json("GET /actuator/circuitbreakers/vaccine", "").await["state"].take()
    }

    /// A call to vaccine with this outcome; returns whether its breaker has admitted it.
    fn call(&self, outcome: CallOutcome) -> bool {
        let permit = self.vaccine.enter(Coarse.now());
        permit.map(|permit| permit.record(outcome, None, Coarse.now())).is_ok()
    }

    /// The lines of the metrics that start like this.
    async fn metrics(&self, start: &str) -> Vec<String> {
        let text = self.runtime.metrics.render().await;
        text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
    }
}

/// The events, without their times.
async fn events(service: &TestService, path: &str) -> Vec<Value> {
    let mut response = service.json(&format!("GET {path}"), "").await;
    let Value::Array(mut events) = response["circuitBreakerEvents"].take() else {
        panic!("no list: {response}")
    };
    let now = clock::now();
    let mut before = now - jiff::SignedDuration::from_mins(1);
    for event in &mut events {
        let time: jiff::Timestamp = event["creationTime"].as_str().unwrap().parse().unwrap();
        assert!(before <= time && time <= now, "not just now, or not in order: {event}");
        before = time;
        event.as_object_mut().unwrap().remove("creationTime");
    }
    events
}

#[tokio::test]
async fn breakers_are_shown_as_resilience4j_shows_them() {
    let service = TestService::start(CHANGEABLE);
    for _ in 0..15 {
        service.call(CallOutcome::Success);
    }
    for _ in 0..5 {
        service.call(CallOutcome::Failure);
    }
    assert!(!service.call(CallOutcome::Success));
    let (_, all) = service.request("GET /actuator/circuitbreakers", "").await;
    assert_snapshot!(all, @r#"{"circuitBreakers":{"mypage":{"failureRate":"-1.0%","slowCallRate":"-1.0%","failureRateThreshold":"50.0%","slowCallRateThreshold":"80.0%","bufferedCalls":0,"failedCalls":0,"slowCalls":0,"slowFailedCalls":0,"notPermittedCalls":0,"state":"CLOSED"},"vaccine":{"failureRate":"-1.0%","slowCallRate":"-1.0%","failureRateThreshold":"50.0%","slowCallRateThreshold":"80.0%","bufferedCalls":0,"failedCalls":0,"slowCalls":0,"slowFailedCalls":0,"notPermittedCalls":1,"state":"OPEN"}}}"#);
    let one = service.json("GET /actuator/circuitbreakers/vaccine", "").await;
    assert_eq!((&one["state"], &one["notPermittedCalls"]), (&json!("OPEN"), &json!(1)));
}

#[tokio::test]
async fn an_operator_overrides_a_breaker_and_resets_it() {
    let service = TestService::start(CHANGEABLE);
    assert_eq!(
        service.update("FORCE_OPEN").await,
        json!({
            "circuitBreakerName": "vaccine",
            "currentState": "FORCED_OPEN",
            "message": "vaccine state has been changed successfully",
        })
    );
    assert_eq!(service.state().await, "FORCED_OPEN");
    assert!(!service.call(CallOutcome::Success));
    for (state, shown) in [("DISABLE", "DISABLED"), ("METRICS_ONLY", "METRICS_ONLY")] {
        assert_eq!(service.update(state).await["currentState"], shown);
        assert_eq!(service.state().await, shown);
        assert!((0..10).all(|_| service.call(CallOutcome::Failure)), "{state}");
    }
    assert_eq!(service.update("CLOSE").await["currentState"], "CLOSED");
    let admitted = (0..10).filter(|_| service.call(CallOutcome::Failure)).count();
    assert_eq!((admitted, service.state().await), (5, json!("OPEN")));
    assert_eq!(service.update("CLOSE").await["currentState"], "CLOSED");
    assert!(service.call(CallOutcome::Success));
}

#[tokio::test]
async fn an_invalid_request_changes_nothing_and_is_explained() {
    let service = TestService::start(CHANGEABLE);
    let vaccine = "POST /actuator/circuitbreakers/vaccine";
    for (line, body, status, explanation) in [
        (vaccine, "", 400, "the body must be a JSON object"),
        (vaccine, r#"{"updateState":"#, 400, "not JSON"),
        (vaccine, "{}", 422, r#""field":"updateState""#),
        (vaccine, r#"{"updateState":"EXPLODE"}"#, 422, "FORCE_OPEN"),
        (vaccine, r#"{"updateState":"CLOSE","force":true}"#, 422, r#""field":"force""#),
        ("POST /actuator/circuitbreakers/unknown", r#"{"updateState":"CLOSE"}"#, 404, "unknown"),
        ("GET /actuator/circuitbreakers/unknown", "", 404, "unknown"),
        ("GET /actuator/circuitbreakerevents/unknown", "", 404, "unknown"),
        ("PUT /actuator/circuitbreakers/vaccine", "{}", 405, "see the Allow header"),
    ] {
        let (actual, text) = service.request(line, body).await;
        assert_eq!(actual, status, "{line} {body}: {text}");
        assert!(text.contains(explanation), "{line} {body}: {text}");
    }
    assert_eq!(service.state().await, "CLOSED");
    assert_eq!(events(&service, "/actuator/circuitbreakerevents").await, [Value::Null; 0]);
}

#[tokio::test]
async fn events_of_breakers_are_listed_in_order() {
    let service = TestService::start(CHANGEABLE);
    for _ in 0..8 {
        service.call(CallOutcome::Failure);
    }
    service.update("FORCE_OPEN").await;
    service.update("CLOSE").await;
    let transition = |name: &str, why: &str| {
        json!({
            "circuitBreakerName": "vaccine",
            "type": "STATE_TRANSITION",
            "errorMessage": why,
            "stateTransition": name,
        })
    };
    let listed = events(&service, "/actuator/circuitbreakerevents/vaccine").await;
    let expected = [
        transition("CLOSED_TO_OPEN", "too many failures in a row"),
        json!({
            "circuitBreakerName": "vaccine",
            "type": "NOT_PERMITTED",
            "errorMessage": "3 calls were rejected",
        }),
        transition("OPEN_TO_FORCED_OPEN", "set by an operator"),
        transition("FORCED_OPEN_TO_CLOSED", "set by an operator"),
    ];
    assert_eq!(listed[..4], expected);
    assert_eq!(events(&service, "/actuator/circuitbreakerevents").await, listed);
    assert_eq!(events_of_mypage(&service).await, 0);
}

async fn events_of_mypage(service: &TestService) -> usize {
    let listed = service.json("GET /actuator/circuitbreakerevents/mypage", "").await;
    listed["circuitBreakerEvents"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_read_only_actuator_changes_nothing() {
    let service = TestService::start(READ_ONLY);
    assert_eq!(service.state().await, "CLOSED");
    let update = r#"{"updateState":"FORCE_OPEN"}"#;
    let (status, _) = service.request("POST /actuator/circuitbreakers/vaccine", update).await;
    assert_eq!((status, service.state().await), (405, json!("CLOSED")));
}

#[tokio::test]
async fn metrics_of_breakers_have_the_names_of_resilience4j() {
    let service = TestService::start(CHANGEABLE);
    for _ in 0..20 {
        service.call(CallOutcome::Success);
    }
    service.call(CallOutcome::Failure);
    service.call(CallOutcome::Overload);
    service.call(CallOutcome::Timeout);
    service.call(CallOutcome::Cancelled);
    let of_vaccine = async |name: &str| service.metrics(&format!("{name}{{name=\"vaccine\"")).await;
    assert_eq!(
        of_vaccine("resilience4j_circuitbreaker_state").await,
        [
            r#"resilience4j_circuitbreaker_state{name="vaccine",state="closed"} 1"#,
            r#"resilience4j_circuitbreaker_state{name="vaccine",state="open"} 0"#,
            r#"resilience4j_circuitbreaker_state{name="vaccine",state="half_open"} 0"#,
            r#"resilience4j_circuitbreaker_state{name="vaccine",state="forced_open"} 0"#,
            r#"resilience4j_circuitbreaker_state{name="vaccine",state="disabled"} 0"#,
            r#"resilience4j_circuitbreaker_state{name="vaccine",state="metrics_only"} 0"#,
        ]
    );
    assert_eq!(
        of_vaccine("resilience4j_circuitbreaker_calls_total").await,
        [
            r#"resilience4j_circuitbreaker_calls_total{name="vaccine",kind="successful"} 20"#,
            r#"resilience4j_circuitbreaker_calls_total{name="vaccine",kind="failed"} 1"#,
            r#"resilience4j_circuitbreaker_calls_total{name="vaccine",kind="timeout"} 1"#,
            r#"resilience4j_circuitbreaker_calls_total{name="vaccine",kind="overload"} 1"#,
            r#"resilience4j_circuitbreaker_calls_total{name="vaccine",kind="ignored"} 1"#,
        ]
    );
    assert_eq!(
        of_vaccine("resilience4j_circuitbreaker_buffered_calls").await,
        [
            r#"resilience4j_circuitbreaker_buffered_calls{name="vaccine",kind="successful"} 20"#,
            r#"resilience4j_circuitbreaker_buffered_calls{name="vaccine",kind="failed"} 3"#,
        ]
    );
    let rate = of_vaccine("resilience4j_circuitbreaker_failure_rate").await.concat();
    assert!(rate.ends_with("} 13.043478260869565"), "{rate}");
    let rate = service.metrics("resilience4j_circuitbreaker_failure_rate{name=\"mypage\"").await;
    assert!(rate.concat().ends_with("} -1.0"), "{rate:?}");

    service.update("FORCE_OPEN").await;
    service.call(CallOutcome::Success);
    let open = of_vaccine("resilience4j_circuitbreaker_state").await;
    let is_one = |line: &&String| line.ends_with(" 1");
    assert_eq!(
        open.iter().filter(is_one).collect::<Vec<_>>(),
        [r#"resilience4j_circuitbreaker_state{name="vaccine",state="forced_open"} 1"#]
    );
    assert_eq!(
        of_vaccine("resilience4j_circuitbreaker_not_permitted_calls_total").await,
        [
            r#"resilience4j_circuitbreaker_not_permitted_calls_total{name="vaccine",kind="not_permitted"} 1"#
        ]
    );
}

#[tokio::test]
async fn metrics_count_admission_and_retries() {
    let service = TestService::start(CHANGEABLE);
    let budget = service.runtime.breakers.budgets().remove("vaccine").unwrap();
    (0..30).for_each(|_| budget.record_call(Coarse.now()));
    assert!(budget.try_retry(Coarse.now()));
    service.request("GET /", "").await;
    assert_eq!(
        service.metrics("anticorona_retries_total{name=\"vaccine\"").await,
        [r#"anticorona_retries_total{name="vaccine"} 1"#]
    );
    assert_eq!(
        service.metrics("anticorona_retry_budget{name=\"vaccine\"").await,
        [r#"anticorona_retry_budget{name="vaccine"} 102"#]
    );
    let read = r#"anticorona_admission_admitted_total{priority="read"}"#;
    assert_eq!(service.metrics(read).await, [format!("{read} 1")]);
    assert_eq!(
        service.metrics("anticorona_admission_in_flight").await,
        ["anticorona_admission_in_flight 0"]
    );
    assert_eq!(service.metrics("anticorona_admission_shed_total").await.len(), 4);
    let count = "anticorona_admission_wait_seconds_count";
    assert_eq!(service.metrics(count).await, [format!("{count} 0")]);
    for name in ["limit", "waiting", "throughput_per_second", "expected_wait_seconds"] {
        let lines = service.metrics(&format!("anticorona_admission_{name}")).await;
        assert!(!lines.is_empty(), "{name}");
    }
}
