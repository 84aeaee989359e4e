//! Every metric that the alerting rules and the dashboard query is exposed by a running service.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use drill::{Request, set_faults};
use serde::Deserialize;
use serde_json::json;

use crate::{
    environment,
    overlay::deploy,
    requests::{book, eventually, items, register_vaccine, send},
    test_system::TestSystem,
};

/// Labels that Prometheus adds, as configured in deploy/prometheus/scrape.yaml.
const SCRAPE_LABELS: [&str; 4] = ["job", "namespace", "pod", "service"];

/// Whether a target responds: Prometheus adds it.
const UP: &str = "up";

/// What an expression selects.
#[derive(Debug, Deserialize)]
struct Selector {
    metric: String,
    labels: BTreeMap<String, String>,
}

impl Selector {
    /// Whether it selects any line of the metrics.
    fn is_exposed(&self, metrics: &str) -> bool {
        let labels = self.labels.iter().filter(|(name, _)| !SCRAPE_LABELS.contains(&name.as_str()));
        let labels: Vec<_> = labels.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        self.metric == UP
            || metrics.lines().any(|line| {
                let rest = line.strip_prefix(self.metric.as_str());
                rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                    && labels.iter().all(|label| line.contains(label))
            })
    }
}

/// The selectors in a file; the error names an invalid expression.
fn selectors(file: &Path) -> Result<Vec<Selector>, String> {
    let script = deploy("check/promql.py");
    let checked = Command::new("python3").arg(script).arg(file).output().unwrap();
    if checked.status.success() {
        return Ok(serde_json::from_slice(&checked.stdout).unwrap());
    }
    Err(String::from_utf8_lossy(&checked.stderr).into_owned())
}

/// The metrics of all services after bookings, failures and events.
async fn metrics() -> String {
    let environment = environment::sqlite().with_faults();
    let system = TestSystem::in_processes_of(environment, 1, 1).await;
    let id = register_vaccine(&system.vaccine(), 10).await;
    assert_eq!(send(&system.booking(0), book(id)).await.status, 201);
    let views = "/mypages/search/findByUserId?userId=5";
    eventually(&system.mypage(), views, |page| items(page, "mypages").len() == 1).await;
    set_faults(&system.vaccine(), &json!({"mode": "errors"})).await.unwrap();
    assert_eq!(send(&system.booking(0), book(id)).await.status, 503);
    let mut all = String::new();
    for service in
        [system.vaccine(), system.booking(0), system.injection(), system.mypage(), system.gateway()]
    {
        all += &send(&service, Request::get("/actuator/prometheus")).await.text();
    }
    all
}

#[tokio::test]
async fn every_metric_in_the_rules_and_on_the_dashboard_is_exposed_by_some_service() {
    let metrics = metrics().await;
    for file in ["prometheus/rules.yaml", "grafana/anticorona.json"] {
        let selectors = selectors(&deploy(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(selectors.len() > 5, "{file}");
        for selector in selectors {
            assert!(selector.is_exposed(&metrics), "{file}: no service exposes {selector:?}");
        }
    }
    // The autoscaler's metric, which the adapter queries.
    let in_flight = "anticorona_http_requests_in_flight";
    for file in ["kubernetes/components/in-flight/kustomization.yaml", "prometheus/adapter.yaml"] {
        assert!(fs::read_to_string(deploy(file)).unwrap().contains(in_flight), "{file}");
    }
    assert!(metrics.contains(&format!("\n{in_flight} ")), "no service exposes {in_flight}");
    for (metric, labels) in [
        ("anticorona_http_request_total", json!({})),
        ("anticorona_http_requests", json!({})),
        ("anticorona_http_requests_total", json!({"status": "6xx"})),
    ] {
        let wrong = json!({"metric": metric, "labels": labels});
        let wrong: Selector = serde_json::from_value(wrong).unwrap();
        assert!(!wrong.is_exposed(&metrics), "{wrong:?} is found");
    }
}

#[test]
fn invalid_expressions_and_unknown_fields_of_rules_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    for (rule, named) in [
        (json!({"alert": "A", "expr": "sum(rate(a[5m])"}), "sum(rate(a[5m])"),
        (json!({"alert": "A", "expr": "a", "fore": "1m"}), "fore"),
    ] {
        let rules = json!({"groups": [{"name": "g", "rules": [rule]}]});
        fs::write(&file, rules.to_string()).unwrap();
        let error = selectors(&file).expect_err("it is invalid");
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn the_labels_that_prometheus_adds_are_those_of_its_scrape_job() {
    let job = fs::read_to_string(deploy("prometheus/scrape.yaml")).unwrap();
    assert!(job.contains("job_name: anticorona\n"), "{job}");
    for label in SCRAPE_LABELS.iter().filter(|label| **label != "job") {
        assert!(job.contains(&format!("target_label: {label}}}")), "the job does not set {label}");
    }
}

#[test]
fn the_runbook_of_every_alert_exists() {
    let rules = fs::read_to_string(deploy("prometheus/rules.yaml")).unwrap();
    let runbooks = rules.lines().filter_map(|line| line.trim().strip_prefix("runbook: "));
    for runbook in runbooks.clone() {
        assert!(deploy("..").join(runbook).is_file(), "{runbook} does not exist");
    }
    let alerts = rules.lines().filter(|line| line.trim().starts_with("- alert: ")).count();
    assert_eq!(runbooks.count(), alerts);
}
