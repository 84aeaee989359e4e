//! The numbers in the overlays fit each other, the seed's, and the code's.

use std::time::Duration;

use serde_json::{Value, json};

use super::overlays;
use crate::overlay::{object, objects};

/// What Istio waits longer than a part does: enough for the answer to arrive, and no more.
const JUST_ABOVE: Duration = Duration::from_millis(250);

/// The container of a Deployment.
fn container(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]
}

fn deployments(objects: &[Value]) -> impl Iterator<Item = &Value> {
    objects.iter().filter(|it| it["kind"] == "Deployment")
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().unwrap_or_else(|| panic!("{value} is not in seconds")))
}

/// As Istio writes it: `3s`, `3.2s`.
fn written(value: &Value) -> Duration {
    let seconds = value.as_str().and_then(|text| text.strip_suffix('s')?.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or_else(|| panic!("{value} is not a time")))
}

#[test]
fn the_seed_grows_from_1_to_10_at_15_percent_and_nothing_else_does() {
    let objects = objects("seed");
    let booking = object(&objects, "HorizontalPodAutoscaler", "booking");
    assert_eq!(booking["spec"]["minReplicas"], 1);
    assert_eq!(booking["spec"]["maxReplicas"], 10);
    let cpu = json!({"type": "Utilization", "averageUtilization": 15});
    let cpu = json!([{"type": "Resource", "resource": {"name": "cpu", "target": cpu}}]);
    assert_eq!(booking["spec"]["metrics"], cpu);
    let growing = objects.iter().filter(|it| it["kind"] == "HorizontalPodAutoscaler");
    assert_eq!(growing.count(), 1);
}

#[test]
fn every_part_of_the_seed_asks_for_250m_and_64mi_and_gets_500m_and_500mi() {
    let objects = objects("seed");
    let resources = json!({
        "requests": {"cpu": "250m", "memory": "64Mi"},
        "limits": {"cpu": "500m", "memory": "500Mi"},
    });
    for deployment in deployments(&objects) {
        let name = &deployment["metadata"]["name"];
        assert_eq!(container(deployment)["resources"], resources, "{name}");
    }
    assert_eq!(deployments(&objects).count(), 5);
}

#[test]
fn production_has_two_of_everything_at_least() {
    let objects = objects("production");
    for deployment in deployments(&objects) {
        let name = deployment["metadata"]["name"].as_str().unwrap();
        let grows = objects
            .iter()
            .find(|it| it["kind"] == "HorizontalPodAutoscaler" && it["metadata"]["name"] == name);
        let least = grows.map_or(&deployment["spec"]["replicas"], |it| &it["spec"]["minReplicas"]);
        assert!(least.as_u64() >= Some(2), "{name}: {least}");
    }
}

#[test]
fn the_mesh_waits_just_longer_than_each_part_and_never_asks_again() {
    let objects = objects("istio");
    for (part, answers_within) in [
        ("vaccine", vaccine::ANSWER_WITHIN),
        ("booking", booking::ANSWER_WITHIN),
        ("injection", injection::ANSWER_WITHIN),
        ("mypage", mypage::ANSWER_WITHIN),
        ("gateway", gateway::ANSWER_WITHIN),
    ] {
        let [http] =
            &object(&objects, "VirtualService", part)["spec"]["http"].as_array().unwrap()[..]
        else {
            panic!("{part} has several routes");
        };
        let timeout = written(&http["timeout"]);
        assert!(timeout > answers_within, "{part}: {timeout:?}");
        assert!(timeout <= answers_within + JUST_ABOVE, "{part}: {timeout:?}");
        assert_eq!(http["retries"]["attempts"], 0, "{part}");
    }
    let seed = &object(&objects, "VirtualService", "booking")["spec"]["http"][0]["timeout"];
    assert_eq!(seed, "3s", "the seed's");
}

#[test]
fn the_grace_covers_the_pause_before_sigterm_and_the_draining_after_it() {
    for overlay in overlays() {
        for deployment in deployments(&objects(&overlay)) {
            let name = &deployment["metadata"]["name"];
            let grace = &deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
            let pause = &container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"];
            let needed = seconds(pause) + chassis::process::DRAIN_MAX;
            assert!(seconds(grace) > needed, "{overlay}, {name}: {grace} s for {needed:?}");
        }
    }
}

#[test]
fn processes_are_asked_at_the_port_where_they_listen() {
    for overlay in overlays() {
        let objects = objects(&overlay);
        for (part, port) in [
            ("vaccine", vaccine::config::PORT),
            ("booking", booking::config::PORT),
            ("injection", injection::config::PORT),
            ("mypage", mypage::config::PORT),
            ("gateway", gateway::config::PORT),
        ] {
            let deployment = object(&objects, "Deployment", part);
            let container = container(deployment);
            assert_eq!(container["ports"][0]["containerPort"], port, "{overlay}, {part}");
            assert_eq!(container["args"][0], part, "{overlay}");
            let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
            assert_eq!(annotations["prometheus.io/port"], port.to_string(), "{overlay}, {part}");
            for (probe, path) in [
                ("startupProbe", "/actuator/health/liveness"),
                ("readinessProbe", "/actuator/health/readiness"),
                ("livenessProbe", "/actuator/health/liveness"),
            ] {
                let asked = json!({"path": path, "port": "http"});
                assert_eq!(container[probe]["httpGet"], asked, "{overlay}, {part}");
            }
        }
    }
}
