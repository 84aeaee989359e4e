//! The numbers in the overlays agree with each other, the reference and the code.

use std::time::Duration;

use platform_rest::client::{RESOLVE_INTERVAL, RESOLVE_TIMEOUT};
use platform_service::DRAIN_MAX;
use serde_json::{Value, json};

use super::overlays;
use crate::{
    SERVICES,
    overlay::{object, objects},
};

/// By how much Istio's timeout may exceed the service's deadline: enough for the response to arrive.
const MARGIN_MAX: Duration = Duration::from_millis(250);

/// For how long the DNS of a cluster caches its answers, by default (`cache 30` of `CoreDNS`).
const DNS_CACHE: Duration = Duration::from_secs(30);

/// How long an address may still be called after DNS has removed it: a caller resolves the name just before
/// the cache forgets the address, and then only after the interval.
const FORGOTTEN_AFTER: Duration =
    DNS_CACHE.saturating_add(RESOLVE_INTERVAL).saturating_add(RESOLVE_TIMEOUT);

fn container(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]
}

fn deployments(objects: &[Value]) -> impl Iterator<Item = &Value> {
    objects.iter().filter(|it| it["kind"] == "Deployment")
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().unwrap_or_else(|| panic!("{value} is not in seconds")))
}

/// In Istio's format: `3s`, `3.2s`.
fn duration(value: &Value) -> Duration {
    let seconds = value.as_str().and_then(|text| text.strip_suffix('s')?.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or_else(|| panic!("{value} is not a duration")))
}

#[test]
fn in_the_reference_only_booking_scales_from_1_to_10_at_15_percent() {
    let objects = objects("reference");
    let booking = object(&objects, "HorizontalPodAutoscaler", "booking");
    assert_eq!(booking["spec"]["minReplicas"], 1);
    assert_eq!(booking["spec"]["maxReplicas"], 10);
    let cpu = json!({"type": "Utilization", "averageUtilization": 15});
    let cpu = json!([{"type": "Resource", "resource": {"name": "cpu", "target": cpu}}]);
    assert_eq!(booking["spec"]["metrics"], cpu);
    let autoscalers = objects.iter().filter(|it| it["kind"] == "HorizontalPodAutoscaler");
    assert_eq!(autoscalers.count(), 1);
}

#[test]
fn in_the_reference_every_service_requests_250m_and_64mi_and_is_limited_to_500m_and_500mi() {
    let objects = objects("reference");
    let resources = json!({
        "requests": {"cpu": "250m", "memory": "64Mi"},
        "limits": {"cpu": "500m", "memory": "500Mi"},
    });
    for deployment in deployments(&objects) {
        let name = &deployment["metadata"]["name"];
        assert_eq!(container(deployment)["resources"], resources, "{name}");
    }
    assert_eq!(deployments(&objects).count(), SERVICES.len());
}

#[test]
fn production_runs_at_least_two_processes_per_service() {
    let objects = objects("production");
    for deployment in deployments(&objects) {
        let name = deployment["metadata"]["name"].as_str().unwrap();
        let autoscaler = objects
            .iter()
            .find(|it| it["kind"] == "HorizontalPodAutoscaler" && it["metadata"]["name"] == name);
        let replicas =
            autoscaler.map_or(&deployment["spec"]["replicas"], |it| &it["spec"]["minReplicas"]);
        assert!(replicas.as_u64() >= Some(2), "{name}: {replicas}");
    }
}

#[test]
fn the_mesh_times_out_just_after_each_service_and_never_retries() {
    let objects = objects("istio");
    for (service, response_timeout) in SERVICES {
        let name = service.name;
        let [http] =
            &object(&objects, "VirtualService", name)["spec"]["http"].as_array().unwrap()[..]
        else {
            panic!("{name} has several routes");
        };
        let timeout = duration(&http["timeout"]);
        assert!(timeout > response_timeout, "{name}: {timeout:?}");
        assert!(timeout <= response_timeout + MARGIN_MAX, "{name}: {timeout:?}");
        assert_eq!(http["retries"]["attempts"], 0, "{name}");
    }
    let reference = &object(&objects, "VirtualService", "booking")["spec"]["http"][0]["timeout"];
    assert_eq!(reference, "3s");
}

fn is_headless(object: &Value) -> bool {
    object["kind"] == "Service" && object["spec"]["clusterIP"] == "None"
}

/// The names of the Deployments whose pods are called at their own addresses.
fn called_by_headless_name(objects: &[Value]) -> Vec<&str> {
    let urls = object(objects, "ConfigMap", "service-urls")["data"].as_object().unwrap();
    let is_called = |service: &&Value| {
        let host = format!("//{}:", service["metadata"]["name"].as_str().unwrap());
        urls.values().any(|url| url.as_str().unwrap().contains(&host))
    };
    let label = "app.kubernetes.io/name";
    let headless = objects.iter().filter(|it| is_headless(it)).filter(is_called);
    headless.map(|service| service["spec"]["selector"][label].as_str().unwrap()).collect()
}

fn pre_stop(deployment: &Value) -> Duration {
    seconds(&container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"])
}

#[test]
fn a_pod_that_is_called_at_its_address_serves_until_all_callers_have_forgotten_it() {
    for (overlay, count) in
        [("reference", 5), ("production", 5), ("production-metrics", 5), ("istio", 0), ("local", 0)]
    {
        let objects = objects(overlay);
        let called = called_by_headless_name(&objects);
        assert_eq!(called.len(), count, "{overlay}: {called:?}");
        for name in called {
            let pre_stop = pre_stop(object(&objects, "Deployment", name));
            assert!(pre_stop > FORGOTTEN_AFTER, "{overlay}, {name}: {pre_stop:?}");
        }
    }
}

#[test]
fn a_service_without_an_overlap_of_its_processes_is_called_at_an_address_that_stays() {
    for overlay in overlays() {
        let objects = objects(&overlay);
        for name in called_by_headless_name(&objects) {
            let strategy = &object(&objects, "Deployment", name)["spec"]["strategy"]["type"];
            assert_eq!(strategy, "RollingUpdate", "{overlay}, {name}");
        }
    }
}

#[test]
fn a_headless_service_lists_only_pods_that_are_ready() {
    for overlay in overlays() {
        for service in objects(&overlay).iter().filter(|it| is_headless(it)) {
            let publishes = &service["spec"]["publishNotReadyAddresses"];
            assert_ne!(publishes, true, "{overlay}, {}", service["metadata"]["name"]);
        }
    }
}

#[test]
fn the_sidecar_drains_longer_than_the_service_and_no_longer_than_the_pod_has() {
    for deployment in deployments(&objects("istio")) {
        let template = &deployment["spec"]["template"];
        let proxy = template["metadata"]["annotations"]["proxy.istio.io/config"].as_str().unwrap();
        let drain =
            proxy.lines().find_map(|line| line.strip_prefix("terminationDrainDuration: ")).unwrap();
        let drain = duration(&json!(drain));
        assert!(drain > pre_stop(deployment) + DRAIN_MAX, "{drain:?}");
        assert!(drain < seconds(&template["spec"]["terminationGracePeriodSeconds"]), "{drain:?}");
    }
}

#[test]
fn the_grace_period_covers_the_pre_stop_hook_and_draining() {
    for overlay in overlays() {
        for deployment in deployments(&objects(&overlay)) {
            let name = &deployment["metadata"]["name"];
            let grace = &deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
            let needed = pre_stop(deployment) + DRAIN_MAX;
            assert!(seconds(grace) > needed, "{overlay}, {name}: {grace} s for {needed:?}");
        }
    }
}

#[test]
fn probes_and_scrapes_use_the_port_that_the_service_listens_on() {
    for overlay in overlays() {
        let objects = objects(&overlay);
        for (service, _) in SERVICES {
            let (name, port) = (service.name, service.port);
            let deployment = object(&objects, "Deployment", name);
            let container = container(deployment);
            assert_eq!(container["ports"][0]["containerPort"], port, "{overlay}, {name}");
            assert_eq!(container["args"][0], name, "{overlay}");
            let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
            assert_eq!(annotations["prometheus.io/port"], port.to_string(), "{overlay}, {name}");
            for (probe, path) in [
                ("startupProbe", "/actuator/health/liveness"),
                ("readinessProbe", "/actuator/health/readiness"),
                ("livenessProbe", "/actuator/health/liveness"),
            ] {
                let expected = json!({"path": path, "port": "http"});
                assert_eq!(container[probe]["httpGet"], expected, "{overlay}, {name}");
            }
        }
    }
}
