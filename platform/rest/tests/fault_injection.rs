//! Fault injection: only where it is enabled, each mode as it is set, and never on operators' paths.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Request, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
};
use http_body_util::BodyExt;
use insta::assert_snapshot;
use platform_rest::{
    fault_injection::{FaultInjection, SILENCE},
    runtime::Runtime,
};
use tokio::time::{Instant, advance, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const SECOND: Duration = Duration::from_secs(1);

/// A service that counts the requests that it handles.
struct Service {
    app: Router,
    handled: Arc<AtomicU32>,
    runtime: Runtime,
}

/// Applies faults as the listener does.
async fn apply(
    State((faults, runtime)): State<(FaultInjection, Runtime)>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    faults.apply(&path, &runtime.stop, next.run(request)).await
}

impl Service {
    fn with_faults() -> Self {
        Self::new(true)
    }

    fn new(faults: bool) -> Self {
        let handled = Arc::<AtomicU32>::default();
        let runtime = Runtime::new("test", CancellationToken::new()).with_faults(faults);
        let count = Arc::clone(&handled);
        let app = Router::new()
            .route("/", get(async move || count.fetch_add(1, Ordering::Relaxed).to_string()))
            .route("/actuator/health", get(async || "UP"));
        let app = match &runtime.faults {
            None => app,
            Some(faults) => {
                let state = (faults.clone(), runtime.clone());
                app.layer(from_fn_with_state(state, apply)).merge(faults.router("test"))
            }
        };
        Self { app, handled, runtime }
    }

    async fn send(&self, line: &str, body: &str) -> (StatusCode, String) {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json");
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (head, body) = self.app.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (head.status, String::from_utf8(body).unwrap())
    }

    async fn get(&self, path: &str) -> u16 {
        self.send(&format!("GET {path}"), "").await.0.as_u16()
    }

    /// Sets faults; returns the response.
    async fn set(&self, body: &str) -> String {
        let (status, body) = self.send("POST /actuator/faults", body).await;
        format!("{} {body}", status.as_u16())
    }

    fn handled(&self) -> u32 {
        self.handled.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn without_the_option_the_path_is_not_found() {
    let service = Service::new(false);
    assert_eq!(service.get("/actuator/faults").await, 404);
    assert!(service.set(r#"{"mode":"errors"}"#).await.starts_with("404"));
    assert_eq!(service.get("/").await, 200);
}

#[tokio::test]
async fn no_fault_is_active_until_one_is_set() {
    let service = Service::with_faults();
    assert_eq!(service.get("/").await, 200);
    let shown = service.send("GET /actuator/faults", "").await.1;
    assert_snapshot!(shown, @r#"{"mode":"none","storeDelayUs":0}"#);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_request_is_handled_and_its_response_is_late() {
    let service = Service::with_faults();
    assert_snapshot!(service.set(r#"{"mode":"slow","delayMs":5000}"#).await, @r#"200 {"mode":"slow","delayMs":5000,"storeDelayUs":0}"#);
    let started = Instant::now();
    assert_eq!((service.get("/").await, service.handled()), (200, 1));
    assert!((5 * SECOND..6 * SECOND).contains(&started.elapsed()), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_failed_request_is_not_handled() {
    let service = Service::with_faults();
    service.set(r#"{"mode":"errors"}"#).await;
    let (status, body) = service.send("GET /", "").await;
    assert_snapshot!(format!("{status} {body}"), @r#"500 Internal Server Error {"type":"urn:anticorona:fault","title":"An injected fault: this is a drill","status":500}"#);
    assert_eq!(service.handled(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_silent_service_handles_requests_and_does_not_answer() {
    let service = Service::with_faults();
    service.set(r#"{"mode":"silent"}"#).await;
    assert!(timeout(SILENCE.mul_f32(0.9), service.get("/")).await.is_err());
    assert_eq!(service.handled(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_response_is_sent_when_the_service_drains() {
    let service = Service::with_faults();
    service.set(r#"{"mode":"silent"}"#).await;
    let started = Instant::now();
    let stop = async {
        advance(SECOND).await;
        service.runtime.stop.cancel();
    };
    let (status, ()) = tokio::join!(service.get("/"), stop);
    assert_eq!((status, started.elapsed().as_secs()), (200, 1));
}

#[tokio::test(start_paused = true)]
async fn a_burst_fails_or_delays_requests_for_a_part_of_each_period() {
    let service = Service::with_faults();
    let half = SECOND / 2;
    let set = service.set(r#"{"mode":"bursts","everyMs":1000,"forMs":500}"#).await;
    assert_snapshot!(set, @r#"200 {"mode":"bursts","everyMs":1000,"forMs":500,"storeDelayUs":0}"#);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(service.get("/").await);
        advance(half).await;
    }
    assert_eq!(statuses, [500, 200, 500, 200]);

    let set = service.set(r#"{"mode":"bursts","everyMs":1000,"forMs":500,"delayMs":700}"#).await;
    assert_snapshot!(set, @r#"200 {"mode":"bursts","delayMs":700,"everyMs":1000,"forMs":500,"storeDelayUs":0}"#);
    let started = Instant::now();
    service.get("/").await;
    assert!(started.elapsed() >= Duration::from_millis(700));
    let started = Instant::now(); // After the burst.
    service.get("/").await;
    assert!(started.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn the_paths_of_operators_never_fail() {
    let service = Service::with_faults();
    for mode in [r#"{"mode":"errors"}"#, r#"{"mode":"silent"}"#] {
        service.set(mode).await;
        let health = timeout(SECOND, service.get("/actuator/health")).await;
        assert_eq!(health, Ok(200), "{mode}");
    }
    assert_snapshot!(service.set(r#"{"mode":"none"}"#).await, @r#"200 {"mode":"none","storeDelayUs":0}"#);
    assert_eq!(timeout(SECOND, service.get("/")).await, Ok(200));
}

#[tokio::test]
async fn a_setting_that_is_not_named_is_unchanged() {
    let service = Service::with_faults();
    service.set(r#"{"storeDelayUs":250,"mode":"errors"}"#).await;
    assert_snapshot!(service.set(r#"{"mode":"none"}"#).await, @r#"200 {"mode":"none","storeDelayUs":250}"#);
    service.set(r#"{"mode":"silent"}"#).await;
    assert_snapshot!(service.set(r#"{"storeDelayUs":0}"#).await, @r#"200 {"mode":"silent","storeDelayUs":0}"#);
    let delay = service.runtime.faults.clone().unwrap().store_delay_us;
    service.set(r#"{"storeDelayUs":10000}"#).await;
    assert_eq!(delay.load(Ordering::Relaxed), 10_000);
}

#[tokio::test]
async fn a_wrong_setting_is_rejected_with_its_field_and_changes_nothing() {
    let service = Service::with_faults();
    service.set(r#"{"mode":"errors","storeDelayUs":7}"#).await;
    let mut problems = String::new();
    for body in [
        "{}",
        "[]",
        r#"{"mode":"gone"}"#,
        r#"{"mode":"slow"}"#,
        r#"{"mode":"slow","delayMs":30001}"#,
        r#"{"mode":"slow","delayMs":-1}"#,
        r#"{"mode":"slow","delayMs":0}"#,
        r#"{"mode":"slow","delayMs":5,"forMs":5}"#,
        r#"{"mode":"errors","delayMs":5}"#,
        r#"{"mode":"silent","forMs":5}"#,
        r#"{"mode":"bursts","forMs":5}"#,
        r#"{"mode":"bursts","everyMs":60001,"forMs":5}"#,
        r#"{"mode":"bursts","everyMs":5,"forMs":6}"#,
        r#"{"mode":"none","delayMs":5}"#,
        r#"{"storeDelayUs":5,"delayMs":5}"#,
        r#"{"mode":"none","storeDelayUs":10001}"#,
        r#"{"mode":"none","delay":5}"#,
    ] {
        let (status, response) = service.send("POST /actuator/faults", body).await;
        let problem: serde_json::Value = serde_json::from_str(&response).unwrap();
        let (field, detail) = (&problem["field"], problem["detail"].as_str().unwrap());
        writeln!(problems, "{body}: {} {field} {detail}", status.as_u16()).unwrap();
    }
    assert_snapshot!(problems, @r#"
    {}: 422 "mode" give mode, storeDelayUs or both
    []: 400 null the body must be a JSON object
    {"mode":"gone"}: 422 "mode" unknown variant `gone`, expected one of `none`, `slow`, `errors`, `silent`, `bursts` at line 1 column 14
    {"mode":"slow"}: 422 "delayMs" must be from 1 to 30000
    {"mode":"slow","delayMs":30001}: 422 "delayMs" must be from 1 to 30000
    {"mode":"slow","delayMs":-1}: 422 "delayMs" invalid value: integer `-1`, expected u32 at line 1 column 27
    {"mode":"slow","delayMs":0}: 422 "delayMs" must be from 1 to 30000
    {"mode":"slow","delayMs":5,"forMs":5}: 422 "forMs" is not used by this mode
    {"mode":"errors","delayMs":5}: 422 "delayMs" is not used by this mode
    {"mode":"silent","forMs":5}: 422 "forMs" is not used by this mode
    {"mode":"bursts","forMs":5}: 422 "everyMs" must be from 1 to 60000
    {"mode":"bursts","everyMs":60001,"forMs":5}: 422 "everyMs" must be from 1 to 60000
    {"mode":"bursts","everyMs":5,"forMs":6}: 422 "forMs" must be from 1 to 5
    {"mode":"none","delayMs":5}: 422 "delayMs" is not used by this mode
    {"storeDelayUs":5,"delayMs":5}: 422 "delayMs" is not used by this mode
    {"mode":"none","storeDelayUs":10001}: 422 "storeDelayUs" must be from 0 to 10000
    {"mode":"none","delay":5}: 422 "delay" unknown field `delay`, expected one of `mode`, `delayMs`, `everyMs`, `forMs`, `storeDelayUs` at line 1 column 22
    "#);
    let shown = service.send("GET /actuator/faults", "").await.1;
    assert_snapshot!(shown, @r#"{"mode":"errors","storeDelayUs":7}"#);
}
