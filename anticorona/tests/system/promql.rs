//! What the rules and the dashboard ask Prometheus for is what running parts count.

use std::{fs, path::Path, process::Command};

use drill::Request;
use serde::Deserialize;
use serde_json::json;

use crate::{
    overlay::deploy,
    town::{Ground, Town, ask, book, eventually, register},
};

/// Labels that Prometheus adds itself, as deploy/prometheus/scrape.yaml says.
const SCRAPED: [&str; 4] = ["job", "namespace", "part", "pod"];

/// Whether a target answers: Prometheus' own.
const UP: &str = "up";

/// What an expression asks for.
#[derive(Debug, Deserialize)]
struct Selector {
    metric: String,
    labels: std::collections::BTreeMap<String, String>,
}

impl Selector {
    /// Some line of an exposition is one that it selects.
    fn is_counted(&self, exposed: &str) -> bool {
        let labels = self.labels.iter().filter(|(name, _)| !SCRAPED.contains(&name.as_str()));
        let labels: Vec<_> = labels.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        self.metric == UP
            || exposed.lines().any(|line| {
                let rest = line.strip_prefix(self.metric.as_str());
                rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                    && labels.iter().all(|label| line.contains(label))
            })
    }
}

/// The selectors in a file; an error says which expression is none.
fn selectors(file: &Path) -> Result<Vec<Selector>, String> {
    let script = deploy("check/promql.py");
    let checked = Command::new("python3").arg(script).arg(file).output().unwrap();
    if checked.status.success() {
        return Ok(serde_json::from_slice(&checked.stdout).unwrap());
    }
    Err(String::from_utf8_lossy(&checked.stderr).into_owned())
}

fn selectors_of(file: &str) -> Vec<Selector> {
    selectors(&deploy(file)).unwrap_or_else(|said| panic!("{file}: {said}"))
}

/// Everything that all parts count, once each kind of answer has been given.
async fn exposed() -> String {
    let town = Town::apart_on(Ground::embedded().with_faults(), 1, 1).await;
    let id = register(&town.vaccine(), "FIZER", 10).await;
    assert_eq!(ask(&town.booking(0), book(id)).await.status, 201);
    let seen = "/mypages/search/findByUserId?userId=5";
    eventually(&town.mypage(), seen, |page| page["page"]["totalElements"] == 1).await;
    let fails = Request::post_json("/actuator/faults", &json!({"mode": "errors"}));
    assert_eq!(ask(&town.vaccine(), fails).await.status, 200);
    assert_eq!(ask(&town.booking(0), book(id)).await.status, 503);
    let parts = [town.vaccine(), town.booking(0), town.injection(), town.mypage(), town.gateway()];
    let mut all = String::new();
    for part in parts {
        all += &ask(&part, Request::get("/actuator/prometheus")).await.text();
    }
    all
}

#[tokio::test]
async fn every_metric_in_the_rules_and_on_the_dashboard_is_counted_by_some_part() {
    let exposed = exposed().await;
    for file in ["prometheus/rules.yaml", "grafana/anticorona.json"] {
        let selectors = selectors_of(file);
        assert!(selectors.len() > 5, "{file}");
        for selector in selectors {
            assert!(selector.is_counted(&exposed), "{file}: no part counts {selector:?}");
        }
    }
    // What the autoscaler wants, and the adapter asks for.
    let in_flight = "anticorona_http_requests_in_flight";
    for file in ["kubernetes/components/in-flight/kustomization.yaml", "prometheus/adapter.yaml"] {
        assert!(fs::read_to_string(deploy(file)).unwrap().contains(in_flight), "{file}");
    }
    assert!(exposed.contains(&format!("\n{in_flight} ")), "nobody counts {in_flight}");
    for (metric, labels) in [
        ("anticorona_http_request_total", json!({})),
        ("anticorona_http_requests", json!({})),
        ("anticorona_http_requests_total", json!({"status": "6xx"})),
    ] {
        let wrong = json!({"metric": metric, "labels": labels});
        let wrong: Selector = serde_json::from_value(wrong).unwrap();
        assert!(!wrong.is_counted(&exposed), "{wrong:?} is found");
    }
}

#[test]
fn what_is_no_promql_or_no_rule_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    for (rule, named) in [
        (json!({"alert": "A", "expr": "sum(rate(a[5m])"}), "sum(rate(a[5m])"),
        (json!({"alert": "A", "expr": "a", "fore": "1m"}), "fore"),
    ] {
        let rules = json!({"groups": [{"name": "g", "rules": [rule]}]});
        fs::write(&file, rules.to_string()).unwrap();
        let said = selectors(&file).expect_err("it is wrong");
        assert!(said.contains(named), "{said}");
    }
}

#[test]
fn the_labels_that_prometheus_adds_are_those_of_its_job() {
    let job = fs::read_to_string(deploy("prometheus/scrape.yaml")).unwrap();
    assert!(job.contains("job_name: anticorona\n"), "{job}");
    for label in SCRAPED.iter().filter(|label| **label != "job") {
        assert!(job.contains(&format!("target_label: {label}}}")), "nothing sets {label}");
    }
}

#[test]
fn every_alert_names_a_runbook_that_there_is() {
    let rules = fs::read_to_string(deploy("prometheus/rules.yaml")).unwrap();
    let runbooks = rules.lines().filter_map(|line| line.trim().strip_prefix("runbook: "));
    for runbook in runbooks.clone() {
        assert!(deploy("..").join(runbook).is_file(), "{runbook} is not there");
    }
    let alerts = rules.lines().filter(|line| line.trim().starts_with("- alert: ")).count();
    assert_eq!(runbooks.count(), alerts);
}
