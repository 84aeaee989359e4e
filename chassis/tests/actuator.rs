//! What operators see of the guards of a part, and how they steer them.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::Request, routing::get};
use chassis::{
    actuator,
    client::{Call, Client},
    listen::Listener,
    process::Process,
};
use insta::assert_snapshot;
use resilience::{
    breaker::{Answer, Breaker, BreakerConfig},
    budget::{Budget, BudgetConfig},
    time::{Clock, Coarse},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A part that calls two others.
struct Part {
    client: Client,
    process: Process,
    vaccine: Arc<Breaker>,
    _serving: JoinSet<io::Result<()>>,
}

impl Part {
    fn start(routes: fn(&'static str, &Process) -> Router) -> Self {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let client = Client::new(format!("http://{}", listener.address()).parse().unwrap());
        let process = Process::new(CancellationToken::new());
        let vaccine = Arc::new(Breaker::new(BreakerConfig::default()).unwrap());
        let mypage = Arc::new(Breaker::new(BreakerConfig::default()).unwrap());
        process.isolation().add_breaker("vaccine".to_owned(), &vaccine);
        process.isolation().add_breaker("mypage".to_owned(), &mypage);
        let app = Router::new().route("/", get(async || "hello")).merge(routes("test", &process));
        let (mut serving, serves) = (JoinSet::new(), process.clone());
        serving.spawn(
            async move { listener.serve("test", app, Duration::from_secs(5), &serves).await },
        );
        Self { client, process, vaccine, _serving: serving }
    }

    async fn ask(&self, line: &str, body: &str) -> (u16, String) {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json");
        let call = Call::of(request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap());
        let by = Instant::now() + Duration::from_secs(5);
        let (head, body) = self.client.send(call, by).await.unwrap().into_parts();
        (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    async fn json(&self, line: &str, body: &str) -> Value {
        let (status, text) = self.ask(line, body).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn force(&self, state: &str) -> Value {
        let body = json!({"updateState": state}).to_string();
        self.json("POST /actuator/circuitbreakers/vaccine", &body).await
    }

    async fn state(&self) -> Value {
        self.json("GET /actuator/circuitbreakers/vaccine", "").await["state"].take()
    }

    /// Vaccine is called, and this comes of it.
    fn call(&self, answer: Answer) -> bool {
        let permit = self.vaccine.enter(Coarse.now());
        permit.map(|permit| permit.record(answer, None, Coarse.now())).is_ok()
    }

    async fn lines(&self, start: &str) -> Vec<String> {
        let (_, text) = self.ask("GET /actuator/prometheus", "").await;
        text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
    }
}

/// Without what differs every time.
async fn events(part: &Part, path: &str) -> Vec<Value> {
    let mut answer = part.json(&format!("GET {path}"), "").await;
    let Value::Array(mut events) = answer["circuitBreakerEvents"].take() else {
        panic!("no list: {answer}")
    };
    let now = chassis::clock::now();
    let mut before = now - jiff::SignedDuration::from_mins(1);
    for event in &mut events {
        let time: jiff::Timestamp = event["creationTime"].as_str().unwrap().parse().unwrap();
        assert!(before <= time && time <= now, "just now, in the order of time: {event}");
        before = time;
        event.as_object_mut().unwrap().remove("creationTime");
    }
    events
}

#[tokio::test]
async fn breakers_are_shown_as_resilience4j_shows_them() {
    let part = Part::start(actuator::router);
    for _ in 0..15 {
        part.call(Answer::Success);
    }
    for _ in 0..5 {
        part.call(Answer::Failure);
    }
    assert!(!part.call(Answer::Success));
    let (_, all) = part.ask("GET /actuator/circuitbreakers", "").await;
    assert_snapshot!(all, @r#"{"circuitBreakers":{"mypage":{"failureRate":"-1.0%","slowCallRate":"-1.0%","failureRateThreshold":"50.0%","slowCallRateThreshold":"80.0%","bufferedCalls":0,"failedCalls":0,"slowCalls":0,"slowFailedCalls":0,"notPermittedCalls":0,"state":"CLOSED"},"vaccine":{"failureRate":"-1.0%","slowCallRate":"-1.0%","failureRateThreshold":"50.0%","slowCallRateThreshold":"80.0%","bufferedCalls":0,"failedCalls":0,"slowCalls":0,"slowFailedCalls":0,"notPermittedCalls":1,"state":"OPEN"}}}"#);
    let one = part.json("GET /actuator/circuitbreakers/vaccine", "").await;
    assert_eq!((&one["state"], &one["notPermittedCalls"]), (&json!("OPEN"), &json!(1)));
}

#[tokio::test]
async fn an_operator_decides_and_lets_the_breaker_decide_again() {
    let part = Part::start(actuator::router);
    assert_eq!(
        part.force("FORCE_OPEN").await,
        json!({
            "circuitBreakerName": "vaccine",
            "currentState": "FORCED_OPEN",
            "message": "vaccine state has been changed successfully",
        })
    );
    assert_eq!(part.state().await, "FORCED_OPEN");
    assert!(!part.call(Answer::Success));
    for (state, shown) in [("DISABLE", "DISABLED"), ("METRICS_ONLY", "METRICS_ONLY")] {
        assert_eq!(part.force(state).await["currentState"], shown);
        assert_eq!(part.state().await, shown);
        assert!((0..10).all(|_| part.call(Answer::Failure)), "{state}");
    }
    assert_eq!(part.force("CLOSE").await["currentState"], "CLOSED");
    let let_through = (0..10).filter(|_| part.call(Answer::Failure)).count();
    assert_eq!((let_through, part.state().await), (5, json!("OPEN")));
    assert_eq!(part.force("CLOSE").await["currentState"], "CLOSED");
    assert!(part.call(Answer::Success));
}

#[tokio::test]
async fn a_wrong_order_changes_nothing_and_says_what_is_wrong() {
    let part = Part::start(actuator::router);
    let vaccine = "POST /actuator/circuitbreakers/vaccine";
    for (line, body, status, said) in [
        (vaccine, "", 400, "the body must be a JSON object"),
        (vaccine, r#"{"updateState":"#, 400, "not JSON"),
        (vaccine, "{}", 422, r#""field":"updateState""#),
        (vaccine, r#"{"updateState":"EXPLODE"}"#, 422, "FORCE_OPEN"),
        (vaccine, r#"{"updateState":"CLOSE","force":true}"#, 422, r#""field":"force""#),
        ("POST /actuator/circuitbreakers/nobody", r#"{"updateState":"CLOSE"}"#, 404, "nobody"),
        ("GET /actuator/circuitbreakers/nobody", "", 404, "nobody"),
        ("GET /actuator/circuitbreakerevents/nobody", "", 404, "nobody"),
        ("PUT /actuator/circuitbreakers/vaccine", "{}", 405, "see the Allow header"),
    ] {
        let (answered, text) = part.ask(line, body).await;
        assert_eq!(answered, status, "{line} {body}: {text}");
        assert!(text.contains(said), "{line} {body}: {text}");
    }
    assert_eq!(part.state().await, "CLOSED");
    assert_eq!(events(&part, "/actuator/circuitbreakerevents").await, [Value::Null; 0]);
}

#[tokio::test]
async fn what_happened_to_breakers_is_told_in_order() {
    let part = Part::start(actuator::router);
    for _ in 0..8 {
        part.call(Answer::Failure);
    }
    part.force("FORCE_OPEN").await;
    part.force("CLOSE").await;
    let transition = |name: &str, why: &str| {
        json!({
            "circuitBreakerName": "vaccine",
            "type": "STATE_TRANSITION",
            "errorMessage": why,
            "stateTransition": name,
        })
    };
    let told = events(&part, "/actuator/circuitbreakerevents/vaccine").await;
    let expected = [
        transition("CLOSED_TO_OPEN", "too many failures in a row"),
        json!({
            "circuitBreakerName": "vaccine",
            "type": "NOT_PERMITTED",
            "errorMessage": "3 calls were refused",
        }),
        transition("OPEN_TO_FORCED_OPEN", "an operator wanted it"),
        transition("FORCED_OPEN_TO_CLOSED", "an operator wanted it"),
    ];
    assert_eq!(told[..4], expected);
    assert_eq!(events(&part, "/actuator/circuitbreakerevents").await, told);
    assert_eq!(events_of_mypage(&part).await, 0);
}

async fn events_of_mypage(part: &Part) -> usize {
    let told = part.json("GET /actuator/circuitbreakerevents/mypage", "").await;
    told["circuitBreakerEvents"].as_array().unwrap().len()
}

#[tokio::test]
async fn who_can_only_look_cannot_steer() {
    let part = Part::start(actuator::read_only);
    assert_eq!(part.state().await, "CLOSED");
    let order = r#"{"updateState":"FORCE_OPEN"}"#;
    let (status, _) = part.ask("POST /actuator/circuitbreakers/vaccine", order).await;
    assert_eq!((status, part.state().await), (405, json!("CLOSED")));
}

#[tokio::test]
async fn breakers_are_counted_under_the_names_of_resilience4j() {
    let part = Part::start(actuator::router);
    for _ in 0..20 {
        part.call(Answer::Success);
    }
    part.call(Answer::Failure);
    part.call(Answer::Overload);
    part.call(Answer::Timeout);
    part.call(Answer::Cancelled);
    let of_vaccine = async |name: &str| part.lines(&format!("{name}{{name=\"vaccine\"")).await;
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
    let rate = part.lines("resilience4j_circuitbreaker_failure_rate{name=\"mypage\"").await;
    assert!(rate.concat().ends_with("} -1.0"), "{rate:?}");

    part.force("FORCE_OPEN").await;
    part.call(Answer::Success);
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
async fn admission_and_repeats_are_counted() {
    let part = Part::start(actuator::router);
    let budget = BudgetConfig { per_second: 0, ..BudgetConfig::default() };
    let budget = Arc::new(Budget::new(budget).unwrap());
    part.process.isolation().add_budget("vaccine", &budget);
    (0..30).for_each(|_| budget.call(Coarse.now()));
    assert!(budget.try_retry(Coarse.now()));
    part.ask("GET /", "").await;
    assert_eq!(
        part.lines("anticorona_retries_total").await,
        [r#"anticorona_retries_total{name="vaccine"} 1"#]
    );
    assert_eq!(
        part.lines("anticorona_retry_budget").await,
        [r#"anticorona_retry_budget{name="vaccine"} 2"#]
    );
    let read = r#"anticorona_admission_admitted_total{priority="read"}"#;
    assert_eq!(part.lines(read).await, [format!("{read} 1")]);
    assert_eq!(
        part.lines("anticorona_admission_in_flight").await,
        ["anticorona_admission_in_flight 0"]
    );
    assert_eq!(part.lines("anticorona_admission_shed_total").await.len(), 4);
    let count = "anticorona_admission_wait_seconds_count";
    assert_eq!(part.lines(count).await, [format!("{count} 0")]);
    for name in ["limit", "waiting", "drain_per_second", "expected_wait_seconds"] {
        let lines = part.lines(&format!("anticorona_admission_{name}")).await;
        assert!(!lines.is_empty(), "{name}");
    }
}
