//! The namespace enforces the Pod Security Standard `restricted`: a pod that violates it is not created.

use serde_json::{Value, json};

use super::{KUBERNETES, overlays, validate_kubernetes};
use crate::overlay::{object, objects};

/// Relative to the overlays.
const SIEGE: &str = "../siege";

/// Volumes that `restricted` allows and we use.
const VOLUMES: [&str; 4] = ["emptyDir", "persistentVolumeClaim", "configMap", "secret"];

/// What `restricted` forbids in a pod.
fn violations(pod: &Value) -> Vec<String> {
    let mut violations = Vec::new();
    let mut require = |holds: bool, what: &str| {
        if !holds {
            violations.push(what.to_owned());
        }
    };
    let security = &pod["securityContext"];
    require(security["runAsNonRoot"] == true, "runAsNonRoot");
    require(security["runAsUser"] != 0, "runAsUser");
    require(security["seccompProfile"]["type"] == "RuntimeDefault", "seccompProfile");
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        require(pod[field].is_null(), field);
    }
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        let is_allowed = VOLUMES.iter().any(|kind| volume[*kind].is_object());
        require(is_allowed, "volumes");
    }
    let containers = ["initContainers", "containers"].map(|field| pod[field].as_array());
    for container in containers.into_iter().flatten().flatten() {
        let security = &container["securityContext"];
        require(security["allowPrivilegeEscalation"] == false, "allowPrivilegeEscalation");
        require(security["capabilities"] == json!({"drop": ["ALL"]}), "capabilities");
        require(security["privileged"].is_null(), "privileged");
    }
    violations
}

#[test]
fn every_pod_is_allowed_by_the_restricted_standard_that_the_namespace_enforces() {
    for overlay in overlays() {
        let objects = objects(&overlay);
        let labels = &object(&objects, "Namespace", "anticorona")["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted", "{overlay}");
        for workload in objects.iter().filter(|it| it["spec"]["template"].is_object()) {
            let violations = violations(&workload["spec"]["template"]["spec"]);
            assert!(violations.is_empty(), "{overlay}: {workload}: {violations:?}");
        }
    }
}

#[test]
fn the_siege_is_a_job_that_the_restricted_namespace_allows() {
    let objects = objects(SIEGE);
    let pod = &object(&objects, "Job", "siege")["spec"]["template"]["spec"];
    assert_eq!(violations(pod), [""; 0]);
    assert!(pod["containers"][0]["resources"]["requests"]["cpu"].is_string());
    for version in KUBERNETES {
        validate_kubernetes(version, &objects).unwrap_or_else(|error| panic!("{error}"));
    }
    // What `kubectl create deployment` makes.
    let bare = json!({"containers": [{"name": "siege", "image": "siege"}]});
    let found = ["runAsNonRoot", "seccompProfile", "allowPrivilegeEscalation", "capabilities"];
    assert_eq!(violations(&bare), found);
}

#[test]
fn the_network_of_the_reference_lets_the_siege_call_booking() {
    let siege = objects(SIEGE);
    let job = object(&siege, "Job", "siege");
    let labels = &job["spec"]["template"]["metadata"]["labels"];
    let reference = objects("reference");
    let policy = object(&reference, "NetworkPolicy", "allow-from-siege-to-booking");
    assert_eq!(&policy["spec"]["podSelector"]["matchLabels"], labels);
    assert_eq!(job["metadata"]["namespace"], policy["metadata"]["namespace"]);
    let booking = object(&reference, "Service", "booking");
    let url = format!("http://booking:{}/bookings POST ", booking["spec"]["ports"][0]["port"]);
    let arguments = &job["spec"]["template"]["spec"]["containers"][0]["args"];
    assert!(arguments.to_string().contains(&url), "{arguments}");
}
