//! Faults on purpose: only where they were asked for, each as it says, and never where operators
//! ask.

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
use chassis::{
    fault::{Faults, SILENCE},
    process::Process,
};
use http_body_util::BodyExt;
use insta::assert_snapshot;
use tokio::time::{Instant, advance, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const SECOND: Duration = Duration::from_secs(1);

/// A part that counts what it does.
struct Part {
    app: Router,
    done: Arc<AtomicU32>,
    process: Process,
    stop: CancellationToken,
}

/// As the listener does it.
async fn around(
    State((faults, process)): State<(Faults, Process)>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    faults.around(&path, &process, next.run(request)).await
}

impl Part {
    fn rehearsing() -> Self {
        Self::new(true)
    }

    fn new(faults: bool) -> Self {
        let (stop, done) = (CancellationToken::new(), Arc::<AtomicU32>::default());
        let process = Process::new(stop.clone()).with_faults(faults);
        let count = Arc::clone(&done);
        let app = Router::new()
            .route("/", get(async move || count.fetch_add(1, Ordering::Relaxed).to_string()))
            .merge(chassis::health::router("test", process.readiness()));
        let app = match process.faults() {
            None => app,
            Some(faults) => {
                let state = (faults.clone(), process.clone());
                app.layer(from_fn_with_state(state, around)).merge(faults.router("test"))
            }
        };
        Self { app, done, process, stop }
    }

    async fn ask(&self, line: &str, body: &str) -> (StatusCode, String) {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json");
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (head, body) = self.app.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (head.status, String::from_utf8(body).unwrap())
    }

    async fn get(&self, path: &str) -> u16 {
        self.ask(&format!("GET {path}"), "").await.0.as_u16()
    }

    /// Sets faults and tells what they are then.
    async fn set(&self, body: &str) -> String {
        let (status, body) = self.ask("POST /actuator/faults", body).await;
        format!("{} {body}", status.as_u16())
    }

    fn done(&self) -> u32 {
        self.done.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn without_faults_there_is_no_switch() {
    let part = Part::new(false);
    assert_eq!(part.get("/actuator/faults").await, 404);
    assert!(part.set(r#"{"mode":"errors"}"#).await.starts_with("404"));
    assert_eq!(part.get("/").await, 200);
}

#[tokio::test]
async fn a_part_that_may_fail_does_not_until_it_is_told() {
    let part = Part::rehearsing();
    assert_eq!(part.get("/").await, 200);
    let shown = part.ask("GET /actuator/faults", "").await.1;
    assert_snapshot!(shown, @r#"{"mode":"none","storeDelayUs":0}"#);
}

#[tokio::test(start_paused = true)]
async fn slow_answers_are_true_and_late() {
    let part = Part::rehearsing();
    assert_snapshot!(part.set(r#"{"mode":"slow","delayMs":5000}"#).await, @r#"200 {"mode":"slow","delayMs":5000,"storeDelayUs":0}"#);
    let asked = Instant::now();
    assert_eq!((part.get("/").await, part.done()), (200, 1));
    assert!((5 * SECOND..6 * SECOND).contains(&asked.elapsed()), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn errors_are_answered_instead_of_doing_it() {
    let part = Part::rehearsing();
    part.set(r#"{"mode":"errors"}"#).await;
    let (status, body) = part.ask("GET /", "").await;
    assert_snapshot!(format!("{status} {body}"), @r#"500 Internal Server Error {"type":"urn:anticorona:fault","title":"A fault on purpose: this is a rehearsal","status":500}"#);
    assert_eq!(part.done(), 0);
}

#[tokio::test]
async fn so_many_of_a_hundred_fail_as_was_asked_for() {
    let part = Part::rehearsing();
    part.set(r#"{"mode":"errors","percent":25}"#).await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(part.get("/").await);
    }
    assert_eq!(statuses, [200, 200, 200, 500, 200, 200, 200, 500]);
    assert_eq!(part.done(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_silent_part_takes_requests_and_does_not_answer() {
    let part = Part::rehearsing();
    part.set(r#"{"mode":"silent"}"#).await;
    assert!(timeout(SILENCE.mul_f32(0.9), part.get("/")).await.is_err());
    assert_eq!(part.done(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_back_is_answered_when_the_process_drains() {
    let part = Part::rehearsing();
    part.set(r#"{"mode":"silent"}"#).await;
    let asked = Instant::now();
    let stop = async {
        advance(SECOND).await;
        part.stop.cancel();
    };
    let (status, ()) = tokio::join!(part.get("/"), stop);
    assert_eq!((status, asked.elapsed().as_secs()), (200, 1));
    assert!(!part.process.readiness().is_ready());
}

#[tokio::test(start_paused = true)]
async fn bursts_come_and_go() {
    let part = Part::rehearsing();
    let half = SECOND / 2;
    let set = part.set(r#"{"mode":"bursts","everyMs":1000,"forMs":500}"#).await;
    assert_snapshot!(set, @r#"200 {"mode":"bursts","percent":100,"everyMs":1000,"forMs":500,"storeDelayUs":0}"#);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(part.get("/").await);
        advance(half).await;
    }
    assert_eq!(statuses, [500, 200, 500, 200]);

    let set = part.set(r#"{"mode":"bursts","everyMs":1000,"forMs":500,"delayMs":700}"#).await;
    assert_snapshot!(set, @r#"200 {"mode":"bursts","delayMs":700,"everyMs":1000,"forMs":500,"storeDelayUs":0}"#);
    let asked = Instant::now();
    part.get("/").await;
    assert!(asked.elapsed() >= Duration::from_millis(700));
    let asked = Instant::now(); // Behind the burst.
    part.get("/").await;
    assert!(asked.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn operators_are_answered_whatever_is_set() {
    let part = Part::rehearsing();
    for mode in [r#"{"mode":"errors"}"#, r#"{"mode":"silent"}"#] {
        part.set(mode).await;
        let health = timeout(SECOND, part.get("/actuator/health")).await;
        assert_eq!(health, Ok(200), "{mode}");
    }
    assert_snapshot!(part.set(r#"{"mode":"none"}"#).await, @r#"200 {"mode":"none","storeDelayUs":0}"#);
    assert_eq!(timeout(SECOND, part.get("/")).await, Ok(200));
}

#[tokio::test]
async fn what_is_not_named_stays_as_it_is() {
    let part = Part::rehearsing();
    part.set(r#"{"storeDelayUs":250,"mode":"errors","percent":1}"#).await;
    assert_snapshot!(part.set(r#"{"mode":"none"}"#).await, @r#"200 {"mode":"none","storeDelayUs":250}"#);
    part.set(r#"{"mode":"silent"}"#).await;
    assert_snapshot!(part.set(r#"{"storeDelayUs":0}"#).await, @r#"200 {"mode":"silent","storeDelayUs":0}"#);
    let delay = part.process.faults().unwrap().store_delay_us();
    part.set(r#"{"storeDelayUs":10000}"#).await;
    assert_eq!(delay.load(Ordering::Relaxed), 10_000);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name_and_changes_nothing() {
    let part = Part::rehearsing();
    part.set(r#"{"mode":"errors","percent":7,"storeDelayUs":7}"#).await;
    let mut story = String::new();
    for body in [
        "{}",
        "[]",
        r#"{"mode":"gone"}"#,
        r#"{"mode":"slow"}"#,
        r#"{"mode":"slow","delayMs":30001}"#,
        r#"{"mode":"slow","delayMs":5,"percent":5}"#,
        r#"{"mode":"errors","percent":101}"#,
        r#"{"mode":"errors","percent":0}"#,
        r#"{"mode":"silent","forMs":5}"#,
        r#"{"mode":"bursts","forMs":5}"#,
        r#"{"mode":"bursts","everyMs":60001,"forMs":5}"#,
        r#"{"mode":"bursts","everyMs":5,"forMs":6}"#,
        r#"{"mode":"bursts","everyMs":5,"forMs":5,"percent":5,"delayMs":5}"#,
        r#"{"mode":"none","delayMs":5}"#,
        r#"{"storeDelayUs":5,"delayMs":5}"#,
        r#"{"mode":"none","storeDelayUs":10001}"#,
        r#"{"mode":"none","delay":5}"#,
    ] {
        let (status, answer) = part.ask("POST /actuator/faults", body).await;
        let problem: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let (field, detail) = (&problem["field"], problem["detail"].as_str().unwrap());
        writeln!(story, "{body}: {} {field} {detail}", status.as_u16()).unwrap();
    }
    assert_snapshot!(story, @r#"
    {}: 422 "mode" give mode, storeDelayUs or both
    []: 400 null the body must be a JSON object
    {"mode":"gone"}: 422 "mode" unknown variant `gone`, expected one of `none`, `slow`, `errors`, `silent`, `bursts` at line 1 column 14
    {"mode":"slow"}: 422 "delayMs" must be from 1 to 30000
    {"mode":"slow","delayMs":30001}: 422 "delayMs" must be from 1 to 30000
    {"mode":"slow","delayMs":5,"percent":5}: 422 "percent" has no meaning beside this mode
    {"mode":"errors","percent":101}: 422 "percent" must be from 1 to 100
    {"mode":"errors","percent":0}: 422 "percent" must be from 1 to 100
    {"mode":"silent","forMs":5}: 422 "forMs" has no meaning beside this mode
    {"mode":"bursts","forMs":5}: 422 "everyMs" must be from 1 to 60000
    {"mode":"bursts","everyMs":60001,"forMs":5}: 422 "everyMs" must be from 1 to 60000
    {"mode":"bursts","everyMs":5,"forMs":6}: 422 "forMs" must be from 1 to 5
    {"mode":"bursts","everyMs":5,"forMs":5,"percent":5,"delayMs":5}: 422 "percent" has no meaning beside this mode
    {"mode":"none","delayMs":5}: 422 "delayMs" has no meaning beside this mode
    {"storeDelayUs":5,"delayMs":5}: 422 "delayMs" has no meaning beside this mode
    {"mode":"none","storeDelayUs":10001}: 422 "storeDelayUs" must be from 0 to 10000
    {"mode":"none","delay":5}: 422 "delay" unknown field `delay`, expected one of `mode`, `delayMs`, `percent`, `everyMs`, `forMs`, `storeDelayUs` at line 1 column 22
    "#);
    let shown = part.ask("GET /actuator/faults", "").await.1;
    assert_snapshot!(shown, @r#"{"mode":"errors","percent":7,"storeDelayUs":7}"#);
}
