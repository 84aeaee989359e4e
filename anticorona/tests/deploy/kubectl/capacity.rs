//! Each overlay fits the nodes that it documents, and a rolling restart there never waits for room.

use std::fs;

use serde_json::Value;

use super::overlays;
use crate::overlay::{deploy, objects};

/// What the cluster's own pods request on one node: those of kind, the most among the usual ones for one node.
const OWN_PODS: Resources = Resources { millicores: 950, mebibytes: 290 };

/// A sidecar of Istio, with its defaults.
const SIDECAR: Resources = Resources { millicores: 100, mebibytes: 128 };

#[derive(Clone, Copy, Default)]
struct Resources {
    millicores: u32,
    mebibytes: u32,
}

impl Resources {
    fn plus(self, count: u32, other: Self) -> Self {
        Self {
            millicores: self.millicores + count * other.millicores,
            mebibytes: self.mebibytes + count * other.mebibytes,
        }
    }

    /// What a container requests.
    fn of(requests: &Value) -> Self {
        Self {
            millicores: number(&requests["cpu"], "m"),
            mebibytes: number(&requests["memory"], "Mi"),
        }
    }

    /// As the documents write it.
    fn shown(self) -> String {
        format!("{} CPU, {} MiB", f64::from(self.millicores) / 1_000.0, self.mebibytes)
    }
}

fn number(value: &Value, unit: &str) -> u32 {
    let number = value.as_str().and_then(|text| text.strip_suffix(unit)?.parse().ok());
    number.unwrap_or_else(|| panic!("{value} is not in {unit}"))
}

/// The pods of one Deployment or `StatefulSet`.
struct Pods {
    name: String,
    each: Resources,
    fewest: u32,
    most: u32,
    rolling_update: Value,
}

/// Those of an overlay.
fn pods(objects: &[Value]) -> Vec<Pods> {
    let is_workload = |it: &&Value| it["kind"] == "Deployment" || it["kind"] == "StatefulSet";
    let replicas = |value: &Value| value.as_u64().map_or(1, |it| it.try_into().unwrap());
    let of = |workload: &Value| {
        let name = &workload["metadata"]["name"];
        let autoscaler = objects
            .iter()
            .find(|it| it["kind"] == "HorizontalPodAutoscaler" && it["metadata"]["name"] == *name);
        let [fewest, most] = match autoscaler {
            Some(autoscaler) => {
                ["minReplicas", "maxReplicas"].map(|limit| replicas(&autoscaler["spec"][limit]))
            }
            None => [replicas(&workload["spec"]["replicas"]); 2],
        };
        let template = &workload["spec"]["template"];
        let [container] = &template["spec"]["containers"].as_array().unwrap()[..] else {
            panic!("{name} has several containers");
        };
        Pods {
            name: name.as_str().unwrap().to_owned(),
            each: Resources::of(&container["resources"]["requests"]),
            fewest,
            most,
            rolling_update: workload["spec"]["strategy"]["rollingUpdate"].clone(),
        }
    };
    objects.iter().filter(is_workload).map(of).collect()
}

fn total(pods: &[Pods], replicas: fn(&Pods) -> u32) -> Resources {
    let none = Resources::default();
    pods.iter().fold(none, |sum, pods| sum.plus(replicas(pods), pods.each))
}

/// `6 cores, 4 GiB`
fn nodes(shown: &str) -> Resources {
    let (cores, memory) = shown.split_once(" cores, ").unwrap();
    let gibibytes: u32 = memory.strip_suffix(" GiB").unwrap().parse().unwrap();
    Resources { millicores: 1_000 * cores.parse::<u32>().unwrap(), mebibytes: 1_024 * gibibytes }
}

#[test]
fn every_overlay_documents_what_it_requests_and_the_nodes_that_have_room_for_it() {
    let page = fs::read_to_string(deploy("../docs/runbooks/deploy.md")).unwrap();
    for overlay in overlays() {
        let pods = pods(&objects(&overlay));
        let (fewest, most) = (total(&pods, |it| it.fewest), total(&pods, |it| it.most));
        let requests = format!("| `{overlay}` | {} | {} | ", fewest.shown(), most.shown());
        let row = page.lines().find_map(|line| line.strip_prefix(&requests));
        let row = row.unwrap_or_else(|| panic!("the runbook has no row {requests}"));
        let documented = row.strip_suffix(" |").unwrap();

        let file = deploy("kubernetes/overlays").join(&overlay).join("kustomization.yaml");
        let comment = fs::read_to_string(file).unwrap();
        for line in [
            format!(
                "# Requests {} at the fewest pods and {} at the most.\n",
                fewest.shown(),
                most.shown()
            ),
            format!("# Needs {documented}, see docs/runbooks/deploy.md.\n"),
        ] {
            assert!(comment.contains(&line), "{overlay} lacks: {line}");
        }

        // Rolling restarts that run at the same time take turns: each gives its room back.
        let one_more = pods.iter().map(|it| it.each).max_by_key(|it| it.millicores).unwrap();
        let mut needed = most.plus(1, one_more).plus(1, OWN_PODS);
        if overlay == "istio" {
            needed = needed.plus(pods.iter().map(|it| it.most).sum::<u32>() + 1, SIDECAR);
        }
        let nodes = nodes(documented);
        assert!(needed.millicores <= nodes.millicores, "{overlay}: {}", needed.shown());
        assert!(needed.mebibytes <= nodes.mebibytes, "{overlay}: {}", needed.shown());
    }
}

/// Of a rolling update, as Kubernetes rounds it: down.
fn max_unavailable(pods: &Pods, replicas: u32) -> u32 {
    let value = &pods.rolling_update["maxUnavailable"];
    match value.as_u64() {
        Some(count) => count.try_into().unwrap(),
        None => replicas * number(value, "%") / 100,
    }
}

#[test]
fn a_rolling_restart_of_many_pods_needs_no_room_and_one_of_few_keeps_all_of_them() {
    for overlay in overlays() {
        for pods in pods(&objects(&overlay)).iter().filter(|it| it.rolling_update.is_object()) {
            let name = format!("{overlay}, {}", pods.name);
            assert_eq!(pods.rolling_update["maxSurge"], 1, "{name}");
            for replicas in 1..=3 {
                assert_eq!(max_unavailable(pods, replicas), 0, "{name}: fewer than wanted");
            }
            for replicas in 4..=pods.most {
                let unavailable = max_unavailable(pods, replicas);
                assert!(unavailable >= 1, "{name}: it waits for room for one more");
            }
        }
    }
}
