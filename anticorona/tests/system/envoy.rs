//! Envoy, the proxy that Istio's sidecars are, between booking and vaccine: set as Istio would set it
//! from the overlay, so that what is tested is what is deployed.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use drill::{Request, Target};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    overlay::{object, objects},
    town::ask,
};

/// How long it may take to come up on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(20);

/// A running proxy. It is killed when this goes.
pub(crate) struct Envoy {
    child: Child,
    admin: Target,
    /// Where booking finds vaccine.
    pub(crate) url: String,
    _folder: TempDir,
}

/// What it has counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    /// Requests that came from booking.
    pub(crate) from_booking: u64,
    /// Requests sent to vaccine.
    pub(crate) to_vaccine: u64,
    /// Those that it sent once more by itself.
    pub(crate) repeated: u64,
}

impl Envoy {
    pub(crate) async fn before(vaccine: &Target) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (settings, log) = (folder.path().join("envoy.json"), folder.path().join("log"));
        let (admin, said) = (folder.path().join("admin"), File::create(&log).unwrap());
        fs::write(&settings, as_istio_sets(vaccine).to_string()).unwrap();
        let child = Command::new("envoy")
            .args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warn", "-c"])
            .arg(&settings)
            .arg("--admin-address-path")
            .arg(&admin)
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .expect("Envoy is not here: `cargo xtask test` brings it");
        let mut envoy = Self { child, admin: vaccine.clone(), url: String::new(), _folder: folder };
        envoy.comes_up(&admin, &log).await;
        envoy
    }

    /// It chooses its ports itself, and writes down where it can be asked for them.
    async fn comes_up(&mut self, admin: &Path, log: &Path) {
        let start = Instant::now();
        loop {
            if let Ok(address) = fs::read_to_string(admin)
                && let Ok(admin) = Target::parse(&format!("http://{}", address.trim()))
                && let Ok(listeners) =
                    drill::send(&admin, &Request::get("/listeners?format=json")).await
                && let Some(port) = port(&listeners.json().unwrap())
            {
                (self.admin, self.url) = (admin, format!("http://127.0.0.1:{port}"));
                return;
            }
            let said = || fs::read_to_string(log).unwrap_or_default();
            assert_eq!(self.child.try_wait().unwrap(), None, "Envoy ended:\n{}", said());
            assert!(start.elapsed() < START_WITHIN, "Envoy does not come up:\n{}", said());
            tokio::time::sleep(Duration::from_millis(20)).await; // tidy: paced, looks until it is up
        }
    }

    pub(crate) async fn counted(&self) -> Counted {
        let stats = ask(&self.admin, Request::get("/stats?filter=vaccine")).await;
        let stats = stats.text().into_owned();
        let count = |name: &str| {
            let line = stats.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.unwrap_or_else(|| panic!("no {name} in\n{stats}")).parse().unwrap()
        };
        Counted {
            from_booking: count("http.vaccine.downstream_rq_total"),
            to_vaccine: count("cluster.vaccine.upstream_rq_total"),
            repeated: count("cluster.vaccine.upstream_rq_retry"),
        }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn port(listeners: &Value) -> Option<u64> {
    listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"].as_u64()
}

/// What Istio makes of the overlay's rules for vaccine.
fn as_istio_sets(vaccine: &Target) -> Value {
    let objects = objects("istio");
    let [http] =
        &object(&objects, "VirtualService", "vaccine")["spec"]["http"].as_array().unwrap()[..]
    else {
        panic!("vaccine has several routes");
    };
    let mut route = json!({"cluster": "vaccine", "timeout": http["timeout"]});
    if http["retries"]["attempts"] != 0 {
        let attempts = &http["retries"]["attempts"];
        route["retry_policy"] = json!({"retry_on": "5xx", "num_retries": attempts});
    }
    let policy = &object(&objects, "DestinationRule", "vaccine")["spec"]["trafficPolicy"];
    let address =
        |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    let (_, vaccine_port) = vaccine.authority().rsplit_once(':').unwrap();
    let manager = json!({
        "@type": of("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "vaccine",
        "route_config": {"virtual_hosts": [{
            "name": "vaccine",
            "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": route}],
        }]},
        "http_filters": [{
            "name": "router",
            "typed_config": {"@type": of("filters.http.router.v3.Router")},
        }],
    });
    json!({
        "admin": {"address": address(0)},
        "static_resources": {
            "listeners": [{
                "name": "vaccine",
                "address": address(0),
                "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
            }],
            "clusters": [cluster(policy, &address(vaccine_port.parse().unwrap()))],
        },
    })
}

fn cluster(policy: &Value, vaccine: &Value) -> Value {
    let (tcp, http) = (&policy["connectionPool"]["tcp"], &policy["connectionPool"]["http"]);
    let ejected = &policy["outlierDetection"];
    // Nothing may be in the overlay that would be left out here.
    knows(policy, &["loadBalancer", "connectionPool", "outlierDetection"]);
    knows(tcp, &["maxConnections", "connectTimeout"]);
    knows(http, &["http1MaxPendingRequests", "http2MaxRequests", "maxRetries", "idleTimeout"]);
    json!({
        "name": "vaccine",
        "lb_policy": policy["loadBalancer"]["simple"],
        "connect_timeout": tcp["connectTimeout"],
        "circuit_breakers": {"thresholds": [{
            "max_connections": tcp["maxConnections"],
            "max_pending_requests": http["http1MaxPendingRequests"],
            "max_requests": http["http2MaxRequests"],
            "max_retries": http["maxRetries"],
        }]},
        "outlier_detection": outlier_detection(ejected),
        // Istio sends to nobody rather than to those that it took out.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": of("upstreams.http.v3.HttpProtocolOptions"),
                "common_http_protocol_options": {"idle_timeout": http["idleTimeout"]},
                "explicit_http_config": {"http_protocol_options": {}},
            },
        },
        "load_assignment": {
            "cluster_name": "vaccine",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": vaccine}}]}],
        },
    })
}

fn outlier_detection(rule: &Value) -> Value {
    knows(
        rule,
        &[
            "splitExternalLocalOriginErrors",
            "consecutiveLocalOriginFailures",
            "consecutive5xxErrors",
            "consecutiveGatewayErrors",
            "interval",
            "baseEjectionTime",
            "maxEjectionPercent",
        ],
    );
    // In Istio a count of 0 switches a reason off; in Envoy that is a share of cases.
    let share = |count: &Value| if *count == 0 { 0 } else { 100 };
    let at_least_one = |count: &Value| count.as_u64().unwrap().max(1);
    json!({
        "split_external_local_origin_errors": rule["splitExternalLocalOriginErrors"],
        "consecutive_local_origin_failure": rule["consecutiveLocalOriginFailures"],
        "enforcing_consecutive_local_origin_failure": 100,
        "consecutive_5xx": at_least_one(&rule["consecutive5xxErrors"]),
        "enforcing_consecutive_5xx": share(&rule["consecutive5xxErrors"]),
        "consecutive_gateway_failure": at_least_one(&rule["consecutiveGatewayErrors"]),
        "enforcing_consecutive_gateway_failure": share(&rule["consecutiveGatewayErrors"]),
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": rule["interval"],
        "base_ejection_time": rule["baseEjectionTime"],
        "max_ejection_percent": rule["maxEjectionPercent"],
    })
}

/// Every field of a rule is one of these.
fn knows(rule: &Value, fields: &[&str]) {
    for field in rule.as_object().unwrap().keys() {
        assert!(fields.contains(&field.as_str()), "this test does not know {field}: teach it");
    }
}

fn of(kind: &str) -> String {
    format!("type.googleapis.com/envoy.extensions.{kind}")
}
